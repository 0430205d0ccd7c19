// A log's folder as it stands, read without opening the log: for tools. Takes no lock and writes nothing, so
// it may look at the folder of a running node: what it tells is then a moment's, and of the newest write it
// may see a part, which counts as not there. A segment that is trimmed while it is looked at is
// kFileNotFound.
//
// One thread at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "aof/stream_files.hpp"
#include "aof/tier/record_place.hpp"
#include "base/disk.hpp"
#include "base/error.hpp"

namespace bop::aof {

struct LogSegment {
  SegmentFile file;
  bool is_sealed = false;      // it has a successor
  RecordLink last;             // of a sealed one: the last entry that counts
  std::int64_t sealed_us = 0;  // its successor's creation

  [[nodiscard]] bool has_entries() const noexcept { return !is_sealed || last.index >= file.header.base; }
};

// Where the newest segment's records end.
struct LogEnd {
  Lsn last;     // the newest entry that counts, as a start would see it
  Lsn durable;  // every entry up to it was durable, as far as the log itself says
  std::uint64_t offset = 0;
  std::string verdict;
  bool is_closed = false;
};

class LogView {
 public:
  // Errors as find_segments; kFileNotFound when the folder holds no segment.
  [[nodiscard]] static Result<LogView> open(Disk& disk, const std::string& directory);

  [[nodiscard]] const StreamIdentity& identity() const noexcept {
    return segments_.front().file.header.identity;
  }
  [[nodiscard]] const std::vector<LogSegment>& segments() const noexcept { return segments_; }
  [[nodiscard]] Lsn first() const noexcept { return segments_.front().file.header.base; }

  // Bytes of the file up to the end of the last block that is not zeros.
  [[nodiscard]] Result<std::uint64_t> used_bytes(const LogSegment& segment) const;
  // Walks the newest segment.
  [[nodiscard]] Result<LogEnd> end() const;

  struct Place {
    const LogSegment* segment = nullptr;
    RecordPlace place;
  };
  // Nothing when the log does not hold it. Reads headers, and walks one segment.
  [[nodiscard]] Result<std::optional<Place>> find(Lsn id) const;
  // The first entry that is not older.
  [[nodiscard]] Result<std::optional<Place>> find_time(std::int64_t at_us) const;

  // The entries from `from` to `to` in their order, none behind the end; payloads as they are stored. `visit`
  // answers false to stop. kCorrupt where a record is damaged.
  using Visit = std::function<bool(const RecordView& record, ByteOffset offset, const LogSegment& segment)>;
  [[nodiscard]] Status read(Lsn from, Lsn to, const Visit& visit) const;

 private:
  LogView(Disk& disk, std::vector<LogSegment> segments) : disk_(&disk), segments_(std::move(segments)) {}
  [[nodiscard]] SegmentRange range_of(const LogSegment& segment) const;
  // The timestamp of the segment's first entry; nothing when it has none.
  [[nodiscard]] Result<std::optional<std::int64_t>> first_time(const LogSegment& segment) const;

  Disk* disk_;
  std::vector<LogSegment> segments_;
};

}  // namespace bop::aof
