// Rows of pg_index, pg_constraint and pg_indexes.
#include "sql/pg_catalog/definition_text.hpp"
#include "sql/pg_catalog/relation_table.hpp"

namespace bop::sql {

namespace {

std::string array_of_numbers(const std::vector<std::int16_t>& numbers) {
  std::string out = "{";
  for (const std::int16_t number : numbers) out += (out.size() > 1 ? "," : "") + std::to_string(number);
  return out + "}";
}

void indexes(const CatalogSession& session, RowSet& rows) {
  for (const auto& [oid, index] : session.catalog->indexes()) {
    std::string keys;
    std::string options;
    std::string classes;
    std::string collations;
    std::string expressions;
    const auto add = [](std::string& list, const std::string& item) {
      list += (list.empty() ? "" : " ") + item;
    };
    for (const IndexKey& key : index->keys) {
      add(keys, std::to_string(key.column));
      add(options, std::to_string((key.descending ? 1 : 0) + (key.nulls_first ? 2 : 0)));
      add(classes, "0");
      add(collations, key.type == 25 || key.type == 1043 || key.type == 1042 ? "100" : "0");
      if (key.column == 0) expressions += (expressions.empty() ? "" : ", ") + key.expression;
    }
    for (const std::int16_t number : index->include) add(keys, std::to_string(number));
    rows.row().set("indexrelid", oid).set("indrelid", index->table);
    rows.set("indnatts", static_cast<std::int64_t>(index->keys.size() + index->include.size()));
    rows.set("indnkeyatts", static_cast<std::int64_t>(index->keys.size())).set("indisunique", index->unique);
    rows.set("indnullsnotdistinct", has_equal_nulls(*index));
    rows.set("indisprimary", index->primary).set("indimmediate", !index->deferrable).set("indisvalid", true);
    rows.set("indisready", true).set("indislive", true).set("indkey", keys).set("indoption", options);
    rows.set("indclass", classes).set("indcollation", collations);
    if (!expressions.empty()) rows.set("indexprs", expressions);
    if (!index->predicate.empty()) rows.set("indpred", index->predicate);
  }
}

void domain_constraints(const CatalogSession& session, RowSet& rows) {
  for (const auto& [oid, type] : session.catalog->types()) {
    for (const DomainCheck& check : type->checks) {
      rows.row().set("oid", check.oid).set("conname", check.name).set("connamespace", type->schema);
      rows.set("contype", 'c').set("convalidated", check.validated).set("contypid", oid);
      rows.set("conislocal", true).set("conbin", check.text);
      rows.set("confupdtype", ' ').set("confdeltype", ' ').set("confmatchtype", ' ');
    }
  }
}

// What goes with what: sequences, defaults, constraints and indexes with their tables, and everything with
// its schema. What views read is not told.
void dependencies(const CatalogSession& session, RowSet& rows) {
  constexpr Oid kClass = 1259, kConstraint = 2606, kDefault = 2604, kNamespace = 2615;
  const Catalog& catalog = *session.catalog;
  const auto add = [&](Oid class_oid, std::int64_t object, Oid on_class, Oid on, std::int64_t column,
                       char type) {
    rows.row().set("classid", class_oid).set("objid", object).set("refclassid", on_class).set("refobjid", on);
    rows.set("refobjsubid", column).set("deptype", type);
  };
  for (const auto& [oid, relation] : catalog.relations()) {
    add(kClass, std::int64_t{oid}, kNamespace, relation->schema, 0, 'n');
    for (const Column& column : relation->columns) {
      if (!column.default_text || column.dropped) continue;
      add(kDefault, default_oid(oid, column.number), kClass, oid, column.number, 'a');
    }
    for (const Constraint& constraint : relation->constraints) {
      for (const std::int16_t column : constraint.columns)
        add(kConstraint, std::int64_t{constraint.oid}, kClass, oid, column, 'a');
      for (const std::int16_t column : constraint.foreign_columns)
        add(kConstraint, std::int64_t{constraint.oid}, kClass, constraint.foreign_table, column, 'n');
      if (constraint.type == 'f' && constraint.index != 0)
        add(kConstraint, std::int64_t{constraint.oid}, kClass, constraint.index, 0, 'n');
    }
  }
  for (const auto& [oid, index] : catalog.indexes()) {
    if (index->constraint != 0) {
      add(kClass, std::int64_t{oid}, kConstraint, index->constraint, 0, 'i');
      continue;
    }
    for (const IndexKey& key : index->keys) {
      if (key.column > 0) add(kClass, std::int64_t{oid}, kClass, index->table, key.column, 'a');
    }
  }
  for (const auto& [oid, sequence] : catalog.sequences()) {
    add(kClass, std::int64_t{oid}, kNamespace, sequence->schema, 0, 'n');
    if (sequence->owned_by_table == 0) continue;
    const auto table = catalog.relation(sequence->owned_by_table);
    const Column* column = table ? table->find_column(sequence->owned_by_column) : nullptr;
    const bool is_identity = column != nullptr && column->identity != 0;
    add(kClass, std::int64_t{oid}, kClass, sequence->owned_by_table, sequence->owned_by_column,
        is_identity ? 'i' : 'a');
    if (column == nullptr || is_identity || !column->default_text) continue;
    // The default of a serial column asks the sequence.
    add(kDefault, default_oid(table->oid, column->number), kClass, oid, 0, 'n');
  }
}

void constraints(const CatalogSession& session, RowSet& rows) {
  for (const auto& [oid, relation] : session.catalog->relations()) {
    for (const Constraint& constraint : relation->constraints) {
      rows.row()
          .set("oid", constraint.oid)
          .set("conname", constraint.name)
          .set("connamespace", relation->schema);
      rows.set("contype", constraint.type).set("condeferrable", constraint.deferrable);
      rows.set("condeferred", constraint.deferred)
          .set("convalidated", constraint.validated)
          .set("conrelid", oid);
      rows.set("conindid", constraint.index)
          .set("confrelid", constraint.foreign_table)
          .set("conislocal", true);
      rows.set("connoinherit", constraint.no_inherit || constraint.type != 'c');
      rows.set("conkey", array_of_numbers(constraint.columns));
      rows.set("confupdtype", constraint.type == 'f' ? constraint.on_update : ' ');
      rows.set("confdeltype", constraint.type == 'f' ? constraint.on_delete : ' ');
      rows.set("confmatchtype", constraint.type == 'f' ? constraint.match : ' ');
      if (constraint.type == 'f') rows.set("confkey", array_of_numbers(constraint.foreign_columns));
      if (constraint.type == 'c') rows.set("conbin", constraint.check_text);
    }
  }
  domain_constraints(session, rows);
}

void index_view(const CatalogSession& session, RowSet& rows) {
  for (const auto& [oid, index] : session.catalog->indexes()) {
    const auto table = session.catalog->relation(index->table);
    rows.row().set("schemaname", session.catalog->schema(index->schema)->name).set("tablename", table->name);
    rows.set("indexname", index->name)
        .set("indexdef", index_definition(*session.catalog, *index, CatalogKernels(session)));
  }
}

}  // namespace

void add_constraint_makers(std::map<std::string_view, MakerInfo>& makers) {
  makers["pg_index"] = {indexes, true};
  makers["pg_constraint"] = {constraints, true};
  makers["pg_depend"] = {dependencies, true};
  makers["pg_indexes"] = {index_view, true};
}

}  // namespace bop::sql
