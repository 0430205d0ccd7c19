#include "base/sim.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>

#include "base/disk_contract.hpp"
#include "base/sim_disk.hpp"

namespace bop {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

TEST(SimRandom, TheSameSeedGivesTheSameNumbers) {
  SimRandom a(5), b(5), c(6);
  EXPECT_EQ(a.u64(), b.u64());
  EXPECT_NE(a.u64(), c.u64());
  std::byte odd[13], same[13];
  a.fill(odd);
  (void)b.u64();
  b.fill(same);
  EXPECT_TRUE(std::ranges::equal(odd, same));
}

TEST(SimExecutor, KeepsTheOrderOfOneExecutorAndMixesSeveral) {
  std::set<std::string> mixtures;
  for (std::uint64_t seed = 0; seed < 1000; ++seed) {
    std::string runs[2];
    for (std::string& run : runs) {
      SimScheduler world(seed);
      SimExecutor a(world), b(world);
      for (int i = 0; i < 3; ++i) {
        a.post([&run, i] { run += static_cast<char>('a' + i); });
        b.post([&run, i] { run += static_cast<char>('1' + i); });
      }
      EXPECT_EQ(world.run_until_idle(), 6u);
      EXPECT_LT(run.find('a'), run.find('b'));
      EXPECT_LT(run.find('2'), run.find('3'));
    }
    EXPECT_EQ(runs[0], runs[1]);
    mixtures.insert(runs[0]);
  }
  EXPECT_EQ(mixtures.size(), 20u);  // every interleaving of three and three
}

TEST(SimExecutor, TimeJumpsToTheNextTimer) {
  SimScheduler world(1);
  SimExecutor executor(world);
  std::string order;
  const std::int64_t start = world.clock().steady_ns();
  const std::int64_t wall = world.clock().wall_us();
  executor.post_after(hours(2), [&] { order += 'c'; });
  executor.post_after(hours(1), [&] { order += 'b'; });
  const auto cancelled = executor.post_after(hours(1), [&] { order += 'x'; });
  executor.post([&] { order += 'a'; });
  EXPECT_TRUE(executor.cancel(cancelled));
  EXPECT_FALSE(executor.cancel(cancelled));
  world.run_for(hours(1));
  EXPECT_EQ(order, "ab");
  EXPECT_EQ(world.clock().steady_ns() - start, std::chrono::nanoseconds(hours(1)).count());
  world.run_until_idle();
  EXPECT_EQ(order, "abc");
  EXPECT_EQ(world.clock().wall_us() - wall, std::chrono::microseconds(hours(2)).count());
  EXPECT_FALSE(world.run_one());
}

TEST(SimExecutor, ATaskThatPumpsTheWorldIsNotJoinedByItsOwnUnlessItHandsOff) {
  for (const bool hands_off : {false, true}) {
    SimScheduler world(3);
    SimExecutor a(world), b(world);
    bool sibling = false, other = false, seen_sibling = false;
    a.post([&] {
      EXPECT_TRUE(a.is_current());
      EXPECT_FALSE(b.is_current());
      if (hands_off) a.hand_off();
      a.post([&] { sibling = true; });
      b.post([&] { other = true; });
      while (world.run_one()) {
      }
      seen_sibling = sibling;
    });
    world.run_until_idle();
    EXPECT_TRUE(other);
    EXPECT_TRUE(sibling);
    EXPECT_EQ(seen_sibling, hands_off);
    EXPECT_FALSE(a.is_current());
  }
}

TEST(SimScheduler, CompletesTheWritesOfAnAttachedDisk) {
  SimScheduler world(4);
  SimDisk disk(4);
  world.attach(disk);
  auto file = std::move(*disk.open("f", OpenMode::kCreate));
  const Aligned buffer(kDiskBlockBytes, 'x');
  bool ran = false;
  file->write_durable(ByteOffset(0), buffer.span(), [&](Status) { ran = true; });
  EXPECT_TRUE(world.run_until([&] { return ran; }));
  EXPECT_EQ(disk.in_flight(), 0u);
  EXPECT_FALSE(world.run_one());
  world.detach(disk);
}

TEST(SimScheduler, OthersGoOnWhileAWriteIsStalled) {
  SimScheduler world(4);
  SimDisk disk(4);
  world.attach(disk);
  SimExecutor executor(world);
  auto file = std::move(*disk.open("f", OpenMode::kCreate));
  const Aligned buffer(kDiskBlockBytes, 'x');
  const std::int64_t before = world.clock().steady_ns();
  std::vector<std::string> order;
  disk.fail_call(1, SimFault::kStall);
  file->write_durable(ByteOffset(0), buffer.span(), [&](Status) { order.push_back("written"); });
  (void)executor.post_after(std::chrono::seconds(20), [&] { order.push_back("a timer"); });
  executor.post([&] { order.push_back("a task"); });
  world.run_until_idle();
  EXPECT_EQ(order, (std::vector<std::string>{"a task", "a timer", "written"}));
  EXPECT_EQ(world.clock().steady_ns() - before, std::chrono::nanoseconds(std::chrono::seconds(30)).count());
  world.detach(disk);
}

TEST(SimScheduler, RunUntilTellsThatTheWorldCameToRest) {
  SimScheduler world(5);
  SimExecutor executor(world);
  executor.post([] {});
  EXPECT_FALSE(world.run_until([] { return false; }));
}

}  // namespace
}  // namespace bop
