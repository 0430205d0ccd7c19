// A plan of several statements of SQLite (sql/staged.hpp).
#include <sqlite3.h>

#include "session/pg_session.hpp"
#include "sql/sqlite_value.hpp"

namespace bop::session {

namespace {

constexpr std::string_view kTrial = "bop_trial";

}  // namespace

Status PgSession::run_steps(Run& run) {
  BOP_TRY(compute_prior_values(run));
  run.changed = 0;
  if (run.measured) run.measured = sql::explain_root(*run.plan);
  for (const sql::PlanStep& step : run.plan->steps) {
    if (step.kind == sql::PlanStep::Kind::kCommand) {
      BOP_TRY(run.connection->execute(step.sql));
      continue;
    }
    functions_.stored_rows.clear();
    if (step.kind == sql::PlanStep::Kind::kTrial) {
      BOP_TRY(try_step(run, step));
      continue;
    }
    BOP_TRY(feed_rows(run, step.source));
    BOP_TRY(prepare_step(run, step));
    BOP_TRY(bind_values(run, run.sqlite.get()));
    const std::uint64_t rows_before = run.rows;
    BOP_TRY(bind_prior_values(run, run.sqlite.get()));
    for (;;) {
      const int code = sqlite3_step(run.sqlite.get());
      if (code == SQLITE_DONE) break;
      if (code != SQLITE_ROW) return std::unexpected(step_error(run));
      if (step.kind == sql::PlanStep::Kind::kAnswer) BOP_TRY(hold_row(run, run.sqlite.get()));
    }
    const auto changed = static_cast<std::uint64_t>(sqlite3_changes64(run.connection->handle()));
    if (step.counts) run.changed += changed;
    measure_step(run, step, step.kind == sql::PlanStep::Kind::kAnswer ? run.rows - rows_before : changed);
    if (run.feed) run.stop_reading();
  }
  return {};
}

// Its rows outlive it in memory: the temporary tables are taken back with it.
Status PgSession::try_step(Run& run, const sql::PlanStep& step) {
  BOP_TRY(run.connection->execute(fmt::format("SAVEPOINT {}", kTrial)));
  std::vector<std::vector<OwnedValue>> rows;
  std::size_t bytes = 0;
  {
    BOP_TRY(prepare_step(run, step));
    BOP_TRY(bind_values(run, run.sqlite.get()));
    for (;;) {
      const int code = sqlite3_step(run.sqlite.get());
      if (code == SQLITE_DONE) break;
      if (code != SQLITE_ROW) return std::unexpected(step_error(run));
      std::vector<OwnedValue>& row = rows.emplace_back();
      for (std::size_t i = 0; i < step.into_columns; ++i) {
        row.emplace_back(sql::column_value(run.sqlite.get(), static_cast<int>(i)));
        bytes += sizeof(OwnedValue) + row.back().bytes().size();
      }
      if (bytes > kMaxHeldBytes) {
        return fail(ErrorCode::kProgramLimitExceeded, "RETURNING answers more than 1 GB in one statement");
      }
    }
    measure_step(run, step, rows.size());
    run.stop_reading();
  }
  BOP_TRY(run.connection->execute(fmt::format("ROLLBACK TO {}", kTrial)));
  BOP_TRY(run.connection->execute(fmt::format("RELEASE {}", kTrial)));
  BOP_LET(prepared, prepare(run, step.into));
  run.sqlite = std::move(prepared);
  for (const std::vector<OwnedValue>& row : rows) {
    int index = 0;
    for (const OwnedValue& value : row) sql::bind_value(run.sqlite.get(), ++index, value);
    if (sqlite3_step(run.sqlite.get()) != SQLITE_DONE) return std::unexpected(step_error(run));
    sqlite3_reset(run.sqlite.get());
  }
  run.stop_reading();
  return {};
}

}  // namespace bop::session
