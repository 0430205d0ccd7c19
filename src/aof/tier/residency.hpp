// What is to be done next with the sealed segments of a log: a function of what the manifest says, of the
// limits and of who reads. It decides, it does nothing; SegmentStore does.
//
// Rules, in the order of their weight:
//   1. Nothing is removed from a tier while it is the segment's only copy, unless retention deletes it. A
//      copy that is suspect (found damaged, or its removal may have happened) is no copy.
//   2. Retention deletes from the oldest on, without holes: whole segments that were finalized longer ago
//      than `keep_us` (retention_clock.hpp), or are beyond `keep_bytes` of images, and are below `keep_from`.
//      Who reads a segment keeps it and all behind it, at most `most_pin_ns`; then the reader is cut off by
//      name.
//   3. With an archive, a segment is compressed (tier 1) and its file is what is uploaded. Without one, tier
//      1 is made only for segments that leave tier 0.
//   4. Tier 0 keeps the newest segments up to `tier_zero_bytes` of files, tier 1 up to `tier_one_bytes`. What
//      is above leaves, oldest first in tier 0 (the stream trims from there), least recently read first in
//      tier 1; pinned segments stay until they are let go. What is the only copy stays above a limit.
//   5. A segment waits to be archived until `archive_after` newer ones are sealed: who reads behind the tail
//      finds it in tier 0. Pressure lifts that: what stands in the way of tier 0's limit is archived at once.
//
// Pressure on writers. A producer that is faster than the store fills the local tiers with segments that may
// not leave. Above `pressure_segments` or `pressure_bytes` of those appends are to be refused until the queue
// is below again (SegmentStore::is_pressed); nothing is lost and memory stays bounded.
#pragma once

#include <cstdint>
#include <set>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "aof/tier/manifest_state.hpp"
#include "base/ids.hpp"

namespace bop::aof {

struct TierLimits {
  std::uint64_t tier_zero_bytes = UINT64_MAX;  // of raw files
  std::uint64_t tier_one_bytes = UINT64_MAX;   // of compressed files
  bool has_archive = false;
  std::uint64_t archive_after = 0;  // sealed segments that are newer
  std::uint64_t archives_at_once = 4;
  std::uint64_t pressure_segments = UINT64_MAX;
  std::uint64_t pressure_bytes = UINT64_MAX;  // of files of segments that wait to be archived
  std::uint64_t keep_bytes = UINT64_MAX;      // of images; older ones may be deleted
  std::int64_t keep_us = INT64_MAX;           // of age; older ones may be deleted
  std::int64_t most_pin_ns = INT64_MAX;
};

// What is known of a segment besides the manifest, by number; absent: nobody has read it.
struct SegmentUse {
  std::uint64_t pins = 0;          // readers that are inside
  std::int64_t oldest_pin_ns = 0;  // since when, by the steady clock
  std::int64_t last_read_ns = 0;
  bool is_archiving = false;
};

enum class Tier : std::uint8_t { kZero, kOne, kTwo };

// One copy of a segment.
struct SegmentCopy {
  std::uint64_t number = 0;
  Tier tier{};
  friend auto operator<=>(const SegmentCopy&, const SegmentCopy&) = default;
};
// The manifest says that it is there.
[[nodiscard]] bool has_copy(const SegmentState& segment, Tier tier) noexcept;

struct ResidencyInput {
  const ManifestState& state;
  const std::set<SegmentCopy>& suspects;
  const std::unordered_map<std::uint64_t, SegmentUse>& uses;
  TierLimits limits;
  Lsn keep_from{UINT64_MAX};      // entries from here on are needed by others: never deleted
  std::int64_t retention_us = 0;  // RetentionClock's
  std::int64_t steady_ns = 0;
};

enum class MoveKind : std::uint8_t {
  kMakeTierOne,
  kArchive,
  kDropTierZero,  // of this segment and all older ones
  kDropTierOne,
  kDelete,  // this segment and all older ones
  kCutOff   // readers that have pinned this segment for too long
};
[[nodiscard]] std::string_view name_of(MoveKind kind) noexcept;

struct Move {
  MoveKind kind;
  std::uint64_t number;  // of the segment
  friend bool operator==(const Move&, const Move&) = default;
};

// Moves that may be made now, in the order in which to make them; those of one segment follow from each
// other, so ask again when one has been made.
[[nodiscard]] std::vector<Move> moves_of(const ResidencyInput& input);

struct ArchiveQueue {
  std::uint64_t segments = 0;
  std::uint64_t bytes = 0;  // of their files
};
// Segments that are not archived yet, whether or not their time has come.
[[nodiscard]] ArchiveQueue archive_queue(const ManifestState& state);
[[nodiscard]] bool is_pressed(const ArchiveQueue& queue, const TierLimits& limits) noexcept;

// How many segments, and bytes, are where: the residency gauge.
struct Residency {
  std::uint64_t segments = 0;
  std::uint64_t tier_zero_segments = 0, tier_zero_bytes = 0;
  std::uint64_t tier_one_segments = 0, tier_one_bytes = 0;
  std::uint64_t tier_two_segments = 0, tier_two_bytes = 0;
  std::uint64_t cold_segments = 0;  // in tier 2 only: a read hydrates
};
[[nodiscard]] Residency residency_of(const ManifestState& state);

}  // namespace bop::aof
