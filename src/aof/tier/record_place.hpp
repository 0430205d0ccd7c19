// Where in a segment an entry stands, by its id or by time: from the place that the index names to the entry
// itself, over at most one frame of records, each verified.
//
// What the index says is not believed: the record at its place must have a valid checksum under this
// segment's seed, and the id and the timestamp that the index gave it. Otherwise the segment is walked from
// its first record, and `index_was_wrong` says so. Damage of the segment itself is kCorrupt.
#pragma once

#include <cstdint>
#include <optional>

#include "aof/segment_header.hpp"
#include "aof/tier/frame_list.hpp"
#include "base/disk.hpp"
#include "base/error.hpp"

namespace bop::aof {

struct RecordPlace {
  Lsn id;
  std::int64_t timestamp_us = 0;
  ByteOffset offset;
  RecordLink before;               // the entry before it: with the offset, where a SegmentWalk begins
  std::uint64_t walked_bytes = 0;  // records that were read before it
  bool index_was_wrong = false;
};

// The part of a segment in which entries are looked for.
struct SegmentRange {
  SegmentHeader header;
  std::uint64_t end = 0;  // no record ends behind it
  Lsn last;               // every entry up to it was durable: if it is not there, that is damage
};

// The entry `id`, or nothing when the segment ends before it. `start`: what the index says, if anything.
[[nodiscard]] Result<std::optional<RecordPlace>> place_of_id(File& file, const SegmentRange& segment,
                                                             const std::optional<FrameEntry>& start, Lsn id);
// The first entry that is not older than `at_us`, or nothing when all are.
[[nodiscard]] Result<std::optional<RecordPlace>> place_of_time(File& file, const SegmentRange& segment,
                                                               const std::optional<FrameEntry>& start,
                                                               std::int64_t at_us);

}  // namespace bop::aof
