// The register of a log in a bucket: one small object, `<prefix>/<identity>/register`, replaced only under
// the condition that it is still the version that was read. It says who may write, and which objects count.
//
// Format, version 1, little-endian:
//
//   offset  size  field
//        0     8  magic             "BOPREGI\n"
//        8     2  version           1; a reader refuses a higher one
//       10     2  flags             0; a reader refuses others
//       12     4  epochs            entries of the history, 1 to 16384
//       16    16  identity          of the stream
//       32     8  epoch             of the writer that may write now: that of the history's last entry
//       40    16  writer            random, of one start of a process
//       56     8  revision          one more with each version of the register
//       64     8  archived number   the newest segment that is published
//       72    24  archived          its last entry: id, term, CRC64
//       96     8  low number        segments below are deleted
//      104     8  low               entries below are deleted
//      112     8  published         microseconds since the Unix epoch; for people only
//      120  48 n  history           epochs in ascending order: epoch u64, start number u64, start id u64, the entry
//                                   before it (id, term, CRC64)
//               8  checksum         CRC64-NVME of everything before; seed: CRC64 of the identity
//
// **Which objects count.** A segment's object counts if and only if low number <= its number <= archived
// number, its epoch is that of the last entry of the history whose start number is not above its number, and
// its ids lie between that entry's start and the next entry's. So:
//   * a writer that was replaced can put as many objects as it likes: none of them counts, as its successor's
//   start
//     is behind all that was published, and it can publish no more;
//   * of one number at most one object counts, for ever: entries of the history never change, they only go
//   when
//     everything that they say is below `low`;
//   * what does not count now, and is of an epoch before the writer's, never will: it may be removed by
//   anybody who
//     knows any version of the register of that epoch or a later one.
//
// A writer takes over by replacing the register with one of the next epoch, whose start is behind what was
// archived. Its own log must go on from there: where the archive ends, both have the same entry. An epoch
// that archived nothing leaves no entry.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "aof/tier/manifest_state.hpp"
#include "aof/tier/object_key.hpp"
#include "base/error.hpp"

namespace bop::aof {

using WriterId = std::array<std::uint8_t, 16>;

inline constexpr std::uint16_t kRegisterVersion = 1;
inline constexpr std::size_t kRegisterHeadBytes = 120;
inline constexpr std::size_t kRegisterEpochBytes = 48;
inline constexpr std::size_t kMostRegisterEpochs = 16384;
inline constexpr std::size_t kMostRegisterBytes =
    kRegisterHeadBytes + kMostRegisterEpochs * kRegisterEpochBytes + 8;

struct RegisterEpoch {
  Epoch epoch;
  std::uint64_t start_number = 0;
  Lsn start;
  RecordLink before;
  friend bool operator==(const RegisterEpoch&, const RegisterEpoch&) = default;
};

struct BucketRegister {
  StreamIdentity identity{};
  Epoch epoch;
  WriterId writer{};
  std::uint64_t revision = 0;
  std::uint64_t archived_number = 0;
  RecordLink archived;
  std::uint64_t low_number = 0;
  Lsn low;
  std::int64_t published_us = 0;
  std::vector<RegisterEpoch> history;
  friend bool operator==(const BucketRegister&, const BucketRegister&) = default;
};

[[nodiscard]] std::vector<std::byte> encode_register(const BucketRegister& reg);
// `where` names it in messages. kCorrupt, kFormatTooNew; kCorrupt also when it is another stream's.
[[nodiscard]] Result<BucketRegister> decode_register(std::span<const std::byte> bytes,
                                                     const StreamIdentity& identity, std::string_view where);

[[nodiscard]] bool counts(const BucketRegister& reg, const ObjectKey& key) noexcept;
// The epoch whose object of this segment counts; nothing when none does.
[[nodiscard]] std::optional<Epoch> epoch_of(const BucketRegister& reg, std::uint64_t number) noexcept;

// Where the sealed segments here begin and end, to be compared with the archive.
struct LocalChain {
  const ManifestState* manifest = nullptr;
  std::optional<SegmentHeader> active;  // of the segment that is being written
};

// The register after a writer took over; `old` is nothing in a new bucket. kNotInPrerequisiteState when this
// log does not go on where the archive ends; kProgramLimitExceeded when the history is full.
[[nodiscard]] Result<BucketRegister> taken_over(const std::optional<BucketRegister>& old,
                                                const LocalChain& local, const WriterId& writer,
                                                std::int64_t now_us, std::string_view where);
// After these segments, in order, were published. kNotInPrerequisiteState when the first does not follow.
[[nodiscard]] Result<BucketRegister> published(const BucketRegister& old,
                                               std::span<const SegmentFacts> segments, std::int64_t now_us);
// After everything below was given up; never lower than before, never above what is archived.
[[nodiscard]] BucketRegister raised(const BucketRegister& old, std::uint64_t low_number, Lsn low);

}  // namespace bop::aof
