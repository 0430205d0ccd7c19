#include "objstore/object_key.hpp"

#include <gtest/gtest.h>

#include <string>

#include "base/sim.hpp"

namespace bop::objstore {
namespace {

TEST(ObjectKey, TakesWhatEveryStoreTakes) {
  for (const std::string& key : {std::string("a"), std::string("a/b"), std::string("A-Z_0.9=+,@x/y.z"),
                                 std::string(200, 'a') + "/" + std::string(200, 'b')}) {
    EXPECT_TRUE(check_key(key).has_value()) << key;
  }
  for (const std::string& key :
       {std::string(), std::string("/a"), std::string("a/"), std::string("a//b"), std::string(".a"),
        std::string("a/.b"), std::string(".."), std::string("a/../b"), std::string("a b"),
        std::string("a\\b"), std::string("a%2f"), std::string("\xc3\xa4"), std::string("a\0b", 3),
        std::string(201, 'a'), std::string("a*"), std::string("a?b"), std::string("a#b")}) {
    const auto status = check_key(key);
    ASSERT_FALSE(status.has_value()) << key;
    EXPECT_EQ(status.error().code(), ErrorCode::kInvalidArgument);
  }
  std::string longest;
  while (longest.size() < kMostKeyBytes) longest += longest.size() % 151 == 150 ? '/' : 'x';
  EXPECT_TRUE(check_key(longest).has_value());
  EXPECT_FALSE(check_key(longest + "x").has_value());
}

TEST(ObjectKey, APrefixIsTheBeginningOfAKey) {
  for (const char* prefix : {"", "a", "a/", "a/b", "a."})
    EXPECT_TRUE(check_prefix(prefix).has_value()) << prefix;
  for (const char* prefix : {"/", "a//", ".", "a/.", "a b"})
    EXPECT_FALSE(check_prefix(prefix).has_value()) << prefix;
}

// Whatever bytes come: an answer, its text printable; what is taken has no way out of a folder.
TEST(ObjectKey, AnyBytesAreJudged) {
  SimRandom random(7);
  const std::string alphabet = "ab./-_\0\xff %A9";
  for (int round = 0; round < 200'000; ++round) {
    std::string key;
    for (std::uint64_t n = random.below(12); n > 0; --n) {
      key += random.chance(1, 8) ? static_cast<char>(random.below(256))
                                 : alphabet[random.below(alphabet.size())];
    }
    const auto status = check_key(key);
    if (status) {
      EXPECT_EQ(("/" + key + "/").find("/."), std::string::npos) << key;
      EXPECT_EQ(key.find("//"), std::string::npos) << key;
      EXPECT_TRUE(check_prefix(key).has_value());
      continue;
    }
    for (const char c : status.error().what()) ASSERT_TRUE(c >= 0x20 && c < 0x7f);
  }
}

}  // namespace
}  // namespace bop::objstore
