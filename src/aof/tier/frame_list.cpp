#include "aof/tier/frame_list.hpp"

#include "aof/record_kind.hpp"
#include "base/assert.hpp"

namespace bop::aof {

void FrameList::add(const RecordView& record, ByteOffset offset) {
  if (!is_entry(record.kind)) return;
  BOP_ASSERT(record.lsn == next_);
  const std::uint64_t frame = offset.value / kFrameBytes;
  BOP_ASSERT(frame + 1 >= frames_.size());
  while (frames_.size() < frame) {
    frames_.push_back({.first = record.lsn, .timestamp_us = record.timestamp_us});
  }
  if (frames_.size() == frame) {
    frames_.push_back({.first = record.lsn, .timestamp_us = record.timestamp_us, .offset = offset.value});
  }
  ++frames_.back().entries;
  next_ = record.lsn.next();
  newest_us_ = record.timestamp_us;
}

void FrameList::finish(std::uint64_t image_bytes) {
  const std::uint64_t frames = frames_of(image_bytes);
  BOP_ASSERT(frames >= frames_.size());
  while (frames_.size() < frames) frames_.push_back({.first = next_, .timestamp_us = newest_us_});
}

}  // namespace bop::aof
