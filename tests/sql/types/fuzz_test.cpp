// Random mutations of a small corpus through every type's input: never a crash, and what is accepted prints a
// text that is accepted again and means the same.
#include <gtest/gtest.h>

#include <random>

#include "sql/types/codec.hpp"

namespace bop {
namespace {

constexpr const char* kCorpus[] = {
    "1",
    "-12.50",
    "1e10",
    "NaN",
    "infinity",
    "2024-01-15 10:00:00+02",
    "15 Jan 2024",
    "1 day 02:03:04",
    "P1Y2M3DT4H5M6.5S",
    "{1,2,NULL}",
    "{{1,2},{3,4}}",
    "[2:3]={7,8}",
    "{\"a\": [1, 2.50, \"x\\u00e9\"], \"b\": null}",
    "\\x00ff",
    "true",
    "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
    "2024-01-15 10:00:00 America/New_York",
    "@ 1 hour ago",
    "1 2 3",
    "\xc3\xa9",
    "[1,5)",
    "empty",
    "{[1,3),[5,8)}",
    "[\"2024-01-15 10:00:00\",)",
    "192.168.1.5/24",
    "::ffff:1.2.3.4/96",
    "08:00:2b:01:02:03",
    "x1f",
    "$1,234.50",
    "strict $.a[0, 2 to last] ? (@.b > 1 && exists(@.\"c d\")).size()",
    "($.**{1 to 2} + -1.5) like_regex \"^a\" flag \"i\"",
};
constexpr int kRounds = 400;

std::string mutated(std::mt19937& random) {
  std::string s = kCorpus[random() % std::size(kCorpus)];
  for (unsigned n = random() % 4; n > 0; --n) {
    const std::size_t at = s.empty() ? 0 : random() % s.size();
    switch (random() % 4) {
      case 0: s.insert(at, 1, static_cast<char>(random() % 256)); break;
      case 1:
        if (!s.empty()) s.erase(at, 1);
        break;
      case 2:
        if (!s.empty()) s[at] = "0123456789-+:.{}[],\"\\eE \x80"[random() % 25];
        break;
      default: s += kCorpus[random() % std::size(kCorpus)]; break;
    }
  }
  return s;
}

TEST(Fuzz, TextInput) {
  std::mt19937 random(20240115);
  int accepted = 0;
  for (const TypeInfo& t : all_types()) {
    if (!t.storable) continue;
    for (int i = 0; i < kRounds; ++i) {
      const std::string text = mutated(random);
      const auto v = parse_text(t.oid, -1, text, {});
      if (!v) continue;
      ++accepted;
      std::string shown, again, binary;
      encode_text(t.oid, -1, *v, {}, shown);
      const auto w = parse_text(t.oid, -1, shown, {});
      ASSERT_TRUE(w) << t.name << " accepted '" << text << "' and printed '" << shown
                     << "': " << w.error().what();
      encode_text(t.oid, -1, *w, {}, again);
      EXPECT_EQ(shown, again) << t.name << " '" << text << "'";
      encode_binary(t.oid, -1, *v, {}, binary);
    }
  }
  EXPECT_GT(accepted, 1000);
}

TEST(Fuzz, BinaryInput) {
  std::mt19937 random(15012024);
  for (const TypeInfo& t : all_types()) {
    if (!t.storable) continue;
    for (int i = 0; i < kRounds; ++i) {
      std::string bytes;
      if (const auto seed = parse_text(t.oid, -1, kCorpus[random() % std::size(kCorpus)], {}))
        encode_binary(t.oid, -1, *seed, {}, bytes);
      for (unsigned n = 1 + random() % 6; n > 0; --n) {
        if (bytes.empty() || random() % 3 == 0)
          bytes += static_cast<char>(random() % 256);
        else
          bytes[random() % bytes.size()] = static_cast<char>(random() % 256);
      }
      const auto v = parse_binary(t.oid, -1, bytes, {});
      if (!v) continue;
      std::string shown;
      encode_text(t.oid, -1, *v, {}, shown);
      EXPECT_LT(shown.size(), 1'000'000U) << t.name;
    }
  }
}

}  // namespace
}  // namespace bop
