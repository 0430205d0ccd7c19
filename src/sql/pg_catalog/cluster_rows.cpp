// Rows that come from the node: roles, databases, settings, sessions, locks.
#include <algorithm>
#include <set>

#include "sql/pg_catalog/relation_table.hpp"
#include "sql/types/array.hpp"
#include "sql/types/types.hpp"

namespace bop::sql {

namespace {

// "{name=value,...}" of a database and role; empty if there are none.
std::string stored_settings(const ClusterView& cluster, Oid database, Oid role) {
  std::vector<OwnedValue> items;
  for (const auto& setting : cluster.stored_settings()) {
    if (setting.database != database || setting.role != role) continue;
    items.push_back(OwnedValue::of_text(fmt::format("{}={}", setting.name, setting.value)));
  }
  return items.empty() ? std::string() : stored_array(types::kTextArray, Array::of_vector(std::move(items)));
}

void db_role_settings(const CatalogSession& session, RowSet& rows) {
  if (session.cluster == nullptr) return;
  std::set<std::pair<Oid, Oid>> seen;
  for (const auto& setting : session.cluster->stored_settings()) {
    if (!seen.emplace(setting.database, setting.role).second) continue;
    rows.row().set("setdatabase", setting.database).set("setrole", setting.role);
    rows.set("setconfig", stored_settings(*session.cluster, setting.database, setting.role));
  }
}

void role_columns(const CatalogSession& session, RowSet& rows, bool with_password) {
  if (session.cluster == nullptr) return;
  for (const auto& role : session.cluster->roles()) {
    rows.row().set("oid", role.oid).set("rolname", role.name).set("rolsuper", role.superuser);
    rows.set("rolinherit", role.inherit)
        .set("rolcreaterole", role.createrole)
        .set("rolcreatedb", role.createdb);
    rows.set("rolcanlogin", role.login)
        .set("rolreplication", role.superuser)
        .set("rolbypassrls", role.superuser);
    rows.set("rolconnlimit", role.connection_limit);
    if (with_password) {
      rows.set("rolpassword", "********");
      if (const std::string config = stored_settings(*session.cluster, 0, role.oid); !config.empty()) {
        rows.set("rolconfig", config);
      }
    }
    if (role.valid_until) rows.set("rolvaliduntil", *role.valid_until);
  }
}

void roles(const CatalogSession& session, RowSet& rows) { role_columns(session, rows, true); }
// Verifiers are shown to nobody: pg_authid.rolpassword is NULL.
void authids(const CatalogSession& session, RowSet& rows) { role_columns(session, rows, false); }

void users(const CatalogSession& session, RowSet& rows) {
  if (session.cluster == nullptr) return;
  for (const auto& role : session.cluster->roles()) {
    if (!role.login) continue;
    rows.row().set("usename", role.name).set("usesysid", role.oid).set("usecreatedb", role.createdb);
    rows.set("usesuper", role.superuser).set("userepl", role.superuser).set("usebypassrls", role.superuser);
    rows.set("passwd", "********");
  }
}

void members(const CatalogSession& session, RowSet& rows) {
  if (session.cluster == nullptr) return;
  for (const auto& one : session.cluster->members()) {
    rows.row().set("roleid", one.role).set("member", one.member).set("grantor", one.grantor);
    rows.set("admin_option", one.admin);
  }
}

void databases(const CatalogSession& session, RowSet& rows) {
  if (session.cluster == nullptr) return;
  for (const auto& database : session.cluster->databases()) {
    rows.row().set("oid", database.oid).set("datname", database.name).set("datdba", database.owner);
    rows.set("encoding", 6).set("datlocprovider", 'c').set("datistemplate", database.is_template);
    rows.set("datallowconn", database.allow_connections).set("datconnlimit", database.connection_limit);
    rows.set("dattablespace", Oid{1663}).set("datcollate", "C").set("datctype", "C");
    set_acl(session, rows, "datacl", database.acl);
  }
}

void settings(const CatalogSession& session, RowSet& rows) {
  if (session.cluster == nullptr) return;
  for (const auto& setting : session.cluster->settings()) {
    rows.row().set("name", setting.name).set("setting", setting.value).set("category", setting.category);
    if (!setting.unit.empty()) rows.set("unit", setting.unit);
    rows.set("short_desc", setting.meaning).set("context", setting.context).set("vartype", setting.kind);
    rows.set("source", "default").set("boot_val", setting.boot_value).set("reset_val", setting.reset_value);
    if (!setting.minimum.empty()) rows.set("min_val", setting.minimum).set("max_val", setting.maximum);
    rows.set("pending_restart", false);
  }
}

constexpr std::string_view kNotForYou = "<insufficient privilege>";

// Whether the session may know what others of any role do.
bool sees_all(const CatalogSession& session) { return !session.who || session.who->superuser; }

void activity(const CatalogSession& session, RowSet& rows) {
  if (session.cluster == nullptr) return;
  const bool all = sees_all(session);
  for (const auto& one : session.cluster->activity()) {
    rows.row().set("datid", one.database).set("datname", one.database_name).set("pid", std::int64_t{one.pid});
    rows.set("usesysid", one.user)
        .set("usename", one.user_name)
        .set("application_name", one.application_name);
    if (!all && !session.who->has_rights_of(one.user)) {
      rows.set("query", kNotForYou);
      continue;
    }
    rows.set("state", one.state).set("query", one.query).set("backend_type", "client backend");
    const auto time = [&](std::string_view column, std::int64_t value) {
      if (value != 0) rows.set(column, value);
    };
    time("backend_start", one.backend_start);
    time("xact_start", one.transaction_start);
    time("query_start", one.query_start);
    time("state_change", one.state_change);
    if (!one.wait.name.empty()) rows.set("wait_event_type", one.wait.type).set("wait_event", one.wait.name);
  }
}

void encryption(const CatalogSession& session, RowSet& rows) {
  if (session.cluster == nullptr) return;
  const bool all = sees_all(session);
  for (const auto& one : session.cluster->activity()) {
    rows.row().set("pid", std::int64_t{one.pid});
    if (!all && !session.who->has_rights_of(one.user)) continue;
    rows.set("ssl", !one.tls_version.empty());
    if (one.tls_version.empty()) continue;
    rows.set("version", one.tls_version).set("cipher", one.tls_cipher).set("bits", one.tls_bits);
  }
}

void locks(const CatalogSession& session, RowSet& rows) {
  if (session.cluster == nullptr) return;
  const bool all = sees_all(session);
  for (const auto& lock : session.cluster->locks()) {
    const bool shown = all || lock.user_name == session.user_name;
    rows.row()
        .set("database", lock.database)
        .set("pid", std::int64_t{lock.pid})
        .set("usename", lock.user_name);
    rows.set("granted", lock.granted).set("waited_us", lock.waited_us);
    rows.set("query", shown ? std::string_view(lock.query) : kNotForYou);
  }
}

// No session is authenticated by GSSAPI.
void gssapi(const CatalogSession& session, RowSet& rows) {
  if (session.cluster == nullptr) return;
  for (const auto& one : session.cluster->activity()) {
    rows.row().set("pid", std::int64_t{one.pid}).set("gss_authenticated", false).set("encrypted", false);
  }
}

// Advisory locks; what holds a writer lane is in bop_locks.
void advisory_locks(const CatalogSession& session, RowSet& rows) {
  if (session.cluster == nullptr) return;
  for (const auto& lock : session.cluster->advisory_locks()) {
    rows.row().set("locktype", "advisory").set("database", std::int64_t{lock.database});
    rows.set("classid", static_cast<std::int64_t>(lock.key >> 32U))
        .set("objid", static_cast<std::int64_t>(lock.key & 0xffffffffU))
        .set("objsubid", std::int64_t{lock.pair ? 2 : 1})
        .set("pid", std::int64_t{lock.pid});
    rows.set("mode", lock.shared ? "ShareLock" : "ExclusiveLock").set("granted", lock.granted);
    rows.set("fastpath", false);
  }
}

void cursors(const CatalogSession& session, RowSet& rows) {
  if (session.cluster == nullptr) return;
  for (const auto& cursor : session.cluster->cursors()) {
    rows.row().set("name", cursor.name).set("statement", cursor.statement);
    rows.set("is_holdable", cursor.holdable)
        .set("is_binary", cursor.binary)
        .set("is_scrollable", cursor.scrollable)
        .set("creation_time", cursor.created);
  }
}

void prepared_statements(const CatalogSession& session, RowSet& rows) {
  if (session.cluster == nullptr) return;
  for (const auto& one : session.cluster->prepared_statements()) {
    rows.row().set("name", one.name).set("statement", one.statement).set("prepare_time", one.prepared);
    rows.set("parameter_types", fmt::format("{{{}}}", fmt::join(one.parameters, ",")));
    rows.set("from_sql", one.from_sql);
  }
}

}  // namespace

void add_cluster_makers(std::map<std::string_view, MakerInfo>& makers) {
  makers["pg_roles"] = {roles, false};
  makers["pg_authid"] = {authids, false};
  makers["pg_user"] = {users, false};
  makers["pg_db_role_setting"] = {db_role_settings, false};
  makers["pg_auth_members"] = {members, false};
  makers["pg_database"] = {databases, false};
  makers["pg_settings"] = {settings, false};
  makers["pg_stat_activity"] = {activity, false};
  makers["pg_stat_ssl"] = {encryption, false};
  makers["pg_stat_gssapi"] = {gssapi, false};
  makers["bop_locks"] = {locks, false};
  makers["pg_locks"] = {advisory_locks, false};
  makers["pg_cursors"] = {cursors, false};
  makers["pg_prepared_statements"] = {prepared_statements, false};
}

}  // namespace bop::sql
