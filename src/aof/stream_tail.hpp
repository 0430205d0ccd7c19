// The reader at the tail of an open stream: takes records from the memory of recent writes, and from the
// files what is older.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "aof/stream_core.hpp"
#include "aof/stream_reader.hpp"

namespace bop::aof {

class TailReader final : public Reader {
 public:
  TailReader(std::shared_ptr<CommitStream::Core> core, Lsn from, std::optional<DatabaseId> database,
             ReadUpTo up_to)
      : core_(std::move(core)), wanted_(from), database_(database), up_to_(up_to), decoder_(core_->keys_) {}

  [[nodiscard]] Result<std::optional<RecordView>> next() override;

 private:
  [[nodiscard]] Result<RecordView> take();

  std::shared_ptr<CommitStream::Core> core_;
  Lsn wanted_;  // of all databases
  std::optional<DatabaseId> database_;
  ReadUpTo up_to_;
  CommitStream::Core::RecentPlace place_;
  std::vector<std::byte> copied_;        // whole records, the first at place_
  std::size_t at_ = 0;                   // in it
  std::unique_ptr<StreamReader> files_;  // while it is behind what is in memory
  PayloadDecoder decoder_;
  std::optional<Error> failed_;
};

}  // namespace bop::aof
