#include <cmath>

#include "sql/functions/registry.hpp"
#include "sql/types/datetime.hpp"
#include "sql/types/float.hpp"
#include "sql/types/interval.hpp"

namespace bop {
namespace {

Interval interval(Call& c, std::size_t i) { return Interval::of_stored(c.text(i)); }
Returned stored(Result<Interval> v) {
  return then(v, [](const Interval& i) { return OwnedValue::of_text(i.stored()); });
}

Returned subtract(Call& c) {
  BOP_LET(negative, interval(c, 1).negated());
  return stored(Interval::add(interval(c, 0), negative));
}

Returned divide(Call& c) {
  const double d = float_of(c[1]);
  if (d == 0) return fail(ErrorCode::kDivisionByZero, "division by zero");
  return stored(interval(c, 0).times(1 / d));
}

Returned make_interval(Call& c) {
  const auto n = [&c](std::size_t i) { return i < c.size() ? c.integer(i) : 0; };
  const double seconds = c.size() > 6 ? float_of(c[6]) : 0;
  const __int128 months = static_cast<__int128>(n(0)) * 12 + n(1),
                 days = static_cast<__int128>(n(2)) * 7 + n(3);
  const double us =
      static_cast<double>(n(4)) * 3.6e9 + static_cast<double>(n(5)) * 6e7 + std::rint(seconds * 1e6);
  if (months != static_cast<std::int32_t>(months) || days != static_cast<std::int32_t>(days) ||
      !(std::fabs(us) < 9.2e18)) {
    return fail(ErrorCode::kDatetimeOutOfRange, "interval out of range");
  }
  const std::int64_t exact = n(4) * 3600 * kUsPerSecond + n(5) * 60 * kUsPerSecond +
                             static_cast<std::int64_t>(std::rint(seconds * 1e6));
  return text_result(
      Interval{static_cast<std::int32_t>(months), static_cast<std::int32_t>(days), exact}.stored());
}

}  // namespace

void add_interval_functions(Implementations& all) {
  all.push_back(
      scalar("interval_pl", [](Call& c) { return stored(Interval::add(interval(c, 0), interval(c, 1))); }));
  all.push_back(scalar("interval_mi", subtract));
  all.push_back(scalar("interval_um", [](Call& c) { return stored(interval(c, 0).negated()); }));
  all.push_back(scalar("interval_mul", [](Call& c) { return stored(interval(c, 0).times(float_of(c[1]))); }));
  all.push_back(
      scalar("mul_d_interval", [](Call& c) { return stored(interval(c, 1).times(float_of(c[0]))); }));
  all.push_back(scalar("interval_div", divide));
  all.push_back(scalar("interval_justify_hours",
                       [](Call& c) { return text_result(justify_hours(interval(c, 0)).stored()); }));
  all.push_back(scalar("interval_justify_days",
                       [](Call& c) { return text_result(justify_days(interval(c, 0)).stored()); }));
  all.push_back(scalar("interval_justify_interval",
                       [](Call& c) { return text_result(justify_interval(interval(c, 0)).stored()); }));
  all.push_back(scalar("make_interval", make_interval));
}

}  // namespace bop
