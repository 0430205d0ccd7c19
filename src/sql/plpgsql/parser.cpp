#include "sql/plpgsql/parser.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "sql/tree.hpp"

namespace bop::sql::plpgsql {

namespace {

constexpr int kMaxDepth = 200;  // of statements in statements

struct Condition {
  std::string_view name, state;
};
constexpr Condition kConditions[] = {
#define BOP_CONDITION(name, state) {name, state},
#include "sql/plpgsql/conditions.def"
#undef BOP_CONDITION
};

bool ends_list(const Token& token) {
  constexpr std::array<std::string_view, 6> kEnds{"end", "else", "elsif", "elseif", "when", "exception"};
  return token.kind == Token::Kind::kEnd ||
         (token.kind == Token::Kind::kWord && std::ranges::find(kEnds, token.word) != kEnds.end());
}

}  // namespace

std::string_view state_of_condition(std::string_view name) {
  const auto* found = std::ranges::find(kConditions, name, &Condition::name);
  return found == std::end(kConditions) ? std::string_view() : found->state;
}

bool matches(std::string_view state, std::string_view wanted) {
  // What ends a statement by somebody's will, and ASSERT, are no matter of OTHERS.
  if (wanted == "OTHERS") return state != "57014" && state != "P0004";
  if (wanted == state) return true;
  return wanted.ends_with("000") && state.substr(0, 2) == wanted.substr(0, 2);
}

Result<std::shared_ptr<const Program>> parse_program(std::string_view body, std::string_view label,
                                                     const std::vector<Parameter>& parameters,
                                                     bool returns_value) {
  std::string text(body);
  BOP_LET(tokens, scan(text));
  auto program = std::make_shared<Program>();
  try {
    Parser(std::move(text), std::move(tokens), *program, returns_value).parse(label, parameters);
  } catch (ParseFailure& failure) {
    return std::unexpected(std::move(failure.error));
  }
  return program;
}

// ---------------------------------------------------------------------------------------------------- words

bool Parser::accept(std::string_view word) {
  if (!is(word)) return false;
  ++at_;
  return true;
}

bool Parser::accept_symbol(std::string_view symbol) {
  if (!is_symbol(now(), symbol)) return false;
  ++at_;
  return true;
}

void Parser::expect(std::string_view word) {
  if (!accept(word)) syntax_error();
}

void Parser::expect_symbol(std::string_view symbol) {
  if (!accept_symbol(symbol)) syntax_error();
}

std::string Parser::expect_name() {
  if (!is_name(now())) syntax_error();
  return tokens_[at_++].word;
}

void Parser::syntax_error() const {
  if (now().kind == Token::Kind::kEnd)
    throw ParseFailure{Error(ErrorCode::kSyntaxError, "syntax error at end of input")};
  fail_here(ErrorCode::kSyntaxError, fmt::format("syntax error at or near \"{}\"",
                                                 text_.substr(now().begin, now().end - now().begin)));
}

void Parser::refuse(std::string_view what) const {
  fail_here(ErrorCode::kNotImplemented, fmt::format("{} in PL/pgSQL is not implemented", what));
}

void Parser::fail_here(ErrorCode code, std::string what) const {
  throw ParseFailure{Error(code, std::move(what))};
}

int Parser::line() const {
  const std::string_view before = std::string_view(text_).substr(0, now().begin);
  return 1 + static_cast<int>(std::ranges::count(before, '\n'));
}

std::string Parser::slice(std::size_t from, std::size_t to) const {
  if (from >= to) return {};
  return text_.substr(tokens_[from].begin, tokens_[to - 1].end - tokens_[from].begin);
}

std::string Parser::string_constant() {
  if (now().kind != Token::Kind::kString) syntax_error();
  const auto parsed = parse_expression(now().word);
  if (!parsed) throw ParseFailure{parsed.error()};
  const pg::Node& node = *(*parsed)->node;
  if (node.node_case != PG_QUERY__NODE__NODE_A_CONST ||
      node.a_const->val_case != PG_QUERY__A__CONST__VAL_SVAL) {
    syntax_error();
  }
  ++at_;
  return std::string(pg::text(node.a_const->sval->sval));
}

// ---------------------------------------------------------------------------------------------------- names

const Scope* Parser::open_scope(std::string label) {
  const Scope* outer = scope_;
  scope_ = &program_.scopes.emplace_back(Scope{.parent = outer, .label = std::move(label), .names = {}});
  return outer;
}

int Parser::declare(Variable variable) {
  const auto number = static_cast<int>(program_.variables.size());
  for (const auto& [name, other] : scope_->names) {
    if (name == variable.name) {
      fail_here(ErrorCode::kSyntaxError, fmt::format("duplicate declaration at or near \"{}\"", name));
    }
  }
  scope_->names.emplace_back(variable.name, number);
  program_.variables.push_back(std::move(variable));
  return number;
}

int Parser::find(std::string_view name) const {
  for (const Scope* s = scope_; s != nullptr; s = s->parent) {
    for (const auto& [known, number] : s->names) {
      if (known == name) return number;
    }
  }
  return -1;
}

bool Parser::starts_assignment() const {
  if (!is_name(now())) return false;
  const Token& next = ahead();
  return is_symbol(next, ":=") || is_symbol(next, "=") || is_symbol(next, "[") || is_symbol(next, ".");
}

void Parser::refuse_constant(const Variable& variable) {
  Error why = error(ErrorCode::kDataException, "variable \"{}\" is declared CONSTANT", variable.name);
  why.mut().sqlstate = "22005";
  throw ParseFailure{std::move(why)};
}

// variable, label.variable, record.field
Place Parser::place(bool subscripts) {
  const std::string shown = now().word;
  std::string name = expect_name();
  Place made;
  made.variable = find(name);
  std::string whole = shown;
  if (made.variable < 0 && is_symbol(now(), ".") && is_name(ahead())) {
    for (const Scope* s = scope_; s != nullptr && made.variable < 0; s = s->parent) {
      if (s->label != name || name.empty()) continue;
      for (const auto& [known, number] : s->names) {
        if (known == ahead().word) made.variable = number;
      }
    }
    if (made.variable >= 0) at_ += 2;
    whole += "." + ahead().word;
  }
  if (made.variable < 0) {
    fail_here(ErrorCode::kSyntaxError, fmt::format("\"{}\" is not a known variable", whole));
  }
  if (is_symbol(now(), ".") && is_name(ahead())) {
    made.field = ahead().word;
    at_ += 2;
  }
  if (subscripts && is_symbol(now(), "[")) refuse("assignment to an element of an array");
  return made;
}

Target Parser::target() {
  Target made;
  made.strict = accept("strict");
  do {
    made.places.push_back(place(false));
  } while (accept_symbol(","));
  for (const Place& one : made.places) {
    if (program_.variables[static_cast<std::size_t>(one.variable)].constant) {
      refuse_constant(program_.variables[static_cast<std::size_t>(one.variable)]);
    }
  }
  return made;
}

// ---------------------------------------------------------------------------------------------- expressions

std::string Parser::until(std::initializer_list<std::string_view> ends, std::string_view missing) {
  const std::size_t begin = at_;
  int brackets = 0;
  for (;; ++at_) {
    const Token& token = now();
    const bool end = std::ranges::any_of(
        ends, [&](std::string_view e) { return is_word(token, e) || is_symbol(token, e); });
    if (brackets == 0 && end) break;
    if (token.kind == Token::Kind::kEnd || is_symbol(token, ";")) {
      if (brackets != 0) fail_here(ErrorCode::kSyntaxError, "mismatched parentheses at or near \";\"");
      fail_here(ErrorCode::kSyntaxError, fmt::format("missing \"{}\" at end of SQL expression", missing));
    }
    if (is_symbol(token, "(") || is_symbol(token, "[")) ++brackets;
    if (is_symbol(token, ")") || is_symbol(token, "]")) --brackets;
    if (brackets < 0)
      fail_here(ErrorCode::kSyntaxError, fmt::format("mismatched parentheses at or near \"{}\"", token.word));
  }
  if (begin == at_) {
    fail_here(ErrorCode::kSyntaxError, fmt::format("missing expression at or near \"{}\"", now().word));
  }
  return slice(begin, at_);
}

Expression Parser::expression(std::string text) const {
  // Not parse_expression: PostgreSQL's may be `x FROM t WHERE ...`.
  const auto parsed = sql::parse("SELECT " + text);
  if (!parsed) {
    Error why = parsed.error();
    why.mut().position = 0;
    throw ParseFailure{std::move(why)};
  }
  if (parsed->size() != 1) fail_here(ErrorCode::kSyntaxError, fmt::format("syntax error in \"{}\"", text));
  return {.statement = parsed->front(), .scope = scope_, .text = std::move(text)};
}

Expression Parser::expression_until(std::initializer_list<std::string_view> ends, std::string_view missing) {
  return expression(until(ends, missing));
}

Expression Parser::sql(std::string text) const {
  const auto parsed = sql::parse(text);
  if (!parsed) {
    Error why = parsed.error();
    why.mut().position = 0;
    throw ParseFailure{std::move(why)};
  }
  if (parsed->size() != 1) fail_here(ErrorCode::kSyntaxError, fmt::format("syntax error in \"{}\"", text));
  return {.statement = parsed->front(), .scope = scope_, .text = std::move(text)};
}

std::vector<Expression> Parser::list_until(std::initializer_list<std::string_view> ends) {
  std::vector<Expression> made;
  std::vector<std::string_view> stops(ends);
  for (;;) {
    const std::size_t begin = at_;
    int brackets = 0;
    for (;; ++at_) {
      const Token& token = now();
      if (token.kind == Token::Kind::kEnd) syntax_error();
      const bool stop = is_symbol(token, ",") || std::ranges::any_of(stops, [&](std::string_view e) {
                          return is_word(token, e) || is_symbol(token, e);
                        });
      if (brackets == 0 && stop) break;
      if (is_symbol(token, "(") || is_symbol(token, "[")) ++brackets;
      if (is_symbol(token, ")") || is_symbol(token, "]")) --brackets;
    }
    if (begin == at_) syntax_error();
    made.push_back(expression(slice(begin, at_)));
    if (!accept_symbol(",")) return made;
  }
}

// ----------------------------------------------------------------------------------------------- statements

Statement Parser::make(Kind kind) const {
  Statement made;
  made.kind = kind;
  made.line = line();
  return made;
}

void Parser::parse(std::string_view label, const std::vector<Parameter>& parameters) {
  open_scope(std::string(label));
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    Variable variable;
    variable.name = parameters[i].name;
    variable.known_type = parameters[i].type;
    scope_->names.emplace_back(fmt::format("${}", i + 1), static_cast<int>(program_.variables.size()));
    if (variable.name.empty()) {
      program_.variables.push_back(std::move(variable));
    } else {
      declare(std::move(variable));
    }
  }
  Variable found;
  found.name = "found";
  found.type = "boolean";
  program_.found = declare(std::move(found));
  while (is_symbol(now(), "#")) {
    ++at_;
    if (!accept("variable_conflict")) refuse("this option");
    if (accept("error")) {
      program_.conflict = Program::Conflict::kError;
    } else if (accept("use_variable")) {
      program_.conflict = Program::Conflict::kVariable;
    } else if (accept("use_column")) {
      program_.conflict = Program::Conflict::kColumn;
    } else {
      syntax_error();
    }
  }
  std::string own;
  if (accept_symbol("<<")) {
    own = expect_name();
    expect_symbol(">>");
  }
  program_.block = block(std::move(own));
  (void)accept_symbol(";");
  if (now().kind != Token::Kind::kEnd) syntax_error();
}

