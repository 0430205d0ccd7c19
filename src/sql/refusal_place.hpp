// Where in a statement the thing stands that is refused with 0A000.
//
// Many clauses leave no location in the parse tree (TABLESPACE, INHERITS, OWNER TO), and the statements
// themselves none at all. Our refusals name the thing in the words of its grammar, in capitals, or as its
// user wrote it, in quotes; so it is found among the tokens of the text. What is not found there is the
// statement as a whole.
#pragma once

#include "base/error.hpp"
#include "sql/parse.hpp"

namespace bop::sql {

// `why` with a position, if it is a refusal of ours that has none. (PostgreSQL's own words of 0A000, which
// say nothing of what is implemented, stay as PostgreSQL tells them.)
[[nodiscard]] Error placed_refusal(Error why, const ParsedStatement& statement);

}  // namespace bop::sql
