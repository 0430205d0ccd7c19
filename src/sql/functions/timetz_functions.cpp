// time with time zone: arithmetic, fields, zones.
#include "sql/functions/datetime_fields.hpp"
#include "sql/functions/registry.hpp"
#include "sql/types/bytes.hpp"
#include "sql/types/calendar.hpp"
#include "sql/types/datetime.hpp"
#include "sql/types/float.hpp"
#include "sql/types/interval.hpp"
#include "sql/types/numeric.hpp"
#include "sql/types/timezone.hpp"

namespace bop {
namespace {

constexpr std::int64_t kUsPerSecond64 = 1'000'000;

Returned result(TimeTz t) { return text_result(t.stored()); }

std::int64_t within_day(std::int64_t us) { return us - floor_div64(us, kUsPerDay) * kUsPerDay; }

TimeTz shifted(TimeTz t, const Interval& by, int sign) {
  return {within_day(t.us + sign * (by.us % kUsPerDay)), t.west};
}

// The same instant of the day, told at another distance from Greenwich.
TimeTz at_offset(TimeTz t, std::int32_t east) { return {within_day(t.utc() + east * kUsPerSecond64), -east}; }

std::optional<Numeric> zone_field(std::string_view unit, TimeTz t) {
  const std::int64_t east = -t.west;
  if (unit == "timezone") return Numeric::of_int(east);
  if (unit == "timezone_hour" || unit == "timezone_h") return Numeric::of_int(east / 3600);
  if (unit == "timezone_minute" || unit == "timezone_m") return Numeric::of_int(east % 3600 / 60);
  return std::nullopt;
}

Implementation part(std::string key, bool as_numeric) {
  return scalar(std::move(key), [as_numeric](Call& c) -> Returned {
    const TimeTz t = TimeTz::of_stored(c.text(1));
    const std::string unit = lower_ascii(c.text(0));
    std::optional<Numeric> field = zone_field(unit, t);
    if (!field) {
      const std::int64_t us = unit == "epoch" ? t.utc() : t.us;
      auto found = extract_field(unit, Value::of_int(us), FieldSource::kTime, c.codec());
      if (!found) {
        Error why = found.error();
        std::string text = why.what();
        constexpr std::string_view kWithout = "without time zone";
        if (const std::size_t at = text.find(kWithout); at != text.npos)
          text.replace(at, kWithout.size(), "with time zone");
        return fail(why.code(), "{}", text);
      }
      field = *found;
    }
    if (!field) return OwnedValue::null();
    if (as_numeric) return OwnedValue::of_text(field->to_text());
    return stored_float(field->to_double());
  });
}

// Of a date and a time with its zone: an instant.
Returned instant(std::int64_t date, TimeTz t) {
  if (date == kDateInfinity) return int_result(kTimestampInfinity);
  if (date == kDateMinusInfinity) return int_result(kTimestampMinusInfinity);
  if (date > kEndTimestamp / kUsPerDay - 1) {
    return fail(ErrorCode::kDatetimeOutOfRange, "date out of range for timestamp");
  }
  return int_result(date * kUsPerDay + t.utc());
}

}  // namespace

void add_timetz_functions(Implementations& all) {
  const auto shift = [](std::size_t time, std::size_t interval, int sign) {
    return [=](Call& c) {
      return result(shifted(TimeTz::of_stored(c.text(time)), Interval::of_stored(c.text(interval)), sign));
    };
  };
  all.push_back(scalar("timetz_pl_interval", shift(0, 1, 1)));
  all.push_back(scalar("timetz_mi_interval", shift(0, 1, -1)));
  all.push_back(scalar("interval_pl_timetz(interval, time with time zone)", shift(1, 0, 1)));
  all.push_back(scalar("interval_pl_time(interval, time without time zone)", [](Call& c) {
    return int_result(within_day(c.integer(1) + Interval::of_stored(c.text(0)).us % kUsPerDay));
  }));
  all.push_back(scalar("datetimetz_timestamptz",
                       [](Call& c) { return instant(c.integer(0), TimeTz::of_stored(c.text(1))); }));
  all.push_back(scalar("timetzdate_pl(time with time zone, date)",
                       [](Call& c) { return instant(c.integer(1), TimeTz::of_stored(c.text(0))); }));
  all.push_back(part("timetz_part", false));
  all.push_back(part("extract_timetz", true));
  all.push_back(scalar("timetz_izone", [](Call& c) {
    const std::int64_t east = Interval::of_stored(c.text(0)).us / kUsPerSecond64;
    return result(at_offset(TimeTz::of_stored(c.text(1)), static_cast<std::int32_t>(east)));
  }));
  all.push_back(scalar("timetz_zone", [](Call& c) -> Returned {
    BOP_LET(zone, choose_zone(c.text(0)));
    const std::int64_t now = c.codec().transaction_timestamp;
    const std::int64_t east = (zone.local(now) - now) / kUsPerSecond64;
    return result(at_offset(TimeTz::of_stored(c.text(1)), static_cast<std::int32_t>(east)));
  }));
  all.push_back(
      scalar("timetz_cmp", [](Call& c) { return int_result(compare(types::kTimetz, c[0], c[1])); }));
  all.push_back(scalar("timetz_larger", [](Call& c) -> Returned {
    return OwnedValue(compare(types::kTimetz, c[0], c[1]) > 0 ? c[0] : c[1]);
  }));
  all.push_back(scalar("timetz_smaller", [](Call& c) -> Returned {
    return OwnedValue(compare(types::kTimetz, c[0], c[1]) < 0 ? c[0] : c[1]);
  }));
}

}  // namespace bop
