// Reading archived segments piece by piece: what it costs, and that it is always the right bytes.
#include "aof/tier/remote_image.hpp"

#include <gtest/gtest.h>

#include "aof/tier/piece_store.hpp"
#include "aof/tier/seekable_fixture.hpp"
#include "base/sim.hpp"
#include "base/sim_disk.hpp"

namespace bop::aof {
namespace {

using objstore::Priority;

constexpr std::uint64_t kImageBytes = 6U << 20U;
constexpr const char* kKey = "log/segments/1.zst";

struct RemoteImageTest : testing::Test {
  void SetUp() override {
    image = test::payload_of(7, kImageBytes);  // noise: pieces are as large as they get
    store.objects[kKey] = test::pack(image).value().bytes;
  }
  void keep(std::uint64_t bytes) { cache = PieceCache::open(disk, "/pieces", bytes).value(); }
  std::unique_ptr<RemoteImage> open(std::size_t most_ahead = 16) {
    if (!hydration) {
      hydration = std::make_unique<Hydration>(
          store, clock, Hydration::Options{},
          [this](const auto&, objstore::Range range, const PieceBytes& bytes) {
            if (cache) {
              cache->put(
                  {1, 99, static_cast<std::uint32_t>(range.offset), static_cast<std::uint32_t>(range.bytes)},
                  bytes);
            }
          });
    }
    auto opened = RemoteImage::open({store, *hydration, cache.get()},
                                    {kKey, store.objects[kKey].size(), 1, 99}, most_ahead);
    EXPECT_TRUE(opened.has_value()) << opened.error().what();
    store.gets.clear();
    return *std::move(opened);
  }
  void expect_read(RemoteImage& from, std::uint64_t at, std::size_t size) {
    std::vector<std::byte> bytes(size);
    const Status read = from.read(at, bytes);
    ASSERT_TRUE(read.has_value()) << read.error().what();
    ASSERT_TRUE(std::equal(bytes.begin(), bytes.end(), image.begin() + static_cast<std::ptrdiff_t>(at)))
        << at;
  }

