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
  std::optional<Error> failure;
  {
    std::scoped_lock lock(mutex_);
    // durable() moves before advanced() is called, which takes the lock.
    if (stream.durable() < lsn) {
      if (!error_.has_value()) {
        waiting_.push_back({lsn, std::move(done)});
        std::ranges::push_heap(waiting_, later);
        return;
      }
      failure = error_;
    }
  }
  call(done, failure.has_value() ? Status(std::unexpected(std::move(*failure))) : Status());
}

void DurableWaiters::advanced(Lsn durable) {
  std::unique_lock lock(mutex_);
  while (!waiting_.empty() && waiting_.front().lsn <= durable) {
    std::ranges::pop_heap(waiting_, later);
    Callback done = std::move(waiting_.back().done);
    waiting_.pop_back();
    lock.unlock();
    call(done, {});
    lock.lock();
  }
}

void DurableWaiters::failed(const Error& error) {
  std::unique_lock lock(mutex_);
  if (!error_.has_value()) error_ = error;
  while (!waiting_.empty()) {
    std::ranges::pop_heap(waiting_, later);
    Callback done = std::move(waiting_.back().done);
    waiting_.pop_back();
    lock.unlock();
    call(done, std::unexpected(error));
    lock.lock();
  }
}

}  // namespace bop::aof
