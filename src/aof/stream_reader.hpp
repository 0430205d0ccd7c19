// The reader of an open stream: walks its segments up to what is durable.
#pragma once

#include <memory>
#include <optional>

#include "aof/reader.hpp"
#include "aof/segment_walk.hpp"
#include "aof/stream_core.hpp"

namespace bop::aof {

class StreamReader final : public Reader {
 public:
  StreamReader(std::shared_ptr<CommitStream::Core> core, Lsn from, std::optional<DatabaseId> database)
      : core_(std::move(core)), from_(from), database_(database), decoder_(core_->keys_) {}

  [[nodiscard]] Result<std::optional<RecordView>> next() override;

 private:
  [[nodiscard]] Status enter(const CommitStream::Core::ReadPlace& place);
  [[nodiscard]] Error trimmed(Lsn wanted) const;

  std::shared_ptr<CommitStream::Core> core_;
  Lsn from_;
  std::optional<DatabaseId> database_;
  PayloadDecoder decoder_;
  std::shared_ptr<Segment> segment_;
  std::optional<RecordLink> end_;  // the segment's last entry, once a segment follows it
  std::uint64_t limit_ = 0;        // bytes of it that are durable, as far as this reader knows
  std::unique_ptr<File> file_;
  std::optional<SegmentWalk> walk_;
  std::optional<Error> failed_;
};

}  // namespace bop::aof
