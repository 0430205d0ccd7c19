// money: arithmetic in cents.
#include <cmath>

#include "sql/functions/registry.hpp"
#include "sql/types/float.hpp"

namespace bop {
namespace {

std::unexpected<Error> out_of_range() { return fail(ErrorCode::kNumericOutOfRange, "money out of range"); }
std::unexpected<Error> division_by_zero() { return fail(ErrorCode::kDivisionByZero, "division by zero"); }

Returned cents(__int128 v) {
  if (v > INT64_MAX || v < INT64_MIN) return out_of_range();
  return int_result(static_cast<std::int64_t>(v));
}

Returned rounded(double v) {
  const double r = std::rint(v);
  if (!(r >= -0x1p63 && r < 0x1p63)) return out_of_range();
  return int_result(static_cast<std::int64_t>(r));
}

// `money` and `number`: where the arguments stand.
Returned times_float(const Call& c, std::size_t money, std::size_t number) {
  return rounded(static_cast<double>(c.integer(money)) * float_of(c[number]));
}

class MoneySum : public Aggregate {
 public:
  Status step(Call& c) override {
    if (c[0].is_null()) return {};
    ++count_;
    sum_ += c.integer(0);
    return {};
  }
  Status undo(Call& c) override {
    if (c[0].is_null()) return {};
    --count_;
    sum_ -= c.integer(0);
    return {};
  }
  Returned value(FunctionContext&) const override { return count_ == 0 ? OwnedValue::null() : cents(sum_); }

 private:
  std::int64_t count_ = 0;
  __int128 sum_ = 0;
};

}  // namespace

void add_money_functions(Implementations& all) {
  constexpr const char* kWords[] = {"eq", "ne", "lt", "le", "gt", "ge"};
  constexpr const char* kSigns[] = {"=", "<>", "<", "<=", ">", ">="};
  for (int i = 0; i < 6; ++i)
    all.push_back(native(fmt::format("cash_{}", kWords[i]), fmt::format("({{0}} {} {{1}})", kSigns[i])));
  all.push_back(scalar("cash_cmp", [](Call& c) {
    return int_result(c.integer(0) < c.integer(1) ? -1 : c.integer(0) > c.integer(1) ? 1 : 0);
  }));
  all.push_back(
      scalar("cash_pl", [](Call& c) { return cents(static_cast<__int128>(c.integer(0)) + c.integer(1)); }));
  all.push_back(
      scalar("cash_mi", [](Call& c) { return cents(static_cast<__int128>(c.integer(0)) - c.integer(1)); }));
  all.push_back(scalar("cash_div_cash", [](Call& c) -> Returned {
    if (c.integer(1) == 0) return division_by_zero();
    return stored_float(static_cast<double>(c.integer(0)) / static_cast<double>(c.integer(1)));
  }));
  for (const char* k : {"cash_mul_flt8", "cash_mul_flt4"})
    all.push_back(scalar(k, [](Call& c) { return times_float(c, 0, 1); }));
  for (const char* k : {"flt8_mul_cash", "flt4_mul_cash"})
    all.push_back(scalar(k, [](Call& c) { return times_float(c, 1, 0); }));
  for (const char* k : {"cash_div_flt8", "cash_div_flt4"}) {
    all.push_back(scalar(k, [](Call& c) -> Returned {
      if (float_of(c[1]) == 0) return division_by_zero();
      return rounded(static_cast<double>(c.integer(0)) / float_of(c[1]));
    }));
  }
  for (const char* k : {"cash_mul_int8", "cash_mul_int4", "cash_mul_int2", "int8_mul_cash", "int4_mul_cash",
                        "int2_mul_cash"}) {
    all.push_back(
        scalar(k, [](Call& c) { return cents(static_cast<__int128>(c.integer(0)) * c.integer(1)); }));
  }
  for (const char* k : {"cash_div_int8", "cash_div_int4", "cash_div_int2"}) {
    all.push_back(scalar(k, [](Call& c) -> Returned {
      if (c.integer(1) == 0) return division_by_zero();
      return cents(static_cast<__int128>(c.integer(0)) / c.integer(1));
    }));
  }
  all.push_back(aggregate_of<MoneySum>("sum(money)"));
  all.push_back(native("min(money)", "min({0})"));
  all.push_back(native("max(money)", "max({0})"));
}

}  // namespace bop
