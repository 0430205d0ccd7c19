// Who waits for records to become durable.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <vector>

#include "aof/commit_stream.hpp"
#include "base/error.hpp"
#include "base/ids.hpp"

namespace bop::aof {

// Each callback runs once, one at a time, in the order of the ids, without a lock: in the thread that tells
// of the progress, in add() when its end is known already, or in whichever of these is running one. Their
// number is bounded by what the stream takes before it is durable.
class DurableWaiters {
 public:
  using Callback = std::move_only_function<void(Status)>;

  void add(const CommitStream& stream, Lsn lsn, Callback done);
  void advanced(Lsn durable);
  // All that wait and all that will.
  void failed(const Error& error);
  // True in a thread that runs one of these callbacks: it must not wait for another one.
  [[nodiscard]] static bool is_calling() noexcept;

 private:
  static void call(Callback& done, Status status);
  void run(std::unique_lock<std::mutex>& lock);

  struct Waiter {
    Lsn lsn;
    Callback done;
  };
  static bool later(const Waiter& a, const Waiter& b) { return a.lsn > b.lsn; }

  std::mutex mutex_;
  std::vector<Waiter> waiting_;  // a heap, the lowest id first
  Lsn reached_;                  // durable, as far as is known here
  bool is_running_ = false;
  std::optional<Error> error_;
};

}  // namespace bop::aof
