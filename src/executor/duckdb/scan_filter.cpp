#include "executor/duckdb/scan_filter.hpp"

#include <algorithm>
#include <duckdb/planner/filter/list.hpp>
#include <limits>
#include <mutex>

#include "base/assert.hpp"
#include "executor/duckdb/values.hpp"

namespace bop::executor {

using duckdb::ExpressionType;
using duckdb::TableFilter;
using duckdb::TableFilterType;

namespace {

template <class Passes>
std::size_t keep_if(std::span<std::uint32_t> rows, const Passes& passes) {
  std::size_t kept = 0;
  for (const std::uint32_t row : rows) {
    rows[kept] = row;
    kept += passes(row) ? 1 : 0;
  }
  return kept;
}

duckdb::hugeint_t huge(Wide value) {
  return {static_cast<std::int64_t>(value >> 64), static_cast<std::uint64_t>(value)};
}

}  // namespace

void RecordFilter::end_list() {
  std::ranges::sort(texts);
  std::ranges::sort(numbers);
  constexpr std::uint64_t kMostMembers = std::uint64_t{1} << 22;
  if (numbers.empty()) return;
  const std::uint64_t range =
      static_cast<std::uint64_t>(numbers.back()) - static_cast<std::uint64_t>(numbers.front());
  if (range >= kMostMembers) return;
  members.resize(range + 1);
  for (const std::int64_t member : numbers)
    members[static_cast<std::size_t>(member - numbers.front())] = true;
}

bool RecordFilter::in_list(std::int64_t value) const {
  if (members.empty()) return std::ranges::binary_search(numbers, value);
  const std::uint64_t at = static_cast<std::uint64_t>(value) - static_cast<std::uint64_t>(numbers.front());
  return at < members.size() && members[at];
}

bool RecordFilter::holds_text(std::string_view text) const {
  if (is_list) return std::ranges::binary_search(texts, text);
  if (passing[0] == passing[2] && text.size() != bytes.size()) return passing[0];
  return holds(text, std::string_view(bytes));
}

bool RecordFilter::decimal_passes(const rowstore::RecordField& f) const {
  if (!f.is_text()) return !f.is_null();
  if (std::int64_t value = 0;
      (is_narrow || is_list) && parse_short_decimal(f.bytes(), type.scale, type.precision, value))
    return is_list ? in_list(value) : holds(value, narrow_number);
  duckdb::hugeint_t value;
  if (is_list || !parse_decimal(f.bytes(), type.scale, type.precision, value)) return true;
  return holds(value, number);
}

std::size_t RecordFilter::select(std::span<const rowstore::RecordField> fields,
                                 std::span<std::uint32_t> rows) const {
  if (is_text()) {
    return keep_if(rows, [&](std::uint32_t row) {
      const rowstore::RecordField& f = fields[row];
      return f.type < 12 ? !f.is_null() : holds_text(f.bytes());
    });
  }
  if (type.physical == Physical::kDecimal)
    return keep_if(rows, [&](std::uint32_t row) { return decimal_passes(fields[row]); });
  if (is_narrow && !is_list) {
    return keep_if(rows, [&](std::uint32_t row) {
      const rowstore::RecordField& f = fields[row];
      if (!f.is_integer()) return !f.is_null();
      return holds(f.integer(), narrow_number);
    });
  }
  return keep_if(rows, [&](std::uint32_t row) {
    const rowstore::RecordField& f = fields[row];
    if (!f.is_integer()) return !f.is_null();
    return is_list ? in_list(f.integer()) : holds(duckdb::hugeint_t(f.integer()), number);
  });
}

std::size_t RecordFilter::select(const EncodedColumn& column, std::span<const std::uint32_t> rows,
                                 std::span<std::uint32_t> chosen) const {
  const auto choose = [&](const auto& passes) {
    std::size_t kept = 0;
    const bool has_nulls = column.has_nulls();
    for (std::uint32_t i = 0; i < rows.size(); ++i) {
      chosen[kept] = i;
      kept += passes(i) && !(has_nulls && column.is_null(rows[i])) ? 1 : 0;
    }
    return kept;
  };
  if (is_text()) {
    if (!column.has_choices())
      return choose([&](std::uint32_t i) { return holds_text(column.text(rows[i])); });
    std::array<bool, 256> passes{};
    for (std::size_t i = 0; i < column.choices(); ++i) passes[i] = holds_text(column.choice(i));
    return choose([&](std::uint32_t i) { return passes[column.choice_of(rows[i])]; });
  }
  if (column.is_wide()) {
    return choose([&](std::uint32_t i) {
      const Wide value = column.wide(rows[i]);
      return is_list ? value == static_cast<std::int64_t>(value) && in_list(static_cast<std::int64_t>(value))
                     : holds(huge(value), number);
    });
  }
  std::array<std::int64_t, kMostRows> values;
  BOP_ASSERT(rows.size() <= values.size());
  column.numbers(rows, values.data());
  if (is_list) return choose([&](std::uint32_t i) { return in_list(values[i]); });
  if (!is_narrow) return choose([&](std::uint32_t i) { return holds(duckdb::hugeint_t(values[i]), number); });
  const std::int64_t constant = narrow_number;
  // (Comparisons without branches for the usual ones.)
  if (passing == std::array{true, true, false})
    return choose([&](std::uint32_t i) { return values[i] <= constant; });
  if (passing == std::array{true, false, false})
    return choose([&](std::uint32_t i) { return values[i] < constant; });
  if (passing == std::array{false, true, true})
    return choose([&](std::uint32_t i) { return values[i] >= constant; });
  if (passing == std::array{false, false, true})
    return choose([&](std::uint32_t i) { return values[i] > constant; });
  return choose([&](std::uint32_t i) { return holds(values[i], constant); });
}

bool RecordFilter::may_pass(const EncodedColumn& column) const {
  if (is_text()) {
    for (std::size_t i = 0; column.has_choices() && i < column.choices(); ++i) {
      if (holds_text(column.choice(i))) return true;
    }
    return !column.has_choices();
  }
  if (column.is_wide()) return true;
  const std::int64_t least = column.least();
  const std::int64_t largest = column.largest();
  if (is_list) {
    const auto first = std::ranges::lower_bound(numbers, least);
    return first != numbers.end() && *first <= largest;
  }
  if (!is_narrow) return true;
  return (passing[0] && least < narrow_number) || (passing[2] && largest > narrow_number) ||
         (passing[1] && least <= narrow_number && narrow_number <= largest);
}

namespace {

class FilterReader {
 public:
  FilterReader(const TableColumn& column, ReadFilters& out) : column_(column), out_(out) {}

