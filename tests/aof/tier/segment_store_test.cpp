// The life of sealed segments on a simulated disk: moves, readers among them, power cuts, faults and rot.
#include "aof/tier/segment_store.hpp"

#include <gtest/gtest.h>

#include "aof/stream_fixture.hpp"
#include "aof/tier/tier_files.hpp"

namespace bop::aof {
namespace {

using test::payload_of;

constexpr std::uint64_t kSegmentBytes = 64U << 10U;

// A log with its store on one disk, and what was appended to it. The mover runs when it is told to.
struct Log {
  explicit Log(std::uint64_t seed) : world(seed), scheduler(seed), mover(scheduler), dice(seed ^ 0xd1ce) {}

  Status open(TierLimits limits) {
    BOP_LET(opened, world.open({.directory = test::kDirectory,
                                .segment_bytes = kSegmentBytes,
                                .max_in_flight = 4,
                                .write_bytes = 16U << 10U}));
    stream = std::move(opened);
    BOP_LET(made, SegmentStore::open({world.disk, world.clock, mover}, *stream, options(limits)));
    store = std::move(made);
    return {};
  }
  static SegmentStoreOptions options(TierLimits limits) {
    return {.directory = test::kDirectory,
            .limits = limits,
            .compression_level = 1,
            .manifest = {.least_bytes = 64U << 10U}};
  }
  // Durable when it returns; false once the disk has failed.
  bool append(std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::uint64_t tag = ++tags;
      const std::size_t bytes = 500 + dice.below(4000);
      const auto lsn = test::append_one(*stream, tag, bytes, static_cast<std::uint32_t>(1 + tag % 3));
      if (!lsn.has_value()) return false;
      appended[lsn->value] = payload_of(tag, bytes);
      newest = *lsn;
    }
    if (!stream->wait_durable(newest).has_value()) return false;
    durable = newest;
    return true;
  }
  void close() {
    store.reset();
    stream.reset();
  }
  // Every entry from `low` on that was acknowledged is there, as it was; more is allowed only behind those.
  void expect_all(Lsn from = Lsn(0)) {
    const Lsn low = std::max(from, store->low());
    const auto reader = store->read_from(low);
    std::uint64_t expected = low.value;
    for (;;) {
      const auto record = reader->next();
      ASSERT_TRUE(record.has_value()) << "LSN " << expected << ": " << record.error().what();
      if (!record->has_value()) break;
      ASSERT_EQ((*record)->lsn.value, expected);
      const auto& payload = appended.at(expected);
      ASSERT_TRUE(
          std::equal(payload.begin(), payload.end(), (*record)->payload.begin(), (*record)->payload.end()))
          << "LSN " << expected;
      ++expected;
    }
    ASSERT_GT(expected, durable.value) << "acknowledged entries are missing";
  }

  // What was once known of a segment is what its file says for ever.
  void expect_facts() {
    std::map<std::uint64_t, SealedSegment> sealed;
    for (const SealedSegment& segment : stream->sealed()) sealed.emplace(segment.header.number, segment);
    for (const SegmentState& segment : store->segments()) {
      if (!segment.tier_zero) continue;
      const auto found = sealed.find(segment.facts.id.number);
      ASSERT_NE(found, sealed.end());
      const auto file = world.disk.open(found->second.path, OpenMode::kRead);
      ASSERT_TRUE(file.has_value());
      const auto facts = find_facts(**file, found->second.header,
                                    {.last = found->second.last, .timeline = found->second.successor});
      ASSERT_TRUE(facts.has_value()) << facts.error().what();
      ASSERT_EQ(facts->facts, segment.facts) << "segment " << segment.facts.id.number;
    }
  }

