// interval: months, days and microseconds, kept apart because they are not of fixed length to each other.
//
// Stored as text "<months> <days> <microseconds>", ordered by the collation bop_interval: a month counts as
// 30 days, a day as 24 hours, so that '1 day' equals '24:00:00' though their bytes differ.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "sql/types/codec.hpp"

namespace bop {

struct Interval {
  std::int32_t months = 0;
  std::int32_t days = 0;
  std::int64_t us = 0;

  [[nodiscard]] std::string stored() const;
  [[nodiscard]] static Interval of_stored(std::string_view text) noexcept;
  [[nodiscard]] static int compare(const Interval& a, const Interval& b) noexcept;
  [[nodiscard]] static Result<Interval> add(const Interval& a, const Interval& b);
  [[nodiscard]] Result<Interval> negated() const;
  [[nodiscard]] Result<Interval> times(double factor) const;
  friend bool operator==(const Interval&, const Interval&) = default;
};

// The fields of "interval day to second": bits of PostgreSQL's INTERVAL_MASK.
namespace interval_fields {
inline constexpr int kMonth = 1 << 1, kYear = 1 << 2, kDay = 1 << 3, kHour = 1 << 10, kMinute = 1 << 11,
                     kSecond = 1 << 12, kAll = 0x7fff;
}
// `fields` says what a number without unit counts; in the SQL standard's style a sign in front counts for
// all.
[[nodiscard]] Result<Interval> parse_interval(std::string_view text, int fields = interval_fields::kAll,
                                              IntervalStyle style = IntervalStyle::kPostgres);
// " day to second"; empty for all fields, nullopt for what is no such list.
[[nodiscard]] std::optional<std::string_view> interval_field_names(int fields);
// The unit of the last field: what a number without unit counts.
[[nodiscard]] std::string_view last_interval_unit(int fields);
// Cuts what is below the last field.
[[nodiscard]] Interval cut_to_fields(Interval i, int fields);
void append_interval(const Interval& i, IntervalStyle style, std::string& out);

// timestamp + interval: months first (the day clamped to the month's length), then days, then time; 22008.
[[nodiscard]] Result<std::int64_t> add_interval(std::int64_t timestamp, const Interval& i);
// The same on the wall clock of the session's zone for months and days.
[[nodiscard]] Result<std::int64_t> add_interval_tz(std::int64_t timestamptz, const Interval& i,
                                                   const CodecContext& context);
// a - b as days and time.
[[nodiscard]] Result<Interval> timestamp_difference(std::int64_t a, std::int64_t b);
// a - b as years, months, days and time of the calendar.
[[nodiscard]] Result<Interval> timestamp_age(std::int64_t a, std::int64_t b);
[[nodiscard]] Interval justify_hours(Interval i);
[[nodiscard]] Interval justify_days(Interval i);
[[nodiscard]] Interval justify_interval(Interval i);

}  // namespace bop
