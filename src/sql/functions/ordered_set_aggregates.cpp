// Aggregates with WITHIN GROUP. What stands before it are the first arguments of each row, the same for all
// rows of a group; the binder has SQLite hand the rows over in the order that the clause says.
#include <cmath>
#include <utility>

#include "base/memory_use.hpp"
#include "sql/functions/registry.hpp"
#include "sql/types/array.hpp"
#include "sql/types/float.hpp"
#include "sql/types/interval.hpp"

namespace bop {
namespace {

// The sorted values of a group, without NULLs, and the argument before WITHIN GROUP.
class SortedValues : public Aggregate {
 public:
  Status step(Call& c) override {
    if (!std::exchange(seen_, true)) {
      types_.assign(c.types.begin(), c.types.end());
      direct_ = c.size() > 1 ? OwnedValue(c[0]) : OwnedValue();
    }
    const Value& value = c[c.size() - 1];
    if (value.is_null()) return {};
    kept_ += sizeof(OwnedValue) + value.bytes.size();
    if (kept_ > most_value_bytes()) {
      return std::unexpected(error(ErrorCode::kProgramLimitExceeded, "out of memory")
                                 .detail(fmt::format("{} has collected {} bytes.", c.kernel.name, kept_)));
    }
    if (values_.size() % kLookEvery == 0) BOP_TRY(interrupted(c.context));
    values_.emplace_back(value);
    return {};
  }

 protected:
  static constexpr std::size_t kLookEvery = 65536;
  [[nodiscard]] std::size_t size() const { return values_.size(); }
  std::vector<OwnedValue> values_;
  std::vector<Oid> types_;
  OwnedValue direct_;
  bool seen_ = false;

 private:
  std::size_t kept_ = 0;
};

class Mode final : public SortedValues {
 public:
  Returned value(FunctionContext&) const override {
    std::size_t best = 0;
    std::size_t best_count = 0;
    for (std::size_t i = 0, begin = 0; i < size(); ++i) {
      if (compare(types_.back(), values_[i], values_[begin]) != 0) begin = i;
      if (i + 1 - begin > best_count) {
        best = begin;
        best_count = i + 1 - begin;
      }
    }
    return size() == 0 ? OwnedValue::null() : values_[best];
  }
};

// percentile_disc and percentile_cont, of one fraction or of an array of them.
class Percentile : public SortedValues {
 public:
  explicit Percentile(bool several) : several_(several) {}
  Returned value(FunctionContext&) const override {
    if (!seen_ || direct_.is_null()) return OwnedValue::null();
    if (!several_) {
      BOP_LET(fraction, checked(direct_));
      return size() == 0 ? Returned(OwnedValue::null()) : at(fraction);
    }
    if (size() == 0) return OwnedValue::null();
    Array all = parse_stored_array(array_of(types::kFloat8), direct_.bytes());
    for (OwnedValue& element : all.elements) {
      if (element.is_null()) continue;
      BOP_LET(fraction, checked(element));
      BOP_LET(answer, at(fraction));
      element = std::move(answer);
    }
    return text_result(stored_array(array_of(result_type()), all));
  }

 protected:
  [[nodiscard]] virtual Returned at(double fraction) const = 0;
  [[nodiscard]] virtual Oid result_type() const = 0;

 private:
  static Result<double> checked(const OwnedValue& v) {
    const double fraction = float_of(v);
    if (!(fraction >= 0 && fraction <= 1)) {
      std::string shown = fmt::format("{:g}", fraction);
      return fail(ErrorCode::kNumericOutOfRange, "percentile value {} is not between 0 and 1",
                  std::isnan(fraction) ? "NaN" : shown);
    }
    return fraction;
  }
  bool several_;
};

class PercentileDisc final : public Percentile {
 public:
  using Percentile::Percentile;

 protected:
  [[nodiscard]] Returned at(double fraction) const override {
    const auto row = static_cast<std::size_t>(std::ceil(fraction * static_cast<double>(size())));
    return values_[row == 0 ? 0 : row - 1];
  }
  [[nodiscard]] Oid result_type() const override { return types_.back(); }
};

class PercentileCont final : public Percentile {
 public:
  PercentileCont(bool several, bool intervals) : Percentile(several), intervals_(intervals) {}

