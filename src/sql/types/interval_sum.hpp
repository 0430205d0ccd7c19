// What the readers of interval input add up, with the limits of each part.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>

#include "sql/types/datetime.hpp"

namespace bop {

inline constexpr std::int64_t kUsPerHour = 3600 * kUsPerSecond, kUsPerMinute = 60 * kUsPerSecond;

enum class IntervalFault : std::uint8_t { kNone, kFormat, kOverflow };

// Years are kept apart from months up to the end, as the limits of both are asked one by one.
struct IntervalSum {
  std::int32_t years = 0, months = 0, days = 0;
  std::int64_t us = 0;

  bool add_us(std::int64_t whole, double fraction, std::int64_t scale) {
    std::int64_t product = 0;
    return !__builtin_mul_overflow(whole, scale, &product) && !__builtin_add_overflow(us, product, &us) &&
           add_fraction_us(fraction, scale);
  }
  bool add_fraction_us(double fraction, std::int64_t scale) {
    fraction *= static_cast<double>(scale);
    auto whole = static_cast<std::int64_t>(fraction);
    fraction -= static_cast<double>(whole);
    if (fraction > 0.5) {
      ++whole;
    } else if (fraction < -0.5) {
      --whole;
    }
    return !__builtin_add_overflow(us, whole, &us);
  }
  bool add_days(std::int64_t whole, double fraction, std::int32_t scale) {
    if (!add(days, whole, scale)) return false;
    fraction *= scale;
    const auto extra = static_cast<std::int32_t>(fraction);
    return !__builtin_add_overflow(days, extra, &days) && add_fraction_us(fraction - extra, kUsPerDay);
  }
  bool add_months(std::int64_t whole, double fraction) {
    return add(months, whole, 1) && add_days(0, fraction, 30);
  }
  bool add_years(std::int64_t whole, double fraction, std::int32_t scale) {
    const auto extra = static_cast<std::int32_t>(std::rint(fraction * scale * 12));
    return add(years, whole, scale) && !__builtin_add_overflow(months, extra, &months);
  }
  bool negate() {
    if (years == INT32_MIN || months == INT32_MIN || days == INT32_MIN || us == INT64_MIN) return false;
    years = -years, months = -months, days = -days, us = -us;
    return true;
  }

 private:
  static bool add(std::int32_t& to, std::int64_t whole, std::int32_t scale) {
    if (whole < INT32_MIN || whole > INT32_MAX) return false;
    std::int32_t product = 0;
    return !__builtin_mul_overflow(static_cast<std::int32_t>(whole), scale, &product) &&
           !__builtin_add_overflow(to, product, &to);
  }
};

// Reads ISO 8601 into `sum`, whose parts are zero.
[[nodiscard]] IntervalFault read_iso_interval(const std::string& text, IntervalSum& sum);

}  // namespace bop
