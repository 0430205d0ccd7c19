#include <gtest/gtest.h>

#include "backup/label.hpp"
#include "base/crc64.hpp"

namespace bop::backup {
namespace {

Label example() {
  Label label;
  label.complete = true;
  label.identity[0] = 0xab;
  label.identity[15] = 0x01;
  label.timeline = Timeline(7);
  label.consistent = Lsn(10);
  label.consistent_us = 11;
  label.end = Lsn(20);
  label.end_us = 21;
  label.began_us = 5;
  label.taken_us = 22;
  label.databases = {{DatabaseId(1), Lsn(3), true, 4, 0xfedc}};
  label.logs = {{1, 4096, 2}, {2, 8192, 3}};
  label.files = {{64, 9, "db/1/manifest.0"}};
  return label;
}

TEST(Label, ComesBackAsItWasPrinted) {
  const std::string text = print_label(example());
  const auto label = parse_label(text, "x");
  ASSERT_TRUE(label.has_value()) << label.error().what();
  EXPECT_EQ(print_label(*label), text);
  EXPECT_EQ(label->bytes(), 4 * 4096U + 4096 + 8192 + 64);
}

TEST(Label, EveryFlippedBitIsFound) {
  const std::string text = print_label(example());
  for (std::size_t at = 0; at < text.size(); ++at) {
    for (unsigned bit = 0; bit < 8; ++bit) {
      std::string broken = text;
      broken[at] = static_cast<char>(broken[at] ^ (1 << bit));
      EXPECT_FALSE(parse_label(broken, "x").has_value()) << at << ' ' << bit;
    }
  }
  for (std::size_t size = 0; size < text.size(); ++size) {
    EXPECT_FALSE(parse_label(std::string_view(text).substr(0, size), "x").has_value()) << size;
  }
}

std::string checked(std::string text) { return text + fmt::format("check {:016x}\n", crc64(0, text)); }

TEST(Label, ANewerFormatAndUnknownWordsAreRefused) {
  const auto newer = parse_label("bop-backup 2\nwhatever\n", "x");
  ASSERT_FALSE(newer.has_value());
  EXPECT_EQ(newer.error().code(), ErrorCode::kFormatTooNew);
  EXPECT_TRUE(parse_label(checked("bop-backup 1\nstate partial\n"), "x").has_value());
  for (const char* line :
       {"state other", "unknown 1", "file 1 2 ../x", "file 1 2 /x", "log 1 2", "timeline x"}) {
    EXPECT_FALSE(parse_label(checked(fmt::format("bop-backup 1\n{}\n", line)), "x").has_value()) << line;
  }
}

}  // namespace
}  // namespace bop::backup