  test::PieceStore store;
  SimClock clock;
  SimDisk disk{3, {.trace_length = 0}};
  std::vector<std::byte> image;
  std::unique_ptr<PieceCache> cache;
  std::unique_ptr<Hydration> hydration;
};

TEST_F(RemoteImageTest, ARecordCostsOneRequestOfAtMostAPiece) {
  const auto remote = open();
  SimRandom dice(1);
  for (int i = 0; i < 200; ++i) {
    store.gets.clear();
    const std::uint64_t frame = dice.below(kImageBytes / kDefaultFrameBytes);
    const std::uint64_t at = frame * kDefaultFrameBytes + dice.below(kDefaultFrameBytes - 1024);
    expect_read(*remote, at, 1024);
    const auto wanted = std::count_if(store.gets.begin(), store.gets.end(),
                                      [](const auto& get) { return get.priority == Priority::kForeground; });
    ASSERT_LE(wanted, 1);
    for (const auto& get : store.gets) ASSERT_LE(get.range.bytes, kMaxPieceBytes);
  }
}

TEST_F(RemoteImageTest, ReadingOnReadsAheadAndEachPieceIsFetchedOnce) {
  const auto remote = open();
  std::size_t most_ahead = 0;
  for (std::uint64_t at = 0; at < kImageBytes; at += 4096) {
    expect_read(*remote, at, 4096);
    most_ahead = std::max(most_ahead, remote->ahead());
  }
  EXPECT_EQ(store.gets.size(), remote->pieces());
  EXPECT_EQ(most_ahead, 16U);
  EXPECT_EQ(remote->ahead(), 0U);
  const auto ahead = std::count_if(store.gets.begin(), store.gets.end(),
                                   [](const auto& get) { return get.priority == Priority::kBackground; });
  EXPECT_GE(static_cast<std::size_t>(ahead) + 2, remote->pieces());
}

TEST_F(RemoteImageTest, JumpingReadsNothingAhead) {
  const auto remote = open();
  for (std::uint64_t at = kImageBytes; at >= (1U << 20U); at -= 1U << 20U)
    expect_read(*remote, at - 4096, 4096);
  EXPECT_EQ(store.gets.size(), 6U);
  EXPECT_EQ(remote->ahead(), 0U);
}

TEST_F(RemoteImageTest, WhatWasReadAheadIsLetGoWhenTheReaderJumps) {
  const auto remote = open();
  for (std::uint64_t at = 0; at < (2U << 20U); at += 4096) expect_read(*remote, at, 4096);
  EXPECT_GT(remote->ahead(), 0U);
  expect_read(*remote, 5U << 20U, 4096);
  EXPECT_EQ(remote->ahead(), 0U);
}

TEST_F(RemoteImageTest, TheCacheAnswersTheSecondReaderAndAnotherLifeOfTheProcess) {
  keep(64U << 20U);
  {
    const auto remote = open();
    for (std::uint64_t at = 0; at < kImageBytes; at += 65'536) expect_read(*remote, at, 65'536);
  }
  cache.reset();
  keep(64U << 20U);
  const auto again = open();
  for (std::uint64_t at = 0; at < kImageBytes; at += 65'536) expect_read(*again, at, 65'536);
  EXPECT_TRUE(store.gets.empty());
}

TEST_F(RemoteImageTest, AWorkingSetOfTwiceTheCacheMakesProgress) {
  keep(kImageBytes / 2);
  std::vector<std::unique_ptr<RemoteImage>> readers;
  for (int i = 0; i < 4; ++i) readers.push_back(open(4));
  SimRandom dice(5);
  std::vector<std::uint64_t> places(4);
  for (std::size_t i = 0; i < places.size(); ++i) places[i] = i * (kImageBytes / 4);
  for (int step = 0; step < 4 * 96; ++step) {
    const std::size_t i = dice.below(4);
    expect_read(*readers[i], places[i], 65'536);
    places[i] = (places[i] + 65'536) % kImageBytes;
  }
  // Each step needs at most one piece: nothing is fetched again and again for one read.
  EXPECT_LE(store.gets.size(), 4U * 96U);
  EXPECT_LE(cache->bytes(), kImageBytes / 2);
}

TEST_F(RemoteImageTest, AFailureIsTheReadersAndTheNextReadTriesAgain) {
  const auto remote = open();
  store.failures = 1;
  std::vector<std::byte> bytes(100);
  const Status failed = remote->read(0, bytes);
  ASSERT_FALSE(failed.has_value());
  EXPECT_EQ(failed.error().code(), ErrorCode::kObjectStoreUnavailable);
  expect_read(*remote, 0, 100);
  // What is read ahead fails unseen, and is asked for again by who needs it.
  expect_read(*remote, kMaxPieceBytes, 100);
  store.failures = 1;
  EXPECT_EQ(store.poll(), 1U);
  EXPECT_EQ(store.failures, 0);
  for (std::uint64_t at = 0; at < kImageBytes; at += 65'536) expect_read(*remote, at, 65'536);
}

TEST_F(RemoteImageTest, AnAnswerThatWasDamagedOnItsWayIsAskedForOnceMoreAndNotKept) {
  keep(64U << 20U);
  const auto remote = open(0);
  store.damages = 1;
  expect_read(*remote, 3 * kDefaultFrameBytes - 1024, 1024);  // the last frame of the first piece
  EXPECT_EQ(store.gets.size(), 2U);
  // The tables, too.
  cache.reset();
  store.damages = 1;
  auto tables = RemoteImage::open({store, *hydration, nullptr}, {kKey, store.objects[kKey].size(), 1, 99});
  ASSERT_TRUE(tables.has_value()) << tables.error().what();
  expect_read(**tables, 4096, 1024);
  // A damaged piece in the cache does not stay there: another reader finds the right bytes without a request.
  keep(64U << 20U);
  const auto other = open(0);
  expect_read(*other, 0, 1024);
}

TEST_F(RemoteImageTest, ADamagedObjectIsNeverServed) {
  SimRandom dice(11);
  for (int i = 0; i < 60; ++i) {
    auto& object = store.objects[kKey];
    const std::size_t at = dice.below(object.size());
    object[at] ^= std::byte{1} << dice.below(8);
    auto opened = RemoteImage::open({store, (open(), *hydration), nullptr}, {kKey, object.size(), 1, 99});
    if (opened.has_value()) {
      bool has_failed = false;
      for (std::uint64_t from = 0; from < kImageBytes; from += 65'536) {
        std::vector<std::byte> bytes(65'536);
        if (!(*opened)->read(from, bytes).has_value()) {
          has_failed = true;
          continue;
        }
        ASSERT_TRUE(
            std::equal(bytes.begin(), bytes.end(), image.begin() + static_cast<std::ptrdiff_t>(from)));
      }
      EXPECT_TRUE(has_failed) << "byte " << at;
    }
    object = test::pack(image).value().bytes;
  }
}

TEST_F(RemoteImageTest, AnObjectThatIsGoneOrShorterSaysSo) {
  open();
  for (const std::uint64_t bytes : {store.objects[kKey].size() + 1, std::uint64_t{100}}) {
    const auto opened = RemoteImage::open({store, *hydration, nullptr}, {kKey, bytes, 1, 99});
    ASSERT_FALSE(opened.has_value());
    EXPECT_EQ(opened.error().code(), ErrorCode::kCorrupt) << opened.error().what();
  }
  const auto gone = RemoteImage::open({store, *hydration, nullptr}, {"nothing", 10'000, 1, 99});
  ASSERT_FALSE(gone.has_value());
  EXPECT_EQ(gone.error().code(), ErrorCode::kObjectNotFound);
}

}  // namespace
}  // namespace bop::aof
