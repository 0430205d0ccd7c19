// Questions about what stands in a typed tree, subqueries and the queries of CTEs included.
#pragma once

#include <set>

#include "base/ids.hpp"
#include "sql/query.hpp"

namespace bop::sql {

// Whether a volatile function is called: another value each time that it is computed.
[[nodiscard]] bool is_volatile(const Expr& e);
[[nodiscard]] bool is_volatile(const Query& q);
// The same of the columns that the query answers: one of them may not be computed twice for a row.
[[nodiscard]] bool has_volatile_output(const Query& q);

// Whether it reads rows that another part of the statement has left (staged.hpp).
[[nodiscard]] bool reads_stored(const Query& q);
// Whether it reads a file.
[[nodiscard]] bool reads_files(const Query& q);
// Whether a subquery reads one of the tables.
[[nodiscard]] bool reads_any(const Expr& e, const std::set<Oid>& tables);

// Whether something refers to any column.
[[nodiscard]] bool reads_columns(const Expr& e);
// Whether something refers to one of these columns, by their numbers in the table.
[[nodiscard]] bool reads_columns(const Expr& e, const RangeEntry& entry,
                                 const std::set<std::int16_t>& columns);
[[nodiscard]] std::set<const RangeEntry*> entries_of(const std::vector<std::unique_ptr<FromNode>>& from);
// Whether something refers to a column of these.
[[nodiscard]] bool reads_rows(const Expr& e, const std::set<const RangeEntry*>& entries);

// Whether computing it may fail, so that it must not be computed where PostgreSQL does not. Comparisons,
// tests and logic over columns, constants and parameters cannot.
[[nodiscard]] bool may_fail(const Expr& e);
// Whether the query does more than look rows of a table up one by one: it joins, groups, sorts or removes
// duplicates somewhere.
[[nodiscard]] bool combines_rows(const Query& q);
// Aggregates and window functions of the query that the expression itself belongs to.
[[nodiscard]] bool has_aggregate(const Expr& e);

}  // namespace bop::sql
