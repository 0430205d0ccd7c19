// Time, randomness and scheduling as interfaces: nothing above base reads a clock, draws a random number or
// starts a thread otherwise, so that whole nodes can be simulated from one seed.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

namespace bop {

// Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  // Microseconds since the Unix epoch; may step, never used for order.
  [[nodiscard]] virtual std::int64_t wall_us() const noexcept = 0;
  // Nanoseconds that only grow and go on while the machine sleeps (CLOCK_BOOTTIME).
  [[nodiscard]] virtual std::int64_t steady_ns() const noexcept = 0;
};
[[nodiscard]] Clock& system_clock() noexcept;

// Thread-safe. The system's is cryptographic (getrandom); the simulated one is seeded.
class Random {
 public:
  virtual ~Random() = default;
  virtual void fill(std::span<std::byte> out) noexcept = 0;
  [[nodiscard]] std::uint64_t u64() noexcept {
    std::uint64_t v = 0;
    fill(std::as_writable_bytes(std::span(&v, 1)));
    return v;
  }
};
[[nodiscard]] Random& system_random() noexcept;

using Task = std::move_only_function<void()>;

// Runs tasks. `post` and `post_after` may be called from any thread; tasks of one Executor never overlap.
// A task that has to keep its thread for long calls `hand_off` first: another thread takes over the
// executor's other tasks (the promise of non-overlap then holds for all but the one that handed off).
class Executor {
 public:
  virtual ~Executor() = default;
  virtual void post(Task task) = 0;
  using TimerId = std::uint64_t;
  virtual TimerId post_after(std::chrono::nanoseconds delay, Task task) = 0;
  // True if the timer will not run; false if it ran, runs or was cancelled.
  virtual bool cancel(TimerId id) = 0;
  // True while called from one of this executor's tasks.
  [[nodiscard]] virtual bool is_current() const noexcept = 0;
  // False when the task had handed off before, or keeps the executor for want of threads.
  virtual bool hand_off() = 0;
  // Work that others wait for will come within this time, from a client that has just been answered: the loop
  // may look for it without sleeping. A hint; any thread.
  virtual void expect(std::chrono::nanoseconds within) noexcept { static_cast<void>(within); }
};

}  // namespace bop
