// The rules of residency.hpp, each by name, and over random states.
#include "aof/tier/residency.hpp"

#include <gtest/gtest.h>

#include "aof/tier/retention_clock.hpp"
#include "base/sim.hpp"

namespace bop::aof {
namespace {

constexpr std::uint64_t kFileBytes = 64U << 10U;
constexpr std::uint64_t kTierOneBytes = 10'000;
constexpr std::int64_t kDay = 86'400'000'000;

struct ResidencyTest : testing::Test {
  // A sealed segment of ten entries, finalized on this day of the retention clock.
  void seal(std::int64_t day = 0, std::uint64_t entries = 10) {
    SegmentFacts facts;
    facts.id = {++newest, newest * 17};
    facts.timeline = Timeline(1);
    facts.previous = last;
    facts.previous_number = newest - 1;
    facts.base = last.index.next();
    facts.last = last;
    if (entries > 0) facts.last = {Lsn(last.index.value + entries), Term(1), newest * 31};
    facts.first_us = entries > 0 ? kDay : 0;
    facts.last_us = facts.first_us;
    facts.records_end = 40'000;
    facts.file_bytes = kFileBytes;
    facts.content_checksum = newest;
    last = facts.last;
    apply(AgedRecord{kDay + day * kDay});
    apply(FinalizedRecord{facts});
  }
  void apply(const ManifestRecord& record) {
    const Status fits = state.check(record);
    ASSERT_TRUE(fits.has_value()) << fits.error().what();
    state.apply(record);
  }
  void make(std::uint64_t number) { apply(TierOneMadeRecord{number, {kTierOneBytes, 1, 1}}); }
  void archive(std::uint64_t number) {
    const ObjectKey key = key_of(state.find(number)->facts, Epoch(1));
    apply(ArchivedRecord{
        number, {Epoch(1), kTierOneBytes, 1, BucketNames("", StreamIdentity{}).segment(key), "etag"}});
  }
  std::vector<Move> moves() {
    return moves_of({.state = state,
                     .suspects = suspects,
                     .uses = uses,
                     .limits = limits,
                     .keep_from = keep_from,
                     .retention_us = retention_us,
                     .steady_ns = steady_ns});
  }
  // Does what a store would, whole.
  void perform(const Move& move) {
    switch (move.kind) {
      case MoveKind::kMakeTierOne: return make(move.number);
      case MoveKind::kArchive: return archive(move.number);
      case MoveKind::kDropTierOne: return apply(TierOneDroppedRecord{move.number});
      case MoveKind::kDropTierZero:
        for (std::uint64_t number = state.segments().begin()->first; number <= move.number; ++number) {
          if (state.find(number)->tier_zero) apply(TierZeroDroppedRecord{number});
        }
        return;
      case MoveKind::kDelete: {
        const Lsn low = state.find(move.number)->facts.last.index.next();
        return apply(DeletedRecord{move.number + 1, low});
      }
      case MoveKind::kCutOff: uses[move.number].pins = 0; return;
    }
  }
  void settle() {
    for (int step = 0; step < 10'000; ++step) {
      const auto now = moves();
      if (now.empty()) return;
      perform(now.front());
    }
    FAIL() << "the moves never end";
  }

