#include "sql/types/interval.hpp"

#include <charconv>
#include <cmath>
#include <cstdlib>

#include "sql/types/bytes.hpp"
#include "sql/types/datetime.hpp"
#include "sql/types/interval_sum.hpp"

namespace bop {
namespace {

Error out_of_range() { return {ErrorCode::kDatetimeOutOfRange, "interval out of range"}; }

__int128 span(const Interval& i) {
  return static_cast<__int128>(i.months) * 30 * kUsPerDay + static_cast<__int128>(i.days) * kUsPerDay + i.us;
}

void put_seconds(std::string& out, std::int64_t us, int width) {  // us >= 0, below a minute
  fmt::format_to(std::back_inserter(out), "{:0{}}", us / kUsPerSecond, width);
  if (us % kUsPerSecond == 0) return;
  std::string f = fmt::format("{:06}", us % kUsPerSecond);
  f.resize(f.find_last_not_of('0') + 1);
  out += '.';
  out += f;
}

void postgres_style(const Interval& i, std::string& out) {
  const std::size_t start = out.size();
  bool negative_before = false;
  const auto part = [&](std::int64_t v, std::string_view unit) {
    if (v == 0) return;
    if (out.size() != start) out += ' ';
    fmt::format_to(std::back_inserter(out), "{}{} {}{}", negative_before && v > 0 ? "+" : "", v, unit,
                   v == 1 ? "" : "s");
    negative_before = v < 0;
  };
  part(i.months / 12, "year");
  part(i.months % 12, "mon");
  part(i.days, "day");
  if (i.us != 0 || out.size() == start) {
    if (out.size() != start) out += ' ';
    if (i.us < 0)
      out += '-';
    else if (negative_before)
      out += '+';
    const std::uint64_t us =
        i.us < 0 ? 0 - static_cast<std::uint64_t>(i.us) : static_cast<std::uint64_t>(i.us);
    fmt::format_to(std::back_inserter(out), "{:02}:{:02}:", us / kUsPerHour, us / kUsPerMinute % 60);
    put_seconds(out, static_cast<std::int64_t>(us % kUsPerMinute), 2);
  }
}

void verbose_style(const Interval& i, std::string& out) {
  out += '@';
  const std::size_t start = out.size();
  // The first part that is not zero decides the sign of the whole; "ago" turns it.
  bool ago = false, decided = false;
  const auto part = [&](std::int64_t v, std::string_view unit) {
    if (v == 0) return;
    if (!decided) ago = v < 0;
    decided = true;
    if (ago) v = -v;
    fmt::format_to(std::back_inserter(out), " {} {}{}", v, unit, v == 1 ? "" : "s");
  };
  part(i.months / 12, "year");
  part(i.months % 12, "mon");
  part(i.days, "day");
  part(i.us / kUsPerHour, "hour");
  part(i.us / kUsPerMinute % 60, "min");
  if (std::int64_t rest = i.us % kUsPerMinute; rest != 0) {
    if (!decided) ago = rest < 0;
    decided = true;
    if (ago) rest = -rest;
    out += rest < 0 ? " -" : " ";
    put_seconds(out, std::llabs(rest), 1);
    out += std::llabs(rest) == kUsPerSecond ? " sec" : " secs";
  }
  if (out.size() == start) out += " 0";
  if (ago) out += " ago";
}

void sql_style(const Interval& i, std::string& out) {
  const int sign_m = (i.months > 0) - (i.months < 0), sign_d = (i.days > 0) - (i.days < 0),
            sign_t = (i.us > 0) - (i.us < 0);
  const bool any_negative = sign_m < 0 || sign_d < 0 || sign_t < 0,
             any_positive = sign_m > 0 || sign_d > 0 || sign_t > 0;
  const auto clock = [&out](std::int64_t us) {
    us = std::llabs(us);
    fmt::format_to(std::back_inserter(out), "{}:{:02}:", us / kUsPerHour, us / kUsPerMinute % 60);
    put_seconds(out, us % kUsPerMinute, 2);
  };
  if (!any_negative && !any_positive) {
    out += '0';
  } else if ((any_negative && any_positive) || (sign_m != 0 && (sign_d != 0 || sign_t != 0))) {
    fmt::format_to(std::back_inserter(out), "{}{}-{} {}{} {}", i.months < 0 ? '-' : '+',
                   std::abs(i.months / 12), std::abs(i.months % 12), i.days < 0 ? '-' : '+', std::abs(i.days),
                   i.us < 0 ? '-' : '+');
    clock(i.us);
  } else {
    if (any_negative) out += '-';
    if (sign_m != 0) {
      fmt::format_to(std::back_inserter(out), "{}-{}", std::abs(i.months / 12), std::abs(i.months % 12));
    } else {
      if (sign_d != 0) fmt::format_to(std::back_inserter(out), "{} ", std::abs(i.days));
      clock(i.us);
    }
  }
}

void iso_style(const Interval& i, std::string& out) {
  if (i.months == 0 && i.days == 0 && i.us == 0) {
    out += "PT0S";
    return;
  }
  out += 'P';
  const auto part = [&out](std::int64_t v, char unit) {
    if (v != 0) fmt::format_to(std::back_inserter(out), "{}{}", v, unit);
  };
  part(i.months / 12, 'Y');
  part(i.months % 12, 'M');
  part(i.days, 'D');
  if (i.us == 0) return;
  out += 'T';
  part(i.us / kUsPerHour, 'H');
  part(i.us / kUsPerMinute % 60, 'M');
  if (const std::int64_t rest = i.us % kUsPerMinute; rest != 0) {
    if (rest < 0) out += '-';
    put_seconds(out, std::llabs(rest), 1);
    out += 'S';
  }
}

}  // namespace

std::string Interval::stored() const { return fmt::format("{} {} {}", months, days, us); }

Interval Interval::of_stored(std::string_view t) noexcept {
  Interval i;
  const char* end = t.data() + t.size();
  auto r = std::from_chars(t.data(), end, i.months);
  if (r.ptr < end) r = std::from_chars(r.ptr + 1, end, i.days);
  if (r.ptr < end) std::from_chars(r.ptr + 1, end, i.us);
  return i;
}

int Interval::compare(const Interval& a, const Interval& b) noexcept {
  const __int128 x = span(a), y = span(b);
  return x < y ? -1 : x > y ? 1 : 0;
}

Result<Interval> Interval::add(const Interval& a, const Interval& b) {
  Interval r;
  if (__builtin_add_overflow(a.months, b.months, &r.months) ||
      __builtin_add_overflow(a.days, b.days, &r.days) || __builtin_add_overflow(a.us, b.us, &r.us)) {
    return std::unexpected(out_of_range());
  }
  return r;
}

Result<Interval> Interval::negated() const {
  if (months == INT32_MIN || days == INT32_MIN || us == INT64_MIN) return std::unexpected(out_of_range());
  return Interval{-months, -days, -us};
}

Result<Interval> Interval::times(double factor) const {
  const double m = months * factor, d = days * factor;
  const auto fits = [](double v) { return v >= INT32_MIN && v <= INT32_MAX; };
  if (!fits(m) || !fits(d)) return std::unexpected(out_of_range());
  Interval r{static_cast<std::int32_t>(m), static_cast<std::int32_t>(d), 0};
  // Fractions of a month spill to days, of a day to time; tiny errors of binary fractions are rounded off.
  const auto tidy = [](double v) { return std::rint(v * 1e6) / 1e6; };
  const double month_days = tidy((m - r.months) * 30);
  double seconds = tidy((d - r.days + month_days - static_cast<int>(month_days)) * 86400);
  if (std::fabs(seconds) >= 86400) {
    r.days += static_cast<int>(seconds / 86400);
    seconds -= static_cast<int>(seconds / 86400) * 86400;
  }
  r.days += static_cast<int>(month_days);
  const double t = std::rint(static_cast<double>(us) * factor + seconds * 1e6);
  if (!(t >= -9.2233720368547758e18 && t < 9.2233720368547758e18)) return std::unexpected(out_of_range());
  r.us = static_cast<std::int64_t>(t);
  return r;
}

void append_interval(const Interval& i, IntervalStyle style, std::string& out) {
  switch (style) {
    case IntervalStyle::kPostgres: return postgres_style(i, out);
    case IntervalStyle::kPostgresVerbose: return verbose_style(i, out);
    case IntervalStyle::kSqlStandard: return sql_style(i, out);
    case IntervalStyle::kIso8601: return iso_style(i, out);
  }
}

namespace {
Result<std::int64_t> add_calendar(std::int64_t t, const Interval& i) {
  if (i.months == 0 && i.days == 0) return t;
  std::int64_t date = floor_div64(t, kUsPerDay);
  const std::int64_t rest = t - date * kUsPerDay;
  if (i.months != 0) {
    const Civil c = civil_from_days(date + kPgEpochDays);
    const std::int64_t months = c.year * 12 + (c.month - 1) + i.months;
    const std::int64_t year = floor_div64(months, 12);
    const int month = static_cast<int>(months - year * 12) + 1;
    date = date_of(year, month, std::min(c.day, days_in_month(year, month)));
  }
  date += i.days;
  if (date < kMinDate - 1 || date > 110'000'000) return std::unexpected(timestamp_out_of_range());
  if (__builtin_mul_overflow(date, kUsPerDay, &t) || __builtin_add_overflow(t, rest, &t)) {
    return std::unexpected(timestamp_out_of_range());
  }
  return t;
}
Result<std::int64_t> add_time(std::int64_t t, std::int64_t us) {
  if (__builtin_add_overflow(t, us, &t) || !in_timestamp_range(t))
    return std::unexpected(timestamp_out_of_range());
  return t;
}
}  // namespace

Result<std::int64_t> add_interval(std::int64_t t, const Interval& i) {
  if (is_infinite_timestamp(t)) return t;
  BOP_LET(moved, add_calendar(t, i));
  return add_time(moved, i.us);
}

Result<std::int64_t> add_interval_tz(std::int64_t t, const Interval& i, const CodecContext& context) {
  if (is_infinite_timestamp(t)) return t;
  if (i.months != 0 || i.days != 0) {
    BOP_LET(moved, add_calendar(to_local(t, context), i));
    t = from_local(moved, context);
  }
  return add_time(t, i.us);
}

Result<Interval> timestamp_difference(std::int64_t a, std::int64_t b) {
  if (is_infinite_timestamp(a) || is_infinite_timestamp(b)) {
    return fail(ErrorCode::kDatetimeOutOfRange, "cannot subtract infinite timestamps");
  }
  Interval r;
  if (__builtin_sub_overflow(a, b, &r.us)) return std::unexpected(out_of_range());
  return justify_hours(r);
}

Result<Interval> timestamp_age(std::int64_t a, std::int64_t b) {
  if (is_infinite_timestamp(a) || is_infinite_timestamp(b)) {
    return fail(ErrorCode::kDatetimeOutOfRange, "timestamp out of range");
  }
  const bool negative = a < b;
  if (negative) std::swap(a, b);
  const Broken x = break_down(a), y = break_down(b);
  std::int64_t us = (a - floor_div64(a, kUsPerDay) * kUsPerDay) - (b - floor_div64(b, kUsPerDay) * kUsPerDay);
  std::int64_t months = (x.year - y.year) * 12 + x.month - y.month;
  int days = x.day - y.day;
  if (us < 0) {
    us += kUsPerDay;
    --days;
  }
  if (days < 0) {
    // The month that is borrowed from is that of the earlier date, whichever argument it was.
    days += days_in_month(y.year, y.month);
    --months;
  }
  const Interval r{static_cast<std::int32_t>(months), days, us};
  return negative ? r.negated() : Result<Interval>(r);
}

Interval justify_hours(Interval i) {
  const std::int64_t whole = i.us / kUsPerDay;
  i.days += static_cast<std::int32_t>(whole);
  i.us -= whole * kUsPerDay;
  if (i.days > 0 && i.us < 0) {
    i.us += kUsPerDay;
    --i.days;
  } else if (i.days < 0 && i.us > 0) {
    i.us -= kUsPerDay;
    ++i.days;
  }
  return i;
}

Interval justify_days(Interval i) {
  const std::int32_t whole = i.days / 30;
  i.months += whole;
  i.days -= whole * 30;
  if (i.months > 0 && i.days < 0) {
    i.days += 30;
    --i.months;
  } else if (i.months < 0 && i.days > 0) {
    i.days -= 30;
    ++i.months;
  }
  return i;
}

Interval justify_interval(Interval i) {
  const std::int64_t whole = i.us / kUsPerDay;
  i.days += static_cast<std::int32_t>(whole);
  i.us -= whole * kUsPerDay;
  i.months += i.days / 30;
  i.days %= 30;
  if (i.months > 0 && (i.days < 0 || (i.days == 0 && i.us < 0)))
    i.days += 30, --i.months;
  else if (i.months < 0 && (i.days > 0 || (i.days == 0 && i.us > 0)))
    i.days -= 30, ++i.months;
  if (i.days > 0 && i.us < 0)
    i.us += kUsPerDay, --i.days;
  else if (i.days < 0 && i.us > 0)
    i.us -= kUsPerDay, ++i.days;
  return i;
}

}  // namespace bop
