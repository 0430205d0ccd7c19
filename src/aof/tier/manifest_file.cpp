#include "aof/tier/manifest_file.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "aof/record.hpp"
#include "base/assert.hpp"
#include "base/crc64.hpp"

namespace bop::aof {

namespace {

constexpr char kMagic[8] = {'B', 'O', 'P', 'M', 'A', 'N', 'I', '\n'};
constexpr std::uint32_t kWriteMagic = 0x4d424f50;
constexpr std::size_t kHeaderChecksumAt = kDiskBlockBytes - 8;
constexpr std::size_t kWriteChecksumAt = 40;

struct HeaderBytes {
  char magic[8];
  std::uint16_t version;
  std::uint16_t flags;
  std::uint32_t zeros;
  std::uint8_t identity[16];
  std::uint64_t generation;
  std::uint64_t sequence;
  std::uint64_t snapshot_end;
  std::uint64_t snapshot_link;
};
static_assert(sizeof(HeaderBytes) == 64 && offsetof(HeaderBytes, generation) == 32);

struct WriteBytes {
  std::uint32_t magic;
  std::uint16_t blocks;
  std::uint16_t flags;
  std::uint64_t generation;
  std::uint64_t sequence;
  std::uint64_t previous;
  std::uint32_t count;
  std::uint32_t bytes;
  std::uint64_t checksum;
};
static_assert(sizeof(WriteBytes) == kWriteHead && offsetof(WriteBytes, checksum) == kWriteChecksumAt);

std::uint64_t checksum_of_copy(std::span<const std::byte> copy, const StreamIdentity& identity,
                               std::uint64_t generation, std::uint64_t offset) noexcept {
  std::byte place[32];
  std::memcpy(place, identity.data(), 16);
  std::memcpy(place + 16, &generation, 8);
  std::memcpy(place + 24, &offset, 8);
  const std::uint64_t seed = crc64(kManifestSeed, place);
  return crc64(crc64(seed, copy.first(kWriteChecksumAt)), copy.subspan(kWriteHead));
}

enum class BlockState : std::uint8_t { kValid, kTooNew, kDamaged };

BlockState decode_header_block(std::span<const std::byte> block, std::uint64_t offset, ManifestHeader& out) {
  if (block.size() < kDiskBlockBytes) return BlockState::kDamaged;
  block = block.first(kDiskBlockBytes);
  std::uint64_t checksum = 0;
  std::memcpy(&checksum, block.data() + kHeaderChecksumAt, sizeof checksum);
  if (checksum != crc64(kManifestSeed + offset, block.first(kHeaderChecksumAt))) return BlockState::kDamaged;
  HeaderBytes bytes;
  std::memcpy(&bytes, block.data(), sizeof bytes);
  if (std::memcmp(bytes.magic, kMagic, sizeof kMagic) != 0) return BlockState::kDamaged;
  if (bytes.version != kManifestVersion || bytes.flags != 0 || bytes.zeros != 0 ||
      !all_zero(block.subspan(sizeof bytes, kHeaderChecksumAt - sizeof bytes))) {
    return BlockState::kTooNew;
  }
  std::memcpy(out.identity.data(), bytes.identity, sizeof bytes.identity);
  out.generation = bytes.generation;
  out.sequence = bytes.sequence;
  out.snapshot_end = bytes.snapshot_end;
  out.snapshot_link = bytes.snapshot_link;
  const bool sound = out.generation != 0 && out.snapshot_end >= kManifestHeaderEnd + 2 * kDiskBlockBytes &&
                     out.snapshot_end % kDiskBlockBytes == 0;
  return sound ? BlockState::kValid : BlockState::kDamaged;
}

// The file's bytes; what cannot be read is zeros, and noted.
struct FileBytes {
  std::vector<std::byte> bytes;
  std::vector<std::uint64_t> unreadable;  // offsets of blocks
};

Result<FileBytes> read_whole(File& file) {
  FileBytes out;
  BOP_LET(size, file.size());
  out.bytes.resize(static_cast<std::size_t>(size));
  if (auto all = file.read_at(ByteOffset(0), out.bytes); all.has_value()) return out;
  for (std::uint64_t at = 0; at < size; at += kDiskBlockBytes) {
    const auto piece = std::span(out.bytes).subspan(
        static_cast<std::size_t>(at),
        static_cast<std::size_t>(std::min<std::uint64_t>(kDiskBlockBytes, size - at)));
    if (!file.read_at(ByteOffset(at), piece).has_value()) {
      std::ranges::fill(piece, std::byte{0});
      out.unreadable.push_back(at);
    }
  }
  return out;
}

// Reads the writes of one file in order.
class WriteScan {
 public:
  WriteScan(const FileBytes& file, const ManifestHeader& header) : file_(file), header_(header) {}

