// WITH RECURSIVE before it is bound: in which order its items can be, and whether each that refers to itself
// does so where PostgreSQL allows it. Works on the parser's tree, as PostgreSQL does.
#pragma once

#include <string>
#include <vector>

#include "base/error.hpp"
#include "sql/tree.hpp"

namespace bop::sql {

struct WithItem {
  const PgQuery__CommonTableExpr* definition = nullptr;
  bool recursive = false;  // refers to itself
};

struct RecursionProblem {
  Error error;
  int location = -1;
};

// The items of a WITH RECURSIVE, each behind those that it refers to.
[[nodiscard]] std::expected<std::vector<WithItem>, RecursionProblem> order_with_items(
    const PgQuery__WithClause& with);

}  // namespace bop::sql
