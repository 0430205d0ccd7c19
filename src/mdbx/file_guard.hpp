// Witnesses of whether the file of an environment may be believed, for environments of one process.
//
//   mdbx.seal   written when the environment was closed in order, removed before it is opened: "BOPMDBX1", the data
//               file's bytes u64, its CRC64-NVME u64, CRC64-NVME of these 24 bytes u64; little-endian
//   mdbx.lives  a byte for each process that has opened it since it was last closed in order
//
// Entering, by what is there:
//
//   data file   seal               lives          then
//   none        any                any            a new environment; both are removed
//   there       matches the file   any            sound
//   there       anything else      any            kCorrupt: it changed after it was closed
//   there       none               fewer than 3   as the last process left it; libmdbx goes back to a whole commit
//   there       none               3 or more      kCorrupt: three processes in turn did not come to close it, and may
//                                                 have died of it; who needs it less than its own life begins anew
//
// So rot of a file at rest is always found before libmdbx follows it; rot under a process that was killed is
// found by libmdbx's own checks, by checksums of the values, or by the third life.
#pragma once

#include <cstddef>
#include <string>

#include "base/error.hpp"

namespace bop::mdbx {

inline constexpr const char* kSealFile = "mdbx.seal";
inline constexpr const char* kLivesFile = "mdbx.lives";
inline constexpr std::size_t kMostLives = 3;

// Before libmdbx opens the file. Reads all of it. Errors: kCorrupt as above, kIo, kDiskFull.
[[nodiscard]] Status enter_guarded(const std::string& directory);
// After it was closed. What fails here costs a life and nothing else.
void leave_guarded(const std::string& directory) noexcept;

// Reads the data file to its end, if there is one: kIo where the disk cannot.
[[nodiscard]] Status read_file_through(const std::string& directory);

}  // namespace bop::mdbx
