#include "mdbx/key.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "base/sim.hpp"

namespace bop::mdbx {
namespace {

std::vector<std::byte> bytes_of(const Key& key) { return {key.bytes().begin(), key.bytes().end()}; }

// Sorted values must give sorted keys.
template <class T>
void expect_order(const std::vector<T>& ascending) {
  for (std::size_t i = 1; i < ascending.size(); ++i) {
    EXPECT_LT(bytes_of(Key::of(ascending[i - 1])), bytes_of(Key::of(ascending[i]))) << i;
  }
}

TEST(Key, NumbersSortAsTheyAre) {
  expect_order<std::uint64_t>({0, 1, 255, 256, 65'535, 1ULL << 32U, ~0ULL});
  expect_order<std::int64_t>({std::numeric_limits<std::int64_t>::min(), -256, -1, 0, 1, 255, 256,
                              std::numeric_limits<std::int64_t>::max()});
  expect_order<std::int8_t>({-128, -1, 0, 1, 127});
  expect_order<std::uint16_t>({0, 1, 255, 256, 65'535});
}

TEST(Key, TextSortsAsItsBytesAndTheShorterFirst) {
  using namespace std::string_view_literals;
  expect_order<std::string_view>(
      {""sv, "\0"sv, "\0\0"sv, "\0a"sv, "\x01"sv, "a"sv, "a\0"sv, "a\0b"sv, "ab"sv, "b"sv, "\xff"sv});
}

TEST(Key, PartsBeforeCountMore) {
  EXPECT_LT(bytes_of(Key::of(std::uint32_t{1}, std::string_view("b"))),
            bytes_of(Key::of(std::uint32_t{2}, std::string_view(""))));
  EXPECT_LT(bytes_of(Key::of(std::string_view("a"), std::uint32_t{9})),
            bytes_of(Key::of(std::string_view("ab"), std::uint32_t{0})));
  EXPECT_LT(bytes_of(Key::of(Lsn(7), std::int64_t{-1})), bytes_of(Key::of(Lsn(7), std::int64_t{0})));
}

TEST(Key, ReadsBackWhatWasWritten) {
  SimRandom random(7);
  for (int round = 0; round < 1000; ++round) {
    const auto a = random.below(~0ULL);
    const auto b = static_cast<std::int32_t>(random.below(1ULL << 32U));
    std::string text;
    for (auto left = random.below(20); left > 0; --left) text.push_back(static_cast<char>(random.below(3)));
    const Key key = Key::of(a, std::string_view(text), b, Lsn(a / 2));
    std::uint64_t a2 = 0;
    std::int32_t b2 = 0;
    std::string text2;
    Lsn lsn2;
    EXPECT_TRUE(KeyReader(key.bytes()).take(a2).take(text2).take(b2).take(lsn2).done());
    EXPECT_EQ(a2, a);
    EXPECT_EQ(b2, b);
    EXPECT_EQ(text2, text);
    EXPECT_EQ(lsn2, Lsn(a / 2));
  }
}

TEST(Key, ForeignBytesAreNotRead) {
  std::uint64_t number = 0;
  std::string text;
  const Key key = Key::of(std::uint32_t{5});
  EXPECT_FALSE(KeyReader(key.bytes()).take(number).done());
  EXPECT_FALSE(KeyReader(key.bytes()).take(text).done());
  std::uint16_t half = 0;
  EXPECT_FALSE(KeyReader(key.bytes()).take(half).done());  // something is left
  // No bytes of any kind make the reader read beyond them.
  SimRandom random(11);
  for (int round = 0; round < 20'000; ++round) {
    std::vector<std::byte> bytes(random.below(24));
    for (auto& byte : bytes) byte = static_cast<std::byte>(random.below(4) == 0 ? 0xff : random.below(3));
    std::string first, second;
    if (KeyReader(bytes).take(first).take(second).done()) {
      EXPECT_EQ(bytes_of(Key::of(std::string_view(first), std::string_view(second))), bytes);
    }
  }
}

TEST(Key, OneThatIsTooLongSaysSo) {
  const std::string longest(Key::kMaxBytes - 2, 'x');
  EXPECT_TRUE(Key::of(std::string_view(longest)).valid());
  EXPECT_FALSE(Key::of(std::string_view(longest + "x")).valid());
}

}  // namespace
}  // namespace bop::mdbx
