// A block of PL/pgSQL as a tree, and its parser.
//
// libpg_query's own dump of PL/pgSQL does not say which block declares a variable and knows no fields of
// records, so only its scanner is used: the words are PostgreSQL's, the statements are put together here, as
// PostgreSQL's pl_gram.y does. Every expression and SQL statement in it is parsed by libpg_query when the
// block is, so that errors of syntax are told before anything runs. What names in it mean is asked when it
// runs.
//
// What a name is: the innermost block, loop or handler that declares it; `label.name` names the one of that
// block. A Program is immutable after parse_program and may be run by any number of interpreters.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/ids.hpp"
#include "sql/catalog/function.hpp"
#include "sql/parse.hpp"

namespace bop::sql::plpgsql {

// Names that are seen from one place: those of `parent` too, unless they are hidden.
struct Scope {
  const Scope* parent = nullptr;
  std::string label;
  std::vector<std::pair<std::string, int>> names;  // and the number of the variable
};

struct Expression {
  ParsedStatementPtr statement;  // SELECT of it, or a whole statement of SQL
  const Scope* scope = nullptr;
  std::string text;
  [[nodiscard]] explicit operator bool() const { return statement != nullptr; }
};

struct Variable {
  std::string name;
  int line = 0;
  std::string type;  // as written; "record" and `t%ROWTYPE` are records; empty: Oid
  Oid known_type = 0;
  std::int32_t typmod = -1;
  bool constant = false;
  bool not_null = false;
  Expression initial;
};

// What a value is assigned to: a variable or a field of a record.
struct Place {
  int variable = -1;
  std::string field;
};

struct Target {
  std::vector<Place> places;
  bool strict = false;
  [[nodiscard]] explicit operator bool() const { return !places.empty(); }
};

enum class Kind : std::uint8_t {
  kBlock,
  kAssign,
  kIf,
  kCase,
  kLoop,
  kWhile,
  kForInteger,
  kForQuery,
  kForDynamic,
  kForeach,
  kExit,
  kContinue,
  kReturn,
  kRaise,
  kAssert,
  kSql,
  kDynamic,
  kPerform,
  kDiagnostics,
  kNull,
  kPlain,   // SQL whose rows nobody wants: of a function in LANGUAGE sql
  kResult,  // its last statement: the first row is its value
};

enum class Level : std::uint8_t { kDebug, kLog, kInfo, kNotice, kWarning, kException };

struct Statement;
using Statements = std::vector<Statement>;

struct Branch {
  Expression condition;
  Statements body;
};

struct Handler {
  std::vector<std::string> states;  // SQLSTATEs; "OTHERS"; of a class: its "xx000"
  Statements body;
};

struct Statement {
  Kind kind = Kind::kNull;
  int line = 0;
  std::string label;           // of a block or loop; of EXIT and CONTINUE the one that is meant
  std::vector<int> variables;  // that a block declares
  Statements body;
  std::vector<Branch> branches;   // of IF, CASE
  bool has_else = false;          // `body`
  std::vector<Handler> handlers;  // of a block
  int state_variable = -1;        // SQLSTATE and SQLERRM of its handlers
  int message_variable = -1;
  Expression expression;     // the value, the condition, the query, the text of EXECUTE
  Expression second, third;  // upper bound and step; message of ASSERT
  Target target;
  int loop_variable = -1;  // of FOR over integers; the subject of CASE
  bool reverse = false;
  int slice = 0;
  std::vector<Expression> arguments;  // USING of EXECUTE, values of RAISE's format
  // RAISE
  Level level = Level::kException;
  std::string format;
  bool has_format = false;
  std::string condition;  // SQLSTATE that it names
  std::string condition_name;
  std::vector<std::pair<std::string, Expression>> options;
  bool stacked = false;  // GET STACKED DIAGNOSTICS
  std::vector<std::pair<Place, std::string>> items;
};

struct Program {
  std::vector<Variable> variables;  // the parameters first, then FOUND
  std::deque<Scope> scopes;
  int found = -1;
  Statement block;
  enum class Conflict : std::uint8_t { kError, kVariable, kColumn } conflict = Conflict::kError;
};

struct Parameter {
  std::string name;  // may be empty: $n only
  Oid type = 0;
};

// `offset`: where the body begins in what the client has sent; 0: positions are not told. `label`: the name
// of the function. `parameters` get the variables 0, 1...
[[nodiscard]] Result<std::shared_ptr<const Program>> parse_program(std::string_view body,
                                                                   std::string_view label,
                                                                   const std::vector<Parameter>& parameters,
                                                                   bool returns_value);

// The body of a function, in LANGUAGE sql as a block of its statements.
[[nodiscard]] Result<std::shared_ptr<const Program>> function_program(const Function& function);

// The SQLSTATE of a condition's name ("division_by_zero"); empty if there is no such condition.
[[nodiscard]] std::string_view state_of_condition(std::string_view name);
// Whether an error of `state` is what a handler for `wanted` is for.
[[nodiscard]] bool matches(std::string_view state, std::string_view wanted);

}  // namespace bop::sql::plpgsql
