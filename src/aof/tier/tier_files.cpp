#include "aof/tier/tier_files.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "aof/segment_header.hpp"
#include "base/crc64.hpp"

namespace bop::aof {

namespace {

constexpr std::string_view kTierOneSuffix = ".zst";
constexpr std::size_t kPieceBytes = 1U << 20U;

}  // namespace

std::string tier_one_name(std::uint64_t number) { return fmt::format("{:016x}{}", number, kTierOneSuffix); }

std::optional<std::uint64_t> tier_one_number(std::string_view name) noexcept {
  if (!name.ends_with(kTierOneSuffix)) return std::nullopt;
  return segment_number(std::string(name.substr(0, name.size() - kTierOneSuffix.size())) + ".log");
}

Result<ObjectBytes> load_tier_one(Disk& disk, const std::string& directory, std::uint64_t number,
                                  const TierOneCopy& copy) {
  const std::string path = directory + "/" + tier_one_name(number);
  BOP_LET(file, disk.open(path, OpenMode::kRead));
  BOP_LET(size, file->size());
  if (size == copy.bytes && size <= kMostObjectBytes) {
    auto bytes = std::make_shared<std::vector<std::byte>>(static_cast<std::size_t>(size));
    BOP_LET(got, file->read_at(ByteOffset(0), *bytes));
    if (got == size && crc64(0, *bytes) == copy.checksum) {
      return ObjectBytes{std::move(bytes), copy.checksum, copy.frames};
    }
  }
  return fail(ErrorCode::kCorrupt, "{}: the compressed file of segment {} is damaged", path, number);
}

Status write_whole(Disk& disk, const std::string& directory, const std::string& name,
                   std::span<const std::byte> bytes) {
  const std::string path = directory + "/" + name;
  const std::string part = path + std::string(kPartSuffix);
  const auto write = [&]() -> Status {
    BOP_LET(file, disk.open(part, OpenMode::kOpenOrCreate));
    BOP_TRY(file->truncate(0));
    for (std::size_t at = 0; at < bytes.size(); at += kPieceBytes) {
      BOP_TRY(file->write_at(ByteOffset(at), bytes.subspan(at, std::min(kPieceBytes, bytes.size() - at))));
    }
    BOP_TRY(file->sync());
    std::vector<std::byte> piece(std::min(kPieceBytes, bytes.size()));
    for (std::size_t at = 0; at < bytes.size(); at += kPieceBytes) {
      const auto wanted = bytes.subspan(at, std::min(kPieceBytes, bytes.size() - at));
      BOP_LET(got, file->read_at(ByteOffset(at), std::span(piece).first(wanted.size())));
      if (got != wanted.size() || !std::ranges::equal(std::span(piece).first(got), wanted)) {
        return fail(ErrorCode::kIo, "{}: the disk does not give back what was written at byte {}", part, at);
      }
    }
    BOP_TRY(disk.rename(part, path));
    return disk.sync_directory(directory);
  };
  Status written = write();
  if (!written.has_value()) static_cast<void>(disk.remove(part));
  return written;
}

Status remove_durably(Disk& disk, const std::string& directory, const std::string& name) {
  if (auto removed = disk.remove(directory + "/" + name);
      !removed.has_value() && removed.error().code() != ErrorCode::kFileNotFound) {
    return removed;
  }
  return disk.sync_directory(directory);
}

}  // namespace bop::aof
