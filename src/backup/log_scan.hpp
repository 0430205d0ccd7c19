// Reads a log from files in order, of which the newest ones may be cut off anywhere, and checks checksums,
// chains and joints on the way. Writes nothing.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "aof/key_ring.hpp"
#include "aof/reader.hpp"
#include "aof/segment_header.hpp"
#include "base/disk.hpp"
#include "base/error.hpp"
#include "base/ids.hpp"

namespace bop::backup {

// The first `bytes` of a segment file; more than it has: as much as it has.
struct LogPiece {
  std::string path;
  std::uint64_t bytes = 0;
};

struct LogScanOptions {
  Disk* disk = nullptr;
  std::vector<LogPiece> pieces;  // oldest first, each the successor of the one before
  // No batch is read that ends behind it, or that is newer.
  Lsn until = Lsn(std::numeric_limits<std::uint64_t>::max());
  std::int64_t until_us = std::numeric_limits<std::int64_t>::max();
  // The newest piece must be sound up to its last byte, as in a backup. Otherwise it may end as a log may.
  bool exact = false;
  // The visitor looks into payloads: they are decoded, with the data keys where they are encrypted. Otherwise
  // it gets them as they are stored, for which no key is needed.
  bool payloads = false;
  std::shared_ptr<const aof::KeyRing> keys;
};

struct LogScanEnd {
  aof::RecordLink first;  // the record before the first one
  aof::RecordLink last;   // the last record that was read
  std::int64_t last_us = 0;
  aof::SegmentHeader header;         // of the newest segment that was read
  std::vector<std::uint64_t> bytes;  // of each piece that counts, up to `last`
  std::uint64_t records = 0;
  bool stopped = false;  // at until or until_us, with more behind
};

// Every record of batches that are whole, marks included. The view is valid during the call.
using LogVisitor = std::function<Status(const aof::RecordView& record)>;

[[nodiscard]] Result<LogScanEnd> scan_log(const LogScanOptions& options, const LogVisitor& visit);

// The header of a segment file; kCorrupt when it is not valid.
[[nodiscard]] Result<aof::SegmentHeader> read_header(File& file);

// All of a log's folder, as it is now: chain order, whole files.
[[nodiscard]] Result<std::vector<LogPiece>> pieces_of(Disk& disk, const std::string& log_directory);

}  // namespace bop::backup
