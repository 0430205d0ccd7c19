#include "aof/stream_files.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace bop::aof {

namespace {

constexpr std::size_t kWindowBytes = 1U << 20U;
constexpr std::size_t kHeadsWindowBytes = 4 * kDiskBlockBytes;

Result<bool> zeros_from(File& file, std::uint64_t from, std::uint64_t to) {
  FileWindow window(file, kWindowBytes);
  for (std::uint64_t at = from; at < to;) {
    BOP_LET(bytes,
            window.bytes(at, static_cast<std::size_t>(std::min<std::uint64_t>(kWindowBytes, to - at)), to));
    if (bytes.empty()) break;
    if (!all_zero(bytes)) return false;
    at += bytes.size();
  }
  return true;
}

Error damaged_header(const std::string& path) {
  return error(ErrorCode::kCorrupt, "{}: the segment's header (byte 0) is damaged and records follow it",
               path)
      .hint("Nothing was changed. Restore the data directory from a backup.");
}

// Puts the valid segments into chain order; what its neighbours pass over is unused.
Status link(std::map<std::uint64_t, SegmentFile>& valid, StreamFiles& files) {
  if (valid.empty()) return {};
  std::vector<SegmentFile> backwards;
  std::uint64_t number = valid.rbegin()->first;
  while (true) {
    auto found = valid.find(number);
    if (found == valid.end()) break;  // trimmed, or missing: then older ones are left over below
    const std::uint64_t previous = found->second.header.previous_number;
    backwards.push_back(std::move(found->second));
    valid.erase(found);
    if (previous == 0) break;
    number = previous;
  }
  files.chain.assign(std::make_move_iterator(backwards.rbegin()), std::make_move_iterator(backwards.rend()));
  for (auto& [left_number, left] : valid) {
    // Behind the chain's start only a segment that was replaced before its first record may stand: its
    // removal need not be durable yet. Its successor, which passes it over, was made by a process that had
    // seen it empty; what is in it now was in flight when the process before that was killed, never
    // acknowledged, and is void.
    if (left_number <= files.chain.front().header.previous_number) {
      return fail(ErrorCode::kCorrupt, "segment {} of the log is missing: {} is there and {} follows it",
                  segment_name(files.chain.front().header.previous_number), left.path,
                  files.chain.front().path);
    }
    if (left.header.identity != files.chain.front().header.identity) {
      return fail(ErrorCode::kCorrupt, "{}: is a segment of another log than {}", left.path,
                  files.chain.front().path);
    }
    files.unused.push_back(left.path);
  }
  for (std::size_t i = 1; i < files.chain.size(); ++i) {
    const SegmentHeader& before = files.chain[i - 1].header;
    const SegmentHeader& after = files.chain[i].header;
    if (after.identity != before.identity) {
      return fail(ErrorCode::kCorrupt, "{}: is a segment of another log than {}", files.chain[i].path,
                  files.chain[i - 1].path);
    }
    if (after.previous.index < before.previous.index || after.timeline < before.timeline) {
      return fail(ErrorCode::kCorrupt, "{}: begins at LSN {} before {} at LSN {}", files.chain[i].path,
                  after.base.value, files.chain[i - 1].path, before.base.value);
    }
  }
  return {};
}

}  // namespace

Result<StreamFiles> find_segments(Disk& disk, const std::string& directory) {
  StreamFiles files;
  BOP_LET(names, disk.list(directory));
  std::map<std::uint64_t, SegmentFile> valid;
  for (const auto& name : names) {
    const auto number = segment_number(name);
    if (!number.has_value()) continue;
    files.highest_number = std::max(files.highest_number, *number);
    SegmentFile segment{.path = directory + "/" + name, .header = {}};
    BOP_LET(file, disk.open(segment.path, OpenMode::kRead));
    BOP_LET(size, file->size());
    FileWindow window(*file, kSegmentHeaderBytes);
    BOP_LET(block, window.bytes(0, kSegmentHeaderBytes, size));
    const HeaderState state = decode_segment_header(block, segment.header);
    if (state == HeaderState::kValid) {
      if (segment.header.number != *number) {
        return fail(ErrorCode::kCorrupt, "{}: holds segment {}, it was renamed", segment.path,
                    segment_name(segment.header.number));
      }
      valid.emplace(*number, std::move(segment));
      continue;
    }
    BOP_LET(zeros, zeros_from(*file, kSegmentHeaderBytes, size));
    switch (verdict_of(state, zeros)) {
      case FileVerdict::kUnused: files.unused.push_back(segment.path); break;
      case FileVerdict::kRefuse:
        return fail(ErrorCode::kFormatTooNew, "{}: the segment was written by a newer version", segment.path);
      case FileVerdict::kUse:
      case FileVerdict::kCorrupt: return std::unexpected(damaged_header(segment.path));
    }
  }
  BOP_TRY(link(valid, files));
  return files;
}

