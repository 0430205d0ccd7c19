// The order (DESIGN.md): segments of the log are opened, manifests are read, pages are copied while the log
// is followed, the log is read to its end, small files, verification, label.
#include "backup/back_up.hpp"
#include "aof/key_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "backup/image_check.hpp"
#include "backup/log_copy.hpp"
#include "backup/log_keys.hpp"
#include "backup/page_copy.hpp"
#include "base/crc64.hpp"
#include "base/whole_file.hpp"
#include "rowstore/manifest.hpp"
#include "rowstore/vfs.hpp"

namespace bop::backup {

namespace {

// The log trims what was missed between two looks faster than this only with tiny segments.
constexpr int kBeginnings = 3;
constexpr std::array<std::string_view, 5> kNodeFiles{"format", "admin.password", "bop.toml", "tls.crt",
                                                     "tls.key"};
constexpr const char* kVerifyDirectory = "/verify.tmp";

class Backup {
 public:
  explicit Backup(const BackupOptions& options)
      : options_(options), disk_(*options.disk), directory_(options.directory) {}

  Result<BackupReport> run() {
    BOP_TRY(check_source());
    BOP_TRY(disk_.create_directories(directory_));
    auto lock = disk_.lock(directory_ + "/lock");
    if (!lock && lock.error().code() == ErrorCode::kLocked) {
      return fail(ErrorCode::kLocked, "another backup into {} is under way ({})", directory_,
                  lock.error().what());
    }
    if (!lock) return std::unexpected(lock.error());
    if (options_.verify) BOP_TRY(open_log_keys(disk_, options_.data_dir, options_.log_key));
    BOP_TRY(begin());
    if (report_.kind == BackupKind::kExtended) {
      BOP_TRY(end());
      return std::move(report_);
    }
    Status done = copy_all();
    // The node has trimmed what was not yet copied.
    for (int attempt = 1; attempt < kBeginnings && is_gap(done); ++attempt) {
      BOP_TRY(begin_new());
      done = copy_all();
    }
    if (!done) return std::unexpected(std::move(done).error());
    return std::move(report_);
  }

 private:
  Label& label() { return report_.label; }
  static bool is_gap(const Status& done) {
    return !done && done.error().code() == ErrorCode::kNotInPrerequisiteState;
  }
  Status copy_all() {
    BOP_TRY(copy_pages());
    return end();
  }

  Status check_source() {
    BOP_LET(is_node, disk_.exists(options_.data_dir + "/format"));
    if (!is_node) {
      return fail(ErrorCode::kFileNotFound, "{} is no data directory of a node: it has no file \"format\"",
                  options_.data_dir);
    }
    const std::string inside = options_.data_dir + "/";
    if (directory_ == options_.data_dir || directory_.starts_with(inside) ||
        options_.data_dir.starts_with(directory_ + "/")) {
      return fail(ErrorCode::kInvalidArgument, "the backup {} and the data directory {} lie in each other",
                  directory_, options_.data_dir);
    }
    return {};
  }

  // New, resumed or extended; `log_` is open behind what is there.
  Status begin() {
    BOP_LET(found, read_label(disk_, directory_));
    if (!found) {
      BOP_LET(names, disk_.list(directory_));
      for (const std::string& name : names) {
        if (name == "lock" || name == std::string(kLabelName) + ".new") continue;
        return std::unexpected(error(ErrorCode::kFileExists,
                                     "the directory {} is not empty (\"{}\") and holds no backup", directory_,
                                     name)
                                   .hint("Choose an empty or a new directory."));
      }
      return begin_new();
    }
    label() = std::move(*found);
    report_.kind = label().complete ? BackupKind::kExtended : BackupKind::kResumed;
    if (label().logs.empty()) return begin_new();
    log_.emplace(disk_, options_.data_dir + "/log", directory_);
    const Status resumed = log_->begin(label().logs);
    // The pages may hold what the node has lost.
    if (resumed && lost_some() && !label().complete) return begin_new();
    if (resumed) return {};
    const ErrorCode why = resumed.error().code();
    // What was begun and cannot be gone on with is begun anew.
    const bool useless = why == ErrorCode::kFileNotFound || why == ErrorCode::kCorrupt;
    if (why != ErrorCode::kNotInPrerequisiteState && !(useless && !label().complete)) return resumed;
    if (label().complete) {
      return std::unexpected(
          error(ErrorCode::kNotInPrerequisiteState,
                "the backup {} ends at CSN {}, and the node's log does not reach back to there: {}",
                directory_, label().end.value, resumed.error().what())
              .hint("It stays as it is. Take a new backup into another directory."));
    }
    return begin_new();
  }

