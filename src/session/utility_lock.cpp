// LOCK TABLE. The writer lane is the only lock there is, and excludes all other writers.
#include "session/pg_session.hpp"
#include "sql/tree.hpp"

namespace bop::session {

namespace pg = sql::pg;

namespace {

// The weakest of PostgreSQL's lock modes, in the numbers that the grammar gives.
constexpr int kAccessShare = 1;
constexpr int kRowExclusive = 3;

Status check_lockable(const PgQuery__RangeVar& name, const sql::Catalog& catalog,
                      std::span<const std::string> path, const sql::Identity& who, int mode) {
  const std::string_view schema = pg::text(name.schemaname);
  if (!schema.empty() && catalog.schema(schema) == nullptr) {
    return fail(ErrorCode::kUndefinedSchema, "schema \"{}\" does not exist", schema);
  }
  BOP_TRY(sql::may_look_in(catalog, schema, &who));
  const auto found = catalog.find(path, schema, pg::text(name.relname));
  if (!found) {
    return fail(ErrorCode::kUndefinedTable, "relation \"{}{}{}\" does not exist", schema,
                schema.empty() ? "" : ".", name.relname);
  }
  const auto relation = catalog.relation(found.oid);
  if (!relation) {
    return std::unexpected(error(ErrorCode::kWrongObjectType, "cannot lock relation \"{}\"", name.relname)
                               .detail(fmt::format("This operation is not supported for {}.",
                                                   catalog.sequence(found.oid) ? "sequences" : "indexes")));
  }
  namespace right = sql::right;
  constexpr sql::Rights kOfRemoval = right::kUpdate | right::kDelete | right::kTruncate;
  const sql::Rights any = mode == kAccessShare    ? right::kSelect
                          : mode == kRowExclusive ? kOfRemoval | right::kInsert
                                                  : kOfRemoval;
  if (sql::held_on(*relation, who, any) != 0) return {};
  return std::unexpected(sql::permission_denied(*relation));
}

}  // namespace

// ACCESS SHARE keeps others from taking a table away that is read; snapshots do that. It takes no
// lane.
Result<bool> PgSession::lock_tables(const sql::ParsedStatement& statement) {
  if (!in_block_ && nested_ == 0) {
    return fail(ErrorCode::kNoActiveTransaction, "LOCK TABLE can only be used in transaction blocks");
  }
  const PgQuery__LockStmt& lock = *statement.node->lock_stmt;
  const auto check_all = [&]() -> Status {
    const auto now = catalog();
    for (const pg::Node* item : BOP_PG_LIST(&lock, relations)) {
      BOP_TRY(check_lockable(*item->range_var, *now, usable_path(*now), *who_, lock.mode));
    }
    return {};
  };
  BOP_TRY(check_all());
  if (lock.mode == kAccessShare) return true;
  auto ready = transaction_.want_writer(lock.nowait != 0);
  if (!ready && lock.nowait != 0 && ready.error().code() == ErrorCode::kLockNotAvailable) {
    return fail(ErrorCode::kLockNotAvailable, "could not obtain lock on relation \"{}\"",
                (*BOP_PG_LIST(&lock, relations).begin())->range_var->relname);
  }
  if (ready && *ready) BOP_TRY(check_all());  // with what others committed meanwhile
  return ready;
}

}  // namespace bop::session
