// ALTER ... RENAME, SET SCHEMA, OWNER TO and COMMENT ON: what changes names and owners, never rows.
//
// Expressions in the catalog are PostgreSQL text: a renamed table or column is renamed in them too (views,
// CHECK, defaults, index expressions), or the rename is refused when the text cannot be carried over safely.
#include <algorithm>

#include "sql/ddl/ddl_run.hpp"

namespace bop::sql {

Status DdlRun::rename(const PgQuery__RenameStmt& rename) {
  const std::string to(pg::text(rename.newname));
  const auto views_on = [&](Oid relation) -> std::optional<std::string> {
    for (const auto& [oid, other] : now().relations()) {
      if (other->kind == 'v' && oid != relation && view_reads(*other).contains(relation)) return other->name;
    }
    return std::nullopt;
  };
  switch (rename.rename_type) {
    case PG_QUERY__OBJECT_TYPE__OBJECT_SCHEMA: {
      const Schema* schema = now().schema(pg::text(rename.subname));
      if (schema == nullptr)
        return fail(ErrorCode::kUndefinedSchema, "schema \"{}\" does not exist", rename.subname);
      if (now().schema(std::string_view(to)) != nullptr) {
        return fail(ErrorCode::kDuplicateSchema, "schema \"{}\" already exists", to);
      }
      for (const auto& [oid, relation] : now().relations()) {
        if (relation->schema != schema->oid) continue;
        if (const auto view = views_on(oid)) {
          return fail(ErrorCode::kNotImplemented,
                      "renaming a schema whose tables a view (\"{}\") reads is not implemented", *view);
        }
      }
      BOP_TRY(must_own(schema->owner, describe('n', schema->name)));
      Schema changed = *schema;
      changed.name = to;
      edit_.put(std::move(changed));
      return {};
    }
    case PG_QUERY__OBJECT_TYPE__OBJECT_TABLE:
    case PG_QUERY__OBJECT_TYPE__OBJECT_VIEW:
    case PG_QUERY__OBJECT_TYPE__OBJECT_INDEX:
    case PG_QUERY__OBJECT_TYPE__OBJECT_SEQUENCE: {
      BOP_LET(found, find_relation(*rename.relation, rename.missing_ok != 0));
      if (!found) {
        notice(error(ErrorCode::kUndefinedTable, "relation \"{}\" does not exist, skipping",
                     rename.relation->relname));
        return {};
      }
      BOP_TRY(must_own(found));
      if (const auto relation = now().relation(found.oid)) {
        if (relation->is_virtual()) {
          return fail(ErrorCode::kInsufficientPrivilege, "permission denied: \"{}\" is a system catalog",
                      relation->name);
        }
        BOP_TRY(check_name_free(relation->schema, to));
        if (const auto view = views_on(found.oid)) {
          return fail(ErrorCode::kNotImplemented,
                      "renaming a relation that a view (\"{}\") reads is not implemented", *view);
        }
        Relation changed = *relation;
        changed.name = to;
        edit_.put(std::move(changed));
      } else if (const auto index = now().index(found.oid)) {
        BOP_TRY(check_name_free(index->schema, to));
        Index changed = *index;
        changed.name = to;
        if (changed.constraint != 0) {
          Relation table = *now().relation(changed.table);
          for (Constraint& constraint : table.constraints) {
            if (constraint.oid == changed.constraint) constraint.name = to;
          }
          edit_.put(std::move(table));
        }
        edit_.put(std::move(changed));
      } else if (const auto sequence = now().sequence(found.oid)) {
        BOP_TRY(check_name_free(sequence->schema, to));
        Sequence changed = *sequence;
        changed.name = to;
        // The default of its serial column names it.
        if (changed.owned_by_table != 0) {
          Relation table = *now().relation(changed.owned_by_table);
          for (Column& column : table.columns) {
            if (column.sequence != changed.oid || column.identity != 0) continue;
            const Schema* schema = now().schema(changed.schema);
            column.default_text =
                fmt::format("nextval('{}{}'::regclass)",
                            schema->name == "public" ? "" : quote_name(schema->name) + ".", quote_name(to));
          }
          edit_.put(std::move(table));
        }
        edit_.put(std::move(changed));
      }
      return {};
    }
    case PG_QUERY__OBJECT_TYPE__OBJECT_COLUMN: {
      BOP_LET(found, find_relation(*rename.relation, rename.missing_ok != 0));
      if (!found) {
        notice(error(ErrorCode::kUndefinedTable, "relation \"{}\" does not exist, skipping",
                     rename.relation->relname));
        return {};
      }
      const auto relation = now().relation(found.oid);
      if (!relation || relation->is_virtual()) {
        return fail(ErrorCode::kWrongObjectType, "\"{}\" is not a table or view", rename.relation->relname);
      }
      BOP_TRY(must_own(found));
      Relation changed = *relation;
      const std::string from(pg::text(rename.subname));
      const auto column = std::ranges::find_if(changed.columns,
                                               [&](const Column& c) { return !c.dropped && c.name == from; });
      if (column == changed.columns.end())
        return fail(ErrorCode::kUndefinedColumn, "column \"{}\" does not exist", from);
      if (changed.find_column(to) != nullptr) {
        return fail(ErrorCode::kDuplicateColumn, "column \"{}\" of relation \"{}\" already exists", to,
                    changed.name);
      }
      if (const auto view = views_on(found.oid)) {
        return fail(ErrorCode::kNotImplemented,
                    "renaming a column of a relation that a view (\"{}\") reads is not implemented", *view);
      }
      const std::int16_t number = column->number;
      for (const Constraint& constraint : changed.constraints) {
        if (constraint.type == 'c' &&
            std::ranges::find(constraint.columns, number) != constraint.columns.end()) {
          return fail(
              ErrorCode::kNotImplemented,
              "renaming a column of check constraint \"{}\" is not implemented: drop the constraint first",
              constraint.name);
        }
      }
      for (const auto& index : now().indexes_of(changed.oid)) {
        const bool text =
            !index->predicate.empty() ||
            std::ranges::any_of(index->keys, [](const IndexKey& key) { return key.column == 0; });
        if (text) {
          return fail(
              ErrorCode::kNotImplemented,
              "renaming a column of a table with expression or partial index \"{}\" is not implemented",
              index->name);
        }
      }
      column->name = to;
      edit_.put(std::move(changed));
      return {};
    }
    case PG_QUERY__OBJECT_TYPE__OBJECT_TABCONSTRAINT: {
      BOP_LET(table, table_to_change(*rename.relation, "ALTER TABLE"));
      const std::string from(pg::text(rename.subname));
      const auto constraint = std::ranges::find(table.constraints, from, &Constraint::name);
      if (constraint == table.constraints.end()) {
        return fail(ErrorCode::kUndefinedObject, "constraint \"{}\" for table \"{}\" does not exist", from,
                    table.name);
      }
      if (table.find_constraint(to) != nullptr) {
        return fail(ErrorCode::kDuplicateObject, "constraint \"{}\" for relation \"{}\" already exists", to,
                    table.name);
      }
      constraint->name = to;
      if (constraint->type == 'p' || constraint->type == 'u') {
        BOP_TRY(check_name_free(table.schema, to));
        Index index = *now().index(constraint->index);
        index.name = to;
        edit_.put(std::move(index));
      }
      edit_.put(std::move(table));
      return {};
    }
    default:
      return fail(ErrorCode::kNotImplemented, "{} of this kind of object is not implemented",
                  statement_->command);
  }
}

Status DdlRun::set_schema(const PgQuery__AlterObjectSchemaStmt& alter) {
  if (alter.relation == nullptr) {
    return fail(ErrorCode::kNotImplemented, "SET SCHEMA of this kind of object is not implemented");
  }
  BOP_LET(found, find_relation(*alter.relation, alter.missing_ok != 0));
  if (!found) {
    notice(error(ErrorCode::kUndefinedTable, "relation \"{}\" does not exist, skipping",
                 alter.relation->relname));
    return {};
  }
  BOP_TRY(must_own(found));
  BOP_LET(schema, schema_for_creation(pg::text(alter.newschema)));
  const Oid target = schema->oid;
  const auto move_sequence = [&](const Sequence& sequence) -> Status {
    BOP_TRY(check_name_free(target, sequence.name));
    Sequence changed = sequence;
    changed.schema = target;
    edit_.put(std::move(changed));
    return {};
  };
  if (const auto sequence = now().sequence(found.oid)) {
    if (sequence->owned_by_table != 0) {
      return fail(ErrorCode::kNotImplemented, "cannot move an owned sequence into another schema");
    }
    return move_sequence(*sequence);
  }
  const auto relation = now().relation(found.oid);
  if (!relation || relation->is_virtual()) {
    return fail(ErrorCode::kWrongObjectType, "\"{}\" is not a table, view or sequence",
                alter.relation->relname);
  }
  BOP_TRY(check_name_free(target, relation->name));
  for (const auto& [oid, other] : now().relations()) {
    if (other->kind == 'v' && oid != found.oid && view_reads(*other).contains(found.oid)) {
      return fail(ErrorCode::kNotImplemented,
                  "moving a relation that a view (\"{}\") reads is not implemented", other->name);
    }
  }
  Relation changed = *relation;
  changed.schema = target;
  const std::string prefix = schema->name == "public" ? "" : quote_name(schema->name) + ".";
  for (Column& column : changed.columns) {
    if (column.sequence == 0) continue;
    const auto sequence = now().sequence(column.sequence);
    if (!sequence || sequence->owned_by_table != changed.oid) continue;
    BOP_TRY(move_sequence(*sequence));
    if (column.identity == 0) {
      column.default_text = fmt::format("nextval('{}{}'::regclass)", prefix, quote_name(sequence->name));
    }
  }
  for (const auto& index : now().indexes_of(changed.oid)) {
    BOP_TRY(check_name_free(target, index->name));
    Index moved = *index;
    moved.schema = target;
    edit_.put(std::move(moved));
  }
  edit_.put(std::move(changed));
  return {};
}

Status DdlRun::set_owner(const PgQuery__AlterOwnerStmt& alter) {
  if (alter.object_type != PG_QUERY__OBJECT_TYPE__OBJECT_SCHEMA) {
    return fail(ErrorCode::kNotImplemented, "OWNER TO of this kind of object is not implemented");
  }
  const std::string_view name = pg::string_of(alter.object);
  const Schema* schema = now().schema(name);
  if (schema == nullptr) return fail(ErrorCode::kUndefinedSchema, "schema \"{}\" does not exist", name);
  BOP_TRY(must_own(schema->owner, describe('n', schema->name)));
  BOP_LET(owner, role_oid(*alter.newowner));
  Schema changed = *schema;
  changed.owner = owner;
  edit_.put(std::move(changed));
  return {};
}

Status DdlRun::comment(const PgQuery__CommentStmt& comment) {
  const std::string text(pg::text(comment.comment));
  switch (comment.objtype) {
    case PG_QUERY__OBJECT_TYPE__OBJECT_SCHEMA: {
      const std::string_view name = pg::string_of(comment.object);
      const Schema* schema = now().schema(name);
      if (schema == nullptr) return fail(ErrorCode::kUndefinedSchema, "schema \"{}\" does not exist", name);
      BOP_TRY(must_own(schema->owner, describe('n', schema->name)));
      Schema changed = *schema;
      changed.comment = text;
      edit_.put(std::move(changed));
      return {};
    }
    case PG_QUERY__OBJECT_TYPE__OBJECT_TABLE:
    case PG_QUERY__OBJECT_TYPE__OBJECT_VIEW:
    case PG_QUERY__OBJECT_TYPE__OBJECT_INDEX:
    case PG_QUERY__OBJECT_TYPE__OBJECT_SEQUENCE: {
      std::string schema;
      std::string name;
      BOP_LET(found, find_qualified(BOP_PG_LIST(comment.object->list, items), schema, name));
      const char wanted = comment.objtype == PG_QUERY__OBJECT_TYPE__OBJECT_TABLE   ? 'r'
                          : comment.objtype == PG_QUERY__OBJECT_TYPE__OBJECT_VIEW  ? 'v'
                          : comment.objtype == PG_QUERY__OBJECT_TYPE__OBJECT_INDEX ? 'i'
                                                                                   : 'S';
      if (!found) return fail(ErrorCode::kUndefinedTable, "relation \"{}\" does not exist", name);
      if (found.kind != wanted) {
        return fail(ErrorCode::kWrongObjectType, "\"{}\" is not {}", name,
                    wanted == 'r'   ? "a table"
                    : wanted == 'v' ? "a view"
                    : wanted == 'i' ? "an index"
                                    : "a sequence");
      }
      BOP_TRY(must_own(found));
      if (const auto relation = now().relation(found.oid)) {
        if (relation->is_virtual()) {
          return fail(ErrorCode::kInsufficientPrivilege, "permission denied: \"{}\" is a system catalog",
                      name);
        }
        Relation changed = *relation;
        changed.comment = text;
        edit_.put(std::move(changed));
      } else if (const auto index = now().index(found.oid)) {
        Index changed = *index;
        changed.comment = text;
        edit_.put(std::move(changed));
      } else if (const auto sequence = now().sequence(found.oid)) {
        Sequence changed = *sequence;
        changed.comment = text;
        edit_.put(std::move(changed));
      }
      return {};
    }
    case PG_QUERY__OBJECT_TYPE__OBJECT_COLUMN: {
      const pg::NodeList names = BOP_PG_LIST(comment.object->list, items);
      std::string schema;
      std::string name;
      BOP_LET(found, find_qualified(names.first(names.size() - 1), schema, name));
      const auto relation = now().relation(found.oid);
      if (!found || !relation)
        return fail(ErrorCode::kUndefinedTable, "relation \"{}\" does not exist", name);
      BOP_TRY(must_own(found));
      Relation changed = *relation;
      BOP_LET(column, column_of(changed, pg::string_of(names.back())));
      column->comment = text;
      edit_.put(std::move(changed));
      return {};
    }
    default: return fail(ErrorCode::kNotImplemented, "COMMENT ON this kind of object is not implemented");
  }
}

}  // namespace bop::sql
