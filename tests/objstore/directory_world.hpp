// A local directory store over a disk, in a simulated world or with threads; for tests.
#pragma once

#include <memory>
#include <string>

#include "base/sim.hpp"
#include "base/sim_disk.hpp"
#include "objstore/call_result.hpp"
#include "objstore/directory_store.hpp"
#include "objstore/retrying_store.hpp"

namespace bop::objstore {

// Over a simulated disk; poll() moves the world on.
class SimDirectoryStore final {
 public:
  SimDirectoryStore(SimScheduler& world, Disk& disk, const std::string& root)
      : world_(world), executor_(world), worker_(world) {
    auto files = ObjectDirectory::open(disk, root, world.random());
    if (!files) {
      failure_ = files.error();
      return;
    }
    store_ = std::make_unique<RetryingStore>(
        std::make_shared<DirectoryStore>(std::move(*files), std::vector<Executor*>{&worker_}), executor_,
        world.clock(), world.random());
  }
  [[nodiscard]] const std::optional<Error>& failure() const { return failure_; }
  RetryingStore& store() { return *store_; }
  // Runs the world until the answer is told.
  template <class T>
  Result<T> run(Answer<T>& answer) {
    EXPECT_TRUE(world_.run_until([&] { return answer.is_told(); }));
    return answer.value();
  }

 private:
  SimScheduler& world_;
  SimExecutor executor_, worker_;
  std::unique_ptr<RetryingStore> store_;
  std::optional<Error> failure_;
};

}  // namespace bop::objstore
