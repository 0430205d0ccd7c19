// Angles in degrees, hyperbolic functions, and the buckets of width_bucket.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "sql/functions/registry.hpp"
#include "sql/types/array.hpp"
#include "sql/types/float.hpp"

namespace bop {
namespace {

std::unexpected<Error> out_of_range() { return fail(ErrorCode::kNumericOutOfRange, "input is out of range"); }

// PostgreSQL divides by what its own functions answer for exact angles, so that those come out exact.
double asind_quarter(double x) {  // 0 <= x <= 1
  if (x <= 0.5) return std::asin(x) / std::asin(0.5) * 30.0;
  return 90.0 - std::acos(x) / std::acos(0.5) * 60.0;
}
double acosd_quarter(double x) {
  if (x <= 0.5) return 90.0 - std::asin(x) / std::asin(0.5) * 30.0;
  return std::acos(x) / std::acos(0.5) * 60.0;
}
double cosd_first(double x) {  // 0 <= x <= 60
  const double one_minus_cos_60 = 1.0 - std::cos(60.0 * (std::numbers::pi / 180.0));
  return 1.0 - (1.0 - std::cos(x * (std::numbers::pi / 180.0))) / one_minus_cos_60 / 2.0;
}
double sind_first(double x) {  // 0 <= x <= 30
  return std::sin(x * (std::numbers::pi / 180.0)) / std::sin(30.0 * (std::numbers::pi / 180.0)) / 2.0;
}
double sind_quarter(double x) { return x <= 30 ? sind_first(x) : cosd_first(90 - x); }
double cosd_quarter(double x) { return x <= 60 ? cosd_first(x) : sind_first(90 - x); }

Returned cotd(double x) {
  if (std::isinf(x)) return out_of_range();
  if (std::isnan(x)) return stored_float(x);
  x = std::fmod(x, 360.0);
  double sign = 1;
  if (x < 0) {
    x = -x;
    sign = -sign;
  }
  if (x > 180) {
    x = 360.0 - x;
    sign = -sign;
  }
  if (x > 90) {
    x = 180.0 - x;
    sign = -sign;
  }
  const double cot_45 = cosd_quarter(45.0) / sind_quarter(45.0);
  double result = sign * (cosd_quarter(x) / sind_quarter(x) / cot_45);
  if (result == 0) result = 0;
  return stored_float(result);
}

Implementation of_one(const char* key, Returned (*f)(double)) {
  return scalar(key, [f](Call& c) { return f(float_of(c[0])); });
}

Returned bucket_float(Call& c) {
  const double operand = float_of(c[0]), low = float_of(c[1]), high = float_of(c[2]);
  const std::int64_t count = c.integer(3);
  const auto refuse = [](std::string_view what) -> Returned {
    return fail(ErrorCode::kInvalidWidthBucketArgument, "{}", what);
  };
  if (count <= 0) return refuse("count must be greater than zero");
  if (std::isnan(operand) || std::isnan(low) || std::isnan(high))
    return refuse("operand, lower bound, and upper bound cannot be NaN");
  if (std::isinf(low) || std::isinf(high)) return refuse("lower and upper bounds must be finite");
  if (low == high) return refuse("lower bound cannot equal upper bound");
  const bool rises = low < high;
  if (rises ? operand < low : operand > low) return int_result(0);
  if (rises ? operand >= high : operand <= high) return int_result(count + 1);
  const double place = rises ? (operand - low) / (high - low) : (low - operand) / (low - high);
  const auto bucket = static_cast<std::int64_t>(static_cast<double>(count) * place);
  return int_result(std::min(bucket, count - 1) + 1);
}

// The number of thresholds that are not above the operand.
Returned bucket_array(Call& c) {
  const Array thresholds = parse_stored_array(c.types[1], c.text(1));
  if (thresholds.dimensions.size() > 1) {
    return fail(ErrorCode::kArraySubscriptError, "thresholds must be one-dimensional array");
  }
  const Oid element = element_of(c.types[1]);
  std::int64_t count = 0;
  for (const OwnedValue& threshold : thresholds.elements) {
    if (threshold.is_null()) {
      return fail(ErrorCode::kNullNotAllowed, "thresholds array must not contain NULLs");
    }
    if (compare(element, c[0], threshold) < 0) break;
    ++count;
  }
  return int_result(count);
}

}  // namespace

void add_angle_functions(Implementations& all) {
  all.push_back(of_one("dasind", [](double x) -> Returned {
    if (x < -1 || x > 1) return out_of_range();
    return stored_float(x >= 0 ? asind_quarter(x) : -asind_quarter(-x));
  }));
  all.push_back(of_one("dacosd", [](double x) -> Returned {
    if (x < -1 || x > 1) return out_of_range();
    return stored_float(x >= 0 ? acosd_quarter(x) : 90.0 + asind_quarter(-x));
  }));
  all.push_back(of_one(
      "datand", [](double x) -> Returned { return stored_float(std::atan(x) / std::atan(1.0) * 45.0); }));
  all.push_back(scalar("datan2d", [](Call& c) -> Returned {
    return stored_float(std::atan2(float_of(c[0]), float_of(c[1])) / std::atan(1.0) * 45.0);
  }));
  all.push_back(of_one("dcotd", cotd));
  all.push_back(of_one("dasinh", [](double x) -> Returned { return stored_float(std::asinh(x)); }));
  all.push_back(of_one("dacosh", [](double x) -> Returned {
    if (x < 1) return out_of_range();
    return stored_float(std::acosh(x));
  }));
  all.push_back(of_one("datanh", [](double x) -> Returned {
    if (x < -1 || x > 1) return out_of_range();
    if (x == 1 || x == -1) return stored_float(x * INFINITY);
    return stored_float(std::atanh(x));
  }));
  all.push_back(scalar("width_bucket_float8", bucket_float));
  all.push_back(scalar("width_bucket_array", bucket_array));
}

}  // namespace bop
