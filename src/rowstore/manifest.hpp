// Which base the main file holds: two files, `manifest.0` and `manifest.1`, written in turn, so that one cut
// write never harms the other. Little-endian:
//
//   offset  size  field
//        0     8  magic        "BOPROWS1"
//        8     4  version      1; a reader refuses a higher one
//       12     4  database
//       16     8  generation   file k holds generations with generation % 2 == k
//       24     4  timeline
//       28     4  pages        of the database at the base
//       32     8  base         Lsn of the marker up to which everything is in rows.db, durably; 0 = nothing yet
//       40     8  last_commit  newest commit at or before the base
//       48     4  sequences    n
//       52     4  reserved     0
//       56   16n  {u32 oid, u32 flags (1 = exhausted), i64 next}
//   56+16n     8  checksum     CRC64-NVME of all before, seeded with the database's id
//
// A file is valid if and only if (1) its length is 64+16n, (2) magic, database and the parity of the
// generation are as they should be, (3) the checksum holds. The manifest is the valid file of the higher
// generation. Neither file exists: a new database. Files exist and none is valid: rot, refused; the writer
// makes the first manifest durable before it writes the second.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/disk.hpp"
#include "base/error.hpp"
#include "base/ids.hpp"
#include "database/sequences.hpp"

namespace bop::rowstore {

struct Manifest {
  std::uint64_t generation = 0;
  Timeline timeline;
  std::uint32_t pages = 1;
  Lsn base;
  Csn last_commit;
  std::vector<database::SequenceState> sequences;
};

// The same without making it durable: changes nothing. For files of a node that may be running, which may be
// writing one of the two. `damaged`: the paths of those that are there and not valid.
[[nodiscard]] Result<std::optional<Manifest>> peek_manifest(Disk& disk, const std::string& directory,
                                                            DatabaseId database,
                                                            std::vector<std::string>& damaged);
// Nothing: a new database. What is returned is durable.
[[nodiscard]] Result<std::optional<Manifest>> read_manifest(Disk& disk, const std::string& directory,
                                                            DatabaseId database);
// Durable when it returns. The generation is the manifest's.
[[nodiscard]] Status write_manifest(Disk& disk, const std::string& directory, DatabaseId database,
                                    const Manifest& manifest);
// A checkpoint is what frees a full disk, so the next two manifests have their room now, twice what this one
// takes. A file of no bytes is none yet.
void keep_room_for_manifests(Disk& disk, const std::string& directory, const Manifest& manifest);

}  // namespace bop::rowstore
