// Statements inside a statement: DO, and functions of users that a query calls.
#include <sqlite3.h>

#include "session/pg_session.hpp"
#include "session/plpgsql_run.hpp"
#include "sql/tree.hpp"

namespace bop::session {

namespace pg = sql::pg;
namespace plpgsql = sql::plpgsql;

namespace {

constexpr int kMaxCallDepth = 200;          // of functions in one another
constexpr std::size_t kMaxPrograms = 1000;  // that a session keeps

}  // namespace

struct PgSession::KnownFunction {
  std::shared_ptr<const sql::Function> function;
  std::shared_ptr<const plpgsql::Program> program;
  PlpgsqlRun::Plans plans;
};

// A part of the running statement: it neither commits nor tells the client of its end.
Result<Progress> PgSession::step_nested(Run& run, ReplySink& sink) {
  ReplySink* const outer = std::exchange(sink_, &sink);
  ++nested_;
  functions_.error.reset();
  auto progress = [&]() -> Result<Progress> {
    if (!run.nested_in_query) return step(run);
    // The query that calls has the connection; it goes on to be read.
    BOP_TRY(plan(run));
    if (run.plan->kind == sql::PlanKind::kUtility || run.plan->kind == sql::PlanKind::kExplain) {
      return fail(ErrorCode::kNotImplemented, "{} in a function that a query calls is not implemented",
                  run.statement->command);
    }
    BOP_TRY(check_privileges(*run.plan));
    if (run.plan->needs_writer) {
      if (transaction_.read_only() || !transaction_.writing()) {
        return fail(ErrorCode::kReadOnlyTransaction, "cannot execute {} in a read-only transaction",
                    run.statement->command);
      }
      BOP_TRY(settle_portals());
    }
    run.only_sqlite = true;
    BOP_LET(done, step_plan(run));
    // Rows of a change are held for its end, which is now.
    for (const ResultBatch& batch : run.held) {
      if (!run.drained && batch.rows() > 0) sink_->rows(batch);
    }
    run.stop_reading();
    return done;
  }();
  --nested_;
  sink_ = outer;
  return progress;
}

Status PgSession::begin_savepoint(const std::string& name) {
  return transaction_.savepoint(name, {variables_.mark(), newest_portal_, notify_changes_.mark(),
                                       node_.advisory_locks().held_by_transaction(backend_pid())});
}

Status PgSession::undo_to(const std::string& name) {
  BOP_LET(marks, transaction_.savepoint_marks(name));
  drop_portals_after(marks.portals);
  if (transaction_.writing()) BOP_TRY(settle_portals());
  BOP_TRY(transaction_.rollback_to(name));
  notify_changes_.undo_to(marks.notify);
  node_.advisory_locks().release_transaction(backend_pid(), marks.advisory_locks);
  variables_.undo_to(marks.variables);
  functions_.error.reset();
  functions_.stop.reset();
  refresh_settings();
  return {};
}

Result<Progress> PgSession::step_do(Run& run) {
  if (!run.block) {
    const PgQuery__DoStmt& statement = *run.statement->node->do_stmt;
    std::string body;
    std::string language = "plpgsql";
    for (const pg::Node* node : BOP_PG_LIST(&statement, args)) {
      const PgQuery__DefElem& option = *node->def_elem;
      (pg::text(option.defname) == "as" ? body : language) = pg::string_of(option.arg);
    }
    if (language == "sql" || language == "internal" || language == "c") {
      return fail(ErrorCode::kNotImplemented, "language \"{}\" does not support inline code execution",
                  language);
    }
    if (language != "plpgsql") {
      return fail(ErrorCode::kUndefinedObject, "language \"{}\" does not exist", language);
    }
    ensure_transaction();
    BOP_LET(program, plpgsql::parse_program(body, {}, {}, false));
    run.block = std::make_unique<PlpgsqlRun>(*this, std::move(program), "inline_code_block", false);
  }
  return run.block->step();
}

// A value of the running query. What the query is in the middle of stays as it is.
Result<OwnedValue> PgSession::call_function(Oid oid, std::span<const Value> args) {
  if (call_depth_ >= kMaxCallDepth) {
    return std::unexpected(
        Error(ErrorCode::kStatementTooComplex, "stack depth limit exceeded")
            .hint(fmt::format("Functions call one another more than {} times deep.", kMaxCallDepth)));
  }
  const auto catalog_of_query = catalog_session_.catalog;
  const auto function = catalog_of_query->function(oid);
  if (function == nullptr)
    return fail(ErrorCode::kUndefinedFunction, "function with OID {} does not exist", oid);
  if (function->strict) {
    for (const Value& arg : args) {
      if (arg.is_null()) return OwnedValue::null();
    }
  }
  struct Kept {
    PgSession& session;
    std::shared_ptr<const sql::Catalog> catalog;
    sqlite3* connection;
    Csn snapshot;
    std::unordered_set<std::int64_t> stored_rows;
    std::int64_t trial;
    ~Kept() {
      session.catalog_session_.catalog = std::move(catalog);
      session.catalog_session_.connection = connection;
      session.catalog_session_.snapshot = snapshot;
      session.functions_.stored_rows = std::move(stored_rows);
      session.trial_until_ns_ = trial;
      --session.call_depth_;
    }
  };
  ++call_depth_;
  const Kept kept{*this,
                  catalog_of_query,
                  catalog_session_.connection,
                  catalog_session_.snapshot,
                  std::move(functions_.stored_rows),
                  std::exchange(trial_until_ns_, 0)};
  functions_.stored_rows.clear();
  auto answer = [&]() -> Result<OwnedValue> {
    if (function_programs_.size() > kMaxPrograms && call_depth_ == 1) function_programs_.clear();
    std::shared_ptr<KnownFunction>& known = function_programs_[oid];
    if (known == nullptr || known->function != function) {
      BOP_LET(program, plpgsql::function_program(*function));
      known = std::make_shared<KnownFunction>();
      known->function = function;
      known->program = std::move(program);
    }
    const std::shared_ptr<KnownFunction> kept_alive = known;
    const std::string name = function->language == "sql" ? function->name : sql::signature_text(*function);
    PlpgsqlRun block(*this, known->program, name, true);
    block.share(&kept_alive->plans);
    const std::vector<Oid> inputs = function->input_types();
    for (std::size_t i = 0; i < args.size() && i < inputs.size(); ++i) {
      block.set_argument(i, inputs[i], OwnedValue(args[i]));
    }
    block.returns(function->result);
    BOP_LET(progress, block.step());
    if (progress != Progress::kDone) return fail(ErrorCode::kInternal, "a function has waited");
    const bool nothing = function->result == types::kVoid && function->language != "sql";
    return nothing ? OwnedValue::of_text("") : block.result();
  }();
  return answer;
}

}  // namespace bop::session
