// `bop backup DIR`, `bop restore DIR`, `bop verify [DIR]`. Exit codes: 0 done, or everything is sound; 1 it
// could not be done, or something is damaged; 2 a wrong argument, or there is nothing to read.
#pragma once

#include <memory>
#include <string>

#include "aof/key_encryption_key.hpp"
#include "base/disk.hpp"
#include "base/error.hpp"

namespace bop::cli {

struct BackupCommand {
  std::string directory;  // of the backup
  std::string data_dir;
  std::string to;       // of a restore: a CSN or a time
  std::string log_key;  // file with the key of an encrypted log, or env:NAME
  bool json = false;
  bool progress = false;  // also when the standard error is no terminal
  bool unverified = false;
};

[[nodiscard]] int run_backup(const BackupCommand& command);
[[nodiscard]] int run_restore(const BackupCommand& command);

// Null for an empty name.
[[nodiscard]] Result<std::shared_ptr<const aof::KeyEncryptionKeys>> log_key_from(Disk& disk,
                                                                                 const std::string& place);

// Prints the error; the exit code.
[[nodiscard]] int report_failure(const Error& error, bool json);
// Absolute and without detours, so that paths can be compared.
[[nodiscard]] std::string one_spelling(const std::string& path);

}  // namespace bop::cli