  // The node came back without records that had been copied (it lost power, or an older copy of its directory
  // was put in its place), and they are older than the first state that the backup can restore.
  [[nodiscard]] bool lost_some() const {
    const Lsn behind = log_->voided_behind();
    return behind != Lsn(UINT64_MAX) && (!report_.label.complete || behind < report_.label.consistent);
  }

  // Segments first: what they hold from now on cannot be trimmed away from here, and a manifest that is read
  // later names a base that they reach back to.
  Status begin_new() {
    Status done;
    for (int attempt = 0; attempt < kBeginnings; ++attempt) {
      BOP_TRY(clear());
      log_.emplace(disk_, options_.data_dir + "/log", directory_);
      BOP_TRY(log_->begin({}));
      done = copy_manifests();
      if (done) return save(false);
      // Trimmed between two looks, or a database that was dropped while it was looked at.
      if (!is_gap(done) && done.error().code() != ErrorCode::kFileNotFound) return done;
    }
    return done;
  }

  // What an attempt before left behind, when it cannot be used.
  Status clear() {
    label() = Label();
    label().began_us = options_.clock->wall_us();
    report_.kind = BackupKind::kNew;
    BOP_TRY(write_label(disk_, directory_, label()));
    for (const char* name : {"/log", "/db", "/node"}) {
      BOP_TRY(disk_.create_directories(directory_ + name));
    }
    BOP_LET(segments, disk_.list(directory_ + "/log"));
    for (const std::string& name : segments) BOP_TRY(disk_.remove(directory_ + "/log/" + name));
    BOP_LET(databases, disk_.list(directory_ + "/db"));
    for (const std::string& name : databases) BOP_TRY(remove_directory(directory_ + "/db/" + name));
    return {};
  }

  Status remove_directory(const std::string& path) {
    BOP_LET(exists, disk_.exists(path));
    if (!exists) return {};
    BOP_LET(names, disk_.list(path));
    for (const std::string& name : names) BOP_TRY(disk_.remove(path + "/" + name));
    return disk_.remove(path);
  }

  Status copy_manifests() {
    BOP_LET(ids, databases_in(disk_, options_.data_dir));
    for (const DatabaseId id : ids) {
      std::vector<std::string> damaged;
      BOP_LET(manifest, rowstore::peek_manifest(disk_, database_path(options_.data_dir, id), id, damaged));
      // One that is being created: the log has it all.
      if (!manifest) continue;
      const std::string path = database_path(directory_, id);
      BOP_TRY(disk_.create_directories(path));
      BOP_TRY(rowstore::write_manifest(disk_, path, id, *manifest));
      label().databases.push_back({.id = id, .base = manifest->base});
      BOP_TRY(add_file(fmt::format("db/{}/manifest.{}", id.value, manifest->generation % 2)));
    }
    BOP_TRY(disk_.sync_directory(directory_ + "/db"));
    return disk_.sync_directory(directory_);
  }

  Status add_file(const std::string& name) {
    BOP_LET(text, read_file(disk_, directory_ + "/" + name));
    label().files.push_back({text.size(), crc64(0, text), name});
    return {};
  }

