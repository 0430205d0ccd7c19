// How many requests may be under way at one time, and who goes first.
//
// A request enters when there is room in the number and in the bytes that it holds in memory (its body, or
// the answer that it may get); one that is larger than all bytes together enters alone. Those that wait are
// served in their order; foreground before background, but of eight that enter one is background if one
// waits, so that nobody waits for ever. A few places are never given to background requests, so that a
// foreground one does not wait for an upload of minutes.
//
// Threads: one at a time, that of the store's executor. `grant` runs inside enter() or leave().
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>

#include "base/time.hpp"
#include "objstore/object_store.hpp"

namespace bop::objstore {

class Admission {
 public:
  struct Limits {
    std::size_t most_requests = 32;
    std::size_t kept_for_foreground = 8;  // of most_requests
    std::uint64_t most_bytes = 256U << 20U;
    std::size_t most_waiting = 4096;
  };
  struct Claim {
    std::uint64_t bytes = 0;
    Priority priority = Priority::kForeground;
  };
  using Ticket = std::uint64_t;

  explicit Admission(Limits limits) : limits_(limits) {}
  ~Admission() { clear(); }
  Admission(const Admission&) = delete;
  Admission& operator=(const Admission&) = delete;

  // Runs `grant` now (0) or later. `accepted` is false when too many wait: then it never runs.
  [[nodiscard]] Ticket enter(Claim claim, Task grant, bool& accepted);
  // Enters only if there is room now and nobody waits.
  [[nodiscard]] bool try_enter(Claim claim);
  void leave(Claim claim);
  void forget(Ticket ticket);

  [[nodiscard]] std::size_t in_flight() const noexcept { return requests_; }
  [[nodiscard]] std::uint64_t bytes_in_flight() const noexcept { return bytes_; }
  [[nodiscard]] std::size_t waiting() const noexcept { return waiting_[0].size() + waiting_[1].size(); }
  // Waiters are dropped without running.
  void clear();

 private:
  static constexpr std::size_t kBackgroundEvery = 8;
  struct Waiter {
    Ticket ticket;
    Claim claim;
    Task grant;
  };
  [[nodiscard]] bool has_room(Claim claim) const noexcept;
  void take(Claim claim);
  void grant_waiting();

  const Limits limits_;
  std::array<std::deque<Waiter>, 2> waiting_;  // by priority
  std::size_t requests_ = 0;
  std::uint64_t bytes_ = 0;
  std::size_t foreground_in_row_ = 0;
  Ticket next_ = 1;
};

}  // namespace bop::objstore
