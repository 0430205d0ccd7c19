#include "server/details_access.hpp"

#include <gtest/gtest.h>

#include "base/sim.hpp"

namespace bop::server {
namespace {

using Verdict = DetailsAccess::Verdict;
using wire::http::Request;

TEST(DetailsAccess, TheKeyShowsThemWhereverItComesFrom) {
  for (const std::string_view mode : {"key", "loopback"}) {
    const DetailsAccess access(mode, "abc-DEF_1");
    EXPECT_EQ(access.judge({.authorization = "Bearer abc-DEF_1"}), Verdict::kShown);
    EXPECT_EQ(access.judge({.authorization = "bearer abc-DEF_1", .is_forwarded = true}), Verdict::kShown);
    for (const std::string_view wrong : {"Bearer abc-DEF_2", "Bearer abc-DEF_", "Bearer abc-DEF_11",
                                         "Bearer ", "Bearer  abc-DEF_1", "Bearer abc-def_1"}) {
      EXPECT_EQ(access.judge({.host = "localhost", .authorization = wrong, .is_loopback = true}),
                Verdict::kWrongKey)
          << wrong;
    }
    // Meant for a proxy in between, which has let it through.
    for (const std::string_view other : {"Basic abc-DEF_1", "abc-DEF_1", "Bearer", "Bear", "Digest x"}) {
      EXPECT_EQ(access.judge({.host = "localhost", .authorization = other, .is_loopback = true}),
                Verdict::kHidden)
          << other;
    }
  }
}

TEST(DetailsAccess, WithoutAKeyOnlyWhoIsSurelyHereSeesThem) {
  const Request here{.host = "localhost:8080", .is_loopback = true};
  EXPECT_EQ(DetailsAccess("loopback", "k").judge(here), Verdict::kShown);
  EXPECT_EQ(DetailsAccess("key", "k").judge(here), Verdict::kHidden);
  const DetailsAccess access("loopback", "k");
  Request other = here;
  other.is_loopback = false;
  EXPECT_EQ(access.judge(other), Verdict::kHidden);
  other = here;
  other.is_forwarded = true;
  EXPECT_EQ(access.judge(other), Verdict::kHidden) << "a proxy asks for somebody else";
  other = here;
  other.host = "rebound.example:8080";
  EXPECT_EQ(access.judge(other), Verdict::kHidden) << "a foreign page whose name leads here";
}

TEST(DetailsAccess, OffIsOffForTheKeyToo) {
  const DetailsAccess access("off", "k");
  EXPECT_EQ(access.judge({.host = "localhost", .is_loopback = true}), Verdict::kHidden);
  EXPECT_EQ(access.judge({.authorization = "Bearer k"}), Verdict::kHidden);
}

TEST(DetailsAccess, NamesOfThisMachine) {
  for (const std::string_view host :
       {"localhost", "LocalHost:80", "127.0.0.1", "127.1.2.3:8080", "[::1]", "[::1]:8080"}) {
    EXPECT_TRUE(names_this_machine(host)) << host;
  }
  for (const std::string_view host : {"",
                                      ":80",
                                      "localhost.evil.example",
                                      "evil.localhost",
                                      "localhost:",
                                      "localhost:http",
                                      "localhost:123456",
                                      "127.0.0.1.evil.example",
                                      "127.0.0.1@evil.example",
                                      "128.0.0.1",
                                      "10.0.0.1",
                                      "2130706433",
                                      "[::1",
                                      "[::1]x",
                                      "[::1]:",
                                      "[::2]",
                                      "[127.0.0.1]",
                                      "::1",
                                      "0.0.0.0",
                                      "[]",
                                      "["}) {
    EXPECT_FALSE(names_this_machine(host)) << host;
  }
  SimRandom random(3);
  const std::string_view letters = "[]:.127localhostx0\0\xff";
  for (int round = 0; round < 20'000; ++round) {
    std::string host;
    for (std::uint64_t left = random.below(16); left > 0; --left)
      host += letters[random.below(letters.size())];
    (void)names_this_machine(host);
  }
}

}  // namespace
}  // namespace bop::server
