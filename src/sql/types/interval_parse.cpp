// Interval input: PostgreSQL's two readers, one after the other.
//
// The text is cut into fields (a number, a date, a time, a word, or a number with a sign, which may hold
// colons and hyphens), and the fields are read from right to left, so that a unit stands before its number:
// "1 day 2:03",
// "-1 year ago", "1-2". What that reader does not understand is tried as ISO 8601: "P1Y2M3DT4H5M6.7S",
// "P0001-02-03T04:05:06", "P00010203T040506".
#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include "sql/types/bytes.hpp"
#include "sql/types/datetime.hpp"
#include "sql/types/interval.hpp"
#include "sql/types/interval_sum.hpp"

namespace bop {
namespace {

constexpr std::size_t kMaxFields = 25;
constexpr std::size_t kMaxFieldBytes = 256;  // of all fields, each with its end
constexpr std::size_t kKeywordLength = 10;   // words are compared up to here

// What a number counts. Each may be said once; a time says hours, minutes and all below.
enum class Unit : std::uint8_t {
  kNone,
  kMicrosecond,
  kMillisecond,
  kSecond,
  kMinute,
  kHour,
  kDay,
  kWeek,
  kMonth,
  kYear,
  kDecade,
  kCentury,
  kMillennium,
  kUncounted,  // said by "ago" and "quarter": a number right before it is refused
};
constexpr unsigned mask(Unit u) { return 1U << static_cast<unsigned>(u); }
constexpr unsigned kAllSeconds = mask(Unit::kSecond) | mask(Unit::kMillisecond) | mask(Unit::kMicrosecond);
constexpr unsigned kAllTime = mask(Unit::kHour) | mask(Unit::kMinute) | kAllSeconds;

struct Word {
  std::string_view text;
  Unit unit;
};
constexpr std::array kWords{
    Word{"c", Unit::kCentury},
    Word{"cent", Unit::kCentury},
    Word{"centuries", Unit::kCentury},
    Word{"century", Unit::kCentury},
    Word{"d", Unit::kDay},
    Word{"day", Unit::kDay},
    Word{"days", Unit::kDay},
    Word{"dec", Unit::kDecade},
    Word{"decade", Unit::kDecade},
    Word{"decades", Unit::kDecade},
    Word{"decs", Unit::kDecade},
    Word{"h", Unit::kHour},
    Word{"hour", Unit::kHour},
    Word{"hours", Unit::kHour},
    Word{"hr", Unit::kHour},
    Word{"hrs", Unit::kHour},
    Word{"m", Unit::kMinute},
    Word{"microsecon", Unit::kMicrosecond},
    Word{"mil", Unit::kMillennium},
    Word{"millennia", Unit::kMillennium},
    Word{"millennium", Unit::kMillennium},
    Word{"millisecon", Unit::kMillisecond},
    Word{"mils", Unit::kMillennium},
    Word{"min", Unit::kMinute},
    Word{"mins", Unit::kMinute},
    Word{"minute", Unit::kMinute},
    Word{"minutes", Unit::kMinute},
    Word{"mon", Unit::kMonth},
    Word{"mons", Unit::kMonth},
    Word{"month", Unit::kMonth},
    Word{"months", Unit::kMonth},
    Word{"ms", Unit::kMillisecond},
    Word{"msec", Unit::kMillisecond},
    Word{"mseconds", Unit::kMillisecond},
    Word{"msecs", Unit::kMillisecond},
    Word{"qtr", Unit::kUncounted},
    Word{"quarter", Unit::kUncounted},
    Word{"s", Unit::kSecond},
    Word{"sec", Unit::kSecond},
    Word{"second", Unit::kSecond},
    Word{"seconds", Unit::kSecond},
    Word{"secs", Unit::kSecond},
    Word{"timezone", Unit::kUncounted},
    Word{"us", Unit::kMicrosecond},
    Word{"usec", Unit::kMicrosecond},
    Word{"useconds", Unit::kMicrosecond},
    Word{"usecs", Unit::kMicrosecond},
    Word{"w", Unit::kWeek},
    Word{"week", Unit::kWeek},
    Word{"weeks", Unit::kWeek},
    Word{"y", Unit::kYear},
    Word{"year", Unit::kYear},
    Word{"years", Unit::kYear},
    Word{"yr", Unit::kYear},
    Word{"yrs", Unit::kYear},
};

// Words of dates: behind them a digit or a plus starts a field of its own, behind others it belongs to the
// word.
constexpr auto kDateWords = std::to_array<std::string_view>(
    {"ad",      "allballs", "am",        "apr",      "april",     "at",       "aug",    "august",
     "bc",      "d",        "dec",       "december", "dow",       "doy",      "dst",    "epoch",
     "feb",     "february", "fri",       "friday",   "h",         "infinity", "isodow", "isoyear",
     "j",       "jan",      "january",   "jd",       "jul",       "julian",   "july",   "jun",
     "june",    "m",        "mar",       "march",    "may",       "mm",       "mon",    "monday",
     "nov",     "november", "now",       "oct",      "october",   "on",       "pm",     "s",
     "sat",     "saturday", "sep",       "sept",     "september", "sun",      "sunday", "t",
     "thu",     "thur",     "thurs",     "thursday", "today",     "tomorrow", "tue",    "tues",
     "tuesday", "wed",      "wednesday", "weds",     "y",         "yesterday"});

bool is_date_word(std::string_view word) {
  return std::ranges::find(kDateWords, word.substr(0, kKeywordLength)) != kDateWords.end();
}

bool is_alnum(char c) { return is_alpha(c) || is_digit(c); }
bool is_punctuation(char c) { return c > ' ' && c < 0x7f && !is_alnum(c); }

enum class FieldKind : std::uint8_t { kNumber, kDate, kTime, kWord, kSigned, kSignedWord };
struct Field {
  FieldKind kind;
  std::string text;
};

class FieldReader {
 public:
  explicit FieldReader(std::string_view text) : s_(text) {}

