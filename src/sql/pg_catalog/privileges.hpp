// has_table_privilege and its siblings, pg_has_role: what a role may do, as this node enforces it.
//
// From the lists of rights (sql/catalog/acl.hpp). A built-in relation is everybody's to read, functions and
// types are everybody's to use; the schema public is the database owner's as well as its owner's.
#pragma once

#include <span>
#include <string_view>

#include "sql/pg_catalog/pg_catalog.hpp"

namespace bop::sql {

// `name`: of the function; `args`: [role], object, [column], privileges, none of them NULL.
[[nodiscard]] Result<OwnedValue> has_privilege(const CatalogSession& session, const ObjectNames& names,
                                               std::string_view name, std::span<const Value> args);

}  // namespace bop::sql
