// Which columns are kept, found, and forgotten.
#include "executor/column_cache.hpp"

#include <gtest/gtest.h>

namespace bop::executor {
namespace {

ColumnCache::Clock::time_point now_{};
ColumnCache::Clock::time_point now() { return now_; }

EncodedColumnPtr column_of(std::int64_t value, std::size_t rows = 1000) {
  ColumnEncoder encoder(ColumnEncoder::Kind::kNumbers);
  for (std::size_t i = 0; i < rows; ++i) encoder.add_number(value + static_cast<std::int64_t>(i));
  return encoder.finish();
}

struct Pages {
  std::vector<PageNo> leaves;
  std::vector<std::uint64_t> versions;
  [[nodiscard]] ColumnCache::LotState state(std::uint64_t file = 1) const { return {file, leaves, versions}; }
};
Pages pages(std::uint32_t first, std::uint64_t version = 0) {
  Pages out;
  for (std::uint32_t i = 0; i < 64; ++i) {
    out.leaves.emplace_back(first + i);
    out.versions.push_back(version);
  }
  return out;
}

const ColumnCache::Column kA{0, {.physical = Physical::kInt64}};
const ColumnCache::Column kB{1, {.physical = Physical::kInt64}};
const std::vector<ColumnCache::Column> kBoth{kA, kB};

void keep(ColumnCache& cache, const Pages& lot, const ColumnCache::Column& column, std::int64_t value) {
  cache.keep(lot.state(), std::span(&column, 1), std::vector{column_of(value)});
}

TEST(ColumnCache, TheSecondReadingOfTheSameStateIsWorthIt) {
  ColumnCache cache(1 << 20);
  const Pages lot = pages(10);
  EXPECT_FALSE(cache.find(lot.state(), kBoth).is_worth_keeping);
  EXPECT_TRUE(cache.find(lot.state(), kBoth).is_worth_keeping);
  Pages changed = lot;
  changed.versions[63] = 1;
  EXPECT_FALSE(cache.find(changed.state(), kBoth).is_worth_keeping);
  EXPECT_FALSE(cache.find(lot.state(), kBoth).is_worth_keeping) << "the last state is what counts";
  EXPECT_FALSE(cache.find(lot.state(2), kBoth).is_worth_keeping) << "another file";
}

TEST(ColumnCache, FindsColumnsOfTheSameState) {
  ColumnCache cache(1 << 20);
  const Pages lot = pages(10);
  keep(cache, lot, kA, 5);
  auto found = cache.find(lot.state(), kBoth);
  ASSERT_TRUE(found.columns[0] != nullptr);
  EXPECT_EQ(found.columns[0]->least(), 5);
  EXPECT_EQ(found.columns[1], nullptr);
  EXPECT_FALSE(found.complete);
  EXPECT_TRUE(found.is_worth_keeping) << "others of the lot are kept";
  keep(cache, lot, kB, 6);
  found = cache.find(lot.state(), kBoth);
  EXPECT_TRUE(found.complete);
  EXPECT_EQ(found.columns[1]->least(), 6);
  // Another type of the same field, another version, other leaves, another file.
  ColumnCache::Column other = kA;
  other.type.physical = Physical::kInt32;
  EXPECT_EQ(cache.find(lot.state(), std::span(&other, 1)).columns[0], nullptr);
  Pages changed = lot;
  changed.versions[1] = 1;
  EXPECT_EQ(cache.find(changed.state(), kBoth).columns[0], nullptr);
  Pages fewer = lot;
  fewer.leaves.pop_back();
  fewer.versions.pop_back();
  EXPECT_EQ(cache.find(fewer.state(), kBoth).columns[0], nullptr);
  EXPECT_EQ(cache.find(lot.state(2), kBoth).columns[0], nullptr);
  EXPECT_EQ(cache.numbers().hits, 1U);
}

TEST(ColumnCache, AnotherStateTakesThePlaceOfTheLastOne) {
  ColumnCache cache(1 << 20);
  const Pages lot = pages(10);
  keep(cache, lot, kA, 5);
  const std::uint64_t bytes = cache.numbers().bytes;
  const Pages changed = pages(10, 1);
  keep(cache, changed, kA, 7);
  EXPECT_EQ(cache.numbers().bytes, bytes);
  EXPECT_EQ(cache.find(lot.state(), kBoth).columns[0], nullptr);
  EXPECT_EQ(cache.find(changed.state(), kBoth).columns[0]->least(), 7);
}

TEST(ColumnCache, WhatIsGivenUpIsWorthKeepingAgain) {
  ColumnCache cache(1 << 20);
  EXPECT_FALSE(cache.clear());
  const Pages lot = pages(10);
  keep(cache, lot, kA, 5);
  EXPECT_TRUE(cache.clear());
  EXPECT_EQ(cache.numbers().bytes, 0U);
  EXPECT_FALSE(cache.find(lot.state(), std::span(&kA, 1)).complete);
  EXPECT_TRUE(cache.find(lot.state(), std::span(&kA, 1)).is_worth_keeping);
  keep(cache, lot, kA, 5);
  EXPECT_TRUE(cache.find(lot.state(), std::span(&kA, 1)).complete);
}

TEST(ColumnCache, TheSameTwiceIsKeptOnce) {
  ColumnCache cache(1 << 20);
  const Pages lot = pages(10);
  keep(cache, lot, kA, 5);
  const std::uint64_t bytes = cache.numbers().bytes;
  keep(cache, lot, kA, 5);
  EXPECT_EQ(cache.numbers().bytes, bytes);
}

TEST(ColumnCache, WhatIsUsedStaysAndTheOldestGoesOnceItIsOldEnough) {
  ColumnCache cache(10000, now);
  const Pages one = pages(100);
  const Pages two = pages(200);
  const Pages three = pages(300);
  const Pages four = pages(400);
  keep(cache, one, kA, 1);
  now_ += std::chrono::seconds(1);
  keep(cache, two, kA, 2);
  now_ += std::chrono::seconds(1);
  keep(cache, three, kA, 3);
  EXPECT_LE(cache.numbers().bytes, 10000U);
  now_ += std::chrono::seconds(1);
  EXPECT_TRUE(cache.find(one.state(), std::span(&kA, 1)).complete);
  keep(cache, four, kA, 4);
  EXPECT_FALSE(cache.find(four.state(), std::span(&kA, 1)).complete) << "the others were used just now";
  now_ += ColumnCache::kLeastAge - std::chrono::seconds(1);
  keep(cache, four, kA, 4);
  EXPECT_TRUE(cache.find(four.state(), std::span(&kA, 1)).complete);
  EXPECT_TRUE(cache.find(one.state(), std::span(&kA, 1)).complete);
  EXPECT_FALSE(cache.find(two.state(), std::span(&kA, 1)).complete);
  EXPECT_LE(cache.numbers().bytes, 10000U);
}

TEST(ColumnCache, WithoutRoomNothingIsWorthKeeping) {
  ColumnCache cache(100, now);
  const Pages lot = pages(10);
  EXPECT_FALSE(cache.find(lot.state(), kBoth).is_worth_keeping);
  keep(cache, lot, kA, 5);
  EXPECT_EQ(cache.numbers().bytes, 0U);
  EXPECT_FALSE(cache.find(lot.state(), kBoth).is_worth_keeping);
  EXPECT_FALSE(cache.find(lot.state(), kBoth).is_worth_keeping);
  ColumnCache none(0);
  EXPECT_FALSE(none.find(lot.state(), kBoth).is_worth_keeping);
  EXPECT_FALSE(none.find(lot.state(), kBoth).is_worth_keeping);
}

TEST(ColumnCache, WhatWasRefusedIsNotTriedAgainBeforeItChanges) {
  ColumnCache cache(1 << 20);
  const Pages lot = pages(10);
  cache.refuse(lot.state());
  EXPECT_FALSE(cache.find(lot.state(), kBoth).is_worth_keeping);
  EXPECT_FALSE(cache.find(lot.state(), kBoth).is_worth_keeping);
  const Pages changed = pages(10, 1);
  EXPECT_FALSE(cache.find(changed.state(), kBoth).is_worth_keeping);
  EXPECT_TRUE(cache.find(changed.state(), kBoth).is_worth_keeping);
}

}  // namespace
}  // namespace bop::executor
