// The reader that goes from a record towards the oldest one.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "aof/stream_core.hpp"

namespace bop::aof {

// Records name their predecessor by id and not by place, so a piece of a segment (about kEntryPointBytes,
// from one entry point to the next) is walked forward and handed out from its end. Where a segment's entry
// points are not known, they are found by one walk of it; an index that knows them belongs under
// points_for().
class BackwardReader final : public Reader {
 public:
  // From the newest durable record with id <= `from`.
  BackwardReader(std::shared_ptr<CommitStream::Core> core, Lsn from, std::optional<DatabaseId> database);

  // The record before, or nothing at the oldest one.
  [[nodiscard]] Result<std::optional<RecordView>> next() override;

 private:
  struct Held {
    RecordView view;  // its payload stands in bytes_
    std::size_t payload_at = 0;
  };
  [[nodiscard]] Result<bool> load();
  [[nodiscard]] Status points_for(const CommitStream::Core::ReadPlace& place, Lsn newest);
  [[nodiscard]] Error error_of(const class SegmentWalk& walk, const Segment& segment) const;

  std::shared_ptr<CommitStream::Core> core_;
  Lsn wanted_;  // the newest that is not loaded
  std::optional<DatabaseId> database_;
  std::shared_ptr<Segment> segment_;
  std::vector<EntryPoint> points_;  // of segment_, ascending
  std::vector<Held> held_;          // ascending
  std::vector<std::byte> bytes_;
  PayloadDecoder decoder_;
  std::optional<Error> failed_;
};

// The oldest durable record of `database` with a timestamp >= `time_us`; nothing when all are older.
[[nodiscard]] Result<std::optional<Lsn>> find_time(const std::shared_ptr<CommitStream::Core>& core,
                                                   std::int64_t time_us, std::optional<DatabaseId> database);

[[nodiscard]] Result<std::vector<CommitStream::SegmentSpan>> spans_of(CommitStream::Core& core);

}  // namespace bop::aof
