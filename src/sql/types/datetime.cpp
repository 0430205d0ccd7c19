#include "sql/types/datetime.hpp"

#include <array>
#include <charconv>
#include <cstdlib>

#include "sql/types/bytes.hpp"
#include "sql/types/timezone.hpp"

namespace bop {
namespace {

constexpr std::array<std::string_view, 12> kMonths{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
constexpr std::array<std::string_view, 7> kDays{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};

const TimeZone& zone_of(const CodecContext& context) {
  return context.zone != nullptr ? *context.zone : *TimeZone::utc();
}

std::int64_t unix_seconds(std::int64_t timestamp) {
  return floor_div64(timestamp, kUsPerSecond) + kPgEpochDays * 86400;
}

void put2(std::string& out, std::int64_t v) {
  if (v > 99) {
    fmt::format_to(std::back_inserter(out), "{}", v);
    return;
  }
  out += static_cast<char>('0' + v / 10);
  out += static_cast<char>('0' + v % 10);
}

void put_year(std::string& out, std::int64_t year) {
  fmt::format_to(std::back_inserter(out), "{:04}", year > 0 ? year : 1 - year);
}

void put_fraction(std::string& out, std::int64_t us) {
  if (us == 0) return;
  char digits[6];
  for (int i = 5; i >= 0; --i, us /= 10) digits[i] = static_cast<char>('0' + us % 10);
  std::size_t n = 6;
  while (digits[n - 1] == '0') --n;
  out += '.';
  out.append(digits, n);
}

void put_clock(std::string& out, std::int64_t us) {
  put2(out, us / (3600 * kUsPerSecond));
  out += ':';
  put2(out, us / (60 * kUsPerSecond) % 60);
  out += ':';
  put2(out, us / kUsPerSecond % 60);
  put_fraction(out, us % kUsPerSecond);
}

void put_date(std::string& out, const Broken& b, const CodecContext& context) {
  const bool day_first = context.date_order == DateOrder::kDmy;
  switch (context.date_style) {
    case DateStyle::kIso:
      put_year(out, b.year);
      out += '-';
      put2(out, b.month);
      out += '-';
      put2(out, b.day);
      return;
    case DateStyle::kGerman:
      put2(out, b.day);
      out += '.';
      put2(out, b.month);
      out += '.';
      break;
    case DateStyle::kSql:
    case DateStyle::kPostgres: {
      const char separator = context.date_style == DateStyle::kSql ? '/' : '-';
      put2(out, day_first ? b.day : b.month);
      out += separator;
      put2(out, day_first ? b.month : b.day);
      out += separator;
      break;
    }
  }
  put_year(out, b.year);
}

// `zone` is empty for timestamp without time zone.
void put_timestamp(std::string& out, std::int64_t t, const CodecContext& context, std::string_view zone,
                   std::int32_t offset, bool with_zone) {
  const Broken b = break_down(t);
  const std::int64_t us = t - floor_div64(t, kUsPerDay) * kUsPerDay;
  if (context.date_style == DateStyle::kPostgres) {
    const bool day_first = context.date_order == DateOrder::kDmy;
    out += kDays[static_cast<std::size_t>(b.weekday)];
    out += ' ';
    const std::string_view month = kMonths[static_cast<std::size_t>(b.month - 1)];
    if (day_first)
      put2(out, b.day), out += ' ', out += month;
    else
      out += month, out += ' ', put2(out, b.day);
    out += ' ';
    put_clock(out, us);
    out += ' ';
    put_year(out, b.year);
  } else {
    put_date(out, b, context);
    out += ' ';
    put_clock(out, us);
  }
  if (with_zone) {
    if (context.date_style == DateStyle::kIso) {
      append_zone_offset(offset, out);
    } else {
      out += ' ';
      out += zone;
    }
  }
  if (b.year <= 0) out += " BC";
}

}  // namespace

Error timestamp_out_of_range() { return {ErrorCode::kDatetimeOutOfRange, "timestamp out of range"}; }

std::string TimeTz::stored() const { return fmt::format("{} {}", us, west); }

TimeTz TimeTz::of_stored(std::string_view text) {
  TimeTz t{0, 0};
  const auto space = std::min(text.find(' '), text.size());
  std::from_chars(text.data(), text.data() + space, t.us);
  if (space < text.size()) std::from_chars(text.data() + space + 1, text.data() + text.size(), t.west);
  return t;
}

Broken break_down_date(std::int64_t date) {
  const Civil c = civil_from_days(date + kPgEpochDays);
  const auto weekday = static_cast<int>(((date + 6) % 7 + 7) % 7);
  const auto yearday = static_cast<int>(date + kPgEpochDays - days_from_civil(c.year, 1, 1)) + 1;
  return {c.year, c.month, c.day, 0, 0, 0, 0, weekday, yearday};
}

Broken break_down(std::int64_t timestamp) {
  const std::int64_t date = floor_div64(timestamp, kUsPerDay);
  const std::int64_t us = timestamp - date * kUsPerDay;
  Broken b = break_down_date(date);
  b.hour = static_cast<int>(us / (3600 * kUsPerSecond));
  b.minute = static_cast<int>(us / (60 * kUsPerSecond) % 60);
  b.second = static_cast<int>(us / kUsPerSecond % 60);
  b.microsecond = static_cast<int>(us % kUsPerSecond);
  return b;
}

std::int64_t date_of(std::int64_t year, int month, int day) {
  return days_from_civil(year, month, day) - kPgEpochDays;
}

std::int64_t to_local(std::int64_t t, const TimeZone& zone) {
  if (is_infinite_timestamp(t)) return t;
  return t + zone.at(unix_seconds(t)).offset_seconds * kUsPerSecond;
}

std::int64_t to_local(std::int64_t t, const CodecContext& context, std::string_view* name,
                      std::int32_t* offset) {
  if (is_infinite_timestamp(t)) return t;
  const TimeZone::Local local = zone_of(context).at(unix_seconds(t));
  if (name != nullptr) *name = local.abbreviation;
  if (offset != nullptr) *offset = local.offset_seconds;
  return t + local.offset_seconds * kUsPerSecond;
}

std::int64_t from_local(std::int64_t t, const TimeZone& zone) {
  if (is_infinite_timestamp(t)) return t;
  return t - zone.offset_of_local(unix_seconds(t)) * kUsPerSecond;
}

std::int64_t from_local(std::int64_t t, const CodecContext& context) {
  return context.zone == nullptr ? t : from_local(t, *context.zone);
}

std::int64_t ZoneChoice::local(std::int64_t instant_time) const {
  if (is_infinite_timestamp(instant_time)) return instant_time;
  return zone != nullptr ? to_local(instant_time, *zone) : instant_time + offset * kUsPerSecond;
}

std::int64_t ZoneChoice::instant(std::int64_t local_time) const {
  if (is_infinite_timestamp(local_time)) return local_time;
  return zone != nullptr ? from_local(local_time, *zone) : local_time - offset * kUsPerSecond;
}

Result<ZoneChoice> choose_zone(std::string_view name) {
  ZoneChoice choice;
  if (TimeZone::find_abbreviation(name, choice.offset)) return choice;
  if (!name.empty() && (is_digit(name[0]) || name[0] == '+' || name[0] == '-')) {
    // A bare number is a POSIX rule without a name: positive is west.
    const std::string_view digits = is_digit(name[0]) ? name : name.substr(1);
    int hours = 0, minutes = 0;
    const auto [end, failed] = std::from_chars(digits.data(), digits.data() + digits.size(), hours);
    const char* last = digits.data() + digits.size();
    bool good = failed == std::errc() && hours < 168;
    if (good && end != last) good = *end == ':' && std::from_chars(end + 1, last, minutes).ptr == last;
    if (good) {
      choice.offset = (name[0] == '-' ? 1 : -1) * (hours * 3600 + minutes * 60);
      return choice;
    }
  } else if ((choice.zone = TimeZone::find(name)) != nullptr) {
    return choice;
  }
  return fail(ErrorCode::kInvalidArgument, "time zone \"{}\" not recognized", name);
}

void append_zone_offset(std::int32_t east, std::string& out) {
  out += east < 0 ? '-' : '+';
  const int a = std::abs(east);
  put2(out, a / 3600);
  if (a % 3600 != 0) {
    out += ':';
    put2(out, a / 60 % 60);
    if (a % 60 != 0) {
      out += ':';
      put2(out, a % 60);
    }
  }
}

void append_date(std::int64_t date, const CodecContext& context, std::string& out) {
  if (date == kDateInfinity)
    out += "infinity";
  else if (date == kDateMinusInfinity)
    out += "-infinity";
  else {
    const Broken b = break_down_date(date);
    put_date(out, b, context);
    if (b.year <= 0) out += " BC";
  }
}

void append_time(std::int64_t us, std::string& out) { put_clock(out, us); }

void append_timetz(TimeTz t, std::string& out) {
  put_clock(out, t.us);
  append_zone_offset(-t.west, out);
}

void append_timestamp(std::int64_t t, const CodecContext& context, std::string& out) {
  if (t == kTimestampInfinity)
    out += "infinity";
  else if (t == kTimestampMinusInfinity)
    out += "-infinity";
  else
    put_timestamp(out, t, context, "", 0, false);
}

void append_timestamptz(std::int64_t t, const CodecContext& context, std::string& out) {
  if (is_infinite_timestamp(t)) return append_timestamp(t, context, out);
  std::string_view zone;
  std::int32_t offset = 0;
  const std::int64_t local = to_local(t, context, &zone, &offset);
  put_timestamp(out, local, context, zone, offset, true);
}

std::int64_t round_fraction(std::int64_t us, int digits) {
  constexpr std::int64_t kUnits[] = {1'000'000, 100'000, 10'000, 1'000, 100, 10, 1};
  if (digits < 0 || digits >= 6) return us;
  const std::int64_t unit = kUnits[digits];
  return us >= 0 ? (us + unit / 2) / unit * unit : -((-us + unit / 2) / unit * unit);
}

}  // namespace bop