 protected:
  [[nodiscard]] Returned at(double fraction) const override {
    const double place = fraction * static_cast<double>(size() - 1);
    const auto first = static_cast<std::size_t>(std::floor(place));
    const auto second = static_cast<std::size_t>(std::ceil(place));
    if (first == second) return values_[first];
    const double part = place - static_cast<double>(first);
    if (!intervals_) {
      const double low = float_of(values_[first]);
      return stored_float(low + part * (float_of(values_[second]) - low));
    }
    const Interval low = Interval::of_stored(values_[first].bytes());
    BOP_LET(minus, low.negated());
    BOP_LET(difference, Interval::add(Interval::of_stored(values_[second].bytes()), minus));
    BOP_LET(share, difference.times(part));
    BOP_LET(sum, Interval::add(share, low));
    return text_result(sum.stored());
  }
  [[nodiscard]] Oid result_type() const override { return intervals_ ? types::kInterval : types::kFloat8; }

 private:
  bool intervals_;
};

// rank, dense_rank, percent_rank and cume_dist of a row that is not there: where it would stand among the
// group's. Arguments: the order ('a' or 'd', then 'f' or 'l' for where NULLs go, a pair a key), that row's
// values, the row's.
class Hypothetical final : public Aggregate {
 public:
  enum class Answer : std::uint8_t { kRank, kDenseRank, kPercentRank, kCumeDist };
  explicit Hypothetical(Answer answer) : answer_(answer) {}

  Status step(Call& c) override {
    const std::size_t keys = (c.size() - 1) / 2;
    if (++rows_ % 65536 == 0) BOP_TRY(interrupted(c.context));
    int order = 0;
    for (std::size_t i = 0; i < keys && order == 0; ++i) {
      order = compare_keys(c, i, c[1 + keys + i], c[1 + i]);
    }
    if (order > 0) return {};
    if (order == 0) {
      ++peers_;
      return {};
    }
    ++before_;
    if (answer_ != Answer::kDenseRank) return {};
    bool same = !last_.empty();
    for (std::size_t i = 0; i < keys && same; ++i) {
      same = compare_keys(c, i, c[1 + keys + i], last_[i]) == 0;
    }
    if (same) return {};
    ++distinct_before_;
    last_.clear();
    for (std::size_t i = 0; i < keys; ++i) last_.emplace_back(c[1 + keys + i]);
    return {};
  }

  Returned value(FunctionContext&) const override {
    switch (answer_) {
      case Answer::kRank: return int_result(before_ + 1);
      case Answer::kDenseRank: return int_result(distinct_before_ + 1);
      case Answer::kPercentRank:
        return stored_float(rows_ == 0 ? 0 : static_cast<double>(before_) / static_cast<double>(rows_));
      case Answer::kCumeDist:
        return stored_float(static_cast<double>(before_ + peers_ + 1) / static_cast<double>(rows_ + 1));
    }
    return OwnedValue::null();
  }

 private:
  static int compare_keys(const Call& c, std::size_t key, const Value& a, const Value& b) {
    const std::string_view order = c.text(0).substr(2 * key, 2);
    if (a.is_null() || b.is_null()) {
      if (a.is_null() && b.is_null()) return 0;
      return a.is_null() == (order[1] == 'f') ? -1 : 1;
    }
    const int way = compare(c.types[1 + key], a, b);
    return order[0] == 'd' ? -way : way;
  }
  Answer answer_;
  std::int64_t rows_ = 0, before_ = 0, peers_ = 0, distinct_before_ = 0;
  std::vector<OwnedValue> last_;
};

}  // namespace

void add_ordered_set_aggregates(Implementations& all) {
  all.push_back(aggregate_of<Mode>("mode(anyelement)"));
  for (const bool several : {false, true}) {
    const std::string fraction = several ? "double precision[]" : "double precision";
    all.push_back(aggregate(fmt::format("percentile_disc({}, anyelement)", fraction),
                            [several] { return std::make_unique<PercentileDisc>(several); }));
    for (const bool intervals : {false, true}) {
      all.push_back(aggregate(
          fmt::format("percentile_cont({}, {})", fraction, intervals ? "interval" : "double precision"),
          [several, intervals] { return std::make_unique<PercentileCont>(several, intervals); }));
    }
  }
  using A = Hypothetical::Answer;
  const auto hypothetical = [&all](const char* key, A answer) {
    all.push_back(aggregate(key, [answer] { return std::make_unique<Hypothetical>(answer); }));
  };
  hypothetical("rank(\"any\")", A::kRank);
  hypothetical("dense_rank(\"any\")", A::kDenseRank);
  hypothetical("percent_rank(\"any\")", A::kPercentRank);
  hypothetical("cume_dist(\"any\")", A::kCumeDist);
}

}  // namespace bop
