// The file of a log's data keys: each wrapped by a key of the owner's (key_encryption_key.hpp), none readable
// without it. Two copies, `keys.0` and `keys.1`, of the same bytes.
//
// Format, version 1, little-endian:
//
//   offset  size  field
//        0     8  magic          "BOPKEYS1"
//        8     4  version        1; a reader refuses a higher one
//       12     4  keys           n, 1 to 4096
//       16     8  generation     one more with every change, from 1
//       24     8  key in use     id of the data key of new records
//       32     8  wrapping key   id of the key-encryption key (key_encryption_key.hpp) that wraps all of them
//       40  80 n  data keys, in the order in which they were made:
//                   0   8  id         random, not 0, none twice
//                   8   8  created    microseconds since the Unix epoch, for people and for the age of a key
//                  16  12  nonce      random
//                  28   4  zeros
//                  32  32  wrapped    the key, AES-256-GCM under the wrapping key with that nonce and the bytes
//                                     "BOP DEK1", id, created as associated data
//                  64  16  tag
//  40+80n    12  seal nonce     random
//  52+80n    16  seal           tag of AES-256-GCM under the wrapping key over nothing, with all bytes before the
//                               seal nonce as associated data
//  68+80n     8  checksum       CRC64-NVME of all bytes before it, seed kKeyFileSeed
//
// A file is valid if and only if (1) it has the size that n asks for and its checksum holds, (2) the version
// is known, (3) n, ids, zeros and key in use are as said. With the wrapping key (4) its seal holds, so that
// nobody else has put an older key into use or taken one away, and every key unwraps.
//
// The valid copy of the higher generation counts. No copy is a log without keys; a copy that is not valid
// beside none that is means damage; a newer version in either refuses. A change writes one copy after the
// other, each as a new file (`keys.0.new`) that is synced and renamed over the old one: cut anywhere, both
// are whole, of before or of after, and the next start makes them equal. A new data key is used only when
// both copies hold it, so that no record depends on a single copy; a change of the wrapping key leaves
// nothing wrapped by the old one. Every nonce here is 96 random bits: a wrapping key is used a few times a
// year.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "aof/aead.hpp"
#include "aof/key_encryption_key.hpp"
#include "base/disk.hpp"
#include "base/error.hpp"

namespace bop::aof {

inline constexpr std::uint32_t kKeyFileVersion = 1;
inline constexpr std::uint64_t kKeyFileSeed = 0x424f504b45595331;
inline constexpr std::size_t kMostDataKeys = 4096;
inline constexpr std::size_t kKeyFileFixedBytes = 76;
inline constexpr std::size_t kWrappedKeyBytes = 80;
inline constexpr std::string_view kKeyFileNames[2] = {"keys.0", "keys.1"};

struct WrappedKey {
  std::uint64_t id = 0;
  std::int64_t created_us = 0;
  Nonce nonce{};
  std::array<std::byte, kKeyBytes> wrapped{};
  Tag tag{};
};

struct KeyFile {
  std::uint64_t generation = 0;
  std::uint64_t key_in_use = 0;
  std::uint64_t wrapping_key = 0;
  std::vector<WrappedKey> keys;
  Nonce seal_nonce{};
  Tag seal{};
};

[[nodiscard]] Result<WrappedKey> wrap_key(const KeyEncryptionKey& by, Random& random, std::uint64_t id,
                                          std::int64_t created_us, const SecretKey& key);
// Nothing when the tag does not fit.
[[nodiscard]] Result<std::optional<SecretKey>> unwrap_key(const KeyEncryptionKey& by, const WrappedKey& key);

// Seals `file` and gives its bytes.
[[nodiscard]] Result<std::vector<std::byte>> encode_key_file(KeyFile file, const KeyEncryptionKey& by,
                                                             Random& random);
// (1) to (3). kCorrupt, kFormatTooNew, naming `name`.
[[nodiscard]] Result<KeyFile> decode_key_file(std::span<const std::byte> bytes, const std::string& name);
// The seal of `bytes`, which decode_key_file() takes.
[[nodiscard]] Result<bool> seal_holds(std::span<const std::byte> bytes, const KeyEncryptionKey& by);

// What a directory holds.
struct KeyFiles {
  KeyFile file;
  std::vector<std::byte> bytes;  // of the copy that counts
  std::string path;
  int slot = 0;
  bool other_is_equal = false;
};
// Nothing where there are no copies.
[[nodiscard]] Result<std::optional<KeyFiles>> read_key_files(Disk& disk, const std::string& directory);
// True when there is a copy, valid or not.
[[nodiscard]] Result<bool> has_key_files(Disk& disk, const std::string& directory);
[[nodiscard]] Status write_key_file(Disk& disk, const std::string& directory, int slot,
                                    std::span<const std::byte> bytes);

}  // namespace bop::aof
