// The image of an archived segment, read from its object piece by piece.
//
// Pieces are groups of adjacent frames: from the first frame on as many as fit into kMaxPieceBytes, then the
// next group. So a record is in one piece (a frame is never cut), every reader asks for the same ranges, and
// a piece is found in the cache whoever fetched it. The tables at the end of the object are a piece of their
// own, kept in memory once read.
//
// Reading ahead adapts: a read of the piece behind the one read last doubles the window, up to
// `most_ahead` pieces; any other read closes it. Pieces that are ahead are this image's until they are read
// or the window closes. A piece that is ahead and fails is asked for again by who needs it.
//
// Threads: one at a time. Calls wait until it is their request's turn in the queue, and then for the store,
// at most as long as its deadline; with a simulated store, which runs nothing by itself, they drive it
// (ObjectStore::poll).
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "aof/tier/hydration.hpp"
#include "aof/tier/piece_cache.hpp"
#include "aof/tier/seekable_reader.hpp"
#include "base/error.hpp"

namespace bop::aof {

// What reading needs, of the whole log; outlives its images.
struct HydrationPath {
  objstore::ObjectStore& store;
  Hydration& hydration;
  PieceCache* cache = nullptr;  // none: every piece comes from the store
};

struct ArchivedObject {
  std::string key;
  std::uint64_t bytes = 0;  // of the object
  std::uint64_t segment_number = 0;
  std::uint64_t segment_seed = 0;
};

class RemoteImage {
 public:
  // Reads the tables. `most_ahead`: pieces; 0 = nothing is read ahead. Errors: those of Hydration and of
  // SeekableReader.
  [[nodiscard]] static Result<std::unique_ptr<RemoteImage>> open(HydrationPath path, ArchivedObject object,
                                                                 std::size_t most_ahead = 16);
  ~RemoteImage();
  RemoteImage(const RemoteImage&) = delete;
  RemoteImage& operator=(const RemoteImage&) = delete;

  [[nodiscard]] std::uint64_t image_bytes() const noexcept { return reader_->image_bytes(); }
  // The bytes [at, at + out.size()) of the image. Pieces that do not have the checksums that the object's
  // tables say are asked of the store once more, past the cache: an answer may have been damaged on its way.
  [[nodiscard]] Status read(std::uint64_t at, std::span<std::byte> out);
  // Pieces that are on their way, or here, and have not been read.
  [[nodiscard]] std::size_t ahead() const noexcept { return ahead_.size(); }
  [[nodiscard]] std::size_t pieces() const noexcept { return groups_.size(); }

 private:
  struct Arrival;  // a piece that is waited for, or ahead

  RemoteImage(HydrationPath path, ArchivedObject object, std::size_t most_ahead);
  [[nodiscard]] Status make_groups();
  [[nodiscard]] PieceId id_of(objstore::Range range) const;
  [[nodiscard]] Status fill(std::uint64_t offset, std::span<std::byte> out);
  [[nodiscard]] Result<PieceBytes> piece(std::size_t group);
  void look_ahead(std::size_t group);
  [[nodiscard]] Result<PieceBytes> obtain(objstore::Range range);
  [[nodiscard]] Result<std::shared_ptr<Arrival>> ask(objstore::Range range, objstore::Priority priority);

  HydrationPath path_;
  ArchivedObject object_;
  const std::size_t most_ahead_;
  std::optional<SeekableReader> reader_;
  std::vector<objstore::Range> groups_;  // empty until the tables are read
  std::optional<std::size_t> last_group_;
  PieceBytes last_piece_;
  std::size_t window_ = 0;
  bool is_second_try_ = false;  // nothing is taken from the cache
  std::map<std::size_t, std::shared_ptr<Arrival>> ahead_;
};

}  // namespace bop::aof
