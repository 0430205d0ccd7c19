// to_char of dates, times and intervals, to_date and to_timestamp: patterns of fields ("YYYY-MM-DD
// HH24:MI:SS").
#include <array>
#include <cctype>
#include <cstdlib>

#include <fmt/format.h>

#include "sql/functions/datetime_fields.hpp"
#include "sql/functions/registry.hpp"
#include "sql/types/datetime.hpp"
#include "sql/types/interval.hpp"

namespace bop {
namespace {

constexpr std::array<std::string_view, 12> kMonths{"January",   "February", "March",    "April",
                                                   "May",       "June",     "July",     "August",
                                                   "September", "October",  "November", "December"};
constexpr std::array<std::string_view, 7> kDays{"Sunday",   "Monday", "Tuesday", "Wednesday",
                                                "Thursday", "Friday", "Saturday"};
constexpr std::array<std::string_view, 12> kRoman{"I",   "II",   "III", "IV", "V",  "VI",
                                                  "VII", "VIII", "IX",  "X",  "XI", "XII"};

// Longest first among those that share a beginning. Names of months and days and the marks of halves and eras
// take the case they are written in; all others are the same in either case.
constexpr std::array<std::string_view, 47> kFields{
    "SSSSS", "SSSS", "MONTH", "Y,YYY", "YYYY", "IYYY", "IDDD", "HH24", "HH12", "A.M.", "P.M.", "B.C.",
    "A.D.",  "DDD",  "DAY",   "IYY",   "YYY",  "MON",  "TZH",  "TZM",  "FF1",  "FF2",  "FF3",  "FF4",
    "FF5",   "FF6",  "DD",    "DY",    "ID",   "IW",   "IY",   "YY",   "HH",   "MI",   "MM",   "MS",
    "SS",    "US",   "WW",    "CC",    "AM",   "PM",   "BC",   "AD",   "RM",   "TZ",   "OF"};
constexpr std::string_view kSingleFields = "YIDWJQ";

struct Part {
  std::string field;    // in upper case; empty: `literal`
  std::string written;  // as the pattern has it
  std::string literal;
  bool fill = true;  // no FM
  int ordinal = 0;   // 1 TH, 2 th
};

bool equal_upper(std::string_view text, std::string_view upper) {
  if (text.size() < upper.size()) return false;
  for (std::size_t i = 0; i < upper.size(); ++i) {
    if (std::toupper(static_cast<unsigned char>(text[i])) != upper[i]) return false;
  }
  return true;
}

std::vector<Part> parts_of(std::string_view pattern) {
  std::vector<Part> out;
  bool fill = true;
  const auto literal = [&](char c) {
    if (out.empty() || !out.back().field.empty()) out.push_back({});
    out.back().literal += c;
  };
  while (!pattern.empty()) {
    if (equal_upper(pattern, "FM")) {
      fill = false;
      pattern.remove_prefix(2);
      continue;
    }
    if (equal_upper(pattern, "FX") || equal_upper(pattern, "TM")) {
      pattern.remove_prefix(2);
      continue;
    }
    if (pattern[0] == '"') {
      pattern.remove_prefix(1);
      while (!pattern.empty() && pattern[0] != '"') {
        if (pattern[0] == '\\' && pattern.size() > 1) pattern.remove_prefix(1);
        literal(pattern[0]);
        pattern.remove_prefix(1);
      }
      if (!pattern.empty()) pattern.remove_prefix(1);
      continue;
    }
    std::string_view field;
    for (const std::string_view f : kFields) {
      if (equal_upper(pattern, f)) {
        field = f;
        break;
      }
    }
    if (field.empty()) {
      const auto at =
          kSingleFields.find(static_cast<char>(std::toupper(static_cast<unsigned char>(pattern[0]))));
      if (at != kSingleFields.npos) field = kSingleFields.substr(at, 1);
    }
    if (field.empty()) {
      if (pattern[0] == '\\' && pattern.size() > 1 && pattern[1] == '"') pattern.remove_prefix(1);
      literal(pattern[0]);
      pattern.remove_prefix(1);
      continue;
    }
    Part part{
        .field = std::string(field), .written = std::string(pattern.substr(0, field.size())), .fill = fill};
    fill = true;
    pattern.remove_prefix(field.size());
    if (pattern.starts_with("TH")) part.ordinal = 1;
    if (pattern.starts_with("th")) part.ordinal = 2;
    if (part.ordinal != 0) pattern.remove_prefix(2);
    out.push_back(std::move(part));
  }
  return out;
}

std::string in_case_of(std::string_view written, std::string_view name) {
  std::string out(name);
  const bool upper = std::isupper(static_cast<unsigned char>(written[0])) != 0;
  const bool second_upper = written.size() > 1 && std::isupper(static_cast<unsigned char>(written[1])) != 0;
  for (std::size_t i = 0; i < out.size(); ++i) {
    const auto c = static_cast<unsigned char>(out[i]);
    const bool big = upper && (i == 0 || second_upper);
    out[i] = static_cast<char>(big ? std::toupper(c) : std::tolower(c));
  }
  return out;
}

struct Moment {
  Broken at{};
  std::int64_t date = 0;  // days since 2000-01-01
  bool interval = false;
  std::string_view zone = "";
  std::int32_t offset = 0;  // seconds east
  bool has_zone = false;
};

std::string padded(std::string_view text, std::size_t width, bool fill) {
  std::string out(text);
  if (fill && out.size() < width) out.append(width - out.size(), ' ');
  return out;
}

std::string_view ordinal_ending(std::int64_t n) {
  const std::int64_t last = std::abs(n) % 10;
  if (std::abs(n) % 100 / 10 == 1) return "th";
  return last == 1 ? "st" : last == 2 ? "nd" : last == 3 ? "rd" : "th";
}

Result<std::string> write(const Part& part, const Moment& m) {
  const std::string& f = part.field;
  const Broken& t = m.at;
  std::int64_t number = 0;
  int width = 0;
  const std::int64_t year = m.interval || t.year > 0 ? t.year : 1 - t.year;  // of its era
  const auto calendar_only = [&]() -> Status {
    if (!m.interval) return {};
    return std::unexpected(
        Error(ErrorCode::kInvalidDatetimeFormat, "invalid format specification for an interval value")
            .hint("Intervals are not tied to specific calendar dates."));
  };
  if (f == "HH24")
    number = t.hour, width = 2;
  else if (f == "HH12" || f == "HH")
    number = t.hour % 12 == 0 ? 12 : t.hour % 12, width = 2;
  else if (f == "MI")
    number = t.minute, width = 2;
  else if (f == "SS")
    number = t.second, width = 2;
  else if (f == "MS" || f == "FF3")
    number = t.microsecond / 1000, width = 3;
  else if (f == "US" || f == "FF6")
    number = t.microsecond, width = 6;
  else if (f.starts_with("FF")) {
    width = f[2] - '0';
    number = t.microsecond;
    for (int i = width; i < 6; ++i) number /= 10;
  } else if (f == "SSSS" || f == "SSSSS") {
    number = t.hour * 3600 + t.minute * 60 + t.second;
  } else if (f == "AM" || f == "PM") {
    return in_case_of(part.written, t.hour % 24 >= 12 ? "PM" : "AM");
  } else if (f == "A.M." || f == "P.M.") {
    return std::string(part.written[0] >= 'a' ? (t.hour % 24 >= 12 ? "p.m." : "a.m.")
                                              : (t.hour % 24 >= 12 ? "P.M." : "A.M."));
  } else if (f == "BC" || f == "AD" || f == "B.C." || f == "A.D.") {
    BOP_TRY(calendar_only());
    const bool dots = f.size() == 4, small = part.written[0] >= 'a';
    const std::string_view mark = t.year > 0 ? (dots ? "A.D." : "AD") : (dots ? "B.C." : "BC");
    return small ? in_case_of("a", mark) : std::string(mark);
  } else if (f == "MONTH" || f == "MON" || f == "RM") {
    if (m.interval && f != "RM") BOP_TRY(calendar_only());
    if (t.month == 0) return std::string();
    const auto month = static_cast<std::size_t>(t.month - 1);
    if (f == "RM") {
      return padded(part.written[0] >= 'a' ? in_case_of("r", kRoman[month]) : std::string(kRoman[month]), 4,
                    part.fill);
    }
    if (f == "MON") return in_case_of(part.written, kMonths[month].substr(0, 3));
    return padded(in_case_of(part.written, kMonths[month]), 9, part.fill);
  } else if (f == "DAY" || f == "DY") {
    BOP_TRY(calendar_only());
    const std::string_view day = kDays[static_cast<std::size_t>(t.weekday)];
    if (f == "DY") return in_case_of(part.written, day.substr(0, 3));
    return padded(in_case_of(part.written, day), 9, part.fill);
  } else if (f == "TZ") {
    BOP_TRY(calendar_only());
    return part.written[0] >= 'a' ? in_case_of("t", m.zone) : std::string(m.zone);
  } else if (f == "TZH") {
    BOP_TRY(calendar_only());
    return fmt::format("{}{:02}", m.offset >= 0 ? '+' : '-', std::abs(m.offset) / 3600);
  } else if (f == "TZM") {
    BOP_TRY(calendar_only());
    return fmt::format("{:02}", std::abs(m.offset) % 3600 / 60);
  } else if (f == "OF") {
    BOP_TRY(calendar_only());
    std::string out = fmt::format("{}{:02}", m.offset >= 0 ? '+' : '-', std::abs(m.offset) / 3600);
    if (std::abs(m.offset) % 3600 != 0) out += fmt::format(":{:02}", std::abs(m.offset) % 3600 / 60);
    return out;
  } else if (f == "YYYY" || f == "YYY" || f == "YY" || f == "Y") {
    constexpr std::int64_t kModulo[] = {10, 100, 1000};
    width = static_cast<int>(f.size());
    number = width == 4 ? year : year % kModulo[width - 1];
  } else if (f == "Y,YYY") {
    return fmt::format("{},{:03}", year / 1000, year % 1000);
  } else if (f == "MM") {
    number = t.month, width = 2;
  } else if (f == "DD") {
    number = t.day, width = 2;
  } else if (f == "Q") {
    if (t.month == 0) return std::string();
    number = (t.month - 1) / 3 + 1;
  } else if (f == "CC") {
    number = m.interval ? t.year / 100 : t.year > 0 ? (t.year - 1) / 100 + 1 : t.year / 100 - 1, width = 2;
  } else if (f == "DDD") {
    number = t.yearday, width = 3;
  } else if (f == "WW") {
    number = (t.yearday - 1) / 7 + 1, width = 2;
  } else if (f == "W") {
    number = (t.day - 1) / 7 + 1;
  } else {
    BOP_TRY(calendar_only());
    const IsoWeek week = iso_week(m.date);
    constexpr std::int64_t kModulo[] = {10, 100, 1000};
    const int iso_day = t.weekday == 0 ? 7 : t.weekday;
    if (f == "D")
      number = t.weekday + 1;
    else if (f == "ID")
      number = iso_day;
    else if (f == "IW")
      number = week.week, width = 2;
    else if (f == "IDDD")
      number = (week.week - 1) * 7 + iso_day, width = 3;
    else if (f == "J")
      number = m.date + 2451545;
    else
      width = static_cast<int>(f.size()), number = width == 4 ? week.year : week.year % kModulo[width - 1];
  }
  // A sign takes a place of its own in front of the digits.
  std::string out = !part.fill || width == 0 ? std::to_string(number)
                    : number < 0             ? fmt::format("-{:0{}}", -number, width)
                                             : fmt::format("{:0{}}", number, width);
  if (part.ordinal != 0) {
    const std::string_view ending = ordinal_ending(number);
    out += part.ordinal == 1 ? in_case_of("TH", ending) : std::string(ending);
  }
  return out;
}

Returned write_all(std::string_view pattern, const Moment& m) {
  std::string out;
  for (const Part& part : parts_of(pattern)) {
    if (part.field.empty()) {
      out += part.literal;
      continue;
    }
    BOP_LET(text, write(part, m));
    out += text;
  }
  return text_result(std::move(out));
}

Returned timestamp_to_char(Call& c, bool zoned) {
  const std::int64_t t = c.integer(0);
  if (c.text(1).empty() || is_infinite_timestamp(t)) return OwnedValue::null();
  Moment m{.has_zone = zoned};
  const std::int64_t local = zoned ? to_local(t, c.codec(), &m.zone, &m.offset) : t;
  m.at = break_down(local);
  m.date = floor_div64(local, kUsPerDay);
  return write_all(c.text(1), m);
}

Returned interval_to_char(Call& c) {
  if (c.text(1).empty()) return OwnedValue::null();
  const Interval i = Interval::of_stored(c.text(0));
  Moment m{.interval = true};
  m.at.year = i.months / 12;
  m.at.month = i.months % 12;
  m.at.day = i.days;
  m.at.hour = static_cast<int>(i.us / (3600 * kUsPerSecond));
  m.at.minute = static_cast<int>(i.us / (60 * kUsPerSecond) % 60);
  m.at.second = static_cast<int>(i.us / kUsPerSecond % 60);
  m.at.microsecond = static_cast<int>(i.us % kUsPerSecond);
  m.at.yearday = static_cast<int>(i.months * 30 + i.days);
  return write_all(c.text(1), m);
}

struct Read {
  std::int64_t year = 1, yearday = 0, julian = 0;
  int month = 1, day = 1, hour = 0, minute = 0, second = 0, microsecond = 0, half = -1;
  bool bc = false, twelve = false, has_julian = false;
};

bool is_name(std::string_view f) {
  return f == "MONTH" || f == "MON" || f == "DAY" || f == "DY" || f == "RM";
}
bool is_mark(std::string_view f) {
  return f == "AM" || f == "PM" || f == "A.M." || f == "P.M." || f == "BC" || f == "AD" || f == "B.C." ||
         f == "A.D.";
}

Error invalid_value(std::string_view text, std::string_view field) {
  return Error(ErrorCode::kInvalidDatetimeFormat,
               fmt::format("invalid value \"{}\" for \"{}\"", text, field));
}

Status read_number(const Part& part, bool bounded, std::string_view& in, Read& r) {
  const std::string& f = part.field;
  std::size_t width = f == "YYYY" || f == "SSSS"                            ? 4
                      : f == "SSSSS" || f == "J"                            ? 7
                      : f == "MS" || f == "FF3" || f == "DDD" || f == "YYY" ? 3
                      : f == "US" || f == "FF6"                             ? 6
                      : f.starts_with("FF") ? static_cast<std::size_t>(f[2] - '0')
                      : f.size() == 1       ? 1
                                            : 2;
  const bool fraction = f == "MS" || f == "US" || f.starts_with("FF");
  std::size_t end = 0;
  const bool negative = !in.empty() && (in[0] == '-' || in[0] == '+') && !bounded;
  if (negative) end = 1;
  while (end < in.size() && std::isdigit(static_cast<unsigned char>(in[end])) != 0 &&
         (!bounded || end < width) && end < 10)
    ++end;
  if (end == (negative ? 1U : 0U)) {
    return std::unexpected(
        invalid_value(in.substr(0, width), part.written).detail("Value must be an integer."));
  }
  if (bounded && end < width && !fraction && end < in.size() && in.size() < width) {
    return std::unexpected(
        invalid_value(in, part.written)
            .detail(fmt::format("Field requires {} characters, but only {} remain.", width, in.size())));
  }
  std::int64_t n = std::strtoll(std::string(in.substr(0, end)).c_str(), nullptr, 10);
  const std::size_t digits = end;
  in.remove_prefix(end);
  if (part.ordinal != 0 && in.size() >= 2) in.remove_prefix(2);
  if (f == "YYYY")
    r.year = n;
  else if (f == "YYY")
    r.year = digits < 4 ? (n < 520 ? n + 2000 : n < 1000 ? n + 1000 : n) : n;
  else if (f == "YY" || f == "Y")
    r.year = digits < 3 ? (n < 70 ? n + 2000 : n + 1900) : n;
  else if (f == "MM")
    r.month = static_cast<int>(n);
  else if (f == "DD")
    r.day = static_cast<int>(n);
  else if (f == "DDD")
    r.yearday = n;
  else if (f == "HH24")
    r.hour = static_cast<int>(n);
  else if (f == "HH12" || f == "HH")
    r.hour = static_cast<int>(n), r.twelve = true;
  else if (f == "MI")
    r.minute = static_cast<int>(n);
  else if (f == "SS")
    r.second = static_cast<int>(n);
  else if (f == "J")
    r.julian = n, r.has_julian = true;
  else if (f.starts_with("SSSS")) {
    r.hour = static_cast<int>(n / 3600);
    r.minute = static_cast<int>(n / 60 % 60);
    r.second = static_cast<int>(n % 60);
  } else if (fraction) {
    for (std::size_t i = digits; i < 6; ++i) n *= 10;
    for (std::size_t i = digits; i > 6; --i) n /= 10;
    r.microsecond = static_cast<int>(n);
  } else if (f == "D" || f == "ID" || f == "Q" || f == "WW" || f == "W") {
    // Read and not used, unless a week would name the day.
    if (f == "WW") r.yearday = (n - 1) * 7 + 1;
    if (f == "W") r.day = static_cast<int>((n - 1) * 7 + 1);
  } else {
    return fail(ErrorCode::kNotImplemented, "reading the field \"{}\" is not implemented", part.written);
  }
  return {};
}

Status read_name(const Part& part, std::string_view& in, Read& r) {
  const std::string& f = part.field;
  const auto match = [&](auto names, std::size_t length) -> int {
    int best = -1;
    std::size_t best_size = 0;
    for (std::size_t i = 0; i < names.size(); ++i) {
      const std::string upper = in_case_of("XX", length == 0 ? names[i] : names[i].substr(0, length));
      if (equal_upper(in, upper) && upper.size() > best_size)
        best = static_cast<int>(i), best_size = upper.size();
    }
    in.remove_prefix(best_size);
    return best;
  };
  const int found = f == "MONTH" ? match(kMonths, 0)
                    : f == "MON" ? match(kMonths, 3)
                    : f == "RM"  ? match(kRoman, 0)
                    : f == "DAY" ? match(kDays, 0)
                                 : match(kDays, 3);
  if (found < 0) {
    const std::size_t end = std::min(in.find(' '), in.size());
    return std::unexpected(
        invalid_value(in.substr(0, f == "MON" || f == "DY" ? std::min<std::size_t>(3, end) : end),
                      part.written)
            .detail("The given value did not match any of the allowed values for this field."));
  }
  if (f == "MONTH" || f == "MON" || f == "RM") r.month = found + 1;
  return {};
}

Result<Read> read_all(std::string_view in, std::string_view pattern) {
  Read r;
  const std::vector<Part> parts = parts_of(pattern);
  const auto skip_spaces = [&] {
    while (!in.empty() && in[0] == ' ') in.remove_prefix(1);
  };
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const Part& part = parts[i];
    if (part.field.empty()) {
      for (const char c : part.literal) {
        if (in.empty()) break;
        if (std::isalnum(static_cast<unsigned char>(c)) != 0) {
          in.remove_prefix(1);
          continue;
        }
        // A separator stands for any separator, and for none.
        skip_spaces();
        if (c != ' ' && !in.empty() && std::ispunct(static_cast<unsigned char>(in[0])) != 0)
          in.remove_prefix(1);
        else if (c == ' ' && in.size() > 1 && std::ispunct(static_cast<unsigned char>(in[0])) != 0 &&
                 in[0] != '-' && in[0] != '+')
          in.remove_prefix(1);
      }
      continue;
    }
    skip_spaces();
    if (in.empty()) break;
    if (is_name(part.field)) {
      BOP_TRY(read_name(part, in, r));
    } else if (is_mark(part.field)) {
      const bool dots = part.field.size() == 4;
      const auto mark = [&](std::string_view text) {
        if (!equal_upper(in, text)) return false;
        in.remove_prefix(text.size());
        return true;
      };
      const bool half = part.field[0] == 'P' || part.field == "AM" || part.field == "A.M.";
      if (half && mark(dots ? "A.M." : "AM"))
        r.half = 0, r.twelve = true;
      else if (half && mark(dots ? "P.M." : "PM"))
        r.half = 1, r.twelve = true;
      else if (!half && mark(dots ? "B.C." : "BC"))
        r.bc = true;
      else if (half || !mark(dots ? "A.D." : "AD")) {
        return std::unexpected(
            invalid_value(in.substr(0, part.field.size()), part.written)
                .detail("The given value did not match any of the allowed values for this field."));
      }
    } else if (part.field == "TZ" || part.field == "OF") {
      return fail(ErrorCode::kNotImplemented, "formatting field \"{}\" is only supported in to_char",
                  part.field);
    } else {
      const bool followed =
          i + 1 < parts.size() && (!parts[i + 1].field.empty() ||
                                   std::isdigit(static_cast<unsigned char>(parts[i + 1].literal[0])) != 0);
      BOP_TRY(read_number(
          part, followed && part.fill && !is_name(parts[i + 1].field) && !is_mark(parts[i + 1].field), in,
          r));
    }
  }
  return r;
}

Result<std::int64_t> timestamp_of(std::string_view text, Read r) {
  const auto out_of_range = [&] {
    return Error(ErrorCode::kDatetimeOutOfRange,
                 fmt::format("date/time field value out of range: \"{}\"", text));
  };
  if (r.twelve) {
    if (r.hour < 1 || r.hour > 12) {
      return std::unexpected(Error(ErrorCode::kInvalidDatetimeFormat,
                                   fmt::format("hour \"{}\" is invalid for the 12-hour clock", r.hour))
                                 .hint("Use the 24-hour clock, or give an hour between 1 and 12."));
    }
    if (r.half == 1 && r.hour < 12) r.hour += 12;
    if (r.half == 0 && r.hour == 12) r.hour = 0;
  }
  if (r.bc)
    r.year = 1 - r.year;
  else if (r.year < 0)
    r.year += 1;
  std::int64_t date = 0;
  if (r.has_julian) {
    date = r.julian - 2451545;
  } else {
    if (r.month < 1 || r.month > 12 || r.day < 1 || r.day > days_in_month(r.year, r.month))
      return std::unexpected(out_of_range());
    if (r.yearday < 0 || r.yearday > (is_leap_year(r.year) ? 366 : 365))
      return std::unexpected(out_of_range());
    date = r.yearday > 0 ? date_of(r.year, 1, 1) + r.yearday - 1 : date_of(r.year, r.month, r.day);
  }
  if (r.hour < 0 || r.hour > 24 || r.minute < 0 || r.minute > 59 || r.second < 0 || r.second > 59 ||
      (r.hour == 24 && (r.minute > 0 || r.second > 0 || r.microsecond > 0))) {
    return std::unexpected(out_of_range());
  }
  if (date < kMinDate || date > kEndTimestamp / kUsPerDay - 1) return std::unexpected(out_of_range());
  return date * kUsPerDay + ((r.hour * 60LL + r.minute) * 60 + r.second) * kUsPerSecond + r.microsecond;
}

// Two periods share a point; either end of a period may come first, and NULL leaves it to the others.
}  // namespace

