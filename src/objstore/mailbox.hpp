// The way to an executor for those who may outlive it. Any thread.
#pragma once

#include <mutex>
#include <utility>

#include "base/time.hpp"

namespace bop::objstore {

class Mailbox {
 public:
  explicit Mailbox(Executor& executor) : executor_(&executor) {}
  // After close() tasks are dropped.
  void post(Task task) {
    const std::lock_guard guard(mutex_);
    if (executor_ != nullptr) executor_->post(std::move(task));
  }
  void close() {
    const std::lock_guard guard(mutex_);
    executor_ = nullptr;
  }

 private:
  std::mutex mutex_;
  Executor* executor_;
};

}  // namespace bop::objstore
