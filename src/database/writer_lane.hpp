// The writer lane of one database: one writer at a time for rows and columns, first come first served (rule
// 4).
//
// A transaction enters before its first write and leaves when its COMMIT or ROLLBACK has been executed; it
// does not hold the lane while the log becomes durable. A waiter is granted on its own executor, or gets
// kLockNotAvailable that names the holder when its deadline passes, or kCancelled. A holder that told the
// lane it is idle (waiting for its client) while others wait is evicted after `idle_limit`: its `evict`
// function runs once, on its executor, and must roll back and leave.
//
// Threads: all calls from any thread; callbacks run as tasks of the request's executor, never inside a call.
// A request's executor must outlive its ticket.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/time.hpp"

namespace bop::database {

struct LaneRequest {
  std::uint64_t session = 0;
  std::string description;  // what bop_locks and lock_timeout show: user, application, statement
  std::optional<std::chrono::nanoseconds> timeout;  // lock_timeout; none = wait for ever
  std::move_only_function<void()> evict;            // see above; may be empty: never evicted
};

class WriterLane {
 public:
  using Ticket = std::uint64_t;  // 0 = none
  using Granted = std::move_only_function<void(Status)>;

  struct Entry {
    Ticket ticket = 0;
    std::uint64_t session = 0;
    std::string description;
    std::int64_t since_ns = 0;  // Clock::steady_ns when it was granted, or began to wait
    bool idle = false;          // the holder waits for its client
  };
  struct Snapshot {
    std::optional<Entry> holder;
    std::vector<Entry> waiters;  // in the order in which they will be granted
  };
  struct Entered {
    Ticket ticket = 0;
    bool granted = false;  // true: inline, the callback is dropped unrun
  };

  WriterLane(Clock& clock, std::chrono::nanoseconds idle_limit = std::chrono::seconds(10));
  ~WriterLane();
  WriterLane(const WriterLane&) = delete;
  WriterLane& operator=(const WriterLane&) = delete;

  [[nodiscard]] Entered enter(LaneRequest request, Executor& executor, Granted granted);
  // By the holder, exactly once. Grants the next waiter.
  void leave(Ticket ticket);
  // A waiter gives up: its callback gets `why` unless it was granted before (then false: the caller holds it,
  // or the grant is on its way to the executor, and must leave).
  bool cancel(Ticket ticket, Error why);
  // The holder begins or ends waiting for its client.
  void set_idle(Ticket ticket, bool idle);

  void set_idle_limit(std::chrono::nanoseconds limit);
  [[nodiscard]] Snapshot snapshot() const;
  [[nodiscard]] bool held() const;

 private:
  struct State;
  std::shared_ptr<State> state_;  // shared with timers that outlive the lane
};

}  // namespace bop::database
