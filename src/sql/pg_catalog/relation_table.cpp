#include "sql/pg_catalog/relation_table.hpp"

#include <algorithm>

#include "base/assert.hpp"

namespace bop::sql {

int BuiltinRelation::column(std::string_view column_name) const {
  const auto found = std::ranges::find(columns, column_name, &BuiltinColumn::name);
  return found == columns.end() ? -1 : static_cast<int>(found - columns.begin());
}

const std::vector<BuiltinRelation>& builtin_table() {
  static const std::vector<BuiltinRelation> table = [] {
    std::vector<BuiltinRelation> relations;
#define BOP_CATALOG_RELATION(schema, name, oid, kind) relations.push_back({schema, name, oid, kind, {}});
#define BOP_CATALOG_COLUMN(name, type, not_null) relations.back().columns.push_back({name, type, not_null});
#define BOP_CATALOG_END()
#include "sql/pg_catalog/relations.def"
#undef BOP_CATALOG_RELATION
#undef BOP_CATALOG_COLUMN
#undef BOP_CATALOG_END
    return relations;
  }();
  return table;
}

std::shared_ptr<const BuiltinRelations> builtin_relations() {
  static const auto relations = [] {
    auto made = std::make_shared<BuiltinRelations>();
    for (const BuiltinRelation& builtin : builtin_table()) {
      auto relation = std::make_shared<Relation>();
      relation->oid = builtin.oid;
      relation->schema = builtin.schema == "pg_catalog" ? kPgCatalogSchema : kInformationSchema;
      relation->name = builtin.name;
      relation->kind = 'r';
      relation->virtual_table = fmt::format("bop_{}_{}", builtin.schema, builtin.name);
      for (const BuiltinColumn& column : builtin.columns) {
        relation->columns.push_back({.number = static_cast<std::int16_t>(relation->columns.size() + 1),
                                     .name = std::string(column.name),
                                     .type = column.type,
                                     .not_null = column.not_null,
                                     .default_text = std::nullopt,
                                     .collation = {},
                                     .comment = {}});
      }
      made->push_back(std::move(relation));
    }
    return std::shared_ptr<const BuiltinRelations>(std::move(made));
  }();
  return relations;
}

const std::map<std::string_view, MakerInfo>& row_makers() {
  static const auto makers = [] {
    std::map<std::string_view, MakerInfo> all;
    add_class_makers(all);
    add_type_makers(all);
    add_constraint_makers(all);
    add_cluster_makers(all);
    add_information_schema_makers(all);
    add_privilege_makers(all);
    add_function_makers(all);
    return all;
  }();
  return makers;
}

RowSet& RowSet::row() {
  auto& cells = rows_.emplace_back(relation_.columns.size());
  for (std::size_t i = 0; i < cells.size(); ++i) {
    if (!relation_.columns[i].not_null) continue;
    switch (relation_.columns[i].type) {
      case 16: cells[i] = OwnedValue::of_bool(false); break;
      case 18: cells[i] = OwnedValue::of_text(""); break;
      case 19:
      case 25: cells[i] = OwnedValue::of_text(""); break;
      case 700:
      case 701: cells[i] = OwnedValue::of_real(0); break;
      case 22:
      case 30: cells[i] = OwnedValue::of_text(""); break;
      default: cells[i] = OwnedValue::of_int(0);
    }
  }
  return *this;
}

RowSet& RowSet::set(std::string_view column, OwnedValue value) {
  const int at = relation_.column(column);
  BOP_ASSERT(at >= 0);
  rows_.back()[static_cast<std::size_t>(at)] = std::move(value);
  return *this;
}

}  // namespace bop::sql
