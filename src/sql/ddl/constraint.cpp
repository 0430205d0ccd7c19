// Constraints of a table: keys, CHECK, foreign keys; and the proof that existing rows hold them.
#include <algorithm>

#include "sql/ddl/ddl_run.hpp"
#include "sql/types/types.hpp"

namespace bop::sql {

namespace {

std::string joined_names(const Relation& table, std::span<const std::int16_t> columns,
                         std::string_view separator) {
  std::string names;
  for (const std::int16_t number : columns) {
    if (!names.empty()) names += separator;
    names += table.find_column(number)->name;
  }
  return names;
}

char action_of(const char* text) { return pg::text(text).empty() ? 'a' : *text; }

}  // namespace

Status DdlRun::add_constraint(Relation& table, const PendingConstraint& pending,
                              std::vector<Index>& indexes) {
  const PgQuery__Constraint& node = *pending.node;
  const std::string_view name =
      pending.name.empty() ? pg::text(node.conname) : std::string_view(pending.name);
  if (!name.empty() && table.find_constraint(name) != nullptr) {
    return fail(ErrorCode::kDuplicateObject, "constraint \"{}\" for relation \"{}\" already exists", name,
                table.name);
  }
  switch (node.contype) {
    case PG_QUERY__CONSTR_TYPE__CONSTR_PRIMARY:
    case PG_QUERY__CONSTR_TYPE__CONSTR_UNIQUE: return add_key(table, pending, indexes);
    case PG_QUERY__CONSTR_TYPE__CONSTR_CHECK: return add_check(table, pending);
    case PG_QUERY__CONSTR_TYPE__CONSTR_GENERATED: return add_generated(table, pending);
    case PG_QUERY__CONSTR_TYPE__CONSTR_FOREIGN: return add_foreign_key(table, pending, indexes);
    case PG_QUERY__CONSTR_TYPE__CONSTR_EXCLUSION:
      return std::unexpected(error(ErrorCode::kNotImplemented, "exclusion constraints are not implemented")
                                 .at(position(pending.node->location)));
    default: return fail(ErrorCode::kNotImplemented, "this constraint is not implemented");
  }
}

void DdlRun::merge_keys(std::vector<PendingConstraint>& pending) {
  const auto is_key = [](const PendingConstraint& c) {
    return c.node->contype == PG_QUERY__CONSTR_TYPE__CONSTR_PRIMARY ||
           c.node->contype == PG_QUERY__CONSTR_TYPE__CONSTR_UNIQUE;
  };
  const auto names = [](pg::NodeList list) {
    std::vector<std::string_view> out;
    for (const pg::Node* item : list) out.push_back(pg::string_of(item));
    return out;
  };
  const auto columns = [&](const PendingConstraint& c) {
    return c.column.empty() ? names(BOP_PG_LIST(c.node, keys)) : std::vector<std::string_view>{c.column};
  };
  const auto same = [&](const PendingConstraint& a, const PendingConstraint& b) {
    return columns(a) == columns(b) &&
           names(BOP_PG_LIST(a.node, including)) == names(BOP_PG_LIST(b.node, including)) &&
           a.node->nulls_not_distinct == b.node->nulls_not_distinct && a.deferrable == b.deferrable &&
           a.deferred == b.deferred;
  };
  // The primary key goes first; two of them are an error told elsewhere.
  std::ranges::stable_partition(pending, [](const PendingConstraint& c) {
    return c.node->contype == PG_QUERY__CONSTR_TYPE__CONSTR_PRIMARY;
  });
  std::vector<PendingConstraint> kept;
  for (PendingConstraint& constraint : pending) {
    const bool unique = constraint.node->contype == PG_QUERY__CONSTR_TYPE__CONSTR_UNIQUE;
    const auto prior = std::ranges::find_if(kept, [&](const PendingConstraint& other) {
      return unique && is_key(other) && same(other, constraint);
    });
    if (prior == kept.end()) {
      kept.push_back(std::move(constraint));
    } else if (prior->name.empty() && pg::text(prior->node->conname).empty()) {
      prior->name = std::string(pg::text(constraint.node->conname));
    }
  }
  pending = std::move(kept);
}

Status DdlRun::add_key(Relation& table, const PendingConstraint& pending, std::vector<Index>& indexes) {
  const PgQuery__Constraint& node = *pending.node;
  const bool primary = node.contype == PG_QUERY__CONSTR_TYPE__CONSTR_PRIMARY;
  if (primary && table.primary_key() != nullptr) {
    return std::unexpected(error(ErrorCode::kInvalidTableDefinition,
                                 "multiple primary keys for table \"{}\" are not allowed", table.name)
                               .at(position(node.location)));
  }
  if (!pg::text(node.indexname).empty()) return add_key_by_index(table, pending);
  Constraint constraint;
  constraint.type = primary ? 'p' : 'u';
  Index index;
  index.primary = primary;
  index.unique = true;
  if (node.nulls_not_distinct != 0 && !primary) index.options.emplace_back(kNullsNotDistinct);
  const auto add = [&](std::string_view name) -> Status {
    const auto column =
        std::ranges::find_if(table.columns, [&](const Column& c) { return !c.dropped && c.name == name; });
    if (column == table.columns.end()) {
      return std::unexpected(
          error(ErrorCode::kUndefinedColumn, "column \"{}\" named in key does not exist", name)
              .at(position(node.location)));
    }
    if (std::ranges::find(constraint.columns, column->number) != constraint.columns.end()) {
      return std::unexpected(error(ErrorCode::kDuplicateColumn,
                                   "column \"{}\" appears twice in {} constraint", name,
                                   primary ? "primary key" : "unique")
                                 .at(position(node.location)));
    }
    if (primary) column->not_null = true;
    constraint.columns.push_back(column->number);
    index.keys.push_back(
        {.column = column->number, .expression = {}, .type = column->type, .collation = {}, .opclass = {}});
    return {};
  };
  if (!pending.column.empty()) {
    BOP_TRY(add(pending.column));
  } else {
    for (const pg::Node* key : BOP_PG_LIST(&node, keys)) BOP_TRY(add(pg::string_of(key)));
  }
  for (const pg::Node* item : BOP_PG_LIST(&node, including)) {
    const Column* column = table.find_column(pg::string_of(item));
    if (column == nullptr) {
      return fail(ErrorCode::kUndefinedColumn, "column \"{}\" named in key does not exist",
                  pg::string_of(item));
    }
    index.include.push_back(column->number);
  }
  BOP_TRY(check_storage_options(BOP_PG_LIST(&node, options), true));
  if (const std::string_view space = pg::text(node.indexspace); !space.empty() && space != "pg_default") {
    return fail(ErrorCode::kNotImplemented, "TABLESPACE is not implemented");
  }
  std::string name = pending.name.empty() ? std::string(pg::text(node.conname)) : pending.name;
  if (name.empty()) {
    std::vector<std::int16_t> named = constraint.columns;
    named.insert(named.end(), index.include.begin(), index.include.end());
    const std::string columns = primary ? "" : joined_names(table, named, "_");
    const std::string_view label = primary ? "pkey" : "key";
    name = free_name(table.schema, table.name, columns, label, &table);
    // Names of this statement's other indexes are taken as well.
    for (int number = 1; std::ranges::any_of(indexes, [&](const Index& other) { return other.name == name; });
         ++number) {
      name = free_name(table.schema, table.name, columns, fmt::format("{}{}", label, number), &table);
    }
  } else {
    BOP_TRY(check_name_free(table.schema, name));
    if (name == table.name) return fail(ErrorCode::kDuplicateTable, "relation \"{}\" already exists", name);
  }
  index.deferrable = constraint.deferrable = pending.deferrable;
  constraint.deferred = pending.deferred;
  index.oid = edit_.allocate_oid();
  index.schema = table.schema;
  index.table = table.oid;
  index.owner = table.owner;
  index.name = constraint.name = name;
  constraint.oid = edit_.allocate_oid();
  constraint.index = index.oid;
  index.constraint = constraint.oid;
  table.constraints.push_back(std::move(constraint));
  indexes.push_back(std::move(index));
  return {};
}

// ADD CONSTRAINT ... USING INDEX: a unique index becomes the key.
Status DdlRun::add_key_by_index(Relation& table, const PendingConstraint& pending) {
  const PgQuery__Constraint& node = *pending.node;
  const std::string_view name = pg::text(node.indexname);
  const bool primary = node.contype == PG_QUERY__CONSTR_TYPE__CONSTR_PRIMARY;
  const auto refuse = [&](Error why) -> Status {
    why.mut().position = position(node.location);
    return std::unexpected(std::move(why));
  };
  const Catalog::Named found = now().find(table.schema, name);
  if (!found) return refuse(error(ErrorCode::kUndefinedObject, "index \"{}\" does not exist", name));
  const auto known = now().index(found.oid);
  if (!known) return fail(ErrorCode::kWrongObjectType, "\"{}\" is not an index", name);
  if (known->table != table.oid) {
    return refuse(error(ErrorCode::kNotInPrerequisiteState, "index \"{}\" does not belong to table \"{}\"",
                        name, table.name));
  }
  if (known->constraint != 0) {
    return refuse(error(ErrorCode::kNotInPrerequisiteState,
                        "index \"{}\" is already associated with a constraint", name));
  }
  const auto unfit = [&](std::string what) {
    return refuse(error(ErrorCode::kWrongObjectType, "{}", what)
                      .detail("Cannot create a primary key or unique constraint using such an index."));
  };
  if (!known->unique) return unfit(fmt::format("\"{}\" is not a unique index", name));
  if (std::ranges::any_of(known->keys, [](const IndexKey& key) { return key.column == 0; })) {
    return unfit(fmt::format("index \"{}\" contains expressions", name));
  }
  if (!known->predicate.empty()) return unfit(fmt::format("\"{}\" is a partial index", name));
  Index index = *known;
  Constraint constraint;
  constraint.type = primary ? 'p' : 'u';
  for (std::size_t i = 0; i < index.keys.size(); ++i) {
    const IndexKey& key = index.keys[i];
    if (key.descending || key.nulls_first) {
      return unfit(
          fmt::format("index \"{}\" column number {} does not have default sorting behavior", name, i + 1));
    }
    constraint.columns.push_back(key.column);
  }
  if (primary) {
    for (const std::int16_t number : constraint.columns)
      std::ranges::find(table.columns, number, &Column::number)->not_null = true;
  }
  constraint.name = pg::text(node.conname).empty() ? std::string(name) : std::string(pg::text(node.conname));
  if (constraint.name != index.name) {
    notice(error(ErrorCode::kNotice,
                 "ALTER TABLE / ADD CONSTRAINT USING INDEX will rename index \"{}\" to \"{}\"", index.name,
                 constraint.name));
    BOP_TRY(check_name_free(table.schema, constraint.name));
    index.name = constraint.name;
  }
  index.primary = primary;
  index.deferrable = constraint.deferrable = pending.deferrable;
  constraint.deferred = pending.deferred;
  constraint.oid = edit_.allocate_oid();
  constraint.index = index.oid;
  index.constraint = constraint.oid;
  table.constraints.push_back(std::move(constraint));
  if (!index.deferrable) {
    edit_.put(std::move(index));
    return {};
  }
  BOP_TRY(run(fmt::format("DROP INDEX {}", index_name(index.oid))));
  return make_index(index, table);
}

Status DdlRun::add_check(Relation& table, const PendingConstraint& pending) {
  const PgQuery__Constraint& node = *pending.node;
  auto stored = store_expression(statement_, node.raw_expr, &table, ExpressionUse::kCheck, bind_now());
  if (!stored) return std::unexpected(in_expression(stored.error()));
  const BoundExpression& bound = stored->bound;
  if (bound.type != 16) {
    return std::unexpected(error(ErrorCode::kDatatypeMismatch,
                                 "argument of CHECK must be type boolean, not type {}",
                                 format_type(bound.type, -1)));
  }
  Constraint constraint;
  constraint.type = 'c';
  constraint.columns = bound.columns;
  constraint.check_text = std::move(stored->text);
  constraint.no_inherit = node.is_no_inherit != 0;
  constraint.name = std::string(pg::text(node.conname));
  if (constraint.name.empty()) {
    const std::string column =
        bound.columns.size() == 1 ? table.find_column(bound.columns.front())->name : "";
    for (int number = 0;; ++number) {
      constraint.name = free_name(table.schema, table.name, column,
                                  number == 0 ? "check" : fmt::format("check{}", number), &table);
      if (table.find_constraint(constraint.name) == nullptr) break;
    }
  }
  constraint.oid = edit_.allocate_oid();
  table.constraints.push_back(std::move(constraint));
  return {};
}

Status DdlRun::add_foreign_key(Relation& table, const PendingConstraint& pending,
                               const std::vector<Index>& indexes) {
  const PgQuery__Constraint& node = *pending.node;
  Constraint constraint;
  constraint.type = 'f';
  const auto local = [&](std::string_view name) -> Status {
    const Column* column = table.find_column(name);
    if (column == nullptr) {
      return fail(ErrorCode::kUndefinedColumn,
                  "column \"{}\" referenced in foreign key constraint does not exist", name);
    }
    constraint.columns.push_back(column->number);
    return {};
  };
  if (!pending.column.empty()) {
    BOP_TRY(local(pending.column));
  } else {
    for (const pg::Node* item : BOP_PG_LIST(&node, fk_attrs)) BOP_TRY(local(pg::string_of(item)));
  }
  // The referenced table: maybe this one, which is not in the catalog yet.
  const std::string_view schema = pg::text(node.pktable->schemaname);
  BOP_TRY(check_database(pg::text(node.pktable->catalogname), schema, pg::text(node.pktable->relname)));
  const bool itself = pg::text(node.pktable->relname) == table.name &&
                      (schema.empty() || now().schema(table.schema)->name == schema);
  Relation referenced = table;
  if (!itself) {
    BOP_LET(found, find_relation(*node.pktable));
    const auto relation = now().relation(found.oid);
    if (!relation || relation->kind != 'r' || relation->is_virtual()) {
      return fail(ErrorCode::kWrongObjectType, "referenced relation \"{}\" is not a table",
                  node.pktable->relname);
    }
    referenced = *relation;
  }
  constraint.foreign_table = referenced.oid;
  if (table.persistence != referenced.persistence) {
    const std::string_view kind = table.persistence == 't' ? "temporary" : "permanent";
    return fail(ErrorCode::kInvalidTableDefinition, "constraints on {} tables may reference only {} tables",
                kind, kind);
  }
  if (node.n_pk_attrs == 0) {
    const Constraint* key = referenced.primary_key();
    if (key == nullptr) {
      return fail(ErrorCode::kUndefinedObject, "there is no primary key for referenced table \"{}\"",
                  referenced.name);
    }
    constraint.foreign_columns = key->columns;
  } else {
    for (const pg::Node* item : BOP_PG_LIST(&node, pk_attrs)) {
      const Column* column = referenced.find_column(pg::string_of(item));
      if (column == nullptr) {
        return fail(ErrorCode::kUndefinedColumn,
                    "column \"{}\" referenced in foreign key constraint does not exist", pg::string_of(item));
      }
      constraint.foreign_columns.push_back(column->number);
    }
  }
  if (constraint.columns.size() != constraint.foreign_columns.size()) {
    return fail(ErrorCode::kInvalidForeignKey,
                "number of referencing and referenced columns for foreign key disagree");
  }
  // A unique key over exactly the referenced columns.
  bool deferrable = false;  // such a key would fit
  const auto fits = [&](const Index& index) {
    // SQLite's parent keys are indexes of plain columns.
    if (has_equal_nulls(index)) return false;
    if (!index.unique || !index.predicate.empty() || index.keys.size() != constraint.foreign_columns.size())
      return false;
    const bool same = std::ranges::all_of(index.keys, [&](const IndexKey& key) {
      return key.column != 0 &&
             std::ranges::find(constraint.foreign_columns, key.column) != constraint.foreign_columns.end();
    });
    deferrable = deferrable || (same && index.deferrable);
    return same && !index.deferrable;
  };
  if (itself) {
    for (const Index& index : indexes) {
      if (index.table == table.oid && fits(index)) constraint.index = index.oid;
    }
  }
  for (const auto& index : now().indexes_of(referenced.oid)) {
    if (constraint.index == 0 && fits(*index)) constraint.index = index->oid;
  }
  if (constraint.index == 0 && deferrable) {
    return fail(ErrorCode::kNotInPrerequisiteState, "cannot use a deferrable {} for referenced table \"{}\"",
                node.n_pk_attrs == 0 ? "primary key" : "unique constraint", referenced.name);
  }
  if (constraint.index == 0) {
    return fail(ErrorCode::kInvalidForeignKey,
                "there is no unique constraint matching given keys for referenced table \"{}\"",
                referenced.name);
  }
  // What refers to a table keeps its rows from going, and tells which are there.
  const auto on_column = [&](std::int16_t number) {
    const Column& column = *referenced.find_column(number);
    return column.acl && held(column.acl, AclKind::kColumn, referenced.owner, who(), right::kReferences) != 0;
  };
  if (!itself && held_on(referenced, who(), right::kReferences) == 0 &&
      !std::ranges::all_of(constraint.foreign_columns, on_column)) {
    return std::unexpected(permission_denied(referenced));
  }
  std::string name(pg::text(node.conname));
  if (name.empty()) {
    name = free_name(table.schema, table.name, joined_names(table, constraint.columns, "_"), "fkey", &table);
  }
  constraint.name = name;
  BOP_TRY(check_key_types(constraint, table, referenced));
  constraint.on_update = action_of(node.fk_upd_action);
  constraint.on_delete = action_of(node.fk_del_action);
  constraint.match = pg::text(node.fk_matchtype).empty() ? 's' : *node.fk_matchtype;
  if (constraint.match == 'p') return fail(ErrorCode::kNotImplemented, "MATCH PARTIAL not yet implemented");
  if (node.n_fk_del_set_cols > 0) {
    return fail(ErrorCode::kNotImplemented, "ON DELETE SET with a column list is not implemented");
  }
  for (const std::int16_t number : constraint.columns) {
    if (table.find_column(number)->generated == 0) continue;
    const auto sets = [](char action) { return action == 'n' || action == 'd'; };
    const bool on_update = sets(constraint.on_update) || constraint.on_update == 'c';
    if (!on_update && !sets(constraint.on_delete)) continue;
    return fail(ErrorCode::kSyntaxError,
                "invalid {} action for foreign key constraint containing generated column",
                on_update ? "ON UPDATE" : "ON DELETE");
  }
  constraint.deferrable = pending.deferrable;
  constraint.deferred = pending.deferred;
  constraint.oid = edit_.allocate_oid();
  table.constraints.push_back(std::move(constraint));
  return {};
}

Status DdlRun::check_key_types(const Constraint& key, const Relation& table,
                               const Relation& referenced) const {
  for (std::size_t i = 0; i < key.columns.size(); ++i) {
    const Column* from = table.find_column(key.columns[i]);
    const Column* to = referenced.find_column(key.foreign_columns[i]);
    const auto family = [](Oid type) -> Oid {
      if (type == 20 || type == 21 || type == 23) return 20;
      if (type == 25 || type == 1043) return 25;
      return type;
    };
    if (family(from->type) != family(to->type)) {
      const bool comparable = find_type(from->type) != nullptr && find_type(to->type) != nullptr &&
                              find_type(from->type)->category == find_type(to->type)->category;
      if (comparable) {
        return fail(ErrorCode::kNotImplemented,
                    "a foreign key from {} to {} is not implemented: declare both alike",
                    format_type(from->type, -1), format_type(to->type, -1));
      }
      return std::unexpected(
          error(ErrorCode::kDatatypeMismatch, "foreign key constraint \"{}\" cannot be implemented", key.name)
              .detail(fmt::format("Key columns \"{}\" and \"{}\" are of incompatible types: {} and {}.",
                                  from->name, to->name, format_type(from->type, -1),
                                  format_type(to->type, -1))));
    }
  }
  return {};
}

Status DdlRun::verify_check(const Relation& table, const Constraint& constraint) {
  BOP_LET(parsed, parse_expression(constraint.check_text));
  BOP_LET(bound, bind_expression(parsed, &table, ExpressionUse::kCheck, bind_now()));
  BOP_LET(violation,
          first(fmt::format("SELECT 1 FROM {} WHERE NOT ({}) LIMIT 1", table_name(table.oid), bound.sql)));
  if (!violation) return {};
  return std::unexpected(
      about(table, error(ErrorCode::kCheckViolation,
                         "check constraint \"{}\" of relation \"{}\" is violated by some row",
                         constraint.name, table.name))
          .constraint(constraint.name));
}

Status DdlRun::verify_not_null(const Relation& table, const Column& column) {
  BOP_LET(violation, first(fmt::format("SELECT 1 FROM {} WHERE {} IS NULL LIMIT 1", table_name(table.oid),
                                       column_name(column.number))));
  if (!violation) return {};
  return std::unexpected(null_found(table, column));
}

Error DdlRun::null_found(const Relation& table, const Column& column) const {
  return about(table, error(ErrorCode::kNotNullViolation,
                            "column \"{}\" of relation \"{}\" contains null values", column.name, table.name))
      .column(column.name);
}

}  // namespace bop::sql
