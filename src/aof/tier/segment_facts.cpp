#include "aof/tier/segment_facts.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "aof/record.hpp"
#include "aof/segment_walk.hpp"
#include "base/assert.hpp"
#include "base/crc64.hpp"

namespace bop::aof {

namespace {

constexpr std::size_t kPieceBytes = 1U << 20U;
constexpr std::uint64_t kProgressBytes = 4U << 20U;

Error cancelled(const std::string& path) {
  return error(ErrorCode::kCancelled, "{}: reading the segment was cancelled", path);
}

// Tells `progress` now and then.
class Teller {
 public:
  Teller(const Progress& progress, std::uint64_t all) : progress_(progress), all_(all) {}
  bool at(std::uint64_t done) {
    if (!progress_ || done < next_) return true;
    next_ = done + kProgressBytes;
    return progress_(done, all_);
  }

 private:
  const Progress& progress_;
  std::uint64_t all_;
  std::uint64_t next_ = 0;
};

struct Walked {
  SegmentFacts facts;  // all but the checksum
  std::uint64_t skipped = 0;
};

// `wanted`: the last entry that counts, nothing for "where the walk ends".
Result<Walked> walk_to_end(File& file, const SegmentHeader& header, const RecordLink* wanted,
                           bool fillers_count, std::uint64_t limit, Teller& teller, const RecordSink& sink) {
  Walked found;
  SegmentFacts& facts = found.facts;
  facts.id = {header.number, header.seed};
  facts.timeline = header.timeline;
  facts.base = header.base;
  facts.previous = header.previous;
  facts.previous_number = header.previous_number;
  facts.file_bytes = header.bytes;
  SegmentWalk walk(file, header,
                   {.last = header.previous,
                    .limit = limit,
                    .watermark = wanted == nullptr ? Lsn(0) : wanted->index,
                    .window_bytes = kPieceBytes});
  std::int64_t newest_us = 0;  // of the batch that is open
  const auto note = [&](const RecordView& record) {
    if (!is_entry(record.kind)) return;
    if (facts.first_us == 0) facts.first_us = record.timestamp_us;
    newest_us = record.timestamp_us;
    if (record.batch_remaining == 0) facts.last_us = newest_us;
  };
  while (wanted == nullptr || walk.complete() != *wanted) {
    const auto record = walk.next();
    if (!record.has_value()) {
      if (wanted != nullptr) return std::unexpected(walk.error_of_ending());
      break;
    }
    note(*record);
    if (sink) sink(*record, ByteOffset(walk.record_offset()));
    if (!teller.at(walk.offset())) return std::unexpected(cancelled(file.path()));
  }
  facts.last = walk.complete();
  facts.records_end = walk.complete_end();
  found.skipped = walk.skipped();
  while (wanted != nullptr && fillers_count) {
    const auto record = walk.next();
    if (!record.has_value() || is_entry(record->kind)) break;
    facts.records_end = walk.offset();
    found.skipped = walk.skipped();
  }
  if (wanted == nullptr) {
    // An image ends where its records end: what else stands there is damage.
    const WalkEnding& ending = walk.ending();
    const bool sound = ending.verdict == Verdict::kEnd || ending.verdict == Verdict::kCutTorn;
    if (!sound || !ending.zeros_behind || ending.in_batch) {
      return std::unexpected(walk.error_of_ending());
    }
  }
  if (facts.entries() == 0) facts.first_us = facts.last_us = 0;
  return found;
}

}  // namespace

std::uint64_t SegmentFacts::image_bytes() const noexcept { return align_up(records_end, kDiskBlockBytes); }

bool is_sound(const SegmentFacts& facts) noexcept {
  if (facts.id.number == 0 || facts.previous_number >= facts.id.number) return false;
  if (facts.previous.index.value == ~std::uint64_t{0} || facts.base != facts.previous.index.next())
    return false;
  if (facts.last.index < facts.previous.index) return false;
  if (facts.last.index == facts.previous.index && facts.last != facts.previous) return false;
  if (facts.file_bytes % kDiskBlockBytes != 0 || facts.file_bytes <= kSegmentHeaderBytes) return false;
  return facts.records_end >= kSegmentHeaderBytes && facts.records_end <= facts.file_bytes &&
         facts.records_end % 8 == 0;
}

Result<FoundFacts> find_facts(File& file, const SegmentHeader& header, const Seal& seal,
                              const Progress& progress, const RecordSink& sink) {
  Teller teller(progress, 2 * header.bytes);
  BOP_LET(walked, walk_to_end(file, header, &seal.last, seal.timeline == header.timeline, header.bytes,
                              teller, sink));
  SegmentFacts& facts = walked.facts;
  std::vector<std::byte> piece(kPieceBytes);
  for (std::uint64_t at = 0; at < facts.image_bytes();) {
    const std::size_t bytes =
        static_cast<std::size_t>(std::min<std::uint64_t>(kPieceBytes, facts.image_bytes() - at));
    BOP_TRY(read_image(file, facts, at, std::span(piece).first(bytes)));
    facts.content_checksum = crc64(facts.content_checksum, std::span(piece).first(bytes));
    at += bytes;
    if (!teller.at(header.bytes + at)) return std::unexpected(cancelled(file.path()));
  }
  BOP_ASSERT(is_sound(facts));
  return FoundFacts{facts, walked.skipped};
}

Result<SegmentFacts> facts_of_image(std::span<const std::byte> image, const std::string& where) {
  SegmentHeader header;
  if (image.size() < kSegmentHeaderBytes || image.size() % kDiskBlockBytes != 0) {
    return fail(ErrorCode::kCorrupt, "{}: {} bytes are no image of a segment", where, image.size());
  }
  switch (decode_segment_header(image.first(kSegmentHeaderBytes), header)) {
    case HeaderState::kValid: break;
    case HeaderState::kTooNew:
      return fail(ErrorCode::kFormatTooNew, "{}: the segment was written by a newer version", where);
    case HeaderState::kZero:
    case HeaderState::kDamaged:
      return fail(ErrorCode::kCorrupt, "{}: the segment's header (byte 0) is damaged", where);
  }
  if (image.size() > header.bytes) {
    return fail(ErrorCode::kCorrupt, "{}: {} bytes are more than the segment's {}", where, image.size(),
                header.bytes);
  }
  ImageFile file(where, image);
  const Progress none;
  Teller teller(none, 0);
  BOP_LET(walked, walk_to_end(file, header, nullptr, true, image.size(), teller, {}));
  walked.facts.content_checksum = crc64(0, image);
  if (walked.facts.image_bytes() != image.size() || !is_sound(walked.facts)) {
    return fail(ErrorCode::kCorrupt, "{}: the records end at byte {} of {}", where, walked.facts.records_end,
                image.size());
  }
  return walked.facts;
}

Status read_image(File& file, const SegmentFacts& facts, std::uint64_t offset, std::span<std::byte> out) {
  BOP_ASSERT(offset + out.size() <= facts.image_bytes());
  const std::uint64_t stored = facts.records_end > offset ? facts.records_end - offset : 0;
  const auto real = static_cast<std::size_t>(std::min<std::uint64_t>(stored, out.size()));
  if (real != 0) {
    BOP_LET(got, file.read_at(ByteOffset(offset), out.first(real)));
    if (got != real) {
      return fail(ErrorCode::kCorrupt, "{}: ends at byte {}, its records go on to byte {}", file.path(),
                  offset + got, facts.records_end);
    }
  }
  std::ranges::fill(out.subspan(real), std::byte{0});
  return {};
}

Result<std::vector<std::byte>> load_image(File& file, const SegmentFacts& facts) {
  std::vector<std::byte> image(static_cast<std::size_t>(facts.image_bytes()));
  BOP_TRY(read_image(file, facts, 0, image));
  if (crc64(0, image) != facts.content_checksum) {
    return fail(ErrorCode::kCorrupt, "{}: the bytes of segment {} do not match its checksum {:016x}",
                file.path(), facts.id.number, facts.content_checksum);
  }
  return image;
}

Result<std::size_t> ImageFile::read_at(ByteOffset at, std::span<std::byte> out) {
  if (at.value >= image_.size()) return std::size_t{0};
  const auto bytes = static_cast<std::size_t>(std::min<std::uint64_t>(out.size(), image_.size() - at.value));
  std::memcpy(out.data(), image_.data() + at.value, bytes);
  return bytes;
}

}  // namespace bop::aof
