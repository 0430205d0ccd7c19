// The table of built-in relations: what each is called, its columns, and the function that makes its rows.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sql/pg_catalog/pg_catalog.hpp"

namespace bop::sql {

struct BuiltinColumn {
  std::string_view name;
  Oid type;
  bool not_null;
};

struct BuiltinRelation {
  std::string_view schema;
  std::string_view name;
  Oid oid;
  char kind;  // as PostgreSQL has it: r table, v view
  std::vector<BuiltinColumn> columns;
  [[nodiscard]] int column(std::string_view column_name) const;  // -1 if there is none
};

// All of them, in the order of relations.def.
[[nodiscard]] const std::vector<BuiltinRelation>& builtin_table();

// Rows in the making. Columns that a row does not set are NULL, or for not-null columns the zero of their
// type.
class RowSet {
 public:
  explicit RowSet(const BuiltinRelation& relation) : relation_(relation) {}

  RowSet& row();
  RowSet& set(std::string_view column, OwnedValue value);
  RowSet& set(std::string_view column, std::string_view text) {
    return set(column, OwnedValue::of_text(std::string(text)));
  }
  RowSet& set(std::string_view column, const char* text) { return set(column, std::string_view(text)); }
  RowSet& set(std::string_view column, std::int64_t number) {
    return set(column, OwnedValue::of_int(number));
  }
  RowSet& set(std::string_view column, Oid oid) { return set(column, std::int64_t{oid}); }
  RowSet& set(std::string_view column, int number) { return set(column, std::int64_t{number}); }
  RowSet& set(std::string_view column, char c) { return set(column, std::string_view(&c, 1)); }
  RowSet& set(std::string_view column, bool flag) { return set(column, OwnedValue::of_bool(flag)); }

  [[nodiscard]] std::vector<std::vector<OwnedValue>> take() { return std::move(rows_); }

 private:
  const BuiltinRelation& relation_;
  std::vector<std::vector<OwnedValue>> rows_;
};

using RowMaker = void (*)(const CatalogSession& session, RowSet& rows);

struct MakerInfo {
  RowMaker make = nullptr;
  bool from_catalog_only = true;  // the rows depend on the Catalog alone and may be kept with it
};

// Makers by relation name ("pg_class", "information_schema.tables"); a relation without one is empty.
[[nodiscard]] const std::map<std::string_view, MakerInfo>& row_makers();
// The text of a list of rights; a role that is not there is shown by its OID, an object without a list has
// NULL. (Roles keep their names, and stay while a list mentions them: rows may be kept with the catalog.)
void set_acl(const CatalogSession& session, RowSet& rows, std::string_view column, const ObjectAcl& acl);

// One a file of makers.
void add_class_makers(std::map<std::string_view, MakerInfo>& makers);
void add_type_makers(std::map<std::string_view, MakerInfo>& makers);
void add_constraint_makers(std::map<std::string_view, MakerInfo>& makers);
void add_cluster_makers(std::map<std::string_view, MakerInfo>& makers);
void add_privilege_makers(std::map<std::string_view, MakerInfo>& makers);
void add_function_makers(std::map<std::string_view, MakerInfo>& makers);
void add_information_schema_makers(std::map<std::string_view, MakerInfo>& makers);

// OID of a column's row in pg_attrdef.
[[nodiscard]] inline std::int64_t default_oid(Oid table, std::int16_t column) {
  return std::int64_t{table} * 2048 + column;
}

// Input and output functions of types (type_rows.cpp).
struct IoFunction {
  Oid oid;
  std::string_view name;
  char volatility;
  Oid result;
  std::string_view args;
};
[[nodiscard]] std::span<const IoFunction> io_functions();
[[nodiscard]] const IoFunction* find_io_function(std::string_view name);  // null: none

}  // namespace bop::sql
