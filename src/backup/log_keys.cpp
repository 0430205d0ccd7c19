#include "backup/log_keys.hpp"

#include "base/time.hpp"

namespace bop::backup {

Result<std::shared_ptr<const aof::KeyRing>> open_log_keys(Disk& disk, const std::string& root,
                                                          std::shared_ptr<const aof::KeyEncryptionKeys> by) {
  for (const std::string& directory : {root, root + "/node"}) {
    BOP_LET(has_keys, aof::has_key_files(disk, directory));
    if (!has_keys) continue;
    if (!by) {
      return std::unexpected(
          error(ErrorCode::kEncryptionKeyMissing,
                "the log of {} is encrypted, and no key is given to read it", root)
              .hint("Name the file with the key by --log-encryption-key-file, or env:NAME."));
    }
    BOP_LET(keys, aof::KeyRing::open(disk, system_clock(), system_random(), directory, std::move(by),
                                     aof::KeyRing::Mode::kRead));
    return keys;
  }
  return nullptr;
}

}  // namespace bop::backup
