// GRANT and REVOKE on tables, views, sequences, schemas and functions. Those on databases and roles change
// what all databases share.
#include <map>

#include "sql/ddl/ddl_run.hpp"

namespace bop::sql {

namespace {

constexpr auto kOfTableKeyword = static_cast<Rights>(right::kOfTable | right::kOfSequence);

}  // namespace

Result<std::vector<Oid>> DdlRun::relations_of_schema(const Schema& schema, bool sequences) const {
  std::vector<Oid> found;
  if (sequences) {
    for (const auto& [oid, sequence] : now().sequences()) {
      if (sequence->schema == schema.oid) found.push_back(oid);
    }
    return found;
  }
  if (schema.oid == kPgCatalogSchema || schema.oid == kInformationSchema) {
    return fail(ErrorCode::kNotImplemented, "privileges on system catalogs are not implemented");
  }
  for (const auto& [oid, relation] : now().relations()) {
    if (relation->schema == schema.oid) found.push_back(oid);
  }
  return found;
}

Status DdlRun::grant(const PgQuery__GrantStmt& grant) {
  const RoleOf role = [this](const PgQuery__RoleSpec& spec) { return role_oid(spec); };
  BOP_TRY(check_grantor(grant.grantor, context_.user, role));
  const bool sequences = grant.objtype == PG_QUERY__OBJECT_TYPE__OBJECT_SEQUENCE;
  const bool tables = grant.objtype == PG_QUERY__OBJECT_TYPE__OBJECT_TABLE;
  const bool schemas = grant.objtype == PG_QUERY__OBJECT_TYPE__OBJECT_SCHEMA;
  const bool functions = grant.objtype == PG_QUERY__OBJECT_TYPE__OBJECT_FUNCTION ||
                         grant.objtype == PG_QUERY__OBJECT_TYPE__OBJECT_PROCEDURE ||
                         grant.objtype == PG_QUERY__OBJECT_TYPE__OBJECT_ROUTINE;
  if (functions) return grant_on_functions(grant, role);
  if (!sequences && !tables && !schemas) {
    return fail(ErrorCode::kNotImplemented, "{} on this kind of object is not implemented",
                statement_->command);
  }
  const bool whole_schemas = grant.targtype == PG_QUERY__GRANT_TARGET_TYPE__ACL_TARGET_ALL_IN_SCHEMA;
  std::vector<Oid> objects;
  std::vector<std::string_view> names;
  for (const pg::Node* node : BOP_PG_LIST(&grant, objects)) {
    if (!schemas && !whole_schemas) {
      BOP_LET(found, find_relation(*node->range_var));
      objects.push_back(found.oid);
      continue;
    }
    const std::string_view name = pg::string_of(node);
    const Schema* schema = now().schema(name);
    if (schema == nullptr) return fail(ErrorCode::kUndefinedSchema, "schema \"{}\" does not exist", name);
    names.push_back(name);
    if (schemas) continue;
    BOP_TRY(may_look_in(name));
    BOP_LET(inside, relations_of_schema(*schema, sequences));
    objects.insert(objects.end(), inside.begin(), inside.end());
  }
  BOP_LET(request, read_grant(grant,
                              schemas     ? right::kOfSchema
                              : sequences ? right::kOfSequence
                                          : kOfTableKeyword,
                              schemas     ? "schema"
                              : sequences ? "sequence"
                                          : "relation",
                              role));
  if (schemas) {
    for (const std::string_view name : names) BOP_TRY(grant_on_schema(request, name));
    return {};
  }
  for (const Oid object : objects) {
    const bool on_whole = request.all || request.rights != 0;
    if (on_whole) BOP_TRY(grant_on(request, object, tables));
    if (!request.columns.empty() || (on_whole && !request.grant)) BOP_TRY(grant_on_columns(request, object));
  }
  return {};
}

Status DdlRun::grant_on_functions(const PgQuery__GrantStmt& grant, const RoleOf& role) {
  const bool whole_schemas = grant.targtype == PG_QUERY__GRANT_TARGET_TYPE__ACL_TARGET_ALL_IN_SCHEMA;
  std::vector<Oid> objects;
  for (const pg::Node* node : BOP_PG_LIST(&grant, objects)) {
    if (!whole_schemas) {
      BOP_LET(found, find_function(node, grant.objtype, false));
      objects.push_back(found->oid);
      continue;
    }
    const std::string_view name = pg::string_of(node);
    const Schema* schema = now().schema(name);
    if (schema == nullptr) return fail(ErrorCode::kUndefinedSchema, "schema \"{}\" does not exist", name);
    BOP_TRY(may_look_in(name));
    for (const auto& [oid, function] : now().functions()) {
      const bool meant =
          grant.objtype == PG_QUERY__OBJECT_TYPE__OBJECT_ROUTINE ||
          (function->kind == 'p') == (grant.objtype == PG_QUERY__OBJECT_TYPE__OBJECT_PROCEDURE);
      if (function->schema == schema->oid && meant) objects.push_back(oid);
    }
  }
  BOP_LET(request, read_grant(grant, right::kOfFunction,
                              grant.objtype == PG_QUERY__OBJECT_TYPE__OBJECT_PROCEDURE ? "procedure"
                              : grant.objtype == PG_QUERY__OBJECT_TYPE__OBJECT_ROUTINE ? "routine"
                                                                                       : "function",
                              role));
  for (const Oid object : objects) BOP_TRY(grant_on_function(request, object));
  return {};
}

Status DdlRun::grant_on_schema(const GrantRequest& request, std::string_view name) {
  Schema schema = *now().schema(name);
  const auto warn = [this](const Error& what) {
    if (context_.notice) context_.notice(true, what);
  };
  BOP_LET(acl, granted(request,
                       {.kind = AclKind::kSchema,
                        .noun = "schema",
                        .name = schema.name,
                        .owner = schema.owner,
                        .acl = schema.acl,
                        .as_owner = schema.oid == kPublicSchema && context_.owns_database},
                       who(), context_.identity, warn));
  schema.acl = std::move(acl);
  edit_.put(std::move(schema));
  return {};
}

// `as_table`: after the word TABLE, which is taken for sequences as well.
Status DdlRun::grant_on(const GrantRequest& request, Oid object, bool as_table) {
  const auto warn = [this](const Error& what) {
    if (context_.notice) context_.notice(true, what);
  };
  if (const auto index = now().index(object)) {
    return fail(ErrorCode::kWrongObjectType, "\"{}\" is an index", index->name);
  }
  if (const auto known = now().sequence(object)) {
    Sequence sequence = *known;
    GrantRequest asked = request;
    if (as_table && !asked.all && (asked.rights & ~right::kOfSequence) != 0) {
      warn(error(ErrorCode::kInvalidGrantOperation,
                 "sequence \"{}\" only supports USAGE, SELECT, and UPDATE privileges", sequence.name));
      asked.rights &= right::kOfSequence;
      if (asked.rights == 0) return {};
    }
    BOP_LET(acl, granted(asked,
                         {.kind = AclKind::kSequence,
                          .noun = "sequence",
                          .name = sequence.name,
                          .owner = sequence.owner,
                          .acl = sequence.acl},
                         who(), context_.identity, warn));
    sequence.acl = std::move(acl);
    edit_.put(std::move(sequence));
    return {};
  }
  const auto known = now().relation(object);
  if (!as_table) return fail(ErrorCode::kWrongObjectType, "\"{}\" is not a sequence", known->name);
  if (known->is_virtual()) {
    return fail(ErrorCode::kNotImplemented, "privileges on system catalogs are not implemented");
  }
  if ((request.rights & ~right::kOfTable) != 0) {
    return fail(ErrorCode::kInvalidGrantOperation, "invalid privilege type USAGE for table");
  }
  Relation relation = *known;
  BOP_LET(acl, granted(request,
                       {.kind = AclKind::kTable,
                        .noun = "table",
                        .name = relation.name,
                        .owner = relation.owner,
                        .acl = relation.acl},
                       who(), context_.identity, warn));
  relation.acl = std::move(acl);
  edit_.put(std::move(relation));
  return {};
}

// REVOKE on a table takes what it takes from its columns, too.
Status DdlRun::grant_on_columns(const GrantRequest& request, Oid object) {
  const auto known = now().relation(object);
  if (!known || known->is_virtual()) {
    if (request.columns.empty()) return {};
    return fail(ErrorCode::kNotImplemented, "column privileges on this kind of object are not implemented");
  }
  std::map<std::int16_t, Rights> named;
  Relation relation = *known;
  for (const GrantRequest::OnColumns& on : request.columns) {
    for (const std::string& name : on.names) {
      const Column* column = relation.find_column(name);
      if (column == nullptr) {
        return fail(ErrorCode::kUndefinedColumn, "column \"{}\" of relation \"{}\" does not exist", name,
                    relation.name);
      }
      named[column->number] |= on.rights;
    }
  }
  const Rights whole = request.grant ? Rights{0}
                       : request.all ? right::kOfColumn
                                     : static_cast<Rights>(request.rights & right::kOfColumn);
  for (Column& column : relation.columns) {
    const auto found = named.find(column.number);
    const bool is_named = found != named.end();
    GrantRequest own = request;
    own.all = false;
    own.rights =
        static_cast<Rights>((is_named ? found->second : Rights{0}) | (column.acl ? whole : Rights{0}));
    if (column.dropped || own.rights == 0) continue;
    const auto warn = [&](const Error& what) {
      if (context_.notice && is_named) context_.notice(true, what);
    };
    BOP_LET(acl, granted(own,
                         {.kind = AclKind::kColumn,
                          .noun = "column",
                          .name = column.name,
                          .owner = relation.owner,
                          .acl = column.acl,
                          .around = &relation.acl,
                          .shown = fmt::format("\"{}\" of relation \"{}\"", column.name, relation.name)},
                         who(), context_.identity, warn));
    column.acl = acl.empty() ? ObjectAcl() : ObjectAcl(std::move(acl));
  }
  edit_.put(std::move(relation));
  return {};
}

}  // namespace bop::sql
