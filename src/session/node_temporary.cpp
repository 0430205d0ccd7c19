// Temporary schemas whose sessions are gone (sql/catalog/temporary.hpp).
#include "base/log.hpp"
#include "raft/group.hpp"
#include "session/node.hpp"
#include "sql/catalog/temporary.hpp"
#include "sql/ddl/ddl.hpp"

namespace bop::session {

namespace {

rowstore::RowStore& rows_of(database::Database& database) {
  return static_cast<rowstore::RowStore&>(database.rows());
}

// In the writer lane. The CSN of the commit; none: there was nothing to drop.
Result<std::optional<Csn>> drop_schema(database::Database& database, const std::string& schema) {
  BOP_LET(writer, rows_of(database).writer());
  BOP_LET(tip, writer->begin_write());
  const auto catalog = std::static_pointer_cast<const sql::Catalog>(database.attachment_at(tip));
  if (!catalog || catalog->schema(std::string_view(schema)) == nullptr) {
    writer->rollback();
    return std::nullopt;
  }
  const auto run = [&]() -> Result<sql::DdlOutcome> {
    BOP_LET(statements, sql::parse("DROP SCHEMA " + sql::quote_name(schema) + " CASCADE"));
    sql::DdlContext context;
    context.bind.catalog = catalog;
    return sql::execute_ddl(statements.front(), context, writer->handle());
  };
  auto dropped = run();
  if (!dropped) {
    writer->rollback();
    return std::unexpected(dropped.error());
  }
  writer->on_commit(
      [&database, next = dropped->catalog](Csn csn) { database.publish_attachment(csn, next); });
  BOP_LET(csn, writer->commit());
  for (const Oid sequence : dropped->dropped_sequences) (void)database.sequences().drop(sequence);
  return csn;
}

}  // namespace

Status Node::drop_left_temporary(database::Database& database) {
  const auto catalog =
      std::static_pointer_cast<const sql::Catalog>(database.attachment_at(rows_of(database).tip()));
  if (!catalog) return {};
  for (const auto& [oid, schema] : catalog->schemas()) {
    if (!sql::is_temporary_schema(schema->name)) continue;
    BOP_LET(csn, drop_schema(database, schema->name));
    if (csn) BOP_TRY(group_.wait_committed(*csn));
  }
  return {};
}

void Node::drop_temporary(const std::shared_ptr<database::Database>& database, std::string schema,
                          Executor& executor) {
  {
    const std::lock_guard lock(mutex_);
    ++shared_changes_;  // a node that stops waits for these as well
  }
  auto ticket = std::make_shared<database::WriterLane::Ticket>(0);
  auto run = [this, database, schema = std::move(schema), ticket](Status entered) {
    if (entered) {
      if (const auto dropped = drop_schema(*database, schema); !dropped) {
        log_error("temporary tables of a session that ended stay until the next start", dropped.error());
      }
      database->lane().leave(*ticket);
    }
    end_shared_change();
  };
  const auto entered = database->lane().enter(
      {.session = 0, .description = "temporary tables", .timeout = std::nullopt, .evict = {}}, executor, run);
  *ticket = entered.ticket;
  if (entered.granted) run({});
}

}  // namespace bop::session
