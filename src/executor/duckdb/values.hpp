// Values between BOP and DuckDB: types, cells of result chunks, fields of records into vectors.
#pragma once

#include <duckdb/common/types/data_chunk.hpp>
#include <span>

#include "executor/engine.hpp"
#include "rowstore/btree_scan.hpp"

namespace bop::executor {

[[nodiscard]] duckdb::LogicalType logical_type(const ColumnType& type);

// Text of a decimal ("-12.50") as a multiple of 10^-scale; false: not a finite number of that precision and
// scale.
[[nodiscard]] bool parse_decimal(std::string_view text, int scale, int precision, duckdb::hugeint_t& out);
// The same of what fits 64 bits and is written with as many digits behind the point as `scale` says; false:
// parse_decimal has to look. Reads kReadableBehind bytes behind the text (rowstore::RowReader).
[[nodiscard]] bool parse_short_decimal(std::string_view text, int scale, int precision, std::int64_t& out);
[[nodiscard]] std::string print_decimal(duckdb::hugeint_t value, int scale);

// The rows from `first` on of a flat vector of logical_type(type). False: a value has no place in it (NaN in
// a decimal).
[[nodiscard]] bool store_fields(std::span<const rowstore::RecordField> fields, const ColumnType& type,
                                duckdb::Vector& vector, duckdb::idx_t first);
[[nodiscard]] bool store_value(const Value& value, const ColumnType& type, duckdb::Vector& vector,
                               duckdb::idx_t row);

// One cell at a time of a vector in any form.
class CellReader {
 public:
  CellReader(duckdb::Vector& vector, duckdb::idx_t rows, const ColumnType& type);
  // The value's bytes are valid until the next call.
  [[nodiscard]] Value read(duckdb::idx_t row);

 private:
  ColumnType type_;
  duckdb::PhysicalType physical_;
  duckdb::UnifiedVectorFormat format_;
  std::string text_;
};

}  // namespace bop::executor
