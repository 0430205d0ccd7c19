// Reading records back, in order, each verified.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "aof/record_kind.hpp"
#include "base/error.hpp"
#include "base/ids.hpp"

namespace bop::aof {

// A record that another one names: its id and its full CRC64.
struct RecordLink {
  Lsn index;
  Term term;  // 0 in links between records of one database
  std::uint64_t checksum = 0;
  friend bool operator==(const RecordLink&, const RecordLink&) = default;
};

// A verified record. `payload` is valid until the reader's next call; a Reader gives it as it was appended, a
// SegmentWalk as it is stored.
struct RecordView {
  Lsn lsn;
  Term term;
  Timeline timeline;
  DatabaseId database;
  RecordKind kind{};
  std::uint16_t flags = 0;
  std::uint8_t encoding = 0;  // bits of the record's header: how its payload is stored
  std::uint64_t producer = 0;
  std::uint64_t sequence = 0;
  std::int64_t timestamp_us = 0;
  std::uint64_t checksum = 0;
  std::uint32_t batch_remaining = 0;  // records of the same atomic batch that follow
  RecordLink previous;                // the stream's previous entry
  RecordLink database_previous;       // the same database's previous entry
  std::span<const std::byte> payload;
};

// One thread at a time. Every record's checksum, id and chain are checked; the first failure ends the reader:
// kCorrupt naming file, offset and LSN, kIo for an unreadable sector, kFormatTooNew.
class Reader {
 public:
  virtual ~Reader() = default;
  // The next entry (marks are skipped), or nothing at the durable end: call again later.
  [[nodiscard]] virtual Result<std::optional<RecordView>> next() = 0;
};

}  // namespace bop::aof
