// Stored values to and from SQLite's statements. The bytes of a bound value belong to the caller and must
// outlive the statement's execution; those of a column are SQLite's and valid until the next step.
#pragma once

#include "sql/types/value.hpp"

struct sqlite3_stmt;

namespace bop::sql {

// SQLite's result code; SQLITE_RANGE when the statement's text has no such parameter. `index` counts from 1.
int bind_value(sqlite3_stmt* statement, int index, const Value& value);
[[nodiscard]] Value column_value(sqlite3_stmt* statement, int column);

}  // namespace bop::sql
