// The time by which segments grow old.
//
// Wall clocks step and lie, and what retention deletes does not come back. So age is not read from the wall
// clock: this clock starts at the newest timestamp of the log (or at the wall clock, where that is earlier)
// and goes towards the wall clock at no more than twice the speed of the monotonic one. A wall clock that
// jumps a year ahead makes nothing older than twice the time that has really passed; one that jumps back
// stops ageing until it is true again. A node that was off for a month keeps what expired meanwhile for up to
// a month of running more. It never goes back.
//
// Not thread-safe.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

#include "base/time.hpp"

namespace bop::aof {

class RetentionClock {
 public:
  explicit RetentionClock(Clock& clock) : clock_(clock), seen_ns_(clock.steady_ns()) {}

  // Microseconds since the Unix epoch. `newest_us` is the newest timestamp of the log at the first call; 0
  // while there is none, and then it starts with the first call that has one.
  [[nodiscard]] std::int64_t now_us(std::int64_t newest_us) noexcept {
    const std::int64_t steady = clock_.steady_ns();
    const std::int64_t wall = clock_.wall_us();
    const std::int64_t most = 2 * (steady - seen_ns_) / 1000;
    seen_ns_ = steady;
    if (!now_us_.has_value()) {
      if (newest_us == 0) return 0;
      now_us_ = std::min(wall, newest_us);
    } else if (wall > *now_us_) {
      *now_us_ += std::min(wall - *now_us_, most);
    }
    return *now_us_;
  }

 private:
  Clock& clock_;
  std::int64_t seen_ns_;
  std::optional<std::int64_t> now_us_;
};

}  // namespace bop::aof
