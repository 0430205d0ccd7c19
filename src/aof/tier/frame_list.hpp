// The sparse index of one segment: of every 64 KiB of its image (a frame), where the first entry begins.
//
// An entry belongs to the frame in which its first byte stands. Of each frame, from the image's first on:
//
//   first      id of the first entry that belongs to it or to a later frame; last + 1 when there is none
//   timestamp  that entry's; the last entry's when there is none
//   offset     where the frame's first entry begins; kNoEntry when none belongs to it (a large record goes on in it)
//   entries    how many belong to it
//
// So ids and timestamps never decrease from frame to frame, and the frame of an id is the last one whose
// `first` is not above it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "aof/reader.hpp"
#include "base/ids.hpp"

namespace bop::aof {

inline constexpr std::uint64_t kFrameBytes = std::uint64_t{64} << 10U;
inline constexpr std::uint64_t kNoEntry = ~std::uint64_t{0};

struct FrameEntry {
  Lsn first;
  std::int64_t timestamp_us = 0;
  std::uint64_t offset = kNoEntry;  // in the image
  std::uint32_t entries = 0;
  friend bool operator==(const FrameEntry&, const FrameEntry&) = default;
};

[[nodiscard]] constexpr std::uint64_t frames_of(std::uint64_t image_bytes) noexcept {
  return (image_bytes + kFrameBytes - 1) / kFrameBytes;
}

// Built from the records of a segment in their order, also while it is being written. One thread at a time.
class FrameList {
 public:
  explicit FrameList(Lsn base) : next_(base) {}

  // Marks may be given and do not count.
  void add(const RecordView& record, ByteOffset offset);
  // The image ends here: every frame has its entry now. Nothing may be added behind.
  void finish(std::uint64_t image_bytes);

  [[nodiscard]] std::span<const FrameEntry> frames() const noexcept { return frames_; }

 private:
  std::vector<FrameEntry> frames_;
  Lsn next_;
  std::int64_t newest_us_ = 0;
};

// The frame to begin with in looking for what is asked: for an id, its own frame; for a time, the last one
// whose first entry is older, or the first frame. `at(i)` gives frame i; there is at least one.
template <class At, class Before>
[[nodiscard]] std::uint64_t last_frame(std::uint64_t frames, At&& at, Before&& before_or_at) {
  std::uint64_t low = 0, high = frames;  // low holds, or is the first; high does not
  while (high - low > 1) {
    const std::uint64_t middle = low + (high - low) / 2;
    (before_or_at(at(middle)) ? low : high) = middle;
  }
  return low;
}

}  // namespace bop::aof
