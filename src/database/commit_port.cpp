#include "database/commit_port.hpp"

#include "raft/group.hpp"

namespace bop::database {

Result<Lsn> CommitPort::append(RecordKind kind, std::span<const std::span<const std::byte>> payload,
                               const aof::FlushPolicy& flush) {
  aof::RecordInput record;
  record.database = database_;
  record.kind = kind;
  record.payload = payload;
  record.flush = flush;
  return group_.propose(std::span(&record, 1));
}

bool CommitPort::must_wait() const noexcept { return group_.must_wait(); }
std::uint64_t CommitPort::max_batch_bytes() const noexcept { return group_.max_batch_bytes(); }
Status CommitPort::wait_committed(Lsn lsn) { return group_.wait_committed(lsn); }

}  // namespace bop::database
