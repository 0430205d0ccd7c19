#include "sql/types/interval.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <optional>
#include <vector>

#include "sql/types/bytes.hpp"
#include "sql/types/datetime.hpp"

namespace bop {
namespace {

constexpr std::int64_t kUsPerHour = 3600 * kUsPerSecond, kUsPerMinute = 60 * kUsPerSecond;

Error out_of_range() { return {ErrorCode::kDatetimeOutOfRange, "interval out of range"}; }

__int128 span(const Interval& i) {
  return static_cast<__int128>(i.months) * 30 * kUsPerDay + static_cast<__int128>(i.days) * kUsPerDay + i.us;
}

struct Unit {
  std::string_view name;
  std::int64_t months, days, us;
};
constexpr std::array kUnits{
    Unit{"microsecond", 0, 0, 1},
    Unit{"us", 0, 0, 1},
    Unit{"usec", 0, 0, 1},
    Unit{"microsec", 0, 0, 1},
    Unit{"millisecond", 0, 0, 1000},
    Unit{"ms", 0, 0, 1000},
    Unit{"msec", 0, 0, 1000},
    Unit{"millisec", 0, 0, 1000},
    Unit{"second", 0, 0, kUsPerSecond},
    Unit{"s", 0, 0, kUsPerSecond},
    Unit{"sec", 0, 0, kUsPerSecond},
    Unit{"minute", 0, 0, kUsPerMinute},
    Unit{"m", 0, 0, kUsPerMinute},
    Unit{"min", 0, 0, kUsPerMinute},
    Unit{"hour", 0, 0, kUsPerHour},
    Unit{"h", 0, 0, kUsPerHour},
    Unit{"hr", 0, 0, kUsPerHour},
    Unit{"day", 0, 1, 0},
    Unit{"d", 0, 1, 0},
    Unit{"week", 0, 7, 0},
    Unit{"w", 0, 7, 0},
    Unit{"month", 1, 0, 0},
    Unit{"mon", 1, 0, 0},
    Unit{"year", 12, 0, 0},
    Unit{"y", 12, 0, 0},
    Unit{"yr", 12, 0, 0},
    Unit{"decade", 120, 0, 0},
    Unit{"dec", 120, 0, 0},
    Unit{"century", 1200, 0, 0},
    Unit{"centurie", 1200, 0, 0},
    Unit{"c", 1200, 0, 0},
    Unit{"cent", 1200, 0, 0},
    Unit{"millennium", 12000, 0, 0},
    Unit{"millennia", 12000, 0, 0},
    Unit{"mil", 12000, 0, 0},
};

const Unit* find_unit(std::string_view word) {
  std::string w = lower_ascii(word);
  for (int pass = 0; pass < 2; ++pass) {
    for (const Unit& u : kUnits) {
      if (u.name == w) return &u;
    }
    if (w.size() < 2 || w.back() != 's') break;
    w.pop_back();
  }
  return nullptr;
}

// Sums in wide numbers; `result` checks that they fit.
struct Sum {
  double fraction_days = 0;
  __int128 months = 0, days = 0, us = 0;

  void add(const Unit& u, std::int64_t whole, double fraction) {
    months += static_cast<__int128>(u.months) * whole;
    days += static_cast<__int128>(u.days) * whole;
    us += static_cast<__int128>(u.us) * whole;
    if (fraction == 0) return;
    if (u.months >= 12) {
      months += static_cast<std::int64_t>(std::rint(fraction * static_cast<double>(u.months)));
    } else if (u.months == 1) {
      add_days(fraction * 30);
    } else if (u.days > 0) {
      add_days(fraction * static_cast<double>(u.days));
    } else {
      us += static_cast<std::int64_t>(std::rint(fraction * static_cast<double>(u.us)));
    }
  }
  void add_days(double d) {
    const double whole = std::trunc(d);
    days += static_cast<std::int64_t>(whole);
    us += static_cast<std::int64_t>(std::rint((d - whole) * static_cast<double>(kUsPerDay)));
  }
  void negate() { months = -months, days = -days, us = -us; }
  [[nodiscard]] std::optional<Interval> result() const {
    if (months < INT32_MIN || months > INT32_MAX || days < INT32_MIN || days > INT32_MAX || us < INT64_MIN ||
        us > INT64_MAX) {
      return std::nullopt;
    }
    return Interval{static_cast<std::int32_t>(months), static_cast<std::int32_t>(days),
                    static_cast<std::int64_t>(us)};
  }
};

class Parser {
 public:
  Parser(std::string_view text, int fields)
      : text_(text), s_(trim_space(text)), fields_(fields), bare_(find_unit(last_interval_unit(fields))) {}

