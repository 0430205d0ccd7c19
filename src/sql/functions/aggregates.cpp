// Aggregates with PostgreSQL's result types. `undo` makes them exact over moving window frames where taking a
// row out is exact (sums of integers and numerics); others keep their rows.
#include <algorithm>
#include <cmath>
#include <deque>
#include <optional>
#include <span>

#include "base/memory_use.hpp"
#include "sql/functions/json_convert.hpp"
#include "sql/functions/registry.hpp"
#include "sql/types/array.hpp"
#include "sql/types/datetime.hpp"
#include "sql/types/float.hpp"
#include "sql/types/interval.hpp"
#include "sql/types/json.hpp"
#include "sql/types/numeric.hpp"

namespace bop {
namespace {

// Counts, sums and sums of squares of integers or numerics.
class NumericSum : public Aggregate {
 public:
  enum class Answer : std::uint8_t { kSum, kSumBigint, kAverage, kVarPop, kVarSamp, kStddevPop, kStddevSamp };
  NumericSum(Answer answer, bool integers) : answer_(answer), integers_(integers) {}

  Status step(Call& c) override {
    if (c[0].is_null()) return {};
    return add(c[0], 1);
  }
  Status undo(Call& c) override {
    if (c[0].is_null()) return {};
    return add(c[0], -1);
  }
  Returned value(FunctionContext&) const override {
    if (count_ == 0) return OwnedValue::null();
    if (answer_ == Answer::kSumBigint) {
      if (int_sum_ < INT64_MIN || int_sum_ > INT64_MAX)
        return fail(ErrorCode::kNumericOutOfRange, "bigint out of range");
      return OwnedValue::of_int(static_cast<std::int64_t>(int_sum_));
    }
    Numeric sum = integers_ ? Numeric::of_int128(int_sum_) : finite_sum();
    if (!integers_) {
      const bool special = nan_ > 0 || infinity_ > 0 || minus_infinity_ > 0;
      if (special) {
        sum = Numeric::of(nan_ > 0 || (infinity_ > 0 && minus_infinity_ > 0) || answer_ > Answer::kAverage
                              ? Numeric::Kind::kNan
                          : infinity_ > 0 ? Numeric::Kind::kInfinity
                                          : Numeric::Kind::kNegativeInfinity);
        if ((answer_ == Answer::kVarSamp || answer_ == Answer::kStddevSamp) && count_ == 1)
          return OwnedValue::null();
        return OwnedValue::of_text(sum.to_text());
      }
    }
    if (answer_ == Answer::kSum) return OwnedValue::of_text(sum.to_text());
    const Numeric n = Numeric::of_int(count_);
    if (answer_ == Answer::kAverage) {
      return then(Numeric::divide(sum, n), [](const Numeric& r) { return OwnedValue::of_text(r.to_text()); });
    }
    return spread(sum, n);
  }

