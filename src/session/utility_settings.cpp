// What ALTER ROLE and ALTER DATABASE ... SET keep: with which values of variables sessions begin.
#include "base/log.hpp"
#include "session/pg_session.hpp"
#include "sql/tree.hpp"

namespace bop::session {

namespace pg = sql::pg;

std::vector<sql::ClusterView::StoredSettingRow> PgSession::stored_settings() const {
  std::vector<StoredSettingRow> rows;
  for (const Setting& setting : node_.shared()->settings()) {
    rows.push_back(
        {.database = setting.database, .role = setting.role, .name = setting.name, .value = setting.value});
  }
  return rows;
}

// The nearer they are to this session, the later they are set. One that does not fit any more is left out.
void PgSession::apply_stored_settings() {
  const auto shared = node_.shared();
  const std::pair<Oid, Oid> levels[] = {{0, 0}, {entry_.oid, 0}, {0, role_.oid}, {entry_.oid, role_.oid}};
  for (const auto& [database, role] : levels) {
    for (const Setting& setting : shared->settings()) {
      if (setting.database != database || setting.role != role) continue;
      if (Status set = variables_.set_default(setting.name, setting.value); !set) {
        log_warning("a stored setting was left out",
                    {{"name", setting.name}, {"value", setting.value}, {"why", set.error().what()}});
      }
    }
  }
}

namespace {

Result<const DatabaseEntry*> database_named(const SharedCatalog& shared, std::string_view name) {
  const DatabaseEntry* found = shared.database(name);
  if (found == nullptr) return fail(ErrorCode::kUndefinedDatabase, "database \"{}\" does not exist", name);
  return found;
}

Status must_own(const sql::Identity& who, const DatabaseEntry& database) {
  if (who.has_rights_of(database.owner)) return {};
  return fail(ErrorCode::kInsufficientPrivilege, "must be owner of database {}", database.name);
}

}  // namespace

Result<std::function<Status(sqlite3*)>> PgSession::change_settings(const pg::Node& node) const {
  const auto shared = node_.shared();
  const bool of_role = node.node_case == PG_QUERY__NODE__NODE_ALTER_ROLE_SET_STMT;
  const PgQuery__VariableSetStmt& set =
      of_role ? *node.alter_role_set_stmt->setstmt : *node.alter_database_set_stmt->setstmt;
  Setting setting;
  const std::string_view database =
      pg::text(of_role ? node.alter_role_set_stmt->database : node.alter_database_set_stmt->dbname);
  const DatabaseEntry* in = nullptr;
  if (!database.empty()) {
    BOP_LET(found, database_named(*shared, database));
    in = found;
    setting.database = in->oid;
  }
  if (of_role && node.alter_role_set_stmt->role != nullptr) {
    BOP_LET(role, role_oid(*node.alter_role_set_stmt->role));
    setting.role = role;
    const Role* known = shared->role(role);
    const Role* self = shared->role(who_->role);
    if (known->superuser && !who_->superuser) {
      return fail(ErrorCode::kInsufficientPrivilege, "must be superuser to alter superusers");
    }
    if (!who_->superuser && !self->createrole && role != who_->role) {
      return fail(ErrorCode::kInsufficientPrivilege, "permission denied");
    }
  } else if (in != nullptr) {
    BOP_TRY(must_own(*who_, *in));
  } else if (!who_->superuser) {
    return fail(ErrorCode::kInsufficientPrivilege, "must be superuser to alter settings globally");
  }
  if (set.kind == PG_QUERY__VARIABLE_SET_KIND__VAR_RESET_ALL) {
    return [setting](sqlite3* system) { return SharedCatalog::delete_setting(system, setting); };
  }
  if (set.kind == PG_QUERY__VARIABLE_SET_KIND__VAR_SET_MULTI) {
    return fail(ErrorCode::kNotImplemented, "this form of SET is not implemented");
  }
  const std::string given(pg::text(set.name) == "timezone" ? "TimeZone" : pg::text(set.name));
  const VariableInfo* info = find_variable(given);
  setting.name = info != nullptr ? std::string(info->name) : given;
  if (set.kind == PG_QUERY__VARIABLE_SET_KIND__VAR_RESET ||
      set.kind == PG_QUERY__VARIABLE_SET_KIND__VAR_SET_DEFAULT) {
    return [setting](sqlite3* system) { return SharedCatalog::delete_setting(system, setting); };
  }
  if (set.kind == PG_QUERY__VARIABLE_SET_KIND__VAR_SET_CURRENT) {
    BOP_LET(current, variables_.show(setting.name));
    setting.value = std::move(current);
  } else {
    BOP_LET(value, value_of_set(set));
    setting.value = std::move(value);
  }
  // What SET would say of it.
  Variables trial;
  BOP_TRY(trial.set(setting.name, setting.value, false));
  if (setting.name.starts_with("transaction_") || (info != nullptr && (info->flags & kFixed) != 0)) {
    return fail(ErrorCode::kCantChangeRuntimeParam, "parameter \"{}\" cannot be set", setting.name);
  }
  return [setting](sqlite3* system) { return SharedCatalog::put_setting(system, setting); };
}

}  // namespace bop::session
