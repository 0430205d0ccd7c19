// Pieces of archived segments on a simulated disk that loses, breaks and fills up.
#include "aof/tier/piece_cache.hpp"

#include <gtest/gtest.h>

#include "base/sim.hpp"
#include "base/sim_disk.hpp"

namespace bop::aof {
namespace {

constexpr const char* kDirectory = "/cache";
constexpr std::uint64_t kFileOverhead = 40;

PieceBytes bytes_of(const PieceId& piece) {
  std::vector<std::byte> bytes(piece.bytes);
  SimRandom random(piece.segment_number * 31 + piece.segment_seed * 7 + piece.offset);
  random.fill(bytes);
  return std::make_shared<const std::vector<std::byte>>(std::move(bytes));
}
PieceId piece(std::uint64_t number, std::uint32_t offset = 0, std::uint32_t bytes = 1000) {
  return {number, number * 1'000'003, offset, bytes};
}

struct PieceCacheTest : testing::Test {
  void open(std::uint64_t max_bytes = 1U << 20U) {
    auto opened = PieceCache::open(disk, kDirectory, max_bytes);
    ASSERT_TRUE(opened.has_value()) << opened.error().what();
    cache = *std::move(opened);
  }
  void put(const PieceId& id) { cache->put(id, bytes_of(id)); }
  bool has(const PieceId& id) {
    const PieceBytes found = cache->get(id);
    if (found) {
      EXPECT_EQ(*found, *bytes_of(id));
    }
    return found != nullptr;
  }
  std::size_t files() { return disk.list(kDirectory).value().size(); }

  SimDisk disk{1, {.trace_length = 0}};
  std::unique_ptr<PieceCache> cache;
};

TEST_F(PieceCacheTest, KeepsPiecesAndFindsThemAfterARestart) {
  open();
  put(piece(1));
  put(piece(1, 4096));
  put(piece(2));
  EXPECT_TRUE(has(piece(1)) && has(piece(1, 4096)) && has(piece(2)));
  EXPECT_FALSE(has(piece(3)));
  cache.reset();
  disk.process_kill();
  open();
  EXPECT_EQ(cache->pieces(), 3U);
  EXPECT_TRUE(has(piece(1)) && has(piece(1, 4096)) && has(piece(2)));
  cache->forget(1, piece(1).segment_seed);
  EXPECT_FALSE(has(piece(1)) || has(piece(1, 4096)));
  EXPECT_TRUE(has(piece(2)));
  EXPECT_EQ(files(), 1U);
}

TEST_F(PieceCacheTest, TheBoundIsKeptAndWhatWasUsedLongestAgoGoes) {
  open(4 * (1000 + kFileOverhead));
  for (std::uint64_t i = 1; i <= 4; ++i) put(piece(i));
  EXPECT_TRUE(has(piece(1)));
  put(piece(5));
  EXPECT_FALSE(has(piece(2)));
  EXPECT_TRUE(has(piece(1)) && has(piece(3)) && has(piece(4)) && has(piece(5)));
  EXPECT_EQ(cache->bytes(), 4 * (1000 + kFileOverhead));
  EXPECT_EQ(files(), 4U);
  put(piece(6, 0, 10'000));  // larger than all of it
  EXPECT_EQ(cache->pieces(), 4U);
  // A smaller bound at the next start.
  open(2 * (1000 + kFileOverhead));
  EXPECT_EQ(cache->pieces(), 2U);
  EXPECT_EQ(files(), 2U);
}

TEST_F(PieceCacheTest, EveryBitThatFlipsMakesThePieceAbsentNeverWrong) {
  open();
  const std::uint32_t size = 100;
  const std::string path = std::string(kDirectory) + "/";
  for (std::uint64_t at = 0; at < size + kFileOverhead; ++at) {
    for (unsigned bit = 0; bit < 8; ++bit) {
      put(piece(1, 0, size));
      ASSERT_TRUE(disk.flip_bit(path + disk.list(kDirectory).value().at(0), at, bit));
      ASSERT_EQ(cache->get(piece(1, 0, size)), nullptr) << "byte " << at << " bit " << bit;
      ASSERT_EQ(cache->pieces(), 0U);
      ASSERT_EQ(cache->bytes(), 0U);
      ASSERT_EQ(files(), 0U);
    }
  }
}

TEST_F(PieceCacheTest, APieceOfAnotherSizeOrUnderAnotherNameIsNotServed) {
  open();
  put(piece(1));
  EXPECT_EQ(cache->get(piece(1, 0, 999)), nullptr);
  EXPECT_TRUE(has(piece(1)));
  put(piece(2));
  const auto names = disk.list(kDirectory).value();
  const std::string top = std::string(kDirectory) + "/";
  ASSERT_TRUE(disk.rename(top + names[0], top + names[1]).has_value());
  EXPECT_EQ(cache->get(piece(2)), nullptr);
}

TEST_F(PieceCacheTest, AfterAPowerCutEachPieceIsWholeOrAbsent) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    SimDisk cut(seed, {.trace_length = 0});
    auto before = PieceCache::open(cut, kDirectory, 1U << 20U).value();
    for (std::uint64_t i = 1; i <= 8; ++i) before->put(piece(i, 0, 5000), bytes_of(piece(i, 0, 5000)));
    before.reset();
    cut.power_cut();
    auto after = PieceCache::open(cut, kDirectory, 1U << 20U).value();
    for (std::uint64_t i = 1; i <= 8; ++i) {
      const PieceBytes found = after->get(piece(i, 0, 5000));
      if (found) {
        ASSERT_EQ(*found, *bytes_of(piece(i, 0, 5000))) << "seed " << seed;
      }
    }
  }
}

TEST_F(PieceCacheTest, CallsThatFailCostThePieceOnly) {
  for (std::uint64_t k = 1; k <= 12; ++k) {
    for (const SimFault fault : {SimFault::kIo, SimFault::kDiskFull, SimFault::kShort}) {
      SimDisk bad(k, {.trace_length = 0});
      auto cache_here = PieceCache::open(bad, kDirectory, 2 * (1000 + kFileOverhead)).value();
      bad.fail_call(k, fault);
      for (std::uint64_t i = 1; i <= 4; ++i) {
        cache_here->put(piece(i), bytes_of(piece(i)));
        const PieceBytes found = cache_here->get(piece(i));
        if (found) {
          ASSERT_EQ(*found, *bytes_of(piece(i)));
        }
      }
      bad.clear_faults();
      EXPECT_LE(cache_here->bytes(), 2 * (1000 + kFileOverhead));
      cache_here->put(piece(9), bytes_of(piece(9)));
      EXPECT_NE(cache_here->get(piece(9)), nullptr) << "call " << k;
    }
  }
}

TEST_F(PieceCacheTest, AFullDiskKeepsNothingAndHarmsNobody) {
  open();
  put(piece(1));
  disk.set_capacity(disk.used_bytes());
  put(piece(2));
  EXPECT_FALSE(has(piece(2)));
  EXPECT_TRUE(has(piece(1)));
  disk.set_capacity(1U << 30U);
  put(piece(2));
  EXPECT_TRUE(has(piece(2)));
}

}  // namespace
}  // namespace bop::aof
