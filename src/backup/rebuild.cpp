#include "backup/rebuild.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/crc64.hpp"
#include "database/sequences.hpp"
#include "rowstore/manifest.hpp"
#include "rowstore/page_applier.hpp"
#include "rowstore/page_file.hpp"
#include "rowstore/vfs.hpp"

namespace bop::backup {

namespace {

constexpr std::size_t kCopyBytes = 1U << 20U;

// Nothing of it is used unless all of it is as the label says.
Status copy_checked(Disk& disk, const std::string& from, const std::string& to,
                    const LabelDatabase& database) {
  BOP_LET(source, disk.open(from, OpenMode::kRead));
  BOP_LET(target, disk.open(to, OpenMode::kOpenOrCreate));
  BOP_TRY(target->truncate(0));
  std::vector<std::byte> buffer(kCopyBytes);
  std::uint64_t sum = 0;
  const std::uint64_t bytes = std::uint64_t{database.pages} * kPageBytes;
  for (std::uint64_t at = 0; at < bytes;) {
    const auto part =
        std::span(buffer).first(static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), bytes - at)));
    BOP_LET(got, source->read_at(ByteOffset(at), part));
    if (got < part.size()) return fail(ErrorCode::kCorrupt, "{} is shorter than its backup says", from);
    sum = crc64(sum, part);
    BOP_TRY(target->write_at(ByteOffset(at), part));
    at += got;
  }
  if (sum != database.checksum) return fail(ErrorCode::kCorrupt, "{} does not match its checksum", from);
  return {};
}

}  // namespace

Result<Lsn> rebuild_database(const RebuildOptions& options) {
  Disk& disk = *options.disk;
  const DatabaseId id = options.database.id;
  const std::string from = database_path(options.backup, id);
  const std::string to = database_path(options.data_dir, id);
  const std::string name = std::string("/") + rowstore::kMainFileName;
  const std::string draft = to + name + ".new";
  std::vector<std::string> damaged;
  BOP_LET(manifest, rowstore::peek_manifest(disk, from, id, damaged));
  if (!manifest) return fail(ErrorCode::kCorrupt, "{} holds no valid manifest", from);
  BOP_TRY(copy_checked(disk, from + name, draft, options.database));
  BOP_LET(file, rowstore::PageFile::open(disk, draft, id));
  if (manifest->base == Lsn()) {
    std::array<std::byte, kPageBytes> first;
    rowstore::make_first_page(first);
    BOP_TRY(file->resize(0));
    BOP_TRY(file->write(PageNo(1), first));
  }

  rowstore::PageApplier applier(*file, id, manifest->last_commit, manifest->pages);
  database::Sequences sequences(nullptr);
  sequences.restore(manifest->sequences);
  Lsn last = manifest->base;
  const auto follow = [&](const aof::RecordView& record) -> Status {
    if (!aof::is_entry(record.kind) || record.database != id || record.lsn <= manifest->base) return {};
    if (record.database_previous.index != last) {
      return fail(ErrorCode::kCorrupt,
                  "record {} of database {} follows record {}, but {} is the newest here", record.lsn.value,
                  id.value, record.database_previous.index.value, last.value);
    }
    last = record.lsn;
    if (record.kind == aof::RecordKind::kSequence) return sequences.replay(record.payload);
    return applier.apply({record.lsn, record.database_previous.index, record.kind, record.payload});
  };
  BOP_LET(
      end,
      scan_log(
          {.disk = &disk, .pieces = options.pieces, .exact = true, .payloads = true, .keys = options.keys},
          follow));
  if (end.first.index > manifest->base) {
    return fail(ErrorCode::kCorrupt, "the log begins behind CSN {}, the base of {}", manifest->base.value,
                from);
  }
  BOP_TRY(applier.finish());
  BOP_TRY(file->verify());
  BOP_TRY(file->sync());

  BOP_LET(names, disk.list(to));
  for (const std::string& old : names) {
    if (to + "/" + old == draft) continue;
    BOP_TRY(disk.rename(to + "/" + old, fmt::format("{}/database-{}-{}", options.aside, id.value, old)));
  }
  BOP_TRY(disk.sync_directory(options.aside));
  BOP_TRY(disk.rename(draft, to + name));
  BOP_TRY(disk.sync_directory(to));
  // An odd one: cut while it is written, it is not taken for the first of a new database.
  manifest->generation += manifest->generation % 2 == 0 ? 1 : 2;
  manifest->timeline = end.header.timeline;
  manifest->pages = applier.pages();
  manifest->base = last;
  manifest->last_commit = applier.last_commit();
  manifest->sequences = sequences.save();
  BOP_TRY(rowstore::write_manifest(disk, to, id, *manifest));
  return last;
}

}  // namespace bop::backup
