// The index of a log: which segment holds an id or a time, and where in it to begin.
//
// A cache in a folder of its own (libmdbx): whatever it says can be found again in the segments, and deleting
// the folder costs a rebuild (index_rebuild.hpp). Rules:
//   * It may lag the log and never leads it. Entries are added after what they describe is durable,
//   reconcile()
//     at a start removes those that are not true of the log that is there (a power cut that the log lost more
//     by, another log's folder, another life of a segment) and names what is missing.
//   * Nothing that it says is believed without looking: entries carry checksums that are seeded by the log's
//   identity
//     and their key, frames also the segment's seed, and place_of_id() and place_of_time() compare the record
//     itself. So a wrong index costs time, never a wrong record.
//   * It is guarded (mdbx/file_guard.hpp): a folder that changed after it was closed is begun anew before a
//   byte of it
//     is used, and so is one that three processes in turn did not close, as they may have died of it.
//   * A folder of another version or log, or one that cannot be opened because it is damaged, is begun anew:
//     discarded() says why.
//   * A power cut takes back what was added since the last sync(), which every 16th added segment brings.
//
// Tables, their keys (mdbx/key.hpp), their values:
//
//   meta    "format"           version u32, frame bytes u32, identity 16 bytes, CRC64-NVME with seed kIndexSeed
//   bases   base u64, number   the entry of a segment (segment_entry.hpp)
//   times   last timestamp i64, base, number   nothing; sealed segments that hold entries
//   todo    base u64, number   nothing; status kFinalized: still to be archived
//   frames  number u64, u32    frames 120 * n to 120 * n + 119 of a segment: seed u64, its frames in all u32, zero
//                              u32, first id of the first of them u64; of each frame its first id less that one u32,
//                              offset in the frame / 8 u16 (65535: none), entries u16, timestamp i64; CRC64-NVME seeded
//                              by identity and key. Two such values fill a page.
//
// Memory: none but pages of the mapped file, 17 bytes for 64 KiB of log, and those are the kernel's to drop.
//
// Errors: kCorrupt from any call: the index is damaged, begin_anew() and rebuild it; the log is not affected.
// kDiskFull, kConfigurationLimitExceeded: nothing was added, the index lags; others as mdbx/environment.hpp.
// Threads: every call from any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <span>
#include <string>
#include <vector>

#include "aof/segment_header.hpp"
#include "aof/tier/frame_list.hpp"
#include "aof/tier/segment_entry.hpp"
#include "base/error.hpp"
#include "mdbx/environment.hpp"

namespace bop::aof {

inline constexpr std::uint32_t kIndexVersion = 1;
inline constexpr std::uint64_t kIndexSeed = 0x424f50494e445831;
inline constexpr std::uint32_t kFramesInChunk = 120;
inline constexpr std::uint32_t kSegmentsBetweenSyncs = 16;

// What makes a sealed segment that one and no other, as other witnesses know it: its own header and its
// successor's, or facts.
struct SegmentLife {
  SegmentId id;
  Timeline timeline;
  Lsn base;
  RecordLink previous;
  RecordLink last;
  friend bool operator==(const SegmentLife&, const SegmentLife&) = default;
};
[[nodiscard]] SegmentLife segment_life(const SegmentFacts& facts) noexcept;
[[nodiscard]] SegmentLife segment_life(const SegmentHeader& header, const SegmentHeader& successor) noexcept;

class SegmentIndex {
 public:
  struct Options {
    std::string directory;
    StreamIdentity identity{};
    std::uint64_t max_bytes = std::uint64_t{4} << 30U;  // 10 TiB of log
    bool read_only = false;  // a copy of an index, to be looked at: nothing is begun anew, damage is an error
  };
  [[nodiscard]] static Result<std::unique_ptr<SegmentIndex>> open(Options options);
  ~SegmentIndex();

  // The key (base and number) must be free: kFileExists.
  [[nodiscard]] Status add(const SegmentEntry& entry);
  // The same of a sealed segment with its frames; also in place of the active entry of the same key.
  [[nodiscard]] Status add(const SegmentEntry& entry, std::span<const FrameEntry> frames);
  // kFileNotFound when there is none of this key.
  [[nodiscard]] Status update(const SegmentEntry& entry);
  // With its frames; success also when there was none.
  [[nodiscard]] Status remove(const SegmentEntry& entry);

  // The newest of the segments that begin with this id (one that holds no entry shares its base with the
  // next).
  [[nodiscard]] Result<std::optional<SegmentEntry>> get(Lsn base) const;
  [[nodiscard]] Result<std::optional<SegmentEntry>> active() const;
  // The last entry's id as far as the index knows; without asking segment by segment.
  [[nodiscard]] Result<std::optional<Lsn>> max_last_id() const;
  // The oldest that are finalized and not archived, at most `count`.
  [[nodiscard]] Result<std::vector<SegmentEntry>> for_archiving(std::size_t count) const;
  [[nodiscard]] Result<std::vector<SegmentEntry>> all() const;

  // The segment that holds the id: a sealed one, or the active one for ids behind all sealed ones.
  [[nodiscard]] Result<std::optional<SegmentEntry>> segment_of(Lsn id) const;
  // The oldest sealed segment with an entry that is not older; nothing: look in the active one.
  [[nodiscard]] Result<std::optional<SegmentEntry>> segment_at(std::int64_t at_us) const;
  // Where to begin in a sealed segment; nothing when its frames are not there.
  [[nodiscard]] Result<std::optional<FrameEntry>> frame_of(const SegmentEntry& entry, Lsn id) const;
  [[nodiscard]] Result<std::optional<FrameEntry>> frame_at(const SegmentEntry& entry,
                                                           std::int64_t at_us) const;

  struct Reconciled {
    std::size_t kept = 0;
    std::size_t removed = 0;
    std::vector<SegmentId> missing;  // no entry, or not all of its frames
  };
  // Makes the index say nothing but what is true of these segments (ascending by number), and of the active
  // one.
  [[nodiscard]] Result<Reconciled> reconcile(std::span<const SegmentLife> sealed,
                                             const std::optional<SegmentHeader>& active);

  // Drops everything that it says.
  [[nodiscard]] Status begin_anew();
  [[nodiscard]] Status sync();
  // Why open() or begin_anew() dropped what was there; empty when it did not.
  [[nodiscard]] std::string discarded() const;
  [[nodiscard]] Result<mdbx::EnvironmentInfo> info() const;

 private:
  struct Store;
  explicit SegmentIndex(Options options);
  [[nodiscard]] Status open_store();
  [[nodiscard]] Result<std::optional<FrameEntry>> frame(const SegmentEntry& entry,
                                                        const std::optional<Lsn>& id,
                                                        std::int64_t at_us) const;

  const Options options_;
  mutable std::shared_mutex mutex_;  // exclusive: store_ is replaced
  std::unique_ptr<Store> store_;
  std::string discarded_;
};

}  // namespace bop::aof
