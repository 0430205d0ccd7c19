// GRANT and REVOKE of roles and on databases: changes of the shared catalog, made over its newest state.
#include <algorithm>

#include "session/pg_session.hpp"
#include "sql/ddl/grant_request.hpp"
#include "sql/tree.hpp"

namespace bop::session {

namespace pg = sql::pg;

namespace {

// Nobody but superusers touches superusers; others need CREATEROLE or to be the role's admin.
Status may_give_role(const SharedCatalog& shared, const sql::Identity& who, const Role& role) {
  const Role* self = shared.role(who.role);
  if (role.superuser) {
    if (who.superuser) return {};
    return fail(ErrorCode::kInsufficientPrivilege, "must be superuser to alter superusers");
  }
  if ((self != nullptr && self->createrole) || shared.is_admin(who, role.oid)) return {};
  return fail(ErrorCode::kInsufficientPrivilege, "must have admin option on role \"{}\"", role.name);
}

// The role as `shared` has it now.
Result<const Role*> still_there(const SharedCatalog& shared, Oid oid) {
  if (const Role* role = shared.role(oid)) return role;
  return fail(ErrorCode::kUndefinedObject, "role with OID {} does not exist", oid);
}

}  // namespace

Status add_members(sqlite3* system, const SharedCatalog& shared, const sql::Identity& who,
                   const MemberChange& change, SharedNotices& notices) {
  BOP_LET(role, still_there(shared, change.role));
  BOP_TRY(may_give_role(shared, who, *role));
  if (change.grantor != who.role && !who.superuser) {
    return fail(ErrorCode::kInsufficientPrivilege, "must be superuser to set grantor");
  }
  for (const Oid oid : change.members) {
    BOP_LET(member, still_there(shared, oid));
    const auto known = std::ranges::find_if(shared.memberships(), [&](const Membership& one) {
      return one.role == role->oid && one.member == oid;
    });
    const bool there = known != shared.memberships().end();
    if (!change.grant) {
      if (!there) {
        notices.emplace_back(true, error(ErrorCode::kWarning, "role \"{}\" is not a member of role \"{}\"",
                                         member->name, role->name));
        continue;
      }
      Membership left = *known;
      left.admin = false;
      BOP_TRY(change.admin ? SharedCatalog::put_membership(system, left)
                           : SharedCatalog::delete_membership(system, left));
      continue;
    }
    const std::vector<Oid> above = shared.identity(role->oid).member_of;
    if (std::ranges::binary_search(above, oid)) {
      return fail(ErrorCode::kInvalidGrantOperation, "role \"{}\" is a member of role \"{}\"", role->name,
                  member->name);
    }
    if (there && (!change.admin || known->admin)) {
      notices.emplace_back(false, error(ErrorCode::kNotice, "role \"{}\" is already a member of role \"{}\"",
                                        member->name, role->name));
      continue;
    }
    BOP_TRY(SharedCatalog::put_membership(
        system, {.role = role->oid, .member = oid, .grantor = change.grantor, .admin = change.admin}));
  }
  return {};
}

Result<std::vector<Oid>> PgSession::role_oids(std::span<PgQuery__Node* const> nodes) const {
  std::vector<Oid> oids;
  for (const pg::Node* node : nodes) {
    BOP_LET(oid, role_oid(*node->role_spec));
    oids.push_back(oid);
  }
  return oids;
}

Result<SharedStep> PgSession::grant_roles(const PgQuery__GrantRoleStmt& grant) const {
  Oid grantor = who_->role;
  if (grant.grantor != nullptr) {
    BOP_LET(said, role_oid(*grant.grantor));
    grantor = said;
  }
  BOP_LET(members, role_oids(BOP_PG_LIST(&grant, grantee_roles)));
  std::vector<MemberChange> changes;
  for (const pg::Node* node : BOP_PG_LIST(&grant, granted_roles)) {
    const PgQuery__AccessPriv& privilege = *node->access_priv;
    const std::string_view name = pg::text(privilege.priv_name);
    if (name.empty() || privilege.n_cols > 0) {
      return fail(ErrorCode::kInvalidGrantOperation, "column names cannot be included in GRANT/REVOKE ROLE");
    }
    const Role* role = node_.shared()->role(name);
    if (role == nullptr) return fail(ErrorCode::kUndefinedObject, "role \"{}\" does not exist", name);
    changes.push_back({.role = role->oid,
                       .members = members,
                       .grant = grant.is_grant != 0,
                       .admin = grant.admin_opt != 0,
                       .grantor = grantor});
  }
  return [changes, user = who_->role](sqlite3* system, SharedNotices& notices) -> Status {
    for (const MemberChange& change : changes) {
      BOP_LET(shared, SharedCatalog::load(system));
      BOP_TRY(add_members(system, *shared, shared->identity(user), change, notices));
    }
    return {};
  };
}

Result<SharedStep> PgSession::grant_on_databases(const PgQuery__GrantStmt& grant) const {
  const sql::RoleOf role = [this](const PgQuery__RoleSpec& spec) { return role_oid(spec); };
  BOP_TRY(sql::check_grantor(grant.grantor, who_->role, role));
  std::vector<Oid> databases;
  for (const pg::Node* node : BOP_PG_LIST(&grant, objects)) {
    const std::string_view name = pg::string_of(node);
    const auto shared = node_.shared();
    const DatabaseEntry* entry = shared->database(name);
    if (entry == nullptr) return fail(ErrorCode::kUndefinedDatabase, "database \"{}\" does not exist", name);
    databases.push_back(entry->oid);
  }
  BOP_LET(request, sql::read_grant(grant, sql::right::kOfDatabase, "database", role));
  return [request, databases, user = who_->role](sqlite3* system, SharedNotices& notices) -> Status {
    BOP_LET(shared, SharedCatalog::load(system));
    for (const Oid oid : databases) {
      const DatabaseEntry* known = shared->database(oid);
      if (known == nullptr) return fail(ErrorCode::kUndefinedDatabase, "database does not exist");
      DatabaseEntry entry = *known;
      BOP_LET(acl, sql::granted(
                       request,
                       {.kind = sql::AclKind::kDatabase,
                        .noun = "database",
                        .name = entry.name,
                        .owner = entry.owner,
                        .acl = entry.acl},
                       shared->identity(user), [&](Oid other) { return shared->identity(other); },
                       [&](const Error& what) { notices.emplace_back(true, what); }));
      entry.acl = std::move(acl);
      BOP_TRY(SharedCatalog::update_database(system, entry));
    }
    return {};
  };
}

}  // namespace bop::session
