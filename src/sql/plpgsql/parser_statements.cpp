// The statements of PL/pgSQL that are not SQL's.
#include <algorithm>

#include <fmt/format.h>

#include "sql/plpgsql/parser.hpp"

namespace bop::sql::plpgsql {

Statement Parser::block(std::string label) {
  Statement made = make(Kind::kBlock);
  made.label = label;
  const Scope* outer = open_scope(label);
  if (accept("declare")) declarations(made);
  expect("begin");
  enclosing_.push_back({.label = label, .loop = false});
  made.body = statements();
  if (accept("exception")) handlers(made);
  enclosing_.pop_back();
  expect("end");
  if (is_name(now()) && !is_symbol(now(), ";")) {
    const std::string name = expect_name();
    if (label.empty()) {
      fail_here(ErrorCode::kSyntaxError, fmt::format("end label \"{}\" specified for unlabeled block", name));
    }
    if (name != label) {
      fail_here(ErrorCode::kSyntaxError,
                fmt::format("end label \"{}\" differs from block's label \"{}\"", name, label));
    }
  }
  scope_ = const_cast<Scope*>(outer);
  return made;
}

void Parser::declarations(Statement& made) {
  while (!is("begin")) {
    if (now().kind == Token::Kind::kEnd) syntax_error();
    if (accept("declare")) continue;
    Variable variable;
    variable.line = line();
    variable.name = expect_name();
    if (accept("alias")) {
      expect("for");
      const Token what = now();
      ++at_;
      const int known = find(what.word);
      if (known < 0)
        fail_here(ErrorCode::kUndefinedObject, fmt::format("variable \"{}\" does not exist", what.word));
      scope_->names.emplace_back(variable.name, known);
      expect_symbol(";");
      continue;
    }
    if (is("cursor") || is("scroll") || (is("no") && is_word(ahead(), "scroll"))) refuse("a cursor");
    variable.constant = accept("constant");
    const std::size_t begin = at_;
    int brackets = 0;
    for (; now().kind != Token::Kind::kEnd; ++at_) {
      if (brackets == 0 && (is_symbol(now(), ";") || is_symbol(now(), ":=") || is_symbol(now(), "=") ||
                            is("default") || is("not") || is("collate"))) {
        break;
      }
      brackets += is_symbol(now(), "(") ? 1 : is_symbol(now(), ")") ? -1 : 0;
    }
    variable.type = slice(begin, at_);
    if (variable.type.empty())
      fail_here(ErrorCode::kSyntaxError,
                fmt::format("missing data type declaration at or near \"{}\"", now().word));
    if (variable.type == "refcursor") refuse("a cursor");
    if (accept("collate")) refuse("COLLATE of a variable");
    if (accept("not")) {
      expect("null");
      variable.not_null = true;
    }
    if (accept_symbol(":=") || accept_symbol("=") || accept("default")) {
      variable.initial = expression_until({";"}, ";");
    } else if (variable.not_null) {
      fail_here(ErrorCode::kNullNotAllowed,
                fmt::format("variable \"{}\" must have a default value, since it's declared NOT NULL",
                            variable.name));
    }
    expect_symbol(";");
    made.variables.push_back(declare(std::move(variable)));
  }
}

void Parser::handlers(Statement& made) {
  const Scope* outer = open_scope({});
  Variable state;
  state.name = "sqlstate";
  state.type = "text";
  state.constant = true;
  Variable message = state;
  message.name = "sqlerrm";
  made.state_variable = declare(std::move(state));
  made.message_variable = declare(std::move(message));
  while (accept("when")) {
    Handler handler;
    do {
      if (accept("sqlstate")) {
        const std::string code = string_constant();
        if (code.size() != 5) fail_here(ErrorCode::kSyntaxError, "invalid SQLSTATE code");
        handler.states.push_back(code);
        continue;
      }
      const std::string name = expect_name();
      const std::string_view code = name == "others" ? "OTHERS" : state_of_condition(name);
      if (code.empty()) {
        fail_here(ErrorCode::kUndefinedObject, fmt::format("unrecognized exception condition \"{}\"", name));
      }
      handler.states.emplace_back(code);
    } while (accept("or"));
    expect("then");
    handler.body = statements();
    made.handlers.push_back(std::move(handler));
  }
  if (made.handlers.empty()) syntax_error();
  scope_ = const_cast<Scope*>(outer);
}

Statement Parser::if_statement() {
  Statement made = make(Kind::kIf);
  do {
    ++at_;
    Branch branch{.condition = expression_until({"then"}, "THEN"), .body = {}};
    ++at_;
    branch.body = statements();
    made.branches.push_back(std::move(branch));
  } while (is("elsif") || is("elseif"));
  if (accept("else")) {
    made.has_else = true;
    made.body = statements();
  }
  expect("end");
  expect("if");
  expect_symbol(";");
  return made;
}

// CASE x WHEN a, b: x is computed once, and "x IN (a, b)" asked of it, as PostgreSQL does it.
Statement Parser::case_statement() {
  Statement made = make(Kind::kCase);
  ++at_;
  std::string subject;
  const Scope* outer = scope_;
  if (!is("when")) {
    made.expression = expression_until({"when"}, "WHEN");
    outer = open_scope({});
    Variable variable;
    variable.name = fmt::format("__Case__Variable_{}__", ++cases_);
    subject = variable.name;
    made.loop_variable = declare(std::move(variable));
  }
  while (accept("when")) {
    std::string condition = until({"then"}, "THEN");
    if (!subject.empty()) condition = fmt::format("\"{}\" IN ({})", subject, condition);
    Branch branch{.condition = expression(std::move(condition)), .body = {}};
    ++at_;
    branch.body = statements();
    made.branches.push_back(std::move(branch));
  }
  if (made.branches.empty()) syntax_error();
  if (accept("else")) {
    made.has_else = true;
    made.body = statements();
  }
  expect("end");
  expect("case");
  expect_symbol(";");
  scope_ = const_cast<Scope*>(outer);
  return made;
}

Statements Parser::loop_body(const std::string& label) {
  enclosing_.push_back({.label = label, .loop = true});
  Statements made = statements();
  enclosing_.pop_back();
  expect("end");
  expect("loop");
  if (is_name(now())) {
    const std::string name = expect_name();
    if (label.empty()) {
      fail_here(ErrorCode::kSyntaxError, fmt::format("end label \"{}\" specified for unlabeled block", name));
    }
    if (name != label) {
      fail_here(ErrorCode::kSyntaxError,
                fmt::format("end label \"{}\" differs from block's label \"{}\"", name, label));
    }
  }
  expect_symbol(";");
  return made;
}

Statement Parser::loop(std::string label) {
  Statement made = make(Kind::kLoop);
  ++at_;
  made.label = label;
  made.body = loop_body(label);
  return made;
}

Statement Parser::while_loop(std::string label) {
  Statement made = make(Kind::kWhile);
  ++at_;
  made.label = label;
  made.expression = expression_until({"loop"}, "LOOP");
  ++at_;
  made.body = loop_body(label);
  return made;
}

Statement Parser::for_loop(std::string label) {
  Statement made = make(Kind::kForQuery);
  ++at_;
  made.label = label;
  const std::size_t names = at_;
  while (!is("in") && now().kind != Token::Kind::kEnd && !is_symbol(now(), ";")) ++at_;
  const std::size_t after = at_;
  expect("in");
  // Rows go to what is declared, numbers to a variable of the loop's own.
  const auto read_target = [&] {
    at_ = names;
    if (is_name(now()) && find(now().word) < 0 && is_word(ahead(), "in")) {
      fail_here(ErrorCode::kSyntaxError,
                "loop variable of loop over rows must be a record variable or list of scalar variables");
    }
    made.target = target();
    if (at_ != after) syntax_error();
    expect("in");
  };
  if (is("execute")) {
    made.kind = Kind::kForDynamic;
    read_target();
    ++at_;
    made.expression = expression_until({"loop", "using"}, "LOOP");
    if (accept("using")) made.arguments = list_until({"loop"});
    expect("loop");
    made.body = loop_body(label);
    return made;
  }
  int brackets = 0;
  bool range = false;
  for (std::size_t i = at_; tokens_[i].kind != Token::Kind::kEnd && !is_symbol(tokens_[i], ";"); ++i) {
    if (brackets == 0 && is_word(tokens_[i], "loop")) break;
    range = range || (brackets == 0 && is_symbol(tokens_[i], ".."));
    brackets += is_symbol(tokens_[i], "(") ? 1 : is_symbol(tokens_[i], ")") ? -1 : 0;
  }
  if (range) {
    made.kind = Kind::kForInteger;
    if (after != names + 1)
      fail_here(ErrorCode::kSyntaxError, "integer FOR loop must have only one target variable");
    made.reverse = accept("reverse");
    made.expression = expression_until({".."}, "..");
    ++at_;
    made.second = expression_until({"loop", "by"}, "LOOP");
    if (accept("by")) made.third = expression_until({"loop"}, "LOOP");
    expect("loop");
    const Scope* outer = open_scope(label);
    Variable variable;
    variable.name = tokens_[names].word;
    variable.type = "integer";
    made.loop_variable = declare(std::move(variable));
    made.body = loop_body(label);
    scope_ = const_cast<Scope*>(outer);
    return made;
  }
  read_target();
  made.expression = sql(until({"loop"}, "LOOP"));
  expect("loop");
  made.body = loop_body(label);
  return made;
}

Statement Parser::foreach_loop(std::string label) {
  Statement made = make(Kind::kForeach);
  ++at_;
  made.label = label;
  made.target.places.push_back(place(false));
  if (accept("slice")) refuse("SLICE");
  expect("in");
  expect("array");
  made.expression = expression_until({"loop"}, "LOOP");
  ++at_;
  made.body = loop_body(label);
  return made;
}

Statement Parser::leave(Kind kind) {
  const std::string_view word = kind == Kind::kExit ? "EXIT" : "CONTINUE";
  Statement made = make(kind);
  ++at_;
  if (is_name(now()) && !is("when")) {
    made.label = expect_name();
    const auto found = std::ranges::find(enclosing_, made.label, &Enclosing::label);
    if (found == enclosing_.end()) {
      fail_here(ErrorCode::kSyntaxError,
                fmt::format("there is no label \"{}\" attached to any block or loop enclosing this statement",
                            made.label));
    }
    if (kind == Kind::kContinue && !found->loop) {
      fail_here(ErrorCode::kSyntaxError,
                fmt::format("block label \"{}\" cannot be used in CONTINUE", made.label));
    }
  } else if (std::ranges::none_of(enclosing_, &Enclosing::loop)) {
    fail_here(ErrorCode::kSyntaxError, kind == Kind::kExit
                                           ? "EXIT cannot be used outside a loop, unless it has a label"
                                           : fmt::format("{} cannot be used outside a loop", word));
  }
  if (accept("when")) made.expression = expression_until({";"}, ";");
  expect_symbol(";");
  return made;
}

Statement Parser::return_statement() {
  Statement made = make(Kind::kReturn);
  ++at_;
  if (is("next") || is("query")) refuse(is("next") ? "RETURN NEXT" : "RETURN QUERY");
  if (!is_symbol(now(), ";")) {
    if (!returns_value_) {
      fail_here(ErrorCode::kDatatypeMismatch, "RETURN cannot have a parameter in function returning void");
    }
    made.expression = expression_until({";"}, ";");
  }
  expect_symbol(";");
  return made;
}

Statement Parser::raise() {
  Statement made = make(Kind::kRaise);
  ++at_;
  constexpr std::pair<std::string_view, Level> kLevels[] = {
      {"debug", Level::kDebug},   {"log", Level::kLog},         {"info", Level::kInfo},
      {"notice", Level::kNotice}, {"warning", Level::kWarning}, {"exception", Level::kException}};
  bool leveled = false;
  for (const auto& [word, level] : kLevels) {
    if (!leveled && accept(word)) {
      made.level = level;
      leveled = true;
    }
  }
  if (!leveled && is_symbol(now(), ";")) {
    ++at_;
    return made;
  }
  if (now().kind == Token::Kind::kString) {
    made.has_format = true;
    made.format = string_constant();
    if (accept_symbol(",")) made.arguments = list_until({";", "using"});
    std::size_t wanted = 0;
    for (std::size_t i = 0; i < made.format.size(); ++i) {
      if (made.format[i] != '%') continue;
      if (i + 1 < made.format.size() && made.format[i + 1] == '%') {
        ++i;
      } else {
        ++wanted;
      }
    }
    if (made.arguments.size() < wanted)
      fail_here(ErrorCode::kSyntaxError, "too few parameters specified for RAISE");
    if (made.arguments.size() > wanted)
      fail_here(ErrorCode::kSyntaxError, "too many parameters specified for RAISE");
  } else if (accept("sqlstate")) {
    made.condition = string_constant();
    const bool valid = made.condition.size() == 5 && std::ranges::all_of(made.condition, [](unsigned char c) {
                         return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z');
                       });
    if (!valid) fail_here(ErrorCode::kSyntaxError, "invalid SQLSTATE code");
    made.condition_name = made.condition;
  } else if (is_name(now()) && !is("using")) {
    made.condition_name = expect_name();
    made.condition = std::string(state_of_condition(made.condition_name));
    if (made.condition.empty()) {
      fail_here(ErrorCode::kUndefinedObject,
                fmt::format("unrecognized exception condition \"{}\"", made.condition_name));
    }
  }
  if (accept("using")) {
    do {
      const std::string option = expect_name();
      constexpr std::string_view kOptions[] = {"message",    "detail",   "hint",  "errcode", "column",
                                               "constraint", "datatype", "table", "schema"};
      if (std::ranges::find(kOptions, option) == std::end(kOptions)) {
        fail_here(ErrorCode::kSyntaxError, "unrecognized RAISE statement option");
      }
      if (!accept_symbol("=")) expect_symbol(":=");
      made.options.emplace_back(option, expression(until({",", ";"}, ";")));
    } while (accept_symbol(","));
  }
  expect_symbol(";");
  return made;
}

Statement Parser::assert_statement() {
  Statement made = make(Kind::kAssert);
  ++at_;
  made.expression = expression_until({",", ";"}, ";");
  if (accept_symbol(",")) made.second = expression_until({";"}, ";");
  expect_symbol(";");
  return made;
}

Statement Parser::execute() {
  Statement made = make(Kind::kDynamic);
  ++at_;
  made.expression = expression_until({"into", "using", ";"}, ";");
  while (!is_symbol(now(), ";")) {
    if (is("into") && !made.target) {
      ++at_;
      made.target = target();
    } else if (is("using") && made.arguments.empty()) {
      ++at_;
      made.arguments = list_until({";", "into"});
    } else {
      syntax_error();
    }
  }
  ++at_;
  return made;
}

Statement Parser::diagnostics() {
  Statement made = make(Kind::kDiagnostics);
  ++at_;
  if (accept("stacked")) {
    made.stacked = true;
  } else {
    (void)accept("current");
  }
  expect("diagnostics");
  constexpr std::string_view kStacked[] = {"returned_sqlstate", "message_text", "pg_exception_detail",
                                           "pg_exception_hint", "column_name",  "constraint_name",
                                           "pg_datatype_name",  "table_name",   "schema_name"};
  do {
    Place into = place(false);
    if (!accept_symbol("=")) expect_symbol(":=");
    const std::string item = expect_name();
    if (item == "pg_context" || item == "pg_exception_context" || item == "pg_routine_oid") {
      refuse("GET DIAGNOSTICS of " + item);
    }
    const bool stacked = std::ranges::find(kStacked, item) != std::end(kStacked);
    if (!stacked && item != "row_count") {
      fail_here(ErrorCode::kSyntaxError, "unrecognized GET DIAGNOSTICS item");
    }
    if (stacked != made.stacked) {
      std::string shown = item;
      std::ranges::transform(shown, shown.begin(),
                             [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
      fail_here(ErrorCode::kSyntaxError,
                fmt::format("diagnostics item {} is not allowed in GET {} DIAGNOSTICS", shown,
                            made.stacked ? "STACKED" : "CURRENT"));
    }
    made.items.emplace_back(std::move(into), item);
  } while (accept_symbol(","));
  expect_symbol(";");
  return made;
}

}  // namespace bop::sql::plpgsql
