// Reads a log from its oldest entry that is kept up to its durable end, wherever the records are: sealed
// segments from the first copy that is whole, the rest from the stream.
//
// A sealed segment is read from tier 0, else tier 1, else the object store. When a copy turns out to be
// damaged or missing, the reader goes on at the same record in the next copy and tells of the damage; it
// fails only when no copy has the record. Every record is verified (checksum, ids, chain), and so is the
// joint between two segments.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "aof/commit_stream.hpp"
#include "aof/reader.hpp"
#include "aof/segment_walk.hpp"
#include "aof/tier/remote_image.hpp"
#include "aof/tier/segment_shelf.hpp"

namespace bop::aof {

// What a reader needs of the log; outlives it.
struct TieredSource {
  Disk& disk;
  CommitStream& stream;
  SegmentShelf& shelf;
  std::string directory;                   // of the stream's segments
  std::optional<HydrationPath> hydration;  // none: there is no archive
  std::size_t most_ahead = 16;             // pieces read ahead
  // A copy of a segment was not what the manifest says; another one may have served the reader.
  std::function<void(std::uint64_t number, Tier tier, const Error& error)> damaged;
};

// The image of a pinned segment in one of its tiers, as a file: kFileNotFound when it is not there.
[[nodiscard]] Result<std::unique_ptr<File>> open_copy(const TieredSource& source, const SegmentState& segment,
                                                      Tier tier);

class TieredReader final : public Reader {
 public:
  // Reads entries with id >= from, of one database or of all.
  TieredReader(const TieredSource& source, Lsn from, std::optional<DatabaseId> database)
      : source_(source), next_(from), database_(database), decoder_(source.stream.keys()) {}

  // Waits for the object store where the record is there only. kNotInPrerequisiteState: the record was
  // deleted, or the reader was cut off.
  [[nodiscard]] Result<std::optional<RecordView>> next() override;

 private:
  enum class Step : std::uint8_t { kRecord, kMoved, kEnd };
  [[nodiscard]] Result<Step> step_stream(std::optional<RecordView>& record);
  [[nodiscard]] Result<Step> step_sealed(std::optional<RecordView>& record);
  [[nodiscard]] Status enter();
  [[nodiscard]] Status enter_copy();
  void leave();
  [[nodiscard]] bool next_copy(Error error);

  const TieredSource& source_;
  Lsn next_;  // of all databases
  std::optional<DatabaseId> database_;
  std::optional<Error> failed_;
  PayloadDecoder decoder_;

  std::unique_ptr<Reader> stream_;
  Lsn stream_failed_at_;  // the sealed segments are asked once for the record that the stream could not give

  std::unique_ptr<SegmentPin> pin_;
  std::optional<Tier> tier_;  // of file_
  std::unique_ptr<File> file_;
  std::optional<SegmentWalk> walk_;
  std::optional<RecordLink> left_at_;  // the last entry of the segment that was left
  std::optional<Error> damage_;        // the first one met in this segment
};

}  // namespace bop::aof
