// The node as sessions see it: its databases, roles, settings and the sessions themselves.
//
// Implements SessionFactory for the wires. Owns nothing of the storage below (server does); owns the shared
// catalog's snapshot and the table of sessions. Threads: all calls from any thread, unless said otherwise.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/time.hpp"
#include "database/database_set.hpp"
#include "executor/engine.hpp"
#include "rowstore/row_store.hpp"
#include "session/advisory_locks.hpp"
#include "session/literal_plans.hpp"
#include "session/notification.hpp"
#include "session/parse_cache.hpp"
#include "session/session.hpp"
#include "session/shared_catalog.hpp"
#include "sql/functions/kernels.hpp"
#include "sql/pg_catalog/pg_catalog.hpp"

namespace bop {
class Disk;
}

namespace bop::session {

class PgSession;

struct NodeOptions {
  Clock* clock = nullptr;
  Random* random = nullptr;
  std::uint32_t max_connections = 10000;
  std::uint32_t superuser_reserved_connections = 3;  // of them
  bool tls = false;                                  // is offered to clients
  std::int64_t lock_timeout_ms = 0;
  std::int64_t statement_timeout_ms = 0;
  std::int64_t writer_idle_ms =
      10'000;                      // a writing transaction idle for longer ends when others wait; 0 never
  Executor* background = nullptr;  // for checkpoints that a client asks for; null: the session's
  std::int64_t statement_budget_ms = 5;  // a statement that runs longer hands its reactor to another thread
  executor::EngineOptions engine;
  Disk* files = nullptr;  // for files that statements read and write below engine.files_directory; null: none
  std::size_t advisory_locks = 65536;  // of all sessions together
  std::size_t advisory_waiters = 16;   // sessions of a database: each one has a connection for reading
  std::size_t notify_queue_bytes = std::size_t{16} << 20;  // notifications that may wait for one listener
  // Verifier of a new password ("SCRAM-SHA-256$..."), of the layer that knows passwords.
  std::function<Result<std::string>(std::string_view password)> make_verifier;
};

// What every connection of a row store carries for the SQL layer (Connection::user_context).
struct ConnectionContext {
  FunctionContext idle;  // of connections that no session holds
  sql::CatalogSlot slot;
};

class Node final : public SessionFactory {
 public:
  // Hooks for RowStoreOptions; before the node exists.
  [[nodiscard]] static Status on_open(rowstore::Connection& connection);
  static void on_close(rowstore::Connection& connection);

  // `databases` is open. Makes the system database's tables and the database `bop` when they are missing,
  // with `admin_password` for the role `bop`; reconciles; loads every catalog. Waits for the log (start-up).
  [[nodiscard]] static Result<std::unique_ptr<Node>> open(NodeOptions options,
                                                          database::DatabaseSet& databases,
                                                          raft::Group& group,
                                                          std::string_view admin_password);
  ~Node() override;

  // SessionFactory
  [[nodiscard]] std::vector<Verifier> verifiers(std::string_view user) const override;
  [[nodiscard]] Result<std::unique_ptr<Session>> connect(const ConnectRequest& request, Executor& executor,
                                                         std::int32_t backend_pid) override;
  [[nodiscard]] Csn released() const override;
  bool when_released(Csn csn, Executor& executor, std::move_only_function<void(Status)> run) override;

  // Applies writer_idle_ms to a database that was opened or created.
  void limit_idle_writers(database::Database& database) const;
  // Refuses new sessions from now on (57P03).
  void stop_accepting();

  [[nodiscard]] std::shared_ptr<const SharedCatalog> shared() const;
  // Another number whenever shared() is another.
  [[nodiscard]] std::uint64_t shared_version() const noexcept {
    return shared_version_.load(std::memory_order_acquire);
  }
  [[nodiscard]] database::DatabaseSet& databases() noexcept { return databases_; }
  [[nodiscard]] const NodeOptions& options() const noexcept { return options_; }
  [[nodiscard]] std::size_t session_count() const;
  [[nodiscard]] ParseCache& parse_cache() noexcept { return parse_cache_; }
  [[nodiscard]] LiteralPlans& literal_plans() noexcept { return literal_plans_; }
  // The second executor, loaded by the first call; the error stays what it was.
  [[nodiscard]] Result<executor::Engine*> engine();
  // None: it was never needed.
  [[nodiscard]] std::optional<executor::Engine::Numbers> engine_numbers();
  // Memory is short: caches that can be made again are given up. False: there was nothing in them.
  bool give_back_memory();
  [[nodiscard]] NotificationHub& notifications() noexcept { return notifications_; }
  [[nodiscard]] const NotificationHub& notifications() const noexcept { return notifications_; }
  [[nodiscard]] AdvisoryLocks& advisory_locks() noexcept { return advisory_locks_; }
  [[nodiscard]] const AdvisoryLocks& advisory_locks() const noexcept { return advisory_locks_; }

