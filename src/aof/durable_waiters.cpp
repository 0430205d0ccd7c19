#include "aof/durable_waiters.hpp"

#include <algorithm>
#include <utility>

namespace bop::aof {

namespace {

thread_local unsigned calls_running = 0;

}  // namespace

bool DurableWaiters::is_calling() noexcept { return calls_running != 0; }

void DurableWaiters::call(Callback& done, Status status) {
  ++calls_running;
  done(std::move(status));
  --calls_running;
}

void DurableWaiters::add(const CommitStream& stream, Lsn lsn, Callback done) {
  std::unique_lock lock(mutex_);
  waiting_.push_back({lsn, std::move(done)});
  std::ranges::push_heap(waiting_, later);
  // durable() moves before advanced() is called, which takes the lock.
  reached_ = std::max(reached_, stream.durable());
  run(lock);
}

void DurableWaiters::advanced(Lsn durable) {
  std::unique_lock lock(mutex_);
  reached_ = std::max(reached_, durable);
  run(lock);
}

void DurableWaiters::failed(const Error& error) {
  std::unique_lock lock(mutex_);
  if (!error_.has_value()) error_ = error;
  run(lock);
}

// Who finds another thread at it leaves the rest to that one: so they run one at a time, in order.
void DurableWaiters::run(std::unique_lock<std::mutex>& lock) {
  if (is_running_) return;
  is_running_ = true;
  while (!waiting_.empty() && (waiting_.front().lsn <= reached_ || error_.has_value())) {
    Status status;
    if (waiting_.front().lsn > reached_) status = std::unexpected(*error_);
    std::ranges::pop_heap(waiting_, later);
    Callback done = std::move(waiting_.back().done);
    waiting_.pop_back();
    lock.unlock();
    call(done, std::move(status));
    lock.lock();
  }
  is_running_ = false;
}

}  // namespace bop::aof