Statements Parser::statements() {
  if (++depth_ > kMaxDepth) {
    fail_here(ErrorCode::kStatementTooComplex, "stack depth limit exceeded");
  }
  Statements made;
  while (!ends_list(now())) made.push_back(statement());
  --depth_;
  return made;
}

Statement Parser::statement() {
  std::string label;
  if (accept_symbol("<<")) {
    label = expect_name();
    expect_symbol(">>");
    const bool takes =
        is("declare") || is("begin") || is("loop") || is("while") || is("for") || is("foreach");
    if (!takes) syntax_error();
  }
  if (is("declare") || is("begin")) {
    Statement made = block(std::move(label));
    expect_symbol(";");
    return made;
  }
  // A variable may have the name of a word that is not reserved.
  constexpr std::array<std::string_view, 8> kReserved{"if",  "case",    "loop", "while",
                                                      "for", "foreach", "null", "execute"};
  const bool reserved =
      now().kind == Token::Kind::kWord && std::ranges::find(kReserved, now().word) != kReserved.end();
  if (!reserved && starts_assignment()) return assignment();
  if (is("if")) return if_statement();
  if (is("case")) return case_statement();
  if (is("loop")) return loop(std::move(label));
  if (is("while")) return while_loop(std::move(label));
  if (is("for")) return for_loop(std::move(label));
  if (is("foreach")) return foreach_loop(std::move(label));
  if (is("exit")) return leave(Kind::kExit);
  if (is("continue")) return leave(Kind::kContinue);
  if (is("return")) return return_statement();
  if (is("raise")) return raise();
  if (is("assert")) return assert_statement();
  if (is("execute")) return execute();
  if (is("get")) return diagnostics();
  if (is("perform")) {
    Statement made = make(Kind::kPerform);
    ++at_;
    made.expression = expression_until({";"}, ";");
    expect_symbol(";");
    return made;
  }
  if (is("null")) {
    Statement made = make(Kind::kNull);
    ++at_;
    expect_symbol(";");
    return made;
  }
  if (is("open") || is("fetch") || is("move") || is("close")) refuse("a cursor");
  if (is("commit") || is("rollback")) refuse(is("commit") ? "COMMIT" : "ROLLBACK");
  return sql_statement();
}