  // One change of the system database, with what goes with it outside of that. It goes to its end whatever
  // becomes of the session that asked: nothing in it may hold on to a session.
  struct SharedChange {
    std::function<Status(sqlite3*)> change;   // in a write transaction, as soon as the lane is free
    std::function<void()> committed = [] {};  // it is durable; before shared() shows it
    std::function<void()> undone = [] {};     // it is not, or nobody knows; change may not have run
  };
  // `done` runs on `executor` once `shared()` shows the change, or with the error.
  void change_shared(Executor& executor, SharedChange change, std::move_only_function<void(Status)> done);
  // Drops the temporary schema of a session that ends, as soon as the writer lane of its database is free.
  void drop_temporary(const std::shared_ptr<database::Database>& database, std::string schema,
                      Executor& executor);
  // False: changes of the shared catalog, or such drops, are still under way after `most`.
  [[nodiscard]] bool wait_for_shared_changes(std::chrono::milliseconds most) const;

  // Sessions register themselves: 53300 when there are too many, also of their role or database, 3D000 when
  // their database goes away. A session that left has given back everything that it had of its database.
  [[nodiscard]] Status enter(PgSession& session, const Role& role, const DatabaseEntry& entry);
  void leave(PgSession& session);
  [[nodiscard]] std::vector<sql::ClusterView::ActivityRow> activity() const;
  // The sessions at a glance: how many are in each state, and at most `most` of them: those that run first,
  // then those idle in a transaction, then the others, in each state the longest first.
  struct Overview {
    std::map<std::string, std::size_t> states;
    std::vector<sql::ClusterView::ActivityRow> rows;
    std::size_t sessions = 0;
  };
  [[nodiscard]] Overview overview(std::size_t most) const;
  // From success to end_drop nobody can connect to the database. 55006: sessions use it; 3D000: somebody else
  // drops it.
  [[nodiscard]] Status begin_drop(const DatabaseEntry& entry);
  void end_drop(DatabaseId id);
  // pg_cancel_backend, CancelRequest. False: no such session.
  bool cancel(std::int32_t backend_pid);
  bool terminate(std::int32_t backend_pid);
  struct SessionRole {
    Oid oid = 0;
    bool superuser = false;
  };
  [[nodiscard]] std::optional<SessionRole> role_of(std::int32_t backend_pid) const;

 private:
  Node(NodeOptions options, database::DatabaseSet& databases, raft::Group& group);
  [[nodiscard]] Status start(std::string_view admin_password);
  [[nodiscard]] Status load_catalog(database::Database& database);
  [[nodiscard]] Status drop_left_temporary(database::Database& database);  // start-up
  [[nodiscard]] Status reload_shared();
  void end_shared_change();

  NodeOptions options_;
  database::DatabaseSet& databases_;
  raft::Group& group_;
  std::atomic<bool> accepting_{true};
  ParseCache parse_cache_;
  LiteralPlans literal_plans_;
  std::mutex engine_mutex_;
  std::optional<Result<std::unique_ptr<executor::Engine>>> engine_;
  NotificationHub notifications_;
  AdvisoryLocks advisory_locks_;
  mutable std::mutex mutex_;
  std::shared_ptr<const SharedCatalog> shared_;
  Csn shared_csn_;  // of shared_
  std::atomic<std::uint64_t> shared_version_{0};
  std::map<std::int32_t, PgSession*> sessions_;
  std::set<DatabaseId> dropping_;  // until the DatabaseSet has dropped them
  mutable std::condition_variable shared_changed_;
  std::size_t shared_changes_ = 0;  // under way
};

}  // namespace bop::session
