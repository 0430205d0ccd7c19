// now() and its kin, date arithmetic, extract, date_trunc, age, make_*, AT TIME ZONE.
#include <algorithm>
#include <cmath>

#include "base/time.hpp"
#include "sql/functions/datetime_fields.hpp"
#include "sql/functions/registry.hpp"
#include "sql/types/bytes.hpp"
#include "sql/types/datetime.hpp"
#include "sql/types/float.hpp"
#include "sql/types/interval.hpp"
#include "sql/types/numeric.hpp"
#include "sql/types/timezone.hpp"

namespace bop {
namespace {

std::int64_t clock_now(FunctionContext& context) {
  Clock& clock = context.clock != nullptr ? *context.clock : system_clock();
  return clock.wall_us() - kPgEpochDays * kUsPerDay;
}

Returned stored(Result<std::int64_t> v) { return then(v, OwnedValue::of_int); }
Returned stored(Result<Interval> v) {
  return then(v, [](const Interval& i) { return OwnedValue::of_text(i.stored()); });
}

Result<std::int64_t> date_to_timestamp(std::int64_t d) {
  if (d == kDateInfinity) return kTimestampInfinity;
  if (d == kDateMinusInfinity) return kTimestampMinusInfinity;
  if (d > kEndTimestamp / kUsPerDay - 1)
    return fail(ErrorCode::kDatetimeOutOfRange, "date out of range for timestamp");
  return d * kUsPerDay;
}

Returned date_plus(std::int64_t date, std::int64_t days) {
  if (is_infinite_date(date)) return OwnedValue::of_int(date);
  const std::int64_t r = date + days;
  if (r < kMinDate || r > kMaxDate) return fail(ErrorCode::kDatetimeOutOfRange, "date out of range");
  return OwnedValue::of_int(r);
}

Returned truncated(Call& c, bool with_zone) {
  const std::string unit = lower_ascii(c.text(0));
  const std::int64_t t = c.integer(1);
  if (is_infinite_timestamp(t)) return OwnedValue::of_int(t);
  if (!with_zone) return stored(truncate_timestamp(unit, t, "timestamp without time zone"));
  if (c.size() > 2) {
    BOP_LET(zone, choose_zone(c.text(2)));
    BOP_LET(local, truncate_timestamp(unit, zone.local(t), "timestamp with time zone"));
    return OwnedValue::of_int(zone.instant(local));
  }
  BOP_LET(local, truncate_timestamp(unit, to_local(t, c.codec()), "timestamp with time zone"));
  return OwnedValue::of_int(from_local(local, c.codec()));
}

Returned truncated_interval(Call& c) {
  Interval i = Interval::of_stored(c.text(1));
  const std::string unit = lower_ascii(c.text(0));
  const auto months = [&](std::int32_t n) { i = {i.months / n * n, 0, 0}; };
  const auto us = [&](std::int64_t n) { i.us = i.us / n * n; };
  if (unit == "millennium" || unit == "millennia")
    months(12000);
  else if (unit == "century" || unit == "centuries")
    months(1200);
  else if (unit == "decade" || unit == "decades")
    months(120);
  else if (unit == "year" || unit == "years")
    months(12);
  else if (unit == "quarter")
    months(3);
  else if (unit == "month" || unit == "months")
    months(1);
  else if (unit == "day" || unit == "days")
    i.us = 0;
  else if (unit == "hour" || unit == "hours")
    us(3600 * kUsPerSecond);
  else if (unit == "minute" || unit == "minutes")
    us(60 * kUsPerSecond);
  else if (unit == "second" || unit == "seconds")
    us(kUsPerSecond);
  else if (unit == "milliseconds" || unit == "millisecond")
    us(1000);
  else if (unit == "microseconds" || unit == "microsecond")
    us(1);
  else
    return fail(ErrorCode::kInvalidArgument, "unit \"{}\" not recognized for type interval", c.text(0));
  return OwnedValue::of_text(i.stored());
}

// date_part answers a double, extract a numeric; both from the same exact field.
Implementation part(std::string key, bool as_numeric, FieldSource source) {
  return scalar(std::move(key), [as_numeric, source](Call& c) -> Returned {
    BOP_LET(field, extract_field(lower_ascii(c.text(0)), c[1], source, c.codec()));
    if (!field) return OwnedValue::null();
    if (as_numeric) return OwnedValue::of_text(field->to_text());
    return stored_float(field->to_double());
  });
}

Returned make_date(Call& c) {
  std::int64_t year = c.integer(0);
  const std::int64_t month = c.integer(1), day = c.integer(2);
  if (year < 0)
    year += 1;
  else if (year == 0)
    year = INT64_MIN;
  if (year == INT64_MIN || month < 1 || month > 12 || day < 1 || year > 5874897 || year < -4713 ||
      day > days_in_month(year, static_cast<int>(month))) {
    return fail(ErrorCode::kDatetimeOutOfRange, "date field value out of range: {}-{:02}-{:02}", c.integer(0),
                month, day);
  }
  return OwnedValue::of_int(date_of(year, static_cast<int>(month), static_cast<int>(day)));
}

Result<std::int64_t> clock_time(std::int64_t h, std::int64_t m, double s) {
  if (h < 0 || m < 0 || m > 59 || s < 0 || s > 60 || h > 24 || (h == 24 && (m > 0 || s > 0)) ||
      std::isnan(s)) {
    return fail(ErrorCode::kDatetimeOutOfRange, "time field value out of range: {}:{:02}:{:02g}", h, m, s);
  }
  return (h * 3600 + m * 60) * kUsPerSecond + static_cast<std::int64_t>(std::rint(s * 1e6));
}

Returned make_timestamp(Call& c) {
  BOP_LET(date, make_date(c));
  BOP_LET(time, clock_time(c.integer(3), c.integer(4), float_of(c[5])));
  const std::int64_t t = date.integer() * kUsPerDay + time;
  if (!in_timestamp_range(t)) return std::unexpected(timestamp_out_of_range());
  return OwnedValue::of_int(t);
}

Returned make_timestamptz(Call& c) {
  BOP_LET(local, make_timestamp(c));
  if (c.size() > 6) {
    BOP_LET(zone, choose_zone(c.text(6)));
    return OwnedValue::of_int(zone.instant(local.integer()));
  }
  return OwnedValue::of_int(from_local(local.integer(), c.codec()));
}

Returned epoch_to_timestamptz(Call& c) {
  const double s = float_of(c[0]);
  if (std::isnan(s)) return fail(ErrorCode::kDatetimeOutOfRange, "timestamp cannot be NaN");
  if (std::isinf(s)) return OwnedValue::of_int(s > 0 ? kTimestampInfinity : kTimestampMinusInfinity);
  const double us = std::rint((s - static_cast<double>(kPgEpochDays) * 86400) * 1e6);
  if (us < static_cast<double>(kMinTimestamp) || us >= static_cast<double>(kEndTimestamp)) {
    return fail(ErrorCode::kDatetimeOutOfRange, "timestamp out of range: \"{:g}\"", s);
  }
  return OwnedValue::of_int(static_cast<std::int64_t>(us));
}

// date_bin(stride, source, origin)
Returned bin(Call& c) {
  const Interval stride = Interval::of_stored(c.text(0));
  const std::int64_t t = c.integer(1), origin = c.integer(2);
  if (is_infinite_timestamp(t)) return OwnedValue::of_int(t);
  if (is_infinite_timestamp(origin)) return fail(ErrorCode::kDatetimeOutOfRange, "origin out of range");
  if (stride.months != 0) {
    return fail(ErrorCode::kNotImplemented,
                "timestamps cannot be binned into intervals containing months or years");
  }
  const std::int64_t us = stride.days * kUsPerDay + stride.us;
  if (us <= 0) return fail(ErrorCode::kDatetimeOutOfRange, "stride must be greater than zero");
  return OwnedValue::of_int(origin + floor_div64(t - origin, us) * us);
}

}  // namespace

void add_datetime_functions(Implementations& all) {
  all.push_back(scalar("now", [](Call& c) { return int_result(c.codec().transaction_timestamp); }));
  all.push_back(
      scalar("statement_timestamp", [](Call& c) { return int_result(c.codec().statement_timestamp); }));
  all.push_back(scalar("clock_timestamp", [](Call& c) { return int_result(clock_now(c.context)); }));
  all.push_back(scalar("timeofday", [](Call& c) {
    CodecContext style = c.codec();
    style.date_style = DateStyle::kPostgres;
    std::string s;
    append_timestamptz(clock_now(c.context), style, s);
    return text_result(std::move(s));
  }));
  all.push_back(scalar("date_pli", [](Call& c) { return date_plus(c.integer(0), c.integer(1)); }));
  all.push_back(scalar("date_mii", [](Call& c) { return date_plus(c.integer(0), -c.integer(1)); }));
  all.push_back(scalar("integer_pl_date(integer, date)",
                       [](Call& c) { return date_plus(c.integer(1), c.integer(0)); }));
  all.push_back(scalar("integer_pl_date", [](Call& c) { return date_plus(c.integer(1), c.integer(0)); }));
  all.push_back(scalar("date_mi", [](Call& c) -> Returned {
    if (is_infinite_date(c.integer(0)) || is_infinite_date(c.integer(1))) {
      return fail(ErrorCode::kDatetimeOutOfRange, "cannot subtract infinite dates");
    }
    return OwnedValue::of_int(c.integer(0) - c.integer(1));
  }));
  const auto date_interval = [](int sign) {
    return [sign](Call& c) -> Returned {
      BOP_LET(t, date_to_timestamp(c.integer(0)));
      Interval i = Interval::of_stored(c.text(1));
      if (sign < 0) {
        BOP_LET(negative, i.negated());
        i = negative;
      }
      return stored(add_interval(t, i));
    };
  };
  all.push_back(scalar("date_pl_interval", date_interval(1)));
  all.push_back(scalar("date_mi_interval", date_interval(-1)));
  all.push_back(scalar("datetime_timestamp", [](Call& c) -> Returned {
    BOP_LET(t, date_to_timestamp(c.integer(0)));
    return OwnedValue::of_int(t + c.integer(1));
  }));
  all.push_back(scalar("timedate_pl(time without time zone, date)", [](Call& c) -> Returned {
    BOP_LET(t, date_to_timestamp(c.integer(1)));
    return OwnedValue::of_int(t + c.integer(0));
  }));
  const auto shifted = [](bool with_zone, int sign) {
    return [with_zone, sign](Call& c) -> Returned {
      Interval i = Interval::of_stored(c.text(1));
      if (sign < 0) {
        BOP_LET(negative, i.negated());
        i = negative;
      }
      return stored(with_zone ? add_interval_tz(c.integer(0), i, c.codec()) : add_interval(c.integer(0), i));
    };
  };
  all.push_back(scalar("timestamp_pl_interval", shifted(false, 1)));
  all.push_back(scalar("timestamp_mi_interval", shifted(false, -1)));
  all.push_back(scalar("timestamptz_pl_interval", shifted(true, 1)));
  all.push_back(scalar("timestamptz_mi_interval", shifted(true, -1)));
  all.push_back(scalar("interval_pl_date(interval, date)", [](Call& c) -> Returned {
    BOP_LET(t, date_to_timestamp(c.integer(1)));
    return stored(add_interval(t, Interval::of_stored(c.text(0))));
  }));
  all.push_back(scalar("interval_pl_timestamp(interval, timestamp without time zone)", [](Call& c) {
    return stored(add_interval(c.integer(1), Interval::of_stored(c.text(0))));
  }));
  all.push_back(scalar("interval_pl_timestamptz(interval, timestamp with time zone)", [](Call& c) {
    return stored(add_interval_tz(c.integer(1), Interval::of_stored(c.text(0)), c.codec()));
  }));
  all.push_back(scalar("timestamp_mi",
                       [](Call& c) { return stored(timestamp_difference(c.integer(0), c.integer(1))); }));
  const auto time_shift = [](int sign) {
    return [sign](Call& c) {
      const std::int64_t t = c.integer(0) + sign * (Interval::of_stored(c.text(1)).us % kUsPerDay);
      return int_result(t - floor_div64(t, kUsPerDay) * kUsPerDay);
    };
  };
  all.push_back(scalar("time_pl_interval", time_shift(1)));
  all.push_back(scalar("time_mi_interval", time_shift(-1)));
  all.push_back(scalar("time_mi_time", [](Call& c) {
    return text_result(Interval{0, 0, c.integer(0) - c.integer(1)}.stored());
  }));
  all.push_back(
      scalar("timestamp_age", [](Call& c) { return stored(timestamp_age(c.integer(0), c.integer(1))); }));
  all.push_back(scalar("timestamptz_age", [](Call& c) {
    return stored(timestamp_age(to_local(c.integer(0), c.codec()), to_local(c.integer(1), c.codec())));
  }));
  const auto today = [](Call& c) {
    return floor_div64(to_local(c.codec().transaction_timestamp, c.codec()), kUsPerDay) * kUsPerDay;
  };
  all.push_back(scalar("age(timestamp without time zone)",
                       [today](Call& c) { return stored(timestamp_age(today(c), c.integer(0))); }));
  all.push_back(scalar("age(timestamp with time zone)", [today](Call& c) {
    return stored(timestamp_age(today(c), to_local(c.integer(0), c.codec())));
  }));
  all.push_back(scalar("timestamp_trunc", [](Call& c) { return truncated(c, false); }));
  all.push_back(scalar("timestamptz_trunc", [](Call& c) { return truncated(c, true); }));
  all.push_back(scalar("timestamptz_trunc_zone", [](Call& c) { return truncated(c, true); }));
  all.push_back(scalar("interval_trunc", truncated_interval));
  all.push_back(scalar("timestamp_bin", bin));
  all.push_back(scalar("timestamptz_bin", bin));
  all.push_back(part("timestamp_part", false, FieldSource::kTimestamp));
  all.push_back(part("timestamptz_part", false, FieldSource::kTimestamptz));
  all.push_back(part("time_part", false, FieldSource::kTime));
  all.push_back(part("interval_part", false, FieldSource::kInterval));
  all.push_back(part("date_part(text, date)", false, FieldSource::kDatePart));
  all.push_back(part("extract_timestamp", true, FieldSource::kTimestamp));
  all.push_back(part("extract_timestamptz", true, FieldSource::kTimestamptz));
  all.push_back(part("extract_date", true, FieldSource::kDate));
  all.push_back(part("extract_time", true, FieldSource::kTime));
  all.push_back(part("extract_interval", true, FieldSource::kInterval));
  all.push_back(scalar("make_date", make_date));
  all.push_back(scalar(
      "make_time", [](Call& c) { return stored(clock_time(c.integer(0), c.integer(1), float_of(c[2]))); }));
  all.push_back(scalar("make_timestamp", make_timestamp));
  all.push_back(scalar("make_timestamptz", make_timestamptz));
  all.push_back(scalar("make_timestamptz_at_timezone", make_timestamptz));
  all.push_back(scalar("float8_timestamptz", epoch_to_timestamptz));
  all.push_back(scalar("timestamp_zone", [](Call& c) -> Returned {
    BOP_LET(zone, choose_zone(c.text(0)));
    return OwnedValue::of_int(zone.instant(c.integer(1)));
  }));
  all.push_back(scalar("timestamptz_zone", [](Call& c) -> Returned {
    BOP_LET(zone, choose_zone(c.text(0)));
    return OwnedValue::of_int(zone.local(c.integer(1)));
  }));
  all.push_back(scalar("timestamp_izone",
                       [](Call& c) { return int_result(c.integer(1) - Interval::of_stored(c.text(0)).us); }));
  all.push_back(scalar("timestamptz_izone",
                       [](Call& c) { return int_result(c.integer(1) + Interval::of_stored(c.text(0)).us); }));
  all.push_back(
      scalar("timestamp_finite", [](Call& c) { return bool_result(!is_infinite_timestamp(c.integer(0))); }));
  all.push_back(scalar("date_finite", [](Call& c) { return bool_result(!is_infinite_date(c.integer(0))); }));
  all.push_back(scalar("interval_finite", [](Call&) { return bool_result(true); }));
}

}  // namespace bop
