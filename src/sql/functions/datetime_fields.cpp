#include "sql/functions/datetime_fields.hpp"

#include <cstdlib>

#include "sql/types/datetime.hpp"
#include "sql/types/interval.hpp"

namespace bop {
namespace {

Numeric decimal(__int128 v, int scale) {  // v units of 10^-scale
  const Numeric n = Numeric::of_int128(v);
  return Numeric::of_parts(n.sign() < 0, n.coefficient(), scale);
}

// Names that stand for one field: plurals and the short forms that extract knows.
std::string_view canonical(std::string_view u) {
  struct Alias {
    std::string_view from, to;
  };
  static constexpr Alias kAliases[] = {
      {"years", "year"},
      {"y", "year"},
      {"yr", "year"},
      {"yrs", "year"},
      {"months", "month"},
      {"mon", "month"},
      {"mons", "month"},
      {"days", "day"},
      {"d", "day"},
      {"hours", "hour"},
      {"h", "hour"},
      {"hr", "hour"},
      {"hrs", "hour"},
      {"minutes", "minute"},
      {"m", "minute"},
      {"min", "minute"},
      {"mins", "minute"},
      {"seconds", "second"},
      {"s", "second"},
      {"sec", "second"},
      {"secs", "second"},
      {"millisecond", "milliseconds"},
      {"ms", "milliseconds"},
      {"msec", "milliseconds"},
      {"msecs", "milliseconds"},
      {"microsecond", "microseconds"},
      {"us", "microseconds"},
      {"usec", "microseconds"},
      {"usecs", "microseconds"},
      {"weeks", "week"},
      {"w", "week"},
      {"quarters", "quarter"},
      {"qtr", "quarter"},
      {"decades", "decade"},
      {"dec", "decade"},
      {"decs", "decade"},
      {"centuries", "century"},
      {"c", "century"},
      {"cent", "century"},
      {"millennia", "millennium"},
      {"mil", "millennium"},
      {"mils", "millennium"},
  };
  for (const Alias& a : kAliases) {
    if (a.from == u) return a.to;
  }
  return u;
}

std::int64_t century_of(std::int64_t year, std::int64_t span) {
  return year > 0 ? (year + span - 1) / span : -((span - 1 - (year - 1)) / span);
}

std::string_view type_name(FieldSource s) {
  switch (s) {
    case FieldSource::kTimestamp:
    case FieldSource::kDatePart: return "timestamp without time zone";
    case FieldSource::kTimestamptz: return "timestamp with time zone";
    case FieldSource::kDate: return "date";
    case FieldSource::kTime: return "time without time zone";
    case FieldSource::kInterval: return "interval";
  }
  return "";
}

std::optional<Numeric> clock_field(std::string_view u, std::int64_t us_of_minute, std::int64_t minute,
                                   std::int64_t hour) {
  if (u == "microseconds") return Numeric::of_int(us_of_minute);
  if (u == "milliseconds") return decimal(us_of_minute, 3);
  if (u == "second") return decimal(us_of_minute, 6);
  if (u == "minute") return Numeric::of_int(minute);
  if (u == "hour") return Numeric::of_int(hour);
  return std::nullopt;
}

std::optional<Numeric> date_field(std::string_view u, const Broken& b, std::int64_t date) {
  const auto number = [](std::int64_t v) { return Numeric::of_int(v); };
  const std::int64_t shown_year = b.year > 0 ? b.year : b.year - 1;
  if (u == "day") return number(b.day);
  if (u == "month") return number(b.month);
  if (u == "quarter") return number((b.month - 1) / 3 + 1);
  if (u == "year") return number(shown_year);
  if (u == "decade") return number(floor_div64(b.year, 10));
  if (u == "century") return number(century_of(b.year, 100));
  if (u == "millennium") return number(century_of(b.year, 1000));
  if (u == "week") return number(iso_week(date).week);
  if (u == "isoyear") {
    const std::int64_t y = iso_week(date).year;
    return number(y > 0 ? y : y - 1);
  }
  if (u == "dow") return number(b.weekday);
  if (u == "isodow") return number(b.weekday == 0 ? 7 : b.weekday);
  if (u == "doy") return number(b.yearday);
  return std::nullopt;
}

bool is_clock_unit(std::string_view u) {
  return u == "microseconds" || u == "milliseconds" || u == "second" || u == "minute" || u == "hour";
}
bool is_zone_unit(std::string_view u) {
  return u == "timezone" || u == "timezone_hour" || u == "timezone_minute";
}
bool is_date_unit(std::string_view u) {
  return date_field(u, break_down_date(0), 0).has_value() || u == "julian";
}

}  // namespace

IsoWeek iso_week(std::int64_t date) {
  // The week belongs to the year of its Thursday.
  const std::int64_t monday = date - ((date + 5) % 7 + 7) % 7;
  const std::int64_t thursday = monday + 3;
  const Broken b = break_down_date(thursday);
  return {b.year, (b.yearday - 1) / 7 + 1};
}

Result<std::optional<Numeric>> extract_field(std::string_view unit, const Value& v, FieldSource source,
                                             const CodecContext& context) {
  const std::string_view u = canonical(unit);
  const bool known = is_clock_unit(u) || is_zone_unit(u) || is_date_unit(u) || u == "epoch";
  const auto refuse = [&]() -> Result<std::optional<Numeric>> {
    if (known)
      return fail(ErrorCode::kNotImplemented, "unit \"{}\" not supported for type {}", unit,
                  type_name(source));
    return fail(ErrorCode::kInvalidArgument, "unit \"{}\" not recognized for type {}", unit,
                type_name(source));
  };
  if (source == FieldSource::kInterval) {
    const Interval i = Interval::of_stored(v.bytes);
    if (auto f = clock_field(u, i.us % (60 * kUsPerSecond), i.us / (60 * kUsPerSecond) % 60,
                             i.us / (3600 * kUsPerSecond)))
      return f;
    const std::int32_t year = i.months / 12;
    if (u == "day") return Numeric::of_int(i.days);
    if (u == "month") return Numeric::of_int(i.months % 12);
    if (u == "quarter") return Numeric::of_int(i.months % 12 / 3 + 1);
    if (u == "year") return Numeric::of_int(year);
    if (u == "decade") return Numeric::of_int(year / 10);
    if (u == "century") return Numeric::of_int(year / 100);
    if (u == "millennium") return Numeric::of_int(year / 1000);
    if (u == "epoch") {  // a year is 365.25 days, a month 30
      const __int128 quarter_days = static_cast<__int128>(year) * 1461 +
                                    static_cast<__int128>(i.months % 12) * 120 +
                                    static_cast<__int128>(i.days) * 4;
      return decimal(quarter_days * (kUsPerDay / 4) + i.us, 6);
    }
    return refuse();
  }
  if (source == FieldSource::kTime) {
    const std::int64_t us = v.integer;
    if (auto f = clock_field(u, us % (60 * kUsPerSecond), us / (60 * kUsPerSecond) % 60,
                             us / (3600 * kUsPerSecond)))
      return f;
    if (u == "epoch") return decimal(us, 6);
    return refuse();
  }
  if (source == FieldSource::kDate) {
    const std::int64_t date = v.integer;
    if (is_infinite_date(date)) {
      if (!known || is_clock_unit(u) || is_zone_unit(u)) return refuse();
      const bool endless = u == "year" || u == "decade" || u == "century" || u == "millennium" ||
                           u == "isoyear" || u == "epoch" || u == "julian";
      if (!endless) return std::optional<Numeric>();
      return Numeric::of(date == kDateInfinity ? Numeric::Kind::kInfinity : Numeric::Kind::kNegativeInfinity);
    }
    if (auto f = date_field(u, break_down_date(date), date)) return f;
    if (u == "epoch") return Numeric::of_int((date + kPgEpochDays) * 86400);
    if (u == "julian") return Numeric::of_int(date + 2451545);
    return refuse();
  }
  std::int64_t t = v.integer;
  if (source == FieldSource::kDatePart) {
    t = t == kDateInfinity        ? kTimestampInfinity
        : t == kDateMinusInfinity ? kTimestampMinusInfinity
                                  : t * kUsPerDay;
  }
  const bool with_zone = source == FieldSource::kTimestamptz;
  if (is_infinite_timestamp(t)) {
    if (!known || (is_zone_unit(u) && !with_zone)) return refuse();
    const bool endless = u == "year" || u == "decade" || u == "century" || u == "millennium" ||
                         u == "isoyear" || u == "epoch" || u == "julian";
    if (!endless) return std::optional<Numeric>();
    return Numeric::of(t > 0 ? Numeric::Kind::kInfinity : Numeric::Kind::kNegativeInfinity);
  }
  std::int32_t offset = 0;
  const std::int64_t local = with_zone ? to_local(t, context, nullptr, &offset) : t;
  const Broken b = break_down(local);
  const std::int64_t date = floor_div64(local, kUsPerDay);
  if (auto f = clock_field(u, b.second * kUsPerSecond + b.microsecond, b.minute, b.hour)) return f;
  if (auto f = date_field(u, b, date)) return f;
  if (u == "epoch")
    return decimal(static_cast<__int128>(t) + static_cast<__int128>(kPgEpochDays) * kUsPerDay, 6);
  if (u == "julian") {
    const std::int64_t us = local - date * kUsPerDay;
    const Numeric whole = Numeric::of_int(date + 2451545);
    BOP_LET(fraction, Numeric::divide(Numeric::of_int(us), Numeric::of_int(kUsPerDay)));
    BOP_LET(sum, Numeric::add(whole, fraction));
    return sum;
  }
  if (with_zone && u == "timezone") return Numeric::of_int(offset);
  if (with_zone && u == "timezone_hour") return Numeric::of_int(offset / 3600);
  if (with_zone && u == "timezone_minute") return Numeric::of_int(offset / 60 % 60);
  return refuse();
}

Result<std::int64_t> truncate_timestamp(std::string_view unit, std::int64_t t, std::string_view type) {
  const std::string_view u = canonical(unit);
  const auto multiple = [t](std::int64_t n) { return floor_div64(t, n) * n; };
  if (u == "microseconds") return t;
  if (u == "milliseconds") return multiple(1000);
  if (u == "second") return multiple(kUsPerSecond);
  if (u == "minute") return multiple(60 * kUsPerSecond);
  if (u == "hour") return multiple(3600 * kUsPerSecond);
  if (u == "day") return multiple(kUsPerDay);
  const std::int64_t date = floor_div64(t, kUsPerDay);
  if (u == "week") return (date - ((date + 5) % 7 + 7) % 7) * kUsPerDay;
  const Broken b = break_down(t);
  const auto start = [](std::int64_t year, int month) { return date_of(year, month, 1) * kUsPerDay; };
  if (u == "month") return start(b.year, b.month);
  if (u == "quarter") return start(b.year, (b.month - 1) / 3 * 3 + 1);
  if (u == "year") return start(b.year, 1);
  if (u == "decade") return start(floor_div64(b.year, 10) * 10, 1);
  if (u == "century") return start(floor_div64(b.year - 1, 100) * 100 + 1, 1);
  if (u == "millennium") return start(floor_div64(b.year - 1, 1000) * 1000 + 1, 1);
  if (is_zone_unit(u) || is_date_unit(u) || u == "epoch") {
    return fail(ErrorCode::kNotImplemented, "unit \"{}\" not supported for type {}", unit, type);
  }
  return fail(ErrorCode::kInvalidArgument, "unit \"{}\" not recognized for type {}", unit, type);
}

}  // namespace bop
