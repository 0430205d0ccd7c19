#include <algorithm>

#include "sql/functions/registry.hpp"
#include "sql/types/numeric.hpp"

namespace bop {
namespace {

Numeric number(Call& c, std::size_t i) { return Numeric::parse_stored(c.text(i)); }
Returned stored(const Result<Numeric>& n) {
  if (!n) return std::unexpected(n.error());
  return OwnedValue::of_text(n->to_text());
}

using Binary = Result<Numeric> (*)(const Numeric&, const Numeric&);
Implementation binary(std::string key, Binary f) {
  return scalar(std::move(key), [f](Call& c) { return stored(f(number(c, 0), number(c, 1))); });
}
using Unary = Result<Numeric> (*)(const Numeric&);
Implementation unary(std::string key, Unary f) {
  return scalar(std::move(key), [f](Call& c) { return stored(f(number(c, 0))); });
}

int scale_argument(Call& c) {
  return c.size() > 1 ? static_cast<int>(std::clamp<std::int64_t>(c.integer(1), -140000, 140000)) : 0;
}

Result<Numeric> gcd(const Numeric& a, const Numeric& b) {
  if (!a.is_finite() || !b.is_finite()) return Numeric::of(Numeric::Kind::kNan);
  const int scale = std::max(a.scale(), b.scale());
  Numeric x = a.absolute(), y = b.absolute();
  while (!y.is_zero()) {
    BOP_LET(rest, Numeric::modulo(x, y));
    x = std::move(y);
    y = std::move(rest);
  }
  return x.with_scale(scale);
}

Result<Numeric> lcm(const Numeric& a, const Numeric& b) {
  if (!a.is_finite() || !b.is_finite()) return Numeric::of(Numeric::Kind::kNan);
  const int scale = std::max(a.scale(), b.scale());
  if (a.is_zero() || b.is_zero()) return Numeric().with_scale(scale);
  BOP_LET(divisor, gcd(a, b));
  BOP_LET(quotient, Numeric::divide_integral(a, divisor));
  BOP_LET(product, Numeric::multiply(quotient, b));
  return product.absolute().with_scale(scale);
}

Returned width_bucket(Call& c) {
  const Numeric operand = number(c, 0), low = number(c, 1), high = number(c, 2);
  const std::int64_t count = c.integer(3);
  const auto bad = [](std::string_view what) {
    return fail(ErrorCode::kInvalidWidthBucketArgument, "{}", what);
  };
  if (count <= 0) return bad("count must be greater than zero");
  if (operand.is_nan() || low.is_nan() || high.is_nan())
    return bad("operand, lower bound, and upper bound cannot be NaN");
  if (!low.is_finite() || !high.is_finite()) return bad("lower and upper bounds must be finite");
  const int order = Numeric::compare(low, high);
  if (order == 0) return bad("lower bound cannot equal upper bound");
  const Numeric& first = low;
  const int below = Numeric::compare(operand, first) * (order < 0 ? 1 : -1);
  const int above = Numeric::compare(operand, high) * (order < 0 ? 1 : -1);
  if (below < 0) return OwnedValue::of_int(0);
  if (above >= 0)
    return count >= INT32_MAX ? Returned(fail(ErrorCode::kNumericOutOfRange, "integer out of range"))
                              : OwnedValue::of_int(count + 1);
  BOP_LET(offset, Numeric::subtract(operand, low));
  BOP_LET(span, Numeric::subtract(high, low));
  BOP_LET(scaled, Numeric::multiply(offset, Numeric::of_int(count)));
  BOP_LET(bucket, Numeric::divide_integral(scaled, span));
  BOP_LET(i, bucket.to_int(0, INT32_MAX, "integer"));
  return OwnedValue::of_int(i + 1);
}

Returned factorial(Call& c) {
  const std::int64_t n = c.integer(0);
  if (n < 0) return fail(ErrorCode::kNumericOutOfRange, "factorial of a negative number is undefined");
  if (n > 32177) return std::unexpected(Numeric::overflow());
  Magnitude m(1);
  for (std::int64_t i = 2; i <= n; ++i) {
    if (i % 1000 == 0) BOP_TRY(interrupted(c.context));
    m = Magnitude::multiply(m, Magnitude(static_cast<std::uint64_t>(i)));
  }
  return OwnedValue::of_text(Numeric::of_parts(false, std::move(m), 0).to_text());
}

}  // namespace

void add_numeric_functions(Implementations& all) {
  all.push_back(binary("numeric_add", Numeric::add));
  all.push_back(binary("numeric_sub", Numeric::subtract));
  all.push_back(binary("numeric_mul", Numeric::multiply));
  all.push_back(binary("numeric_div", Numeric::divide));
  all.push_back(binary("numeric_div_trunc", Numeric::divide_integral));
  all.push_back(binary("numeric_mod", Numeric::modulo));
  all.push_back(binary("numeric_power", numeric_power));
  all.push_back(binary("numeric_log", numeric_log));
  all.push_back(binary("numeric_gcd", gcd));
  all.push_back(binary("numeric_lcm", lcm));
  all.push_back(unary("numeric_uminus", [](const Numeric& a) -> Result<Numeric> { return a.negated(); }));
  all.push_back(native("numeric_uplus", "({0})"));
  all.push_back(unary("numeric_abs", [](const Numeric& a) -> Result<Numeric> { return a.absolute(); }));
  all.push_back(unary("numeric_ceil", [](const Numeric& a) -> Result<Numeric> { return a.ceiling(); }));
  all.push_back(unary("numeric_floor", [](const Numeric& a) -> Result<Numeric> { return a.floor(); }));
  all.push_back(unary("numeric_sign", [](const Numeric& a) -> Result<Numeric> {
    return a.is_nan() ? a : Numeric::of_int(a.sign());
  }));
  all.push_back(unary("numeric_sqrt", numeric_sqrt));
  all.push_back(unary("numeric_exp", numeric_exp));
  all.push_back(unary("numeric_ln", numeric_ln));
  all.push_back(
      scalar("numeric_round", [](Call& c) { return stored(number(c, 0).rounded(scale_argument(c))); }));
  all.push_back(
      scalar("numeric_trunc", [](Call& c) { return stored(number(c, 0).truncated(scale_argument(c))); }));
  // Functions that PostgreSQL writes in SQL over the ones above.
  all.push_back(scalar("round(numeric)", [](Call& c) { return stored(number(c, 0).rounded(0)); }));
  all.push_back(scalar("trunc(numeric)", [](Call& c) { return stored(number(c, 0).truncated(0)); }));
  all.push_back(
      scalar("log(numeric)", [](Call& c) { return stored(numeric_log(Numeric::of_int(10), number(c, 0))); }));
  all.push_back(scalar("log10(numeric)",
                       [](Call& c) { return stored(numeric_log(Numeric::of_int(10), number(c, 0))); }));
  all.push_back(scalar("numeric_scale", [](Call& c) -> Returned {
    const Numeric n = number(c, 0);
    if (!n.is_finite()) return OwnedValue::null();
    return OwnedValue::of_int(n.scale());
  }));
  all.push_back(scalar("numeric_min_scale", [](Call& c) -> Returned {
    const Numeric n = number(c, 0);
    if (!n.is_finite()) return OwnedValue::null();
    return OwnedValue::of_int(n.min_scale());
  }));
  all.push_back(scalar("numeric_trim_scale", [](Call& c) -> Returned {
    const Numeric n = number(c, 0);
    return stored(n.is_finite() ? n.truncated(n.min_scale()) : n);
  }));
  all.push_back(scalar("width_bucket_numeric", width_bucket));
  all.push_back(scalar("numeric_fac", factorial));
  all.push_back(scalar("numeric_larger", [](Call& c) -> Returned {
    return OwnedValue(Numeric::compare_stored(c.text(0), c.text(1)) > 0 ? c[0] : c[1]);
  }));
  all.push_back(scalar("numeric_smaller", [](Call& c) -> Returned {
    return OwnedValue(Numeric::compare_stored(c.text(0), c.text(1)) < 0 ? c[0] : c[1]);
  }));
}

}  // namespace bop
