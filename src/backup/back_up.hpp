// `bop backup`: takes a backup of a node's data directory, goes on with one that was interrupted, or extends
// a complete one by the log since. See DESIGN.md beside this file for why it is consistent.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "aof/key_encryption_key.hpp"
#include "backup/label.hpp"
#include "base/disk.hpp"
#include "base/error.hpp"
#include "base/time.hpp"

namespace bop::backup {

// Bytes; `total` grows while a node writes. Called often; cheap for whoever prints once a second.
using Progress = std::function<void(std::string_view phase, std::uint64_t done, std::uint64_t total)>;

struct BackupOptions {
  Disk* disk = nullptr;
  Clock* clock = nullptr;
  std::string data_dir;   // of the node, which may run or not
  std::string directory;  // of the backup
  bool verify = true;     // replays the log over the copy and looks at every page
  std::uint64_t label_bytes = std::uint64_t{64} << 20;  // of pages; what a run that is cut loses at most
  Progress progress;
  std::shared_ptr<const aof::KeyEncryptionKeys> log_key;  // of an encrypted log, to verify
};

enum class BackupKind : std::uint8_t { kNew, kResumed, kExtended };

struct BackupReport {
  Label label;
  BackupKind kind = BackupKind::kNew;
  std::uint64_t copied_bytes = 0;  // in this run
  std::uint64_t verified_pages = 0;
};

// An error leaves a backup that the next call goes on with, and a complete one complete.
[[nodiscard]] Result<BackupReport> back_up(const BackupOptions& options);

}  // namespace bop::backup
