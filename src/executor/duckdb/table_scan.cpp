// bop_scan(<index>): a table of the statement, its b-tree's leaves decoded into vectors by any number of
// threads.
//
// Filters that DuckDB pushes down are applied here, all of them: comparisons with constants on the record
// before anything else of it is decoded, the others on the vectors. Those that only help (of a join's other
// side, of a top-N) are used when they are comparisons and left out otherwise. Comparisons of the rowid bound
// what is read.
#include <duckdb/execution/expression_executor.hpp>
#include <duckdb/function/table_function.hpp>
#include <duckdb/main/extension/extension_loader.hpp>
#include <duckdb/planner/expression/bound_conjunction_expression.hpp>
#include <duckdb/planner/expression/bound_reference_expression.hpp>
#include <duckdb/planner/filter/list.hpp>
#include <duckdb/storage/statistics/base_statistics.hpp>
#include <optional>

#include "executor/duckdb/statement_state.hpp"
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

// `field <operator> constant` on the record itself.
struct RecordFilter {
  int field = 0;
  ColumnType type;
  ExpressionType comparison = ExpressionType::INVALID;
  duckdb::hugeint_t number;  // of integers, booleans and decimals
  bool is_narrow = false;    // and it fits 64 bits:
  std::int64_t narrow_number = 0;
  std::string bytes;  // of text and blobs

  [[nodiscard]] bool passes(const rowstore::RecordField& f) const {
    if (f.is_null()) return false;
    int order = 0;
    if (type.physical == Physical::kText || type.physical == Physical::kBlob) {
      if (f.type < 12) return true;  // of another kind: the decoding tells
      order = f.bytes().compare(bytes);
    } else {
      if (std::int64_t narrow = 0;
          is_narrow &&
          (type.physical == Physical::kDecimal
               ? f.is_text() && parse_short_decimal(f.bytes(), type.scale, type.precision, narrow)
               : f.is_integer())) {
        if (type.physical != Physical::kDecimal) narrow = f.integer();
        return holds(narrow < narrow_number ? -1 : narrow > narrow_number ? 1 : 0);
      }
      duckdb::hugeint_t value;
      if (f.is_integer() && type.physical != Physical::kDecimal) {
        value = duckdb::hugeint_t(f.integer());
      } else if (!f.is_text() || !parse_decimal(f.bytes(), type.scale, type.precision, value)) {
        return true;
      }
      order = value == number ? 0 : value < number ? -1 : 1;
    }
    return holds(order);
  }

  [[nodiscard]] bool holds(int order) const {
    switch (comparison) {
      case ExpressionType::COMPARE_EQUAL: return order == 0;
      case ExpressionType::COMPARE_NOTEQUAL: return order != 0;
      case ExpressionType::COMPARE_LESSTHAN: return order < 0;
      case ExpressionType::COMPARE_LESSTHANOREQUALTO: return order <= 0;
      case ExpressionType::COMPARE_GREATERTHAN: return order > 0;
      case ExpressionType::COMPARE_GREATERTHANOREQUALTO: return order >= 0;
      default: return true;
    }
  }
};