  std::optional<std::vector<Field>> read() {
    std::vector<Field> fields;
    std::size_t bytes = 0;
    while (at_ < s_.size()) {
      if (is_space(peek())) {
        ++at_;
        continue;
      }
      if (fields.size() == kMaxFields) return std::nullopt;
      field_ = {FieldKind::kNumber, {}};
      if (is_digit(peek())) {
        number();
      } else if (peek() == '.') {
        take();
        digits();
      } else if (is_alpha(peek())) {
        word();
      } else if (peek() == '+' || peek() == '-') {
        if (!with_sign()) return std::nullopt;
      } else if (is_punctuation(peek())) {
        ++at_;
        continue;
      } else {
        return std::nullopt;
      }
      bytes += field_.text.size() + 1;
      if (bytes > kMaxFieldBytes) return std::nullopt;
      fields.push_back(std::move(field_));
    }
    return fields;
  }

 private:
  [[nodiscard]] char peek() const { return at_ < s_.size() ? s_[at_] : '\0'; }
  void take() { field_.text += ascii_lower(s_[at_++]); }
  void digits() {
    while (is_digit(peek())) take();
  }
  void letters() {
    while (is_alpha(peek())) take();
  }
  void number() {
    digits();
    const char delimiter = peek();
    if (delimiter == ':') {
      field_.kind = FieldKind::kTime;
      while (is_digit(peek()) || peek() == ':' || peek() == '.') take();
      return;
    }
    if (delimiter != '-' && delimiter != '/' && delimiter != '.') return;
    take();
    if (!is_digit(peek())) {
      field_.kind = FieldKind::kDate;
      while (is_alnum(peek()) || peek() == delimiter) take();
      return;
    }
    field_.kind = delimiter == '.' ? FieldKind::kNumber : FieldKind::kDate;
    digits();
    if (peek() != delimiter) return;
    field_.kind = FieldKind::kDate;
    while (is_digit(peek()) || peek() == delimiter) take();
  }
  void word() {
    field_.kind = FieldKind::kWord;
    letters();
    const char next = peek();
    const bool joined = next == '-' || next == '/' || next == '.' ||
                        ((next == '+' || is_digit(next)) && !is_date_word(field_.text));
    if (!joined) return;
    field_.kind = FieldKind::kDate;
    while (is_alnum(peek()) ||
           (peek() != '\0' && std::string_view("+-/_.:").find(peek()) != std::string_view::npos)) {
      take();
    }
  }
  bool with_sign() {
    take();
    while (is_space(peek())) ++at_;
    if (is_digit(peek())) {
      field_.kind = FieldKind::kSigned;
      while (is_digit(peek()) || peek() == ':' || peek() == '.' || peek() == '-') take();
      return true;
    }
    field_.kind = FieldKind::kSignedWord;
    letters();
    return field_.text.size() > 1;
  }

  std::string_view s_;
  std::size_t at_ = 0;
  Field field_{};
};

// Numbers at the front of a text that ends with NUL; an absent number is 0.
struct Cursor {
  const char* at;
  bool overflow = false;

