// Every call of the disk fails once, through log and SQLite files, under a scripted workload.
//
// The script makes databases, tables, small and large transactions, snapshots, sequences, checkpoints under
// writers, a WAL that begins anew, trims, rewinds, a vacuum, drops a database; is killed and starts again; is
// closed in order and starts again. It runs once without a fault to learn its calls; then once for each call
// that a fault applies to. What must hold each time:
//
//   * nothing crashes, and what is refused is refused with the fault's own error or what follows from it;
//   * nothing is acknowledged that a start does not find (life.hpp), also when the process dies on a machine
//     that stays up: what the kernel still shows of bytes that it failed to store counts for nothing;
//   * once the fault is gone the node goes on by itself, except for what a failed durable write or sync has
//     ended for good: there reads of what is committed go on, and a restart mends it;
//   * a call that takes 30 s is no failure at all.
//
// Every change runs each call with each fault that passes; faults that stay, and reads that stall, at every
// fourth one; and after it a kill or a power cut by turns. The long run does all of it, for several scripts.
// BOP_SIM_CALL runs one call alone, BOP_SIM_SCRIPT another script.
#include <gtest/gtest.h>

#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <functional>

#include "sim/life.hpp"

namespace bop::sim {
namespace {

using rowstore::testing::text_of;

std::optional<std::uint64_t> from_environment(const char* name) {
  const char* text = std::getenv(name);
  if (text == nullptr) return std::nullopt;
  return std::strtoull(text, nullptr, 10);
}

SimNodeOptions script_options() {
  SimNodeOptions options;
  options.segment_bytes = 256U << 10U;
  options.rows.writer_cache_kib = 60;  // transactions spill
  options.rows.reader_cache_kib = 40;
  options.rows.wal_limit = 1'200'000;
  options.rows.wal_memory = 1;  // the least: above a megabyte the WAL is on the disk
  options.rows.scratch_dir = "/data/tmp";
  return options;
}

// What a fault may be answered with.
bool is_expected(ErrorCode code, SimFault fault) {
  switch (fault) {
    case SimFault::kNone:
    case SimFault::kStall: return false;
    case SimFault::kDiskFull:
    case SimFault::kShort:
      return code == ErrorCode::kDiskFull || code == ErrorCode::kPoisoned ||
             code == ErrorCode::kOutcomeUnknown;
    case SimFault::kIo:
    case SimFault::kFailedSync: break;
  }
  return code == ErrorCode::kIo || code == ErrorCode::kPoisoned || code == ErrorCode::kOutcomeUnknown;
}

class Script {
 public:
  Script(std::uint64_t seed, SimFault fault, std::size_t trace, Totals& totals)
      : fault_(fault), seed_(seed), life_(seed, script_options(), {.trace_length = trace}, totals) {}

  [[nodiscard]] Life& life() noexcept { return life_; }
  [[nodiscard]] std::uint64_t refused() const noexcept { return refused_; }

  void play() {
    ASSERT_NO_FATAL_FAILURE(begin());
    ASSERT_NO_FATAL_FAILURE(make_everything());
    ASSERT_NO_FATAL_FAILURE(work());
    ASSERT_NO_FATAL_FAILURE(settle());
    life_.kill();
    ASSERT_NO_FATAL_FAILURE(begin());
    ASSERT_NO_FATAL_FAILURE(work());
    ASSERT_NO_FATAL_FAILURE(settle());
    ASSERT_NO_FATAL_FAILURE(life_.close());
    note();
    ASSERT_NO_FATAL_FAILURE(begin());
    ASSERT_NO_FATAL_FAILURE(work());
    ASSERT_NO_FATAL_FAILURE(settle());
  }

 private:
  // Refused, it must succeed once the fault is gone.
  void begin() {
    if (life_.start()) {
      life_.disk().exempt(true);
      life_.check();
      life_.disk().exempt(false);
      return;
    }
    note();
    life_.disk().clear_faults();
    life_.cut();
    life_.start_and_check();
  }

  void note() {
    if (!life_.refusal()) return;
    ++refused_;
    EXPECT_TRUE(is_expected(life_.refusal()->code(), fault_)) << text_of(*life_.refusal());
    life_.forget_refusal();
  }

