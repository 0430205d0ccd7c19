#include "aof/record.hpp"

#include <bit>

#include "base/assert.hpp"
#include "base/crc64.hpp"

namespace bop::aof {

static_assert(std::endian::native == std::endian::little,
              "formats are little-endian and written as they are in memory");

namespace {

// The header's part of the CRC: bytes [4, 26) and [30, 32).
std::uint64_t header_crc(const std::byte* record, std::uint64_t seed) noexcept {
  std::byte covered[24];
  std::memcpy(covered, record + 4, 22);
  std::memcpy(covered + 22, record + 30, 2);
  return crc64(seed, covered);
}

}  // namespace

std::string_view name_of(RecordKind kind) noexcept {
  switch (kind) {
    case RecordKind::kFiller: return "filler";
    case RecordKind::kHeads: return "heads";
    case RecordKind::kNoop: return "noop";
    case RecordKind::kRowCommit: return "row_commit";
    case RecordKind::kRowPart: return "row_part";
    case RecordKind::kBaseMarker: return "base_marker";
    case RecordKind::kSequence: return "sequence";
    case RecordKind::kDatabaseCreated: return "database_created";
    case RecordKind::kDatabaseDropped: return "database_dropped";
    case RecordKind::kProducer: return "producer";
    case RecordKind::kRewind: return "rewind";
    case RecordKind::kAppend: return "append";
  }
  return "unknown";
}

bool all_zero(std::span<const std::byte> bytes) noexcept {
  if (bytes.empty()) return true;
  return bytes[0] == std::byte{0} && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0;
}

std::uint64_t encode_record(std::span<std::byte> out, std::uint64_t seed, const RecordView& record,
                            std::span<const std::span<const std::byte>> payload) noexcept {
  std::size_t payload_bytes = 0;
  for (const auto& part : payload) payload_bytes += part.size();
  const std::size_t bytes = record_bytes(payload_bytes);
  BOP_ASSERT(out.size() >= bytes);

  RecordHeader header{};
  header.size = static_cast<std::uint32_t>(sizeof(RecordEnvelope) + payload_bytes);
  header.id = record.lsn.value;
  header.timestamp = record.timestamp_us;
  header.version = kRecordVersion;
  header.flags = record.encoding;
  RecordEnvelope envelope{};
  envelope.term = record.term.value;
  envelope.timeline = record.timeline.value;
  envelope.database = record.database.value;
  envelope.kind = static_cast<std::uint8_t>(record.kind);
  envelope.kind_flags = record.flags;
  envelope.batch_remaining = record.batch_remaining;
  envelope.producer = record.producer;
  envelope.sequence = record.sequence;
  envelope.previous_index = record.previous.index.value;
  envelope.previous_term = record.previous.term.value;
  envelope.previous_checksum = record.previous.checksum;
  envelope.database_previous_index = record.database_previous.index.value;
  envelope.database_previous_checksum = record.database_previous.checksum;

  std::byte* at = out.data();
  std::memcpy(at, &header, sizeof header);
  std::memcpy(at + sizeof header, &envelope, sizeof envelope);
  std::byte* to = at + kRecordOverhead;
  for (const auto& part : payload) {
    if (part.empty()) continue;
    std::memcpy(to, part.data(), part.size());
    to += part.size();
  }
  std::memset(to, 0, static_cast<std::size_t>(at + bytes - to));

  const std::uint64_t crc = crc64(header_crc(at, seed), out.subspan(sizeof header, bytes - sizeof header));
  const auto high = static_cast<std::uint32_t>(crc >> 32U);
  const auto folded = static_cast<std::uint32_t>(crc) ^ high;
  std::memcpy(at, &folded, sizeof folded);
  std::memcpy(at + 26, &high, sizeof high);
  return crc;
}

std::uint64_t extent_of(std::span<const std::byte> bytes, std::uint64_t room) noexcept {
  RecordHeader header;
  if (bytes.size() < sizeof header) return 0;
  std::memcpy(&header, bytes.data(), sizeof header);
  if (header.size < sizeof(RecordEnvelope)) return 0;
  const std::uint64_t extent = align_up(sizeof header + header.size, 8);
  return extent <= room ? extent : 0;
}

RecordState decode_record(std::span<const std::byte> bytes, std::uint64_t seed, RecordView& out) noexcept {
  RecordHeader header;
  if (bytes.size() < sizeof header) return RecordState::kDamaged;
  if (all_zero(bytes.first(sizeof header))) return RecordState::kZero;
  const std::uint64_t extent = extent_of(bytes, bytes.size());
  if (extent == 0) return RecordState::kDamaged;
  std::memcpy(&header, bytes.data(), sizeof header);
  std::uint32_t high = 0;
  std::memcpy(&high, header.reserved, sizeof high);
  const std::uint64_t stored = (static_cast<std::uint64_t>(high) << 32U) | (header.checksum ^ high);
  const std::uint64_t crc =
      crc64(header_crc(bytes.data(), seed), bytes.subspan(sizeof header, extent - sizeof header));
  if (crc != stored) return RecordState::kDamaged;

  RecordEnvelope envelope;
  std::memcpy(&envelope, bytes.data() + sizeof header, sizeof envelope);
  out.lsn = Lsn(header.id);
  out.term = Term(envelope.term);
  out.timeline = Timeline(envelope.timeline);
  out.database = DatabaseId(envelope.database);
  out.kind = static_cast<RecordKind>(envelope.kind);
  out.flags = envelope.kind_flags;
  out.encoding = header.flags;
  out.producer = envelope.producer;
  out.sequence = envelope.sequence;
  out.timestamp_us = header.timestamp;
  out.checksum = crc;
  out.batch_remaining = envelope.batch_remaining;
  out.previous = {Lsn(envelope.previous_index), Term(envelope.previous_term), envelope.previous_checksum};
  out.database_previous = {Lsn(envelope.database_previous_index), Term(0),
                           envelope.database_previous_checksum};
  out.payload = bytes.subspan(kRecordOverhead, header.size - sizeof envelope);
  const std::uint8_t known_flags = is_entry(out.kind) ? kPayloadCompressed | kPayloadEncrypted : 0;
  if (header.version != kRecordVersion || (header.flags & ~known_flags) != 0 || header.reserved[4] != 0 ||
      header.reserved[5] != 0 || envelope.reserved != 0 || !is_known(out.kind)) {
    return RecordState::kTooNew;
  }
  return RecordState::kValid;
}

void encode_filler(std::span<std::byte> payload, const FillerPayload& filler) noexcept {
  BOP_ASSERT(payload.size() >= kFillerPayloadBytes);
  const std::uint64_t flags = filler.closed ? kFillerClosed : 0;
  std::memset(payload.data(), 0, payload.size());
  std::memcpy(payload.data(), &filler.watermark.value, 8);
  std::memcpy(payload.data() + 8, &flags, 8);
}

bool decode_filler(std::span<const std::byte> payload, FillerPayload& out) noexcept {
  if (payload.size() < kFillerPayloadBytes) return false;
  std::uint64_t flags = 0;
  std::memcpy(&out.watermark.value, payload.data(), 8);
  std::memcpy(&flags, payload.data() + 8, 8);
  if (flags > kFillerClosed) return false;
  out.closed = flags == kFillerClosed;
  return true;
}

}  // namespace bop::aof
