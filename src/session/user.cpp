// Who the session is, and what it may do: SET ROLE and SET SESSION AUTHORIZATION, the rights of statements.
//
// The user is what the variables `role` and `session_authorization` say, so a rollback takes a SET back like
// any other. Names count for the role that they meant when they were set.
#include "session/pg_session.hpp"
#include "sql/column_rights.hpp"
#include "sql/tree.hpp"

namespace bop::session {

using sql::Rights;
namespace right = sql::right;

Oid PgSession::oid_of_user(const std::string& name) const {
  const auto known = user_oids_.find(name);
  return known == user_oids_.end() ? role_.oid : known->second;
}

void PgSession::refresh_user() {
  const auto version = node_.shared_version();
  const std::string& role = variables_.get("role");
  const std::string& session_user = variables_.get("session_authorization");
  const std::string& user = role == "none" ? session_user : role;
  const bool same = who_ && version == shared_seen_ && session_user == session_user_ && user == user_name_;
  // The name of a role that was made anew means another one, but then the version is another, too.
  if (same && who_->role == oid_of_user(user)) return;
  shared_seen_ = version;
  session_user_ = session_user;
  user_name_ = user;
  who_ = std::make_shared<const sql::Identity>(node_.shared()->identity(oid_of_user(user_name_)));
  catalog_session_.user_oid = who_->role;
  catalog_session_.user_name = user_name_;
  catalog_session_.who = who_;
}

Status PgSession::become(std::string_view role, const Role& who, bool local) {
  user_oids_[who.name] = who.oid;
  BOP_TRY(variables_.set("role", role, local, true));
  BOP_TRY(variables_.set("is_superuser", who.superuser ? "on" : "off", local, true));
  return {};
}

Status PgSession::set_role(std::optional<std::string_view> name, bool local) {
  const auto shared = node_.shared();
  const Oid self = oid_of_user(session_user_);
  if (!name || *name == "none") {
    const Role* role = shared->role(self);
    return become("none", role == nullptr ? role_ : *role, local);
  }
  const Role* role = shared->role(*name);
  if (role == nullptr) return fail(ErrorCode::kInvalidArgument, "role \"{}\" does not exist", *name);
  if (!shared->identity(self).is_member_of(role->oid)) {
    return fail(ErrorCode::kInsufficientPrivilege, "permission denied to set role \"{}\"", *name);
  }
  return become(*name, *role, local);
}

Status PgSession::set_session_authorization(std::optional<std::string_view> name, bool local) {
  const auto shared = node_.shared();
  const std::string wanted(name.value_or(role_.name));
  const Role* role = name ? shared->role(wanted) : &role_;
  if (role == nullptr) return fail(ErrorCode::kInvalidArgument, "role \"{}\" does not exist", wanted);
  if (role->oid != role_.oid && !role_.superuser) {
    return fail(ErrorCode::kInsufficientPrivilege, "permission denied to set session authorization");
  }
  BOP_TRY(variables_.set("session_authorization", wanted, local, true));
  return become("none", *role, local);
}

Result<Oid> PgSession::role_oid(const PgQuery__RoleSpec& role) const {
  switch (role.roletype) {
    case PG_QUERY__ROLE_SPEC_TYPE__ROLESPEC_CURRENT_USER:
    case PG_QUERY__ROLE_SPEC_TYPE__ROLESPEC_CURRENT_ROLE: return who_->role;
    case PG_QUERY__ROLE_SPEC_TYPE__ROLESPEC_SESSION_USER: return oid_of_user(session_user_);
    case PG_QUERY__ROLE_SPEC_TYPE__ROLESPEC_PUBLIC:
      return fail(ErrorCode::kUndefinedObject, "role \"public\" does not exist");
    default: break;
  }
  if (const Role* known = node_.shared()->role(role.rolename)) return known->oid;
  return fail(ErrorCode::kUndefinedObject, "role \"{}\" does not exist", role.rolename);
}

std::vector<std::string> PgSession::usable_path(const sql::Catalog& catalog) const {
  return who_->superuser ? path_ : sql::usable_path(catalog, path_, *who_);
}

bool PgSession::owns_database() const { return who_->has_rights_of(entry_.owner); }

bool PgSession::may_create_schemas() const {
  const auto shared = node_.shared();
  const DatabaseEntry* now = shared->database(entry_.oid);
  const DatabaseEntry& entry = now == nullptr ? entry_ : *now;
  return sql::held(entry.acl, sql::AclKind::kDatabase, entry.owner, *who_, right::kCreate) != 0;
}

bool PgSession::may_create_temporary() const {
  const auto shared = node_.shared();
  const DatabaseEntry* now = shared->database(entry_.oid);
  const DatabaseEntry& entry = now == nullptr ? entry_ : *now;
  return sql::held(entry.acl, sql::AclKind::kDatabase, entry.owner, *who_, right::kTemporary) != 0;
}

Status PgSession::may_look_in(const char* schema) const {
  return schema == nullptr ? Status{} : sql::may_look_in(*catalog(), schema, who_.get());
}

// Before every run of a plan. Views are read with the rights of their owners, superusers' views too.
Status PgSession::check_privileges(const sql::Plan& plan) const {
  for (const sql::RelationUse& use : plan.uses) {
    if (use.role == 0 && who_->superuser) continue;
    const Oid role = use.role == 0 ? who_->role : use.role;
    if (const auto sequence = plan.catalog->sequence(use.relation)) {
      const Rights held = role == who_->role
                              ? sql::held_on(*sequence, *who_, use.rights)
                              : sql::held_on(*sequence, node_.shared()->identity(role), use.rights);
      if (held == 0) return std::unexpected(sql::permission_denied("sequence", sequence->name));
      continue;
    }
    const auto relation = plan.catalog->relation(use.relation);
    if (!relation || (!relation->acl && relation->owner == role)) continue;
    const Rights held = role == who_->role
                            ? sql::held_on(*relation, *who_, use.rights)
                            : sql::held_on(*relation, node_.shared()->identity(role), use.rights);
    const auto missing = static_cast<Rights>(use.rights & ~held);
    if (missing == 0) continue;
    const bool by_columns =
        role == who_->role ? sql::held_on_columns(*relation, *who_, missing, use)
                           : sql::held_on_columns(*relation, node_.shared()->identity(role), missing, use);
    if (!by_columns) return std::unexpected(sql::permission_denied(*relation));
  }
  for (const sql::FunctionUse& use : plan.function_uses) {
    const auto function = plan.catalog->function(use.function);
    if (who_->superuser || !function || sql::held_on(*function, *who_, sql::right::kExecute) != 0) continue;
    return std::unexpected(
        sql::permission_denied(function->kind == 'p' ? "procedure" : "function", function->name));
  }
  return {};
}

Error PgSession::without_rows(const sql::Plan& plan, Error why) const {
  if (!why.fields().schema.empty()) return without_rows(*plan.catalog, std::move(why));
  // It does not say whose row it shows: it may be of any table that is changed.
  Error out = without_rows(*plan.catalog, plan.target, std::move(why));
  for (const Oid table : plan.changed_tables) out = without_rows(*plan.catalog, table, std::move(out));
  return out;
}

// The error names its table, of a foreign key the one that refers; its detail is a row of that or of the
// other.
Error PgSession::without_rows(const sql::Catalog& catalog, Error why) const {
  const ErrorFields& said = why.fields();
  if (said.schema.empty()) return why;
  const auto table = catalog.relation(catalog.find({}, said.schema, said.table).oid);
  if (!table) return why;
  const sql::Constraint* key = table->find_constraint(said.constraint);
  const bool referenced =
      key != nullptr && key->type == 'f' && said.detail.find(" is still referenced ") != std::string::npos;
  return without_rows(catalog, referenced ? key->foreign_table : table->oid, std::move(why));
}

Error PgSession::without_rows(const sql::Catalog& catalog, Oid changed, Error why) const {
  if (who_->superuser || changed == 0 || why.fields().detail.empty()) return why;
  const auto table = catalog.relation(changed);
  if (!table || sql::held_on(*table, *who_, right::kSelect) != 0) return why;
  std::string& detail = why.mut().detail;
  if (why.code() == ErrorCode::kForeignKeyViolation) {
    // "Key (a)=(1) is not present in table ..." without the key.
    const std::size_t key = detail.find(" (");
    const std::size_t rest = detail.rfind(") is ");
    if (key != detail.npos && rest != detail.npos) detail.erase(key, rest + 1 - key);
  } else if (why.code() == ErrorCode::kCheckViolation || why.code() == ErrorCode::kNotNullViolation ||
             why.code() == ErrorCode::kUniqueViolation ||
             why.code() == ErrorCode::kWithCheckOptionViolation) {
    detail.clear();
  }
  return why;
}

Status PgSession::may_use(const sql::Sequence* sequence, Rights any) const {
  if (sequence == nullptr || who_->superuser || sql::held_on(*sequence, *who_, any) != 0) return {};
  return std::unexpected(sql::permission_denied("sequence", sequence->name));
}

// The values of an identity column come with the right to write to its table.
bool PgSession::fills_identity(const sql::Sequence* sequence) const {
  const Run* run = current_run();
  if (sequence == nullptr || run == nullptr) return false;
  const sql::Plan* plan = run->copy_in ? run->copy_in->insert.get() : run->plan.get();
  if (plan != nullptr && plan->inner) plan = plan->inner.get();
  if (plan == nullptr || plan->target == 0 || plan->target != sequence->owned_by_table) return false;
  const auto table = plan->catalog->relation(plan->target);
  const sql::Column* column = table ? table->find_column(sequence->owned_by_column) : nullptr;
  return column != nullptr && column->identity != 0;
}

}  // namespace bop::session
