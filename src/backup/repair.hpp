// `bop verify --repair`: makes good what verify found damaged in the data directory of a node that is down,
// from its log and, where that does not say, from a backup of the same node and the log since.
//
//   a page       from its last full image in the log and its changes since; or from the backup's copy, if the
//                backup's log and the node's are one unbroken log from there to the end
//   the log      a segment's damaged or missing bytes, if the backup has them
//   a manifest   one of the two, from the other, if the log reaches back to that one's base
//   a database   whose manifests or file are lost: made anew from the backup's copy, if the two logs join
//
// Nothing is guessed: what is written has the checksum that the log, the page or the record says. The bytes
// that are replaced are kept below DATA/damaged/. What stays damaged is refused as before, and named.
#pragma once

#include <string>

#include "backup/verify.hpp"

namespace bop::backup {

struct RepairOptions {
  VerifyOptions verify;  // of a data directory
  std::string backup;    // empty: none
};

// What it found, and the state in which it left that. kLocked: a node runs there.
[[nodiscard]] Result<VerifyReport> repair(const RepairOptions& options);

}  // namespace bop::backup
