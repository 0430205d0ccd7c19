// Cuts a script into statements at the semicolons that end them: not those in quotes, dollar quotes,
// comments, parentheses and bodies of functions (CREATE FUNCTION ... BEGIN ATOMIC ...; END). Stops before
// backslashes, which begin commands, and puts the values of variables into the text (:name, :'name', :"name",
// :{?name}); \; and \: are a semicolon that ends nothing and a colon that names nothing.
//
// Text comes in pieces, lines usually. The scan goes on where it stopped, so each byte is looked at once.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bop::cli {

class StatementSplitter {
 public:
  // What stands for a variable: its value (0), as a literal (') or as an identifier ("), or whether there is
  // one (?). nullopt: there is none, the text stays as it is.
  using Expand = std::function<std::optional<std::string>(std::string_view name, char form)>;

  StatementSplitter() = default;
  explicit StatementSplitter(Expand expand) : expand_(std::move(expand)) {}

  void feed(std::string_view text);
  // The next complete statement without its semicolon and without white space and comments before it;
  // nullopt: a command comes first, or there is no more.
  [[nodiscard]] std::optional<std::string> next();

  // The scan stands at a backslash. Its line behind that, and taking `bytes` of it away with the backslash.
  [[nodiscard]] bool has_command() { return scan() == Stop::kBackslash; }
  [[nodiscard]] std::string_view command_line() const;
  void drop_command(std::size_t bytes);

  // The statement as far as it has been scanned, and taking it away. What stands behind is kept.
  [[nodiscard]] std::string_view pending() const;
  [[nodiscard]] std::string take();
  // All that is left when there is no more text; empty when only white space and comments are.
  [[nodiscard]] std::string rest();
  void clear() { drop_statement(text_.size()); }
  [[nodiscard]] bool is_blank() const;
  // What the text stops within: a quote (' or "), '$' (dollar quotes), '*' (a comment), '(' or '-' (just a
  // statement).
  [[nodiscard]] char open_construct();

  // Goes back to where the pending statement was: what has come since is no part of it.
  struct Mark;
  [[nodiscard]] Mark mark() const;
  void rewind(const Mark& mark);
  // The same behind next(), which has answered `statement`.
  void put_back(std::string_view statement, const Mark& mark);
  // What stands behind the place of the scan in its line.
  void drop_line();

 private:
  enum class Stop : std::uint8_t { kEnd, kSemicolon, kBackslash };
  // Of the pending statement.
  struct State {
    int depth = 0;                // of parentheses
    int begin_depth = 0;          // of BEGIN and CASE in a function's body
    int words = 0;                // identifiers so far
    std::array<char, 4> first{};  // c, f, p, o or r when they are CREATE, FUNCTION, PROCEDURE, OR, REPLACE
    bool has_content = false;     // more than white space and comments
  };
  // A variable's value that is being scanned: it is not put into itself.
  struct Expansion {
    std::string name;
    std::size_t end;
  };

  // Each answers false when more text is needed.
  [[nodiscard]] bool scan_open();
  [[nodiscard]] bool scan_token();
  [[nodiscard]] bool scan_word();
  [[nodiscard]] bool scan_dollar();
  [[nodiscard]] bool scan_variable();
  [[nodiscard]] Stop scan();
  void open(char construct, std::size_t bytes);
  void skip_blank(std::size_t bytes);
  void pass(std::size_t bytes);
  void replace(std::size_t bytes, const std::string& by);
  void drop_statement(std::size_t end);
  [[nodiscard]] char peek(std::size_t ahead) const;
  [[nodiscard]] bool has(std::size_t ahead) const { return at_ + ahead < text_.size(); }

  Expand expand_;
  std::string text_;
  std::size_t begin_ = 0;  // of the pending statement; what is before has been taken
  std::size_t at_ = 0;     // what is before has been scanned
  State state_;
  char open_ = 0;  // as open_construct tells it, but '-' is a comment to the end of its line
  bool escapes_ = false;
  int comment_depth_ = 0;
  std::string tag_;
  std::vector<Expansion> expansions_;
};

struct StatementSplitter::Mark {
  std::size_t length = 0;
  State state;
};

}  // namespace bop::cli
