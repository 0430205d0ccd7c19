// The first block of a segment file.
//
// A segment is a file `%016x.log`, named by its number, of a fixed size, written full of zeros and synced
// before its first use. Format of block 0, version 1, little-endian, 4096 bytes:
//
//   offset  size  field
//        0     8  magic             "BOPLOG\r\n"
//        8     2  version           1; a reader refuses a higher one
//       10     2  flags             0; a reader refuses others
//       12     4  timeline          of the segment's records
//       16    16  identity          of the stream
//       32     8  number            as in the file's name
//       40     8  bytes             size of the file
//       48     8  seed              random; part of every record's checksum seed
//       56     8  base              id that the segment's first entry has
//       64     8  previous index    last entry before the segment: id, term and CRC64; zeros if there is none.
//       72     8  previous term     Everything in earlier segments behind this entry is void.
//       80     8  previous checksum
//       88     8  previous number   of the segment before this one, 0 when there is none
//       96     8  created           microseconds since the Unix epoch
//      104  3984  zeros
//     4088     8  checksum          CRC64-NVME of bytes [0, 4088), seed kSegmentHeaderSeed
//
// From byte 4096 on: durable writes, each of whole 4096-byte blocks, one after the other: records, the last
// one a filler; then zeros. The first write of a segment begins with a heads record.
//
// Order of events: all writes of the segment before are durable; then the header is written alone; when it is
// durable, the first write starts. So a segment whose header is not valid holds nothing but zeros behind it,
// or it is damaged; and a valid header proves that the segment before was complete up to `previous`.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "aof/reader.hpp"
#include "base/disk.hpp"
#include "base/ids.hpp"

namespace bop::aof {

using StreamIdentity = std::array<std::uint8_t, 16>;

inline constexpr std::uint16_t kSegmentVersion = 1;
inline constexpr std::uint64_t kSegmentHeaderBytes = kDiskBlockBytes;
inline constexpr std::uint64_t kSegmentHeaderSeed = 0x424f505345474d31;

struct SegmentHeader {
  Timeline timeline;
  StreamIdentity identity{};
  std::uint64_t number = 0;
  std::uint64_t bytes = 0;
  std::uint64_t seed = 0;
  Lsn base;
  RecordLink previous;
  std::uint64_t previous_number = 0;
  std::int64_t created_us = 0;

  // Seed of the checksum of the record at `offset` is record_key() + offset.
  [[nodiscard]] std::uint64_t record_key() const noexcept;
};

// `out` is one block.
void encode_segment_header(std::span<std::byte> out, const SegmentHeader& header) noexcept;

enum class HeaderState : std::uint8_t { kValid, kZero, kDamaged, kTooNew };
[[nodiscard]] HeaderState decode_segment_header(std::span<const std::byte> block,
                                                SegmentHeader& out) noexcept;

[[nodiscard]] std::string segment_name(std::uint64_t number);
// The number in a segment's name, nothing for other names.
[[nodiscard]] std::optional<std::uint64_t> segment_number(std::string_view name) noexcept;

}  // namespace bop::aof