// Whether all of the filter is in `out`; if not, what is in there follows from it.
class FilterReader {
 public:
  FilterReader(const TableColumn& column, std::vector<RecordFilter>& out, rowstore::RowidRange& range)
      : column_(column), out_(out), range_(range) {}

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
        const auto& data = filter.Cast<duckdb::DynamicFilter>().filter_data;
        if (!data || !data->initialized) return true;
        const std::lock_guard<duckdb::mutex> lock(data->lock);
        if (data->filter) read(*data->filter);
        return true;
      }
      case TableFilterType::BLOOM_FILTER: return true;
      default: return false;
    }
  }

 private:
  bool constant(const duckdb::ConstantFilter& filter) {
    using enum ExpressionType;
    RecordFilter f{.field = column_.field, .type = column_.type, .comparison = filter.comparison_type};
    switch (f.comparison) {
      case COMPARE_EQUAL:
      case COMPARE_NOTEQUAL:
      case COMPARE_LESSTHAN:
      case COMPARE_LESSTHANOREQUALTO:
      case COMPARE_GREATERTHAN:
      case COMPARE_GREATERTHANOREQUALTO: break;
      default: return false;
    }
    const duckdb::Value& value = filter.constant;
    if (value.IsNull() || value.type() != logical_type(column_.type)) return false;
    switch (column_.type.physical) {
      case Physical::kText:
      case Physical::kBlob: f.bytes = duckdb::StringValue::Get(value); break;
      case Physical::kFloat:
      case Physical::kDouble: return false;
      default:
        switch (value.type().InternalType()) {
          case duckdb::PhysicalType::BOOL:
            f.number = duckdb::hugeint_t(value.GetValueUnsafe<bool>() ? 1 : 0);
            break;
          case duckdb::PhysicalType::INT16:
            f.number = duckdb::hugeint_t(value.GetValueUnsafe<std::int16_t>());
            break;
          case duckdb::PhysicalType::INT32:
            f.number = duckdb::hugeint_t(value.GetValueUnsafe<std::int32_t>());
            break;
          case duckdb::PhysicalType::INT64:
            f.number = duckdb::hugeint_t(value.GetValueUnsafe<std::int64_t>());
            break;
          case duckdb::PhysicalType::INT128: f.number = value.GetValueUnsafe<duckdb::hugeint_t>(); break;
          default: return false;
        }
        f.is_narrow = duckdb::Hugeint::TryCast(f.number, f.narrow_number);
    }
    if (column_.field >= 0) {
      out_.push_back(std::move(f));
      return true;
    }
    return rowid(f);
  }

  bool rowid(const RecordFilter& f) {
    const auto n = static_cast<std::int64_t>(f.number.lower);
    constexpr auto kLowest = std::numeric_limits<std::int64_t>::min();
    constexpr auto kHighest = std::numeric_limits<std::int64_t>::max();
    switch (f.comparison) {
      case ExpressionType::COMPARE_EQUAL:
        range_.lowest = std::max(range_.lowest, n);
        range_.highest = std::min(range_.highest, n);
        return true;
      case ExpressionType::COMPARE_LESSTHANOREQUALTO:
        range_.highest = std::min(range_.highest, n);
        return true;
      case ExpressionType::COMPARE_GREATERTHANOREQUALTO:
        range_.lowest = std::max(range_.lowest, n);
        return true;
      case ExpressionType::COMPARE_LESSTHAN:
        if (n == kLowest) return false;
        range_.highest = std::min(range_.highest, n - 1);
        return true;
      case ExpressionType::COMPARE_GREATERTHAN:
        if (n == kHighest) return false;
        range_.lowest = std::max(range_.lowest, n + 1);
        return true;
      default: return false;
    }
  }

  const TableColumn& column_;
  std::vector<RecordFilter>& out_;
  rowstore::RowidRange& range_;
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

constexpr std::size_t kLeavesALot = 32;

bool is_table_column(const Table& table, idx_t column) { return column < table.columns.size(); }

struct ScanLocal final : duckdb::LocalTableFunctionState {
  ScanLocal(ClientContext& context, const Table& t, const ScanGlobal& g)
      : table(t), global(g), reader(t.source, fields(t, g), g.range), executor(context) {
    duckdb::vector<duckdb::LogicalType> types;
    for (const idx_t column : g.columns) {
      types.push_back(is_table_column(t, column) ? logical_type(t.columns[column].type)
                                                 : duckdb::LogicalType::BIGINT);
    }
    chunk.Initialize(context, types);
    for (idx_t i = 0; i < g.columns.size(); ++i) {
      const idx_t column = g.columns[i];
      const bool known = is_table_column(t, column);
      wanted.push_back({.field = known ? t.columns[column].field : -1,
                        .type = known ? t.columns[column].type : ColumnType{.physical = Physical::kInt64},
                        .vector = &chunk.data[i]});
    }
    read_filters();
  }

