// The contract over stores that need no network: the simulated bucket without and with faults, the local
// directory on the simulated and on the real disk.
#include <unistd.h>

#include <filesystem>

#include "base/asio_executor.hpp"
#include "base/disk.hpp"
#include "objstore/directory_world.hpp"
#include "objstore/sim_object_store.hpp"
#include "objstore/store_contract.hpp"

namespace bop::objstore {
namespace {

TEST(Contract, SimulatedBucket) {
  SimBucket bucket(1);
  SimObjectStore store(bucket);
  check_contract(store, "");
  EXPECT_EQ(bucket.faults_struck(), 0U);
}

TEST(Contract, SimulatedBucketWithAPrefix) {
  SimBucket bucket(2);
  bucket.place("z", {});
  SimObjectStore store(bucket);
  check_contract(store, "deep/er/");
}

// Every tenth request meets a fault, by 60 seeds: nobody notices but by the time that it takes.
TEST(Contract, SimulatedBucketWithFaults) {
  std::uint64_t struck = 0;
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    SimBucketOptions options{.page = 3};
    options.faults_per_1000 = 100;
    if (seed % 2 == 0) options.part_bytes = 1U << 20U;
    // Late requests of unconditional puts may undo what came after them: docs/objstore.md. Not here.
    options.late = std::chrono::nanoseconds(1);
    SimBucket bucket(seed, options);
    SimObjectStore store(bucket);
    check_contract(store, "x/");
    struck += bucket.faults_struck();
    if (::testing::Test::HasFailure()) break;
  }
  EXPECT_GT(struck, 300U);
}

class PolledDirectory final : public ObjectStore {
 public:
  PolledDirectory(SimScheduler& world, Disk& disk) : world_(world), inner_(world, disk, "root") {}
  CallPtr put(std::string key, Body body, PutCondition condition, CallOptions options,
              Completion<ObjectMeta> done) override {
    return inner_.store().put(std::move(key), std::move(body), std::move(condition), options,
                              std::move(done));
  }
  CallPtr get(std::string key, std::optional<Range> range, CallOptions options,
              Completion<std::vector<std::byte>> done) override {
    return inner_.store().get(std::move(key), range, options, std::move(done));
  }
  CallPtr head(std::string key, CallOptions options, Completion<ObjectMeta> done) override {
    return inner_.store().head(std::move(key), options, std::move(done));
  }
  CallPtr list(std::string prefix, std::string start_after, CallOptions options,
               Completion<ListPage> done) override {
    return inner_.store().list(std::move(prefix), std::move(start_after), options, std::move(done));
  }
  CallPtr remove(std::string key, CallOptions options, Completion<std::monostate> done) override {
    return inner_.store().remove(std::move(key), options, std::move(done));
  }
  std::size_t poll() override { return world_.run_one() ? 1 : 0; }
  const std::string& name() const noexcept override { return name_; }

 private:
  SimScheduler& world_;
  SimDirectoryStore inner_;
  const std::string name_ = "file://root";
};

TEST(Contract, DirectoryOnTheSimulatedDisk) {
  SimScheduler world(3);
  SimDisk disk(3);
  PolledDirectory store(world, disk);
  check_contract(store, "");
}

TEST(Contract, DirectoryOnTheRealDisk) {
  const std::string root = ::testing::TempDir() + fmt::format("bop-objects-{}", ::getpid());
  std::filesystem::remove_all(root);
  auto disk = open_system_disk("pwritev");
  ASSERT_TRUE(disk.has_value());
  {
    AsioExecutor loop, first, second;
    auto files = ObjectDirectory::open(**disk, root, system_random());
    ASSERT_TRUE(files.has_value()) << files.error().what();
    RetryingStore store(
        std::make_shared<DirectoryStore>(std::move(*files), std::vector<Executor*>{&first, &second}), loop,
        system_clock(), system_random());
    loop.start();
    first.start();
    second.start();
    check_contract(store, "");
    EXPECT_EQ(store.name(), "file://" + root);
    first.stop();
    second.stop();
    loop.stop();
  }
  // Objects are plain files, and no temporary file is left.
  EXPECT_EQ(std::filesystem::file_size(root + "/l/b/1"), 5U);
  EXPECT_TRUE(std::filesystem::is_empty(root + "/.tmp"));
  std::filesystem::remove_all(root);
}

}  // namespace
}  // namespace bop::objstore
