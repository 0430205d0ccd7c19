// Rights on columns, where those on the whole relation do not suffice.
#pragma once

#include "sql/catalog/catalog.hpp"
#include "sql/plan.hpp"

namespace bop::sql {

// Whether the rights `missing` on the relation are held on all columns that the use names, or on any of them
// if it names none.
[[nodiscard]] bool held_on_columns(const Relation& relation, const Identity& who, Rights missing,
                                   const RelationUse& use);

}  // namespace bop::sql
