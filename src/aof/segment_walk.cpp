#include "aof/segment_walk.hpp"

#include <algorithm>
#include <utility>

namespace bop::aof {

Result<std::span<const std::byte>> FileWindow::bytes(std::uint64_t offset, std::size_t wanted,
                                                     std::uint64_t limit) {
  if (offset >= from_ && offset + wanted <= from_ + have_) {
    return std::span<const std::byte>(held_).subspan(offset - from_, wanted);
  }
  const std::uint64_t room = limit > offset ? limit - offset : 0;
  const std::size_t ahead = static_cast<std::size_t>(std::min<std::uint64_t>(room, window_bytes_));
  const std::size_t size = std::max(wanted, ahead);
  if (held_.size() < size) held_.resize(size);
  from_ = offset;
  have_ = 0;
  auto all = file_->read_at(ByteOffset(offset), std::span(held_).first(size));
  if (all.has_value()) {
    have_ = *all;
    return std::span<const std::byte>(held_).first(std::min(have_, wanted));
  }
  if (all.error().code() != ErrorCode::kIo) return std::unexpected(std::move(all).error());
  // A sector somewhere ahead is unreadable: what was asked for may still be there.
  std::size_t got = 0;
  while (got < wanted) {
    const std::uint64_t at = offset + got;
    const std::size_t piece = std::min<std::size_t>(kSectorBytes - at % kSectorBytes, wanted - got);
    auto part = file_->read_at(ByteOffset(at), std::span(held_).subspan(got, piece));
    if (!part.has_value()) return std::unexpected(std::move(part).error());
    got += *part;
    if (*part < piece) break;
  }
  have_ = got;
  return std::span<const std::byte>(held_).first(got);
}

SegmentWalk::SegmentWalk(File& file, const SegmentHeader& header, Start start)
    : file_(&file),
      window_(file, start.window_bytes),
      header_(header),
      key_(header.record_key()),
      offset_(start.offset),
      limit_(start.limit),
      last_(start.last),
      complete_(start.last),
      complete_end_(start.offset),
      watermark_(std::max(start.watermark, header.previous.index)) {}

RecordState SegmentWalk::read(std::uint64_t offset, RecordView& view, std::uint64_t& extent) {
  extent = 0;
  const std::uint64_t room = limit_ > offset ? limit_ - offset : 0;
  if (room < sizeof(RecordHeader)) return RecordState::kDamaged;
  auto head = window_.bytes(offset, sizeof(RecordHeader), limit_);
  if (!head.has_value()) {
    disk_error_ = head.error().what();
    if (head.error().code() != ErrorCode::kIo) stopped_ = head.error();
    return RecordState::kUnreadable;
  }
  if (head->size() < sizeof(RecordHeader)) return RecordState::kDamaged;
  if (all_zero(*head)) return RecordState::kZero;
  const std::uint64_t size = extent_of(*head, room);
  if (size == 0) return RecordState::kDamaged;
  auto whole = window_.bytes(offset, static_cast<std::size_t>(size), limit_);
  if (!whole.has_value()) {
    disk_error_ = whole.error().what();
    if (whole.error().code() != ErrorCode::kIo) stopped_ = whole.error();
    return RecordState::kUnreadable;
  }
  if (whole->size() < size) return RecordState::kDamaged;
  extent = size;
  return decode_record(*whole, key_ + offset, view);
}

bool SegmentWalk::continues(const RecordView& view) const noexcept {
  if (view.previous != last_ || view.timeline != header_.timeline) return false;
  return is_entry(view.kind) ? view.lsn == last_.index.next() : view.lsn == last_.index;
}

void SegmentWalk::note_watermark(const RecordView& view) {
  FillerPayload filler;
  if (view.kind == RecordKind::kFiller && decode_filler(view.payload, filler)) {
    watermark_ = std::max(watermark_, filler.watermark);
    closed_ = filler.closed;
  } else {
    closed_ = false;
  }
}

void SegmentWalk::accept(const RecordView& view, std::uint64_t extent) {
  note_watermark(view);
  record_offset_ = offset_;
  offset_ += extent;
  if (is_entry(view.kind)) {
    last_ = {view.lsn, view.term, view.checksum};
    ++open_batch_records_;
  }
  if (view.batch_remaining == 0) {
    complete_ = last_;
    complete_end_ = offset_;
    open_batch_records_ = 0;
  }
}

std::optional<RecordView> SegmentWalk::next() {
  if (ended_) return std::nullopt;
  for (;;) {
    if (offset_ >= limit_) {
      ending_ = {};
      ending_.offset = offset_;
      ending_.zeros_behind = true;
      ended_ = true;
      return std::nullopt;
    }
    RecordView view;
    std::uint64_t extent = 0;
    RecordState state = read(offset_, view, extent);
    if (state == RecordState::kValid && !continues(view)) state = RecordState::kUnchained;
    if (state == RecordState::kValid) {
      accept(view, extent);
      return view;
    }
    if (stopped_.has_value() || !judge(state)) {
      if (stopped_.has_value()) ending_ = {.verdict = Verdict::kUnreadable, .offset = offset_};
      ended_ = true;
      return std::nullopt;
    }
    ++skipped_;
  }
}

bool SegmentWalk::judge(RecordState state) {
  ending_ = {};
  ending_.state = state;
  ending_.offset = offset_;
  ending_.zeros_behind = true;
  ending_.in_batch = open_batch_records_ != 0;
  ending_.discarded_records = open_batch_records_;
  std::uint64_t chained_at = 0;
  const bool was_closed = closed_;
  std::string place_error = disk_error_;

  // The rest of the block in which the sequence stops, then every block: writes begin at their boundaries.
  const std::uint64_t first_block = align_up(offset_ + 1, kDiskBlockBytes);
  std::uint64_t last_byte = offset_;
  if (auto rest =
          window_.bytes(offset_, static_cast<std::size_t>(std::min(first_block, limit_) - offset_), limit_);
      !rest.has_value() || !all_zero(*rest)) {
    ending_.zeros_behind = false;
    last_byte = std::min(first_block, limit_);
  }
  std::uint64_t block = offset_ % kDiskBlockBytes == 0 ? offset_ + kDiskBlockBytes : first_block;
  while (block < limit_) {
    RecordView view;
    std::uint64_t extent = 0;
    auto bytes =
        window_.bytes(block, static_cast<std::size_t>(std::min(kSegmentHeaderBytes, limit_ - block)), limit_);
    if (bytes.has_value() && all_zero(*bytes)) {
      block += kDiskBlockBytes;
      continue;
    }
    ending_.zeros_behind = false;
    last_byte = std::min(block + kDiskBlockBytes, limit_);
    if (read(block, view, extent) != RecordState::kValid) {
      if (stopped_.has_value()) return false;
      block += kDiskBlockBytes;
      continue;
    }
    if (chained_at == 0 && ending_.later == Later::kNone && continues(view)) {
      chained_at = block;
      ending_.later = Later::kChained;
      break;
    }
    // A whole write that does not follow: count its records and heed its watermark.
    ending_.later = Later::kUnchained;
    std::uint64_t at = block;
    while (at < limit_ && read(at, view, extent) == RecordState::kValid) {
      note_watermark(view);
      if (is_entry(view.kind)) ++ending_.discarded_records;
      at += extent;
    }
    last_byte = at;
    block = std::max(block + kDiskBlockBytes, at / kDiskBlockBytes * kDiskBlockBytes);
  }
  closed_ = was_closed && ending_.zeros_behind;
  ending_.behind_watermark = watermark_ > complete_.index;
  ending_.discarded_bytes = last_byte > complete_end_ ? last_byte - complete_end_ : 0;
  ending_.disk_error = std::move(place_error);
  ending_.verdict = verdict_of(state, ending_.behind_watermark, ending_.later);
  if (ending_.verdict == Verdict::kEnd && ending_.in_batch) ending_.verdict = Verdict::kCutTorn;
  if (ending_.verdict == Verdict::kEnd && !ending_.zeros_behind) ending_.verdict = Verdict::kCutTorn;
  if (ending_.verdict != Verdict::kSkip) return false;
  offset_ = chained_at;
  return true;
}

Error SegmentWalk::error_of_ending() const {
  if (stopped_.has_value()) return *stopped_;
  const Lsn wanted = complete_.index.next();
  switch (ending_.verdict) {
    case Verdict::kUnreadable:
      return error(ErrorCode::kIo, "{}: the record with LSN {} at byte {} cannot be read: {}", file_->path(),
                   wanted.value, ending_.offset, ending_.disk_error)
          .hint("The log is complete only with these bytes; restore the disk or the data directory.");
    case Verdict::kRefuse:
      return error(ErrorCode::kFormatTooNew,
                   "{}: the record at byte {} (after LSN {}) was written by a newer version", file_->path(),
                   ending_.offset, complete_.index.value)
          .hint("Start the version that wrote it.");
    case Verdict::kEnd:
    case Verdict::kCutTorn:
    case Verdict::kCutHole:
    case Verdict::kSkip:
    case Verdict::kCorrupt: break;
  }
  return error(ErrorCode::kCorrupt,
               "{}: the record with LSN {} at byte {} is damaged or missing, and it was durable",
               file_->path(), wanted.value, ending_.offset)
      .hint(
          "Acknowledged records are damaged: nothing was changed. \"bop verify --repair --from BACKUP\" takes "
          "them from a backup that has them.");
}

void SegmentWalk::extend(std::uint64_t limit, Lsn watermark) {
  limit_ = std::max(limit_, limit);
  watermark_ = std::max(watermark_, watermark);
  if (ended_ && ending_.verdict == Verdict::kEnd && offset_ < limit_) ended_ = false;
}

}  // namespace bop::aof
