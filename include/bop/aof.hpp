// A durable append-only log in a directory, as a library: find_package(bop), target bop::aof.
//
//   auto log = bop::aof::Aof::open({.directory = "/var/lib/events"});
//   if (!log) return complain(log.error().what());
//   auto id = (*log)->append_durable(bytes);            // on disk when this returns
//   auto reader = (*log)->reader({.from_id = *id});
//   while (auto record = (*reader)->next()) { ... }
//
// Words. A record has an *id*, which grows with each record; ids are not consecutive (the log numbers records
// of its own, too). *Appended*: ordered, and visible to volatile readers. *Durable*: on the disk, with
// everything before it; a power cut does not take it back. docs/aof.md has the promises and figures,
// docs/formats.md the bytes.
//
// When a record is durable, by flush strategy. In every strategy a record may be durable earlier, flush() and
// append_durable() write what they wait for at once, and an acknowledgement (append_durable(), a callback, a
// future) is given when the record is durable and never before:
//
//   kSync                a write begins with the append, or with the end of the write that is under way
//   kAsync               the same; who does not ask for an acknowledgement never waits for it
//   kBatched             once `batch_size` records have gathered
//   kPeriodic            once the oldest record has waited `interval_ms`
//   kBatchedOrPeriodic   whichever comes first
//
// Threads. All calls of Aof may overlap; an AofReader belongs to one thread at a time. The library has one
// thread for timers, completions and callbacks, one more while it prepares or deletes a segment, one that
// watches the first, and one for each durable write under way (`max_in_flight` at most, 16).
//
// Errors are values (bop/error.hpp): Result<T> is std::expected<T, Error>.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <bop/error.hpp>
#include <bop/flush.hpp>

namespace bop::aof {

using RecordId = std::uint64_t;

struct AofConfig {
  std::string directory;  // made when it is not there; of one process at a time

  std::uint64_t segment_size = 64U << 20U;  // of one file; a multiple of 4096, at least 64 KiB, at most 4 GiB
  FlushStrategy flush_strategy = FlushStrategy::kSync;
  std::uint32_t batch_size = 100;       // of kBatched and kBatchedOrPeriodic: 1 to 1,000,000
  std::uint64_t interval_ms = 100;      // of kPeriodic and kBatchedOrPeriodic: 1 to 3,600,000
  std::size_t segment_cache_size = 16;  // places in the log that read() remembers (256 KiB each); 0 to 1024

  bool pre_allocate_enabled = true;     // else the append that fills a segment prepares the next one itself
  double pre_allocate_threshold = 0.8;  // share of a segment in use at which the next is prepared, in (0, 1)

  // What is kept. A segment goes when all of its records may go. At least one is always kept, and what is
  // deleted is never younger than the time to live: how old a record is, is measured by a clock that cannot
  // be set, not by the wall clock, and time in which no process had the log open counts at most a day.
  std::optional<std::uint64_t> ttl_seconds = std::nullopt;  // records older than this are deleted
  std::optional<std::uint64_t> retention_bytes =
      std::nullopt;  // the oldest are deleted beyond it; at least 2 segments

  // Bytes that are appended and not durable; beyond it append() answers kInsufficientResources
  // (Aof::backpressure(), Aof::wait_for_room()) and append_durable() waits.
  std::uint64_t max_unacknowledged = 64U << 20U;
  std::size_t max_in_flight = 16;        // durable writes at once, 1 to 16; the number in use adapts below it
  std::size_t write_size = 256U << 10U;  // records are gathered into writes of about this size
  std::uint64_t ballast_bytes = 0;       // kept in a file and given back when the disk is full

  // Producers whose sequence numbers are remembered, so that a repeated append is not stored twice.
  std::uint32_t max_producers = 256;

  std::string disk = "auto";  // "pwritev", "io_uring" or "auto"
  // What the library writes to standard error, of all logs of the process: "debug", "info", "warning",
  // "error". Empty: left as it is.
  std::string log_level = "warning";

  // Payloads of 256 bytes or more are compressed (zstd) where that makes them smaller. What is there already
  // is read whatever is set here.
  bool enable_compression = false;
  int compression_level = 1;  // 1 to 19

  // Payloads are encrypted (AES-256-GCM) under data keys, which the log makes, keeps wrapped, and replaces by
  // age. `encryption_keys` names the keys that wrap them: a file, or `env:NAME` for a variable of the
  // environment; one key a line, 64 hexadecimal digits, the first wraps and all unwrap. They are needed as
  // long as encrypted records are read.
  bool enable_encryption = false;
  std::string encryption_keys = {};
  std::uint64_t encryption_key_lifetime_seconds = 0;  // of a data key; 0: as long as the log

  // Of the specification and not built yet: open() answers kNotImplemented and names the first one in use.
  std::string index_path = {};
  bool archive_enabled = false;
  int archive_compression_level = 3;                 // 1 to 19
  std::uint64_t archive_threshold = 10;              // segments kept before the oldest is archived
  std::uint64_t archive_backpressure_segments = 64;  // appends wait beyond so many segments not archived,
  std::uint64_t archive_backpressure_bytes = 4ULL << 30U;  // or so many bytes

