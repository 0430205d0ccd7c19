// Portals while their transaction goes on: what they read stays what it was when they were opened.
#include <sqlite3.h>

#include <algorithm>

#include "base/assert.hpp"
#include "session/pg_session.hpp"
#include "sql/tree.hpp"

namespace bop::session {

namespace pg = sql::pg;

namespace {

bool reads(const Portal& portal) {
  return portal.prepared.plan && portal.prepared.plan->kind == sql::PlanKind::kSelect;
}

std::unexpected<Error> in_use(std::string_view command, std::string_view table) {
  return fail(ErrorCode::kObjectInUse,
              "cannot {} \"{}\" because it is being used by active queries in this session", command, table);
}

}  // namespace

bool PgSession::portals_read() const {
  return std::ranges::any_of(portals_, [](const auto& entry) {
    return entry.second->run && entry.second->run->reads() && !entry.second->held_over();
  });
}

// Portals hold statements of the transaction's connections: they go before it does.
void PgSession::drop_portals_after(std::uint64_t number) {
  std::erase_if(portals_, [&](const auto& entry) {
    const auto& portal = entry.second;
    if (portal->number <= number || portal->is_held) return false;
    if (portal->run && portal != executing_) portal->run->stop_reading();
    return true;
  });
}

// A portal on the reader needs nothing: its snapshot is its own.
Status PgSession::settle_portals() {
  std::size_t bytes = 0;
  for (const auto& [name, portal] : portals_) {
    if (!portal->run || !portal->run->drained) continue;
    for (const ResultBatch& batch : portal->run->held) bytes += batch.bytes_used();
  }
  for (const auto& [name, portal] : portals_) {
    if (portal == executing_ || portal->complete || !portal->run || !reads(*portal)) continue;
    Run& run = *portal->run;
    if (run.exhausted) continue;
    if (run.drained || (run.reads() && run.connection != &transaction_.connection())) continue;
    BOP_LET(settled, settle_in_engine(*portal));
    if (!settled) BOP_TRY(drain(run, bytes));
  }
  return {};
}

// What goes wrong with the portal's own query is told when its rows have been fetched.
Status PgSession::drain(Run& run, std::size_t& bytes) {
  run.drained = true;
  const auto keep = [&](Status status) {
    if (!status) run.drain_error = std::move(status).error();
    return status.has_value();
  };
  // The statement that had to drain fails; a portal that a ROLLBACK TO leaves must not end as if it were
  // whole.
  const auto fail_both = [&](Error why) {
    run.drain_error = why;
    run.stop_reading();
    return std::unexpected(std::move(why));
  };
  if (run.engine) return drain_engine(run, bytes) ? Status{} : fail_both(*run.drain_error);
  if (!run.sqlite) {
    if (!keep(check_privileges(*run.plan))) return {};
    if (drop_stale_plan(run) && !keep(plan(run))) return {};
    run.connection = &transaction_.connection();
    auto prepared = prepare(run, run.plan->sql);
    if (!prepared) return fail_both(std::move(prepared).error());
    run.sqlite = std::move(*prepared);
    if (!keep(bind_values(run, run.sqlite.get()))) return {};
    run.stage = Run::Stage::kStep;
  }
  catalog_session_.catalog = run.plan->catalog;
  catalog_session_.connection = run.connection->handle();
  catalog_session_.snapshot = run.connection->snapshot();
  for (;;) {
    const int code = sqlite3_step(run.sqlite.get());
    if (code == SQLITE_DONE) break;
    if (code != SQLITE_ROW) {
      Error why = step_error(run);
      if (why.code() == ErrorCode::kCancelled) return fail_both(std::move(why));  // meant for us
      run.drain_error = std::move(why);
      break;
    }
    if (run.held.empty() || run.held.back().bytes_used() >= kBatchBytes) {
      if (!run.held.empty()) bytes += run.held.back().bytes_used();
      if (bytes > kMaxPortalBytes) {
        return fail_both(
            error(ErrorCode::kProgramLimitExceeded,
                  "rows that open cursors have still to fetch exceed {} bytes, and the transaction "
                  "changes rows",
                  kMaxPortalBytes));
      }
      run.held.emplace_back(run.plan->columns.size());
    }
    append_row(run, run.sqlite.get(), run.held.back());
  }
  run.stop_reading();
  return {};
}

Progress PgSession::send_held(Run& run) {
  for (; run.held_batch < run.held.size(); ++run.held_batch, run.held_row = 0) {
    ResultBatch& batch = run.held[run.held_batch];
    const std::size_t rows = batch.rows();
    const std::uint64_t left = rows - run.held_row;
    if (left == 0) continue;
    if (sink_->full()) return Progress::kWaiting;
    const std::uint64_t most = run.max_rows == 0 ? left : run.max_rows - run.rows_this_call;
    if (run.held_row == 0 && left <= most) {
      send(run, batch);
      run.held_row = rows;
    } else {
      ResultBatch part(batch.columns());
      const std::size_t end = run.held_row + std::min(left, most);
      for (; run.held_row < end; ++run.held_row) {
        if (batch.columns() == 0) part.append_empty_row();
        for (std::size_t i = 0; i < batch.columns(); ++i) part.append(batch.cell(run.held_row, i));
      }
      send(run, part);
    }
    run.rows_this_call += std::min(left, most);
    if (run.held_row == rows) {  // sent: its memory is free
      batch = ResultBatch(batch.columns());
      run.held_row = 0;
    }
    if (run.max_rows != 0 && run.rows_this_call == run.max_rows) {
      run.paused = true;
      return Progress::kSuspended;
    }
  }
  return Progress::kDone;
}

Status PgSession::refuse_if_read(const sql::ParsedStatement& statement, const sql::Catalog* after) const {
  std::vector<Oid> read;
  for (const auto& [name, portal] : portals_) {
    if (portal == executing_ || !reads(*portal) || portal->held_over()) continue;
    const auto& relations = portal->prepared.plan->relations;
    read.insert(read.end(), relations.begin(), relations.end());
  }
  const auto now = catalog();
  if (after != nullptr && read.empty()) return {};
  if (after != nullptr) {
    for (const Oid oid : read) {
      const auto before = now->relation(oid);
      if (before && !after->relation(oid)) return in_use("DROP TABLE", before->name);
    }
    return {};
  }
  const auto check = [&](std::string_view command, const PgQuery__RangeVar& relation) -> Status {
    const auto found = now->find(path_, pg::text(relation.schemaname), pg::text(relation.relname));
    if (found) BOP_TRY(refuse_if_pending(command, found.oid));
    if (!found || std::ranges::find(read, found.oid) == read.end()) return {};
    return in_use(command, pg::text(relation.relname));
  };
  const pg::Node& node = *statement.node;
  if (node.node_case == PG_QUERY__NODE__NODE_ALTER_TABLE_STMT) {
    return check("ALTER TABLE", *node.alter_table_stmt->relation);
  }
  if (node.node_case == PG_QUERY__NODE__NODE_TRUNCATE_STMT) {
    for (const pg::Node* item : BOP_PG_LIST(node.truncate_stmt, relations)) {
      BOP_TRY(check("TRUNCATE", *item->range_var));
    }
  }
  return {};
}

Status PgSession::check_result_formats(const Portal& portal, std::size_t columns) const {
  if (portal.formats.size() <= 1 || columns == 0 || portal.formats.size() == columns) return {};
  return fail(ErrorCode::kProtocolViolation, "bind message has {} result formats but query has {} columns",
              portal.formats.size(), columns);
}

}  // namespace bop::session
