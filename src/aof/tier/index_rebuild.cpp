#include "aof/tier/index_rebuild.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "aof/segment_walk.hpp"

namespace bop::aof {

namespace {

constexpr std::size_t kWindowBytes = std::size_t{256} << 10U;  // stays in a core's own cache
constexpr std::uint64_t kProgressBytes = std::uint64_t{4} << 20U;

// The file must hold the segment that the facts are of.
Result<SegmentHeader> read_header(File& file, const SegmentFacts& facts) {
  std::array<std::byte, kSegmentHeaderBytes> block{};
  BOP_LET(got, file.read_at(ByteOffset(0), block));
  SegmentHeader header;
  if (got != block.size() || decode_segment_header(block, header) != HeaderState::kValid) {
    return fail(ErrorCode::kCorrupt, "{}: the segment's header (byte 0) is damaged", file.path());
  }
  if (SegmentId{header.number, header.seed} != facts.id || header.base != facts.base ||
      header.previous != facts.previous) {
    return fail(ErrorCode::kCorrupt, "{}: holds another segment than number {} that begins at LSN {}",
                file.path(), facts.id.number, facts.base.value);
  }
  return header;
}

}  // namespace

IndexRebuild::IndexRebuild(Disk& disk, SegmentIndex& index, std::vector<Source> sources, Progress progress)
    : disk_(disk), index_(index), sources_(std::move(sources)), progress_(std::move(progress)) {
  for (const Source& source : sources_) all_bytes_ += source.facts.image_bytes();
}

bool IndexRebuild::advance(std::uint64_t bytes) {
  std::scoped_lock lock(mutex_);
  done_bytes_ += bytes;
  if (!stopped_ && progress_ && !progress_(done_bytes_, all_bytes_)) stopped_ = true;
  return !stopped_;
}

Status IndexRebuild::index_one(const Source& source, bool& is_of_index) {
  const SegmentFacts& facts = source.facts;
  BOP_LET(file, disk_.open(source.path, OpenMode::kRead));
  BOP_LET(header, read_header(*file, facts));
  SegmentWalk walk(*file, header,
                   {.last = header.previous,
                    .limit = header.bytes,
                    .watermark = facts.last.index,
                    .window_bytes = kWindowBytes});
  FrameList frames(facts.base);
  std::uint64_t told = 0;
  while (walk.complete() != facts.last) {
    const auto record = walk.next();
    if (!record.has_value()) return std::unexpected(walk.error_of_ending());
    frames.add(*record, ByteOffset(walk.record_offset()));
    if (walk.offset() - told < kProgressBytes) continue;
    if (!advance(walk.offset() - told)) {
      is_of_index = true;
      return fail(ErrorCode::kCancelled, "the index of the log was not rebuilt to its end");
    }
    told = walk.offset();
  }
  frames.finish(facts.image_bytes());
  SegmentEntry entry;
  entry.facts = facts;
  entry.status = SegmentStatus::kFinalized;
  entry.created_us = header.created_us;
  entry.finalized_us = source.sealed_us;
  entry.local_path = source.path;
  Status added = index_.add(entry, frames.frames());
  if (!added.has_value() && added.error().code() != ErrorCode::kFileExists) {
    is_of_index = true;
    return added;
  }
  if (!advance(facts.image_bytes() - std::min(told, facts.image_bytes()))) {
    is_of_index = true;
    return fail(ErrorCode::kCancelled, "the index of the log was not rebuilt to its end");
  }
  return {};
}

Status IndexRebuild::work() {
  for (;;) {
    const Source* source = nullptr;
    {
      std::scoped_lock lock(mutex_);
      if (stopped_ || next_ == sources_.size()) break;
      source = &sources_[next_++];
    }
    bool is_of_index = false;
    Status done = index_one(*source, is_of_index);
    std::scoped_lock lock(mutex_);
    if (done.has_value()) {
      ++indexed_;
      continue;
    }
    if (is_of_index) {
      stopped_ = true;
      return done;
    }
    ++passed_over_;
    if (problems_.size() < kMostProblems) {
      problems_.push_back({source->facts.id, std::move(done).error()});
    }
  }
  return index_.sync();
}

std::uint64_t IndexRebuild::indexed() const {
  std::scoped_lock lock(mutex_);
  return indexed_;
}
std::uint64_t IndexRebuild::passed_over() const {
  std::scoped_lock lock(mutex_);
  return passed_over_;
}
std::vector<IndexRebuild::Problem> IndexRebuild::problems() const {
  std::scoped_lock lock(mutex_);
  return problems_;
}

}  // namespace bop::aof
