// float4 and float8: text as PostgreSQL writes it (shortest digits that read back the same, exponents of two
// digits).
#pragma once

#include <string>
#include <string_view>

#include "base/error.hpp"
#include "sql/types/value.hpp"

namespace bop {

// Stored values: REAL, but NaN is the text 'NaN' because SQLite makes NULL of a NaN and because text sorts
// above every REAL, as NaN does in PostgreSQL.
[[nodiscard]] inline double float_of(const Value& v) {
  if (v.kind == Value::Kind::kReal) return v.real;
  if (v.kind == Value::Kind::kInt) return static_cast<double>(v.integer);
  return __builtin_nan("");
}
[[nodiscard]] inline OwnedValue stored_float(double v) {
  return v != v ? OwnedValue::of_text("NaN") : OwnedValue::of_real(v);
}

[[nodiscard]] Result<double> parse_float8(std::string_view text);
[[nodiscard]] Result<float> parse_float4(std::string_view text);
void append_float8(double v, int extra_float_digits, std::string& out);
void append_float4(float v, int extra_float_digits, std::string& out);

}  // namespace bop
