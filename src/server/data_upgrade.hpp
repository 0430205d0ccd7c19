// A data directory of an older format is brought up to date in place, after a copy of what that rewrites.
//
// One step for each version. For each: (1) the files that the step rewrites, and `format`, are copied to
// DATA/before-format-<version>/ and synced; (2) DATA/upgrading-<version> is written: the copy is complete;
// (3) the step runs; (4) `format` says the new version; (5) DATA/upgrading-<version> is removed. Cut before
// (2), the next start copies anew: nothing was changed. Cut later, it goes on with the step, which may be
// repeated, and leaves the copy alone. The copy stays until somebody removes it; its files moved back in the
// place of the new ones are the directory of before.
//
// Works under the directory's lock, before anything else is opened. A newer format is refused
// (data_format.hpp).
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/disk.hpp"
#include "base/error.hpp"
#include "base/time.hpp"
#include "server/data_format.hpp"

namespace bop::server {

struct UpgradeStep {
  std::string_view what;  // it changes, for the node's log
  // Names below the data directory of the files that it rewrites or removes; `format` is not among them.
  std::function<Result<std::vector<std::string>>(Disk&, const std::string& path)> rewrites;
  // Reads what it rewrites from below `copy`, which is whole whatever interrupted an earlier run of it.
  // Answers what `format` says from now on, but for the version. Everything else is durable when it returns.
  std::function<Result<DataFormat>(Disk&, Random&, const std::string& path, const std::string& copy)> run;
};

// From version 1 to 2, from 2 to 3 and so on up to kDataFormat.
[[nodiscard]] std::span<const UpgradeStep> upgrade_steps();

// Goes from `format`, which the directory has, through all steps; answers what `format` says then.
[[nodiscard]] Result<DataFormat> upgrade_data_directory(Disk& disk, Random& random, const std::string& path,
                                                        DataFormat format,
                                                        std::span<const UpgradeStep> steps = upgrade_steps());

}  // namespace bop::server
