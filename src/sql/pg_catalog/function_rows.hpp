// Users' functions as pg_catalog shows them.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sql/pg_catalog/pg_catalog.hpp"
#include "sql/pg_catalog/relation_table.hpp"

namespace bop::sql {

inline constexpr Oid kPlpgsqlLanguage = 13570;

void user_procs(const CatalogSession& session, RowSet& rows);  // of pg_proc
// As pg_get_functiondef.
[[nodiscard]] std::string function_definition(const Catalog& catalog, const Function& function,
                                              const ObjectNames& names);
// pg_get_functiondef and pg_get_function_*.
[[nodiscard]] Result<OwnedValue> about_function(const CatalogSession& session, const ObjectNames& names,
                                                std::string_view name, std::span<const Value> args);
// The function that a name means to regproc, or with types to regprocedure; 0 if there is none.
[[nodiscard]] Result<Oid> resolve_function_name(const CatalogSession& session,
                                                std::span<const std::string> parts,
                                                std::optional<std::vector<Oid>> types);
[[nodiscard]] std::string function_name(const CatalogSession& session, const Function& function,
                                        bool with_types);

}  // namespace bop::sql
