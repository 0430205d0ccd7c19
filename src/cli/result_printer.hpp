// Prints results: aligned as psql does (a value of several lines takes as many), unaligned, as a table with
// borders, as CSV (RFC 4180, with a header line) or as JSON (an array of objects a result; numbers, booleans
// and json as themselves); aligned, unaligned and table expanded too, a line a column.
//
// Aligned and table need the widths of all cells and hold one result in memory; the others print row by row.
#pragma once

#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "cli/cell_text.hpp"
#include "wire/pg/client.hpp"

namespace bop::cli {

enum class OutputFormat : std::uint8_t { kAligned, kUnaligned, kTable, kCsv, kJson };

// fmt::print throws when the file takes no more; this leaves it to whom the file belongs to ask ferror.
template <typename... Args>
void put(std::FILE* out, fmt::format_string<Args...> format, Args&&... args) {
  const std::string text = fmt::format(format, std::forward<Args>(args)...);
  std::fwrite(text.data(), 1, text.size(), out);
}

enum class Expanded : std::uint8_t { kOff, kOn, kAuto };  // auto: where a line is wider than the terminal
enum class Paging : std::uint8_t { kOff, kOn, kAlways };

struct PrintSettings {
  OutputFormat format = OutputFormat::kAligned;
  Expanded expanded = Expanded::kOff;
  std::size_t terminal_columns = 0;  // 0: no terminal
  bool tuples_only = false;          // no header, no count, no tags
  bool quiet = false;                // no tags
  Paging pager = Paging::kOn;
  bool footer = true;     // "(2 rows)"
  std::string null_text;  // JSON has its own, CSV's is nothing unless it is set
  std::string separator = "|";
  [[nodiscard]] bool for_people() const {
    return format == OutputFormat::kAligned || format == OutputFormat::kTable ||
           format == OutputFormat::kUnaligned;
  }
};

class ResultPrinter {
 public:
  ResultPrinter(OutputFormat format, std::FILE* out) : out_(out) { settings_.format = format; }

  // Between results.
  [[nodiscard]] PrintSettings& settings() noexcept { return settings_; }
  void print_to(std::FILE* out) noexcept { out_ = out; }
  // For the next result: above and below it.
  void decorate(std::string title, std::vector<std::string> footers);

  void columns(const std::vector<wire::pg::ClientColumn>& columns);
  void row(const std::vector<std::optional<std::string_view>>& cells);
  // The statement is complete; a tag without a result is printed by the formats for people.
  void complete(std::string_view tag);
  // The result ended in an error.
  void broken();
  [[nodiscard]] std::size_t rows() const noexcept { return rows_; }

 private:
  enum class Align : std::uint8_t { kLeft, kCenter, kByType };
  void print_table();
  void print_lines(const std::vector<CellText>& cells, const std::vector<std::size_t>& widths, Align align);
  void print_record_rule(std::size_t record, std::size_t names, std::size_t values);
  void print_footers();
  void print_unaligned();
  void print_expanded();
  void print_end();
  void json_row(const std::vector<std::optional<std::string_view>>& cells);
  void csv_row(const std::vector<std::optional<std::string_view>>& cells);

  PrintSettings settings_;
  std::FILE* out_;
  bool in_result_ = false;
  std::size_t rows_ = 0;
  std::string title_;
  std::vector<std::string> footers_;
  std::vector<wire::pg::ClientColumn> columns_;
  std::vector<std::vector<std::string>> held_;
};

[[nodiscard]] std::string csv_field(std::string_view text);
[[nodiscard]] bool is_json_number(std::string_view text);

}  // namespace bop::cli
