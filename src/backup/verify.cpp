#include "backup/verify.hpp"

#include <algorithm>
#include <chrono>
#include <thread>
#include <vector>

#include "backup/image_check.hpp"
#include "backup/label.hpp"
#include "backup/log_keys.hpp"
#include "base/crc64.hpp"
#include "rowstore/vfs.hpp"

namespace bop::backup {

namespace {

constexpr std::size_t kReadBytes = 1U << 20U;
// A node that writes meanwhile shows torn ends and trimmed segments; rot stays.
constexpr int kReadings = 5;
constexpr auto kReadingPause = std::chrono::milliseconds(20);

class Verifier {
 public:
  explicit Verifier(const VerifyOptions& options) : options_(options), disk_(*options.disk) {}

  Result<VerifyReport> run() {
    BOP_LET(label, read_label(disk_, options_.path));
    BOP_LET(is_node, disk_.exists(options_.path + "/format"));
    if (label) {
      report_.is_backup = true;
      report_.is_complete = label->complete;
      BOP_TRY(check_files(*label));
      for (const LabelLog& log : label->logs) {
        pieces_.push_back({log_path(options_.path, log.number), log.bytes});
      }
      BOP_TRY(check_log_once());
    } else if (is_node) {
      BOP_TRY(check_log());
    } else {
      return fail(ErrorCode::kFileNotFound, "{} is neither a data directory nor a backup of BOP",
                  options_.path);
    }
    BOP_TRY(check_pages());
    return std::move(report_);
  }

 private:
  void found(FindingKind kind, const std::string& file, std::string what) {
    report_.findings.push_back({.kind = kind, .file = file, .what = std::move(what)});
  }

  Status check_files(const Label& label) {
    std::vector<LabelFile> files = label.files;
    for (const auto& log : label.logs) {
      files.push_back({log.bytes, log.checksum, log_path("", log.number).substr(1)});
    }
    for (const auto& database : label.databases) {
      files.push_back({std::uint64_t{database.pages} * kPageBytes, database.checksum,
                       database_path("", database.id).substr(1) + "/" + rowstore::kMainFileName});
    }
    std::uint64_t done = 0;
    for (const LabelFile& file : files) {
      BOP_TRY(check_file(file));
      done += file.bytes;
      if (options_.progress) options_.progress("files", done, label.bytes());
    }
    return {};
  }

