// A group orders the records of the databases that it hosts. Above this interface nobody knows how many nodes
// agree.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>

#include "aof/commit_stream.hpp"
#include "base/error.hpp"
#include "base/ids.hpp"

namespace bop::raft {

// Who leads, as of a moment.
struct Leadership {
  Term term;
  Timeline timeline;
  bool is_leader = false;
  std::uint64_t leader = 0;  // node id; 0 = unknown
};

// Threads: every call from any thread. Callbacks run where the disk's (and later the network's) completions
// run, one at a time, with no lock held.
//
// Meaning: propose() returning an Lsn means "appended here", nothing more. The record is decided when
// committed() reached its Lsn *in the same term*; after a change of term the proposer learns from
// `on_leadership` that everything above committed() may be lost.
class Group {
 public:
  virtual ~Group() = default;

  // Appends an atomic batch as leader. Errors as CommitStream::append, and kCannotConnectNow when not the
  // leader.
  [[nodiscard]] virtual Result<Lsn> propose(std::span<const aof::RecordInput> batch) = 0;
  // True while too much is proposed and not committed: start no new work.
  [[nodiscard]] virtual bool must_wait() const noexcept = 0;
  virtual void on_room(std::move_only_function<void()> callback) = 0;

  [[nodiscard]] virtual Lsn committed() const noexcept = 0;  // agreed; never decreases
  [[nodiscard]] virtual Lsn durable() const noexcept = 0;    // on this node's disk
  [[nodiscard]] virtual Lsn appended() const noexcept = 0;
  [[nodiscard]] virtual Lsn first() const noexcept = 0;  // oldest record that can be read here
  // Newest record of a database that was appended here; 0 = there was never one.
  [[nodiscard]] virtual Lsn newest_of(DatabaseId database) const = 0;
  // Bytes that the log takes here, and whether its disk has no room for more.
  [[nodiscard]] virtual std::uint64_t retained_bytes() const = 0;
  // Of records, since the start.
  [[nodiscard]] virtual std::uint64_t appended_bytes() const = 0;
  [[nodiscard]] virtual bool is_full() const = 0;
  // Somebody waits for this record: what was proposed up to it goes on its way, also what might wait longer
  // (RecordInput::flush).
  virtual void want_committed(Lsn lsn) = 0;
  // Largest batch that propose() takes.
  [[nodiscard]] virtual std::uint64_t max_batch_bytes() const noexcept = 0;
  // `callback(committed())` after each advance.
  virtual void subscribe(std::move_only_function<void(Lsn)> callback) = 0;

  [[nodiscard]] virtual Term term() const noexcept = 0;
  [[nodiscard]] virtual Timeline timeline() const noexcept = 0;
  [[nodiscard]] virtual bool is_leader() const noexcept = 0;
  // Called at every change of term or leader.
  virtual void on_leadership(std::move_only_function<void(const Leadership&)> callback) = 0;

  // Called once when this node can no longer write; reads of committed records go on.
  virtual void on_failure(std::move_only_function<void(const Error&)> callback) = 0;
  [[nodiscard]] virtual std::optional<Error> failure() const = 0;

  // A linearizable read point: calls back with a committed Lsn that a read has to wait for. In a group of one
  // it is committed(), at once and inside the call.
  virtual void read_index(std::move_only_function<void(Result<Lsn>)> callback) = 0;

  // Committed records in order. See CommitStream::read_from.
  [[nodiscard]] virtual Result<std::unique_ptr<aof::Reader>> read_from(
      Lsn from, std::optional<DatabaseId> database) = 0;
  // The caller's bases and snapshots hold everything below: the group may drop it. `is_short`: of room on the
  // disk.
  [[nodiscard]] virtual Status trim(Lsn below, bool is_short) = 0;

  // Waits (driving the disk) until committed() >= lsn; the error that makes it impossible otherwise. For
  // start-up, shutdown and tests.
  [[nodiscard]] virtual Status wait_committed(Lsn lsn) = 0;
  [[nodiscard]] virtual Status close() = 0;
};

}  // namespace bop::raft
