// How one statement runs: plan, connection, rows, end.
#include <sqlite3.h>

#include <algorithm>

#include "base/assert.hpp"
#include "session/pg_session.hpp"
#include "sql/sqlite_value.hpp"
#include "sql/statement_kind.hpp"
#include "sql/tree.hpp"
#include "sql/types/bytes.hpp"

namespace bop::session {

namespace {

std::int64_t deferred_violations(sqlite3* connection) {
  int current = 0;
  int highest = 0;
  sqlite3_db_status(connection, SQLITE_DBSTATUS_DEFERRED_FKS, &current, &highest, 0);
  return current;
}

bool same_answer(const sql::Plan& a, const sql::Plan& b) {
  return a.returns_rows == b.returns_rows &&
         std::ranges::equal(a.columns, b.columns, [](const OutputColumn& x, const OutputColumn& y) {
           return x.name == y.name && x.type == y.type && x.typmod == y.typmod;
         });
}

// Temporary tables are written to by read-only transactions, too.
bool changes_temporary(const sql::Plan& plan) {
  return !plan.changed_tables.empty() && !plan.is_volatile &&
         std::ranges::all_of(plan.changed_tables, [&](Oid table) {
           const auto relation = plan.catalog->relation(table);
           return relation && relation->persistence == 't';
         });
}

bool explains_prepared(const sql::Plan& plan) {
  return plan.kind == sql::PlanKind::kExplain &&
         plan.statement->node->explain_stmt->query->node_case == PG_QUERY__NODE__NODE_EXECUTE_STMT;
}

std::string command_of(const sql::ParsedStatement& statement) {
  const sql::pg::Node& node = *statement.node;
  if (node.node_case != PG_QUERY__NODE__NODE_SELECT_STMT || node.select_stmt->n_locking_clause == 0) {
    return std::string(statement.command);
  }
  return "SELECT " + std::string(sql::lock_clause_name(*node.select_stmt->locking_clause[0]->locking_clause));
}

std::unexpected<Error> result_type_changed() {
  return std::unexpected(Error(ErrorCode::kNotImplemented, std::string(kResultTypeChanged)));
}

}  // namespace

Status PgSession::check_allowed(const sql::ParsedStatement& statement) const {
  if (!failed_ || statement.kind == sql::StatementKind::kTransaction) return {};
  return fail(ErrorCode::kInFailedTransaction,
              "current transaction is aborted, commands ignored until end of transaction block");
}

Result<Progress> PgSession::step(Run& run) {
  for (;;) {
    switch (run.stage) {
      case Run::Stage::kStart: {
        if (evicted_) {
          Error why = *std::exchange(evicted_, std::nullopt);
          if (run.statement->kind != sql::StatementKind::kTransaction) return std::unexpected(std::move(why));
        }
        BOP_TRY(check_allowed(*run.statement));
        if (!std::exchange(run.clock_started, true)) start_statement_clock();
        if (run.statement->kind == sql::StatementKind::kTransaction) {
          BOP_TRY(step_transaction(run));
          run.stage = Run::Stage::kDone;
          report_changes();
          sink_->gate(run.end_gate.value_or(transaction_.gate()));
          sink_->command_complete(run.tag);
          return Progress::kDone;
        }
        // What the name means may have changed since.
        if (run.plan && explains_prepared(*run.plan)) run.plan.reset();
        if (!run.plan) sink_->stage(Stage::kBind);
        BOP_TRY(plan(run));
        sink_->stage(Stage::kExecute);
        if (run.plan->kind == sql::PlanKind::kUtility) return step_utility(run);
        ensure_transaction();
        run.stage = Run::Stage::kConnection;
        break;
      }
      case Run::Stage::kConnection: {
        BOP_LET(ready, get_connection(run));
        if (!ready) return Progress::kWaiting;
        if (drop_stale_plan(run)) {
          BOP_TRY(forget_shape(run));
          BOP_TRY(plan(run));
          break;
        }
        run.stage = Run::Stage::kStep;
        break;
      }
      case Run::Stage::kStep: {
        BOP_LET(progress, step_plan(run));
        if (progress != Progress::kDone) return progress;
        run.stage = Run::Stage::kEnd;
        break;
      }
      case Run::Stage::kEnd: return end_statement(run);
      case Run::Stage::kCopyIn:
      case Run::Stage::kWaitShared: return step_utility(run);
      case Run::Stage::kDone: return Progress::kDone;
    }
  }
}

Status PgSession::plan(Run& run) {
  if (run.plan) return {};
  sql::BindContext context = bind_context();
  context.names = run.names;
  if (run.names != nullptr) {
    run.names->begin();
  } else {
    context.most_parameters = run.parameters.size();
  }
  BOP_LET(bound, sql::bind(run.statement, context, run.hints));
  if (run.names != nullptr && bound->kind != sql::PlanKind::kUtility) {
    run.parameters = run.names->values();
    if (run.parameters.size() < bound->parameters.size()) {
      return fail(ErrorCode::kUndefinedParameter, "there is no parameter ${}", run.parameters.size() + 1);
    }
  }
  if (run.promised && !same_answer(*run.promised, *bound)) return result_type_changed();
  run.plan = std::move(bound);
  return {};
}

Status PgSession::refresh(Prepared& prepared) {
  if (is_current(*prepared.plan)) return {};
  BOP_LET(bound, sql::bind(prepared.statement, bind_context(), prepared.plan->parameters));
  if (!same_answer(*prepared.plan, *bound)) return result_type_changed();
  prepared.plan = std::move(bound);
  return {};
}

// A plan of another catalog than the one that the statement's snapshot has, or of another path or role, is
// made anew.
bool PgSession::drop_stale_plan(Run& run) const {
  if (is_current(*run.plan)) return false;
  run.plan.reset();
  return true;
}

Result<bool> PgSession::get_connection(Run& run) {
  BOP_TRY(check_privileges(*run.plan));
  if (run.plan->needs_writer) {
    if (transaction_.read_only() && !changes_temporary(*run.plan)) {
      return fail(ErrorCode::kReadOnlyTransaction, "cannot execute {} in a read-only transaction",
                  command_of(*(run.plan->inner ? run.plan->inner->statement : run.statement)));
    }
    auto ready = transaction_.want_writer(run.plan->lock_nowait);
    if (!ready && run.plan->lock_nowait && !run.plan->relations.empty() &&
        ready.error().code() == ErrorCode::kLockNotAvailable) {
      const auto relation = run.plan->catalog->relation(run.plan->relations.front());
      return fail(ErrorCode::kLockNotAvailable, "could not obtain lock on row in relation \"{}\"",
                  relation->name);
    }
    if (ready && *ready && run.plan->kind != sql::PlanKind::kSelect) BOP_TRY(settle_portals());
    return ready;
  }
  return transaction_.want_reader();
}

Result<Progress> PgSession::step_plan(Run& run) {
  // A portal goes on where it began, even if the transaction has become a writer since.
  if (!run.reads()) run.connection = &transaction_.connection();
  catalog_session_.catalog = run.plan->catalog;
  catalog_session_.connection = run.connection->handle();
  catalog_session_.snapshot = run.connection->snapshot();
  switch (run.plan->kind) {
    case sql::PlanKind::kSelect: return step_select(run);
    case sql::PlanKind::kInsert:
    case sql::PlanKind::kUpdate:
    case sql::PlanKind::kDelete:
    case sql::PlanKind::kChangingSelect: return step_change(run);
    case sql::PlanKind::kExplain: return step_explain(run);
    case sql::PlanKind::kUtility: break;
  }
  return fail(ErrorCode::kInternal, "a utility statement reached the executor");
}

Result<rowstore::CachedStatement> PgSession::prepare(Run& run, std::string_view sql) {
  auto prepared = run.connection->prepare(sql);
  if (!prepared) return std::unexpected(step_error(run));
  return prepared;
}

Status PgSession::bind_values(const Run& run, sqlite3_stmt* statement) const {
  int index = 0;
  const auto bind_all = [&](const std::vector<OwnedValue>& values) -> Status {
    for (const OwnedValue& value : values) {
      const int code = sql::bind_value(statement, ++index, value);
      // SQLite leaves out what its text does not mention at the end.
      if (code != SQLITE_OK && code != SQLITE_RANGE)
        return std::unexpected(run.connection->sqlite_error(code));
    }
    return {};
  };
  BOP_TRY(bind_all(run.parameters));
  BOP_TRY(bind_all(run.plan->constants));
  return {};
}

// Before the first row is changed.
Status PgSession::compute_prior_values(Run& run) {
  run.prior_values.clear();
  run.prior_values.reserve(run.plan->prior_values.size());
  for (const sql::PriorValue& prior : run.plan->prior_values) {
    BOP_LET(statement, prepare(run, prior.sql));
    BOP_TRY(bind_values(run, statement.get()));
    const int code = sqlite3_step(statement.get());
    if (code != SQLITE_ROW) return std::unexpected(step_error(run));
    run.prior_values.emplace_back(sql::column_value(statement.get(), 0));
  }
  return {};
}

// The rows of a DELETE's RETURNING and the DELETE itself each mention only some of them.
Status PgSession::bind_prior_values(const Run& run, sqlite3_stmt* statement) const {
  for (std::size_t i = 0; i < run.prior_values.size(); ++i) {
    const int code = sql::bind_value(statement, run.plan->prior_values[i].parameter, run.prior_values[i]);
    if (code != SQLITE_OK && code != SQLITE_RANGE) return std::unexpected(run.connection->sqlite_error(code));
  }
  return {};
}

Error PgSession::step_error(Run& run) {
  sqlite3* handle = run.connection->handle();
  const int code = sqlite3_extended_errcode(handle);
  const std::string message = sqlite3_errmsg(handle);
  const bool was_fed = run.feed != nullptr;
  run.stop_reading();
  if (auto below = run.connection->take_error()) return *below;
  sql::PlanPtr plan = run.plan;
  if (was_fed) {
    auto fed = feed_diagnosis(run, code);
    if (!fed) return without_rows(*run.plan, std::move(fed).error());
    if (*fed) plan = std::move(*fed);
  }
  Error why = sql::translate_error(*plan, handle, code, message, &functions_, run.parameters);
  run.feed.reset();
  return without_rows(*run.plan, std::move(why));
}

void PgSession::append_row(const Run& run, sqlite3_stmt* statement, ResultBatch& batch) {
  const std::size_t columns = run.plan->columns.size();
  if (columns == 0) return batch.append_empty_row();
  for (std::size_t i = 0; i < columns; ++i) batch.append(sql::column_value(statement, static_cast<int>(i)));
}

void PgSession::send(Run& run, const ResultBatch& batch) {
  if (batch.rows() == 0) return;
  if (!run.copy_out) return sink_->rows(batch);
  CopyOut& copy = *run.copy_out;
  if (copy.options.parquet) return send_copied_rows(run, batch);
  std::vector<CopyField> fields(batch.columns());
  std::vector<std::pair<std::size_t, std::size_t>> places(batch.columns());
  for (std::size_t row = 0; row < batch.rows(); ++row) {
    copy.scratch.clear();
    copy.line.clear();
    if (copy.options.binary) {
      if (std::exchange(copy.header_due, false)) write_copy_binary_header(copy.line);
      write_copy_binary_row(run, batch, row);
      send_copied(run, copy.line);
      continue;
    }
    for (std::size_t column = 0; column < batch.columns(); ++column) {
      const Value value = batch.cell(row, column);
      places[column] = {copy.scratch.size(), 0};
      if (value.is_null()) {
        places[column].first = std::string::npos;
        continue;
      }
      const OutputColumn& type = run.plan->columns[column];
      encode_text(type.type, type.encoding_typmod(), value, functions_.codec, copy.scratch);
      places[column].second = copy.scratch.size() - places[column].first;
    }
    for (std::size_t column = 0; column < batch.columns(); ++column) {
      const auto [begin, length] = places[column];
      fields[column] = begin == std::string::npos
                           ? CopyField{}
                           : CopyField(std::string_view(copy.scratch).substr(begin, length));
    }
    write_copy_row(copy.options, fields, copy.line);
    send_copied(run, copy.line);
  }
}

void PgSession::write_copy_binary_row(Run& run, const ResultBatch& batch, std::size_t row) const {
  CopyOut& copy = *run.copy_out;
  put_be(copy.line, static_cast<std::int16_t>(batch.columns()));
  for (std::size_t column = 0; column < batch.columns(); ++column) {
    const Value value = batch.cell(row, column);
    if (value.is_null()) {
      put_be(copy.line, std::int32_t{-1});
      continue;
    }
    copy.scratch.clear();
    const OutputColumn& type = run.plan->columns[column];
    encode_binary(type.type, type.encoding_typmod(), value, functions_.codec, copy.scratch);
    put_be(copy.line, static_cast<std::int32_t>(copy.scratch.size()));
    copy.line += copy.scratch;
  }
}

// Told once the first row has been computed: a statement that fails at once is answered by its error alone.
void PgSession::describe_rows(Run& run) {
  if (std::exchange(run.described, true)) return;
  sink_->gate(transaction_.gate());
  if (run.copy_out) {
    const bool binary = run.copy_out->options.binary;
    if (!run.copy_out->file)
      sink_->copy_out({.binary = binary, .columns = static_cast<std::uint16_t>(run.plan->columns.size())});
    run.copy_out->header_due = binary;
    if (run.copy_out->options.header) {
      std::vector<std::string> names;
      for (const OutputColumn& column : run.plan->columns) names.push_back(column.name);
      write_copy_header(run.copy_out->options, names, run.copy_out->line);
      send_copied(run, run.copy_out->line);
    }
  } else if (run.describe) {
    sink_->row_description(run.plan->columns);
  }
}

Result<Progress> PgSession::step_select(Run& run) {
  if (run.drained) {
    describe_rows(run);
    sink_->gate(transaction_.gate());
    if (const Progress progress = send_held(run); progress != Progress::kDone) return progress;
    if (run.drain_error) return std::unexpected(*std::exchange(run.drain_error, std::nullopt));
    return end_of_rows(run);
  }
  if (!run.reads() && !run.only_sqlite && run.plan->query != nullptr) {
    const bool writes = run.connection->role() == rowstore::Connection::Role::kWriter;
    BOP_TRY(start_engine(run, run.max_rows == 0 ? Rows::kSent : writes ? Rows::kWhole : Rows::kFetched));
  }
  if (run.engine) {
    BOP_LET(progress, step_engine(run));
    if (progress) return *progress;
  }
  if (!run.sqlite) {
    BOP_LET(prepared, prepare(run, run.plan->sql));
    run.sqlite = std::move(prepared);
    BOP_TRY(bind_values(run, run.sqlite.get()));
  }
  const bool on_trial = run.trial == Run::Trial::kUnderWay;
  ResultBatch batch(run.plan->columns.size());
  for (;;) {
    if (sink_->full()) {
      send(run, batch);
      return Progress::kWaiting;
    }
    const int code = sqlite3_step(run.sqlite.get());
    if (on_trial) trial_until_ns_ = 0;  // it has answered, or will not
    if (code == SQLITE_DONE) break;
    if (code != SQLITE_ROW) {
      if (on_trial && trial_is_over(run)) {
        run.only_sqlite = false;
        return step_select(run);
      }
      Error why = step_error(run);
      send(run, batch);
      return std::unexpected(std::move(why));
    }
    describe_rows(run);
    append_row(run, run.sqlite.get(), batch);
    ++run.rows;
    ++run.rows_this_call;
    const bool enough = run.max_rows != 0 && run.rows_this_call == run.max_rows;
    if (enough || batch.bytes_used() >= kBatchBytes || batch.rows() >= 4096) {
      // A function of the statement may have moved the gate (nextval).
      sink_->gate(transaction_.gate());
      send(run, batch);
      batch.clear();
    }
    if (enough) return Progress::kSuspended;
  }
  describe_rows(run);
  sink_->gate(transaction_.gate());
  send(run, batch);
  return end_of_rows(run);
}

Result<Progress> PgSession::end_of_rows(Run& run) {
  run.exhausted = true;
  if (run.copy_out) {
    if (run.copy_out->options.binary) {
      std::string& end = run.copy_out->line;
      end.clear();
      if (std::exchange(run.copy_out->header_due, false)) write_copy_binary_header(end);
      write_copy_binary_trailer(end);
      send_copied(run, end);
    }
    if (run.copy_out->failure) return std::unexpected(*run.copy_out->failure);
    if (!run.copy_out->file) sink_->copy_done();
    if (run.copy_out->file) BOP_TRY(run.copy_out->file->finish());
    run.tag = fmt::format("COPY {}", run.rows);
  } else {
    run.tag = fmt::format("SELECT {}", run.rows_this_call);
  }
  return Progress::kDone;
}

// Rows of a change are told once it is committed.
Status PgSession::hold_row(Run& run, sqlite3_stmt* statement) {
  if (!run.plan->returns_rows) return {};
  if (run.held.empty() || run.held.back().bytes_used() >= kBatchBytes) {
    if (!run.held.empty()) run.held_bytes += run.held.back().bytes_used();
    if (run.held_bytes > kMaxHeldBytes) {
      return fail(ErrorCode::kProgramLimitExceeded, "RETURNING answers more than 1 GB in one statement");
    }
    run.held.emplace_back(run.plan->columns.size());
  }
  append_row(run, statement, run.held.back());
  ++run.rows;
  return {};
}

Status PgSession::hold_prior_rows(Run& run) {
  if (run.plan->prior_rows.empty()) return {};
  BOP_LET(statement, prepare(run, run.plan->prior_rows));
  BOP_TRY(bind_values(run, statement.get()));
  BOP_TRY(bind_prior_values(run, statement.get()));
  for (;;) {
    const int code = sqlite3_step(statement.get());
    if (code == SQLITE_DONE) return {};
    if (code != SQLITE_ROW) return std::unexpected(step_error(run));
    BOP_TRY(hold_row(run, statement.get()));
    ++run.changed;
  }
}

Status PgSession::run_change(Run& run) {
  if (!run.sqlite) {
    BOP_TRY(feed_rows(run, run.plan->source));
    BOP_TRY(prepare_change(run));
    BOP_TRY(bind_values(run, run.sqlite.get()));
    BOP_TRY(compute_prior_values(run));
    BOP_TRY(bind_prior_values(run, run.sqlite.get()));
    BOP_TRY(hold_prior_rows(run));
  }
  for (;;) {
    const int code = sqlite3_step(run.sqlite.get());
    if (code == SQLITE_DONE) break;
    if (code != SQLITE_ROW) return std::unexpected(step_error(run));
    if (run.plan->prior_rows.empty()) BOP_TRY(hold_row(run, run.sqlite.get()));
  }
  if (run.plan->prior_rows.empty())
    run.changed = static_cast<std::uint64_t>(sqlite3_changes64(run.connection->handle()));
  return {};
}

Result<Progress> PgSession::step_change(Run& run) {
  if (!run.sqlite) {
    functions_.stored_rows.clear();
    BOP_TRY(make_guards(run, *run.plan));
  }
  if (!run.plan->steps.empty()) {
    BOP_TRY(run_steps(run));
  } else {
    BOP_TRY(run_change(run));
  }
  if (run.measured && run.plan->steps.empty()) {
    run.measured = sql::explain_run(*run.plan, run.sqlite.get(), run.rows);
  } else if (run.measured) {
    run.measured->rows = run.rows;
    run.measured->loops = 1;
  }
  run.stop_reading();
  if (run.plan->check_foreign_keys) {
    for (const Oid table : run.plan->changed_tables) transaction_.table_changed(table);
    if (deferred_violations(run.connection->handle()) > 0) {
      if (Status hold =
              sql::check_foreign_keys(*run.plan->catalog, run.connection->handle(), run.plan->changed_tables,
                                      waits_for_commit(), run.plan->acting_keys, run.plan->only_inserted);
          !hold) {
        return std::unexpected(without_rows(*run.plan, hold.error()));
      }
    }
  }
  BOP_TRY(end_guards(run, *run.plan));
  run.tag = fmt::format("{} {}", run.plan->tag,
                        run.plan->kind == sql::PlanKind::kChangingSelect ? run.rows : run.changed);
  return Progress::kDone;
}

void PgSession::answer_text(Run& run, const OutputColumn& description, std::span<const std::string> lines) {
  sink_->gate(transaction_.gate());
  if (run.describe) sink_->row_description(std::span(&description, 1));
  run.described = true;
  ResultBatch& batch = run.held.emplace_back(1);
  for (const std::string& line : lines) batch.append(Value::of_text(line));
}

Status PgSession::commit_now(Run& run) {
  BOP_TRY(hold_cursors());
  drop_portals();
  run.stop_reading();
  if (!transaction_.active()) {  // SHOW, roles, maintenance: nothing was begun
    end_local_settings();
    return {};
  }
  sink_->stage(Stage::kCommit);
  auto committed = commit_transaction();
  sink_->stage(Stage::kExecute);
  if (!committed) return std::unexpected(committed.error());
  end_local_settings();
  run.end_gate = *committed;
  return {};
}

Result<Csn> PgSession::commit_transaction() {
  const auto now = who_->superuser ? nullptr : catalog();
  if (Status obeyed = obey_on_commit(); !obeyed) {
    transaction_.rollback();
    end_of_transaction();
    settle_held(false);
    return std::unexpected(obeyed.error());
  }
  const bool changes = transaction_.writing();
  auto committed = transaction_.commit([this](Csn csn) { publish_notifications(csn); }, durability_.flush());
  if (committed && changes) sink_->committed();
  durability_.committed();
  end_of_transaction();
  settle_held(committed.has_value());
  if (committed || !now) return committed;
  return std::unexpected(without_rows(*now, committed.error()));
}

// Checks, commits what stands alone, and tells the client: held rows and the completion, behind the gate.
Result<Progress> PgSession::end_statement(Run& run) {
  if (!run.ended) {
    run.ended = true;
    run.stop_reading();
    if (stands_alone()) {
      BOP_TRY(commit_now(run));
    } else {
      transaction_.end_statement(portals_read());
    }
    sink_->gate(run.end_gate.value_or(transaction_.gate()));
    if (!run.described && run.plan && run.plan->returns_rows && run.plan->kind != sql::PlanKind::kSelect) {
      if (run.describe) sink_->row_description(run.plan->columns);
    }
  }
  if (run.copy_out == nullptr && !run.drained) {
    sink_->gate(run.end_gate.value_or(transaction_.gate()));
    if (const Progress progress = send_held(run); progress != Progress::kDone) return progress;
    if (run.paused && run.plan && run.plan->kind != sql::PlanKind::kUtility &&
        run.plan->kind != sql::PlanKind::kSelect && run.plan->kind != sql::PlanKind::kExplain) {
      run.tag = fmt::format("{} {}", run.plan->tag, run.rows_this_call);
    }
  }
  run.stage = Run::Stage::kDone;
  report_changes();
  sink_->command_complete(run.tag);
  return Progress::kDone;
}

}  // namespace bop::session
