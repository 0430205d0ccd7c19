// How old the records of a segment are at least, without trust in the wall clock.
//
// While the log is open, time is that of a clock that nobody sets. Of a segment that was there at open() the
// age then is what the records' own timestamps say between its last one and the log's last one, and the time
// in which nobody had the log open: what the wall clock says, but a day at most. So a wrong wall clock can
// make a segment a day older than it is and no more, and keeps it longer otherwise.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "aof/commit_stream.hpp"
#include "base/ids.hpp"

namespace bop::aof {

inline constexpr std::chrono::hours kMostTimeClosed{24};

class SegmentAge {
 public:
  // Of the log at open(): its segments, its last record's timestamp, and the clocks.
  SegmentAge(const std::vector<CommitStream::SegmentSpan>& segments, std::int64_t last_timestamp_us,
             std::int64_t wall_us, std::int64_t steady_ns);

  // The id below which all records are at least `ttl` old. To be called now and then: a segment's age begins
  // when it is first seen with a successor.
  [[nodiscard]] Lsn expired(const std::vector<CommitStream::SegmentSpan>& segments, std::chrono::seconds ttl,
                            std::int64_t steady_ns);

 private:
  std::map<std::uint64_t, std::int64_t> age_zero_ns_;  // by number: the steady time at which its age was 0
};

}  // namespace bop::aof
