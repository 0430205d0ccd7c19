// The output gate: nothing computed from a state leaves the process before the log is committed up to it
// (rule 3 of the commit path). One gate serves all databases of a group, because `committed` is the group's.
//
// Contract: `released()` only grows. `when` costs one atomic load when the wait is over already. A waiter's
// function runs exactly once, on its executor: with success once released() >= csn, or with the log's error
// once the log failed before that. Waiters of one executor that become ready together arrive in one post.
// The log is told of everything that somebody begins to wait for (`on_wait`): it may hold back records that
// nobody waits for.
// Threads: all calls from any thread. The executor must outlive its waiters.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <vector>

#include "base/error.hpp"
#include "base/ids.hpp"
#include "base/time.hpp"

namespace bop::database {

class OutputGate {
 public:
  using Waiter = std::move_only_function<void(Status)>;

  [[nodiscard]] Csn released() const noexcept { return Csn(released_.load(std::memory_order_acquire)); }
  // The log's error once it failed for good.
  [[nodiscard]] std::optional<Error> failure() const;
  [[nodiscard]] bool has_failed() const noexcept { return has_failed_.load(std::memory_order_acquire); }

  // True: released already, `waiter` is dropped unrun. False: `waiter` will run on `executor`.
  [[nodiscard]] bool when(Csn csn, Executor& executor, Waiter waiter);

  // `want` is called by `when`, with no lock held, with what its waiter waits for. Set it before the first
  // `when`.
  void on_wait(std::function<void(Csn)> want) { want_ = std::move(want); }
  // From the log: `csn` is committed. Lower values than before are ignored.
  void release(Csn csn);
  // From the log: it will never commit more. Runs the waiters above released() with `error`; later ones too.
  void fail(const Error& error);

  [[nodiscard]] std::size_t waiting() const;

 private:
  std::atomic<std::uint64_t> released_{0};
  std::function<void(Csn)> want_;
  mutable std::mutex mutex_;
  std::map<Executor*, std::multimap<Csn, Waiter>> waiters_;
  std::optional<Error> failure_;
  std::atomic<bool> has_failed_{false};
};

}  // namespace bop::database
