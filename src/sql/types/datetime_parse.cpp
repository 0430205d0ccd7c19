// Input of dates and times: words are cut as PostgreSQL's documentation describes ("Date/Time Input
// Interpretation"), then each is a time, a date with separators, a number, a name or a zone.
#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <vector>

#include "sql/types/bytes.hpp"
#include "sql/types/datetime.hpp"
#include "sql/types/timezone.hpp"

namespace bop {
namespace {

enum class Fault : std::uint8_t { kSyntax, kRange, kRangeHint, kZoneRange, kUnknownZone };
enum class Special : std::uint8_t { kNone, kNow, kInfinity, kMinusInfinity, kEpoch };

constexpr std::array<std::string_view, 12> kMonths{"january",   "february", "march",    "april",
                                                   "may",       "june",     "july",     "august",
                                                   "september", "october",  "november", "december"};
constexpr std::array<std::string_view, 7> kDays{"sunday",   "monday", "tuesday", "wednesday",
                                                "thursday", "friday", "saturday"};

std::optional<int> month_of(std::string_view word) {
  for (std::size_t i = 0; i < kMonths.size(); ++i) {
    if (word == kMonths[i] || word == kMonths[i].substr(0, 3) || (i == 8 && word == "sept"))
      return static_cast<int>(i) + 1;
  }
  return std::nullopt;
}

bool is_weekday(std::string_view word) {
  for (const std::string_view d : kDays) {
    if (word == d || word == d.substr(0, 3)) return true;
  }
  return word == "tues" || word == "wednes" || word == "weds" || word == "thur" || word == "thurs";
}

class Parser {
 public:
  Parser(std::string_view text, const CodecContext& context, bool wants_time = false)
      : s_(text), context_(context), wants_time_(wants_time) {}

  Special special = Special::kNone;
  std::optional<std::int64_t> year;
  std::optional<int> month, day;
  std::optional<std::int64_t> julian;  // a date given as a whole: today, Julian day
  bool has_time = false;
  std::int64_t time_us = 0;
  std::optional<std::int32_t> offset;  // seconds east
  const TimeZone* zone = nullptr;
  Fault fault = Fault::kSyntax;
  std::string bad_zone;

  [[nodiscard]] bool has_date() const { return year || month || day || julian; }
  [[nodiscard]] bool has_zone() const { return offset || zone != nullptr; }

  bool parse() {
    while (at_ < s_.size()) {
      const char c = s_[at_];
      bool ok = true;
      if (is_space(c) || c == ',') {
        ++at_;
      } else if (is_digit(c) || (c == '.' && at_ + 1 < s_.size() && is_digit(s_[at_ + 1]))) {
        ok = digits();
      } else if (is_alpha(c)) {
        ok = word();
      } else if (c == '+' || c == '-') {
        ok = sign();
      } else if (std::string_view("/-.@_'\"()[]:;").find(c) != std::string_view::npos && c != ':') {
        ++at_;
      } else {
        ok = false;
      }
      if (!ok) return false;
    }
    return finish();
  }

  [[nodiscard]] std::int64_t date() const {
    if (julian) return *julian;
    return date_of(*year, *month, *day);
  }

 private:
  bool fail_with(Fault f) {
    fault = f;
    return false;
  }
  [[nodiscard]] char peek(std::size_t ahead = 0) const {
    return at_ + ahead < s_.size() ? s_[at_ + ahead] : '\0';
  }
  std::string_view take_while(auto&& wanted) {
    const std::size_t from = at_;
    while (at_ < s_.size() && wanted(s_[at_])) ++at_;
    return s_.substr(from, at_ - from);
  }

