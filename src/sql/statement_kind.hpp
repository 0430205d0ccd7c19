// What kind of statement a node is, and the command tag that its completion bears.
#pragma once

#include <string_view>

#include "sql/parse.hpp"

namespace bop::sql {

[[nodiscard]] StatementKind kind_of(const PgQuery__Node& node);
[[nodiscard]] std::string_view command_of(const PgQuery__Node& node);

}  // namespace bop::sql
