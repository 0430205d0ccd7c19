// One database: a state machine ordered by its group's log, with its writer lane, its table engine and the
// state that is not pages.
//
// Owned by the DatabaseSet; sessions hold a shared_ptr, so a dropped database stays valid (and answers
// kDatabaseDropped) until the last of them lets go.
// Threads: the parts say for themselves.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "base/error.hpp"
#include "base/ids.hpp"
#include "base/time.hpp"
#include "database/attachments.hpp"
#include "database/commit_port.hpp"
#include "database/output_gate.hpp"
#include "database/sequences.hpp"
#include "database/table_engine.hpp"
#include "database/writer_lane.hpp"

namespace bop::database {

// The database that lists the others and holds the roles. Its id is fixed, users' databases follow.
inline constexpr DatabaseId kSystemDatabase{1};

class Database {
 public:
  Database(DatabaseId id, std::string name, raft::Group& group, OutputGate& gate, Clock& clock);

  [[nodiscard]] DatabaseId id() const noexcept { return id_; }
  [[nodiscard]] std::string name() const;
  void rename(std::string name);

  [[nodiscard]] Clock& clock() noexcept { return clock_; }
  [[nodiscard]] CommitPort& port() noexcept { return port_; }
  [[nodiscard]] OutputGate& gate() noexcept { return gate_; }
  [[nodiscard]] WriterLane& lane() noexcept { return lane_; }
  [[nodiscard]] Sequences& sequences() noexcept { return sequences_; }
  [[nodiscard]] Attachments& attachments() noexcept { return attachments_; }
  void publish_attachment(Csn csn, Attachments::Object object) {
    attachments_.publish(csn, std::move(object));
  }
  [[nodiscard]] Attachments::Object attachment_at(Csn csn) const { return attachments_.at(csn); }

  // The row store; a static_cast to rowstore::RowStore is right above that layer.
  [[nodiscard]] TableEngine& rows() noexcept { return *rows_; }
  void set_rows(std::unique_ptr<TableEngine> rows) { rows_ = std::move(rows); }

  [[nodiscard]] bool dropped() const noexcept { return dropped_.load(std::memory_order_acquire); }
  void mark_dropped() noexcept { dropped_.store(true, std::memory_order_release); }

 private:
  const DatabaseId id_;
  mutable std::mutex name_mutex_;
  std::string name_;
  OutputGate& gate_;
  Clock& clock_;
  CommitPort port_;
  WriterLane lane_;
  Sequences sequences_;
  Attachments attachments_;
  std::unique_ptr<TableEngine> rows_;
  std::atomic<bool> dropped_{false};
};

}  // namespace bop::database
