// Walks the records of one segment file in chain order and judges the place where they stop.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "aof/record.hpp"
#include "aof/recovery_table.hpp"
#include "aof/segment_header.hpp"
#include "base/disk.hpp"
#include "base/error.hpp"

namespace bop::aof {

// A window over a file. Bytes handed out are valid until the next call.
class FileWindow {
 public:
  FileWindow(File& file, std::size_t window_bytes) : file_(&file), window_bytes_(window_bytes) {}

  // The bytes [offset, offset + wanted), fewer at the end of the file; reads ahead up to `limit`. The disk's
  // error (kIo) when a sector in that range is unreadable. Any other error says nothing about sectors: a file
  // that is read over a network, or through checksums of its own, has it; then smaller parts are not tried.
  [[nodiscard]] Result<std::span<const std::byte>> bytes(std::uint64_t offset, std::size_t wanted,
                                                         std::uint64_t limit);

 private:
  File* file_;
  std::size_t window_bytes_;
  std::vector<std::byte> held_;
  std::uint64_t from_ = 0;
  std::size_t have_ = 0;
};

// Where and why a walk stopped.
struct WalkEnding {
  Verdict verdict = Verdict::kEnd;
  RecordState state = RecordState::kZero;
  Later later = Later::kNone;
  bool behind_watermark = false;
  bool zeros_behind = false;            // nothing but zeros up to the end of the segment
  bool in_batch = false;                // the records of an unfinished batch lie before the place
  std::uint64_t offset = 0;             // of the place
  std::uint64_t discarded_bytes = 0;    // from the last complete batch to the last byte that is not zero
  std::uint64_t discarded_records = 0;  // valid records in there
  std::string disk_error;               // for kUnreadable
};

// One thread at a time; `file` outlives it. Views are valid until the next call.
class SegmentWalk {
 public:
  struct Start {
    std::uint64_t offset = kSegmentHeaderBytes;
    RecordLink last;          // last entry before `offset`
    std::uint64_t limit = 0;  // no record may end behind it
    Lsn watermark;            // every record up to it is known to have been durable
    std::size_t window_bytes = 256U << 10U;
  };
  SegmentWalk(File& file, const SegmentHeader& header, Start start);

  // The next record, marks included, or nothing: ending() then says why. Damaged padding is skipped.
  [[nodiscard]] std::optional<RecordView> next();

  // Of the record that next() gave, and behind it.
  [[nodiscard]] std::uint64_t record_offset() const noexcept { return record_offset_; }
  [[nodiscard]] std::uint64_t offset() const noexcept { return offset_; }
  [[nodiscard]] const RecordLink& last() const noexcept { return last_; }
  // The newest entry that closed its batch, and the offset behind that batch (and behind fillers after it).
  [[nodiscard]] const RecordLink& complete() const noexcept { return complete_; }
  [[nodiscard]] std::uint64_t complete_end() const noexcept { return complete_end_; }
  [[nodiscard]] Lsn watermark() const noexcept { return watermark_; }
  [[nodiscard]] bool closed() const noexcept { return closed_; }  // the last record was a filler that says so
  [[nodiscard]] std::uint64_t skipped() const noexcept { return skipped_; }
  [[nodiscard]] const WalkEnding& ending() const noexcept { return ending_; }
  // The error that an ending other than kEnd and the cuts means.
  [[nodiscard]] Error error_of_ending() const;

  // Lets the walk go on after kEnd at the old limit.
  void extend(std::uint64_t limit, Lsn watermark);

 private:
  [[nodiscard]] RecordState read(std::uint64_t offset, RecordView& view, std::uint64_t& extent);
  [[nodiscard]] bool continues(const RecordView& view) const noexcept;
  void accept(const RecordView& view, std::uint64_t extent);
  void note_watermark(const RecordView& view);
  // Looks at everything behind `offset_`; true when the walk can go on at a chained record.
  [[nodiscard]] bool judge(RecordState state);

  File* file_;
  FileWindow window_;
  SegmentHeader header_;
  std::uint64_t key_;
  std::uint64_t offset_;
  std::uint64_t limit_;
  RecordLink last_;
  RecordLink complete_;
  std::uint64_t complete_end_;
  Lsn watermark_;
  std::uint64_t record_offset_ = 0;
  std::uint64_t skipped_ = 0;
  std::uint64_t open_batch_records_ = 0;
  bool closed_ = false;
  bool ended_ = false;
  std::string disk_error_;
  std::optional<Error> stopped_;  // by an error that is not one of sectors: nothing can be judged
  WalkEnding ending_;
};

}  // namespace bop::aof
