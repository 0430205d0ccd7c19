#include <bit>
#include <cmath>
#include <numbers>

#include "base/time.hpp"
#include "sql/functions/registry.hpp"
#include "sql/types/float.hpp"

namespace bop {
namespace {

double arg(Call& c, std::size_t i) { return float_of(c[i]); }

Error overflow() { return {ErrorCode::kNumericOutOfRange, "value out of range: overflow"}; }
Error underflow() { return {ErrorCode::kNumericOutOfRange, "value out of range: underflow"}; }
Error division_by_zero() { return {ErrorCode::kDivisionByZero, "division by zero"}; }

// The rules of both widths: an infinite result from finite operands is an overflow, a zero that is not exact
// an underflow.
template <class T>
Returned arithmetic(Call& c, char op) {
  const T a = static_cast<T>(arg(c, 0)), b = static_cast<T>(arg(c, 1));
  T r = 0;
  switch (op) {
    case '+': r = a + b; break;
    case '-': r = a - b; break;
    case '*': r = a * b; break;
    default:
      if (b == 0 && !std::isnan(a)) return std::unexpected(division_by_zero());
      r = a / b;
  }
  if (std::isinf(r) && !std::isinf(a) && !std::isinf(b)) return std::unexpected(overflow());
  if (r == 0 && op == '*' && a != 0 && b != 0) return std::unexpected(underflow());
  if (r == 0 && op == '/' && a != 0 && !std::isinf(b)) return std::unexpected(underflow());
  return stored_float(r);
}

template <class T>
void add_arithmetic(Implementations& all, const std::string& p) {
  all.push_back(scalar(p + "pl", [](Call& c) { return arithmetic<T>(c, '+'); }));
  all.push_back(scalar(p + "mi", [](Call& c) { return arithmetic<T>(c, '-'); }));
  all.push_back(scalar(p + "mul", [](Call& c) { return arithmetic<T>(c, '*'); }));
  all.push_back(scalar(p + "div", [](Call& c) { return arithmetic<T>(c, '/'); }));
}

using Unary = double (*)(double);
Implementation plain(std::string key, Unary f) {
  return scalar(std::move(key), [f](Call& c) -> Returned {
    const double x = arg(c, 0), r = f(x);
    if (std::isinf(r) && !std::isinf(x)) return std::unexpected(overflow());
    return stored_float(r);
  });
}
// Functions whose argument must lie in [low, high] and that refuse infinities otherwise.
Implementation bounded(std::string key, Unary f, double low, double high) {
  return scalar(std::move(key), [f, low, high](Call& c) -> Returned {
    const double x = arg(c, 0);
    if (std::isnan(x)) return stored_float(x);
    if (x < low || x > high ||
        (std::isinf(x) && std::isinf(low) && low != high && std::isfinite(f(0)) && !std::isfinite(f(x)))) {
      return fail(ErrorCode::kNumericOutOfRange, "input is out of range");
    }
    const double r = f(x);
    if (std::isinf(r)) return std::unexpected(overflow());
    return stored_float(r);
  });
}

Returned power(Call& c) {
  const double x = arg(c, 0), y = arg(c, 1);
  if (std::isnan(x)) return stored_float(y == 0 ? 1.0 : x);
  if (std::isnan(y)) return stored_float(x == 1 ? 1.0 : y);
  if (x == 0 && y < 0)
    return fail(ErrorCode::kInvalidArgumentForPower, "zero raised to a negative power is undefined");
  if (x < 0 && std::floor(y) != y) {
    return fail(ErrorCode::kInvalidArgumentForPower,
                "a negative number raised to a non-integer power yields a complex result");
  }
  const double r = std::pow(x, y);
  if (std::isfinite(x) && std::isfinite(y)) {
    if (std::isinf(r)) return std::unexpected(overflow());
    if (r == 0 && x != 0) return std::unexpected(underflow());
  }
  return stored_float(r);
}

Returned logarithm(Call& c, Unary f) {
  const double x = arg(c, 0);
  if (x == 0) return fail(ErrorCode::kInvalidArgumentForLog, "cannot take logarithm of zero");
  if (x < 0) return fail(ErrorCode::kInvalidArgumentForLog, "cannot take logarithm of a negative number");
  return stored_float(f(x));
}

// Degrees: exact at the multiples where the true value is rational.
double sin_degrees(double d) {
  d = std::fmod(d, 360);
  double sign = 1;
  if (d < 0) d = -d, sign = -sign;
  if (d > 180) d = 360 - d, sign = -sign;
  if (d > 90) d = 180 - d;
  if (d == 0) return sign * 0;
  if (d == 30) return sign * 0.5;
  if (d == 90) return sign;
  return sign * std::sin(d * std::numbers::pi / 180);
}
double cos_degrees(double d) {
  d = std::fabs(std::fmod(d, 360));
  if (d > 180) d = 360 - d;
  if (d == 60) return 0.5;
  if (d == 90) return 0;
  if (d == 120) return -0.5;
  if (d == 180) return -1;
  return std::cos(d * std::numbers::pi / 180);
}
double tan_degrees(double d) {
  const double r = std::fabs(std::fmod(d, 180));
  if (r == 45) return std::fmod(d, 180) > 0 ? 1 : -1;
  if (r == 135) return std::fmod(d, 180) > 0 ? -1 : 1;
  return sin_degrees(d) / cos_degrees(d);
}

double random_unit(FunctionContext& context) {
  if (context.seed_state >= 0) {  // after setseed: xorshift of the seed, the same on every run
    auto s = std::bit_cast<std::uint64_t>(context.seed_state + 1);
    s ^= s << 13;
    s ^= s >> 7;
    s ^= s << 17;
    context.seed_state = static_cast<double>(s >> 11) * 0x1p-53;
    return context.seed_state;
  }
  Random& random = context.random != nullptr ? *context.random : system_random();
  return static_cast<double>(random.u64() >> 11) * 0x1p-53;
}

}  // namespace

void add_float_functions(Implementations& all) {
  add_arithmetic<float>(all, "float4");
  add_arithmetic<double>(all, "float8");
  add_arithmetic<double>(all, "float48");
  add_arithmetic<double>(all, "float84");
  for (const char* p : {"float4", "float8"}) {
    all.push_back(
        scalar(std::string(p) + "um", [](Call& c) -> Returned { return stored_float(-arg(c, 0)); }));
    all.push_back(native(std::string(p) + "up", "({0})"));
    all.push_back(scalar(std::string(p) + "abs",
                         [](Call& c) -> Returned { return stored_float(std::fabs(arg(c, 0))); }));
  }
  all.push_back(scalar("dsqrt", [](Call& c) -> Returned {
    const double x = arg(c, 0);
    if (x < 0)
      return fail(ErrorCode::kInvalidArgumentForPower, "cannot take square root of a negative number");
    return stored_float(std::sqrt(x));
  }));
  all.push_back(plain("dcbrt", std::cbrt));
  all.push_back(plain("dround", std::nearbyint));
  all.push_back(plain("dtrunc", std::trunc));
  all.push_back(plain("dceil", std::ceil));
  all.push_back(plain("dfloor", std::floor));
  all.push_back(plain("dsign", [](double x) { return x > 0 ? 1.0 : x < 0 ? -1.0 : x == 0 ? 0.0 : x; }));
  all.push_back(scalar("dexp", [](Call& c) -> Returned {
    const double x = arg(c, 0), r = std::exp(x);
    if (std::isfinite(x) && std::isinf(r)) return std::unexpected(overflow());
    if (std::isfinite(x) && r == 0) return std::unexpected(underflow());
    return stored_float(r);
  }));
  all.push_back(scalar("dlog1", [](Call& c) { return logarithm(c, std::log); }));
  all.push_back(scalar("dlog10", [](Call& c) { return logarithm(c, std::log10); }));
  all.push_back(scalar("dpow", power));
  constexpr double kInf = HUGE_VAL;
  all.push_back(bounded("dsin", std::sin, -1.7e308, 1.7e308));
  all.push_back(bounded("dcos", std::cos, -1.7e308, 1.7e308));
  all.push_back(bounded("dtan", std::tan, -1.7e308, 1.7e308));
  all.push_back(bounded("dcot", [](double x) { return 1 / std::tan(x); }, -1.7e308, 1.7e308));
  all.push_back(bounded("dasin", std::asin, -1, 1));
  all.push_back(bounded("dacos", std::acos, -1, 1));
  all.push_back(bounded("datan", std::atan, -kInf, kInf));
  all.push_back(
      scalar("datan2", [](Call& c) -> Returned { return stored_float(std::atan2(arg(c, 0), arg(c, 1))); }));
  all.push_back(scalar("dsinh", [](Call& c) -> Returned { return stored_float(std::sinh(arg(c, 0))); }));
  all.push_back(scalar("dcosh", [](Call& c) -> Returned { return stored_float(std::cosh(arg(c, 0))); }));
  all.push_back(scalar("dtanh", [](Call& c) -> Returned { return stored_float(std::tanh(arg(c, 0))); }));
  all.push_back(bounded("dsind", sin_degrees, -1.7e308, 1.7e308));
  all.push_back(bounded("dcosd", cos_degrees, -1.7e308, 1.7e308));
  all.push_back(bounded("dtand", tan_degrees, -1.7e308, 1.7e308));
  all.push_back(plain("degrees", [](double x) { return x / (std::numbers::pi / 180); }));
  all.push_back(plain("radians", [](double x) { return x * (std::numbers::pi / 180); }));
  all.push_back(scalar("dpi", [](Call&) -> Returned { return stored_float(std::numbers::pi); }));
  all.push_back(scalar("drandom", [](Call& c) -> Returned { return stored_float(random_unit(c.context)); }));
  all.push_back(scalar("setseed", [](Call& c) -> Returned {
    const double seed = arg(c, 0);
    if (!(seed >= -1 && seed <= 1)) {
      return fail(ErrorCode::kInvalidArgument, "setseed parameter {} is out of allowed range [-1,1]", seed);
    }
    c.context.seed_state = (seed + 1) / 2;
    return OwnedValue::of_text("");
  }));
}

}  // namespace bop
