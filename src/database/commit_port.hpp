// The way of one database into its group's log.
//
// Contract: `append` copies the payload, gives it the next index and keeps the chain of this database (each
// record names its predecessor of the same database). It returns once the order is decided, which is long
// before the record is durable: answers wait at the output gate. After a failure of the log every append
// fails with its error and nothing of the failed append is in the log. Threads: any.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <span>

#include <bop/flush.hpp>
#include "base/error.hpp"
#include "base/ids.hpp"
#include "database/records.hpp"

namespace bop::raft {
class Group;
}

namespace bop::database {

class CommitPort {
 public:
  CommitPort(raft::Group& group, DatabaseId database) : group_(group), database_(database) {}

  // One record; the payload is the concatenation of the spans. The Lsn of a kRowCommit is its Csn. `flush`:
  // how long it may wait for its durable write while nobody waits for it at the gate.
  [[nodiscard]] Result<Lsn> append(RecordKind kind, std::span<const std::span<const std::byte>> payload,
                                   const aof::FlushPolicy& flush = {});
  [[nodiscard]] Result<Lsn> append(RecordKind kind, std::span<const std::byte> payload,
                                   const aof::FlushPolicy& flush = {}) {
    return append(kind, std::span(&payload, 1), flush);
  }

  // So much is appended and not committed that no new work should begin.
  [[nodiscard]] bool must_wait() const noexcept;
  // Largest payload that append takes, and a little more.
  [[nodiscard]] std::uint64_t max_batch_bytes() const noexcept;
  // Waits for the log, on this thread.
  [[nodiscard]] Status wait_committed(Lsn lsn);

  [[nodiscard]] DatabaseId database() const noexcept { return database_; }
  [[nodiscard]] raft::Group& group() noexcept { return group_; }

 private:
  raft::Group& group_;
  DatabaseId database_;
};

}  // namespace bop::database
