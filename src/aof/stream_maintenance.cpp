// What waits for the disk: preparing segments, the ballast, trimming, closing.
#include <algorithm>
#include <utility>

#include "aof/stream_core.hpp"
#include "base/assert.hpp"

namespace bop::aof {

// A file full of zeros, with its name, durable.
Result<std::shared_ptr<Segment>> CommitStream::Core::create_segment_file() {
  BOP_TRY(check_space(0));
  auto segment = std::make_shared<Segment>();
  SegmentHeader& header = segment->header;
  header.identity = recovered_.identity;
  header.number = next_number_;
  header.bytes = options_.segment_bytes;
  header.seed = random_.u64();
  header.created_us = clock_.wall_us();
  segment->path = options_.directory + "/" + segment_name(header.number);
  BOP_LET(file, disk_.open(segment->path, OpenMode::kCreate));
  ++next_number_;
  segment->file = std::move(file);
  Status made = segment->file->prewrite(0, header.bytes);
  if (made.has_value()) made = segment->file->sync();
  if (made.has_value()) made = disk_.sync_directory(options_.directory);
  if (!made.has_value()) {
    segment->file.reset();
    // If this fails too, the next start finds a file without a header and removes it.
    static_cast<void>(disk_.remove(segment->path));
    return std::unexpected(std::move(made).error());
  }
  return segment;
}

// Prepares the next segment; makes it the active one when there is none.
Status CommitStream::Core::prepare() {
  bool first = false;
  {
    std::scoped_lock lock(mutex_);
    first = !active_;
    if (next_) return {};
    if (failure_.has_value()) return std::unexpected(*failure_);
  }
  auto segment = create_segment_file();
  Status done;
  if (!segment.has_value()) {
    done = std::unexpected(std::move(segment).error());
  } else if (first) {
    done = activate(*segment);
  } else {
    std::scoped_lock lock(mutex_);
    next_ = std::move(*segment);
    maintenance_wanted_ = false;
    disk_full_ = false;
  }
  if (!done.has_value()) {
    {
      std::scoped_lock lock(mutex_);
      maintenance_wanted_ = false;
      disk_full_ = done.error().code() == ErrorCode::kDiskFull;
    }
    if (done.error().code() == ErrorCode::kDiskFull) release_ballast();
  }
  return done;
}

// A segment may not take the bytes that its own records, once they are rows, will need.
Status CommitStream::Core::check_space(std::uint64_t ballast) {
  const std::uint64_t reserved = options_.reserved_bytes ? options_.reserved_bytes() : 0;
  if (reserved + ballast == 0) return {};
  BOP_LET(free, disk_.free_bytes(options_.directory));
  const std::uint64_t needed = options_.segment_bytes + reserved + ballast;
  if (free >= needed) return {};
  return fail(ErrorCode::kDiskFull, "no space for a log segment in {}: {} bytes are free, {} are needed",
              options_.directory, free, needed);
}

void CommitStream::Core::release_ballast() {
  if (!ballast_held_) return;
  ballast_held_ = false;
  // The space is for those who free more of it (checkpoints, trims), not for more records.
  static_cast<void>(disk_.remove(ballast_path()));
  static_cast<void>(disk_.sync_directory(options_.directory));
}

void CommitStream::Core::give_back_ballast() {
  std::scoped_lock maintenance(maintenance_);
  release_ballast();
}

// What an earlier process has left. One of another size is made anew when there is room; on a disk that is
// full already the start may need it.
Status CommitStream::Core::find_ballast() {
  BOP_LET(exists, disk_.exists(ballast_path()));
  if (!exists) return {};
  BOP_LET(file, disk_.open(ballast_path(), OpenMode::kRead));
  BOP_LET(size, file->size());
  file.reset();
  ballast_held_ = true;
  BOP_LET(free, disk_.free_bytes(options_.directory));
  if (size != options_.ballast_bytes || free < options_.segment_bytes) release_ballast();
  return {};
}

void CommitStream::Core::fill_ballast() {
  if (options_.ballast_bytes == 0 || ballast_held_) return;
  auto free = disk_.free_bytes(options_.directory);
  if (!free.has_value() || *free < options_.ballast_bytes + options_.segment_bytes) return;
  auto file = disk_.open(ballast_path(), OpenMode::kOpenOrCreate);
  if (!file.has_value()) return;
  if ((*file)->prewrite(0, options_.ballast_bytes).has_value() && (*file)->sync().has_value()) {
    ballast_held_ = true;
  } else {
    static_cast<void>(disk_.remove(ballast_path()));
  }
}

LogSegments CommitStream::Core::log_segments(std::size_t most) const {
  LogSegments out;
  const std::size_t skipped = segments_.size() - std::min(most, segments_.size());
  for (std::size_t i = 0; i < segments_.size(); ++i) {
    const Segment& segment = *segments_[i];
    if (i < skipped) {
      ++out.older;
      out.older_bytes += segment.header.bytes;
      continue;
    }
    const bool active = segments_[i] == active_;
    out.newest.push_back({.number = segment.header.number,
                          .first = segment.header.base,
                          .bytes = segment.header.bytes,
                          .used_bytes = active && open_ ? open_->offset + open_->used : segment.next_offset,
                          .active = active});
  }
  if (next_) out.prepared_bytes = next_->header.bytes;
  return out;
}

Status CommitStream::Core::maintain() {
  std::scoped_lock maintenance(maintenance_);
  bool due = false;
  bool was_full = false;
  Submits submits;
  {
    std::scoped_lock lock(mutex_);
    if (failure_.has_value()) return std::unexpected(*failure_);
    if (closed_) return {};
    const std::uint64_t used = !active_ ? 0 : open_ ? open_->offset + open_->used : active_->next_offset;
    was_full = disk_full_ && !std::exchange(fence_is_late_, false);
    due = !next_ &&
          (!active_ || disk_full_ ||
           static_cast<double>(used) >= options_.prepare_at * static_cast<double>(active_->header.bytes));
    // A stream at rest: say that its last records are durable, so that later damage to them is known as such.
    const std::uint64_t appended = appended_.load(std::memory_order_relaxed);
    const bool at_rest = appended == appended_at_last_maintain_ && queue_.empty();
    appended_at_last_maintain_ = appended;
    if (at_rest) spare_buffers_.clear();
    if (at_rest && active_ && !closed_on_disk_ && persisted_watermark_ < last_.index &&
        active_->next_offset + kDiskBlockBytes + heads_bytes() + kCloseReserve <= active_->header.bytes) {
      push_mark_write(false);
      collect_submits(submits, clock_);
    }
  }
  submit(submits);
  if (due) {
    if (was_full) {
      // Not from the last free bytes: others need them to free more.
      BOP_TRY(check_space(options_.ballast_bytes));
    }
    BOP_TRY(prepare());
  }
  fill_ballast();
  return renew_key();
}

Status CommitStream::Core::renew_key() {
  if (!keys_ || options_.codec.key_lifetime_us == 0) return {};
  const std::int64_t age_us = clock_.wall_us() - keys_->in_use()->created_us;
  return age_us < options_.codec.key_lifetime_us ? Status{} : keys_->rotate();
}

// True when a segment other than the oldest has a durable heads record.
bool CommitStream::Core::others_hold_heads() const {
  return std::any_of(segments_.begin() + 1, segments_.end(),
                     [](const auto& segment) { return segment->holds_heads; });
}

std::uint64_t CommitStream::Core::bytes_behind_oldest() const {
  std::uint64_t bytes = 0;
  for (std::size_t i = 1; i < segments_.size(); ++i) bytes += segments_[i]->header.bytes;
  return bytes;
}

Status CommitStream::Core::trim(Lsn below, bool is_short) {
  return trim_while([&](const Segment&, const Segment& behind) {
    if (behind.header.base > below) return false;
    return is_short || disk_full_ || bytes_behind_oldest() >= options_.retain_bytes;
  });
}

Status CommitStream::Core::trim_segments(std::uint64_t up_to_number) {
  return trim_while([&](const Segment& oldest, const Segment& behind) {
    return oldest.header.number <= up_to_number && behind.durable_end >= kSegmentHeaderBytes;
  });
}

template <class Goes>
Status CommitStream::Core::trim_while(Goes goes) {
  std::scoped_lock maintenance(maintenance_);
  for (;;) {
    std::shared_ptr<Segment> oldest;
    {
      std::scoped_lock lock(mutex_);
      if (segments_.size() < 2 || !others_hold_heads() || !goes(*segments_[0], *segments_[1])) return {};
      oldest = segments_.front();
    }
    oldest->trimmed.store(true, std::memory_order_release);
    // One by one, oldest first, each durable: what is left is always a chain.
    if (Status removed = disk_.remove(oldest->path);
        !removed.has_value() && removed.error().code() != ErrorCode::kFileNotFound) {
      return removed;
    }
    BOP_TRY(disk_.sync_directory(options_.directory));
    std::scoped_lock lock(mutex_);
    segments_.erase(segments_.begin());
    first_.store(segments_.front()->header.base.value, std::memory_order_release);
    metrics_.segments_trimmed.fetch_add(1, std::memory_order_relaxed);
  }
}

Status CommitStream::Core::close() {
  std::scoped_lock maintenance(maintenance_);
  {
    std::scoped_lock lock(mutex_);
    if (closed_ && !lock_) return {};
    closed_ = true;
  }
  Status done = wait_durable(Lsn(appended_.load()));
  if (done.has_value()) {
    Submits submits;
    {
      std::scoped_lock lock(mutex_);
      if (active_ && !closed_on_disk_) {
        push_mark_write(true);
        collect_submits(submits, clock_);
      }
    }
    submit(submits);
    done = wait_durable(Lsn(appended_.load()));
  }
  if (next_) {  // never used; the next start would only remove it
    static_cast<void>(disk_.remove(next_->path));
    next_.reset();
  }
  lock_.reset();
  return done;
}

}  // namespace bop::aof
