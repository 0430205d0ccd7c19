// How a session ends by others' will: idle for too long in a block, or pg_terminate_backend.
#include "session/pg_session.hpp"

namespace bop::session {

// idle_in_transaction_session_timeout; outside a block a transaction ends with its message.
void PgSession::begin_idle_timer() {
  end_idle_timer();
  if (!in_block_ || idle_timeout_ms_ <= 0) return;
  idle_timer_ = executor_.post_after(std::chrono::milliseconds(idle_timeout_ms_), [this, alive = alive_] {
    if (!*alive) return;
    idle_timer_.reset();
    if (operation_ == Operation::kNone && in_block_ && end_) {
      end_(Error(ErrorCode::kIdleInTransactionTimeout,
                 "terminating connection due to idle-in-transaction timeout"));
    }
  });
}

void PgSession::end_idle_timer() {
  if (idle_timer_) executor_.cancel(*std::exchange(idle_timer_, std::nullopt));
}

void PgSession::terminate() {
  terminated_.store(true, std::memory_order_relaxed);
  cancel();
  executor_.post([this, alive = alive_] {
    if (*alive && end_) end_(terminated());
  });
}

Error PgSession::terminated() {
  return Error(ErrorCode::kAdminShutdown, "terminating connection due to administrator command");
}

}  // namespace bop::session
