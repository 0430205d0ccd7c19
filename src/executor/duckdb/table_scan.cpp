// bop_scan(<index>): a table of the statement, its b-tree's leaves decoded into vectors by any number of
// threads.
//
// Filters that DuckDB pushes down are applied here, all of them: comparisons with constants and lists of them
// on the fields of records, the others on vectors; what they do not need is looked for and decoded for the
// rows that are left. Filters that only help (of a join's other side, of a top-N) are used when they are
// comparisons, lists or Bloom filters, and left out otherwise. Comparisons of the rowid bound what is read.
//
// Lots whose columns are kept in memory (column_cache.hpp) are read from there, by the same steps.
#include <algorithm>
#include <array>
#include <deque>
#include <duckdb/execution/expression_executor.hpp>
#include <duckdb/function/table_function.hpp>
#include <duckdb/main/extension/extension_loader.hpp>
#include <duckdb/planner/expression/bound_conjunction_expression.hpp>
#include <duckdb/planner/expression/bound_reference_expression.hpp>
#include <duckdb/storage/statistics/base_statistics.hpp>
#include <numeric>
#include <optional>

#include "executor/duckdb/kept_rows.hpp"
#include "executor/duckdb/scan_filter.hpp"
#include "executor/duckdb/statement_state.hpp"
#include "executor/duckdb/test_fault.hpp"
#include "executor/duckdb/values.hpp"

namespace bop::executor {

namespace {

using duckdb::ClientContext;
using duckdb::DataChunk;
using duckdb::idx_t;
using duckdb::unique_ptr;

struct ScanData final : duckdb::TableFunctionData {
  ScanData(StatementState& s, std::size_t i) : state(s), index(i) {}
  unique_ptr<FunctionData> Copy() const override { return duckdb::make_uniq<ScanData>(state, index); }
  bool Equals(const FunctionData& other) const override { return this == &other; }
  const Table& table() const { return state.statement.tables[index]; }
  StatementState& state;
  const std::size_t index;
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
  ScanLocal(ClientContext& context, const ScanData& data, const ScanGlobal& g)
      : table(data.table()), global(g), cache(data.state.cache), executor(context) {
    const Table& t = table;
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
      wanted.back().kept = want_kept({wanted.back().field, wanted.back().type});
    }
    if (g.range.lowest != rowstore::RowidRange().lowest || g.range.highest != rowstore::RowidRange().highest)
      kept_rowids = want_kept({-1, {.physical = Physical::kInt64}});
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

