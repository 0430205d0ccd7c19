// Magnitudes: natural numbers of any size in base 10^9, the integer arithmetic under Numeric.
// Limbs are little-endian without leading zeros; zero has none.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bop {

class Magnitude {
 public:
  static constexpr std::uint32_t kBase = 1'000'000'000;
  Magnitude() = default;
  explicit Magnitude(std::uint64_t v);
  static Magnitude of_digits(std::string_view decimal_digits);  // digits only
  static Magnitude power_of_ten(int exponent);

  [[nodiscard]] bool is_zero() const noexcept { return limbs_.empty(); }
  [[nodiscard]] bool is_odd() const noexcept { return !limbs_.empty() && (limbs_[0] & 1) != 0; }
  [[nodiscard]] int digit_count() const noexcept;  // 0 for zero
  void append_digits(std::string& out) const;      // "0" for zero
  [[nodiscard]] std::string digits() const {
    std::string s;
    append_digits(s);
    return s;
  }
  [[nodiscard]] bool fits_u64(std::uint64_t& out) const noexcept;

  [[nodiscard]] static int compare(const Magnitude& a, const Magnitude& b) noexcept;
  [[nodiscard]] static Magnitude add(const Magnitude& a, const Magnitude& b);
  [[nodiscard]] static Magnitude subtract(const Magnitude& a, const Magnitude& b);  // a >= b
  [[nodiscard]] static Magnitude multiply(const Magnitude& a, const Magnitude& b);
  // Quotient, truncated; the divisor is not zero.
  [[nodiscard]] static Magnitude divide(const Magnitude& a, const Magnitude& b,
                                        Magnitude* remainder = nullptr);
  [[nodiscard]] static Magnitude square_root(const Magnitude& a);  // floor
  // Times 10^exponent.
  [[nodiscard]] Magnitude scaled_up(int exponent) const;
  // Divided by 10^exponent, truncated, or rounded half up.
  [[nodiscard]] Magnitude scaled_down(int exponent, bool round) const;

 private:
  void trim();
  std::vector<std::uint32_t> limbs_;
};

}  // namespace bop
