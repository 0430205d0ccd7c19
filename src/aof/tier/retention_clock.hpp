// The time by which segments grow old.
//
// Wall clocks step and lie, and what retention deletes does not come back. So age is not read from the wall
// clock, nor from the timestamps of records, which come from it: a segment is as old as this clock has
// advanced since it was finalized (Aged, in the manifest). The clock goes with the monotonic one, and goes on
// from where the manifest says after a restart; while the wall clock is ahead of it, it goes at twice the
// speed until it has caught up. So nothing grows older than twice the time for which the log was open,
// whatever the wall clock does; and what expired while the log was closed goes within as long again.
//
// Not thread-safe.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/time.hpp"

namespace bop::aof {

class RetentionClock {
 public:
  // `recorded_us`: ManifestState::retention_us(); 0 begins with the wall clock.
  RetentionClock(Clock& clock, std::int64_t recorded_us)
      : clock_(clock),
        seen_ns_(clock.steady_ns()),
        now_us_(recorded_us == 0 ? clock.wall_us() : recorded_us) {}

  // Microseconds, at first since the Unix epoch; never decreases.
  [[nodiscard]] std::int64_t now_us() noexcept {
    const std::int64_t passed = (clock_.steady_ns() - seen_ns_) / 1000;
    seen_ns_ += passed * 1000;
    now_us_ += passed;
    const std::int64_t behind = clock_.wall_us() - now_us_;
    if (behind > 0) now_us_ += std::min(behind, passed);
    return now_us_;
  }

 private:
  Clock& clock_;
  std::int64_t seen_ns_;
  std::int64_t now_us_;
};

}  // namespace bop::aof
