// `bop verify`: reads every byte of a data directory or of a backup that counts, and says what is damaged and
// where. Changes nothing. A node may be running on the data directory: what looks damaged because it is being
// written is read again.
//
// What is looked at: the log (headers, checksums, chains, joints, its end), manifests, every page of every
// database as the log would make it (image_check.hpp), and in a backup length and CRC64 of each file.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "aof/key_encryption_key.hpp"
#include "backup/back_up.hpp"
#include "backup/log_scan.hpp"
#include "base/disk.hpp"
#include "base/error.hpp"
#include "base/ids.hpp"

namespace bop::backup {

enum class FindingState : std::uint8_t {
  kDamaged,
  kHealed,    // damaged, but the log holds it whole behind the base: the next start writes it anew
  kRepaired,  // was damaged (repair.hpp)
};
enum class FindingKind : std::uint8_t { kPage, kManifest, kLog, kDatabase, kFile };

struct Finding {
  FindingState state = FindingState::kDamaged;
  FindingKind kind = FindingKind::kFile;
  DatabaseId database;  // 0: none
  PageNo page;          // 0: none
  std::string file;
  std::string what;  // one sentence
};

struct VerifyOptions {
  Disk* disk = nullptr;
  std::string path;         // data directory or backup
  std::string scratch_dir;  // made and removed; grows by the pages that the log has changed
  Progress progress;
  std::shared_ptr<const aof::KeyEncryptionKeys> log_key;  // of an encrypted log
};

struct VerifyReport {
  bool is_backup = false;
  bool is_complete = true;  // a backup may be partial
  std::uint64_t databases = 0;
  std::uint64_t pages = 0;
  std::uint64_t segments = 0;
  std::uint64_t records = 0;
  Lsn first;
  Lsn last;
  std::vector<Finding> findings;

  [[nodiscard]] bool sound() const;
};

// Fails when there is nothing to verify, or the disk does.
[[nodiscard]] Result<VerifyReport> verify(const VerifyOptions& options);

[[nodiscard]] std::string_view name_of(FindingState state) noexcept;
[[nodiscard]] std::string_view name_of(FindingKind kind) noexcept;

// Removes what check_images left when it was interrupted, and the directory.
[[nodiscard]] Status remove_scratch(Disk& disk, const std::string& directory);

}  // namespace bop::backup
