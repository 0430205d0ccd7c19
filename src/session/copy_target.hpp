// The table of a COPY and its columns.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "sql/bind.hpp"
#include "sql/tree.hpp"

namespace bop::session {

struct CopyTarget {
  std::string name;  // qualified and quoted
  std::string plain;
  std::shared_ptr<const sql::Relation> relation;
  std::vector<std::string> columns;
  std::vector<Oid> types;
  std::vector<std::int32_t> typmods;
};

// What COPY names: the table and its columns. 42809 for what has no rows to be copied.
[[nodiscard]] Result<CopyTarget> copy_target(const PgQuery__CopyStmt& copy, const sql::Catalog& catalog,
                                             std::span<const std::string> path);
// COPY FROM with WHERE as an INSERT of one row if the condition holds for it; it sees defaults too.
[[nodiscard]] Result<std::string> copy_filter(const sql::ParsedStatementPtr& statement,
                                              const CopyTarget& target, const sql::BindContext& context);
// Quoted, separated by commas.
[[nodiscard]] std::string column_list(const std::vector<std::string>& columns);

}  // namespace bop::session
