// How a session or its statement ends by others' will: idle for too long in a block, cancel,
// pg_terminate_backend.
#include "session/pg_session.hpp"

namespace bop::session {

PgSession::~PgSession() {
  *alive_ = false;
  end_idle_timer();
  if (timer_) executor_.cancel(*timer_);
  sink_ = nullptr;
  run_.reset();
  executing_.reset();
  portals_.clear();
  transaction_.rollback();
  node_.advisory_locks().forget(backend_pid());
  if (mailbox_) node_.notifications().leave(mailbox_);
  if (has_temporary_) node_.drop_temporary(database_, temporary_name(), executor_);
  node_.leave(*this);  // last: its database may be dropped from here on
}

// idle_in_transaction_session_timeout; outside a block a transaction ends with its message.
void PgSession::begin_idle_timer() {
  end_idle_timer();
  if (!in_block_ || idle_timeout_ms_ <= 0) return;
  idle_timer_ = executor_.post_after(std::chrono::milliseconds(idle_timeout_ms_), [this, alive = alive_] {
    if (!*alive) return;
    idle_timer_.reset();
    if (operation_ == Operation::kNone && in_block_) {
      end(Error(ErrorCode::kIdleInTransactionTimeout,
                "terminating connection due to idle-in-transaction timeout"));
    }
  });
}

void PgSession::end_idle_timer() {
  if (idle_timer_) executor_.cancel(*std::exchange(idle_timer_, std::nullopt));
}

void PgSession::cancel() {
  cancelled_.store(true, std::memory_order_relaxed);
  executor_.post([this, alive = alive_] {
    // A running statement asks `interrupt` itself, maybe on a thread that was handed off.
    if (!*alive || !parked_.load(std::memory_order_acquire)) return;
    give_up(terminated_ ? terminated()
                        : Error(ErrorCode::kCancelled, "canceling statement due to user request"));
  });
}

// Ends what the parked statement waits for. A change of what databases share is short and goes on to its end.
void PgSession::give_up(const Error& why) {
  transaction_.give_up(why);
  Run* run = current_run();
  if (run == nullptr || run->stage != Run::Stage::kWaitShared || run->shared_result ||
      run->statement->kind != sql::StatementKind::kCheckpoint)
    return;
  run->shared_alive.reset();
  run->shared_result = std::unexpected(why);
  sink_->wake();
}

void PgSession::abandon() {
  terminated_.store(true, std::memory_order_relaxed);
  cancel();
}

void PgSession::terminate() {
  terminated_.store(true, std::memory_order_relaxed);
  cancel();
  end(terminated());
}

void PgSession::when_ended(std::function<void(Error)> end) {
  const std::lock_guard lock(end_mutex_);
  end_ = std::move(end);
}

void PgSession::end(Error why) {
  const std::lock_guard lock(end_mutex_);
  if (end_) end_(std::move(why));
}

Error PgSession::terminated() {
  return Error(ErrorCode::kAdminShutdown, "terminating connection due to administrator command");
}

}  // namespace bop::session
