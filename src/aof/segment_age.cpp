#include "aof/segment_age.hpp"

#include <algorithm>

namespace bop::aof {

SegmentAge::SegmentAge(const std::vector<CommitStream::SegmentSpan>& segments, std::int64_t last_timestamp_us,
                       std::int64_t wall_us, std::int64_t steady_ns) {
  const std::int64_t most_us = std::chrono::microseconds(kMostTimeClosed).count();
  const std::int64_t closed_us = std::clamp<std::int64_t>(wall_us - last_timestamp_us, 0, most_us);
  for (std::size_t i = 0; i + 1 < segments.size(); ++i) {
    // The newest record of a segment is not newer than the begin of the next one.
    const std::int64_t inside_us = std::max<std::int64_t>(last_timestamp_us - segments[i + 1].begin_us, 0);
    age_zero_ns_[segments[i].number] = steady_ns - (closed_us + inside_us) * 1000;
  }
}

Lsn SegmentAge::expired(const std::vector<CommitStream::SegmentSpan>& segments, std::chrono::seconds ttl,
                        std::int64_t steady_ns) {
  const std::int64_t ttl_ns = std::chrono::nanoseconds(ttl).count();
  Lsn below(0);
  bool all_before = true;
  for (std::size_t i = 0; i + 1 < segments.size(); ++i) {
    const auto [zero, is_new] = age_zero_ns_.try_emplace(segments[i].number, steady_ns);
    all_before = all_before && steady_ns - zero->second >= ttl_ns;
    if (all_before) below = segments[i + 1].base;
  }
  if (!segments.empty()) {
    std::erase_if(age_zero_ns_, [&](const auto& entry) { return entry.first < segments.front().number; });
  }
  return below;
}

}  // namespace bop::aof
