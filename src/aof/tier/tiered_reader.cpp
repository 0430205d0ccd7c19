#include "aof/tier/tiered_reader.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "aof/tier/read_only_file.hpp"
#include "aof/tier/tier_files.hpp"
#include "base/assert.hpp"

namespace bop::aof {

namespace {

// Gives `read` the part of [at, at + out.size()) that is inside the image.
template <class Read>
Result<std::size_t> read_inside(std::uint64_t image_bytes, ByteOffset at, std::span<std::byte> out,
                                Read read) {
  if (at.value >= image_bytes) return 0;
  const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(out.size(), image_bytes - at.value));
  BOP_TRY(read(at.value, out.first(size)));
  return size;
}

class SeekableFile final : public ReadOnlyFile {
 public:
  SeekableFile(std::string path, SeekableReader reader)
      : ReadOnlyFile(std::move(path)), reader_(std::move(reader)) {}
  Result<std::size_t> read_at(ByteOffset at, std::span<std::byte> out) override {
    return read_inside(reader_.image_bytes(), at, out,
                       [this](std::uint64_t from, auto into) { return reader_.read(from, into); });
  }
  Result<std::uint64_t> size() override { return reader_.image_bytes(); }

 private:
  SeekableReader reader_;
};

class RemoteFile final : public ReadOnlyFile {
 public:
  RemoteFile(std::string path, std::unique_ptr<RemoteImage> image)
      : ReadOnlyFile(std::move(path)), image_(std::move(image)) {}
  Result<std::size_t> read_at(ByteOffset at, std::span<std::byte> out) override {
    return read_inside(image_->image_bytes(), at, out,
                       [this](std::uint64_t from, auto into) { return image_->read(from, into); });
  }
  Result<std::uint64_t> size() override { return image_->image_bytes(); }

 private:
  std::unique_ptr<RemoteImage> image_;
};

Error wrong_image(const std::string& path, std::uint64_t found, const SegmentFacts& facts) {
  return error(ErrorCode::kCorrupt, "{}: has an image of {} bytes; that of segment {} has {}", path, found,
               facts.id.number, facts.image_bytes());
}

}  // namespace

Result<std::unique_ptr<File>> open_copy(const TieredSource& source, const SegmentState& segment, Tier tier) {
  const SegmentFacts& facts = segment.facts;
  std::unique_ptr<File> file;
  switch (tier) {
    case Tier::kZero: {
      if (!has_copy(segment, tier)) break;
      BOP_LET(raw, source.disk.open(source.directory + "/" + segment_name(facts.id.number), OpenMode::kRead));
      return raw;
    }
    case Tier::kOne: {
      if (!has_copy(segment, tier)) break;
      const std::string path = source.directory + "/" + tier_one_name(facts.id.number);
      BOP_LET(stored, source.disk.open(path, OpenMode::kRead));
      BOP_LET(reader, SeekableReader::open(range_of(std::move(stored)), segment.tier_one->bytes, path));
      file = std::make_unique<SeekableFile>(path, std::move(reader));
      break;
    }
    case Tier::kTwo: {
      if (!has_copy(segment, tier) || !source.hydration.has_value()) break;
      const std::string path = source.hydration->store.name() + "/" + segment.archived->key;
      BOP_LET(image, RemoteImage::open(*source.hydration,
                                       {.key = segment.archived->key,
                                        .bytes = segment.archived->bytes,
                                        .segment_number = facts.id.number,
                                        .segment_seed = facts.id.seed},
                                       source.most_ahead));
      file = std::make_unique<RemoteFile>(path, std::move(image));
      break;
    }
  }
  if (!file) {
    return fail(ErrorCode::kFileNotFound, "segment {} (LSN {} to {}) is not in tier {}", facts.id.number,
                facts.base.value, facts.last.index.value, static_cast<unsigned>(tier));
  }
  BOP_LET(size, file->size());
  if (size != facts.image_bytes()) return std::unexpected(wrong_image(file->path(), size, facts));
  return file;
}

Result<std::optional<RecordView>> TieredReader::next() {
  if (failed_.has_value()) return std::unexpected(*failed_);
  for (;;) {
    std::optional<RecordView> record;
    const auto step = stream_ ? step_stream(record) : step_sealed(record);
    if (!step.has_value()) {
      failed_ = step.error();
      return std::unexpected(step.error());
    }
    if (*step == Step::kEnd) return std::nullopt;
    if (*step != Step::kRecord || (database_.has_value() && record->database != *database_)) continue;
    if (!stream_) {  // the stream's reader has decoded it
      auto payload = decoder_.decode(*record);
      if (!payload.has_value()) {
        failed_ = payload.error();
        return std::unexpected(std::move(payload).error());
      }
      record->payload = *payload;
    }
    return record;
  }
}

