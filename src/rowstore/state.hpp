// What a RowStore consists of. Shared with checkpoints on their way, which find `closed` when they wake up
// late.
#pragma once

#include <atomic>
#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "rowstore/instance.hpp"
#include "rowstore/manifest.hpp"
#include "rowstore/page_applier.hpp"
#include "rowstore/row_store.hpp"

namespace bop::rowstore {

struct RowStore::State : std::enable_shared_from_this<RowStore::State> {
  State(RowStoreOptions o, database::Database& d, std::string dir)
      : options(std::move(o)), database(d), directory(std::move(dir)) {}

  const RowStoreOptions options;
  database::Database& database;
  const std::string directory;

  // Held by whoever changes files or replaces the instance: a step of a checkpoint, recovery, close, verify.
  // Taken before `mutex`.
  std::mutex files_mutex;
  bool closed = false;
  Manifest manifest;
  std::shared_ptr<PageFile> file;        // recovery's, then the instance's
  std::unique_ptr<PageApplier> applier;  // during recovery
  std::unique_ptr<Connection> pin, backfill;

  mutable std::mutex mutex;           // all below
  std::optional<Error> sync_failure;  // of file or manifest, for good: nothing is written any more
  std::shared_ptr<Instance> instance;
  std::unique_ptr<Connection> writer;
  std::vector<std::unique_ptr<Connection>>
      retired;  // writers of discarded instances, perhaps still in a caller's hand
  std::vector<std::unique_ptr<Connection>> idle;
  std::size_t lent = 0;
  struct Waiter {
    ReaderTicket ticket = 0;
    Executor* executor = nullptr;
    ReaderRequest request;
    std::int64_t since_ns = 0;
    Lend lend;
  };
  struct IdleHolder {
    std::uint64_t number = 0;  // no other spell of idleness has it
    Executor* executor = nullptr;
    std::move_only_function<void()> evict;
    std::int64_t since_ns = 0;
    bool watched = false;  // its timer runs
  };
  ReaderTicket next_ticket = 1;
  std::uint64_t next_holder = 1;
  std::map<const Connection*, IdleHolder> idle_holders;
  std::chrono::nanoseconds idle_limit = std::chrono::seconds(10);
  std::deque<Waiter> waiting;
  bool retreating = false;       // between the halves of a retreat: readers wait
  std::shared_ptr<Run> running;  // the checkpoint
  std::uint64_t backfilled_generation = 0;
  std::uint32_t backfilled_frames = 0;
  std::uint64_t checkpoints = 0;

  std::atomic<std::uint64_t> base{0};
  std::atomic<bool> rewinding{false};

  [[nodiscard]] std::shared_ptr<Instance> current() const {
    std::lock_guard lock(mutex);
    return instance;
  }
};

// One run of a checkpoint and everybody who waits for it.
struct RowStore::Run {
  Executor* background = nullptr;
  std::vector<Done> done;
  Capture::Marker marker;
  Csn pinned;
  std::shared_ptr<Instance> instance;
  std::vector<database::SequenceState> sequences;
  database::WriterLane::Ticket lane = 0;  // held while the WAL is emptied
  // Under the mutex:
  database::WriterLane::Ticket lane_wait = 0;
  bool beside_writer = false;  // does not wait for the lane
};

}  // namespace bop::rowstore