 private:
  Status add(const Value& v, int sign) {
    count_ += sign;
    const bool squares = answer_ > Answer::kAverage;
    if (integers_) {
      int_sum_ += sign * static_cast<__int128>(v.integer);
      if (squares) {
        const Numeric x = Numeric::of_int(v.integer);
        BOP_LET(square, Numeric::multiply(x, x));
        BOP_LET(total, sign > 0 ? Numeric::add(squares_, square) : Numeric::subtract(squares_, square));
        squares_ = std::move(total);
      }
      return {};
    }
    const Numeric x = Numeric::parse_stored(v.bytes);
    if (!x.is_finite()) {
      (x.is_nan() ? nan_ : x.sign() > 0 ? infinity_ : minus_infinity_) += sign;
      return {};
    }
    BOP_LET(total, sign > 0 ? Numeric::add(sum_, x) : Numeric::subtract(sum_, x));
    sum_ = std::move(total);
    scales_.resize(std::max<std::size_t>(scales_.size(), static_cast<std::size_t>(x.scale()) + 1));
    scales_[static_cast<std::size_t>(x.scale())] += sign;
    if (squares) {
      BOP_LET(square, Numeric::multiply(x, x));
      BOP_LET(all, sign > 0 ? Numeric::add(squares_, square) : Numeric::subtract(squares_, square));
      squares_ = std::move(all);
    }
    return {};
  }
  // The sum shows the largest scale among the rows that are in it, also after rows went out.
  [[nodiscard]] Numeric finite_sum() const {
    std::size_t scale = scales_.size();
    while (scale > 0 && scales_[scale - 1] == 0) --scale;
    return scale == 0 ? Numeric() : sum_.with_scale(static_cast<int>(scale) - 1);
  }
  [[nodiscard]] Returned spread(const Numeric& sum, const Numeric& n) const {
    const bool sample = answer_ == Answer::kVarSamp || answer_ == Answer::kStddevSamp;
    const bool root = answer_ == Answer::kStddevPop || answer_ == Answer::kStddevSamp;
    if (sample && count_ <= 1) return OwnedValue::null();
    BOP_LET(n_squares, Numeric::multiply(squares_, n));
    BOP_LET(sum_squared, Numeric::multiply(sum, sum));
    BOP_LET(top, Numeric::subtract(n_squares, sum_squared));
    if (top.sign() <= 0) return OwnedValue::of_text("0");
    BOP_LET(bottom, Numeric::multiply(n, sample ? Numeric::of_int(count_ - 1) : n));
    const int scale = Numeric::division_scale(top, bottom);
    const Numeric variance = Numeric::divide_to_scale(top, bottom, scale);
    return OwnedValue::of_text((root ? numeric_sqrt_to_scale(variance, scale) : variance).to_text());
  }

  Answer answer_;
  bool integers_;
  std::int64_t count_ = 0, nan_ = 0, infinity_ = 0, minus_infinity_ = 0;
  __int128 int_sum_ = 0;
  Numeric sum_, squares_;
  std::vector<std::int64_t> scales_;
};

// Youngs and Cramer's running sums, as PostgreSQL's float aggregates.
class FloatSum : public Aggregate {
 public:
  enum class Answer : std::uint8_t { kSum, kAverage, kVarPop, kVarSamp, kStddevPop, kStddevSamp };
  FloatSum(Answer answer, bool single) : answer_(answer), single_(single) {}
  Status step(Call& c) override {
    if (c[0].is_null()) return {};
    const double x = float_of(c[0]);
    rows_.push_back(x);
    if (!dirty_) accumulate(x);
    if (std::isinf(sum_) && answer_ == Answer::kSum && !infinite_input_) {
      return fail(ErrorCode::kNumericOutOfRange, "value out of range: overflow");
    }
    return {};
  }
  Status undo(Call& c) override {
    if (c[0].is_null()) return {};
    rows_.pop_front();
    dirty_ = true;
    return {};
  }
  Returned value(FunctionContext&) const override {
    if (dirty_) {  // taking out is not exact for floats: count again
      n_ = sum_ = deviation_ = 0;
      for (const double x : rows_) accumulate(x);
      dirty_ = false;
    }
    if (n_ == 0) return OwnedValue::null();
    switch (answer_) {
      case Answer::kSum: return stored_float(single_ ? static_cast<float>(sum_) : sum_);
      case Answer::kAverage: return stored_float(sum_ / n_);
      case Answer::kVarPop: return stored_float(deviation_ / n_);
      case Answer::kStddevPop: return stored_float(std::sqrt(deviation_ / n_));
      default:
        if (n_ <= 1) return OwnedValue::null();
        return stored_float(answer_ == Answer::kVarSamp ? deviation_ / (n_ - 1)
                                                        : std::sqrt(deviation_ / (n_ - 1)));
    }
  }