  template <class Action>
  void step(Action action) {
    if (life_.node()->databases().gate().has_failed()) return;
    SimRandom dice(seed_ * 1000 + ++step_);
    action(dice);
    note();
    life_.run(3);
  }
  template <class Action>
  void in_each(Action action) {
    for (const std::uint32_t id : life_.usable()) step([&](SimRandom& dice) { action(id, dice); });
  }

  void make_everything() {
    const auto make_tables = [&](SimRandom&) {
      if (const auto bare = life_.without_tables()) life_.make_tables(*bare);
    };
    step([&](SimRandom& dice) {
      if (life_.make_system_tables()) make_tables(dice);
    });
    for (int i = 0; i < 2; ++i) {
      step([&](SimRandom&) {
        if (!life_.usable().empty()) life_.create_database();
      });
      step([&](SimRandom&) { life_.wait_durable(); });
    }
    for (int i = 0; i < 2; ++i) step(make_tables);
  }

  void work() {
    const auto change = [&](std::uint32_t id, SimRandom& dice) { life_.change(id, dice); };
    in_each(change);
    in_each([&](std::uint32_t id, SimRandom& dice) { life_.draw(id, dice); });
    in_each([&](std::uint32_t id, SimRandom&) { life_.hold_snapshot(id); });
    step([&](SimRandom&) { life_.begin_checkpoint(1); });
    in_each(change);
    in_each([&](std::uint32_t id, SimRandom& dice) { life_.change(id, dice, true); });
    step([&](SimRandom&) { life_.look_at_snapshots(); });
    step([&](SimRandom&) { life_.wait_durable(); });
    in_each([&](std::uint32_t id, SimRandom& dice) { life_.roll_back(id, dice); });
    in_each([&](std::uint32_t id, SimRandom&) { life_.checkpoint(id); });
    life_.let_snapshots_go();
    in_each(change);
    in_each([&](std::uint32_t id, SimRandom&) { life_.checkpoint(id); });
    in_each([&](std::uint32_t id, SimRandom&) { life_.restart_sequence(id); });
    in_each([&](std::uint32_t id, SimRandom& dice) { life_.change(id, dice, true); });
    in_each([&](std::uint32_t id, SimRandom&) { life_.hold_snapshot(id); });
    step([&](SimRandom&) { life_.tick(); });
    step([&](SimRandom&) {
      if (life_.usable().size() > 1) life_.discard_and_rewind(life_.usable()[1]);
    });
    step([&](SimRandom&) { life_.look_at_snapshots(); });
    in_each(change);
    step([&](SimRandom&) {
      if (life_.usable().size() > 2) life_.drop_database(life_.usable()[2]);
    });
    step([&](SimRandom&) { life_.wait_durable(); });
    for (int second = 0; second < 3; ++second) {
      step([&](SimRandom&) {
        life_.tick();
        life_.run(50);
      });
    }
    in_each(change);
  }

  // A fault that has struck is over now.
  void settle() {
    if (life_.faults() == 0) return;
    ASSERT_NO_FATAL_FAILURE(life_.go_on());
    note();
  }

