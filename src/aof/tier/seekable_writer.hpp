// Writes the seekable form of a segment (seekable_format.hpp): bytes of the image in, bytes of the file out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "aof/tier/seekable_format.hpp"
#include "aof/zstd_context.hpp"
#include "base/error.hpp"

namespace bop::aof {

// Calls each of the jobs once, in any order, on any threads, and returns when all have returned.
using RunAll = std::function<void(std::span<const std::function<void()>> jobs)>;

struct SeekableWriterOptions {
  int level = 3;  // of zstd, 1 to 19
  std::uint32_t frame_bytes = kDefaultFrameBytes;
  std::size_t frames_at_once = 1;  // compressed by one call of run_all; 1 to 256
  RunAll run_all;                  // empty: the caller's thread does all
};

// What became of an image.
struct SeekableFacts {
  std::uint64_t image_bytes = 0;
  std::uint64_t image_checksum = 0;  // CRC64-NVME of the image
  std::uint64_t file_bytes = 0;
  std::uint64_t file_checksum = 0;  // CRC64-NVME of the file
  std::uint64_t frames = 0;         // data frames
};

// One thread at a time. `sink` gets the file in order, in pieces; a piece is valid during the call. Its first
// error ends the writer: every later call answers the same. The bytes do not depend on frames_at_once, on
// run_all or on how the image was cut into calls. Memory: frames_at_once times (frame_bytes, zstd's bound for
// it and a context of zstd), and the table.
class SeekableWriter {
 public:
  using Sink = std::function<Status(std::span<const std::byte> bytes)>;

  // kInvalidArgument for options outside their range.
  [[nodiscard]] static Result<SeekableWriter> open(Sink sink, SeekableWriterOptions options);

  // kProgramLimitExceeded for an image above 4 GiB, the most that readers take unless told otherwise.
  [[nodiscard]] Status write(std::span<const std::byte> image);
  // The rest of the image and the tables. Nothing may be written afterwards.
  [[nodiscard]] Result<SeekableFacts> finish();

 private:
  // A frame on its way: its part of the image, then its bytes in the file.
  struct Slot {
    std::vector<std::byte> image;
    std::vector<std::byte> stored;
    std::size_t stored_bytes = 0;  // 0: zstd failed
    std::uint64_t checksum = 0;
    Compressor context;
  };
  SeekableWriter(Sink sink, SeekableWriterOptions options);

  void compress(Slot& slot) const;
  [[nodiscard]] Status flush();
  [[nodiscard]] Status emit(std::span<const std::byte> bytes);

  Sink sink_;
  SeekableWriterOptions options_;
  std::vector<Slot> slots_;
  std::size_t full_ = 0;  // slots whose image is complete; the next one is being filled
  SeekableTables tables_;
  SeekableFacts facts_;
  Status status_;
  bool is_finished_ = false;
};

}  // namespace bop::aof
