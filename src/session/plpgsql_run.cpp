#include "session/plpgsql_run.hpp"

#include <algorithm>

namespace bop::session {

namespace plpgsql = sql::plpgsql;

// ------------------------------------------------------------------------------------------------- KeptRows

void KeptRows::rows(const ResultBatch& batch) {
  count_ += batch.rows();
  bytes_ += batch.bytes_used();
  batches_.push_back(batch);
}

std::vector<OwnedValue> KeptRows::row(std::size_t row) const {
  std::vector<OwnedValue> values;
  for (const ResultBatch& batch : batches_) {
    if (row >= batch.rows()) {
      row -= batch.rows();
      continue;
    }
    for (std::size_t i = 0; i < batch.columns(); ++i) values.emplace_back(batch.cell(row, i));
    break;
  }
  return values;
}

// ---------------------------------------------------------------------------------------------------- names

// What names mean at one place, and what the statement that is bound there uses of them.
class PlpgsqlRun::Names final : public RunNames {
 public:
  Names(PlpgsqlRun& run, const Scope* scope) : run_(run), scope_(scope) {}

  void begin() override { uses.clear(); }
  [[nodiscard]] std::vector<OwnedValue> values() const override {
    std::vector<OwnedValue> out;
    for (const UsedValue& use : uses) out.push_back(value_of(use));
    return out;
  }
  std::optional<Found> find(std::string_view qualifier, std::string_view name) override {
    if (qualifier.empty()) {
      const int variable = variable_named(name);
      if (variable < 0 || run_.slot(variable).record) return std::nullopt;
      return use(variable, {});
    }
    if (const int record = variable_named(qualifier); record >= 0) {
      const Slot& slot = run_.slot(record);
      if (!slot.record) return std::nullopt;
      if (!slot.assigned) {
        problem =
            bop::error(ErrorCode::kNotInPrerequisiteState, "record \"{}\" is not assigned yet", qualifier)
                .detail("The tuple structure of a not-yet-assigned record is indeterminate.");
        return std::nullopt;
      }
      if (std::ranges::find(slot.fields, name, &Field::name) == slot.fields.end()) {
        problem =
            bop::error(ErrorCode::kUndefinedColumn, "record \"{}\" has no field \"{}\"", qualifier, name);
        return std::nullopt;
      }
      return use(record, std::string(name));
    }
    for (const Scope* s = scope_; s != nullptr; s = s->parent) {
      if (s->label != qualifier) continue;
      for (const auto& [known, variable] : s->names) {
        if (known == name && !run_.slot(variable).record) return use(variable, {});
      }
    }
    return std::nullopt;
  }
  std::vector<std::pair<std::string, Found>> fields(std::string_view name) override {
    std::vector<std::pair<std::string, Found>> out;
    const int record = variable_named(name);
    if (record < 0 || !run_.slot(record).record) return out;
    for (const Field& field : run_.slot(record).fields) out.emplace_back(field.name, use(record, field.name));
    return out;
  }
  [[nodiscard]] Conflict conflict() const override {
    switch (run_.program_->conflict) {
      case Program::Conflict::kVariable: return Conflict::kValue;
      case Program::Conflict::kColumn: return Conflict::kColumn;
      case Program::Conflict::kError: break;
    }
    return Conflict::kError;
  }

  // The plan was bound with values of these types.
  [[nodiscard]] bool fits(const sql::Plan& plan) const {
    if (plan.parameters.size() != uses.size()) return false;
    for (std::size_t i = 0; i < uses.size(); ++i) {
      const Slot& slot = run_.slot(uses[i].variable);
      Oid type = slot.type;
      if (!uses[i].field.empty()) {
        const auto field = std::ranges::find(slot.fields, uses[i].field, &Field::name);
        if (field == slot.fields.end()) return false;
        type = field->type;
      }
      if (plan.parameters[i] != type) return false;
    }
    return true;
  }

  std::vector<UsedValue> uses;
  std::optional<Error> problem;  // why a name of a record means nothing

