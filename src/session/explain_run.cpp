// EXPLAIN, with ANALYZE: the statement is run, its rows are counted and not sent.
#include <sqlite3.h>

#include "session/pg_session.hpp"
#include "sql/tree.hpp"

namespace bop::session {

namespace {

// SQLite counts the steps of statements that were prepared while this lives. They are cached under a text of
// their own, so that the others are not slowed down.
class Counting {
 public:
  explicit Counting(sqlite3* connection) : connection_(connection) { set(1); }
  ~Counting() { set(0); }
  Counting(const Counting&) = delete;
  Counting& operator=(const Counting&) = delete;

 private:
  void set(int on) { (void)sqlite3_db_config(connection_, SQLITE_DBCONFIG_STMT_SCANSTATUS, on, nullptr); }
  sqlite3* connection_;
};
constexpr std::string_view kCounted = " -- counted";

}  // namespace

Status PgSession::prepare_change(Run& run) {
  const std::string& sql = run.feed ? run.plan->fed_sql : run.plan->sql;
  BOP_LET(prepared, prepare(run, run.measured ? sql + std::string(kCounted) : sql));
  run.sqlite = std::move(prepared);
  if (run.measured) sqlite3_stmt_scanstatus_reset(run.sqlite.get());
  return {};
}

Status PgSession::prepare_step(Run& run, const sql::PlanStep& step) {
  const std::string& sql = run.feed ? step.fed_sql : step.sql;
  BOP_LET(prepared, prepare(run, run.measured ? sql + std::string(kCounted) : sql));
  run.sqlite = std::move(prepared);
  if (run.measured) sqlite3_stmt_scanstatus_reset(run.sqlite.get());
  return {};
}

void PgSession::measure_step(Run& run, const sql::PlanStep& step, std::uint64_t rows) {
  if (!run.measured) return;
  run.measured->inputs.push_back(sql::explain_step_run(*run.plan, step, run.sqlite.get(), rows));
}

Result<sql::ExplainNode> PgSession::measure(Run& run, sql::ExplainSummary& summary) {
  Clock& clock = *node_.options().clock;
  Run inner;
  inner.statement = run.plan->inner->statement;
  inner.plan = run.plan->inner;
  inner.parameters = run.parameters;
  inner.connection = run.connection;
  const Counting counting(run.connection->handle());
  inner.measured.emplace();
  std::int64_t begin = clock.steady_ns();
  if (inner.plan->steps.empty()) BOP_TRY(prepare_change(inner));
  summary.planning_ns = clock.steady_ns() - begin;
  begin += summary.planning_ns;
  if (inner.plan->kind != sql::PlanKind::kSelect) {
    inner.sqlite = {};  // guards come first; it is in the cache
    BOP_TRY(step_change(inner));
    summary.execution_ns = clock.steady_ns() - begin;
    return std::move(*inner.measured);
  }
  BOP_TRY(bind_values(inner, inner.sqlite.get()));
  int code = SQLITE_ROW;
  while ((code = sqlite3_step(inner.sqlite.get())) == SQLITE_ROW) ++inner.rows;
  if (code != SQLITE_DONE) return std::unexpected(step_error(inner));
  summary.execution_ns = clock.steady_ns() - begin;
  return sql::explain_run(*inner.plan, inner.sqlite.get(), inner.rows);
}

// Of what another executor may compute of a change; `source`: which part that is.
PgSession::Route PgSession::route_change(const Run& run, const sql::Plan& change, const sql::Plan*& source) {
  Route first = route(run, change, /*now=*/true);  // why not, if nothing is asked
  bool asked = false;
  const auto ask = [&](const sql::PlanPtr& part) {
    if (part == nullptr || first.statement) return;
    Route chosen = route(run, *part, /*now=*/true);
    if (chosen.after_trial) chosen = {.why = "it reads ranges of an index, which may be short"};
    if (chosen.statement) source = part.get();
    if (chosen.statement || !std::exchange(asked, true)) first = std::move(chosen);
  };
  ask(change.source);
  for (const sql::PlanStep& step : change.steps) ask(step.source);
  return first;
}

// The temporary tables between the steps of a plan; empty, also on a connection that may only read.
Status PgSession::make_stages(Run& run) {
  if (run.plan->inner->steps.empty()) return {};
  for (const sql::PlanStep& step : run.plan->inner->steps) {
    if (step.kind == sql::PlanStep::Kind::kCommand) BOP_TRY(run.connection->execute_temporary(step.sql));
  }
  return {};
}

Result<Progress> PgSession::step_explain(Run& run) {
  const sql::Plan& plan = *run.plan;
  for (const std::string& option : plan.explain_ignored) {
    notice(Severity::kNotice,
           error(ErrorCode::kNotImplemented, "EXPLAIN option \"{}\" is accepted and has no effect", option));
  }
  sql::ExplainSummary summary;
  summary.shown = plan.explain_summary.value_or(plan.explain_analyze);
  const std::int64_t begin = node_.options().clock->steady_ns();
  const sql::pg::Node& explained = *plan.statement->node->explain_stmt->query;
  if (explained.node_case == PG_QUERY__NODE__NODE_EXECUTE_STMT) {
    BOP_LET(arguments, execute_arguments(*explained.execute_stmt, plan.inner->parameters));
    run.parameters = std::move(arguments);
  }
  const bool changes = plan.inner->kind != sql::PlanKind::kSelect;
  sql::ExplainedSource other;
  Route chosen =
      changes ? route_change(run, *plan.inner, other.source) : route(run, *plan.inner, /*now=*/true);
  if (chosen.statement) {
    if (auto engine = node_.engine(); !engine) chosen = {.why = engine.error().what()};
  }
  summary.executor = fmt::format("{} ({}){}", chosen.statement ? "DuckDB" : "SQLite", chosen.why,
                                 chosen.statement && changes ? ", then SQLite" : "");
  sql::ExplainNode root;
  if (chosen.statement && (!changes || !plan.explain_analyze)) {
    BOP_LET(shown, explain_engine(run, std::move(*chosen.statement), summary));
    (changes ? other.node : root) = std::move(shown);
  } else if (!chosen.statement) {
    other.source = nullptr;
  }
  if (plan.explain_analyze && (changes || !chosen.statement)) {
    BOP_LET(measured, measure(run, summary));
    root = std::move(measured);
  } else if (changes || !chosen.statement) {
    BOP_TRY(make_stages(run));
    BOP_LET(planned, sql::explain(*plan.inner, run.connection->handle(), other));
    root = std::move(planned);
    summary.planning_ns = node_.options().clock->steady_ns() - begin;
  }
  answer_text(run, plan.columns.front(), sql::explain_lines(root, summary, plan.explain_format));
  run.tag = "EXPLAIN";
  return Progress::kDone;
}

}  // namespace bop::session
