// Reads a table's b-tree from its pages, without SQLite's virtual machine: for analytics over row tables.
//
// The format is sqlite.org/fileformat2.html: section 1.6 (b-tree pages), 2.1 (records), with 32 reserved
// bytes a page. Nothing of it is trusted: what does not fit its page is kCorrupt, naming the page.
// `sqlite3_step` is the oracle of the tests.
//
//   TableTree tree = open(source, root)      walks the inner pages once, in order, and hands out leaves in lots
//   LeafReader reader(source)                one a thread: a leaf, its cells, their fields
//
// Threads: next_lot from any; a LeafReader by one at a time.
#pragma once

#include <array>
#include <cstdint>
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

  // The next leaves in order of rowid, those that the range excludes left out; empty at the end.
  [[nodiscard]] Result<std::vector<PageNo>> next_lot();
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
  [[nodiscard]] std::int64_t integer() const noexcept;
  [[nodiscard]] double real() const noexcept;
  [[nodiscard]] std::string_view bytes() const noexcept {
    return {reinterpret_cast<const char*>(data), static_cast<std::size_t>((type - 12) / 2)};
  }
};

class LeafReader {
 public:
  // `fields`: how many leading fields of each record are wanted.
  LeafReader(std::shared_ptr<const PageSource> source, std::size_t fields, RowidRange range = {})
      : source_(std::move(source)), range_(range), fields_(fields) {}

  [[nodiscard]] Status open(PageNo leaf);
  // The leaves that will be opened, in this order; they stay the caller's. Those that follow each other in
  // the file are then read together.
  void expect(std::span<const PageNo> leaves) noexcept {
    expected_ = leaves;
    ahead_first_ = ahead_count_ = 0;
  }
  // The next row of the leaf that lies in the range; false at its end. Its fields are valid until the next
  // call.
  [[nodiscard]] Result<bool> next();
  [[nodiscard]] std::int64_t rowid() const noexcept { return rowid_; }
  // Fields behind the end of the record, which is older than they are, are NULL.
  [[nodiscard]] const RecordField& field(std::size_t i) const noexcept { return fields_[i]; }

 private:
  [[nodiscard]] std::unexpected<Error> corrupt() const;
  [[nodiscard]] Status read_record(const std::byte* at, std::uint64_t size, std::uint64_t local);
  [[nodiscard]] Status read_fields(const std::byte* at, const std::byte* header, const std::byte* header_end,
                                   std::uint64_t offset, std::uint64_t size);
  [[nodiscard]] Status gather(const std::byte* local, std::uint64_t local_size, std::uint64_t size);

  const std::shared_ptr<const PageSource> source_;
  const RowidRange range_;
  std::vector<RecordField> fields_;
  static constexpr std::size_t kPagesAhead = 16;
  [[nodiscard]] Result<const std::byte*> page_of(PageNo leaf);

  std::array<std::byte, kPageBytes> buffer_;
  std::span<const PageNo> expected_;
  std::vector<std::byte> ahead_;  // pages ahead_first_ to ahead_first_ + ahead_count_ - 1
  std::uint32_t ahead_first_ = 0, ahead_count_ = 0;
  const std::byte* page_ = nullptr;
  PageNo number_;
  unsigned cells_ = 0;
  unsigned cell_ = 0;
  std::int64_t rowid_ = 0;
  std::vector<std::byte> overflowing_;  // a record that does not fit its page
};

}  // namespace bop::rowstore
