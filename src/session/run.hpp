// What a session keeps of prepared statements, portals and statements on their way.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/ids.hpp"
#include "executor/engine.hpp"
#include "rowstore/connection.hpp"
#include "session/copy_run.hpp"
#include "session/cursor.hpp"
#include "session/session.hpp"
#include "session/shared_change.hpp"
#include "sql/bind.hpp"
#include "sql/explain.hpp"
#include "sql/fed_rows.hpp"
#include "sql/parse.hpp"
#include "sql/plan.hpp"
#include "sql/types/value.hpp"

namespace bop::session {

struct Prepared {
  sql::ParsedStatementPtr statement;  // null: the empty statement
  std::vector<Oid> hints;
  sql::PlanPtr plan;
  std::string text;
  bool from_sql = false;  // by PREPARE
  std::int64_t made = 0;  // when, as timestamptz
};

struct Portal;
struct Fetch;
class PlpgsqlRun;

// Names of a statement inside another one, and the values behind them.
class RunNames : public sql::NamedValues {
 public:
  virtual void begin() = 0;                                          // before it is bound
  [[nodiscard]] virtual std::vector<OwnedValue> values() const = 0;  // of its parameters, once it is
};

// One statement on its way.
struct Run {
  enum class Stage : std::uint8_t { kStart, kConnection, kStep, kEnd, kCopyIn, kWaitShared, kDone };

  sql::ParsedStatementPtr statement;
  sql::PlanPtr plan;
  std::vector<Oid> hints;
  std::vector<OwnedValue> parameters;
  std::string own_text;          // of one that runs by the plan for its shape
  RunNames* names = nullptr;     // of a statement in PL/pgSQL
  bool nested_in_query = false;  // and of one in a function that a query calls
  bool clock_started = false;
  bool describe = false;       // the sink wants a row description before rows
  bool commit_at_end = false;  // it stands alone: commit before its completion is told
  std::uint64_t max_rows = 0;  // of this call; 0 = all

  Stage stage = Stage::kStart;
  std::vector<OwnedValue> prior_values;  // bound to `sqlite`, so they outlive it
  rowstore::CachedStatement sqlite;
  std::unique_ptr<executor::Running> engine;  // instead of it; reads pages of the connection's transaction
  bool withholds = false;                     // its rows until it has ended
  bool only_sqlite = false;                   // the engine was asked, or could not answer it
  // Of a cursor or portal: all rows are the engine's own by the first fetch, whatever becomes of the
  // transaction.
  bool whole = false;
  enum class Trial : std::uint8_t { kNone, kUnderWay, kOver };
  Trial trial = Trial::kNone;  // of SQLite, where it may be the faster one
  rowstore::Connection* connection = nullptr;
  [[nodiscard]] bool reads() const noexcept { return sqlite || engine; }
  // Before the connection's transaction ends.
  void stop_reading() {
    engine.reset();
    sqlite = {};
    feed.reset();
  }
  // What the client was told, or PREPARE found, that the rows look like; null if nobody has been told.
  sql::PlanPtr promised;
  bool described = false;
  bool exhausted = false;
  std::uint64_t rows = 0;
  std::uint64_t rows_this_call = 0;
  std::uint64_t changed = 0;
  // Rows that are computed and not sent: of a change that is not committed yet, of a command that answers
  // text, of a portal that was read to its end before its transaction changed what it reads.
  std::vector<ResultBatch> held;
  std::size_t held_batch = 0, held_row = 0;  // what is sent next
  bool drained = false;                      // all rows of the query are in `held`
  std::optional<Error> drain_error;          // what ended the query behind the rows in `held`
  std::size_t held_bytes = 0;                // of the batches of a change that are full
  bool paused = false;                       // PortalSuspended was answered once
  bool ended = false;                        // checked, and committed if it stands alone
  std::string tag;                           // command tag, when made
  std::optional<Csn> end_gate;               // of the commit that ended it
  std::unique_ptr<CopyIn> copy_in;
  std::unique_ptr<CopyOut> copy_out;
  bool copies_rows = false;          // COPY FROM as INSERT ... SELECT
  std::shared_ptr<Portal> declared;  // by DECLARE, while it waits for a connection
  std::unique_ptr<Fetch> fetch;
  std::unique_ptr<sql::FeedRows> feed;       // of a change whose rows the engine has computed
  std::shared_ptr<PlpgsqlRun> block;         // of DO
  std::optional<sql::ExplainNode> measured;  // of a change that EXPLAIN ANALYZE runs
  std::optional<Status> shared_result;       // of a change of the shared catalog
  std::shared_ptr<SharedNotices> shared_notices;
  std::shared_ptr<bool> shared_alive;
  std::int64_t drop_until_ns = 0;  // DROP DATABASE waits for its users to go; 0: it has not begun to
};

struct Portal {
  // Outlived its transaction with all its rows (DECLARE ... WITH HOLD).
  [[nodiscard]] bool held_over() const noexcept { return number == 0; }

  bool is_held = false;      // has all its rows, and stays if the transaction commits
  std::uint64_t number = 0;  // in the order of Bind and DECLARE, from 1
  Prepared prepared;
  std::vector<Format> formats;
  std::unique_ptr<Run> run;
  bool complete = false;
  std::optional<std::string> complete_tag;  // of another Execute; none: it cannot be run again
  std::unique_ptr<Cursor> cursor;           // of SQL: its rows are fetched by FETCH
  std::int64_t made = 0;                    // when, as timestamptz
};

// A FETCH or MOVE on its way.
struct Fetch {
  std::shared_ptr<Portal> portal;
  std::uint64_t row = 0;   // that comes next; 0: none, it ends before the first
  std::uint64_t left = 0;  // rows to go over; Cursor::kAll
  std::uint64_t done = 0;
  bool forward = true;
};

}  // namespace bop::session