  std::int64_t wide() {
    errno = 0;
    char* end = nullptr;
    const long long v = std::strtoll(at, &end, 10);
    overflow = errno == ERANGE;
    at = end;
    return v;
  }
  std::int64_t narrow() {
    const std::int64_t v = wide();
    overflow = overflow || v < INT32_MIN || v > INT32_MAX;
    return v;
  }
  // The point and what follows, up to the end.
  std::optional<double> fraction() {
    if (at[1] == '\0') {
      ++at;
      return 0;
    }
    errno = 0;
    char* end = nullptr;
    const double v = std::strtod(at, &end);
    if (*end != '\0' || errno != 0) return std::nullopt;
    at = end;
    return v;
  }
};

class FieldsInterval {
 public:
  FieldsInterval(const std::vector<Field>& fields, int range, IntervalStyle style)
      : fields_(fields), range_(range) {
    // '-1 1:00' of the SQL standard: a sign in front alone counts for all.
    if (style != IntervalStyle::kSqlStandard || fields.empty() || fields[0].text[0] != '-') return;
    all_negative_ = true;
    for (std::size_t i = 1; i < fields.size(); ++i) {
      if (fields[i].text[0] == '-' || fields[i].text[0] == '+') all_negative_ = false;
    }
  }

  IntervalFault read(IntervalSum& sum) {
    for (std::size_t i = fields_.size(); i-- > 0;) {
      said_now_ = 0;
      const IntervalFault fault = field(fields_[i], sum);
      if (fault != IntervalFault::kNone) return fault;
      if ((said_ & said_now_) != 0) return IntervalFault::kFormat;
      said_ |= said_now_;
    }
    if (said_ == 0) return IntervalFault::kFormat;
    return ago_ && !sum.negate() ? IntervalFault::kOverflow : IntervalFault::kNone;
  }

