// The segment files of a directory, put in order and checked against each other by their headers alone.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "aof/segment_header.hpp"
#include "aof/segment_walk.hpp"
#include "base/disk.hpp"
#include "base/error.hpp"

namespace bop::aof {

struct SegmentFile {
  std::string path;
  SegmentHeader header;
};

struct StreamFiles {
  std::vector<SegmentFile> chain;   // oldest first; each names the one before it
  std::vector<std::string> unused;  // prepared and never used, or replaced before use: may be removed
  std::uint64_t highest_number = 0;
};

// Reads names and headers, and whole files only where a header is not valid. Writes nothing. Errors: kCorrupt
// when a header is damaged or a segment is missing, kIo, kFormatTooNew.
[[nodiscard]] Result<StreamFiles> find_segments(Disk& disk, const std::string& directory);

// The newest entry of each database, for the chains of what is appended next.
using DatabaseHeads = std::map<DatabaseId, RecordLink>;

// Payload of a heads record (record.hpp).
[[nodiscard]] std::vector<std::byte> encode_heads(const DatabaseHeads& heads);
[[nodiscard]] bool decode_heads(std::span<const std::byte> payload, DatabaseHeads& heads);

// True when the first record of the segment is a valid heads record. A segment with entries may lack it: a
// first write of marks alone can be lost in a power cut that a second write, which was in flight with it,
// survives.
[[nodiscard]] Result<bool> has_heads(Disk& disk, const SegmentFile& segment);

// Follows the records of the newest segments up to the end of the log.
struct StreamEnd {
  RecordLink last;        // the newest entry that counts
  std::uint64_t end = 0;  // offset behind it in the newest segment, on a block boundary when `clean`
  std::uint64_t end_before_newest = 0;  // offset behind the last entry that counts in the segment before it
  bool untouched = false;               // the newest segment holds a header and zeros
  bool clean = false;                   // closed in order, nothing behind
  WalkEnding ending;
  std::uint64_t skipped = 0;
  Lsn watermark;
  std::int64_t last_timestamp_us = 0;  // no record that counts has a later one
  DatabaseHeads heads;
};
[[nodiscard]] Result<StreamEnd> find_end(Disk& disk, const StreamFiles& files);

}  // namespace bop::aof
