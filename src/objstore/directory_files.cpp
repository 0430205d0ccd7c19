#include "objstore/directory_files.hpp"

#include <algorithm>
#include <utility>

#include "base/crc64.hpp"

namespace bop::objstore {
namespace {

constexpr std::size_t kChunkBytes = 1U << 20U;
constexpr std::size_t kMostKnownFolders = 10'000;

std::string parent_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::string etag_of(std::uint64_t bytes, std::uint64_t checksum) {
  return fmt::format("{:x}-{:016x}", bytes, checksum);
}

}  // namespace

Result<std::unique_ptr<ObjectDirectory>> ObjectDirectory::open(Disk& disk, const std::string& root,
                                                               Random& random) {
  auto directory = std::unique_ptr<ObjectDirectory>(new ObjectDirectory(disk, root, random));
  const std::string bodies = root + "/.tmp";
  BOP_TRY(disk.create_directories(bodies));
  BOP_TRY(disk.sync_directory(parent_of(root)));
  BOP_TRY(disk.sync_directory(root));
  BOP_LET(left, disk.list(bodies));
  // Another process that writes one of these just now makes it again.
  for (const std::string& name : left) {
    if (auto gone = disk.remove(bodies + "/" + name);
        !gone && gone.error().code() != ErrorCode::kFileNotFound) {
      return std::unexpected(std::move(gone).error());
    }
  }
  return directory;
}

RawFailure ObjectDirectory::failure_of(const Error& error) const {
  switch (error.code()) {
    case ErrorCode::kFileNotFound: return {RawKind::kNotFound, error.what(), {}};
    case ErrorCode::kDiskFull: return {RawKind::kDiskFull, error.what(), {}};
    case ErrorCode::kFileExists: return {RawKind::kRefused, error.what(), {}};
    default: return {RawKind::kServer, error.what(), {}};
  }
}

Result<std::string> ObjectDirectory::write_body(std::span<const std::byte> body) {
  const std::string path = fmt::format("{}/.tmp/{:016x}{:016x}", root_, random_.u64(), random_.u64());
  const auto write = [&]() -> Status {
    BOP_LET(file, disk_.open(path, OpenMode::kCreate));
    for (std::size_t at = 0; at < body.size(); at += kChunkBytes) {
      BOP_TRY(file->write_at(ByteOffset(at), body.subspan(at, std::min(kChunkBytes, body.size() - at))));
    }
    return file->sync();
  };
  if (Status written = write(); !written) {
    static_cast<void>(disk_.remove(path));  // else the next start does
    return std::unexpected(std::move(written).error());
  }
  return path;
}

RawResult<RawMeta> ObjectDirectory::put(const std::string& key, std::span<const std::byte> body,
                                        const PutCondition& condition) {
  if (condition.kind == PutCondition::Kind::kIfAbsent) {
    // Spares the body; what counts is asked under the lock.
    if (const auto there = disk_.exists(path_of(key)); there && *there) {
      return publish(key, {}, condition, {});
    }
  }
  auto path = write_body(body);
  if (!path) return std::unexpected(failure_of(path.error()));
  auto published = publish(key, *path, condition, {key, body.size(), etag_of(body.size(), crc64(0, body))});
  if (!published) static_cast<void>(disk_.remove(*path));  // fails where it was renamed
  return published;
}

RawResult<RawMeta> ObjectDirectory::publish(const std::string& key, const std::string& body,
                                            const PutCondition& condition, ObjectMeta meta) {
  const std::string path = path_of(key);
  const std::lock_guard guard(names_);
  const auto lock = disk_.lock(root_ + "/.lock");
  if (!lock) return std::unexpected(RawFailure{RawKind::kServer, lock.error().what(), {}});
  if (is_folder(path)) {
    return std::unexpected(
        RawFailure{RawKind::kRefused, fmt::format("\"{}\" is a folder of objects", path), {}});
  }
  if (condition.kind != PutCondition::Kind::kNone) {
    const bool if_match = condition.kind == PutCondition::Kind::kIfMatch;
    std::optional<std::string> etag;
    if (if_match) {
      auto there = look(key);
      if (!there) return std::unexpected(failure_of(there.error()));
      if (*there) etag = (*there)->etag;
    } else {
      const auto there = disk_.exists(path);
      if (!there) return std::unexpected(failure_of(there.error()));
      if (*there) etag = "";
    }
    if (if_match ? etag != condition.etag : etag.has_value()) {
      if (etag) {
        if (auto synced = disk_.sync_directory(parent_of(path)); !synced) {
          return std::unexpected(RawFailure{RawKind::kServer, synced.error().what(), {}});
        }
      }
      return std::unexpected(RawFailure{if_match ? RawKind::kNotMatched : RawKind::kTaken, {}, {}});
    }
  }
  // The object was there a moment ago, and is gone: the body has to be written after all.
  if (body.empty())
    return std::unexpected(RawFailure{RawKind::kConflict, "the object has just been removed", {}});
  const std::string folder = parent_of(path);
  if (auto made = make_folder(folder); !made) return std::unexpected(failure_of(made.error()));
  if (auto renamed = disk_.rename(body, path); !renamed) {
    // Not kNotFound: the body is what is missing, taken away by the start of another process.
    const bool full = renamed.error().code() == ErrorCode::kDiskFull;
    return std::unexpected(
        RawFailure{full ? RawKind::kDiskFull : RawKind::kServer, renamed.error().what(), {}});
  }
  if (auto synced = disk_.sync_directory(folder); !synced) {
    return std::unexpected(RawFailure{RawKind::kBroken, synced.error().what(), {}});
  }
  return RawMeta{std::move(meta), {}};
}

// A folder that another process made may not be durable, so all up to the root are synced once.
Status ObjectDirectory::make_folder(const std::string& folder) {
  if (made_folders_.contains(folder)) {
    // Somebody may have removed an empty one by hand.
    BOP_LET(there, disk_.exists(folder));
    if (there) return {};
  }
  BOP_TRY(disk_.create_directories(folder));
  for (std::string above = folder; above.size() > root_.size();) {
    above = parent_of(above);
    BOP_TRY(disk_.sync_directory(above));
  }
  if (made_folders_.size() >= kMostKnownFolders) made_folders_.clear();
  made_folders_.insert(folder);
  return {};
}

Result<std::optional<ObjectMeta>> ObjectDirectory::look(const std::string& key) {
  const std::string path = path_of(key);
  auto file = disk_.open(path, OpenMode::kRead);
  if (!file) {
    const auto there = disk_.exists(path);
    if (file.error().code() == ErrorCode::kFileNotFound || (there && !*there) || is_folder(path)) {
      return std::optional<ObjectMeta>();
    }
    return std::unexpected(std::move(file).error());
  }
  std::vector<std::byte> chunk(kChunkBytes);
  std::uint64_t bytes = 0, checksum = 0;
  while (true) {
    auto got = (*file)->read_at(ByteOffset(bytes), chunk);
    if (!got) {
      if (bytes == 0 && is_folder(path)) return std::optional<ObjectMeta>();
      return std::unexpected(std::move(got).error());
    }
    checksum = crc64(checksum, std::span(chunk).first(*got));
    bytes += *got;
    if (*got < chunk.size()) break;
  }
  return ObjectMeta{key, bytes, etag_of(bytes, checksum)};
}

RawResult<RawMeta> ObjectDirectory::head(const std::string& key) {
  auto found = look(key);
  if (!found) return std::unexpected(failure_of(found.error()));
  if (!*found) return std::unexpected(RawFailure{RawKind::kNotFound, {}, {}});
  if (auto synced = disk_.sync_directory(parent_of(path_of(key))); !synced) {
    return std::unexpected(RawFailure{RawKind::kServer, synced.error().what(), {}});
  }
  return RawMeta{std::move(**found), {}};
}

RawResult<std::vector<std::byte>> ObjectDirectory::get(const std::string& key,
                                                       const std::optional<Range>& range,
                                                       std::uint64_t most) {
  const std::string path = path_of(key);
  const auto not_found = [&](const Error& error) {
    const auto there = disk_.exists(path);
    const bool missing = (there && !*there) || is_folder(path);
    return std::unexpected(missing ? RawFailure{RawKind::kNotFound, {}, {}} : failure_of(error));
  };
  auto file = disk_.open(path, OpenMode::kRead);
  if (!file) return not_found(file.error());
  const auto size = (*file)->size();
  if (!size) return std::unexpected(failure_of(size.error()));
  const std::uint64_t from = range ? range->offset : 0;
  if (range && from >= *size) {
    return std::unexpected(
        RawFailure{RawKind::kRefused, fmt::format("the object has {} bytes, none from {}", *size, from), {}});
  }
  const std::uint64_t length = range ? std::min(range->bytes, *size - from) : *size;
  if (length > most) {
    return std::unexpected(
        RawFailure{RawKind::kTooLong,
                   fmt::format("the object has {} bytes, at most {} are read", *size, most),
                   {},
                   *size});
  }
  std::vector<std::byte> out(length);
  const auto got = (*file)->read_at(ByteOffset(from), out);
  if (!got) return not_found(got.error());
  if (*got != length) return std::unexpected(RawFailure{RawKind::kCut, "the file ends early", {}});
  return out;
}

RawResult<std::monostate> ObjectDirectory::remove(const std::string& key) {
  const std::string path = path_of(key);
  const std::lock_guard guard(names_);
  const auto lock = disk_.lock(root_ + "/.lock");
  if (!lock) return std::unexpected(RawFailure{RawKind::kServer, lock.error().what(), {}});
  if (is_folder(path)) return std::monostate{};
  const auto there = disk_.exists(path);
  if (!there) return std::unexpected(failure_of(there.error()));
  if (*there) {
    if (auto gone = disk_.remove(path); !gone && gone.error().code() != ErrorCode::kFileNotFound) {
      return std::unexpected(failure_of(gone.error()));
    }
  } else if (const auto folder = disk_.exists(parent_of(path)); !folder || !*folder) {
    return std::monostate{};
  }
  if (auto synced = disk_.sync_directory(parent_of(path)); !synced) {
    return std::unexpected(RawFailure{RawKind::kServer, synced.error().what(), {}});
  }
  return std::monostate{};
}

}  // namespace bop::objstore
