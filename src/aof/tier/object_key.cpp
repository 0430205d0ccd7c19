#include "aof/tier/object_key.hpp"

#include <array>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace bop::aof {

namespace {

constexpr std::size_t kDigits = 16;
constexpr std::size_t kNumbers = 5;
constexpr std::string_view kSuffix = ".zst";
constexpr std::size_t kKeyChars = kNumbers * kDigits + (kNumbers - 1) + kSuffix.size();

// from_chars would take a sign, upper case and fewer digits.
std::optional<std::uint64_t> hex(std::string_view text) noexcept {
  std::uint64_t value = 0;
  for (const char c : text) {
    const bool digit = c >= '0' && c <= '9';
    if (!digit && (c < 'a' || c > 'f')) return std::nullopt;
    value = value << 4U | static_cast<std::uint64_t>(digit ? c - '0' : c - 'a' + 10);
  }
  return value;
}

}  // namespace

ObjectKey key_of(const SegmentFacts& facts, Epoch epoch) noexcept {
  return {facts.id.number, epoch, facts.base, facts.last.index, facts.content_checksum};
}

bool names(const ObjectKey& key, const SegmentFacts& facts) noexcept {
  return key == key_of(facts, key.epoch);
}

std::string print_key(const ObjectKey& key) {
  return fmt::format("{:016x}-{:016x}-{:016x}-{:016x}-{:016x}{}", key.number, key.epoch.value, key.base.value,
                     key.last.value, key.content_checksum, kSuffix);
}

std::optional<ObjectKey> parse_key(std::string_view name) noexcept {
  if (name.size() != kKeyChars || !name.ends_with(kSuffix)) return std::nullopt;
  std::array<std::uint64_t, kNumbers> numbers{};
  for (std::size_t i = 0; i < kNumbers; ++i) {
    const auto value = hex(name.substr(i * (kDigits + 1), kDigits));
    if (!value.has_value()) return std::nullopt;
    if (i + 1 < kNumbers && name[i * (kDigits + 1) + kDigits] != '-') return std::nullopt;
    numbers[i] = *value;
  }
  const ObjectKey key{numbers[0], Epoch(numbers[1]), Lsn(numbers[2]), Lsn(numbers[3]), numbers[4]};
  const bool sound =
      key.number != 0 && key.epoch.value != 0 && key.base.value != 0 && key.last.value >= key.base.value - 1;
  return sound ? std::optional(key) : std::nullopt;
}

std::string print_identity(const StreamIdentity& identity) {
  return fmt::format("{:02x}", fmt::join(identity, ""));
}

BucketNames::BucketNames(std::string_view prefix, const StreamIdentity& identity)
    : base_(fmt::format("{}{}{}/", prefix, prefix.empty() ? "" : "/", print_identity(identity))),
      register_(base_ + "register"),
      segments_(base_ + "segments/") {}

std::optional<ObjectKey> BucketNames::parse(std::string_view name) const noexcept {
  if (!name.starts_with(segments_)) return std::nullopt;
  return parse_key(name.substr(segments_.size()));
}

std::string BucketNames::key(std::uint64_t key_id) const {
  return fmt::format("{}keys/{:016x}", base_, key_id);
}

}  // namespace bop::aof
