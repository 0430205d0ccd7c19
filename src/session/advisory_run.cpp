// pg_advisory_lock and its like, of a session (advisory_locks.hpp).
#include <thread>

#include "session/pg_session.hpp"

namespace bop::session {

namespace {

constexpr std::int64_t kLookNs = 5'000'000;
constexpr std::int64_t kDeadlockNs = 1'000'000'000;  // deadlock_timeout of PostgreSQL

}  // namespace

// The session that a session waits for at its database's writer lane.
std::int32_t PgSession::lane_holder(std::int32_t waiting) const {
  const std::vector<LockRow> rows = locks();
  const auto waits =
      std::ranges::find_if(rows, [&](const LockRow& row) { return row.pid == waiting && !row.granted; });
  if (waits == rows.end()) return 0;
  const auto holds = std::ranges::find_if(
      rows, [&](const LockRow& row) { return row.granted && row.database == waits->database; });
  return holds == rows.end() ? 0 : holds->pid;
}

Result<bool> PgSession::advisory_lock(const AdvisoryLock& lock) {
  AdvisoryLocks& locks_of_node = node_.advisory_locks();
  const AdvisoryLocks::Request request{
      .owner = backend_pid(),
      .key = {.database = catalog_session_.database_oid, .pair = lock.pair, .key = lock.key},
      .shared = lock.shared,
      .transaction = lock.transaction};
  if (lock.what == AdvisoryLock::What::kUnlock) {
    const bool released = locks_of_node.release(request);
    if (!released) {
      notice(Severity::kWarning, error(ErrorCode::kWarning, "you don't own a lock of type {}",
                                       lock.shared ? "ShareLock" : "ExclusiveLock"));
    }
    return released;
  }
  BOP_LET(taken, locks_of_node.take(request));
  if (taken || lock.what == AdvisoryLock::What::kTry) return taken;
  BOP_TRY(locks_of_node.enter(request));
  struct Leave {
    AdvisoryLocks& locks;
    AdvisoryLocks::Owner owner;
    ~Leave() { locks.leave(owner); }
  } const leave{locks_of_node, request.owner};
  Clock& clock = *node_.options().clock;
  const std::int64_t begin = clock.steady_ns();
  std::int64_t look_for_circles = begin + kDeadlockNs;
  hand_off();
  for (;;) {
    BOP_TRY(check_interrupt());
    BOP_LET(mine, locks_of_node.take(request));
    if (mine) return true;
    const std::int64_t now = clock.steady_ns();
    if (lock_timeout_ms_ > 0 && now - begin >= lock_timeout_ms_ * 1'000'000)
      return fail(ErrorCode::kLockNotAvailable, "canceling statement due to lock timeout");
    if (now >= look_for_circles) {
      if (locks_of_node.circle(request.owner, [this](std::int32_t other) { return lane_holder(other); }))
        return fail(ErrorCode::kDeadlockDetected, "deadlock detected");
      look_for_circles = now + kDeadlockNs;
    }
    std::this_thread::sleep_for(std::chrono::nanoseconds(kLookNs));
  }
}

void PgSession::advisory_unlock_all() { node_.advisory_locks().release_session(backend_pid()); }

std::vector<sql::ClusterView::AdvisoryRow> PgSession::advisory_locks() const {
  std::vector<AdvisoryRow> out;
  for (const AdvisoryLocks::Row& row : node_.advisory_locks().rows()) {
    out.push_back({.database = row.key.database,
                   .pair = row.key.pair,
                   .key = row.key.key,
                   .pid = row.owner,
                   .shared = row.shared,
                   .granted = row.granted});
  }
  return out;
}

void PgSession::end_of_transaction() {
  notify_changes_.clear();
  node_.advisory_locks().release_transaction(backend_pid());
}

}  // namespace bop::session
