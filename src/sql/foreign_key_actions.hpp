// What the actions of foreign keys (CASCADE, SET NULL, SET DEFAULT) do in the wake of one statement.
//
// SQLite runs the actions themselves and stores what they make without looking at the referencing table's NOT
// NULL, CHECK and type. Where one of these could be violated a guard, a temporary trigger for the time of the
// statement, looks at each row that an action has changed and brings its keys into the column's type.
#pragma once

#include <map>
#include <set>
#include <vector>

#include "base/ids.hpp"
#include "sql/catalog/catalog.hpp"
#include "sql/plan.hpp"

namespace bop::sql {

class Binder;

// A table whose rows the actions delete, or update in these columns.
struct ActedTable {
  bool deletes = false;
  std::set<std::int16_t> columns;
  std::set<Oid> keys;  // the foreign keys by which it is updated
};

// Everything that actions may change when rows of `table` are deleted or updated in `columns`. The table
// itself is among them only if actions come back to it.
[[nodiscard]] std::map<Oid, ActedTable> foreign_key_actions(const Catalog& catalog, Oid table, bool deletes,
                                                            const std::set<std::int16_t>& columns);

// The guards that these actions need.
[[nodiscard]] std::vector<Guard> action_guards(Binder& binder, const std::map<Oid, ActedTable>& acted);

}  // namespace bop::sql
