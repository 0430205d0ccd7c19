#include "objstore/aws_profile.hpp"

#include <gtest/gtest.h>

#include <array>
#include <string>

#include "base/sim.hpp"

namespace bop::objstore {
namespace {

constexpr const char* kCredentials =
    "# keys\n[default]\naws_access_key_id = A1\naws_secret_access_key=S1\n\n[other]\r\naws_access_key_id=A2\r\n"
    "aws_secret_access_key=S2 with=sign\r\naws_session_token=T2\r\n";
constexpr const char* kConfig =
    "[default]\nregion=eu-1\n[profile other]\nregion = eu-2\nendpoint_url = https://host\ns3 =\n  max_queue = 1\n"
    "[profile sso]\nsso_start_url=https://x\n[other]\nregion=wrong\n";

TEST(AwsProfile, TakesKeysFromBothFiles) {
  const auto first = find_aws_profile(kCredentials, kConfig, "default");
  ASSERT_TRUE(first.has_value() && first->has_value());
  EXPECT_EQ((*first)->access_key_id, "A1");
  EXPECT_EQ((*first)->secret_access_key, "S1");
  EXPECT_EQ((*first)->region, "eu-1");
  const auto other = find_aws_profile(kCredentials, kConfig, "other");
  ASSERT_TRUE(other.has_value() && other->has_value());
  EXPECT_EQ((*other)->secret_access_key, "S2 with=sign");
  EXPECT_EQ((*other)->session_token, "T2");
  EXPECT_EQ((*other)->region, "eu-2");
  EXPECT_EQ((*other)->endpoint, "https://host");
  const auto none = find_aws_profile(kCredentials, kConfig, "none");
  ASSERT_TRUE(none.has_value());
  EXPECT_FALSE(none->has_value());
}

TEST(AwsProfile, WhatCannotBeUsedIsRefused) {
  const auto sso = find_aws_profile(kCredentials, kConfig, "sso");
  ASSERT_FALSE(sso.has_value());
  EXPECT_NE(sso.error().what().find("sso_start_url"), std::string::npos);
  EXPECT_FALSE(find_aws_profile("[a]\naws_access_key_id=x\n", "", "a").has_value());
  EXPECT_FALSE(find_aws_profile(std::string(kMostProfileBytes + 1, 'x'), "", "a").has_value());
}

TEST(AwsProfile, AnyBytesAreRead) {
  const std::array<std::string, 2> corpus{kCredentials, kConfig};
  SimRandom random(9);
  for (int round = 0; round < 50'000; ++round) {
    std::array<std::string, 2> files = corpus;
    for (std::string& file : files) {
      for (std::uint64_t n = random.below(5); n > 0; --n) {
        const std::size_t at = random.below(file.size());
        switch (random.below(3)) {
          case 0: file[at] = static_cast<char>(random.below(256)); break;
          case 1: file.erase(at, random.below(30)); break;
          default: file.insert(at, 1, "[]=\n# \r"[random.below(7)]);
        }
        if (file.empty()) file = "[";
      }
    }
    const auto found = find_aws_profile(files[0], files[1], random.chance(1, 2) ? "default" : "other");
    if (found && *found) {
      ASSERT_EQ((*found)->access_key_id.empty(), (*found)->secret_access_key.empty());
    }
  }
}

}  // namespace
}  // namespace bop::objstore