Result<TieredReader::Step> TieredReader::step_stream(std::optional<RecordView>& record) {
  auto found = stream_->next();
  if (!found.has_value()) {
    // Trimmed under the reader, or damaged: the segment may be, or be whole, in another tier.
    const bool is_sealed = next_ >= source_.shelf.low() && next_ < source_.shelf.end();
    if (!is_sealed || stream_failed_at_ == next_) return std::unexpected(std::move(found).error());
    stream_failed_at_ = next_;
    stream_.reset();
    return Step::kMoved;
  }
  if (!found->has_value()) return Step::kEnd;
  if (left_at_.has_value() && (*found)->previous != *left_at_) {
    return fail(ErrorCode::kCorrupt, "the record with LSN {} does not follow the sealed segment before it",
                (*found)->lsn.value);
  }
  left_at_.reset();
  record = **found;
  next_ = record->lsn.next();
  return Step::kRecord;
}

Result<TieredReader::Step> TieredReader::step_sealed(std::optional<RecordView>& record) {
  if (!pin_) {
    BOP_TRY(enter());
    return Step::kMoved;
  }
  BOP_TRY(pin_->check());
  const auto found = walk_->next();
  if (found.has_value()) {
    if (!is_entry(found->kind) || found->lsn < next_) return Step::kMoved;
    record = *found;
    next_ = found->lsn.next();
    return Step::kRecord;
  }
  if (walk_->last() == pin_->segment().facts.last) {
    leave();
    return Step::kMoved;
  }
  const Error error =
      walk_->ending().verdict == Verdict::kEnd
          ? bop::error(ErrorCode::kCorrupt, "{}: ends behind LSN {}; the segment goes to LSN {}",
                       file_->path(), walk_->last().index.value, pin_->segment().facts.last.index.value)
          : walk_->error_of_ending();
  if (!next_copy(error)) return std::unexpected(*damage_);
  return Step::kMoved;
}

// Into the sealed segment that holds next_, or into the stream.
Status TieredReader::enter() {
  pin_ = source_.shelf.pin(next_);
  if (!pin_) {
    const Lsn low = source_.shelf.low();
    if (next_ < low) {
      return fail(ErrorCode::kNotInPrerequisiteState, "the record with LSN {} was deleted, the oldest is {}",
                  next_.value, low.value);
    }
    // The stream's own reader filters nothing: next_ counts the entries of all databases.
    BOP_LET(reader, source_.stream.read_from(next_));
    stream_ = std::move(reader);
    return {};
  }
  const SegmentFacts& facts = pin_->segment().facts;
  if (left_at_.has_value() && *left_at_ != facts.previous) {
    return fail(ErrorCode::kCorrupt, "segment {} does not continue the log at LSN {}", facts.id.number,
                next_.value);
  }
  damage_.reset();
  tier_ = Tier::kZero;
  auto entered = enter_copy();
  if (entered.has_value() || next_copy(std::move(entered).error())) return {};
  return std::unexpected(*damage_);
}

// The copy of tier_, from its beginning: what lies before next_ is passed over.
Status TieredReader::enter_copy() {
  walk_.reset();
  const SegmentFacts& facts = pin_->segment().facts;
  BOP_LET(file, open_copy(source_, pin_->segment(), *tier_));
  SegmentHeader header;
  std::vector<std::byte> block(kSegmentHeaderBytes);
  BOP_LET(got, file->read_at(ByteOffset(0), block));
  if (got != block.size() || decode_segment_header(block, header) != HeaderState::kValid ||
      header.number != facts.id.number || header.seed != facts.id.seed || header.previous != facts.previous) {
    return fail(ErrorCode::kCorrupt, "{}: its header is not that of segment {}", file->path(),
                facts.id.number);
  }
  file_ = std::move(file);
  walk_.emplace(*file_, header,
                SegmentWalk::Start{.last = header.previous,
                                   .limit = facts.records_end,
                                   .watermark = facts.last.index,
                                   .window_bytes = kDefaultFrameBytes});
  return {};
}

// After an error in tier_: goes to the next copy that can be entered. False when there is none: damage_ says
// why.
bool TieredReader::next_copy(Error error) {
  for (;;) {
    if (has_copy(pin_->segment(), *tier_)) {
      if (source_.damaged) source_.damaged(pin_->segment().facts.id.number, *tier_, error);
      damage_ = std::move(error);
    } else if (!damage_.has_value()) {
      damage_ = std::move(error);
    }
    if (*tier_ == Tier::kTwo) return false;
    tier_ = static_cast<Tier>(static_cast<std::uint8_t>(*tier_) + 1);
    auto entered = enter_copy();
    if (entered.has_value()) return true;
    error = std::move(entered).error();
  }
}

void TieredReader::leave() {
  left_at_ = pin_->segment().facts.last;
  walk_.reset();
  file_.reset();
  pin_.reset();
}

}  // namespace bop::aof
