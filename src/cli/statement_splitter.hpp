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
  // One line without its line end, for the data of COPY FROM STDIN in a script; nullopt when it is not
  // complete.
  [[nodiscard]] std::optional<std::string> next_line();
  // The rest of the line that a statement ended on.
  void skip_line_end();
  [[nodiscard]] bool is_blank() const;

 private:
  // Where the statement that begins at 0 ends (the place of its semicolon), or npos.
  [[nodiscard]] std::size_t end_of_statement() const;
  [[nodiscard]] static std::size_t skip_blank(std::string_view text, std::size_t at);
  std::string text_;
};

}  // namespace bop::cli
