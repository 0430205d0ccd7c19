// numeric: exact decimal numbers with PostgreSQL's scales.
//
// A finite value is sign * coefficient * 10^-scale, where scale is the display scale (0..16383). Stored
// values are the text form, so that `parse_stored(to_text(x)) == x` and two equal numbers of one scale have
// the same bytes. Result scales follow PostgreSQL 15: sums take the larger scale, products the sum, quotients
// at least 16 significant digits counted in groups of four (`division_scale`).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "sql/types/decimal.hpp"

namespace bop {

inline constexpr int kNumericMaxScale = 16383;
inline constexpr int kNumericMaxIntegerDigits = 131072;
inline constexpr int kNumericMaxDisplayScale = 1000;
inline constexpr int kNumericMinSignificantDigits = 16;

class Numeric {
 public:
  enum class Kind : std::uint8_t { kNegativeInfinity, kFinite, kInfinity, kNan };  // in order

  Numeric() = default;
  static Numeric of_int(std::int64_t v);
  static Numeric of_int128(__int128 v);
  static Numeric of_double(double v);  // 15 significant digits
  static Numeric of_float(float v);    // 6 significant digits
  static Numeric of(Kind kind) {
    Numeric n;
    n.kind_ = kind;
    return n;
  }
  static Numeric of_parts(bool negative, Magnitude coefficient, int scale) {
    return Numeric(negative, std::move(coefficient), scale);
  }
  // Input as users write it; 22P02 or 22003.
  [[nodiscard]] static Result<Numeric> parse(std::string_view text);
  // The stored form; what is not canonical is read as far as it goes.
  [[nodiscard]] static Numeric parse_stored(std::string_view text);
  [[nodiscard]] static Result<Numeric> parse_binary(std::string_view bytes);

  [[nodiscard]] Kind kind() const noexcept { return kind_; }
  [[nodiscard]] bool is_finite() const noexcept { return kind_ == Kind::kFinite; }
  [[nodiscard]] bool is_nan() const noexcept { return kind_ == Kind::kNan; }
  [[nodiscard]] bool is_zero() const noexcept { return is_finite() && coefficient_.is_zero(); }
  [[nodiscard]] int sign() const noexcept;  // of infinities too; 0 for NaN
  [[nodiscard]] int scale() const noexcept { return scale_; }
  [[nodiscard]] const Magnitude& coefficient() const noexcept { return coefficient_; }
  [[nodiscard]] bool is_integer() const;

  [[nodiscard]] std::string to_text() const;
  void append_binary(std::string& out) const;
  [[nodiscard]] double to_double() const;
  // Rounded half away from zero; the errors name the type ("integer out of range").
  [[nodiscard]] Result<std::int64_t> to_int(std::int64_t low, std::int64_t high, std::string_view type) const;

  [[nodiscard]] Numeric negated() const;
  [[nodiscard]] Numeric absolute() const;
  [[nodiscard]] Numeric rounded(int scale) const;  // half away from zero; scale may be negative
  [[nodiscard]] Numeric truncated(int scale) const;
  [[nodiscard]] Numeric ceiling() const;
  [[nodiscard]] Numeric floor() const;
  [[nodiscard]] Numeric with_scale(int scale) const;  // rounds or adds zeros
  [[nodiscard]] int min_scale() const;

  [[nodiscard]] static int compare(const Numeric& a, const Numeric& b) noexcept;
  // Same as compare(parse_stored(a), parse_stored(b)), without building numbers.
  [[nodiscard]] static int compare_stored(std::string_view a, std::string_view b) noexcept;
  [[nodiscard]] static Result<Numeric> add(const Numeric& a, const Numeric& b);
  [[nodiscard]] static Result<Numeric> subtract(const Numeric& a, const Numeric& b);
  [[nodiscard]] static Result<Numeric> multiply(const Numeric& a, const Numeric& b);
  [[nodiscard]] static Result<Numeric> divide(const Numeric& a, const Numeric& b);
  [[nodiscard]] static Result<Numeric> divide_integral(const Numeric& a, const Numeric& b);  // div()
  [[nodiscard]] static Result<Numeric> modulo(const Numeric& a, const Numeric& b);
  [[nodiscard]] static Numeric divide_to_scale(const Numeric& a, const Numeric& b, int scale);
  [[nodiscard]] static int division_scale(const Numeric& a, const Numeric& b);

  // Position and value of the leading group of four decimal digits, as PostgreSQL groups them around the
  // point.
  struct Leading {
    int weight, digit;
  };
  [[nodiscard]] Leading leading() const;
  [[nodiscard]] static Error overflow();

 private:
  Numeric(bool negative, Magnitude coefficient, int scale)
      : negative_(negative && !coefficient.is_zero()), scale_(scale), coefficient_(std::move(coefficient)) {}
  [[nodiscard]] Result<Numeric> checked() &&;

  Kind kind_ = Kind::kFinite;
  bool negative_ = false;
  int scale_ = 0;
  Magnitude coefficient_;
};

// sqrt, exp, ln, log and power with PostgreSQL's result scales (numeric_math.cpp).
[[nodiscard]] Result<Numeric> numeric_sqrt(const Numeric& a);
[[nodiscard]] Numeric numeric_sqrt_to_scale(const Numeric& a, int scale);
[[nodiscard]] Result<Numeric> numeric_exp(const Numeric& a);
[[nodiscard]] Result<Numeric> numeric_ln(const Numeric& a);
[[nodiscard]] Result<Numeric> numeric_log(const Numeric& base, const Numeric& a);
[[nodiscard]] Result<Numeric> numeric_power(const Numeric& base, const Numeric& exponent);

}  // namespace bop
