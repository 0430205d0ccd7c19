// The data keys of a log, unwrapped, as long as the log is open. Files: key_file.hpp.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "aof/key_encryption_key.hpp"
#include "aof/key_file.hpp"
#include "base/disk.hpp"
#include "base/error.hpp"
#include "base/time.hpp"

namespace bop::aof {

struct DataKey {
  std::uint64_t id = 0;
  std::int64_t created_us = 0;
  SecretKey key;
};

// Owns the keys. A data key stays in the files for good: log, backups, forks and archived segments may hold
// records that need it, and it has 80 bytes.
//
// Threads: in_use() and find() from any, at any time; rotate() and rewrap() from any, one after the other,
// and they wait for the disk. When one of them fails nothing has changed for records: the key in use is the
// old one, and trying again is right.
class KeyRing {
 public:
  enum class Mode : std::uint8_t {
    kRead,   // writes nothing; kEncryptionKeyMissing where there are no files
    kWrite,  // makes the first key where there are no files, a damaged or older copy anew, and wraps all keys
             // by the first key-encryption key when another one had wrapped them
  };
  // Errors: kEncryptionKeyWrong naming file and key ids; kCorrupt; kFormatTooNew; those of the disk. What
  // mends a copy may fail for want of room: the other one is enough to go on.
  [[nodiscard]] static Result<std::shared_ptr<KeyRing>> open(Disk& disk, Clock& clock, Random& random,
                                                             std::string directory,
                                                             std::shared_ptr<const KeyEncryptionKeys> by,
                                                             Mode mode);

  [[nodiscard]] std::shared_ptr<const DataKey> in_use() const;
  // Null when there is none of that id.
  [[nodiscard]] std::shared_ptr<const DataKey> find(std::uint64_t id) const;
  [[nodiscard]] std::size_t size() const;
  [[nodiscard]] std::uint64_t wrapping_key() const;

  // Makes a new data key and, once both copies hold it, the one in use. kProgramLimitExceeded at 4096.
  [[nodiscard]] Status rotate();
  // Wraps all keys by the first of `by`, which are the key-encryption keys from now on. Nothing happens when
  // they are wrapped by it already.
  [[nodiscard]] Status rewrap(std::shared_ptr<const KeyEncryptionKeys> by);

 private:
  KeyRing(Disk& disk, Clock& clock, Random& random, std::string directory,
          std::shared_ptr<const KeyEncryptionKeys> by)
      : disk_(disk), clock_(clock), random_(random), directory_(std::move(directory)), by_(std::move(by)) {}

  // With changes_ held.
  [[nodiscard]] Status load(const KeyFiles& files);
  [[nodiscard]] Status add_key(KeyFile& file, std::shared_ptr<const DataKey>& made);
  [[nodiscard]] Status wrap_all(KeyFile& file, const KeyEncryptionKey& by) const;
  [[nodiscard]] Status store(KeyFile file, const KeyEncryptionKey& by);

  Disk& disk_;
  Clock& clock_;
  Random& random_;
  const std::string directory_;

  std::mutex changes_;  // held while waiting for the disk; taken before state_
  std::shared_ptr<const KeyEncryptionKeys> by_;
  KeyFile file_;
  std::uint64_t newest_generation_ = 0;  // that may be on the disk

  mutable std::mutex state_;
  std::map<std::uint64_t, std::shared_ptr<const DataKey>> keys_;
  std::shared_ptr<const DataKey> in_use_;
};

}  // namespace bop::aof
