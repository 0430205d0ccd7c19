#include "aof/tier/record_place.hpp"

#include <functional>
#include <utility>
#include <vector>

#include "aof/record.hpp"
#include "aof/segment_walk.hpp"

namespace bop::aof {

namespace {

// The record that the index names, if it is what the index says it is.
Result<std::optional<RecordLink>> verified_start(File& file, const SegmentRange& segment,
                                                 const FrameEntry& start) {
  if (start.offset < kSegmentHeaderBytes || start.offset % 8 != 0 || start.offset >= segment.end) {
    return std::nullopt;
  }
  FileWindow window(file, sizeof(RecordHeader));
  BOP_LET(head, window.bytes(start.offset, sizeof(RecordHeader), segment.end));
  if (head.size() < sizeof(RecordHeader)) return std::nullopt;
  const std::uint64_t extent = extent_of(head, segment.end - start.offset);
  if (extent == 0) return std::nullopt;
  BOP_LET(bytes, window.bytes(start.offset, static_cast<std::size_t>(extent), segment.end));
  RecordView record;
  if (bytes.size() < extent ||
      decode_record(bytes, segment.header.record_key() + start.offset, record) != RecordState::kValid) {
    return std::nullopt;
  }
  if (!is_entry(record.kind) || record.lsn != start.first || record.timestamp_us != start.timestamp_us ||
      record.timeline != segment.header.timeline || record.previous.index.next() != record.lsn) {
    return std::nullopt;
  }
  return record.previous;
}

using Wanted = std::function<bool(const RecordView&)>;

// Walks from `offset`, whose entry follows `before`, to the first entry that is wanted.
Result<std::optional<RecordPlace>> walk(File& file, const SegmentRange& segment, std::uint64_t offset,
                                        const RecordLink& before, const Wanted& wanted) {
  SegmentWalk records(file, segment.header,
                      {.offset = offset,
                       .last = before,
                       .limit = segment.end,
                       .watermark = segment.last,
                       .window_bytes = static_cast<std::size_t>(kFrameBytes)});
  for (;;) {
    const RecordLink last = records.last();
    const auto record = records.next();
    if (!record.has_value()) break;
    if (!is_entry(record->kind) || !wanted(*record)) continue;
    return RecordPlace{.id = record->lsn,
                       .timestamp_us = record->timestamp_us,
                       .offset = ByteOffset(records.record_offset()),
                       .before = last,
                       .walked_bytes = records.record_offset() - offset};
  }
  switch (records.ending().verdict) {
    case Verdict::kEnd:
    case Verdict::kCutTorn:
    case Verdict::kCutHole:
      if (records.last().index >= segment.last) return std::nullopt;
      break;
    case Verdict::kSkip:
    case Verdict::kCorrupt:
    case Verdict::kUnreadable:
    case Verdict::kRefuse: break;
  }
  return std::unexpected(records.error_of_ending());
}

Result<std::optional<RecordPlace>> find(File& file, const SegmentRange& segment,
                                        const std::optional<FrameEntry>& start, bool usable,
                                        const Wanted& wanted) {
  if (start.has_value() && usable) {
    const auto before = verified_start(file, segment, *start);
    if (before.has_value() && before->has_value()) {
      auto found = walk(file, segment, start->offset, **before, wanted);
      if (found.has_value() && found->has_value()) return found;
    }
  }
  BOP_LET(found, walk(file, segment, kSegmentHeaderBytes, segment.header.previous, wanted));
  if (found.has_value()) found->index_was_wrong = start.has_value();
  return found;
}

}  // namespace

Result<std::optional<RecordPlace>> place_of_id(File& file, const SegmentRange& segment,
                                               const std::optional<FrameEntry>& start, Lsn id) {
  if (id < segment.header.base) return std::nullopt;
  const bool usable = start.has_value() && start->first <= id;
  return find(file, segment, start, usable, [&](const RecordView& record) { return record.lsn == id; });
}

Result<std::optional<RecordPlace>> place_of_time(File& file, const SegmentRange& segment,
                                                 const std::optional<FrameEntry>& start, std::int64_t at_us) {
  // A first entry that is not older is the wanted one only where it is the segment's first.
  const bool usable =
      start.has_value() && (start->timestamp_us < at_us || start->first == segment.header.base);
  return find(file, segment, start, usable,
              [&](const RecordView& record) { return record.timestamp_us >= at_us; });
}

}  // namespace bop::aof
