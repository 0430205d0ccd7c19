#include "database/output_gate.hpp"

#include <utility>

namespace bop::database {

namespace {
void post_all(Executor& executor, std::vector<OutputGate::Waiter> ready, Status status) {
  executor.post([ready = std::move(ready), status = std::move(status)]() mutable {
    for (auto& waiter : ready) waiter(status);
  });
}
}  // namespace

std::optional<Error> OutputGate::failure() const {
  std::lock_guard lock(mutex_);
  return failure_;
}

bool OutputGate::when(Csn csn, Executor& executor, Waiter waiter) {
  if (csn <= released()) return true;
  std::unique_lock lock(mutex_);
  if (csn <= released()) return true;
  if (failure_) {
    std::vector<Waiter> one;
    one.push_back(std::move(waiter));
    const Status status = std::unexpected(*failure_);
    lock.unlock();
    post_all(executor, std::move(one), status);
    return false;
  }
  waiters_[&executor].emplace(csn, std::move(waiter));
  lock.unlock();
  if (want_) want_(csn);
  return false;
}

void OutputGate::release(Csn csn) {
  // Posted under the lock, so that two advances reach one executor in their order.
  std::lock_guard lock(mutex_);
  if (csn <= released()) return;
  released_.store(csn.value, std::memory_order_release);
  for (auto it = waiters_.begin(); it != waiters_.end();) {
    auto& [executor, queue] = *it;
    const auto end = queue.upper_bound(csn);
    if (end != queue.begin()) {
      std::vector<Waiter> ready;
      for (auto w = queue.begin(); w != end; ++w) ready.push_back(std::move(w->second));
      queue.erase(queue.begin(), end);
      post_all(*executor, std::move(ready), Status{});
    }
    it = queue.empty() ? waiters_.erase(it) : std::next(it);
  }
}

void OutputGate::fail(const Error& error) {
  std::lock_guard lock(mutex_);
  if (failure_) return;
  failure_ = error;
  has_failed_.store(true, std::memory_order_release);
  for (auto& [executor, queue] : waiters_) {
    std::vector<Waiter> ready;
    for (auto& [csn, waiter] : queue) ready.push_back(std::move(waiter));
    post_all(*executor, std::move(ready), std::unexpected(error));
  }
  waiters_.clear();
}

std::size_t OutputGate::waiting() const {
  std::lock_guard lock(mutex_);
  std::size_t n = 0;
  for (const auto& [executor, queue] : waiters_) n += queue.size();
  return n;
}

}  // namespace bop::database
