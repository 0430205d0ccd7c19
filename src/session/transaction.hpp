// The transaction of one session: its snapshot, its place in the writer lane, its savepoints.
//
// States: inactive -> reading (a reader connection, maybe none between statements) -> writing (the lane and
// the database's one writer connection) -> inactive. Isolation (rule 8): READ COMMITTED takes a fresh
// snapshot for each statement until the first write, then reads the tip; REPEATABLE READ and SERIALIZABLE
// keep their first snapshot and answer 40001 when a write finds the tip elsewhere.
//
// Waiting: `want_reader` and `want_writer` answer true when the connection is there, false when the session
// has to be resumed later: `wake` then runs on the executor and the same call is to be made again.
//
// Gate: `gate()` is the newest state that anything computed in this transaction came from.
//
// Owned by a session, used on its executor only. Destroying it rolls back and leaves the lane.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <bop/flush.hpp>
#include "base/error.hpp"
#include "base/ids.hpp"
#include "base/time.hpp"
#include "database/database.hpp"
#include "rowstore/row_store.hpp"
#include "session/notification.hpp"
#include "session/variables.hpp"
#include "sql/catalog/catalog.hpp"
#include "sql/pending_rows.hpp"
#include "sql/pg_catalog/pg_catalog.hpp"

namespace bop::session {

enum class Isolation : std::uint8_t { kReadCommitted, kRepeatableRead, kSerializable };

class Transaction {
 public:
  struct Hooks {
    std::function<void()> wake;  // on the executor
    std::function<void(rowstore::Connection&)>
        connected;                       // a connection came: bind the session's context to it
    std::function<void()> large;         // the transaction will take long to log
    std::function<void(Error)> evicted;  // the lane ended this transaction; already rolled back
    std::function<database::LaneRequest()>
        lane_request;  // session, description, lock_timeout (evict is ours)
    std::function<std::shared_ptr<const sql::Catalog>()> empty_catalog;  // before the first DDL
  };
  Transaction(std::shared_ptr<database::Database> database, Executor& executor, Hooks hooks);
  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  void begin(Isolation isolation, bool read_only);
  [[nodiscard]] bool active() const noexcept { return active_; }
  [[nodiscard]] Isolation isolation() const noexcept { return isolation_; }
  [[nodiscard]] bool read_only() const noexcept { return read_only_; }
  void set_isolation(Isolation isolation) { isolation_ = isolation; }
  void set_read_only(bool read_only) { read_only_ = read_only; }
  // Whether any statement has taken a snapshot (SET TRANSACTION ISOLATION must come before).
  [[nodiscard]] bool has_snapshot() const noexcept { return first_snapshot_.has_value() || writing(); }

  [[nodiscard]] Result<bool> want_reader();
  // `nowait`: 55P03 at once when another transaction has the lane.
  [[nodiscard]] Result<bool> want_writer(bool nowait = false);
  [[nodiscard]] bool writing() const noexcept { return writer_ != nullptr; }
  // A call of want_reader or want_writer has answered false.
  [[nodiscard]] bool waits() const noexcept { return lane_wait_ || log_wait_ || reader_wait_; }
  // For pg_stat_activity.
  [[nodiscard]] sql::WaitEvent waits_for() const noexcept;
  // The connection that statements run on: the writer once there is one.
  [[nodiscard]] rowstore::Connection& connection() const;
  // READ COMMITTED: lets go of the snapshot and the reader, unless `keep` (open portals).
  void end_statement(bool keep);
  void set_idle(bool idle);  // the session waits for its client

  // The catalog of the current state: own uncommitted DDL, else the snapshot's, else the newest. What is
  // found in it, or not, counts as read: the gate rises to its commit.
  [[nodiscard]] std::shared_ptr<const sql::Catalog> catalog() const;
  void set_catalog(std::shared_ptr<const sql::Catalog> next) { own_catalog_ = std::move(next); }
  void sequence_dropped(Oid sequence) { dropped_sequences_.push_back(sequence); }
  void table_changed(Oid table) { changed_tables_.insert(table); }
  [[nodiscard]] const std::set<Oid>& changed_tables() const { return changed_tables_; }

  // What SET CONSTRAINTS has said, and the rows that wait for COMMIT or for being told IMMEDIATE.
  void defer_all(bool deferred) { modes_ = {.all = deferred, .by_oid = {}}; }
  void defer(Oid constraint, bool deferred) { modes_.by_oid[constraint] = deferred; }
  [[nodiscard]] bool is_deferred(const sql::Constraint& constraint) const;
  void add_pending(const sql::PendingRow& row) { pending_.insert(row); }
  [[nodiscard]] const std::set<sql::PendingRow>& pending() const { return pending_; }

