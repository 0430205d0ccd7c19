#include "backup/repair.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>

#include "aof/segment_walk.hpp"
#include "aof/stream_files.hpp"
#include "backup/label.hpp"
#include "backup/log_keys.hpp"
#include "backup/page_history.hpp"
#include "backup/rebuild.hpp"
#include "rowstore/manifest.hpp"
#include "rowstore/page_file.hpp"
#include "rowstore/vfs.hpp"

namespace bop::backup {

namespace {

constexpr const char* kDamagedDirectory = "/damaged";

Status ignore(const aof::RecordView&) { return {}; }

class Repair {
 public:
  explicit Repair(const RepairOptions& options)
      : options_(options), disk_(*options.verify.disk), root_(options.verify.path) {}

  Result<VerifyReport> run() {
    BOP_LET(is_node, disk_.exists(root_ + "/format"));
    if (!is_node) {
      return fail(ErrorCode::kInvalidArgument, "{} is no data directory of a node: nothing else is repaired",
                  root_);
    }
    BOP_TRY(lock());
    if (!options_.backup.empty()) BOP_TRY(read_backup());
    BOP_LET(before, verify(options_.verify));
    const bool log_damaged = has(before, FindingKind::kLog);
    if (log_damaged && label_) {
      BOP_TRY(repair_log());
      BOP_LET(now, verify(options_.verify));
      // Pages that the log makes good again need no repair.
      if (!has(now, FindingKind::kLog)) {
        note_log(before);
        before = std::move(now);
      }
    }
    if (has(before, FindingKind::kLog)) return before;
    BOP_TRY(repair_pages(before));
    BOP_TRY(repair_manifests(before));
    if (label_) BOP_TRY(rebuild(before));
    if (repaired_.empty()) return before;
    BOP_LET(after, verify(options_.verify));
    after.findings.insert(after.findings.begin(), repaired_.begin(), repaired_.end());
    return after;
  }

 private:
  static bool has(const VerifyReport& report, FindingKind kind) {
    return std::ranges::any_of(report.findings, [&](const Finding& finding) {
      return finding.kind == kind && finding.state == FindingState::kDamaged;
    });
  }

  Status lock() {
    for (const char* name : {"/lock", "/log/lock"}) {
      auto held = disk_.lock(root_ + name);
      if (!held && held.error().code() == ErrorCode::kLocked) {
        return std::unexpected(
            error(ErrorCode::kLocked, "a node runs on {} ({})", root_, held.error().what())
                .hint("Stop it first; \"bop verify\" without --repair may run beside it."));
      }
      if (!held) return std::unexpected(held.error());
      locks_.push_back(std::move(*held));
    }
    return {};
  }

  Status read_backup() {
    BOP_LET(label, read_label(disk_, options_.backup));
    if (!label || !label->complete) {
      return fail(ErrorCode::kInvalidArgument, "{} holds no complete backup", options_.backup);
    }
    label_ = std::move(*label);
    return {};
  }

  // The bytes that are there now, before others take their place.
  Status keep(const std::string& name, std::span<const std::byte> bytes) {
    const std::string directory = root_ + kDamagedDirectory;
    BOP_TRY(disk_.create_directories(directory));
    BOP_LET(file, disk_.open(directory + "/" + name, OpenMode::kOpenOrCreate));
    BOP_TRY(file->truncate(0));
    BOP_TRY(file->write_at(ByteOffset(0), bytes));
    BOP_TRY(file->sync());
    return disk_.sync_directory(directory);
  }

  // --- the log ---

  Status repair_log() {
    BOP_LET(names, disk_.list(root_ + "/log"));
    std::uint64_t oldest = UINT64_MAX;
    for (const std::string& name : names) {
      if (const auto number = aof::segment_number(name)) oldest = std::min(oldest, *number);
    }
    for (const LabelLog& log : label_->logs) {
      if (log.number < oldest) continue;
      BOP_TRY(repair_segment(log));
    }
    return disk_.sync_directory(root_ + "/log");
  }

