// Definitions of objects as PostgreSQL's pg_get_*def functions print them.
#pragma once

#include <string>

#include "sql/catalog/catalog.hpp"
#include "sql/types/codec.hpp"

namespace bop::sql {

// `qualify`: names of tables with their schema, as pg_get_indexdef prints them outside of psql's short forms.
[[nodiscard]] std::string index_definition(const Catalog& catalog, const Index& index,
                                           const ObjectNames& names);
// One key of an index, from 1; 0 is the whole definition.
[[nodiscard]] std::string index_key_definition(const Catalog& catalog, const Index& index,
                                               std::int64_t number, const ObjectNames& names);
[[nodiscard]] std::string domain_check_definition(const DomainCheck& check, const ObjectNames& names);
[[nodiscard]] std::string constraint_definition(const Catalog& catalog, const Relation& table,
                                                const Constraint& constraint, const ObjectNames& names);

}  // namespace bop::sql
