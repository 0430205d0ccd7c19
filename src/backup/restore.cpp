#include "backup/restore.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "aof/stream_files.hpp"
#include "backup/image_check.hpp"
#include "backup/log_scan.hpp"
#include "base/crc64.hpp"
#include "base/whole_file.hpp"
#include "rowstore/vfs.hpp"

namespace bop::backup {

namespace {

constexpr std::size_t kCopyBytes = 1U << 20U;
constexpr std::uint64_t kFenceBytes = 64U << 10U;
constexpr std::uint32_t kLeastTimelineJump = 1024;
constexpr std::uint32_t kTimelineJumps = 1U << 20U;
// In a data directory that is being made; `format`, without which no node starts there, comes last.
constexpr const char* kMark = "restoring";

std::string time_text(std::int64_t us) {
  const std::chrono::microseconds whole(us);
  const auto seconds = std::chrono::floor<std::chrono::seconds>(whole);
  return fmt::format("{:%F %T}.{:06}Z", std::chrono::sys_seconds(seconds), (whole - seconds).count());
}

class Restore {
 public:
  explicit Restore(const RestoreOptions& options) : options_(options), disk_(*options.disk) {}

  Result<RestoreReport> run() {
    BOP_TRY(read());
    BOP_TRY(choose());
    BOP_TRY(prepare());
    for (std::size_t i = 0; i < end_.bytes.size(); ++i) {
      const LabelLog& log = label_.logs[i];
      BOP_TRY(copy(log_path(options_.directory, log.number), log_path(options_.data_dir, log.number),
                   log.bytes, log.checksum, end_.bytes[i]));
      BOP_TRY(extend(log_path(options_.data_dir, log.number)));
    }
    BOP_TRY(fence());
    BOP_TRY(copy_databases());
    BOP_TRY(finish());
    report_.csn = end_.last.index;
    report_.csn_us = end_.last_us;
    report_.databases = label_.databases.size();
    return report_;
  }

 private:
  Status read() {
    BOP_LET(label, read_label(disk_, options_.directory));
    if (!label) {
      return fail(ErrorCode::kFileNotFound, "{} holds no backup: it has no file \"{}\"", options_.directory,
                  kLabelName);
    }
    if (!label->complete) {
      return std::unexpected(
          error(ErrorCode::kNotInPrerequisiteState, "the backup {} is not complete", options_.directory)
              .hint("Run \"bop backup\" again; it goes on where it was interrupted."));
    }
    label_ = std::move(*label);
    return {};
  }

  // Reads the whole log of the backup up to the state that is wanted.
  Status choose() {
    if (options_.to && (*options_.to < label_.consistent || *options_.to > label_.end)) {
      return fail(ErrorCode::kInvalidArgument,
                  "the backup {} can be restored to a CSN from {} to {}, {} is outside", options_.directory,
                  label_.consistent.value, label_.end.value, options_.to->value);
    }
    if (options_.to_us && (*options_.to_us < label_.consistent_us || *options_.to_us > label_.taken_us)) {
      return fail(ErrorCode::kInvalidArgument,
                  "the backup {} can be restored to a time from {} to {}, {} is outside", options_.directory,
                  time_text(label_.consistent_us), time_text(label_.taken_us), time_text(*options_.to_us));
    }
    LogScanOptions scan{.disk = &disk_, .exact = true};
    for (const LabelLog& log : label_.logs) {
      scan.pieces.push_back({log_path(options_.directory, log.number), log.bytes});
    }
    if (options_.to) scan.until = *options_.to;
    if (options_.to_us) scan.until_us = *options_.to_us;
    BOP_LET(end, scan_log(scan, [](const aof::RecordView&) { return Status{}; }));
    end_ = std::move(end);
    if (end_.last.index < label_.consistent) {
      return fail(ErrorCode::kInvalidArgument, "the backup {} cannot be restored to before CSN {}",
                  options_.directory, label_.consistent.value);
    }
    for (const auto& database : label_.databases) total_ += std::uint64_t{database.pages} * kPageBytes;
    for (const auto& log : label_.logs) total_ += log.bytes;
    return {};
  }

  Status prepare() {
    const std::string& path = options_.data_dir;
    BOP_TRY(disk_.create_directories(path));
    BOP_LET(names, disk_.list(path));
    std::erase(names, std::string(kMark) + ".new");
    const auto has = [&](const char* name) { return std::ranges::find(names, name) != names.end(); };
    if (!names.empty() && (!has(kMark) || has("format"))) {
      return std::unexpected(error(ErrorCode::kFileExists,
                                   "the data directory {} is not empty (\"{}\"); nothing was changed", path,
                                   names.front())
                                 .hint("Name a new or an empty directory with --data-dir."));
    }
    BOP_TRY(write_whole_file(disk_, path, kMark, options_.directory + "\n"));
    // What a restore before this one left.
    BOP_LET(ids, databases_in(disk_, path));
    for (const DatabaseId id : ids) BOP_TRY(empty(database_path(path, id)));
    BOP_TRY(disk_.create_directories(path + "/log"));
    BOP_TRY(empty(path + "/log"));
    BOP_TRY(disk_.create_directories(path + "/db"));
    return {};
  }

  Status empty(const std::string& directory) {
    BOP_LET(names, disk_.list(directory));
    for (const std::string& name : names) BOP_TRY(disk_.remove(directory + "/" + name));
    return {};
  }

