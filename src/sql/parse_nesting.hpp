// How deep the tree of a text can become, found before it is parsed: the parser's own tree building and
// everything behind it recurse by depth.
#pragma once

#include <string_view>

namespace bop::sql {

// An upper bound, within a small factor, of the depth of the parse tree of `text`: brackets that are open and
// operators that may nest to the left in the same list element. Strings, quoted names and comments are
// skipped.
[[nodiscard]] int estimate_nesting(std::string_view text);

}  // namespace bop::sql
