// The services' side through the crate: a server that answers by a script, and a real S3 server where there
// is one (tests/objstore/with_s3.py gives its URL).
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <thread>

#include "objstore/open_store.hpp"
#include "objstore/scripted_server.hpp"
#include "objstore/store_contract.hpp"

namespace bop::objstore {
namespace {

using namespace std::chrono_literals;

ObjectStoreOptions options_of_test() {
  ObjectStoreOptions options;
  options.access_key_id = "test";
  options.secret_access_key = "testtesttest";
  options.retry.first_backoff = 1ms;
  options.retry.attempt_timeout = 500ms;
  return options;
}

struct Scripted : ::testing::Test {
  ScriptedServer server;
  std::unique_ptr<ObjectStore> store = open();
  Calls calls{*store, {.deadline = 20s}};

  std::unique_ptr<ObjectStore> open(const std::string& more = "") {
    auto opened = open_object_store(
        "s3://bucket/pre?path_style=true&allow_http=true&endpoint=" + server.endpoint() + more,
        options_of_test());
    if (!opened) {
      ADD_FAILURE() << opened.error().what();
      std::abort();
    }
    return std::move(*opened);
  }
  // Of the first put.
  std::string stamp() {
    for (const std::string& request : server.requests()) {
      const std::size_t at = request.find("x-amz-meta-bop-stamp: ");
      if (at != std::string::npos) return request.substr(at + 22, 32);
    }
    return {};
  }
};

TEST_F(Scripted, PutsCarryConditionChecksumAndStamp) {
  server.then(http(200));
  const auto put = calls.put("a/b", "text", if_absent());
  ASSERT_TRUE(put.has_value()) << put.error().what();
  EXPECT_EQ(put->etag, "\"e1\"");
  EXPECT_EQ(put->key, "a/b");
  const std::string request = server.requests().at(0);
  EXPECT_TRUE(request.starts_with("PUT /bucket/pre/a/b HTTP/1.1")) << request;
  EXPECT_NE(request.find("if-none-match: *"), std::string::npos) << request;
  EXPECT_NE(request.find("x-amz-checksum-sha256: mC2ePrmW9VnmM/TRlN7zdh2Qn1o7ZH0ahR/q1nwyydE="),
            std::string::npos)
      << request;
  EXPECT_EQ(stamp().size(), 32U);
  EXPECT_TRUE(store->verifies_puts());
  server.then(http(200));
  EXPECT_TRUE(calls.put("a", "text", if_match("\"e0\"")).has_value());
  EXPECT_NE(server.requests().at(1).find("if-match: \"e0\""), std::string::npos);
}

TEST_F(Scripted, EachRequestIsOneRequestAndFaultsAreRetried) {
  server.then(http(503, "Retry-After: 0\r\n", "<Error><Code>SlowDown</Code></Error>"));
  server.then(http(500));
  server.then("HTTP/1.1 200");                                             // closed inside the head
  server.then(http(206, "Content-Range: bytes 0-9/20\r\n", "01234", 10));  // closed inside the body
  server.then(kSilence);
  server.then("not HTTP at all\r\n\r\n");
  server.then(http(206, "Content-Range: bytes 0-9/20\r\n", "0123456789"));
  EXPECT_EQ(calls.get("a", Range{0, 10}).value(), "0123456789");
  EXPECT_EQ(server.requests().size(), 7U);
}

// The answer to a put is lost in each way; the object that is there has our stamp, or that of another, or
// there is none and the put is made again.
TEST_F(Scripted, ALostAnswerIsSettledByLooking) {
  for (const std::string& lost :
       {std::string(kSilence), http(500), std::string("HTTP/1.1 200"), http(409), http(412)}) {
    SCOPED_TRACE(lost.substr(0, 20));
    server.then(lost);
    server.then(http(200, "x-amz-meta-bop-stamp: {stamp}\r\n"));
    const auto ours = calls.put("a", "text", if_absent());
    EXPECT_TRUE(ours.has_value()) << ours.error().what();
    server.then(lost);
    server.then(http(200, "x-amz-meta-bop-stamp: 00000000000000000000000000000000\r\n"));
    EXPECT_EQ(code_of(calls.put("a", "text", if_absent())), ErrorCode::kObjectExists);
    server.then(lost);
    server.then(http(404));
    server.then(http(200));
    EXPECT_TRUE(calls.put("a", "text", if_absent()).has_value());
  }
  EXPECT_EQ(server.requests().size(), 5U * 7U);
}

TEST_F(Scripted, LastWordsAreTold) {
  server.then(http(404, "", "<Error><Code>NoSuchKey</Code></Error>"));
  EXPECT_EQ(code_of(calls.get("a")), ErrorCode::kObjectNotFound);
  server.then(http(404));
  EXPECT_EQ(code_of(calls.head("a")), ErrorCode::kObjectNotFound);
  server.then(http(403, "", "<Error><Code>AccessDenied</Code>\n<Message>no</Message></Error>"));
  const auto denied = calls.get("a");
  EXPECT_EQ(code_of(denied), ErrorCode::kObjectStoreDenied);
  EXPECT_NE(denied.error().what().find("AccessDenied"), std::string::npos) << denied.error().what();
  EXPECT_EQ(denied.error().what().find("testtesttest"), std::string::npos);
  server.then(http(404, "", "<Error><Code>NoSuchBucket</Code></Error>"));
  EXPECT_EQ(code_of(calls.page("")), ErrorCode::kInvalidArgument);
  EXPECT_EQ(server.requests().size(), 4U);
}

TEST_F(Scripted, ListsAreReadAndChecked) {
  const auto page = [](const std::string& keys, bool more) {
    std::string body = "<?xml version=\"1.0\"?><ListBucketResult><IsTruncated>" +
                       std::string(more ? "true" : "false") + "</IsTruncated>" +
                       (more ? "<NextContinuationToken>t1</NextContinuationToken>" : "");
    for (std::size_t from = 0; from < keys.size();) {
      const std::size_t end = std::min(keys.find(' ', from), keys.size());
      body +=
          "<Contents><Key>" + keys.substr(from, end - from) +
          "</Key><Size>7</Size><LastModified>2026-11-22T09:00:00.000Z</LastModified><ETag>\"e\"</ETag></Contents>";
      from = end + 1;
    }
    return http(200, "Content-Type: application/xml\r\n", body + "</ListBucketResult>");
  };
  server.then(page("pre/a pre/b/c", true));
  auto listed = calls.page("", "0");
  ASSERT_TRUE(listed.has_value()) << listed.error().what();
  ASSERT_EQ(listed->objects.size(), 2U);
  EXPECT_EQ(listed->objects[1].key, "b/c");
  EXPECT_EQ(listed->objects[1].bytes, 7U);
  EXPECT_TRUE(listed->more);
  EXPECT_NE(server.requests().back().find("start-after=pre%2F0"), std::string::npos)
      << server.requests().back();
  // An empty page that is not the last one is passed over; keys of others are not ours.
  server.then(page("", true));
  server.then(page("pre/.x pre/z", false));
  listed = calls.page("");
  ASSERT_TRUE(listed.has_value()) << listed.error().what();
  ASSERT_EQ(listed->objects.size(), 1U);
  EXPECT_EQ(listed->objects[0].key, "z");
  EXPECT_FALSE(listed->more);
  EXPECT_NE(server.requests().back().find("continuation-token=t1"), std::string::npos);
  // Out of order: not S3 as we know it.
  server.then(page("pre/b pre/a", false));
  EXPECT_EQ(code_of(calls.page("")), ErrorCode::kInvalidArgument);
  // An error in a 200, and what is no list at all.
  const std::string xml = "Content-Type: application/xml\r\n";
  server.then(http(200, xml, "<?xml version=\"1.0\"?>\n<Error><Code>InternalError</Code></Error>"));
  server.then(http(200, xml, "   <Error><Code>SlowDown</Code></Error>"));
  server.then(http(200, xml, "<not xml"));
  server.then(page("pre/a", false));
  EXPECT_EQ(calls.keys("").value(), std::vector<std::string>{"a"});
}

// Whatever comes back: one answer in time, and no byte that was not promised.
TEST_F(Scripted, AnyBytesAreAnswered) {
  std::uint64_t state = 42;
  const auto next = [&state](std::uint64_t bound) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (state >> 33U) % bound;
  };
  const std::string corpus[] = {
      http(200, "x-amz-meta-bop-stamp: {stamp}\r\n", "0123456789"),
      http(206, "Content-Range: bytes 0-9/20\r\n", "0123456789"),
      http(200, "", "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"),
      http(412, "", "<Error><Code>PreconditionFailed</Code></Error>")};
  calls.options.deadline = 40ms;
  for (int round = 0; round < 300; ++round) {
    for (int i = 0; i < 8; ++i) {
      std::string answer = corpus[next(4)];
      for (std::uint64_t n = next(4); n > 0; --n) {
        const std::size_t at = next(answer.size());
        if (next(2) == 0) {
          answer[at] = static_cast<char>(next(256));
        } else {
          answer.erase(at, next(10));
        }
        if (answer.empty()) answer = "x";
      }
      server.then(answer);
    }
    switch (next(4)) {
      case 0: static_cast<void>(calls.put("a", "text", if_absent())); break;
      case 1: static_cast<void>(calls.keys("")); break;
      case 2: static_cast<void>(calls.head("a")); break;
      default: {
        const auto got = calls.get("a", Range{0, 10});
        if (got) {
          EXPECT_LE(got->size(), 10U);
        }
      }
    }
  }
}

TEST(Remote, NobodyListens) {
  auto store = open_object_store("s3://bucket?path_style=true&allow_http=true&endpoint=http://127.0.0.1:1",
                                 options_of_test());
  ASSERT_TRUE(store.has_value());
  Calls calls{**store, {.deadline = 300ms}};
  const auto failed = calls.get("a");
  EXPECT_EQ(code_of(failed), ErrorCode::kObjectStoreUnavailable);
}

TEST(Remote, AStoreEndsSoonWithOpenCalls) {
  ScriptedServer server;
  server.then(kSilence, 100);
  Answer<ObjectMeta> put;
  Answer<std::vector<std::byte>> get;
  const auto begun = std::chrono::steady_clock::now();
  {
    auto options = options_of_test();
    options.retry.attempt_timeout = 1min;
    auto store = open_object_store(
        "s3://bucket?path_style=true&allow_http=true&endpoint=" + server.endpoint(), options);
    ASSERT_TRUE(store.has_value());
    (*store)->put("a", body_of(std::string(1'000'000, 'x')), {}, {}, put.completion());
    (*store)->get("a", std::nullopt, {}, get.completion());
    const auto deadline = begun + 10s;
    while (server.requests().size() < 2 && std::chrono::steady_clock::now() < deadline)
      std::this_thread::yield();
  }
  EXPECT_EQ(code_of(put.value()), ErrorCode::kCancelled);
  EXPECT_EQ(code_of(get.value()), ErrorCode::kCancelled);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 15s);
}

TEST(Remote, WrongOptionsAreToldAtOnce) {
  for (const char* url : {"s3://b?x=1", "gopher://x", "file://x"}) {
    EXPECT_EQ(code_of(open_object_store(url)), ErrorCode::kConfigInvalid) << url;
  }
  ObjectStoreOptions half;
  half.access_key_id = "only";
  EXPECT_EQ(code_of(open_object_store("s3://bucket", half)), ErrorCode::kConfigInvalid);
  EXPECT_EQ(code_of(open_object_store("s3://bucket?profile=there-is-none-of-this-name")),
            ErrorCode::kConfigInvalid);
}

TEST(Remote, ADirectoryByItsUrl) {
  const std::string root = ::testing::TempDir() + fmt::format("bop-url-{}", ::getpid());
  std::filesystem::remove_all(root);
  {
    auto store = open_object_store("file://" + root);
    ASSERT_TRUE(store.has_value()) << store.error().what();
    check_contract(**store, "x/");
  }
  std::filesystem::remove_all(root);
}

}  // namespace
}  // namespace bop::objstore