  // Durable, so that a run that is cut goes on from here.
  Status save(bool complete) {
    BOP_TRY(log_->sync());
    label().complete = complete;
    label().identity = log_->newest().identity;
    label().timeline = log_->newest().timeline;
    label().logs = log_->logs();
    since_label_ = 0;
    return write_label(disk_, directory_, label());
  }

  void tell(std::string_view phase) {
    if (!options_.progress) return;
    const std::uint64_t done = report_.copied_bytes + log_->copied_bytes();
    options_.progress(phase, done, std::max(done, total_pages_bytes_ + log_->copied_bytes()));
  }

  Status copy_pages() {
    for (const LabelDatabase& database : label().databases) {
      const auto file = disk_.open(
          database_path(options_.data_dir, database.id) + "/" + rowstore::kMainFileName, OpenMode::kRead);
      if (!file || database.done) continue;
      BOP_LET(size, (*file)->size());
      const std::uint64_t there = std::uint64_t{database.pages} * kPageBytes;
      total_pages_bytes_ += size - std::min(size, there);
    }
    std::vector<DatabaseId> dropped;
    for (LabelDatabase& database : label().databases) {
      if (database.done) continue;
      auto copy = PageCopy::open(disk_, options_.data_dir, directory_, database);
      if (!copy && copy.error().code() == ErrorCode::kFileNotFound) {
        dropped.push_back(database.id);
        continue;
      }
      if (!copy) return std::unexpected(copy.error());
      BOP_TRY(copy_database(*copy, database));
    }
    // Dropped meanwhile, so that what was copied may lack anything; the log says that it was dropped.
    BOP_LET(left, databases_in(disk_, options_.data_dir));
    for (const LabelDatabase& database : label().databases) {
      if (std::ranges::find(left, database.id) == left.end()) dropped.push_back(database.id);
    }
    for (const DatabaseId id : dropped) BOP_TRY(forget(id));
    return {};
  }

  Status copy_database(PageCopy& copy, LabelDatabase& state) {
    for (bool more = true; more;) {
      const std::uint32_t before = copy.state().pages;
      BOP_LET(again, copy.step());
      more = again;
      const std::uint64_t bytes = std::uint64_t{copy.state().pages - before} * kPageBytes;
      report_.copied_bytes += bytes;
      since_label_ += bytes;
      BOP_TRY(log_->step());
      tell("pages");
      if (more && since_label_ < options_.label_bytes) continue;
      BOP_TRY(copy.sync());
      BOP_TRY(disk_.sync_directory(database_path(directory_, state.id)));
      state = copy.state();
      BOP_TRY(save(false));
    }
    return {};
  }

  Status forget(DatabaseId id) {
    std::erase_if(label().databases, [&](const LabelDatabase& database) { return database.id == id; });
    const std::string prefix = fmt::format("db/{}/", id.value);
    std::erase_if(label().files, [&](const LabelFile& file) { return file.name.starts_with(prefix); });
    BOP_TRY(save(false));
    return remove_directory(database_path(directory_, id));
  }

  // Nothing of the label changes before everything that it will say is there.
  Status end() {
    const bool extends = report_.kind == BackupKind::kExtended;
    const std::int64_t taken_us = options_.clock->wall_us();
    BOP_TRY(log_->finish());
    tell("log");
    if (lost_some()) {
      if (!extends) BOP_TRY(write_label(disk_, directory_, Label()));
      return std::unexpected(
          error(ErrorCode::kNotInPrerequisiteState,
                "the node's log goes on behind CSN {}, and the backup {} holds pages that are newer",
                log_->voided_behind().value, directory_)
              .hint(extends ? "It stays as it is. Take a new backup into another directory."
                            : "Run it again: it begins anew."));
    }
    if (!extends) {
      BOP_TRY(save(false));
      BOP_TRY(copy_node_files());
    }
    BOP_TRY(copy_log_keys());
    BOP_TRY(log_->sync());
    LogScanOptions scan{.disk = &disk_, .exact = true};
    for (const LabelLog& log : log_->logs())
      scan.pieces.push_back({log_path(directory_, log.number), log.bytes});
    BOP_LET(log, scan_log(scan, [](const aof::RecordView&) { return Status{}; }));
    label().end = log.last.index;
    label().end_us = log.last_us;
    label().taken_us = std::max(taken_us, log.last_us);
    if (!extends) {
      label().consistent = log.last.index;
      label().consistent_us = log.last_us;
    }
    if (options_.verify) BOP_TRY(verify(scan.pieces));
    report_.copied_bytes += log_->copied_bytes();
    return save(true);
  }

