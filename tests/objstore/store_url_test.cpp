#include "objstore/store_url.hpp"

#include <gtest/gtest.h>

#include <array>
#include <string>

#include "base/sim.hpp"
#include "objstore/object_key.hpp"

namespace bop::objstore {
namespace {

TEST(StoreUrl, SaysWhereAStoreIs) {
  const auto file = parse_store_url("file:///var/lib/my archive/");
  ASSERT_TRUE(file.has_value());
  EXPECT_EQ(file->kind, StoreKind::kDirectory);
  EXPECT_EQ(file->place, "/var/lib/my archive");
  EXPECT_EQ(file->name(), "file:///var/lib/my archive");

  const auto s3 = parse_store_url(
      "s3://my-bucket/a/b/?endpoint=http://127.0.0.1:9000&allow_http=true&region=eu-1&path_style=true&profile=p&"
      "checksum=none");
  ASSERT_TRUE(s3.has_value()) << s3.error().what();
  EXPECT_EQ(s3->kind, StoreKind::kS3);
  EXPECT_EQ(s3->place, "my-bucket");
  EXPECT_EQ(s3->prefix, "a/b");
  EXPECT_EQ(s3->endpoint, "http://127.0.0.1:9000");
  EXPECT_EQ(s3->region, "eu-1");
  EXPECT_EQ(s3->profile, "p");
  EXPECT_TRUE(s3->path_style && s3->allow_http);
  EXPECT_FALSE(s3->checksum);
  EXPECT_EQ(s3->name(), "s3://my-bucket/a/b");

  const auto azure = parse_store_url("az://container?account=me");
  ASSERT_TRUE(azure.has_value());
  EXPECT_EQ(azure->account, "me");
  EXPECT_EQ(parse_store_url("gs://bucket/x")->kind, StoreKind::kGcs);
}

TEST(StoreUrl, AWrongOneIsRefusedAndSaysWhy) {
  struct Wrong {
    const char* url;
    const char* why;
  };
  for (const Wrong& wrong : std::initializer_list<Wrong>{
           {"", "file://, s3://"},
           {"http://bucket", "file://, s3://"},
           {"file://relative", "absolute"},
           {"file:///", "root"},
           {"s3://", "3 to 222"},
           {"s3://UPPER", "small letters"},
           {"s3://bucket//x", "prefix"},
           {"s3://bucket/../x", "prefix"},
           {"s3://bucket/x?", nullptr},
           {"s3://bucket/x?endpoint", "name=value"},
           {"s3://bucket?endpoint=host:1", "http://"},
           {"s3://bucket?endpoint=http://host", "allow_http"},
           {"s3://bucket?endpoint=https://user:pw@host", "password"},
           {"s3://bucket?path_style=yes", "true or false"},
           {"s3://bucket?checksum=md5", "sha256"},
           {"s3://bucket?secret_access_key=hidden", "credentials"},
           {"s3://bucket?speed=fast", "no option speed"},
           {"gs://bucket?endpoint=https://host", "no option"},
           {"az://container?region=x", "no option"},
       }) {
    const auto parsed = parse_store_url(wrong.url);
    if (wrong.why == nullptr) {
      EXPECT_TRUE(parsed.has_value()) << wrong.url;
      continue;
    }
    ASSERT_FALSE(parsed.has_value()) << wrong.url;
    EXPECT_EQ(parsed.error().code(), ErrorCode::kConfigInvalid);
    EXPECT_NE(parsed.error().what().find(wrong.why), std::string::npos) << parsed.error().what();
    EXPECT_EQ(parsed.error().what().find("hidden"), std::string::npos);
    EXPECT_EQ(parsed.error().what().find("pw"), std::string::npos);
  }
  const auto user = parse_store_url("s3://key:secret@bucket/x");
  ASSERT_FALSE(user.has_value());
  EXPECT_EQ(user.error().what().find("secret"), std::string::npos) << user.error().what();
}

// URLs of the corpus with bytes changed, taken out, doubled and exchanged.
TEST(StoreUrl, AnyBytesAreJudged) {
  const std::array<std::string, 5> corpus{
      "file:///var/lib/archive",
      "s3://bucket/prefix/more?endpoint=https://host:1&region=eu-1&path_style=true",
      "s3://bucket?allow_http=true&endpoint=http://h&profile=p&checksum=none", "gs://bucket/a",
      "az://container/a?account=me&endpoint=https://h"};
  SimRandom random(5);
  int taken = 0;
  for (int round = 0; round < 200'000; ++round) {
    std::string url = corpus[random.below(corpus.size())];
    for (std::uint64_t n = random.below(4); n > 0 && !url.empty(); --n) {
      const std::size_t at = random.below(url.size());
      switch (random.below(4)) {
        case 0: url[at] = static_cast<char>(random.below(256)); break;
        case 1: url.erase(at, 1 + random.below(5)); break;
        case 2: url.insert(at, url.substr(at / 2, random.below(20))); break;
        default: url[at] = "?&=/:.@%"[random.below(8)];
      }
    }
    const auto parsed = parse_store_url(url);
    if (!parsed) {
      for (const char c : parsed.error().what()) ASSERT_TRUE(c >= 0x20 && c < 0x7f);
      continue;
    }
    ++taken;
    ASSERT_TRUE(parsed->prefix.empty() || check_key(parsed->prefix));
    ASSERT_FALSE(parsed->endpoint.starts_with("http://") && !parsed->allow_http);
    if (parsed->kind == StoreKind::kDirectory) {
      ASSERT_TRUE(parsed->place.starts_with('/'));
    } else {
      // The name is a URL of the same place.
      const auto again = parse_store_url(parsed->name());
      ASSERT_TRUE(again.has_value()) << parsed->name();
      ASSERT_EQ(again->place, parsed->place);
      ASSERT_EQ(again->prefix, parsed->prefix);
    }
  }
  EXPECT_GT(taken, 20'000);
}

}  // namespace
}  // namespace bop::objstore
