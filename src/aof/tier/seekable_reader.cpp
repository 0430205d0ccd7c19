#include "aof/tier/seekable_reader.hpp"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "base/assert.hpp"
#include "base/crc64.hpp"

namespace bop::aof {

namespace {

constexpr std::size_t kFirstReadBytes = 64U << 10U;
constexpr std::size_t kKeptDecompressors = 4;
constexpr std::size_t kVerifyBytes = 1U << 20U;
constexpr std::size_t kFrameDescriptorAt = 4;
constexpr std::byte kHasContentChecksum{0x04};
constexpr std::size_t kContentChecksumBytes = 4;

// What zstd has compared already is not hashed again: the checksum with which the frame ends.
std::uint32_t xxh64_low(std::span<const std::byte> stored, std::span<const std::byte> image) {
  if ((stored[kFrameDescriptorAt] & kHasContentChecksum) == std::byte{0}) {
    return static_cast<std::uint32_t>(XXH64(image.data(), image.size(), 0));
  }
  std::uint32_t low = 0;
  std::memcpy(&low, stored.last(kContentChecksumBytes).data(), sizeof low);
  return low;
}

}  // namespace

ReadRange range_of(std::shared_ptr<File> file) {
  return [file = std::move(file)](std::uint64_t offset, std::span<std::byte> out) -> Status {
    BOP_LET(got, file->read_at(ByteOffset(offset), out));
    if (got == out.size()) return {};
    return fail(ErrorCode::kCorrupt, "{}: it ends at byte {}, {} were expected", file->path(), offset + got,
                offset + out.size());
  };
}

ReadRange range_of(std::span<const std::byte> bytes) {
  return [bytes](std::uint64_t offset, std::span<std::byte> out) -> Status {
    if (offset > bytes.size() || bytes.size() - offset < out.size()) {
      return fail(ErrorCode::kCorrupt, "{} bytes end before byte {}", bytes.size(), offset + out.size());
    }
    std::ranges::copy(bytes.subspan(static_cast<std::size_t>(offset), out.size()), out.begin());
    return {};
  };
}

SeekableReader::SeekableReader(ReadRange read, std::string name, SeekableTables tables)
    : read_(std::move(read)),
      name_(std::move(name)),
      tables_(std::move(tables)),
      decompressors_(std::make_unique<Spares<Decompressor>>(kKeptDecompressors)) {
  if (tables_.frame_bytes != 0) return;
  std::uint64_t at = 0;
  for (const SeekableFrame& frame : tables_.frames) {
    image_offsets_.push_back(at);
    at += frame.image_bytes;
  }
}

Result<SeekableReader> SeekableReader::open(ReadRange read, std::uint64_t file_bytes, std::string name,
                                            SeekableLimits limits) {
  std::vector<std::byte> tail(static_cast<std::size_t>(std::min<std::uint64_t>(file_bytes, kFirstReadBytes)));
  BOP_TRY(read(file_bytes - tail.size(), tail));
  BOP_LET(wanted, tail_bytes(tail, file_bytes, limits, name));
  if (wanted > tail.size()) {
    tail.resize(static_cast<std::size_t>(wanted));
    BOP_TRY(read(file_bytes - wanted, tail));
  }
  BOP_LET(tables, decode_tables(tail, file_bytes, limits, name));
  return SeekableReader(std::move(read), std::move(name), std::move(tables));
}

std::size_t SeekableReader::frame_at(std::uint64_t at) const {
  BOP_ASSERT(at < tables_.image_bytes);
  if (tables_.frame_bytes != 0) return static_cast<std::size_t>(at / tables_.frame_bytes);
  const auto behind = std::ranges::upper_bound(image_offsets_, at);
  return static_cast<std::size_t>(behind - image_offsets_.begin()) - 1;
}

std::uint64_t SeekableReader::image_offset(std::size_t frame) const {
  return tables_.frame_bytes != 0 ? std::uint64_t{frame} * tables_.frame_bytes : image_offsets_[frame];
}

Status SeekableReader::decode(std::size_t frame, std::span<const std::byte> stored,
                              std::span<std::byte> out) const {
  const SeekableFrame& facts = tables_.frames[frame];
  const auto damaged = [&](std::string_view what) {
    return std::unexpected(
        error(ErrorCode::kCorrupt, "{}: frame {} (bytes {} to {}) {}", name_, frame, facts.offset,
              facts.offset + facts.bytes, what)
            .hint(
                "The file is a copy of a segment: it can be made again from the raw segment or the object."));
  };
  if (!tables_.is_foreign && crc64(0, stored) != facts.checksum) {
    return damaged("does not match its checksum");
  }
  std::uint32_t magic = 0;
  std::memcpy(&magic, stored.data(), std::min(sizeof magic, stored.size()));
  if (magic != ZSTD_MAGICNUMBER ||
      ZSTD_findFrameCompressedSize(stored.data(), stored.size()) != stored.size()) {
    return damaged("is not one frame of zstd");
  }
  Decompressor context = decompressors_->take();
  if (!context) context.reset(ZSTD_createDCtx());
  if (!context) return fail(ErrorCode::kOutOfMemory, "zstd has no memory to decompress {}", name_);
  const std::size_t got =
      ZSTD_decompressDCtx(context.get(), out.data(), out.size(), stored.data(), stored.size());
  decompressors_->give_back(std::move(context));
  if (ZSTD_isError(got) != 0) return damaged(ZSTD_getErrorName(got));
  if (got != out.size()) return damaged("has another size than its seek table says");
  if (tables_.has_xxh64 && xxh64_low(stored, out) != facts.xxh64_low) {
    return damaged("does not match the checksum of its seek table");
  }
  return {};
}

Status SeekableReader::read(std::uint64_t at, std::span<std::byte> out) const {
  if (at > tables_.image_bytes || out.size() > tables_.image_bytes - at) {
    return fail(ErrorCode::kInvalidArgument, "{}: {} bytes at {} of an image of {}", name_, out.size(), at,
                tables_.image_bytes);
  }
  if (out.empty()) return {};
  const std::uint64_t end = at + out.size();
  const std::size_t last = frame_at(end - 1);
  std::vector<std::byte> stored, whole;
  for (std::size_t first = frame_at(at); first <= last;) {
    const std::uint64_t from = tables_.frames[first].offset;
    std::size_t behind = first;
    std::uint64_t to = from;
    while (behind <= last && (behind == first || tables_.frames[behind].offset == to) &&
           (behind == first || to + tables_.frames[behind].bytes - from <= kMostRangeBytes)) {
      to = tables_.frames[behind].offset + tables_.frames[behind].bytes;
      ++behind;
    }
    stored.resize(static_cast<std::size_t>(to - from));
    BOP_TRY(read_(from, stored));
    for (; first < behind; ++first) {
      const SeekableFrame& frame = tables_.frames[first];
      const auto bytes = std::span<const std::byte>(stored).subspan(
          static_cast<std::size_t>(frame.offset - from), frame.bytes);
      const std::uint64_t begin = image_offset(first);
      if (begin >= at && begin + frame.image_bytes <= end) {
        BOP_TRY(decode(first, bytes, out.subspan(static_cast<std::size_t>(begin - at), frame.image_bytes)));
        continue;
      }
      whole.resize(frame.image_bytes);
      BOP_TRY(decode(first, bytes, whole));
      const std::uint64_t low = std::max(begin, at);
      const std::uint64_t high = std::min(begin + frame.image_bytes, end);
      const auto part = std::span(whole).subspan(static_cast<std::size_t>(low - begin),
                                                 static_cast<std::size_t>(high - low));
      std::ranges::copy(part, out.begin() + static_cast<std::ptrdiff_t>(low - at));
    }
  }
  return {};
}

Status SeekableReader::verify() const {
  std::vector<std::byte> bytes(
      static_cast<std::size_t>(std::min<std::uint64_t>(kVerifyBytes, tables_.image_bytes)));
  std::uint64_t checksum = 0;
  for (std::uint64_t at = 0; at < tables_.image_bytes; at += bytes.size()) {
    const auto part = std::span(bytes).first(
        static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), tables_.image_bytes - at)));
    BOP_TRY(read(at, part));
    checksum = crc64(checksum, part);
  }
  if (tables_.is_foreign || checksum == tables_.image_checksum) return {};
  return fail(ErrorCode::kCorrupt, "{}: its frames are sound and are not the image that was written", name_);
}

}  // namespace bop::aof
