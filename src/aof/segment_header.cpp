#include "aof/segment_header.hpp"

#include <charconv>
#include <cstring>

#include <fmt/format.h>

#include "aof/record.hpp"
#include "base/assert.hpp"
#include "base/crc64.hpp"

namespace bop::aof {

namespace {

constexpr char kMagic[8] = {'B', 'O', 'P', 'L', 'O', 'G', '\r', '\n'};
constexpr std::size_t kChecksumAt = kSegmentHeaderBytes - 8;
constexpr std::string_view kSuffix = ".log";
constexpr std::size_t kNumberDigits = 16;

struct HeaderBytes {
  char magic[8];
  std::uint16_t version;
  std::uint16_t flags;
  std::uint32_t timeline;
  std::uint8_t identity[16];
  std::uint64_t number;
  std::uint64_t bytes;
  std::uint64_t seed;
  std::uint64_t base;
  std::uint64_t previous_index;
  std::uint64_t previous_term;
  std::uint64_t previous_checksum;
  std::uint64_t previous_number;
  std::int64_t created_us;
};
static_assert(sizeof(HeaderBytes) == 104 && offsetof(HeaderBytes, number) == 32);

}  // namespace

std::uint64_t SegmentHeader::record_key() const noexcept {
  std::byte parts[32];
  std::memcpy(parts, identity.data(), 16);
  std::memcpy(parts + 16, &number, 8);
  std::memcpy(parts + 24, &seed, 8);
  return crc64(kSegmentHeaderSeed, parts);
}

void encode_segment_header(std::span<std::byte> out, const SegmentHeader& header) noexcept {
  BOP_ASSERT(out.size() == kSegmentHeaderBytes);
  HeaderBytes bytes{};
  std::memcpy(bytes.magic, kMagic, sizeof kMagic);
  bytes.version = kSegmentVersion;
  bytes.timeline = header.timeline.value;
  std::memcpy(bytes.identity, header.identity.data(), sizeof bytes.identity);
  bytes.number = header.number;
  bytes.bytes = header.bytes;
  bytes.seed = header.seed;
  bytes.base = header.base.value;
  bytes.previous_index = header.previous.index.value;
  bytes.previous_term = header.previous.term.value;
  bytes.previous_checksum = header.previous.checksum;
  bytes.previous_number = header.previous_number;
  bytes.created_us = header.created_us;
  std::memset(out.data(), 0, out.size());
  std::memcpy(out.data(), &bytes, sizeof bytes);
  const std::uint64_t checksum = crc64(kSegmentHeaderSeed, out.first(kChecksumAt));
  std::memcpy(out.data() + kChecksumAt, &checksum, sizeof checksum);
}

HeaderState decode_segment_header(std::span<const std::byte> block, SegmentHeader& out) noexcept {
  if (all_zero(block)) return HeaderState::kZero;
  if (block.size() != kSegmentHeaderBytes) return HeaderState::kDamaged;
  std::uint64_t checksum = 0;
  std::memcpy(&checksum, block.data() + kChecksumAt, sizeof checksum);
  if (checksum != crc64(kSegmentHeaderSeed, block.first(kChecksumAt))) return HeaderState::kDamaged;
  HeaderBytes bytes;
  std::memcpy(&bytes, block.data(), sizeof bytes);
  if (std::memcmp(bytes.magic, kMagic, sizeof kMagic) != 0) return HeaderState::kDamaged;
  if (bytes.version != kSegmentVersion || bytes.flags != 0) return HeaderState::kTooNew;
  if (!all_zero(block.subspan(sizeof bytes, kChecksumAt - sizeof bytes))) return HeaderState::kTooNew;
  out.timeline = Timeline(bytes.timeline);
  std::memcpy(out.identity.data(), bytes.identity, sizeof bytes.identity);
  out.number = bytes.number;
  out.bytes = bytes.bytes;
  out.seed = bytes.seed;
  out.base = Lsn(bytes.base);
  out.previous = {Lsn(bytes.previous_index), Term(bytes.previous_term), bytes.previous_checksum};
  out.previous_number = bytes.previous_number;
  out.created_us = bytes.created_us;
  const bool sound = out.base.value == out.previous.index.value + 1 && out.number != 0 &&
                     out.previous_number < out.number && out.bytes % kDiskBlockBytes == 0 &&
                     out.bytes > kSegmentHeaderBytes;
  return sound ? HeaderState::kValid : HeaderState::kDamaged;
}

std::string segment_name(std::uint64_t number) { return fmt::format("{:016x}{}", number, kSuffix); }

std::optional<std::uint64_t> segment_number(std::string_view name) noexcept {
  if (name.size() != kNumberDigits + kSuffix.size() || !name.ends_with(kSuffix)) return std::nullopt;
  std::uint64_t number = 0;
  const char* end = name.data() + kNumberDigits;
  const auto [stopped, error] = std::from_chars(name.data(), end, number, 16);
  if (error != std::errc() || stopped != end || number == 0) return std::nullopt;
  return number;
}

}  // namespace bop::aof
