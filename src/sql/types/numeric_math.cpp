// Roots, exponentials and logarithms of numeric by fixed-point series over big integers, each with enough
// guard digits that the last digit of the result scale is correctly rounded. The result scales are
// PostgreSQL's.
#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "sql/types/numeric.hpp"

namespace bop {
namespace {

constexpr double kLog10OfE = 0.434294481903252;
// The series cost more than quadratic time in the digits of the result; beyond this many the answer is 0A000.
constexpr double kMaxSeriesDigits = 1500;

std::unexpected<Error> too_many_digits() {
  return fail(ErrorCode::kNotImplemented, "exponentials of more than {} digits are not implemented",
              kMaxSeriesDigits);
}

int clamp_scale(int scale) { return std::clamp(scale, 0, kNumericMaxDisplayScale); }

// Non-negative fixed-point numbers: the magnitude counts units of 10^-scale.
class Fixed {
 public:
  explicit Fixed(int scale) : scale_(scale), one_(Magnitude::power_of_ten(scale)) {}
  [[nodiscard]] const Magnitude& one() const { return one_; }
  [[nodiscard]] Magnitude of(const Numeric& n) const {
    return n.scale() <= scale_ ? n.coefficient().scaled_up(scale_ - n.scale())
                               : n.coefficient().scaled_down(n.scale() - scale_, true);
  }
  [[nodiscard]] Magnitude multiply(const Magnitude& a, const Magnitude& b) const {
    return Magnitude::multiply(a, b).scaled_down(scale_, true);
  }
  [[nodiscard]] Magnitude divide(const Magnitude& a, const Magnitude& b) const {
    return Magnitude::divide(a.scaled_up(scale_), b);
  }
  [[nodiscard]] Magnitude root(const Magnitude& a) const {
    return Magnitude::square_root(a.scaled_up(scale_));
  }

  // e^x for x >= 0: halve until small, Taylor, square back.
  [[nodiscard]] Magnitude exp(Magnitude x) const {
    const Magnitude small = one_.scaled_down(2, false);
    int halvings = 0;
    for (; Magnitude::compare(x, small) > 0; ++halvings) x = Magnitude::divide(x, Magnitude(2));
    Magnitude sum = one_, term = one_;
    for (std::uint64_t n = 1; !term.is_zero(); ++n) {
      term = Magnitude::divide(multiply(term, x), Magnitude(n));
      sum = Magnitude::add(sum, term);
    }
    for (; halvings > 0; --halvings) sum = multiply(sum, sum);
    return sum;
  }

  // ln x for x >= 1: take roots until near one, then 2 atanh((x-1)/(x+1)).
  [[nodiscard]] Magnitude ln(Magnitude x) const {
    const Magnitude near = Magnitude::add(one_, one_.scaled_down(2, false));
    std::uint64_t factor = 2;
    for (; Magnitude::compare(x, near) > 0; factor *= 2) x = root(x);
    const Magnitude z = divide(Magnitude::subtract(x, one_), Magnitude::add(x, one_));
    const Magnitude z2 = multiply(z, z);
    Magnitude sum = z, power = z;
    for (std::uint64_t n = 3;; n += 2) {
      power = multiply(power, z2);
      const Magnitude term = Magnitude::divide(power, Magnitude(n));
      if (term.is_zero()) break;
      sum = Magnitude::add(sum, term);
    }
    return Magnitude::multiply(sum, Magnitude(factor));
  }

