// The binary form of numeric: int16 each of count, weight, sign and display scale, then `count` groups of
// four decimal digits (0..9999), the first worth 10000^weight. Sign: 0 plus, 0x4000 minus, 0xC000 NaN, 0xD000
// Infinity, 0xF000 -Infinity.
#include <algorithm>

#include "sql/types/bytes.hpp"
#include "sql/types/numeric.hpp"

namespace bop {
namespace {
constexpr std::uint16_t kMinus = 0x4000, kNan = 0xC000, kInfinity = 0xD000, kNegativeInfinity = 0xF000;
Error bad(std::string_view what) {
  return error(ErrorCode::kInvalidBinaryRepresentation, "invalid {} in external \"numeric\" value", what);
}
}  // namespace

void Numeric::append_binary(std::string& out) const {
  if (!is_finite()) {
    put_be<std::int16_t>(out, 0);
    put_be<std::int16_t>(out, 0);
    put_be<std::uint16_t>(out, is_nan() ? kNan : kind_ == Kind::kInfinity ? kInfinity : kNegativeInfinity);
    put_be<std::int16_t>(out, 0);
    return;
  }
  std::string digits = is_zero() ? "" : coefficient_.digits();
  const int weight = leading().weight;
  if (!digits.empty()) {
    const int exponent = static_cast<int>(digits.size()) - 1 - scale_;
    digits.insert(0, static_cast<std::size_t>(3 - (exponent - weight * 4)), '0');
    digits.append((4 - digits.size() % 4) % 4, '0');
    while (digits.size() >= 4 && digits.ends_with("0000")) digits.resize(digits.size() - 4);
  }
  put_be<std::int16_t>(out, static_cast<std::int16_t>(digits.size() / 4));
  put_be<std::int16_t>(out, static_cast<std::int16_t>(weight));
  put_be<std::uint16_t>(out, negative_ ? kMinus : 0);
  put_be<std::int16_t>(out, static_cast<std::int16_t>(scale_));
  for (std::size_t i = 0; i < digits.size(); i += 4) {
    put_be<std::int16_t>(out,
                         static_cast<std::int16_t>((digits[i] - '0') * 1000 + (digits[i + 1] - '0') * 100 +
                                                   (digits[i + 2] - '0') * 10 + (digits[i + 3] - '0')));
  }
}

Result<Numeric> Numeric::parse_binary(std::string_view in) {
  const auto count = take_be<std::uint16_t>(in);
  const auto weight = take_be<std::int16_t>(in);
  const auto sign = take_be<std::uint16_t>(in);
  const auto scale = take_be<std::uint16_t>(in);
  if (!scale) return fail(ErrorCode::kProtocolViolation, "insufficient data left in message");
  if (*sign == kNan) return of(Kind::kNan);
  if (*sign == kInfinity) return of(Kind::kInfinity);
  if (*sign == kNegativeInfinity) return of(Kind::kNegativeInfinity);
  if (*sign != 0 && *sign != kMinus) return std::unexpected(bad("sign"));
  if ((*scale & 0x3fff) != *scale) return std::unexpected(bad("scale"));
  std::string digits;
  for (int i = 0; i < *count; ++i) {
    const auto group = take_be<std::int16_t>(in);
    if (!group) return fail(ErrorCode::kProtocolViolation, "insufficient data left in message");
    if (*group < 0 || *group > 9999) return std::unexpected(bad("digit"));
    fmt::format_to(std::back_inserter(digits), "{:04}", *group);
  }
  if (!in.empty()) return fail(ErrorCode::kInvalidBinaryRepresentation, "incorrect binary data format");
  // The groups give 4 * (count - 1 - weight) decimals; the display scale then cuts, as PostgreSQL does.
  const int decimals = 4 * (static_cast<int>(*count) - 1 - *weight);
  Magnitude m = Magnitude::of_digits(digits);
  if (decimals < 0) m = m.scaled_up(-decimals);
  Numeric n(*sign == kMinus, std::move(m), std::max(decimals, 0));
  return n.truncated(*scale).checked();
}

}  // namespace bop
