// Integer arithmetic with PostgreSQL's overflow checks (22003) and bit operators.
#include <cmath>
#include <numeric>

#include "sql/functions/registry.hpp"
#include "sql/types/numeric.hpp"

namespace bop {
namespace {

std::unexpected<Error> out_of_range(std::string_view type) {
  return fail(ErrorCode::kNumericOutOfRange, "{} out of range", type);
}

template <class T>
constexpr std::string_view kName = sizeof(T) == 2   ? "smallint"
                                   : sizeof(T) == 4 ? "integer"
                                                    : "bigint";

template <class T>
Returned checked(__int128 v) {
  if (v < std::numeric_limits<T>::min() || v > std::numeric_limits<T>::max()) return out_of_range(kName<T>);
  return OwnedValue::of_int(static_cast<std::int64_t>(v));
}

// `p` is the prefix of PostgreSQL's names for this pair of widths; T the wider one.
template <class T>
void add_arithmetic(Implementations& all, const std::string& p) {
  all.push_back(scalar(
      p + "pl", [](Call& c) { return checked<T>(static_cast<__int128>(c.integer(0)) + c.integer(1)); }));
  all.push_back(scalar(
      p + "mi", [](Call& c) { return checked<T>(static_cast<__int128>(c.integer(0)) - c.integer(1)); }));
  all.push_back(scalar(
      p + "mul", [](Call& c) { return checked<T>(static_cast<__int128>(c.integer(0)) * c.integer(1)); }));
  all.push_back(scalar(p + "div", [](Call& c) -> Returned {
    if (c.integer(1) == 0) return fail(ErrorCode::kDivisionByZero, "division by zero");
    return checked<T>(static_cast<__int128>(c.integer(0)) / c.integer(1));
  }));
}

template <class T>
void add_width(Implementations& all, const std::string& p) {
  add_arithmetic<T>(all, p);
  all.push_back(scalar(p + "mod", [](Call& c) -> Returned {
    if (c.integer(1) == 0) return fail(ErrorCode::kDivisionByZero, "division by zero");
    return OwnedValue::of_int(c.integer(1) == -1 ? 0 : c.integer(0) % c.integer(1));
  }));
  all.push_back(scalar(p + "um", [](Call& c) { return checked<T>(-static_cast<__int128>(c.integer(0))); }));
  all.push_back(native(p + "up", "({0})"));
  all.push_back(scalar(p + "abs", [](Call& c) {
    const __int128 v = c.integer(0);
    return checked<T>(v < 0 ? -v : v);
  }));
  all.push_back(native(p + "and", "({0} & {1})"));
  all.push_back(native(p + "or", "({0} | {1})"));
  all.push_back(scalar(p + "xor", [](Call& c) { return int_result(c.integer(0) ^ c.integer(1)); }));
  all.push_back(native(p + "not", "(~ {0})"));
  // Shifts by the machine: the count is taken modulo the width, as on the processors PostgreSQL runs on.
  all.push_back(scalar(p + "shl", [](Call& c) {
    constexpr int kMask = sizeof(T) == 8 ? 63 : 31;
    const auto v = static_cast<std::uint64_t>(c.integer(0)) << (c.integer(1) & kMask);
    return int_result(static_cast<T>(v));
  }));
  all.push_back(scalar(p + "shr", [](Call& c) {
    constexpr int kMask = sizeof(T) == 8 ? 63 : 31;
    return int_result(c.integer(0) >> (c.integer(1) & kMask));
  }));
}

template <class T>
Returned gcd(Call& c) {
  const auto magnitude = [](std::int64_t v) {
    return v < 0 ? 0 - static_cast<std::uint64_t>(v) : static_cast<std::uint64_t>(v);
  };
  return checked<T>(static_cast<__int128>(std::gcd(magnitude(c.integer(0)), magnitude(c.integer(1)))));
}

template <class T>
Returned lcm(Call& c) {
  if (c.integer(0) == 0 || c.integer(1) == 0) return OwnedValue::of_int(0);
  BOP_LET(divisor, gcd<T>(c));
  const __int128 v = static_cast<__int128>(c.integer(0)) / divisor.integer() * c.integer(1);
  return checked<T>(v < 0 ? -v : v);
}

}  // namespace

void add_integer_functions(Implementations& all) {
  add_width<std::int16_t>(all, "int2");
  add_width<std::int32_t>(all, "int4");
  add_width<std::int64_t>(all, "int8");
  add_arithmetic<std::int32_t>(all, "int24");
  add_arithmetic<std::int32_t>(all, "int42");
  add_arithmetic<std::int64_t>(all, "int28");
  add_arithmetic<std::int64_t>(all, "int82");
  add_arithmetic<std::int64_t>(all, "int48");
  add_arithmetic<std::int64_t>(all, "int84");
  all.push_back(scalar(
      "int4inc", [](Call& c) { return checked<std::int32_t>(static_cast<__int128>(c.integer(0)) + 1); }));
  all.push_back(scalar("int4gcd", gcd<std::int32_t>));
  all.push_back(scalar("int8gcd", gcd<std::int64_t>));
  all.push_back(scalar("int4lcm", lcm<std::int32_t>));
  all.push_back(scalar("int8lcm", lcm<std::int64_t>));
  for (const char* p : {"int2larger", "int4larger", "int8larger"}) all.push_back(native(p, "max({0}, {1})"));
  for (const char* p : {"int2smaller", "int4smaller", "int8smaller"})
    all.push_back(native(p, "min({0}, {1})"));
}

}  // namespace bop
