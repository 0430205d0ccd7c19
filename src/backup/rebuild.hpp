// Makes one database's files anew from a backup's copy of them and the log since, when a manifest, the file
// or too much of it is lost.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "backup/label.hpp"
#include "backup/log_scan.hpp"
#include "base/disk.hpp"
#include "base/error.hpp"

namespace bop::backup {

struct RebuildOptions {
  Disk* disk = nullptr;
  std::string backup;                        // the backup's directory
  LabelDatabase database;                    // as its label says
  std::vector<LogPiece> pieces;              // from its base or before to the end of the node's log
  std::shared_ptr<const aof::KeyRing> keys;  // of an encrypted log
  std::string data_dir;
  std::string aside;  // a folder that exists; what was there goes into it
};

// The record that the new base is: the database's newest. An error leaves the files as they were, or, when
// the last steps were cut, the new ones without a manifest: then it is repeated.
[[nodiscard]] Result<Lsn> rebuild_database(const RebuildOptions& options);

}  // namespace bop::backup
