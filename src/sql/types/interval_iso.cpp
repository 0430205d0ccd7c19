// Interval input in ISO 8601's forms.
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <string_view>

#include "sql/types/bytes.hpp"
#include "sql/types/interval_sum.hpp"

namespace bop {
namespace {

// ISO 8601, 4.4.3.2 (designators) and 4.4.3.3 (alternative format, basic and extended).
class IsoInterval {
 public:
  explicit IsoInterval(const std::string& text) : text_(text), at_(text.c_str()) {}

  IntervalFault read(IntervalSum& sum) {
    if (text_.size() < 2 || *at_ != 'P') return IntervalFault::kFormat;
    ++at_;
    bool any = false, time = false;
    while (*at_ != '\0') {
      if (*at_ == 'T') {
        time = true;
        any = false;
        ++at_;
        continue;
      }
      const char* const begin = at_;
      if (const IntervalFault fault = number(); fault != IntervalFault::kNone) return fault;
      bool fits = true;
      const char designator = *at_;
      switch (designator) {
        case 'Y': fits = sum.add_years(whole_, fraction_, 1); break;
        case 'M':
          fits = time ? sum.add_us(whole_, fraction_, kUsPerMinute) : sum.add_months(whole_, fraction_);
          break;
        case 'W': fits = sum.add_days(whole_, fraction_, 7); break;
        case 'D': fits = sum.add_days(whole_, 0, 1) && sum.add_fraction_us(fraction_, kUsPerDay); break;
        case 'H': fits = sum.add_us(whole_, fraction_, kUsPerHour); break;
        case 'S': fits = sum.add_us(whole_, fraction_, kUsPerSecond); break;
        default: {
          const IntervalFault fault =
              time ? alternative_time(begin, any, sum) : alternative_date(begin, any, sum);
          if (fault != IntervalFault::kNone || *at_ == '\0') return fault;
          continue;  // at the T
        }
      }
      const std::string_view allowed = time ? "HMS" : "YMWD";
      if (allowed.find(designator) == std::string_view::npos) return IntervalFault::kFormat;
      if (!fits) return IntervalFault::kOverflow;
      ++at_;
      any = true;
    }
    return IntervalFault::kNone;
  }

 private:
  IntervalFault number() {
    if (!is_digit(*at_) && *at_ != '-' && *at_ != '.') return IntervalFault::kFormat;
    errno = 0;
    char* end = nullptr;
    const double v = std::strtod(at_, &end);
    if (end == at_ || errno != 0) return IntervalFault::kFormat;
    at_ = end;
    if (std::isnan(v) || v < -1e15 || v > 1e15) return IntervalFault::kOverflow;
    whole_ = static_cast<std::int64_t>(v);
    fraction_ = v - static_cast<double>(whole_);
    return IntervalFault::kNone;
  }
  static std::size_t digits(const char* s) {
    if (*s == '-') ++s;
    std::size_t n = 0;
    while (is_digit(s[n])) ++n;
    return n;
  }
  // YYYYMMDD or YYYY[-MM[-DD]], up to the end or a T.
  IntervalFault alternative_date(const char* begin, bool any, IntervalSum& sum) {
    const auto ended = [&] { return *at_ == '\0' || *at_ == 'T'; };
    if (!ended() && *at_ != '-') return IntervalFault::kFormat;
    if (ended() && digits(begin) == 8 && !any) {
      const bool fits = sum.add_years(whole_ / 10000, 0, 1) && sum.add_months(whole_ / 100 % 100, 0) &&
                        sum.add_days(whole_ % 100, 0, 1) && sum.add_fraction_us(fraction_, kUsPerDay);
      return fits ? IntervalFault::kNone : IntervalFault::kOverflow;
    }
    if (any) return IntervalFault::kFormat;
    if (!sum.add_years(whole_, fraction_, 1)) return IntervalFault::kOverflow;
    if (ended()) return IntervalFault::kNone;
    ++at_;
    if (const IntervalFault fault = number(); fault != IntervalFault::kNone) return fault;
    if (!sum.add_months(whole_, fraction_)) return IntervalFault::kOverflow;
    if (ended()) return IntervalFault::kNone;
    if (*at_ != '-') return IntervalFault::kFormat;
    ++at_;
    if (const IntervalFault fault = number(); fault != IntervalFault::kNone) return fault;
    if (!sum.add_days(whole_, 0, 1) || !sum.add_fraction_us(fraction_, kUsPerDay))
      return IntervalFault::kOverflow;
    return ended() ? IntervalFault::kNone : IntervalFault::kFormat;
  }
  // HHMMSS or HH[:MM[:SS]], up to the end.
  IntervalFault alternative_time(const char* begin, bool any, IntervalSum& sum) {
    if (*at_ != '\0' && *at_ != ':') return IntervalFault::kFormat;
    if (*at_ == '\0' && digits(begin) == 6 && !any) {
      const bool fits = sum.add_us(whole_ / 10000, 0, kUsPerHour) &&
                        sum.add_us(whole_ / 100 % 100, 0, kUsPerMinute) &&
                        sum.add_us(whole_ % 100, 0, kUsPerSecond) && sum.add_fraction_us(fraction_, 1);
      return fits ? IntervalFault::kNone : IntervalFault::kOverflow;
    }
    if (any) return IntervalFault::kFormat;
    if (!sum.add_us(whole_, fraction_, kUsPerHour)) return IntervalFault::kOverflow;
    for (const std::int64_t scale : {kUsPerMinute, kUsPerSecond}) {
      if (*at_ == '\0') return IntervalFault::kNone;
      if (*at_ != ':') return IntervalFault::kFormat;
      ++at_;
      if (const IntervalFault fault = number(); fault != IntervalFault::kNone) return fault;
      if (!sum.add_us(whole_, fraction_, scale)) return IntervalFault::kOverflow;
    }
    return *at_ == '\0' ? IntervalFault::kNone : IntervalFault::kFormat;
  }

  const std::string& text_;
  const char* at_;
  std::int64_t whole_ = 0;
  double fraction_ = 0;
};

}  // namespace

IntervalFault read_iso_interval(const std::string& text, IntervalSum& sum) {
  return IsoInterval(text).read(sum);
}

}  // namespace bop
