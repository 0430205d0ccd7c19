// Identifiers and literals as SQL text.
#pragma once

#include <string>
#include <string_view>

namespace bop {

// Quoted only when needed: not plain lower case, or a word that the grammar reserves.
[[nodiscard]] std::string quote_identifier(std::string_view name);
[[nodiscard]] std::string quote_literal(std::string_view text);

}  // namespace bop
