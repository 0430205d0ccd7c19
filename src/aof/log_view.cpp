#include "aof/log_view.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "aof/record.hpp"
#include "aof/segment_walk.hpp"

namespace bop::aof {

namespace {

constexpr std::size_t kWindowBytes = std::size_t{1} << 20U;
constexpr std::int64_t kAnyTime = std::numeric_limits<std::int64_t>::min();

}  // namespace

Result<LogView> LogView::open(Disk& disk, const std::string& directory) {
  BOP_LET(files, find_segments(disk, directory));
  if (files.chain.empty()) {
    return fail(ErrorCode::kFileNotFound, "there is no log in {}: it holds no segment (*.log)", directory);
  }
  std::vector<LogSegment> segments;
  for (std::size_t i = 0; i < files.chain.size(); ++i) {
    LogSegment segment;
    segment.file = files.chain[i];
    segment.is_sealed = i + 1 < files.chain.size();
    segment.last = segment.is_sealed ? files.chain[i + 1].header.previous : segment.file.header.previous;
    segment.sealed_us = segment.is_sealed ? files.chain[i + 1].header.created_us : 0;
    segments.push_back(std::move(segment));
  }
  return LogView(disk, std::move(segments));
}

SegmentRange LogView::range_of(const LogSegment& segment) const {
  return {segment.file.header, segment.file.header.bytes, segment.is_sealed ? segment.last.index : Lsn(0)};
}

Result<std::uint64_t> LogView::used_bytes(const LogSegment& segment) const {
  BOP_LET(file, disk_->open(segment.file.path, OpenMode::kRead));
  BOP_LET(size, file->size());
  std::vector<std::byte> piece(kWindowBytes);
  for (std::uint64_t end = size; end > 0;) {
    const std::uint64_t from = (end - 1) / kWindowBytes * kWindowBytes;
    BOP_LET(got,
            file->read_at(ByteOffset(from), std::span(piece).first(static_cast<std::size_t>(end - from))));
    for (std::uint64_t block = align_up(got, kDiskBlockBytes); block > 0; block -= kDiskBlockBytes) {
      const std::size_t at = static_cast<std::size_t>(block - kDiskBlockBytes);
      if (at >= got) continue;
      if (!all_zero(std::span(piece).subspan(at, std::min<std::size_t>(kDiskBlockBytes, got - at)))) {
        return std::min(from + block, size);
      }
    }
    end = from;
  }
  return std::uint64_t{0};
}

Result<LogEnd> LogView::end() const {
  const LogSegment& newest = segments_.back();
  BOP_LET(file, disk_->open(newest.file.path, OpenMode::kRead));
  SegmentWalk walk(
      *file, newest.file.header,
      {.last = newest.file.header.previous, .limit = newest.file.header.bytes, .window_bytes = kWindowBytes});
  while (walk.next().has_value()) {
  }
  const WalkEnding& ending = walk.ending();
  switch (ending.verdict) {
    case Verdict::kEnd:
    case Verdict::kCutTorn:
    case Verdict::kCutHole: break;
    case Verdict::kSkip:
    case Verdict::kCorrupt:
    case Verdict::kUnreadable:
    case Verdict::kRefuse: return std::unexpected(walk.error_of_ending());
  }
  LogEnd end;
  end.last = walk.complete().index;
  end.durable = std::min(walk.watermark(), end.last);
  end.offset = walk.complete_end();
  end.verdict = name_of(ending.verdict);
  end.is_closed = walk.closed() && ending.zeros_behind;
  return end;
}

Result<std::optional<LogView::Place>> LogView::find(Lsn id) const {
  const auto behind = std::ranges::upper_bound(
      segments_, id, {}, [](const LogSegment& segment) { return segment.file.header.base; });
  for (auto at = behind; at != segments_.begin();) {
    const LogSegment& segment = *--at;
    if (!segment.has_entries()) continue;
    if (segment.is_sealed && id > segment.last.index) return std::nullopt;
    if (!segment.is_sealed) {
      BOP_LET(last, end());
      if (id > last.last) return std::nullopt;
    }
    BOP_LET(file, disk_->open(segment.file.path, OpenMode::kRead));
    BOP_LET(place, place_of_id(*file, range_of(segment), std::nullopt, id));
    if (!place.has_value()) return std::nullopt;
    return Place{&segment, *place};
  }
  return std::nullopt;
}

Result<std::optional<std::int64_t>> LogView::first_time(const LogSegment& segment) const {
  if (!segment.has_entries()) return std::nullopt;
  BOP_LET(file, disk_->open(segment.file.path, OpenMode::kRead));
  BOP_LET(place, place_of_time(*file, range_of(segment), std::nullopt, kAnyTime));
  if (!place.has_value()) return std::nullopt;
  return place->timestamp_us;
}

Result<std::optional<LogView::Place>> LogView::find_time(std::int64_t at_us) const {
  // The last segment that begins before that time, by halves; segments without entries go with their
  // successor.
  std::size_t low = 0, high = segments_.size();
  while (high - low > 1) {
    const std::size_t middle = low + (high - low) / 2;
    std::optional<std::int64_t> begins;
    for (std::size_t i = middle; i < high && !begins.has_value(); ++i) {
      BOP_LET(time, first_time(segments_[i]));
      begins = time;
    }
    (begins.has_value() && *begins < at_us ? low : high) = middle;
  }
  for (std::size_t i = low; i < segments_.size(); ++i) {
    const LogSegment& segment = segments_[i];
    if (!segment.has_entries()) continue;
    BOP_LET(file, disk_->open(segment.file.path, OpenMode::kRead));
    BOP_LET(place, place_of_time(*file, range_of(segment), std::nullopt, at_us));
    if (!place.has_value()) continue;
    if (segment.is_sealed && place->id > segment.last.index) continue;  // void: its successor says so
    if (!segment.is_sealed) {
      BOP_LET(last, end());
      if (place->id > last.last) return std::nullopt;
    }
    return Place{&segment, *place};
  }
  return std::nullopt;
}

Status LogView::read(Lsn from, Lsn to, const Visit& visit) const {
  from = std::max(from, first());
  BOP_LET(last, end());
  to = std::min(to, last.last);
  if (from > to) return {};
  BOP_LET(start, find(from));
  if (!start.has_value()) return {};
  for (const LogSegment* segment = start->segment; segment != segments_.data() + segments_.size();
       ++segment) {
    if (!segment->has_entries()) continue;
    const bool is_first = segment == start->segment;
    const Lsn until = segment->is_sealed ? std::min(to, segment->last.index) : to;
    BOP_LET(file, disk_->open(segment->file.path, OpenMode::kRead));
    SegmentWalk walk(*file, segment->file.header,
                     {.offset = is_first ? start->place.offset.value : kSegmentHeaderBytes,
                      .last = is_first ? start->place.before : segment->file.header.previous,
                      .limit = segment->file.header.bytes,
                      .watermark = until,
                      .window_bytes = kWindowBytes});
    while (walk.last().index < until) {
      const auto record = walk.next();
      if (!record.has_value()) return std::unexpected(walk.error_of_ending());
      if (!is_entry(record->kind)) continue;
      if (!visit(*record, ByteOffset(walk.record_offset()), *segment)) return {};
    }
    if (until == to) break;
  }
  return {};
}

}  // namespace bop::aof