  bool read(const TableFilter& filter) {
    switch (filter.filter_type) {
      case TableFilterType::CONSTANT_COMPARISON: return constant(filter.Cast<duckdb::ConstantFilter>());
      case TableFilterType::CONJUNCTION_AND: {
        bool all = true;
        for (const auto& child : filter.Cast<duckdb::ConjunctionAndFilter>().child_filters)
          all = read(*child) && all;
        return all;
      }
      case TableFilterType::OPTIONAL_FILTER: {
        const auto& child = filter.Cast<duckdb::OptionalFilter>().child_filter;
        if (child) read(*child);
        return true;
      }
      case TableFilterType::DYNAMIC_FILTER: {
        out_.on_records = out_.tightens = true;
        const auto& data = filter.Cast<duckdb::DynamicFilter>().filter_data;
        if (!data || !data->initialized) return true;
        const std::lock_guard<duckdb::mutex> lock(data->lock);
        if (data->filter) read(*data->filter);
        return true;
      }
      case TableFilterType::BLOOM_FILTER:
        out_.blooms.push_back(&filter.Cast<duckdb::BFTableFilter>());
        out_.on_records = true;
        return true;
      case TableFilterType::IN_FILTER: return list(filter.Cast<duckdb::InFilter>());
      default: return false;
    }
  }

 private:
  // The constant as a number of the column's type.
  static bool number_of(const duckdb::Value& value, duckdb::hugeint_t& out) {
    switch (value.type().InternalType()) {
      case duckdb::PhysicalType::BOOL:
        out = duckdb::hugeint_t(value.GetValueUnsafe<bool>() ? 1 : 0);
        return true;
      case duckdb::PhysicalType::INT16:
        out = duckdb::hugeint_t(value.GetValueUnsafe<std::int16_t>());
        return true;
      case duckdb::PhysicalType::INT32:
        out = duckdb::hugeint_t(value.GetValueUnsafe<std::int32_t>());
        return true;
      case duckdb::PhysicalType::INT64:
        out = duckdb::hugeint_t(value.GetValueUnsafe<std::int64_t>());
        return true;
      case duckdb::PhysicalType::INT128: out = value.GetValueUnsafe<duckdb::hugeint_t>(); return true;
      default: return false;
    }
  }

