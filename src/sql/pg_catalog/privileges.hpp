// has_table_privilege and its siblings, pg_has_role: what a role may do, as this node enforces it.
//
// There are no grants. A relation is its owner's and superusers', a built-in one is everybody's to read; a
// schema, a database, a function and a type are everybody's to use, and schemas are their owner's to create
// in (public: the database's owner too). Being a member of a role gives none of its rights.
#pragma once

#include <span>
#include <string_view>

#include "sql/pg_catalog/pg_catalog.hpp"

namespace bop::sql {

// `name`: of the function; `args`: [role], object, [column], privileges, none of them NULL.
[[nodiscard]] Result<OwnedValue> has_privilege(const CatalogSession& session, const ObjectNames& names,
                                               std::string_view name, std::span<const Value> args);

}  // namespace bop::sql
