// bop_scan(<index>): a table of the statement, its b-tree's leaves decoded into vectors by any number of
// threads.
//
// Filters that DuckDB pushes down are applied here, all of them: comparisons with constants and lists of them
// on the fields of records, the others on vectors; what they do not need is looked for and decoded for the
// rows that are left. Filters that only help (of a join's other side, of a top-N) are used when they are
// comparisons, lists or Bloom filters, and left out otherwise. Comparisons of the rowid bound what is read.
#include <array>
#include <deque>
#include <duckdb/execution/expression_executor.hpp>
#include <duckdb/function/table_function.hpp>
#include <duckdb/main/extension/extension_loader.hpp>
#include <duckdb/planner/expression/bound_conjunction_expression.hpp>
#include <duckdb/planner/expression/bound_reference_expression.hpp>
#include <duckdb/planner/filter/bloom_filter.hpp>
#include <duckdb/planner/filter/list.hpp>
#include <duckdb/storage/statistics/base_statistics.hpp>
#include <numeric>
#include <optional>

#include "executor/duckdb/statement_state.hpp"
#include "executor/duckdb/test_fault.hpp"
#include "executor/duckdb/values.hpp"

namespace bop::executor {

namespace {

using duckdb::ClientContext;
using duckdb::DataChunk;
using duckdb::ExpressionType;
using duckdb::idx_t;
using duckdb::TableFilter;
using duckdb::TableFilterType;
using duckdb::unique_ptr;

struct ScanData final : duckdb::TableFunctionData {
  ScanData(StatementState& s, std::size_t i) : state(s), index(i) {}
  unique_ptr<FunctionData> Copy() const override { return duckdb::make_uniq<ScanData>(state, index); }
  bool Equals(const FunctionData& other) const override { return this == &other; }
  const Table& table() const { return state.statement.tables[index]; }
  StatementState& state;
  const std::size_t index;
};

// `field <operator> constant`, or `field IN (constants)`, on fields of records. A value of another kind
// passes: its decoding tells.
struct RecordFilter {
  unsigned field = 0;
  ColumnType type;
  std::array<bool, 3> passing{};  // whether what is less, equal, greater passes
  duckdb::hugeint_t number;       // of integers, booleans and decimals
  bool is_narrow = false;         // and it fits 64 bits:
  std::int64_t narrow_number = 0;
  std::string bytes;  // of text and blobs
  bool is_list = false;
  std::vector<std::int64_t> numbers;  // ascending, as the texts are
  std::vector<std::string> texts;
  std::vector<bool> members;  // of the numbers from the first to the last one, if those are not too many

