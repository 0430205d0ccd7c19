// Reads a table's b-tree from its pages, without SQLite's virtual machine: for analytics over row tables.
//
// The format is sqlite.org/fileformat2.html: section 1.6 (b-tree pages), 2.1 (records), with 32 reserved
// bytes a page. Nothing of it is trusted: what does not fit its page is kCorrupt, naming the page.
// `sqlite3_step` is the oracle of the tests.
//
//   TableTree tree = open(source, root)      walks the inner pages once, in order, and hands out leaves in lots
//   RowReader reader(source, fields, ...)    one a thread: the rows of a lot, many at once, field beside field
//
// Threads: next_lot from any; a RowReader by one at a time.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <deque>
#include <limits>
#include <memory>
#include <mutex>
#include <span>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/ids.hpp"
#include "rowstore/page_source.hpp"

namespace bop::rowstore {

// Rows to read, both ends included.
struct RowidRange {
  std::int64_t lowest = std::numeric_limits<std::int64_t>::min();
  std::int64_t highest = std::numeric_limits<std::int64_t>::max();
};

class TableTree {
 public:
  // `leaves_a_lot`: how many leaves a call of next_lot answers at most.
  [[nodiscard]] static Result<std::unique_ptr<TableTree>> open(std::shared_ptr<const PageSource> source,
                                                               PageNo root, RowidRange range = {},
                                                               std::size_t leaves_a_lot = 32);

  // Leaves that follow each other below one inner page, always the same ones as long as those of that page
  // are: the first `leaves_a_lot` of them, the next ones, and so on.
  struct Lot {
    std::vector<PageNo> leaves;
    std::size_t from = 0;  // those that the range does not exclude
    std::size_t to = 0;

    [[nodiscard]] bool empty() const noexcept { return leaves.empty(); }
    [[nodiscard]] std::span<const PageNo> inside() const {
      return std::span(leaves).subspan(from, to - from);
    }
  };
  // The next one in order of rowid; empty at the end.
  [[nodiscard]] Result<Lot> next_lot();
  // Share of the tree that was handed out, 0 to 1.
  [[nodiscard]] double progress() const;

  // From the root, one page a level and one leaf; exact for a tree of one page.
  struct Size {
    std::uint64_t leaves = 0;
    std::uint64_t rows = 0;
  };
  [[nodiscard]] static Result<Size> estimate(const PageSource& source, PageNo root);

 private:
  struct Level {  // an inner page under way
    std::vector<PageNo> children;
    std::size_t first = 0;  // that the range does not exclude
    std::size_t end = 0;    // behind the last one of those
    std::size_t next = 0;
  };
  TableTree(std::shared_ptr<const PageSource> source, RowidRange range, std::size_t leaves_a_lot)
      : source_(std::move(source)), range_(range), leaves_a_lot_(leaves_a_lot) {}
  [[nodiscard]] Result<Level> read_inner(PageNo page) const;

  const std::shared_ptr<const PageSource> source_;
  const RowidRange range_;
  const std::size_t leaves_a_lot_;
  mutable std::mutex mutex_;
  int inner_levels_ = 0;
  std::vector<Level> path_;  // from the root; the last one's children are leaves
  PageNo only_leaf_;         // of a tree of one page; 0 once handed out
};

// A field of a record, still in its page.
struct RecordField {
  std::uint64_t type = 0;  // SQLite's serial type
  const std::byte* data = nullptr;

  [[nodiscard]] bool is_null() const noexcept { return type == 0; }
  [[nodiscard]] bool is_integer() const noexcept {
    return (type >= 1 && type <= 6) || type == 8 || type == 9;
  }
  [[nodiscard]] bool is_real() const noexcept { return type == 7; }
  [[nodiscard]] bool is_text() const noexcept { return type >= 13 && (type & 1) == 1; }
  [[nodiscard]] bool is_blob() const noexcept { return type >= 12 && (type & 1) == 0; }
  // (Loads 8 bytes whatever the type: readable they are, see RowReader.)
  [[nodiscard]] std::int64_t integer() const noexcept {
    if (type >= 8) return type == 9 ? 1 : 0;
    constexpr std::array<std::uint8_t, 8> kUnused{63, 56, 48, 40, 32, 16, 0, 0};  // bits, by type
    return static_cast<std::int64_t>(word()) >> kUnused[type];
  }
  [[nodiscard]] double real() const noexcept { return std::bit_cast<double>(word()); }
  [[nodiscard]] std::string_view bytes() const noexcept {
    return {reinterpret_cast<const char*>(data), static_cast<std::size_t>((type - 12) / 2)};
  }