  static std::size_t fields(const Table& table, const ScanGlobal& g) {
    int last = -1;
    const auto add = [&](idx_t column) {
      if (is_table_column(table, column)) last = std::max(last, table.columns[column].field);
    };
    for (const idx_t column : g.columns) add(column);
    return static_cast<std::size_t>(last + 1);
  }

  // What of a filter is not compared on records goes to `conditions`, once; comparisons may tighten while the
  // statement runs.
  void read_filters() {
    const bool first = conditions.empty() && !read_once;
    read_once = true;
    record_filters.clear();
    if (!global.filters) return;
    rowstore::RowidRange range;
    for (const auto& [index, filter] : global.filters->filters) {
      const TableColumn& column = table.columns[global.columns[index]];
      const bool all = FilterReader(column, record_filters, range).read(*filter);
      if (all || !first) continue;
      const duckdb::BoundReferenceExpression reference(logical_type(column.type), index);
      conditions.push_back(filter->ToExpression(reference));
    }
    if (first) {
      for (const auto& condition : conditions) executor.AddExpression(*condition);
    }
  }

  const Table& table;
  const ScanGlobal& global;
  rowstore::LeafReader reader;
  struct Wanted {
    int field = -1;  // the rowid
    ColumnType type;
    duckdb::Vector* vector = nullptr;  // of chunk
  };
  std::vector<Wanted> wanted;
  std::vector<PageNo> lot;
  std::size_t leaf = 0;
  bool in_leaf = false;
  DataChunk chunk;
  bool read_once = false;
  std::vector<RecordFilter> record_filters;
  std::vector<unique_ptr<duckdb::Expression>> conditions;
  duckdb::ExpressionExecutor executor;
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
    std::vector<RecordFilter> unused;
    for (const auto& [index, filter] : input.filters->filters) {
      const TableColumn& column = table.columns[global->columns[index]];
      if (column.field < 0) FilterReader(column, unused, global->range).read(*filter);
    }
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

// Fills the chunk with rows that pass the record filters; false: nothing is left.
bool fill(StatementState& state, ScanLocal& local) {
  DataChunk& chunk = local.chunk;
  chunk.Reset();
  idx_t row = 0;
  while (row < STANDARD_VECTOR_SIZE) {
    if (!local.in_leaf) {
      if (local.leaf == local.lot.size()) {
        auto lot = local.global.tree->next_lot();
        if (!lot) state.fail_with(std::move(lot).error());
        if (lot->empty()) break;
        local.lot = std::move(*lot);
        local.leaf = 0;
        local.reader.expect(local.lot);
        local.read_filters();
      }
      if (auto opened = local.reader.open(local.lot[local.leaf++]); !opened) state.fail_with(opened.error());
      local.in_leaf = true;
    }
    auto more = local.reader.next();
    if (!more) state.fail_with(std::move(more).error());
    if (!*more) {
      local.in_leaf = false;
      continue;
    }
    bool passes = true;
    for (const RecordFilter& filter : local.record_filters) {
      passes = filter.passes(local.reader.field(static_cast<std::size_t>(filter.field)));
      if (!passes) break;
    }
    if (!passes) continue;
    for (const ScanLocal::Wanted& wanted : local.wanted) {
      const bool stored =
          wanted.field >= 0
              ? store_field(local.reader.field(static_cast<std::size_t>(wanted.field)), wanted.type,
                            *wanted.vector, row)
              : store_value(Value::of_int(local.reader.rowid()), wanted.type, *wanted.vector, row);
      if (!stored) {
        state.fail_with(error(ErrorCode::kNotImplemented,
                              "a value that this statement reads has no form in the second executor"));
      }
    }
    ++row;
  }
  chunk.SetCardinality(row);
  return row > 0;
}

void scan(ClientContext&, duckdb::TableFunctionInput& input, DataChunk& output) {
  const auto& data = input.bind_data->Cast<ScanData>();
  auto& local = input.local_state->Cast<ScanLocal>();
  const auto& global = local.global;
  while (fill(data.state, local)) {
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
