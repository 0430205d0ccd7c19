// What kind of statement a node is, and the command tag that its completion bears.
#pragma once

#include <string_view>

#include "sql/parse.hpp"
#include "sql/tree.hpp"

namespace bop::sql {

[[nodiscard]] StatementKind kind_of(const PgQuery__Node& node);
[[nodiscard]] std::string_view command_of(const PgQuery__Node& node);

// The INTO of a SELECT, which stands in the leftmost of several; nullptr: there is none.
[[nodiscard]] const PgQuery__IntoClause* select_into(const PgQuery__SelectStmt& select);

// "FOR UPDATE", "FOR KEY SHARE"...
[[nodiscard]] std::string_view lock_clause_name(const PgQuery__LockingClause& lock);

}  // namespace bop::sql
