#include "sql/file_table.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include <fmt/format.h>

namespace bop::sql {

namespace {

constexpr std::array<std::string_view, 3> kNames{"read_csv", "read_json", "read_parquet"};

// A part of a token: its length, a colon, its bytes.
void put(std::string& out, std::string_view part) { out += fmt::format("{}:{}", part.size(), part); }

class Parts {
 public:
  explicit Parts(std::string_view text) : rest_(text) {}
  [[nodiscard]] bool at_end() const { return rest_.empty(); }
  Result<std::string> next() {
    const std::size_t colon = rest_.find(':');
    std::size_t size = 0;
    if (colon == std::string_view::npos) return broken();
    const auto [stop, bad] = std::from_chars(rest_.data(), rest_.data() + colon, size);
    if (bad != std::errc() || stop != rest_.data() + colon || size > rest_.size() - colon - 1)
      return broken();
    std::string part(rest_.substr(colon + 1, size));
    rest_.remove_prefix(colon + 1 + size);
    return part;
  }
  Result<std::int64_t> number() {
    BOP_LET(text, next());
    std::int64_t value = 0;
    const auto [stop, bad] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (bad != std::errc() || stop != text.data() + text.size()) return broken();
    return value;
  }

 private:
  static std::unexpected<Error> broken() { return fail(ErrorCode::kInternal, "not the token of a file"); }
  std::string_view rest_;
};

}  // namespace

bool is_file_function(std::string_view name, FileKind& kind) {
  const auto* found = std::ranges::find(kNames, name);
  if (found == kNames.end()) return false;
  kind = static_cast<FileKind>(found - kNames.begin());
  return true;
}

std::string_view name_of(FileKind kind) { return kNames[static_cast<std::size_t>(kind)]; }

std::string file_token(const FileTable& table) {
  std::string out;
  put(out, name_of(table.request.kind));
  put(out, table.request.name);
  put(out, std::to_string(table.request.options.size()));
  for (const auto& [name, value] : table.request.options) {
    put(out, name);
    put(out, value);
  }
  for (const FileColumn& column : table.columns) {
    put(out, column.name);
    put(out, std::to_string(column.type));
    put(out, std::to_string(column.typmod));
    put(out, column.form);
  }
  return out;
}

Result<FileTable> parse_file_token(std::string_view token) {
  Parts parts(token);
  FileTable table;
  BOP_LET(kind, parts.next());
  if (!is_file_function(kind, table.request.kind))
    return fail(ErrorCode::kInternal, "not the token of a file");
  BOP_LET(name, parts.next());
  table.request.name = std::move(name);
  BOP_LET(options, parts.number());
  for (std::int64_t i = 0; i < options; ++i) {
    BOP_LET(option, parts.next());
    BOP_LET(value, parts.next());
    table.request.options.emplace_back(std::move(option), std::move(value));
  }
  while (!parts.at_end()) {
    FileColumn column;
    BOP_LET(column_name, parts.next());
    BOP_LET(type, parts.number());
    BOP_LET(typmod, parts.number());
    BOP_LET(form, parts.next());
    table.columns.push_back({.name = std::move(column_name),
                             .type = static_cast<Oid>(type),
                             .typmod = static_cast<std::int32_t>(typmod),
                             .form = std::move(form)});
  }
  return table;
}

std::string executor_literal(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'') out += '\'';
    out += c;
  }
  return out += '\'';
}

std::string executor_name(std::string_view name) {
  std::string out = "\"";
  for (const char c : name) {
    if (c == '"') out += '"';
    out += c;
  }
  return out += '"';
}

std::string file_source(const FileRequest& request, std::string_view path) {
  std::string out = fmt::format("{}({}", name_of(request.kind), executor_literal(path));
  for (const auto& [name, value] : request.options) out += fmt::format(", {} = {}", name, value);
  // Nothing is guessed from the name of a folder.
  return out + ", hive_partitioning = false)";
}

std::string file_query(const FileTable& table, std::string_view path, const std::vector<bool>& used) {
  std::string forms;
  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    const bool wanted = i >= used.size() || used[i];
    forms += fmt::format("{}{} AS v{}", i > 0 ? ", " : "", wanted ? table.columns[i].form : "NULL", i);
  }
  return fmt::format("SELECT {} FROM {}", forms, file_source(table.request, path));
}

}  // namespace bop::sql