 private:
  void accumulate(double x) const {
    infinite_input_ = infinite_input_ || !std::isfinite(x);
    n_ += 1;
    sum_ = single_ && answer_ == Answer::kSum
               ? static_cast<double>(static_cast<float>(sum_) + static_cast<float>(x))
               : sum_ + x;
    if (n_ > 1) {
      const double t = x * n_ - sum_;
      deviation_ += t * t / (n_ * (n_ - 1));
    }
    if (!std::isfinite(x)) deviation_ = NAN;
  }
  Answer answer_;
  bool single_;
  std::deque<double> rows_;
  mutable bool dirty_ = false, infinite_input_ = false;
  mutable double n_ = 0, sum_ = 0, deviation_ = 0;
};

// Keeps the rows of the frame; subclasses fold them.
class Rows : public Aggregate {
 public:
  Status step(Call& c) override {
    const std::size_t size = bytes_of(c.args);
    if (kept_ + size > most_value_bytes()) {
      return std::unexpected(error(ErrorCode::kProgramLimitExceeded, "out of memory")
                                 .detail(fmt::format("{} has collected {} bytes and cannot take {} more.",
                                                     c.kernel.name, kept_, size)));
    }
    // Between two looks of the statement itself large values may be many.
    if ((kept_ + size) / kLookEvery != kept_ / kLookEvery) BOP_TRY(interrupted(c.context));
    kept_ += size;
    auto& row = rows_.emplace_back();
    row.reserve(c.args.size());
    for (const Value& v : c.args) row.emplace_back(v);
    if (types_.empty()) types_.assign(c.types.begin(), c.types.end());
    return {};
  }
  Status undo(Call& c) override {
    kept_ -= std::min(kept_, bytes_of(c.args));
    rows_.pop_front();
    return {};
  }

 protected:
  [[nodiscard]] Oid type(std::size_t i) const { return i < types_.size() ? types_[i] : types::kText; }
  std::deque<std::vector<OwnedValue>> rows_;
  std::vector<Oid> types_;

 private:
  static constexpr std::size_t kLookEvery = std::size_t{1} << 20;
  [[nodiscard]] static std::size_t bytes_of(std::span<const Value> values) {
    std::size_t bytes = sizeof(std::vector<OwnedValue>);
    for (const Value& v : values) bytes += sizeof(OwnedValue) + v.bytes.size();
    return bytes;
  }
  std::size_t kept_ = 0;
};

class StringAgg final : public Rows {
 public:
  explicit StringAgg(bool bytes) : bytes_(bytes) {}
  Returned value(FunctionContext&) const override {
    std::string s;
    bool any = false;
    for (const auto& row : rows_) {
      if (row[0].is_null()) continue;
      if (any && row.size() > 1 && !row[1].is_null()) s += row[1].bytes();
      s += row[0].bytes();
      any = true;
    }
    if (!any) return OwnedValue::null();
    return bytes_ ? OwnedValue::of_blob(std::move(s)) : OwnedValue::of_text(std::move(s));
  }

 private:
  bool bytes_;
};

class ArrayAgg final : public Rows {
 public:
  Returned value(FunctionContext&) const override {
    if (rows_.empty()) return OwnedValue::null();
    if (is_true_array(type(0))) {  // arrays collect into one more dimension
      Array all;
      for (const auto& row : rows_) {
        if (row[0].is_null()) return fail(ErrorCode::kNullNotAllowed, "cannot accumulate null arrays");
        Array a = parse_stored_array(type(0), row[0].bytes());
        if (a.elements.empty())
          return fail(ErrorCode::kArraySubscriptError, "cannot accumulate empty arrays");
        if (all.dimensions.empty()) {
          all.dimensions = a.dimensions;
          all.dimensions.insert(all.dimensions.begin(), {1, 0});
        } else if (!std::equal(a.dimensions.begin(), a.dimensions.end(), all.dimensions.begin() + 1,
                               all.dimensions.end())) {
          return fail(ErrorCode::kArraySubscriptError,
                      "cannot accumulate arrays of different dimensionality");
        }
        ++all.dimensions[0].count;
        for (OwnedValue& e : a.elements) all.elements.push_back(std::move(e));
      }
      return text_result(stored_array(type(0), all));
    }
    std::vector<OwnedValue> items;
    for (const auto& row : rows_) items.push_back(row[0]);
    return text_result(stored_array(array_of(type(0)), Array::of_vector(std::move(items))));
  }
};

class JsonAgg final : public Rows {
 public:
  explicit JsonAgg(bool binary) : binary_(binary) {}
  Returned value(FunctionContext& context) const override {
    if (rows_.empty()) return OwnedValue::null();
    std::string s = "[";
    const bool structured = type(0) == types::kRecord || is_true_array(type(0));
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      if (i > 0) s += structured && !rows_[i][0].is_null() ? ", \n " : ", ";
      BOP_TRY(append_as_json(type(0), rows_[i][0], context.codec, s));
    }
    s += ']';
    if (!binary_) return text_result(std::move(s));
    return parse_text(types::kJsonb, -1, s, context.codec);
  }

