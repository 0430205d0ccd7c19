#include "session/shared_catalog.hpp"

#include <sqlite3.h>

#include <algorithm>
#include <set>
#include <span>

namespace bop::session {

namespace {

Error sqlite_error(sqlite3* db, std::string_view doing) {
  return error(ErrorCode::kInternal, "system database: {}: {}", doing, sqlite3_errmsg(db));
}

// One prepared statement of the system database; parameters by position.
class Query {
 public:
  static Result<Query> prepare(sqlite3* db, std::string_view sql) {
    sqlite3_stmt* statement = nullptr;
    if (sqlite3_prepare_v2(db, sql.data(), static_cast<int>(sql.size()), &statement, nullptr) != SQLITE_OK) {
      return std::unexpected(sqlite_error(db, sql));
    }
    return Query(db, statement);
  }
  Query(Query&& other) noexcept : db_(other.db_), statement_(std::exchange(other.statement_, nullptr)) {}
  Query& operator=(Query&&) = delete;
  ~Query() { sqlite3_finalize(statement_); }

  Query& bind(std::int64_t value) {
    sqlite3_bind_int64(statement_, ++bound_, value);
    return *this;
  }
  Query& bind(std::string_view value) {
    sqlite3_bind_text(statement_, ++bound_, value.data(), static_cast<int>(value.size()), SQLITE_TRANSIENT);
    return *this;
  }
  Query& bind(const std::optional<std::int64_t>& value) {
    if (value) return bind(*value);
    sqlite3_bind_null(statement_, ++bound_);
    return *this;
  }

  Result<bool> step() {  // true: a row
    const int code = sqlite3_step(statement_);
    if (code == SQLITE_ROW) return true;
    if (code == SQLITE_DONE) return false;
    return std::unexpected(sqlite_error(db_, sqlite3_sql(statement_)));
  }
  Status run() {
    BOP_TRY(step());
    return {};
  }

  [[nodiscard]] std::int64_t integer(int column) const { return sqlite3_column_int64(statement_, column); }
  [[nodiscard]] bool flag(int column) const { return integer(column) != 0; }
  [[nodiscard]] bool null(int column) const { return sqlite3_column_type(statement_, column) == SQLITE_NULL; }
  [[nodiscard]] std::string text(int column) const {
    const auto* bytes = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
    return bytes == nullptr ? std::string() : std::string(bytes, sqlite3_column_bytes(statement_, column));
  }