  [[nodiscard]] bool is_bytes() const {
    return column_.type.physical == Physical::kText || column_.type.physical == Physical::kBlob;
  }
  [[nodiscard]] bool is_comparable(const duckdb::Value& value) const {
    return !value.IsNull() && value.type() == logical_type(column_.type) &&
           column_.type.physical != Physical::kFloat && column_.type.physical != Physical::kDouble;
  }

  bool list(const duckdb::InFilter& filter) {
    if (column_.field < 0) return false;
    RecordFilter f{.field = static_cast<unsigned>(column_.field), .type = column_.type, .is_list = true};
    for (const duckdb::Value& value : filter.values) {
      if (!is_comparable(value)) return false;
      if (is_bytes()) {
        f.texts.push_back(duckdb::StringValue::Get(value));
        continue;
      }
      duckdb::hugeint_t number;
      std::int64_t narrow = 0;
      if (!number_of(value, number) || !duckdb::Hugeint::TryCast(number, narrow)) return false;
      f.numbers.push_back(narrow);
    }
    f.end_list();
    out_.records.push_back(std::move(f));
    out_.on_records = true;
    return true;
  }

  bool constant(const duckdb::ConstantFilter& filter) {
    using enum ExpressionType;
    RecordFilter f{.type = column_.type};
    switch (filter.comparison_type) {
      case COMPARE_EQUAL: f.passing = {false, true, false}; break;
      case COMPARE_NOTEQUAL: f.passing = {true, false, true}; break;
      case COMPARE_LESSTHAN: f.passing = {true, false, false}; break;
      case COMPARE_LESSTHANOREQUALTO: f.passing = {true, true, false}; break;
      case COMPARE_GREATERTHAN: f.passing = {false, false, true}; break;
      case COMPARE_GREATERTHANOREQUALTO: f.passing = {false, true, true}; break;
      default: return false;
    }
    if (!is_comparable(filter.constant)) return false;
    if (is_bytes()) {
      f.bytes = duckdb::StringValue::Get(filter.constant);
    } else {
      if (!number_of(filter.constant, f.number)) return false;
      f.is_narrow = duckdb::Hugeint::TryCast(f.number, f.narrow_number);
    }
    if (column_.field < 0) return rowid(filter.comparison_type, static_cast<std::int64_t>(f.number.lower));
    f.field = static_cast<unsigned>(column_.field);
    out_.records.push_back(std::move(f));
    out_.on_records = true;
    return true;
  }

  bool rowid(ExpressionType comparison, std::int64_t n) {
    rowstore::RowidRange& range = out_.range;
    constexpr auto kLowest = std::numeric_limits<std::int64_t>::min();
    constexpr auto kHighest = std::numeric_limits<std::int64_t>::max();
    switch (comparison) {
      case ExpressionType::COMPARE_EQUAL:
        range.lowest = std::max(range.lowest, n);
        range.highest = std::min(range.highest, n);
        return true;
      case ExpressionType::COMPARE_LESSTHANOREQUALTO: range.highest = std::min(range.highest, n); return true;
      case ExpressionType::COMPARE_GREATERTHANOREQUALTO:
        range.lowest = std::max(range.lowest, n);
        return true;
      case ExpressionType::COMPARE_LESSTHAN:
        if (n == kLowest) return false;
        range.highest = std::min(range.highest, n - 1);
        return true;
      case ExpressionType::COMPARE_GREATERTHAN:
        if (n == kHighest) return false;
        range.lowest = std::max(range.lowest, n + 1);
        return true;
      default: return false;
    }
  }

  const TableColumn& column_;
  ReadFilters& out_;
};

}  // namespace

bool read_filter(const TableColumn& column, const TableFilter& filter, ReadFilters& out) {
  return FilterReader(column, out).read(filter);
}

}  // namespace bop::executor
