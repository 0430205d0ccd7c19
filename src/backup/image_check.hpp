// Replays a log over the images of a data directory, or of a backup, without changing them, and verifies
// every page of the result: what a start would do, and more. What it finds is complete: all pages of the
// state at the end of the log are sound, or are named.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "backup/log_scan.hpp"
#include "base/disk.hpp"
#include "base/error.hpp"
#include "base/ids.hpp"

namespace bop::backup {

struct ImageProblem {
  DatabaseId database;
  PageNo page;  // 0: not of one page
  std::string path;
  std::string what;  // one sentence
};

struct ImageCheckOptions {
  Disk* disk = nullptr;
  std::string root;                          // holds db/<id>/
  std::vector<LogPiece> pieces;              // whole batches
  std::shared_ptr<const aof::KeyRing> keys;  // of an encrypted log
  std::string scratch_dir;                   // exists; files `<id>-<number>` are made and removed in it
  bool raw = false;                          // names damaged pages, too, that the log makes good
  // Pages looked at, and how many there are.
  std::function<void(std::uint64_t done, std::uint64_t total)> progress;
};

struct ImageCheckReport {
  std::uint64_t databases = 0;
  std::uint64_t pages = 0;
  LogScanEnd log;
  std::vector<ImageProblem> problems;  // at most kMostProblems a database
  std::vector<ImageProblem> healed;  // damaged, and the log holds them whole: the next start writes them anew
};
inline constexpr std::size_t kMostProblems = 1000;

// Fails only when the log cannot be read.
[[nodiscard]] Result<ImageCheckReport> check_images(const ImageCheckOptions& options);

// Databases of root/db, without those that are being removed; the system's may be absent.
[[nodiscard]] Result<std::vector<DatabaseId>> databases_in(Disk& disk, const std::string& root);

}  // namespace bop::backup
