// The inside of a commit stream: segments, the queue of writes, and the rules by which they are submitted.
//
// States of a write, in the order of the queue: open (the newest, takes records) -> closed (full, or its
// segment is) -> submitted -> done -> acknowledged, when everything before it is, and gone. Submitting
// closes. A barrier (the header of a segment) is submitted alone: after all before it are acknowledged,
// before any behind it.
//
// A write is wanted from the first record on that somebody waits for, or that has waited as long as it may
// (FlushPolicy). An open write that is not wanted is not submitted; every other one is as soon as
// may_submit() lets it. So what is not on its way to the disk is in the open write, which bounds its size.
//
// A thread that runs a loop submits at the end of its turn (base/turn.hpp), so that the commits of a turn
// leave in one write; any other one at once. Whoever waits for durability submits what there is first.
//
// Locks: `maintenance_` (preparing, trimming, closing; held while waiting for the disk) is taken before
// `mutex_` (everything else; never held while waiting for the disk or calling out).
#pragma once

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "aof/block_buffer.hpp"
#include "aof/commit_stream.hpp"
#include "aof/record.hpp"
#include "aof/stream_files.hpp"
#include "base/turn.hpp"

namespace bop::aof {

// Where a reader may enter a segment.
struct EntryPoint {
  Lsn lsn;  // of the first entry behind `offset`
  std::uint64_t offset = 0;
  RecordLink before;  // last entry before `offset`
};

struct Segment {
  SegmentHeader header;
  std::string path;
  std::shared_ptr<File> file;     // for writing; only of the active segment
  std::uint64_t next_offset = 0;  // where the next write goes; the end of a segment that is read only
  std::uint64_t durable_end = 0;  // acknowledged bytes
  bool holds_heads = false;       // its heads record is durable
  std::vector<EntryPoint> entry_points;
  std::atomic<bool> trimmed{false};
};

struct Write {
  std::shared_ptr<Segment> segment;
  BlockBuffer buffer;
  std::uint64_t offset = 0;
  std::size_t used = 0;
  RecordLink before;  // last entry before the write
  Lsn last;           // newest entry once this write is acknowledged
  std::uint64_t unacknowledged = 0;
  std::int64_t first_append_ns = 0;
  std::int64_t submitted_ns = 0;
  bool barrier = false;
  bool closes_stream = false;
  bool done = false;
  FlushCause cause = FlushCause::kFull;  // of the submission
  bool wanted = false;
  std::uint64_t records = 0;
  // While it is open and not wanted: the number of records at which it is, and when it is.
  std::uint64_t most_records = UINT64_MAX;
  std::int64_t due_ns = INT64_MAX;
};

// The time of a call on the clock that only grows. It is asked for when it matters: that is a good part of
// what an append costs that nobody waits for.
class Moment {
 public:
  Moment(Clock& clock) : clock_(&clock) {}
  Moment(std::int64_t ns) : ns_(ns) {}
  [[nodiscard]] std::int64_t ns() const {
    if (clock_ != nullptr) ns_ = std::exchange(clock_, nullptr)->steady_ns();
    return ns_;
  }

 private:
  mutable Clock* clock_ = nullptr;
  mutable std::int64_t ns_ = 0;
};

// The part of a segment that appends leave free, for the mark at close.
inline constexpr std::uint64_t kCloseReserve = kDiskBlockBytes;
inline constexpr std::uint64_t kEntryPointBytes = 256U << 10U;
inline constexpr std::uint64_t kHardLimitFactor = 4;

class CommitStream::Core : public std::enable_shared_from_this<CommitStream::Core> {
 public:
  Core(Disk& disk, Clock& clock, Random& random, Options options);

  // stream_open.cpp
  [[nodiscard]] Status open();
  [[nodiscard]] Status open_codec();

  // stream_append.cpp
  [[nodiscard]] Result<Lsn> append(std::span<const RecordInput> batch);
  [[nodiscard]] Result<Lsn> append_encoded(std::span<const RecordInput> batch);

  // stream_commit.cpp
  void completed(const std::shared_ptr<Write>& write, Status status);
  [[nodiscard]] Status wait_durable(Lsn lsn);
  void want_durable(Lsn lsn);
  void flush_due();
  void detach();

  // stream_maintenance.cpp
  [[nodiscard]] Status maintain();
  [[nodiscard]] Status trim(Lsn below, bool is_short);
  [[nodiscard]] Status trim_segments(std::uint64_t up_to_number);
  void give_back_ballast();
  [[nodiscard]] Status close();