  // The copy at `offset`, wherever in a write it stands.
  [[nodiscard]] std::optional<ManifestWrite> copy_at(std::uint64_t offset, std::size_t& blocks) const {
    if (offset + kDiskBlockBytes > file_.bytes.size()) return std::nullopt;
    const auto from = std::span(file_.bytes).subspan(static_cast<std::size_t>(offset));
    WriteBytes head;
    std::memcpy(&head, from.data(), sizeof head);
    const std::size_t bytes = head.blocks * kDiskBlockBytes;
    if (head.magic != kWriteMagic || head.blocks == 0 || head.blocks > kMostWriteBlocks ||
        bytes > from.size() || head.generation != header_.generation || head.flags > 2 ||
        head.bytes > bytes - kWriteHead) {
      return std::nullopt;
    }
    const auto copy = from.first(bytes);
    if (head.checksum != checksum_of_copy(copy, header_.identity, head.generation, offset))
      return std::nullopt;
    blocks = head.blocks;
    const auto records = copy.subspan(kWriteHead, head.bytes);
    return ManifestWrite{
        static_cast<WriteFlag>(head.flags), head.generation, head.sequence, head.previous, head.count,
        {records.begin(), records.end()}};
  }

  // The write that begins at `offset`, from either copy, and the offset behind both.
  [[nodiscard]] std::optional<FoundWrite> write_at(std::uint64_t offset, std::uint64_t previous,
                                                   std::uint64_t& behind, std::uint64_t& damaged) const {
    std::size_t blocks = 0;
    if (auto first = copy_at(offset, blocks); first.has_value() && first->previous == previous) {
      behind = offset + 2 * blocks * kDiskBlockBytes;
      std::size_t again = 0;
      const auto second = copy_at(offset + blocks * kDiskBlockBytes, again);
      if (!second.has_value() || again != blocks || second->sequence != first->sequence) ++damaged;
      return found(std::move(*first), offset, offset, blocks);
    }
    for (std::size_t n = 1; n <= kMostWriteBlocks; ++n) {
      const std::uint64_t at = offset + n * kDiskBlockBytes;
      auto second = copy_at(at, blocks);
      if (!second.has_value() || blocks != n || second->previous != previous) continue;
      ++damaged;
      behind = at + n * kDiskBlockBytes;
      return found(std::move(*second), offset, at, blocks);
    }
    return std::nullopt;
  }

  // A write further behind proves that those between here and there are missing.
  [[nodiscard]] bool later_write(std::uint64_t offset, std::uint64_t next_sequence) const {
    std::size_t blocks = 0;
    for (std::uint64_t at = offset; at + kDiskBlockBytes <= file_.bytes.size(); at += kDiskBlockBytes) {
      const auto copy = copy_at(at, blocks);
      if (!copy.has_value()) continue;
      if (copy->flag == WriteFlag::kSuperseded) return true;
      if (copy->flag == WriteFlag::kLive && copy->sequence > next_sequence) return true;
    }
    return false;
  }

  // What a next write would cover cannot be read.
  [[nodiscard]] bool unreadable_at(std::uint64_t offset) const {
    return std::ranges::any_of(file_.unreadable, [&](std::uint64_t block) {
      return block >= offset && block < offset + 2 * kMostWriteBlocks * kDiskBlockBytes;
    });
  }

 private:
  // The link is the checksum that the first copy has, or had.
  [[nodiscard]] FoundWrite found(ManifestWrite write, std::uint64_t offset, std::uint64_t copy_offset,
                                 std::size_t blocks) const {
    const auto copy =
        std::span(file_.bytes).subspan(static_cast<std::size_t>(copy_offset), blocks * kDiskBlockBytes);
    const std::uint64_t link = checksum_of_copy(copy, header_.identity, header_.generation, offset);
    return {std::move(write), offset, link};
  }