 private:
  [[nodiscard]] int variable_named(std::string_view name) const {
    for (const Scope* s = scope_; s != nullptr; s = s->parent) {
      for (const auto& [known, variable] : s->names) {
        if (known == name) return variable;
      }
    }
    return -1;
  }
  Found use(int variable, std::string field) {
    auto at = std::ranges::find_if(
        uses, [&](const UsedValue& u) { return u.variable == variable && u.field == field; });
    if (at == uses.end()) {
      uses.push_back({.variable = variable, .field = std::move(field)});
      at = uses.end() - 1;
    }
    const Slot& slot = run_.slot(variable);
    Found found{.number = static_cast<int>(at - uses.begin()) + 1, .type = slot.type, .typmod = slot.typmod};
    if (!at->field.empty()) {
      const auto known = std::ranges::find(slot.fields, at->field, &Field::name);
      found.type = known->type;
      found.typmod = known->typmod;
    }
    return found;
  }
  [[nodiscard]] OwnedValue value_of(const UsedValue& use) const {
    const Slot& slot = run_.slot(use.variable);
    if (use.field.empty()) return slot.value;
    const auto field = std::ranges::find(slot.fields, use.field, &Field::name);
    return field == slot.fields.end() ? OwnedValue::null() : field->value;
  }

  PlpgsqlRun& run_;
  const Scope* scope_;
};

// --------------------------------------------------------------------------------------------------- the run

PlpgsqlRun::PlpgsqlRun(PgSession& session, std::shared_ptr<const Program> program, std::string name,
                       bool nested)
    : session_(session), program_(std::move(program)), name_(std::move(name)), nested_(nested) {
  slots_.resize(program_->variables.size());
}

PlpgsqlRun::~PlpgsqlRun() = default;

void PlpgsqlRun::set_argument(std::size_t number, Oid type, OwnedValue value) {
  slots_[number].type = type;
  slots_[number].value = std::move(value);
}

Result<Progress> PlpgsqlRun::step() {
  if (!std::exchange(started_, true)) {
    main_ = main();
    main_.handle().resume();
  } else {
    std::exchange(waiting_, {}).resume();
  }
  if (!main_.done()) return Progress::kWaiting;
  BOP_TRY(main_.take());
  return Progress::kDone;
}

Task<Result<PlpgsqlRun::Outcome>> PlpgsqlRun::main() {
  BOP_CO_TRY(resolve(program_->found));
  slot(program_->found).value = OwnedValue::of_bool(false);
  auto ended = co_await statement(program_->block);
  if (!ended) co_return std::unexpected(std::move(ended).error());
  if (result_type_ != 0 && result_type_ != types::kVoid && !returned_) {
    Error why(ErrorCode::kNoReturnStatement, "control reached end of function without RETURN");
    why.mut().context = fmt::format("PL/pgSQL function {}", name_);
    co_return std::unexpected(std::move(why));
  }
  co_return Outcome{};
}

Error PlpgsqlRun::in_context(Error why, const Statement& s) const {
  if (s.kind == plpgsql::Kind::kPlain || s.kind == plpgsql::Kind::kResult) {
    const std::string mark = fmt::format("SQL function \"{}\" ", name_);
    if (why.fields().context.find(mark) != std::string::npos) return why;
    why.mut().position = 0;
    std::string& context = why.mut().context;
    context += (context.empty() ? "" : "\n") + fmt::format("{}statement {}", mark, s.line);
    return why;
  }
  const std::string mark = fmt::format("PL/pgSQL function {} ", name_);
  if (why.fields().context.find(mark) != std::string::npos) return why;
  why.mut().position = 0;
  std::string_view what = "SQL statement";
  switch (s.kind) {
    case plpgsql::Kind::kBlock: what = "statement block"; break;
    case plpgsql::Kind::kAssign: what = "assignment"; break;
    case plpgsql::Kind::kIf: what = "IF"; break;
    case plpgsql::Kind::kCase: what = "CASE"; break;
    case plpgsql::Kind::kLoop: what = "LOOP"; break;
    case plpgsql::Kind::kWhile: what = "WHILE"; break;
    case plpgsql::Kind::kForInteger: what = "FOR with integer loop variable"; break;
    case plpgsql::Kind::kForQuery: what = "FOR over SELECT rows"; break;
    case plpgsql::Kind::kForDynamic: what = "FOR over EXECUTE statement"; break;
    case plpgsql::Kind::kForeach: what = "FOREACH over array"; break;
    case plpgsql::Kind::kExit: what = "EXIT"; break;
    case plpgsql::Kind::kContinue: what = "CONTINUE"; break;
    case plpgsql::Kind::kReturn: what = "RETURN"; break;
    case plpgsql::Kind::kRaise: what = "RAISE"; break;
    case plpgsql::Kind::kAssert: what = "ASSERT"; break;
    case plpgsql::Kind::kDynamic: what = "EXECUTE"; break;
    case plpgsql::Kind::kPerform: what = "PERFORM"; break;
    case plpgsql::Kind::kDiagnostics: what = "GET DIAGNOSTICS"; break;
    case plpgsql::Kind::kPlain:
    case plpgsql::Kind::kResult:
    case plpgsql::Kind::kSql:
    case plpgsql::Kind::kNull: break;
  }
  std::string& context = why.mut().context;
  if (s.kind == plpgsql::Kind::kSql) {
    context += (context.empty() ? "" : "\n") + fmt::format("SQL statement \"{}\"", s.expression.text);
  }
  context += (context.empty() ? "" : "\n") + fmt::format("{}line {} at {}", mark, s.line, what);
  return why;
}

// ------------------------------------------------------------------------------------------------ statements

Task<Result<PlpgsqlRun::Answer>> PlpgsqlRun::run_statement(Run& run, std::uint64_t max_rows) {
  run.clock_started = true;
  run.max_rows = max_rows;
  run.nested_in_query = nested_;
  Answer answer;
  answer.rows = std::make_unique<KeptRows>(session_.sink_);
  for (;;) {
    auto progress = session_.step_nested(run, *answer.rows);
    if (!progress) co_return std::unexpected(std::move(progress).error());
    if (*progress == Progress::kWaiting) {
      if (nested_) co_return fail(ErrorCode::kNotImplemented, "a function called by a query cannot wait");
      co_await Wait{*this};
      answer.rows->outer(session_.sink_);
      continue;
    }
    if (*progress == Progress::kSuspended) {
      run.stop_reading();
      if (!nested_) session_.transaction_.end_statement(session_.portals_read());
    }
    break;
  }
  if (answer.rows->bytes() > kMaxHeldBytes) {
    co_return fail(ErrorCode::kProgramLimitExceeded, "a query in PL/pgSQL answers more than 1 GB");
  }
  if (run.plan) {
    answer.returns_rows = run.plan->returns_rows;
    answer.columns = run.plan->columns;
    answer.changes = run.plan->kind == sql::PlanKind::kInsert || run.plan->kind == sql::PlanKind::kUpdate ||
                     run.plan->kind == sql::PlanKind::kDelete;
  }
  answer.processed = answer.changes ? run.changed : answer.rows->count();
  answer.tag = run.tag;
  co_return answer;
}

Task<Result<PlpgsqlRun::Answer>> PlpgsqlRun::run(const Expression& e, std::uint64_t max_rows) {
  Names names(*this, e.scope);
  Run run;
  run.statement = e.statement;
  run.names = &names;
  if (const auto known = plans_->find(e.statement.get()); known != plans_->end()) {
    names.uses = known->second.uses;
    if (session_.is_current(*known->second.plan) && names.fits(*known->second.plan)) {
      run.plan = known->second.plan;
      run.parameters = names.values();
    }
  }
  auto answer = co_await run_statement(run, max_rows);
  if (!answer) {
    if (names.problem) co_return std::unexpected(*std::exchange(names.problem, std::nullopt));
    co_return std::unexpected(std::move(answer).error());
  }
  if (run.plan && run.plan->kind != sql::PlanKind::kUtility) {
    (*plans_)[e.statement.get()] = {.plan = run.plan, .uses = names.uses};
  }
  co_return answer;
}

Task<Result<std::vector<PlpgsqlRun::Typed>>> PlpgsqlRun::values_of(const std::vector<Expression>& list) {
  std::vector<Typed> values;
  for (const Expression& e : list) {
    auto value = co_await evaluate(e);
    if (!value) co_return std::unexpected(std::move(value).error());
    values.push_back(std::move(*value));
  }
  co_return values;
}

Task<Result<PlpgsqlRun::Answer>> PlpgsqlRun::run_text(const std::string& text,
                                                      const std::vector<Expression>& arguments,
                                                      std::uint64_t max_rows) {
  auto values = co_await values_of(arguments);
  if (!values) co_return std::unexpected(std::move(values).error());
  const auto parsed = session_.node_.parse_cache().parse(text);
  if (!parsed) {
    Error why = parsed.error();
    why.mut().position = 0;
    co_return std::unexpected(std::move(why));
  }
  Answer last;
  last.rows = std::make_unique<KeptRows>(session_.sink_);
  for (const sql::ParsedStatementPtr& statement : *parsed) {
    if (statement->kind == sql::StatementKind::kTransaction) {
      co_return fail(ErrorCode::kNotImplemented, "EXECUTE of transaction commands is not implemented");
    }
    Run run;
    run.statement = statement;
    for (const Typed& value : *values) {
      run.hints.push_back(value.type);
      run.parameters.push_back(value.value);
    }
    const bool is_last = statement == parsed->back();
    auto answer = co_await run_statement(run, is_last ? max_rows : 0);
    if (!answer) {
      Error why = std::move(answer).error();
      why.mut().position = 0;
      why.mut().context +=
          (why.fields().context.empty() ? "" : "\n") + fmt::format("SQL statement \"{}\"", text);
      co_return std::unexpected(std::move(why));
    }
    last = std::move(*answer);
  }
  co_return last;
}

Task<Result<PlpgsqlRun::Typed>> PlpgsqlRun::evaluate(const Expression& e) {
  auto answer = co_await run(e, 2);
  if (!answer) co_return std::unexpected(std::move(answer).error());
  if (answer->columns.size() != 1) {
    co_return fail(ErrorCode::kSyntaxError, "query \"{}\" returned {} columns", e.text,
                   answer->columns.size());
  }
  if (answer->rows->count() > 1) {
    co_return fail(ErrorCode::kCardinalityViolation, "query \"{}\" returned more than one row", e.text);
  }
  Typed value{.value = {}, .type = answer->columns[0].type, .typmod = answer->columns[0].typmod};
  if (answer->rows->count() == 1) value.value = std::move(answer->rows->row(0)[0]);
  co_return value;
}

Task<Result<bool>> PlpgsqlRun::condition(const Expression& e) {
  auto value = co_await evaluate(e);
  if (!value) co_return std::unexpected(std::move(value).error());
  auto truth = co_await convert(*value, types::kBool, -1);
  if (!truth) co_return std::unexpected(std::move(truth).error());
  co_return !truth->is_null() && truth->integer() != 0;
}

// NULL is `of_null`, or an error.
Task<Result<std::string>> PlpgsqlRun::text_of(const Expression& e, const char* of_null) {
  auto value = co_await evaluate(e);
  if (!value) co_return std::unexpected(std::move(value).error());
  if (value->value.is_null()) {
    if (of_null != nullptr) co_return std::string(of_null);
    co_return fail(ErrorCode::kNullNotAllowed, "query string argument of EXECUTE is null");
  }
  std::string text;
  encode_text(value->type, value->typmod, value->value, session_.functions_.codec, text);
  co_return text;
}

}  // namespace bop::session
