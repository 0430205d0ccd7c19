// Built-in relations as eponymous virtual tables of SQLite.
//
// A scan takes the rows of the session behind the connection's slot. Rows that depend on the Catalog alone
// are kept with its pointer, so that the inner loop of a join costs a look-up: an equality on one column goes
// through a hash of that column. One thread at a time, like the connection.
#include <sqlite3.h>

#include <algorithm>
#include <unordered_map>

#include "sql/pg_catalog/relation_table.hpp"
#include "sql/types/types.hpp"

namespace bop::sql {

namespace {

using Rows = std::vector<std::vector<OwnedValue>>;

struct RowsWithIndex {
  Rows rows;
  std::map<int, std::unordered_multimap<std::string, std::size_t>> by_column;
};

std::string key_of(const OwnedValue& value) {
  switch (value.kind()) {
    case Value::Kind::kInt: return "i" + std::to_string(value.integer());
    case Value::Kind::kReal: return "r" + std::to_string(value.real());
    case Value::Kind::kText: return "t" + value.bytes();
    case Value::Kind::kBlob: return "b" + value.bytes();
    case Value::Kind::kNull: break;
  }
  return {};
}

struct Module {
  const BuiltinRelation* relation;
  CatalogSlot* slot;
};

struct Table {
  sqlite3_vtab base;
  Module* module;
  std::shared_ptr<const Catalog> kept_for;
  std::shared_ptr<RowsWithIndex> kept;
};

struct Cursor {
  sqlite3_vtab_cursor base;
  std::shared_ptr<RowsWithIndex> rows;
  std::vector<std::size_t> chosen;
  std::size_t at = 0;
  bool all = true;
};

std::string quoted(std::string_view name) {
  std::string out = "\"";
  for (const char c : name) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + "\"";
}

int connect(sqlite3* db, void* aux, int, const char* const*, sqlite3_vtab** out, char**) {
  auto* module = static_cast<Module*>(aux);
  std::string sql = "CREATE TABLE x(";
  for (std::size_t i = 0; i < module->relation->columns.size(); ++i) {
    const BuiltinColumn& column = module->relation->columns[i];
    const TypeInfo* type = find_type(column.type);
    sql += (i > 0 ? ", " : "") + quoted(column.name);
    if (type != nullptr && !type->collation.empty()) sql += " COLLATE " + std::string(type->collation);
  }
  const int code = sqlite3_declare_vtab(db, (sql + ")").c_str());
  if (code != SQLITE_OK) return code;
  auto* table = new Table{};
  table->module = module;
  *out = &table->base;
  return SQLITE_OK;
}

int disconnect(sqlite3_vtab* base) {
  delete reinterpret_cast<Table*>(base);
  return SQLITE_OK;
}

// One equality on a column is taken, the one most likely to be selective: oid-like columns before names.
int best_index(sqlite3_vtab* base, sqlite3_index_info* info) {
  const auto* table = reinterpret_cast<Table*>(base);
  int chosen = -1;
  int chosen_rank = 99;
  for (int i = 0; i < info->nConstraint; ++i) {
    const auto& constraint = info->aConstraint[i];
    if (constraint.usable == 0 || constraint.op != SQLITE_INDEX_CONSTRAINT_EQ || constraint.iColumn < 0)
      continue;
    const BuiltinColumn& column =
        table->module->relation->columns[static_cast<std::size_t>(constraint.iColumn)];
    const TypeInfo* type = find_type(column.type);
    if (type == nullptr || !type->collation.empty()) continue;
    const int rank = column.name == "oid" ? 0 : column.type == 26 ? 1 : column.type == 19 ? 2 : 5;
    if (rank < chosen_rank) {
      chosen = i;
      chosen_rank = rank;
    }
  }
  info->estimatedCost = 1000;
  info->estimatedRows = 1000;
  if (chosen >= 0) {
    info->aConstraintUsage[chosen].argvIndex = 1;
    info->idxNum = info->aConstraint[chosen].iColumn + 1;
    info->estimatedCost = chosen_rank == 0 ? 1 : 10;
    info->estimatedRows = chosen_rank == 0 ? 1 : 10;
  }
  return SQLITE_OK;
}

int open(sqlite3_vtab*, sqlite3_vtab_cursor** out) {
  *out = &(new Cursor{})->base;
  return SQLITE_OK;
}

int close(sqlite3_vtab_cursor* base) {
  delete reinterpret_cast<Cursor*>(base);
  return SQLITE_OK;
}

std::shared_ptr<RowsWithIndex> rows_of(Table& table) {
  const CatalogSession* session = table.module->slot->session;
  if (session == nullptr || !session->catalog) return std::make_shared<RowsWithIndex>();
  const BuiltinRelation& relation = *table.module->relation;
  std::string name = relation.schema == "pg_catalog" ? std::string(relation.name)
                                                     : fmt::format("{}.{}", relation.schema, relation.name);
  const auto maker = row_makers().find(name);
  const bool keep = maker == row_makers().end() || maker->second.from_catalog_only;
  if (keep && table.kept && table.kept_for == session->catalog) return table.kept;
  auto made = std::make_shared<RowsWithIndex>();
  if (maker != row_makers().end()) {
    RowSet set(relation);
    maker->second.make(*session, set);
    made->rows = set.take();
  }
  if (keep) {
    table.kept = made;
    table.kept_for = session->catalog;
  }
  return made;
}

int filter(sqlite3_vtab_cursor* base, int column_plus_one, const char*, int, sqlite3_value** arguments) {
  auto* cursor = reinterpret_cast<Cursor*>(base);
  cursor->rows = rows_of(*reinterpret_cast<Table*>(base->pVtab));
  cursor->at = 0;
  cursor->chosen.clear();
  cursor->all = column_plus_one == 0;
  if (cursor->all) return SQLITE_OK;
  const int column = column_plus_one - 1;
  auto [index, fresh] = cursor->rows->by_column.try_emplace(column);
  if (fresh) {
    for (std::size_t row = 0; row < cursor->rows->rows.size(); ++row) {
      const OwnedValue& cell = cursor->rows->rows[row][static_cast<std::size_t>(column)];
      if (!cell.is_null()) index->second.emplace(key_of(cell), row);
    }
  }
  OwnedValue wanted;
  switch (sqlite3_value_type(arguments[0])) {
    case SQLITE_INTEGER: wanted = OwnedValue::of_int(sqlite3_value_int64(arguments[0])); break;
    case SQLITE_TEXT: {
      const auto* text = reinterpret_cast<const char*>(sqlite3_value_text(arguments[0]));
      wanted = OwnedValue::of_text({text, static_cast<std::size_t>(sqlite3_value_bytes(arguments[0]))});
      break;
    }
    default: cursor->all = sqlite3_value_type(arguments[0]) == SQLITE_FLOAT; return SQLITE_OK;
  }
  const auto [first, last] = index->second.equal_range(key_of(wanted));
  for (auto row = first; row != last; ++row) cursor->chosen.push_back(row->second);
  std::sort(cursor->chosen.begin(), cursor->chosen.end());
  return SQLITE_OK;
}

int next(sqlite3_vtab_cursor* base) {
  ++reinterpret_cast<Cursor*>(base)->at;
  return SQLITE_OK;
}

int eof(sqlite3_vtab_cursor* base) {
  const auto* cursor = reinterpret_cast<Cursor*>(base);
  return cursor->at >= (cursor->all ? cursor->rows->rows.size() : cursor->chosen.size()) ? 1 : 0;
}

int column(sqlite3_vtab_cursor* base, sqlite3_context* context, int number) {
  const auto* cursor = reinterpret_cast<Cursor*>(base);
  const std::size_t row = cursor->all ? cursor->at : cursor->chosen[cursor->at];
  const OwnedValue& cell = cursor->rows->rows[row][static_cast<std::size_t>(number)];
  switch (cell.kind()) {
    case Value::Kind::kNull: sqlite3_result_null(context); break;
    case Value::Kind::kInt: sqlite3_result_int64(context, cell.integer()); break;
    case Value::Kind::kReal: sqlite3_result_double(context, cell.real()); break;
    case Value::Kind::kText:
      sqlite3_result_text64(context, cell.bytes().data(), cell.bytes().size(), SQLITE_TRANSIENT, SQLITE_UTF8);
      break;
    case Value::Kind::kBlob:
      sqlite3_result_blob64(context, cell.bytes().data(), cell.bytes().size(), SQLITE_TRANSIENT);
      break;
  }
  return SQLITE_OK;
}

int rowid(sqlite3_vtab_cursor* base, sqlite3_int64* out) {
  *out = static_cast<sqlite3_int64>(reinterpret_cast<Cursor*>(base)->at);
  return SQLITE_OK;
}

constexpr sqlite3_module kModule = [] {
  sqlite3_module module{};
  module.iVersion = 0;
  module.xConnect = connect;  // eponymous only: no xCreate
  module.xDisconnect = disconnect;
  module.xBestIndex = best_index;
  module.xOpen = open;
  module.xClose = close;
  module.xFilter = filter;
  module.xNext = next;
  module.xEof = eof;
  module.xColumn = column;
  module.xRowid = rowid;
  return module;
}();

}  // namespace

Status register_catalog_tables(sqlite3* connection, CatalogSlot* slot) {
  for (const BuiltinRelation& relation : builtin_table()) {
    const std::string name = fmt::format("bop_{}_{}", relation.schema, relation.name);
    const int code = sqlite3_create_module_v2(connection, name.c_str(), &kModule, new Module{&relation, slot},
                                              [](void* module) { delete static_cast<Module*>(module); });
    if (code != SQLITE_OK) {
      return fail(ErrorCode::kInternal, "cannot register {}: {}", name, sqlite3_errmsg(connection));
    }
  }
  return {};
}

}  // namespace bop::sql
