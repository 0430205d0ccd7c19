// Rows that may violate what is not looked at when they are stored: DEFERRABLE unique and primary keys, and
// MATCH FULL of foreign keys over several columns.
//
// SQLite has no unique index that is checked later, so the index of a DEFERRABLE key is not unique to it. A
// temporary trigger (a Guard of the plan) tells each stored row that meets its key in another row:
// bop_pending_row(table, constraint, rowid) adds it to FunctionContext::pending_rows. It is looked at again
//
//   at the end of the statement, if the constraint is not deferred then;
//   when SET CONSTRAINTS makes it IMMEDIATE; at COMMIT.
//
// Of two rows that have one key, the one that was stored later has been told: its key was in the other row
// then. So a row that has not been told violates nothing that another row is not told for. A row that has
// been told and is gone since, or has another key, or whose counterpart has, violates nothing; so rows are
// told in vain after a rollback to a savepoint, and nothing has to be taken back.
//
// A mixture of NULL and values under MATCH FULL is told and looked at in the same way.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "sql/functions/kernels.hpp"
#include "sql/plan.hpp"

struct sqlite3;

namespace bop::sql {

using bop::PendingRow;

// Of the tables that a plan stores rows in.
[[nodiscard]] std::vector<Guard> pending_guards(const Catalog& catalog, std::span<const Oid> tables);
// 23505 or 23503 if the row violates the constraint now.
[[nodiscard]] Status check_pending_row(const Catalog& catalog, sqlite3* connection, const PendingRow& row);
// The first row of a table that mixes NULL and values in a key with MATCH FULL: 23503.
[[nodiscard]] Status check_match_full(const Catalog& catalog, sqlite3* connection, const Relation& table,
                                      const Constraint& key);

}  // namespace bop::sql
