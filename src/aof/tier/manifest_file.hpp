// One file of the manifest log: `manifest-a` or `manifest-b`, beside the segments.
//
// Format, version 1, little-endian. The file is prewritten with zeros to its whole size, so that appending
// needs no space of the disk.
//
// Blocks 0 and 1 (4096 bytes each): the header, twice.
//
//   offset  size  field
//        0     8  magic           "BOPMANI\n"
//        8     2  version         1; a reader refuses a higher one
//       10     2  flags           0; a reader refuses others
//       12     4  zeros
//       16    16  identity        of the stream
//       32     8  generation      from 1; odd ones are manifest-a's, even ones manifest-b's
//       40     8  sequence        of the last record that the snapshot contains, 0 = none
//       48     8  snapshot end    offset behind the snapshot
//       56     8  snapshot link   of its last write (below)
//       64  4024  zeros
//     4088     8  checksum        CRC64-NVME of bytes [0, 4088); seed: kManifestSeed + the block's offset
//
// From byte 8192 on: writes, one after the other. A write is 1 to 16 whole blocks, and stands there twice,
// the second copy directly behind the first: one damaged block loses nothing, and what is damaged is told
// from what was never finished.
//
//   offset  size  field
//        0     4  magic           0x4d424f50
//        4     2  blocks          of one copy
//        6     2  flags           1: of the snapshot; 2: superseded (below); 0: live
//        8     8  generation
//       16     8  sequence        of the first record; in a snapshot that of the header
//       24     8  previous        link of the write before; of the first one: the link of the identity,
//                                 kManifestSeed continued over it
//       32     4  records
//       36     4  bytes           of the records
//       40     8  checksum        CRC64-NVME of the blocks without these 8 bytes; seed: below
//       48     n  records         manifest_record.hpp, one after the other
//              -  zeros up to the end of the blocks
//
// Seed of a copy's checksum: CRC64 of (identity, generation, offset of the copy). The *link* of a write is
// the checksum of its first copy, whether or not that copy is still readable.
//
// The snapshot is a series of writes of flag 1: SnapshotBegin, the records of the whole state, SnapshotEnd.
// Live writes follow it. A superseded write holds no records; its sequence is the generation that took over,
// and it is the last one of its file.
//
// Order of events.
//   append:  both copies in one go; sync; then the caller is told. Nothing acknowledged is ever overwritten.
//   rotate:  the other file: header blocks zeroed, sync; snapshot, sync; header, sync. Then the file so far is
//            marked superseded, sync; only then may records be appended to the new one.
//   create:  as rotate, under a temporary name; renamed, folder synced. So a file that is there was once valid,
//            or is the target of a rotation.
//
// What is valid.
//   * A file counts if one of its header blocks is valid. The valid file of the higher generation is the
//   newest.
//   * Its live writes count from `snapshot end` on as long as a copy is valid, carries the file's generation
//   and
//     the next sequence, and names the link of the one before.
//   * Where that ends: nothing valid of this generation and of a higher sequence further behind = the end (a
//   torn
//     append was never acknowledged; what an older generation left is not valid). Otherwise writes are
//     missing in between: damage.
//   * A snapshot of which a write is lost is replaced by the state of the other file, if that one is complete
//   and
//     ends at the header's sequence (it does after every rotation).
//   * No valid header: the target of a rotation that never finished, unless the other file is marked
//   superseded
//     (or there is no other): then damage.
// Damage is never passed over: the manifest is refused by name, and manifest_repair.hpp makes a new one.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "aof/segment_header.hpp"
#include "aof/tier/manifest_record.hpp"
#include "base/disk.hpp"
#include "base/error.hpp"

namespace bop::aof {

inline constexpr std::uint16_t kManifestVersion = 1;
inline constexpr std::uint64_t kManifestSeed = 0x424f504d414e4931;
inline constexpr std::uint64_t kManifestHeaderEnd = 2 * kDiskBlockBytes;
inline constexpr std::uint64_t kLeastManifestBytes = 1U << 20U;
inline constexpr std::size_t kMostWriteBlocks = 16;
inline constexpr std::size_t kWriteHead = 48;
inline constexpr std::size_t kMostWriteRecordBytes = kMostWriteBlocks * kDiskBlockBytes - kWriteHead;

struct ManifestHeader {
  StreamIdentity identity{};
  std::uint64_t generation = 0;
  std::uint64_t sequence = 0;
  std::uint64_t snapshot_end = 0;
  std::uint64_t snapshot_link = 0;
  friend bool operator==(const ManifestHeader&, const ManifestHeader&) = default;
};

enum class WriteFlag : std::uint16_t { kLive = 0, kSnapshot = 1, kSuperseded = 2 };

struct ManifestWrite {
  WriteFlag flag = WriteFlag::kLive;
  std::uint64_t generation = 0;
  std::uint64_t sequence = 0;
  std::uint64_t previous = 0;
  std::uint32_t count = 0;
  std::vector<std::byte> records;  // encoded
};

// `manifest-a` for odd generations.
[[nodiscard]] std::string manifest_name(std::uint64_t generation);

// Both copies of a block of the header.
[[nodiscard]] std::vector<std::byte> encode_manifest_header(const ManifestHeader& header);
// Both copies of a write that begins at `offset`; `link` becomes its link.
[[nodiscard]] std::vector<std::byte> encode_manifest_write(const ManifestWrite& write,
                                                           const StreamIdentity& identity,
                                                           std::uint64_t offset, std::uint64_t& link);
[[nodiscard]] std::uint64_t first_link(const StreamIdentity& identity) noexcept;

// A write that was found.
struct FoundWrite {
  ManifestWrite write;
  std::uint64_t offset = 0;
  std::uint64_t link = 0;
};

struct ManifestScan {
  enum class State : std::uint8_t {
    kAbsent,    // no such file
    kNoHeader,  // neither block of the header is valid
    kTooNew,
    kValid,
  };
  State state = State::kAbsent;
  std::string path;
  std::uint64_t file_bytes = 0;
  ManifestHeader header;
  bool snapshot_whole = false;
  std::vector<FoundWrite> snapshot;
  std::vector<FoundWrite> live;
  std::uint64_t end = 0;  // where the next write goes
  std::uint64_t next_sequence = 0;
  std::uint64_t link = 0;                      // of the last write
  std::optional<std::uint64_t> superseded_by;  // generation
  std::optional<std::uint64_t> damage_at;      // writes are missing from there on
  std::uint64_t damaged_copies = 0;            // of header and writes, each with a whole one beside it
  bool torn_tail = false;                      // something unfinished, or rot, stands behind the end
};

// Reads the whole of one file. Writes nothing. kIo only for what the disk refuses to read... of names and
// sizes; an unreadable sector counts as a damaged block.
[[nodiscard]] Result<ManifestScan> scan_manifest(Disk& disk, const std::string& path);

}  // namespace bop::aof
