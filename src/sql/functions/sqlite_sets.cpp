// Set-returning kernels as eponymous virtual tables. Columns: those of the function (or "value"),
// "ordinality", then hidden ones a0, a1... for the arguments, which SQLite hands over as equality
// constraints.
#include <sqlite3.h>

#include <algorithm>

#include "sql/functions/row_table.hpp"
#include "sql/functions/sqlite_binding.hpp"

namespace bop {
namespace {

constexpr int kMaxSetArgs = 16;

struct SetTable : sqlite3_vtab {
  Slot* slot;
  int columns;
};

struct SetCursor : sqlite3_vtab_cursor {
  RowSource source;
  std::vector<OwnedValue> row;
  std::int64_t number = 0;
  bool at_end = true;
};

int fail_table(SetCursor* c, Error e) {
  auto* t = static_cast<SetTable*>(c->pVtab);
  sqlite3_free(t->zErrMsg);
  t->zErrMsg = sqlite3_mprintf("%s", e.what().c_str());
  t->slot->binding->context->error = std::move(e);
  return SQLITE_ERROR;
}

int advance(SetCursor* c) {
  auto more = c->source(c->row);
  if (!more) return fail_table(c, std::move(more).error());
  c->at_end = !*more;
  ++c->number;
  return SQLITE_OK;
}

int connect(sqlite3* connection, void* aux, int, const char* const*, sqlite3_vtab** out, char**) {
  auto* slot = static_cast<Slot*>(aux);
  std::string sql = "CREATE TABLE x(";
  int columns = 0;
  if (slot->kernel->columns.empty()) {
    sql += "value";
    columns = 1;
  }
  for (const KernelColumn& c : slot->kernel->columns) {
    if (columns++ > 0) sql += ", ";
    sql += fmt::format("\"{}\"", c.name);
  }
  sql += ", ordinality";
  for (int i = 0; i < kMaxSetArgs; ++i) sql += fmt::format(", a{} HIDDEN", i);
  sql += ")";
  if (const int code = sqlite3_declare_vtab(connection, sql.c_str()); code != SQLITE_OK) return code;
  auto* table = new SetTable{};
  table->slot = slot;
  table->columns = columns;
  *out = table;
  return SQLITE_OK;
}

int best_index(sqlite3_vtab* vtab, sqlite3_index_info* info) {
  const auto* t = static_cast<SetTable*>(vtab);
  const int first = t->columns + 1;
  int n = 0;
  for (int i = 0; i < info->nConstraint; ++i) {
    const auto& c = info->aConstraint[i];
    if (c.iColumn < first || c.op != SQLITE_INDEX_CONSTRAINT_EQ) continue;
    if (c.usable == 0) return SQLITE_CONSTRAINT;
    info->aConstraintUsage[i].argvIndex = c.iColumn - first + 1;
    info->aConstraintUsage[i].omit = 1;
    n = std::max(n, c.iColumn - first + 1);
  }
  info->idxNum = n;
  info->estimatedCost = 1000;
  info->estimatedRows = 1000;
  return SQLITE_OK;
}

int filter(sqlite3_vtab_cursor* cursor, int, const char*, int n, sqlite3_value** v) {
  auto* c = static_cast<SetCursor*>(cursor);
  const Slot& slot = *static_cast<SetTable*>(c->pVtab)->slot;
  std::vector<Value> args;
  for (int i = 0; i < n; ++i) args.push_back(value_of(v[i]));
  std::vector<Oid> types;
  bool variadic = false;
  std::span<const Value> span = args;
  if (slot.kernel->typed && !span.empty()) {
    parse_arg_types(span[0].bytes, types, variadic);
    span = span.subspan(1);
  }
  c->number = 0;
  c->at_end = true;
  if (slot.kernel->strict && std::ranges::any_of(span, &Value::is_null)) return SQLITE_OK;
  Call call{.args = span,
            .context = *slot.binding->context,
            .kernel = *slot.kernel,
            .types = types,
            .variadic_array = variadic};
  auto source = slot.implementation->set(call);
  if (!source) return fail_table(c, std::move(source).error());
  c->source = *std::move(source);
  return advance(c);
}

int next(sqlite3_vtab_cursor* cursor) {
  auto* c = static_cast<SetCursor*>(cursor);
  FunctionContext& context = *static_cast<SetTable*>(c->pVtab)->slot->binding->context;
  if (context.stop) return fail_table(c, *std::exchange(context.stop, std::nullopt));
  return advance(c);
}
int column(sqlite3_vtab_cursor* cursor, sqlite3_context* sc, int i) {
  auto* c = static_cast<SetCursor*>(cursor);
  const int columns = static_cast<SetTable*>(c->pVtab)->columns;
  if (i < columns && i < static_cast<int>(c->row.size()))
    set_result(sc, c->row[static_cast<std::size_t>(i)]);
  else if (i == columns)
    sqlite3_result_int64(sc, c->number);
  return SQLITE_OK;
}

const sqlite3_module kModule = row_table<SetTable, SetCursor>({connect, best_index, filter, next, column});

}  // namespace

Status register_set(sqlite3* connection, Slot* slot) {
  if (sqlite3_create_module_v2(connection, slot->kernel->sqlite_name.c_str(), &kModule, slot, nullptr) !=
      SQLITE_OK) {
    return fail(ErrorCode::kInternal, "SQLite refused a module: {}", sqlite3_errmsg(connection));
  }
  return {};
}

}  // namespace bop
