#include "sql/types/numeric.hpp"

#include <gtest/gtest.h>

#include <random>

namespace bop {
namespace {

struct Golden {
  std::string_view op, a, b, result;
};
constexpr Golden kGolden[] = {
#include "sql/types/golden_numeric.inc"
};

Result<Numeric> run(std::string_view op, const Numeric& a, const Numeric& b) {
  if (op == "+") return Numeric::add(a, b);
  if (op == "-") return Numeric::subtract(a, b);
  if (op == "*") return Numeric::multiply(a, b);
  if (op == "/") return Numeric::divide(a, b);
  if (op == "%") return Numeric::modulo(a, b);
  if (op == "^") return numeric_power(a, b);
  if (op == "sqrt") return numeric_sqrt(a);
  if (op == "ln") return numeric_ln(a);
  return numeric_exp(a);
}

TEST(Numeric, ValuesAndScalesArePostgresOwn) {
  for (const Golden& g : kGolden) {
    const auto r = run(g.op, Numeric::parse(g.a).value(), Numeric::parse(g.b).value());
    ASSERT_TRUE(r) << g.op << ' ' << g.a << ' ' << g.b;
    EXPECT_EQ(r->to_text(), g.result) << g.a << ' ' << g.op << ' ' << g.b;
  }
}

TEST(Numeric, DivisionUndoesMultiplicationOfLargeNumbers) {
  std::mt19937_64 random(3);
  const auto digits = [&random](std::size_t n) {
    std::string s(1, static_cast<char>('1' + random() % 9));
    while (s.size() < n) s += static_cast<char>('0' + random() % 10);
    return Magnitude::of_digits(s);
  };
  for (int i = 0; i < 300; ++i) {
    const Magnitude a = digits(1 + random() % 120), b = digits(1 + random() % 120),
                    r = digits(1 + random() % 5);
    Magnitude rest;
    const bool fits = Magnitude::compare(r, b) < 0;
    const Magnitude product = Magnitude::add(Magnitude::multiply(a, b), fits ? r : Magnitude());
    EXPECT_EQ(Magnitude::divide(product, b, &rest).digits(), a.digits());
    EXPECT_EQ(rest.digits(), fits ? r.digits() : "0");
  }
}

TEST(Numeric, StoredOrderIsNumericOrder) {
  constexpr std::string_view kOrdered[] = {"-Infinity", "-100", "-99.9", "-0.01", "0.00",     "0.001",
                                           "1",         "9.99", "10",    "100.5", "Infinity", "NaN"};
  for (std::size_t i = 0; i < std::size(kOrdered); ++i) {
    for (std::size_t j = 0; j < std::size(kOrdered); ++j) {
      const int expected = i < j ? -1 : i > j ? 1 : 0;
      EXPECT_EQ(Numeric::compare_stored(kOrdered[i], kOrdered[j]), expected)
          << kOrdered[i] << " " << kOrdered[j];
      EXPECT_EQ(Numeric::compare(Numeric::parse_stored(kOrdered[i]), Numeric::parse_stored(kOrdered[j])),
                expected);
    }
  }
  EXPECT_EQ(Numeric::compare_stored("1", "1.000"), 0);
}

TEST(Numeric, LimitsAnswer22003) {
  EXPECT_EQ(Numeric::divide(Numeric::of_int(1), Numeric()).error().sqlstate(), "22012");
  EXPECT_EQ(numeric_exp(Numeric::of_int(100000)).error().sqlstate(), "0A000");
  EXPECT_EQ(Numeric::parse("1e131073").error().sqlstate(), "22003");
  EXPECT_EQ(Numeric::parse("9999999999").value().to_int(INT32_MIN, INT32_MAX, "integer").error().what(),
            "integer out of range");
}

}  // namespace
}  // namespace bop
