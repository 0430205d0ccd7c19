// What the body of a user's function does, as far as its text tells.
#pragma once

#include "sql/catalog/catalog.hpp"
#include "sql/parse.hpp"

namespace bop::sql {

// Whether running it may change anything: so that its caller takes the writer's place first. What is declared
// STABLE or IMMUTABLE may not.
[[nodiscard]] bool may_write(const Function& function, const Catalog& catalog);
// The statement is more than a plain query: it changes rows, in WITH too, or locks them, or is a command.
[[nodiscard]] bool changes_anything(const ParsedStatement& statement);

}  // namespace bop::sql
