#include "backup/log_copy.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <map>
#include <thread>

#include "aof/record.hpp"
#include "aof/segment_walk.hpp"
#include "aof/stream_files.hpp"
#include "base/crc64.hpp"

namespace bop::backup {

using aof::Verdict;

namespace {

constexpr std::size_t kCopyBytes = 1U << 20U;
constexpr std::uint64_t kStepBytes = 8U << 20U;
// A block that the node is writing may be read half done; a rotten one stays as it is.
constexpr int kReadings = 20;
constexpr auto kReadingPause = std::chrono::milliseconds(5);

}  // namespace

Error LogCopy::gap(std::uint64_t missing) const {
  return error(ErrorCode::kNotInPrerequisiteState, "segment {} of {} is gone: the node has trimmed it",
               aof::segment_name(missing), source_);
}

Status LogCopy::begin(const std::vector<LabelLog>& have) {
  BOP_TRY(disk_.create_directories(target_ + "/log"));
  if (!have.empty()) return resume(have);
  Status done;
  for (int reading = 0; reading < kReadings; ++reading) {
    if (reading > 0) std::this_thread::sleep_for(kReadingPause);
    pieces_.clear();
    auto files = aof::find_segments(disk_, source_);
    done = files ? Status{} : std::unexpected(files.error());
    if (files && files->chain.empty()) {
      return fail(ErrorCode::kFileNotFound, "{} holds no log: it is no data directory of a node", source_);
    }
    for (std::size_t i = 0; done && i < files->chain.size(); ++i) {
      auto file = disk_.open(files->chain[i].path, OpenMode::kRead);
      done = file ? add(std::move(*file), files->chain[i].header) : Status(std::unexpected(file.error()));
    }
    // Trimmed or prepared while it was looked at.
    if (done) return {};
    if (done.error().code() != ErrorCode::kFileNotFound && done.error().code() != ErrorCode::kCorrupt) break;
  }
  return done;
}

// The newest segment of the label is read again, so that the records behind it can be known to follow.
Status LogCopy::resume(const std::vector<LabelLog>& have) {
  for (const LabelLog& log : have) {
    Piece piece;
    const std::string path = log_path(target_, log.number);
    BOP_LET(file, disk_.open(path, OpenMode::kReadWrite));
    BOP_LET(header, read_header(*file));
    BOP_TRY(file->truncate(log.bytes));
    piece.header = header;
    piece.target = std::move(file);
    piece.copied = log.bytes;
    piece.checksum = log.checksum;
    pieces_.push_back(std::move(piece));
  }
  for (std::size_t i = 0; i + 1 < pieces_.size(); ++i) pieces_[i].last = pieces_[i + 1].header.previous;
  Piece& newest = pieces_.back();
  BOP_LET(end, scan_log({.disk = &disk_,
                         .pieces = {{log_path(target_, newest.header.number), newest.copied}},
                         .exact = true},
                        [](const aof::RecordView&) { return Status{}; }));
  newest.last = end.last;
  end_us_ = end.last_us;
  auto source = disk_.open(source_ + "/" + aof::segment_name(newest.header.number), OpenMode::kRead);
  if (source) {
    BOP_LET(header, read_header(**source));
    if (header.identity != newest.header.identity) {
      return fail(ErrorCode::kInvalidArgument, "{} is a backup of another node than the one of {}", target_,
                  source_);
    }
    if (header.seed != newest.header.seed) {
      return fail(ErrorCode::kNotInPrerequisiteState,
                  "segment {} of {} is another one than that of the backup: the node was set back",
                  aof::segment_name(header.number), source_);
    }
    newest.source = std::move(*source);
  } else if (source.error().code() != ErrorCode::kFileNotFound) {
    return std::unexpected(source.error());
  }
  BOP_TRY(step());
  // Its name is gone, and no successor was found that says that nothing is missing.
  if (pieces_.back().source == nullptr) return std::unexpected(gap(pieces_.back().header.number));
  return {};
}

Status LogCopy::add(std::unique_ptr<File> source, const aof::SegmentHeader& header) {
  Piece piece;
  piece.header = header;
  piece.source = std::move(source);
  piece.last = header.previous;
  BOP_LET(target, disk_.open(log_path(target_, header.number), OpenMode::kOpenOrCreate));
  BOP_TRY(target->truncate(0));
  piece.target = std::move(target);
  BOP_TRY(copy(piece, aof::kSegmentHeaderBytes));
  pieces_.push_back(std::move(piece));
  return {};
}

Result<bool> LogCopy::discover() {
  BOP_LET(names, disk_.list(source_));
  std::map<std::uint64_t, std::pair<std::unique_ptr<File>, aof::SegmentHeader>> found;
  for (const std::string& name : names) {
    const auto number = aof::segment_number(name);
    if (!number || *number <= pieces_.back().header.number) continue;
    auto file = disk_.open(source_ + "/" + name, OpenMode::kRead);
    if (!file && file.error().code() == ErrorCode::kFileNotFound) continue;
    if (!file) return std::unexpected(file.error());
    auto header = read_header(**file);
    if (!header && header.error().code() == ErrorCode::kCorrupt) continue;  // prepared, not yet in use
    if (!header) return std::unexpected(header.error());
    if (header->identity != pieces_.front().header.identity) {
      return fail(ErrorCode::kInvalidArgument, "{} is a backup of another node than the one of {}", target_,
                  source_);
    }
    found.emplace(*number, std::pair{std::move(*file), *header});
  }
  for (auto& [number, segment] : found) {
    const auto before = std::ranges::find(pieces_, segment.second.previous_number,
                                          [](const Piece& piece) { return piece.header.number; });
    if (before == pieces_.end()) return false;
    // What it passes over was replaced before its first record, or is void.
    if (pieces_.back().last.index > segment.second.previous.index) {
      voided_behind_ = std::min(voided_behind_, segment.second.previous.index);
    }
    pieces_.erase(before + 1, pieces_.end());
    BOP_TRY(add(std::move(segment.first), segment.second));
  }
  return true;
}

Status LogCopy::step() { return advance_all(false); }
Status LogCopy::finish() { return advance_all(true); }

Status LogCopy::advance_all(bool to_the_end) {
  bool linked = false;
  // A segment that was not in use when it was looked at may be so when its successor is.
  for (int reading = 0; !linked; ++reading) {
    if (reading == kReadings) return std::unexpected(gap(pieces_.back().header.number + 1));
    if (reading > 0) std::this_thread::sleep_for(kReadingPause);
    BOP_LET(all, discover());
    linked = all;
  }
  for (std::size_t i = 0; i < pieces_.size(); ++i) {
    Piece& piece = pieces_[i];
    const bool newest = i + 1 == pieces_.size();
    if (!newest && piece.source == nullptr && piece.last == pieces_[i + 1].header.previous) continue;
    BOP_TRY(advance(i, to_the_end));
    if (newest) continue;
    const aof::RecordLink& wanted = pieces_[i + 1].header.previous;
    if (piece.last.index > wanted.index) {
      voided_behind_ = std::min(voided_behind_, wanted.index);
      piece.last = wanted;
    }
    if (piece.last != wanted) {
      // What is behind it must wait until it is read to its end.
      if (!to_the_end) return {};
      return fail(ErrorCode::kCorrupt, "{}: the record with LSN {} is damaged or missing, and it was durable",
                  piece.target->path(), piece.last.index.value + 1);
    }
    piece.source.reset();
  }
  return {};
}

Status LogCopy::advance(std::size_t index, bool to_the_end) {
  Piece& piece = pieces_[index];
  const bool newest = index + 1 == pieces_.size();
  const aof::RecordLink* wanted = newest ? nullptr : &pieces_[index + 1].header.previous;
  if (wanted != nullptr && piece.last.index >= wanted->index) return {};
  if (piece.source == nullptr) return std::unexpected(gap(piece.header.number));
  const std::uint64_t whole = piece.header.bytes;
  if (!to_the_end) {
    std::array<std::byte, sizeof(aof::RecordHeader)> head{};
    BOP_LET(got, piece.source->read_at(ByteOffset(piece.copied), head));
    if (newest && (got < head.size() || aof::all_zero(head))) return {};
    const std::uint64_t before = piece.copied;
    const std::uint64_t limit = wanted != nullptr ? whole : std::min(whole, piece.copied + kStepBytes);
    BOP_TRY(read_on(piece, wanted, limit));
    // A batch may be longer than a step.
    if (piece.copied == before && limit < whole) BOP_TRY(read_on(piece, wanted, whole));
    return {};
  }
  std::optional<Error> unsound;
  for (int reading = 0; reading < kReadings;) {
    const std::uint64_t before = piece.copied;
    BOP_LET(why, read_on(piece, wanted, whole));
    unsound = std::move(why);
    if (!unsound && (wanted == nullptr || piece.last.index >= wanted->index)) return {};
    if (piece.copied != before) continue;
    ++reading;
    std::this_thread::sleep_for(kReadingPause);
  }
  return unsound ? Status(std::unexpected(*unsound)) : Status{};
}

Result<std::optional<Error>> LogCopy::read_on(Piece& piece, const aof::RecordLink* wanted,
                                              std::uint64_t limit) {
  aof::SegmentWalk walk(*piece.source, piece.header,
                        {.offset = piece.copied,
                         .last = piece.last,
                         .limit = limit,
                         .watermark = wanted != nullptr ? wanted->index : Lsn(0)});
  std::int64_t newest_us = end_us_;
  std::int64_t end_us = end_us_;
  while (wanted == nullptr || walk.complete() != *wanted) {
    const auto record = walk.next();
    if (!record) break;
    if (aof::is_entry(record->kind)) newest_us = record->timestamp_us;
    if (record->batch_remaining == 0) end_us = newest_us;
  }
  BOP_TRY(copy(piece, walk.complete_end()));
  piece.last = walk.complete();
  end_us_ = end_us;
  if (wanted != nullptr && walk.complete() == *wanted) return std::nullopt;
  switch (walk.ending().verdict) {
    case Verdict::kEnd:
    case Verdict::kCutTorn:
    case Verdict::kCutHole: return std::nullopt;
    case Verdict::kSkip:
    case Verdict::kCorrupt:
    case Verdict::kUnreadable:
    case Verdict::kRefuse: break;
  }
  return walk.error_of_ending();
}

Status LogCopy::copy(Piece& piece, std::uint64_t to) {
  std::vector<std::byte> buffer(static_cast<std::size_t>(
      std::min<std::uint64_t>(kCopyBytes, to > piece.copied ? to - piece.copied : 0)));
  while (piece.copied < to) {
    const auto part = std::span(buffer).first(
        static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), to - piece.copied)));
    BOP_LET(got, piece.source->read_at(ByteOffset(piece.copied), part));
    if (got < part.size()) {
      return fail(ErrorCode::kIo, "{}: it ends at byte {}, {} were read before", piece.source->path(),
                  piece.copied + got, to);
    }
    BOP_TRY(piece.target->write_at(ByteOffset(piece.copied), part));
    piece.checksum = crc64(piece.checksum, part);
    piece.copied += got;
    copied_bytes_ += got;
    piece.synced = false;
  }
  return {};
}

Status LogCopy::sync() {
  bool any = false;
  for (Piece& piece : pieces_) {
    if (piece.synced) continue;
    BOP_TRY(piece.target->sync());
    piece.synced = any = true;
  }
  return any ? disk_.sync_directory(target_ + "/log") : Status{};
}

std::vector<LabelLog> LogCopy::logs() const {
  std::vector<LabelLog> out;
  for (std::size_t i = 0; i < pieces_.size(); ++i) {
    const Piece& piece = pieces_[i];
    out.push_back({piece.header.number, piece.copied, piece.checksum});
    // What is open and not begun is found again.
    if (i + 1 < pieces_.size() && piece.last != pieces_[i + 1].header.previous) break;
  }
  return out;
}

}  // namespace bop::backup