  Status check_file(const LabelFile& file) {
    const std::string path = options_.path + "/" + file.name;
    auto opened = disk_.open(path, OpenMode::kRead);
    if (!opened) {
      found(FindingKind::kFile, path, opened.error().what());
      return {};
    }
    std::vector<std::byte> buffer(kReadBytes);
    std::uint64_t sum = 0;
    for (std::uint64_t at = 0; at < file.bytes;) {
      const auto part = std::span(buffer).first(
          static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), file.bytes - at)));
      const auto got = (*opened)->read_at(ByteOffset(at), part);
      if (!got || *got < part.size()) {
        found(FindingKind::kFile, path,
              got ? fmt::format("{} has {} bytes, the label says {}", path, at + *got, file.bytes)
                  : got.error().what());
        return {};
      }
      sum = crc64(sum, part);
      at += *got;
    }
    if (sum != file.checksum) {
      found(FindingKind::kFile, path, fmt::format("{} does not match its checksum", path));
    }
    return {};
  }

  // The pieces, cut to what counts; none of them when the log is not sound.
  Status scan(bool exact) {
    BOP_LET(end, scan_log({.disk = &disk_, .pieces = pieces_, .exact = exact},
                          [](const aof::RecordView&) { return Status{}; }));
    for (std::size_t i = 0; i < pieces_.size(); ++i) pieces_[i].bytes = end.bytes[i];
    report_.segments = pieces_.size();
    report_.records = end.records;
    report_.first = end.first.index.next();
    report_.last = end.last.index;
    return {};
  }

  Status check_log_once() { return judge(scan(true)); }

  Status check_log() {
    Status done;
    for (int reading = 0; reading < kReadings; ++reading) {
      if (reading > 0) std::this_thread::sleep_for(kReadingPause);
      auto pieces = pieces_of(disk_, options_.path + "/log");
      pieces_ = pieces ? std::move(*pieces) : std::vector<LogPiece>();
      done = pieces ? scan(false) : Status(std::unexpected(pieces.error()));
      if (done) return {};
      if (done.error().code() != ErrorCode::kCorrupt && done.error().code() != ErrorCode::kFileNotFound)
        break;
    }
    return judge(std::move(done));
  }

  Status judge(Status done) {
    if (done) return {};
    found(FindingKind::kLog, options_.path + "/log", done.error().what());
    pieces_.clear();
    return {};
  }

  Status check_pages() {
    ImageCheckReport images;
    BOP_LET(keys, open_log_keys(disk_, options_.path, options_.log_key));
    for (int reading = 0; reading < kReadings; ++reading) {
      BOP_TRY(disk_.create_directories(options_.scratch_dir));
      ImageCheckOptions check{.disk = &disk_,
                              .root = options_.path,
                              .pieces = pieces_,
                              .keys = keys,
                              .scratch_dir = options_.scratch_dir,
                              .raw = !report_.is_backup};
      check.progress = [this](std::uint64_t done, std::uint64_t total) {
        if (options_.progress) options_.progress("pages", done * kPageBytes, total * kPageBytes);
      };
      auto checked = check_images(check);
      BOP_TRY(remove_scratch(disk_, options_.scratch_dir));
      // The node has trimmed a segment since; what it holds is in the files now.
      const bool trimmed = !checked && checked.error().code() == ErrorCode::kFileNotFound;
      if (trimmed && !report_.is_backup && reading + 1 < kReadings) {
        BOP_TRY(check_log());
        continue;
      }
      if (!checked) return std::unexpected(checked.error());
      images = std::move(*checked);
      break;
    }
    report_.databases = images.databases;
    report_.pages = images.pages;
    for (auto* list : {&images.problems, &images.healed}) {
      for (ImageProblem& problem : *list) {
        const bool manifest = problem.path.find("/manifest.") != std::string::npos;
        report_.findings.push_back(
            {.state = list == &images.healed ? FindingState::kHealed : FindingState::kDamaged,
             .kind = manifest                    ? FindingKind::kManifest
                     : problem.page == PageNo(0) ? FindingKind::kDatabase
                                                 : FindingKind::kPage,
             .database = problem.database,
             .page = problem.page,
             .file = std::move(problem.path),
             .what = std::move(problem.what)});
      }
    }
    return {};
  }

  const VerifyOptions& options_;
  Disk& disk_;
  VerifyReport report_;
  std::vector<LogPiece> pieces_;
};

}  // namespace

bool VerifyReport::sound() const {
  return std::ranges::none_of(findings,
                              [](const Finding& finding) { return finding.state == FindingState::kDamaged; });
}

Result<VerifyReport> verify(const VerifyOptions& options) { return Verifier(options).run(); }

std::string_view name_of(FindingState state) noexcept {
  switch (state) {
    case FindingState::kDamaged: return "damaged";
    case FindingState::kHealed: return "healed";
    case FindingState::kRepaired: return "repaired";
  }
  return "?";
}

std::string_view name_of(FindingKind kind) noexcept {
  switch (kind) {
    case FindingKind::kPage: return "page";
    case FindingKind::kManifest: return "manifest";
    case FindingKind::kLog: return "log";
    case FindingKind::kDatabase: return "database";
    case FindingKind::kFile: return "file";
  }
  return "?";
}

Status remove_scratch(Disk& disk, const std::string& directory) {
  BOP_LET(names, disk.list(directory));
  for (const std::string& name : names) BOP_TRY(disk.remove(directory + "/" + name));
  return disk.remove(directory);
}

}  // namespace bop::backup
