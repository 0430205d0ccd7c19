#include "aof/stream_backward.hpp"

#include <algorithm>
#include <utility>

#include "aof/segment_walk.hpp"
#include "aof/stream_reader.hpp"

namespace bop::aof {

using ReadPlace = CommitStream::Core::ReadPlace;

BackwardReader::BackwardReader(std::shared_ptr<CommitStream::Core> core, Lsn from,
                               std::optional<DatabaseId> database)
    : core_(std::move(core)),
      wanted_(std::min(from, Lsn(core_->durable_.load()))),
      database_(database),
      decoder_(core_->keys_) {}

Error BackwardReader::error_of(const SegmentWalk& walk, const Segment& segment) const {
  if (segment.trimmed.load(std::memory_order_acquire)) {
    return error(ErrorCode::kNotInPrerequisiteState, "the record with LSN {} was trimmed, the oldest is {}",
                 wanted_.value, core_->first_.load());
  }
  return walk.error_of_ending();
}

// Makes points_ so dense around `wanted_` that the piece that holds it is short.
Status BackwardReader::points_for(const ReadPlace& place, Lsn newest) {
  if (segment_ != place.segment) {
    segment_ = place.segment;
    points_ = core_->points_of(*segment_);
    if (points_.empty() || points_.front().lsn > segment_->header.base) {
      points_.insert(points_.begin(),
                     {segment_->header.base, kSegmentHeaderBytes, segment_->header.previous});
    }
  }
  const auto behind = std::upper_bound(points_.begin(), points_.end(), wanted_,
                                       [](Lsn lsn, const EntryPoint& point) { return lsn < point.lsn; });
  const EntryPoint from = *(behind - 1);
  const std::uint64_t end = behind == points_.end() ? place.durable_end : behind->offset;
  if (end - from.offset <= 2 * kEntryPointBytes) return {};
  // Behind the piece's end nothing is read: a walk that ends at zeros would look at all of them.
  const Lsn last = behind == points_.end() ? newest : Lsn(behind->lsn.value - 1);
  std::vector<EntryPoint> found;
  BOP_LET(file, core_->disk_.open(segment_->path, OpenMode::kRead));
  SegmentWalk walk(*file, segment_->header,
                   {.offset = from.offset, .last = from.before, .limit = end, .watermark = last});
  std::uint64_t previous = from.offset;
  while (walk.last().index < last) {
    const RecordLink before = walk.last();
    const auto record = walk.next();
    if (!record.has_value()) return std::unexpected(error_of(walk, *segment_));
    if (is_entry(record->kind) && walk.record_offset() >= previous + kEntryPointBytes) {
      previous = walk.record_offset();
      found.push_back({record->lsn, previous, before});
    }
  }
  points_.insert(behind, found.begin(), found.end());
  return {};
}

// The piece that ends with `wanted_`; false when there is none.
Result<bool> BackwardReader::load() {
  held_.clear();
  bytes_.clear();
  const auto place = core_->place_of(wanted_);
  if (wanted_.value == 0 || !place.has_value()) return false;
  const Lsn newest = place->following ? place->following->header.previous.index : place->durable;
  BOP_TRY(points_for(*place, newest));
  const auto behind = std::upper_bound(points_.begin(), points_.end(), wanted_,
                                       [](Lsn lsn, const EntryPoint& point) { return lsn < point.lsn; });
  const EntryPoint from = *(behind - 1);
  BOP_LET(file, core_->disk_.open(segment_->path, OpenMode::kRead));
  SegmentWalk walk(
      *file, segment_->header,
      {.offset = from.offset, .last = from.before, .limit = place->durable_end, .watermark = newest});
  while (walk.last().index < wanted_) {
    auto record = walk.next();
    if (!record.has_value()) return std::unexpected(error_of(walk, *segment_));
    if (!is_entry(record->kind) || (database_.has_value() && record->database != *database_)) continue;
    BOP_LET(payload, decoder_.decode(*record));
    record->payload = payload;
    held_.push_back({.view = *record, .payload_at = bytes_.size()});
    bytes_.insert(bytes_.end(), payload.begin(), payload.end());
  }
  wanted_ = Lsn(from.lsn.value - 1);
  return true;
}

Result<std::optional<RecordView>> BackwardReader::next() {
  if (failed_.has_value()) return std::unexpected(*failed_);
  while (held_.empty()) {
    if (wanted_.value < core_->first_.load()) return std::nullopt;
    auto loaded = load();
    if (!loaded.has_value()) {
      failed_ = loaded.error();
      return std::unexpected(std::move(loaded).error());
    }
    if (!*loaded) return std::nullopt;
  }
  Held last = held_.back();
  held_.pop_back();
  last.view.payload = std::span<const std::byte>(bytes_).subspan(last.payload_at, last.view.payload.size());
  return last.view;
}

namespace {

// No record of the segment is older than this, none before it is newer; nothing when it has no record.
Result<std::optional<std::int64_t>> time_at_begin(CommitStream::Core& core, const ReadPlace& place) {
  constexpr std::size_t kWindow = 64U << 10U;
  BOP_LET(file, core.disk_.open(place.segment->path, OpenMode::kRead));
  SegmentWalk walk(*file, place.segment->header,
                   {.last = place.entry.before, .limit = place.durable_end, .window_bytes = kWindow});
  if (place.durable_end <= kSegmentHeaderBytes) return std::nullopt;
  const auto record = walk.next();
  if (!record.has_value()) {
    if (walk.ending().verdict == Verdict::kEnd) return std::nullopt;
    return std::unexpected(walk.error_of_ending());
  }
  return record->timestamp_us;
}

}  // namespace

Result<std::optional<Lsn>> find_time(const std::shared_ptr<CommitStream::Core>& core, std::int64_t time_us,
                                     std::optional<DatabaseId> database) {
  const auto places = core->places();
  // The newest segment that begins with an older time holds the record, or is the one before it.
  std::size_t low = 0;
  std::size_t high = places.size();
  while (high - low > 1) {
    const std::size_t middle = low + (high - low) / 2;
    BOP_LET(begin, time_at_begin(*core, places[middle]));
    (begin.has_value() && *begin < time_us ? low : high) = middle;
  }
  if (places.empty()) return std::nullopt;
  StreamReader reader(core, places[low].entry.lsn, database);
  for (;;) {
    BOP_LET(record, reader.next());
    if (!record.has_value()) return std::nullopt;
    if (record->timestamp_us >= time_us) return record->lsn;
  }
}

Result<std::vector<CommitStream::SegmentSpan>> spans_of(CommitStream::Core& core) {
  std::vector<CommitStream::SegmentSpan> all;
  for (const ReadPlace& place : core.places()) {
    const SegmentHeader& header = place.segment->header;
    const std::int64_t before = all.empty() ? 0 : all.back().begin_us;
    BOP_LET(begin, time_at_begin(core, place));
    all.push_back({.number = header.number,
                   .base = header.base,
                   .bytes = header.bytes,
                   .begin_us = std::max(begin.value_or(before), before)});
  }
  return all;
}

}  // namespace bop::aof
