#include "aof/key_encryption_key.hpp"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <utility>

#include "base/assert.hpp"
#include "base/scram.hpp"

namespace bop::aof {

namespace {

constexpr std::string_view kIdLabel = "BOP key-encryption key";
constexpr std::string_view kEnvironment = "env:";
constexpr std::uint64_t kMostFileBytes = 16U << 10U;

int digit_of(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::optional<SecretKey> key_of(std::string_view line) {
  SecretKey key;
  if (line.size() == 2 * kKeyBytes) {
    for (std::size_t i = 0; i < kKeyBytes; ++i) {
      const int high = digit_of(line[2 * i]);
      const int low = digit_of(line[2 * i + 1]);
      if (high < 0 || low < 0) return std::nullopt;
      key.writable()[i] = static_cast<std::byte>(high * 16 + low);
    }
    return key;
  }
  auto bytes = base64_decode(line);
  if (!bytes.has_value()) return std::nullopt;
  const bool fits = bytes->size() == kKeyBytes;
  if (fits) std::memcpy(key.writable().data(), bytes->data(), kKeyBytes);
  OPENSSL_cleanse(bytes->data(), bytes->size());
  if (!fits) return std::nullopt;
  return key;
}

std::string_view trimmed(std::string_view line) {
  constexpr std::string_view kBlanks = " \t\r";
  const auto from = line.find_first_not_of(kBlanks);
  if (from == std::string_view::npos) return {};
  return line.substr(from, line.find_last_not_of(kBlanks) - from + 1);
}

}  // namespace

const KeyEncryptionKey* KeyEncryptionKeys::find(std::uint64_t id) const noexcept {
  const auto found = std::ranges::find(keys, id, &KeyEncryptionKey::id);
  return found == keys.end() ? nullptr : &*found;
}

KeyEncryptionKey make_key_encryption_key(SecretKey key) {
  std::array<unsigned char, kIdLabel.size() + kKeyBytes> message{};
  std::memcpy(message.data(), kIdLabel.data(), kIdLabel.size());
  std::memcpy(message.data() + kIdLabel.size(), key.bytes().data(), kKeyBytes);
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  SHA256(message.data(), message.size(), digest.data());
  OPENSSL_cleanse(message.data(), message.size());
  std::uint64_t id = 0;
  for (std::size_t i = 0; i < sizeof id; ++i) id = id << 8U | digest[i];
  return {id, std::move(key)};
}

Result<KeyEncryptionKeys> parse_key_encryption_keys(std::string_view text, std::string source) {
  KeyEncryptionKeys found{.source = std::move(source), .keys = {}};
  std::size_t number = 0;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    const std::string_view line = trimmed(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    ++number;
    if (line.empty() || line.front() == '#') continue;
    auto key = key_of(line);
    if (!key.has_value()) {
      return std::unexpected(
          error(ErrorCode::kConfigInvalid,
                "{}: line {} is no key: a key is 64 hexadecimal digits, or 32 bytes in base64", found.source,
                number)
              .hint("\"openssl rand -hex 32\" makes one."));
    }
    if (found.keys.size() == kMostKeyEncryptionKeys) {
      return fail(ErrorCode::kConfigInvalid, "{}: it has more than {} keys", found.source,
                  kMostKeyEncryptionKeys);
    }
    auto made = make_key_encryption_key(std::move(*key));
    if (found.find(made.id) != nullptr) {
      return fail(ErrorCode::kConfigInvalid, "{}: line {} repeats a key", found.source, number);
    }
    found.keys.push_back(std::move(made));
  }
  if (found.keys.empty()) return fail(ErrorCode::kConfigInvalid, "{}: it holds no key", found.source);
  return found;
}

Result<KeyEncryptionKeys> load_key_encryption_keys(Disk& disk, const std::string& place) {
  if (place.starts_with(kEnvironment)) {
    const std::string name = place.substr(kEnvironment.size());
    const char* text = std::getenv(name.c_str());
    if (text == nullptr) {
      return fail(ErrorCode::kConfigInvalid, "the environment has no variable {} with the key of the log",
                  name);
    }
    return parse_key_encryption_keys(text, "the variable " + name);
  }
  auto file = disk.open(place, OpenMode::kRead);
  if (!file.has_value()) {
    return fail(ErrorCode::kConfigInvalid, "the key of the log cannot be read: {}", file.error().what());
  }
  BOP_LET(size, (*file)->size());
  if (size > kMostFileBytes) {
    return fail(ErrorCode::kConfigInvalid, "{}: it has {} bytes, a file with keys at most {}", place, size,
                kMostFileBytes);
  }
  std::string text(static_cast<std::size_t>(size), '\0');
  BOP_LET(got, (*file)->read_at(ByteOffset(0), std::as_writable_bytes(std::span(text))));
  auto keys = parse_key_encryption_keys(std::string_view(text).substr(0, got), place);
  OPENSSL_cleanse(text.data(), text.size());
  return keys;
}

}  // namespace bop::aof
