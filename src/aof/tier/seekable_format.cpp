#include "aof/tier/seekable_format.hpp"

#include <zstd.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/assert.hpp"
#include "base/crc64.hpp"

namespace bop::aof {

static_assert(std::endian::native == std::endian::little,
              "formats are little-endian and written as they are in memory");

namespace {

constexpr char kMagic[8] = {'B', 'O', 'P', 'F', 'R', 'A', 'M', 'S'};
constexpr std::uint8_t kHasChecksums = 0x80;

struct CheckTableStart {
  std::uint32_t skippable_magic;
  std::uint32_t size;
  char magic[8];
  std::uint32_t version;
  std::uint32_t frame_bytes;
  std::uint64_t image_bytes;
  std::uint64_t image_checksum;
  std::uint64_t seek_table_checksum;
};
static_assert(sizeof(CheckTableStart) == 48 && offsetof(CheckTableStart, image_bytes) == 24);
static_assert(sizeof(CheckTableStart) + sizeof(std::uint64_t) == kCheckTableFixedBytes);

template <class T>
T load(std::span<const std::byte> bytes, std::size_t at) noexcept {
  T value;
  BOP_ASSERT(at + sizeof value <= bytes.size());
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

template <class T>
void store(std::vector<std::byte>& out, T value) {
  const auto bytes = std::as_bytes(std::span(&value, 1));
  out.insert(out.end(), bytes.begin(), bytes.end());
}

std::unexpected<Error> corrupt(std::string_view name, std::string_view what) {
  return std::unexpected(
      error(ErrorCode::kCorrupt, "{}: {}", name, what)
          .hint("The file is a copy of a segment: it can be made again from the raw segment or the object."));
}

// The end of a file.
struct Footer {
  std::uint64_t entries = 0;
  bool has_checksums = false;

  [[nodiscard]] std::uint64_t entry_bytes() const noexcept {
    return has_checksums ? kSeekEntryBytes : kSeekEntryBytes - 4;
  }
  [[nodiscard]] std::uint64_t seek_table_bytes() const noexcept {
    return kSkippableHeaderBytes + entries * entry_bytes() + kSeekFooterBytes;
  }
};

Result<Footer> decode_footer(std::span<const std::byte> bytes, const SeekableLimits& limits,
                             std::string_view name) {
  if (bytes.size() < kSeekFooterBytes) return corrupt(name, "it is too short for a seek table");
  const auto at = bytes.last(kSeekFooterBytes);
  if (load<std::uint32_t>(at, 5) != kSeekableMagic) return corrupt(name, "it does not end with a seek table");
  const auto descriptor = load<std::uint8_t>(at, 4);
  if ((descriptor & ~kHasChecksums) != 0)
    return corrupt(name, "its seek table has a descriptor that is not known");
  const Footer footer{.entries = load<std::uint32_t>(at, 0), .has_checksums = descriptor == kHasChecksums};
  if (footer.entries > std::uint64_t{limits.frames} + 1) {
    return fail(ErrorCode::kProgramLimitExceeded, "{}: its seek table has {} entries, the limit is {}", name,
                footer.entries, std::uint64_t{limits.frames} + 1);
  }
  return footer;
}

// The frames of the seek table, and what of it the check table has to confirm. An entry without bytes of the
// image is a frame to be passed over.
struct SeekTable {
  std::vector<SeekableFrame> frames;
  std::uint64_t image_bytes = 0;
  std::uint32_t last_entry_bytes = 0;  // of the file, when that entry has no image bytes
  bool only_last_is_empty = true;
};

Result<SeekTable> decode_seek_table(std::span<const std::byte> table, const Footer& footer,
                                    std::uint64_t bytes_before, const SeekableLimits& limits,
                                    std::string_view name) {
  if (load<std::uint32_t>(table, 0) != kSeekTableMagic ||
      load<std::uint32_t>(table, 4) != table.size() - kSkippableHeaderBytes) {
    return corrupt(name, "its seek table does not begin where it has to");
  }
  SeekTable found;
  std::uint64_t offset = 0;
  for (std::uint64_t i = 0; i < footer.entries; ++i) {
    const std::size_t at = kSkippableHeaderBytes + static_cast<std::size_t>(i * footer.entry_bytes());
    SeekableFrame frame{.offset = offset,
                        .bytes = load<std::uint32_t>(table, at),
                        .image_bytes = load<std::uint32_t>(table, at + 4)};
    if (footer.has_checksums) frame.xxh64_low = load<std::uint32_t>(table, at + 8);
    offset += frame.bytes;
    if (offset > bytes_before) return corrupt(name, "its frames are longer than the file");
    const bool is_last = i + 1 == footer.entries;
    if (frame.image_bytes == 0) {
      if (!is_last) found.only_last_is_empty = false;
      if (is_last) found.last_entry_bytes = frame.bytes;
      continue;
    }
    if (frame.image_bytes > limits.frame_bytes) {
      return fail(ErrorCode::kProgramLimitExceeded, "{}: frame {} has {} bytes of the image, the limit is {}",
                  name, i, frame.image_bytes, limits.frame_bytes);
    }
    if (frame.bytes == 0 || frame.bytes > ZSTD_compressBound(frame.image_bytes)) {
      return corrupt(name, "a frame of its seek table has a size that no writer makes");
    }
    found.image_bytes += frame.image_bytes;
    found.frames.push_back(frame);
  }
  if (offset != bytes_before) return corrupt(name, "its frames are shorter than the file");
  if (found.image_bytes > limits.image_bytes) {
    return fail(ErrorCode::kProgramLimitExceeded, "{}: its image has {} bytes, the limit is {}", name,
                found.image_bytes, limits.image_bytes);
  }
  return found;
}

Status decode_check_table(std::span<const std::byte> check, std::span<const std::byte> seek_table,
                          SeekableTables& tables, std::string_view name) {
  const std::size_t sum_at = check.size() - sizeof(std::uint64_t);
  if (load<std::uint64_t>(check, sum_at) != crc64(0, check.first(sum_at))) {
    return corrupt(name, "the checksum of its check table does not hold");
  }
  const auto start = load<CheckTableStart>(check, 0);
  if (start.skippable_magic != kCheckTableMagic || std::memcmp(start.magic, kMagic, sizeof kMagic) != 0 ||
      start.size != check.size() - kSkippableHeaderBytes) {
    return corrupt(name, "it has no check table before its seek table");
  }
  if (start.version != kCheckTableVersion) {
    return fail(ErrorCode::kFormatTooNew, "{}: it was written by a newer version ({})", name, start.version);
  }
  if (start.seek_table_checksum != crc64(0, seek_table)) {
    return corrupt(name, "the checksum of its seek table does not hold");
  }
  if (!std::has_single_bit(start.frame_bytes) || start.frame_bytes < kLeastFrameBytes ||
      start.frame_bytes > kMostFrameBytes || start.image_bytes != tables.image_bytes ||
      tables.frames.size() != frames_of(start.image_bytes, start.frame_bytes)) {
    return corrupt(name, "its check table and its seek table do not agree");
  }
  for (std::size_t i = 0; i < tables.frames.size(); ++i) {
    SeekableFrame& frame = tables.frames[i];
    const bool is_last = i + 1 == tables.frames.size();
    if (frame.image_bytes != start.frame_bytes && (!is_last || frame.image_bytes > start.frame_bytes)) {
      return corrupt(name, "a frame of its seek table has not the size that all have");
    }
    frame.checksum = load<std::uint64_t>(check, sizeof start + i * sizeof(std::uint64_t));
  }
  tables.frame_bytes = start.frame_bytes;
  tables.image_checksum = start.image_checksum;
  return {};
}

}  // namespace

std::uint64_t most_seekable_bytes(std::uint64_t image_bytes, std::uint32_t frame_bytes) noexcept {
  const std::uint64_t frames = frames_of(image_bytes, frame_bytes);
  return frames * ZSTD_compressBound(frame_bytes) + table_bytes(frames);
}

std::vector<std::byte> encode_tables(const SeekableTables& tables) {
  const std::size_t frames = tables.frames.size();
  std::vector<std::byte> seek;
  seek.reserve(static_cast<std::size_t>(table_bytes(frames)));
  const auto check_bytes = static_cast<std::uint32_t>(kCheckTableFixedBytes + 8 * frames);
  store(seek, kSeekTableMagic);
  store(seek, static_cast<std::uint32_t>(kSeekEntryBytes * (frames + 1) + kSeekFooterBytes));
  for (const SeekableFrame& frame : tables.frames) {
    store(seek, frame.bytes);
    store(seek, frame.image_bytes);
    store(seek, frame.xxh64_low);
  }
  store(seek, check_bytes);
  store(seek, std::uint32_t{0});
  store(seek, kEmptyXxh64Low);
  store(seek, static_cast<std::uint32_t>(frames + 1));
  store(seek, kHasChecksums);
  store(seek, kSeekableMagic);

  std::vector<std::byte> out;
  out.reserve(check_bytes + seek.size());
  CheckTableStart start{};
  start.skippable_magic = kCheckTableMagic;
  start.size = check_bytes - static_cast<std::uint32_t>(kSkippableHeaderBytes);
  std::memcpy(start.magic, kMagic, sizeof kMagic);
  start.version = kCheckTableVersion;
  start.frame_bytes = tables.frame_bytes;
  start.image_bytes = tables.image_bytes;
  start.image_checksum = tables.image_checksum;
  start.seek_table_checksum = crc64(0, seek);
  store(out, start);
  for (const SeekableFrame& frame : tables.frames) store(out, frame.checksum);
  store(out, crc64(0, out));
  BOP_ASSERT(out.size() == check_bytes);
  out.insert(out.end(), seek.begin(), seek.end());
  return out;
}

Result<std::uint64_t> tail_bytes(std::span<const std::byte> footer, std::uint64_t file_bytes,
                                 const SeekableLimits& limits, std::string_view name) {
  BOP_LET(end, decode_footer(footer, limits, name));
  if (end.seek_table_bytes() > file_bytes) return corrupt(name, "its seek table is longer than the file");
  const std::uint64_t ours = end.entries == 0 ? 0 : table_bytes(end.entries - 1);
  // A foreign file has no check table; what is read of it in vain does no harm.
  return std::min(std::max(end.seek_table_bytes(), ours), file_bytes);
}

Result<SeekableTables> decode_tables(std::span<const std::byte> tail, std::uint64_t file_bytes,
                                     const SeekableLimits& limits, std::string_view name) {
  BOP_LET(end, decode_footer(tail, limits, name));
  if (end.seek_table_bytes() > tail.size() || tail.size() > file_bytes) {
    return corrupt(name, "its seek table is longer than the file");
  }
  const auto seek = tail.last(static_cast<std::size_t>(end.seek_table_bytes()));
  BOP_LET(table, decode_seek_table(seek, end, file_bytes - seek.size(), limits, name));
  SeekableTables tables;
  tables.image_bytes = table.image_bytes;
  tables.frames = std::move(table.frames);
  tables.has_xxh64 = end.has_checksums;
  const auto before = tail.first(tail.size() - seek.size());
  const std::uint64_t check_bytes = kCheckTableFixedBytes + 8 * std::uint64_t{tables.frames.size()};
  const bool is_ours =
      end.has_checksums && table.only_last_is_empty && table.last_entry_bytes == check_bytes &&
      before.size() >= check_bytes &&
      load<std::uint32_t>(before, before.size() - static_cast<std::size_t>(check_bytes)) == kCheckTableMagic;
  if (is_ours) {
    BOP_TRY(decode_check_table(before.last(static_cast<std::size_t>(check_bytes)), seek, tables, name));
    return tables;
  }
  if (!limits.foreign) return corrupt(name, "it has no check table before its seek table");
  tables.is_foreign = true;
  return tables;
}

}  // namespace bop::aof
