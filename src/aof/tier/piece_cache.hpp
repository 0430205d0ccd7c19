// Pieces of archived segments on the local disk: what readers fetched and may want again.
//
// One file a piece, `%016x-%016x-%08x-%08x.piece` (number and seed of the segment, place and bytes in its
// object), so that evicting is removing a file and the bound on bytes is exact. Format, little-endian:
//
//   offset  size  field
//        0     8  magic     "BOPPIECE"
//        8     8  number    of the segment
//       16     8  seed      of the segment
//       24     8  offset    of the piece in the object
//       32     n  bytes     of the piece
//     32+n     8  checksum  CRC64-NVME of [0, 32+n), seed kPieceSeed
//
// It is a cache: nothing is synced, a file that does not match its name or its checksum is removed and counts
// as absent, a piece that cannot be written is not kept. Deleting the folder costs time only. What a start
// finds there is used.
//
// Bound: `max_bytes` of files (their heads included). The piece that was used longest ago goes first; one
// that is being read stays readable, since who reads has its bytes already. Memory: about 100 bytes a piece.
//
// Threads: every call from any thread; get() and put() wait for the disk, not for each other.
#pragma once

#include <compare>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "aof/tier/piece.hpp"
#include "base/disk.hpp"
#include "base/error.hpp"

namespace bop::aof {

struct PieceId {
  std::uint64_t segment_number = 0;
  std::uint64_t segment_seed = 0;
  std::uint32_t offset = 0;  // in the object, which is smaller than 4 GiB
  std::uint32_t bytes = 0;
  friend auto operator<=>(const PieceId&, const PieceId&) = default;
};

class PieceCache {
 public:
  // Makes the directory when it is not there and takes in what it holds, down to `max_bytes`. Removes what is
  // left of interrupted writes. `disk` outlives the cache.
  [[nodiscard]] static Result<std::unique_ptr<PieceCache>> open(Disk& disk, std::string directory,
                                                                std::uint64_t max_bytes);

  // The piece, if it is here and whole.
  [[nodiscard]] PieceBytes get(const PieceId& piece);
  // Keeps it if there is room, or makes room. Never fails: what cannot be kept is not kept. Precondition
  // (asserted): these are piece.bytes bytes.
  void put(const PieceId& piece, const PieceBytes& bytes);
  // Removes a piece that turned out not to be what the object says.
  void forget(const PieceId& piece);
  // Removes the pieces of a segment that was deleted.
  void forget(std::uint64_t segment_number, std::uint64_t segment_seed);

  // As far as is known without looking at the disk.
  [[nodiscard]] bool has(const PieceId& piece) const;
  [[nodiscard]] std::uint64_t bytes() const;  // of the files that are kept
  [[nodiscard]] std::size_t pieces() const;

 private:
  struct Entry {
    std::list<PieceId>::iterator use;  // its place in uses_
  };

  PieceCache(Disk& disk, std::string directory, std::uint64_t max_bytes)
      : disk_(disk), directory_(std::move(directory)), max_bytes_(max_bytes) {}
  [[nodiscard]] std::string path_of(const PieceId& piece) const;
  [[nodiscard]] Status take_in();
  void remove_entry(std::map<PieceId, Entry>::iterator entry, std::vector<PieceId>& removed);
  [[nodiscard]] bool make_room(std::uint64_t bytes, std::vector<PieceId>& removed);
  void remove_files(const std::vector<PieceId>& pieces);
  [[nodiscard]] Status write(const PieceId& piece, const std::vector<std::byte>& bytes);

  Disk& disk_;
  const std::string directory_;
  const std::uint64_t max_bytes_;

  mutable std::mutex mutex_;
  std::map<PieceId, Entry> entries_;
  std::list<PieceId> uses_;  // the last one was used last
  std::set<PieceId> writing_;
  std::uint64_t bytes_ = 0;  // of entries and of files being written
};

}  // namespace bop::aof
