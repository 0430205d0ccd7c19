// `bop restore`: makes a data directory from a backup, at its end, at a CSN or at a time. See DESIGN.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "backup/back_up.hpp"
#include "base/disk.hpp"
#include "base/error.hpp"
#include "base/time.hpp"

namespace bop::backup {

struct RestoreOptions {
  Disk* disk = nullptr;
  Clock* clock = nullptr;
  Random* random = nullptr;
  std::string directory;  // of the backup
  std::string data_dir;   // new, or empty, or what an interrupted restore left
  std::optional<Lsn> to;
  std::optional<std::int64_t> to_us;  // since the Unix epoch
  Progress progress;
};

struct RestoreReport {
  Lsn csn;  // of the restored state
  std::int64_t csn_us = 0;
  Timeline timeline;  // the node's first start will be above it
  std::uint64_t bytes = 0;
  std::uint64_t databases = 0;
};

[[nodiscard]] Result<RestoreReport> restore(const RestoreOptions& options);

}  // namespace bop::backup
