// Looking names up and making new ones, as PostgreSQL does.
#include <algorithm>

#include "sql/catalog/temporary.hpp"
#include "sql/ddl/ddl_run.hpp"
#include "sql/types/types.hpp"

namespace bop::sql {

namespace {

constexpr std::size_t kMaxName = 63;

// PostgreSQL's makeObjectName: the longer of the two parts gives way until all fits.
std::string object_name(std::string_view first, std::string_view second, std::string_view label) {
  std::size_t overhead = label.empty() ? 0 : label.size() + 1;
  if (!second.empty()) ++overhead;
  std::size_t a = first.size();
  std::size_t b = second.size();
  while (a + b + overhead > kMaxName) {
    if (a > b) {
      --a;
    } else {
      --b;
    }
  }
  const auto clip = [](std::string_view text, std::size_t length) {
    while (length > 0 && length < text.size() && (static_cast<unsigned char>(text[length]) & 0xC0) == 0x80)
      --length;
    return text.substr(0, length);
  };
  std::string name(clip(first, a));
  if (!second.empty()) name.append("_").append(clip(second, b));
  if (!label.empty()) name.append("_").append(label);
  return name;
}

}  // namespace

Result<const Schema*> DdlRun::may_create_in(const Schema& schema) const {
  if (held_on(schema, who(), right::kCreate) != 0) return &schema;
  if (schema.oid == kPublicSchema && context_.owns_database) return &schema;
  return std::unexpected(permission_denied("schema", schema.name));
}

Status DdlRun::may_create_schemas() const {
  if (context_.creates_schemas) return {};
  return std::unexpected(permission_denied("database", context_.bind.database));
}

// The session's own, made with its first relation. Everybody may look in: the relations have rights of their
// own.
Result<const Schema*> DdlRun::temporary_schema() {
  if (!context_.creates_temporary) {
    return fail(ErrorCode::kInsufficientPrivilege,
                "permission denied to create temporary tables in database \"{}\"", context_.bind.database);
  }
  const std::string_view name = own_temporary(context_.bind.search_path);
  if (name.empty()) return fail(ErrorCode::kInternal, "the session has no temporary schema in its path");
  if (const Schema* schema = now().schema(name)) return schema;
  Schema schema;
  schema.oid = edit_.allocate_oid();
  schema.name = std::string(name);
  schema.owner = kBootstrapRole;
  schema.acl = Acl{{.grantee = schema.owner, .grantor = schema.owner, .rights = right::kOfSchema},
                   {.grantee = kPublic, .grantor = schema.owner, .rights = right::kUsage}};
  edit_.put(std::move(schema));
  return now().schema(name);
}

Result<const Schema*> DdlRun::schema_for_creation(std::string_view name) {
  const std::string_view own = own_temporary(context_.bind.search_path);
  if (name == kTemporaryAlias || (!own.empty() && name == own)) return temporary_schema();
  if (is_temporary_schema(name) && now().schema(name) != nullptr) {
    return fail(ErrorCode::kInvalidTableDefinition,
                "cannot create relations in temporary schemas of other sessions");
  }
  if (!name.empty()) {
    const Schema* schema = now().schema(name);
    if (schema == nullptr) return fail(ErrorCode::kUndefinedSchema, "schema \"{}\" does not exist", name);
    if (schema->oid == kPgCatalogSchema || schema->oid == kInformationSchema) {
      return fail(ErrorCode::kInsufficientPrivilege, "permission denied for schema {}", name);
    }
    return may_create_in(*schema);
  }
  for (const std::string& candidate : context_.bind.search_path) {
    if (candidate == own) {
      if (context_.implicit_temporary) continue;
      return temporary_schema();
    }
    const Schema* schema = now().schema(std::string_view(candidate));
    if (schema != nullptr && schema->oid != kPgCatalogSchema && schema->oid != kInformationSchema) {
      return may_create_in(*schema);
    }
  }
  return fail(ErrorCode::kUndefinedSchema, "no schema has been selected to create in");
}

Result<const Schema*> DdlRun::schema_for_creation(const PgQuery__RangeVar& name) {
  BOP_TRY(check_database(pg::text(name.catalogname), pg::text(name.schemaname), pg::text(name.relname)));
  if (pg::text(name.relpersistence) == "t") {
    const std::string_view schema = pg::text(name.schemaname);
    if (schema.empty() || schema == kTemporaryAlias || schema == own_temporary(context_.bind.search_path))
      return temporary_schema();
    return fail(ErrorCode::kInvalidTableDefinition, "{}",
                is_temporary_schema(schema) ? "cannot create relations in temporary schemas of other sessions"
                                            : "cannot create temporary relation in non-temporary schema");
  }
  return schema_for_creation(pg::text(name.schemaname));
}

Status DdlRun::check_database(std::string_view database, std::string_view schema,
                              std::string_view name) const {
  if (database.empty() || database == context_.bind.database) return {};
  return fail(ErrorCode::kNotImplemented, "cross-database references are not implemented: \"{}.{}.{}\"",
              database, schema, name);
}

Result<std::string> DdlRun::collation_of(const PgQuery__CollateClause* clause, Oid type) const {
  if (clause == nullptr) return std::string();
  return collation_of(BOP_PG_LIST(clause, collname), type, clause->location);
}

Result<std::string> DdlRun::collation_of(pg::NodeList name, Oid type, int location) const {
  if (name.empty()) return std::string();
  const Oid element = element_of(type) != 0 ? element_of(type) : type;
  const TypeInfo* info = find_type(element);
  if (info == nullptr || info->category != 'S') {
    return std::unexpected(
        error(ErrorCode::kDatatypeMismatch, "collations are not supported by type {}", format_type(type, -1))
            .at(position(location)));
  }
  const std::string collation(pg::last_name(name));
  const bool builtin = name.size() == 1 || pg::string_of(name[name.size() - 2]) == "pg_catalog";
  if (!builtin ||
      (collation != "C" && collation != "POSIX" && collation != "default" && collation != "ucs_basic")) {
    return fail(ErrorCode::kNotImplemented, "collation \"{}\" is not implemented; only \"C\" is", collation);
  }
  return collation;
}

const Identity& DdlRun::who() const {
  static const Identity kEverything;
  return context_.bind.who ? *context_.bind.who : kEverything;
}

Status DdlRun::must_own(Oid owner, std::string_view what) const {
  if (who().has_rights_of(owner)) return {};
  return fail(ErrorCode::kInsufficientPrivilege, "must be owner of {}", what);
}

Status DdlRun::must_own(const Catalog::Named& object) const {
  if (const auto relation = now().relation(object.oid)) {
    return must_own(relation->owner, describe(relation->kind, relation->name));
  }
  if (const auto index = now().index(object.oid)) return must_own(index->owner, describe('i', index->name));
  if (const auto sequence = now().sequence(object.oid)) {
    return must_own(sequence->owner, describe('S', sequence->name));
  }
  return {};
}

Oid DdlRun::schema_of(const Catalog::Named& object) const {
  if (const auto relation = now().relation(object.oid)) return relation->schema;
  if (const auto index = now().index(object.oid)) return index->schema;
  const auto sequence = now().sequence(object.oid);
  return sequence ? sequence->schema : 0;
}

Result<Catalog::Named> DdlRun::find_relation(const PgQuery__RangeVar& name, bool missing_ok) const {
  const std::string_view schema = pg::text(name.schemaname);
  const std::string_view relation = pg::text(name.relname);
  BOP_TRY(check_database(pg::text(name.catalogname), schema, relation));
  if (!schema.empty() && now().schema(schema) == nullptr && !missing_ok &&
      (schema != kTemporaryAlias || own_temporary(context_.bind.search_path).empty())) {
    return std::unexpected(error(ErrorCode::kUndefinedSchema, "schema \"{}\" does not exist", schema));
  }
  BOP_TRY(may_look_in(schema));
  const Catalog::Named found = now().find(context_.bind.search_path, schema, relation);
  if (!found && !missing_ok) {
    const std::string shown = schema.empty() ? std::string(relation) : fmt::format("{}.{}", schema, relation);
    return fail(ErrorCode::kUndefinedTable, "relation \"{}\" does not exist", shown);
  }
  return found;
}

Result<Catalog::Named> DdlRun::find_altered(const PgQuery__RangeVar& name, bool missing_ok,
                                            PgQuery__ObjectType type) const {
  BOP_LET(found, find_relation(name, missing_ok));
  if (!found) {
    notice(error(ErrorCode::kUndefinedTable, "relation \"{}\" does not exist, skipping",
                 pg::text(name.relname)));
    return found;
  }
  if (const auto relation = now().relation(found.oid); relation && relation->is_virtual()) {
    return fail(ErrorCode::kInsufficientPrivilege, "permission denied: \"{}\" is a system catalog",
                relation->name);
  }
  BOP_TRY(check_kind(found, type, pg::text(name.relname)));
  return found;
}

Status DdlRun::check_kind(const Catalog::Named& found, PgQuery__ObjectType type,
                          std::string_view name) const {
  struct Kind {
    PgQuery__ObjectType type;
    char kind;
    std::string_view words;
  };
  // ALTER TABLE is allowed to mean any of them.
  constexpr Kind kKinds[] = {{PG_QUERY__OBJECT_TYPE__OBJECT_VIEW, 'v', "a view"},
                             {PG_QUERY__OBJECT_TYPE__OBJECT_SEQUENCE, 'S', "a sequence"},
                             {PG_QUERY__OBJECT_TYPE__OBJECT_INDEX, 'i', "an index"},
                             {PG_QUERY__OBJECT_TYPE__OBJECT_MATVIEW, 'm', "a materialized view"},
                             {PG_QUERY__OBJECT_TYPE__OBJECT_FOREIGN_TABLE, 'f', "a foreign table"},
                             {PG_QUERY__OBJECT_TYPE__OBJECT_TYPE, 'c', "a composite type"}};
  const auto* kind = std::ranges::find(kKinds, type, &Kind::type);
  if (kind == std::end(kKinds) || kind->kind == found.kind) return {};
  return fail(ErrorCode::kWrongObjectType, "\"{}\" is not {}", name, kind->words);
}

Result<Catalog::Named> DdlRun::find_qualified(pg::NodeList names, std::string& schema,
                                              std::string& name) const {
  if (names.size() > 3)
    return fail(ErrorCode::kSyntaxError, "improper qualified name (too many dotted names)");
  name = std::string(pg::last_name(names));
  schema = names.size() > 1 ? std::string(pg::string_of(names[names.size() - 2])) : std::string();
  if (names.size() > 2) BOP_TRY(check_database(pg::string_of(names[0]), schema, name));
  BOP_TRY(may_look_in(schema));
  return now().find(context_.bind.search_path, schema, name);
}

Result<Relation> DdlRun::table_to_change(const PgQuery__RangeVar& name, std::string_view doing) const {
  BOP_LET(found, find_relation(name));
  const auto relation = now().relation(found.oid);
  if (!relation || relation->kind != 'r') {
    return std::unexpected(error(ErrorCode::kWrongObjectType,
                                 "{} action cannot be performed on relation \"{}\"", doing, name.relname)
                               .detail(found.kind == 'v'
                                           ? "This operation is not supported for views."
                                           : "This operation is not supported for this kind of relation."));
  }
  if (relation->is_virtual()) {
    return fail(ErrorCode::kInsufficientPrivilege, "permission denied: \"{}\" is a system catalog",
                relation->name);
  }
  BOP_TRY(must_own(found));
  return *relation;
}

std::string DdlRun::free_name(Oid schema, std::string_view first, std::string_view second,
                              std::string_view suffix, const Relation* constraints_of) const {
  for (int number = 0;; ++number) {
    const std::string label = number == 0 ? std::string(suffix) : fmt::format("{}{}", suffix, number);
    std::string name = object_name(first, second, label);
    if (now().find(schema, name)) continue;
    if (constraints_of != nullptr && constraints_of->find_constraint(name) != nullptr) continue;
    return name;
  }
}

std::string DdlRun::describe(char kind, const std::string& name) const {
  switch (kind) {
    case 'r': return "table " + name;
    case 'v': return "view " + name;
    case 'i': return "index " + name;
    case 'S': return "sequence " + name;
    case 'n': return "schema " + name;
    default: return name;
  }
}

std::string DdlRun::description(Oid object) const {
  const auto named = [&](char kind, Oid schema, const std::string& name) {
    const bool visible = now().find(context_.bind.search_path, {}, name).oid == object;
    return describe(kind,
                    visible ? quote_name(name)
                            : fmt::format("{}.{}", quote_name(now().schema(schema)->name), quote_name(name)));
  };
  if (const auto relation = now().relation(object))
    return named(relation->kind, relation->schema, relation->name);
  if (const auto index = now().index(object)) return named('i', index->schema, index->name);
  if (const auto sequence = now().sequence(object)) return named('S', sequence->schema, sequence->name);
  if (const Schema* schema = now().schema(object)) return describe('n', schema->name);
  if (const auto function = now().function(object)) {
    const auto visible = now().find_functions(context_.bind.search_path, {}, function->name);
    const bool seen = std::ranges::find(visible, function) != visible.end();
    return fmt::format("{} {}{}", function->kind == 'p' ? "procedure" : "function",
                       seen ? "" : quote_name(now().schema(function->schema)->name) + ".",
                       signature_text(*function));
  }
  if (const auto type = now().type(object)) {
    const bool visible = now().find_type(context_.bind.search_path, {}, type->name) == object;
    const std::string name = quote_name(type->name);
    return "type " +
           (visible ? name : fmt::format("{}.{}", quote_name(now().schema(type->schema)->name), name));
  }
  return {};
}

Error DdlRun::about(const Relation& table, Error what) const {
  if (const Schema* schema = now().schema(table.schema); schema != nullptr) what.mut().schema = schema->name;
  what.mut().table = table.name;
  return what;
}

Error DdlRun::without_position(Error what) {
  what.mut().position = 0;
  return what;
}

Error DdlRun::in_expression(Error what) const {
  const bool alters = statement_->node->node_case == PG_QUERY__NODE__NODE_ALTER_TABLE_STMT;
  return alters ? without_position(std::move(what)) : what;
}

Status DdlRun::check_name_free(Oid schema, std::string_view name) const {
  if (now().find(schema, name))
    return fail(ErrorCode::kDuplicateTable, "relation \"{}\" already exists", name);
  return {};
}

Result<Oid> DdlRun::role_oid(const PgQuery__RoleSpec& role) const {
  switch (role.roletype) {
    case PG_QUERY__ROLE_SPEC_TYPE__ROLESPEC_SESSION_USER: return context_.session_user;
    case PG_QUERY__ROLE_SPEC_TYPE__ROLESPEC_CURRENT_USER:
    case PG_QUERY__ROLE_SPEC_TYPE__ROLESPEC_CURRENT_ROLE: return context_.user;
    case PG_QUERY__ROLE_SPEC_TYPE__ROLESPEC_PUBLIC:
      return fail(ErrorCode::kUndefinedObject, "role \"public\" does not exist");
    default: break;
  }
  if (!context_.role) return context_.user;
  return context_.role(std::string(pg::text(role.rolename)));
}

}  // namespace bop::sql
