// SQLite's WAL file, kept in the memory of this process (rule 2: nothing after the commit hook may fail for
// lack of space, and there is nothing to recover: the log is the truth).
//
// SQLite's layout: a header of 32 bytes, then frames of 24 bytes of header and a page. Frames are numbered
// from 1. They live in chunks of 256 frames (about 1 MiB), mapped when first written: up to `memory_limit`
// anonymous, above it in a scratch file that has no name any more. A chunk's space is there before its first
// byte is.
//
// Threads: one writer; readers of frames that were published to them (SQLite's own protocol) at any time. A
// retreat makes a second object over the same frames; whoever wrote through the first has stopped by then.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "base/disk.hpp"
#include "base/error.hpp"
#include "base/ids.hpp"

namespace bop::rowstore {

inline constexpr std::size_t kWalHeaderBytes = 32;
inline constexpr std::size_t kFrameHeaderBytes = 24;
inline constexpr std::size_t kFrameBytes = kFrameHeaderBytes + kPageBytes;

class WalMemory {
 public:
  // Makes the scratch file; called at most once. Empty: everything stays in memory.
  using OpenScratch = std::function<Result<std::unique_ptr<File>>()>;

  WalMemory(std::uint64_t memory_limit, OpenScratch open_scratch);
  // The first `frames` frames of `other`, shared, not copied; 0 frames: header and all are dropped.
  WalMemory(const WalMemory& other, std::uint32_t frames);
  WalMemory(const WalMemory&) = delete;
  WalMemory& operator=(const WalMemory&) = delete;

  [[nodiscard]] std::uint64_t size() const noexcept { return size_.load(std::memory_order_acquire); }
  // Fewer bytes than asked for only at the end.
  [[nodiscard]] Result<std::size_t> read(std::uint64_t at, std::span<std::byte> out) const;
  [[nodiscard]] Status write(std::uint64_t at, std::span<const std::byte> bytes);
  void truncate(std::uint64_t size) noexcept;

  // Header and page of frame `number`; `buffer` (kFrameBytes) is used when the frame is not in memory.
  [[nodiscard]] Result<const std::byte*> frame(std::uint32_t number, std::span<std::byte> buffer) const;

 private:
  static constexpr std::size_t kFramesPerChunk = 256;
  static constexpr std::size_t kChunkBytes = kFramesPerChunk * kFrameBytes;
  static constexpr std::size_t kMaxChunks = std::size_t{1} << 14;

  struct Place {
    std::size_t chunk, offset, room;
  };
  struct Frames {
    Frames(std::size_t in_memory, OpenScratch open)
        : memory_chunks(in_memory),
          open_scratch(std::move(open)),
          chunks(new std::atomic<std::byte*>[in_memory]()) {}
    ~Frames();
    const std::size_t memory_chunks;
    OpenScratch open_scratch;
    std::unique_ptr<std::atomic<std::byte*>[]> chunks;  // as far as they are in memory
    std::unique_ptr<File> scratch;
    std::size_t scratch_chunks = 0;  // reserved so far
  };
  [[nodiscard]] static Place place_of(std::uint64_t at) noexcept;
  [[nodiscard]] Status make_chunk(std::size_t chunk);
  [[nodiscard]] bool in_scratch(std::size_t chunk) const noexcept { return chunk >= frames_->memory_chunks; }
  [[nodiscard]] static ByteOffset scratch_offset(std::size_t chunk, std::size_t offset) noexcept;

  const std::shared_ptr<Frames> frames_;
  std::array<std::byte, kWalHeaderBytes> header_{};
  std::atomic<std::uint64_t> size_{0};
};

}  // namespace bop::rowstore