  // kConfigInvalid naming option, value and limit; kNotImplemented as above.
  [[nodiscard]] Status validate() const;
};

// `payload` is valid until the next call of the reader that gave it.
struct AofRecord {
  RecordId id = 0;
  std::int64_t timestamp_us = 0;  // since the Unix epoch; never below that of the record before
  std::uint64_t producer = 0;     // 0: none
  std::uint64_t sequence = 0;
  std::uint32_t batch_remaining = 0;  // records of the same atomic batch that follow
  std::span<const std::byte> payload;
};

// A record with bytes of its own.
struct AofRecordCopy {
  RecordId id = 0;
  std::int64_t timestamp_us = 0;
  std::uint64_t producer = 0;
  std::uint64_t sequence = 0;
  std::vector<std::byte> payload;
};

// What holds appends up, and what its end depends on.
enum class BackpressureKind : std::uint8_t {
  kNone,
  kWriteQueue,  // max_unacknowledged bytes wait for the disk: until some are durable
  kDiskFull     // no room for another segment: until space is free; asked for again once a second
};
struct Backpressure {
  BackpressureKind kind = BackpressureKind::kNone;
  std::uint64_t held = 0;     // bytes that wait (kWriteQueue), bytes of the log (kDiskFull)
  std::uint64_t limit = 0;    // of kWriteQueue
  std::string_view wait_for;  // in words
};
// The kind that an error of append() tells.
[[nodiscard]] BackpressureKind backpressure_of(const Error& error) noexcept;

struct AofReadOptions {
  enum class Direction : std::uint8_t { kForward, kBackward };
  enum class Tail : std::uint8_t {
    kDurable,  // records appear when they are durable
    kVolatile  // records appear when they are appended; a power cut may take back what was read. Forward
               // only.
  };
  // Where it begins: with this record, or the first one after it (before it, backward). Without either: with
  // the oldest record (the newest durable one, backward).
  std::optional<RecordId> from_id = std::nullopt;
  // With the first record of this time or later (backward: the last one of this time or earlier).
  std::optional<std::int64_t> from_time_us = std::nullopt;
  Direction direction = Direction::kForward;
  Tail tail = Tail::kDurable;
};

// Follows the log, verifying every record: checksum, id and chain. Holds one window of memory and no lock;
// segments that are deleted under it answer kNotInPrerequisiteState with the oldest id that is left. The
// first error ends it: kCorrupt naming file and offset, kIo. One thread at a time; may outlive its Aof, then
// it sees nothing new.
class AofReader {
 public:
  ~AofReader();
  AofReader(const AofReader&) = delete;
  AofReader& operator=(const AofReader&) = delete;

  // The next record, or nothing at the end: call again later. Never waits for appends.
  [[nodiscard]] Result<std::optional<AofRecord>> next();
  // Waits for the next record so long at most. Forward only.
  [[nodiscard]] Result<std::optional<AofRecord>> next_within(std::chrono::nanoseconds most);

