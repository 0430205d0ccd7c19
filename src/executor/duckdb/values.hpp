// Values between BOP and DuckDB: types, cells of result chunks, fields of records into vectors.
#pragma once

#include <duckdb/common/types/data_chunk.hpp>

#include "executor/engine.hpp"
#include "rowstore/btree_scan.hpp"

namespace bop::executor {

[[nodiscard]] duckdb::LogicalType logical_type(const ColumnType& type);

// Text of a decimal ("-12.50") as a multiple of 10^-scale; false: not a finite number of that precision and
// scale.
[[nodiscard]] bool parse_decimal(std::string_view text, int scale, int precision, duckdb::hugeint_t& out);
// The same of what surely fits 64 bits; false: parse_decimal has to look.
[[nodiscard]] bool parse_short_decimal(std::string_view text, int scale, int precision, std::int64_t& out);
[[nodiscard]] std::string print_decimal(duckdb::hugeint_t value, int scale);

// Row `row` of a flat vector of logical_type(type). False: the value has no place in it (NaN in a decimal).
[[nodiscard]] bool store_field(const rowstore::RecordField& field, const ColumnType& type,
                               duckdb::Vector& vector, duckdb::idx_t row);
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
