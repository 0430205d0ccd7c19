// Aggregates of two variables: corr, covar_pop, covar_samp and regr_*, by the running sums of Youngs and
// Cramer that PostgreSQL keeps, so that results agree to the last digit.
#include <cmath>
#include <deque>

#include "sql/functions/registry.hpp"
#include "sql/types/float.hpp"

namespace bop {
namespace {

struct Sums {
  double n = 0, sx = 0, sxx = 0, sy = 0, syy = 0, sxy = 0;

  // False: overflow.
  bool add(double y, double x) {
    n += 1;
    sx += x;
    sy += y;
    if (n > 1) {
      const double tx = x * n - sx, ty = y * n - sy, scale = 1.0 / (n * (n - 1));
      sxx += tx * tx * scale;
      syy += ty * ty * scale;
      sxy += tx * ty * scale;
      if (std::isinf(sx) || std::isinf(sxx) || std::isinf(sy) || std::isinf(syy) || std::isinf(sxy)) {
        if ((std::isinf(sx) || std::isinf(sxx)) && !seen_infinite_) return false;
        if ((std::isinf(sy) || std::isinf(syy)) && !seen_infinite_) return false;
        if (std::isinf(sxx)) sxx = NAN;
        if (std::isinf(syy)) syy = NAN;
        if (std::isinf(sxy)) sxy = NAN;
      }
    } else {
      if (!std::isfinite(x)) sxx = sxy = NAN;
      if (!std::isfinite(y)) syy = sxy = NAN;
    }
    return true;
  }
  void note(double y, double x) { seen_infinite_ = seen_infinite_ || !std::isfinite(x) || !std::isfinite(y); }

 private:
  bool seen_infinite_ = false;
};

// nullopt: NULL.
using Answer = std::optional<double> (*)(const Sums&);

class Regression : public Aggregate {
 public:
  Regression(Answer answer, bool counts) : answer_(answer), counts_(counts) {}
  Status step(Call& c) override {
    if (c[0].is_null() || c[1].is_null()) {
      rows_.emplace_back(0, 0, false);
      return {};
    }
    rows_.emplace_back(float_of(c[0]), float_of(c[1]), true);
    return stale_ ? Status() : add(rows_.back());
  }
  Status undo(Call&) override {
    rows_.pop_front();
    stale_ = true;
    return {};
  }
  Returned value(FunctionContext&) const override {
    if (stale_) {  // taking out is not exact for floats: count again
      sums_ = Sums();
      for (const Row& row : rows_) BOP_TRY(add(row));
      stale_ = false;
    }
    if (counts_) return int_result(static_cast<std::int64_t>(sums_.n));
    const std::optional<double> v = sums_.n < 1 ? std::nullopt : answer_(sums_);
    return v ? Returned(stored_float(*v)) : OwnedValue::null();
  }

 private:
  struct Row {
    double y, x;
    bool counts;
  };
  Status add(const Row& row) const {
    if (!row.counts) return {};
    sums_.note(row.y, row.x);
    if (!sums_.add(row.y, row.x)) return fail(ErrorCode::kNumericOutOfRange, "value out of range: overflow");
    return {};
  }
  Answer answer_;
  bool counts_;
  std::deque<Row> rows_;
  mutable Sums sums_;
  mutable bool stale_ = false;
};

}  // namespace

void add_statistics_aggregates(Implementations& all) {
  const auto regression = [&all](const char* name, Answer answer) {
    all.push_back(aggregate(fmt::format("{}(double precision, double precision)", name),
                            [answer] { return std::make_unique<Regression>(answer, false); }));
  };
  all.push_back(aggregate("regr_count(double precision, double precision)",
                          [] { return std::make_unique<Regression>(nullptr, true); }));
  using Result = std::optional<double>;
  regression("regr_sxx", [](const Sums& s) -> Result { return s.sxx; });
  regression("regr_syy", [](const Sums& s) -> Result { return s.syy; });
  regression("regr_sxy", [](const Sums& s) -> Result { return s.sxy; });
  regression("regr_avgx", [](const Sums& s) -> Result { return s.sx / s.n; });
  regression("regr_avgy", [](const Sums& s) -> Result { return s.sy / s.n; });
  regression("covar_pop", [](const Sums& s) -> Result { return s.sxy / s.n; });
  regression("covar_samp",
             [](const Sums& s) -> Result { return s.n < 2 ? Result() : Result(s.sxy / (s.n - 1)); });
  regression("corr", [](const Sums& s) -> Result {
    return s.sxx == 0 || s.syy == 0 ? Result() : Result(s.sxy / std::sqrt(s.sxx * s.syy));
  });
  regression("regr_r2", [](const Sums& s) -> Result {
    if (s.sxx == 0) return std::nullopt;
    return s.syy == 0 ? 1.0 : s.sxy * s.sxy / (s.sxx * s.syy);
  });
  regression("regr_slope",
             [](const Sums& s) -> Result { return s.sxx == 0 ? Result() : Result(s.sxy / s.sxx); });
  regression("regr_intercept", [](const Sums& s) -> Result {
    return s.sxx == 0 ? Result() : Result((s.sy - s.sx * s.sxy / s.sxx) / s.n);
  });
}

}  // namespace bop
