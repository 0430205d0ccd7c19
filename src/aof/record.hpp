// One record of the log.
//
// Format, version 1, little-endian; a record starts at a multiple of 8 bytes and is padded with zeros to one:
//
//   offset  size  field
//        0     4  checksum      low half of the CRC64-NVME, folded: low xor high
//        4     4  size          bytes of envelope and payload, without the padding
//        8     8  id            LSN; a mark (filler, heads) carries the id of the last entry before it
//       16     8  timestamp     microseconds since the Unix epoch, never below the one before; for people only
//       24     1  version       1
//       25     1  flags         bit 0: the payload is compressed, bit 1: encrypted (payload_codec.hpp); of a mark 0
//       26     6  reserved      [0..4): high half of the CRC64-NVME; [4..6): 0
//       32    80  envelope:
//       32     8    term
//       40     4    timeline
//       44     4    database
//       48     1    kind        record_kind.hpp
//       49     1    reserved    0
//       50     2    kind flags  belong to the kind's owner
//       52     4    batch       records of the same atomic batch that follow; 0 closes it
//       56     8    producer
//       64     8    sequence
//       72     8    id of the stream's previous entry, 0 when there is none
//       80     8    its term
//       88     8    its CRC64
//       96     8    id of the same database's previous entry, 0 when there is none
//      104     8    its CRC64
//      112     n  payload
//
// The CRC covers bytes [4, 26), [30, 32) and everything from 32 to the end of the padding. Its seed is made
// of the stream's identity, the segment's number and random seed, and the record's offset in the file, so
// that bytes of another stream, of another life of a file or at another place never pass.
//
// A record is valid if and only if (1) its size is at least that of the envelope and it ends inside the
// segment, (2) the CRC holds, (3) version, flags, kind and reserved bytes are known, and (4) it continues the
// chain: an entry's id is one more than its predecessor's, and the named predecessor (id, term, CRC) is the
// entry before it. All zeros are never valid: version 0 does not exist. (2) without (3) is a newer format and
// is refused; so a reader of before flags had a meaning refuses records that have one.
//
// Payload of a filler: u64 durable watermark (every record with a lower or equal id was durable when the
// filler was written), u64 flags (1: the log was closed here), zeros. Payload of heads: u32 count, u32 0,
// then by ascending database: u32 database, u32 0, u64 id, u64 CRC64 of its newest entry.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "aof/reader.hpp"
#include "base/ids.hpp"

namespace bop::aof {

struct RecordHeader {
  std::uint32_t checksum;
  std::uint32_t size;
  std::uint64_t id;
  std::int64_t timestamp;
  std::uint8_t version;
  std::uint8_t flags;
  std::uint8_t reserved[6];
};
static_assert(sizeof(RecordHeader) == 32 && offsetof(RecordHeader, version) == 24);
static_assert(offsetof(RecordHeader, reserved) == 26);

struct RecordEnvelope {
  std::uint64_t term;
  std::uint32_t timeline;
  std::uint32_t database;
  std::uint8_t kind;
  std::uint8_t reserved;
  std::uint16_t kind_flags;
  std::uint32_t batch_remaining;
  std::uint64_t producer;
  std::uint64_t sequence;
  std::uint64_t previous_index;
  std::uint64_t previous_term;
  std::uint64_t previous_checksum;
  std::uint64_t database_previous_index;
  std::uint64_t database_previous_checksum;
};
static_assert(sizeof(RecordEnvelope) == 80 && offsetof(RecordEnvelope, batch_remaining) == 20);
static_assert(offsetof(RecordEnvelope, previous_index) == 40);

inline constexpr std::uint8_t kRecordVersion = 1;
inline constexpr std::uint8_t kPayloadCompressed = 1;  // RecordHeader::flags
inline constexpr std::uint8_t kPayloadEncrypted = 2;
inline constexpr std::size_t kRecordOverhead = sizeof(RecordHeader) + sizeof(RecordEnvelope);
inline constexpr std::size_t kFillerPayloadBytes = 16;
inline constexpr std::size_t kFillerBytes = kRecordOverhead + kFillerPayloadBytes;  // the smallest filler
inline constexpr std::uint64_t kFillerClosed = 1;

[[nodiscard]] constexpr std::uint64_t align_up(std::uint64_t value, std::uint64_t to) noexcept {
  return (value + to - 1) / to * to;
}
[[nodiscard]] constexpr std::uint64_t record_bytes(std::uint64_t payload_bytes) noexcept {
  return align_up(kRecordOverhead + payload_bytes, 8);
}

// Writes `record` (its payload is taken from `payload`, its checksum is computed) to `out`, which has
// record_bytes(payload) bytes. Returns the full CRC64.
std::uint64_t encode_record(std::span<std::byte> out, std::uint64_t seed, const RecordView& record,
                            std::span<const std::span<const std::byte>> payload) noexcept;

// What the bytes at one place of a segment are, before the chain is looked at.
enum class RecordState : std::uint8_t {
  kValid,       // (1), (2) and (3) hold
  kZero,        // the 32 bytes of the header are zeros
  kDamaged,     // (1) or (2) does not hold
  kUnchained,   // valid, but does not continue the chain: stale or misplaced
  kUnreadable,  // the disk answered an error
  kTooNew,      // (2) holds and (3) does not
};

// Bytes of the record that `header` begins (with padding), or 0 when (1) does not hold. `room` = bytes up to
// the end of the segment. Needs only the 32 bytes of the header.
[[nodiscard]] std::uint64_t extent_of(std::span<const std::byte> header, std::uint64_t room) noexcept;

// Decodes the record at the start of `bytes`, which holds its whole extent.
[[nodiscard]] RecordState decode_record(std::span<const std::byte> bytes, std::uint64_t seed,
                                        RecordView& out) noexcept;

struct FillerPayload {
  Lsn watermark;
  bool closed = false;
};
void encode_filler(std::span<std::byte> payload, const FillerPayload& filler) noexcept;
// False when the payload is not one of a filler.
[[nodiscard]] bool decode_filler(std::span<const std::byte> payload, FillerPayload& out) noexcept;

[[nodiscard]] bool all_zero(std::span<const std::byte> bytes) noexcept;

}  // namespace bop::aof
