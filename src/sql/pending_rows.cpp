#include "sql/pending_rows.hpp"

#include <fmt/format.h>
#include <sqlite3.h>

#include <algorithm>
#include <memory>

#include "sql/bind.hpp"
#include "sql/sqlite_value.hpp"
#include "sql/types/types.hpp"

namespace bop::sql {

namespace {

bool mixes(const Constraint& key) { return key.type == 'f' && key.match == 'f' && key.columns.size() > 1; }

// That rows `a` and `b` have the same key; never so where one of its columns is NULL, unless NULLs are equal.
std::string same_key(const Relation& table, const Index& index, std::string_view a, std::string_view b) {
  std::string out;
  for (const IndexKey& key : index.keys) {
    const Column& column = *table.find_column(key.column);
    const TypeInfo* info = find_type(column.type);
    const auto side = [&](std::string_view row) {
      std::string text = fmt::format("{}.{}", row, column_name(key.column));
      if (has_equal_nulls(index)) text = equal_nulls_key(text, column.type);
      return info == nullptr || info->collation.empty() ? text
                                                        : fmt::format("{} COLLATE {}", text, info->collation);
    };
    out += fmt::format("{}{} = {}", out.empty() ? "" : " AND ", side(a), side(b));
  }
  return out;
}

// That a row has NULL in some columns of the key and not in all.
std::string mixed(const Constraint& key, std::string_view row) {
  std::string nulls;
  for (const std::int16_t number : key.columns) {
    nulls += fmt::format("{}({}.{} IS NULL)", nulls.empty() ? "" : " + ", row, column_name(number));
  }
  return fmt::format("{} NOT IN (0, {})", nulls, key.columns.size());
}

Error violates_match_full(const Catalog& catalog, const Relation& table, const Constraint& key) {
  Error e =
      error(ErrorCode::kForeignKeyViolation,
            "insert or update on table \"{}\" violates foreign key constraint \"{}\"", table.name, key.name)
          .detail("MATCH FULL does not allow mixing of null and nonnull key values.");
  const Schema* schema = catalog.schema(table.schema);
  if (schema != nullptr) e.mut().schema = schema->name;
  e.mut().table = table.name;
  e.mut().constraint = key.name;
  return e;
}

using Statement = std::unique_ptr<sqlite3_stmt, int (*)(sqlite3_stmt*)>;

Result<Statement> prepare(sqlite3* connection, const std::string& sql) {
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v2(connection, sql.c_str(), -1, &statement, nullptr) != SQLITE_OK) {
    return fail(ErrorCode::kInternal, "the storage engine refused the statement: {}",
                sqlite3_errmsg(connection));
  }
  return Statement(statement, &sqlite3_finalize);
}

}  // namespace

std::vector<Guard> pending_guards(const Catalog& catalog, std::span<const Oid> tables) {
  std::vector<Guard> out;
  const auto add = [&](const Relation& table, const Constraint& key, const std::string& condition) {
    std::string columns;
    for (const std::int16_t number : key.columns) {
      columns += (columns.empty() ? "" : ", ") + column_name(number);
    }
    // A generated column is named by no UPDATE, and what renames the row by one of the key that is the rowid.
    const bool generated = std::ranges::any_of(
        key.columns, [&](std::int16_t number) { return table.find_column(number)->generated != 0; });
    const bool moves = table.rowid_column() != nullptr;
    for (const std::string& event :
         {std::string("INSERT"), generated || moves ? std::string("UPDATE") : "UPDATE OF " + columns}) {
      std::string name = fmt::format("bop_pending_{}_{}", key.oid, event.front() == 'I' ? "i" : "u");
      std::string sql = fmt::format(
          "CREATE TEMP TRIGGER {} AFTER {} ON main.{} WHEN {} BEGIN SELECT bop_pending_row({}, {}, "
          "new.rowid); END",
          name, event, table_name(table.oid), condition, table.oid, key.oid);
      out.push_back({.name = std::move(name), .sql = std::move(sql)});
    }
  };
  for (const Oid oid : tables) {
    const auto table = catalog.relation(oid);
    if (table == nullptr) continue;
    for (const Constraint& key : table->constraints) {
      if (mixes(key)) {
        add(*table, key, mixed(key, "new"));
      } else if ((key.type == 'p' || key.type == 'u') && key.deferrable) {
        const auto index = catalog.index(key.index);
        add(*table, key,
            fmt::format("EXISTS (SELECT 1 FROM main.{} AS o WHERE {} AND o.rowid <> new.rowid)",
                        table_name(oid), same_key(*table, *index, "o", "new")));
      }
    }
  }
  return out;
}

Status check_pending_row(const Catalog& catalog, sqlite3* connection, const PendingRow& row) {
  const auto table = catalog.relation(row.table);
  if (table == nullptr) return {};
  const auto key = std::ranges::find(table->constraints, row.constraint, &Constraint::oid);
  if (key == table->constraints.end()) return {};
  const std::string name = table_name(table->oid);
  if (key->type == 'f') {
    BOP_LET(statement, prepare(connection, fmt::format("SELECT 1 FROM main.{} AS n WHERE n.rowid = {} AND {}",
                                                       name, row.rowid, mixed(*key, "n"))));
    if (sqlite3_step(statement.get()) != SQLITE_ROW) return {};
    return std::unexpected(violates_match_full(catalog, *table, *key));
  }
  const auto index = catalog.index(key->index);
  std::string columns;
  for (const IndexKey& part : index->keys) {
    columns += fmt::format("{}n.{}", columns.empty() ? "" : ", ", column_name(part.column));
  }
  BOP_LET(
      statement,
      prepare(connection, fmt::format("SELECT {} FROM main.{} AS n WHERE n.rowid = {} AND EXISTS (SELECT 1 "
                                      "FROM main.{} AS o WHERE {} AND o.rowid <> n.rowid)",
                                      columns, name, row.rowid, name, same_key(*table, *index, "o", "n"))));
  if (sqlite3_step(statement.get()) != SQLITE_ROW) return {};
  return std::unexpected(duplicate_key_error(catalog, *table, *index, statement.get()));
}

Status check_match_full(const Catalog& catalog, sqlite3* connection, const Relation& table,
                        const Constraint& key) {
  if (!mixes(key)) return {};
  BOP_LET(statement, prepare(connection, fmt::format("SELECT 1 FROM main.{} AS n WHERE {} LIMIT 1",
                                                     table_name(table.oid), mixed(key, "n"))));
  if (sqlite3_step(statement.get()) != SQLITE_ROW) return {};
  return std::unexpected(violates_match_full(catalog, table, key));
}

}  // namespace bop::sql
