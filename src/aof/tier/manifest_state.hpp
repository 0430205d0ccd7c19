// What the manifest's records add up to: every sealed segment, where copies of it are, and how far the log
// was deleted. A plain value: no files, no threads.
//
// Residency: a segment is in tier 0 (raw file), tier 1 (compressed file), tier 2 (object), in any of them,
// and in at least one as long as it is not deleted. A record that would break this, or that speaks of a
// segment that is not there, is refused before it is written; so replaying a manifest never meets one that
// does not fit.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "aof/tier/manifest_record.hpp"
#include "aof/tier/segment_status.hpp"
#include "base/error.hpp"

namespace bop::aof {

struct SegmentState {
  SegmentFacts facts;
  std::int64_t finalized_us = 0;  // retention time; 0: not known
  bool tier_zero = true;
  std::optional<TierOneCopy> tier_one;
  std::optional<ArchiveIntent> begun;  // the newest attempt, while there is no archived copy
  std::optional<ArchivedCopy> archived;

  [[nodiscard]] SegmentStatus status() const noexcept {
    return archived.has_value() ? SegmentStatus::kArchived : SegmentStatus::kFinalized;
  }
  friend bool operator==(const SegmentState&, const SegmentState&) = default;
};

class ManifestState {
 public:
  ManifestState() = default;
  explicit ManifestState(const StreamIdentity& identity) : identity_(identity) {}

  [[nodiscard]] const StreamIdentity& identity() const noexcept { return identity_; }
  // By number; each one's predecessor is the one before it in the map.
  [[nodiscard]] const std::map<std::uint64_t, SegmentState>& segments() const noexcept { return segments_; }
  [[nodiscard]] const SegmentState* find(std::uint64_t number) const noexcept;
  // Segments of lower numbers, entries of lower ids are deleted.
  [[nodiscard]] std::uint64_t low_number() const noexcept { return deleted_.low_number; }
  [[nodiscard]] Lsn low() const noexcept { return deleted_.low; }
  [[nodiscard]] const EpochTakenRecord& epoch() const noexcept { return epoch_; }
  // The newest one that was recorded; 0 = none was.
  [[nodiscard]] std::int64_t retention_us() const noexcept { return aged_.now_us; }
  [[nodiscard]] const std::map<std::uint64_t, std::string>& keys() const noexcept { return keys_; }

  // Would apply() do, or is the record wrong here? kNotInPrerequisiteState names segment and reason.
  [[nodiscard]] Status check(const ManifestRecord& record) const;
  // Precondition: check() holds. A record that says what is known already changes nothing.
  void apply(const ManifestRecord& record);

  // Records that make an empty state into this one, without the marks of a snapshot.
  [[nodiscard]] std::vector<ManifestRecord> records() const;

  friend bool operator==(const ManifestState&, const ManifestState&) = default;

 private:
  StreamIdentity identity_{};
  std::map<std::uint64_t, SegmentState> segments_;
  DeletedRecord deleted_;
  EpochTakenRecord epoch_;
  AgedRecord aged_;
  std::map<std::uint64_t, std::string> keys_;
};

// The state of records() and of a whole snapshot. kCorrupt when they do not fit together.
[[nodiscard]] Result<ManifestState> state_of(const std::vector<ManifestRecord>& records,
                                             std::string_view where);

}  // namespace bop::aof
