#include "database/database.hpp"

#include <utility>

namespace bop::database {

Database::Database(DatabaseId id, std::string name, raft::Group& group, OutputGate& gate, Clock& clock)
    : id_(id),
      name_(std::move(name)),
      gate_(gate),
      clock_(clock),
      port_(group, id),
      lane_(clock),
      sequences_([this](std::span<const std::byte> payload, const aof::FlushPolicy& flush) {
        return port_.append(RecordKind::kSequence, payload, flush);
      }),
      attachments_(gate) {}

std::string Database::name() const {
  std::lock_guard lock(name_mutex_);
  return name_;
}

void Database::rename(std::string name) {
  std::lock_guard lock(name_mutex_);
  name_ = std::move(name);
}

}  // namespace bop::database
