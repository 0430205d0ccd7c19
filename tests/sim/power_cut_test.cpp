// Power cuts through the whole stack: log, SQLite files and manifests on the simulated disk.
//
// One seed is one node with two or three lives. In each life random work runs on several databases (life.hpp)
// while the log rotates and is trimmed, checkpoints run and the WAL begins anew; at a random step, or inside
// a random call of the disk (an error, a failed sync, a full disk), everything stops. Then the power goes, or
// only the process is killed and the power goes in a later life; the last life always ends with a cut. In a
// part of the seeds the next start is cut, too. What must be true after every start stands in life.hpp.
//
// Settings, all from the environment (scripts/test has options for them):
//   BOP_SIM_SEEDS  how many seeds run        BOP_SIM_SEED  the first of them
// A failure prints its seed: BOP_SIM_SEED=n BOP_SIM_SEEDS=1 runs it alone, and again the same, and prints the
// newest calls of the disk.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "sim/life.hpp"

namespace bop::sim {
namespace {

constexpr std::uint64_t kShards = 8;
constexpr std::uint64_t kSegmentBytes = 256U << 10U;
constexpr std::size_t kTrace = 500;  // calls of the disk that are printed when a single seed fails

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

SimNodeOptions options_of(std::uint64_t seed) {
  SimRandom random(seed * 31 + 7);
  SimNodeOptions options;
  options.segment_bytes = kSegmentBytes;
  options.rows.writer_cache_kib = random.chance(1, 2) ? 60 : 1000;
  options.rows.wal_limit = random.chance(1, 3) ? 100'000 : 10'000'000;
  options.rows.deltas = !random.chance(1, 8);
  if (random.chance(1, 4)) {  // the least: a WAL of more than a megabyte goes to the disk
    options.rows.scratch_dir = "/data/tmp";
    options.rows.wal_memory = 1;
  }
  return options;
}

class Seed {
 public:
  Seed(std::uint64_t seed, Totals& totals, std::size_t trace = 0)
      : totals_(totals), life_(seed, options_of(seed), {.trace_length = trace}, totals) {}

  void run() {
    const auto lives = 2 + random().below(2);
    for (std::uint64_t number = 0; number < lives; ++number) {
      SCOPED_TRACE("life " + std::to_string(number) + what_happened_);
      ASSERT_NO_FATAL_FAILURE(cut_starts());
      ASSERT_NO_FATAL_FAILURE(life_.start_and_check());
      totals_.full_starts += is_short_of_room_ ? 1 : 0;
      ASSERT_NO_FATAL_FAILURE(live());
      ASSERT_NO_FATAL_FAILURE(end(number + 1 == lives));
    }
    SCOPED_TRACE("last start" + what_happened_);
    ASSERT_NO_FATAL_FAILURE(cut_starts());
    ASSERT_NO_FATAL_FAILURE(life_.start_and_check());
  }
  [[nodiscard]] Life& life() noexcept { return life_; }

 private:
  SimRandom& random() noexcept { return life_.random(); }
  SimDisk& disk() noexcept { return life_.disk(); }

  void end(bool last) {
    const bool faulty = life_.faults() != 0;
    disk().stall(0);
    if (faulty) what_happened_ += " fault";
    if (!faulty && random().chance(1, 12)) {
      disk().clear_faults();
      ASSERT_NO_FATAL_FAILURE(life_.close());
      what_happened_ += " close";
      if (last || random().chance(1, 2)) disk().power_cut();
    } else if (!last && random().chance(1, 4)) {
      what_happened_ += " kill";
      life_.kill();
    } else {
      what_happened_ += " cut";
      life_.cut();
    }
    disk().clear_faults();
  }

  // The power goes while the node recovers.
  void cut_starts() {
    while (random().chance(1, 4)) {
      disk().fail_call(1 + random().below(120), SimFault::kIo, true);
      what_happened_ += " start-cut";
      ++totals_.start_cuts;
      if (life_.start() && random().chance(1, 2)) life_.run(20);
      life_.cut();
      disk().clear_faults();
    }
  }

