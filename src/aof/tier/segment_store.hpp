// The life of a log's sealed segments: takes them over from the stream, moves them between the tiers by the
// rules of residency.hpp, writes each move to the manifest, deletes what retention lets go, and hands out
// readers of it all.
//
// Order of every move (each arrow durable before the next): the copy is whole at its target -> verified ->
// manifest record -> readers find it. And: readers find it no more and nobody is inside -> its bytes are
// removed -> manifest record. A deletion is decided by its manifest record, which comes first; what it leaves
// behind, the next start removes.
//
// A copy is *suspect* from the moment its removal begins until that is recorded, and once a reader found it
// damaged until it was looked at, whole, and found right or made anew. A suspect copy is no copy: what else
// there is of the segment stays. And before any copy is removed, the one that is to stay is looked at.
//
// What a start finds (reconcile()), and what it makes of it:
//   manifest says tier 0, the file is gone      the trim was not recorded: recorded now, if there is another copy
//   manifest says tier 1, the file is gone      the same; a file of the wrong size counts as gone
//   a compressed file of a segment that is in tier 0, or below the low    a copy that was not recorded: removed
//   any other compressed file      may be all that is left of a segment: kept, told of
//   no manifest, but compressed files    the manifest is lost: refused (a new one would know nothing of them)
//   a raw file that is another one than the manifest says (seed, ids)    refused
//   segments below the manifest's low           a deletion that was not carried out: carried out
//   sealed segments the manifest does not know  not finalized yet: finalized by the first work()
// A segment whose only copy is gone makes the store refuse to open, by name.
//
// Threads. There is one mover at a time: work() and whatever it calls run as tasks of `mover`, an executor
// whose thread may wait for the disk; poke() asks for one. Readers and the cursors are for any thread.
// Failure: a manifest that fails poisons the store: nothing is moved any more, reads go on. A full disk, or
// an object store that does not answer, leaves everything as it is; the next work() tries again.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>

#include "aof/commit_stream.hpp"
#include "aof/tier/hydration.hpp"
#include "aof/tier/manifest.hpp"
#include "aof/tier/piece_cache.hpp"
#include "aof/tier/residency.hpp"
#include "aof/tier/retention_clock.hpp"
#include "aof/tier/segment_shelf.hpp"
#include "aof/tier/tiered_reader.hpp"

namespace bop::aof {

struct SegmentStoreOptions {
  std::string directory;  // of the stream and of the compressed files
  TierLimits limits;
  int compression_level = 3;
  std::chrono::nanoseconds between_works{std::chrono::seconds(5)};  // without a poke
  Manifest::Options manifest;
};

class SegmentStore {
 public:
  struct Environment {
    Disk& disk;
    Clock& clock;
    Executor& mover;
  };
  // Reads or makes the manifest and reconciles it with what is there. Waits for the disk. `stream` and the
  // environment outlive the store. Errors: those of Manifest; kCorrupt when a segment has no copy left.
  [[nodiscard]] static Result<std::unique_ptr<SegmentStore>> open(Environment environment,
                                                                  CommitStream& stream,
                                                                  SegmentStoreOptions options);
  // Waits for the task of the mover that runs. Not on the mover.
  ~SegmentStore();
  SegmentStore(const SegmentStore&) = delete;
  SegmentStore& operator=(const SegmentStore&) = delete;

  // Looks for work soon, and every `between_works` from the first call on. Any thread.
  void poke();
  // Does what there is to do now; on the mover, or while nothing is posted to it. What it answers is the
  // reason for which something was left undone, if any: kDiskFull, kIo, kCorrupt, kPoisoned.
  [[nodiscard]] Status work();

  // Entries from here on are needed by others (the bases of databases): retention leaves them.
  void keep_from(Lsn lsn) noexcept { keep_from_.store(lsn.value, std::memory_order_relaxed); }

  // Oldest entry that can be read.
  [[nodiscard]] Lsn low() const { return source_.shelf.low(); }
  // A reader of the whole log (TieredReader); must not outlive the store.
  [[nodiscard]] std::unique_ptr<Reader> read_from(Lsn from,
                                                  std::optional<DatabaseId> database = std::nullopt) {
    return std::make_unique<TieredReader>(source_, from, database);
  }
  // From the first segment that holds records which are not older.
  [[nodiscard]] Lsn first_at(std::int64_t timestamp_us) const { return source_.shelf.first_at(timestamp_us); }

  [[nodiscard]] std::vector<SegmentState> segments() const { return source_.shelf.segments(); }
  [[nodiscard]] Residency residency() const;
  // Too much waits for the archive: writers are to wait.
  [[nodiscard]] bool is_pressed() const noexcept { return is_pressed_.load(std::memory_order_relaxed); }
  // Set when nothing is moved any more.
  [[nodiscard]] std::optional<Error> failure() const;
  // Copies that readers found damaged and that have not been put right.
  [[nodiscard]] std::size_t damaged_copies() const;

 private:
  SegmentStore(Environment environment, CommitStream& stream, SegmentStoreOptions options);

  [[nodiscard]] Status reconcile();
  [[nodiscard]] Status reconcile_tier_one(const SegmentState& segment);
  [[nodiscard]] Status look_for_strays();
  void post_work();

  // By the mover.
  [[nodiscard]] Status finalize_sealed();
  [[nodiscard]] std::vector<Move> plan();
  [[nodiscard]] Status perform(const Move& move);
  [[nodiscard]] Status make_tier_one(std::uint64_t number);
  [[nodiscard]] Status drop_tier_zero(std::uint64_t number);
  [[nodiscard]] Status drop_tier_one(std::uint64_t number);
  [[nodiscard]] Status delete_up_to(std::uint64_t number);
  [[nodiscard]] Status look_at_damage();
  [[nodiscard]] Status mend(const SegmentState& segment, Tier tier);
  [[nodiscard]] Result<std::vector<std::byte>> whole_image(const SegmentState& segment, Tier but_not);
  [[nodiscard]] Status verify_copy(const SegmentState& segment, Tier tier);
  // Whether the copy is there, by its name and size; it is no suspect.
  [[nodiscard]] bool is_there(const SegmentState& segment, Tier tier);
  [[nodiscard]] Status record(const ManifestRecord& record) { return record_all(std::span(&record, 1)); }
  [[nodiscard]] Status record_all(std::span<const ManifestRecord> records);
  void tell(std::string warning);
  void measure();

  [[nodiscard]] std::string tier_one_path(std::uint64_t number) const;
  void damaged(std::uint64_t number, Tier tier, const Error& error);

  Environment environment_;
  CommitStream& stream_;
  const SegmentStoreOptions options_;
  SegmentShelf shelf_;
  TieredSource source_;
  std::unique_ptr<Manifest> manifest_;
  std::optional<RetentionClock> retention_;
  std::set<SegmentCopy> in_doubt_;  // their removal has begun and is not recorded
  std::string last_warning_;
  std::atomic<std::uint64_t> keep_from_{UINT64_MAX};
  std::atomic<bool> is_pressed_{false};

  mutable std::mutex mutex_;
  Residency residency_;
  std::optional<Error> failure_;
  std::set<SegmentCopy> damages_;  // that readers told of
  std::atomic<bool> is_stopping_{false};

  // The tasks of the mover hold it; it ends with the store.
  struct Life;
  std::shared_ptr<Life> life_;
};

}  // namespace bop::aof
