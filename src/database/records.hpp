// Payloads of a database's records in its group's log. Kinds and the envelope (term, index, timeline,
// database, producer, chains, checksum) are aof's. Little-endian; page bytes are the 4064 usable bytes of a
// page, never its reserved 32.
//
// kBaseMarker     the first record of every page after it is a full image; a durable base is the Lsn of a marker
//      0  8  last_commit   Csn of the newest commit before the marker, 0 = none
//
// kRowPart        a part of a transaction too big for one record (rule 10); void without its kRowCommit
//      0  8  transaction   chosen by the writer, equal in all records of one transaction, never reused in a timeline
//      8  4  part          0, 1, 2, ...
//     12  4  page_count
//     16  .. pages         as in kRowCommit
//
// kRowCommit      closes a transaction: its own Lsn is the transaction's Csn
//      0  8  transaction
//      8  4  parts         number of kRowPart records before it, 0 for most
//     12  4  database_pages   size of the database in pages after this commit
//     16  4  page_count    pages in this record
//     20  .. pages
//   a page:
//      0  4  page number   1-based; at most database_pages; each page once in a transaction
//      4  2  form          0 full image, 1 delta
//      6  2  range_count   delta: 0..508; full image: 0
//      8  8  base          delta: Csn of the commit whose full image began this page's chain (for a part: its
//                          transaction's Csn is not known yet, so a delta never starts from its own transaction)
//     16  8  checksum      CRC64-NVME of the usable bytes after the change, seeded as the page's (page_seal.hpp)
//     24  .. full image: 4064 bytes; delta: range_count times {u16 offset, u16 length, length bytes}, ascending,
//            not overlapping, inside [0, 4064)
//
// kRewind         no payload: what ran ahead of the log was discarded; open parts are void, every page's next record
//                 is a full image
//
// kSequence       state of sequences, absolute, so that applying a record twice is harmless
//      0  4  count
//      4  .. count times {u32 oid, u32 flags (1 = exhausted, 2 = dropped), i64 next}
//
// A reader refuses unknown kinds, forms and flags, lengths that do not add up, and bytes left over.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "aof/record_kind.hpp"
#include "base/ids.hpp"

namespace bop::database {

using aof::RecordKind;

inline constexpr std::size_t kMaxPartBytes = std::size_t{1} << 20;
inline constexpr std::size_t kPageEntryHeaderBytes = 24;
inline constexpr std::size_t kRowCommitHeaderBytes = 20;
inline constexpr std::size_t kRowPartHeaderBytes = 16;
inline constexpr std::size_t kBaseMarkerBytes = 8;
inline constexpr std::size_t kSequenceEntryBytes = 16;

enum class PageForm : std::uint16_t { kFull = 0, kDelta = 1 };

// One record as engines and sequences see it; `payload` lives for the duration of the call.
struct LogRecord {
  Lsn lsn;
  Lsn previous;  // of the same database, 0 = none
  RecordKind kind{};
  std::span<const std::byte> payload;
};

}  // namespace bop::database
