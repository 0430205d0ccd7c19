#include "cli/statement_splitter.hpp"

#include <cctype>

namespace bop::cli {

namespace {

bool is_name(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || (c & 0x80) != 0;
}

// Each answers the place behind the construct that begins at `at`, or npos when its end is not there.
std::size_t skip_quoted(std::string_view text, std::size_t at, char quote, bool backslashes) {
  for (std::size_t i = at + 1; i < text.size(); ++i) {
    if (backslashes && text[i] == '\\') {
      ++i;
    } else if (text[i] == quote) {
      if (i + 1 < text.size() && text[i + 1] == quote) {
        ++i;
      } else {
        return i + 1;
      }
    }
  }
  return text.npos;
}

std::size_t skip_block_comment(std::string_view text, std::size_t at) {
  int depth = 0;
  for (std::size_t i = at; i + 1 < text.size(); ++i) {
    if (text[i] == '/' && text[i + 1] == '*') {
      ++depth;
      ++i;
    } else if (text[i] == '*' && text[i + 1] == '/') {
      ++i;
      if (--depth == 0) return i + 1;
    }
  }
  return text.npos;
}

// "$tag$ ... $tag$"; `at` itself when it is no dollar quote.
std::size_t skip_dollar_quote(std::string_view text, std::size_t at) {
  if (at > 0 && is_name(text[at - 1])) return at;
  std::size_t end = at + 1;
  while (end < text.size() && is_name(text[end])) ++end;
  if (end >= text.size())
    return end == at + 1 || std::isdigit(static_cast<unsigned char>(text[at + 1])) ? at : text.npos;
  if (text[end] != '$' || std::isdigit(static_cast<unsigned char>(text[at + 1]))) return at;
  const std::string_view tag = text.substr(at, end + 1 - at);
  const std::size_t close = text.find(tag, end + 1);
  return close == text.npos ? text.npos : close + tag.size();
}

}  // namespace

std::size_t StatementSplitter::skip_blank(std::string_view text, std::size_t at) {
  while (at < text.size()) {
    if (std::isspace(static_cast<unsigned char>(text[at]))) {
      ++at;
    } else if (text.substr(at).starts_with("--")) {
      at = text.find('\n', at);
      if (at == text.npos) return text.size();
    } else if (text.substr(at).starts_with("/*")) {
      const std::size_t end = skip_block_comment(text, at);
      if (end == text.npos) return at;
      at = end;
    } else {
      break;
    }
  }
  return at;
}

StatementSplitter::Scan StatementSplitter::scan() const {
  const std::string_view text = text_;
  Scan found;
  int depth = 0;
  for (std::size_t i = 0; i < text.size();) {
    const char c = text[i];
    if (c == ';' && depth <= 0) {
      found.end = i;
      return found;
    }
    if (c == '\\' && found.backslash == text.npos) found.backslash = i;
    if (c == '(') ++depth;
    if (c == ')') --depth;
    std::size_t behind = i + 1;
    if (c == '\'') {
      const bool escapes =
          i > 0 && (text[i - 1] == 'e' || text[i - 1] == 'E') && (i == 1 || !is_name(text[i - 2]));
      behind = skip_quoted(text, i, c, escapes);
    } else if (c == '"') {
      behind = skip_quoted(text, i, c, false);
    } else if (c == '$') {
      behind = skip_dollar_quote(text, i);
      if (behind == i) ++behind;
    } else if (c == '-' && text.substr(i).starts_with("--")) {
      behind = text.find('\n', i);
    } else if (c == '/' && text.substr(i).starts_with("/*")) {
      behind = skip_block_comment(text, i);
    }
    if (behind == text.npos) {
      found.open = c == '/' ? '*' : c == '-' ? '-' : c;
      return found;
    }
    i = behind;
  }
  found.open = depth > 0 ? '(' : '-';
  return found;
}

std::optional<std::string> StatementSplitter::next() {
  while (true) {
    text_.erase(0, skip_blank(text_, 0));
    const std::size_t end = scan().end;
    if (end == text_.npos) return std::nullopt;
    std::string statement = text_.substr(0, end);
    text_.erase(0, end + 1);
    if (!statement.empty()) return statement;
  }
}

std::string StatementSplitter::rest() {
  text_.erase(0, skip_blank(text_, 0));
  std::string out = std::move(text_);
  text_.clear();
  while (!out.empty() && std::isspace(static_cast<unsigned char>(out.back()))) out.pop_back();
  return out;
}

bool StatementSplitter::is_blank() const { return skip_blank(text_, 0) == text_.size(); }

}  // namespace bop::cli