  test::World world;
  SimScheduler scheduler;
  SimExecutor mover;
  SimRandom dice;
  std::unique_ptr<CommitStream> stream;
  std::unique_ptr<SegmentStore> store;
  std::map<std::uint64_t, std::vector<std::byte>> appended;
  std::uint64_t tags = 0;
  Lsn newest, durable;
};

#define ASSERT_OK(expression)                                             \
  do {                                                                    \
    const Status status_of_it = (expression);                             \
    ASSERT_TRUE(status_of_it.has_value()) << status_of_it.error().what(); \
  } while (false)

TEST(SegmentStore, SegmentsLeaveTierZeroCompressedAndEverythingIsRead) {
  Log log(1);
  ASSERT_OK(log.open({.tier_zero_bytes = 2 * kSegmentBytes}));
  ASSERT_TRUE(log.append(400));
  ASSERT_OK(log.store->work());
  const Residency now = log.store->residency();
  EXPECT_GT(now.segments, 8U);
  EXPECT_LE(now.tier_zero_bytes, 2 * kSegmentBytes);
  EXPECT_EQ(now.tier_zero_segments + now.tier_one_segments, now.segments);
  log.expect_all();
  log.expect_all(Lsn(57));
  log.close();
  ASSERT_OK(log.open({.tier_zero_bytes = 2 * kSegmentBytes}));
  log.expect_all();
}

TEST(SegmentStore, OneDatabasesEntriesAreFoundInEveryTier) {
  Log log(2);
  ASSERT_OK(log.open({.tier_zero_bytes = 2 * kSegmentBytes}));
  ASSERT_TRUE(log.append(300));
  ASSERT_OK(log.store->work());
  const auto reader = log.store->read_from(Lsn(1), DatabaseId(2));
  std::size_t found = 0;
  for (;;) {
    const auto record = reader->next();
    ASSERT_TRUE(record.has_value()) << record.error().what();
    if (!record->has_value()) break;
    EXPECT_EQ((*record)->database, DatabaseId(2));
    EXPECT_EQ((*record)->lsn.value % 3, 1U);
    ++found;
  }
  EXPECT_EQ(found, 100U);
}

TEST(SegmentStore, AReaderGoesOnWhileSegmentsMoveUnderIt) {
  Log log(3);
  ASSERT_OK(log.open({.tier_zero_bytes = kSegmentBytes}));
  ASSERT_TRUE(log.append(200));
  const auto reader = log.store->read_from(Lsn(1));  // all is in the stream
  for (std::uint64_t lsn = 1; lsn <= 600; ++lsn) {
    if (lsn % 50 == 0 && lsn <= 400) {
      ASSERT_TRUE(log.append(50));
      ASSERT_OK(log.store->work());
    }
    const auto record = reader->next();
    ASSERT_TRUE(record.has_value()) << record.error().what();
    ASSERT_TRUE(record->has_value());
    ASSERT_EQ((*record)->lsn.value, lsn);
  }
  const auto end = reader->next();
  ASSERT_TRUE(end.has_value());
  EXPECT_FALSE(end->has_value());
  ASSERT_TRUE(log.append(1));
  EXPECT_TRUE(reader->next().value().has_value());  // tails
}

TEST(SegmentStore, RetentionBySizeDeletesFromTheOldestAndSaysSo) {
  Log log(4);
  ASSERT_OK(log.open({.keep_bytes = 4 * kSegmentBytes}));
  ASSERT_TRUE(log.append(400));
  ASSERT_OK(log.store->work());
  EXPECT_GT(log.store->low(), Lsn(1));
  log.expect_all();
  const auto late = log.store->read_from(Lsn(1))->next();
  ASSERT_FALSE(late.has_value());
  EXPECT_EQ(late.error().code(), ErrorCode::kNotInPrerequisiteState);
  log.store->keep_from(log.store->low());
  const Lsn low = log.store->low();
  ASSERT_TRUE(log.append(400));
  ASSERT_OK(log.store->work());
  EXPECT_EQ(log.store->low(), low);
  log.expect_all();
}

TEST(SegmentStore, AReaderHoldsWhatRetentionWantsUntilItIsCutOff) {
  Log log(5);
  ASSERT_OK(log.open({.tier_zero_bytes = 0, .keep_bytes = 2 * kSegmentBytes, .most_pin_ns = 1'000'000'000}));
  ASSERT_TRUE(log.append(60));
  ASSERT_OK(log.store->work());
  ASSERT_TRUE(log.append(60));
  const Lsn low = log.store->low();
  const auto reader = log.store->read_from(low);
  ASSERT_TRUE(reader->next().value().has_value());
  ASSERT_TRUE(log.append(300));
  ASSERT_OK(log.store->work());
  EXPECT_EQ(log.store->low(), low);
  ASSERT_TRUE(reader->next().has_value());
  log.world.clock.advance(std::chrono::seconds(1));
  ASSERT_OK(log.store->work());
  EXPECT_GT(log.store->low(), low);
  const auto cut = reader->next();
  ASSERT_FALSE(cut.has_value());
  EXPECT_EQ(cut.error().code(), ErrorCode::kNotInPrerequisiteState);
  log.expect_all();
}

TEST(SegmentStore, ADamagedCopyIsPassedOverAndMadeAnew) {
  Log log(6);
  ASSERT_OK(log.open({.tier_zero_bytes = 3 * kSegmentBytes}));
  ASSERT_TRUE(log.append(200));
  ASSERT_OK(log.store->work());
  // Its only copy: the reader says which record it cannot give.
  SegmentState first = log.store->segments().front();
  ASSERT_FALSE(first.tier_zero);
  const std::string path = std::string(test::kDirectory) + "/" + tier_one_name(first.facts.id.number);
  ASSERT_TRUE(log.world.disk.flip_bit(path, 100, 3));
  const auto damaged = log.store->read_from(Lsn(1))->next();
  ASSERT_FALSE(damaged.has_value());
  EXPECT_EQ(damaged.error().code(), ErrorCode::kCorrupt);
  EXPECT_NE(damaged.error().what().find(tier_one_name(first.facts.id.number)), std::string::npos)
      << damaged.error().what();
  EXPECT_EQ(log.store->damaged_copies(), 1U);
  EXPECT_FALSE(log.store->work().has_value());
  EXPECT_EQ(log.store->damaged_copies(), 1U);  // nothing to make it from
  ASSERT_TRUE(log.world.disk.flip_bit(path, 100, 3));
  log.expect_all();
}

// What a reader found damaged is no copy: no limit makes the mover drop the other one, which is what mends
// it.
TEST(SegmentStore, ARottenRawFileIsMadeAnewFromItsCompressedCopy) {
  Log log(11);
  ASSERT_OK(log.open({.tier_zero_bytes = 2 * kSegmentBytes}));
  ASSERT_TRUE(log.append(60));
  ASSERT_OK(log.store->work());
  log.close();
  ASSERT_OK(log.open({}));
  SegmentState both;
  for (const SegmentState& segment : log.store->segments()) {
    if (segment.tier_zero) both = segment;
  }
  log.close();
  // It has a compressed copy, too, and then tier 1 is given no room.
  ASSERT_OK(log.open({.tier_zero_bytes = 0}));
  const auto reader = log.store->read_from(both.facts.base);  // holds the raw file
  ASSERT_TRUE(reader->next().value().has_value());
  ASSERT_OK(log.store->work());
  log.close();
  const std::string path = std::string(test::kDirectory) + "/" + segment_name(both.facts.id.number);
  if (!log.world.disk.exists(path).value()) GTEST_SKIP() << "nobody held it";
  ASSERT_TRUE(log.world.disk.flip_bit(path, 9000, 5));
  ASSERT_OK(log.open({.tier_one_bytes = 0}));
  log.expect_all();
  EXPECT_EQ(log.store->damaged_copies(), 1U);
  ASSERT_OK(log.store->work());
  EXPECT_EQ(log.store->damaged_copies(), 0U);
  log.expect_all();
  log.close();
  ASSERT_OK(log.open({}));
  log.expect_all();
}

// A removal that happened and was not recorded: the copy does not count until it is known.
TEST(SegmentStore, ACopyWhoseRemovalFailedHalfwayIsNotCountedOn) {
  for (std::uint64_t k = 1; k <= 12; ++k) {
    for (const SimFault fault : {SimFault::kIo, SimFault::kDiskFull}) {
      Log log(k);
      ASSERT_OK(log.open({.tier_zero_bytes = 2 * kSegmentBytes}));
      ASSERT_TRUE(log.append(60));
      ASSERT_OK(log.store->work());
      const Lsn first = log.store->segments().front().facts.base;
      log.close();
      ASSERT_OK(log.open({.tier_zero_bytes = 2 * kSegmentBytes, .tier_one_bytes = 0}));
      log.world.disk.fail_call(k, fault);
      static_cast<void>(log.store->work());
      log.world.disk.clear_faults();
      ASSERT_TRUE(log.append(60));
      static_cast<void>(log.store->work());
      log.expect_all(first);
      EXPECT_EQ(log.store->low(), first);
      log.close();
      ASSERT_OK(log.open({.tier_zero_bytes = 0}));
      ASSERT_OK(log.store->work());
      log.expect_all(first);
      if (testing::Test::HasFatalFailure()) FAIL() << "call " << k;
    }
  }
}

TEST(SegmentStore, ALostManifestIsNotTakenForANewLog) {
  Log log(12);
  ASSERT_OK(log.open({.tier_zero_bytes = 2 * kSegmentBytes}));
  ASSERT_TRUE(log.append(200));
  ASSERT_OK(log.store->work());
  log.close();
  const std::size_t files = log.world.disk.list(test::kDirectory).value().size();
  for (const char* name : {"manifest-a", "manifest-b"}) {
    static_cast<void>(log.world.disk.remove(std::string(test::kDirectory) + "/" + name));
  }
  const Status refused = log.open({});
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code(), ErrorCode::kCorrupt);
  log.close();
  EXPECT_GE(log.world.disk.list(test::kDirectory).value().size() + 2, files);
}

TEST(SegmentStore, AWallClockThatJumpsDeletesNothingAlsoAcrossARestart) {
  Log log(13);
  constexpr std::int64_t kMonth = 30LL * 86'400'000'000;
  ASSERT_OK(log.open({.keep_us = kMonth}));
  ASSERT_TRUE(log.append(100));
  ASSERT_OK(log.store->work());
  log.world.clock.step_wall(std::chrono::hours(24 * 365));
  ASSERT_TRUE(log.append(100));
  ASSERT_OK(log.store->work());
  log.close();
  ASSERT_OK(log.open({.keep_us = kMonth}));
  log.world.clock.advance(std::chrono::seconds(5));
  ASSERT_OK(log.store->work());
  EXPECT_EQ(log.store->low(), Lsn(1));
  log.expect_all();
  log.world.clock.advance(std::chrono::hours(24 * 31));
  ASSERT_OK(log.store->work());
  EXPECT_GT(log.store->low(), Lsn(1));
  log.expect_all();
}

TEST(SegmentStore, ASegmentThatCannotBeFinalizedIsToldOf) {
  Log log(14);
  ASSERT_OK(log.open({}));
  ASSERT_TRUE(log.append(100));
  ASSERT_TRUE(log.world.disk.flip_bit(std::string(test::kDirectory) + "/" + segment_name(1), 9000, 1));
  const Status done = log.store->work();
  ASSERT_FALSE(done.has_value());
  EXPECT_EQ(done.error().code(), ErrorCode::kCorrupt);
}

TEST(SegmentStore, AMissingOnlyCopyRefusesToOpenByName) {
  Log log(7);
  ASSERT_OK(log.open({.tier_zero_bytes = 2 * kSegmentBytes}));
  ASSERT_TRUE(log.append(200));
  ASSERT_OK(log.store->work());
  const SegmentState first = log.store->segments().front();
  const std::string path = std::string(test::kDirectory) + "/" + tier_one_name(first.facts.id.number);
  log.close();
  ASSERT_OK(log.world.disk.remove(path));
  const Status refused = log.open({});
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code(), ErrorCode::kCorrupt);
  EXPECT_NE(refused.error().what().find(path), std::string::npos) << refused.error().what();
}

TEST(SegmentStore, AFullDiskLeavesEverythingAndGoesOnByItself) {
  Log log(8);
  ASSERT_OK(log.open({.tier_zero_bytes = kSegmentBytes}));
  ASSERT_TRUE(log.append(200));
  log.world.disk.set_capacity(log.world.disk.used_bytes());
  const Status full = log.store->work();
  ASSERT_FALSE(full.has_value());
  EXPECT_EQ(full.error().code(), ErrorCode::kDiskFull);
  EXPECT_FALSE(log.store->failure().has_value());
  log.expect_all();
  log.world.disk.set_capacity(1U << 30U);
  ASSERT_OK(log.store->work());
  EXPECT_LE(log.store->residency().tier_zero_bytes, kSegmentBytes);
  log.expect_all();
}

TEST(SegmentStore, ThePokedMoverWorksByItself) {
  Log log(9);
  ASSERT_OK(log.open({.tier_zero_bytes = kSegmentBytes}));
  log.store->poke();
  ASSERT_TRUE(log.append(200));
  log.store->poke();
  log.store->poke();
  ASSERT_TRUE(log.scheduler.run_one());
  EXPECT_LE(log.store->residency().tier_zero_bytes, kSegmentBytes);
  ASSERT_TRUE(log.append(200));
  ASSERT_TRUE(log.scheduler.run_one());  // the timer's
  EXPECT_LE(log.store->residency().tier_zero_bytes, kSegmentBytes);
  EXPECT_GT(log.store->residency().segments, 8U);
  log.store.reset();
  while (log.scheduler.run_one()) {
  }  // what is posted still ends without the store
}

TierLimits random_limits(SimRandom& dice) {
  TierLimits limits{.tier_zero_bytes = dice.below(5) * kSegmentBytes};
  if (dice.chance(1, 2)) limits.tier_one_bytes = dice.below(4) * 30'000;
  if (dice.chance(1, 3)) limits.keep_bytes = dice.below(12) * kSegmentBytes;
  return limits;
}

// The power goes at any moment of appends, moves and starts: what was acknowledged and not deleted is there.
TEST(SegmentStore, PowerCutsLoseNothing) {
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    Log log(seed);
    std::optional<Lsn> low;
    bool deletes = false;
    for (int life = 0; life < 4; ++life) {
      const TierLimits limits = random_limits(log.dice);
      deletes = deletes || limits.keep_bytes != UINT64_MAX;
      ASSERT_OK(log.open(limits));
      ASSERT_GE(log.stream->durable(), log.durable) << "seed " << seed;
      ASSERT_GE(log.store->low(), low.value_or(Lsn(0))) << "seed " << seed;
      if (!deletes) {
        ASSERT_EQ(log.store->low(), Lsn(1)) << "seed " << seed;
      }
      log.expect_all();
      log.expect_facts();
      if (testing::Test::HasFatalFailure()) FAIL() << "seed " << seed << " life " << life;
      // What lies behind the last acknowledged entry may have survived or not.
      log.newest = log.stream->appended();
      log.tags = log.newest.value;
      log.world.disk.fail_call(1 + log.dice.below(1500), SimFault::kIo, true);
      for (int step = 0; step < 12; ++step) {
        if (!log.append(1 + log.dice.below(60))) break;
        static_cast<void>(log.store->work());
      }
      low = log.store->low();
      log.close();
      log.world.disk.clear_faults();
      log.world.disk.power_cut();
    }
  }
}

// Each call of the disk fails once while segments move.
TEST(SegmentStore, EveryCallThatFailsOnceLeavesTheLogWhole) {
  std::uint64_t k = 1;
  for (bool struck = true; struck; ++k) {
    for (const SimFault fault : {SimFault::kIo, SimFault::kDiskFull, SimFault::kFailedSync}) {
      Log log(k);
      ASSERT_OK(log.open({.tier_zero_bytes = kSegmentBytes, .keep_bytes = 3 * kSegmentBytes}));
      ASSERT_TRUE(log.append(120));
      log.world.disk.fail_call(k, fault);
      static_cast<void>(log.store->work());
      if (fault == SimFault::kIo) struck = log.world.disk.faults_struck() > 0;
      log.world.disk.clear_faults();
      log.expect_all();
      if (testing::Test::HasFatalFailure()) FAIL() << "call " << k;
      const Lsn low = log.store->low();
      log.close();
      log.world.disk.process_kill();
      ASSERT_OK(log.open({.tier_zero_bytes = kSegmentBytes, .keep_bytes = 3 * kSegmentBytes}));
      EXPECT_GE(log.store->low(), low);
      ASSERT_OK(log.store->work());
      EXPECT_LE(log.store->residency().tier_zero_bytes, kSegmentBytes);
      log.expect_all();
      if (testing::Test::HasFatalFailure()) FAIL() << "call " << k << " after a restart";
    }
  }
  EXPECT_GT(k, 50U);
}

}  // namespace
}  // namespace bop::aof