  void end_list() {
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

  // Those of `rows` that pass, in place; how many they are.
  std::size_t select(std::span<const rowstore::RecordField> fields, std::span<std::uint32_t> rows) const {
    if (type.physical == Physical::kText || type.physical == Physical::kBlob)
      return keep_if(rows, [&](std::uint32_t row) { return text_passes(fields[row]); });
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

 private:
  template <class Passes>
  static std::size_t keep_if(std::span<std::uint32_t> rows, const Passes& passes) {
    std::size_t kept = 0;
    for (const std::uint32_t row : rows) {
      rows[kept] = row;
      kept += passes(row) ? 1 : 0;
    }
    return kept;
  }
  template <class T>
  [[nodiscard]] bool holds(const T& value, const T& constant) const {
    return passing[static_cast<std::size_t>((value > constant) - (value < constant) + 1)];
  }
  [[nodiscard]] bool in_list(std::int64_t value) const {
    if (members.empty()) return std::ranges::binary_search(numbers, value);
    const std::uint64_t at = static_cast<std::uint64_t>(value) - static_cast<std::uint64_t>(numbers.front());
    return at < members.size() && members[at];
  }
  [[nodiscard]] bool text_passes(const rowstore::RecordField& f) const {
    if (f.type < 12) return !f.is_null();
    if (is_list) return std::ranges::binary_search(texts, f.bytes());
    if (passing[0] == passing[2] && f.bytes().size() != bytes.size()) return passing[0];
    return holds(f.bytes(), std::string_view(bytes));
  }
  [[nodiscard]] bool decimal_passes(const rowstore::RecordField& f) const {
    if (!f.is_text()) return !f.is_null();
    if (std::int64_t value = 0;
        (is_narrow || is_list) && parse_short_decimal(f.bytes(), type.scale, type.precision, value))
      return is_list ? in_list(value) : holds(value, narrow_number);
    duckdb::hugeint_t value;
    if (is_list || !parse_decimal(f.bytes(), type.scale, type.precision, value)) return true;
    return holds(value, number);
  }
};

struct ReadFilters {
  std::vector<RecordFilter> records;
  std::vector<const duckdb::BFTableFilter*> blooms;  // of the filter that was read last
  bool on_records = false;                           // and whether it needs fields, now or later
  bool tightens = false;                             // one of them does, while the statement runs
  rowstore::RowidRange range;
};

// Whether all of the filter is in `out`; if not, what is in there follows from it.
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

struct ScanGlobal final : duckdb::GlobalTableFunctionState {
  idx_t MaxThreads() const override { return threads; }
  std::unique_ptr<rowstore::TableTree> tree;
  rowstore::RowidRange range;
  std::vector<idx_t> columns;     // of the table, as scanned
  std::vector<idx_t> projection;  // of `columns`, as answered; empty: all
  duckdb::optional_ptr<duckdb::TableFilterSet> filters;
  idx_t threads = 1;
};

constexpr std::size_t kLeavesALot = rowstore::RowReader::kMostLeaves;
// A chunk is answered with less room than this left, so that rows are read many at a time.
constexpr idx_t kLeastRoom = 512;

bool is_table_column(const Table& table, idx_t column) { return column < table.columns.size(); }

// A Bloom filter of a join's other side, as long as it keeps rows out.
struct BloomFilter {
  BloomFilter(const duckdb::BFTableFilter& f, idx_t c) : filter(f), column(c), state(f.GetKeyType()) {}
  [[nodiscard]] bool helps() const { return seen < 20000 || kept < seen / 4 * 3; }

  const duckdb::BFTableFilter& filter;
  const idx_t column;  // of the chunk
  duckdb::BFTableFilterState state;
  idx_t seen = 0;
  idx_t kept = 0;
};

struct ScanLocal final : duckdb::LocalTableFunctionState {
  ScanLocal(ClientContext& context, const Table& t, const ScanGlobal& g)
      : table(t), global(g), executor(context) {
    duckdb::vector<duckdb::LogicalType> types;
    std::vector<unsigned> fields;
    for (const idx_t column : g.columns) {
      const bool known = is_table_column(t, column);
      types.push_back(known ? logical_type(t.columns[column].type) : duckdb::LogicalType::BIGINT);
      wanted.push_back({.type = known ? t.columns[column].type : ColumnType{.physical = Physical::kInt64}});
      if (known && t.columns[column].field >= 0) {
        wanted.back().field = t.columns[column].field;
        fields.push_back(static_cast<unsigned>(t.columns[column].field));
      }
    }
    chunk.Initialize(context, types);
    std::ranges::sort(fields);
    fields.erase(std::ranges::unique(fields).begin(), fields.end());
    for (Wanted& w : wanted) {
      if (w.field >= 0) w.slot = slot_of(fields, static_cast<unsigned>(w.field));
    }
    read_filters();
    wanted_fields = fields;
    reader.emplace(t.source, std::move(fields), early_fields, g.range);
  }

  static std::size_t slot_of(const std::vector<unsigned>& fields, unsigned field) {
    return static_cast<std::size_t>(std::ranges::lower_bound(fields, field) - fields.begin());
  }

  // What of a filter is not compared on records goes to `conditions` or `blooms`, once; comparisons may
  // tighten while the statement runs.
  void read_filters() {
    const bool first = !std::exchange(read_once, true);
    if (!global.filters || (!first && !filters.tightens)) return;
    filters.records.clear();
    for (const auto& [index, filter] : global.filters->filters) {
      const TableColumn& column = table.columns[global.columns[index]];
      filters.blooms.clear();
      filters.on_records = false;
      const bool all = FilterReader(column, filters).read(*filter);
      if (!first) continue;
      for (const duckdb::BFTableFilter* bloom : filters.blooms) {
        if (bloom->GetKeyType() == logical_type(column.type)) blooms.emplace_back(*bloom, index);
      }
      if (filters.on_records && wanted[index].field >= 0)
        early_fields = std::max(early_fields, wanted[index].slot + 1);
      if (all) continue;
      const duckdb::BoundReferenceExpression reference(logical_type(column.type), index);
      conditions.push_back(filter->ToExpression(reference));
    }
    if (first) {
      for (const auto& condition : conditions) executor.AddExpression(*condition);
    }
  }

  const Table& table;
  const ScanGlobal& global;
  struct Wanted {
    ColumnType type;
    int field = -1;  // the rowid
    std::size_t slot = 0;
    bool stored = false;  // of the rows that were read last
  };
  std::vector<Wanted> wanted;  // columns of the chunk
  std::vector<unsigned> wanted_fields;
  std::size_t early_fields = 0;  // how many of them are there to choose rows by
  std::optional<rowstore::RowReader> reader;
  DataChunk chunk;
  bool read_once = false;
  ReadFilters filters;
  std::deque<BloomFilter> blooms;
  std::vector<unique_ptr<duckdb::Expression>> conditions;
  duckdb::ExpressionExecutor executor;
  std::array<std::uint32_t, STANDARD_VECTOR_SIZE> chosen;
};

unique_ptr<duckdb::FunctionData> bind_scan(ClientContext& context, duckdb::TableFunctionBindInput& input,
                                           duckdb::vector<duckdb::LogicalType>& types,
                                           duckdb::vector<duckdb::string>& names) {
  StatementState& state = StatementState::of(context);
  const auto index = static_cast<std::size_t>(input.inputs[0].GetValue<std::int64_t>());
  const Table& table = state.statement.tables.at(index);
  for (const TableColumn& column : table.columns) {
    types.push_back(logical_type(column.type));
    names.push_back(column.name);
  }
  if (table.columns.empty()) {
    types.push_back(duckdb::LogicalType::BIGINT);
    names.emplace_back("c0");
  }
  return duckdb::make_uniq<ScanData>(state, index);
}

unique_ptr<duckdb::GlobalTableFunctionState> init_global(ClientContext& context,
                                                         duckdb::TableFunctionInitInput& input) {
  const auto& data = input.bind_data->Cast<ScanData>();
  const Table& table = data.table();
  auto global = duckdb::make_uniq<ScanGlobal>();
  for (const duckdb::column_t column : input.column_ids) global->columns.push_back(column);
  if (input.CanRemoveFilterColumns())
    global->projection.assign(input.projection_ids.begin(), input.projection_ids.end());
  global->filters = input.filters;
  if (input.filters) {
    ReadFilters read;
    for (const auto& [index, filter] : input.filters->filters) {
      const TableColumn& column = table.columns[global->columns[index]];
      if (column.field < 0) FilterReader(column, read).read(*filter);
    }
    global->range = read.range;
  }
  auto tree = rowstore::TableTree::open(table.source, table.root, global->range, kLeavesALot);
  if (!tree) data.state.fail_with(std::move(tree).error());
  global->tree = std::move(*tree);
  if (table.source->parallel()) {
    constexpr std::uint64_t kRowsAThread = 20000;
    global->threads =
        std::max<idx_t>(1, std::min<idx_t>(table.rows / kRowsAThread + 1,
                                           duckdb::TaskScheduler::GetScheduler(context).NumberOfThreads()));
  }
  return global;
}

unique_ptr<duckdb::LocalTableFunctionState> init_local(duckdb::ExecutionContext& context,
                                                       duckdb::TableFunctionInitInput& input,
                                                       duckdb::GlobalTableFunctionState* global) {
  const auto& data = input.bind_data->Cast<ScanData>();
  return duckdb::make_uniq<ScanLocal>(context.client, data.table(), global->Cast<ScanGlobal>());
}

// The reader's rows of one column into the chunk, from row `first` on.
void store_column(StatementState& state, ScanLocal& local, idx_t column, idx_t first) {
  ScanLocal::Wanted& wanted = local.wanted[column];
  duckdb::Vector& vector = local.chunk.data[column];
  bool stored = true;
  if (wanted.field >= 0) {
    stored = store_fields(local.reader->column(wanted.slot), wanted.type, vector, first);
  } else {
    idx_t row = first;
    for (const std::int64_t rowid : local.reader->rowids())
      stored = store_value(Value::of_int(rowid), wanted.type, vector, row++) && stored;
  }
  wanted.stored = true;
  if (!stored) {
    state.fail_with(error(ErrorCode::kNotImplemented,
                          "a value that this statement reads has no form in the second executor"));
  }
}

void keep(ScanLocal& local, std::span<const std::uint32_t> rows) {
  local.reader->keep(rows);
  for (ScanLocal::Wanted& wanted : local.wanted) wanted.stored = false;
}

void apply_record_filters(ScanLocal& local) {
  std::size_t count = local.reader->rowids().size();
  bool first = true;
  for (const RecordFilter& filter : local.filters.records) {
    const std::size_t slot = ScanLocal::slot_of(local.wanted_fields, filter.field);
    if (slot >= local.early_fields) continue;  // it only helps
    if (std::exchange(first, false)) std::iota(local.chosen.begin(), local.chosen.begin() + count, 0U);
    count = filter.select(local.reader->column(slot), std::span(local.chosen).first(count));
  }
  if (!first) keep(local, std::span(local.chosen).first(count));
}

void apply_blooms(StatementState& state, ScanLocal& local, idx_t first) {
  for (BloomFilter& bloom : local.blooms) {
    idx_t count = local.reader->rowids().size();
    if (count == 0) return;
    if (!bloom.helps()) continue;
    store_column(state, local, bloom.column, first);
    duckdb::Vector keys(local.chunk.data[bloom.column], first, first + count);
    duckdb::SelectionVector selection(local.chosen.data());
    std::iota(local.chosen.begin(), local.chosen.begin() + static_cast<std::ptrdiff_t>(count), 0U);
    bloom.seen += count;
    bloom.filter.Filter(keys, selection, count, bloom.state);
    bloom.kept += count;
    if (selection.data() != local.chosen.data()) std::copy_n(selection.data(), count, local.chosen.data());
    if (count < local.reader->rowids().size()) keep(local, std::span(local.chosen).first(count));
  }
}

// Fills the chunk with rows that pass the filters of records; false: nothing is left.
bool fill(const ClientContext& context, StatementState& state, ScanLocal& local) {
  provoke_fault();
  local.chunk.Reset();
  idx_t row = 0;
  while (row + kLeastRoom <= STANDARD_VECTOR_SIZE) {
    auto read = local.reader->read(STANDARD_VECTOR_SIZE - row);
    if (!read) state.fail_with(std::move(read).error());
    if (*read == 0) {
      if (context.interrupted) throw duckdb::InterruptException();
      auto lot = local.global.tree->next_lot();
      if (!lot) state.fail_with(std::move(lot).error());
      if (lot->empty()) break;
      if (auto opened = local.reader->open(*lot); !opened) state.fail_with(std::move(opened).error());
      local.read_filters();
      continue;
    }
    for (ScanLocal::Wanted& wanted : local.wanted) wanted.stored = false;
    apply_record_filters(local);
    apply_blooms(state, local, row);
    if (auto located = local.reader->locate_rest(); !located) state.fail_with(std::move(located).error());
    for (idx_t i = 0; i < local.wanted.size(); ++i) {
      if (!local.wanted[i].stored) store_column(state, local, i, row);
    }
    row += local.reader->rowids().size();
  }
  local.chunk.SetCardinality(row);
  return row > 0;
}

void scan(ClientContext& context, duckdb::TableFunctionInput& input, DataChunk& output) {
  const auto& data = input.bind_data->Cast<ScanData>();
  auto& local = input.local_state->Cast<ScanLocal>();
  const auto& global = local.global;
  while (fill(context, data.state, local)) {
    DataChunk& chunk = local.chunk;
    for (idx_t i = 0; i < local.conditions.size() && chunk.size() > 0; ++i) {
      duckdb::SelectionVector chosen(STANDARD_VECTOR_SIZE);
      local.executor.SetChunk(chunk);
      duckdb::Vector passes(duckdb::LogicalType::BOOLEAN);
      local.executor.ExecuteExpression(i, passes);
      duckdb::UnifiedVectorFormat format;
      passes.ToUnifiedFormat(chunk.size(), format);
      idx_t kept = 0;
      for (idx_t row = 0; row < chunk.size(); ++row) {
        const idx_t at = format.sel->get_index(row);
        if (format.validity.RowIsValid(at) && duckdb::UnifiedVectorFormat::GetData<bool>(format)[at])
          chosen.set_index(kept++, row);
      }
      if (kept < chunk.size()) chunk.Slice(chosen, kept);
    }
    if (chunk.size() == 0) continue;
    if (global.projection.empty()) {
      output.Reference(chunk);
    } else {
      for (idx_t i = 0; i < output.ColumnCount(); ++i)
        output.data[i].Reference(chunk.data[global.projection[i]]);
      output.SetCardinality(chunk.size());
    }
    return;
  }
  output.SetCardinality(0);
}

unique_ptr<duckdb::NodeStatistics> cardinality(ClientContext&, const duckdb::FunctionData* data) {
  const std::uint64_t rows = data->Cast<ScanData>().table().rows;
  return duckdb::make_uniq<duckdb::NodeStatistics>(rows);
}

unique_ptr<duckdb::BaseStatistics> statistics(ClientContext&, const duckdb::FunctionData* data,
                                              duckdb::column_t index) {
  const Table& table = data->Cast<ScanData>().table();
  if (!is_table_column(table, index)) return nullptr;
  const TableColumn& column = table.columns[index];
  if (!column.unique && !column.not_null) return nullptr;
  auto known = duckdb::BaseStatistics::CreateUnknown(logical_type(column.type));
  if (column.unique) known.SetDistinctCount(std::max<std::uint64_t>(table.rows, 1));
  if (column.not_null) known.Set(duckdb::StatsInfo::CANNOT_HAVE_NULL_VALUES);
  return known.ToUnique();
}

double progress(ClientContext&, const duckdb::FunctionData*, const duckdb::GlobalTableFunctionState* global) {
  return global->Cast<ScanGlobal>().tree->progress() * 100;
}

duckdb::InsertionOrderPreservingMap<duckdb::string> to_string(duckdb::TableFunctionToStringInput& input) {
  duckdb::InsertionOrderPreservingMap<duckdb::string> out;
  out["Table"] = std::to_string(input.bind_data->Cast<ScanData>().index);
  return out;
}

}  // namespace

void register_scan(duckdb::DatabaseInstance& database) {
  duckdb::TableFunction function("bop_scan", {duckdb::LogicalType::BIGINT}, scan, bind_scan, init_global,
                                 init_local);
  function.cardinality = cardinality;
  function.statistics = statistics;
  function.table_scan_progress = progress;
  function.to_string = to_string;
  function.projection_pushdown = true;
  function.filter_pushdown = true;
  function.filter_prune = true;
  duckdb::ExtensionLoader(database, "bop").RegisterFunction(function);
}

}  // namespace bop::executor