  ManifestState state{StreamIdentity{}};
  std::set<SegmentCopy> suspects;
  std::unordered_map<std::uint64_t, SegmentUse> uses;
  TierLimits limits;
  Lsn keep_from{UINT64_MAX};
  std::int64_t retention_us = 0;
  std::int64_t steady_ns = 0;
  std::uint64_t newest = 0;
  RecordLink last;
};

using Moves = std::vector<Move>;

TEST_F(ResidencyTest, WithoutLimitsNothingMoves) {
  for (int i = 0; i < 5; ++i) seal();
  EXPECT_EQ(moves(), Moves{});
}

TEST_F(ResidencyTest, ASegmentIsCompressedThenArchivedOnceSoManyAreNewer) {
  limits = {.has_archive = true, .archive_after = 2};
  for (int i = 0; i < 3; ++i) seal();
  EXPECT_EQ(moves(), (Moves{{MoveKind::kMakeTierOne, 1}}));
  make(1);
  EXPECT_EQ(moves(), (Moves{{MoveKind::kArchive, 1}}));
  uses[1].is_archiving = true;
  EXPECT_EQ(moves(), Moves{});
  archive(1);
  uses[1].is_archiving = false;
  EXPECT_EQ(moves(), Moves{});
  seal();
  EXPECT_EQ(moves(), (Moves{{MoveKind::kMakeTierOne, 2}}));
}

TEST_F(ResidencyTest, OnlySoManyAreArchivedAtOnce) {
  limits = {.has_archive = true, .archives_at_once = 2};
  for (std::uint64_t i = 1; i <= 5; ++i) {
    seal();
    make(i);
  }
  EXPECT_EQ(moves(), (Moves{{MoveKind::kArchive, 1}, {MoveKind::kArchive, 2}}));
  uses[1].is_archiving = uses[2].is_archiving = true;
  EXPECT_EQ(moves(), Moves{});
}

TEST_F(ResidencyTest, TierZeroIsLeftByWhatIsArchivedOldestFirst) {
  limits = {.tier_zero_bytes = 2 * kFileBytes, .has_archive = true, .archive_after = 100};
  for (int i = 0; i < 4; ++i) seal();
  // Pressure: the two that stand in the way are archived although few are newer.
  EXPECT_EQ(moves(), (Moves{{MoveKind::kMakeTierOne, 1}, {MoveKind::kMakeTierOne, 2}}));
  make(1);
  make(2);
  archive(2);
  // The stream trims from its oldest one: number 1 keeps number 2.
  EXPECT_EQ(moves(), (Moves{{MoveKind::kArchive, 1}}));
  archive(1);
  EXPECT_EQ(moves(), (Moves{{MoveKind::kDropTierZero, 2}}));
}

TEST_F(ResidencyTest, WithoutAnArchiveTierOneTakesWhatLeavesTierZero) {
  limits = {.tier_zero_bytes = kFileBytes, .tier_one_bytes = 0};
  for (int i = 0; i < 3; ++i) seal();
  settle();
  for (const auto& [number, segment] : state.segments()) {
    EXPECT_EQ(segment.tier_zero, number == 3) << number;
    EXPECT_EQ(segment.tier_one.has_value(), number != 3) << number;  // the only copy, whatever the limit
  }
}

TEST_F(ResidencyTest, TierOneIsLeftByWhatWasReadLongestAgo) {
  limits = {.tier_one_bytes = 2 * kTierOneBytes, .has_archive = true};
  for (std::uint64_t i = 1; i <= 4; ++i) {
    seal();
    make(i);
    archive(i);
  }
  uses[1].last_read_ns = 50;
  uses[2].last_read_ns = 10;
  uses[3] = {.pins = 1, .last_read_ns = 5};
  uses[4].last_read_ns = 20;
  EXPECT_EQ(moves(), (Moves{{MoveKind::kDropTierOne, 2}, {MoveKind::kDropTierOne, 4}}));
}

TEST_F(ResidencyTest, PinsHoldASegmentUntilTheyAreTooOld) {
  limits = {.tier_zero_bytes = 0, .has_archive = true, .most_pin_ns = 100};
  seal();
  make(1);
  archive(1);
  uses[1] = {.pins = 2, .oldest_pin_ns = 10};
  steady_ns = 109;
  EXPECT_EQ(moves(), Moves{});
  steady_ns = 110;
  EXPECT_EQ(moves(), (Moves{{MoveKind::kCutOff, 1}}));
  uses[1].pins = 0;
  EXPECT_EQ(moves(), (Moves{{MoveKind::kDropTierZero, 1}}));
}

TEST_F(ResidencyTest, RetentionDeletesWholeSegmentsFromTheOldestOn) {
  for (std::int64_t day = 0; day < 6; ++day) seal(day);
  limits.keep_us = 3 * kDay;
  retention_us = kDay + 5 * kDay + kDay / 2;  // the first three are older than three days
  EXPECT_EQ(moves(), (Moves{{MoveKind::kDelete, 3}}));
  keep_from = Lsn(15);  // in the second one
  EXPECT_EQ(moves(), (Moves{{MoveKind::kDelete, 1}}));
  keep_from = Lsn(UINT64_MAX);
  uses[2].pins = 1;
  EXPECT_EQ(moves(), (Moves{{MoveKind::kDelete, 1}}));
  uses.clear();
  limits = {.keep_bytes = 2 * state.find(1)->facts.image_bytes()};
  EXPECT_EQ(moves(), (Moves{{MoveKind::kDelete, 4}}));
}

TEST_F(ResidencyTest, SegmentsWithoutEntriesGrowOldLikeOthers) {
  seal(0, 0);  // of a life that ended before its first record
  seal(0);
  seal(0, 0);
  seal(9);
  limits.keep_us = kDay;
  retention_us = 11 * kDay;
  EXPECT_EQ(moves(), (Moves{{MoveKind::kDelete, 3}}));
}

TEST_F(ResidencyTest, ASuspectCopyIsNoCopy) {
  limits = {.tier_zero_bytes = kFileBytes, .tier_one_bytes = 0};
  seal();
  seal();
  make(1);
  EXPECT_EQ(moves(), (Moves{{MoveKind::kDropTierZero, 1}}));
  suspects.insert({1, Tier::kOne});
  EXPECT_EQ(moves(), Moves{});
  suspects = {{1, Tier::kZero}};
  limits.tier_zero_bytes = UINT64_MAX;
  EXPECT_EQ(moves(), Moves{});  // tier 1 is all that is left, whatever its limit
  suspects.clear();
  EXPECT_EQ(moves(), (Moves{{MoveKind::kDropTierOne, 1}}));
}

// What is to leave tier 0 and may not yet keeps its compressed copy: else it would be made and dropped for
// ever.
TEST_F(ResidencyTest, AReaderInTheOldestSegmentDoesNotMakeOthersMoveForthAndBack) {
  limits = {.tier_zero_bytes = kFileBytes, .tier_one_bytes = 0};
  for (int i = 0; i < 4; ++i) seal();
  uses[1].pins = 1;
  settle();
  EXPECT_EQ(moves(), Moves{});
  EXPECT_TRUE(state.find(1)->tier_zero);
  EXPECT_TRUE(state.find(2)->tier_one.has_value());
}

TEST_F(ResidencyTest, WritersArePressedWhileTooMuchWaitsForTheArchive) {
  limits = {.has_archive = true, .pressure_segments = 2, .pressure_bytes = UINT64_MAX};
  for (int i = 0; i < 3; ++i) seal();
  EXPECT_TRUE(is_pressed(archive_queue(state), limits));
  make(1);
  archive(1);
  EXPECT_FALSE(is_pressed(archive_queue(state), limits));
  limits.pressure_bytes = 2 * kFileBytes - 1;
  EXPECT_TRUE(is_pressed(archive_queue(state), limits));
  limits.has_archive = false;
  EXPECT_FALSE(is_pressed(archive_queue(state), limits));
}

// Whatever the state and the limits: a move never takes the last copy, all moves end, and then the limits
// hold but for what is held.
TEST_F(ResidencyTest, RandomStatesSettleInsideTheLimitsAndKeepACopy) {
  for (std::uint64_t seed = 0; seed < 2000; ++seed) {
    SimRandom dice(seed);
    state = ManifestState(StreamIdentity{});
    uses.clear();
    newest = 0;
    last = {};
    const bool has_archive = dice.chance(2, 3);
    limits = {.tier_zero_bytes = dice.below(12) * kFileBytes,
              .tier_one_bytes = dice.below(12) * kTierOneBytes,
              .has_archive = has_archive,
              .archive_after = dice.below(8),
              .archives_at_once = 1 + dice.below(4),
              .most_pin_ns = 100};
    if (dice.chance(1, 2)) limits.keep_bytes = dice.below(10) * 40'960;
    steady_ns = 1000;
    for (std::uint64_t i = 0, count = dice.below(12); i < count; ++i) seal(0, dice.below(4) == 0 ? 0 : 10);
    for (int step = 0; step < 30; ++step) {
      for (const Move& move : moves()) {
        // What check() refuses is a plan that does not fit its own state.
        perform(move);
        if (HasFatalFailure()) FAIL() << "seed " << seed << ", " << name_of(move.kind) << " " << move.number;
        break;
      }
      if (dice.chance(1, 4)) seal();
      if (newest > 0 && dice.chance(1, 4)) {
        const std::uint64_t number = 1 + dice.below(newest);
        uses[number].pins = uses[number].pins == 0 ? 1 : 0;
        uses[number].oldest_pin_ns = steady_ns - static_cast<std::int64_t>(dice.below(150));
        uses[number].last_read_ns = steady_ns;
      }
    }
    uses.clear();
    settle();
    ASSERT_FALSE(HasFatalFailure()) << "seed " << seed;
    const Residency now = residency_of(state);
    EXPECT_LE(now.tier_zero_bytes, limits.tier_zero_bytes) << "seed " << seed;
    if (has_archive) {
      EXPECT_LE(now.tier_one_bytes, limits.tier_one_bytes) << "seed " << seed;
    }
  }
}

TEST(RetentionClock, NothingAgesFasterThanTwiceTheTimeThatPassesWhateverTheWallClockDoes) {
  SimClock clock;
  const std::int64_t begin = clock.wall_us();
  RetentionClock retention(clock, 0);
  EXPECT_EQ(retention.now_us(), begin);
  clock.advance(std::chrono::seconds(1));
  EXPECT_EQ(retention.now_us(), begin + 1'000'000);
  clock.step_wall(std::chrono::hours(24 * 365));
  EXPECT_EQ(retention.now_us(), begin + 1'000'000);
  clock.advance(std::chrono::seconds(10));
  EXPECT_EQ(retention.now_us(), begin + 21'000'000);
  clock.step_wall(-std::chrono::hours(2 * 24 * 365));
  clock.advance(std::chrono::seconds(5));
  EXPECT_EQ(retention.now_us(), begin + 26'000'000);  // time passes all the same
}

TEST(RetentionClock, ARestartGoesOnFromTheManifestAndCatchesUp) {
  SimClock clock;
  const std::int64_t recorded = clock.wall_us() - 30 * kDay;
  RetentionClock retention(clock, recorded);
  EXPECT_EQ(retention.now_us(), recorded);
  clock.advance(std::chrono::hours(24));
  EXPECT_EQ(retention.now_us(), recorded + 2 * kDay);
  // A wall clock that was wrong when it was recorded does no harm: the age counts, not the date.
  RetentionClock ahead(clock, clock.wall_us() + 3650 * kDay);
  const std::int64_t now = ahead.now_us();
  clock.advance(std::chrono::hours(24));
  EXPECT_EQ(ahead.now_us(), now + kDay);
}

}  // namespace
}  // namespace bop::aof
