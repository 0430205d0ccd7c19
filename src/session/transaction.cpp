#include "session/transaction.hpp"

#include <algorithm>

#include "base/assert.hpp"
#include "base/metrics.hpp"
#include "raft/group.hpp"
#include "sql/plan.hpp"

namespace bop::session {

namespace {
// Of one transaction: the snapshots of so many open cursors differ from the newest; further ones share it.
constexpr std::size_t kMostOlderReaders = 4;
}  // namespace

// Shared with the lane's callback, which may come after the transaction is gone.
struct Transaction::LaneWait {
  database::WriterLane::Ticket ticket = 0;
  bool granted = false;
  bool abandoned = false;
  std::int64_t since_ns = 0;  // when the waiting began; 0: it does not wait, or its end has been counted
  std::optional<Error> error;
};

// Until what is appended now is committed.
struct Transaction::LogWait {
  bool abandoned = false;
  std::optional<Status> outcome;
};

struct Transaction::ReaderWait {
  rowstore::RowStore::ReaderTicket ticket = 0;
  std::optional<Executor::TimerId> timer;  // lock_timeout
  bool abandoned = false;
  std::optional<Result<rowstore::ReaderLease>> lease;
  std::optional<Error> error;
};

Transaction::Transaction(std::shared_ptr<database::Database> database, Executor& executor, Hooks hooks)
    : database_(std::move(database)),
      executor_(executor),
      hooks_(std::move(hooks)),
      alive_(std::make_shared<bool>(true)) {}

Transaction::~Transaction() {
  *alive_ = false;
  rollback();
}

bool Transaction::holds_up_others() const {
  if (writer_ != nullptr) return !database_->lane().snapshot().waiters.empty();
  return reader_ && rows().readers_wanted();
}

rowstore::RowStore& Transaction::rows() const { return static_cast<rowstore::RowStore&>(database_->rows()); }

rowstore::Connection& Transaction::connection() const {
  if (writer_ != nullptr) return *writer_;
  BOP_ASSERT(reader_);
  return *reader_;
}

void Transaction::begin(Isolation isolation, bool read_only) {
  BOP_ASSERT(!active_);
  active_ = true;
  isolation_ = isolation;
  read_only_ = read_only;
}

std::shared_ptr<const sql::Catalog> Transaction::catalog() const {
  if (own_catalog_) return own_catalog_;
  Csn at = rows().tip();
  if (writer_ != nullptr) {
    at = writer_->snapshot();
  } else if (reader_ && reader_->in_transaction()) {
    at = reader_->snapshot();
  }
  auto found = database_->attachments().find(at);
  gate_ = std::max(gate_, found.published);
  auto catalog = std::static_pointer_cast<const sql::Catalog>(std::move(found.object));
  return catalog ? catalog : hooks_.empty_catalog();
}

Result<bool> Transaction::want_reader() {
  BOP_ASSERT(active_);
  if (writer_ != nullptr) return true;
  if (reader_ && reader_kept_ && isolation_ == Isolation::kReadCommitted &&
      older_readers_.size() < kMostOlderReaders && reader_->snapshot() < rows().newest()) {
    // Without waiting: who holds one and waits for another may wait for ever. Then this one serves on.
    BOP_LET(lease, rows().try_borrow_reader());
    if (lease) {
      older_readers_.push_back(std::exchange(reader_, std::move(lease)));
      reader_kept_ = false;
      hooks_.connected(*reader_);
    }
  }
  if (!reader_) {
    if (!reader_wait_) {
      BOP_LET(lease, rows().try_borrow_reader());
      if (lease) {
        reader_ = std::move(lease);
      } else {
        wait_for_reader();
        return false;
      }
    } else {
      if (!reader_wait_->lease && !reader_wait_->error) return false;
      const auto wait = std::exchange(reader_wait_, nullptr);
      wait->abandoned = true;
      if (wait->timer) executor_.cancel(*wait->timer);
      if (wait->error) return std::unexpected(*wait->error);
      if (!*wait->lease) return std::unexpected(wait->lease->error());
      reader_ = std::move(**wait->lease);
    }
    hooks_.connected(*reader_);
  }
  if (!reader_->in_transaction()) {
    BOP_LET(csn, reader_->begin_read());
    if (!first_snapshot_) first_snapshot_ = csn;
    raise_gate(csn);
  }
  return true;
}

// All readers are lent. The wait ends by a reader, by lock_timeout or by give_up.
void Transaction::wait_for_reader() {
  reader_wait_ = std::make_shared<ReaderWait>();
  const database::LaneRequest about = hooks_.lane_request();
  reader_wait_->ticket =
      rows().borrow_reader(executor_, {about.session, about.description},
                           [wait = reader_wait_, wake = hooks_.wake](Result<rowstore::ReaderLease> lent) {
                             // The lease of a wait that nobody waits for any more goes back by itself.
                             if (wait->abandoned || wait->error) return;
                             wait->lease = std::move(lent);
                             wake();
                           });
  if (!about.timeout) return;
  reader_wait_->timer =
      executor_.post_after(*about.timeout, [wait = reader_wait_, database = database_, wake = hooks_.wake] {
        wait->timer.reset();
        if (wait->abandoned || wait->lease || wait->error) return;
        auto& rows = static_cast<rowstore::RowStore&>(database->rows());
        wait->error =
            error(ErrorCode::kLockNotAvailable, "canceling statement due to lock timeout")
                .detail(fmt::format("All {} connections for reading are in use.", rows.max_readers()))
                .hint("Their number is the setting reader_pool.");
        (void)rows.cancel_reader(wait->ticket, *wait->error);
        wake();
      });
}

Result<bool> Transaction::want_writer(bool nowait) {
  BOP_ASSERT(active_);
  if (writer_ != nullptr) return true;
  if (database_->dropped()) {
    return bop::fail(ErrorCode::kDatabaseDropped, "database \"{}\" was dropped", database_->name());
  }
  if (database_->gate().has_failed()) return std::unexpected(*database_->gate().failure());
  if (ticket_ == 0 && !lane_wait_) {
    BOP_LET(room, want_room_in_log());
    if (!room) return false;
  }
  if (ticket_ == 0) {
    if (!lane_wait_) {
      lane_wait_ = std::make_shared<LaneWait>();
      database::LaneRequest request = hooks_.lane_request();
      request.evict = [this, alive = alive_] {
        if (*alive && ticket_ != 0)
          evict("terminating transaction: it was idle while others waited to write");
      };
      auto database = database_;
      const auto entered = database_->lane().enter(
          std::move(request), executor_, [wait = lane_wait_, database, wake = hooks_.wake](Status status) {
            if (wait->abandoned) {
              if (status) database->lane().leave(wait->ticket);
              return;
            }
            if (status) {
              wait->granted = true;
            } else {
              wait->error = status.error();
            }
            wake();
          });
      lane_wait_->ticket = entered.ticket;
      if (!entered.granted && nowait) {
        // Should it be granted after all, the callback gives it back.
        lane_wait_->abandoned = true;
        lane_wait_.reset();
        Error why(ErrorCode::kLockNotAvailable, "another transaction holds the right to write");
        (void)database_->lane().cancel(entered.ticket, why);
        return std::unexpected(std::move(why));
      }
      if (!entered.granted) {
        lane_wait_->since_ns = database_->clock().steady_ns();
        metrics().writer_lane_waiting.add(1);
        return false;
      }
      lane_wait_->granted = true;
    }
    if (lane_wait_->since_ns != 0 && (lane_wait_->error || lane_wait_->granted)) {
      metrics().writer_lane_waiting.add(-1);
      metrics().writer_lane_wait_seconds.record(database_->clock().steady_ns() -
                                                std::exchange(lane_wait_->since_ns, 0));
    }
    if (lane_wait_->error) {
      Error why = *lane_wait_->error;
      lane_wait_.reset();
      return std::unexpected(std::move(why));
    }
    if (!lane_wait_->granted) return false;
    ticket_ = lane_wait_->ticket;
    lane_wait_.reset();
  }
  auto started = start_writing();
  if (!started) leave_lane();
  return started;
}

// False while more than max_unacknowledged bytes wait for the disk: nobody adds to them.
Result<bool> Transaction::want_room_in_log() {
  if (!log_wait_) {
    if (!database_->port().must_wait()) return true;
    log_wait_ = std::make_shared<LogWait>();
    const Csn appended = database_->port().group().appended();
    const bool over =
        database_->gate().when(appended, executor_, [wait = log_wait_, wake = hooks_.wake](Status committed) {
          if (wait->abandoned || wait->outcome) return;
          wait->outcome = std::move(committed);
          wake();
        });
    if (over) log_wait_->outcome.emplace();
  }
  if (!log_wait_->outcome) return false;
  const auto wait = std::exchange(log_wait_, nullptr);
  BOP_TRY(std::move(*wait->outcome));
  return true;
}

// The lane is ours: opens the tip on the writer. False while the log has to catch up before the WAL can
// restart.
Result<bool> Transaction::start_writing() {
  BOP_LET(writer, rows().writer());
  BOP_LET(csn, writer->begin_write());
  if (isolation_ != Isolation::kReadCommitted && first_snapshot_ && *first_snapshot_ != csn) {
    writer->rollback();
    return bop::fail(ErrorCode::kSerializationFailure, "could not serialize access due to concurrent update");
  }
  writer_ = writer;
  writer_->on_large(hooks_.large);
  raise_gate(csn);
  hooks_.connected(*writer_);
  for (std::size_t depth = 0; depth < savepoints_.size(); ++depth) {
    if (Status made = writer_->execute(fmt::format("SAVEPOINT s{}", depth)); !made) {
      writer_->rollback();
      writer_ = nullptr;
      return std::unexpected(made.error());
    }
  }
  return true;
}

void Transaction::end_statement(bool keep) {
  reader_kept_ = keep;
  if (keep) return;
  older_readers_.clear();
  if (!reader_) return;
  if (isolation_ != Isolation::kReadCommitted && active_) return;
  drop_reader();
}

void Transaction::set_idle(bool idle) {
  if (ticket_ != 0) database_->lane().set_idle(ticket_, idle);
  if (reader_idle_ == idle) return;
  const auto tell = [&](rowstore::ReaderLease& reader) {
    if (!idle) return reader.end_idle();
    reader.begin_idle(executor_, [this, alive = alive_] {
      if (*alive && (reader_ || !older_readers_.empty()))
        evict("terminating transaction: it was idle while others waited for a connection to read");
    });
  };
  if (!reader_ && older_readers_.empty()) return;
  reader_idle_ = idle;
  if (reader_) tell(reader_);
  std::ranges::for_each(older_readers_, tell);
}

void Transaction::evict(std::string_view why) {
  // First the session lets go of its statements: the connections are others' from the rollback on.
  hooks_.evicted(Error(ErrorCode::kIdleInTransactionTimeout, std::string(why)));
  rollback();
}

void Transaction::drop_reader() {
  reader_ = {};
  older_readers_.clear();
  reader_kept_ = false;
  reader_idle_ = false;
}

void Transaction::leave_lane() {
  if (ticket_ != 0) database_->lane().leave(std::exchange(ticket_, 0));
}

Status Transaction::savepoint(const std::string& name, Marks marks) {
  if (writer_ != nullptr) BOP_TRY(writer_->execute(fmt::format("SAVEPOINT s{}", savepoints_.size())));
  savepoints_.push_back({name, marks, own_catalog_, changed_tables_, dropped_sequences_.size(), modes_});
  return {};
}

Status Transaction::release_savepoint(const std::string& name) {
  const auto found = std::ranges::find(savepoints_.rbegin(), savepoints_.rend(), name, &Savepoint::name);
  if (found == savepoints_.rend()) {
    return bop::fail(ErrorCode::kInvalidSavepoint, "savepoint \"{}\" does not exist", name);
  }
  const auto depth = static_cast<std::size_t>(savepoints_.rend() - found - 1);
  if (writer_ != nullptr) BOP_TRY(writer_->execute(fmt::format("RELEASE s{}", depth)));
  savepoints_.resize(depth);
  return {};
}

Result<Transaction::Marks> Transaction::savepoint_marks(const std::string& name) const {
  const auto found = std::ranges::find(savepoints_.rbegin(), savepoints_.rend(), name, &Savepoint::name);
  if (found == savepoints_.rend()) {
    return bop::fail(ErrorCode::kInvalidSavepoint, "savepoint \"{}\" does not exist", name);
  }
  if (lost_) {
    return std::unexpected(error(ErrorCode::kInFailedTransaction,
                                 "savepoint \"{}\" is lost: the statement that failed took the whole "
                                 "transaction back",
                                 name)
                               .hint("ROLLBACK ends the transaction."));
  }
  return found->marks;
}

Status Transaction::rollback_to(const std::string& name) {
  const auto found = std::ranges::find(savepoints_.rbegin(), savepoints_.rend(), name, &Savepoint::name);
  if (found == savepoints_.rend()) {
    return bop::fail(ErrorCode::kInvalidSavepoint, "savepoint \"{}\" does not exist", name);
  }
  const auto depth = static_cast<std::size_t>(savepoints_.rend() - found - 1);
  if (writer_ != nullptr) BOP_TRY(writer_->execute(fmt::format("ROLLBACK TO s{}", depth)));
  own_catalog_ = found->own_catalog;
  changed_tables_ = found->changed_tables;
  modes_ = found->modes;
  dropped_sequences_.resize(found->dropped_sequences);
  savepoints_.resize(depth + 1);
  return {};
}

bool Transaction::is_deferred(const sql::Constraint& constraint) const {
  if (!constraint.deferrable) return false;
  const auto own = modes_.by_oid.find(constraint.oid);
  return own != modes_.by_oid.end() ? own->second : modes_.all.value_or(constraint.deferred);
}

Result<Csn> Transaction::commit(const std::function<void(Csn)>& decided, const aof::FlushPolicy& flush) {
  BOP_ASSERT(active_);
  Csn gate = gate_;
  if (writer_ != nullptr) {
    if (!changed_tables_.empty()) {
      const std::vector<Oid> tables(changed_tables_.begin(), changed_tables_.end());
      if (Status held = sql::check_foreign_keys(*catalog(), writer_->handle(), tables, nullptr); !held) {
        rollback();
        return std::unexpected(held.error());
      }
    }
    for (const sql::PendingRow& row : pending_) {
      if (Status held = sql::check_pending_row(*catalog(), writer_->handle(), row); !held) {
        rollback();
        return std::unexpected(held.error());
      }
    }
    if (own_catalog_) {
      writer_->on_commit([database = database_, catalog = own_catalog_](Csn csn) {
        database->publish_attachment(csn, catalog);
      });
    }
    writer_->set_flush(flush);
    auto committed = writer_->commit();
    writer_ = nullptr;
    if (!committed) {
      rollback();
      return std::unexpected(committed.error());
    }
    gate = std::max(gate, *committed);
    metrics().commits_total.add();
    for (const Oid sequence : dropped_sequences_) {
      if (auto dropped = database_->sequences().drop(sequence)) gate = std::max(gate, *dropped);
    }
  }
  if (decided) decided(gate);
  forget();
  return gate;
}

void Transaction::rollback() {
  if (writer_ != nullptr) {
    writer_->rollback();
    writer_ = nullptr;
    metrics().rollbacks_total.add();
  }
  forget();
}

void Transaction::fail(bool keep) {
  lost_ = writer_ != nullptr && writer_->rolled_back_by_itself();
  if (!savepoints_.empty() && !lost_) {
    // What lies behind a savepoint may be wanted again: changes, the snapshot, and portals that read.
    if (writer_ == nullptr) end_statement(keep);
    return;
  }
  if (writer_ != nullptr) {
    writer_->rollback();
    writer_ = nullptr;
    own_catalog_.reset();
    metrics().rollbacks_total.add();
    leave_lane();
  }
  drop_reader();
}

sql::WaitEvent Transaction::waits_for() const noexcept {
  if (lane_wait_) return {"Lock", "writer_lane"};
  if (reader_wait_) return {"Lock", "reader_pool"};
  if (log_wait_) return {"IO", "WALSync"};
  return {};
}

void Transaction::give_up(const Error& why) {
  if (lane_wait_ && !lane_wait_->granted && !lane_wait_->error) {
    // The lane's own callback brings `why`; a grant that is on its way instead is used.
    (void)database_->lane().cancel(lane_wait_->ticket, why);
  }
  if (reader_wait_ && !reader_wait_->lease && !reader_wait_->error) {
    reader_wait_->error = why;
    (void)rows().cancel_reader(reader_wait_->ticket, why);
    hooks_.wake();
  }
  if (log_wait_ && !log_wait_->outcome) {
    log_wait_->outcome.emplace(std::unexpected(why));
    hooks_.wake();
  }
}

void Transaction::forget() {
  if (lane_wait_) {
    lane_wait_->abandoned = true;
    if (std::exchange(lane_wait_->since_ns, 0) != 0) metrics().writer_lane_waiting.add(-1);
    const auto ticket = lane_wait_->ticket;
    if (lane_wait_->granted) {
      database_->lane().leave(ticket);
    } else if (!lane_wait_->error) {
      (void)database_->lane().cancel(ticket, Error(ErrorCode::kCancelled, "the session ended"));
    }
    lane_wait_.reset();
  }
  if (reader_wait_) {
    reader_wait_->abandoned = true;
    if (reader_wait_->timer) executor_.cancel(*reader_wait_->timer);
    (void)rows().cancel_reader(reader_wait_->ticket, Error(ErrorCode::kCancelled, "the session ended"));
    reader_wait_.reset();
  }
  if (log_wait_) {
    log_wait_->abandoned = true;
    log_wait_.reset();
  }
  leave_lane();
  drop_reader();
  own_catalog_.reset();
  savepoints_.clear();
  dropped_sequences_.clear();
  changed_tables_.clear();
  modes_ = {};
  pending_.clear();
  first_snapshot_.reset();
  lost_ = false;
  active_ = false;
}

}  // namespace bop::session
