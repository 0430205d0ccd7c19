// The commit stream: one durable log of the records of all databases of a node.
//
// Formats: record.hpp, segment_header.hpp. Recovery: recovery_table.hpp. Why it is so: DESIGN.md beside this
// file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <bop/flush.hpp>

#include "aof/payload_codec.hpp"
#include "aof/reader.hpp"
#include "aof/record_kind.hpp"
#include "aof/segment_header.hpp"
#include "aof/stream_metrics.hpp"
#include "base/disk.hpp"
#include "base/error.hpp"
#include "base/ids.hpp"
#include "base/time.hpp"

namespace bop::aof {

struct Options {
  std::string directory;
  std::uint64_t segment_bytes = 64U << 20U;    // of one file; a multiple of kDiskBlockBytes, at least 64 KiB
  std::size_t max_in_flight = 16;              // durable writes at once; the number in use adapts below it
  std::size_t write_bytes = 256U << 10U;       // records are gathered into writes of about this size
  std::uint64_t max_batch_bytes = 16U << 20U;  // of one append(); also bounded by half of a segment
  std::uint64_t max_unacknowledged = 64U
                                     << 20U;  // bytes appended and not durable, beyond it must_wait() is true
  // Bytes of this disk that others will need to take in what the log holds; a segment is prepared only when
  // they stay free. Called from append() and maintain(), with locks of the stream held: it must not call
  // back. Empty: 0.
  std::function<std::uint64_t()> reserved_bytes;
  // A log that was not closed in order goes on in a new segment. With this, open() leaves making it to the
  // first maintain(), which the owner calls once reserved_bytes() knows what it is asked; until then append()
  // answers kDiskFull. Without it every start would take a segment of the room that it needs itself.
  bool late_fence = false;
  std::uint64_t ballast_bytes = 0;         // kept in a file and given back when the disk is full; 0 = none
  std::uint64_t retain_bytes = 0;          // trim() leaves at least so many, unless the disk is full
  std::optional<StreamIdentity> identity;  // of a new stream; random when absent. An old one must match.
  bool must_exist = false;                 // kCorrupt instead of a new stream where there is none
  CodecOptions codec;                      // compression and encryption of payloads; neither
  double prepare_at = 0.8;  // share of the segment in use at which maintain() prepares the next
};

// One record to append. The payload is gathered from `payload` in order.
struct RecordInput {
  DatabaseId database;
  RecordKind kind = RecordKind::kNoop;  // an entry, never a mark
  std::uint16_t flags = 0;              // belong to the owner of the kind
  std::uint64_t producer = 0;           // 0 = none
  std::uint64_t sequence = 0;
  std::span<const std::span<const std::byte>> payload;
  FlushPolicy flush;  // how long it may wait for its write; a batch goes out whole
  // Bits of the record's header when the payload is encoded already (payload_codec.hpp), as it is when a
  // record moves from another stream with the same data keys; otherwise 0, and the stream encodes it by its
  // options.
  std::uint8_t encoding = 0;
};

// What open() found.
struct Recovered {
  StreamIdentity identity{};
  Timeline timeline;                   // of everything appended from now on
  Term last_term;                      // of the newest record, 0 when there is none
  std::int64_t last_timestamp_us = 0;  // no record has a later one
  Lsn first;                           // oldest record that can be read; last.next() when the stream is empty
  Lsn last;                            // newest record; Lsn(0) in a new stream
  bool created = false;                // the directory held no log
  bool clean = false;                  // the log was closed in order
  std::uint64_t discarded_bytes = 0;   // never acknowledged: a torn tail, or records behind a hole
  std::uint64_t discarded_records = 0;  // whole records among them
  std::uint64_t skipped_fillers = 0;    // damaged padding between two records that chain
  std::string verdict;                  // one sentence for the log of the node
};

// A segment that no record is appended to any more, the first write of its successor durable: what is known
// of it now is known of it for ever.
struct SealedSegment {
  std::string path;
  SegmentHeader header;
  RecordLink last;     // the last entry that counts, as the successor names it
  Timeline successor;  // the successor's
};

// How far a reader sees.
enum class ReadUpTo : std::uint8_t {
  kDurable,
  kAppended  // also what a power cut may take back
};

// The log's files, for who looks at them from outside.
struct LogSegments {
  struct One {
    std::uint64_t number = 0;  // of its name
    Lsn first;                 // of its first record
    std::uint64_t bytes = 0;   // of the file
    std::uint64_t used_bytes = 0;
    bool active = false;  // takes records
  };
  std::vector<One> newest;  // in the order of the log
  std::uint64_t older = 0;  // before them
  std::uint64_t older_bytes = 0;
  std::uint64_t prepared_bytes = 0;  // of the segment that waits for its turn; 0: none does
};

// Appends records and makes them durable in groups.
//
// Acknowledgement: append() returning an Lsn means "appended": ordered, not durable. A record is durable when
// durable() >= its Lsn, which only ever follows completed durable writes of *all* records before it. A batch
// is atomic: after a crash all of its records are there or none.
//
// Threads: append(), must_wait(), cursors, read_from() and metrics() from any thread. Completions run where
// the owner polls the Disk (or on the disk's own thread); subscribers run there, one at a time, in order,
// with no lock of the stream held: they may call append(). maintain() and trim() from any thread, they
// exclude each other and wait for the disk: not on a reactor. There is no thread of its own and no timer: who
// appends records that may wait (RecordInput::flush) is told by on_delay() when to call flush_due().
//
// Failure: the first failed durable write poisons the stream for good: append() answers kPoisoned, durable()
// stands still, reads go on. A disk that is full when the next segment is prepared does not poison: append()
// answers kDiskFull once the current segment is used up, until a maintain() succeeds.
//
// Memory: buffers of the bytes not yet durable, kept for reuse; files, buffers and completions stay alive
// until the disk gave them back, also when the stream is destroyed before.
class CommitStream {
 public:
  // Locks the directory, recovers, fences what was discarded. Works with no byte free on the disk (then
  // append() answers kDiskFull). Errors: kLocked; kCorrupt naming file, offset and LSN; kFormatTooNew; kIo
  // for an unreadable sector (never taken for the end of the log); kConfigInvalid; kEncryptionKeyWrong, and
  // kEncryptionKeyMissing where there are data keys and the options have none to unwrap them. `disk`, `clock`
  // and `random` outlive the stream.
  [[nodiscard]] static Result<std::unique_ptr<CommitStream>> open(Disk& disk, Clock& clock, Random& random,
                                                                  Options options);
  // Without close(): waits for nothing; what is not durable may or may not be found again.
  ~CommitStream();
  CommitStream(const CommitStream&) = delete;
  CommitStream& operator=(const CommitStream&) = delete;