  bool digits() {
    const std::size_t from = at_;
    const std::string_view number = take_while(is_digit);
    if (peek() == ':') {
      at_ = from;
      return clock();
    }
    if (peek() == '-' || peek() == '/' || (peek() == '.' && !has_full_date())) {
      const char separator = peek();
      // A date with separators when something that can belong to it follows.
      if (is_digit(peek(1)) || is_alpha(peek(1))) {
        std::size_t look = at_ + 1;
        while (look < s_.size() && (is_digit(s_[look]) || is_alpha(s_[look]))) ++look;
        const bool second = look < s_.size() && s_[look] == separator;
        if (second || separator != '.') {
          at_ = from;
          return separated_date(separator);
        }
        if (separator == '.' && number.size() <= 4 && !has_date()) {  // yyyy.ddd
          ++at_;
          const std::string_view rest = take_while(is_digit);
          if (rest.size() != 3 || number.size() != 4) return false;
          julian = date_of(number_of(number), 1, 1) + number_of(rest) - 1;
          return true;
        }
      }
    }
    std::string_view fraction;
    if (peek() == '.') {
      ++at_;
      const std::size_t begin = at_ - 1;
      (void)take_while(is_digit);
      fraction = s_.substr(begin, at_ - begin);
    }
    return plain_number(number, fraction);
  }