void add_datetime_formats(Implementations& all) {
  all.push_back(scalar("timestamp_to_char", [](Call& c) { return timestamp_to_char(c, false); }));
  all.push_back(scalar("timestamptz_to_char", [](Call& c) { return timestamp_to_char(c, true); }));
  all.push_back(scalar("interval_to_char", interval_to_char));
  all.push_back(scalar("to_timestamp", [](Call& c) -> Returned {
    BOP_LET(r, read_all(c.text(0), c.text(1)));
    BOP_LET(t, timestamp_of(c.text(0), r));
    return int_result(from_local(t, c.codec()));
  }));
  all.push_back(scalar("to_date", [](Call& c) -> Returned {
    BOP_LET(r, read_all(c.text(0), c.text(1)));
    BOP_LET(t, timestamp_of(c.text(0), r));
    return int_result(floor_div64(t, kUsPerDay));
  }));
  all.push_back(scalar("float8_timestamptz", [](Call& c) -> Returned {
    const double seconds = c[0].kind == Value::Kind::kInt ? static_cast<double>(c.integer(0)) : c[0].real;
    if (seconds != seconds) return fail(ErrorCode::kDatetimeOutOfRange, "timestamp cannot be NaN");
    if (seconds > 1e300) return int_result(kTimestampInfinity);
    if (seconds < -1e300) return int_result(kTimestampMinusInfinity);
    const double since = (seconds - 946684800.0) * 1e6;
    if (!(since > -2.2e17 && since < 9.2233713312e18)) {
      return fail(ErrorCode::kDatetimeOutOfRange, "timestamp out of range: \"{}\"", seconds);
    }
    return int_result(static_cast<std::int64_t>(__builtin_nearbyint(since)));
  }));
}

}  // namespace bop
