// What all databases of a node share: roles and the list of databases. Rows of the `system` database.
//
// Tables of the system database (SQLite, written through its writer lane, so every change is a record of the
// log):
//   bop_role(oid INTEGER PRIMARY KEY, name TEXT UNIQUE, superuser, inherit, createrole, createdb, login
//   INTEGER 0/1,
//            connection_limit INTEGER (-1 none), valid_until INTEGER NULL (microseconds since 2000-01-01),
//            verifiers TEXT ("method text" lines), settings TEXT (empty), comment TEXT NULL)
//   bop_role_member(role INTEGER, member INTEGER, admin INTEGER 0/1, grantor INTEGER, PRIMARY KEY(role,
//   member)) bop_database(oid INTEGER PRIMARY KEY, id INTEGER UNIQUE, name TEXT UNIQUE, owner INTEGER,
//   template INTEGER,
//                allow_connections INTEGER, connection_limit INTEGER, comment TEXT NULL,
//                acl TEXT NULL (items as sql/catalog/acl.hpp stores them, one a line; NULL: the default))
//   bop_setting(database INTEGER (OID, 0: all), role INTEGER (OID, 0: all), name TEXT, value TEXT,
//               PRIMARY KEY(database, role, name)): what ALTER ROLE and ALTER DATABASE ... SET have said
//   bop_shared(key TEXT PRIMARY KEY, value): "format" = 1, "next_oid", "next_database_id"
// OIDs and database ids are never reused. `grantor`, `acl` and bop_setting came later than the
// rest: `upgrade` adds them.
//
// SharedCatalog is an immutable snapshot of them; the node swaps the pointer after each commit.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/ids.hpp"
#include "session/session.hpp"
#include "sql/catalog/acl.hpp"

struct sqlite3;

namespace bop::session {

inline constexpr Oid kBootstrapRole = 10;  // the role `bop`, as PostgreSQL's bootstrap superuser
inline constexpr Oid kFirstSharedOid = 16384;
inline constexpr std::int64_t kSharedFormat = 1;

struct Role {
  Oid oid = 0;
  std::string name;
  bool superuser = false;
  bool inherit = true;
  bool createrole = false;
  bool createdb = false;
  bool login = false;
  std::int64_t connection_limit = -1;
  std::optional<std::int64_t> valid_until;
  std::vector<Verifier> verifiers;
};

// What a variable begins with in sessions of a role, in a database; 0: of all, in all.
struct Setting {
  Oid database = 0;
  Oid role = 0;
  std::string name;
  std::string value;
};

// One role that is a member of another.
struct Membership {
  Oid role = 0;
  Oid member = 0;
  Oid grantor = kBootstrapRole;
  bool admin = false;  // may give the role to others
};

struct DatabaseEntry {
  Oid oid = 0;
  DatabaseId id;
  std::string name;
  Oid owner = kBootstrapRole;
  sql::ObjectAcl acl = std::nullopt;
  bool is_template = false;
  bool allow_connections = true;
  std::int64_t connection_limit = -1;
};

class SharedCatalog {
 public:
  [[nodiscard]] const Role* role(std::string_view name) const;
  [[nodiscard]] const Role* role(Oid oid) const;
  [[nodiscard]] const DatabaseEntry* database(std::string_view name) const;
  [[nodiscard]] const std::map<std::string, Role, std::less<>>& roles() const { return roles_; }
  [[nodiscard]] const std::map<std::string, DatabaseEntry, std::less<>>& databases() const {
    return databases_;
  }
  [[nodiscard]] const DatabaseEntry* database(Oid oid) const;
  [[nodiscard]] const std::vector<Membership>& memberships() const { return memberships_; }
  // By database and role.
  [[nodiscard]] const std::vector<Setting>& settings() const { return settings_; }
  // Whose rights the role has, and what it may become.
  [[nodiscard]] sql::Identity identity(Oid role) const;
  // May give the role to others and take it from them.
  [[nodiscard]] bool is_admin(const sql::Identity& who, Oid of) const;

  // Creates the tables, the role `bop` and the database `bop` (with id `first`) in an empty system database.
  [[nodiscard]] static Status initialise(sqlite3* system, DatabaseId first, const Verifier& admin);
  // Adds what tables of an older version lack.
  [[nodiscard]] static Status upgrade(sqlite3* system);
  // True if `initialise` has been done.
  [[nodiscard]] static Result<bool> initialised(sqlite3* system);
  [[nodiscard]] static Result<std::shared_ptr<const SharedCatalog>> load(sqlite3* system);

  // Changes, inside a write transaction of the system database.
  [[nodiscard]] static Result<Oid> insert_role(sqlite3* system, Role role);
  [[nodiscard]] static Status update_role(sqlite3* system, const Role& role);  // by oid
  [[nodiscard]] static Status delete_role(sqlite3* system, Oid oid);
  // Makes it, or gives it the option too.
  [[nodiscard]] static Status put_membership(sqlite3* system, const Membership& membership);
  [[nodiscard]] static Status delete_membership(sqlite3* system, const Membership& membership);
  [[nodiscard]] static Result<DatabaseEntry> insert_database(sqlite3* system, DatabaseEntry entry);
  [[nodiscard]] static Status update_database(sqlite3* system, const DatabaseEntry& entry);
  [[nodiscard]] static Status delete_database(sqlite3* system, Oid oid);
  [[nodiscard]] static Status put_setting(sqlite3* system, const Setting& setting);
  // One, or with an empty name all of that database and role.
  [[nodiscard]] static Status delete_setting(sqlite3* system, const Setting& setting);

 private:
  std::map<std::string, Role, std::less<>> roles_;
  std::map<std::string, DatabaseEntry, std::less<>> databases_;
  std::vector<Membership> memberships_;
  std::vector<Setting> settings_;
};

}  // namespace bop::session