  static std::int64_t number_of(std::string_view d) {
    std::int64_t v = 0;
    for (const char c : d) v = std::min<std::int64_t>(v * 10 + (c - '0'), 100'000'000'000);
    return v;
  }
  static std::int64_t micros_of(std::string_view fraction) {  // ".123"
    if (fraction.size() < 2) return 0;
    return static_cast<std::int64_t>(std::rint(std::strtod(std::string(fraction).c_str(), nullptr) * 1e6));
  }
  [[nodiscard]] bool has_full_date() const { return julian || (year && month && day); }

  bool clock() {
    if (has_time) return false;
    const std::int64_t hour = number_of(take_while(is_digit));
    ++at_;
    if (!is_digit(peek())) return false;
    const std::string_view minutes = take_while(is_digit);
    std::int64_t second = 0, micros = 0, minute = number_of(minutes), h = hour;
    if (peek() == ':') {
      ++at_;
      if (!is_digit(peek())) return false;
      second = number_of(take_while(is_digit));
      if (peek() == '.') {
        const std::size_t from = at_++;
        (void)take_while(is_digit);
        micros = micros_of(s_.substr(from, at_ - from));
      }
    } else if (peek() == '.') {  // mm:ss.fff
      const std::size_t from = at_++;
      (void)take_while(is_digit);
      micros = micros_of(s_.substr(from, at_ - from));
      second = minute;
      minute = h;
      h = 0;
    }
    return set_time(h, minute, second, micros);
  }

  bool set_time(std::int64_t h, std::int64_t m, std::int64_t s, std::int64_t us) {
    has_time = true;
    hour_ = h;
    if (h > 24 || m > 59 || s > 60 || (h == 24 && (m > 0 || s > 0 || us > 0)))
      return fail_with(Fault::kRange);
    time_us = ((h * 60 + m) * 60 + s) * kUsPerSecond + us;
    return true;
  }

  bool separated_date(char separator) {
    std::vector<std::string_view> parts;
    while (parts.size() < 3) {
      const std::string_view part = is_digit(peek()) ? take_while(is_digit) : take_while(is_alpha);
      if (part.empty()) return false;
      parts.push_back(part);
      if (peek() != separator || parts.size() == 3) break;
      ++at_;
    }
    if (has_date() || parts.size() < 2) return false;
    for (const std::string_view part : parts) {
      if (!is_alpha(part[0])) continue;
      const auto m = month_of(lower_ascii(part));
      if (!m || month) return false;
      month = *m;
      text_month_ = true;
    }
    for (const std::string_view part : parts) {
      if (!is_alpha(part[0]) && !date_number(part)) return false;
    }
    return true;
  }

  bool set_year(std::string_view d) {
    year = number_of(d);
    two_digit_year_ = d.size() <= 2;
    return true;
  }

  // One number of a date by what is known already and the session's order.
  bool date_number(std::string_view d) {
    const int v = static_cast<int>(std::min<std::int64_t>(number_of(d), 1'000'000'000));
    if (d.size() == 3 && year && !month && !day && !text_month_) {
      julian = date_of(*year, 1, 1) + v - 1;
      return true;
    }
    if (year && month && day) return false;
    if (!year && !month && !day) {
      if (d.size() >= 3 || context_.date_order == DateOrder::kYmd) return set_year(d);
      (context_.date_order == DateOrder::kDmy ? day : month) = v;
      return true;
    }
    if (year && month) {
      if (text_month_ && two_digit_year_ && d.size() >= 3 && !day) {  // 01-Jan-2024: the first was the day
        day = static_cast<int>(*year);
        return set_year(d);
      }
      day = v;
      return true;
    }
    if (year && !day) {
      month = v;
      return true;
    }
    if (year) {
      month = v;
      return true;
    }
    if (month && day) return set_year(d);
    if (month) {
      if (text_month_ && (d.size() >= 3 || context_.date_order == DateOrder::kYmd)) return set_year(d);
      day = v;
      return true;
    }
    month = v;
    return true;
  }

  bool plain_number(std::string_view d, std::string_view fraction) {
    if (time_prefix_ || (has_full_date() && !has_time && (d.size() == 6 || d.size() == 4))) {
      time_prefix_ = false;
      if (d.size() != 6 && d.size() != 4 && d.size() != 2) return false;
      return set_time(number_of(d.substr(0, 2)), d.size() >= 4 ? number_of(d.substr(2, 2)) : 0,
                      d.size() == 6 ? number_of(d.substr(4, 2)) : 0, micros_of(fraction));
    }
    if (wants_time_ && !has_date() && !has_time && (d.size() == 6 || d.size() == 4)) {
      return set_time(number_of(d.substr(0, 2)), number_of(d.substr(2, 2)),
                      d.size() == 6 ? number_of(d.substr(4, 2)) : 0, micros_of(fraction));
    }
    if (!fraction.empty()) return false;
    if (!has_date() && (d.size() == 8 || d.size() == 6)) {
      const std::size_t y = d.size() - 4;
      set_year(d.substr(0, y));
      month = static_cast<int>(number_of(d.substr(y, 2)));
      day = static_cast<int>(number_of(d.substr(y + 2, 2)));
      return true;
    }
    return date_number(d);
  }

  bool word() {
    const std::size_t from = at_;
    std::string w = lower_ascii(take_while(is_alpha));
    if (w == "j" && is_digit(peek())) {
      julian = number_of(take_while(is_digit)) - 2451545;
      return true;
    }
    if (w == "t" && is_digit(peek())) {
      if (!has_date()) return false;
      time_prefix_ = true;
      std::size_t look = at_;
      while (look < s_.size() && is_digit(s_[look])) ++look;
      if (look < s_.size() && s_[look] == ':') time_prefix_ = false;
      return true;
    }
    if (const auto m = month_of(w)) {
      if (peek() == '-' || peek() == '/') {
        if (is_digit(peek(1))) {
          at_ = from;
          return separated_date(s_[from + w.size()]);
        }
      }
      if (month) {  // "15 Jan" after a number that was taken for the month
        if (text_month_ || day) return false;
        day = month;
      }
      month = *m;
      text_month_ = true;
      return true;
    }
    if (w == "am" || w == "pm") {
      if (!has_time || hour_ > 12) return fail_with(has_time ? Fault::kRange : Fault::kSyntax);
      const std::int64_t hour = 3600 * kUsPerSecond;
      if (w == "am" && hour_ == 12) time_us -= 12 * hour;
      if (w == "pm" && hour_ != 12) time_us += 12 * hour;
      return true;
    }
    if (w == "bc" || w == "ad") {
      bc_ = w == "bc";
      return true;
    }
    if (is_weekday(w) || w == "at" || w == "on") return true;
    if (w == "now") return set_special(Special::kNow);
    if (w == "infinity" || w == "inf") return set_special(Special::kInfinity);
    if (w == "epoch") return set_special(Special::kEpoch);
    if (w == "today" || w == "tomorrow" || w == "yesterday") {
      if (has_date()) return false;
      const std::int64_t today = floor_div64(to_local(context_.transaction_timestamp, context_), kUsPerDay);
      julian = today + (w == "tomorrow" ? 1 : w == "yesterday" ? -1 : 0);
      return true;
    }
    if (w == "allballs") {
      offset = 0;
      return set_time(0, 0, 0, 0);
    }
    return named_zone(from, w);
  }

  bool named_zone(std::size_t from, const std::string& w) {
    if (has_zone()) return false;
    // POSIX rules and names of the database hold digits, signs, slashes and underscores.
    (void)take_while(
        [](char c) { return is_alpha(c) || is_digit(c) || c == '/' || c == '_' || c == '+' || c == '-'; });
    const std::string_view name = s_.substr(from, at_ - from);
    if (name.size() == w.size()) {
      if (std::int32_t east = 0; TimeZone::find_abbreviation(w, east)) {
        offset = east;
        return true;
      }
    }
    if (w.size() < 2 && name.size() == 1) return false;
    zone = TimeZone::find(name);
    if (zone == nullptr) {
      bad_zone = std::string(name);
      return fail_with(name.find_first_of("/_0123456789") != name.npos ? Fault::kUnknownZone
                                                                       : Fault::kSyntax);
    }
    return true;
  }

  bool set_special(Special v) {
    if (special != Special::kNone) return false;
    special = v;
    return true;
  }

  bool sign() {
    const bool minus = s_[at_++] == '-';
    if (is_alpha(peek())) {
      const std::string w = lower_ascii(take_while(is_alpha));
      if (w != "infinity" && w != "inf") return false;
      return set_special(minus ? Special::kMinusInfinity : Special::kInfinity);
    }
    if (!is_digit(peek()) || offset || (!has_time && !has_full_date()))
      return !is_digit(peek()) && peek() != '\0' && is_space(peek());
    const std::string_view first = take_while(is_digit);
    std::int64_t h = 0, m = 0, sec = 0;
    if (peek() == ':') {
      h = number_of(first);
      ++at_;
      m = number_of(take_while(is_digit));
      if (peek() == ':') {
        ++at_;
        sec = number_of(take_while(is_digit));
      }
    } else if (first.size() > 2) {
      const std::string_view lead = first.substr(0, first.size() - (first.size() > 4 ? 4 : 2));
      h = number_of(lead);
      m = number_of(first.substr(lead.size(), 2));
      if (first.size() > 4) sec = number_of(first.substr(lead.size() + 2));
    } else {
      h = number_of(first);
    }
    if (h > 15 || m > 59 || sec > 59) return fail_with(Fault::kZoneRange);
    const auto total = static_cast<std::int32_t>(h * 3600 + m * 60 + sec);
    offset = minus ? -total : total;
    return true;
  }

  bool finish() {
    if (time_prefix_) return false;
    if (special != Special::kNone) return !has_date();
    if (year) {
      if (bc_) {
        if (*year <= 0) return fail_with(Fault::kRange);
        year = 1 - *year;
      } else if (two_digit_year_) {
        *year += *year < 70 ? 2000 : 1900;
      } else if (*year == 0) {
        return fail_with(Fault::kRange);
      }
    }
    if (month && (*month < 1 || *month > 12)) return fail_with(Fault::kRangeHint);
    if (day && (*day < 1 || *day > 31)) return fail_with(Fault::kRangeHint);
    if (year && month && day && *year < 6'000'000 && *day > days_in_month(*year, *month))
      return fail_with(Fault::kRange);
    if (!julian && has_date() && !(year && month && day)) return false;
    return true;
  }

  std::string_view s_;
  const CodecContext& context_;
  bool wants_time_;
  std::size_t at_ = 0;
  bool text_month_ = false, two_digit_year_ = false, bc_ = false, time_prefix_ = false;
  std::int64_t hour_ = 0;
};

Error fault_of(const Parser& p, std::string_view text, std::string_view type) {
  switch (p.fault) {
    case Fault::kRange:
      return error(ErrorCode::kDatetimeOutOfRange, "date/time field value out of range: \"{}\"", text);
    case Fault::kRangeHint:
      return error(ErrorCode::kDatetimeOutOfRange, "date/time field value out of range: \"{}\"", text)
          .hint("Perhaps you need a different \"datestyle\" setting.");
    case Fault::kZoneRange:
      return error(ErrorCode::kInvalidTimeZoneDisplacement, "time zone displacement out of range: \"{}\"",
                   text);
    case Fault::kUnknownZone:
      return error(ErrorCode::kInvalidArgument, "time zone \"{}\" not recognized", lower_ascii(p.bad_zone));
    case Fault::kSyntax: break;
  }
  return error(ErrorCode::kInvalidDatetimeFormat, "invalid input syntax for type {}: \"{}\"", type, text);
}

Result<std::int64_t> timestamp_of(std::string_view text, const CodecContext& context, bool with_zone) {
  const std::string_view type = with_zone ? "timestamp with time zone" : "timestamp";
  Parser p(text, context);
  if (!p.parse()) return std::unexpected(fault_of(p, text, type));
  switch (p.special) {
    case Special::kInfinity: return kTimestampInfinity;
    case Special::kMinusInfinity: return kTimestampMinusInfinity;
    case Special::kEpoch: return -kPgEpochDays * kUsPerDay;
    case Special::kNow:
      return with_zone ? context.transaction_timestamp : to_local(context.transaction_timestamp, context);
    case Special::kNone: break;
  }
  if (!p.has_date()) return std::unexpected(fault_of(p, text, type));
  const auto out_of_range = [&] {
    return fail(ErrorCode::kDatetimeOutOfRange, "timestamp out of range: \"{}\"", text);
  };
  const std::int64_t date = p.date();
  if (date < kMinDate - 1 || date > 109203528 + 366) return out_of_range();
  std::int64_t t = date * kUsPerDay;
  if (__builtin_add_overflow(t, p.time_us, &t)) return out_of_range();
  if (with_zone) {
    if (p.offset) {
      if (__builtin_sub_overflow(t, *p.offset * kUsPerSecond, &t)) return out_of_range();
    } else {
      t = p.zone != nullptr ? from_local(t, *p.zone) : from_local(t, context);
    }
  }
  if (!in_timestamp_range(t)) return out_of_range();
  return t;
}

}  // namespace

Result<std::int64_t> parse_timestamp(std::string_view text, const CodecContext& context) {
  return timestamp_of(text, context, false);
}
Result<std::int64_t> parse_timestamptz(std::string_view text, const CodecContext& context) {
  return timestamp_of(text, context, true);
}

Result<std::int64_t> parse_date(std::string_view text, const CodecContext& context) {
  Parser p(text, context);
  if (!p.parse()) return std::unexpected(fault_of(p, text, "date"));
  switch (p.special) {
    case Special::kInfinity: return kDateInfinity;
    case Special::kMinusInfinity: return kDateMinusInfinity;
    case Special::kEpoch: return -kPgEpochDays;
    case Special::kNow: return floor_div64(to_local(context.transaction_timestamp, context), kUsPerDay);
    case Special::kNone: break;
  }
  if (!p.has_date()) return std::unexpected(fault_of(p, text, "date"));
  const std::int64_t date = p.date();
  if (date < kMinDate || date > kMaxDate) {
    return fail(ErrorCode::kDatetimeOutOfRange, "date out of range: \"{}\"", text);
  }
  return date;
}

Result<TimeTz> parse_timetz(std::string_view text, const CodecContext& context) {
  Parser p(text, context, true);
  if (!p.parse()) return std::unexpected(fault_of(p, text, "time with time zone"));
  std::int32_t east = 0;
  if (p.special == Special::kNow) {
    const std::int64_t local = to_local(context.transaction_timestamp, context, nullptr, &east);
    return TimeTz{local - floor_div64(local, kUsPerDay) * kUsPerDay, -east};
  }
  if (p.special != Special::kNone || !p.has_time)
    return std::unexpected(fault_of(p, text, "time with time zone"));
  if (p.offset) {
    east = *p.offset;
  } else if (p.zone != nullptr && p.has_date()) {
    east = static_cast<std::int32_t>(
        (p.date() * kUsPerDay + p.time_us - from_local(p.date() * kUsPerDay + p.time_us, *p.zone)) /
        kUsPerSecond);
  } else if (p.zone != nullptr) {
    east = static_cast<std::int32_t>(
        (to_local(context.transaction_timestamp, *p.zone) - context.transaction_timestamp) / kUsPerSecond);
  } else {
    (void)to_local(context.transaction_timestamp, context, nullptr, &east);
  }
  return TimeTz{p.time_us, -east};
}

Result<std::int64_t> parse_time(std::string_view text, const CodecContext& context) {
  Parser p(text, context, true);
  if (!p.parse()) return std::unexpected(fault_of(p, text, "time"));
  if (p.special == Special::kNow) {
    const std::int64_t local = to_local(context.transaction_timestamp, context);
    return local - floor_div64(local, kUsPerDay) * kUsPerDay;
  }
  if (p.special != Special::kNone || !p.has_time) return std::unexpected(fault_of(p, text, "time"));
  return p.time_us;
}

}  // namespace bop
