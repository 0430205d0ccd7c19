#pragma once

#include <cstddef>
#include <cstdint>

#include "sql/query.hpp"

namespace bop::sql {

// The modifier that tells how long the values of an expression of char(n), or of arrays of them, are with
// their blanks; negative where that is not known.
[[nodiscard]] std::int32_t char_value_typmod(const Expr& e);
// The same of an output column of a query.
[[nodiscard]] std::int32_t char_value_typmod(const Query& query, std::size_t column);

}  // namespace bop::sql
