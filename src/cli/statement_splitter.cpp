#include "cli/statement_splitter.hpp"

#include <algorithm>
#include <cctype>

namespace bop::cli {

namespace {

bool is_space(char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_name_start(char c) {
  return std::isalpha(static_cast<unsigned char>(c)) != 0 || c == '_' || (c & 0x80) != 0;
}
bool is_variable(char c) { return is_name_start(c) || is_digit(c); }
bool is_name(char c) { return is_variable(c) || c == '$'; }

bool is_word(std::string_view text, std::string_view lower) {
  return std::ranges::equal(
      text, lower, {}, [](unsigned char c) { return std::tolower(c); },
      [](unsigned char c) { return static_cast<int>(c); });
}

}  // namespace

void StatementSplitter::feed(std::string_view text) {
  if (begin_ > text_.size() / 2) {
    text_.erase(0, begin_);
    at_ -= begin_;
    for (Expansion& expansion : expansions_) expansion.end -= std::min(expansion.end, begin_);
    begin_ = 0;
  }
  text_ += text;
}

char StatementSplitter::peek(std::size_t ahead) const { return has(ahead) ? text_[at_ + ahead] : '\0'; }

void StatementSplitter::skip_blank(std::size_t bytes) {
  at_ += bytes;
  if (!state_.has_content) begin_ = at_;
}

void StatementSplitter::pass(std::size_t bytes) {
  at_ += bytes;
  state_.has_content = true;
}

void StatementSplitter::open(char construct, std::size_t bytes) {
  open_ = construct;
  at_ += bytes;
  if (construct != '-' && construct != '*') state_.has_content = true;
}

// A closing quote has to be seen with what stands behind it: two of them are one in the text.
bool StatementSplitter::scan_open() {
  switch (open_) {
    case '\'':
    case '"':
      for (; at_ < text_.size(); ++at_) {
        const bool escapes = escapes_ && text_[at_] == '\\';
        if (!escapes && text_[at_] != open_) continue;
        if (!has(1)) return false;
        if (escapes || peek(1) == open_) {
          ++at_;
          continue;
        }
        ++at_;
        open_ = 0;
        return true;
      }
      return false;
    case '$': {
      const std::size_t close = text_.find(tag_, at_);
      if (close == text_.npos) {
        at_ = std::max(at_, text_.size() - std::min(text_.size(), tag_.size() - 1));
        return false;
      }
      at_ = close + tag_.size();
      open_ = 0;
      return true;
    }
    case '-': {
      at_ = std::min(text_.find('\n', at_), text_.size());
      if (at_ == text_.size()) return false;
      open_ = 0;
      skip_blank(0);
      return true;
    }
    default:  // '*'
      for (; has(1); ++at_) {
        const char c = text_[at_];
        if (c == '/' && peek(1) == '*') {
          ++comment_depth_;
          ++at_;
        } else if (c == '*' && peek(1) == '/') {
          ++at_;
          if (--comment_depth_ > 0) continue;
          open_ = 0;
          skip_blank(1);
          return true;
        }
      }
      return false;
  }
}

bool StatementSplitter::scan_word() {
  std::size_t end = at_;
  while (end < text_.size() && is_name(text_[end])) ++end;
  if (end == text_.size()) return false;
  const std::string_view word = std::string_view(text_).substr(at_, end - at_);
  if (text_[end] == '\'' && is_word(word, "e")) {
    open('\'', 2);
    escapes_ = true;
    return true;
  }
  auto& first = state_.first;
  const auto counted = static_cast<std::size_t>(state_.words++);
  if (counted < first.size()) {
    first[counted] = 0;
    for (const std::string_view known : {"create", "or", "replace", "function", "procedure"}) {
      if (is_word(word, known)) first[counted] = known.front();
    }
  }
  const auto is_routine = [](char c) { return c == 'f' || c == 'p'; };
  const bool in_routine = first[0] == 'c' && (is_routine(first[1]) ||
                                              (first[1] == 'o' && first[2] == 'r' && is_routine(first[3])));
  if (in_routine && state_.depth == 0) {
    if (is_word(word, "begin") || (state_.begin_depth > 0 && is_word(word, "case"))) ++state_.begin_depth;
    if (state_.begin_depth > 0 && is_word(word, "end")) --state_.begin_depth;
  }
  pass(word.size());
  return true;
}

bool StatementSplitter::scan_dollar() {
  std::size_t end = at_ + 1;
  if (end < text_.size() && !is_digit(text_[end])) {
    while (end < text_.size() && is_variable(text_[end])) ++end;
  }
  if (end == text_.size()) return false;
  if (text_[end] != '$') {
    pass(1);
    return true;
  }
  tag_ = text_.substr(at_, end + 1 - at_);
  open('$', tag_.size());
  return true;
}

void StatementSplitter::replace(std::size_t bytes, const std::string& by) {
  text_.replace(at_, bytes, by);
  for (Expansion& expansion : expansions_) expansion.end += by.size() - bytes;  // modulo 2^64
}

bool StatementSplitter::scan_variable() {
  if (!has(1)) return false;
  char form = peek(1);
  if (form == ':' || form == '=') {
    pass(2);
    return true;
  }
  std::size_t begin = at_ + 2;
  if (is_variable(form)) {
    form = 0;
    begin = at_ + 1;
  } else if (form == '{') {
    if (!has(2)) return false;
    if (peek(2) != '?') {
      pass(1);
      return true;
    }
    form = '?';
    ++begin;
  } else if (form != '\'' && form != '"') {
    pass(1);
    return true;
  }
  std::size_t end = begin;
  while (end < text_.size() && is_variable(text_[end])) ++end;
  if (end == text_.size()) return false;
  const std::string name = text_.substr(begin, end - begin);
  const bool is_closed = form == 0 || text_[end] == (form == '?' ? '}' : form);
  const bool is_current =
      form == 0 && std::ranges::any_of(expansions_, [&](const Expansion& e) { return e.name == name; });
  std::optional<std::string> value;
  if (!name.empty() && is_closed && !is_current && expand_) value = expand_(name, form);
  if (!value) {
    pass(form == 0 ? end - at_ : 1);
    return true;
  }
  replace(end + (form == 0 ? 0 : 1) - at_, *value);
  if (form == 0) {
    expansions_.push_back({.name = name, .end = at_ + value->size()});
  } else {
    pass(value->size());
  }
  return true;
}

bool StatementSplitter::scan_token() {
  while (!expansions_.empty() && at_ >= expansions_.back().end) expansions_.pop_back();
  const char c = text_[at_];
  if (is_space(c)) {
    skip_blank(1);
    return true;
  }
  if (is_name_start(c)) return scan_word();
  switch (c) {
    case '-':
    case '/':
      if (!has(1)) return false;
      if (peek(1) == (c == '-' ? '-' : '*')) {
        open(c == '-' ? '-' : '*', 2);
        comment_depth_ = 1;
        return true;
      }
      break;
    case '\'':
    case '"':
      escapes_ = false;
      open(c, 1);
      return true;
    case '$': return scan_dollar();
    case ':': return scan_variable();
    case '\\': text_.erase(at_, 1); break;  // of \; or \: (scan)
    case '(': ++state_.depth; break;
    case ')': state_.depth = std::max(0, state_.depth - 1); break;
    default: break;
  }
  pass(1);
  return true;
}

StatementSplitter::Stop StatementSplitter::scan() {
  while (at_ < text_.size()) {
    if (open_ != 0) {
      if (!scan_open()) return Stop::kEnd;
      continue;
    }
    const char c = text_[at_];
    if (c == ';' && state_.depth == 0 && state_.begin_depth == 0) return Stop::kSemicolon;
    if (c == '\\') {
      if (!has(1)) return Stop::kEnd;
      if (peek(1) != ';' && peek(1) != ':') return Stop::kBackslash;
    }
    if (!scan_token()) return Stop::kEnd;
  }
  return Stop::kEnd;
}

std::optional<std::string> StatementSplitter::next() {
  while (scan() == Stop::kSemicolon) {
    const bool has_content = state_.has_content;
    std::string statement = has_content ? text_.substr(begin_, at_ - begin_) : std::string();
    drop_statement(at_ + 1);
    if (has_content) return statement;
  }
  return std::nullopt;
}

void StatementSplitter::drop_statement(std::size_t end) {
  begin_ = at_ = end;
  state_ = {};
  open_ = 0;
}

std::string_view StatementSplitter::command_line() const {
  const std::string_view behind = std::string_view(text_).substr(at_ + 1);
  return behind.substr(0, behind.find('\n'));
}

// A line that is nothing but commands leaves no line behind.
void StatementSplitter::drop_command(std::size_t bytes) {
  const std::size_t before = text_.find_last_not_of(" \t", at_ == 0 ? text_.npos : at_ - 1);
  const bool begins_line = at_ == begin_ || before == text_.npos || before < begin_ || text_[before] == '\n';
  text_.erase(at_, 1 + bytes);
  for (Expansion& expansion : expansions_) expansion.end -= std::min(expansion.end, 1 + bytes);
  if (begins_line && peek(0) == '\n') text_.erase(at_, 1);
}

std::string_view StatementSplitter::pending() const {
  return std::string_view(text_).substr(begin_, at_ - begin_);
}

std::string StatementSplitter::take() {
  std::string out(pending());
  drop_statement(at_);
  while (!out.empty() && is_space(out.back())) out.pop_back();
  return out;
}

std::string StatementSplitter::rest() {
  (void)scan();
  const bool is_blank_text = is_blank();
  std::string out = is_blank_text ? std::string() : text_.substr(begin_);
  clear();
  while (!out.empty() && is_space(out.back())) out.pop_back();
  return out;
}

bool StatementSplitter::is_blank() const {
  if (state_.has_content || (open_ != 0 && open_ != '-')) return false;
  return std::all_of(text_.begin() + static_cast<std::ptrdiff_t>(at_), text_.end(), is_space);
}

char StatementSplitter::open_construct() {
  (void)scan();
  return open_ != 0 ? open_ : state_.depth > 0 ? '(' : '-';
}

StatementSplitter::Mark StatementSplitter::mark() const { return {.length = at_ - begin_, .state = state_}; }

void StatementSplitter::put_back(std::string_view statement, const Mark& mark) {
  const std::string_view kept = statement.substr(0, mark.length);
  text_.insert(begin_, kept);
  at_ = begin_ + kept.size();
  state_ = mark.state;
}

void StatementSplitter::drop_line() {
  const std::size_t end = text_.find('\n', at_);
  text_.erase(at_, end == text_.npos ? end : end - at_);
}

void StatementSplitter::rewind(const Mark& mark) {
  const std::size_t place = begin_ + std::min(mark.length, at_ - begin_);
  text_.erase(place, at_ - place);
  at_ = place;
  state_ = mark.state;
  open_ = 0;
}

}  // namespace bop::cli