 private:
  Query(sqlite3* db, sqlite3_stmt* statement) : db_(db), statement_(statement) {}
  sqlite3* db_;
  sqlite3_stmt* statement_;
  int bound_ = 0;
};

// "a b\nc d\n" <-> pairs; the separator stands between the halves of a line.
using Pairs = std::vector<std::pair<std::string, std::string>>;

std::string join_lines(const Pairs& pairs, char separator) {
  std::string out;
  for (const auto& [first, second] : pairs) out += fmt::format("{}{}{}\n", first, separator, second);
  return out;
}

Pairs split_lines(std::string_view text, char separator) {
  Pairs pairs;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    const std::size_t cut = line.find(separator);
    if (cut != line.npos) pairs.emplace_back(line.substr(0, cut), line.substr(cut + 1));
    text = end == text.npos ? std::string_view{} : text.substr(end + 1);
  }
  return pairs;
}

std::string verifier_lines(const Role& role) {
  Pairs pairs;
  for (const Verifier& verifier : role.verifiers) pairs.emplace_back(verifier.method, verifier.text);
  return join_lines(pairs, ' ');
}

Result<std::int64_t> take_number(sqlite3* system, std::string_view key) {
  BOP_LET(query, Query::prepare(
                     system, "UPDATE bop_shared SET value = value + 1 WHERE key = ?1 RETURNING value - 1"));
  BOP_LET(found, query.bind(key).step());
  if (!found) return fail(ErrorCode::kCorrupt, "system database: bop_shared has no row \"{}\"", key);
  const std::int64_t number = query.integer(0);
  BOP_TRY(query.step());
  return number;
}

// A session checks names against its snapshot; here is where two of them cannot both win.
Result<bool> is_taken(sqlite3* system, std::string_view sql, std::string_view name) {
  BOP_LET(query, Query::prepare(system, sql));
  return query.bind(name).step();
}

constexpr std::string_view kTables = R"sql(
CREATE TABLE bop_shared(key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE bop_role(oid INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, superuser INTEGER NOT NULL,
  inherit INTEGER NOT NULL, createrole INTEGER NOT NULL, createdb INTEGER NOT NULL, login INTEGER NOT NULL,
  connection_limit INTEGER NOT NULL, valid_until INTEGER, verifiers TEXT NOT NULL, settings TEXT NOT NULL,
  comment TEXT);
CREATE TABLE bop_role_member(role INTEGER NOT NULL, member INTEGER NOT NULL, admin INTEGER NOT NULL,
  grantor INTEGER NOT NULL DEFAULT 10, PRIMARY KEY(role, member)) WITHOUT ROWID;
CREATE TABLE bop_database(oid INTEGER PRIMARY KEY, id INTEGER NOT NULL UNIQUE, name TEXT NOT NULL UNIQUE,
  owner INTEGER NOT NULL, template INTEGER NOT NULL, allow_connections INTEGER NOT NULL,
  connection_limit INTEGER NOT NULL, comment TEXT, acl TEXT);
)sql";
constexpr std::string_view kSettingTable =
    "CREATE TABLE IF NOT EXISTS bop_setting(database INTEGER NOT NULL, role INTEGER NOT NULL, name TEXT NOT NULL, "
    "value TEXT NOT NULL, PRIMARY KEY(database, role, name)) WITHOUT ROWID";

Status make_setting_table(sqlite3* system) {
  if (sqlite3_exec(system, std::string(kSettingTable).c_str(), nullptr, nullptr, nullptr) == SQLITE_OK)
    return {};
  return std::unexpected(sqlite_error(system, kSettingTable));
}

Status put_role(sqlite3* system, const Role& role) {
  BOP_LET(query, Query::prepare(
                     system,
                     "INSERT INTO bop_role(oid, name, superuser, inherit, createrole, createdb, login, "
                     "connection_limit, valid_until, verifiers, settings) "
                     "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) "
                     "ON CONFLICT(oid) DO UPDATE SET name = excluded.name, superuser = excluded.superuser, "
                     "inherit = excluded.inherit, createrole = excluded.createrole, "
                     "createdb = excluded.createdb, login = excluded.login, "
                     "connection_limit = excluded.connection_limit, valid_until = excluded.valid_until, "
                     "verifiers = excluded.verifiers, settings = excluded.settings"));
  query.bind(role.oid).bind(role.name).bind(std::int64_t{role.superuser}).bind(std::int64_t{role.inherit});
  query.bind(std::int64_t{role.createrole}).bind(std::int64_t{role.createdb}).bind(std::int64_t{role.login});
  query.bind(role.connection_limit).bind(role.valid_until).bind(verifier_lines(role));
  return query.bind(std::string_view("")).run();
}

std::string acl_lines(const sql::Acl& acl) {
  std::string out;
  for (const sql::AclItem& item : acl) out += sql::stored_item(item) + "\n";
  return out;
}

sql::Acl split_acl(std::string_view text) {
  sql::Acl acl;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    if (const auto item = sql::item_from_stored(text.substr(0, end))) acl.push_back(*item);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return acl;
}

Status put_database(sqlite3* system, const DatabaseEntry& entry) {
  BOP_LET(query,
          Query::prepare(system,
                         "INSERT INTO bop_database(oid, id, name, owner, template, allow_connections, "
                         "connection_limit, acl) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) "
                         "ON CONFLICT(oid) DO UPDATE SET name = excluded.name, owner = excluded.owner, "
                         "template = excluded.template, allow_connections = excluded.allow_connections, "
                         "connection_limit = excluded.connection_limit, acl = excluded.acl"));
  query.bind(entry.oid).bind(entry.id.value).bind(entry.name).bind(entry.owner);
  query.bind(std::int64_t{entry.is_template}).bind(std::int64_t{entry.allow_connections});
  query.bind(entry.connection_limit);
  if (!entry.acl) return query.run();
  return query.bind(acl_lines(*entry.acl)).run();
}

}  // namespace