 private:
  bool binary_;
};

class JsonObjectAgg final : public Rows {
 public:
  explicit JsonObjectAgg(bool binary) : binary_(binary) {}
  Returned value(FunctionContext& context) const override {
    if (rows_.empty()) return OwnedValue::null();
    std::string s = "{ ";
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      if (rows_[i][0].is_null()) return fail(ErrorCode::kInvalidArgument, "field name must not be null");
      if (i > 0) s += ", ";
      append_json_string(text_of(type(0), rows_[i][0], context.codec), s);
      s += " : ";
      BOP_TRY(append_as_json(type(1), rows_[i][1], context.codec, s));
    }
    s += " }";
    if (!binary_) return text_result(std::move(s));
    return parse_text(types::kJsonb, -1, s, context.codec);
  }

 private:
  bool binary_;
};

// bool_and, bool_or, bit_and, bit_or, bit_xor over the rows that are not NULL.
class Fold final : public Rows {
 public:
  explicit Fold(char op) : op_(op) {}
  Returned value(FunctionContext&) const override {
    std::optional<std::int64_t> r;
    for (const auto& row : rows_) {
      if (row[0].is_null()) continue;
      const std::int64_t v = row[0].integer();
      r = !r ? v : op_ == '&' ? *r & v : op_ == '|' ? *r | v : *r ^ v;
    }
    return r ? OwnedValue::of_int(*r) : OwnedValue::null();
  }

 private:
  char op_;
};

class Extreme final : public Rows {
 public:
  Extreme(Oid type, bool largest) : type_(type), largest_(largest) {}
  Status step(Call& c) override { return c[0].is_null() ? Status() : Rows::step(c); }
  Status undo(Call& c) override { return c[0].is_null() ? Status() : Rows::undo(c); }
  Returned value(FunctionContext&) const override {
    const OwnedValue* best = nullptr;
    for (const auto& row : rows_) {
      const Oid t = type_ != 0 ? type_ : type(0);
      // Of equal ones the last: 2.50 after 2.5.
      if (best == nullptr || (largest_ ? compare(t, row[0], *best) >= 0 : compare(t, row[0], *best) <= 0))
        best = &row[0];
    }
    return best == nullptr ? OwnedValue::null() : *best;
  }

 private:
  Oid type_;
  bool largest_;
};

class IntervalSum final : public Rows {
 public:
  explicit IntervalSum(bool average) : average_(average) {}
  Returned value(FunctionContext&) const override {
    Interval sum;
    std::int64_t n = 0;
    for (const auto& row : rows_) {
      if (row[0].is_null()) continue;
      BOP_LET(next, Interval::add(sum, Interval::of_stored(row[0].bytes())));
      sum = next;
      ++n;
    }
    if (n == 0) return OwnedValue::null();
    if (average_) {
      BOP_LET(mean, sum.times(1.0 / static_cast<double>(n)));
      sum = mean;
    }
    return text_result(sum.stored());
  }

 private:
  bool average_;
};

}  // namespace

