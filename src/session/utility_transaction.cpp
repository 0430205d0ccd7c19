// BEGIN, COMMIT, ROLLBACK and savepoints.
#include "session/pg_session.hpp"
#include "sql/tree.hpp"

namespace bop::session {

namespace pg = sql::pg;

namespace {

std::string constant(const pg::Node* node) {
  if (node == nullptr || node->node_case != PG_QUERY__NODE__NODE_A_CONST) return {};
  if (node->a_const->val_case == PG_QUERY__A__CONST__VAL_SVAL) return node->a_const->sval->sval;
  if (node->a_const->val_case == PG_QUERY__A__CONST__VAL_IVAL)
    return std::to_string(node->a_const->ival->ival);
  return {};
}

std::unexpected<Error> aborted() {
  return fail(ErrorCode::kInFailedTransaction,
              "current transaction is aborted, commands ignored until end of transaction block");
}

}  // namespace

Status PgSession::need_block(std::string_view command) const {
  if (in_block_) return {};
  return fail(ErrorCode::kNoActiveTransaction, "{} can only be used in transaction blocks", command);
}

Result<Progress> PgSession::step_transaction(Run& run) {
  const PgQuery__TransactionStmt& statement = *run.statement->node->transaction_stmt;
  run.tag = std::string(run.statement->command);
  const std::string name(pg::text(statement.savepoint_name));
  // AND CHAIN begins the next block with the characteristics of the one that ends.
  constexpr std::string_view kCharacteristics[] = {"transaction_isolation", "transaction_read_only",
                                                   "transaction_deferrable"};
  std::vector<std::string> chained;
  if (statement.chain != 0) {
    BOP_TRY(need_block(statement.kind == PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_COMMIT
                           ? "COMMIT AND CHAIN"
                           : "ROLLBACK AND CHAIN"));
    for (const std::string_view variable : kCharacteristics) chained.push_back(variables_.get(variable));
  }
  switch (statement.kind) {
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_BEGIN:
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_START: {
      if (failed_) return aborted();
      if (in_block_) {
        notice(Severity::kWarning,
               Error(ErrorCode::kActiveTransaction, "there is already a transaction in progress"));
        break;
      }
      ensure_transaction();
      in_block_ = true;
      for (const pg::Node* item : BOP_PG_LIST(&statement, options)) {
        const PgQuery__DefElem& option = *item->def_elem;
        std::string value = constant(option.arg);
        if (pg::text(option.defname) != "transaction_isolation") value = value == "0" ? "off" : "on";
        BOP_LET(changed, variables_.set(pg::text(option.defname), value, true));
        (void)changed;
      }
      refresh_settings();
      break;
    }
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_COMMIT: {
      if (!in_block_) {
        notice(Severity::kWarning,
               Error(ErrorCode::kNoActiveTransaction, "there is no transaction in progress"));
        if (transaction_.active()) BOP_TRY(commit_now(run));
        break;
      }
      const bool failed = failed_;
      evicted_.reset();
      in_block_ = false;
      failed_ = false;
      if (failed) {
        drop_portals();
        transaction_.rollback();
        end_of_transaction();
        variables_.rollback();
        run.tag = "ROLLBACK";
      } else {
        BOP_TRY(commit_now(run));
      }
      end_block();
      break;
    }
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_ROLLBACK:
      if (!in_block_) {
        notice(Severity::kWarning,
               Error(ErrorCode::kNoActiveTransaction, "there is no transaction in progress"));
      }
      evicted_.reset();
      drop_portals();
      transaction_.rollback();
      end_of_transaction();
      variables_.rollback();
      end_block();
      break;
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_SAVEPOINT:
      BOP_TRY(need_block("SAVEPOINT"));
      if (failed_) return aborted();
      BOP_TRY(begin_savepoint(name));
      return Progress::kDone;
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_RELEASE:
      BOP_TRY(need_block("RELEASE SAVEPOINT"));
      if (failed_) return aborted();
      BOP_TRY(transaction_.release_savepoint(name));
      return Progress::kDone;
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_ROLLBACK_TO: {
      BOP_TRY(need_block("ROLLBACK TO SAVEPOINT"));
      if (evicted_ || !transaction_.active()) return aborted();
      BOP_TRY(undo_to(name));
      failed_ = false;
      return Progress::kDone;
    }
    default:
      return fail(ErrorCode::kNotImplemented, "two-phase commit (PREPARE TRANSACTION) is not implemented");
  }
  if (statement.chain != 0) {
    if (in_block_) return fail(ErrorCode::kInternal, "the block did not end");
    ensure_transaction();
    in_block_ = true;
    for (std::size_t i = 0; i < chained.size(); ++i) {
      BOP_TRY(variables_.set(kCharacteristics[i], chained[i], true));
    }
    refresh_settings();
  }
  return Progress::kDone;
}

}  // namespace bop::session