std::vector<std::byte> encode_heads(const DatabaseHeads& heads) {
  std::vector<std::byte> payload(8 + heads.size() * 24);
  const auto count = static_cast<std::uint32_t>(heads.size());
  std::memcpy(payload.data(), &count, 4);
  std::byte* at = payload.data() + 8;
  for (const auto& [database, link] : heads) {
    std::memcpy(at, &database.value, 4);
    std::memcpy(at + 8, &link.index.value, 8);
    std::memcpy(at + 16, &link.checksum, 8);
    at += 24;
  }
  return payload;
}

bool decode_heads(std::span<const std::byte> payload, DatabaseHeads& heads) {
  std::uint32_t count = 0;
  if (payload.size() < 8) return false;
  std::memcpy(&count, payload.data(), 4);
  if (payload.size() != 8 + std::uint64_t{count} * 24) return false;
  heads.clear();
  const std::byte* at = payload.data() + 8;
  for (std::uint32_t i = 0; i < count; ++i, at += 24) {
    DatabaseId database;
    RecordLink link;
    std::memcpy(&database.value, at, 4);
    std::memcpy(&link.index.value, at + 8, 8);
    std::memcpy(&link.checksum, at + 16, 8);
    if (!heads.empty() && heads.rbegin()->first >= database) return false;
    heads.emplace_hint(heads.end(), database, link);
  }
  return true;
}

Result<bool> has_heads(Disk& disk, const SegmentFile& segment) {
  BOP_LET(file, disk.open(segment.path, OpenMode::kRead));
  SegmentWalk walk(
      *file, segment.header,
      {.last = segment.header.previous, .limit = segment.header.bytes, .window_bytes = kHeadsWindowBytes});
  const auto first = walk.next();
  return first.has_value() && first->kind == RecordKind::kHeads &&
         walk.record_offset() == kSegmentHeaderBytes;
}

Result<StreamEnd> find_end(Disk& disk, const StreamFiles& files) {
  StreamEnd found;
  if (files.chain.empty()) return found;
  std::size_t from = files.chain.size();
  bool heads_known = false;
  while (from > 0 && !heads_known) {
    --from;
    BOP_LET(here, has_heads(disk, files.chain[from]));
    heads_known = here;
  }
  found.last = files.chain[from].header.previous;

  for (std::size_t i = from; i < files.chain.size(); ++i) {
    const SegmentFile& segment = files.chain[i];
    const bool newest = i + 1 == files.chain.size();
    const RecordLink wanted = newest ? RecordLink{} : files.chain[i + 1].header.previous;
    BOP_LET(file, disk.open(segment.path, OpenMode::kRead));
    SegmentWalk walk(*file, segment.header,
                     {.last = segment.header.previous,
                      .limit = segment.header.bytes,
                      .watermark = wanted.index,
                      .window_bytes = kWindowBytes});
    std::vector<std::pair<DatabaseId, RecordLink>> batch;  // counts once its last record is there
    bool any = false;
    // The heads are read even where nothing follows them: a segment may end at the record before its first.
    while (newest || walk.complete() != wanted || (i == from && heads_known && !any)) {
      const auto record = walk.next();
      if (!record.has_value()) break;
      any = true;
      found.last_timestamp_us = std::max(found.last_timestamp_us, record->timestamp_us);
      if (record->kind == RecordKind::kHeads && !decode_heads(record->payload, found.heads)) {
        return fail(ErrorCode::kCorrupt, "{}: the heads record at byte {} is malformed", segment.path,
                    walk.record_offset());
      }
      if (!is_entry(record->kind)) continue;
      batch.emplace_back(record->database, RecordLink{record->lsn, Term(0), record->checksum});
      if (record->batch_remaining != 0) continue;
      for (const auto& [database, head] : batch) found.heads[database] = head;
      batch.clear();
    }
    if (!newest && walk.complete() != wanted) return std::unexpected(walk.error_of_ending());
    found.last = walk.complete();
    found.skipped += walk.skipped();
    found.watermark = walk.watermark();
    if (!newest) {
      found.end_before_newest = walk.complete_end();
      continue;
    }
    found.ending = walk.ending();
    switch (found.ending.verdict) {
      case Verdict::kEnd:
      case Verdict::kCutTorn:
      case Verdict::kCutHole: break;
      case Verdict::kSkip:
      case Verdict::kCorrupt:
      case Verdict::kUnreadable:
      case Verdict::kRefuse: return std::unexpected(walk.error_of_ending());
    }
    found.end = walk.complete_end();
    found.untouched = !any && found.ending.zeros_behind;
    found.clean = walk.closed() && found.ending.zeros_behind && found.ending.verdict == Verdict::kEnd &&
                  walk.complete_end() == walk.offset() && found.watermark == found.last.index;
    if (any && !heads_known && segment.header.previous_number != 0) {
      return fail(ErrorCode::kCorrupt, "{}: the heads record at byte {} is missing", segment.path,
                  kSegmentHeaderBytes);
    }
  }
  if (!heads_known && files.chain.front().header.previous_number != 0) {
    return fail(ErrorCode::kCorrupt, "{}: the heads record at byte {} is missing", files.chain.front().path,
                kSegmentHeaderBytes);
  }
  return found;
}

}  // namespace bop::aof
