#include "aof/tier/piece_cache.hpp"

#include <array>
#include <charconv>
#include <cstring>
#include <span>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "base/assert.hpp"
#include "base/crc64.hpp"
#include "base/metrics.hpp"

namespace bop::aof {

namespace {

constexpr std::uint64_t kPieceSeed = 0x424f505049454345;
constexpr std::string_view kMagic = "BOPPIECE";
constexpr std::uint64_t kHeadBytes = 32;
constexpr std::uint64_t kOverheadBytes = kHeadBytes + 8;
constexpr std::string_view kSuffix = ".piece";
constexpr std::size_t kNameBytes = 16 + 1 + 16 + 1 + 8 + 1 + 8 + kSuffix.size();

template <class Number>
bool parse_hex(std::string_view text, Number& number) {
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number, 16);
  return failure == std::errc{} && end == text.data() + text.size();
}

std::optional<PieceId> parse_name(std::string_view name) {
  PieceId piece;
  if (name.size() != kNameBytes || !name.ends_with(kSuffix) || name[16] != '-' || name[33] != '-' ||
      name[42] != '-') {
    return {};
  }
  if (!parse_hex(name.substr(0, 16), piece.segment_number) ||
      !parse_hex(name.substr(17, 16), piece.segment_seed) || !parse_hex(name.substr(34, 8), piece.offset) ||
      !parse_hex(name.substr(43, 8), piece.bytes)) {
    return {};
  }
  return piece;
}

void encode_head(std::span<std::byte> out, const PieceId& piece) {
  const std::uint64_t offset = piece.offset;
  std::memcpy(out.data(), kMagic.data(), kMagic.size());
  std::memcpy(out.data() + 8, &piece.segment_number, 8);
  std::memcpy(out.data() + 16, &piece.segment_seed, 8);
  std::memcpy(out.data() + 24, &offset, 8);
}

std::uint64_t file_bytes_of(const PieceId& piece) { return piece.bytes + kOverheadBytes; }

// The piece in a file's bytes, or nothing when they are not those of `piece`.
PieceBytes decode(const PieceId& piece, const std::vector<std::byte>& file) {
  if (file.size() != file_bytes_of(piece)) return {};
  std::array<std::byte, kHeadBytes> head;
  encode_head(head, piece);
  std::uint64_t checksum = 0;
  std::memcpy(&checksum, file.data() + file.size() - 8, 8);
  if (std::memcmp(head.data(), file.data(), kHeadBytes) != 0 ||
      crc64(kPieceSeed, std::span(file).first(file.size() - 8)) != checksum) {
    return {};
  }
  return std::make_shared<const std::vector<std::byte>>(file.begin() + kHeadBytes, file.end() - 8);
}

Result<std::vector<std::byte>> read_whole(Disk& disk, const std::string& path, std::uint64_t bytes) {
  BOP_LET(file, disk.open(path, OpenMode::kRead));
  std::vector<std::byte> whole(bytes + 1);  // one more than there may be
  BOP_LET(got, file->read_at(ByteOffset(0), whole));
  whole.resize(got);
  return whole;
}

}  // namespace

Result<std::unique_ptr<PieceCache>> PieceCache::open(Disk& disk, std::string directory,
                                                     std::uint64_t max_bytes) {
  BOP_TRY(disk.create_directories(directory));
  std::unique_ptr<PieceCache> cache(new PieceCache(disk, std::move(directory), max_bytes));
  BOP_TRY(cache->take_in());
  return cache;
}

std::string PieceCache::path_of(const PieceId& piece) const {
  return fmt::format("{}/{:016x}-{:016x}-{:08x}-{:08x}{}", directory_, piece.segment_number,
                     piece.segment_seed, piece.offset, piece.bytes, kSuffix);
}

// By sizes alone: what is in a file is looked at when it is read.
Status PieceCache::take_in() {
  BOP_LET(names, disk_.list(directory_));
  std::vector<PieceId> removed;
  for (const std::string& name : names) {
    const auto piece = parse_name(name);
    if (!piece.has_value()) continue;  // not ours
    BOP_LET(file, disk_.open(directory_ + "/" + name, OpenMode::kRead));
    BOP_LET(size, file->size());
    if (size != file_bytes_of(*piece) || bytes_ + size > max_bytes_) {
      removed.push_back(*piece);
      continue;
    }
    bytes_ += size;
    entries_.emplace(*piece, Entry{uses_.insert(uses_.end(), *piece)});
  }
  remove_files(removed);
  metrics().piece_cache_bytes.set(static_cast<std::int64_t>(bytes_));
  return {};
}

// With the mutex.
void PieceCache::remove_entry(std::map<PieceId, Entry>::iterator entry, std::vector<PieceId>& removed) {
  removed.push_back(entry->first);
  BOP_ASSERT(bytes_ >= file_bytes_of(entry->first));
  bytes_ -= file_bytes_of(entry->first);
  uses_.erase(entry->second.use);
  entries_.erase(entry);
  metrics().piece_cache_bytes.set(static_cast<std::int64_t>(bytes_));
}