  const FileBytes& file_;
  const ManifestHeader& header_;
};

void scan_writes(const FileBytes& bytes, ManifestScan& scan) {
  const WriteScan writes(bytes, scan.header);
  std::uint64_t at = kManifestHeaderEnd;
  std::uint64_t link = first_link(scan.header.identity);
  while (at < scan.header.snapshot_end) {
    std::uint64_t behind = 0;
    auto found = writes.write_at(at, link, behind, scan.damaged_copies);
    if (!found.has_value() || found->write.flag != WriteFlag::kSnapshot ||
        found->write.sequence != scan.header.sequence) {
      break;
    }
    at = behind;
    link = found->link;
    scan.snapshot.push_back(std::move(*found));
  }
  scan.snapshot_whole = at == scan.header.snapshot_end && link == scan.header.snapshot_link;

  at = scan.header.snapshot_end;
  link = scan.header.snapshot_link;
  scan.next_sequence = scan.header.sequence + 1;
  while (!scan.superseded_by.has_value()) {
    std::uint64_t behind = 0;
    auto found = writes.write_at(at, link, behind, scan.damaged_copies);
    if (!found.has_value() || found->write.flag == WriteFlag::kSnapshot) break;
    if (found->write.flag == WriteFlag::kSuperseded) {
      scan.superseded_by = found->write.sequence;
    } else {
      if (found->write.sequence != scan.next_sequence || found->write.count == 0) break;
      scan.next_sequence += found->write.count;
      scan.live.push_back(std::move(*found));
      link = scan.live.back().link;
    }
    at = behind;
  }
  scan.end = at;
  scan.link = link;
  if (scan.superseded_by.has_value()) return;
  if (writes.later_write(at, scan.next_sequence) || writes.unreadable_at(at)) scan.damage_at = at;
  scan.torn_tail = at < bytes.bytes.size() &&
                   !all_zero(std::span(bytes.bytes)
                                 .subspan(static_cast<std::size_t>(at),
                                          std::min<std::size_t>(kDiskBlockBytes, bytes.bytes.size() - at)));
}

}  // namespace

std::string manifest_name(std::uint64_t generation) {
  return generation % 2 == 1 ? "manifest-a" : "manifest-b";
}

std::uint64_t first_link(const StreamIdentity& identity) noexcept {
  return crc64(kManifestSeed, std::as_bytes(std::span(identity)));
}

std::vector<std::byte> encode_manifest_header(const ManifestHeader& header) {
  std::vector<std::byte> out(kManifestHeaderEnd);
  HeaderBytes bytes{};
  std::memcpy(bytes.magic, kMagic, sizeof kMagic);
  bytes.version = kManifestVersion;
  std::memcpy(bytes.identity, header.identity.data(), sizeof bytes.identity);
  bytes.generation = header.generation;
  bytes.sequence = header.sequence;
  bytes.snapshot_end = header.snapshot_end;
  bytes.snapshot_link = header.snapshot_link;
  for (std::uint64_t offset = 0; offset < kManifestHeaderEnd; offset += kDiskBlockBytes) {
    const auto block = std::span(out).subspan(static_cast<std::size_t>(offset), kDiskBlockBytes);
    std::memcpy(block.data(), &bytes, sizeof bytes);
    const std::uint64_t checksum = crc64(kManifestSeed + offset, block.first(kHeaderChecksumAt));
    std::memcpy(block.data() + kHeaderChecksumAt, &checksum, sizeof checksum);
  }
  return out;
}

std::vector<std::byte> encode_manifest_write(const ManifestWrite& write, const StreamIdentity& identity,
                                             std::uint64_t offset, std::uint64_t& link) {
  BOP_ASSERT(write.records.size() <= kMostWriteRecordBytes && offset % kDiskBlockBytes == 0);
  const auto copy_bytes =
      static_cast<std::size_t>(align_up(kWriteHead + write.records.size(), kDiskBlockBytes));
  std::vector<std::byte> out(2 * copy_bytes);
  WriteBytes head{};
  head.magic = kWriteMagic;
  head.blocks = static_cast<std::uint16_t>(copy_bytes / kDiskBlockBytes);
  head.flags = static_cast<std::uint16_t>(write.flag);
  head.generation = write.generation;
  head.sequence = write.sequence;
  head.previous = write.previous;
  head.count = write.count;
  head.bytes = static_cast<std::uint32_t>(write.records.size());
  for (std::size_t i = 0; i < 2; ++i) {
    const auto copy = std::span(out).subspan(i * copy_bytes, copy_bytes);
    std::memcpy(copy.data(), &head, sizeof head);
    if (!write.records.empty())
      std::memcpy(copy.data() + kWriteHead, write.records.data(), write.records.size());
    const std::uint64_t checksum =
        checksum_of_copy(copy, identity, write.generation, offset + i * copy_bytes);
    std::memcpy(copy.data() + kWriteChecksumAt, &checksum, sizeof checksum);
    if (i == 0) link = checksum;
  }
  return out;
}

Result<ManifestScan> scan_manifest(Disk& disk, const std::string& path) {
  ManifestScan scan;
  scan.path = path;
  BOP_LET(there, disk.exists(path));
  if (!there) return scan;
  BOP_LET(file, disk.open(path, OpenMode::kRead));
  BOP_LET(bytes, read_whole(*file));
  scan.file_bytes = bytes.bytes.size();
  scan.state = ManifestScan::State::kNoHeader;
  std::uint64_t damaged = 0;
  for (std::uint64_t offset = 0; offset < kManifestHeaderEnd; offset += kDiskBlockBytes) {
    const auto from =
        std::span<const std::byte>(bytes.bytes)
            .subspan(static_cast<std::size_t>(std::min<std::uint64_t>(offset, scan.file_bytes)));
    ManifestHeader header;
    switch (decode_header_block(from, offset, header)) {
      case BlockState::kValid:
        scan.header = header;
        if (scan.state != ManifestScan::State::kTooNew) scan.state = ManifestScan::State::kValid;
        break;
      case BlockState::kTooNew: scan.state = ManifestScan::State::kTooNew; break;
      case BlockState::kDamaged: ++damaged; break;
    }
  }
  if (scan.state != ManifestScan::State::kValid) return scan;
  scan.damaged_copies = damaged;
  scan_writes(bytes, scan);
  return scan;
}

}  // namespace bop::aof
