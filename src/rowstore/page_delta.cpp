#include "rowstore/page_delta.hpp"

#include <cstring>

#include "base/assert.hpp"

namespace bop::rowstore {

using database::kPageEntryHeaderBytes;
using database::PageForm;
using database::RecordKind;

namespace {

constexpr std::size_t kRangeHeaderBytes = 4;
constexpr std::size_t kWord = 8;
static_assert(kPageUsableBytes % kWord == 0);
// A delta longer than this costs more to make and apply than it saves.
constexpr std::size_t kMaxDeltaBytes = kPageUsableBytes * 3 / 4;

template <class T>
void put(std::byte* at, T value) {
  std::memcpy(at, &value, sizeof(T));
}
template <class T>
T get(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof(T));
  return value;
}

// Writes the ranges in which the pages differ, in words of 8 bytes; false when they grow too long.
bool append_ranges(Bytes& out, const std::byte* before, const std::byte* after, std::uint16_t& count) {
  const std::size_t start = out.size();
  std::size_t at = 0;
  count = 0;
  while (at < kPageUsableBytes) {
    if (get<std::uint64_t>(before + at) == get<std::uint64_t>(after + at)) {
      at += kWord;
      continue;
    }
    std::size_t end = at + kWord;
    while (end < kPageUsableBytes && get<std::uint64_t>(before + end) != get<std::uint64_t>(after + end))
      end += kWord;
    // The ends are exact to the byte.
    std::size_t from = at;
    std::size_t to = end;
    while (before[from] == after[from]) ++from;
    while (before[to - 1] == after[to - 1]) --to;
    const std::size_t length = to - from;
    if (out.size() - start + kRangeHeaderBytes + length > kMaxDeltaBytes) return false;
    const std::size_t place = out.size();
    out.resize(place + kRangeHeaderBytes + length);
    put(out.data() + place, static_cast<std::uint16_t>(from));
    put(out.data() + place + 2, static_cast<std::uint16_t>(length));
    std::memcpy(out.data() + place + kRangeHeaderBytes, after + from, length);
    ++count;
    at = end;
  }
  return true;
}

}  // namespace

PageForm append_page(Bytes& out, DatabaseId database, PageNo page, UsableSpan after, const std::byte* before,
                     Csn base) {
  const std::size_t start = out.size();
  out.resize(start + kPageEntryHeaderBytes);
  auto form = PageForm::kFull;
  std::uint16_t ranges = 0;
  if (before != nullptr) {
    if (append_ranges(out, before, after.data(), ranges)) {
      form = PageForm::kDelta;
    } else {
      out.resize(start + kPageEntryHeaderBytes);
      ranges = 0;
    }
  }
  if (form == PageForm::kFull) out.insert(out.end(), after.begin(), after.end());
  std::byte* header = out.data() + start;
  put(header, page.value);
  put(header + 4, static_cast<std::uint16_t>(form));
  put(header + 6, ranges);
  put(header + 8, form == PageForm::kDelta ? base.value : std::uint64_t{0});
  put(header + 16, page_checksum(database, page, after));
  return form;
}

Result<RowRecord> parse_row_record(RecordKind kind, std::span<const std::byte> payload) {
  const bool closing = kind == RecordKind::kRowCommit;
  BOP_ASSERT(closing || kind == RecordKind::kRowPart);
  const std::size_t header = closing ? database::kRowCommitHeaderBytes : database::kRowPartHeaderBytes;
  if (payload.size() < header)
    return fail(ErrorCode::kCorrupt, "row record of {} bytes has no header", payload.size());
  RowRecord out;
  out.transaction = get<std::uint64_t>(payload.data());
  out.part_or_parts = get<std::uint32_t>(payload.data() + 8);
  if (closing) out.database_pages = get<std::uint32_t>(payload.data() + 12);
  const auto count = get<std::uint32_t>(payload.data() + header - 4);
  auto rest = payload.subspan(header);
  if (std::uint64_t{count} * kPageEntryHeaderBytes > rest.size()) {
    return fail(ErrorCode::kCorrupt, "row record of {} bytes cannot hold {} pages", payload.size(), count);
  }
  out.pages.reserve(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    if (rest.size() < kPageEntryHeaderBytes)
      return fail(ErrorCode::kCorrupt, "row record ends inside page {}", i);
    PageEntry page;
    page.page = PageNo(get<std::uint32_t>(rest.data()));
    const auto form = get<std::uint16_t>(rest.data() + 4);
    page.range_count = get<std::uint16_t>(rest.data() + 6);
    page.base = Csn(get<std::uint64_t>(rest.data() + 8));
    page.checksum = get<std::uint64_t>(rest.data() + 16);
    rest = rest.subspan(kPageEntryHeaderBytes);
    if (page.page.value == 0 || form > 1 || (closing && page.page.value > out.database_pages)) {
      return fail(ErrorCode::kCorrupt, "row record: page {} of form {} in a database of {} pages",
                  page.page.value, form, out.database_pages);
    }
    page.form = static_cast<PageForm>(form);
    std::size_t length = kPageUsableBytes;
    if (page.form == PageForm::kDelta) {
      length = 0;
      std::size_t end = 0;
      for (std::uint16_t r = 0; r < page.range_count; ++r) {
        if (rest.size() < length + kRangeHeaderBytes) {
          return fail(ErrorCode::kCorrupt, "row record ends inside the delta of page {}", page.page.value);
        }
        const std::size_t offset = get<std::uint16_t>(rest.data() + length);
        const std::size_t bytes = get<std::uint16_t>(rest.data() + length + 2);
        if (bytes == 0 || offset < end || offset + bytes > kPageUsableBytes) {
          return fail(ErrorCode::kCorrupt, "row record: range {}+{} in the delta of page {}", offset, bytes,
                      page.page.value);
        }
        end = offset + bytes;
        length += kRangeHeaderBytes + bytes;
      }
    } else if (page.range_count != 0 || page.base.value != 0) {
      return fail(ErrorCode::kCorrupt, "row record: full image of page {} with fields of a delta",
                  page.page.value);
    }
    if (rest.size() < length) {
      return fail(ErrorCode::kCorrupt, "row record ends inside page {}", page.page.value);
    }
    page.body = rest.first(length);
    rest = rest.subspan(length);
    out.pages.push_back(page);
  }
  if (!rest.empty()) return fail(ErrorCode::kCorrupt, "row record: {} bytes left over", rest.size());
  return out;
}

Status apply_page(const PageEntry& entry, DatabaseId database,
                  std::span<std::byte, kPageUsableBytes> usable) {
  if (entry.form == PageForm::kFull) {
    std::memcpy(usable.data(), entry.body.data(), kPageUsableBytes);
  } else {
    const std::byte* at = entry.body.data();
    for (std::uint16_t r = 0; r < entry.range_count; ++r) {
      const std::size_t offset = get<std::uint16_t>(at);
      const std::size_t bytes = get<std::uint16_t>(at + 2);
      std::memcpy(usable.data() + offset, at + kRangeHeaderBytes, bytes);
      at += kRangeHeaderBytes + bytes;
    }
  }
  if (page_checksum(database, entry.page, usable) != entry.checksum) {
    return fail(ErrorCode::kCorrupt, "page {} differs from its checksum after the log's record was applied",
                entry.page.value);
  }
  return {};
}

}  // namespace bop::rowstore