  Result<Interval> parse() {
    if (s_.empty()) return syntax();
    if (s_[0] == 'P' || s_[0] == 'p') return iso();
    bool any = false, ago = false;
    while (at_ < s_.size()) {
      const char c = s_[at_];
      if (is_space(c) || c == '@' || c == ',') {
        ++at_;
        continue;
      }
      if (ago) return syntax();
      if (is_alpha(c)) {
        const std::string_view w = word();
        if (lower_ascii(w) != "ago" || !any) return syntax();
        ago = true;
        continue;
      }
      if (!value()) return fault_ ? std::unexpected(*fault_) : syntax();
      any = true;
    }
    if (!any) return syntax();
    if (ago) sum_.negate();
    return finish();
  }

 private:
  Result<Interval> syntax() const {
    return fail(ErrorCode::kInvalidDatetimeFormat, "invalid input syntax for type interval: \"{}\"", text_);
  }
  Result<Interval> finish() const {
    if (const auto r = sum_.result()) return *r;
    return fail(ErrorCode::kIntervalFieldOverflow, "interval field value out of range: \"{}\"", text_);
  }
  std::string_view word() {
    const std::size_t from = at_;
    while (at_ < s_.size() && is_alpha(s_[at_])) ++at_;
    return s_.substr(from, at_ - from);
  }
  bool number(std::int64_t& whole, double& fraction) {
    const std::size_t from = at_;
    while (at_ < s_.size() && is_digit(s_[at_])) ++at_;
    const std::string_view d = s_.substr(from, at_ - from);
    whole = 0;
    if (!d.empty() && std::from_chars(d.data(), d.data() + d.size(), whole).ec != std::errc()) {
      fault_ = error(ErrorCode::kIntervalFieldOverflow, "interval field value out of range: \"{}\"", text_);
      return false;
    }
    fraction = 0;
    bool point = false;
    if (at_ < s_.size() && s_[at_] == '.') {
      const std::size_t begin = at_++;
      while (at_ < s_.size() && is_digit(s_[at_])) ++at_;
      fraction = std::strtod(std::string(s_.substr(begin, at_ - begin)).c_str(), nullptr);
      point = at_ - begin > 1;
    }
    return !d.empty() || point;
  }
  // A signed number with a unit, a time h:m[:s], or years-months.
  bool value() {
    bool minus = false;
    if (s_[at_] == '+' || s_[at_] == '-') minus = s_[at_++] == '-';
    std::int64_t whole = 0;
    double fraction = 0;
    if (!number(whole, fraction)) return false;
    const std::int64_t sign = minus ? -1 : 1;
    if (at_ < s_.size() && s_[at_] == ':') return clock(whole, sign);
    if (at_ < s_.size() && s_[at_] == '-' && fraction == 0) {
      ++at_;
      std::int64_t months = 0;
      double none = 0;
      if (!number(months, none) || none != 0 || months >= 12) return false;
      sum_.months += sign * (static_cast<__int128>(whole) * 12 + months);
      return true;
    }
    std::size_t save = at_;
    while (at_ < s_.size() && is_space(s_[at_])) ++at_;
    if (at_ < s_.size() && is_alpha(s_[at_])) {
      const Unit* u = find_unit(word());
      if (u == nullptr || !once(*u)) return false;
      sum_.add(*u, sign * whole, static_cast<double>(sign) * fraction);
      return true;
    }
    at_ = save;
    // A number without unit before a time or bare hours counts days, otherwise the last field.
    std::size_t look = at_;
    while (look < s_.size() && is_space(s_[look])) ++look;
    if (look < s_.size() && look > at_) {
      std::size_t colon = look + (s_[look] == '-' || s_[look] == '+' ? 1 : 0);
      while (colon < s_.size() && is_digit(s_[colon])) ++colon;
      const bool before_hours = colon == s_.size() && bare_->us == kUsPerHour;
      if (before_hours || (colon < s_.size() && s_[colon] == ':')) {
        sum_.add(*find_unit("day"), sign * whole, static_cast<double>(sign) * fraction);
        return true;
      }
      return false;
    }
    sum_.add(*bare_, sign * whole, static_cast<double>(sign) * fraction);
    return at_ == s_.size();
  }
  // Every unit may be said once; h:m:s says three of them.
  bool once(const Unit& u) {
    for (const Unit* s : said_) {
      if (s->months == u.months && s->days == u.days && s->us == u.us) return false;
    }
    said_.push_back(&u);
    return true;
  }
  bool clock(std::int64_t hours, std::int64_t sign) {
    ++at_;
    if (!once(*find_unit("hour")) || !once(*find_unit("minute")) || !once(*find_unit("second"))) return false;
    std::int64_t minutes = 0, seconds = 0;
    double fraction = 0;
    if (!number(minutes, fraction)) return false;
    if (fraction != 0) {  // m:s.f
      seconds = minutes;
      minutes = hours;
      hours = 0;
    } else if (at_ < s_.size() && s_[at_] == ':') {
      ++at_;
      if (!number(seconds, fraction)) return false;
    } else if (fields_ == (interval_fields::kMinute | interval_fields::kSecond)) {
      seconds = minutes;
      minutes = hours;
      hours = 0;
    }
    if (minutes > 59 || seconds > 60) {
      fault_ = error(ErrorCode::kIntervalFieldOverflow, "interval field value out of range: \"{}\"", text_);
      return false;
    }
    const __int128 us = static_cast<__int128>(hours) * kUsPerHour + minutes * kUsPerMinute +
                        seconds * kUsPerSecond + static_cast<std::int64_t>(std::rint(fraction * 1e6));
    sum_.us += sign * us;
    return true;
  }
  Result<Interval> iso() {
    ++at_;
    bool time = false, any = false;
    while (at_ < s_.size()) {
      if (s_[at_] == 'T' || s_[at_] == 't') {
        time = true;
        ++at_;
        continue;
      }
      std::int64_t sign = 1;
      if (s_[at_] == '-' || s_[at_] == '+') sign = s_[at_++] == '-' ? -1 : 1;
      std::int64_t whole = 0;
      double fraction = 0;
      if (!number(whole, fraction)) return fault_ ? std::unexpected(*fault_) : syntax();
      if (at_ >= s_.size()) return syntax();
      const char unit = ascii_upper(s_[at_++]);
      const char* name = nullptr;
      if (unit == 'Y' && !time) name = "year";
      if (unit == 'M') name = time ? "minute" : "month";
      if (unit == 'W' && !time) name = "week";
      if (unit == 'D' && !time) name = "day";
      if (unit == 'H' && time) name = "hour";
      if (unit == 'S' && time) name = "second";
      if (name == nullptr) return syntax();
      sum_.add(*find_unit(name), sign * whole, static_cast<double>(sign) * fraction);
      any = true;
    }
    if (!any) return syntax();
    return finish();
  }

  std::string_view text_, s_;
  int fields_;
  const Unit* bare_;  // of a number without unit
  std::size_t at_ = 0;
  Sum sum_;
  std::vector<const Unit*> said_;
  std::optional<Error> fault_;
};

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

Result<Interval> parse_interval(std::string_view text, int fields) { return Parser(text, fields).parse(); }

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
