// Cuts a script into statements at the semicolons that end them: not those in quotes, dollar quotes, comments
// and parentheses. Text may come in pieces; what is incomplete waits for more.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace bop::cli {

class StatementSplitter {
 public:
  void feed(std::string_view text) { text_ += text; }
  // The next complete statement without its semicolon and without white space and comments before it.
  [[nodiscard]] std::optional<std::string> next();
  // What is left when there is no more text; empty when only white space and comments are.
  [[nodiscard]] std::string rest();
  [[nodiscard]] bool is_blank() const;

  // What has been fed and is no complete statement.
  [[nodiscard]] const std::string& text() const noexcept { return text_; }
  void set_text(std::string text) { text_ = std::move(text); }
  // Where the first backslash outside of quotes and comments stands, before the end of the first statement;
  // npos: nowhere.
  [[nodiscard]] std::size_t find_backslash() const { return scan().backslash; }
  // What the text stops within: a quote (' or "), '$' (dollar quotes), '*' (a comment), '(' or '-' (just a
  // statement).
  [[nodiscard]] char open_construct() const { return scan().open; }

 private:
  struct Scan {
    std::size_t end = std::string::npos;  // the place of the semicolon of the statement that begins at 0
    std::size_t backslash = std::string::npos;
    char open = '-';
  };
  [[nodiscard]] Scan scan() const;
  [[nodiscard]] static std::size_t skip_blank(std::string_view text, std::size_t at);
  std::string text_;
};

}  // namespace bop::cli
