#include "base/whole_file.hpp"

#include <fmt/format.h>

#include <span>

namespace bop {

Status write_whole_file(Disk& disk, const std::string& directory, std::string_view name,
                        std::string_view text) {
  const std::string path = fmt::format("{}/{}", directory, name);
  const std::string draft = path + ".new";
  BOP_LET(left, disk.exists(draft));
  if (left) BOP_TRY(disk.remove(draft));
  {
    BOP_LET(file, disk.open(draft, OpenMode::kCreate));
    BOP_TRY(file->write_at(ByteOffset(0), std::as_bytes(std::span(text))));
    BOP_TRY(file->sync());
  }
  BOP_TRY(disk.rename(draft, path));
  return disk.sync_directory(directory);
}

}  // namespace bop
