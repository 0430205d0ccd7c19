// Prints results: aligned as psql does, as a table with borders, as CSV (RFC 4180, with a header line) or as
// JSON (an array of objects a result; numbers, booleans and json as themselves).
//
// Aligned and table need the widths of all cells and hold one result in memory; CSV and JSON print row by
// row.
#pragma once

#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "wire/pg/client.hpp"

namespace bop::cli {

enum class OutputFormat : std::uint8_t { kAligned, kTable, kCsv, kJson };

class ResultPrinter {
 public:
  ResultPrinter(OutputFormat format, std::FILE* out) : format_(format), out_(out) {}

  void columns(const std::vector<wire::pg::ClientColumn>& columns);
  void row(const std::vector<std::optional<std::string_view>>& cells);
  // The statement is complete; a tag without a result is printed by the two formats for people.
  void complete(std::string_view tag);
  // The result ended in an error.
  void broken();

 private:
  void print_aligned();
  void print_table();
  void json_row(const std::vector<std::optional<std::string_view>>& cells);
  void csv_row(const std::vector<std::optional<std::string_view>>& cells);

  const OutputFormat format_;
  std::FILE* out_;
  bool in_result_ = false;
  std::size_t rows_ = 0;
  std::vector<wire::pg::ClientColumn> columns_;
  std::vector<std::vector<std::string>> held_;
};

[[nodiscard]] std::string csv_field(std::string_view text);
[[nodiscard]] bool is_json_number(std::string_view text);
// Columns of a terminal: characters, not bytes.
[[nodiscard]] std::size_t display_width(std::string_view text);

}  // namespace bop::cli
