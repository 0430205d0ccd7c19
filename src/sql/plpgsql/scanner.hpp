// The words of PL/pgSQL, by PostgreSQL's own scanner.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"

namespace bop::sql::plpgsql {

struct Token {
  enum class Kind { kWord, kQuoted, kString, kNumber, kSymbol, kEnd };
  Kind kind = Kind::kEnd;
  std::string word;       // folded; of kQuoted as it is meant; of a symbol its characters
  std::size_t begin = 0;  // in the text, bytes
  std::size_t end = 0;
};

// Ends with a kEnd. Comments are left out.
[[nodiscard]] Result<std::vector<Token>> scan(const std::string& text);

}  // namespace bop::sql::plpgsql
