// A statement sees the tables as they were before it. SQLite computes RETURNING, and the SET of ON CONFLICT
// DO UPDATE, between the changes of single rows: a subquery there that reads a table which the statement
// changes is computed before the statement and bound as a value. What depends on the row is refused: 0A000.
#pragma once

#include <set>

#include "sql/plan.hpp"
#include "sql/query.hpp"

namespace bop::sql {

class Binder;
class Generator;

// Puts parameters in the place of such subqueries; Plan::prior_values says how they get their values.
void compute_prior_values(const Binder& binder, Change& change, Generator& generator, Plan& plan);

// 0A000 for such subqueries where a statement of several steps stores an INSERT ... ON CONFLICT.
void refuse_prior_values(const Binder& binder, const Change& change, const std::set<Oid>& changed);

}  // namespace bop::sql