const Role* SharedCatalog::role(std::string_view name) const {
  const auto found = roles_.find(name);
  return found == roles_.end() ? nullptr : &found->second;
}

const Role* SharedCatalog::role(Oid oid) const {
  for (const auto& [name, role] : roles_) {
    if (role.oid == oid) return &role;
  }
  return nullptr;
}

const DatabaseEntry* SharedCatalog::database(std::string_view name) const {
  const auto found = databases_.find(name);
  return found == databases_.end() ? nullptr : &found->second;
}

const DatabaseEntry* SharedCatalog::database(Oid oid) const {
  for (const auto& [name, entry] : databases_) {
    if (entry.oid == oid) return &entry;
  }
  return nullptr;
}

sql::Identity SharedCatalog::identity(Oid role) const {
  sql::Identity who{.role = role, .superuser = false, .rights_of = {}, .member_of = {}};
  const Role* known = this->role(role);
  who.superuser = known != nullptr && known->superuser;
  const auto reach = [&](bool inheriting) {
    std::set<Oid> seen;
    std::vector<Oid> open{role};
    while (!open.empty()) {
      const Oid now = open.back();
      open.pop_back();
      if (!seen.insert(now).second) continue;
      const Role* row = this->role(now);
      if (inheriting && (row == nullptr || !row->inherit)) continue;
      for (const Membership& membership : memberships_) {
        if (membership.member == now) open.push_back(membership.role);
      }
    }
    return std::vector<Oid>(seen.begin(), seen.end());
  };
  who.rights_of = reach(true);
  who.member_of = reach(false);
  return who;
}

bool SharedCatalog::is_admin(const sql::Identity& who, Oid of) const {
  return who.superuser || std::ranges::any_of(memberships_, [&](const Membership& membership) {
           return membership.role == of && membership.admin && who.is_member_of(membership.member);
         });
}

