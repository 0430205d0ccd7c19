// The services' side against a real S3 server, whose URL tests/objstore/with_s3.py gives: the contract, large
// bodies in parts, pages, writers that compete.
#include <atomic>
#include <cstdlib>
#include <thread>

#include "base/crc64.hpp"
#include "base/time.hpp"
#include "objstore/open_store.hpp"
#include "objstore/store_contract.hpp"

namespace bop::objstore {
namespace {

using namespace std::chrono_literals;

class RealS3 : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* url = std::getenv("BOP_S3_URL");
    ASSERT_NE(url, nullptr) << "BOP_S3_URL is not set; tests/objstore/with_s3.py sets it";
    url_ = url;
    auto opened = open_object_store(url_);
    ASSERT_TRUE(opened.has_value()) << opened.error().what();
    store_ = std::move(*opened);
    prefix_ = fmt::format("t{:x}/", system_random().u64());
  }
  std::string url_, prefix_;
  std::unique_ptr<ObjectStore> store_;
};

TEST_F(RealS3, KeepsTheContract) { check_contract(*store_, prefix_); }

TEST_F(RealS3, LargeBodiesGoInParts) {
  Calls calls{*store_, {.deadline = 5min}};
  std::string large((37U << 20U) + 12345, '\0');
  for (std::size_t i = 0; i < large.size(); ++i) large[i] = static_cast<char>(i * 2654435761U >> 11U);
  const auto put = calls.put(prefix_ + "large", large);
  ASSERT_TRUE(put.has_value()) << put.error().what();
  EXPECT_NE(put->etag.find("-3"), std::string::npos) << put->etag;  // of three parts
  EXPECT_EQ(calls.head(prefix_ + "large")->bytes, large.size());
  EXPECT_EQ(crc64(0, calls.get(prefix_ + "large").value()), crc64(0, large));
  EXPECT_EQ(calls.get(prefix_ + "large", Range{20'000'000, 262'144}).value(),
            large.substr(20'000'000, 262'144));
}

TEST_F(RealS3, PagesOfAThousand) {
  std::vector<Answer<ObjectMeta>> answers(1100);
  std::vector<std::string> keys;
  for (std::size_t i = 0; i < answers.size(); ++i) {
    keys.push_back(fmt::format("{}{:05}", prefix_, i));
    store_->put(keys.back(), body_of("x"), {}, {.deadline = 2min}, answers[i].completion());
  }
  for (auto& answer : answers) ASSERT_TRUE(answer.wait(*store_).has_value());
  Calls calls{*store_, {.deadline = 2min}};
  EXPECT_EQ(calls.page(prefix_)->objects.size(), 1000U);
  EXPECT_EQ(calls.keys(prefix_).value(), keys);
}

// Ten writers raise one register by put if match: as many steps as successes.
TEST_F(RealS3, ARegisterIsRaisedOnceASuccess) {
  Calls calls{*store_, {.deadline = 2min}};
  const std::string key = prefix_ + "register";
  ASSERT_TRUE(calls.put(key, "0", if_absent()).has_value());
  std::atomic<int> raised{0};
  std::vector<std::thread> writers;
  for (int w = 0; w < 10; ++w) {
    writers.emplace_back([&] {
      Calls own{*store_, {.deadline = 2min}};
      for (int i = 0; i < 10; ++i) {
        const auto seen = own.head(key);
        const auto text = own.get(key);
        if (!seen || !text) continue;
        const auto put = own.put(key, std::to_string(std::stoi(*text) + 1), if_match(seen->etag));
        if (put) {
          ++raised;
        } else {
          EXPECT_EQ(put.error().code(), ErrorCode::kPreconditionFailed) << put.error().what();
        }
      }
    });
  }
  for (std::thread& writer : writers) writer.join();
  EXPECT_GT(raised.load(), 0);
  EXPECT_EQ(calls.get(key).value(), std::to_string(raised.load()));
}

}  // namespace
}  // namespace bop::objstore
