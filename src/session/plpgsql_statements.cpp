// The statements of PL/pgSQL.
#include <algorithm>
#include <map>

#include "session/plpgsql_run.hpp"
#include "sql/types/array.hpp"
#include "sql/types/user_types.hpp"

namespace bop::session {

namespace plpgsql = sql::plpgsql;
using plpgsql::Kind;
using plpgsql::Level;

Task<Result<PlpgsqlRun::Outcome>> PlpgsqlRun::statements(const Statements& list) {
  for (const Statement& s : list) {
    auto outcome = co_await statement(s);
    if (!outcome) co_return std::unexpected(std::move(outcome).error());
    if (outcome->flow != Flow::kNext) co_return *outcome;
  }
  co_return Outcome{};
}

Task<Result<PlpgsqlRun::Outcome>> PlpgsqlRun::statement(const Statement& s) {
  if (auto stop = session_.interrupt()) co_return std::unexpected(std::move(*stop));
  auto outcome = co_await dispatch(s);
  if (!outcome) co_return std::unexpected(in_context(std::move(outcome).error(), s));
  co_return *outcome;
}

Task<Result<PlpgsqlRun::Outcome>> PlpgsqlRun::dispatch(const Statement& s) {
  switch (s.kind) {
    case Kind::kBlock: {
      if (s.handlers.empty()) {
        auto outcome = co_await block(s);
        co_return outcome;
      }
      auto outcome = co_await guarded_block(s);
      co_return outcome;
    }
    case Kind::kNull: co_return Outcome{};
    case Kind::kAssign: {
      auto value = co_await evaluate(s.expression);
      if (!value) co_return std::unexpected(std::move(value).error());
      auto assigned = co_await assign(s.target.places[0], *value);
      if (!assigned) co_return std::unexpected(std::move(assigned).error());
      co_return Outcome{};
    }
    case Kind::kIf:
    case Kind::kCase: {
      auto outcome = co_await branches(s);
      co_return outcome;
    }
    case Kind::kLoop:
    case Kind::kWhile: {
      auto outcome = co_await loop(s);
      co_return outcome;
    }
    case Kind::kForInteger: {
      auto outcome = co_await integer_loop(s);
      co_return outcome;
    }
    case Kind::kForQuery:
    case Kind::kForDynamic: {
      auto outcome = co_await row_loop(s);
      co_return outcome;
    }
    case Kind::kForeach: {
      auto outcome = co_await array_loop(s);
      co_return outcome;
    }
    case Kind::kExit:
    case Kind::kContinue: {
      if (s.expression) {
        auto holds = co_await condition(s.expression);
        if (!holds) co_return std::unexpected(std::move(holds).error());
        if (!*holds) co_return Outcome{};
      }
      co_return Outcome{.flow = s.kind == Kind::kExit ? Flow::kExit : Flow::kContinue, .label = s.label};
    }
    case Kind::kReturn: {
      if (s.expression) {
        auto value = co_await evaluate(s.expression);
        if (!value) co_return std::unexpected(std::move(value).error());
        auto made = co_await convert(*value, result_type_, -1);
        if (!made) co_return std::unexpected(std::move(made).error());
        result_ = std::move(*made);
      }
      returned_ = true;
      co_return Outcome{.flow = Flow::kReturn, .label = {}};
    }
    case Kind::kPerform: {
      auto answer = co_await run(s.expression, 0);
      if (!answer) co_return std::unexpected(std::move(answer).error());
      row_count_ = answer->processed;
      set_found(row_count_ > 0);
      co_return Outcome{};
    }
    case Kind::kSql: {
      auto done = co_await sql_statement(s);
      if (!done) co_return std::unexpected(std::move(done).error());
      co_return Outcome{};
    }
    case Kind::kDynamic: {
      auto done = co_await dynamic_statement(s);
      if (!done) co_return std::unexpected(std::move(done).error());
      co_return Outcome{};
    }
    case Kind::kPlain: {
      auto answer = co_await run(s.expression, 0);
      if (!answer) co_return std::unexpected(std::move(answer).error());
      co_return Outcome{};
    }
    case Kind::kResult: {
      auto answer = co_await run(s.expression, 0);
      if (!answer) co_return std::unexpected(std::move(answer).error());
      returned_ = true;
      if (answer->rows->count() == 0) co_return Outcome{};
      Typed first;
      first.value = std::move(answer->rows->row(0)[0]);
      first.type = answer->columns[0].type;
      first.typmod = answer->columns[0].typmod;
      auto made = co_await convert(first, result_type_, -1);
      if (!made) co_return std::unexpected(std::move(made).error());
      result_ = std::move(*made);
      co_return Outcome{};
    }
    case Kind::kRaise: {
      auto done = co_await raise(s);
      if (!done) co_return std::unexpected(std::move(done).error());
      co_return Outcome{};
    }
    case Kind::kAssert: {
      auto done = co_await assert_true(s);
      if (!done) co_return std::unexpected(std::move(done).error());
      co_return Outcome{};
    }
    case Kind::kDiagnostics: {
      auto done = co_await diagnostics(s);
      if (!done) co_return std::unexpected(std::move(done).error());
      co_return Outcome{};
    }
  }
  co_return Outcome{};
}

Task<Result<PlpgsqlRun::Outcome>> PlpgsqlRun::block(const Statement& s) {
  auto entered = co_await enter(s);
  if (!entered) co_return std::unexpected(std::move(entered).error());
  auto outcome = co_await statements(s.body);
  if (!outcome) co_return std::unexpected(std::move(outcome).error());
  if (outcome->flow == Flow::kExit && !outcome->label.empty() && outcome->label == s.label)
    co_return Outcome{};
  co_return *outcome;
}

// Its changes are behind a savepoint. An error takes them back, and the handler runs without them; an error
// that nobody handles takes the savepoint away too, so that none of ours is left in the transaction.
Task<Result<PlpgsqlRun::Outcome>> PlpgsqlRun::guarded_block(const Statement& s) {
  auto entered = co_await enter(s);
  if (!entered) co_return std::unexpected(std::move(entered).error());
  const std::string savepoint = fmt::format("bop block {}", ++savepoints_);
  if (Status begun = session_.begin_savepoint(savepoint); !begun) {
    if (!nested_) co_return std::unexpected(begun.error());
    co_return fail(
        ErrorCode::kNotImplemented,
        "an exception handler in a function called by a statement that changes rows is not implemented");
  }
  auto outcome = co_await statements(s.body);
  if (outcome) {
    BOP_CO_TRY(session_.transaction_.release_savepoint(savepoint));
    --savepoints_;
    if (outcome->flow == Flow::kExit && !outcome->label.empty() && outcome->label == s.label)
      co_return Outcome{};
    co_return *outcome;
  }
  Error why = std::move(outcome).error();
  if (session_.transaction_.is_lost()) co_return std::unexpected(std::move(why));
  if (Status undone = session_.undo_to(savepoint); !undone) co_return std::unexpected(undone.error());
  BOP_CO_TRY(session_.transaction_.release_savepoint(savepoint));
  --savepoints_;
  // Whoever ends the session is not stopped by what it runs.
  if (session_.is_terminated()) co_return std::unexpected(std::move(why));
  for (const plpgsql::Handler& handler : s.handlers) {
    const auto fits = [&](const std::string& wanted) { return plpgsql::matches(why.sqlstate(), wanted); };
    if (std::ranges::none_of(handler.states, fits)) continue;
    BOP_CO_TRY(resolve(s.state_variable));
    BOP_CO_TRY(resolve(s.message_variable));
    slot(s.state_variable).value = OwnedValue::of_text(std::string(why.sqlstate()));
    slot(s.message_variable).value = OwnedValue::of_text(why.what());
    handled_.push_back(why);
    auto handled = co_await statements(handler.body);
    handled_.pop_back();
    if (!handled) co_return std::unexpected(std::move(handled).error());
    if (handled->flow == Flow::kExit && !handled->label.empty() && handled->label == s.label)
      co_return Outcome{};
    co_return *handled;
  }
  co_return std::unexpected(std::move(why));
}

Task<Result<PlpgsqlRun::Outcome>> PlpgsqlRun::branches(const Statement& s) {
  if (s.kind == Kind::kCase && s.loop_variable >= 0) {
    BOP_CO_TRY(resolve(s.loop_variable));
    auto subject = co_await evaluate(s.expression);
    if (!subject) co_return std::unexpected(std::move(subject).error());
    Place place;
    place.variable = s.loop_variable;
    auto assigned = co_await assign(place, *subject);
    if (!assigned) co_return std::unexpected(std::move(assigned).error());
  }
  for (const plpgsql::Branch& branch : s.branches) {
    auto holds = co_await condition(branch.condition);
    if (!holds) co_return std::unexpected(std::move(holds).error());
    if (!*holds) continue;
    auto outcome = co_await statements(branch.body);
    co_return outcome;
  }
  if (s.kind == Kind::kCase && !s.has_else) {
    co_return std::unexpected(
        Error(ErrorCode::kCaseNotFound, "case not found").hint("CASE statement is missing ELSE part."));
  }
  auto outcome = co_await statements(s.body);
  co_return outcome;
}

std::optional<PlpgsqlRun::Outcome> PlpgsqlRun::after_body(const Statement& s, const Outcome& o) {
  if (o.flow == Flow::kNext) return std::nullopt;
  if (o.flow == Flow::kReturn || (!o.label.empty() && o.label != s.label)) return o;
  if (o.flow == Flow::kContinue) return std::nullopt;
  return Outcome{};
}

Task<Result<PlpgsqlRun::Outcome>> PlpgsqlRun::loop(const Statement& s) {
  for (;;) {
    if (auto stop = session_.interrupt()) co_return std::unexpected(std::move(*stop));
    if (s.kind == Kind::kWhile) {
      auto holds = co_await condition(s.expression);
      if (!holds) co_return std::unexpected(std::move(holds).error());
      if (!*holds) co_return Outcome{};
    }
    auto outcome = co_await statements(s.body);
    if (!outcome) co_return std::unexpected(std::move(outcome).error());
    if (auto end = after_body(s, *outcome)) co_return *end;
  }
}

Task<Result<PlpgsqlRun::Outcome>> PlpgsqlRun::integer_loop(const Statement& s) {
  std::int64_t bounds[3] = {0, 0, 1};
  const Expression* expressions[3] = {&s.expression, &s.second, &s.third};
  constexpr std::string_view kNames[] = {"lower bound", "upper bound", "BY value"};
  for (int i = 0; i < 3; ++i) {
    if (!*expressions[i]) continue;
    auto value = co_await evaluate(*expressions[i]);
    if (!value) co_return std::unexpected(std::move(value).error());
    auto number = co_await convert(*value, types::kInt4, -1);
    if (!number) co_return std::unexpected(std::move(number).error());
    if (number->is_null())
      co_return fail(ErrorCode::kNullNotAllowed, "{} of FOR loop cannot be null", kNames[i]);
    bounds[i] = number->integer();
  }
  if (bounds[2] <= 0)
    co_return fail(ErrorCode::kInvalidArgument, "BY value of FOR loop must be greater than zero");
  BOP_CO_TRY(resolve(s.loop_variable));
  bool any = false;
  for (std::int64_t i = bounds[0]; s.reverse ? i >= bounds[1] : i <= bounds[1];
       i += s.reverse ? -bounds[2] : bounds[2]) {
    if (auto stop = session_.interrupt()) co_return std::unexpected(std::move(*stop));
    any = true;
    slot(s.loop_variable).value = OwnedValue::of_int(i);
    auto outcome = co_await statements(s.body);
    if (!outcome) co_return std::unexpected(std::move(outcome).error());
    if (auto end = after_body(s, *outcome)) {
      set_found(true);
      co_return *end;
    }
  }
  set_found(any);
  co_return Outcome{};
}

// All rows are computed first: they are those of the loop's beginning.
Task<Result<PlpgsqlRun::Outcome>> PlpgsqlRun::row_loop(const Statement& s) {
  Answer rows;
  if (s.kind == Kind::kForQuery) {
    auto answer = co_await run(s.expression, 0);
    if (!answer) co_return std::unexpected(std::move(answer).error());
    rows = std::move(*answer);
  } else {
    auto text = co_await text_of(s.expression, nullptr);
    if (!text) co_return std::unexpected(std::move(text).error());
    auto answer = co_await run_text(*text, s.arguments, 0);
    if (!answer) co_return std::unexpected(std::move(answer).error());
    rows = std::move(*answer);
  }
  if (!rows.returns_rows)
    co_return fail(ErrorCode::kInvalidCursorState, "cannot open {} query as cursor", rows.tag);
  const std::size_t count = rows.rows->count();
  for (std::size_t i = 0; i < count; ++i) {
    if (auto stop = session_.interrupt()) co_return std::unexpected(std::move(*stop));
    std::vector<OwnedValue> row = rows.rows->row(i);
    auto assigned = co_await assign_row(s.target, rows.columns, row);
    if (!assigned) co_return std::unexpected(std::move(assigned).error());
    auto outcome = co_await statements(s.body);
    if (!outcome) co_return std::unexpected(std::move(outcome).error());
    if (auto end = after_body(s, *outcome)) {
      set_found(true);
      co_return *end;
    }
  }
  if (count == 0) {
    std::vector<OwnedValue> none;
    auto assigned = co_await assign_row(s.target, rows.columns, none);
    if (!assigned) co_return std::unexpected(std::move(assigned).error());
  }
  set_found(count > 0);
  co_return Outcome{};
}

Task<Result<PlpgsqlRun::Outcome>> PlpgsqlRun::array_loop(const Statement& s) {
  auto array = co_await evaluate(s.expression);
  if (!array) co_return std::unexpected(std::move(array).error());
  if (array->value.is_null())
    co_return fail(ErrorCode::kNullNotAllowed, "FOREACH expression must not be null");
  const Oid element = element_of(array->type);
  if (!is_true_array(base_type(array->type))) {
    co_return fail(ErrorCode::kDatatypeMismatch, "FOREACH expression must yield an array, not type {}",
                   format_type(array->type));
  }
  // Its elements, by unnest: in order, of any number of dimensions.
  const auto parsed = sql::parse("SELECT pg_catalog.unnest($1)");
  if (!parsed) co_return std::unexpected(parsed.error());
  Run run;
  run.statement = parsed->front();
  run.hints.push_back(array->type);
  run.parameters.push_back(std::move(array->value));
  auto answer = co_await run_statement(run, 0);
  if (!answer) co_return std::unexpected(std::move(answer).error());
  const std::size_t count = answer->rows->count();
  for (std::size_t i = 0; i < count; ++i) {
    if (auto stop = session_.interrupt()) co_return std::unexpected(std::move(*stop));
    Typed value;
    value.value = std::move(answer->rows->row(i)[0]);
    value.type = element;
    auto assigned = co_await assign(s.target.places[0], value);
    if (!assigned) co_return std::unexpected(std::move(assigned).error());
    auto outcome = co_await statements(s.body);
    if (!outcome) co_return std::unexpected(std::move(outcome).error());
    if (auto end = after_body(s, *outcome)) {
      set_found(true);
      co_return *end;
    }
  }
  set_found(count > 0);
  co_return Outcome{};
}

Task<Status> PlpgsqlRun::store_into(const Statement& s, const Answer& answer) {
  const std::size_t count = answer.rows->count();
  if (!answer.returns_rows) {
    co_return fail(ErrorCode::kSyntaxError, "INTO used with a command that cannot return data");
  }
  if (count == 0 && s.target.strict) co_return fail(ErrorCode::kNoDataFound, "query returned no rows");
  if (count > 1 && (s.target.strict || answer.changes)) {
    co_return std::unexpected(Error(ErrorCode::kTooManyRows, "query returned more than one row")
                                  .hint("Make sure the query returns a single row, or use LIMIT 1."));
  }
  std::vector<OwnedValue> row;
  if (count > 0) row = answer.rows->row(0);
  auto stored = co_await assign_row(s.target, answer.columns, row);
  co_return stored;
}

Task<Status> PlpgsqlRun::sql_statement(const Statement& s) {
  const sql::StatementKind kind = s.expression.statement->kind;
  if (kind == sql::StatementKind::kTransaction) {
    co_return fail(ErrorCode::kNotImplemented, "unsupported transaction command in PL/pgSQL");
  }
  if (kind == sql::StatementKind::kCopy) {
    co_return fail(ErrorCode::kNotImplemented, "cannot COPY to/from client in PL/pgSQL");
  }
  // One row is wanted; whether there is another matters to STRICT.
  const bool select = kind == sql::StatementKind::kSelect;
  const std::uint64_t wanted = s.target && select ? (s.target.strict ? 2 : 1) : 0;
  auto answer = co_await run(s.expression, wanted);
  if (!answer) co_return std::unexpected(std::move(answer).error());
  row_count_ = answer->processed;
  if (select || answer->changes) set_found(row_count_ > 0);
  if (s.target) {
    auto stored = co_await store_into(s, *answer);
    co_return stored;
  }
  if (answer->returns_rows) {
    Error why(ErrorCode::kSyntaxError, "query has no destination for result data");
    if (select) why.mut().hint = "If you want to discard the results of a SELECT, use PERFORM instead.";
    co_return std::unexpected(std::move(why));
  }
  co_return Status{};
}

Task<Status> PlpgsqlRun::dynamic_statement(const Statement& s) {
  auto text = co_await text_of(s.expression, nullptr);
  if (!text) co_return std::unexpected(std::move(text).error());
  auto answer = co_await run_text(*text, s.arguments, s.target ? 2 : 0);
  if (!answer) co_return std::unexpected(std::move(answer).error());
  row_count_ = answer->processed;
  if (s.target) {
    auto stored = co_await store_into(s, *answer);
    co_return stored;
  }
  co_return Status{};
}

Task<Status> PlpgsqlRun::assert_true(const Statement& s) {
  auto holds = co_await condition(s.expression);
  if (!holds) co_return std::unexpected(std::move(holds).error());
  if (*holds) co_return Status{};
  std::string message = "assertion failed";
  if (s.second) {
    auto text = co_await text_of(s.second, message.c_str());
    if (!text) co_return std::unexpected(std::move(text).error());
    message = std::move(*text);
  }
  co_return std::unexpected(Error(ErrorCode::kAssertFailure, std::move(message)));
}

Task<Status> PlpgsqlRun::raise(const Statement& s) {
  if (!s.has_format && s.condition.empty() && s.options.empty()) {
    if (handled_.empty()) {
      co_return fail(ErrorCode::kStackedDiagnostics,
                     "RAISE without parameters cannot be used outside an exception handler");
    }
    co_return std::unexpected(handled_.back());
  }
  std::string message;
  auto values = co_await values_of(s.arguments);
  if (!values) co_return std::unexpected(std::move(values).error());
  std::size_t next = 0;
  for (std::size_t i = 0; i < s.format.size(); ++i) {
    if (s.format[i] != '%') {
      message += s.format[i];
    } else if (i + 1 < s.format.size() && s.format[i + 1] == '%') {
      message += '%';
      ++i;
    } else {
      const Typed& value = (*values)[next++];
      if (value.value.is_null()) {
        message += "<NULL>";
      } else {
        encode_text(value.type, value.typmod, value.value, session_.functions_.codec, message);
      }
    }
  }
  std::string state = s.condition;
  std::string name = s.condition_name;
  ErrorFields fields;
  bool said = s.has_format;
  for (const auto& [option, expression] : s.options) {
    auto value = co_await evaluate(expression);
    if (!value) co_return std::unexpected(std::move(value).error());
    if (value->value.is_null())
      co_return fail(ErrorCode::kNullNotAllowed, "RAISE statement option cannot be null");
    std::string text;
    encode_text(value->type, value->typmod, value->value, session_.functions_.codec, text);
    if (option == "message") {
      if (said) co_return fail(ErrorCode::kSyntaxError, "RAISE option already specified: MESSAGE");
      said = true;
      message = text;
    } else if (option == "errcode") {
      if (!state.empty()) co_return fail(ErrorCode::kSyntaxError, "RAISE option already specified: ERRCODE");
      const bool code = text.size() == 5 && std::ranges::all_of(text, [](unsigned char c) {
                          return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z');
                        });
      state = code ? text : std::string(plpgsql::state_of_condition(text));
      if (state.empty()) {
        co_return fail(ErrorCode::kUndefinedObject, "unrecognized exception condition \"{}\"", text);
      }
      name = text;
    } else {
      std::string& field = option == "detail"       ? fields.detail
                           : option == "hint"       ? fields.hint
                           : option == "column"     ? fields.column
                           : option == "constraint" ? fields.constraint
                           : option == "datatype"   ? fields.data_type
                           : option == "table"      ? fields.table
                                                    : fields.schema;
      field = text;
    }
  }
  if (!said) message = !name.empty() ? name : "unhandled exception";
  const bool fails = s.level == Level::kException;
  if (state.empty()) state = fails ? "P0001" : s.level == Level::kWarning ? "01000" : "00000";
  ErrorCode code = code_of_sqlstate(state);
  if (code == ErrorCode::kInternal) code = fails ? ErrorCode::kRaisedException : ErrorCode::kNotice;
  Error made(code, std::move(message));
  fields.sqlstate = state;
  made.mut() = std::move(fields);
  if (fails) co_return std::unexpected(std::move(made));
  const std::string& least = session_.variables_.get("client_min_messages");
  switch (s.level) {
    case Level::kInfo: session_.sink_->notice(Severity::kInfo, made); break;
    case Level::kNotice: session_.notice(Severity::kNotice, std::move(made)); break;
    case Level::kWarning: session_.notice(Severity::kWarning, std::move(made)); break;
    case Level::kLog:
      if (least.starts_with("debug") || least == "log") session_.sink_->notice(Severity::kLog, made);
      break;
    case Level::kDebug:
      if (least.starts_with("debug")) session_.sink_->notice(Severity::kDebug, made);
      break;
    case Level::kException: break;
  }
  co_return Status{};
}

Task<Status> PlpgsqlRun::diagnostics(const Statement& s) {
  if (s.stacked && handled_.empty()) {
    co_return fail(ErrorCode::kStackedDiagnostics,
                   "GET STACKED DIAGNOSTICS cannot be used outside an exception handler");
  }
  for (const auto& [place, item] : s.items) {
    Typed value{.value = OwnedValue::of_int(static_cast<std::int64_t>(row_count_)), .type = types::kInt8};
    if (s.stacked) {
      const Error& why = handled_.back();
      const ErrorFields& f = why.fields();
      value.type = types::kText;
      value.value = OwnedValue::of_text(item == "returned_sqlstate"     ? std::string(why.sqlstate())
                                        : item == "message_text"        ? why.what()
                                        : item == "pg_exception_detail" ? f.detail
                                        : item == "pg_exception_hint"   ? f.hint
                                        : item == "column_name"         ? f.column
                                        : item == "constraint_name"     ? f.constraint
                                        : item == "pg_datatype_name"    ? f.data_type
                                        : item == "table_name"          ? f.table
                                                                        : f.schema);
    }
    auto assigned = co_await assign(place, value);
    if (!assigned) co_return std::unexpected(std::move(assigned).error());
  }
  co_return Status{};
}

}  // namespace bop::session