  std::size_t want_kept(const ColumnCache::Column& column) {
    const auto at = std::ranges::find(kept_columns, column);
    if (at != kept_columns.end()) return static_cast<std::size_t>(at - kept_columns.begin());
    kept_columns.push_back(column);
    return kept_columns.size() - 1;
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
      const bool all = read_filter(column, *filter, filters);
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

  // The rows that were read last.
  [[nodiscard]] std::size_t count() const {
    return kept.is_open() ? kept.rows().size() : reader->rowids().size();
  }

  const Table& table;
  const ScanGlobal& global;
  ColumnCache* const cache;
  struct Wanted {
    ColumnType type;
    int field = -1;  // the rowid
    std::size_t slot = 0;
    std::size_t kept = 0;  // of kept_columns
    bool stored = false;   // of the rows that were read last
  };
  std::vector<Wanted> wanted;  // columns of the chunk
  std::vector<unsigned> wanted_fields;
  std::size_t early_fields = 0;  // how many of them are there to choose rows by
  std::optional<rowstore::RowReader> reader;
  std::vector<ColumnCache::Column> kept_columns;
  std::optional<std::size_t> kept_rowids;
  std::vector<std::uint64_t> versions;
  KeptRows kept;  // open: the lot is read from there
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
      if (column.field < 0) read_filter(column, *filter, read);
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
  return duckdb::make_uniq<ScanLocal>(context.client, data, global->Cast<ScanGlobal>());
}

// Whether the lot is kept, maybe from now on. Of columns that exclude each of its rows, none is read.
Result<bool> open_kept(ScanLocal& local, const rowstore::TableTree::Lot& lot) {
  const rowstore::PageSource& source = *local.table.source;
  if (local.cache == nullptr) return false;
  local.versions.resize(lot.leaves.size());
  if (!source.versions(lot.leaves, local.versions)) return false;
  const ColumnCache::LotState state{source.file(), lot.leaves, local.versions};
  ColumnCache::Found found = local.cache->find(state, local.kept_columns);
  if (!found.complete) {
    if (!found.is_worth_keeping) return false;
    std::vector<ColumnCache::Column> missing;
    for (std::size_t i = 0; i < found.columns.size(); ++i) {
      if (!found.columns[i]) missing.push_back(local.kept_columns[i]);
    }
    BOP_LET(made, encode_columns(local.table.source, lot.leaves, missing));
    if (made.empty()) {
      local.cache->refuse(state);
      return false;
    }
    local.cache->keep(state, missing, made);
    for (std::size_t i = 0, next = 0; i < found.columns.size(); ++i) {
      if (!found.columns[i]) found.columns[i] = std::move(made[next++]);
    }
  }
  const EncodedColumnPtr rowids = local.kept_rowids ? found.columns[*local.kept_rowids] : nullptr;
  local.kept.open(std::move(found.columns), rowids.get(), local.global.range);
  return true;
}

Status open_lot(ScanLocal& local, const rowstore::TableTree::Lot& lot) {
  local.kept.close();
  BOP_LET(is_kept, open_kept(local, lot));
  if (!is_kept) return local.reader->open(lot.inside());
  return {};
}

std::optional<std::size_t> kept_column(const ScanLocal& local, const RecordFilter& filter) {
  const ColumnCache::Column column{static_cast<int>(filter.field), filter.type};
  const auto at = std::ranges::find(local.kept_columns, column);
  if (at == local.kept_columns.end()) return std::nullopt;
  return static_cast<std::size_t>(at - local.kept_columns.begin());
}

// Whether a filter excludes all rows of the open lot.
bool excludes_all(const ScanLocal& local) {
  return local.kept.is_open() && std::ranges::any_of(local.filters.records, [&](const RecordFilter& filter) {
           const auto column = kept_column(local, filter);
           return column && !filter.may_pass(local.kept.column(*column));
         });
}

// The reader's rows of one column into the chunk, from row `first` on.
void store_column(StatementState& state, ScanLocal& local, idx_t column, idx_t first) {
  ScanLocal::Wanted& wanted = local.wanted[column];
  duckdb::Vector& vector = local.chunk.data[column];
  bool stored = true;
  if (local.kept.is_open()) {
    local.kept.store(wanted.kept, vector, first);
  } else if (wanted.field >= 0) {
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
  if (local.kept.is_open()) {
    local.kept.keep(rows);
  } else {
    local.reader->keep(rows);
  }
  for (ScanLocal::Wanted& wanted : local.wanted) wanted.stored = false;
}

void apply_record_filters(ScanLocal& local) {
  if (local.kept.is_open()) {
    for (const RecordFilter& filter : local.filters.records) {
      const auto column = kept_column(local, filter);
      if (!column) continue;  // it only helps
      const std::size_t kept = filter.select(local.kept.column(*column), local.kept.rows(), local.chosen);
      keep(local, std::span(local.chosen).first(kept));
    }
    return;
  }
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
    idx_t count = local.count();
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
    if (count < local.count()) keep(local, std::span(local.chosen).first(count));
  }
}

// Fills the chunk with rows that pass the filters of records; false: nothing is left.
bool fill(const ClientContext& context, StatementState& state, ScanLocal& local) {
  provoke_fault();
  local.chunk.Reset();
  idx_t row = 0;
  while (row + kLeastRoom <= STANDARD_VECTOR_SIZE) {
    auto read = local.kept.is_open() ? local.kept.read(STANDARD_VECTOR_SIZE - row)
                                     : local.reader->read(STANDARD_VECTOR_SIZE - row);
    if (!read) state.fail_with(std::move(read).error());
    if (*read == 0) {
      if (context.interrupted) throw duckdb::InterruptException();
      auto lot = local.global.tree->next_lot();
      if (!lot) state.fail_with(std::move(lot).error());
      if (lot->empty()) break;
      local.read_filters();
      if (auto opened = open_lot(local, *lot); !opened) state.fail_with(std::move(opened).error());
      if (excludes_all(local)) local.kept.close();
      continue;
    }
    for (ScanLocal::Wanted& wanted : local.wanted) wanted.stored = false;
    apply_record_filters(local);
    apply_blooms(state, local, row);
    if (!local.kept.is_open()) {
      if (auto located = local.reader->locate_rest(); !located) state.fail_with(std::move(located).error());
    }
    for (idx_t i = 0; i < local.wanted.size(); ++i) {
      if (!local.wanted[i].stored) store_column(state, local, i, row);
    }
    row += local.count();
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
