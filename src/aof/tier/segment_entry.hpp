// What the index knows of one segment.
//
// Value in the index, little-endian (tier/byte_codec.hpp), version kIndexVersion:
//
//   status u8; created, finalized, archived: microseconds since the Unix epoch, 3 x i64, 0 = not yet or not
//   known; facts: number u64, seed u64, timeline u32, base u64, previous (id, term, checksum) 3 x u64,
//   previous number u64, last (id, term, checksum) 3 x u64, first and last timestamp 2 x i64, records end
//   u64, content checksum u64, file bytes u64; compressed bytes u64, compressed checksum u64 (0, 0: none);
//   local path, archive key: texts (u32 length, bytes), empty = none; CRC64-NVME of all that, seeded by the
//   log's identity and the entry's key.
//
// Valid if and only if (1) the CRC holds, (2) nothing is missing and nothing left, (3) the status is known,
// the facts are sound, and base and number are those of the key.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "aof/segment_header.hpp"
#include "aof/tier/segment_facts.hpp"
#include "aof/tier/segment_status.hpp"
#include "base/error.hpp"

namespace bop::aof {

struct SegmentEntry {
  SegmentFacts facts;  // of an active one only what its header says: `last` is `previous`
  SegmentStatus status = SegmentStatus::kActive;
  std::int64_t created_us = 0;
  std::int64_t finalized_us = 0;
  std::int64_t archived_us = 0;
  std::uint64_t compressed_bytes = 0;
  std::uint64_t compressed_checksum = 0;
  std::string local_path;
  std::string archive_key;

  [[nodiscard]] Lsn base_id() const noexcept { return facts.base; }
  [[nodiscard]] Lsn last_id() const noexcept { return facts.last.index; }
  [[nodiscard]] std::uint64_t record_count() const noexcept { return facts.entries(); }
  [[nodiscard]] std::uint64_t uncompressed_checksum() const noexcept { return facts.content_checksum; }
  [[nodiscard]] std::uint64_t original_size() const noexcept { return facts.image_bytes(); }
  friend bool operator==(const SegmentEntry&, const SegmentEntry&) = default;
};

// Of the segment that is being written, from its header.
[[nodiscard]] SegmentEntry active_entry(const SegmentHeader& header, std::string local_path);

inline constexpr std::size_t kLongestIndexText = 4096;

[[nodiscard]] std::vector<std::byte> encode_entry(const SegmentEntry& entry, std::uint64_t seed);
// kCorrupt; `where` names the index.
[[nodiscard]] Result<SegmentEntry> decode_entry(std::span<const std::byte> bytes, std::uint64_t seed,
                                                std::string_view where);

}  // namespace bop::aof