  // From now on the disk is full soon, or has room again.
  void change_room() {
    if (is_short_of_room_) {
      if (random().chance(1, 2)) return;
      disk().set_capacity(0);
      life_.tick();
      life_.run(200);
    } else {
      if (life_.usable().empty() || !random().chance(1, 10)) return;
      // What the node has promised it may keep; others do not fill its disk.
      const std::uint64_t promised = life_.node()->databases().growth_bytes() + kSegmentBytes;
      disk().set_capacity(disk().used_bytes() + promised + random().below(1'000'000));
      what_happened_ += " short-of-room";
    }
    is_short_of_room_ = !is_short_of_room_;
  }

  // A write was refused. Nothing is broken by it; with room again, writing goes on by itself.
  void meet_full_disk() {
    ++totals_.full;
    life_.look_at_snapshots();
    if (!random().chance(1, 3)) return;
    disk().set_capacity(0);
    is_short_of_room_ = false;
    life_.tick();
    life_.run(200);
    const auto usable = life_.usable();
    ASSERT_TRUE(life_.change(usable[random().below(usable.size())], random()))
        << rowstore::testing::text_of(*life_.refusal());
  }

  void live() {
    const auto actions = random().below(45);
    change_room();
    if (!is_short_of_room_ && random().chance(1, 3)) {
      const SimFault faults[] = {SimFault::kIo, SimFault::kIo, SimFault::kFailedSync, SimFault::kDiskFull};
      const SimFault fault = faults[random().below(4)];
      disk().fail_call(1 + random().below(fault == SimFault::kFailedSync ? 60 : 400), fault, true);
      what_happened_ += fault == SimFault::kIo ? " io" : fault == SimFault::kFailedSync ? " sync" : " full";
    }
    for (std::uint64_t i = 0; i < actions && !::testing::Test::HasFailure(); ++i) {
      bool went_well = act();
      if (went_well && random().chance(1, 4)) went_well = life_.wait_durable();
      if (!went_well && is_short_of_room_ && life_.refusal()->code() == ErrorCode::kDiskFull) {
        ASSERT_NO_FATAL_FAILURE(meet_full_disk());
      } else if (!went_well) {  // the disk failed: the power goes now
        ASSERT_NE(life_.faults(), 0U)
            << "failed on a disk that did not: " << rowstore::testing::text_of(*life_.refusal());
        if (life_.node()->databases().gate().has_failed()) life_.go_on_reading();
        return;
      }
      life_.run(random().below(30));
    }
  }

  bool act() {
    const auto usable = life_.usable();
    if (usable.empty()) return life_.make_system_tables() && life_.make_tables(1);
    if (const auto bare = life_.without_tables()) return life_.make_tables(*bare);
    if (life_.listed() < 4 && random().chance(1, life_.listed() == 1 ? 4 : 12))
      return life_.create_database();
    const std::uint32_t id = usable[random().below(usable.size())];
    switch (random().below(60)) {
      case 0: return id == 1 || life_.drop_database(id);
      case 1: return life_.discard_and_rewind(id);
      case 2:
      case 3: life_.tick(); return true;
      case 4:
      case 5:
      case 6: life_.look_at_snapshots(); return true;
      case 7:
      case 8:
      case 9: return life_.hold_snapshot(id);
      case 10: life_.let_snapshots_go(); return true;
      case 11: return life_.restart_sequence(id);
      case 12:
      case 13:
      case 14:
      case 15:
      case 16:
      case 17: life_.begin_checkpoint(id); return true;
      case 18:
      case 19:
      case 20: return life_.roll_back(id, random());
      case 21:
      case 22:
      case 23:
      case 24:
      case 25:
      case 26:
      case 27:
      case 28: return life_.draw(id, random());
      default: return life_.change(id, random());
    }
  }