 private:
  int scale_;
  Magnitude one_;
};

// ln of a positive finite number to `scale` decimals.
Numeric ln_to_scale(const Numeric& a, int scale) {
  const int exponent = a.coefficient().digit_count() - a.scale();  // a = m * 10^exponent, 0.1 <= m < 1
  // Of digits beyond these the result shows nothing, however many the argument has.
  const int work = std::max(scale, 0) + 32;
  const Fixed fixed(work);
  const int shift = exponent - 1;  // a = m * 10^shift, 1 <= m < 10
  const Numeric m = Numeric::of_parts(false, a.coefficient(), a.coefficient().digit_count() - 1);
  Numeric r;
  if (shift == -1) {  // just below one: ln a = -ln(1/a) keeps the small difference exact
    r = Numeric::of_parts(true, fixed.ln(fixed.divide(fixed.one(), fixed.of(a))), work);
    return r.with_scale(scale);
  }
  r = Numeric::of_parts(false, fixed.ln(fixed.of(m)), work);
  if (shift != 0) {
    const Magnitude ln10 = fixed.ln(Magnitude::multiply(fixed.one(), Magnitude(10)));
    const Magnitude part = Magnitude::multiply(ln10, Magnitude(static_cast<std::uint64_t>(std::abs(shift))));
    r = *Numeric::add(r, Numeric::of_parts(shift < 0, part, work));
  }
  return r.with_scale(scale);
}

Numeric exp_to_scale(const Numeric& a, int scale) {
  const int integer_digits = static_cast<int>(std::min(60'000.0, std::fabs(a.to_double()) * kLog10OfE)) + 1;
  const int work = std::max(scale, 0) + integer_digits * (a.sign() < 0 ? 1 : 2) + 25;
  const Fixed fixed(work);
  Magnitude e = fixed.exp(fixed.of(a));
  if (a.sign() < 0) e = fixed.divide(fixed.one(), e);
  return Numeric::of_parts(false, std::move(e), work).with_scale(scale);
}

// The decimal weight of ln(a), as PostgreSQL estimates it to choose scales.
int estimate_ln_weight(const Numeric& a) {
  if (a.sign() <= 0) return 0;
  const double v = a.to_double();
  if (Numeric::compare(a, *Numeric::parse("0.9")) >= 0 && Numeric::compare(a, *Numeric::parse("1.1")) <= 0) {
    const Numeric x = *Numeric::subtract(a, Numeric::of_int(1));
    if (x.is_zero()) return 0;
    const auto lead = x.leading();
    return lead.weight * 4 + static_cast<int>(std::log10(lead.digit));
  }
  if (std::isfinite(v) && v > 0) return static_cast<int>(std::log10(std::fabs(std::log(v))));
  const auto lead = a.leading();
  return static_cast<int>(std::log10(std::fabs(std::log(lead.digit) + lead.weight * 4 * 2.302585092994046)));
}

// log10 of a positive number, for numbers beyond double too.
double log10_of(const Numeric& a) {
  const std::string digits = a.coefficient().digits().substr(0, 17);
  const int rest = a.coefficient().digit_count() - static_cast<int>(digits.size());
  return std::log10(std::strtod(digits.c_str(), nullptr)) + rest - a.scale();
}

Result<Numeric> power_integer(const Numeric& base, std::int64_t exponent, int exponent_scale) {
  if (base.is_zero()) {
    const int scale = clamp_scale(std::max({kNumericMinSignificantDigits, base.scale(), exponent_scale}));
    if (exponent < 0) return fail(ErrorCode::kDivisionByZero, "division by zero");
    return Numeric::of_int(exponent == 0 ? 1 : 0).with_scale(scale);
  }
  const double weight = static_cast<double>(exponent) * log10_of(base.absolute());
  if (weight > kNumericMaxIntegerDigits + 4) return std::unexpected(Numeric::overflow());
  if (weight + 1 < -kNumericMaxDisplayScale) return Numeric().with_scale(kNumericMaxDisplayScale);
  const int scale = clamp_scale(std::max({kNumericMinSignificantDigits, base.scale(), exponent_scale}));
  // Enough digits that rounding every product keeps the result's last one.
  const int digits = scale + std::max(0, static_cast<int>(weight)) + 30;
  const auto shorten = [digits](Numeric n) {
    const int lead = n.coefficient().digit_count() - n.scale();
    return n.rounded(std::min(n.scale(), std::max(0, digits - std::min(lead, 0) - std::max(lead, 0))));
  };
  Numeric result = Numeric::of_int(1), square = base.absolute();
  for (std::uint64_t e = static_cast<std::uint64_t>(std::llabs(exponent)); e != 0; e >>= 1) {
    if (e & 1) {
      BOP_LET(product, Numeric::multiply(result, square));
      result = shorten(std::move(product));
    }
    if (e > 1) {
      BOP_LET(product, Numeric::multiply(square, square));
      square = shorten(std::move(product));
    }
  }
  if (exponent < 0) {
    if (result.is_zero()) return std::unexpected(Numeric::overflow());
    result = Numeric::divide_to_scale(Numeric::of_int(1), result, scale);
  }
  if (base.sign() < 0 && exponent % 2 != 0) result = result.negated();
  return result.with_scale(scale);
}

}  // namespace

Numeric numeric_sqrt_to_scale(const Numeric& a, int scale) {
  // Two digits more than asked, rounded by the exact rest: compare (2r+1)^2 with 4a.
  const int doubled = 2 * scale;
  const Magnitude x = a.scale() <= doubled ? a.coefficient().scaled_up(doubled - a.scale())
                                           : a.coefficient().scaled_down(a.scale() - doubled, false);
  Magnitude r = Magnitude::square_root(x);
  if (Magnitude::compare(Magnitude::subtract(x, Magnitude::multiply(r, r)), r) > 0)
    r = Magnitude::add(r, Magnitude(1));
  return Numeric::of_parts(false, std::move(r), scale);
}

Result<Numeric> numeric_sqrt(const Numeric& a) {
  if (a.is_nan()) return a;
  if (a.sign() < 0)
    return fail(ErrorCode::kInvalidArgumentForPower, "cannot take square root of a negative number");
  if (!a.is_finite()) return a;
  const int weight = (a.leading().weight + 1) * 4 / 2 - 1;
  const int scale = clamp_scale(std::max(kNumericMinSignificantDigits - weight, a.scale()));
  return numeric_sqrt_to_scale(a, scale);
}

Result<Numeric> numeric_exp(const Numeric& a) {
  if (a.is_nan() || a.kind() == Numeric::Kind::kInfinity) return a;
  if (!a.is_finite()) return Numeric();
  const double weight = a.to_double() * kLog10OfE;
  if (weight > kNumericMaxIntegerDigits) return std::unexpected(Numeric::overflow());
  if (weight > kMaxSeriesDigits) return too_many_digits();
  const int scale = clamp_scale(
      std::max(kNumericMinSignificantDigits - static_cast<int>(std::max(weight, -20'000.0)), a.scale()));
  if (weight < -kNumericMaxDisplayScale - 1) return Numeric().with_scale(scale);
  return exp_to_scale(a, scale);
}

Result<Numeric> numeric_ln(const Numeric& a) {
  if (a.is_nan()) return a;
  if (a.sign() < 0)
    return fail(ErrorCode::kInvalidArgumentForLog, "cannot take logarithm of a negative number");
  if (a.is_zero()) return fail(ErrorCode::kInvalidArgumentForLog, "cannot take logarithm of zero");
  if (!a.is_finite()) return a;
  return ln_to_scale(a,
                     clamp_scale(std::max(kNumericMinSignificantDigits - estimate_ln_weight(a), a.scale())));
}

Result<Numeric> numeric_log(const Numeric& base, const Numeric& a) {
  if (base.is_nan() || a.is_nan()) return Numeric::of(Numeric::Kind::kNan);
  if (base.sign() < 0 || a.sign() < 0) {
    return fail(ErrorCode::kInvalidArgumentForLog, "cannot take logarithm of a negative number");
  }
  if (base.is_zero() || a.is_zero())
    return fail(ErrorCode::kInvalidArgumentForLog, "cannot take logarithm of zero");
  if (!base.is_finite()) return a.is_finite() ? Numeric() : Numeric::of(Numeric::Kind::kNan);
  if (!a.is_finite()) return a;
  const int base_weight = estimate_ln_weight(base), a_weight = estimate_ln_weight(a);
  const int scale = clamp_scale(
      std::max({kNumericMinSignificantDigits - (a_weight - base_weight), base.scale(), a.scale()}));
  const int work = scale + std::abs(a_weight) + 2 * std::abs(base_weight) + 10;
  const Numeric divisor = ln_to_scale(base, work);
  if (divisor.is_zero()) return fail(ErrorCode::kDivisionByZero, "division by zero");
  return Numeric::divide_to_scale(ln_to_scale(a, work), divisor, scale);
}

Result<Numeric> numeric_power(const Numeric& base, const Numeric& exponent) {
  using Kind = Numeric::Kind;
  const Numeric one = Numeric::of_int(1);
  if (base.is_nan()) return exponent.is_zero() ? one : base;
  if (exponent.is_nan()) return base.is_finite() && Numeric::compare(base, one) == 0 ? one : exponent;
  if (base.is_zero() && exponent.sign() < 0) {
    return fail(ErrorCode::kInvalidArgumentForPower, "zero raised to a negative power is undefined");
  }
  if (!base.is_finite() || !exponent.is_finite()) {
    if (exponent.is_zero() || (base.is_finite() && Numeric::compare(base, one) == 0)) return one;
    if (base.is_finite()) {
      const int c = Numeric::compare(base.absolute(), one);
      if (base.is_zero()) return Numeric();
      if (c == 0) return one;
      return (c > 0) == (exponent.sign() > 0) ? Numeric::of(Kind::kInfinity) : Numeric();
    }
    if (base.sign() < 0 && exponent.is_finite() && !exponent.is_integer()) {
      return fail(ErrorCode::kInvalidArgumentForPower,
                  "a negative number raised to a non-integer power yields a complex result");
    }
    if (exponent.sign() < 0) return Numeric();
    const bool odd = exponent.is_finite() && exponent.truncated(0).coefficient().is_odd();
    return Numeric::of(base.sign() < 0 && odd ? Kind::kNegativeInfinity : Kind::kInfinity);
  }
  if (base.sign() < 0 && !exponent.is_integer()) {
    return fail(ErrorCode::kInvalidArgumentForPower,
                "a negative number raised to a non-integer power yields a complex result");
  }
  if (exponent.is_integer()) {
    if (auto e = exponent.to_int(INT32_MIN, INT32_MAX, "integer"); e) {
      return power_integer(base, *e, exponent.scale());
    }
  }
  if (base.is_zero()) return Numeric().with_scale(kNumericMinSignificantDigits);
  const Numeric magnitude = base.absolute();
  const double weight = log10_of(magnitude) * exponent.to_double();
  if (weight > kNumericMaxIntegerDigits) return std::unexpected(Numeric::overflow());
  if (weight > kMaxSeriesDigits) return too_many_digits();
  if (weight < -kNumericMaxDisplayScale - 1) return Numeric().with_scale(kNumericMaxDisplayScale);
  const int scale = clamp_scale(
      std::max({kNumericMinSignificantDigits - static_cast<int>(weight), base.scale(), exponent.scale()}));
  const int work = scale + std::abs(static_cast<int>(weight)) + 20 + exponent.coefficient().digit_count();
  BOP_LET(product, Numeric::multiply(ln_to_scale(magnitude, std::min(work, 4000)), exponent));
  Numeric r = exp_to_scale(product, scale);
  if (base.sign() < 0 && exponent.truncated(0).coefficient().is_odd()) r = r.negated();
  return r;
}

}  // namespace bop
