// The inside of Aof (bop/aof.hpp): a commit stream with records of one database, and the threads that a node
// would give it.
//
// One loop runs the disk's completions, the timers and the callbacks of users. What waits for the disk
// (preparing segments, trimming) hands the loop's thread off first. A producer that is alone makes its write
// in its own thread; otherwise records gather behind the write that is under way.
//
// Locks: none is held while calling out. `reads_mutex_` guards remembered places, `growth_mutex_` only wakes,
// `samples_mutex_` what the last second was; each is taken alone.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <bop/aof.hpp>

#include "aof/commit_stream.hpp"
#include "aof/durable_waiters.hpp"
#include "aof/producer_table.hpp"
#include "aof/segment_age.hpp"
#include "base/asio_executor.hpp"
#include "base/disk.hpp"

namespace bop::aof {

// Of the records of a log that is used as a library, and of the states of its producers. A node's databases
// have small numbers, so that neither takes the log of the other for its own.
inline constexpr DatabaseId kLibraryRecords{0xa0f00001};
inline constexpr DatabaseId kLibraryStates{0xa0f00002};

class Aof::Impl : public std::enable_shared_from_this<Aof::Impl> {
 public:
  explicit Impl(AofConfig config);
  ~Impl();

  [[nodiscard]] Status open();
  [[nodiscard]] Status close();

  // kObjectInUse in a callback.
  [[nodiscard]] Status check_may_wait() const;

  // aof_appends.cpp
  [[nodiscard]] Result<Lsn> append(std::span<const RecordInput> batch);
  [[nodiscard]] Result<Lsn> append_numbered(const RecordInput& record);
  // Waits for room, and until the record is durable.
  [[nodiscard]] Result<Lsn> append_durable(const RecordInput& record);
  [[nodiscard]] Status wait_durable(Lsn lsn);
  void on_durable(Lsn lsn, DurableWaiters::Callback done);
  [[nodiscard]] Status wait_for_room(std::chrono::nanoseconds most);
  [[nodiscard]] Backpressure backpressure() const;
  [[nodiscard]] FlushPolicy policy() const;

  // aof_reads.cpp
  [[nodiscard]] Result<AofRecordCopy> read(Lsn lsn);
  [[nodiscard]] Result<std::unique_ptr<Reader>> reader(const AofReadOptions& options);
  // Waits until something behind `seen` may be read, or so long.
  [[nodiscard]] bool is_closed() const noexcept { return closing_; }
  void wait_growth(ReadUpTo up_to, Lsn seen, std::int64_t until_ns);

  // aof_maintenance.cpp
  [[nodiscard]] Status trim(Lsn below);
  [[nodiscard]] AofMetrics metrics() const;

  const AofConfig config_;
  AofRecovery recovery_;
  std::unique_ptr<Disk> disk_;
  std::unique_ptr<AsioExecutor> loop_;
  std::unique_ptr<CommitStream> stream_;
  std::unique_ptr<Producers> producers_;

 private:
  void watch_stream();
  void tick();
  void post_maintenance();
  void maintain();
  [[nodiscard]] Status retain();
  void sample();
  void grew();
  [[nodiscard]] std::unique_ptr<Reader> take_place(Lsn lsn);

  DurableWaiters waiters_;
  std::atomic<unsigned> waiting_appends_{0};

  std::mutex growth_mutex_;
  std::condition_variable growth_;
  std::atomic<unsigned> growth_waiters_{0};

  struct Place {
    Lsn next;
    std::unique_ptr<Reader> reader;
  };
  std::mutex reads_mutex_;
  std::deque<Place> places_;  // the one used last in front

  std::atomic<bool> maintaining_{false};
  std::atomic<bool> closing_{false};
  std::optional<SegmentAge> ages_;  // of the maintenance

  mutable std::mutex samples_mutex_;
  struct Sample {
    std::int64_t at_ns = 0;
    std::uint64_t records = 0;
    std::uint64_t bytes = 0;
  };
  Sample last_sample_;
  std::uint64_t records_per_second_ = 0;
  std::uint64_t bytes_per_second_ = 0;

  std::mutex close_mutex_;
  std::optional<Status> closed_;

  mutable std::atomic<std::uint64_t> reads_{0};
  std::atomic<std::uint64_t> hits_{0};
  std::atomic<std::uint64_t> misses_{0};
  std::atomic<std::uint64_t> repeats_{0};
  std::atomic<std::uint64_t> refusals_{0};
};

}  // namespace bop::aof
