// The kinds of records, declared once. Numbers are stable for ever and never reused.
//
//   1 ... 15   the stream's own marks ("non-entries"): they carry the id of the last entry before them
//  16 ... 127  entries: each has an id (LSN) of its own; what the payload means is the owner's
//
// A reader refuses a kind that it does not know (kFormatTooNew): a skipped record would be a silently lost
// commit.
#pragma once

#include <cstdint>
#include <string_view>

namespace bop::aof {

enum class RecordKind : std::uint8_t {
  kFiller = 1,  // pads a write to whole blocks and carries the durable watermark
  kHeads = 2,   // first record of a segment: the newest record of every database

  kNoop = 16,             // a leader's first entry of its term
  kRowCommit = 17,        // a row transaction, or the closing part of a big one
  kRowPart = 18,          // a part of a big row transaction; void without its closing part
  kBaseMarker = 19,       // after it every page is logged in full once
  kSequence = 20,         // a block of sequence values is reserved
  kDatabaseCreated = 21,  // in the system database's records
  kDatabaseDropped = 22,  // in the system database's records
  kProducer = 23,         // what is remembered of producers (producer_table.hpp)
  kRewind = 24,           // executed and uncommitted work of this database is void
  kAppend = 25,           // a record of a log that is used as a library (bop/aof.hpp): the user's bytes
};

[[nodiscard]] constexpr bool is_known(RecordKind kind) noexcept {
  const auto k = static_cast<std::uint8_t>(kind);
  return k == 1 || k == 2 || (k >= 16 && k <= 25);
}
[[nodiscard]] constexpr bool is_entry(RecordKind kind) noexcept {
  return static_cast<std::uint8_t>(kind) >= 16;
}
[[nodiscard]] std::string_view name_of(RecordKind kind) noexcept;

}  // namespace bop::aof