Statement Parser::assignment() {
  Statement made = make(Kind::kAssign);
  made.target.places.push_back(place(true));
  const Variable& variable = program_.variables[static_cast<std::size_t>(made.target.places[0].variable)];
  if (variable.constant) {
    refuse_constant(variable);
  }
  if (!accept_symbol(":=")) expect_symbol("=");
  made.expression = expression_until({";"}, ";");
  expect_symbol(";");
  return made;
}

Statement Parser::sql_statement() {
  Statement made = make(Kind::kSql);
  const std::size_t begin = at_;
  std::string text;
  std::size_t from = at_;
  for (;; ++at_) {
    if (now().kind == Token::Kind::kEnd) syntax_error();
    if (is_symbol(now(), ";")) break;
    const bool insert =
        at_ > begin && (is_word(tokens_[at_ - 1], "insert") || is_word(tokens_[at_ - 1], "merge"));
    if (!is("into") || insert) continue;
    if (made.target) fail_here(ErrorCode::kSyntaxError, "INTO specified more than once");
    text += slice(from, at_) + " ";
    ++at_;
    made.target = target();
    from = at_;
    --at_;
  }
  text += slice(from, at_);
  if (text.empty()) syntax_error();
  made.expression = sql(std::move(text));
  expect_symbol(";");
  return made;
}

}  // namespace bop::sql::plpgsql
