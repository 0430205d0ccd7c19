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

const std::byte* long_varint(const std::byte* at, const std::byte* end, std::uint64_t& out);

// Reads a varint that ends before `end`; null if it does not.
inline const std::byte* varint(const std::byte* at, const std::byte* end, std::uint64_t& out) {
  if (end - at >= 3) [[likely]] {
    const unsigned first = u8(at);
    const unsigned second = u8(at + 1);
    if (first < 0x80) {
      out = first;
      return at + 1;
    }
    if (second < 0x80) {
      out = (first & 0x7fU) << 7U | second;
      return at + 2;
    }
    if (const unsigned third = u8(at + 2); third < 0x80) {
      out = (first & 0x7fU) << 14U | (second & 0x7fU) << 7U | third;
      return at + 3;
    }
  }
  return long_varint(at, end, out);
}

const std::byte* long_varint(const std::byte* at, const std::byte* end, std::uint64_t& out) {
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
  bool is_behind = false;
  for (unsigned i = 0; i < cells; ++i) {
    const unsigned at = u16(page + header + kInnerHeader + i * 2);
    std::uint64_t key = 0;
    if (at + 5 > kUsable || varint(page + at + 4, end, key) == nullptr) return corrupt_page(number);
    // The child holds the rowids up to the key.
    level.children.emplace_back(u32(page + at));
    if (static_cast<std::int64_t>(key) < range_.lowest) ++level.first;
    if (!is_behind) level.end = level.children.size();
    is_behind = is_behind || static_cast<std::int64_t>(key) >= range_.highest;
  }
  level.children.emplace_back(u32(page + header + 8));
  if (!is_behind) level.end = level.children.size();
  level.next = level.first;
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

Result<TableTree::Lot> TableTree::next_lot() {
  const std::lock_guard lock(mutex_);
  Lot out;
  if (only_leaf_.value != 0) {
    out.leaves.push_back(std::exchange(only_leaf_, PageNo()));
    out.to = 1;
    return out;
  }
  while (!path_.empty()) {
    Level& level = path_.back();
    if (level.next >= level.end) {
      // The root stays for what progress() asks.
      if (path_.size() == 1) break;
      path_.pop_back();
    } else if (path_.size() < static_cast<std::size_t>(inner_levels_)) {
      BOP_LET(below, read_inner(level.children[level.next++]));
      path_.push_back(std::move(below));
    } else {
      const std::size_t first = level.next / leaves_a_lot_ * leaves_a_lot_;
      const std::size_t last = std::min(first + leaves_a_lot_, level.children.size());
      out.leaves.assign(level.children.begin() + static_cast<std::ptrdiff_t>(first),
                        level.children.begin() + static_cast<std::ptrdiff_t>(last));
      out.from = level.next - first;
      level.next = std::min(last, level.end);
      out.to = level.next - first;
      break;
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
    if (level.end <= level.first) return 1;
    const auto all = static_cast<double>(level.end - level.first);
    const bool innermost = &level == &path_.back();
    // Of an outer level the child under way is counted by the levels below.
    const double behind =
        static_cast<double>(level.next) - static_cast<double>(level.first) - (innermost ? 0 : 1);
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

RowReader::RowReader(std::shared_ptr<const PageSource> source, std::vector<unsigned> fields,
                     std::size_t early, RowidRange range)
    : source_(std::move(source)), fields_(std::move(fields)), early_(early), range_(range) {
  BOP_ASSERT(early_ <= fields_.size() && std::ranges::is_sorted(fields_));
}

Status RowReader::open(std::span<const PageNo> leaves) {
  BOP_ASSERT(leaves.size() <= kMostLeaves);
  leaves_.assign(leaves.begin(), leaves.end());
  pages_.assign(leaves.size(), nullptr);
  buffer_.resize(std::max(buffer_.size(), leaves.size() * kPageBytes));
  leaf_ = 0;
  cell_ = cells_ = 0;
  count_ = 0;
  has_overflow_ = false;
  for (std::size_t i = 0; i < leaves.size();) {
    std::byte* const at = buffer_.data() + i * kPageBytes;
    std::size_t together = 1;
    while (together < std::min(leaves.size() - i, kPagesAtOnce) &&
           leaves[i + together].value == leaves[i].value + together)
      ++together;
    if (together > 1) {
      BOP_LET(count, source_->run(leaves[i], std::span(at, together * kPageBytes)));
      for (std::size_t k = 0; k < count; ++k) pages_[i + k] = at + k * kPageBytes;
      i += count;
      if (count > 0) continue;
    }
    BOP_LET(page, source_->page(leaves[i], std::span<std::byte, kPageBytes>(at, kPageBytes)));
    pages_[i++] = page;
  }
  return {};
}

Status RowReader::enter_leaf() {
  const PageNo number = leaves_[leaf_];
  page_ = pages_[leaf_++];
  const std::byte* header = page_ + header_at(number);
  cell_ = cells_ = 0;
  const unsigned cells = u16(header + 3);
  if (u8(header) != kLeafTable || header_at(number) + kLeafHeader + cells * 2 > kUsable)
    return corrupt_page(number);
  cells_ = cells;
  return {};
}

// False: its rowid is not in the range.
Result<bool> RowReader::next_cell(Row& row, std::int64_t& rowid) {
  row.page = leaves_[leaf_ - 1];
  const std::byte* end = page_ + kUsable;
  const unsigned at = u16(page_ + header_at(row.page) + kLeafHeader + cell_ * 2);
  ++cell_;
  std::uint64_t key = 0;
  const std::byte* p = at < kUsable ? varint(page_ + at, end, row.size) : nullptr;
  if (p != nullptr) p = varint(p, end, key);
  if (p == nullptr || row.size > kMaxRecord) return corrupt_page(row.page);
  rowid = static_cast<std::int64_t>(key);
  if (rowid < range_.lowest) return false;
  if (rowid > range_.highest) {
    cell_ = cells_;
    leaf_ = leaves_.size();
    return false;
  }
  row.local = row.size;
  if (row.size > kMaxLocal) {
    row.local = kMinLocal + (row.size - kMinLocal) % kOverflowBytes;
    if (row.local > kMaxLocal) row.local = kMinLocal;
    to_gather_ += row.size;
    has_overflow_ = true;
  }
  const std::uint64_t in_page = row.local + (row.local < row.size ? 4 : 0);
  if (in_page > static_cast<std::uint64_t>(end - p)) return corrupt_page(row.page);
  row.bytes = p;
  const std::byte* types = varint(p, p + row.local, row.offset);
  if (types == nullptr || row.offset > row.size) return corrupt_page(row.page);
  if (row.offset > row.local) {
    BOP_LET(whole, gather(row));
    types = whole + (types - row.bytes);
    row.bytes = whole;
    row.local = row.size;
  }
  row.type = types;
  row.types_end = row.bytes + row.offset;
  if (row.type > row.types_end) return corrupt_page(row.page);
  return true;
}

void RowReader::make_room(std::size_t rows) {
  if (room_ >= rows) return;
  room_ = rows;
  rowids_.resize(rows);
  columns_.resize(rows * fields_.size());
  if (early_ < fields_.size()) rows_.resize(rows);
}

Result<std::size_t> RowReader::read(std::size_t most) {
  make_room(most);
  gathered_.clear();
  to_gather_ = 0;
  count_ = 0;
  std::size_t n = 0;
  const bool keeps_rows = early_ < fields_.size();
  while (n < most && to_gather_ < kMostGathered) {
    if (cell_ == cells_) {
      if (leaf_ == leaves_.size()) break;
      BOP_TRY(enter_leaf());
      continue;
    }
    Row row;
    BOP_LET(is_in_range, next_cell(row, rowids_[n]));
    if (!is_in_range) continue;
    BOP_TRY(locate(row, 0, early_, n));
    if (keeps_rows) rows_[n] = row;
    ++n;
  }
  count_ = n;
  return n;
}

void RowReader::keep(std::span<const std::uint32_t> rows) {
  BOP_ASSERT(rows.size() <= count_);
  if (rows.size() == count_) return;
  count_ = rows.size();
  for (std::size_t k = 0; k < rows.size(); ++k) rowids_[k] = rowids_[rows[k]];
  for (std::size_t i = 0; i < early_; ++i) {
    RecordField* const column = columns_.data() + i * room_;
    for (std::size_t k = 0; k < rows.size(); ++k) column[k] = column[rows[k]];
  }
  if (early_ == fields_.size()) return;
  for (std::size_t k = 0; k < rows.size(); ++k) rows_[k] = rows_[rows[k]];
}

Status RowReader::locate_rest() {
  if (early_ == fields_.size()) return {};
  for (std::size_t r = 0; r < count_; ++r) BOP_TRY(locate(rows_[r], early_, fields_.size(), r));
  return {};
}

// The wanted fields `from` to `to`, which the row's state stands before.
Status RowReader::locate(Row& row, std::size_t from, std::size_t to, std::size_t index) {
  if (row.local != row.size) return locate_in_chain(row, from, to, index);
  const std::byte* type = row.type;
  const std::byte* const end = row.types_end;
  const std::byte* data = row.bytes + row.offset;
  RecordField* out = columns_.data() + from * room_ + index;
  const unsigned* const fields = fields_.data();
  unsigned number = from == 0 ? 0 : fields[from - 1] + 1;
  bool well_formed = true;
  // Types 10 and 11 count as larger than any record; no sum of sizes comes near to overflowing.
  const auto take = [&] {
    std::uint64_t t = u8(type);
    if (t < 0x80) [[likely]] {
      ++type;
      data += kSizes[t];
      return t;
    }
    const std::byte* const behind = varint(type, end, t);
    well_formed = well_formed && behind != nullptr && size_of_type(t) <= row.size;
    type = well_formed ? behind : end;
    if (well_formed) data += size_of_type(t);
    return t;
  };
  std::size_t i = from;
  for (; i < to; ++i, ++number, out += room_) {
    for (; number < fields[i] && type < end; ++number) take();
    if (type >= end) break;
    out->data = data;
    out->type = take();
  }
  // Every size is counted, so the last end bounds them all.
  row.type = type;
  row.offset = static_cast<std::uint64_t>(data - row.bytes);
  if (!well_formed || row.offset > row.size) return corrupt_page(row.page);
  for (; i < to; ++i, out += room_) *out = {};
  return {};
}

// Of a record with overflow pages, which are read if a wanted field lies there.
Status RowReader::locate_in_chain(Row& row, std::size_t from, std::size_t to, std::size_t index) {
  unsigned number = from == 0 ? 0 : fields_[from - 1] + 1;
  for (std::size_t i = from; i < to; ++i) {
    RecordField& field = columns_[i * room_ + index];
    field = {};
    for (; number <= fields_[i] && row.type < row.types_end; ++number) {
      row.type = varint(row.type, row.types_end, field.type);
      if (row.type == nullptr) return corrupt_page(row.page);
      const std::uint64_t bytes = size_of_type(field.type);
      if (bytes > row.size || bytes > row.size - row.offset) return corrupt_page(row.page);
      if (number == fields_[i]) {
        if (row.local != row.size && row.offset + bytes > row.local) {
          BOP_LET(whole, gather(row));
          // Its types are read on where they are: in the page, all of them.
          row.bytes = whole;
          row.local = row.size;
        }
        field.data = row.bytes + row.offset;
      }
      row.offset += bytes;
    }
    if (number <= fields_[i]) field = {};
  }
  return {};
}

// The whole record, behind which there is kReadableBehind; valid until the next read.
Result<const std::byte*> RowReader::gather(const Row& row) {
  std::vector<std::byte>& out = gathered_.emplace_back();
  out.reserve(row.size + kReadableBehind);
  out.insert(out.end(), row.bytes, row.bytes + row.local);
  PageNo next(u32(row.bytes + row.local));
  std::array<std::byte, kPageBytes> buffer;
  while (out.size() < row.size) {
    if (next.value == 0) return corrupt_page(row.page);
    BOP_LET(page, source_->page(next, buffer));
    const std::uint64_t n = std::min(row.size - out.size(), kOverflowBytes);
    out.insert(out.end(), page + 4, page + 4 + n);
    next = PageNo(u32(page));
  }
  out.resize(row.size + kReadableBehind);
  return out.data();
}

}  // namespace bop::rowstore
