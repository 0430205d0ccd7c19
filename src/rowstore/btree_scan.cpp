#include "rowstore/btree_scan.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/assert.hpp"

namespace bop::rowstore {

namespace {

constexpr std::uint8_t kInnerTable = 0x05;
constexpr std::uint8_t kLeafTable = 0x0d;
constexpr std::size_t kInnerHeader = 12;
constexpr std::size_t kLeafHeader = 8;
constexpr std::size_t kFileHeader = 100;  // at the beginning of page 1
constexpr std::uint64_t kUsable = kPageUsableBytes;
constexpr std::uint64_t kMaxLocal = kUsable - 35;
constexpr std::uint64_t kMinLocal = (kUsable - 12) * 32 / 255 - 23;
constexpr std::uint64_t kOverflowBytes = kUsable - 4;
constexpr std::uint64_t kMaxRecord = std::uint64_t{1} << 30;  // SQLITE_MAX_LENGTH
constexpr int kMaxLevels = 20;

unsigned u8(const std::byte* at) { return std::to_integer<unsigned>(*at); }
unsigned u16(const std::byte* at) { return u8(at) << 8U | u8(at + 1); }
std::uint32_t u32(const std::byte* at) {
  std::uint32_t v = 0;
  std::memcpy(&v, at, sizeof(v));
  return std::byteswap(v);
}

// Reads a varint that ends before `end`; null if it does not.
const std::byte* varint(const std::byte* at, const std::byte* end, std::uint64_t& out) {
  if (at < end && u8(at) < 0x80) {
    out = u8(at);
    return at + 1;
  }
  std::uint64_t value = 0;
  for (int i = 0; i < 9; ++i, ++at) {
    if (at >= end) return nullptr;
    const unsigned byte = u8(at);
    if (i == 8) {
      out = value << 8U | byte;
      return at + 1;
    }
    value = value << 7U | (byte & 0x7fU);
    if (byte < 0x80) {
      out = value;
      return at + 1;
    }
  }
  return nullptr;
}

// Bytes of the types that one byte tells; no record is as long as those of the types that do not exist.
constexpr std::uint64_t kNoSuchType = kMaxRecord + 1;
constexpr auto kSizes = [] {
  std::array<std::uint64_t, 128> sizes{0, 1, 2, 3, 4, 6, 8, 8, 0, 0, kNoSuchType, kNoSuchType};
  for (std::size_t type = 12; type < sizes.size(); ++type) sizes[type] = (type - 12) / 2;
  return sizes;
}();

std::uint64_t size_of_type(std::uint64_t type) {
  return type < kSizes.size() ? kSizes[type] : (type - 12) / 2;
}

std::unexpected<Error> corrupt_page(PageNo page) {
  return fail(ErrorCode::kCorrupt, "page {} is not a well-formed page of a table", page.value);
}

std::size_t header_at(PageNo page) { return page.value == 1 ? kFileHeader : 0; }

}  // namespace

std::int64_t RecordField::integer() const noexcept {
  switch (type) {
    case 1: return static_cast<std::int8_t>(u8(data));
    case 2: return static_cast<std::int16_t>(u16(data));
    case 3: return static_cast<std::int32_t>(u8(data) << 24U | u8(data + 1) << 16U | u8(data + 2) << 8U) >> 8;
    case 4: return static_cast<std::int32_t>(u32(data));
    case 5:
      return static_cast<std::int64_t>(static_cast<std::int16_t>(u16(data))) * (std::int64_t{1} << 32) +
             u32(data + 2);
    case 6: return static_cast<std::int64_t>(std::uint64_t{u32(data)} << 32U | u32(data + 4));
    case 9: return 1;
    default: return 0;
  }
}

double RecordField::real() const noexcept {
  return std::bit_cast<double>(std::uint64_t{u32(data)} << 32U | u32(data + 4));
}

// --- inner pages ---

Result<TableTree::Level> TableTree::read_inner(PageNo number) const {
  std::array<std::byte, kPageBytes> buffer;
  BOP_LET(page, source_->page(number, buffer));
  const std::size_t header = header_at(number);
  const unsigned cells = u16(page + header + 3);
  if (u8(page + header) != kInnerTable || header + kInnerHeader + cells * 2 > kUsable)
    return corrupt_page(number);
  Level level;
  level.children.reserve(cells + 1);
  const std::byte* end = page + kUsable;
  for (unsigned i = 0; i < cells; ++i) {
    const unsigned at = u16(page + header + kInnerHeader + i * 2);
    std::uint64_t key = 0;
    if (at + 5 > kUsable || varint(page + at + 4, end, key) == nullptr) return corrupt_page(number);
    // The child holds the rowids up to the key.
    if (static_cast<std::int64_t>(key) < range_.lowest) continue;
    level.children.emplace_back(u32(page + at));
    if (static_cast<std::int64_t>(key) >= range_.highest) return level;
  }
  level.children.emplace_back(u32(page + header + 8));
  return level;
}

Result<std::unique_ptr<TableTree>> TableTree::open(std::shared_ptr<const PageSource> source, PageNo root,
                                                   RowidRange range, std::size_t leaves_a_lot) {
  BOP_ASSERT(leaves_a_lot > 0);
  std::unique_ptr<TableTree> tree(new TableTree(std::move(source), range, leaves_a_lot));
  std::array<std::byte, kPageBytes> buffer;
  PageNo at = root;
  for (;; ++tree->inner_levels_) {
    BOP_LET(page, tree->source_->page(at, buffer));
    const unsigned kind = u8(page + header_at(at));
    if (kind == kLeafTable) break;
    if (kind != kInnerTable || tree->inner_levels_ == kMaxLevels) return corrupt_page(at);
    at = PageNo(u32(page + header_at(at) + 8));
  }
  if (tree->inner_levels_ == 0) {
    tree->only_leaf_ = root;
  } else {
    BOP_LET(level, tree->read_inner(root));
    tree->path_.push_back(std::move(level));
  }
  return tree;
}

Result<std::vector<PageNo>> TableTree::next_lot() {
  const std::lock_guard lock(mutex_);
  std::vector<PageNo> out;
  if (only_leaf_.value != 0) {
    out.push_back(std::exchange(only_leaf_, PageNo()));
    return out;
  }
  while (!path_.empty() && out.size() < leaves_a_lot_) {
    Level& level = path_.back();
    if (level.next == level.children.size()) {
      // The root stays for what progress() asks.
      if (path_.size() == 1) break;
      path_.pop_back();
    } else if (path_.size() < static_cast<std::size_t>(inner_levels_)) {
      BOP_LET(below, read_inner(level.children[level.next++]));
      path_.push_back(std::move(below));
    } else {
      const std::size_t n = std::min(leaves_a_lot_ - out.size(), level.children.size() - level.next);
      const auto from = level.children.begin() + static_cast<std::ptrdiff_t>(level.next);
      out.insert(out.end(), from, from + static_cast<std::ptrdiff_t>(n));
      level.next += n;
    }
  }
  return out;
}

double TableTree::progress() const {
  const std::lock_guard lock(mutex_);
  if (path_.empty()) return only_leaf_.value == 0 ? 1 : 0;
  double done = 0;
  double share = 1;
  for (const Level& level : path_) {
    if (level.children.empty()) return 1;
    const auto all = static_cast<double>(level.children.size());
    const bool innermost = &level == &path_.back();
    // Of an outer level the child under way is counted by the levels below.
    const double behind = static_cast<double>(level.next) - (innermost ? 0 : 1);
    done += share * behind / all;
    share /= all;
  }
  return done;
}

Result<TableTree::Size> TableTree::estimate(const PageSource& source, PageNo root) {
  std::array<std::byte, kPageBytes> buffer;
  Size size{.leaves = 1};
  PageNo at = root;
  for (int level = 0; level <= kMaxLevels; ++level) {
    BOP_LET(page, source.page(at, buffer));
    const std::byte* header = page + header_at(at);
    const unsigned cells = u16(header + 3);
    if (u8(header) == kLeafTable) {
      size.rows = size.leaves * cells;
      return size;
    }
    if (u8(header) != kInnerTable) return corrupt_page(at);
    size.leaves *= cells + 1;
    // The child in the middle: the outermost ones are often less full.
    const std::size_t place = header_at(at) + kInnerHeader + std::size_t{cells / 2} * 2;
    if (cells == 0 || place + 2 > kUsable) {
      at = PageNo(u32(header + 8));
      continue;
    }
    const unsigned cell = u16(page + place);
    if (cell + 4 > kUsable) return corrupt_page(at);
    at = PageNo(u32(page + cell));
  }
  return corrupt_page(root);
}

// --- leaves ---

std::unexpected<Error> LeafReader::corrupt() const { return corrupt_page(number_); }

Result<const std::byte*> LeafReader::page_of(PageNo leaf) {
  if (leaf.value - ahead_first_ < ahead_count_)
    return ahead_.data() + std::size_t{leaf.value - ahead_first_} * kPageBytes;
  while (!expected_.empty() && expected_.front() != leaf) expected_ = expected_.subspan(1);
  std::size_t together = 0;
  while (together < std::min(expected_.size(), kPagesAhead) &&
         expected_[together].value == leaf.value + together)
    ++together;
  if (together > 1) {
    ahead_.resize(kPagesAhead * kPageBytes);
    BOP_LET(count, source_->run(leaf, std::span(ahead_).first(together * kPageBytes)));
    ahead_first_ = leaf.value;
    ahead_count_ = static_cast<std::uint32_t>(count);
    if (count > 0) return ahead_.data();
  }
  return source_->page(leaf, buffer_);
}

Status LeafReader::open(PageNo leaf) {
  number_ = leaf;
  cell_ = cells_ = 0;
  BOP_LET(page, page_of(leaf));
  page_ = page;
  const std::byte* header = page + header_at(leaf);
  const unsigned cells = u16(header + 3);
  if (u8(header) != kLeafTable || header_at(leaf) + kLeafHeader + cells * 2 > kUsable) return corrupt();
  cells_ = cells;
  return {};
}

Result<bool> LeafReader::next() {
  const std::byte* end = page_ + kUsable;
  while (cell_ < cells_) {
    const unsigned at = u16(page_ + header_at(number_) + kLeafHeader + cell_ * 2);
    ++cell_;
    std::uint64_t size = 0;
    std::uint64_t rowid = 0;
    const std::byte* p = at < kUsable ? varint(page_ + at, end, size) : nullptr;
    if (p != nullptr) p = varint(p, end, rowid);
    if (p == nullptr || size > kMaxRecord) return corrupt();
    rowid_ = static_cast<std::int64_t>(rowid);
    if (rowid_ < range_.lowest) continue;
    if (rowid_ > range_.highest) {
      cell_ = cells_;
      return false;
    }
    std::uint64_t local = size;
    if (size > kMaxLocal) {
      local = kMinLocal + (size - kMinLocal) % kOverflowBytes;
      if (local > kMaxLocal) local = kMinLocal;
    }
    const std::uint64_t in_page = local + (local < size ? 4 : 0);
    if (in_page > static_cast<std::uint64_t>(end - p)) return corrupt();
    BOP_TRY(read_record(p, size, local));
    return true;
  }
  return false;
}

Status LeafReader::read_record(const std::byte* at, std::uint64_t size, std::uint64_t local) {
  std::uint64_t header = 0;
  const std::byte* p = varint(at, at + local, header);
  if (p == nullptr || header > size) return corrupt();
  if (header > local) {
    BOP_TRY(gather(at, local, size));
    at = overflowing_.data();
    local = size;
    p = varint(at, at + local, header);
  }
  const std::byte* header_end = at + header;
  if (p > header_end) return corrupt();
  if (local == size) return read_fields(at, p, header_end, header, size);
  std::uint64_t offset = header;
  bool whole = false;
  const std::size_t wanted = fields_.size();
  for (std::size_t i = 0; i < wanted; ++i) {
    RecordField& field = fields_[i];
    if (p >= header_end) {
      field = {};
      continue;
    }
    p = varint(p, header_end, field.type);
    if (p == nullptr || field.type == 10 || field.type == 11) return corrupt();
    const std::uint64_t bytes = size_of_type(field.type);
    if (bytes > size - offset) return corrupt();
    if (!whole && offset + bytes > local) {
      // The first field that is not wholly in the page: all of the record is put together, once.
      BOP_TRY(gather(at, local, size));
      const auto moved = [&](const std::byte* old) { return overflowing_.data() + (old - at); };
      p = moved(p);
      header_end = moved(header_end);
      for (std::size_t k = 0; k < i; ++k) {
        if (fields_[k].data != nullptr) fields_[k].data = moved(fields_[k].data);
      }
      at = overflowing_.data();
      whole = true;
    }
    field.data = at + offset;
    offset += bytes;
  }
  return {};
}

// Of a record that lies in one piece, which is nearly every one.
Status LeafReader::read_fields(const std::byte* at, const std::byte* p, const std::byte* header_end,
                               std::uint64_t offset, std::uint64_t size) {
  RecordField* field = fields_.data();
  RecordField* const end = field + fields_.size();
  for (; field != end && p < header_end; ++field) {
    field->data = at + offset;
    if (const unsigned type = u8(p); type < 0x80) {
      field->type = type;
      offset += kSizes[type];
      ++p;
    } else {
      p = varint(p, header_end, field->type);
      if (p == nullptr) return corrupt();
      const std::uint64_t bytes = size_of_type(field->type);
      if (bytes > size) return corrupt();
      offset += bytes;
    }
  }
  // Every size is counted, so the last end bounds them all. (Types 10 and 11 count as larger than any
  // record.)
  if (offset > size) return corrupt();
  for (; field != end; ++field) *field = {};
  return {};
}

// `local` points into the page; the chain of overflow pages follows it.
Status LeafReader::gather(const std::byte* local, std::uint64_t local_size, std::uint64_t size) {
  overflowing_.clear();
  overflowing_.reserve(size);
  overflowing_.insert(overflowing_.end(), local, local + local_size);
  PageNo next(u32(local + local_size));
  std::array<std::byte, kPageBytes> buffer;
  while (overflowing_.size() < size) {
    if (next.value == 0) return corrupt();
    BOP_LET(page, source_->page(next, buffer));
    const std::uint64_t n = std::min(size - overflowing_.size(), kOverflowBytes);
    overflowing_.insert(overflowing_.end(), page + 4, page + 4 + n);
    next = PageNo(u32(page));
  }
  return {};
}

}  // namespace bop::rowstore
