#include "base/crc64.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <vector>

#include "base/sim.hpp"

namespace bop {
namespace {

TEST(Crc64, GivesTheCheckValueOfTheStandard) {
  EXPECT_EQ(crc64(0, "123456789"), 0xae8b14860a799888u);
  EXPECT_EQ(crc64_by_tables(0, std::as_bytes(std::span("123456789", 9))), 0xae8b14860a799888u);
  EXPECT_EQ(crc64(0, ""), 0u);
  EXPECT_EQ(crc64(77, ""), 77u);
}

// One bit at a time, straight from the definition.
std::uint64_t by_definition(std::uint64_t seed, std::span<const std::byte> bytes) {
  std::uint64_t crc = ~seed;
  for (const std::byte byte : bytes) {
    crc ^= std::to_integer<std::uint64_t>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x9a6c9329ac4bc9b5u : 0);
  }
  return ~crc;
}

TEST(Crc64, ImplementationsAgreeAtEveryLengthAndAlignment) {
  SimRandom random(1);
  std::vector<std::byte> buffer(20'000);
  random.fill(buffer);
  for (std::size_t length = 0; length < 3000; ++length) {
    const std::size_t at = random.below(64);
    const auto bytes = std::span(buffer).subspan(at, length);
    const std::uint64_t seed = random.next();
    const std::uint64_t expected = by_definition(seed, bytes);
    ASSERT_EQ(crc64_by_tables(seed, bytes), expected) << length << " at " << at;
    if (crc64_has_folding()) {
      ASSERT_EQ(crc64_by_folding(seed, bytes), expected) << length << " at " << at;
    }
    if (crc64_has_wide_folding()) {
      ASSERT_EQ(crc64_by_wide_folding(seed, bytes), expected) << length << " at " << at;
    }
    ASSERT_EQ(crc64(seed, bytes), expected);
  }
}

TEST(Crc64, IsIncremental) {
  SimRandom random(2);
  std::vector<std::byte> buffer(10'000);
  random.fill(buffer);
  const std::span<const std::byte> all(buffer);
  for (int round = 0; round < 500; ++round) {
    const std::size_t cut = random.below(all.size() + 1);
    const std::uint64_t seed = random.next();
    ASSERT_EQ(crc64(crc64(seed, all.first(cut)), all.subspan(cut)), crc64(seed, all)) << cut;
  }
}

TEST(Crc64, NoticesEveryFlippedBitAndAnotherSeed) {
  std::vector<std::byte> page(4096, std::byte{0});
  const std::uint64_t good = crc64(7, page);
  EXPECT_NE(crc64(8, page), good);
  for (std::size_t bit = 0; bit < page.size() * 8; bit += 13) {
    page[bit / 8] ^= std::byte{static_cast<unsigned char>(1U << (bit % 8))};
    ASSERT_NE(crc64(7, page), good) << bit;
    page[bit / 8] ^= std::byte{static_cast<unsigned char>(1U << (bit % 8))};
  }
}

// Not a benchmark: it prints what this machine does, and fails if the processor's way is not the faster one.
TEST(Crc64, FoldingIsFasterThanTables) {
  if (!crc64_has_folding()) GTEST_SKIP() << "no carry-less multiplication here";
  std::vector<std::byte> buffer(std::size_t{64} << 10, std::byte{1});
  std::uint64_t sum = 0;
  const auto gb_per_s = [&](auto crc, int rounds) {
    double best = 0;
    for (int attempt = 0; attempt < 5; ++attempt) {
      const auto start = std::chrono::steady_clock::now();
      for (int i = 0; i < rounds; ++i) sum += crc(sum, std::span<const std::byte>(buffer));
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
      best = std::max(best,
                      static_cast<double>(rounds) * static_cast<double>(buffer.size()) / took.count() / 1e9);
    }
    return best;
  };
  const double tables = gb_per_s(crc64_by_tables, 100);
  const double folding = gb_per_s(crc64_by_folding, 400);
  const double chosen =
      gb_per_s([](std::uint64_t s, std::span<const std::byte> b) { return crc64(s, b); }, 400);
  std::printf("crc64 of 64 KiB, GB/s: tables %.2f, folding %.2f, %s %.2f (%llx)\n", tables, folding,
              std::string(crc64_kind()).c_str(), chosen, static_cast<unsigned long long>(sum));
  EXPECT_GT(folding, tables);
}

}  // namespace
}  // namespace bop
