// ALTER DEFAULT PRIVILEGES, and what new objects make of it.
#include <algorithm>

#include "sql/ddl/ddl_run.hpp"

namespace bop::sql {

namespace {

AclKind kind_of_object(char object) {
  return object == 'r' ? AclKind::kTable : object == 'S' ? AclKind::kSequence : AclKind::kSchema;
}

bool same_items(const Acl& a, const Acl& b) {
  return a.size() == b.size() &&
         std::ranges::all_of(a, [&](const AclItem& item) { return std::ranges::find(b, item) != b.end(); });
}

// As PostgreSQL keeps these lists.
Acl sorted(Acl acl) {
  std::ranges::sort(acl, {}, [](const AclItem& item) { return std::pair(item.grantee, item.grantor); });
  return acl;
}

}  // namespace

ObjectAcl DdlRun::initial_acl(Oid role, Oid schema, char object) const {
  const DefaultAcl* everywhere = now().default_acl(role, 0, object);
  const DefaultAcl* here = schema == 0 ? nullptr : now().default_acl(role, schema, object);
  if (everywhere == nullptr && here == nullptr) return std::nullopt;
  const Acl plain = default_acl(kind_of_object(object), role);
  Acl acl = everywhere != nullptr ? everywhere->acl : plain;
  for (const AclItem& more : here != nullptr ? here->acl : Acl()) {
    const auto known = std::ranges::find_if(acl, [&](const AclItem& item) {
      return item.grantee == more.grantee && item.grantor == more.grantor;
    });
    if (known == acl.end()) {
      acl.push_back(more);
    } else {
      known->rights |= more.rights;
      known->options |= more.options;
    }
  }
  return same_items(acl, plain) ? std::nullopt : ObjectAcl(sorted(std::move(acl)));
}

Status DdlRun::alter_default_privileges(const PgQuery__AlterDefaultPrivilegesStmt& alter) {
  const PgQuery__GrantStmt& grant = *alter.action;
  const pg::Node* schemas = nullptr;
  const pg::Node* roles = nullptr;
  for (const pg::Node* node : BOP_PG_LIST(&alter, options)) {
    const PgQuery__DefElem& option = *node->def_elem;
    const pg::Node*& said = pg::text(option.defname) == "schemas" ? schemas : roles;
    if (said != nullptr) {
      return std::unexpected(
          error(ErrorCode::kSyntaxError, "conflicting or redundant options").at(position(option.location)));
    }
    said = option.arg;
  }
  char object = 'r';
  switch (grant.objtype) {
    case PG_QUERY__OBJECT_TYPE__OBJECT_TABLE: break;
    case PG_QUERY__OBJECT_TYPE__OBJECT_SEQUENCE: object = 'S'; break;
    case PG_QUERY__OBJECT_TYPE__OBJECT_SCHEMA: object = 'n'; break;
    default:
      return fail(ErrorCode::kNotImplemented,
                  "default privileges of functions and types are not implemented");
  }
  const RoleOf role = [this](const PgQuery__RoleSpec& spec) { return role_oid(spec); };
  BOP_LET(request, read_grant(grant, all_rights(kind_of_object(object)),
                              object == 'r'   ? "relation"
                              : object == 'S' ? "sequence"
                                              : "schema",
                              role));
  std::vector<Oid> owners;
  if (roles == nullptr) {
    owners.push_back(context_.user);
  } else {
    for (const pg::Node* node : BOP_PG_LIST(roles->list, items)) {
      BOP_LET(owner, role_oid(*node->role_spec));
      if (!who().superuser && !who().is_member_of(owner)) {
        return fail(ErrorCode::kInsufficientPrivilege, "must be member of role \"{}\"",
                    pg::text(node->role_spec->rolename));
      }
      owners.push_back(owner);
    }
  }
  std::vector<Oid> places;
  if (schemas == nullptr) {
    places.push_back(0);
  } else {
    for (const pg::Node* node : BOP_PG_LIST(schemas->list, items)) {
      const Schema* schema = now().schema(pg::string_of(node));
      if (object == 'n') {
        return fail(ErrorCode::kInvalidGrantOperation,
                    "cannot use IN SCHEMA clause when using GRANT/REVOKE ON SCHEMAS");
      }
      if (schema == nullptr) {
        return fail(ErrorCode::kUndefinedSchema, "schema \"{}\" does not exist", pg::string_of(node));
      }
      places.push_back(schema->oid);
    }
  }
  for (const Oid owner : owners) {
    for (const Oid place : places) BOP_TRY(change_default(request, owner, place, object));
  }
  return {};
}

// What says nothing new is forgotten.
Status DdlRun::change_default(const GrantRequest& request, Oid role, Oid schema, char object) {
  const AclKind kind = kind_of_object(object);
  const Acl plain = schema == 0 ? default_acl(kind, role) : Acl();
  const DefaultAcl* known = now().default_acl(role, schema, object);
  BOP_LET(acl, change_acl(known != nullptr ? known->acl : plain,
                          {.grant = request.grant,
                           .option = request.option,
                           .cascade = request.cascade,
                           .rights = request.all ? all_rights(kind) : request.rights,
                           .grantees = request.grantees,
                           .grantor = role,
                           .owner = role},
                          context_.identity));
  if (same_items(acl, plain)) {
    if (known != nullptr) edit_.drop_default_acl(known->oid);
    return {};
  }
  DefaultAcl changed =
      known != nullptr ? *known : DefaultAcl{.role = role, .schema = schema, .object = object};
  if (known == nullptr) changed.oid = edit_.allocate_oid();
  changed.acl = sorted(std::move(acl));
  edit_.put(std::move(changed));
  return {};
}

}  // namespace bop::sql
