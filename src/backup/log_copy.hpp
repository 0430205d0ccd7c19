// Copies a log into a backup while the node that owns it may be writing to it, trimming it, dying and coming
// back. Reads only; the node neither knows nor waits.
//
// A segment is opened when it is first seen, and stays open until it is copied: so a trim takes its name, not
// its bytes. What is copied is what has been read as whole batches of records that chain, so that a write
// that is under way is left for the next step. A segment that appears and goes between two steps is a gap
// (kNotInPrerequisiteState), found by the number that its successor names.
//
// A restart of the node may void records that had been copied (they were never acknowledged): the next
// segment's header names the last record that counts.
//
// One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "aof/reader.hpp"
#include "aof/segment_header.hpp"
#include "backup/label.hpp"
#include "backup/log_scan.hpp"
#include "base/disk.hpp"

namespace bop::backup {

class LogCopy {
 public:
  // `source` is the log's folder, `target` the backup's directory.
  LogCopy(Disk& disk, std::string source, std::string target)
      : disk_(disk), source_(std::move(source)), target_(std::move(target)) {}

  // Opens the node's segments. With `have` (the label's) goes on behind those; kNotInPrerequisiteState when
  // the node's log does not reach back to there.
  [[nodiscard]] Status begin(const std::vector<LabelLog>& have);
  // Copies what there is. Cheap when there is nothing.
  [[nodiscard]] Status step();
  // The same, and fails when the log does not end as a log may. All that was durable when it was called is
  // copied.
  [[nodiscard]] Status finish();
  // What was copied is durable.
  [[nodiscard]] Status sync();

  // All of these but the newest are copied to their ends.
  [[nodiscard]] std::vector<LabelLog> logs() const;
  [[nodiscard]] const aof::SegmentHeader& newest() const { return pieces_.back().header; }
  [[nodiscard]] Lsn end() const { return pieces_.back().last.index; }
  [[nodiscard]] std::int64_t end_us() const noexcept { return end_us_; }
  [[nodiscard]] std::uint64_t copied_bytes() const noexcept { return copied_bytes_; }
  // Of the segments that are open: the log goes on behind this record, whatever was copied behind it before.
  [[nodiscard]] Lsn voided_behind() const noexcept { return voided_behind_; }

 private:
  struct Piece {
    aof::SegmentHeader header;
    std::unique_ptr<File> source;  // none once it is copied, or when the node has trimmed it
    std::unique_ptr<File> target;
    std::uint64_t copied = 0;  // bytes, the header among them
    std::uint64_t checksum = 0;
    aof::RecordLink last;
    bool synced = true;
  };
  [[nodiscard]] Status resume(const std::vector<LabelLog>& have);
  // Opens the segments behind the newest known one; true when all that was found could be linked.
  [[nodiscard]] Result<bool> discover();
  [[nodiscard]] Status add(std::unique_ptr<File> source, const aof::SegmentHeader& header);
  [[nodiscard]] Status advance_all(bool to_the_end);
  [[nodiscard]] Status advance(std::size_t index, bool to_the_end);
  // Reads on to `limit`; what that gave is copied. The value is the error of a log that ends as none may.
  [[nodiscard]] Result<std::optional<Error>> read_on(Piece& piece, const aof::RecordLink* wanted,
                                                     std::uint64_t limit);
  [[nodiscard]] Status copy(Piece& piece, std::uint64_t to);
  [[nodiscard]] Error gap(std::uint64_t missing) const;

  Disk& disk_;
  const std::string source_;
  const std::string target_;
  std::vector<Piece> pieces_;
  std::int64_t end_us_ = 0;
  std::uint64_t copied_bytes_ = 0;
  Lsn voided_behind_ = Lsn(UINT64_MAX);
};

}  // namespace bop::backup
