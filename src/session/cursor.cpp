// Cursors of SQL: DECLARE, FETCH, MOVE, CLOSE. A cursor is a portal with rows of its own.
#include "session/cursor.hpp"

#include <sqlite3.h>

#include <algorithm>

#include "session/pg_session.hpp"
#include "sql/tree.hpp"

namespace bop::session {

namespace pg = sql::pg;

namespace {

// Bits of DeclareCursorStmt::options, from PostgreSQL's parsenodes.h.
constexpr int kBinary = 0x1;
constexpr int kScroll = 0x2;
constexpr int kNoScroll = 0x4;
constexpr int kInsensitive = 0x8;
constexpr int kAsensitive = 0x10;
constexpr int kHold = 0x20;
struct Opposites {
  int one;
  int other;
  std::string_view words;
};
constexpr Opposites kOpposites[] = {{kScroll, kNoScroll, "SCROLL and NO SCROLL"},
                                    {kInsensitive, kAsensitive, "INSENSITIVE and ASENSITIVE"}};

// What a cursor that was not declared SCROLL keeps for going back.
constexpr std::size_t kCheapBytes = std::size_t{16} << 20;

std::unexpected<Error> forward_only() {
  return std::unexpected(error(ErrorCode::kNotInPrerequisiteState, "cursor can only scan forward")
                             .hint("Declare it with SCROLL option to enable backward scan."));
}

std::unexpected<Error> no_cursor(std::string_view name) {
  return fail(ErrorCode::kInvalidCursorName, "cursor \"{}\" does not exist", name);
}

}  // namespace

ResultBatch& Cursor::next() {
  if (parts_.empty() || parts_.back().batch.bytes_used() >= kBatchBytes) {
    parts_.push_back({rows_ + 1, ResultBatch(columns_)});
  }
  bytes_ -= parts_.back().batch.bytes_used();
  return parts_.back().batch;
}

void Cursor::took_row() {
  bytes_ += parts_.back().batch.bytes_used();
  ++rows_;
}

void Cursor::copy(std::uint64_t row, ResultBatch& to) const {
  if (columns_ == 0) return to.append_empty_row();
  const auto part = std::prev(std::ranges::upper_bound(parts_, row, {}, &Part::first));
  for (std::size_t column = 0; column < columns_; ++column) {
    to.append(part->batch.cell(row - part->first, column));
  }
}

void Cursor::drop_below(std::uint64_t row) {
  while (parts_.size() > 1 && parts_[1].first <= row) {
    bytes_ -= parts_.front().batch.bytes_used();
    parts_.pop_front();
    first_ = parts_.front().first;
  }
}

// True when the cursor is declared; false while its query waits for a connection.
Result<bool> PgSession::declare_cursor(Run& run) {
  const PgQuery__DeclareCursorStmt& declare = *run.statement->node->declare_cursor_stmt;
  const std::string name(pg::text(declare.portalname));
  const auto says = [&](int option) { return (declare.options & option) != 0; };
  if (!run.declared) {
    if (name.empty()) {
      return fail(ErrorCode::kInvalidCursorName, "invalid cursor name: must not be empty");
    }
    for (const auto& [one, other, words] : kOpposites) {
      if (says(one) && says(other))
        return fail(ErrorCode::kInvalidCursorDefinition, "cannot specify both {}", words);
    }
    if (!says(kHold)) BOP_TRY(need_block("DECLARE CURSOR"));
    if (says(kBinary)) return fail(ErrorCode::kNotImplemented, "DECLARE ... BINARY is not implemented");
    auto portal = std::make_shared<Portal>();
    portal->prepared.text = run.statement->text;
    portal->prepared.statement = sql::inner_statement(run.statement, declare.query);
    portal->run = std::make_unique<Run>();
    portal->run->statement = portal->prepared.statement;
    portal->run->plan = run.plan->inner;
    portal->run->hints = run.plan->parameters;
    portal->run->parameters = run.parameters;
    run.declared = std::move(portal);
  }
  Portal& portal = *run.declared;
  Run& inner = *portal.run;
  for (;;) {
    BOP_TRY(plan(inner));
    if (says(kHold) && declare.query->select_stmt->n_locking_clause > 0) {
      return std::unexpected(
          error(ErrorCode::kNotImplemented, "DECLARE CURSOR WITH HOLD ... FOR UPDATE is not supported")
              .detail("Holdable cursors must be READ ONLY."));
    }
    BOP_LET(ready, get_connection(inner));
    if (!ready) return false;
    if (!drop_stale_plan(inner)) break;
  }
  if (portals_.size() >= kMaxPortals) {
    return fail(ErrorCode::kConfigurationLimitExceeded, "more than {} open portals in one session",
                kMaxPortals);
  }
  if (portals_.contains(name)) {
    return fail(ErrorCode::kDuplicateCursor, "cursor \"{}\" already exists", name);
  }
  inner.connection = &transaction_.connection();
  BOP_LET(prepared, prepare(inner, inner.plan->sql));
  inner.sqlite = std::move(prepared);
  BOP_TRY(bind_values(inner, inner.sqlite.get()));
  inner.stage = Run::Stage::kStep;
  portal.prepared.plan = inner.plan;
  portal.number = ++newest_portal_;
  portal.made = functions_.codec.statement_timestamp;
  portal.cursor = std::make_unique<Cursor>(says(kScroll)     ? Cursor::Scroll::kYes
                                           : says(kNoScroll) ? Cursor::Scroll::kNo
                                                             : Cursor::Scroll::kIfCheap,
                                           says(kHold), inner.plan->columns.size());
  portals_.emplace(name, std::move(run.declared));
  return true;
}

// The next row of the cursor's query into its rows; false when there is none. Rows below `needed` may go, if
// the cursor does not have to go back.
Result<bool> PgSession::pull_row(Portal& portal, std::uint64_t needed) {
  Cursor& cursor = *portal.cursor;
  BOP_LET(pulled, next_row(portal));
  if (!pulled) return false;
  const bool cheap = cursor.bytes() <= kCheapBytes;
  if (cursor.scroll() == Cursor::Scroll::kNo || (cursor.scroll() == Cursor::Scroll::kIfCheap && !cheap)) {
    cursor.drop_below(std::min(needed, cursor.rows()));
  }
  // Of all cursors, and now and then only.
  constexpr std::uint64_t kRowsBetweenLooks = 256;
  const bool large = cursor.bytes() > kMaxPortalBytes / 8;
  if (large || cursor.rows() % kRowsBetweenLooks == 0) BOP_TRY(check_cursor_bytes());
  return true;
}

Result<bool> PgSession::next_row(Portal& portal) {
  Run& inner = *portal.run;
  if (inner.exhausted) return false;
  if (inner.drained) return next_held_row(portal);
  BOP_TRY(start_cursor(portal));
  for (;;) {
    if (inner.engine) {
      BOP_LET(answered, next_row_of_engine(portal));
      if (answered) return *answered;
    }
    BOP_LET(answered, next_row_of_sqlite(portal));
    if (answered) return *answered;
    inner.only_sqlite = false;  // its trial is over
    BOP_TRY(start_cursor(portal));
  }
}

// Asks once whose the query is. What the engine computes of a transaction that writes, or that the cursor is
// to outlive, it computes to its end.
Status PgSession::start_cursor(Portal& portal) {
  Run& inner = *portal.run;
  if (inner.only_sqlite || inner.engine || inner.plan->query == nullptr) return {};
  const bool writes = inner.connection->role() == rowstore::Connection::Role::kWriter;
  catalog_session_.catalog = inner.plan->catalog;
  catalog_session_.connection = inner.connection->handle();
  catalog_session_.snapshot = inner.connection->snapshot();
  BOP_TRY(start_engine(inner, writes || portal.cursor->hold() ? Rows::kWhole : Rows::kFetched));
  if (inner.engine) inner.sqlite = {};
  return {};
}

Result<bool> PgSession::next_held_row(Portal& portal) {
  Run& inner = *portal.run;
  Cursor& cursor = *portal.cursor;
  while (inner.held_batch < inner.held.size() && inner.held_row == inner.held[inner.held_batch].rows()) {
    inner.held[inner.held_batch++] = ResultBatch();
    inner.held_row = 0;
  }
  if (inner.held_batch == inner.held.size()) {
    if (inner.drain_error) return std::unexpected(*inner.drain_error);
    inner.exhausted = true;
    return false;
  }
  const ResultBatch& from = inner.held[inner.held_batch];
  ResultBatch& to = cursor.next();
  if (from.columns() == 0) to.append_empty_row();
  for (std::size_t i = 0; i < from.columns(); ++i) to.append(from.cell(inner.held_row, i));
  ++inner.held_row;
  cursor.took_row();
  return true;
}

// None: SQLite has to answer it.
Result<std::optional<bool>> PgSession::next_row_of_engine(Portal& portal) {
  Run& inner = *portal.run;
  for (;;) {
    if (inner.held_batch < inner.held.size() && inner.held_row < inner.held[inner.held_batch].rows()) {
      BOP_LET(copied, next_held_row(portal));
      return copied;
    }
    inner.held.clear();
    inner.held_batch = inner.held_row = 0;
    BOP_LET(more, fetch_of_engine(portal));
    if (!more) return std::nullopt;
    if (!*more) {
      inner.exhausted = true;
      inner.stop_reading();
      return false;
    }
  }
}

// The next rows of the engine into `held`; false: there are no more; none: SQLite has to answer the query.
Result<std::optional<bool>> PgSession::fetch_of_engine(Portal& portal) {
  Run& inner = *portal.run;
  ResultBatch batch(inner.plan->columns.size());
  auto more = inner.engine->fetch(batch, [this] { return checked_interrupt(); });
  if (!more) {
    inner.engine.reset();
    inner.whole = false;
    if (more.error().code() == ErrorCode::kNotImplemented && portal.cursor->rows() == 0 &&
        inner.connection != nullptr) {
      return std::nullopt;
    }
    inner.drained = true;
    inner.drain_error = without_rows(*inner.plan, std::move(more).error());
    return std::unexpected(*inner.drain_error);
  }
  if (*more) inner.held.push_back(std::move(batch));
  return *more;
}

// None: it has had its time, and the engine is to try.
Result<std::optional<bool>> PgSession::next_row_of_sqlite(Portal& portal) {
  Run& inner = *portal.run;
  catalog_session_.catalog = inner.plan->catalog;
  catalog_session_.connection = inner.connection->handle();
  catalog_session_.snapshot = inner.connection->snapshot();
  if (!inner.sqlite) {
    BOP_LET(prepared, prepare(inner, inner.plan->sql));
    inner.sqlite = std::move(prepared);
    BOP_TRY(bind_values(inner, inner.sqlite.get()));
  }
  const int code = sqlite3_step(inner.sqlite.get());
  const bool on_trial = inner.trial == Run::Trial::kUnderWay;
  if (on_trial) trial_until_ns_ = 0;  // it has answered, or will not
  if (code == SQLITE_DONE) {
    inner.exhausted = true;
    inner.stop_reading();
    return false;
  }
  if (code != SQLITE_ROW) {
    if (on_trial && trial_is_over(inner)) return std::nullopt;
    // A cursor that a ROLLBACK TO leaves must not end as if it had no more rows.
    inner.drained = true;
    inner.drain_error = step_error(inner);
    return std::unexpected(*inner.drain_error);
  }
  append_row(inner, inner.sqlite.get(), portal.cursor->next());
  portal.cursor->took_row();
  return true;
}

// Before its transaction changes what its query reads: whether its rows are the engine's own now.
Result<bool> PgSession::settle_in_engine(Portal& portal) {
  if (!portal.cursor) return portal.run->engine && portal.run->whole;
  if (portal.cursor->rows() == 0) BOP_TRY(start_cursor(portal));
  if (!portal.run->engine || !portal.run->whole) return false;
  if (!portal.run->held.empty() || portal.cursor->rows() != 0) return true;  // by the first fetch
  auto more = fetch_of_engine(portal);
  if (!more) {
    // The cursor's own; a cancel was meant for the statement that waits for it.
    if (more.error().code() == ErrorCode::kCancelled) return std::unexpected(std::move(more).error());
    return true;
  }
  if (*more && !**more) {
    portal.run->exhausted = true;
    portal.run->stop_reading();
  }
  return more->has_value();
}

const Portal* PgSession::fetched_cursor(const sql::ParsedStatement& statement) const {
  if (statement.kind != sql::StatementKind::kFetch || statement.node->fetch_stmt->ismove != 0) return nullptr;
  const auto found = portals_.find(std::string(pg::text(statement.node->fetch_stmt->portalname)));
  return found == portals_.end() || !found->second->cursor ? nullptr : found->second.get();
}

// What a FETCH or MOVE asks for, as rows to go over and the place to stand at.
Status PgSession::begin_fetch(Run& run) {
  const PgQuery__FetchStmt& fetch = *run.statement->node->fetch_stmt;
  const std::string name(pg::text(fetch.portalname));
  const auto found = portals_.find(name);
  if (found == portals_.end()) return no_cursor(name);
  if (!found->second->cursor) {
    return fail(ErrorCode::kNotImplemented,
                "FETCH from a portal of the extended protocol is not implemented");
  }
  if (found->second->complete) {
    return fail(ErrorCode::kNotInPrerequisiteState, "portal \"{}\" cannot be run", name);
  }
  auto next = std::make_unique<Fetch>();
  next->portal = found->second;
  Cursor& cursor = *next->portal->cursor;
  const std::uint64_t at = cursor.position();
  const std::int64_t given = fetch.how_many;
  const std::uint64_t magnitude =
      given < 0 ? std::uint64_t{0} - static_cast<std::uint64_t>(given) : static_cast<std::uint64_t>(given);
  constexpr auto kEndless = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  const std::uint64_t count = magnitude >= kEndless ? Cursor::kAll : magnitude;
  const auto one_row = [&](std::uint64_t row) {
    next->row = row;
    next->left = 1;
    next->forward = row >= at;
  };
  const auto walk = [&](bool forward) {
    if (count == 0) return one_row(at);
    next->forward = forward;
    next->row = forward ? at + 1 : at - std::min<std::uint64_t>(at, 1);
    next->left = count;
  };
  switch (fetch.direction) {
    case PG_QUERY__FETCH_DIRECTION__FETCH_FORWARD: walk(given >= 0); break;
    case PG_QUERY__FETCH_DIRECTION__FETCH_BACKWARD: walk(given < 0); break;
    case PG_QUERY__FETCH_DIRECTION__FETCH_ABSOLUTE:
      if (given >= 0) {
        one_row(count);
      } else {
        if (cursor.scroll() == Cursor::Scroll::kNo) {
          next->portal->complete = true;
          return forward_only();
        }
        for (bool more = true; more;) {
          BOP_LET(pulled, pull_row(*next->portal, 0));
          more = pulled;
        }
        one_row(count > cursor.rows() ? 0 : cursor.rows() + 1 - count);
      }
      break;
    default: one_row(given >= 0 ? at + count : at - std::min(at, count)); break;
  }
  const bool back = !next->forward || next->row <= at;
  const bool walks_back = !next->forward && next->left != 1;
  const bool rewinds =
      next->row == 0 && at == 0 && fetch.direction != PG_QUERY__FETCH_DIRECTION__FETCH_BACKWARD;
  if (cursor.scroll() == Cursor::Scroll::kNo && (walks_back || (back && !rewinds))) {
    next->portal->complete = true;
    return forward_only();
  }
  run.fetch = std::move(next);
  return {};
}

// A cursor whose FETCH has failed is not to be used again, even if a ROLLBACK TO leaves it.
Result<Progress> PgSession::fetch(Run& run) {
  if (!run.fetch) BOP_TRY(begin_fetch(run));
  auto progress = step_fetch(run, *run.fetch);
  if (!progress) run.fetch->portal->complete = true;
  return progress;
}

Result<Progress> PgSession::step_fetch(Run& run, Fetch& fetch) {
  const bool is_move = run.statement->node->fetch_stmt->ismove != 0;
  Portal& portal = *fetch.portal;
  Cursor& cursor = *portal.cursor;
  const auto& columns = portal.prepared.plan->columns;
  ResultBatch batch(columns.size());
  const auto tell = [&] {
    if (is_move) return;
    sink_->gate(transaction_.gate());
    if (!std::exchange(run.described, true) && run.describe) sink_->row_description(columns);
    if (batch.rows() != 0) sink_->rows(batch);
    batch = ResultBatch(columns.size());
  };
  bool off_the_end = false;
  while (fetch.left > 0) {
    if (run.max_rows != 0 && run.rows_this_call == run.max_rows) {
      tell();
      run.paused = true;
      return Progress::kSuspended;
    }
    if (!is_move && sink_->full()) {
      tell();
      return Progress::kWaiting;
    }
    if (fetch.row == 0) break;
    while (fetch.row > cursor.rows()) {
      BOP_LET(pulled, pull_row(portal, fetch.row));
      if (!pulled) break;
    }
    off_the_end = fetch.row > cursor.rows();
    if (off_the_end) break;
    if (!cursor.has(fetch.row)) return forward_only();
    cursor.copy(fetch.row, batch);
    cursor.stand_at(fetch.row);
    ++fetch.done;
    run.rows_this_call += is_move ? 0 : 1;
    if (fetch.left != Cursor::kAll) --fetch.left;
    fetch.row = fetch.forward ? fetch.row + 1 : fetch.row - 1;
    if (is_move) {
      batch = ResultBatch(columns.size());
    } else if (batch.bytes_used() >= kBatchBytes || batch.rows() >= 4096) {
      tell();
    }
  }
  if (off_the_end) {
    cursor.stand_at(cursor.rows() + 1);
  } else if (fetch.left > 0) {
    cursor.stand_at(0);
  }
  tell();
  run.described = true;
  run.tag = fmt::format("{} {}", is_move ? "MOVE" : "FETCH", run.paused ? run.rows_this_call : fetch.done);
  return Progress::kDone;
}

void PgSession::close_all_cursors() {
  std::erase_if(portals_, [&](const auto& entry) {
    if (entry.second == executing_) return false;
    if (entry.second->run) entry.second->run->stop_reading();
    return true;
  });
}

Status PgSession::close_cursor(const sql::ParsedStatement& statement) {
  const PgQuery__ClosePortalStmt& close = *statement.node->close_portal_stmt;
  const std::string name(pg::text(close.portalname));
  if (name.empty()) {
    close_all_cursors();
    return {};
  }
  if (!portals_.contains(name)) return no_cursor(name);
  close_portal(name);
  return {};
}

// Before a transaction commits: cursors WITH HOLD take what is left of their rows and stay. Those of the
// engine stay where they are, on disk if they are many.
Status PgSession::hold_cursors() {
  for (auto& [name, portal] : portals_) {
    if (!portal->cursor || !portal->cursor->hold() || portal->held_over() || portal->complete) continue;
    start_deadline();
    hand_off();
    BOP_LET(settled, settle_in_engine(*portal));
    if (portal->run->drain_error) return std::unexpected(*portal->run->drain_error);
    for (bool more = !settled; more;) {
      BOP_LET(pulled, pull_row(*portal, portal->cursor->position()));
      more = pulled;
    }
    if (!portal->run->whole) portal->run->stop_reading();
    portal->run->connection = nullptr;
    portal->is_held = true;
  }
  return {};
}

// What a transaction that failed in the end has read was never there.
void PgSession::settle_held(bool committed) {
  for (auto& [name, portal] : portals_) {
    if (std::exchange(portal->is_held, false) && committed) portal->number = 0;
  }
}

Status PgSession::check_cursor_bytes() const {
  std::size_t bytes = 0;
  for (const auto& [name, portal] : portals_) bytes += portal->cursor ? portal->cursor->bytes() : 0;
  if (bytes <= kMaxPortalBytes) return {};
  return fail(ErrorCode::kProgramLimitExceeded, "the rows that cursors have to keep exceed {} bytes",
              kMaxPortalBytes);
}

}  // namespace bop::session