 private:
  [[nodiscard]] std::uint64_t word() const noexcept {
    std::uint64_t v = 0;
    std::memcpy(&v, data, sizeof(v));
    return std::byteswap(v);
  }
};

// Rows of a lot of leaves. What is not needed to choose rows is looked for only in those that were chosen:
//
//   open(leaves); while (read(most) > 0) { column(i)[row] ...; keep(rows); locate_rest(); column(j)[row] ...
//   }
//
// Behind the bytes of a field at least kReadableBehind more can be read, of whatever value.
class RowReader {
 public:
  static constexpr std::size_t kReadableBehind = 16;
  static constexpr std::size_t kMostLeaves = 64;

  // `fields`: numbers of those that are wanted, ascending; the first `early` of them are located by read.
  RowReader(std::shared_ptr<const PageSource> source, std::vector<unsigned> fields, std::size_t early,
            RowidRange range = {});

  // Leaves to read next, at most kMostLeaves; those that follow each other in the file are read together.
  // A record of a leaf whose rest is elsewhere, in overflow pages, is told by has_overflow once it was read.
  [[nodiscard]] Status open(std::span<const PageNo> leaves);
  // The next rows that lie in the range, at most `most`; 0: there are none left. What was read before is
  // gone.
  [[nodiscard]] Result<std::size_t> read(std::size_t most);
  // Of the rows that were read those with these indexes, ascending; they are numbered anew.
  void keep(std::span<const std::uint32_t> rows);
  [[nodiscard]] Status locate_rest();

  [[nodiscard]] bool has_overflow() const noexcept { return has_overflow_; }
  [[nodiscard]] std::span<const std::int64_t> rowids() const noexcept { return {rowids_.data(), count_}; }
  // Of the wanted field number `i`; those behind the end of a record, which is older than they are, are NULL.
  [[nodiscard]] std::span<const RecordField> column(std::size_t i) const noexcept {
    return {columns_.data() + i * room_, count_};
  }

 private:
  struct Row {  // and how far it was looked at
    const std::byte* type = nullptr;
    const std::byte* types_end = nullptr;
    const std::byte* bytes = nullptr;  // of the record
    std::uint64_t offset = 0;
    std::uint64_t size = 0;
    std::uint64_t local = 0;  // of it in the page
    PageNo page;
  };
  [[nodiscard]] Status enter_leaf();
  [[nodiscard]] Result<bool> next_cell(Row& row, std::int64_t& rowid);
  [[nodiscard]] Status locate(Row& row, std::size_t from, std::size_t to, std::size_t index);
  [[nodiscard]] Status locate_in_chain(Row& row, std::size_t from, std::size_t to, std::size_t index);
  [[nodiscard]] Result<const std::byte*> gather(const Row& row);
  void make_room(std::size_t rows);

  // Bytes of records with overflow pages that one read may put together, unless it is a single record.
  static constexpr std::uint64_t kMostGathered = std::uint64_t{4} << 20;
  static constexpr std::size_t kPagesAtOnce = 16;

  const std::shared_ptr<const PageSource> source_;
  const std::vector<unsigned> fields_;
  const std::size_t early_;
  const RowidRange range_;
  std::vector<std::byte> buffer_;
  std::vector<PageNo> leaves_;
  std::vector<const std::byte*> pages_;  // of leaves_
  std::size_t leaf_ = 0;                 // the next one
  const std::byte* page_ = nullptr;
  unsigned cells_ = 0;
  unsigned cell_ = 0;

  std::size_t count_ = 0;
  std::vector<std::int64_t> rowids_;
  std::size_t room_ = 0;              // of rows
  std::vector<RecordField> columns_;  // room_ of each wanted field
  std::vector<Row> rows_;             // if there is a rest to locate
  std::uint64_t to_gather_ = 0;
  bool has_overflow_ = false;  // of the open leaves, as far as they were read
  std::deque<std::vector<std::byte>> gathered_;
};

}  // namespace bop::rowstore
