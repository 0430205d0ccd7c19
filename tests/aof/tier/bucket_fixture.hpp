// One process that archives: its disk, its manifest, its writer.
#pragma once

#include "aof/tier/archiver.hpp"
#include "aof/tier/made_segments.hpp"
#include "aof/tier/orphans.hpp"
#include "aof/tier/stray_store.hpp"

namespace bop::aof::test {

inline constexpr const char* kPrefix = "p";

// Tasks in order, run when the test says so.
class QueueExecutor final : public Executor {
 public:
  void post(Task task) override { tasks.push_back(std::move(task)); }
  TimerId post_after(std::chrono::nanoseconds, Task) override { return 0; }
  bool cancel(TimerId) override { return false; }
  [[nodiscard]] bool is_current() const noexcept override { return true; }
  bool hand_off() override { return false; }
  bool run_one() {
    if (tasks.empty()) return false;
    const auto task = std::make_shared<Task>(std::move(tasks.front()));
    tasks.pop_front();
    (*task)();
    return true;
  }
  std::deque<Task> tasks;
};

// Lives on a disk of its own, which outlasts its ends.
class Process {
 public:
  Process(StrayBucket& bucket, SimDisk& disk, const StreamIdentity& identity, std::uint64_t writer,
          ArchiverOptions options = quick_options())
      : disk_(disk), store(std::make_unique<StrayStore>(bucket)), names(kPrefix, identity) {
    auto opened = Manifest::open(disk, "/log", identity, {.least_bytes = 65536});
    if (!opened.has_value())
      opened = Manifest::create(disk, "/log", ManifestState(identity), {.least_bytes = 65536});
    EXPECT_TRUE(ok(opened));
    manifest = std::move(*opened);
    WriterId id{};
    std::memcpy(id.data(), &writer, sizeof writer);
    writer_ = std::make_unique<RegisterWriter>(*store, executor, names, identity, id);
    archiver = std::make_unique<Archiver>(disk, "/log", *manifest, *store, *writer_, names, clock_, executor,
                                          std::move(options));
    collection = std::make_unique<OrphanCollection>(*store, *writer_, names, executor, 2);
  }

  static ArchiverOptions quick_options() {
    ArchiverOptions options;
    options.publish_bytes = 3 * 8192;
    options.range_bytes = 700;
    options.compression.level = 1;
    options.compression.frame_bytes = kLeastFrameBytes;
    return options;
  }

  void start(std::optional<SegmentHeader> active = std::nullopt) {
    archiver->start(std::move(active), [this](Status status) { started = std::move(status); });
  }
  // One thing that is ready; false when there is none.
  bool step(SimRandom& dice) {
    const bool task_first = dice.chance(1, 2);
    if (task_first && executor.run_one()) return true;
    if (store->poll() != 0) return true;
    return executor.run_one();
  }
  void settle(SimRandom& dice) {
    while (step(dice)) {
    }
  }
  Status seal(const MadeSegment& made) {
    BOP_TRY(put_segment(disk_, "/log", made));
    BOP_TRY(manifest->append(FinalizedRecord{made.facts}));
    archiver->poke();
    return {};
  }
  [[nodiscard]] RegisterWriter& writer() { return *writer_; }

 private:
  SimDisk& disk_;
  SimClock clock_;

 public:
  QueueExecutor executor;
  std::unique_ptr<StrayStore> store;
  BucketNames names;
  std::unique_ptr<Manifest> manifest;
  std::optional<Status> started;

 private:
  std::unique_ptr<RegisterWriter> writer_;

 public:
  std::unique_ptr<Archiver> archiver;
  std::unique_ptr<OrphanCollection> collection;
};

inline std::vector<std::string> segment_names(const StrayBucket& bucket, const BucketNames& names) {
  std::vector<std::string> out;
  for (const auto& [key, object] : bucket.objects) {
    if (key.starts_with(names.segments())) out.push_back(key);
  }
  return out;
}
inline Result<BucketRegister> register_in(const StrayBucket& bucket, const BucketNames& names,
                                          const StreamIdentity& identity) {
  const auto found = bucket.objects.find(names.register_name());
  if (found == bucket.objects.end()) return fail(ErrorCode::kObjectNotFound, "no register");
  return decode_register(found->second.bytes, identity, "test");
}

}  // namespace bop::aof::test
