#include "sql/parse_nesting.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstddef>
#include <string>
#include <vector>

namespace bop::sql {

namespace {

constexpr std::string_view kOperatorCharacters = "+-*/<>=~!@#%^&|`?";
// Words that nest what stands before or behind them.
constexpr std::array<std::string_view, 17> kNestingWords{
    "not",  "union",   "intersect", "except", "join",   "case",   "collate", "at",  "is",
    "else", "between", "like",      "ilike",  "isnull", "select", "notnull", "with"};

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '$' ||
         (static_cast<unsigned char>(c) & 0x80) != 0;
}

std::size_t skip_quoted(std::string_view text, std::size_t i, char quote, bool escapes) {
  for (++i; i < text.size(); ++i) {
    if (escapes && text[i] == '\\') {
      ++i;
    } else if (text[i] == quote) {
      if (i + 1 < text.size() && text[i + 1] == quote) {
        ++i;
      } else {
        return i + 1;
      }
    }
  }
  return text.size();
}

std::size_t skip_comment(std::string_view text, std::size_t i) {
  int depth = 1;
  for (i += 2; i + 1 < text.size() && depth > 0;) {
    if (text[i] == '*' && text[i + 1] == '/') {
      --depth;
      i += 2;
    } else if (text[i] == '/' && text[i + 1] == '*') {
      ++depth;
      i += 2;
    } else {
      ++i;
    }
  }
  return depth == 0 ? i : text.size();
}

// A dollar quote begins at `i`: its end, or i + 1 if it is none.
std::size_t skip_dollar(std::string_view text, std::size_t i) {
  std::size_t end = i + 1;
  while (end < text.size() && is_word(text[end]) && text[end] != '$') {
    ++end;
  }
  if (end >= text.size() || text[end] != '$') {
    return i + 1;
  }
  const std::string_view tag = text.substr(i, end - i + 1);
  const std::size_t close = text.find(tag, end + 1);
  return close == std::string_view::npos ? text.size() : close + tag.size();
}

}  // namespace

int estimate_nesting(std::string_view text) {
  std::vector<int> levels{0};  // operators of the current list element of each open bracket
  int sum = 0;                 // of all levels, plus the brackets themselves
  int highest = 0;
  const auto add = [&] {
    ++levels.back();
    highest = std::max(highest, ++sum);
  };
  const auto reset = [&] {
    sum -= levels.back();
    levels.back() = 0;
  };
  for (std::size_t i = 0; i < text.size();) {
    const char c = text[i];
    if (c == '\'') {
      const bool escapes = i > 0 && (text[i - 1] == 'e' || text[i - 1] == 'E');
      i = skip_quoted(text, i, '\'', escapes);
    } else if (c == '"') {
      i = skip_quoted(text, i, '"', false);
    } else if (c == '$') {
      i = skip_dollar(text, i);
    } else if (c == '-' && i + 1 < text.size() && text[i + 1] == '-') {
      i = std::min(text.find('\n', i), text.size());
    } else if (c == '/' && i + 1 < text.size() && text[i + 1] == '*') {
      i = skip_comment(text, i);
    } else if (c == '(' || c == '[') {
      levels.push_back(0);
      highest = std::max(highest, ++sum);
      ++i;
    } else if (c == ')' || c == ']') {
      if (levels.size() > 1) {
        reset();
        levels.pop_back();
        --sum;
      }
      ++i;
    } else if (c == ',' || c == ';') {
      reset();
      ++i;
    } else if (c == ':') {
      if (i + 1 < text.size() && text[i + 1] == ':') {
        add();
        ++i;
      }
      ++i;
    } else if (kOperatorCharacters.find(c) != std::string_view::npos) {
      add();
      ++i;
    } else if (is_word(c)) {
      std::size_t end = i;
      while (end < text.size() && is_word(text[end])) {
        ++end;
      }
      if (end - i <= 9) {
        std::string word(text.substr(i, end - i));
        std::ranges::transform(word, word.begin(),
                               [](unsigned char k) { return static_cast<char>(std::tolower(k)); });
        if (word == "and" || word == "or") {
          reset();  // lists of conditions are flat
        } else if (std::ranges::find(kNestingWords, word) != kNestingWords.end()) {
          add();
        }
      }
      i = std::max(end, i + 1);
    } else {
      ++i;
    }
  }
  return highest;
}

}  // namespace bop::sql
