#include "aof/stream_reader.hpp"

#include <algorithm>
#include <utility>

namespace bop::aof {

std::optional<CommitStream::Core::ReadPlace> CommitStream::Core::place_of(Lsn lsn) {
  std::scoped_lock lock(mutex_);
  if (segments_.empty() || lsn < segments_.front()->header.base) return std::nullopt;
  const auto behind =
      std::upper_bound(segments_.begin(), segments_.end(), lsn,
                       [](Lsn wanted, const auto& segment) { return wanted < segment->header.base; });
  const auto at = behind - 1;
  ReadPlace place{.segment = *at,
                  .entry = {(*at)->header.base, kSegmentHeaderBytes, (*at)->header.previous},
                  .durable_end = (*at)->durable_end,
                  .durable = Lsn(durable_.load()),
                  .following = behind == segments_.end() ? nullptr : *behind};
  for (const EntryPoint& entry : (*at)->entry_points) {
    if (entry.lsn <= lsn) place.entry = entry;
  }
  return place;
}

CommitStream::Core::ReadPlace CommitStream::Core::place_after(const std::shared_ptr<Segment>& segment) {
  std::scoped_lock lock(mutex_);
  ReadPlace place{.segment = segment,
                  .entry = {},
                  .durable_end = segment->durable_end,
                  .durable = Lsn(durable_.load()),
                  .following = nullptr};
  const auto at = std::find(segments_.begin(), segments_.end(), segment);
  if (at != segments_.end() && at + 1 != segments_.end()) place.following = *(at + 1);
  return place;
}

std::vector<SealedSegment> CommitStream::Core::sealed(std::uint64_t above_number) {
  std::scoped_lock lock(mutex_);
  std::vector<SealedSegment> found;
  for (std::size_t i = 0; i + 1 < segments_.size(); ++i) {
    const Segment& segment = *segments_[i];
    const Segment& successor = *segments_[i + 1];
    // A successor that nothing was written to yet is replaced by a fence when this process dies: the segment
    // then ends elsewhere. From its first write on it stays.
    if (i + 2 == segments_.size() && successor.durable_end <= kSegmentHeaderBytes) break;
    if (segment.header.number <= above_number) continue;
    found.push_back({segment.path, segment.header, successor.header.previous, successor.header.timeline});
  }
  return found;
}

std::vector<EntryPoint> CommitStream::Core::points_of(const Segment& segment) {
  std::scoped_lock lock(mutex_);
  return segment.entry_points;
}

std::vector<CommitStream::Core::ReadPlace> CommitStream::Core::places() {
  std::scoped_lock lock(mutex_);
  std::vector<ReadPlace> all;
  for (std::size_t i = 0; i < segments_.size(); ++i) {
    const auto& segment = segments_[i];
    all.push_back({.segment = segment,
                   .entry = {segment->header.base, kSegmentHeaderBytes, segment->header.previous},
                   .durable_end = segment->durable_end,
                   .durable = Lsn(durable_.load()),
                   .following = i + 1 < segments_.size() ? segments_[i + 1] : nullptr});
  }
  return all;
}

Error StreamReader::trimmed(Lsn wanted) const {
  return error(ErrorCode::kNotInPrerequisiteState, "the record with LSN {} was trimmed, the oldest is {}",
               wanted.value, core_->first_.load());
}

Status StreamReader::enter(const CommitStream::Core::ReadPlace& place) {
  segment_ = place.segment;
  end_.reset();
  if (place.following) end_ = place.following->header.previous;
  auto file = core_->disk_.open(segment_->path, OpenMode::kRead);
  if (!file.has_value()) {
    if (segment_->trimmed.load(std::memory_order_acquire)) return std::unexpected(trimmed(place.entry.lsn));
    return std::unexpected(std::move(file).error());
  }
  file_ = std::move(*file);
  limit_ = place.durable_end;
  walk_.emplace(*file_, segment_->header,
                SegmentWalk::Start{.offset = place.entry.offset,
                                   .last = place.entry.before,
                                   .limit = place.durable_end,
                                   .watermark = end_.has_value() ? end_->index : Lsn(0)});
  return {};
}

Result<std::optional<RecordView>> StreamReader::next() {
  if (failed_.has_value()) return std::unexpected(*failed_);
  const auto failing = [this](Error error) {
    failed_ = error;
    return std::unexpected(std::move(error));
  };
  if (!walk_.has_value()) {
    const auto place = core_->place_of(from_);
    if (!place.has_value()) {
      if (from_.value >= core_->first_.load()) return std::nullopt;  // nothing was ever written
      return failing(trimmed(from_));
    }
    if (Status entered = enter(*place); !entered.has_value()) return failing(std::move(entered).error());
  }
  for (;;) {
    if (segment_->trimmed.load(std::memory_order_acquire))
      return failing(trimmed(walk_->last().index.next()));
    if (end_.has_value() && walk_->last().index >= end_->index) {
      if (walk_->last() != *end_) {
        return failing(error(ErrorCode::kCorrupt,
                             "{}: the record with LSN {} is not the one that the next segment names",
                             segment_->path, end_->index.value));
      }
      const auto here = core_->place_after(segment_);
      if (!here.following) return failing(trimmed(end_->index.next()));
      const auto place = core_->place_after(here.following);
      CommitStream::Core::ReadPlace into = place;
      into.entry = {here.following->header.base, kSegmentHeaderBytes, here.following->header.previous};
      if (place.durable_end < kSegmentHeaderBytes) return std::nullopt;  // its header is on the way
      if (Status entered = enter(into); !entered.has_value()) return failing(std::move(entered).error());
      continue;
    }
    auto record = walk_->next();
    if (record.has_value()) {
      if (!is_entry(record->kind) || record->lsn < from_) continue;
      if (database_.has_value() && record->database != *database_) continue;
      auto payload = decoder_.decode(*record);
      if (!payload.has_value()) return failing(std::move(payload).error());
      record->payload = *payload;
      return record;
    }
    if (walk_->ending().verdict != Verdict::kEnd || walk_->offset() < limit_) {
      if (segment_->trimmed.load(std::memory_order_acquire)) continue;
      return failing(walk_->error_of_ending());
    }
    const auto place = core_->place_after(segment_);
    const bool grew = place.durable_end > limit_;
    const bool sealed = place.following != nullptr && !end_.has_value();
    if (sealed) end_ = place.following->header.previous;
    if (grew) {
      limit_ = place.durable_end;
      walk_->extend(limit_, Lsn(0));
    } else if (!sealed) {
      // The next segment may be there before the last writes of this one are durable.
      if (end_.has_value() && place.durable >= end_->index) return failing(walk_->error_of_ending());
      return std::nullopt;
    }
  }
}

}  // namespace bop::aof
