// Files as tables: read_csv, read_json and read_parquet in FROM.
//
// The columns are those that the second executor finds in the file when the statement is bound; a `form` is
// the executor's expression of a column's value as docs/formats.md stores it ("Values"). A plan carries what
// it was bound on; the file is opened, and the right to do so asked, at each execution. A file that has
// changed its columns since then ends the statement.
//
// SQLite reads a file as the table-valued function bop_file(<token>), the token being the FileTable in text;
// the second executor as a subquery over its own reader.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "base/ids.hpp"

namespace bop::sql {

enum class FileKind : std::uint8_t { kCsv, kJson, kParquet };

struct FileRequest {
  FileKind kind = FileKind::kCsv;
  std::string name;                                          // as the user wrote it
  std::vector<std::pair<std::string, std::string>> options;  // name and literal of the executor
};

struct FileColumn {
  std::string name;
  Oid type = 0;
  std::int32_t typmod = -1;
  std::string form;
};

struct FileTable {
  FileRequest request;
  std::vector<FileColumn> columns;
};

// Who tells what is in a file; errors as PostgreSQL's of COPY with files (42501, 58P01), 0A000 for types
// without a counterpart.
class FileCatalog {
 public:
  virtual ~FileCatalog() = default;
  [[nodiscard]] virtual Result<std::shared_ptr<const FileTable>> describe(FileRequest request) = 0;
};

[[nodiscard]] std::string file_token(const FileTable& table);
[[nodiscard]] Result<FileTable> parse_file_token(std::string_view token);

// read_csv, read_json, read_parquet; nothing else.
[[nodiscard]] bool is_file_function(std::string_view name, FileKind& kind);
[[nodiscard]] std::string_view name_of(FileKind kind);

// The executor's text literal, and a name in quotes.
[[nodiscard]] std::string executor_literal(std::string_view text);
[[nodiscard]] std::string executor_name(std::string_view name);
// The executor's query over the file at `path`, the columns in their stored form; where `used` (by position;
// empty: all) is false, NULL.
[[nodiscard]] std::string file_query(const FileTable& table, std::string_view path,
                                     const std::vector<bool>& used = {});
// Its FROM item: "read_csv('<path>', ...)".
[[nodiscard]] std::string file_source(const FileRequest& request, std::string_view path);

}  // namespace bop::sql