 private:
  IntervalFault field(const Field& f, IntervalSum& sum) {
    switch (f.kind) {
      case FieldKind::kTime: {
        const IntervalFault fault = clock(f.text.c_str(), sum);
        if (fault == IntervalFault::kNone) end_clock(false, sum);
        return fault;
      }
      case FieldKind::kSigned:
        if (f.text.find(':') != std::string::npos && clock(f.text.c_str() + 1, sum) == IntervalFault::kNone) {
          end_clock(f.text[0] == '-', sum);
          return IntervalFault::kNone;
        }
        said_now_ = 0;
        return number(f.text, sum);
      case FieldKind::kDate:
      case FieldKind::kNumber: return number(f.text, sum);
      case FieldKind::kWord:
      case FieldKind::kSignedWord: return word(f.text);
    }
    return IntervalFault::kFormat;
  }
  // h:m[:s[.f]] or m:s.f; takes the place of the time that was there.
  IntervalFault clock(const char* text, IntervalSum& sum) {
    said_now_ = kAllTime;
    Cursor c{text};
    std::int64_t hour = c.wide(), minute = 0, second = 0;
    double fraction = 0;
    if (c.overflow) return IntervalFault::kOverflow;
    if (*c.at != ':') return IntervalFault::kFormat;
    ++c.at;
    minute = c.narrow();
    if (c.overflow) return IntervalFault::kOverflow;
    const auto take_fraction = [&] {
      const std::optional<double> f = c.fraction();
      fraction = f.value_or(0);
      return f.has_value();
    };
    const auto minutes_first = [&] {
      if (hour > INT32_MAX || hour < INT32_MIN) return false;
      second = minute, minute = hour, hour = 0;
      return true;
    };
    if (*c.at == '\0') {
      if (range_ == (interval_fields::kMinute | interval_fields::kSecond) && !minutes_first())
        return IntervalFault::kOverflow;
    } else if (*c.at == '.') {
      if (!take_fraction()) return IntervalFault::kFormat;
      if (!minutes_first()) return IntervalFault::kOverflow;
    } else if (*c.at == ':') {
      ++c.at;
      second = c.narrow();
      if (c.overflow) return IntervalFault::kOverflow;
      if (*c.at == '.' ? !take_fraction() : *c.at != '\0') return IntervalFault::kFormat;
    } else {
      return IntervalFault::kFormat;
    }
    if (hour < 0 || minute < 0 || minute > 59 || second < 0 || second > 60) return IntervalFault::kOverflow;
    sum.us = static_cast<std::int64_t>(std::rint(fraction * 1e6));
    const bool fits = sum.add_us(hour, 0, kUsPerHour) && sum.add_us(minute, 0, kUsPerMinute) &&
                      sum.add_us(second, 0, kUsPerSecond);
    return fits ? IntervalFault::kNone : IntervalFault::kOverflow;
  }
  void end_clock(bool minus, IntervalSum& sum) {
    if (minus) sum.us = -sum.us;  // never below zero before
    if (all_negative_ && sum.us > 0) sum.us = -sum.us;
    unit_ = Unit::kDay;
  }
  IntervalFault number(const std::string& text, IntervalSum& sum) {
    if (unit_ == Unit::kNone) unit_ = last_unit();
    Cursor c{text.c_str()};
    std::int64_t whole = c.wide();
    double fraction = 0;
    if (c.overflow) return IntervalFault::kOverflow;
    if (*c.at == '-') {  // years-months
      ++c.at;
      std::int64_t months = c.narrow();
      if (c.overflow || months < 0 || months >= 12) return IntervalFault::kOverflow;
      if (*c.at != '\0') return IntervalFault::kFormat;
      unit_ = Unit::kMonth;
      if (text[0] == '-') months = -months;
      if (__builtin_mul_overflow(whole, 12, &whole) || __builtin_add_overflow(whole, months, &whole)) {
        return IntervalFault::kOverflow;
      }
    } else if (*c.at == '.') {
      const std::optional<double> f = c.fraction();
      if (!f) return IntervalFault::kFormat;
      fraction = text[0] == '-' ? -*f : *f;
    } else if (*c.at != '\0') {
      return IntervalFault::kFormat;
    }
    if (unit_ == Unit::kUncounted) return IntervalFault::kFormat;
    if (all_negative_) {
      if (whole > 0) whole = -whole;
      if (fraction > 0) fraction = -fraction;
    }
    return add(whole, fraction, sum) ? IntervalFault::kNone : IntervalFault::kOverflow;
  }
  bool add(std::int64_t whole, double fraction, IntervalSum& sum) {
    said_now_ = mask(unit_);
    switch (unit_) {
      case Unit::kNone:
      case Unit::kUncounted: break;
      case Unit::kMicrosecond: return sum.add_us(whole, fraction, 1);
      case Unit::kMillisecond: return sum.add_us(whole, fraction, 1000);
      case Unit::kSecond:
        if (fraction != 0) said_now_ = kAllSeconds;
        return sum.add_us(whole, fraction, kUsPerSecond);
      case Unit::kMinute: return sum.add_us(whole, fraction, kUsPerMinute);
      case Unit::kHour:
        unit_ = Unit::kDay;  // what stands in front of bare hours
        return sum.add_us(whole, fraction, kUsPerHour);
      case Unit::kDay: return sum.add_days(whole, 0, 1) && sum.add_fraction_us(fraction, kUsPerDay);
      case Unit::kWeek: return sum.add_days(whole, fraction, 7);
      case Unit::kMonth: return sum.add_months(whole, fraction);
      case Unit::kYear: return sum.add_years(whole, fraction, 1);
      case Unit::kDecade: return sum.add_years(whole, fraction, 10);
      case Unit::kCentury: return sum.add_years(whole, fraction, 100);
      case Unit::kMillennium: return sum.add_years(whole, fraction, 1000);
    }
    return false;
  }
  IntervalFault word(std::string_view text) {
    const std::string_view key = text.substr(0, kKeywordLength);
    if (key == "ago") {
      ago_ = true;
      unit_ = Unit::kUncounted;
      return IntervalFault::kNone;
    }
    for (const Word& w : kWords) {
      if (w.text == key) {
        unit_ = w.unit;
        return IntervalFault::kNone;
      }
    }
    return IntervalFault::kFormat;
  }
  [[nodiscard]] Unit last_unit() const {
    const std::string_view last = last_interval_unit(range_);
    if (last == "year") return Unit::kYear;
    if (last == "month") return Unit::kMonth;
    if (last == "day") return Unit::kDay;
    if (last == "hour") return Unit::kHour;
    return last == "minute" ? Unit::kMinute : Unit::kSecond;
  }

  const std::vector<Field>& fields_;
  int range_;
  bool all_negative_ = false, ago_ = false;
  Unit unit_ = Unit::kNone;
  unsigned said_ = 0, said_now_ = 0;
};

}  // namespace

Result<Interval> parse_interval(std::string_view text, int range, IntervalStyle style) {
  IntervalSum sum;
  IntervalFault fault = IntervalFault::kFormat;
  if (const auto fields = FieldReader(text).read()) fault = FieldsInterval(*fields, range, style).read(sum);
  if (fault == IntervalFault::kFormat) {
    sum = {};
    const std::string terminated(text);
    fault = read_iso_interval(terminated, sum);
  }
  switch (fault) {
    case IntervalFault::kNone: break;
    case IntervalFault::kFormat:
      return fail(ErrorCode::kInvalidDatetimeFormat, "invalid input syntax for type interval: \"{}\"", text);
    case IntervalFault::kOverflow:
      return fail(ErrorCode::kIntervalFieldOverflow, "interval field value out of range: \"{}\"", text);
  }
  const std::int64_t months = std::int64_t{sum.years} * 12 + sum.months;
  if (months > INT32_MAX || months < INT32_MIN)
    return fail(ErrorCode::kDatetimeOutOfRange, "interval out of range");
  return Interval{static_cast<std::int32_t>(months), sum.days, sum.us};
}

}  // namespace bop
