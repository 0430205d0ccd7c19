// bop_domain(value, type): the value if it holds the constraints of the domain (or, for an array of a domain,
// if each element does), else PostgreSQL's 23502 or 23514. The binder puts it around what is cast to a
// domain.
#pragma once

struct sqlite3;

namespace bop::sql {

// SQLite's status.
[[nodiscard]] int register_domain_check(sqlite3* connection);

}  // namespace bop::sql