  [[nodiscard]] const Recovered& recovered() const noexcept;
  [[nodiscard]] Timeline timeline() const noexcept;

  // Term of records appended from now on; never decreases (asserted). Starts at max(1,
  // recovered().last_term).
  void set_term(Term term);
  [[nodiscard]] Term term() const noexcept;

  // Appends the batch atomically with consecutive ids; returns the last one. Copies, never waits for the disk
  // (except that when maintain() comes too late, the next segment is prepared here;
  // metrics().late_preparations counts it). Errors, each before any effect: kPoisoned, kDiskFull,
  // kTransactionTooLarge, kInsufficientResources (four times max_unacknowledged is outstanding),
  // kAdminShutdown (closed), kInvalidArgument (empty batch or a mark's kind), kOutOfMemory. Compression and
  // encryption happen here, in the caller's thread and without a lock; limits on a batch are for its payloads
  // as they are given.
  [[nodiscard]] Result<Lsn> append(std::span<const RecordInput> batch);

  // True while more than max_unacknowledged bytes are not durable: start no new work then.
  [[nodiscard]] bool must_wait() const noexcept;
  // Called after must_wait() turned from true to false, where completions run.
  void on_room(std::move_only_function<void()> callback);

  [[nodiscard]] Lsn appended() const noexcept;
  [[nodiscard]] Lsn durable() const noexcept;

  // Somebody waits for this record: what may still wait up to it goes out now. One atomic load when nothing
  // does. Does not wait itself.
  void want_durable(Lsn lsn);
  // Called (from append() or flush_due(), with no lock held) when records were appended that may wait for so
  // long at most: the owner calls flush_due() then. Later calls are for earlier or for newer records.
  void on_delay(std::move_only_function<void(std::chrono::nanoseconds)> callback);
  // Begins the write of records that have waited as long as they may. Harmless at any time.
  void flush_due();

  // Oldest record that can still be read.
  [[nodiscard]] Lsn first() const noexcept;
  // Newest record of a database, durable or not; 0 = there was never one.
  [[nodiscard]] Lsn newest_of(DatabaseId database) const;
  [[nodiscard]] std::vector<DatabaseId> databases() const;

