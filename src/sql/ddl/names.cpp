// Looking names up and making new ones, as PostgreSQL does.
#include <algorithm>

#include "sql/ddl/ddl_run.hpp"

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
  const bool allowed = context_.superuser || schema.owner == context_.user ||
                       (schema.oid == kPublicSchema && context_.owns_database);
  if (allowed) return &schema;
  return fail(ErrorCode::kInsufficientPrivilege, "permission denied for schema {}", schema.name);
}

Result<const Schema*> DdlRun::schema_for_creation(std::string_view name) const {
  if (!name.empty()) {
    const Schema* schema = now().schema(name);
    if (schema == nullptr) return fail(ErrorCode::kUndefinedSchema, "schema \"{}\" does not exist", name);
    if (schema->oid == kPgCatalogSchema || schema->oid == kInformationSchema) {
      return fail(ErrorCode::kInsufficientPrivilege, "permission denied for schema {}", name);
    }
    return may_create_in(*schema);
  }
  for (const std::string& candidate : context_.bind.search_path) {
    const Schema* schema = now().schema(std::string_view(candidate));
    if (schema != nullptr && schema->oid != kPgCatalogSchema && schema->oid != kInformationSchema) {
      return may_create_in(*schema);
    }
  }
  return fail(ErrorCode::kUndefinedSchema, "no schema has been selected to create in");
}

Status DdlRun::must_own(Oid owner, std::string_view what) const {
  if (context_.superuser || owner == context_.user) return {};
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

Result<Catalog::Named> DdlRun::find_relation(const PgQuery__RangeVar& name, bool missing_ok) const {
  const std::string_view schema = pg::text(name.schemaname);
  const std::string_view relation = pg::text(name.relname);
  if (!schema.empty() && now().schema(schema) == nullptr && !missing_ok) {
    return std::unexpected(error(ErrorCode::kUndefinedSchema, "schema \"{}\" does not exist", schema));
  }
  const Catalog::Named found = now().find(context_.bind.search_path, schema, relation);
  if (!found && !missing_ok) {
    const std::string shown = schema.empty() ? std::string(relation) : fmt::format("{}.{}", schema, relation);
    return fail(ErrorCode::kUndefinedTable, "relation \"{}\" does not exist", shown);
  }
  return found;
}

Result<Catalog::Named> DdlRun::find_qualified(pg::NodeList names, std::string& schema,
                                              std::string& name) const {
  if (names.size() > 3)
    return fail(ErrorCode::kSyntaxError, "improper qualified name (too many dotted names)");
  name = std::string(pg::last_name(names));
  schema = names.size() > 1 ? std::string(pg::string_of(names[names.size() - 2])) : std::string();
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

Error DdlRun::about(const Relation& table, Error what) const {
  if (const Schema* schema = now().schema(table.schema); schema != nullptr) what.mut().schema = schema->name;
  what.mut().table = table.name;
  return what;
}

Status DdlRun::check_name_free(Oid schema, std::string_view name) const {
  if (now().find(schema, name))
    return fail(ErrorCode::kDuplicateTable, "relation \"{}\" already exists", name);
  return {};
}

Result<Oid> DdlRun::role_oid(const PgQuery__RoleSpec& role) const {
  switch (role.roletype) {
    case PG_QUERY__ROLE_SPEC_TYPE__ROLESPEC_CURRENT_USER:
    case PG_QUERY__ROLE_SPEC_TYPE__ROLESPEC_SESSION_USER:
    case PG_QUERY__ROLE_SPEC_TYPE__ROLESPEC_CURRENT_ROLE: return context_.user;
    default: break;
  }
  if (!context_.role) return context_.user;
  return context_.role(std::string(pg::text(role.rolename)));
}

}  // namespace bop::sql
