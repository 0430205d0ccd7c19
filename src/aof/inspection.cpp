#include "aof/inspection.hpp"

#include <fmt/format.h>

#include "aof/payload_codec.hpp"
#include "aof/segment_walk.hpp"
#include "aof/stream_files.hpp"

namespace bop::aof {

namespace {

// The chain of each database, from the first heads record on.
class DatabaseChains {
 public:
  // False when the heads are not what the records before them say.
  bool heads(DatabaseHeads heads) {
    const bool same = !known_ || heads == heads_;
    heads_ = std::move(heads);
    known_ = true;
    return same;
  }
  // False when the record does not name the newest one of its database.
  bool follow(const RecordView& record) {
    RecordLink& head = heads_[record.database];
    const bool follows = !known_ || record.database_previous == head;
    head = {record.lsn, Term(0), record.checksum};
    return follows;
  }

 private:
  DatabaseHeads heads_;
  bool known_ = false;
};

}  // namespace

Result<InspectionSummary> inspect(Disk& disk, const std::string& directory, InspectionSink& sink,
                                  std::shared_ptr<const KeyRing> keys) {
  InspectionSummary summary;
  BOP_LET(files, find_segments(disk, directory));
  if (files.chain.empty()) {
    sink.end(Lsn(0), "no log");
    return summary;
  }
  summary.identity = files.chain.front().header.identity;
  summary.first = files.chain.front().header.base;
  summary.last = files.chain.front().header.previous.index;
  const auto problem = [&](const Error& error) {
    ++summary.problems;
    sink.problem(error);
  };

  PayloadDecoder decoder(std::move(keys));
  DatabaseChains chains;
  for (std::size_t i = 0; i < files.chain.size(); ++i) {
    const SegmentFile& segment = files.chain[i];
    const bool newest = i + 1 == files.chain.size();
    const RecordLink wanted = newest ? RecordLink{} : files.chain[i + 1].header.previous;
    sink.segment(segment.path, segment.header);
    ++summary.segments;
    BOP_LET(file, disk.open(segment.path, OpenMode::kRead));
    SegmentWalk walk(
        *file, segment.header,
        {.last = segment.header.previous, .limit = segment.header.bytes, .watermark = wanted.index});
    while (newest || walk.complete() != wanted) {
      const auto record = walk.next();
      if (!record.has_value()) break;
      RecordView shown = *record;
      if ((record->encoding & kPayloadEncrypted) == 0 || decoder.has_keys()) {
        auto payload = decoder.decode(*record);
        if (!payload.has_value()) {
          problem(payload.error());
        } else {
          shown.payload = *payload;
        }
      }
      sink.record(shown, ByteOffset(walk.record_offset()));
      if (record->kind == RecordKind::kHeads) {
        DatabaseHeads heads;
        if (!decode_heads(record->payload, heads) || !chains.heads(std::move(heads))) {
          problem(error(ErrorCode::kCorrupt, "{}: the heads record at byte {} is wrong", segment.path,
                        walk.record_offset()));
        }
      }
      if (!is_entry(record->kind)) {
        ++summary.marks;
        continue;
      }
      ++summary.records;
      summary.payload_bytes += record->payload.size();
      if ((record->encoding & kPayloadCompressed) != 0) ++summary.compressed;
      if ((record->encoding & kPayloadEncrypted) != 0) ++summary.encrypted;
      if (!chains.follow(*record)) {
        problem(error(ErrorCode::kCorrupt,
                      "{}: the record with LSN {} at byte {} does not name its predecessor in "
                      "database {}",
                      segment.path, record->lsn.value, walk.record_offset(), record->database.value));
      }
    }
    summary.last = walk.complete().index;
    summary.watermark = walk.watermark();
    summary.skipped_fillers += walk.skipped();
    const WalkEnding& ending = walk.ending();
    if (!newest) {
      if (walk.complete() != wanted) {
        problem(walk.error_of_ending());
        chains = {};  // what follows is judged by itself
      }
      continue;
    }
    const bool sound = ending.verdict == Verdict::kEnd || ending.verdict == Verdict::kCutTorn ||
                       ending.verdict == Verdict::kCutHole;
    if (!sound) problem(walk.error_of_ending());
    summary.discarded_bytes = ending.discarded_bytes;
    sink.end(summary.last, fmt::format("{} at byte {}", name_of(ending.verdict), ending.offset));
  }
  return summary;
}

}  // namespace bop::aof
