// Calls to an object store whose answers come on the owner's executor, and not at all once the owner is gone.
#pragma once

#include <memory>
#include <utility>

#include "base/time.hpp"
#include "objstore/object_store.hpp"

namespace bop::aof {

// A member of whoever makes calls; destroyed with it, on its thread. `executor` outlives every call.
class StoreCalls {
 public:
  explicit StoreCalls(Executor& executor) : executor_(&executor), alive_(std::make_shared<int>(0)) {}

  // What the store is given in place of `done`.
  template <class T, class Done>
  [[nodiscard]] objstore::Completion<T> here(Done done) {
    return [executor = executor_, alive = std::weak_ptr(alive_),
            done = std::move(done)](Result<T> result) mutable {
      executor->post(
          [alive = std::move(alive), done = std::move(done), result = std::move(result)]() mutable {
            if (alive.lock() != nullptr) done(std::move(result));
          });
    };
  }
  // Expires with the owner.
  [[nodiscard]] std::weak_ptr<int> guard() const { return alive_; }
  // Runs it soon, unless the owner is gone by then.
  template <class Work>
  void post(Work work) {
    executor_->post([alive = std::weak_ptr(alive_), work = std::move(work)]() mutable {
      if (alive.lock() != nullptr) work();
    });
  }

 private:
  Executor* executor_;
  std::shared_ptr<int> alive_;
};

}  // namespace bop::aof
