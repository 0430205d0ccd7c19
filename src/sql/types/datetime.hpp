// date, time, timetz, timestamp and timestamptz: stored forms, input and output.
//
// date counts days, the others microseconds, from 2000-01-01 (timestamptz: of UTC). Infinity and -infinity
// are the largest and smallest int32 (date) or int64. time is microseconds since midnight, 24:00:00 included.
// timetz is text
// "<microseconds> <seconds west of Greenwich>".
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "sql/types/calendar.hpp"
#include "sql/types/codec.hpp"

namespace bop {

inline constexpr std::int64_t kDateInfinity = std::numeric_limits<std::int32_t>::max();
inline constexpr std::int64_t kDateMinusInfinity = std::numeric_limits<std::int32_t>::min();
inline constexpr std::int64_t kTimestampInfinity = std::numeric_limits<std::int64_t>::max();
inline constexpr std::int64_t kTimestampMinusInfinity = std::numeric_limits<std::int64_t>::min();
inline constexpr std::int64_t kMinDate = -2451545;    // 4714-11-24 BC
inline constexpr std::int64_t kMaxDate = 2145031948;  // 5874897-12-31
inline constexpr std::int64_t kMinTimestamp = -211813488000000000;
inline constexpr std::int64_t kEndTimestamp = 9223371331200000000;  // first that is too late

[[nodiscard]] constexpr bool is_infinite_timestamp(std::int64_t t) noexcept {
  return t == kTimestampInfinity || t == kTimestampMinusInfinity;
}
[[nodiscard]] constexpr bool is_infinite_date(std::int64_t d) noexcept {
  return d == kDateInfinity || d == kDateMinusInfinity;
}
[[nodiscard]] constexpr bool in_timestamp_range(std::int64_t t) noexcept {
  return t >= kMinTimestamp && t < kEndTimestamp;
}

struct TimeTz {
  std::int64_t us;
  std::int32_t west;  // seconds
  friend bool operator==(const TimeTz&, const TimeTz&) = default;
  [[nodiscard]] std::int64_t utc() const { return us + west * kUsPerSecond; }
  [[nodiscard]] std::string stored() const;
  static TimeTz of_stored(std::string_view text);
};

// A wall clock reading. Year 0 is 1 BC.
struct Broken {
  std::int64_t year;
  int month, day, hour, minute, second, microsecond;
  int weekday, yearday;  // 0 = Sunday; 1 = 1 January
};
[[nodiscard]] Broken break_down(std::int64_t timestamp);
[[nodiscard]] Broken break_down_date(std::int64_t date);
[[nodiscard]] std::int64_t date_of(std::int64_t year, int month, int day);

// Between wall clock (timestamp) and instant (timestamptz).
[[nodiscard]] std::int64_t to_local(std::int64_t timestamptz, const CodecContext& context,
                                    std::string_view* zone = nullptr, std::int32_t* offset = nullptr);
[[nodiscard]] std::int64_t from_local(std::int64_t timestamp, const CodecContext& context);
[[nodiscard]] std::int64_t from_local(std::int64_t timestamp, const TimeZone& zone);
[[nodiscard]] std::int64_t to_local(std::int64_t timestamptz, const TimeZone& zone);
// What AT TIME ZONE accepts: a name, an abbreviation, a POSIX rule; 22023 otherwise.
struct ZoneChoice {
  const TimeZone* zone = nullptr;
  std::int32_t offset = 0;  // when zone is nullptr
  [[nodiscard]] std::int64_t local(std::int64_t instant) const;
  [[nodiscard]] std::int64_t instant(std::int64_t local_time) const;
};
[[nodiscard]] Result<ZoneChoice> choose_zone(std::string_view name);

[[nodiscard]] Result<std::int64_t> parse_date(std::string_view text, const CodecContext& context);
[[nodiscard]] Result<std::int64_t> parse_time(std::string_view text, const CodecContext& context);
[[nodiscard]] Result<TimeTz> parse_timetz(std::string_view text, const CodecContext& context);
[[nodiscard]] Result<std::int64_t> parse_timestamp(std::string_view text, const CodecContext& context);
[[nodiscard]] Result<std::int64_t> parse_timestamptz(std::string_view text, const CodecContext& context);

void append_date(std::int64_t date, const CodecContext& context, std::string& out);
void append_time(std::int64_t us, std::string& out);
void append_timetz(TimeTz t, std::string& out);
void append_timestamp(std::int64_t t, const CodecContext& context, std::string& out);
void append_timestamptz(std::int64_t t, const CodecContext& context, std::string& out);
void append_zone_offset(std::int32_t east_seconds, std::string& out);

// Rounds to `digits` of fractional seconds, half away from zero.
[[nodiscard]] std::int64_t round_fraction(std::int64_t us, int digits);
[[nodiscard]] Error timestamp_out_of_range();

}  // namespace bop
