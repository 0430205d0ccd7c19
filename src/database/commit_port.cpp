#include "database/commit_port.hpp"

#include "raft/group.hpp"

namespace bop::database {

Result<Lsn> CommitPort::append(RecordKind kind, std::span<const std::span<const std::byte>> payload) {
  aof::RecordInput record;
  record.database = database_;
  record.kind = kind;
  record.payload = payload;
  return group_.propose(std::span(&record, 1));
}

}  // namespace bop::database
