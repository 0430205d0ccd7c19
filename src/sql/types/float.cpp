#include "sql/types/float.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <optional>

#include "sql/types/bytes.hpp"

namespace bop {
namespace {

template <class T>
Result<T> parse(std::string_view text, std::string_view type) {
  const std::string_view s = trim_space(text);
  const auto syntax = [&] {
    return fail(ErrorCode::kInvalidTextRepresentation, "invalid input syntax for type {}: \"{}\"", type,
                text);
  };
  if (s.empty()) return syntax();
  const bool minus = s[0] == '-';
  const std::string_view body = s[0] == '-' || s[0] == '+' ? s.substr(1) : s;
  const std::string word = lower_ascii(body);
  if (word == "nan" && body.size() == s.size()) return static_cast<T>(NAN);
  if (word == "inf" || word == "infinity") return static_cast<T>(minus ? -HUGE_VAL : HUGE_VAL);
  if (body.empty() || !(is_digit(body[0]) || body[0] == '.')) return syntax();
  const std::string copy(s);
  char* end = nullptr;
  T v = 0;
  if constexpr (sizeof(T) == 4)
    v = std::strtof(copy.c_str(), &end);
  else
    v = std::strtod(copy.c_str(), &end);
  if (end != copy.c_str() + copy.size()) return syntax();
  const bool zero_digits = body.substr(0, std::min(body.find_first_of("eEpP"), body.size()))
                               .find_first_of("123456789abcdfABCDF") == std::string_view::npos;
  if (std::isinf(v) || (v == 0 && !zero_digits)) {
    return fail(ErrorCode::kNumericOutOfRange, "\"{}\" is out of range for type {}", s, type);
  }
  return v;
}

template <class T>
void append_shortest(T v, std::string& out) {
  if (std::isnan(v)) {
    out += "NaN";
    return;
  }
  if (std::isinf(v)) {
    out += v < 0 ? "-Infinity" : "Infinity";
    return;
  }
  if (v == 0) {
    out += std::signbit(v) ? "-0" : "0";
    return;
  }
  char buffer[64];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, v, std::chars_format::scientific).ptr;
  // "[-]d.ddde[+-]xx": take digits and exponent apart and choose the form as PostgreSQL does.
  std::string_view s(buffer, static_cast<std::size_t>(end - buffer));
  if (s[0] == '-') {
    out += '-';
    s.remove_prefix(1);
  }
  const std::size_t e = s.find('e');
  int exponent = 0;
  std::from_chars(s.data() + e + (s[e + 1] == '+' ? 2 : 1), s.data() + s.size(), exponent);
  std::string digits(1, s[0]);
  if (e > 2) digits += s.substr(2, e - 2);
  const int limit = sizeof(T) == 4 ? 6 : 15;
  if (exponent < -4 || exponent >= limit) {
    out += digits[0];
    if (digits.size() > 1) {
      out += '.';
      out.append(digits, 1);
    }
    out += 'e';
    out += exponent < 0 ? '-' : '+';
    const int a = std::abs(exponent);
    if (a < 10) out += '0';
    out += std::to_string(a);
  } else if (exponent < 0) {
    out += "0.";
    out.append(static_cast<std::size_t>(-exponent - 1), '0');
    out += digits;
  } else {
    const auto integer = static_cast<std::size_t>(exponent) + 1;
    if (digits.size() <= integer) {
      out += digits;
      out.append(integer - digits.size(), '0');
    } else {
      out.append(digits, 0, integer);
      out += '.';
      out.append(digits, integer);
    }
  }
}

// extra_float_digits <= 0: %g with that many digits fewer than the type holds for sure.
void append_rounded(double v, int digits, std::string& out) {
  if (std::isnan(v))
    out += "NaN";
  else if (std::isinf(v))
    out += v < 0 ? "-Infinity" : "Infinity";
  else
    out += fmt::format("{:.{}g}", v, std::max(digits, 1));
}

}  // namespace

Result<double> parse_float8(std::string_view text) { return parse<double>(text, "double precision"); }
Result<float> parse_float4(std::string_view text) { return parse<float>(text, "real"); }

void append_float8(double v, int extra, std::string& out) {
  if (extra > 0)
    append_shortest(v, out);
  else
    append_rounded(v, 15 + extra, out);
}
void append_float4(float v, int extra, std::string& out) {
  if (extra > 0)
    append_shortest(v, out);
  else
    append_rounded(v, 6 + extra, out);
}

}  // namespace bop