  // For the reader: the segment that holds `lsn` or would; nullptr when it was trimmed.
  struct ReadPlace {
    std::shared_ptr<Segment> segment;
    EntryPoint entry;
    std::uint64_t durable_end = 0;
    Lsn durable;                         // of the stream, at the same moment
    std::shared_ptr<Segment> following;  // of the segment, when there is one
  };
  [[nodiscard]] std::optional<ReadPlace> place_of(Lsn lsn);
  [[nodiscard]] ReadPlace place_after(const std::shared_ptr<Segment>& segment);
  [[nodiscard]] std::vector<EntryPoint> points_of(const Segment& segment);
  [[nodiscard]] std::vector<ReadPlace> places();  // of all segments, each at its begin

  // stream_tail.cpp: copies whole records from the writes that are still in memory.
  struct RecentPlace {
    std::shared_ptr<Segment> segment;
    std::uint64_t offset = 0;  // in it, of the next record
    RecordLink before;         // last entry before it
  };
  enum class Recent : std::uint8_t {
    kCopied,   // `place` is where the copy begins; nothing else was changed
    kNothing,  // `wanted` is not there yet
    kGone      // it is no longer in memory
  };
  [[nodiscard]] Recent copy_recent(Lsn wanted, bool up_to_durable, RecentPlace& place,
                                   std::vector<std::byte>& out);

  Disk& disk_;
  Clock& clock_;
  Random& random_;
  const Options options_;
  Recovered recovered_;
  std::shared_ptr<KeyRing> keys_;            // null without encryption
  std::unique_ptr<PayloadEncoder> encoder_;  // null where payloads are stored as they are given
  StreamMetrics metrics_;

  std::atomic<std::uint64_t> appended_{0};
  std::atomic<std::uint64_t> durable_{0};
  std::atomic<std::uint64_t> first_{1};
  std::atomic<std::uint64_t> term_{1};
  std::atomic<std::uint32_t> timeline_{1};

  std::mutex mutex_;
  std::vector<std::unique_ptr<std::move_only_function<void(Lsn)>>> subscribers_;
  std::vector<std::unique_ptr<std::move_only_function<void(const Error&)>>> failure_callbacks_;
  std::vector<std::unique_ptr<std::move_only_function<void()>>> room_callbacks_;
  std::move_only_function<void()> maintenance_callback_;
  std::move_only_function<void(std::chrono::nanoseconds)> delay_callback_;
  std::optional<Error> failure_;
  [[nodiscard]] Lsn newest_of(DatabaseId database) const {
    const auto found = heads_.find(database);
    return found == heads_.end() ? Lsn() : found->second.index;
  }
  [[nodiscard]] std::vector<SealedSegment> sealed(std::uint64_t above_number);
  [[nodiscard]] std::vector<DatabaseId> databases() const {
    std::vector<DatabaseId> all;
    for (const auto& [database, link] : heads_) all.push_back(database);
    return all;
  }
  [[nodiscard]] std::size_t segment_count() const noexcept { return segments_.size(); }
  [[nodiscard]] std::uint64_t retained_bytes() const {
    std::uint64_t bytes = 0;
    for (const auto& segment : segments_) bytes += segment->header.bytes;
    return bytes;
  }
  [[nodiscard]] LogSegments log_segments(std::size_t most) const;
  [[nodiscard]] std::uint64_t buffer_bytes() const noexcept {
    std::uint64_t bytes = 0;
    for (const BlockBuffer& buffer : spare_buffers_) bytes += buffer.capacity();
    for (const auto& write : recent_) bytes += write->buffer.capacity();
    for (const auto& write : queue_) bytes += write->buffer.capacity();
    return bytes;
  }
  [[nodiscard]] bool disk_full() const noexcept { return disk_full_; }
  [[nodiscard]] std::uint64_t max_batch_bytes() const noexcept {
    return std::min(options_.max_batch_bytes, options_.segment_bytes / 2);
  }

 private:
  using Submits = std::vector<std::shared_ptr<Write>>;

  // stream_append.cpp; with mutex_ held.
  [[nodiscard]] Status admit(std::uint64_t bytes) const;
  [[nodiscard]] bool fits(std::uint64_t bytes) const;
  [[nodiscard]] std::uint64_t heads_bytes() const noexcept;
  void rotate(const Moment& now);
  void begin_write(std::uint64_t bytes, const Moment& now);
  void encode(const RecordInput& record, std::uint32_t batch_remaining);
  void put_mark(RecordKind kind, std::span<const std::byte> payload);
  void set_active(std::shared_ptr<Segment> segment);
  [[nodiscard]] BlockBuffer take_buffer(std::uint64_t bytes);
  // Kept for reuse until the stream is at rest: a burst that gets new memory pays for its pages.
  [[nodiscard]] std::size_t most_spare_buffers() const noexcept {
    return std::max<std::size_t>(options_.max_in_flight + 2,
                                 options_.max_unacknowledged / 4 / options_.write_bytes);
  }

