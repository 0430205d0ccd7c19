// Making a table anew in place: what SQLite's own ALTER TABLE cannot change.
//
// The new table is filled beside the old one, then the two swap their roots in sqlite_schema, so that the
// name (which foreign keys of other tables point to) never goes away and DROP TABLE's implicit DELETE, with
// its foreign key actions, only ever meets the old rows under a name that nobody references. All of it is
// part of the caller's transaction; sqlite_schema is writable only inside.
#include <sqlite3.h>

#include "sql/ddl/ddl_run.hpp"

namespace bop::sql {

namespace {

class WritableSchema {
 public:
  explicit WritableSchema(sqlite3* db) : db_(db) {
    sqlite3_db_config(db_, SQLITE_DBCONFIG_DEFENSIVE, 0, nullptr);
    sqlite3_db_config(db_, SQLITE_DBCONFIG_WRITABLE_SCHEMA, 1, nullptr);
  }
  ~WritableSchema() { sqlite3_db_config(db_, SQLITE_DBCONFIG_WRITABLE_SCHEMA, 0, nullptr); }
  WritableSchema(const WritableSchema&) = delete;
  WritableSchema& operator=(const WritableSchema&) = delete;

 private:
  sqlite3* db_;
};

}  // namespace

Status DdlRun::rebuild(const Relation& before, const Relation& after) {
  BOP_TRY(replace_rows(before, after, {}));
  return remake_indexes(after);
}

Status DdlRun::remake_indexes(const Relation& table) {
  for (const auto& index : now().indexes_of(table.oid)) BOP_TRY(make_index(*index, table));
  return {};
}

Status DdlRun::replace_rows(const Relation& before, const Relation& after,
                            const std::map<std::int16_t, std::string>& expressions) {
  const std::string name = table_name(before.oid);
  const std::string beside = name + "_new";
  BOP_LET(definition, create_table_sql(after, now()));
  // Without foreign keys: a row's key may be in rows that have not been copied yet, or in the new rows of
  // this table. Who adds or changes one verifies it afterwards.
  Relation keyless = after;
  std::erase_if(keyless.constraints, [](const Constraint& c) { return c.type == 'f'; });
  BOP_LET(beside_definition, create_table_sql(keyless, now()));
  const std::size_t at = beside_definition.find(name);
  if (at == std::string::npos) return fail(ErrorCode::kInternal, "definition of {} does not name it", name);
  beside_definition.replace(at, name.size(), beside);
  for (const auto& index : now().indexes_of(before.oid)) {
    BOP_TRY(run(fmt::format("DROP INDEX IF EXISTS {}", index_name(index->oid))));
  }
  BOP_TRY(run(beside_definition));
  const Column* rowid = after.rowid_column();
  std::string columns;
  std::string values;
  std::string keys;  // the new values of `rowid`
  for (const Column& column : after.columns) {
    if (column.dropped || column.generated != 0) continue;
    const auto given = expressions.find(column.number);
    const bool existed =
        before.find_column(column.number) != nullptr && !before.find_column(column.number)->dropped;
    if (given == expressions.end() && !existed && &column != rowid) continue;
    std::string value = given != expressions.end() ? given->second
                        : existed                  ? column_name(column.number)
                                                   : "NULL";
    // SQLite would number what is null there; it refuses a text with SQLITE_MISMATCH.
    if (&column == rowid) {
      keys = value;
      value = fmt::format("coalesce({}, '')", value);
    }
    columns += fmt::format("{}{}", columns.empty() ? "" : ", ", column_name(column.number));
    values += fmt::format("{}{}", values.empty() ? "" : ", ", value);
  }
  if (!columns.empty()) {
    const std::string copy =
        fmt::format("INSERT INTO {}({}) SELECT {} FROM {}", beside, columns, values, name);
    if (sqlite3_exec(db_, copy.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) {
      const int code = sqlite3_errcode(db_) & 0xff;
      if (code == SQLITE_MISMATCH && rowid != nullptr) return std::unexpected(null_found(after, *rowid));
      if (code == SQLITE_CONSTRAINT && rowid != nullptr) {
        Index key;
        key.name = after.primary_key()->name;
        key.keys.push_back(
            {.column = rowid->number, .expression = {}, .type = rowid->type, .collation = {}, .opclass = {}});
        const std::string rows =
            fmt::format("(SELECT {} AS {} FROM {})", keys, column_name(rowid->number), name);
        return std::unexpected(duplicate_key(key, after, rows));
      }
      return std::unexpected(sqlite_error("rebuilding " + name));
    }
  }
  {
    const WritableSchema writable(db_);
    // Each row of sqlite_schema takes the other's root; the new definition goes to the table's name.
    const std::string escaped = [&] {
      std::string out;
      for (const char c : definition) out += c == '\'' ? std::string("''") : std::string(1, c);
      return out;
    }();
    BOP_TRY(run(fmt::format(
        "UPDATE sqlite_schema SET rootpage = (SELECT sum(rootpage) FROM sqlite_schema WHERE type = "
        "'table' AND name IN ('{0}', '{1}')) - rootpage, sql = CASE name WHEN '{0}' THEN '{2}' ELSE "
        "'CREATE TABLE {1}(' || (SELECT group_concat(quote(p.name)) FROM pragma_table_info('{0}') p) "
        "|| ')' END WHERE type = 'table' AND name IN ('{0}', '{1}')",
        name, beside, escaped)));
  }
  // This connection reads the schema again now, all others when the DROP has moved the schema's cookie.
  BOP_TRY(run("PRAGMA writable_schema=RESET"));
  return run(fmt::format("DROP TABLE {}", beside));
}

}  // namespace bop::sql
