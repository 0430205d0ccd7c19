// Files as SQLite's tables: bop_file(<token>), an eponymous virtual table. Columns v0, v1... as many as a
// file may have; the hidden one is the token, which says what they are (sql/file_table.hpp). Those that a
// statement does not ask for are not read: the bits of SQLite's colUsed travel as the plan's number (the last
// of them stands for all further ones).
#include <sqlite3.h>

#include "sql/functions/row_table.hpp"
#include "sql/functions/sqlite_binding.hpp"

namespace bop {
namespace {

struct FileTableOfSqlite : sqlite3_vtab {
  Binding* binding;
};

struct FileCursor : sqlite3_vtab_cursor {
  FileRows rows;
  std::vector<OwnedValue> row;
  std::int64_t number = 0;
  bool at_end = true;
};

int fail_table(FileCursor* c, Error e) {
  auto* t = static_cast<FileTableOfSqlite*>(c->pVtab);
  sqlite3_free(t->zErrMsg);
  t->zErrMsg = sqlite3_mprintf("%s", e.what().c_str());
  t->binding->context->error = std::move(e);
  return SQLITE_ERROR;
}

int advance(FileCursor* c) {
  auto more = c->rows(c->row);
  if (!more) return fail_table(c, std::move(more).error());
  c->at_end = !*more;
  ++c->number;
  return SQLITE_OK;
}

int connect(sqlite3* connection, void* aux, int, const char* const*, sqlite3_vtab** out, char**) {
  std::string sql = "CREATE TABLE x(";
  for (int i = 0; i < kMostFileColumns; ++i) sql += fmt::format("v{}, ", i);
  sql += "token HIDDEN)";
  if (const int code = sqlite3_declare_vtab(connection, sql.c_str()); code != SQLITE_OK) return code;
  auto* table = new FileTableOfSqlite{};
  table->binding = static_cast<Binding*>(aux);
  *out = table;
  return SQLITE_OK;
}

int best_index(sqlite3_vtab*, sqlite3_index_info* info) {
  bool has_token = false;
  for (int i = 0; i < info->nConstraint; ++i) {
    const auto& c = info->aConstraint[i];
    if (c.iColumn != kMostFileColumns || c.op != SQLITE_INDEX_CONSTRAINT_EQ) continue;
    if (c.usable == 0) return SQLITE_CONSTRAINT;
    info->aConstraintUsage[i].argvIndex = 1;
    info->aConstraintUsage[i].omit = 1;
    has_token = true;
  }
  if (!has_token) return SQLITE_CONSTRAINT;
  info->idxStr = sqlite3_mprintf("%llu", static_cast<unsigned long long>(info->colUsed));
  info->needToFreeIdxStr = 1;
  info->estimatedCost = 1e6;
  info->estimatedRows = 1'000'000;
  return SQLITE_OK;
}

int filter(sqlite3_vtab_cursor* cursor, int, const char* used, int, sqlite3_value** v) {
  auto* c = static_cast<FileCursor*>(cursor);
  FunctionContext& context = *static_cast<FileTableOfSqlite*>(c->pVtab)->binding->context;
  c->number = 0;
  c->at_end = true;
  if (context.files == nullptr)
    return fail_table(c, error(ErrorCode::kNotImplemented, "reading files is not implemented here"));
  auto rows = context.files->open(value_of(v[0]).bytes, std::stoull(used));
  if (!rows) return fail_table(c, std::move(rows).error());
  c->rows = *std::move(rows);
  return advance(c);
}

int next(sqlite3_vtab_cursor* cursor) {
  auto* c = static_cast<FileCursor*>(cursor);
  FunctionContext& context = *static_cast<FileTableOfSqlite*>(c->pVtab)->binding->context;
  if (context.stop) return fail_table(c, *std::exchange(context.stop, std::nullopt));
  return advance(c);
}

int column(sqlite3_vtab_cursor* cursor, sqlite3_context* sc, int i) {
  auto* c = static_cast<FileCursor*>(cursor);
  if (i < static_cast<int>(c->row.size())) set_result(sc, c->row[static_cast<std::size_t>(i)]);
  return SQLITE_OK;
}

const sqlite3_module kModule =
    row_table<FileTableOfSqlite, FileCursor>({connect, best_index, filter, next, column});

}  // namespace

Status register_files(sqlite3* connection, Binding* binding) {
  if (sqlite3_create_module_v2(connection, "bop_file", &kModule, binding, nullptr) != SQLITE_OK)
    return fail(ErrorCode::kInternal, "SQLite refused a module: {}", sqlite3_errmsg(connection));
  return {};
}

}  // namespace bop