  // Of the bytes that the backup has, and vouches for.
  Status repair_segment(const LabelLog& log) {
    const std::string from = log_path(options_.backup, log.number);
    if (!scan_log({.disk = &disk_, .pieces = {{from, log.bytes}}, .exact = true}, ignore)) return {};
    BOP_LET(source, disk_.open(from, OpenMode::kRead));
    BOP_LET(header, read_header(*source));
    const std::string path = log_path(root_, log.number);
    BOP_LET(exists, disk_.exists(path));
    BOP_LET(target, disk_.open(path, OpenMode::kOpenOrCreate));
    const auto own = read_header(*target);
    if (own && (own->seed != header.seed || own->identity != header.identity)) return {};
    std::uint64_t at = 0;
    if (own) {
      aof::SegmentWalk walk(*target, header, {.last = header.previous, .limit = log.bytes});
      while (walk.next()) {
      }
      at = walk.complete_end();
    }
    if (at >= log.bytes) return {};
    std::vector<std::byte> bytes(static_cast<std::size_t>(log.bytes - at));
    if (exists) {
      const auto got = target->read_at(ByteOffset(at), bytes);
      if (got)
        BOP_TRY(keep(fmt::format("{}-{}", aof::segment_name(log.number), at), std::span(bytes).first(*got)));
    }
    BOP_TRY(source->read_at(ByteOffset(at), bytes));
    BOP_TRY(target->write_at(ByteOffset(at), bytes));
    BOP_LET(size, target->size());
    if (size < header.bytes) BOP_TRY(target->truncate(header.bytes));
    BOP_TRY(target->sync());
    log_repairs_.push_back(
        {.state = FindingState::kRepaired,
         .kind = FindingKind::kLog,
         .file = path,
         .what = fmt::format("bytes {} to {} of {} were written anew from {}", at, log.bytes, path, from)});
    return {};
  }

  void note_log(const VerifyReport& before) {
    for (const Finding& finding : before.findings) {
      if (finding.kind != FindingKind::kLog) continue;
      Finding made_good = finding;
      made_good.state = FindingState::kRepaired;
      repaired_.push_back(std::move(made_good));
    }
    repaired_.insert(repaired_.end(), log_repairs_.begin(), log_repairs_.end());
  }

  // --- pages ---

  Status repair_pages(const VerifyReport& report) {
    std::vector<PageHistory::Key> wanted;
    for (const Finding& finding : report.findings) {
      if (finding.kind == FindingKind::kPage && finding.state == FindingState::kDamaged) {
        wanted.push_back({finding.database, finding.page});
      }
    }
    if (wanted.empty()) return {};
    PageHistory history;
    for (const auto& key : wanted) history.want(key);
    BOP_LET(own, cut_pieces());
    BOP_LET(keys, open_log_keys(disk_, root_, options_.verify.log_key));
    BOP_TRY(scan_log({.disk = &disk_, .pieces = own, .exact = true, .payloads = true, .keys = keys},
                     [&](const aof::RecordView& record) { return history.follow(record); }));
    BOP_TRY(write_pages(history, wanted, "from the log"));
    if (wanted.empty() || !label_) return {};

    BOP_LET(joined, join(own));
    PageHistory from_backup;
    for (const auto& key : wanted) BOP_TRY(read_page(key, from_backup));
    // It may be the backup of another node, or end before this log begins: then it says nothing.
    const auto end =
        scan_log({.disk = &disk_, .pieces = joined, .exact = true, .payloads = true, .keys = keys},
                 [&](const aof::RecordView& record) { return from_backup.follow(record); });
    if (!end) {
      unbroken_ = false;
      return {};
    }
    for (const auto& key : wanted) {
      const auto database = std::ranges::find(label_->databases, key.database, &LabelDatabase::id);
      if (database != label_->databases.end() && end->first.index > database->base) unbroken_ = false;
    }
    if (!unbroken_) return {};
    return write_pages(from_backup, wanted, fmt::format("from {} and the log since", options_.backup));
  }

  // The backup's log up to the node's, then the node's. Whether they join, reading them tells.
  Result<std::vector<LogPiece>> join(const std::vector<LogPiece>& own) {
    BOP_LET(first, disk_.open(own.front().path, OpenMode::kRead));
    BOP_LET(header, read_header(*first));
    std::vector<LogPiece> joined;
    for (const LabelLog& log : label_->logs) {
      if (log.number < header.number) joined.push_back({log_path(options_.backup, log.number), log.bytes});
    }
    joined.insert(joined.end(), own.begin(), own.end());
    return joined;
  }

  Result<std::vector<LogPiece>> cut_pieces() {
    BOP_LET(pieces, pieces_of(disk_, root_ + "/log"));
    BOP_LET(end, scan_log({.disk = &disk_, .pieces = pieces}, ignore));
    for (std::size_t i = 0; i < pieces.size(); ++i) pieces[i].bytes = end.bytes[i];
    return pieces;
  }

  Status read_page(PageHistory::Key key, PageHistory& history) {
    history.want(key);
    const auto database = std::ranges::find(label_->databases, key.database, &LabelDatabase::id);
    if (database == label_->databases.end() || key.page.value > database->pages) return {};
    BOP_LET(file, disk_.open(database_path(options_.backup, key.database) + "/" + rowstore::kMainFileName,
                             OpenMode::kRead));
    const rowstore::PageFile pages(std::move(file), key.database, database->pages);
    PageHistory::Page page;
    if (pages.read(key.page, page)) history.begin_with(key, page, database->base);
    return {};
  }

