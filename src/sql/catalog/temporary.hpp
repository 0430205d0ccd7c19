// Temporary relations: ordinary ones in a schema `pg_temp_<n>` that belongs to one session.
//
// They are relations of the catalog like all others: their rows are pages of the database, written by its one
// writer and logged, and they roll back with their transaction. What is temporary is the schema: its session
// has it in front of the search path, nobody else may read what is in it, and it is dropped when the session
// ends; what a crash leaves is dropped when the node starts. `n` is the session's backend pid.
//
// ON COMMIT DELETE ROWS and DROP are an option of the table (kOnCommit) that the session obeys when it
// commits.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace bop::sql {

inline constexpr std::string_view kTemporaryPrefix = "pg_temp_";
inline constexpr std::string_view kTemporaryAlias = "pg_temp";  // the session's own, whatever its number
inline constexpr std::string_view kOnCommitDelete = "bop.on_commit=delete";
inline constexpr std::string_view kOnCommitDrop = "bop.on_commit=drop";

[[nodiscard]] inline bool is_temporary_schema(std::string_view schema) {
  return schema.starts_with(kTemporaryPrefix);
}
// The session's own temporary schema by its search path; empty if it has none.
[[nodiscard]] inline std::string_view own_temporary(std::span<const std::string> search_path) {
  for (const std::string& schema : search_path) {
    if (is_temporary_schema(schema)) return schema;
  }
  return {};
}

}  // namespace bop::sql
