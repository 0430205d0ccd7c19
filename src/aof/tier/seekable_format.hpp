// The seekable form of a segment: its image as independent zstd frames with a table of them at the end. Files
// of tier 1 and objects are the same bytes. `zstd -d` restores the image, and any reader of the zstd seekable
// format (github.com/facebook/zstd, contrib/seekable_format) finds its way in it.
//
// Format, little-endian:
//
//   data frames   one after the other from byte 0: zstd frames (RFC 8878) with content size and content
//                 checksum, each of `frame bytes` of the image, the last one of what is left
//   check table   a skippable frame (RFC 8878, 3.1.2) of ours, which other readers pass over:
//       offset  size  field
//            0     4  skippable magic      0x184D2A5C
//            4     4  bytes that follow    48 + 8 n, n = number of data frames
//            8     8  magic                "BOPFRAMS"
//           16     4  version              1; a reader refuses a higher one
//           20     4  frame bytes          a power of two, 4 KiB to 1 MiB; 64 KiB unless asked otherwise
//           24     8  image bytes
//           32     8  image checksum       CRC64-NVME of the image
//           40     8  seek table checksum  CRC64-NVME of the whole frame of the seek table
//           48   8 n  frame checksums      CRC64-NVME of each data frame as it is stored
//     48 + 8 n     8  checksum             CRC64-NVME of all bytes of the check table before it
//   seek table    a skippable frame, as the seekable format has it:
//            0     4  skippable magic      0x184D2A5E
//            4     4  bytes that follow    12 (n + 1) + 9
//            8    12  for each data frame, then for the check table: bytes in the file u32, bytes of the image
//                     u32 (0 for the check table), low half of the XXH64 of the latter (of nothing: 0x51D8E999)
//                  4  number of entries    n + 1
//                  1  descriptor           0x80: entries have checksums
//                  4  seekable magic       0x8F92EAB1
//
// A file is valid if and only if (1) it ends with a seek table whose sizes add up to the bytes before it, (2)
// the check table stands before the seek table and its checksum holds, (3) the seek table's checksum holds,
// (4) the number and sizes of the data frames are those that image bytes and frame bytes give, and none is
// longer than zstd's bound for it, (5) each data frame has its checksum, and decompresses to exactly its part
// of the image, with the seek table's XXH64. (1) to (4) are looked at when the file is opened, (5) for a
// frame whenever it is read, its checksum before a byte of it is decompressed. So every changed bit is
// noticed before it matters, and no file makes a reader take more memory than its frame bytes and its table.
//
// A *foreign* file is one of another writer of the seekable format. It has no check table, its frames may
// have any sizes up to a limit, and its checksums (XXH64, 32 bits) may be missing. It is opened only where
// the caller asks for it.
//
// The bytes follow from the image, the level, the frame bytes and the version of zstd alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/error.hpp"

namespace bop::aof {

inline constexpr std::uint32_t kCheckTableMagic = 0x184D2A5C;
inline constexpr std::uint32_t kSeekTableMagic = 0x184D2A5E;
inline constexpr std::uint32_t kSeekableMagic = 0x8F92EAB1;
inline constexpr std::uint32_t kCheckTableVersion = 1;
inline constexpr std::uint32_t kEmptyXxh64Low = 0x51D8E999;
inline constexpr std::size_t kSkippableHeaderBytes = 8;
inline constexpr std::size_t kCheckTableFixedBytes = 56;  // with the skippable header and the checksum
inline constexpr std::size_t kSeekEntryBytes = 12;
inline constexpr std::size_t kSeekFooterBytes = 9;
inline constexpr std::uint32_t kDefaultFrameBytes = 64U << 10U;
inline constexpr std::uint32_t kLeastFrameBytes = 4U << 10U;
inline constexpr std::uint32_t kMostFrameBytes = 1U << 20U;

// One data frame.
struct SeekableFrame {
  std::uint64_t offset = 0;  // in the file
  std::uint32_t bytes = 0;
  std::uint32_t image_bytes = 0;
  std::uint32_t xxh64_low = 0;
  std::uint64_t checksum = 0;  // of the stored bytes; 0 in a foreign file
};

// What a file's tables say.
struct SeekableTables {
  std::uint32_t frame_bytes = 0;  // of every frame but the last; 0 in a foreign file
  std::uint64_t image_bytes = 0;
  std::uint64_t image_checksum = 0;
  bool is_foreign = false;
  bool has_xxh64 = true;
  std::vector<SeekableFrame> frames;
};

struct SeekableLimits {
  std::uint64_t image_bytes = 4ULL << 30U;
  std::uint32_t frame_bytes = kMostFrameBytes;  // of the image, in a foreign file
  std::uint32_t frames = 1U << 17U;             // data frames; bounds the memory of the table, too
  bool foreign = false;                         // a foreign file is welcome
};

// Number of data frames of an image.
[[nodiscard]] constexpr std::uint64_t frames_of(std::uint64_t image_bytes,
                                                std::uint32_t frame_bytes) noexcept {
  return (image_bytes + frame_bytes - 1) / frame_bytes;
}
// Bytes behind the data frames in a file of ours.
[[nodiscard]] constexpr std::uint64_t table_bytes(std::uint64_t frames) noexcept {
  return kCheckTableFixedBytes + 8 * frames + kSkippableHeaderBytes + kSeekEntryBytes * (frames + 1) +
         kSeekFooterBytes;
}
// No file of ours is longer.
[[nodiscard]] std::uint64_t most_seekable_bytes(std::uint64_t image_bytes,
                                                std::uint32_t frame_bytes) noexcept;

// The check table and the seek table of a file with these data frames.
[[nodiscard]] std::vector<std::byte> encode_tables(const SeekableTables& tables);

// Bytes at the end of a file that hold its tables, from its last kSeekFooterBytes; what follows the data
// frames of a foreign file may be less. kCorrupt when these are not the end of a seekable file.
[[nodiscard]] Result<std::uint64_t> tail_bytes(std::span<const std::byte> footer, std::uint64_t file_bytes,
                                               const SeekableLimits& limits, std::string_view name);

// `tail` = the last tail_bytes() of a file. Errors: kCorrupt, kFormatTooNew, kProgramLimitExceeded; each
// names the file (`name`).
[[nodiscard]] Result<SeekableTables> decode_tables(std::span<const std::byte> tail, std::uint64_t file_bytes,
                                                   const SeekableLimits& limits, std::string_view name);

}  // namespace bop::aof
