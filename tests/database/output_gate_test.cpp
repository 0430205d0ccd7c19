#include "database/output_gate.hpp"

#include <gtest/gtest.h>

#include <thread>

#include "base/sim.hpp"

namespace bop::database {
namespace {

TEST(OutputGate, WhatIsReleasedPassesInline) {
  SimScheduler world(1);
  SimExecutor executor(world);
  OutputGate gate;
  gate.release(Csn(5));
  EXPECT_TRUE(gate.when(Csn(5), executor, [](Status) { FAIL() << "inline answers are not called back"; }));
  world.run_until_idle();
}

TEST(OutputGate, AWaiterRunsOnceAtItsCsnAndNotBefore) {
  SimScheduler world(1);
  SimExecutor executor(world);
  OutputGate gate;
  std::vector<int> order;
  EXPECT_FALSE(gate.when(Csn(7), executor, [&](Status s) {
    ASSERT_TRUE(s);
    order.push_back(7);
  }));
  EXPECT_FALSE(gate.when(Csn(6), executor, [&](Status s) {
    ASSERT_TRUE(s);
    order.push_back(6);
  }));
  EXPECT_FALSE(gate.when(Csn(9), executor, [&](Status s) {
    ASSERT_TRUE(s);
    order.push_back(9);
  }));
  gate.release(Csn(5));
  world.run_until_idle();
  EXPECT_TRUE(order.empty());
  gate.release(Csn(8));
  EXPECT_EQ(executor.waiting(), 1U) << "one post for both";
  world.run_until_idle();
  EXPECT_EQ(order, (std::vector{6, 7}));
  gate.release(Csn(4));  // never goes back
  EXPECT_EQ(gate.released(), Csn(8));
  EXPECT_EQ(gate.waiting(), 1U);
  gate.release(Csn(9));
  world.run_until_idle();
  EXPECT_EQ(order.back(), 9);
}

TEST(OutputGate, AFailedLogEndsTheWaitButNotWhatWasReleased) {
  SimScheduler world(1);
  SimExecutor executor(world);
  OutputGate gate;
  gate.release(Csn(3));
  std::vector<ErrorCode> codes;
  const auto note = [&](Status s) {
    ASSERT_FALSE(s);
    codes.push_back(s.error().code());
  };
  EXPECT_FALSE(gate.when(Csn(4), executor, note));
  gate.fail(Error(ErrorCode::kPoisoned, "the disk"));
  EXPECT_FALSE(gate.when(Csn(4), executor, note));
  EXPECT_TRUE(gate.when(Csn(3), executor, note));
  world.run_until_idle();
  EXPECT_EQ(codes, (std::vector{ErrorCode::kPoisoned, ErrorCode::kPoisoned}));
}

// Posts count from any thread.
class CountingExecutor final : public Executor {
 public:
  void post(Task task) override { task(); }
  TimerId post_after(std::chrono::nanoseconds, Task) override { return 0; }
  bool cancel(TimerId) override { return false; }
  bool is_current() const noexcept override { return false; }
  bool hand_off() override { return false; }
};

TEST(OutputGate, WaitersAndReleasesOfManyThreadsMeetExactlyOnce) {
  CountingExecutor executor;
  OutputGate gate;
  constexpr std::uint64_t kEach = 20'000;
  std::atomic<std::uint64_t> ran{0};
  std::atomic<std::uint64_t> passed{0};
  const auto waits = [&](std::uint64_t odd) {
    for (std::uint64_t i = 0; i < kEach; ++i) {
      const Csn csn(2 * i + odd);
      if (gate.when(csn, executor, [&, csn](Status s) {
            EXPECT_TRUE(s);
            EXPECT_GE(gate.released(), csn);
            ++ran;
          })) {
        ++passed;
      }
    }
  };
  std::thread a(waits, 0);
  std::thread b(waits, 1);
  for (std::uint64_t i = 1; i <= 2 * kEach; ++i) gate.release(Csn(i));
  a.join();
  b.join();
  EXPECT_EQ(ran + passed, 2 * kEach);
  EXPECT_EQ(gate.waiting(), 0U);
}

}  // namespace
}  // namespace bop::database