void add_aggregates(Implementations& all) {
  using N = NumericSum::Answer;
  using F = FloatSum::Answer;
  const auto numeric = [&all](std::string key, N answer, bool integers) {
    all.push_back(aggregate(std::move(key),
                            [answer, integers] { return std::make_unique<NumericSum>(answer, integers); }));
  };
  const auto floating = [&all](std::string key, F answer, bool single = false) {
    all.push_back(
        aggregate(std::move(key), [answer, single] { return std::make_unique<FloatSum>(answer, single); }));
  };
  all.push_back(native("count()", "count(*)"));
  all.push_back(native("count(\"any\")", "count({0})"));
  for (const char* t : {"smallint", "integer", "bigint", "numeric"}) {
    const std::string in = std::string("(") + t + ")";
    const bool integers = in != "(numeric)";
    numeric("sum" + in, in == "(smallint)" || in == "(integer)" ? N::kSumBigint : N::kSum, integers);
    numeric("avg" + in, N::kAverage, integers);
    numeric("var_pop" + in, N::kVarPop, integers);
    numeric("var_samp" + in, N::kVarSamp, integers);
    numeric("variance" + in, N::kVarSamp, integers);
    numeric("stddev_pop" + in, N::kStddevPop, integers);
    numeric("stddev_samp" + in, N::kStddevSamp, integers);
    numeric("stddev" + in, N::kStddevSamp, integers);
  }
  for (const char* t : {"real", "double precision"}) {
    const std::string in = std::string("(") + t + ")";
    floating("sum" + in, F::kSum, in == "(real)");
    floating("avg" + in, F::kAverage);
    floating("var_pop" + in, F::kVarPop);
    floating("var_samp" + in, F::kVarSamp);
    floating("variance" + in, F::kVarSamp);
    floating("stddev_pop" + in, F::kStddevPop);
    floating("stddev_samp" + in, F::kStddevSamp);
    floating("stddev" + in, F::kStddevSamp);
  }
  for (const char* t :
       {"smallint", "integer", "bigint", "real", "double precision", "text", "character", "date",
        "time without time zone", "timestamp without time zone", "timestamp with time zone", "oid"}) {
    all.push_back(native(fmt::format("min({})", t), "min({0})"));
    all.push_back(native(fmt::format("max({})", t), "max({0})"));
  }
  const auto extreme = [&all](const char* name, Oid type) {
    all.push_back(
        aggregate(fmt::format("min({})", name), [type] { return std::make_unique<Extreme>(type, false); }));
    all.push_back(
        aggregate(fmt::format("max({})", name), [type] { return std::make_unique<Extreme>(type, true); }));
  };
  extreme("numeric", types::kNumeric);
  extreme("interval", types::kInterval);
  extreme("time with time zone", types::kTimetz);
  extreme("inet", types::kInet);
  extreme("anyarray", 0);
  extreme("anyenum", types::kInt8);
  for (const bool average : {false, true}) {
    all.push_back(aggregate(average ? "avg(interval)" : "sum(interval)",
                            [average] { return std::make_unique<IntervalSum>(average); }));
  }
  all.push_back(aggregate("string_agg(text, text)", [] { return std::make_unique<StringAgg>(false); }));
  all.push_back(aggregate("string_agg(bytea, bytea)", [] { return std::make_unique<StringAgg>(true); }));
  all.push_back(aggregate_of<ArrayAgg>("array_agg(anynonarray)"));
  all.push_back(aggregate_of<ArrayAgg>("array_agg(anyarray)"));
  all.push_back(aggregate("json_agg(anyelement)", [] { return std::make_unique<JsonAgg>(false); }));
  all.push_back(aggregate("jsonb_agg(anyelement)", [] { return std::make_unique<JsonAgg>(true); }));
  all.push_back(
      aggregate("json_object_agg(\"any\", \"any\")", [] { return std::make_unique<JsonObjectAgg>(false); }));
  all.push_back(
      aggregate("jsonb_object_agg(\"any\", \"any\")", [] { return std::make_unique<JsonObjectAgg>(true); }));
  const auto fold = [&all](std::string key, char op) {
    all.push_back(aggregate(std::move(key), [op] { return std::make_unique<Fold>(op); }));
  };
  fold("bool_and(boolean)", '&');
  fold("every(boolean)", '&');
  fold("bool_or(boolean)", '|');
  for (const char* t : {"smallint", "integer", "bigint"}) {
    fold(fmt::format("bit_and({})", t), '&');
    fold(fmt::format("bit_or({})", t), '|');
    fold(fmt::format("bit_xor({})", t), '^');
  }
}

}  // namespace bop
