// ALTER ... RENAME, SET SCHEMA, OWNER TO and COMMENT ON: what changes names and owners, never rows.
//
// Queries and expressions in the catalog are text: what is renamed is renamed in them too. Views go on to
// call it by the old name, as an alias.
#include <algorithm>

#include "sql/catalog/temporary.hpp"
#include "sql/ddl/ddl_run.hpp"

namespace bop::sql {

namespace {

bool is_routine(PgQuery__ObjectType type) {
  return type == PG_QUERY__OBJECT_TYPE__OBJECT_FUNCTION || type == PG_QUERY__OBJECT_TYPE__OBJECT_PROCEDURE ||
         type == PG_QUERY__OBJECT_TYPE__OBJECT_ROUTINE;
}

}  // namespace

// Before `relation` gets the name `to`, or one of its columns another name.
Status DdlRun::rename_in_views(Oid oid, const RelationName& to, std::int16_t column) {
  const auto relation = now().relation(oid);
  const RelationName from{.schema = now().schema(relation->schema)->name, .name = relation->name};
  std::vector<Relation> changed;
  for (const auto& [other, view] : now().relations()) {
    const ViewRead* read = view->find_read(oid);
    if (read == nullptr) continue;
    std::vector<std::string> columns;
    const auto renamed = std::ranges::find(read->columns, column);
    if (renamed != read->columns.end()) {
      for (auto number = read->columns.begin(); number <= renamed; ++number)
        columns.push_back(relation->find_column(*number)->name);
    }
    BOP_LET(text, rename_relation(view->view_text, from, to, columns));
    changed.push_back(*view);
    changed.back().view_text = std::move(text);
  }
  for (Relation& view : changed) edit_.put(std::move(view));
  return {};
}

Status DdlRun::rename(const PgQuery__RenameStmt& rename) {
  const std::string to(pg::text(rename.newname));
  switch (rename.rename_type) {
    case PG_QUERY__OBJECT_TYPE__OBJECT_SCHEMA: {
      const Schema* schema = now().schema(pg::text(rename.subname));
      if (schema == nullptr)
        return fail(ErrorCode::kUndefinedSchema, "schema \"{}\" does not exist", rename.subname);
      if (now().schema(std::string_view(to)) != nullptr) {
        return fail(ErrorCode::kDuplicateSchema, "schema \"{}\" already exists", to);
      }
      BOP_TRY(must_own(schema->owner, describe('n', schema->name)));
      BOP_TRY(may_create_schemas());
      Schema changed = *schema;
      changed.name = to;
      std::vector<Oid> inside;
      for (const auto& [oid, relation] : now().relations()) {
        if (relation->schema == changed.oid) inside.push_back(oid);
      }
      for (const Oid oid : inside)
        BOP_TRY(rename_in_views(oid, {.schema = to, .name = now().relation(oid)->name}));
      edit_.put(std::move(changed));
      return {};
    }
    case PG_QUERY__OBJECT_TYPE__OBJECT_TABLE:
    case PG_QUERY__OBJECT_TYPE__OBJECT_VIEW:
    case PG_QUERY__OBJECT_TYPE__OBJECT_INDEX:
    case PG_QUERY__OBJECT_TYPE__OBJECT_SEQUENCE: {
      // ALTER INDEX ... RENAME is taken for any relation, as PostgreSQL does.
      const PgQuery__ObjectType type = rename.rename_type == PG_QUERY__OBJECT_TYPE__OBJECT_INDEX
                                           ? PG_QUERY__OBJECT_TYPE__OBJECT_TABLE
                                           : rename.rename_type;
      BOP_LET(found, find_altered(*rename.relation, rename.missing_ok != 0, type));
      if (!found) return {};
      BOP_TRY(must_own(found));
      BOP_TRY(may_create_in(*now().schema(schema_of(found))));
      if (const auto relation = now().relation(found.oid)) {
        BOP_TRY(check_name_free(relation->schema, to));
        BOP_TRY(rename_in_views(found.oid, {.schema = now().schema(relation->schema)->name, .name = to}));
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
        edit_.put(std::move(changed));
      }
      return {};
    }
    case PG_QUERY__OBJECT_TYPE__OBJECT_COLUMN: {
      BOP_LET(found, find_altered(*rename.relation, rename.missing_ok != 0, rename.relation_type));
      if (!found) return {};
      const auto relation = now().relation(found.oid);
      if (!relation) {
        return fail(ErrorCode::kNotImplemented, "renaming a column of {} is not implemented",
                    describe(found.kind, pg::text(rename.relation->relname).data()));
      }
      BOP_TRY(must_own(found));
      Relation changed = *relation;
      const std::string from(pg::text(rename.subname));
      if (changed.kind == 'r') BOP_TRY(check_column_name(to));
      const auto column = std::ranges::find_if(changed.columns,
                                               [&](const Column& c) { return !c.dropped && c.name == from; });
      if (column == changed.columns.end())
        return fail(ErrorCode::kUndefinedColumn, "column \"{}\" does not exist", from);
      if (changed.find_column(to) != nullptr) {
        return fail(ErrorCode::kDuplicateColumn, "column \"{}\" of relation \"{}\" already exists", to,
                    changed.name);
      }
      const std::int16_t number = column->number;
      BOP_TRY(rename_in_views(found.oid, {.schema = now().schema(changed.schema)->name, .name = changed.name},
                              number));
      for (Column& computed : changed.columns) {
        if (computed.generated == 0 || computed.dropped) continue;
        BOP_LET(text, rename_column(*computed.default_text, from, to));
        computed.default_text = std::move(text);
      }
      for (Constraint& constraint : changed.constraints) {
        if (constraint.type != 'c') continue;
        BOP_LET(text, rename_column(constraint.check_text, from, to));
        constraint.check_text = std::move(text);
      }
      for (const auto& index : now().indexes_of(changed.oid)) {
        Index renamed = *index;
        for (IndexKey& key : renamed.keys) {
          if (key.column != 0) continue;
          BOP_LET(text, rename_column(key.expression, from, to));
          key.expression = std::move(text);
        }
        if (!renamed.predicate.empty()) {
          BOP_LET(text, rename_column(renamed.predicate, from, to));
          renamed.predicate = std::move(text);
        }
        edit_.put(std::move(renamed));
      }
      column->name = to;
      edit_.put(std::move(changed));
      return {};
    }
    case PG_QUERY__OBJECT_TYPE__OBJECT_TYPE:
    case PG_QUERY__OBJECT_TYPE__OBJECT_DOMAIN: return rename_type(rename);
    case PG_QUERY__OBJECT_TYPE__OBJECT_DOMCONSTRAINT: return rename_domain_check(rename);
    case PG_QUERY__OBJECT_TYPE__OBJECT_FUNCTION:
    case PG_QUERY__OBJECT_TYPE__OBJECT_PROCEDURE:
    case PG_QUERY__OBJECT_TYPE__OBJECT_ROUTINE: return rename_function(rename);
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
  if (alter.object_type == PG_QUERY__OBJECT_TYPE__OBJECT_TYPE ||
      alter.object_type == PG_QUERY__OBJECT_TYPE__OBJECT_DOMAIN) {
    return set_type_schema(alter);
  }
  if (is_routine(alter.object_type)) return set_function_schema(alter);
  if (alter.relation == nullptr) {
    return fail(ErrorCode::kNotImplemented, "SET SCHEMA of this kind of object is not implemented");
  }
  BOP_LET(found, find_altered(*alter.relation, alter.missing_ok != 0, alter.object_type));
  if (!found) return {};
  BOP_TRY(must_own(found));
  BOP_LET(schema, schema_for_creation(pg::text(alter.newschema)));
  const Oid target = schema->oid;
  if (is_temporary_schema(schema->name) || is_temporary_schema(now().schema(schema_of(found))->name)) {
    return fail(ErrorCode::kNotImplemented, "cannot move objects into or out of temporary schemas");
  }
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
  if (!relation) {
    return fail(ErrorCode::kWrongObjectType, "\"{}\" is not a table, view, sequence, or foreign table",
                alter.relation->relname);
  }
  BOP_TRY(check_name_free(target, relation->name));
  BOP_TRY(rename_in_views(found.oid, {.schema = schema->name, .name = relation->name}));
  Relation changed = *relation;
  changed.schema = target;
  for (const auto& [oid, sequence] : std::map(now().sequences())) {
    if (sequence->owned_by_table == changed.oid) BOP_TRY(move_sequence(*sequence));
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

Status DdlRun::may_give(Oid to, const PgQuery__RoleSpec& role, Oid schema) const {
  if (who().superuser) return {};
  if (!who().is_member_of(to)) {
    return fail(ErrorCode::kInsufficientPrivilege, "must be member of role \"{}\"", pg::text(role.rolename));
  }
  const Schema* in = now().schema(schema);
  if (in == nullptr || held_on(*in, context_.identity(to), right::kCreate) != 0) return {};
  return std::unexpected(permission_denied("schema", in->name));
}

Status DdlRun::change_owner(const Catalog::Named& found, const PgQuery__RoleSpec& role) {
  BOP_LET(owner, role_oid(role));
  if (const auto relation = now().relation(found.oid)) {
    if (relation->owner != owner) BOP_TRY(may_give(owner, role, relation->schema));
    Relation changed = *relation;
    if (changed.acl) changed.acl = with_owner(*changed.acl, changed.owner, owner);
    for (Column& column : changed.columns) {
      if (column.acl) column.acl = with_owner(*column.acl, changed.owner, owner);
    }
    changed.owner = owner;
    edit_.put(std::move(changed));
    for (const auto& index : now().indexes_of(found.oid)) {
      Index own = *index;
      own.owner = owner;
      edit_.put(std::move(own));
    }
    std::vector<Sequence> owned;
    for (const auto& [oid, sequence] : now().sequences()) {
      if (sequence->owned_by_table == found.oid) owned.push_back(*sequence);
    }
    for (Sequence& sequence : owned) {
      if (sequence.acl) sequence.acl = with_owner(*sequence.acl, sequence.owner, owner);
      sequence.owner = owner;
      edit_.put(std::move(sequence));
    }
    return {};
  }
  if (const auto sequence = now().sequence(found.oid)) {
    if (const auto table = now().relation(sequence->owned_by_table); table && sequence->owner != owner) {
      return std::unexpected(
          error(ErrorCode::kNotImplemented, "cannot change owner of sequence \"{}\"", sequence->name)
              .detail(
                  fmt::format("Sequence \"{}\" is linked to table \"{}\".", sequence->name, table->name)));
    }
    if (sequence->owner != owner) BOP_TRY(may_give(owner, role, sequence->schema));
    Sequence changed = *sequence;
    if (changed.acl) changed.acl = with_owner(*changed.acl, changed.owner, owner);
    changed.owner = owner;
    edit_.put(std::move(changed));
    return {};
  }
  const auto index = now().index(found.oid);
  if (index && index->owner != owner && context_.notice) {
    context_.notice(true,
                    error(ErrorCode::kWrongObjectType, "cannot change owner of index \"{}\"", index->name)
                        .hint("Change the ownership of the index's table, instead."));
  }
  return {};
}

Status DdlRun::set_owner(const PgQuery__AlterOwnerStmt& alter) {
  if (alter.object_type == PG_QUERY__OBJECT_TYPE__OBJECT_TYPE ||
      alter.object_type == PG_QUERY__OBJECT_TYPE__OBJECT_DOMAIN) {
    return set_type_owner(alter);
  }
  if (is_routine(alter.object_type)) return set_function_owner(alter);
  if (alter.object_type != PG_QUERY__OBJECT_TYPE__OBJECT_SCHEMA) {
    return fail(ErrorCode::kNotImplemented, "OWNER TO of this kind of object is not implemented");
  }
  const std::string_view name = pg::string_of(alter.object);
  const Schema* schema = now().schema(name);
  if (schema == nullptr) return fail(ErrorCode::kUndefinedSchema, "schema \"{}\" does not exist", name);
  BOP_TRY(must_own(schema->owner, describe('n', schema->name)));
  BOP_LET(owner, role_oid(*alter.newowner));
  if (schema->owner != owner) {
    BOP_TRY(may_give(owner, *alter.newowner, 0));
    BOP_TRY(may_create_schemas());
  }
  Schema changed = *schema;
  if (changed.acl) changed.acl = with_owner(*changed.acl, changed.owner, owner);
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
    case PG_QUERY__OBJECT_TYPE__OBJECT_TYPE:
    case PG_QUERY__OBJECT_TYPE__OBJECT_DOMAIN: return comment_on_type(comment);
    case PG_QUERY__OBJECT_TYPE__OBJECT_DOMCONSTRAINT: return comment_on_domain_check(comment);
    case PG_QUERY__OBJECT_TYPE__OBJECT_FUNCTION:
    case PG_QUERY__OBJECT_TYPE__OBJECT_PROCEDURE:
    case PG_QUERY__OBJECT_TYPE__OBJECT_ROUTINE: return comment_on_function(comment);
    case PG_QUERY__OBJECT_TYPE__OBJECT_COLUMN: {
      const pg::NodeList names = BOP_PG_LIST(comment.object->list, items);
      std::string schema;
      std::string name;
      BOP_LET(found, find_qualified(names.first(names.size() - 1), schema, name));
      const auto relation = now().relation(found.oid);
      if (!found || !relation)
        return fail(ErrorCode::kUndefinedTable, "relation \"{}\" does not exist", name);
      if (relation->is_virtual()) {
        return fail(ErrorCode::kInsufficientPrivilege, "permission denied: \"{}\" is a system catalog", name);
      }
      BOP_TRY(must_own(found));
      Relation changed = *relation;
      BOP_LET(column, column_of(changed, pg::string_of(names.back())));
      column->comment = text;
      edit_.put(std::move(changed));
      return {};
    }
    case PG_QUERY__OBJECT_TYPE__OBJECT_TABCONSTRAINT: {
      const pg::NodeList names = BOP_PG_LIST(comment.object->list, items);
      std::string schema;
      std::string name;
      BOP_LET(found, find_qualified(names.first(names.size() - 1), schema, name));
      const auto relation = now().relation(found.oid);
      if (!found || !relation)
        return fail(ErrorCode::kUndefinedTable, "relation \"{}\" does not exist", name);
      if (relation->is_virtual()) {
        return fail(ErrorCode::kInsufficientPrivilege, "permission denied: \"{}\" is a system catalog", name);
      }
      BOP_TRY(must_own(found));
      Relation changed = *relation;
      const std::string_view wanted = pg::string_of(names.back());
      const auto constraint = std::ranges::find(changed.constraints, wanted, &Constraint::name);
      if (constraint == changed.constraints.end()) {
        return fail(ErrorCode::kUndefinedObject, "constraint \"{}\" for table \"{}\" does not exist", wanted,
                    changed.name);
      }
      constraint->comment = text;
      edit_.put(std::move(changed));
      return {};
    }
    default: return fail(ErrorCode::kNotImplemented, "COMMENT ON this kind of object is not implemented");
  }
}

}  // namespace bop::sql
