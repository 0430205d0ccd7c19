// Rows of a lot whose columns are kept (column_cache.hpp), read as rowstore::RowReader reads those of pages.
#pragma once

#include <duckdb/common/types/vector.hpp>
#include <span>
#include <vector>

#include "executor/column_cache.hpp"
#include "rowstore/btree_scan.hpp"

namespace bop::executor {

class KeptRows {
 public:
  // `columns`: of the same rows, at least one; `rowids`, of the same rows, if those outside of `range` are
  // left out, else null.
  void open(std::vector<EncodedColumnPtr> columns, const EncodedColumn* rowids,
            const rowstore::RowidRange& range);
  void close() { columns_.clear(); }
  [[nodiscard]] bool is_open() const noexcept { return !columns_.empty(); }

  // The next rows, at most `most`; 0: there are none left.
  std::size_t read(std::size_t most);
  // Of the rows that were read those with these indexes, ascending; they are numbered anew.
  void keep(std::span<const std::uint32_t> rows);
  // The rows that were read, as numbers in the lot.
  [[nodiscard]] std::span<const std::uint32_t> rows() const noexcept { return rows_; }
  [[nodiscard]] const EncodedColumn& column(std::size_t i) const { return *columns_[i]; }
  // The rows that were read into a flat vector, from row `first` on.
  void store(std::size_t column, duckdb::Vector& vector, duckdb::idx_t first) const;

 private:
  std::vector<EncodedColumnPtr> columns_;
  std::uint32_t next_ = 0;
  std::uint32_t end_ = 0;
  std::vector<std::uint32_t> rows_;
  bool is_run_ = false;  // the rows follow each other
};

// Decodes columns of a lot, all of its rows; those that there are none of: {}, where a value has no form in a
// column or not all of a row is in the lot's leaves.
[[nodiscard]] Result<std::vector<EncodedColumnPtr>> encode_columns(
    const std::shared_ptr<const rowstore::PageSource>& source, std::span<const PageNo> leaves,
    std::span<const ColumnCache::Column> columns);

}  // namespace bop::executor
