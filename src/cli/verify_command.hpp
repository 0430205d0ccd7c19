// `bop verify [DIR]`: looks for damage in a data directory or a backup, and repairs it with --repair. Exit
// codes: 0 sound, or what was damaged is repaired; 1 something is damaged; 2 a wrong argument, or nothing
// there.
#pragma once

#include <string>

namespace bop::cli {

struct VerifyCommand {
  std::string path;      // empty: data_dir
  std::string data_dir;  // when no directory is named
  std::string backup;    // to repair from
  std::string scratch;   // empty: the system's folder for temporary files
  std::string log_key;   // file with the key of an encrypted log, or env:NAME
  bool repair = false;
  bool json = false;
  bool progress = false;
};

[[nodiscard]] int run_verify(const VerifyCommand& command);

}  // namespace bop::cli
