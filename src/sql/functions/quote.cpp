#include "sql/functions/quote.hpp"

#include <algorithm>
#include <iterator>

#include "sql/types/bytes.hpp"

namespace bop {
namespace {
constexpr std::string_view kReserved[] = {
#include "sql/functions/reserved_words.def"
};
}  // namespace

std::string quote_identifier(std::string_view name) {
  const auto plain_start = [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; };
  const bool plain = !name.empty() && plain_start(name[0]) &&
                     std::ranges::all_of(name, [&](char c) { return plain_start(c) || is_digit(c); }) &&
                     !std::ranges::binary_search(kReserved, name);
  if (plain) return std::string(name);
  std::string r = "\"";
  for (const char c : name) {
    if (c == '"') r += '"';
    r += c;
  }
  return r + '"';
}

std::string quote_literal(std::string_view text) {
  std::string r = text.find('\\') == text.npos ? "'" : "E'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') r += c;
    r += c;
  }
  return r + '\'';
}

}  // namespace bop