  // Those that the history knows; the others stay in `wanted`.
  Status write_pages(const PageHistory& history, std::vector<PageHistory::Key>& wanted,
                     const std::string& whence) {
    std::map<DatabaseId, std::shared_ptr<rowstore::PageFile>> files;
    std::vector<PageHistory::Key> left;
    for (const PageHistory::Key& key : wanted) {
      const PageHistory::Page* page = history.content(key);
      if (page == nullptr) {
        left.push_back(key);
        continue;
      }
      const std::string path = database_path(root_, key.database) + "/" + rowstore::kMainFileName;
      auto& file = files[key.database];
      if (!file) {
        BOP_LET(opened, rowstore::PageFile::open(disk_, path, key.database));
        file = std::move(opened);
      }
      BOP_TRY(keep_page(key, path));
      BOP_TRY(file->write(key.page, *page));
      repaired_.push_back(
          {.state = FindingState::kRepaired,
           .kind = FindingKind::kPage,
           .database = key.database,
           .page = key.page,
           .file = path,
           .what = fmt::format("page {} of {} was written anew {}", key.page.value, path, whence)});
    }
    for (auto& [id, file] : files) BOP_TRY(file->sync());
    wanted = std::move(left);
    return {};
  }

  Status keep_page(PageHistory::Key key, const std::string& path) {
    std::array<std::byte, kPageBytes> bytes{};
    BOP_LET(file, disk_.open(path, OpenMode::kRead));
    const auto got = file->read_at(ByteOffset(std::uint64_t{key.page.value - 1} * kPageBytes), bytes);
    if (!got) return {};  // an unreadable sector holds nothing to be kept
    return keep(fmt::format("database-{}-page-{}", key.database.value, key.page.value),
                std::span(bytes).first(*got));
  }

  // --- manifests ---

  // The other one was found to lead to a sound database, or there would be another finding of it.
  Status repair_manifests(const VerifyReport& report) {
    for (const Finding& finding : report.findings) {
      if (finding.kind != FindingKind::kManifest) continue;
      const bool sound = std::ranges::none_of(report.findings, [&](const Finding& other) {
        return other.database == finding.database && other.kind == FindingKind::kDatabase;
      });
      if (!sound) continue;
      const std::string directory = database_path(root_, finding.database);
      std::vector<std::string> damaged;
      BOP_LET(manifest, rowstore::peek_manifest(disk_, directory, finding.database, damaged));
      if (!manifest || damaged.size() != 1) continue;
      BOP_LET(bytes, read_file(disk_, finding.file));
      BOP_TRY(
          keep(fmt::format("database-{}-manifest", finding.database.value), std::as_bytes(std::span(bytes))));
      ++manifest->generation;
      BOP_TRY(rowstore::write_manifest(disk_, directory, finding.database, *manifest));
      repaired_.push_back({.state = FindingState::kRepaired,
                           .kind = FindingKind::kManifest,
                           .database = finding.database,
                           .file = finding.file,
                           .what = fmt::format("{} was written anew from the other one", finding.file)});
    }
    return {};
  }

  // --- whole databases ---

  Status rebuild(const VerifyReport& report) {
    std::vector<DatabaseId> done;
    for (const Finding& finding : report.findings) {
      if (finding.kind != FindingKind::kDatabase || finding.state != FindingState::kDamaged) continue;
      const auto copy = std::ranges::find(label_->databases, finding.database, &LabelDatabase::id);
      if (copy == label_->databases.end() || std::ranges::find(done, copy->id) != done.end()) continue;
      done.push_back(copy->id);
      BOP_LET(own, cut_pieces());
      BOP_LET(joined, join(own));
      BOP_LET(keys, open_log_keys(disk_, root_, options_.verify.log_key));
      const std::string aside = root_ + kDamagedDirectory;
      BOP_TRY(disk_.create_directories(aside));
      const auto base = rebuild_database({.disk = &disk_,
                                          .backup = options_.backup,
                                          .database = *copy,
                                          .pieces = std::move(joined),
                                          .keys = keys,
                                          .data_dir = root_,
                                          .aside = aside});
      // A backup that is damaged, of another node, or whose log ends before the node's begins.
      if (!base && base.error().code() == ErrorCode::kCorrupt) continue;
      if (!base) return std::unexpected(base.error());
      const std::string path = database_path(root_, copy->id);
      repaired_.push_back({.state = FindingState::kRepaired,
                           .kind = FindingKind::kDatabase,
                           .database = copy->id,
                           .file = path,
                           .what = fmt::format("{} was made anew from {} and the log up to CSN {}", path,
                                               options_.backup, base->value)});
    }
    return {};
  }

  const RepairOptions& options_;
  Disk& disk_;
  const std::string root_;
  std::vector<std::unique_ptr<DiskLock>> locks_;
  std::optional<Label> label_;
  std::vector<Finding> log_repairs_;
  std::vector<Finding> repaired_;
  bool unbroken_ = true;
};

}  // namespace

Result<VerifyReport> repair(const RepairOptions& options) { return Repair(options).run(); }

}  // namespace bop::backup
