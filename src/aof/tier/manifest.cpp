#include "aof/tier/manifest.hpp"

#include <algorithm>
#include <utility>

#include "aof/record.hpp"
#include "base/assert.hpp"

namespace bop::aof {

namespace {

constexpr std::uint64_t kFiles = 2;
constexpr const char* kTemporarySuffix = ".new";
// A rotation that cannot make its file longer still leaves room for so many bytes of appends.
constexpr std::uint64_t kLeastRoom = 64U << 10U;
constexpr std::uint64_t kSnapshotsInFile = 4;

Error damaged(const std::string& path, std::uint64_t at) {
  return error(ErrorCode::kCorrupt, "{}: the manifest is damaged at byte {}", path, at)
      .hint("Nothing was changed. It can be made anew from the segments and the archive (repair_manifest).");
}

Error damaged_header(const std::string& path) {
  return error(ErrorCode::kCorrupt, "{}: the manifest's header (bytes 0 and 4096) is damaged", path)
      .hint("Nothing was changed. It can be made anew from the segments and the archive (repair_manifest).");
}

Result<std::vector<ManifestRecord>> records_of(const FoundWrite& found, const std::string& path) {
  const std::string where = fmt::format("{} at byte {}", path, found.offset);
  BOP_LET(records, decode_records(found.write.records, where));
  if (records.size() != found.write.count) {
    return fail(ErrorCode::kCorrupt, "{}: {} records where {} are told", where, records.size(),
                found.write.count);
  }
  return records;
}

Result<ManifestState> snapshot_of(const ManifestScan& scan) {
  std::vector<ManifestRecord> all;
  for (const FoundWrite& write : scan.snapshot) {
    BOP_LET(records, records_of(write, scan.path));
    all.insert(all.end(), std::make_move_iterator(records.begin()), std::make_move_iterator(records.end()));
  }
  const auto* begin = all.empty() ? nullptr : std::get_if<SnapshotBeginRecord>(&all.front());
  const auto* end = all.empty() ? nullptr : std::get_if<SnapshotEndRecord>(&all.back());
  if (begin == nullptr || end == nullptr || begin->sequence != scan.header.sequence ||
      end->sequence != scan.header.sequence || begin->records + 2 != all.size()) {
    return fail(ErrorCode::kCorrupt, "{}: the snapshot is not whole", scan.path);
  }
  all.pop_back();
  all.erase(all.begin());
  BOP_LET(state, state_of(all, scan.path));
  if (state.identity() != scan.header.identity) {
    return fail(ErrorCode::kCorrupt, "{}: the snapshot is of another stream than the header", scan.path);
  }
  return state;
}

Status replay(const ManifestScan& scan, ManifestState& state) {
  for (const FoundWrite& write : scan.live) {
    BOP_LET(records, records_of(write, scan.path));
    for (const ManifestRecord& record : records) {
      if (auto fits = state.check(record); !fits.has_value()) {
        return fail(ErrorCode::kCorrupt, "{} at byte {}: a record ({}) does not fit: {}", scan.path,
                    write.offset, name_of(record), fits.error().what());
      }
      state.apply(record);
    }
  }
  return {};
}

// The state at the end of a file that is complete by itself.
Result<ManifestState> whole_state_of(const ManifestScan& scan) {
  if (!scan.snapshot_whole) return std::unexpected(damaged(scan.path, kManifestHeaderEnd));
  if (scan.damage_at.has_value()) return std::unexpected(damaged(scan.path, *scan.damage_at));
  BOP_LET(state, snapshot_of(scan));
  BOP_TRY(replay(scan, state));
  return state;
}

Status check_header(const ManifestScan& scan, const std::string& name) {
  if (scan.state == ManifestScan::State::kTooNew) {
    return fail(ErrorCode::kFormatTooNew, "{}: the manifest was written by a newer version", scan.path);
  }
  if (scan.state == ManifestScan::State::kValid && manifest_name(scan.header.generation) != name) {
    return fail(ErrorCode::kCorrupt, "{}: holds generation {}, it was renamed", scan.path,
                scan.header.generation);
  }
  return {};
}

}  // namespace

Result<LoadedManifest> load_manifest(Disk& disk, const std::string& directory) {
  std::array<ManifestScan, kFiles> scans;
  for (std::uint64_t i = 0; i < kFiles; ++i) {
    const std::string name = manifest_name(i + 1);
    BOP_LET(scan, scan_manifest(disk, directory + "/" + name));
    BOP_TRY(check_header(scan, name));
    scans[i] = std::move(scan);
  }
  const auto valid = [](const ManifestScan& scan) { return scan.state == ManifestScan::State::kValid; };
  if (!valid(scans[0]) && !valid(scans[1])) {
    for (const ManifestScan& scan : scans) {
      if (scan.state == ManifestScan::State::kNoHeader) return std::unexpected(damaged_header(scan.path));
    }
    return fail(ErrorCode::kFileNotFound, "{} holds no manifest", directory);
  }
  const bool b_is_newest =
      valid(scans[1]) && (!valid(scans[0]) || scans[1].header.generation > scans[0].header.generation);
  LoadedManifest out;
  out.newest = std::move(scans[b_is_newest ? 1 : 0]);
  out.other = std::move(scans[b_is_newest ? 0 : 1]);
  const ManifestScan& newest = out.newest;
  const ManifestScan& other = out.other;
  // Whoever was superseded has a successor that was valid.
  if (newest.superseded_by.has_value()) return std::unexpected(damaged_header(other.path));
  if (valid(other) && other.header.identity != newest.header.identity) {
    return fail(ErrorCode::kCorrupt, "{} and {} are of different streams", other.path, newest.path);
  }
  if (newest.damage_at.has_value()) return std::unexpected(damaged(newest.path, *newest.damage_at));
  if (newest.snapshot_whole) {
    BOP_LET(state, snapshot_of(newest));
    out.state = std::move(state);
  } else {
    const bool same = valid(other) && other.header.generation + 1 == newest.header.generation &&
                      other.next_sequence == newest.header.sequence + 1;
    auto state = same ? whole_state_of(other) : std::unexpected(damaged(newest.path, kManifestHeaderEnd));
    if (!state.has_value()) return std::unexpected(damaged(newest.path, kManifestHeaderEnd));
    out.state = std::move(*state);
    out.snapshot_from_other = true;
  }
  BOP_TRY(replay(newest, out.state));
  out.sequence = newest.next_sequence - 1;
  out.damaged_copies = newest.damaged_copies;
  out.torn_tail = newest.torn_tail;
  return out;
}

std::string Manifest::path_of(std::uint64_t generation) const {
  return directory_ + "/" + manifest_name(generation);
}

std::vector<std::byte> Manifest::encode_snapshot(std::uint64_t generation, ManifestHeader& header) const {
  std::vector<ManifestRecord> records = state_.records();
  const std::uint64_t count = records.size();
  records.insert(records.begin(), SnapshotBeginRecord{count, sequence_});
  records.emplace_back(SnapshotEndRecord{sequence_});
  header = {state_.identity(), generation, sequence_, kManifestHeaderEnd, first_link(state_.identity())};
  std::vector<std::byte> out;
  ManifestWrite write{WriteFlag::kSnapshot, generation, sequence_, 0, 0, {}};
  const auto flush = [&] {
    if (write.count == 0) return;
    write.previous = header.snapshot_link;
    const auto bytes =
        encode_manifest_write(write, header.identity, header.snapshot_end, header.snapshot_link);
    out.insert(out.end(), bytes.begin(), bytes.end());
    header.snapshot_end += bytes.size();
    write.records.clear();
    write.count = 0;
  };
  for (const ManifestRecord& record : records) {
    std::vector<std::byte> bytes;
    encode(record, bytes);
    if (write.records.size() + bytes.size() > kMostWriteRecordBytes) flush();
    write.records.insert(write.records.end(), bytes.begin(), bytes.end());
    ++write.count;
  }
  flush();
  return out;
}

Status Manifest::make_room(File& file, std::uint64_t snapshot_end) {
  const std::uint64_t wanted = std::max(options_.least_bytes, kSnapshotsInFile * snapshot_end);
  BOP_LET(size, file.size());
  if (size >= wanted) return {};
  Status longer = file.prewrite(size, align_up(wanted, kDiskBlockBytes));
  if (longer.has_value()) longer = file.sync();
  if (!longer.has_value() && longer.error().code() == ErrorCode::kDiskFull &&
      size >= snapshot_end + kLeastRoom) {
    return {};
  }
  return longer;
}

Status Manifest::write_file(File& file, const ManifestHeader& header, std::span<const std::byte> snapshot) {
  // What stood there must not become valid again by half of this.
  const std::vector<std::byte> zeros(kManifestHeaderEnd);
  BOP_TRY(file.write_at(ByteOffset(0), zeros));
  BOP_TRY(file.sync());
  BOP_TRY(make_room(file, header.snapshot_end));
  BOP_TRY(file.write_at(ByteOffset(kManifestHeaderEnd), snapshot));
  BOP_TRY(file.sync());
  Status valid = file.write_at(ByteOffset(0), encode_manifest_header(header));
  if (valid.has_value()) valid = file.sync();
  if (valid.has_value() || valid.error().code() != ErrorCode::kDiskFull) return valid;
  // It may be there, and would hide what is appended to the older file from now on.
  BOP_TRY(file.write_at(ByteOffset(0), zeros));
  BOP_TRY(file.sync());
  return valid;
}

Result<std::unique_ptr<Manifest>> Manifest::create(Disk& disk, const std::string& directory,
                                                   const ManifestState& state, Options options) {
  std::unique_ptr<Manifest> manifest(new Manifest(disk, directory, options));
  manifest->state_ = state;
  manifest->generation_ = 1;
  for (std::uint64_t generation = 1; generation <= kFiles; ++generation) {
    const std::string path = manifest->path_of(generation);
    BOP_LET(there, disk.exists(path));
    if (there) return fail(ErrorCode::kFileExists, "{}: there is a manifest already", path);
  }
  const std::string path = manifest->path_of(1);
  BOP_LET(file, disk.open(path + kTemporarySuffix, OpenMode::kOpenOrCreate));
  ManifestHeader header;
  const auto snapshot = manifest->encode_snapshot(1, header);
  BOP_TRY(manifest->write_file(*file, header, snapshot));
  BOP_TRY(disk.rename(path + kTemporarySuffix, path));
  BOP_TRY(disk.sync_directory(directory));
  // The second file takes its room now, so that the first rotation needs none.
  BOP_LET(second, disk.open(manifest->path_of(2), OpenMode::kCreate));
  BOP_TRY(manifest->make_room(*second, header.snapshot_end));
  BOP_TRY(disk.sync_directory(directory));
  return open(disk, directory, state.identity(), options);
}

Result<std::unique_ptr<Manifest>> Manifest::open(Disk& disk, const std::string& directory,
                                                 const StreamIdentity& identity, Options options) {
  std::unique_ptr<Manifest> manifest(new Manifest(disk, directory, options));
  BOP_LET(loaded, load_manifest(disk, directory));
  if (loaded.state.identity() != identity) {
    return std::unexpected(
        error(ErrorCode::kConfigInvalid, "{} belongs to the log {}, and the segments here are of {}",
              loaded.newest.path, print_identity(loaded.state.identity()), print_identity(identity))
            .hint("Put the manifest of this log back, or make it anew from them (repair_manifest)."));
  }
  Manifest& m = *manifest;
  BOP_LET(file, disk.open(loaded.newest.path, OpenMode::kReadWrite));
  // What was read may not have been on the disk yet when the process before us died.
  BOP_TRY(file->sync());
  BOP_TRY(disk.sync_directory(directory));
  m.file_ = std::move(file);
  m.state_ = std::move(loaded.state);
  m.sequence_ = loaded.sequence;
  m.generation_ = loaded.newest.header.generation;
  m.file_bytes_ = loaded.newest.file_bytes;
  m.end_ = loaded.newest.end;
  m.link_ = loaded.newest.link;
  m.damaged_copies_ = loaded.damaged_copies + (loaded.snapshot_from_other ? 1 : 0);
  m.snapshot_from_other_ = loaded.snapshot_from_other;
  const ManifestScan& other = loaded.other;
  if (other.state == ManifestScan::State::kValid && !other.superseded_by.has_value()) {
    m.unmarked_ = Unmarked{other.header.generation, other.end, other.link};
  }
  return manifest;
}

Status Manifest::poison(Error error) {
  failure_ = Error(ErrorCode::kPoisoned,
                   fmt::format("the manifest in {} takes no more records since a write failed: {}",
                               directory_, error.what()));
  return std::unexpected(std::move(error));
}

Status Manifest::mark_superseded(File& file, std::uint64_t at, std::uint64_t link, std::uint64_t generation,
                                 std::uint64_t by) {
  const ManifestWrite mark{WriteFlag::kSuperseded, generation, by, link, 0, {}};
  std::uint64_t ignored = 0;
  BOP_TRY(file.write_at(ByteOffset(at), encode_manifest_write(mark, state_.identity(), at, ignored)));
  return file.sync();
}

Status Manifest::append(std::span<const ManifestRecord> records) {
  if (failure_.has_value()) return std::unexpected(*failure_);
  if (records.empty()) return {};
  ManifestState after;
  const bool several = records.size() > 1;
  if (several) {
    after = state_;
    for (const ManifestRecord& record : records) {
      BOP_TRY(after.check(record));
      after.apply(record);
    }
  } else {
    BOP_TRY(state_.check(records.front()));
  }
  ManifestWrite write{WriteFlag::kLive, generation_, 0, 0, 0, {}};
  for (const ManifestRecord& record : records) encode(record, write.records);
  if (write.records.size() > kMostWriteRecordBytes) {
    return fail(ErrorCode::kInvalidArgument, "{} bytes of manifest records at once, and {} are the most",
                write.records.size(), kMostWriteRecordBytes);
  }
  const std::uint64_t needed = 2 * align_up(kWriteHead + write.records.size(), kDiskBlockBytes);
  // One write's room is left for the mark at the end.
  if (damaged_copies_ != 0 || end_ + needed + 2 * kDiskBlockBytes > file_bytes_) BOP_TRY(rotate());
  if (unmarked_.has_value()) {
    // A rotation that a crash cut short of its last step.
    BOP_LET(older, disk_->open(path_of(unmarked_->generation), OpenMode::kReadWrite));
    if (auto marked =
            mark_superseded(*older, unmarked_->at, unmarked_->link, unmarked_->generation, generation_);
        !marked.has_value()) {
      if (marked.error().code() == ErrorCode::kDiskFull) return marked;
      return poison(std::move(marked).error());
    }
    unmarked_.reset();
  }
  write.generation = generation_;
  write.sequence = sequence_ + 1;
  write.previous = link_;
  write.count = static_cast<std::uint32_t>(records.size());
  std::uint64_t link = 0;
  const auto bytes = encode_manifest_write(write, state_.identity(), end_, link);
  BOP_ASSERT(bytes.size() == needed);
  if (auto written = file_->write_at(ByteOffset(end_), bytes); !written.has_value()) {
    if (written.error().code() == ErrorCode::kDiskFull) return written;
    return poison(std::move(written).error());
  }
  if (auto synced = file_->sync(); !synced.has_value()) return poison(std::move(synced).error());
  end_ += bytes.size();
  link_ = link;
  sequence_ += records.size();
  if (several) {
    state_ = std::move(after);
  } else {
    state_.apply(records.front());
  }
  return {};
}

Status Manifest::rotate() {
  if (failure_.has_value()) return std::unexpected(*failure_);
  const std::uint64_t next = generation_ + 1;
  ManifestHeader header;
  const auto snapshot = encode_snapshot(next, header);
  // The file so far stays what it is until the new one is whole: an error up to there changes nothing. Where
  // its own snapshot is lost, the older file stays as well, which has the only one: the new one is made
  // beside both.
  const std::string path = path_of(next) + (snapshot_from_other_ ? kTemporarySuffix : "");
  BOP_LET(file, disk_->open(path, OpenMode::kOpenOrCreate));
  BOP_TRY(disk_->sync_directory(directory_));
  if (auto written = write_file(*file, header, snapshot); !written.has_value()) {
    // A header whose write or sync failed may be valid: it would hide what is appended to the older file.
    if (written.error().code() == ErrorCode::kDiskFull) return written;
    return poison(std::move(written).error());
  }
  if (snapshot_from_other_) {
    Status renamed = disk_->rename(path, path_of(next));
    if (renamed.has_value()) renamed = disk_->sync_directory(directory_);
    if (!renamed.has_value()) return poison(std::move(renamed).error());
    BOP_LET(whole, disk_->open(path_of(next), OpenMode::kReadWrite));
    file = std::move(whole);
    snapshot_from_other_ = false;
  }
  BOP_LET(bytes, file->size());
  unmarked_ = Unmarked{generation_, end_, link_};
  const auto older = std::exchange(file_, std::move(file));
  generation_ = next;
  file_bytes_ = bytes;
  end_ = header.snapshot_end;
  link_ = header.snapshot_link;
  damaged_copies_ = 0;
  if (auto marked = mark_superseded(*older, unmarked_->at, unmarked_->link, unmarked_->generation, next);
      !marked.has_value()) {
    if (marked.error().code() == ErrorCode::kDiskFull) return marked;
    return poison(std::move(marked).error());
  }
  unmarked_.reset();
  return {};
}

Result<std::vector<ManifestEntry>> Manifest::read_from(std::uint64_t position, std::size_t most) const {
  std::vector<ManifestEntry> out;
  if (position > sequence_) {
    return fail(ErrorCode::kNotInPrerequisiteState, "the manifest ends at {}, {} lies ahead", sequence_,
                position);
  }
  if (position == sequence_) return out;
  bool has_hole = false;
  for (const std::uint64_t generation : {generation_ - 1, generation_}) {
    if (generation == 0) continue;
    BOP_LET(scan, scan_manifest(*disk_, path_of(generation)));
    if (scan.state != ManifestScan::State::kValid || scan.header.generation != generation) continue;
    for (const FoundWrite& write : scan.live) {
      if (write.write.sequence + write.write.count <= position + 1) continue;
      BOP_LET(records, records_of(write, scan.path));
      for (std::size_t i = 0; i < records.size() && out.size() < most; ++i) {
        const std::uint64_t sequence = write.write.sequence + i;
        if (sequence <= position || sequence > sequence_) continue;
        // What both copies of a write have lost is a hole: whoever follows takes the state instead.
        has_hole = has_hole || sequence != position + 1 + out.size();
        out.push_back({sequence, std::move(records[i])});
      }
    }
  }
  if (has_hole || out.empty()) {
    return fail(ErrorCode::kNotInPrerequisiteState,
                "the manifest's records after {} are not all there any more: take its state at {}", position,
                sequence_);
  }
  return out;
}

}  // namespace bop::aof