  // The segments that are kept, oldest first.
  struct SegmentSpan {
    std::uint64_t number = 0;
    Lsn base;  // of its first record
    std::uint64_t bytes = 0;
    std::int64_t begin_us = 0;  // none of its records is older, none before it is newer
  };
  // Reads the begin of each file.
  [[nodiscard]] Result<std::vector<SegmentSpan>> segments() const;
  [[nodiscard]] std::size_t segment_count() const;

  // The sealed segments with a higher number than this, oldest first.
  [[nodiscard]] std::vector<SealedSegment> sealed(std::uint64_t above_number = 0) const;

  // Bytes of the segments that are kept.
  [[nodiscard]] std::uint64_t retained_bytes() const;
  // At most the `most` newest of them.
  [[nodiscard]] LogSegments segments(std::size_t most) const;
  // Memory of writes: under way, kept for readers at the tail, and for reuse.
  [[nodiscard]] std::uint64_t buffer_bytes() const;
  // The disk had no room for another segment when it was asked last.
  [[nodiscard]] bool is_full() const;
  // Largest batch that append() takes.
  [[nodiscard]] std::uint64_t max_batch_bytes() const noexcept;

  // `callback(durable())` after each advance. Subscribe before the first append; never removed.
  void subscribe(std::move_only_function<void(Lsn)> callback);
  // Called once, with the error that poisoned the stream.
  void on_failure(std::move_only_function<void(const Error&)> callback);
  [[nodiscard]] std::optional<Error> failure() const;

  // Called (from append(), with no lock held) when there is work for maintain(); the owner posts it
  // elsewhere.
  void on_maintenance(std::move_only_function<void()> callback);
  // Prepares the next segment when due, refills the ballast, persists the watermark of a stream at rest,
  // makes a new data key when the one in use is old. Call it from on_maintenance and now and then (seconds).
  // kDiskFull: try again later.
  [[nodiscard]] Status maintain();

  // The data keys, for rotate() and rewrap(); null without encryption.
  [[nodiscard]] const std::shared_ptr<KeyRing>& keys() const noexcept;

  // Waits (driving the disk) until durable() >= lsn; the poison error otherwise. For start-up, tools and
  // tests.
  [[nodiscard]] Status wait_durable(Lsn lsn);

  // A cursor over durable records with id >= from, of one database or of all. kNotInPrerequisiteState when
  // `from` was trimmed. The reader sees later records as they become durable, and must not outlive the
  // stream.
  [[nodiscard]] Result<std::unique_ptr<Reader>> read_from(Lsn from,
                                                          std::optional<DatabaseId> database = std::nullopt);

  // The same, from memory where the records are still there; with kAppended also what is not durable yet. For
  // readers that follow the tail.
  [[nodiscard]] Result<std::unique_ptr<Reader>> tail_from(Lsn from, std::optional<DatabaseId> database,
                                                          ReadUpTo up_to);
  // From the newest durable record with id <= `from` towards the oldest.
  [[nodiscard]] std::unique_ptr<Reader> read_backward(Lsn from,
                                                      std::optional<DatabaseId> database = std::nullopt);
  // The oldest durable record with a timestamp of `time_us` or later; nothing when all are older. Walks one
  // segment.
  [[nodiscard]] Result<std::optional<Lsn>> find_time(std::int64_t time_us,
                                                     std::optional<DatabaseId> database = std::nullopt);

  // Removes whole sealed segments that hold only records with id < below. Needs no free space. Readers still
  // inside such a segment answer kNotInPrerequisiteState. Leaves retain_bytes, unless the disk is full, for
  // the log or, as `is_short` says, for others.
  [[nodiscard]] Status trim(Lsn below, bool is_short = false);
  // Removes the sealed segments up to this number, whatever retain_bytes says: for who keeps copies of them.
  [[nodiscard]] Status trim_segments(std::uint64_t up_to_number);

  // Others found the disk full who make room by what they write: checkpoints, recovery. Waits for the disk.
  void give_back_ballast();

  // Makes everything appended durable, marks the end as clean, releases the lock. Appends answer
  // kAdminShutdown from then on. The poison error if there is one.
  [[nodiscard]] Status close();

  [[nodiscard]] const StreamMetrics& metrics() const noexcept;

  class Core;  // public only for the reader

 private:
  explicit CommitStream(std::shared_ptr<Core> core);
  [[nodiscard]] Status check_kept(Lsn lsn) const;
  std::shared_ptr<Core> core_;  // shared with the completions in flight
};

}  // namespace bop::aof
