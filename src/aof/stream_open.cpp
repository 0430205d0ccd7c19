// Opening: find the end of the log, fence what lies behind it, go on.
//
// A log that was closed in order goes on in its newest segment. Any other end is fenced: a new segment with a
// new seed and timeline names the last entry that counts, and makes everything behind that entry void for
// ever, also what a dying process had in flight and what arrives on the disk only now. Nothing old is cut or
// overwritten, so the evidence stays until it is trimmed, and a fence that was itself interrupted is found as
// an unused file.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "aof/stream_core.hpp"
#include "base/assert.hpp"

namespace bop::aof {

namespace {

constexpr std::uint64_t kSmallestSegment = 64U << 10U;
constexpr int kMostLevel = 19;

Status check(const Options& options) {
  if (options.segment_bytes < kSmallestSegment || options.segment_bytes % kDiskBlockBytes != 0) {
    return fail(ErrorCode::kConfigInvalid,
                "a log segment of {} bytes: it must be a multiple of {} and at least {}",
                options.segment_bytes, kDiskBlockBytes, kSmallestSegment);
  }
  if (options.max_in_flight == 0 || options.write_bytes == 0 || options.max_unacknowledged == 0) {
    return fail(ErrorCode::kConfigInvalid,
                "max_in_flight, write_bytes and max_unacknowledged must be above 0");
  }
  if (options.codec.level < 1 || options.codec.level > kMostLevel) {
    return fail(ErrorCode::kConfigInvalid, "compression level {}: it must be 1 to {}", options.codec.level,
                kMostLevel);
  }
  return {};
}

std::string verdict_text(const StreamFiles& files, const StreamEnd& end) {
  if (files.chain.empty()) return "new log";
  std::string text = end.clean ? fmt::format("closed in order at LSN {}", end.last.index.value)
                               : fmt::format("recovered up to LSN {}: {}", end.last.index.value,
                                             name_of(end.ending.verdict));
  if (end.ending.discarded_bytes != 0) {
    text += fmt::format(", {} bytes behind it ({} records) were never acknowledged and are void",
                        end.ending.discarded_bytes, end.ending.discarded_records);
  }
  if (end.skipped != 0) text += fmt::format(", {} damaged fillers skipped", end.skipped);
  return text;
}

}  // namespace

CommitStream::Core::Core(Disk& disk, Clock& clock, Random& random, Options options)
    : disk_(disk), clock_(clock), random_(random), options_(std::move(options)) {}

// Before anything is read: a wrong key is told before the log is touched.
Status CommitStream::Core::open_codec() {
  const CodecOptions& codec = options_.codec;
  const std::string& directory = codec.key_directory.empty() ? options_.directory : codec.key_directory;
  if (codec.by != nullptr) {
    BOP_LET(keys, KeyRing::open(disk_, clock_, random_, directory, codec.by, KeyRing::Mode::kWrite));
    keys_ = std::move(keys);
  } else {
    BOP_LET(has_keys, has_key_files(disk_, directory));
    if (has_keys) {
      return std::unexpected(
          error(
              ErrorCode::kEncryptionKeyMissing,
              "{} holds data keys (keys.0, keys.1), so that records of the log are encrypted, and no key is "
              "set to unwrap them",
              directory)
              .hint("Set log_encryption_key_file to the key-encryption key of this log."));
    }
  }
  if (keys_ || codec.compress) encoder_ = std::make_unique<PayloadEncoder>(codec, keys_, random_);
  return {};
}

Status CommitStream::Core::open() {
  std::scoped_lock maintenance(maintenance_);
  BOP_TRY(check(options_));
  BOP_TRY(disk_.create_directories(options_.directory));
  BOP_LET(lock, disk_.lock(options_.directory + "/lock"));
  lock_ = std::move(lock);
  BOP_TRY(open_codec());

  BOP_LET(files, find_segments(disk_, options_.directory));
  if (files.chain.empty() && options_.must_exist) {
    return std::unexpected(error(ErrorCode::kCorrupt,
                                 "{} holds no log, but there are databases whose newest commits are in a log",
                                 options_.directory)
                               .hint("Put the files of the log back, or start with another data directory."));
  }
  BOP_LET(end, find_end(disk_, files));
  if (!files.chain.empty()) {
    recovered_.identity = files.chain.front().header.identity;
    if (options_.identity.has_value() && *options_.identity != recovered_.identity) {
      return std::unexpected(
          error(ErrorCode::kConfigInvalid,
                "{} holds the log of another data directory: it is {:02x}, and {:02x} belongs here",
                options_.directory, fmt::join(recovered_.identity, ""), fmt::join(*options_.identity, ""))
              .hint("Put the files of the right log back."));
    }
    // What was read may not have been on the disk yet when the process before us died.
    BOP_LET(newest, disk_.open(files.chain.back().path, OpenMode::kReadWrite));
    BOP_TRY(newest->sync());
    BOP_TRY(disk_.sync_directory(options_.directory));
  } else if (options_.identity.has_value()) {
    recovered_.identity = *options_.identity;
  } else {
    random_.fill(std::as_writable_bytes(std::span(recovered_.identity)));
  }

  next_number_ = files.highest_number + 1;
  last_ = end.last;
  heads_ = std::move(end.heads);
  persisted_watermark_ = end.watermark;
  last_timestamp_us_ = recovered_.last_timestamp_us = end.last_timestamp_us;
  appended_ = durable_ = notified_lsn_ = on_its_way_ = last_.index.value;
  appended_at_last_maintain_ = appended_;
  term_ = std::max<std::uint64_t>(1, last_.term.value);
  recovered_.created = files.chain.empty();
  recovered_.clean = end.clean || files.chain.empty();
  recovered_.last = last_.index;
  recovered_.last_term = last_.term;
  recovered_.discarded_bytes = end.ending.discarded_bytes;
  recovered_.discarded_records = end.ending.discarded_records;
  recovered_.skipped_fillers = end.skipped;
  recovered_.verdict = verdict_text(files, end);

  for (const SegmentFile& file : files.chain) {
    auto segment = std::make_shared<Segment>();
    segment->header = file.header;
    segment->path = file.path;
    segment->next_offset = segment->durable_end = file.header.bytes;
    BOP_LET(holds_heads, has_heads(disk_, file));
    segment->holds_heads = holds_heads;
    segments_.push_back(std::move(segment));
  }
  Timeline timeline(1);
  if (!segments_.empty()) {
    const auto& newest = segments_.back();
    newest->next_offset = newest->durable_end = end.end;
    timeline = end.clean ? newest->header.timeline : newest->header.timeline.next();
    previous_number_ = newest->header.number;
    if (end.untouched) {  // it held nothing; its successor takes its place
      previous_number_ = newest->header.previous_number;
      obsolete_path_ = newest->path;
      segments_.pop_back();
      // The one before it is the newest until there is room for a successor, and nobody says where it ends
      // but the header that was just dropped.
      if (!segments_.empty()) segments_.back()->durable_end = end.end_before_newest;
    }
  }
  timeline_ = timeline.value;
  recovered_.timeline = timeline;
  recovered_.first = segments_.empty() ? last_.index.next() : segments_.front()->header.base;
  first_ = recovered_.first.value;
  for (const auto& path : files.unused) BOP_TRY(disk_.remove(path));
  if (!files.unused.empty()) BOP_TRY(disk_.sync_directory(options_.directory));
  BOP_TRY(find_ballast());

  if (end.clean) {
    const auto& newest = segments_.back();
    BOP_LET(file, disk_.open(newest->path, OpenMode::kReadWrite));
    newest->file = std::move(file);
    closed_on_disk_ = true;
    std::scoped_lock state(mutex_);
    set_active(newest);
    return {};
  }
  if (options_.late_fence && !recovered_.created) {
    std::scoped_lock state(mutex_);
    disk_full_ = fence_is_late_ = true;
    return {};
  }
  if (auto prepared = prepare(); !prepared.has_value()) {
    // Reads, trims and restarts work on a full disk.
    if (prepared.error().code() != ErrorCode::kDiskFull) return prepared;
  }
  if (active_) fill_ballast();
  return {};
}

// Makes a prepared file the newest segment, its header durable. Only while no segment is active.
Status CommitStream::Core::activate(const std::shared_ptr<Segment>& segment) {
  BOP_ASSERT(!active_);
  segment->header.timeline = Timeline(timeline_.load());
  segment->header.base = last_.index.next();
  segment->header.previous = last_;
  segment->header.previous_number = previous_number_;
  BlockBuffer block(kSegmentHeaderBytes);
  encode_segment_header(std::span(block.data(), kSegmentHeaderBytes), segment->header);
  BOP_TRY(
      segment->file->write_at(ByteOffset(0), std::span<const std::byte>(block.data(), kSegmentHeaderBytes)));
  BOP_TRY(segment->file->sync());
  segment->next_offset = segment->durable_end = kSegmentHeaderBytes;
  {
    std::scoped_lock lock(mutex_);
    segments_.push_back(segment);
    set_active(segment);
    disk_full_ = false;
  }
  if (!obsolete_path_.empty()) {
    BOP_TRY(disk_.remove(obsolete_path_));
    obsolete_path_.clear();
  }
  return {};
}

}  // namespace bop::aof
