// The parser of PL/pgSQL's statements; parse_program is its door (program.hpp).
#pragma once

#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "sql/plpgsql/program.hpp"
#include "sql/plpgsql/scanner.hpp"

namespace bop::sql::plpgsql {

// Thrown inside the parser only.
struct ParseFailure {
  Error error;
};

class Parser {
 public:
  Parser(std::string text, std::vector<Token> tokens, Program& program, bool returns_value)
      : text_(std::move(text)),
        tokens_(std::move(tokens)),
        program_(program),
        returns_value_(returns_value) {}

  void parse(std::string_view label, const std::vector<Parameter>& parameters);

 private:
  struct Enclosing {
    std::string label;
    bool loop = false;
  };

  // ---- words
  [[nodiscard]] const Token& now() const { return tokens_[at_]; }
  [[nodiscard]] const Token& ahead(std::size_t n = 1) const {
    return tokens_[std::min(at_ + n, tokens_.size() - 1)];
  }
  [[nodiscard]] static bool is_word(const Token& token, std::string_view word) {
    return token.kind == Token::Kind::kWord && token.word == word;
  }
  [[nodiscard]] static bool is_symbol(const Token& token, std::string_view symbol) {
    return token.kind == Token::Kind::kSymbol && token.word == symbol;
  }
  [[nodiscard]] static bool is_name(const Token& token) {
    return token.kind == Token::Kind::kWord || token.kind == Token::Kind::kQuoted;
  }
  [[nodiscard]] bool is(std::string_view word) const { return is_word(now(), word); }
  [[nodiscard]] bool accept(std::string_view word);
  [[nodiscard]] bool accept_symbol(std::string_view symbol);
  void expect(std::string_view word);
  void expect_symbol(std::string_view symbol);
  std::string expect_name();
  [[noreturn]] void syntax_error() const;
  [[noreturn]] void refuse(std::string_view what) const;  // 0A000
  [[noreturn]] static void refuse_constant(const Variable& variable);
  [[noreturn]] void fail_here(ErrorCode code, std::string what) const;
  [[nodiscard]] int line() const;
  [[nodiscard]] std::string string_constant();
  [[nodiscard]] std::string slice(std::size_t from, std::size_t to) const;  // of tokens

  // ---- names
  const Scope* open_scope(std::string label);
  int declare(Variable variable);
  [[nodiscard]] int find(std::string_view name) const;
  [[nodiscard]] bool starts_assignment() const;
  [[nodiscard]] Place place(bool subscripts);
  [[nodiscard]] Target target();

  // ---- expressions
  // Up to one of these at the level of no bracket, which is left.
  std::string until(std::initializer_list<std::string_view> ends, std::string_view missing);
  Expression expression(std::string text) const;
  Expression expression_until(std::initializer_list<std::string_view> ends, std::string_view missing);
  Expression sql(std::string text) const;
  std::vector<Expression> list_until(std::initializer_list<std::string_view> ends);

  // ---- statements
  Statements statements();
  Statement statement();
  Statement block(std::string label);
  void declarations(Statement& made);
  void handlers(Statement& made);
  Statement if_statement();
  Statement case_statement();
  Statement loop(std::string label);
  Statement while_loop(std::string label);
  Statement for_loop(std::string label);
  Statement foreach_loop(std::string label);
  Statements loop_body(const std::string& label);
  Statement leave(Kind kind);
  Statement return_statement();
  Statement raise();
  Statement assert_statement();
  Statement execute();
  Statement diagnostics();
  Statement sql_statement();
  Statement assignment();
  Statement make(Kind kind) const;

  const std::string text_;
  const std::vector<Token> tokens_;
  Program& program_;
  const bool returns_value_;
  std::size_t at_ = 0;
  Scope* scope_ = nullptr;
  std::vector<Enclosing> enclosing_;
  int cases_ = 0;
  int depth_ = 0;
};

}  // namespace bop::sql::plpgsql