  // stream_commit.cpp; with mutex_ held but for submit() and notify().
  void close_write();
  void want_write(Write& write, FlushCause cause);
  void note_flush(const FlushPolicy& policy, const Moment& now);
  [[nodiscard]] std::optional<std::chrono::nanoseconds> next_delay(const Moment& now);
  [[nodiscard]] bool may_submit(const Moment& now) const;
  void observe_write(std::int64_t ns);
  void count_flush(const Write& write);
  void collect_submits(Submits& submits, const Moment& now);
  void submit(const Submits& submits);
  void ask_for_end(Turn& turn);
  void end_of_turn();
  void acknowledge(std::int64_t now_ns);
  void notify();
  void push_mark_write(bool closes_stream);

  // stream_maintenance.cpp; with maintenance_ held.
  [[nodiscard]] Status prepare();
  [[nodiscard]] Status renew_key();
  [[nodiscard]] Status check_space(std::uint64_t ballast);
  [[nodiscard]] Result<std::shared_ptr<Segment>> create_segment_file();
  [[nodiscard]] Status activate(const std::shared_ptr<Segment>& segment);
  [[nodiscard]] bool others_hold_heads() const;
  [[nodiscard]] std::uint64_t bytes_behind_oldest() const;  // with mutex_ held, too
  // Removes the oldest segment as long as `goes` says so of it and of the one behind it (called with mutex_).
  template <class Goes>
  [[nodiscard]] Status trim_while(Goes goes);
  void release_ballast();
  void fill_ballast();
  [[nodiscard]] Status find_ballast();
  [[nodiscard]] std::string ballast_path() const { return options_.directory + "/ballast"; }

  std::mutex maintenance_;
  std::unique_ptr<DiskLock> lock_;
  std::uint64_t next_number_ = 1;
  std::uint64_t previous_number_ = 0;  // of the newest segment in the chain
  bool ballast_held_ = false;
  std::uint64_t appended_at_last_maintain_ = 0;
  std::string obsolete_path_;  // a segment without records, removed once its successor is durable

  std::vector<std::shared_ptr<Segment>>
      segments_;  // the chain, oldest first; back() is active_ when there is one
  std::shared_ptr<Segment> active_;
  std::uint64_t active_key_ = 0;   // its record_key()
  std::shared_ptr<Segment> next_;  // prepared, without a header
  bool disk_full_ = false;
  bool fence_is_late_ = false;  // disk_full_ says no more than that nothing is prepared
  bool maintenance_wanted_ = false;
  bool closed_ = false;
  bool closed_on_disk_ = false;  // the newest write says so

  std::deque<std::shared_ptr<Write>> queue_;  // not acknowledged, oldest first
  std::shared_ptr<Write> open_;               // queue_.back() while it takes records
  std::size_t submitted_ = 0;                 // of the queue, from the front
  std::size_t in_flight_ = 0;
  bool barrier_in_flight_ = false;
  std::int64_t last_write_ns_ = 0;
  std::int64_t average_write_ns_ = 0;
  std::int64_t best_write_ns_ = 0;
  std::size_t overlap_ = 1;  // small writes in flight at once
  std::vector<BlockBuffer> spare_buffers_;
  std::deque<std::shared_ptr<Write>>
      recent_;  // the newest that are acknowledged: readers at the tail find them

  RecordLink last_;
  DatabaseHeads heads_;
  std::int64_t last_timestamp_us_ = 0;
  std::atomic<std::uint64_t> unacknowledged_{0};  // written with mutex_ held
  std::atomic<std::uint64_t> on_its_way_{0};      // newest entry that is not in an open write nobody wants
  std::int64_t told_due_ns_ = INT64_MAX;          // for which the delay callback was called
  bool over_limit_ = false;
  Lsn persisted_watermark_;

  // Of wait_durable().
  std::size_t waiting_ = 0;
  bool driving_ = false;
  std::condition_variable progress_;

  // Callbacks are run by one thread at a time; who finds another one at it leaves the rest to that one.
  bool notifying_ = false;
  bool detached_ = false;
  std::thread::id notifier_;
  std::condition_variable notified_;
  std::uint64_t notified_lsn_ = 0;
  bool failure_pending_ = false;
  bool room_pending_ = false;

  friend class CommitStream;
};

}  // namespace bop::aof
