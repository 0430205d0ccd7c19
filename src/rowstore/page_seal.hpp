// The 32 reserved bytes at the end of every page, plain form:
//
//   offset  size  field
//     4064     8  checksum  CRC64-NVME of [0, 4064) and then of the epoch, seeded with database and page number
//     4072     8  epoch     0 today; counts key rotations once pages are encrypted
//     4080    16  zeros
//
// A page is valid if and only if checksum and zeros hold. The seed makes a page that was written to the wrong
// place, or into another database, as invalid as a torn one. A page of zeros is never valid: holes of a file
// are filled with sealed pages.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/ids.hpp"

namespace bop::rowstore {

using PageSpan = std::span<std::byte, kPageBytes>;
using ConstPageSpan = std::span<const std::byte, kPageBytes>;
using UsableSpan = std::span<const std::byte, kPageUsableBytes>;

// Of the usable bytes alone: what log records carry.
[[nodiscard]] std::uint64_t page_checksum(DatabaseId database, PageNo page, UsableSpan bytes) noexcept;
void seal_page(DatabaseId database, PageNo page, Epoch epoch, PageSpan bytes) noexcept;
[[nodiscard]] bool page_is_sealed(DatabaseId database, PageNo page, ConstPageSpan bytes) noexcept;

// Page 1 of an empty database: UTF-8, auto_vacuum incremental, WAL, 32 reserved bytes. Not sealed.
void make_first_page(PageSpan bytes) noexcept;

}  // namespace bop::rowstore
