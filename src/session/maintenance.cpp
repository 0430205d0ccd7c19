// VACUUM, ANALYZE, CHECKPOINT.
#include <algorithm>
#include <array>

#include "session/pg_session.hpp"
#include "sql/catalog/catalog.hpp"
#include "sql/tree.hpp"

namespace bop::session {

namespace pg = sql::pg;

namespace {
// Of one VACUUM, so that its transaction stays far below max_transaction_bytes; the next one goes on.
constexpr std::uint32_t kMostPagesFreed = 32'768;

// Of VACUUM; nothing of the kind is there to be told.
constexpr std::array<std::string_view, 8> kWithoutEffect = {
    "full",     "freeze",  "disable_page_skipping", "skip_locked", "index_cleanup", "process_toast",
    "truncate", "parallel"};

Result<bool> flag_of(const PgQuery__DefElem& option) {
  if (option.arg == nullptr) return true;
  if (option.arg->node_case == PG_QUERY__NODE__NODE_BOOLEAN) return option.arg->boolean->boolval != 0;
  if (option.arg->node_case == PG_QUERY__NODE__NODE_INTEGER && (option.arg->integer->ival | 1) == 1) {
    return option.arg->integer->ival != 0;
  }
  if (option.arg->node_case == PG_QUERY__NODE__NODE_STRING) {
    const std::string_view word = pg::text(option.arg->string->sval);
    if (word == "true" || word == "on") return true;
    if (word == "false" || word == "off") return false;
  }
  return fail(ErrorCode::kSyntaxError, "{} requires a Boolean value", option.defname);
}

// The value of an option that has no effect is checked all the same.
Status check_ignored(const PgQuery__DefElem& option) {
  const std::string_view name = pg::text(option.defname);
  const pg::Node* value = option.arg;
  if (name == "parallel") {
    constexpr int kMostWorkers = 1024;
    if (value == nullptr) {
      return fail(ErrorCode::kSyntaxError, "parallel option requires a value between 0 and {}", kMostWorkers);
    }
    if (value->node_case != PG_QUERY__NODE__NODE_INTEGER) {
      return fail(ErrorCode::kSyntaxError, "{} requires an integer value", name);
    }
    if (value->integer->ival < 0 || value->integer->ival > kMostWorkers) {
      return fail(ErrorCode::kSyntaxError, "parallel workers for vacuum must be between 0 and {}",
                  kMostWorkers);
    }
    return {};
  }
  const bool automatic = name == "index_cleanup" && value != nullptr &&
                         value->node_case == PG_QUERY__NODE__NODE_STRING &&
                         pg::text(value->string->sval) == "auto";
  if (!automatic) BOP_TRY(flag_of(option));
  return {};
}
}  // namespace

// Moves the base forward. True when it is done; the session is woken then.
Result<bool> PgSession::checkpoint(Run& run) {
  if (run.shared_result) {
    BOP_TRY(*run.shared_result);
    return true;
  }
  if (run.stage == Run::Stage::kWaitShared) return false;
  if (!who_->superuser) {
    return fail(ErrorCode::kInsufficientPrivilege,
                "must be superuser or have privileges of pg_checkpoint to do CHECKPOINT");
  }
  run.stage = Run::Stage::kWaitShared;
  run.shared_alive = std::make_shared<bool>(true);
  std::weak_ptr<bool> run_alive = run.shared_alive;
  Executor& background = node_.options().background != nullptr ? *node_.options().background : executor_;
  database_->rows().checkpoint(
      background, [this, &run, alive = alive_, run_alive, &executor = executor_](const Result<Lsn>& base) {
        Status status;
        if (!base) status = std::unexpected(base.error());
        executor.post([this, &run, alive, run_alive, status = std::move(status)] {
          if (!*alive || run_alive.expired()) return;
          run.shared_result = status;
          if (sink_ != nullptr) sink_->wake();
        });
      });
  // Those that wait for the lane would wait for this transaction.
  if (transaction_.writing()) static_cast<rowstore::RowStore&>(database_->rows()).checkpoint_beside_writer();
  return false;
}

// VACUUM gives free pages at the end of the file back and makes statistics, ANALYZE makes statistics: a
// writing transaction like any other. True when it is done.
Result<bool> PgSession::maintain(Run& run) {
  const PgQuery__VacuumStmt& statement = *run.statement->node->vacuum_stmt;
  const bool vacuum = statement.is_vacuumcmd != 0;
  const std::string_view name = vacuum ? "VACUUM" : "ANALYZE";
  if (vacuum && !transaction_.waits()) BOP_TRY(refuse_in_block("VACUUM"));
  bool analyze = !vacuum;
  bool verbose = false;
  bool full = false;
  bool parallel = false;
  std::vector<std::string_view> ignored;
  for (const pg::Node* item : BOP_PG_LIST(&statement, options)) {
    const std::string_view option = pg::text(item->def_elem->defname);
    if (option == "analyze" && vacuum) {
      BOP_LET(on, flag_of(*item->def_elem));
      analyze = on;
    } else if (option == "verbose") {
      BOP_LET(on, flag_of(*item->def_elem));
      verbose = on;
    } else if (option == "skip_locked" ||
               (vacuum && std::ranges::find(kWithoutEffect, option) != kWithoutEffect.end())) {
      BOP_TRY(check_ignored(*item->def_elem));
      full |= option == "full";
      parallel |= option == "parallel" && item->def_elem->arg->integer->ival > 0;
      ignored.push_back(option);
    } else {
      return std::unexpected(error(ErrorCode::kSyntaxError, "unrecognized {} option \"{}\"", name, option)
                                 .at(run.statement->position(item->def_elem->location)));
    }
  }
  ensure_transaction();
  if (transaction_.read_only()) {
    return fail(ErrorCode::kReadOnlyTransaction, "cannot execute {} in a read-only transaction", name);
  }
  if (full && parallel) {
    return fail(ErrorCode::kNotImplemented, "VACUUM FULL cannot be performed in parallel");
  }
  BOP_LET(ready, transaction_.want_writer());
  if (!ready) return false;
  // Once, however often it had to wait.
  for (const std::string_view option : ignored) {
    notice(Severity::kNotice,
           error(ErrorCode::kNotImplemented, "{} option \"{}\" is accepted and has no effect", name, option));
  }

  const auto now = catalog();
  const bool owns_all = owns_database();
  std::vector<std::string> tables;
  for (const pg::Node* item : BOP_PG_LIST(&statement, rels)) {
    const PgQuery__VacuumRelation& part = *item->vacuum_relation;
    const PgQuery__RangeVar& relation = *part.relation;
    if (part.n_va_cols > 0 && !analyze) {
      return fail(ErrorCode::kNotImplemented,
                  "ANALYZE option must be specified when a column list is provided");
    }
    BOP_LET(found, find_relation(relation));
    const auto table = now->relation(found.oid);
    const bool is_table = table && table->kind == 'r' && !table->is_virtual();
    if (!is_table || (!owns_all && !who_->has_rights_of(table->owner))) {
      const std::string_view verb = vacuum ? "vacuum" : "analyze";
      const std::string why = is_table ? fmt::format("only table or database owner can {} it", verb)
                                       : fmt::format("cannot {} non-tables or special system tables", verb);
      notice(Severity::kWarning, error(ErrorCode::kWarning, "skipping \"{}\" --- {}", relation.relname, why));
      continue;
    }
    for (const pg::Node* column : BOP_PG_LIST(&part, va_cols)) {
      if (table->find_column(pg::string_of(column)) == nullptr) {
        return fail(ErrorCode::kUndefinedColumn, "column \"{}\" of relation \"{}\" does not exist",
                    pg::string_of(column), table->name);
      }
    }
    tables.push_back(sql::table_name(found.oid));
  }
  const bool all = BOP_PG_LIST(&statement, rels).size() == 0;
  if (all && !owns_all) {
    for (const auto& [oid, table] : now->relations()) {
      if (table->kind == 'r' && !table->is_virtual() && who_->has_rights_of(table->owner)) {
        tables.push_back(sql::table_name(oid));
      }
    }
  }
  auto& rows = static_cast<rowstore::RowStore&>(database_->rows());
  rowstore::Connection& writer = transaction_.connection();
  // Free pages are the database's: whoever may vacuum one of its tables gives them back.
  if (vacuum && ((all && owns_all) || !tables.empty())) {
    BOP_LET(freed, rows.incremental_vacuum(writer, kMostPagesFreed));
    if (verbose) {
      notice(Severity::kInfo,
             error(ErrorCode::kNotice, "{} free pages of the database were given back", freed));
    }
    if (freed == kMostPagesFreed) {
      notice(Severity::kNotice,
             error(ErrorCode::kNotice, "{} pages were given back; the next VACUUM goes on", freed));
    }
  }
  if (analyze && ((all && owns_all) || !tables.empty())) BOP_TRY(rows.analyze(writer, tables));
  return true;
}

}  // namespace bop::session