 private:
  friend class Aof;
  class Impl;
  explicit AofReader(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Upper bounds of shares of what was recorded, exact to 1.6 %.
struct AofPercentiles {
  std::uint64_t count = 0;
  std::uint64_t p50 = 0, p90 = 0, p95 = 0, p99 = 0, p999 = 0, max = 0;
};

// A flush is one durable write of records. Since open().
struct AofFlushMetrics {
  std::uint64_t total_flushes = 0;  // begun; the causes below add up to it
  std::uint64_t successful_flushes = 0;
  std::uint64_t failed_flushes = 0;
  std::uint64_t sync_flushes = 0;      // a record of kSync
  std::uint64_t async_flushes = 0;     // a record of kAsync
  std::uint64_t batched_flushes = 0;   // enough records had gathered
  std::uint64_t periodic_flushes = 0;  // the oldest had waited long enough
  std::uint64_t forced_flushes = 0;    // flush(), append_durable() or another wait for what might have waited
  std::uint64_t full_flushes = 0;      // the buffer or the segment was full
  std::uint64_t total_records_flushed = 0;
  std::uint64_t total_bytes_flushed = 0;  // with headers and padding
  std::uint64_t pending_records = 0;
  std::uint64_t pending_bytes = 0;
  std::uint64_t total_flush_time_us = 0;
  AofPercentiles flush_latency_ns;
  AofPercentiles records_per_flush;
  AofPercentiles bytes_per_flush;
  std::uint64_t records_per_second = 0;  // over the last second or so
  std::uint64_t bytes_per_second = 0;
  std::uint64_t average_record_size = 0;  // of payloads as stored, to a multiple of 8
  [[nodiscard]] double success_rate() const noexcept {
    const std::uint64_t ended = successful_flushes + failed_flushes;
    return ended == 0 ? 1.0 : static_cast<double>(successful_flushes) / static_cast<double>(ended);
  }
};

struct AofMetrics {
  std::uint64_t total_appends = 0;     // records
  std::uint64_t repeated_appends = 0;  // of producers; answered with the first one's id
  std::uint64_t total_reads = 0;       // read()
  std::uint64_t cache_hits = 0;        // reads that went on from a remembered place
  std::uint64_t cache_misses = 0;
  std::uint64_t refused_appends = 0;  // by back-pressure
  std::uint64_t segments = 0;
  std::uint64_t segments_created = 0;  // since open()
  std::uint64_t segments_deleted = 0;
  std::uint64_t bytes = 0;              // of all segments
  AofPercentiles append_to_durable_ns;  // from the first append of a write to its acknowledgement
  AofFlushMetrics flush;
};

// What open() found.
struct AofRecovery {
  bool created = false;
  bool clean = false;  // closed in order
  RecordId first = 0;
  RecordId last = 0;
  std::uint64_t discarded_bytes = 0;  // behind the end of the log; never acknowledged
  std::string verdict;                // one sentence
};

class Aof {
 public:
  // Recovers what is there: everything that was ever acknowledged, in order, and nothing behind a gap.
  // Errors: kConfigInvalid, kNotImplemented, kLocked, kCorrupt, kFormatTooNew, kIo.
  [[nodiscard]] static Result<std::unique_ptr<Aof>> open(AofConfig config);
  // As close(), whose status is lost.
  ~Aof();
  Aof(const Aof&) = delete;
  Aof& operator=(const Aof&) = delete;

  [[nodiscard]] const AofRecovery& recovery() const noexcept;

  // Appends a copy of `payload`; answers before it is durable. Errors, all before any effect:
  // kInsufficientResources and kDiskFull (backpressure_of()), kTransactionTooLarge, kPoisoned (a durable
  // write has failed; reads go on), kAdminShutdown (closed).
  [[nodiscard]] Result<RecordId> append(std::span<const std::byte> payload);
  [[nodiscard]] Result<RecordId> append(std::string_view payload);
  // All or none of them, also after a crash, with ids that follow each other; answers the last one's.
  [[nodiscard]] Result<RecordId> append_batch(std::span<const std::span<const std::byte>> payloads);

  // With the numbers of a producer, not 0, whose sequence grows with each of its records. A number that was
  // stored before is not stored again and answers the first one's id; of each producer the newest 16 numbers
  // are remembered, over restarts. Errors as append(), and kInvalidArgument: a number below the newest that
  // is not remembered; kConfigurationLimitExceeded: max_producers are known (forget_producer(), which a crash
  // soon after may undo).
  [[nodiscard]] Result<RecordId> append(std::uint64_t producer, std::uint64_t sequence,
                                        std::span<const std::byte> payload);
  [[nodiscard]] Result<RecordId> append_durable(std::uint64_t producer, std::uint64_t sequence,
                                                std::span<const std::byte> payload);
  // The newest number of a producer; nothing when it is not known.
  [[nodiscard]] std::optional<std::uint64_t> newest_sequence(std::uint64_t producer) const;
  void forget_producer(std::uint64_t producer);

  // append() and wait until it is durable. Waits for room, too, but not on a full disk. Not from a callback.
  [[nodiscard]] Result<RecordId> append_durable(std::span<const std::byte> payload);
  [[nodiscard]] Result<RecordId> append_durable(std::string_view payload);

  // `done` runs once, when the record is durable or its write has failed; in the order of the ids, on the
  // thread of the library, on that of a producer whose append_durable() has made the write, or, if that is
  // known already, in this call. It may append; what would wait for the log answers kObjectInUse there.
  void append_async(std::span<const std::byte> payload, std::move_only_function<void(Result<RecordId>)> done);
  [[nodiscard]] std::future<Result<RecordId>> append_future(std::span<const std::byte> payload);
  void on_durable(RecordId id, std::move_only_function<void(Status)> done);

  // Makes everything appended so far durable.
  [[nodiscard]] Status flush();
  [[nodiscard]] Status wait_durable(RecordId id);

  [[nodiscard]] RecordId first() const noexcept;     // the oldest that may still be there
  [[nodiscard]] RecordId appended() const noexcept;  // the newest; 0 in a new log
  [[nodiscard]] RecordId durable() const noexcept;   // this one and all before it are durable

  // The record with this id, which is durable; kNotInPrerequisiteState when it is not (any more, or yet),
  // kInvalidArgument when no record of the user has it.
  [[nodiscard]] Result<AofRecordCopy> read(RecordId id);
  [[nodiscard]] Result<std::unique_ptr<AofReader>> reader(const AofReadOptions& options = {});

  [[nodiscard]] Backpressure backpressure() const;
  // Waits so long at most until append() is not refused for want of room. kInsufficientResources or kDiskFull
  // when it still is.
  [[nodiscard]] Status wait_for_room(std::chrono::nanoseconds most);

  // Deletes whole segments that hold only records with a lower id.
  [[nodiscard]] Status trim(RecordId below);

  [[nodiscard]] AofMetrics metrics() const;

  // Makes everything durable, marks the end as clean, releases the directory. Appends answer kAdminShutdown
  // from then on; callbacks have run when it returns. The first error that the log has met, if there was one.
  [[nodiscard]] Status close();

  class Impl;

 private:
  explicit Aof(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;  // shared with readers
};

}  // namespace bop::aof