// With the mutex.
bool PieceCache::make_room(std::uint64_t bytes, std::vector<PieceId>& removed) {
  if (bytes > max_bytes_) return false;
  while (bytes_ + bytes > max_bytes_) {
    if (uses_.empty()) return false;  // the room is that of files being written
    remove_entry(entries_.find(uses_.front()), removed);
    metrics().piece_cache_evictions_total.add();
  }
  return true;
}

void PieceCache::remove_files(const std::vector<PieceId>& pieces) {
  for (const PieceId& piece : pieces) {
    // What cannot be removed is found by the next start, which counts it again.
    if (!disk_.remove(path_of(piece)).has_value()) metrics().piece_cache_failures_total.add();
  }
}

PieceBytes PieceCache::get(const PieceId& piece) {
  {
    const std::lock_guard guard(mutex_);
    const auto entry = entries_.find(piece);
    if (entry == entries_.end()) {
      metrics().piece_cache_misses_total.add();
      return {};
    }
    uses_.splice(uses_.end(), uses_, entry->second.use);
  }
  PieceBytes found;
  const auto file = read_whole(disk_, path_of(piece), file_bytes_of(piece));
  if (file.has_value()) found = decode(piece, *file);
  if (found) {
    metrics().piece_cache_hits_total.add();
    return found;
  }
  // Damaged, cut by a crash, or evicted meanwhile.
  metrics().piece_cache_misses_total.add();
  std::vector<PieceId> removed;
  {
    const std::lock_guard guard(mutex_);
    const auto entry = entries_.find(piece);
    if (entry == entries_.end()) return {};
    remove_entry(entry, removed);
  }
  metrics().piece_cache_failures_total.add();
  remove_files(removed);
  return {};
}

void PieceCache::put(const PieceId& piece, const PieceBytes& bytes) {
  BOP_ASSERT(bytes->size() == piece.bytes);
  const std::uint64_t file_bytes = file_bytes_of(piece);
  std::vector<PieceId> removed;
  bool has_room = false;
  {
    const std::lock_guard guard(mutex_);
    if (entries_.contains(piece) || !writing_.insert(piece).second) return;
    has_room = make_room(file_bytes, removed);
    if (has_room) bytes_ += file_bytes;
  }
  remove_files(removed);
  const bool written = has_room && write(piece, *bytes).has_value();
  if (has_room && !written) {
    metrics().piece_cache_failures_total.add();
    static_cast<void>(disk_.remove(path_of(piece)));
  }
  const std::lock_guard guard(mutex_);
  writing_.erase(piece);
  if (written) {
    entries_.emplace(piece, Entry{uses_.insert(uses_.end(), piece)});
  } else if (has_room) {
    bytes_ -= file_bytes;
  }
  metrics().piece_cache_bytes.set(static_cast<std::int64_t>(bytes_));
}

Status PieceCache::write(const PieceId& piece, const std::vector<std::byte>& bytes) {
  std::vector<std::byte> whole(bytes.size() + kOverheadBytes);
  encode_head(whole, piece);
  std::memcpy(whole.data() + kHeadBytes, bytes.data(), bytes.size());
  const std::uint64_t checksum = crc64(kPieceSeed, std::span(whole).first(whole.size() - 8));
  std::memcpy(whole.data() + whole.size() - 8, &checksum, 8);
  const std::string path = path_of(piece);
  BOP_LET(file, disk_.open(path, OpenMode::kOpenOrCreate));
  BOP_TRY(file->truncate(0));  // of a file that could not be removed
  return file->write_at(ByteOffset(0), whole);
}

void PieceCache::forget(const PieceId& piece) {
  std::vector<PieceId> removed;
  {
    const std::lock_guard guard(mutex_);
    const auto entry = entries_.find(piece);
    if (entry != entries_.end()) remove_entry(entry, removed);
  }
  remove_files(removed);
}

void PieceCache::forget(std::uint64_t segment_number, std::uint64_t segment_seed) {
  std::vector<PieceId> removed;
  {
    const std::lock_guard guard(mutex_);
    auto entry = entries_.lower_bound({segment_number, segment_seed, 0, 0});
    while (entry != entries_.end() && entry->first.segment_number == segment_number &&
           entry->first.segment_seed == segment_seed) {
      remove_entry(entry++, removed);
    }
  }
  remove_files(removed);
}

bool PieceCache::has(const PieceId& piece) const {
  const std::lock_guard guard(mutex_);
  return entries_.contains(piece);
}
std::uint64_t PieceCache::bytes() const {
  const std::lock_guard guard(mutex_);
  return bytes_;
}
std::size_t PieceCache::pieces() const {
  const std::lock_guard guard(mutex_);
  return entries_.size();
}

}  // namespace bop::aof