Status SharedCatalog::upgrade(sqlite3* system) {
  struct Column {
    std::string_view table, name, definition;
  };
  for (const Column& column : {Column{"bop_role_member", "grantor", "INTEGER NOT NULL DEFAULT 10"},
                               Column{"bop_database", "acl", "TEXT"}}) {
    BOP_LET(known, Query::prepare(system, "SELECT 1 FROM pragma_table_info(?1) WHERE name = ?2"));
    BOP_LET(there, known.bind(column.table).bind(column.name).step());
    if (there) continue;
    const std::string add =
        fmt::format("ALTER TABLE {} ADD COLUMN {} {}", column.table, column.name, column.definition);
    if (sqlite3_exec(system, add.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) {
      return std::unexpected(sqlite_error(system, add));
    }
  }
  return make_setting_table(system);
}

Result<bool> SharedCatalog::initialised(sqlite3* system) {
  BOP_LET(query, Query::prepare(system, "SELECT 1 FROM sqlite_schema WHERE name = 'bop_shared'"));
  return query.step();
}

Status SharedCatalog::initialise(sqlite3* system, DatabaseId first, const Verifier& admin) {
  if (sqlite3_exec(system, kTables.data(), nullptr, nullptr, nullptr) != SQLITE_OK) {
    return std::unexpected(sqlite_error(system, "creating its tables"));
  }
  BOP_LET(shared, Query::prepare(system,
                                 "INSERT INTO bop_shared(key, value) VALUES('format', ?1), ('next_oid', ?2), "
                                 "('next_database_id', ?3)"));
  BOP_TRY(shared.bind(kSharedFormat).bind(kFirstSharedOid).bind(first.value).run());
  Role bop{.oid = kBootstrapRole,
           .name = "bop",
           .superuser = true,
           .createrole = true,
           .createdb = true,
           .login = true,
           .valid_until = std::nullopt,
           .verifiers = {admin}};
  BOP_TRY(put_role(system, bop));
  BOP_TRY(insert_database(system, DatabaseEntry{.oid = 0, .id = {}, .name = "bop"}));
  return {};
}

Result<std::shared_ptr<const SharedCatalog>> SharedCatalog::load(sqlite3* system) {
  auto catalog = std::make_shared<SharedCatalog>();
  BOP_LET(format, Query::prepare(system, "SELECT value FROM bop_shared WHERE key = 'format'"));
  BOP_LET(known, format.step());
  if (known && format.integer(0) > kSharedFormat) {
    return fail(ErrorCode::kFormatTooNew,
                "the system database has format {}; this program reads up to {}: use a newer bop",
                format.integer(0), kSharedFormat);
  }
  BOP_LET(roles, Query::prepare(
                     system,
                     "SELECT oid, name, superuser, inherit, createrole, createdb, login, connection_limit, "
                     "valid_until, verifiers FROM bop_role"));
  for (;;) {
    BOP_LET(more, roles.step());
    if (!more) break;
    Role role{.oid = static_cast<Oid>(roles.integer(0)),
              .name = roles.text(1),
              .superuser = roles.flag(2),
              .inherit = roles.flag(3),
              .createrole = roles.flag(4),
              .createdb = roles.flag(5),
              .login = roles.flag(6),
              .connection_limit = roles.integer(7),
              .valid_until = std::nullopt,
              .verifiers = {}};
    if (!roles.null(8)) role.valid_until = roles.integer(8);
    for (auto& [method, text] : split_lines(roles.text(9), ' ')) role.verifiers.push_back({method, text});
    catalog->roles_.emplace(role.name, std::move(role));
  }
  BOP_LET(databases,
          Query::prepare(system,
                         "SELECT oid, id, name, owner, template, allow_connections, connection_limit, acl "
                         "FROM bop_database"));
  for (;;) {
    BOP_LET(more, databases.step());
    if (!more) break;
    DatabaseEntry entry{.oid = static_cast<Oid>(databases.integer(0)),
                        .id = DatabaseId(static_cast<std::uint32_t>(databases.integer(1))),
                        .name = databases.text(2),
                        .owner = static_cast<Oid>(databases.integer(3)),
                        .is_template = databases.flag(4),
                        .allow_connections = databases.flag(5),
                        .connection_limit = databases.integer(6)};
    if (!databases.null(7)) entry.acl = split_acl(databases.text(7));
    catalog->databases_.emplace(entry.name, std::move(entry));
  }
  BOP_LET(members, Query::prepare(system, "SELECT role, member, grantor, admin FROM bop_role_member"));
  for (;;) {
    BOP_LET(more, members.step());
    if (!more) break;
    catalog->memberships_.push_back({.role = static_cast<Oid>(members.integer(0)),
                                     .member = static_cast<Oid>(members.integer(1)),
                                     .grantor = static_cast<Oid>(members.integer(2)),
                                     .admin = members.flag(3)});
  }
  BOP_LET(settings,
          Query::prepare(system,
                         "SELECT database, role, name, value FROM bop_setting ORDER BY database, role, "
                         "name"));
  for (;;) {
    BOP_LET(more, settings.step());
    if (!more) break;
    catalog->settings_.push_back({.database = static_cast<Oid>(settings.integer(0)),
                                  .role = static_cast<Oid>(settings.integer(1)),
                                  .name = settings.text(2),
                                  .value = settings.text(3)});
  }
  return catalog;
}

Result<Oid> SharedCatalog::insert_role(sqlite3* system, Role role) {
  BOP_LET(taken, is_taken(system, "SELECT 1 FROM bop_role WHERE name = ?1", role.name));
  if (taken) return fail(ErrorCode::kDuplicateObject, "role \"{}\" already exists", role.name);
  BOP_LET(oid, take_number(system, "next_oid"));
  role.oid = static_cast<Oid>(oid);
  BOP_TRY(put_role(system, role));
  return role.oid;
}

Status SharedCatalog::update_role(sqlite3* system, const Role& role) {
  BOP_LET(known, is_taken(system, "SELECT 1 FROM bop_role WHERE name = ?1", role.name));
  if (!known) return fail(ErrorCode::kUndefinedObject, "role \"{}\" does not exist", role.name);
  return put_role(system, role);
}

Status SharedCatalog::delete_role(sqlite3* system, Oid oid) {
  BOP_LET(members, Query::prepare(system, "DELETE FROM bop_role_member WHERE role = ?1 OR member = ?1"));
  BOP_TRY(members.bind(oid).run());
  BOP_LET(settings, Query::prepare(system, "DELETE FROM bop_setting WHERE role = ?1"));
  BOP_TRY(settings.bind(oid).run());
  BOP_LET(query, Query::prepare(system, "DELETE FROM bop_role WHERE oid = ?1"));
  return query.bind(oid).run();
}

Status SharedCatalog::put_membership(sqlite3* system, const Membership& membership) {
  BOP_LET(query, Query::prepare(system,
                                "INSERT INTO bop_role_member(role, member, admin, grantor) "
                                "VALUES(?1, ?2, ?3, ?4) ON CONFLICT(role, member) DO UPDATE SET "
                                "admin = excluded.admin, grantor = excluded.grantor"));
  query.bind(membership.role).bind(membership.member).bind(std::int64_t{membership.admin});
  return query.bind(membership.grantor).run();
}

Status SharedCatalog::delete_membership(sqlite3* system, const Membership& membership) {
  BOP_LET(query, Query::prepare(system, "DELETE FROM bop_role_member WHERE role = ?1 AND member = ?2"));
  return query.bind(membership.role).bind(membership.member).run();
}

Result<DatabaseEntry> SharedCatalog::insert_database(sqlite3* system, DatabaseEntry entry) {
  BOP_LET(taken, is_taken(system, "SELECT 1 FROM bop_database WHERE name = ?1", entry.name));
  if (taken) return fail(ErrorCode::kDuplicateDatabase, "database \"{}\" already exists", entry.name);
  BOP_LET(oid, take_number(system, "next_oid"));
  BOP_LET(id, take_number(system, "next_database_id"));
  entry.oid = static_cast<Oid>(oid);
  entry.id = DatabaseId(static_cast<std::uint32_t>(id));
  BOP_TRY(put_database(system, entry));
  return entry;
}

Status SharedCatalog::update_database(sqlite3* system, const DatabaseEntry& entry) {
  return put_database(system, entry);
}

Status SharedCatalog::delete_database(sqlite3* system, Oid oid) {
  BOP_LET(settings, Query::prepare(system, "DELETE FROM bop_setting WHERE database = ?1"));
  BOP_TRY(settings.bind(oid).run());
  BOP_LET(query, Query::prepare(system, "DELETE FROM bop_database WHERE oid = ?1"));
  return query.bind(oid).run();
}

Status SharedCatalog::put_setting(sqlite3* system, const Setting& setting) {
  BOP_LET(query, Query::prepare(system,
                                "INSERT INTO bop_setting(database, role, name, value) VALUES(?1, ?2, ?3, ?4) "
                                "ON CONFLICT(database, role, name) DO UPDATE SET value = excluded.value"));
  return query.bind(setting.database).bind(setting.role).bind(setting.name).bind(setting.value).run();
}

Status SharedCatalog::delete_setting(sqlite3* system, const Setting& setting) {
  BOP_LET(query,
          Query::prepare(system,
                         "DELETE FROM bop_setting WHERE database = ?1 AND role = ?2 AND (?3 = '' OR name = "
                         "?3)"));
  return query.bind(setting.database).bind(setting.role).bind(setting.name).run();
}

}  // namespace bop::session
