#include "rowstore/page_seal.hpp"

#include <algorithm>
#include <cstring>

#include "base/crc64.hpp"

namespace bop::rowstore {

namespace {
constexpr std::size_t kChecksumAt = kPageUsableBytes;
constexpr std::size_t kEpochAt = kChecksumAt + 8;
constexpr std::size_t kZerosAt = kEpochAt + 8;
static_assert(kZerosAt + 16 == kPageBytes);

std::uint64_t seed_of(DatabaseId database, PageNo page) noexcept {
  // Any fixed mixing will do; a product spreads both numbers over all bits and is never 0 for a real page.
  return ((std::uint64_t{database.value} << 32) | page.value) * 0x9e3779b97f4a7c15ULL;
}

void put32(PageSpan page, std::size_t at, std::uint32_t value) noexcept {
  for (int i = 0; i < 4; ++i) page[at + i] = static_cast<std::byte>(value >> (24 - 8 * i));
}
}  // namespace

std::uint64_t page_checksum(DatabaseId database, PageNo page, UsableSpan bytes) noexcept {
  return crc64(seed_of(database, page), bytes);
}

void seal_page(DatabaseId database, PageNo page, Epoch epoch, PageSpan bytes) noexcept {
  std::fill(bytes.begin() + kZerosAt, bytes.end(), std::byte{0});
  std::memcpy(bytes.data() + kEpochAt, &epoch.value, 8);
  const std::uint64_t sum =
      crc64(page_checksum(database, page, bytes.first<kPageUsableBytes>()), bytes.subspan(kEpochAt, 8));
  std::memcpy(bytes.data() + kChecksumAt, &sum, 8);
}

bool page_is_sealed(DatabaseId database, PageNo page, ConstPageSpan bytes) noexcept {
  std::uint64_t stored = 0;
  std::memcpy(&stored, bytes.data() + kChecksumAt, 8);
  const std::uint64_t sum =
      crc64(page_checksum(database, page, bytes.first<kPageUsableBytes>()), bytes.subspan(kEpochAt, 8));
  return sum == stored &&
         std::all_of(bytes.begin() + kZerosAt, bytes.end(), [](std::byte b) { return b == std::byte{0}; });
}

// The fields are those of SQLite's file format, section "The Database Header".
void make_first_page(PageSpan page) noexcept {
  std::fill(page.begin(), page.end(), std::byte{0});
  std::memcpy(page.data(), "SQLite format 3", 16);
  page[16] = static_cast<std::byte>(kPageBytes >> 8);
  page[17] = static_cast<std::byte>(kPageBytes & 0xff);
  page[18] = page[19] = std::byte{2};  // WAL
  page[20] = static_cast<std::byte>(kPageReservedBytes);
  page[21] = std::byte{64};
  page[22] = page[23] = std::byte{32};
  put32(page, 24, 1);           // change counter
  put32(page, 28, 1);           // pages in the database
  put32(page, 44, 4);           // schema format
  put32(page, 52, 1);           // auto_vacuum
  put32(page, 56, 1);           // UTF-8
  put32(page, 64, 1);           // incremental
  put32(page, 68, 0x424f5052);  // application id "BOPR"
  put32(page, 92, 1);           // change counter for which the size is valid
  put32(page, 96, 3054001);     // written by this version of SQLite
  page[100] = std::byte{0x0d};  // an empty table leaf: the schema
  page[105] = static_cast<std::byte>(kPageUsableBytes >> 8);
  page[106] = static_cast<std::byte>(kPageUsableBytes & 0xff);
}

}  // namespace bop::rowstore
