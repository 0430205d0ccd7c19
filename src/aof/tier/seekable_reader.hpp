// Reads ranges of a segment's image out of its seekable form (seekable_format.hpp), wherever that lies.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "aof/tier/seekable_format.hpp"
#include "aof/zstd_context.hpp"
#include "base/disk.hpp"
#include "base/error.hpp"

namespace bop::aof {

// Fills all of `out` with the bytes of the file from `offset` on, or fails. Thread-safe if the reader is to
// be.
using ReadRange = std::function<Status(std::uint64_t offset, std::span<std::byte> out)>;

// Of a local file; kCorrupt where it ends too early. `file` is kept.
[[nodiscard]] ReadRange range_of(std::shared_ptr<File> file);
// Of bytes in memory, which outlive it.
[[nodiscard]] ReadRange range_of(std::span<const std::byte> bytes);

// At most so many bytes of the file are asked for by one read.
inline constexpr std::size_t kMostRangeBytes = 256U << 10U;

// Opening reads the last 64 KiB of the file (all of it, if it is shorter), which hold the tables of an image
// up to 200 MiB; those of a larger one take a second read. From then on a read costs one range for each run
// of adjacent frames, up to kMostRangeBytes; a single frame is never cut in two. Nothing but the tables is
// kept.
//
// Threads: read() and verify() from any, at the same time, as far as the ReadRange allows.
// Errors: kCorrupt and kFormatTooNew naming file and frame; kProgramLimitExceeded for what is beyond the
// limits; those of the ReadRange. A failed read leaves bytes in `out` that mean nothing.
class SeekableReader {
 public:
  // `name` is for errors.
  [[nodiscard]] static Result<SeekableReader> open(ReadRange read, std::uint64_t file_bytes, std::string name,
                                                   SeekableLimits limits = {});

  [[nodiscard]] std::uint64_t image_bytes() const noexcept { return tables_.image_bytes; }
  // As the writer computed it; 0 in a foreign file.
  [[nodiscard]] std::uint64_t image_checksum() const noexcept { return tables_.image_checksum; }
  [[nodiscard]] const SeekableTables& tables() const noexcept { return tables_; }
  // The frame that holds byte `at` of the image. Precondition (asserted): at < image_bytes().
  [[nodiscard]] std::size_t frame_at(std::uint64_t at) const;

  // The bytes [at, at + out.size()) of the image; kInvalidArgument when it has not so many.
  [[nodiscard]] Status read(std::uint64_t at, std::span<std::byte> out) const;
  // Reads all, and compares the checksum of the image where there is one.
  [[nodiscard]] Status verify() const;

 private:
  SeekableReader(ReadRange read, std::string name, SeekableTables tables);

  [[nodiscard]] Status decode(std::size_t frame, std::span<const std::byte> stored,
                              std::span<std::byte> out) const;
  [[nodiscard]] std::uint64_t image_offset(std::size_t frame) const;

  ReadRange read_;
  std::string name_;
  SeekableTables tables_;
  std::vector<std::uint64_t> image_offsets_;  // of a foreign file's frames
  std::unique_ptr<Spares<Decompressor>> decompressors_;
};

}  // namespace bop::aof
