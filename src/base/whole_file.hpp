// A small file that is whole and durable under its name, or is as it was before.
#pragma once

#include <string>
#include <string_view>

#include "base/disk.hpp"
#include "base/error.hpp"

namespace bop {

// Written beside it as <name>.new, synced and renamed; readable by the owner only. What an earlier try has
// left beside it is removed first. A failure may leave <name>.new; one of the last sync may leave the new
// contents, which a power cut can take back. Not for two writers of one name at once.
[[nodiscard]] Status write_whole_file(Disk& disk, const std::string& directory, std::string_view name,
                                      std::string_view text);

}  // namespace bop
