// The session's side of temporary relations (sql/catalog/temporary.hpp).
#include <algorithm>

#include "session/pg_session.hpp"
#include "sql/catalog/temporary.hpp"
#include "sql/statement_kind.hpp"
#include "sql/tree.hpp"

namespace bop::session {

namespace pg = sql::pg;

namespace {

const PgQuery__RangeVar* created_relation(const pg::Node& node) {
  switch (node.node_case) {
    case PG_QUERY__NODE__NODE_CREATE_STMT: return node.create_stmt->relation;
    case PG_QUERY__NODE__NODE_CREATE_TABLE_AS_STMT: return node.create_table_as_stmt->into->rel;
    case PG_QUERY__NODE__NODE_VIEW_STMT: return node.view_stmt->view;
    case PG_QUERY__NODE__NODE_CREATE_SEQ_STMT: return node.create_seq_stmt->sequence;
    case PG_QUERY__NODE__NODE_SELECT_STMT:
      if (const PgQuery__IntoClause* into = sql::select_into(*node.select_stmt); into != nullptr)
        return into->rel;
      return nullptr;
    default: return nullptr;
  }
}

bool has_option(const sql::Relation& relation, std::string_view option) {
  return std::ranges::find(relation.options, option) != relation.options.end();
}

}  // namespace

std::string PgSession::temporary_name() const { return fmt::format("{}{}", sql::kTemporaryPrefix, pid_); }

// From its first temporary relation on the session has its schema in its path.
void PgSession::notice_temporary(const sql::ParsedStatement& statement) {
  const PgQuery__RangeVar* relation = created_relation(*statement.node);
  if (has_temporary_ || relation == nullptr) return;
  if (pg::text(relation->relpersistence) != "t" && pg::text(relation->schemaname) != sql::kTemporaryAlias)
    return;
  has_temporary_ = true;
  refresh_settings();
}

// Inside the transaction that is about to be committed.
Status PgSession::obey_on_commit() {
  if (!has_temporary_ || !transaction_.writing()) return {};
  const auto now = catalog();
  const sql::Schema* own = now->schema(std::string_view(temporary_name()));
  if (own == nullptr) return {};
  std::string dropped;
  for (const auto& [oid, relation] : now->relations()) {
    if (relation->schema != own->oid) continue;
    if (has_option(*relation, sql::kOnCommitDelete)) {
      BOP_TRY(transaction_.connection().execute(fmt::format("DELETE FROM {}", sql::table_name(oid))));
      transaction_.table_changed(oid);
    } else if (has_option(*relation, sql::kOnCommitDrop)) {
      dropped +=
          fmt::format("{}{}.{}", dropped.empty() ? "" : ", ", own->name, sql::quote_name(relation->name));
    }
  }
  return dropped.empty() ? Status{} : apply_internally("DROP TABLE " + dropped + " CASCADE");
}

// DISCARD TEMP. False: it waits for the writer lane.
Result<bool> PgSession::discard_temporary() {
  ensure_transaction();
  if (!has_temporary_ || catalog()->schema(std::string_view(temporary_name())) == nullptr) return true;
  BOP_LET(ready, transaction_.want_writer());
  if (!ready) return false;
  BOP_TRY(settle_portals());
  BOP_TRY(apply_internally(fmt::format("DROP SCHEMA {} CASCADE", temporary_name())));
  return true;
}

Status PgSession::apply_internally(const std::string& text) {
  BOP_LET(statements, sql::parse(text));
  BOP_TRY(apply_ddl(statements.front(), true));
  return {};
}

}  // namespace bop::session
