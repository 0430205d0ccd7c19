#include "aof/key_file.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <set>
#include <utility>

#include "base/assert.hpp"
#include "base/crc64.hpp"

namespace bop::aof {

static_assert(std::endian::native == std::endian::little,
              "formats are little-endian and written as they are in memory");

namespace {

constexpr char kMagic[8] = {'B', 'O', 'P', 'K', 'E', 'Y', 'S', '1'};
constexpr char kWrapLabel[8] = {'B', 'O', 'P', ' ', 'D', 'E', 'K', '1'};
constexpr std::size_t kChecksumBytes = 8;
constexpr std::uint64_t kMostKeyFileBytes = kKeyFileFixedBytes + kWrappedKeyBytes * kMostDataKeys;

struct HeadBytes {
  char magic[8];
  std::uint32_t version;
  std::uint32_t keys;
  std::uint64_t generation;
  std::uint64_t key_in_use;
  std::uint64_t wrapping_key;
};
static_assert(sizeof(HeadBytes) == 40 && offsetof(HeadBytes, generation) == 16);
static_assert(sizeof(HeadBytes) + kNonceBytes + kTagBytes + kChecksumBytes == kKeyFileFixedBytes);

struct KeyBytes {
  std::uint64_t id;
  std::int64_t created_us;
  Nonce nonce;
  std::uint32_t reserved;
  std::array<std::byte, kKeyBytes> wrapped;
  Tag tag;
};
static_assert(sizeof(KeyBytes) == kWrappedKeyBytes && offsetof(KeyBytes, wrapped) == 32);

using WrapContext = std::array<std::byte, 24>;
WrapContext context_of(std::uint64_t id, std::int64_t created_us) {
  WrapContext context;
  std::memcpy(context.data(), kWrapLabel, 8);
  std::memcpy(context.data() + 8, &id, 8);
  std::memcpy(context.data() + 16, &created_us, 8);
  return context;
}

Nonce random_nonce(Random& random) {
  Nonce nonce;
  random.fill(nonce);
  return nonce;
}

Result<std::optional<std::vector<std::byte>>> read_copy(Disk& disk, const std::string& path) {
  BOP_LET(exists, disk.exists(path));
  if (!exists) return std::nullopt;
  BOP_LET(file, disk.open(path, OpenMode::kRead));
  BOP_LET(size, file->size());
  // What is longer is not valid: a little of it says so.
  std::vector<std::byte> bytes(static_cast<std::size_t>(std::min(size, kMostKeyFileBytes + 1)));
  BOP_LET(got, file->read_at(ByteOffset(0), bytes));
  bytes.resize(got);
  return bytes;
}

std::string path_of(const std::string& directory, int slot) {
  return fmt::format("{}/{}", directory, kKeyFileNames[slot]);
}

}  // namespace

Result<WrappedKey> wrap_key(const KeyEncryptionKey& by, Random& random, std::uint64_t id,
                            std::int64_t created_us, const SecretKey& key) {
  BOP_LET(aead, Aead::make(by.key));
  WrappedKey wrapped{.id = id, .created_us = created_us, .nonce = random_nonce(random)};
  std::ranges::copy(key.bytes(), wrapped.wrapped.begin());
  aead.seal(wrapped.nonce, context_of(id, created_us), wrapped.wrapped, wrapped.tag);
  return wrapped;
}

Result<std::optional<SecretKey>> unwrap_key(const KeyEncryptionKey& by, const WrappedKey& key) {
  BOP_LET(aead, Aead::make(by.key));
  SecretKey plain;
  if (!aead.open(key.nonce, context_of(key.id, key.created_us), key.wrapped, key.tag, plain.writable())) {
    return std::nullopt;
  }
  return plain;
}

Result<std::vector<std::byte>> encode_key_file(KeyFile file, const KeyEncryptionKey& by, Random& random) {
  BOP_ASSERT(!file.keys.empty() && file.keys.size() <= kMostDataKeys && file.wrapping_key == by.id);
  HeadBytes head{};
  std::memcpy(head.magic, kMagic, sizeof kMagic);
  head.version = kKeyFileVersion;
  head.keys = static_cast<std::uint32_t>(file.keys.size());
  head.generation = file.generation;
  head.key_in_use = file.key_in_use;
  head.wrapping_key = file.wrapping_key;
  std::vector<std::byte> out(kKeyFileFixedBytes + kWrappedKeyBytes * file.keys.size());
  std::memcpy(out.data(), &head, sizeof head);
  std::size_t at = sizeof head;
  for (const WrappedKey& key : file.keys) {
    const KeyBytes bytes{key.id, key.created_us, key.nonce, 0, key.wrapped, key.tag};
    std::memcpy(out.data() + at, &bytes, sizeof bytes);
    at += sizeof bytes;
  }
  BOP_LET(aead, Aead::make(by.key));
  const Nonce nonce = random_nonce(random);
  Tag seal;
  aead.seal(nonce, std::span(out).first(at), {}, seal);
  std::memcpy(out.data() + at, nonce.data(), kNonceBytes);
  std::memcpy(out.data() + at + kNonceBytes, seal.data(), kTagBytes);
  const std::size_t sum_at = out.size() - kChecksumBytes;
  const std::uint64_t checksum = crc64(kKeyFileSeed, std::span(out).first(sum_at));
  std::memcpy(out.data() + sum_at, &checksum, sizeof checksum);
  return out;
}

Result<KeyFile> decode_key_file(std::span<const std::byte> bytes, const std::string& name) {
  const auto damaged = [&](std::string_view what) {
    return std::unexpected(
        error(ErrorCode::kCorrupt, "{}: {}", name, what)
            .hint("Put back a copy of keys.0 or keys.1, of this directory or of a backup of it."));
  };
  if (bytes.size() < kKeyFileFixedBytes) return damaged("it is too short for a file with keys");
  const std::size_t sum_at = bytes.size() - kChecksumBytes;
  std::uint64_t checksum = 0;
  std::memcpy(&checksum, bytes.data() + sum_at, sizeof checksum);
  if (checksum != crc64(kKeyFileSeed, bytes.first(sum_at))) return damaged("its checksum does not hold");
  HeadBytes head;
  std::memcpy(&head, bytes.data(), sizeof head);
  if (std::memcmp(head.magic, kMagic, sizeof kMagic) != 0) return damaged("it is no file with keys");
  if (head.version != kKeyFileVersion) {
    return fail(ErrorCode::kFormatTooNew, "{}: it was written by a newer version ({})", name, head.version);
  }
  if (head.keys == 0 || head.keys > kMostDataKeys || head.generation == 0 ||
      bytes.size() != kKeyFileFixedBytes + kWrappedKeyBytes * head.keys) {
    return damaged("its size and its number of keys do not fit");
  }
  KeyFile file{.generation = head.generation,
               .key_in_use = head.key_in_use,
               .wrapping_key = head.wrapping_key,
               .keys = {},
               .seal_nonce = {},
               .seal = {}};
  std::set<std::uint64_t> ids;
  std::size_t at = sizeof head;
  for (std::uint32_t i = 0; i < head.keys; ++i, at += kWrappedKeyBytes) {
    KeyBytes key;
    std::memcpy(&key, bytes.data() + at, sizeof key);
    if (key.id == 0 || key.reserved != 0 || !ids.insert(key.id).second)
      return damaged("one of its keys is none");
    file.keys.push_back({key.id, key.created_us, key.nonce, key.wrapped, key.tag});
  }
  if (ids.count(file.key_in_use) == 0) return damaged("the key in use is not there");
  std::memcpy(file.seal_nonce.data(), bytes.data() + at, kNonceBytes);
  std::memcpy(file.seal.data(), bytes.data() + at + kNonceBytes, kTagBytes);
  return file;
}

Result<bool> seal_holds(std::span<const std::byte> bytes, const KeyEncryptionKey& by) {
  const std::size_t at = bytes.size() - kChecksumBytes - kTagBytes - kNonceBytes;
  Nonce nonce;
  Tag seal;
  std::memcpy(nonce.data(), bytes.data() + at, kNonceBytes);
  std::memcpy(seal.data(), bytes.data() + at + kNonceBytes, kTagBytes);
  BOP_LET(aead, Aead::make(by.key));
  return aead.open(nonce, bytes.first(at), {}, seal, {});
}

Result<bool> has_key_files(Disk& disk, const std::string& directory) {
  for (const int slot : {0, 1}) {
    BOP_LET(exists, disk.exists(path_of(directory, slot)));
    if (exists) return true;
  }
  return false;
}

Result<std::optional<KeyFiles>> read_key_files(Disk& disk, const std::string& directory) {
  std::optional<KeyFiles> found;
  std::optional<Error> damage;
  std::array<std::vector<std::byte>, 2> copies;
  for (const int slot : {0, 1}) {
    const std::string path = path_of(directory, slot);
    BOP_LET(bytes, read_copy(disk, path));
    if (!bytes.has_value()) continue;
    copies[static_cast<std::size_t>(slot)] = *bytes;
    auto file = decode_key_file(*bytes, path);
    if (!file.has_value() && file.error().code() == ErrorCode::kFormatTooNew) {
      return std::unexpected(std::move(file).error());
    }
    if (!file.has_value()) {
      damage = std::move(file).error();
    } else if (!found.has_value() || file->generation > found->file.generation) {
      found = KeyFiles{std::move(*file), std::move(*bytes), path, slot};
    }
  }
  if (found.has_value()) {
    found->other_is_equal = copies[0] == copies[1];
    return found;
  }
  if (damage.has_value()) return std::unexpected(std::move(*damage));
  return std::nullopt;
}

Status write_key_file(Disk& disk, const std::string& directory, int slot, std::span<const std::byte> bytes) {
  const std::string path = path_of(directory, slot);
  const std::string fresh = path + ".new";
  BOP_LET(file, disk.open(fresh, OpenMode::kOpenOrCreate));
  BOP_TRY(file->truncate(0));
  BOP_TRY(file->write_at(ByteOffset(0), bytes));
  BOP_TRY(file->sync());
  file.reset();
  BOP_TRY(disk.rename(fresh, path));
  return disk.sync_directory(directory);
}

}  // namespace bop::aof
