// The records of the manifest log: what happened to sealed segments. Each states a fact that was true before
// it was written (or an intention that binds nobody): data was durable and verified at its target, or its
// removal was durable. So a record whose write failed, and which is found after a restart all the same, is
// never wrong.
//
// One record, little-endian, padded with zeros to a multiple of 8:
//
//   offset  size  field
//        0     1  type
//        1     3  zeros
//        4     4  bytes of the payload, without the padding
//        8     n  payload
//
//   type                  payload
//    1 Identity           16 bytes: of the stream; first record of a snapshot, nowhere else
//    2 Finalized          facts (below): the segment is sealed and its raw file is there
//    3 TierOneMade        number u64, bytes u64, checksum u64 (CRC64-NVME of the file), frames u32
//    4 TierOneDropped     number u64
//    5 ArchiveBegun       number u64, epoch u64, key (text: u32 length, bytes)
//    6 Archived           number u64, epoch u64, bytes u64, checksum u64, key (text), etag (text)
//    7 TierZeroDropped    number u64
//    8 Deleted            low number u64, low id u64: every segment of a lower number is deleted for good
//    9 EpochTaken         epoch u64, start id u64
//   10 KeyAdded           key id u64, wrapped key (text)
//   11 SnapshotBegin      records u64 (of the snapshot, without this and the last), sequence u64
//   12 SnapshotEnd        sequence u64
//   13 Aged               retention time i64 (microseconds, retention_clock.hpp): segments finalized from here
//                         on, until the next one, were finalized then
//
//   facts: number u64, seed u64, timeline u32, zero u32, base u64, previous (id, term, checksum) 3 x u64,
//   previous number u64, last (id, term, checksum) 3 x u64, first and last timestamp 2 x i64, records end
//   u64, content checksum u64, file bytes u64: 144 bytes
//
// A reader refuses an unknown type (kFormatTooNew) and a payload that is longer or shorter than its type
// says.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "aof/tier/object_key.hpp"
#include "aof/tier/segment_facts.hpp"
#include "base/error.hpp"

namespace bop::aof {

inline constexpr std::size_t kLongestObjectKey = 1024;  // S3's own limit
inline constexpr std::size_t kLongestEtag = 1024;
inline constexpr std::size_t kLongestWrappedKey = 4096;

struct IdentityRecord {
  StreamIdentity identity{};
  friend bool operator==(const IdentityRecord&, const IdentityRecord&) = default;
};
struct FinalizedRecord {
  SegmentFacts facts;
  friend bool operator==(const FinalizedRecord&, const FinalizedRecord&) = default;
};
struct TierOneCopy {
  std::uint64_t bytes = 0;
  std::uint64_t checksum = 0;
  std::uint32_t frames = 0;
  friend bool operator==(const TierOneCopy&, const TierOneCopy&) = default;
};
struct TierOneMadeRecord {
  std::uint64_t number = 0;
  TierOneCopy copy;
  friend bool operator==(const TierOneMadeRecord&, const TierOneMadeRecord&) = default;
};
struct TierOneDroppedRecord {
  std::uint64_t number = 0;
  friend bool operator==(const TierOneDroppedRecord&, const TierOneDroppedRecord&) = default;
};
struct ArchiveIntent {
  Epoch epoch;
  std::string key;
  friend bool operator==(const ArchiveIntent&, const ArchiveIntent&) = default;
};
struct ArchiveBegunRecord {
  std::uint64_t number = 0;
  ArchiveIntent intent;
  friend bool operator==(const ArchiveBegunRecord&, const ArchiveBegunRecord&) = default;
};
struct ArchivedCopy {
  Epoch epoch;
  std::uint64_t bytes = 0;
  std::uint64_t checksum = 0;
  std::string key;
  std::string etag;
  friend bool operator==(const ArchivedCopy&, const ArchivedCopy&) = default;
};
struct ArchivedRecord {
  std::uint64_t number = 0;
  ArchivedCopy copy;
  friend bool operator==(const ArchivedRecord&, const ArchivedRecord&) = default;
};
struct TierZeroDroppedRecord {
  std::uint64_t number = 0;
  friend bool operator==(const TierZeroDroppedRecord&, const TierZeroDroppedRecord&) = default;
};
struct DeletedRecord {
  std::uint64_t low_number = 0;
  Lsn low;
  friend bool operator==(const DeletedRecord&, const DeletedRecord&) = default;
};
struct EpochTakenRecord {
  Epoch epoch;
  Lsn start;
  friend bool operator==(const EpochTakenRecord&, const EpochTakenRecord&) = default;
};
struct KeyAddedRecord {
  std::uint64_t key_id = 0;
  std::string wrapped;
  friend bool operator==(const KeyAddedRecord&, const KeyAddedRecord&) = default;
};
struct SnapshotBeginRecord {
  std::uint64_t records = 0;
  std::uint64_t sequence = 0;
  friend bool operator==(const SnapshotBeginRecord&, const SnapshotBeginRecord&) = default;
};
struct SnapshotEndRecord {
  std::uint64_t sequence = 0;
  friend bool operator==(const SnapshotEndRecord&, const SnapshotEndRecord&) = default;
};

struct AgedRecord {
  std::int64_t now_us = 0;
  friend bool operator==(const AgedRecord&, const AgedRecord&) = default;
};

// In the order of their types, from 1.
using ManifestRecord =
    std::variant<IdentityRecord, FinalizedRecord, TierOneMadeRecord, TierOneDroppedRecord, ArchiveBegunRecord,
                 ArchivedRecord, TierZeroDroppedRecord, DeletedRecord, EpochTakenRecord, KeyAddedRecord,
                 SnapshotBeginRecord, SnapshotEndRecord, AgedRecord>;

[[nodiscard]] std::string_view name_of(const ManifestRecord& record) noexcept;
// One line for people: "Finalized 3 [17, 40] 65536 bytes ...".
[[nodiscard]] std::string describe(const ManifestRecord& record);

void encode(const ManifestRecord& record, std::vector<std::byte>& out);
// All records of `bytes`. `where` names them in messages. kCorrupt, kFormatTooNew.
[[nodiscard]] Result<std::vector<ManifestRecord>> decode_records(std::span<const std::byte> bytes,
                                                                 std::string_view where);

}  // namespace bop::aof
