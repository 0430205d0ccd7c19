// Constraints that are looked at later than their rows are stored: SET CONSTRAINTS, and rows that wait.
#include <sqlite3.h>

#include <algorithm>

#include "session/pg_session.hpp"
#include "sql/pending_rows.hpp"
#include "sql/tree.hpp"

namespace bop::session {

namespace pg = sql::pg;

sql::IsDeferred PgSession::waits_for_commit() const {
  return [this](const sql::Constraint& constraint) { return transaction_.is_deferred(constraint); };
}

Status PgSession::make_guards(Run& run, const sql::Plan& plan) {
  functions_.pending_rows.clear();
  // A failure takes them away with the transaction, or back to its savepoint.
  for (const sql::Guard& guard : plan.guards) BOP_TRY(run.connection->execute(guard.sql));
  return {};
}

// What they have found is looked at, or kept.
Status PgSession::end_guards(Run& run, const sql::Plan& plan) {
  for (const sql::Guard& guard : plan.guards) {
    BOP_TRY(run.connection->execute(fmt::format("DROP TRIGGER temp.{}", guard.name)));
  }
  for (const sql::PendingRow& row : std::exchange(functions_.pending_rows, {})) {
    const auto table = plan.catalog->relation(row.table);
    const auto key = std::ranges::find(table->constraints, row.constraint, &sql::Constraint::oid);
    if (transaction_.is_deferred(*key)) {
      transaction_.add_pending(row);
      continue;
    }
    if (Status held = sql::check_pending_row(*plan.catalog, run.connection->handle(), row); !held) {
      return std::unexpected(without_rows(*plan.catalog, row.table, held.error()));
    }
  }
  return {};
}

// ALTER TABLE and TRUNCATE give rows other numbers, or take them away unseen.
Status PgSession::refuse_if_pending(std::string_view command, Oid table) const {
  const auto& pending = transaction_.pending();
  if (std::ranges::none_of(pending, [&](const sql::PendingRow& row) { return row.table == table; }))
    return {};
  return fail(ErrorCode::kObjectInUse, "cannot {} \"{}\" because it has pending trigger events", command,
              catalog()->relation(table)->name);
}

namespace {

struct Found {
  std::vector<Oid> oids;  // of those that can be deferred
  bool any = false;
};

// The constraints of that name in a schema; several tables may have one each.
Result<Found> constraints_named(const sql::Catalog& catalog, Oid schema, std::string_view name,
                                bool deferred) {
  Found found;
  for (const auto& [oid, table] : catalog.relations()) {
    if (table->schema != schema) continue;
    const sql::Constraint* constraint = table->find_constraint(name);
    if (constraint == nullptr) continue;
    found.any = true;
    if (constraint->deferrable) {
      found.oids.push_back(constraint->oid);
    } else if (deferred) {
      return fail(ErrorCode::kWrongObjectType, "constraint \"{}\" is not deferrable", name);
    }
  }
  return found;
}

}  // namespace

Status PgSession::set_constraints(const sql::ParsedStatement& statement) {
  const PgQuery__ConstraintsSetStmt& set = *statement.node->constraints_set_stmt;
  if (!in_block_ && nested_ == 0) {
    notice(Severity::kWarning,
           Error(ErrorCode::kNoActiveTransaction, "SET CONSTRAINTS can only be used in transaction blocks"));
  }
  const bool deferred = set.deferred != 0;
  const auto now = catalog();
  if (set.n_constraints == 0) transaction_.defer_all(deferred);
  for (const pg::Node* node : BOP_PG_LIST(&set, constraints)) {
    const PgQuery__RangeVar& name = *node->range_var;
    if (const std::string_view database = pg::text(name.catalogname);
        !database.empty() && database != entry_.name) {
      return fail(ErrorCode::kNotImplemented, "cross-database references are not implemented: \"{}.{}.{}\"",
                  database, name.schemaname, name.relname);
    }
    std::vector<std::string> schemas;
    if (!pg::text(name.schemaname).empty()) {
      schemas.emplace_back(pg::text(name.schemaname));
      BOP_TRY(may_look_in(name.schemaname));
      if (now->schema(schemas.front()) == nullptr) {
        return fail(ErrorCode::kUndefinedSchema, "schema \"{}\" does not exist", schemas.front());
      }
    } else {
      schemas = usable_path(*now);
    }
    Found found;
    for (const std::string& schema : schemas) {
      const sql::Schema* known = now->schema(schema);
      if (known == nullptr || found.any) continue;
      BOP_LET(there, constraints_named(*now, known->oid, pg::text(name.relname), deferred));
      found = std::move(there);
    }
    if (!found.any) {
      return fail(ErrorCode::kUndefinedObject, "constraint \"{}\" does not exist", name.relname);
    }
    for (const Oid constraint : found.oids) transaction_.defer(constraint, deferred);
  }
  return deferred ? Status{} : check_waiting();
}

// What is not deferred any more.
Status PgSession::check_waiting() {
  if (!transaction_.writing()) return {};
  const auto now = catalog();
  sqlite3* connection = transaction_.connection().handle();
  for (const sql::PendingRow& row : transaction_.pending()) {
    const auto table = now->relation(row.table);
    if (!table) continue;
    const auto key = std::ranges::find(table->constraints, row.constraint, &sql::Constraint::oid);
    if (key == table->constraints.end() || transaction_.is_deferred(*key)) continue;
    if (Status held = sql::check_pending_row(*now, connection, row); !held) {
      return std::unexpected(without_rows(*now, row.table, held.error()));
    }
  }
  int current = 0;
  int highest = 0;
  sqlite3_db_status(connection, SQLITE_DBSTATUS_DEFERRED_FKS, &current, &highest, 0);
  if (current == 0) return {};
  const std::vector<Oid> tables(transaction_.changed_tables().begin(), transaction_.changed_tables().end());
  if (Status held = sql::check_foreign_keys(*now, connection, tables, waits_for_commit()); !held) {
    return std::unexpected(without_rows(*now, held.error()));
  }
  return {};
}

}  // namespace bop::session
