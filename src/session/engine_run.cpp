// Which executor answers a query, and how the second one does.
//
// By itself (`bop.route = auto`) a statement goes to DuckDB only if it joins, groups, sorts or removes
// duplicates, every part of it is proven there, and SQLite would read through a table of at least
// `bop.engine_min_rows` rows: by its own plan, not by what the statement says. So lookups by a key stay where
// they take microseconds.
#include <sqlite3.h>

#include <algorithm>
#include <array>

#include "base/log.hpp"
#include "rowstore/btree_scan.hpp"
#include "session/pg_session.hpp"
#include "sql/tree_search.hpp"
#include "sql/types/json.hpp"

namespace bop::session {

namespace {

constexpr std::size_t kMaxWithheldBytes = std::size_t{4} << 20;
constexpr std::int64_t kTrialNs = 20'000'000;
constexpr std::size_t kUsualRowsAPage = 20;  // at least, of tables that are worth the other executor

// Asks SQLite for its plan, once for each plan of ours.
void note_reading(const sql::Plan& plan, sqlite3* connection, sql::ReadingNotes& notes) {
  if (std::exchange(notes.known, true)) return;
  sqlite3_stmt* statement = nullptr;
  const std::string text = "EXPLAIN QUERY PLAN " + plan.sql;
  if (sqlite3_prepare_v2(connection, text.c_str(), -1, &statement, nullptr) != SQLITE_OK) {
    sqlite3_finalize(statement);
    return;
  }
  int sources = 0;
  while (sqlite3_step(statement) == SQLITE_ROW) {
    const std::string_view detail(reinterpret_cast<const char*>(sqlite3_column_text(statement, 3)));
    const auto says = [&](std::string_view word) { return detail.find(word) != detail.npos; };
    const bool searches = detail.starts_with("SEARCH ");
    if (detail.starts_with("SCAN ") || (searches && says("AUTOMATIC"))) {
      const std::string_view rest = detail.substr(searches ? 7 : 5);
      notes.scans.emplace_back(rest.substr(0, rest.find(' ')));
    }
    // Of one row is only a rowid that is looked up once; inside a join's loops every search may be long.
    notes.ranges = notes.ranges || (searches && (sources > 0 || !says("(rowid=?)")));
    sources += searches || detail.starts_with("SCAN ") ? 1 : 0;
    notes.sorts = notes.sorts || says("TEMP B-TREE");
  }
  sqlite3_finalize(statement);
}

// The sizes that were found still hold, more or less.
bool sizes_hold(const sql::ReadingNotes& notes, std::uint32_t pages) {
  return notes.pages != 0 && pages <= notes.pages + notes.pages / 4 && pages >= notes.pages - notes.pages / 4;
}

struct TableShape {
  PageNo root;
  std::vector<std::pair<std::string, int>> fields;  // name in SQLite; -1: the rowid
};

Result<TableShape> shape_of(rowstore::Connection& connection, Oid relation) {
  TableShape shape;
  const std::string name = fmt::format("t{}", relation);
  BOP_LET(root, connection.prepare("SELECT rootpage FROM sqlite_schema WHERE type = 'table' AND name = ?1"));
  sqlite3_bind_text(root.get(), 1, name.c_str(), -1, SQLITE_TRANSIENT);
  if (sqlite3_step(root.get()) != SQLITE_ROW)
    return fail(ErrorCode::kInternal, "relation {} has no table in the store", relation);
  shape.root = PageNo(static_cast<std::uint32_t>(sqlite3_column_int64(root.get(), 0)));
  BOP_LET(columns,
          connection.prepare("SELECT name, type, pk, hidden FROM pragma_table_xinfo(?1) ORDER BY cid"));
  sqlite3_bind_text(columns.get(), 1, name.c_str(), -1, SQLITE_TRANSIENT);
  constexpr int kVirtual = 2;  // generated when read: not in the record
  int field = 0;
  while (sqlite3_step(columns.get()) == SQLITE_ROW) {
    const bool is_rowid =
        sqlite3_column_int(columns.get(), 2) == 1 &&
        std::string_view(reinterpret_cast<const char*>(sqlite3_column_text(columns.get(), 1))) == "INTEGER";
    const bool stored = sqlite3_column_int(columns.get(), 3) != kVirtual;
    std::string column(reinterpret_cast<const char*>(sqlite3_column_text(columns.get(), 0)));
    if (stored) shape.fields.emplace_back(std::move(column), is_rowid ? -1 : field);
    field += stored ? 1 : 0;
  }
  shape.fields.emplace_back("rowid", -1);
  return shape;
}

}  // namespace

Status PgSession::attach_tables(rowstore::Connection& connection, executor::Translated& translated,
                                const sql::Catalog& catalog) const {
  BOP_LET(source, connection.page_source());
  for (std::size_t i = 0; i < translated.relations.size(); ++i) {
    const Oid relation = translated.relations[i];
    executor::Table& table = translated.statement.tables[i];
    BOP_LET(shape, shape_of(connection, relation));
    BOP_LET(size, rowstore::TableTree::estimate(*source, shape.root));
    table.source = source;
    table.root = shape.root;
    table.rows = size.rows;
    for (executor::TableColumn& column : table.columns) {
      const auto found = std::ranges::find(shape.fields, column.name, &std::pair<std::string, int>::first);
      if (found == shape.fields.end())
        return fail(ErrorCode::kNotImplemented, "column {} is not stored", column.name);
      column.field = found->second;
      column.unique = column.field < 0;
    }
    for (const auto& index : catalog.indexes_of(relation)) {
      if (!index->unique || index->keys.size() != 1 || index->keys.front().column == 0 ||
          !index->predicate.empty())
        continue;
      const std::string name = fmt::format("c{}", index->keys.front().column);
      for (executor::TableColumn& column : table.columns)
        column.unique = column.unique || column.name == name;
    }
  }
  return {};
}

// `now`: with the statement, also where SQLite would be tried first.
PgSession::Route PgSession::route(const Run& run, const sql::Plan& plan, bool now) {
  const std::string& mode = variables_.get("bop.route");
  if (mode == "sqlite") return {.why = "bop.route is sqlite"};
  if (plan.kind != sql::PlanKind::kSelect) return {.why = "it combines no rows"};
  if (plan.query == nullptr) return {.why = "it looks rows up"};
  rowstore::Connection& connection = *run.connection;
  const std::uint32_t pages = connection.database_pages();
  const auto least = static_cast<std::uint64_t>(variables_.get_int("bop.engine_min_rows"));
  const bool has_files = sql::reads_files(*plan.query);
  const bool by_size = mode == "auto" && !has_files;
  if (by_size && pages * kUsualRowsAPage < least)
    return {.why = fmt::format("the database has {} pages, less than one for {} of bop.engine_min_rows ({})",
                               pages, kUsualRowsAPage, least)};

  sql::ReadingNotes& notes = *plan.reading;
  std::unique_lock lock(notes.mutex);
  const std::string trial = fmt::format("if SQLite has no answer within {} ms", kTrialNs / 1'000'000);
  const auto too_few = [&] {
    return Route{.why = fmt::format("it reads through about {} rows, less than bop.engine_min_rows ({})",
                                    notes.scanned_rows, least)};
  };
  if (by_size) {
    note_reading(plan, connection.handle(), notes);
    if (notes.scans.empty() && !notes.ranges) return {.why = "it reads by keys"};
    if (plan.query->limit != nullptr && !notes.sorts && !plan.query->grouped)
      return {.why = "its LIMIT ends it early"};
    const bool known = sizes_hold(notes, pages);
    const bool few_scanned = known ? notes.scanned_rows < least : notes.scans.empty();
    if (known && few_scanned && !(notes.ranges && notes.largest_rows >= least)) return too_few();
    // Most ranges are short: nothing is translated for them.
    if (!now && notes.ranges && few_scanned) return {.why = trial, .after_trial = true};
  }
  lock.unlock();
  CodecContext codec = functions_.codec;
  codec.names = nullptr;
  auto translated = executor::translate(
      *plan.query, {.parameters = run.parameters,
                    .codec = codec,
                    .file = [this](const sql::FileTable& table) { return files_.query(table); }});
  if (!translated) return {.why = fmt::format("not proven on DuckDB: {}", translated.error().what())};
  if (auto attached = attach_tables(connection, *translated, *plan.catalog); !attached)
    return {.why = attached.error().what()};
  if (!by_size)
    return {.statement = std::move(*translated),
            .why = has_files ? "it reads a file" : "bop.route is duckdb"};

  lock.lock();
  notes.pages = pages;
  notes.scanned_rows = notes.largest_rows = 0;
  for (std::size_t i = 0; i < translated->statement.tables.size(); ++i) {
    const std::uint64_t rows = translated->statement.tables[i].rows;
    notes.largest_rows = std::max(notes.largest_rows, rows);
    if (std::ranges::find(notes.scans, translated->names[i]) != notes.scans.end())
      notes.scanned_rows = std::max(notes.scanned_rows, rows);
  }
  if (notes.scanned_rows >= least) {
    return {.statement = std::move(*translated),
            .why = fmt::format("it reads through about {} rows", notes.scanned_rows)};
  }
  if (notes.ranges && notes.largest_rows >= least)
    return {.statement = std::move(*translated), .why = trial, .after_trial = true};
  return too_few();
}

Status PgSession::checked_interrupt() {
  if (auto why = interrupt()) return std::unexpected(std::move(*why));
  return {};
}

// SQLite has had its time, and no row of it has been told.
bool PgSession::trial_is_over(Run& run) {
  if (!std::exchange(trial_over_, false) || run.described) return false;
  (void)run.connection->take_error();
  functions_.error.reset();
  run.sqlite = {};
  run.rows = run.rows_this_call = 0;
  run.trial = Run::Trial::kOver;
  return true;
}

Status PgSession::start_engine(Run& run, Rows rows) {
  Route chosen = route(run, *run.plan, run.trial == Run::Trial::kOver);
  run.only_sqlite = true;  // asked once, and once more after a trial
  if (chosen.after_trial && run.trial == Run::Trial::kNone) {
    // (An interrupt may cost a writer its transaction.)
    if (run.connection->role() == rowstore::Connection::Role::kWriter) return {};
    run.trial = Run::Trial::kUnderWay;
    trial_until_ns_ = node_.options().clock->steady_ns() + kTrialNs;
    return {};
  }
  if (!chosen.statement) return {};
  hand_off();  // its statements take milliseconds, and the first one loads it
  auto engine = node_.engine();
  if (!engine) {
    if (variables_.get("bop.route") == "auto") return {};
    return std::unexpected(std::move(engine).error());
  }
  run.whole = rows == Rows::kWhole || (rows == Rows::kFetched && chosen.statement->may_fail_late);
  chosen.statement->statement.whole = run.whole;
  chosen.statement->statement.keeps_order = !run.plan->query->order_by.empty();
  auto started = (*engine)->start(std::move(chosen.statement->statement));
  if (started) {
    run.engine = std::move(*started);
    run.withholds = chosen.statement->may_fail_late && !run.whole;
    return {};
  }
  if (started.error().code() == ErrorCode::kNotImplemented) return {};
  if (variables_.get("bop.route") == "auto") {
    log_warning("the second executor refused a statement", {{"why", started.error().what()}});
    return {};
  }
  return std::unexpected(std::move(started).error());
}

// The rows that `source` selects, all of them computed; nobody: SQLite selects them itself.
Result<std::optional<sql::FedRows>> PgSession::rows_of_engine(const Run& run, const sql::Plan& source) {
  Route chosen = route(run, source, /*now=*/true);
  if (!chosen.statement || chosen.after_trial) return std::nullopt;
  hand_off();
  auto engine = node_.engine();
  if (!engine) return std::nullopt;
  chosen.statement->statement.whole = true;
  chosen.statement->statement.keeps_order = !source.query->order_by.empty();
  auto batch = std::make_unique<ResultBatch>(source.columns.size());
  auto started = (*engine)->start(std::move(chosen.statement->statement));
  auto more = started ? (*started)->fetch(*batch, [this] { return checked_interrupt(); })
                      : std::unexpected(std::move(started).error());
  if (!more) {
    if (more.error().code() == ErrorCode::kNotImplemented) return std::nullopt;
    if (!started && variables_.get("bop.route") == "auto") {
      log_warning("the second executor refused a statement", {{"why", more.error().what()}});
      return std::nullopt;
    }
    return std::unexpected(std::move(more).error());
  }
  return [this, running = std::move(*started), batch = std::move(batch), next = std::size_t{0},
          more = *more](std::vector<OwnedValue>& row) mutable -> Result<bool> {
    while (next == batch->rows()) {
      if (!more) return false;
      batch->clear();
      next = 0;
      BOP_LET(fetched, running->fetch(*batch, [this] { return checked_interrupt(); }));
      more = fetched;
    }
    row.clear();
    for (std::size_t i = 0; i < batch->columns(); ++i) row.emplace_back(batch->cell(next, i));
    ++next;
    return true;
  };
}

Status PgSession::feed_rows(Run& run, const sql::PlanPtr& source) {
  if (source == nullptr || run.feed) return {};
  auto rows = rows_of_engine(run, *source);
  if (!rows) return std::unexpected(without_rows(*run.plan, std::move(rows).error()));
  if (*rows) run.feed = std::make_unique<sql::FeedRows>(run.connection->handle(), *std::move(*rows));
  return {};
}

Result<sql::PlanPtr> PgSession::feed_diagnosis(Run& run, int code) {
  const bool unique = code == SQLITE_CONSTRAINT_UNIQUE || code == SQLITE_CONSTRAINT_PRIMARYKEY ||
                      code == SQLITE_CONSTRAINT_ROWID;
  if (!unique || run.plan->source == nullptr) return nullptr;
  BOP_TRY(feed_rows(run, run.plan->source));
  if (!run.feed) return nullptr;
  auto plan = std::make_shared<sql::Plan>(*run.plan);
  for (sql::UniqueDiagnosis& diagnosis : plan->unique_diagnoses) diagnosis.sql = diagnosis.fed_sql;
  return plan;
}

namespace {

// A node of DuckDB's plan. Its details name our functions and columns by number: only what needs no names is
// shown.
sql::ExplainNode explain_node(const Json& node, const executor::Translated& statement,
                              const sql::Catalog& catalog) {
  sql::ExplainNode out;
  if (const Json* name = node.find("name")) out.type = name->text;
  while (out.type.ends_with(' ')) out.type.pop_back();
  std::ranges::replace(out.type, '_', ' ');
  const Json* info = node.find("extra_info");
  const auto detail = [&](std::string_view key) {
    const Json* value = info == nullptr ? nullptr : info->find(key);
    return value != nullptr && value->type == Json::Type::kString ? value->text : std::string();
  };
  const std::string table = detail("Table");
  if (!table.empty() && std::ranges::all_of(table, [](char c) { return c >= '0' && c <= '9'; })) {
    const auto relation = catalog.relation(statement.relations.at(std::stoul(table)));
    out.type = "PAGE SCAN";
    if (relation) out.relation = relation->name;
  }
  if (const std::string rows = detail("Estimated Cardinality"); !rows.empty()) out.estimate = rows;
  if (const std::string join = detail("Join Type"); !join.empty()) out.type += " " + join;
  if (const Json* children = node.find("children")) {
    for (const Json& child : children->items) out.inputs.push_back(explain_node(child, statement, catalog));
  }
  return out;
}

}  // namespace

Result<sql::ExplainNode> PgSession::explain_engine(Run& run, executor::Translated translated,
                                                   sql::ExplainSummary& summary) {
  Clock& clock = *node_.options().clock;
  BOP_LET(engine, node_.engine());
  std::int64_t begin = clock.steady_ns();
  BOP_LET(planned, engine->explain(translated.statement));
  BOP_LET(tree, parse_json(planned, false));
  sql::ExplainNode root;
  if (tree.type == Json::Type::kArray && !tree.items.empty())
    root = explain_node(tree.items.front(), translated, *run.plan->catalog);
  summary.planning_ns = clock.steady_ns() - begin;
  if (!run.plan->explain_analyze) return root;
  begin = clock.steady_ns();
  BOP_LET(running, engine->start(std::move(translated.statement)));
  std::uint64_t rows = 0;
  for (bool more = true; more;) {
    ResultBatch batch(run.plan->inner->columns.size());
    BOP_LET(fetched, running->fetch(batch, [this] { return checked_interrupt(); }));
    rows += batch.rows();
    more = fetched;
  }
  summary.execution_ns = clock.steady_ns() - begin;
  root.rows = rows;
  root.loops = 1;
  return root;
}

// All rows before any is told: a value that turns out to have no form there makes the statement SQLite's, and
// so does an answer that is too long to be kept.
Result<bool> PgSession::withhold(Run& run) {
  std::size_t bytes = 0;
  for (;;) {
    ResultBatch batch(run.plan->columns.size());
    auto more = run.engine->fetch(batch, [this] { return checked_interrupt(); });
    bytes += batch.bytes_used();
    if (!more && more.error().code() != ErrorCode::kNotImplemented) {
      run.engine.reset();
      return std::unexpected(without_rows(*run.plan, std::move(more).error()));
    }
    if (!more || bytes > kMaxWithheldBytes) {
      run.engine.reset();
      run.held.clear();
      run.rows = 0;
      return false;
    }
    if (!*more) break;
    run.rows += batch.rows();
    run.held.push_back(std::move(batch));
  }
  run.engine.reset();
  run.drained = true;
  return true;
}

Result<std::optional<Progress>> PgSession::step_engine(Run& run) {
  if (run.withholds) {
    BOP_LET(complete, withhold(run));
    if (!complete) return std::nullopt;
    BOP_LET(progress, step_select(run));
    return progress;
  }
  for (;;) {
    const Progress progress = send_held(run);
    const bool writes = run.connection->role() == rowstore::Connection::Role::kWriter;
    if (progress == Progress::kSuspended && writes && !run.whole) {
      // Other statements may use the connection before the next Execute; its scans must not.
      std::size_t bytes = 0;
      run.drained = true;
      if (!drain_engine(run, bytes)) return std::unexpected(*run.drain_error);
    }
    if (progress != Progress::kDone) return progress;
    run.held.clear();
    run.held_batch = run.held_row = 0;
    ResultBatch batch(run.plan->columns.size());
    auto more = run.engine->fetch(batch, [this] { return checked_interrupt(); });
    if (!more) {
      run.engine.reset();
      // What it turns out to have no form for, SQLite does, unless something has been told.
      if (more.error().code() == ErrorCode::kNotImplemented && !run.described) return std::nullopt;
      return std::unexpected(without_rows(*run.plan, std::move(more).error()));
    }
    describe_rows(run);
    sink_->gate(transaction_.gate());
    if (!*more) break;
    run.rows += batch.rows();
    run.held.push_back(std::move(batch));
  }
  run.engine.reset();
  return end_of_rows(run);
}

bool PgSession::drain_engine(Run& run, std::size_t& bytes) {
  for (;;) {
    ResultBatch batch(run.plan->columns.size());
    auto more = run.engine->fetch(batch, [this] { return checked_interrupt(); });
    if (!more) {
      const bool ours = more.error().code() == ErrorCode::kCancelled;
      run.drain_error = std::move(more).error();
      run.engine.reset();
      return !ours;
    }
    if (!*more) break;
    bytes += batch.bytes_used();
    run.held.push_back(std::move(batch));
    if (bytes > kMaxPortalBytes) {
      run.drain_error =
          error(ErrorCode::kProgramLimitExceeded,
                "rows that open cursors have still to fetch exceed {} bytes, and the transaction "
                "changes rows",
                kMaxPortalBytes);
      run.engine.reset();
      return false;
    }
  }
  run.engine.reset();
  return true;
}

}  // namespace bop::session