  Status copy_node_files() {
    for (const std::string_view name : kNodeFiles) {
      auto text = read_file(disk_, fmt::format("{}/{}", options_.data_dir, name));
      if (!text && text.error().code() == ErrorCode::kFileNotFound) continue;
      if (!text) return std::unexpected(text.error());
      const std::string stored = fmt::format("node/{}", name);
      BOP_TRY(write_whole_file(disk_, directory_ + "/node", name, *text));
      std::erase_if(label().files, [&](const LabelFile& file) { return file.name == stored; });
      label().files.push_back({text->size(), crc64(0, *text), stored});
    }
    return {};
  }

  // After the log: the node's keys hold all that it needs. Under the name that the label does not have, so
  // that a backup which is extended is whole at every moment; each of the two names is enough for a node.
  Status copy_log_keys() {
    BOP_LET(keys, aof::read_key_files(disk_, options_.data_dir));
    if (!keys) return {};
    const auto stored_as = [](std::string_view name) { return fmt::format("node/{}", name); };
    const bool takes_second = std::ranges::find(label().files, stored_as(aof::kKeyFileNames[0]),
                                                &LabelFile::name) != label().files.end();
    const std::string_view name = aof::kKeyFileNames[takes_second ? 1 : 0];
    const std::string text(reinterpret_cast<const char*>(keys->bytes.data()), keys->bytes.size());
    BOP_TRY(disk_.create_directories(directory_ + "/node"));
    BOP_TRY(write_whole_file(disk_, directory_ + "/node", name, text));
    std::erase_if(label().files,
                  [&](const LabelFile& file) { return file.name.starts_with(stored_as("keys.")); });
    label().files.push_back({text.size(), crc64(0, text), stored_as(name)});
    return {};
  }

  Status verify(const std::vector<LogPiece>& pieces) {
    const std::string scratch = directory_ + kVerifyDirectory;
    BOP_TRY(disk_.create_directories(scratch));
    BOP_LET(keys, open_log_keys(disk_, options_.data_dir, options_.log_key));
    ImageCheckOptions check{
        .disk = &disk_, .root = directory_, .pieces = pieces, .keys = keys, .scratch_dir = scratch};
    check.progress = [this](std::uint64_t done, std::uint64_t total) {
      if (options_.progress) options_.progress("verify", done * kPageBytes, total * kPageBytes);
    };
    BOP_LET(found, check_images(check));
    BOP_TRY(remove_directory(scratch));
    report_.verified_pages = found.pages;
    if (found.problems.empty()) return {};
    // Whatever is wrong may be made good in the node's files: nothing of this attempt is used again.
    if (report_.kind != BackupKind::kExtended) {
      BOP_TRY(write_label(disk_, directory_, Label()));
    }
    return std::unexpected(error(ErrorCode::kCorrupt, "the backup is not sound: {}{}", found.problems[0].what,
                                 found.problems.size() == 1
                                     ? std::string()
                                     : fmt::format(", and {} more", found.problems.size() - 1))
                               .hint("\"bop verify\" of the data directory says what is damaged there."));
  }

  const BackupOptions& options_;
  Disk& disk_;
  const std::string directory_;
  std::optional<LogCopy> log_;
  BackupReport report_;
  std::uint64_t since_label_ = 0;
  std::uint64_t total_pages_bytes_ = 0;
};

}  // namespace

Result<BackupReport> back_up(const BackupOptions& options) { return Backup(options).run(); }

}  // namespace bop::backup
