// Filters that DuckDB pushes down, as far as they are compared on fields of records or on kept columns.
#pragma once

#include <array>
#include <cstdint>
#include <duckdb/common/types/hugeint.hpp>
#include <duckdb/planner/filter/bloom_filter.hpp>
#include <span>
#include <string>
#include <vector>

#include "executor/encoded_column.hpp"
#include "executor/engine.hpp"
#include "rowstore/btree_scan.hpp"

namespace bop::executor {

// `field <operator> constant`, or `field IN (constants)`. Of fields of records a value of another kind
// passes: its decoding tells.
struct RecordFilter {
  unsigned field = 0;
  ColumnType type;
  std::array<bool, 3> passing{};  // whether what is less, equal, greater passes
  duckdb::hugeint_t number;       // of integers, booleans and decimals
  bool is_narrow = false;         // and it fits 64 bits:
  std::int64_t narrow_number = 0;
  std::string bytes;  // of text and blobs
  bool is_list = false;
  std::vector<std::int64_t> numbers;  // ascending, as the texts are
  std::vector<std::string> texts;
  std::vector<bool> members;  // of the numbers from the first to the last one, if those are not too many

  void end_list();
  // Those of `rows` that pass, in place; how many they are.
  std::size_t select(std::span<const rowstore::RecordField> fields, std::span<std::uint32_t> rows) const;
  // Of `rows` of the column, at most kMostRows, the indexes of those that pass, into `chosen`; how many they
  // are.
  static constexpr std::size_t kMostRows = 2048;
  std::size_t select(const EncodedColumn& column, std::span<const std::uint32_t> rows,
                     std::span<std::uint32_t> chosen) const;
  // False: no row of the column passes.
  [[nodiscard]] bool may_pass(const EncodedColumn& column) const;

 private:
  [[nodiscard]] bool is_text() const {
    return type.physical == Physical::kText || type.physical == Physical::kBlob;
  }
  template <class T>
  [[nodiscard]] bool holds(const T& value, const T& constant) const {
    return passing[static_cast<std::size_t>((value > constant) - (value < constant) + 1)];
  }
  [[nodiscard]] bool in_list(std::int64_t value) const;
  [[nodiscard]] bool holds_text(std::string_view text) const;
  [[nodiscard]] bool decimal_passes(const rowstore::RecordField& f) const;
};

struct ReadFilters {
  std::vector<RecordFilter> records;
  std::vector<const duckdb::BFTableFilter*> blooms;  // of the filter that was read last
  bool on_records = false;                           // and whether it needs fields, now or later
  bool tightens = false;                             // one of them does, while the statement runs
  rowstore::RowidRange range;
};

// Reads a filter of the column into `out`. Whether all of it is there; if not, what is follows from it.
bool read_filter(const TableColumn& column, const duckdb::TableFilter& filter, ReadFilters& out);

}  // namespace bop::executor
