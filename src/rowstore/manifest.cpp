#include "rowstore/manifest.hpp"

#include <cstring>

#include "base/crc64.hpp"

namespace bop::rowstore {

namespace {

constexpr char kMagic[] = "BOPROWS1";
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kHeaderBytes = 56;
constexpr std::size_t kSequenceBytes = 16;
constexpr std::uint32_t kExhausted = 1;

using Bytes = std::vector<std::byte>;

template <class T>
void put(Bytes& out, T value) {
  const auto at = out.size();
  out.resize(at + sizeof(T));
  std::memcpy(out.data() + at, &value, sizeof(T));
}
template <class T>
T get(const Bytes& in, std::size_t at) {
  T value;
  std::memcpy(&value, in.data() + at, sizeof(T));
  return value;
}

std::string path_of(const std::string& directory, std::uint64_t generation) {
  return directory + (generation % 2 == 0 ? "/manifest.0" : "/manifest.1");
}

// Nothing when the bytes are no manifest.
Result<std::optional<Manifest>> decode(const Bytes& in, DatabaseId database, std::uint64_t parity,
                                       const std::string& path) {
  if (in.size() < kHeaderBytes + 8 || std::memcmp(in.data(), kMagic, 8) != 0) return std::nullopt;
  const std::uint64_t sum = crc64(database.value, std::span(in).first(in.size() - 8));
  if (sum != get<std::uint64_t>(in, in.size() - 8)) return std::nullopt;
  if (get<std::uint32_t>(in, 8) > kVersion) {
    return fail(ErrorCode::kFormatTooNew, "{} has version {}, this program knows {}", path,
                get<std::uint32_t>(in, 8), kVersion);
  }
  Manifest out;
  out.generation = get<std::uint64_t>(in, 16);
  const auto count = get<std::uint32_t>(in, 48);
  if (get<std::uint32_t>(in, 12) != database.value || out.generation % 2 != parity ||
      in.size() != kHeaderBytes + 8 + std::size_t{count} * kSequenceBytes) {
    return std::nullopt;
  }
  out.timeline = Timeline(get<std::uint32_t>(in, 24));
  out.pages = get<std::uint32_t>(in, 28);
  out.base = Lsn(get<std::uint64_t>(in, 32));
  out.last_commit = Csn(get<std::uint64_t>(in, 40));
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::size_t at = kHeaderBytes + i * kSequenceBytes;
    out.sequences.push_back({get<std::uint32_t>(in, at), get<std::int64_t>(in, at + 8),
                             (get<std::uint32_t>(in, at + 4) & kExhausted) != 0});
  }
  return out;
}

}  // namespace

Result<std::optional<Manifest>> peek_manifest(Disk& disk, const std::string& directory, DatabaseId database,
                                              std::vector<std::string>& damaged) {
  std::optional<Manifest> best;
  for (std::uint64_t parity = 0; parity < 2; ++parity) {
    const std::string path = path_of(directory, parity);
    BOP_LET(exists, disk.exists(path));
    if (!exists) continue;
    BOP_LET(file, disk.open(path, OpenMode::kRead));
    BOP_LET(size, file->size());
    if (size == 0) continue;  // its room is kept, and nothing was written yet
    Bytes bytes(static_cast<std::size_t>(size));
    BOP_LET(got, file->read_at(ByteOffset(0), bytes));
    bytes.resize(got);
    BOP_LET(manifest, decode(bytes, database, parity, path));
    if (!manifest) {
      damaged.push_back(path);
    } else if (!best || manifest->generation > best->generation) {
      best = std::move(manifest);
    }
  }
  // The first manifest of a database is written before anything else is; cut, it leaves one broken file and
  // the database has nothing yet but what the log knows.
  if (!best && !damaged.empty() && damaged != std::vector{path_of(directory, 0)}) {
    return fail(ErrorCode::kCorrupt, "neither manifest in {} is valid", directory);
  }
  return best;
}

Result<std::optional<Manifest>> read_manifest(Disk& disk, const std::string& directory, DatabaseId database) {
  std::vector<std::string> damaged;
  BOP_LET(best, peek_manifest(disk, directory, database, damaged));
  // Whoever wrote it may have died before it was durable, or because it could not be made so: then the kernel
  // may show bytes that it will never store, and a sync alone says nothing about them. The log is trimmed by
  // what it says, so the same bytes are written once more.
  if (best) {
    BOP_TRY(write_manifest(disk, directory, database, *best));
    BOP_TRY(disk.sync_directory(directory));
  }
  return best;
}

Status write_manifest(Disk& disk, const std::string& directory, DatabaseId database,
                      const Manifest& manifest) {
  Bytes out;
  for (int i = 0; i < 8; ++i) put(out, kMagic[i]);
  put(out, kVersion);
  put(out, database.value);
  put(out, manifest.generation);
  put(out, manifest.timeline.value);
  put(out, manifest.pages);
  put(out, manifest.base.value);
  put(out, manifest.last_commit.value);
  put(out, static_cast<std::uint32_t>(manifest.sequences.size()));
  put(out, std::uint32_t{0});
  for (const auto& sequence : manifest.sequences) {
    put(out, sequence.oid);
    put(out, sequence.exhausted ? kExhausted : std::uint32_t{0});
    put(out, sequence.next);
  }
  put(out, crc64(database.value, out));
  const std::string path = path_of(directory, manifest.generation);
  BOP_LET(file, disk.open(path, OpenMode::kOpenOrCreate));
  BOP_LET(before, file->size());
  BOP_TRY(file->write_at(ByteOffset(0), out));
  BOP_TRY(file->truncate(out.size()));
  BOP_TRY(file->sync());
  if (before == 0) BOP_TRY(disk.sync_directory(directory));
  return {};
}

// Where room cannot be taken, the next manifest will find some or say so.
void keep_room_for_manifests(Disk& disk, const std::string& directory, const Manifest& manifest) {
  const std::uint64_t bytes = kHeaderBytes + 8 + manifest.sequences.size() * kSequenceBytes;
  const std::uint64_t room = (2 * bytes / kDiskBlockBytes + 1) * kDiskBlockBytes;
  for (std::uint64_t parity = 0; parity < 2; ++parity) {
    const auto file = disk.open(path_of(directory, parity), OpenMode::kOpenOrCreate);
    if (file) static_cast<void>((*file)->reserve(0, room));
  }
}

}  // namespace bop::rowstore