  const SimFault fault_;
  const std::uint64_t seed_;
  Life life_;
  std::uint64_t step_ = 0;
  std::uint64_t refused_ = 0;
};

constexpr std::uint64_t kSparse = 4;

struct Fault {
  const char* name;
  SimFault fault;
  bool sticky;
};

// The calls of the script that `fault` applies to: numbers for SimDisk::fail_call, and what each call does.
std::vector<std::pair<std::uint64_t, std::string>> calls_of(std::uint64_t script, SimFault fault) {
  Totals totals;
  Script dry(script, SimFault::kNone, 10'000'000, totals);
  dry.play();
  std::vector<std::pair<std::uint64_t, std::string>> calls;
  std::uint64_t number = 0;
  for (const std::string& line : dry.life().disk().trace()) {
    const std::string operation = line.substr(0, line.find(' '));
    const bool is_sync = operation.starts_with("sync");
    if (fault == SimFault::kFailedSync && !is_sync) continue;
    ++number;
    const bool writes = operation.starts_with("write") || operation == "prewrite" || operation == "truncate";
    const bool names = operation == "create" || operation == "rename" || operation == "create_directories";
    if (fault == SimFault::kShort && !writes) continue;
    if (fault == SimFault::kDiskFull && !writes && !names) continue;
    calls.emplace_back(number, line);
  }
  return calls;
}

bool changes_something(const std::string& line) {
  const std::string operation = line.substr(0, line.find(' '));
  return operation != "read" && operation != "open" && operation != "exists" && operation != "size" &&
         operation != "list" && operation != "free_bytes";
}

class EveryCall : public ::testing::TestWithParam<Fault> {};

TEST_P(EveryCall, FailsOnceAndNoPromiseIsBroken) {
  const Fault& fault = GetParam();
  const std::uint64_t first = from_environment("BOP_SIM_SCRIPT").value_or(1);
  const auto only = from_environment("BOP_SIM_CALL");
  std::uint64_t chosen = 0, struck = 0, refused = 0, runs = 0;
  Totals totals;
  for (std::uint64_t script = first; script < first + (BOP_SIM_EVERY_ENDING ? 4 : 1); ++script) {
    const auto calls = calls_of(script, fault.fault);
    ASSERT_FALSE(HasFailure()) << "the script fails without a fault";
    for (const auto& [number, line] : calls) {
      if (only && *only != number) continue;
      const bool sparse = fault.sticky || (fault.fault == SimFault::kStall && !changes_something(line));
      if (!BOP_SIM_EVERY_ENDING && !only && sparse && number % kSparse != 0) continue;
      ++chosen;
      for (const bool cut : {false, true}) {
        if (!BOP_SIM_EVERY_ENDING && !only && cut != (chosen % 2 == 0)) continue;
        SCOPED_TRACE(fmt::format("{} at call {} ({}), then {}: BOP_SIM_SCRIPT={} BOP_SIM_CALL={}", fault.name,
                                 number, line, cut ? "a power cut" : "a kill", script, number));
        ++runs;
        Script run(script, fault.fault, 0, totals);
        run.life().disk().fail_call(number, fault.fault, fault.sticky);
        run.play();
        ASSERT_FALSE(HasFailure());
        struck += run.life().disk().faults_struck() > 0 ? 1 : 0;
        refused += run.refused() > 0 ? 1 : 0;
        run.life().disk().clear_faults();
        if (!cut) {
          run.life().kill();
          run.life().start_and_check();
          ASSERT_FALSE(HasFailure());
          // The log is trimmed by what the bases of the others seem to be.
          const auto usable = run.life().usable();
          EXPECT_TRUE(usable.empty() || run.life().checkpoint(usable[chosen / 2 % usable.size()]));
        }
        run.life().cut();
        run.life().start_and_check();
        ASSERT_FALSE(HasFailure());
      }
    }
  }
  std::printf("%llu runs, the fault struck in %llu, something was refused in %llu\n",
              static_cast<unsigned long long>(runs), static_cast<unsigned long long>(struck),
              static_cast<unsigned long long>(refused));
  if (only) return;
  EXPECT_EQ(struck, runs);
  EXPECT_EQ(refused > 0, fault.fault != SimFault::kStall);
  EXPECT_GT(runs, 30U);
}
INSTANTIATE_TEST_SUITE_P(Fault, EveryCall,
                         ::testing::Values(Fault{"an I/O error", SimFault::kIo, false},
                                           Fault{"I/O errors from then on", SimFault::kIo, true},
                                           Fault{"a full disk", SimFault::kDiskFull, false},
                                           Fault{"a disk that stays full", SimFault::kDiskFull, true},
                                           Fault{"a short write", SimFault::kShort, false},
                                           Fault{"a failed sync", SimFault::kFailedSync, false},
                                           Fault{"syncs that fail from then on", SimFault::kFailedSync, true},
                                           Fault{"a stall of 30 s", SimFault::kStall, false}),
                         [](const auto& about) {
                           std::string name;
                           for (const char c : std::string(about.param.name))
                             name += std::isalnum(c) != 0 ? c : '_';
                           return name;
                         });

}  // namespace
}  // namespace bop::sim
