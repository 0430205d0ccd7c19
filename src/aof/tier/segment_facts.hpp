// What is known of a sealed segment, derived from its file alone.
//
// A segment is sealed when the header of its successor is durable. That header says which entry is the last
// that counts. From then on the segment's *image* never changes:
//
//   image = bytes [0, records_end) of the file, then zeros up to a multiple of 4096 (image_bytes)
//
// records_end is the end of the last entry that counts; when the successor goes on in the same timeline, the
// fillers that follow that entry in the chain belong to the image, too (then records_end is the end of the
// segment's last write, and the image is the file's own bytes). A successor of a later timeline is a fence:
// what lies behind its `previous` is void, and may change while writes of a dead process still arrive;
// therefore it is no part of the image. A file of `file_bytes` bytes is rebuilt from its image by adding
// zeros.
//
// Equal facts mean equal images: the content checksum is the CRC64-NVME (seed 0) of the whole image. Two
// nodes that hold the same file derive the same facts. (Damaged padding that the walk had to skip stays in
// the image as it is; it is counted, as another node's copy of it will differ.)
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "aof/reader.hpp"
#include "aof/segment_header.hpp"
#include "aof/stream_files.hpp"
#include "aof/tier/read_only_file.hpp"
#include "base/disk.hpp"
#include "base/error.hpp"
#include "base/ids.hpp"

namespace bop::aof {

// The number orders segments; the random seed tells lives of one number apart.
struct SegmentId {
  std::uint64_t number = 0;
  std::uint64_t seed = 0;
  friend auto operator<=>(const SegmentId&, const SegmentId&) = default;
};

struct SegmentFacts {
  SegmentId id;
  Timeline timeline;
  Lsn base;                           // id that the first entry has; last.index.next() when there is none
  RecordLink previous;                // the entry before it
  std::uint64_t previous_number = 0;  // of the segment before, 0 when there was none
  RecordLink last;                    // the last entry that counts; `previous` when there is none
  std::int64_t first_us = 0;          // timestamps of the first and of the last entry, 0 when there is none
  std::int64_t last_us = 0;
  std::uint64_t records_end = 0;
  std::uint64_t content_checksum = 0;
  std::uint64_t file_bytes = 0;

  [[nodiscard]] std::uint64_t image_bytes() const noexcept;
  // Ids are consecutive.
  [[nodiscard]] std::uint64_t entries() const noexcept { return last.index.value - previous.index.value; }
  friend bool operator==(const SegmentFacts&, const SegmentFacts&) = default;
};

// False for numbers that no segment can have; what decodes facts from outside asks this.
[[nodiscard]] bool is_sound(const SegmentFacts& facts) noexcept;

// What the successor's header says of its predecessor.
struct Seal {
  RecordLink last;
  Timeline timeline;  // of the successor
};

// Called with the bytes done and the bytes there are (of walk and checksum together); false cancels
// (kCancelled).
using Progress = std::function<bool(std::uint64_t done, std::uint64_t all)>;

// Told every record of the walk in its order, marks included, with its place in the file: who needs more of a
// segment than its facts (the index) need not walk it again. The views are valid during the call.
using RecordSink = std::function<void(const RecordView& record, ByteOffset offset)>;

struct FoundFacts {
  SegmentFacts facts;
  std::uint64_t skipped_fillers = 0;
};

// Walks the file once and reads its image once more for the checksum (from the page cache, mostly). Blocks:
// not on a reactor. Errors: kCorrupt naming file, byte and LSN when the walk does not reach the sealed entry,
// kIo, kFormatTooNew, kCancelled.
[[nodiscard]] Result<FoundFacts> find_facts(File& file, const SegmentHeader& header, const Seal& seal,
                                            const Progress& progress = {}, const RecordSink& sink = {});

// The same of an image in memory, which carries its own end. `where` names it in messages.
[[nodiscard]] Result<SegmentFacts> facts_of_image(std::span<const std::byte> image, const std::string& where);

// Bytes [offset, offset + out.size()) of the image that the file holds. Precondition: inside the image.
[[nodiscard]] Status read_image(File& file, const SegmentFacts& facts, std::uint64_t offset,
                                std::span<std::byte> out);
// All of it, its checksum compared: kCorrupt when the file is not what the facts say.
[[nodiscard]] Result<std::vector<std::byte>> load_image(File& file, const SegmentFacts& facts);

// A file held in memory, to be walked; cannot be written.
class ImageFile final : public ReadOnlyFile {
 public:
  ImageFile(std::string path, std::span<const std::byte> image)
      : ReadOnlyFile(std::move(path)), image_(image) {}
  Result<std::size_t> read_at(ByteOffset at, std::span<std::byte> out) override;
  Result<std::uint64_t> size() override { return image_.size(); }

 private:
  std::span<const std::byte> image_;
};

}  // namespace bop::aof
