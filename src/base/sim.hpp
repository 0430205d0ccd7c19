// Simulated time, randomness and scheduling: whole nodes run in one thread from one seed.
//
//   SimScheduler world(seed);
//   SimDisk disk(seed);               world.attach(disk);
//   SimExecutor reactor(world);       reactor.post(...);
//   world.run_until_idle();
//
// Each step draws, by the seed, one of the sources that are ready: an executor with tasks, a timer that is
// due, a disk with writes in flight. Tasks of one executor start in the order in which they were posted, as
// on the real one. When nothing is ready, virtual time jumps to the next timer. Nothing here is thread-safe:
// one thread owns a world, except SimClock, which may be read from any thread.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <vector>

#include "base/disk.hpp"
#include "base/time.hpp"

namespace bop {

class SimClock final : public Clock {
 public:
  std::int64_t wall_us() const noexcept override { return wall_start_us_ + steady_ns() / 1000; }
  std::int64_t steady_ns() const noexcept override { return now_ns_.load(std::memory_order_relaxed); }
  void advance(std::chrono::nanoseconds by) noexcept { now_ns_ += by.count(); }
  void step_wall(std::chrono::microseconds by) noexcept { wall_start_us_ += by.count(); }

 private:
  std::atomic<std::int64_t> now_ns_{1'000'000'000};
  std::atomic<std::int64_t> wall_start_us_{1'767'225'600'000'000};  // 2026-01-01 00:00:00 UTC
};

// SplitMix64: the same seed gives the same numbers on every machine.
class SimRandom final : public Random {
 public:
  explicit SimRandom(std::uint64_t seed) noexcept : state_(seed) {}
  void fill(std::span<std::byte> out) noexcept override;
  std::uint64_t next() noexcept;
  // Uniform in [0, bound); bound > 0.
  std::uint64_t below(std::uint64_t bound) noexcept { return next() % bound; }
  bool chance(std::uint64_t numerator, std::uint64_t denominator) noexcept {
    return below(denominator) < numerator;
  }

 private:
  std::uint64_t state_;
};

class SimExecutor;

class SimScheduler {
 public:
  explicit SimScheduler(std::uint64_t seed) noexcept : random_(seed) {}
  SimScheduler(const SimScheduler&) = delete;
  SimScheduler& operator=(const SimScheduler&) = delete;

  [[nodiscard]] SimClock& clock() noexcept { return clock_; }
  [[nodiscard]] SimRandom& random() noexcept { return random_; }
  // `disk` gets the clock, and is polled as one of the ready sources while it has a write in flight that no
  // stall holds up; it must outlive this or be detached.
  void attach(class SimDisk& disk);
  void detach(class SimDisk& disk);

  // Runs one ready thing, or moves time to the next timer and runs that; false if there is nothing at all.
  // May be called from inside a task: that task's executor then only takes part if it called hand_off.
  bool run_one();
  // Runs until nothing is left, at most `most` steps (asserted: a world that never rests is a defect).
  std::size_t run_until_idle(std::size_t most = 10'000'000);
  // Runs until `done()`; false if the world came to rest, or took `most` steps, before that.
  template <class Predicate>
  bool run_until(Predicate done, std::size_t most = 10'000'000) {
    for (std::size_t i = 0; i < most; ++i) {
      if (done()) return true;
      if (!run_one()) return done();
    }
    return done();
  }
  // Runs everything that happens within the next `span` of virtual time.
  void run_for(std::chrono::nanoseconds span);
  [[nodiscard]] std::uint64_t steps() const noexcept { return steps_; }

 private:
  friend class SimExecutor;
  // Runs one thing that is ready now; false if there is none.
  bool run_ready();
  [[nodiscard]] std::int64_t next_timer_ns() const noexcept;

  SimClock clock_;
  SimRandom random_;
  std::vector<SimExecutor*> executors_;
  std::vector<class SimDisk*> disks_;
  std::uint64_t steps_ = 0;
  std::uint64_t next_timer_ = 1;
};

class SimExecutor final : public Executor {
 public:
  explicit SimExecutor(SimScheduler& world);
  // Tasks that did not run are dropped: what a crash of the process does.
  ~SimExecutor() override;

  void post(Task task) override { ready_.push_back(std::move(task)); }
  TimerId post_after(std::chrono::nanoseconds delay, Task task) override;
  bool cancel(TimerId id) override;
  bool is_current() const noexcept override { return depth_ > 0; }
  bool hand_off() override;

  // For tests of one executor alone: the world's.
  bool run_one() { return world_.run_one(); }
  std::size_t run_until_idle() { return world_.run_until_idle(); }
  [[nodiscard]] std::size_t waiting() const noexcept { return ready_.size() + timers_.size(); }
  [[nodiscard]] std::uint64_t hand_offs() const noexcept { return hand_offs_; }

 private:
  friend class SimScheduler;
  struct TimerKey {
    std::int64_t due_ns;
    TimerId id;
    auto operator<=>(const TimerKey&) const = default;
  };
  [[nodiscard]] bool is_ready(std::int64_t now_ns) const noexcept;
  void run_next(std::int64_t now_ns);

  SimScheduler& world_;
  std::deque<Task> ready_;
  std::map<TimerKey, Task> timers_;
  bool busy_ = false;  // a task runs that did not hand off
  int depth_ = 0;      // tasks of this executor on the stack
  std::uint64_t hand_offs_ = 0;
};

}  // namespace bop
