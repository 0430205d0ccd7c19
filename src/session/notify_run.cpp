// LISTEN, UNLISTEN and NOTIFY of one session, and what it hears.
#include "base/metrics.hpp"
#include "session/pg_session.hpp"
#include "sql/tree.hpp"

namespace bop::session {

namespace pg = sql::pg;

Status PgSession::step_notify(const sql::ParsedStatement& statement) {
  ensure_transaction();
  switch (statement.kind) {
    case sql::StatementKind::kListen:
      notify_changes_.listen(std::string(pg::text(statement.node->listen_stmt->conditionname)));
      return {};
    case sql::StatementKind::kUnlisten: {
      const std::string_view channel = pg::text(statement.node->unlisten_stmt->conditionname);
      if (channel.empty()) {
        notify_changes_.unlisten_all();
      } else {
        notify_changes_.unlisten(std::string(channel));
      }
      return {};
    }
    default: {
      const PgQuery__NotifyStmt& said = *statement.node->notify_stmt;
      return notify(pg::text(said.conditionname), pg::text(said.payload));
    }
  }
}

Status PgSession::notify(std::string_view channel, std::string_view payload) {
  return notify_changes_.notify(pid_, channel, payload, node_.notifications().most_bytes());
}

std::vector<std::string> PgSession::listening_channels() const {
  return {listening_.begin(), listening_.end()};
}

double PgSession::notification_queue_usage() const { return node_.notifications().usage(entry_.id); }

// The transaction is decided and still holds what keeps commits in order.
void PgSession::publish_notifications(Csn csn) {
  if (notify_changes_.empty()) return;
  std::set<std::string> listening = notify_changes_.applied_to(listening_);
  if (!mailbox_ && !listening.empty()) {
    mailbox_ = std::make_shared<Mailbox>([this] {
      const std::lock_guard lock(end_mutex_);
      if (notified_) notified_();
    });
  }
  node_.notifications().commit(entry_.id, mailbox_, listening, notify_changes_.notifications(), csn);
  listening_ = std::move(listening);
  notify_changes_.clear();
  own_commit_ = csn;  // its answer waits for the log already
}

void PgSession::when_notified(std::function<void()> wake) {
  const std::lock_guard lock(end_mutex_);
  notified_ = std::move(wake);
}

void PgSession::deliver_notifications(ReplySink& sink) {
  if (!mailbox_) return;
  if (mailbox_->is_overrun()) {
    metrics().listeners_cut_total.add();
    end(Error(ErrorCode::kProgramLimitExceeded,
              "terminating connection because too many notifications wait for it")
            .hint("The limit is the setting notify_queue. A listener hears nothing during a transaction, and "
                  "must read what it is sent."));
    mailbox_->drop_up_to(Csn(UINT64_MAX));
    return;
  }
  if (in_block_ || transaction_.active() || operation_ != Operation::kNone) return;
  const Csn known = std::max(node_.released(), own_commit_);
  while (!sink.full()) {
    const auto item = mailbox_->take(known);
    if (!item) break;
    const Notification& heard = *item->notification;
    if (!listening_.contains(heard.channel)) continue;
    sink.gate(item->commit);
    sink.notification(heard.sender, heard.channel, heard.payload);
  }
  const auto waits_for = mailbox_->first();
  if (!waits_for || *waits_for <= known || awaits_commit_) return;
  awaits_commit_ = true;
  const bool there = node_.when_released(*waits_for, executor_,
                                         [this, alive = alive_, csn = *waits_for](const Status& outcome) {
                                           if (!*alive) return;
                                           awaits_commit_ = false;
                                           if (!outcome) mailbox_->drop_up_to(csn);
                                           const std::lock_guard lock(end_mutex_);
                                           if (notified_) notified_();
                                         });
  if (!there) return;
  awaits_commit_ = false;
  const std::lock_guard lock(end_mutex_);
  if (notified_) notified_();
}

}  // namespace bop::session
