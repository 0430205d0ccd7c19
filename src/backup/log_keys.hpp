// The data keys of a log, for those who read it beside its node (aof/key_file.hpp): in a data directory
// DATA/keys.*, in a backup DIR/node/keys.*.
#pragma once

#include <memory>
#include <string>

#include "aof/key_ring.hpp"
#include "base/disk.hpp"
#include "base/error.hpp"

namespace bop::backup {

// Of a data directory or a backup; null where it has none. Writes nothing. kEncryptionKeyMissing where it has
// some and `by` is null; kEncryptionKeyWrong.
[[nodiscard]] Result<std::shared_ptr<const aof::KeyRing>> open_log_keys(
    Disk& disk, const std::string& root, std::shared_ptr<const aof::KeyEncryptionKeys> by);

}  // namespace bop::backup
