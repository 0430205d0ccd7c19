#include "sql/types/numeric.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "sql/types/bytes.hpp"

namespace bop {
namespace {

int floor_div(int a, int b) { return a >= 0 ? a / b : -((-a + b - 1) / b); }

bool equals_ignoring_case(std::string_view a, std::string_view lower) {
  return std::ranges::equal(a, lower,
                            [](char x, char y) { return (x >= 'A' && x <= 'Z' ? x + 32 : x) == y; });
}

Error bad_syntax(std::string_view text) {
  return error(ErrorCode::kInvalidTextRepresentation, "invalid input syntax for type numeric: \"{}\"", text);
}

Error division_by_zero() { return {ErrorCode::kDivisionByZero, "division by zero"}; }

}  // namespace

Error Numeric::overflow() { return {ErrorCode::kNumericOutOfRange, "value overflows numeric format"}; }

Numeric Numeric::of_int(std::int64_t v) {
  const std::uint64_t m = v < 0 ? 0 - static_cast<std::uint64_t>(v) : static_cast<std::uint64_t>(v);
  return Numeric(v < 0, Magnitude(m), 0);
}

Numeric Numeric::of_int128(__int128 v) {
  const bool negative = v < 0;
  unsigned __int128 m = negative ? -static_cast<unsigned __int128>(v) : static_cast<unsigned __int128>(v);
  std::string digits;
  for (; m != 0; m /= 10) digits += static_cast<char>('0' + static_cast<int>(m % 10));
  std::ranges::reverse(digits);
  return Numeric(negative, Magnitude::of_digits(digits), 0);
}

namespace {
Numeric of_floating(double v, int digits) {
  if (std::isnan(v)) return Numeric::of(Numeric::Kind::kNan);
  if (std::isinf(v)) return Numeric::of(v < 0 ? Numeric::Kind::kNegativeInfinity : Numeric::Kind::kInfinity);
  auto parsed = Numeric::parse(fmt::format("{:.{}g}", v, digits));
  return parsed ? *std::move(parsed) : Numeric();
}
}  // namespace
Numeric Numeric::of_double(double v) { return of_floating(v, 15); }
Numeric Numeric::of_float(float v) { return of_floating(v, 6); }

Result<Numeric> Numeric::checked() && {
  if (is_finite() && coefficient_.digit_count() - scale_ > kNumericMaxIntegerDigits) {
    return std::unexpected(overflow());
  }
  return std::move(*this);
}

Result<Numeric> Numeric::parse(std::string_view text) {
  const std::string_view s = trim_space(text);
  std::size_t i = 0;
  bool negative = false;
  if (i < s.size() && (s[i] == '+' || s[i] == '-')) negative = s[i++] == '-';
  const std::string_view word = s.substr(i);
  if (i == 0 && equals_ignoring_case(word, "nan")) return of(Kind::kNan);
  if (equals_ignoring_case(word, "inf") || equals_ignoring_case(word, "infinity")) {
    return of(negative ? Kind::kNegativeInfinity : Kind::kInfinity);
  }
  std::string digits;
  std::int64_t scale = 0;
  bool any = false, point = false;
  for (; i < s.size(); ++i) {
    if (s[i] >= '0' && s[i] <= '9') {
      digits += s[i];
      any = true;
      if (point) ++scale;
    } else if (s[i] == '.' && !point) {
      point = true;
    } else {
      break;
    }
  }
  if (!any) return std::unexpected(bad_syntax(text));
  std::int64_t shown = scale;
  if (i < s.size() && (s[i] == 'e' || s[i] == 'E')) {
    ++i;
    bool minus = false;
    if (i < s.size() && (s[i] == '+' || s[i] == '-')) minus = s[i++] == '-';
    if (i >= s.size()) return std::unexpected(bad_syntax(text));
    std::int64_t exponent = 0;
    for (; i < s.size() && s[i] >= '0' && s[i] <= '9'; ++i) {
      exponent = std::min<std::int64_t>(exponent * 10 + (s[i] - '0'), INT32_MAX);
    }
    if (exponent >= INT32_MAX / 2) return std::unexpected(bad_syntax(text));
    scale -= minus ? -exponent : exponent;
    shown = std::max<std::int64_t>(scale, 0);
  }
  if (i != s.size()) return std::unexpected(bad_syntax(text));
  const std::size_t first = std::min(digits.find_first_not_of('0'), digits.size());
  const std::int64_t integer_digits = static_cast<std::int64_t>(digits.size() - first) - scale;
  if (shown > kNumericMaxScale || (first != digits.size() && integer_digits > kNumericMaxIntegerDigits)) {
    return std::unexpected(overflow());
  }
  Magnitude m = Magnitude::of_digits(std::string_view(digits).substr(first));
  if (scale < 0 && !m.is_zero()) m = m.scaled_up(static_cast<int>(-scale));
  return Numeric(negative, std::move(m), static_cast<int>(shown));
}

Numeric Numeric::parse_stored(std::string_view text) {
  auto parsed = parse(text);
  return parsed ? *std::move(parsed) : of(Kind::kNan);
}

int Numeric::sign() const noexcept {
  switch (kind_) {
    case Kind::kNegativeInfinity: return -1;
    case Kind::kInfinity: return 1;
    case Kind::kNan: return 0;
    case Kind::kFinite: break;
  }
  return coefficient_.is_zero() ? 0 : (negative_ ? -1 : 1);
}

std::string Numeric::to_text() const {
  switch (kind_) {
    case Kind::kNegativeInfinity: return "-Infinity";
    case Kind::kInfinity: return "Infinity";
    case Kind::kNan: return "NaN";
    case Kind::kFinite: break;
  }
  std::string digits = coefficient_.digits();
  const auto scale = static_cast<std::size_t>(scale_);
  if (digits.size() <= scale) digits.insert(0, scale + 1 - digits.size(), '0');
  if (scale > 0) digits.insert(digits.size() - scale, 1, '.');
  if (negative_) digits.insert(0, 1, '-');
  return digits;
}

double Numeric::to_double() const {
  switch (kind_) {
    case Kind::kNegativeInfinity: return -HUGE_VAL;
    case Kind::kInfinity: return HUGE_VAL;
    case Kind::kNan: return NAN;
    case Kind::kFinite: break;
  }
  return std::strtod(to_text().c_str(), nullptr);
}

Result<std::int64_t> Numeric::to_int(std::int64_t low, std::int64_t high, std::string_view type) const {
  if (is_nan()) return fail(ErrorCode::kNotImplemented, "cannot convert NaN to {}", type);
  if (!is_finite()) return fail(ErrorCode::kNotImplemented, "cannot convert infinity to {}", type);
  const Magnitude m = coefficient_.scaled_down(scale_, true);
  std::uint64_t v = 0;
  const std::uint64_t limit =
      negative_ ? 0 - static_cast<std::uint64_t>(low) : static_cast<std::uint64_t>(high);
  if (!m.fits_u64(v) || v > limit) return fail(ErrorCode::kNumericOutOfRange, "{} out of range", type);
  return negative_ ? static_cast<std::int64_t>(0 - v) : static_cast<std::int64_t>(v);
}

bool Numeric::is_integer() const { return is_finite() && min_scale() == 0; }

int Numeric::min_scale() const {
  if (!is_finite() || scale_ == 0 || coefficient_.is_zero()) return 0;
  const std::string digits = coefficient_.digits();
  const int zeros = static_cast<int>(digits.size() - 1 - digits.find_last_not_of('0'));
  return std::max(0, scale_ - zeros);
}

Numeric Numeric::negated() const {
  Numeric r = *this;
  if (kind_ == Kind::kInfinity) r.kind_ = Kind::kNegativeInfinity;
  if (kind_ == Kind::kNegativeInfinity) r.kind_ = Kind::kInfinity;
  r.negative_ = !negative_ && !coefficient_.is_zero();
  return r;
}

Numeric Numeric::absolute() const { return sign() < 0 ? negated() : *this; }

Numeric Numeric::rounded(int scale) const {
  if (!is_finite()) return *this;
  scale = std::clamp(scale, -kNumericMaxIntegerDigits, kNumericMaxScale);
  if (scale >= scale_) return Numeric(negative_, coefficient_.scaled_up(scale - scale_), scale);
  Magnitude m = coefficient_.scaled_down(scale_ - scale, true);
  return Numeric(negative_, scale < 0 ? m.scaled_up(-scale) : std::move(m), std::max(scale, 0));
}

Numeric Numeric::with_scale(int scale) const { return rounded(std::max(scale, 0)); }

Numeric Numeric::truncated(int scale) const {
  if (!is_finite()) return *this;
  scale = std::clamp(scale, -kNumericMaxIntegerDigits, kNumericMaxScale);
  if (scale >= scale_) return Numeric(negative_, coefficient_.scaled_up(scale - scale_), scale);
  Magnitude m = coefficient_.scaled_down(scale_ - scale, false);
  return Numeric(negative_, scale < 0 ? m.scaled_up(-scale) : std::move(m), std::max(scale, 0));
}

Numeric Numeric::ceiling() const {
  if (!is_finite()) return *this;
  Numeric t = truncated(0);
  if (!negative_ && compare(t, *this) != 0) t.coefficient_ = Magnitude::add(t.coefficient_, Magnitude(1));
  return t;
}

Numeric Numeric::floor() const { return negated().ceiling().negated(); }

int Numeric::compare(const Numeric& a, const Numeric& b) noexcept {
  if (a.kind_ != b.kind_) return a.kind_ < b.kind_ ? -1 : 1;
  if (!a.is_finite()) return 0;
  if (a.sign() != b.sign()) return a.sign() < b.sign() ? -1 : 1;
  const int scale = std::max(a.scale_, b.scale_);
  const int c = Magnitude::compare(a.coefficient_.scaled_up(scale - a.scale_),
                                   b.coefficient_.scaled_up(scale - b.scale_));
  return a.negative_ ? -c : c;
}

int Numeric::compare_stored(std::string_view a, std::string_view b) noexcept {
  const auto rank = [](std::string_view s) {  // -Infinity 0, finite 1, Infinity 2, NaN 3
    if (s.empty()) return 1;
    if (s[0] == 'I') return 2;
    if (s[0] == 'N') return 3;
    return s.size() > 1 && s[1] == 'I' ? 0 : 1;
  };
  const int ra = rank(a), rb = rank(b);
  if (ra != rb || ra != 1) return ra < rb ? -1 : (ra > rb ? 1 : 0);
  const bool na = !a.empty() && a[0] == '-', nb = !b.empty() && b[0] == '-';
  if (na != nb) return na ? -1 : 1;
  if (na) a.remove_prefix(1), b.remove_prefix(1);
  const int flip = na ? -1 : 1;
  const std::size_t pa = std::min(a.find('.'), a.size()), pb = std::min(b.find('.'), b.size());
  if (pa != pb) return pa < pb ? -flip : flip;
  const std::size_t common = std::min(a.size(), b.size());
  if (const int c = std::memcmp(a.data(), b.data(), common); c != 0) return c < 0 ? -flip : flip;
  const bool more_a = a.find_first_not_of("0.", common) != a.npos;
  const bool more_b = b.find_first_not_of("0.", common) != b.npos;
  return more_a == more_b ? 0 : (more_a ? flip : -flip);
}

Result<Numeric> Numeric::add(const Numeric& a, const Numeric& b) {
  if (!a.is_finite() || !b.is_finite()) {
    if (a.is_nan() || b.is_nan()) return of(Kind::kNan);
    if (a.is_finite()) return b;
    if (b.is_finite() || a.kind_ == b.kind_) return a;
    return of(Kind::kNan);
  }
  const int scale = std::max(a.scale_, b.scale_);
  const Magnitude x = a.coefficient_.scaled_up(scale - a.scale_),
                  y = b.coefficient_.scaled_up(scale - b.scale_);
  if (a.negative_ == b.negative_) return Numeric(a.negative_, Magnitude::add(x, y), scale).checked();
  if (Magnitude::compare(x, y) >= 0) return Numeric(a.negative_, Magnitude::subtract(x, y), scale);
  return Numeric(b.negative_, Magnitude::subtract(y, x), scale);
}

Result<Numeric> Numeric::subtract(const Numeric& a, const Numeric& b) { return add(a, b.negated()); }

Result<Numeric> Numeric::multiply(const Numeric& a, const Numeric& b) {
  if (!a.is_finite() || !b.is_finite()) {
    const int sign = a.sign() * b.sign();
    if (sign == 0) return of(Kind::kNan);
    return of(sign > 0 ? Kind::kInfinity : Kind::kNegativeInfinity);
  }
  Numeric r(a.negative_ != b.negative_, Magnitude::multiply(a.coefficient_, b.coefficient_),
            a.scale_ + b.scale_);
  if (r.scale_ > kNumericMaxScale) r = r.rounded(kNumericMaxScale);
  return std::move(r).checked();
}

Numeric::Leading Numeric::leading() const {
  if (coefficient_.is_zero()) return {0, 0};
  const std::string digits = coefficient_.digits();
  const int exponent = static_cast<int>(digits.size()) - 1 - scale_;  // of the first digit
  const int weight = floor_div(exponent, 4);
  int digit = 0;
  for (int i = 0; i <= exponent - weight * 4; ++i) {
    digit =
        digit * 10 + (i < static_cast<int>(digits.size()) ? digits[static_cast<std::size_t>(i)] - '0' : 0);
  }
  return {weight, digit};
}

int Numeric::division_scale(const Numeric& a, const Numeric& b) {
  const Leading x = a.leading(), y = b.leading();
  int weight = x.weight - y.weight;
  if (x.digit <= y.digit) --weight;
  int scale = kNumericMinSignificantDigits - weight * 4;
  scale = std::max({scale, a.scale_, b.scale_, 0});
  return std::min(scale, kNumericMaxDisplayScale);
}

Numeric Numeric::divide_to_scale(const Numeric& a, const Numeric& b, int scale) {
  // a/b = (ca / cb) * 10^(sb - sa); one digit more than asked would not do, so the rest decides the rounding.
  const int shift = scale + b.scale_ - a.scale_;
  const Magnitude x = shift >= 0 ? a.coefficient_.scaled_up(shift) : a.coefficient_;
  const Magnitude y = shift >= 0 ? b.coefficient_ : b.coefficient_.scaled_up(-shift);
  Magnitude rest;
  Magnitude q = Magnitude::divide(x, y, &rest);
  if (Magnitude::compare(Magnitude::add(rest, rest), y) >= 0) q = Magnitude::add(q, Magnitude(1));
  return Numeric(a.negative_ != b.negative_, std::move(q), scale);
}

Result<Numeric> Numeric::divide(const Numeric& a, const Numeric& b) {
  if (!a.is_finite() || !b.is_finite()) {
    if (a.is_nan() || b.is_nan()) return of(Kind::kNan);
    if (a.is_finite()) return Numeric();
    if (!b.is_finite()) return of(Kind::kNan);
    if (b.is_zero()) return std::unexpected(division_by_zero());
    return of(a.sign() * b.sign() > 0 ? Kind::kInfinity : Kind::kNegativeInfinity);
  }
  if (b.is_zero()) return std::unexpected(division_by_zero());
  return divide_to_scale(a, b, division_scale(a, b)).checked();
}

Result<Numeric> Numeric::divide_integral(const Numeric& a, const Numeric& b) {
  if (!a.is_finite() || !b.is_finite()) return divide(a, b);
  if (b.is_zero()) return std::unexpected(division_by_zero());
  const int scale = std::max(a.scale_, b.scale_);
  Magnitude q = Magnitude::divide(a.coefficient_.scaled_up(scale - a.scale_),
                                  b.coefficient_.scaled_up(scale - b.scale_));
  return Numeric(a.negative_ != b.negative_, std::move(q), 0).checked();
}

Result<Numeric> Numeric::modulo(const Numeric& a, const Numeric& b) {
  if (!a.is_finite() || !b.is_finite()) {
    if (a.is_nan() || b.is_nan()) return of(Kind::kNan);
    if (!a.is_finite()) {
      if (b.is_zero()) return std::unexpected(division_by_zero());
      return of(Kind::kNan);
    }
    return a;
  }
  if (b.is_zero()) return std::unexpected(division_by_zero());
  const int scale = std::max(a.scale_, b.scale_);
  Magnitude rest;
  (void)Magnitude::divide(a.coefficient_.scaled_up(scale - a.scale_),
                          b.coefficient_.scaled_up(scale - b.scale_), &rest);
  return Numeric(a.negative_, std::move(rest), scale);
}

}  // namespace bop
