#include "sql/fed_rows.hpp"

#include <fmt/format.h>
#include <sqlite3.h>

#include "sql/functions/row_table.hpp"
#include "sql/functions/sqlite_binding.hpp"
#include "sql/plan_context.hpp"

namespace bop::sql {

namespace {

constexpr const char* kName = "bop_fed_rows";
constexpr int kMostColumns = 1664;  // of a query's answer, as in PostgreSQL

struct FedTable : sqlite3_vtab {
  sqlite3* connection;
};

struct FedCursor : sqlite3_vtab_cursor {
  std::vector<OwnedValue> row;
  sqlite3_int64 number = 0;
  bool at_end = true;
};

sqlite3* connection_of(const sqlite3_vtab_cursor* c) {
  return static_cast<const FedTable*>(c->pVtab)->connection;
}

int connect(sqlite3* connection, void*, int, const char* const*, sqlite3_vtab** out, char**) {
  std::string sql = "CREATE TABLE x(c1";
  for (int i = 2; i <= kMostColumns; ++i) sql += fmt::format(", c{}", i);
  if (const int code = sqlite3_declare_vtab(connection, (sql + ")").c_str()); code != SQLITE_OK) return code;
  auto* table = new FedTable{};
  table->connection = connection;
  *out = table;
  return SQLITE_OK;
}

int best_index(sqlite3_vtab*, sqlite3_index_info* info) {
  info->estimatedCost = 1e6;
  info->estimatedRows = 1000000;
  return SQLITE_OK;
}

int next(sqlite3_vtab_cursor* cursor) {
  auto* c = static_cast<FedCursor*>(cursor);
  auto* rows = static_cast<FedRows*>(sqlite3_get_clientdata(connection_of(c), kName));
  auto more =
      rows == nullptr ? Result<bool>(fail(ErrorCode::kInternal, "nobody feeds bop_rows")) : (*rows)(c->row);
  if (!more) {
    sqlite3_free(c->pVtab->zErrMsg);
    c->pVtab->zErrMsg = sqlite3_mprintf("%s", more.error().what().c_str());
    if (FunctionContext* context = plan_context(connection_of(c)); context != nullptr)
      context->error = std::move(more).error();
    return SQLITE_ERROR;
  }
  c->at_end = !*more;
  ++c->number;
  return SQLITE_OK;
}

int filter(sqlite3_vtab_cursor* cursor, int, const char*, int, sqlite3_value**) { return next(cursor); }

int column(sqlite3_vtab_cursor* cursor, sqlite3_context* out, int i) {
  const auto& row = static_cast<FedCursor*>(cursor)->row;
  const auto at = static_cast<std::size_t>(i);
  if (at < row.size()) set_result(out, row[at]);
  return SQLITE_OK;
}

const sqlite3_module kModule = row_table<FedTable, FedCursor>({connect, best_index, filter, next, column});

}  // namespace

FeedRows::FeedRows(sqlite3* connection, FedRows rows)
    : connection_(connection), outer_(sqlite3_get_clientdata(connection, kName)), rows_(std::move(rows)) {
  sqlite3_set_clientdata(connection_, kName, &rows_, nullptr);
}

FeedRows::~FeedRows() { sqlite3_set_clientdata(connection_, kName, outer_, nullptr); }

std::string fed_query(std::size_t columns) {
  std::string out = "SELECT ";
  for (std::size_t i = 1; i <= columns; ++i) out += fmt::format("{}c{} AS o{}", i == 1 ? "" : ", ", i, i);
  return out + " FROM bop_rows";
}

int register_fed_rows(sqlite3* connection) {
  return sqlite3_create_module_v2(connection, "bop_rows", &kModule, nullptr, nullptr);
}

}  // namespace bop::sql
