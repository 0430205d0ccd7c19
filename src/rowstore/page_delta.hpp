// Pages inside kRowCommit and kRowPart records (database/records.hpp has the format): writing the shorter of
// full image and delta, and taking records apart again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/error.hpp"
#include "base/ids.hpp"
#include "database/records.hpp"
#include "rowstore/page_seal.hpp"

namespace bop::rowstore {

using Bytes = std::vector<std::byte>;

// Appends an entry. With `before` a delta from it, unless a full image is about as short; returns what was
// written.
database::PageForm append_page(Bytes& out, DatabaseId database, PageNo page, UsableSpan after,
                               const std::byte* before, Csn base);

// One entry of a record, checked for shape. `ranges` points into the record.
struct PageEntry {
  PageNo page;
  database::PageForm form{};
  std::uint16_t range_count = 0;
  Csn base;
  std::uint64_t checksum = 0;
  std::span<const std::byte> body;
};
// The header of a kRowCommit or kRowPart and its pages; kCorrupt for anything that does not add up.
struct RowRecord {
  std::uint64_t transaction = 0;
  std::uint32_t part_or_parts = 0;
  std::uint32_t database_pages = 0;  // 0 in a part
  std::vector<PageEntry> pages;
};
[[nodiscard]] Result<RowRecord> parse_row_record(database::RecordKind kind,
                                                 std::span<const std::byte> payload);

// Changes `usable` (the page before) into the page after. kCorrupt when the result has another checksum.
[[nodiscard]] Status apply_page(const PageEntry& entry, DatabaseId database,
                                std::span<std::byte, kPageUsableBytes> usable);

}  // namespace bop::rowstore