  // The first `wanted` of `bytes` bytes, all of which must have the checksum.
  Status copy(const std::string& from, const std::string& to, std::uint64_t bytes, std::uint64_t checksum,
              std::uint64_t wanted) {
    BOP_LET(source, disk_.open(from, OpenMode::kRead));
    BOP_LET(target, disk_.open(to, OpenMode::kCreate));
    std::vector<std::byte> buffer(static_cast<std::size_t>(std::min<std::uint64_t>(kCopyBytes, bytes)));
    std::uint64_t sum = 0;
    for (std::uint64_t at = 0; at < bytes;) {
      const auto part = std::span(buffer).first(
          static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), bytes - at)));
      BOP_LET(got, source->read_at(ByteOffset(at), part));
      if (got < part.size()) {
        return fail(ErrorCode::kCorrupt, "{} has {} bytes, its backup says {}", from, at + got, bytes);
      }
      sum = crc64(sum, part);
      if (at < wanted) {
        BOP_TRY(target->write_at(ByteOffset(at), part.first(static_cast<std::size_t>(
                                                     std::min<std::uint64_t>(part.size(), wanted - at)))));
      }
      at += got;
      report_.bytes += got;
      if (options_.progress) options_.progress("restore", report_.bytes, std::max(total_, report_.bytes));
    }
    if (sum != checksum) {
      return std::unexpected(error(ErrorCode::kCorrupt, "{} does not match its checksum", from)
                                 .hint("\"bop verify\" of the backup says what is damaged."));
    }
    return target->sync();
  }

  // A segment has the size that its header says; what was never written is zeros.
  Status extend(const std::string& path) {
    BOP_LET(file, disk_.open(path, OpenMode::kReadWrite));
    BOP_LET(header, read_header(*file));
    BOP_TRY(file->truncate(header.bytes));
    return file->sync();
  }

  // An empty segment that names the last record that counts: what lies behind it in the one before is void,
  // and the node that starts here gives its records another timeline than the node that the backup is of.
  Status fence() {
    aof::SegmentHeader header;
    header.identity = end_.header.identity;
    header.timeline = Timeline(end_.header.timeline.value + kLeastTimelineJump +
                               static_cast<std::uint32_t>(options_.random->u64() % kTimelineJumps));
    header.number = end_.header.number + 1;
    header.bytes = kFenceBytes;
    header.seed = options_.random->u64();
    header.base = end_.last.index.next();
    header.previous = end_.last;
    header.previous_number = end_.header.number;
    header.created_us = options_.clock->wall_us();
    std::vector<std::byte> block(kFenceBytes);
    aof::encode_segment_header(std::span(block).first(aof::kSegmentHeaderBytes), header);
    BOP_LET(file, disk_.open(log_path(options_.data_dir, header.number), OpenMode::kCreate));
    BOP_TRY(file->write_at(ByteOffset(0), block));
    BOP_TRY(file->sync());
    report_.timeline = header.timeline;
    return disk_.sync_directory(options_.data_dir + "/log");
  }

  Status copy_databases() {
    for (const LabelDatabase& database : label_.databases) {
      const std::string from = database_path(options_.directory, database.id);
      const std::string to = database_path(options_.data_dir, database.id);
      const std::uint64_t bytes = std::uint64_t{database.pages} * kPageBytes;
      BOP_TRY(disk_.create_directories(to));
      const std::string name = std::string("/") + rowstore::kMainFileName;
      BOP_TRY(copy(from + name, to + name, bytes, database.checksum, bytes));
    }
    for (const LabelFile& file : label_.files) {
      if (!file.name.starts_with("db/")) continue;
      BOP_TRY(copy(options_.directory + "/" + file.name, options_.data_dir + "/" + file.name, file.bytes,
                   file.checksum, file.bytes));
    }
    for (const LabelDatabase& database : label_.databases) {
      BOP_TRY(disk_.sync_directory(database_path(options_.data_dir, database.id)));
    }
    BOP_TRY(disk_.sync_directory(options_.data_dir + "/db"));
    return disk_.sync_directory(options_.data_dir);
  }

  Status finish() {
    std::string format;
    for (const LabelFile& file : label_.files) {
      if (!file.name.starts_with("node/")) continue;
      BOP_LET(text, read_file(disk_, options_.directory + "/" + file.name));
      if (text.size() != file.bytes || crc64(0, text) != file.checksum) {
        return fail(ErrorCode::kCorrupt, "{}/{} does not match its checksum", options_.directory, file.name);
      }
      const std::string name = file.name.substr(std::string_view("node/").size());
      if (name == "format") {
        format = std::move(text);
      } else {
        BOP_TRY(write_whole_file(disk_, options_.data_dir, name, text));
      }
    }
    BOP_TRY(write_whole_file(disk_, options_.data_dir, "format", format));
    BOP_TRY(disk_.remove(options_.data_dir + "/" + kMark));
    return disk_.sync_directory(options_.data_dir);
  }

  const RestoreOptions& options_;
  Disk& disk_;
  Label label_;
  LogScanEnd end_;
  RestoreReport report_;
  std::uint64_t total_ = 0;
};

}  // namespace

Result<RestoreReport> restore(const RestoreOptions& options) { return Restore(options).run(); }

}  // namespace bop::backup