  Totals& totals_;
  std::string what_happened_;  // for a failure's trace
  bool is_short_of_room_ = false;
  Life life_;
};

void print(const char* what, std::uint64_t number) {
  std::printf("  %-42s %llu\n", what, static_cast<unsigned long long>(number));
}

void print(const Totals& totals) {
  print("power cuts", totals.cuts);
  print("of them while the node started", totals.start_cuts);
  print("processes killed, machine up", totals.kills);
  print("of them after a fault of the disk", totals.kills_after_faults);
  print("closed in order", totals.closes);
  print("lives with a fault of the disk", totals.faults);
  print("failed logs, read on", totals.retreats);
  print("writes refused by a full disk", totals.full);
  print("starts short of room", totals.full_starts);
  print("commits", totals.commits);
  print("of them acknowledged", totals.acknowledged);
  print("of them in parts", totals.parts);
  print("of them that made or dropped a table", totals.schema_changes);
  print("of them that made the file shorter", totals.shrinks);
  print("bases published", totals.bases);
  print("WALs begun anew", totals.wal_restarts);
  print("lives that trimmed the log", totals.trims);
  print("databases created", totals.created);
  print("databases dropped", totals.dropped);
  print("rewinds", totals.rewinds);
  print("looks at old snapshots", totals.snapshots);
}

// A simulation that quietly does nothing proves nothing.
void expect_reached(const Totals& totals, std::uint64_t seeds) {
  EXPECT_GE(totals.cuts, seeds);
  EXPECT_GT(totals.start_cuts, seeds / 4);
  EXPECT_GT(totals.kills, seeds / 10);
  EXPECT_GT(totals.kills_after_faults, seeds / 60);
  EXPECT_GT(totals.closes, seeds / 40);
  EXPECT_GT(totals.faults, seeds / 20);
  EXPECT_GT(totals.retreats, seeds / 50);
  EXPECT_GT(totals.full, seeds / 20);
  EXPECT_GT(totals.full_starts, seeds / 50);
  EXPECT_GT(totals.commits, seeds * 10);
  EXPECT_GT(totals.acknowledged, seeds * 5);
  EXPECT_GT(totals.parts, seeds / 20);
  EXPECT_GT(totals.schema_changes, seeds / 2);
  EXPECT_GT(totals.shrinks, seeds / 20);
  EXPECT_GT(totals.bases, seeds);
  EXPECT_GT(totals.wal_restarts, seeds / 20);
  EXPECT_GT(totals.trims, seeds / 20);
  EXPECT_GT(totals.created, seeds / 2);
  EXPECT_GT(totals.dropped, seeds / 20);
  EXPECT_GT(totals.rewinds, seeds / 20);
  EXPECT_GT(totals.snapshots, seeds / 2);
}

// Every eighth seed, so that ctest runs the shards side by side.
class PowerCut : public ::testing::TestWithParam<std::uint64_t> {};

TEST_P(PowerCut, KeepsEveryPromise) {
  const std::uint64_t first = from_environment("BOP_SIM_SEED", 1);
  const std::uint64_t end = first + from_environment("BOP_SIM_SEEDS", BOP_SIM_DEFAULT_SEEDS);
  const auto began = std::chrono::steady_clock::now();
  std::uint64_t count = 0;
  Totals totals;
  for (std::uint64_t seed = first + GetParam(); seed < end; seed += kShards) {
    SCOPED_TRACE("seed " + std::to_string(seed) + ": BOP_SIM_SEED=" + std::to_string(seed) +
                 " BOP_SIM_SEEDS=1");
    Seed run(seed, totals, end - first == 1 ? kTrace : 0);
    run.run();
    if (HasFailure()) {
      for (const std::string& step : run.life().disk().trace()) std::printf("%s\n", step.c_str());
    }
    ASSERT_FALSE(HasFailure()) << "scripts/test --only sim --seed " << seed << " --seeds 1";
    ++count;
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  std::printf("%llu seeds of %llu..%llu, %.1f seeds/s\n", static_cast<unsigned long long>(count),
              static_cast<unsigned long long>(first), static_cast<unsigned long long>(end - 1),
              static_cast<double>(count) / took.count());
  print(totals);
  if (count >= 200) expect_reached(totals, count);
}
INSTANTIATE_TEST_SUITE_P(Shard, PowerCut, ::testing::Range(std::uint64_t{0}, kShards));

TEST(PowerCutSeed, RunsTheSameAgain) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::vector<std::vector<std::string>> traces;
    for (int time = 0; time < 2; ++time) {
      Totals totals;
      Seed run(seed, totals, 1'000'000);
      ASSERT_NO_FATAL_FAILURE(run.run());
      traces.push_back(run.life().disk().trace());
      // Scratch files are numbered by the process.
      std::erase_if(traces.back(), [](const auto& step) { return step.find("/data/tmp/") != step.npos; });
    }
    ASSERT_GT(traces[0].size(), 200U);
    EXPECT_EQ(traces[0], traces[1]);
  }
}

}  // namespace
}  // namespace bop::sim
