// pg_catalog and information_schema: relations that every database has, computed from its Catalog.
//
// Each built-in relation is an eponymous virtual table of SQLite that walks the Catalog object of the running
// transaction, so what it shows is what the transaction sees, its own uncommitted DDL included. Rows of
// roles, databases, sessions, locks and settings come from the node through ClusterView.
//
// A connection is prepared once (`register_catalog_tables`) with a slot; the session that borrows the
// connection points the slot to its own CatalogSession before each statement. One thread at a time a
// connection.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "sql/bind.hpp"
#include "sql/catalog/catalog.hpp"
#include "sql/functions/kernels.hpp"

struct sqlite3;

namespace bop::sql {

// What a session waits for, as pg_stat_activity shows it; empty while it runs.
struct WaitEvent {
  std::string_view type, name;
};

// The node's part of the catalog, as of the call. Implemented above; called on the session's thread.
class ClusterView {
 public:
  struct RoleRow {
    Oid oid;
    std::string name;
    bool superuser, inherit, createrole, createdb, login;
    std::int64_t connection_limit;
    std::optional<std::int64_t> valid_until;  // microseconds since 2000-01-01
  };
  struct MemberRow {
    Oid role, member, grantor;
    bool admin;
  };
  struct DatabaseRow {
    Oid oid;
    std::string name;
    Oid owner;
    bool is_template, allow_connections;
    std::int64_t connection_limit;
    std::int64_t size_bytes;
    ObjectAcl acl;
  };
  struct SettingRow {
    std::string name, value, unit, category, meaning, context, kind, minimum, maximum, boot_value,
        reset_value;
    std::vector<std::string> values;
  };
  struct ActivityRow {
    std::int32_t pid;
    Oid database, user;
    std::string database_name, user_name, application_name, client_address, state, query;
    std::int64_t backend_start, transaction_start, query_start, state_change;  // 0 = none; as timestamptz
    WaitEvent wait;
    std::string tls_version, tls_cipher;  // empty: not encrypted
    std::int32_t tls_bits = 0;
  };
  struct StoredSettingRow {  // of ALTER ROLE and ALTER DATABASE
    Oid database, role;
    std::string name, value;
  };
  struct LockRow {  // bop_locks: the writer lanes
    std::string database;
    std::int32_t pid;
    std::string user_name;
    bool granted;
    std::int64_t waited_us;
    std::string query;
  };
  struct AdvisoryRow {
    Oid database;
    bool pair;
    std::uint64_t key;
    std::int32_t pid;
    bool shared, granted;
  };
  struct CursorRow {
    std::string name, statement;
    bool holdable, binary, scrollable;
    std::int64_t created;  // as timestamptz
  };
  struct PreparedRow {
    std::string name, statement;
    std::int64_t prepared;  // as timestamptz
    std::vector<Oid> parameters;
    bool from_sql;
  };
  virtual ~ClusterView() = default;
  [[nodiscard]] virtual std::vector<RoleRow> roles() const = 0;
  [[nodiscard]] virtual std::vector<MemberRow> members() const = 0;
  [[nodiscard]] virtual Identity identity(Oid role) const = 0;
  [[nodiscard]] virtual std::optional<std::string> role_name(Oid role) const = 0;
  [[nodiscard]] virtual std::vector<DatabaseRow> databases() const = 0;
  [[nodiscard]] virtual std::vector<SettingRow> settings() const = 0;
  [[nodiscard]] virtual std::vector<StoredSettingRow> stored_settings() const = 0;
  [[nodiscard]] virtual std::vector<ActivityRow> activity() const = 0;
  [[nodiscard]] virtual std::vector<LockRow> locks() const = 0;
  [[nodiscard]] virtual std::vector<AdvisoryRow> advisory_locks() const = 0;
  // Of this session.
  [[nodiscard]] virtual std::vector<CursorRow> cursors() const = 0;
  [[nodiscard]] virtual std::vector<PreparedRow> prepared_statements() const = 0;
  // Where a sequence stands: the value that nextval handed out last (called), or the next one.
  struct SequencePosition {
    std::int64_t value = 0;
    bool called = false;
  };
  [[nodiscard]] virtual std::optional<SequencePosition> sequence_position(Oid sequence) const = 0;
};

// What a session shows to the built-in relations and functions. The session keeps it up to date.
struct CatalogSession {
  std::shared_ptr<const Catalog> catalog;
  std::vector<std::string> search_path = {"public"};
  Oid database_oid = 0;
  std::string database_name;
  Oid user_oid = kBootstrapRole;
  std::string user_name;
  std::shared_ptr<const Identity> who;  // the same user; null: may do everything
  const ClusterView* cluster = nullptr;
  sqlite3* connection = nullptr;  // of the running statement, for sizes and row counts
  Csn snapshot;                   // of the running statement
  CodecContext codec;
};
struct CatalogSlot {
  const CatalogSession* session = nullptr;
};

// The relations themselves; made once a process.
[[nodiscard]] std::shared_ptr<const BuiltinRelations> builtin_relations();
[[nodiscard]] Status register_catalog_tables(sqlite3* connection, CatalogSlot* slot);

// pg_get_indexdef, pg_table_is_visible, has_table_privilege... and names of reg* types; over the slot's
// session.
class CatalogKernels : public CatalogFunctions, public ObjectNames {
 public:
  explicit CatalogKernels(const CatalogSession& session) : session_(session) {}
  [[nodiscard]] Result<OwnedValue> call(std::string_view name, std::span<const Value> args) override;
  [[nodiscard]] Result<Oid> resolve(Oid kind, std::string_view name) const override;
  [[nodiscard]] std::string name_of(Oid kind, Oid object) const override;

 private:
  const CatalogSession& session_;
};

}  // namespace bop::sql