  [[nodiscard]] Csn gate() const noexcept { return gate_; }
  void forget_gate() noexcept { gate_ = Csn(); }  // of what was answered before, outside a transaction
  void raise_gate(Csn csn) { gate_ = std::max(gate_, csn); }

  // Savepoints. What the session has to take back with them travels as marks.
  struct Marks {
    Variables::Mark variables = 0;
    std::uint64_t portals = 0;  // number of the newest
    NotifyChanges::Mark notify = {};
    std::size_t advisory_locks = 0;  // that the transaction holds
  };
  [[nodiscard]] Status savepoint(const std::string& name, Marks marks);
  [[nodiscard]] Status release_savepoint(const std::string& name);
  // Of a savepoint that rollback_to can go back to.
  [[nodiscard]] Result<Marks> savepoint_marks(const std::string& name) const;
  [[nodiscard]] Status rollback_to(const std::string& name);
  [[nodiscard]] std::uint64_t newest_savepoint_portals() const { return savepoints_.back().marks.portals; }
  // SQLite has taken everything back with a statement that failed.
  [[nodiscard]] bool is_lost() const { return writer_ != nullptr && writer_->rolled_back_by_itself(); }
  [[nodiscard]] bool has_savepoints() const noexcept { return !savepoints_.empty(); }

  // Ends it. The Csn to gate the answer on. On an error everything is rolled back. `decided` runs when
  // readers see the commit and nobody has written after it.
  [[nodiscard]] Result<Csn> commit(const std::function<void(Csn)>& decided = {},
                                   const aof::FlushPolicy& flush = {});
  void rollback();
  // A statement failed. When no savepoint can be rolled back to, the lane and the snapshot are given up at
  // once; otherwise READ COMMITTED lets go of its reader, unless `keep` (open portals).
  void fail(bool keep);
  // Others wait for the connection that it has borrowed, or for the lane.
  [[nodiscard]] bool holds_up_others() const;
  // Gives up waiting for the lane or a reader (cancel, timeout): the next want_* answers `why`.
  void give_up(const Error& why);

 private:
  struct ConstraintModes {
    std::optional<bool> all;
    std::map<Oid, bool> by_oid;
  };
  struct Savepoint {
    std::string name;
    Marks marks;
    std::shared_ptr<const sql::Catalog> own_catalog;
    std::set<Oid> changed_tables;
    std::size_t dropped_sequences;
    ConstraintModes modes;
  };
  struct LaneWait;
  struct LogWait;
  struct ReaderWait;

  [[nodiscard]] rowstore::RowStore& rows() const;
  [[nodiscard]] Result<bool> want_room_in_log();
  [[nodiscard]] Result<bool> start_writing();
  void wait_for_reader();
  void leave_lane();
  void drop_reader();
  void evict(std::string_view why);
  void forget();

  std::shared_ptr<database::Database> database_;
  Executor& executor_;
  Hooks hooks_;
  bool active_ = false;
  bool lost_ = false;  // SQLite took everything back, what lies behind the savepoints included
  Isolation isolation_ = Isolation::kReadCommitted;
  bool read_only_ = false;

  rowstore::ReaderLease reader_;
  bool reader_kept_ = false;  // portals read from it
  // Of portals of READ COMMITTED, with snapshots that later statements must not see any more.
  std::vector<rowstore::ReaderLease> older_readers_;
  bool reader_idle_ = false;  // their pool was told so
  rowstore::Connection* writer_ = nullptr;
  database::WriterLane::Ticket ticket_ = 0;  // of the lane we hold
  std::shared_ptr<LaneWait> lane_wait_;
  std::shared_ptr<LogWait> log_wait_;
  std::shared_ptr<ReaderWait> reader_wait_;
  std::optional<Csn> first_snapshot_;
  mutable Csn gate_;

  std::shared_ptr<const sql::Catalog> own_catalog_;
  std::vector<Savepoint> savepoints_;
  std::vector<Oid> dropped_sequences_;
  std::set<Oid> changed_tables_;
  ConstraintModes modes_;
  std::set<sql::PendingRow> pending_;  // a rollback to a savepoint leaves what is told in vain
  std::shared_ptr<bool> alive_;
};

}  // namespace bop::session
