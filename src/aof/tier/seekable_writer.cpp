#include "aof/tier/seekable_writer.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "base/assert.hpp"
#include "base/crc64.hpp"

namespace bop::aof {

namespace {

constexpr int kMostLevel = 19;
constexpr std::size_t kMostFramesAtOnce = 256;
constexpr std::size_t kContentChecksumBytes = 4;

}  // namespace

Result<SeekableWriter> SeekableWriter::open(Sink sink, SeekableWriterOptions options) {
  if (options.level < 1 || options.level > kMostLevel) {
    return fail(ErrorCode::kInvalidArgument, "compression level {}: it must be 1 to {}", options.level,
                kMostLevel);
  }
  if (!std::has_single_bit(options.frame_bytes) || options.frame_bytes < kLeastFrameBytes ||
      options.frame_bytes > kMostFrameBytes) {
    return fail(ErrorCode::kInvalidArgument, "frames of {} bytes: they must be a power of two, {} to {}",
                options.frame_bytes, kLeastFrameBytes, kMostFrameBytes);
  }
  if (options.frames_at_once == 0 || options.frames_at_once > kMostFramesAtOnce) {
    return fail(ErrorCode::kInvalidArgument, "{} frames at once: it must be 1 to {}", options.frames_at_once,
                kMostFramesAtOnce);
  }
  return SeekableWriter(std::move(sink), std::move(options));
}

SeekableWriter::SeekableWriter(Sink sink, SeekableWriterOptions options)
    : sink_(std::move(sink)), options_(std::move(options)), slots_(options_.frames_at_once) {
  tables_.frame_bytes = options_.frame_bytes;
  for (Slot& slot : slots_) slot.image.reserve(options_.frame_bytes);
}

Status SeekableWriter::write(std::span<const std::byte> image) {
  BOP_ASSERT(!is_finished_);
  BOP_TRY(status_);
  if (facts_.image_bytes + image.size() > SeekableLimits{}.image_bytes) {
    return status_ = fail(ErrorCode::kProgramLimitExceeded, "an image of more than {} bytes",
                          SeekableLimits{}.image_bytes);
  }
  facts_.image_checksum = crc64(facts_.image_checksum, image);
  facts_.image_bytes += image.size();
  while (!image.empty()) {
    Slot& slot = slots_[full_];
    const auto part = image.first(std::min(image.size(), options_.frame_bytes - slot.image.size()));
    slot.image.insert(slot.image.end(), part.begin(), part.end());
    image = image.subspan(part.size());
    if (slot.image.size() == options_.frame_bytes && ++full_ == slots_.size()) BOP_TRY(flush());
  }
  return {};
}

// On any thread; touches nothing but the slot.
void SeekableWriter::compress(Slot& slot) const {
  slot.stored_bytes = 0;
  if (!slot.context) {
    slot.context.reset(ZSTD_createCCtx());
    if (!slot.context) return;
    ZSTD_CCtx_setParameter(slot.context.get(), ZSTD_c_compressionLevel, options_.level);
    ZSTD_CCtx_setParameter(slot.context.get(), ZSTD_c_checksumFlag, 1);
    ZSTD_CCtx_setParameter(slot.context.get(), ZSTD_c_contentSizeFlag, 1);
    slot.stored.resize(ZSTD_compressBound(options_.frame_bytes));
  }
  const std::size_t bytes = ZSTD_compress2(slot.context.get(), slot.stored.data(), slot.stored.size(),
                                           slot.image.data(), slot.image.size());
  if (ZSTD_isError(bytes) != 0) return;
  slot.stored_bytes = bytes;
  slot.checksum = crc64(0, std::span(slot.stored).first(bytes));
}

// Compresses and hands on what the slots hold.
Status SeekableWriter::flush() {
  std::vector<std::function<void()>> jobs;
  for (Slot& slot : slots_) {
    if (!slot.image.empty()) jobs.emplace_back([this, &slot] { compress(slot); });
  }
  if (jobs.size() > 1 && options_.run_all) {
    options_.run_all(jobs);
  } else {
    for (const auto& job : jobs) job();
  }
  for (Slot& slot : slots_) {
    if (slot.image.empty()) break;
    if (slot.stored_bytes == 0) {
      return status_ = fail(ErrorCode::kOutOfMemory, "zstd could not compress {} bytes", slot.image.size());
    }
    const auto stored = std::span<const std::byte>(slot.stored).first(slot.stored_bytes);
    SeekableFrame frame{.offset = facts_.file_bytes,
                        .bytes = static_cast<std::uint32_t>(stored.size()),
                        .image_bytes = static_cast<std::uint32_t>(slot.image.size()),
                        .checksum = slot.checksum};
    // The content checksum, with which a frame ends, is the XXH64 that the seek table wants.
    std::memcpy(&frame.xxh64_low, stored.last(kContentChecksumBytes).data(), kContentChecksumBytes);
    BOP_TRY(emit(stored));
    tables_.frames.push_back(frame);
    slot.image.clear();
  }
  full_ = 0;
  return {};
}

Status SeekableWriter::emit(std::span<const std::byte> bytes) {
  facts_.file_bytes += bytes.size();
  facts_.file_checksum = crc64(facts_.file_checksum, bytes);
  return status_ = sink_(bytes);
}

Result<SeekableFacts> SeekableWriter::finish() {
  BOP_ASSERT(!is_finished_);
  BOP_TRY(status_);
  BOP_TRY(flush());
  is_finished_ = true;
  facts_.frames = tables_.frames.size();
  tables_.image_bytes = facts_.image_bytes;
  tables_.image_checksum = facts_.image_checksum;
  BOP_TRY(emit(encode_tables(tables_)));
  return facts_;
}

}  // namespace bop::aof
