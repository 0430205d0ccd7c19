// The text and CSV formats of COPY, apart from any table.
//
// Text: one row a line (\n, \r\n or \r, the first line decides), fields between delimiters, backslash escapes
// \b \f \n \r \t \v, \ooo (octal), \xhh (hexadecimal), any other \c is c; a field whose raw text equals the
// null string is NULL; a line of "\." alone ends the data. CSV: fields may stand in quotes, in which
// delimiters and line ends are data and the escape character protects itself and the quote; an unquoted field
// that equals the null string is NULL. As PostgreSQL 15, "COPY", section "File Formats".
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"

namespace bop::session {

inline constexpr std::size_t kMaxCopyLineBytes = std::size_t{256} << 20;

// Characters of the data that an error quotes.
inline constexpr std::size_t kCopyTextShown = 100;

struct CopyOptions {
  bool parquet = false;  // a file of the server, by the second executor
  bool binary = false;   // copy_binary.hpp; nothing else of this matters then
  bool csv = false;
  char delimiter = '\t';
  std::string null_text = "\\N";
  bool header = false;
  bool header_match = false;
  char quote = '"';
  char escape = '"';
  std::vector<bool> force_quote;     // by column, CSV output
  std::vector<bool> force_not_null;  // by column, CSV input
  std::vector<bool> force_null;      // by column, CSV input
};

using CopyField = std::optional<std::string_view>;

// Takes the bytes of COPY FROM STDIN, split anywhere.
class CopySource {
 public:
  virtual ~CopySource() = default;
  [[nodiscard]] virtual Status feed(std::string_view bytes) = 0;
  [[nodiscard]] virtual Status finish() = 0;
  // The row that is being read, from 1.
  [[nodiscard]] virtual std::uint64_t line() const noexcept = 0;
};

// Cuts the text formats into rows. Memory: the unfinished line.
class CopyReader final : public CopySource {
 public:
  // Receives each row's fields, valid during the call; its error ends the reading.
  using RowSink = std::function<Status(std::span<const CopyField>)>;

  CopyReader(CopyOptions options, std::size_t columns, RowSink sink);

  [[nodiscard]] Status feed(std::string_view bytes) override;
  [[nodiscard]] Status finish() override;  // the last line may lack its end

  [[nodiscard]] std::uint64_t line() const noexcept override { return line_; }
  [[nodiscard]] const std::string& current_line() const noexcept { return line_text_; }
  // The names that a HEADER MATCH line must carry.
  void expect_header(std::vector<std::string> names) { header_names_ = std::move(names); }

 private:
  enum class LineEnd : std::uint8_t { kUnknown, kLf, kCrLf, kCr };

  Status take_line(std::string_view raw);
  Status split_text(std::string_view raw);
  Status split_csv(std::string_view raw);
  Status check_header();

  CopyOptions options_;
  std::size_t columns_;
  RowSink sink_;
  std::vector<std::string> header_names_;
  std::string pending_;
  std::size_t scanned_ = 0;  // bytes of pending_ known to hold no line end
  bool in_quotes_ = false;
  bool escaped_ = false;
  LineEnd line_end_ = LineEnd::kUnknown;
  bool ended_ = false;
  std::uint64_t line_ = 0;
  std::string line_text_;
  std::string unescaped_;
  std::vector<CopyField> fields_;
  std::vector<std::pair<std::size_t, std::size_t>> places_;
};

// Appends one row in the format, line end included.
void write_copy_row(const CopyOptions& options, std::span<const CopyField> fields, std::string& out);
void write_copy_header(const CopyOptions& options, std::span<const std::string> names, std::string& out);

}  // namespace bop::session
