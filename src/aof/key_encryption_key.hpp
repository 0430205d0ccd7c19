// The keys that wrap data keys (key_file.hpp). They are the owner's: BOP stores none of them.
//
// Their text: one key a line, 64 hexadecimal digits or the base64 of 32 bytes; empty lines and lines that
// begin with # do not count. The first key wraps; all of them unwrap, so that a key is replaced by putting
// the new one before the old one. `openssl rand -hex 32` makes one.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "aof/aead.hpp"
#include "base/disk.hpp"
#include "base/error.hpp"

namespace bop::aof {

struct KeyEncryptionKey {
  // The first 8 bytes of the SHA-256 of "BOP key-encryption key" and the key: says which key it is and
  // nothing about it.
  std::uint64_t id = 0;
  SecretKey key;
};

struct KeyEncryptionKeys {
  std::string source;                  // where they come from, for errors
  std::vector<KeyEncryptionKey> keys;  // never empty

  [[nodiscard]] const KeyEncryptionKey& first() const noexcept { return keys.front(); }
  [[nodiscard]] const KeyEncryptionKey* find(std::uint64_t id) const noexcept;
};

inline constexpr std::size_t kMostKeyEncryptionKeys = 16;

[[nodiscard]] KeyEncryptionKey make_key_encryption_key(SecretKey key);
// kConfigInvalid naming source and line, never the line's text.
[[nodiscard]] Result<KeyEncryptionKeys> parse_key_encryption_keys(std::string_view text, std::string source);
// `place` is a file, or `env:NAME` for a variable of the environment. kConfigInvalid, or the disk's error.
[[nodiscard]] Result<KeyEncryptionKeys> load_key_encryption_keys(Disk& disk, const std::string& place);

}  // namespace bop::aof
