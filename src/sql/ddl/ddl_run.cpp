#include "sql/ddl/ddl_run.hpp"

#include <sqlite3.h>

#include "sql/functions/kernels.hpp"

namespace bop::sql {

Result<DdlOutcome> execute_ddl(const ParsedStatementPtr& statement, const DdlContext& context,
                               sqlite3* writer) {
  return DdlRun(statement, context, writer).execute();
}

Result<DdlOutcome> DdlRun::execute() {
  const pg::Node& node = *statement_->node;
  outcome_.tag = std::string(statement_->command);
  if (Status done = apply(node); !done) return std::unexpected(done.error());
  BOP_TRY(edit_.store(db_));
  outcome_.catalog = edit_.finish();
  return std::move(outcome_);
}

Status DdlRun::apply(const pg::Node& node) {
  switch (node.node_case) {
    case PG_QUERY__NODE__NODE_CREATE_STMT: return create_table(*node.create_stmt);
    case PG_QUERY__NODE__NODE_CREATE_TABLE_AS_STMT: return create_table_as(*node.create_table_as_stmt);
    case PG_QUERY__NODE__NODE_SELECT_STMT: return select_into(*node.select_stmt);
    case PG_QUERY__NODE__NODE_INDEX_STMT: return create_index(*node.index_stmt);
    case PG_QUERY__NODE__NODE_VIEW_STMT: return create_view(*node.view_stmt);
    case PG_QUERY__NODE__NODE_CREATE_SCHEMA_STMT: return create_schema(*node.create_schema_stmt);
    case PG_QUERY__NODE__NODE_CREATE_SEQ_STMT: return create_sequence(*node.create_seq_stmt);
    case PG_QUERY__NODE__NODE_ALTER_SEQ_STMT: return alter_sequence(*node.alter_seq_stmt);
    case PG_QUERY__NODE__NODE_ALTER_TABLE_STMT: return alter_table(*node.alter_table_stmt);
    case PG_QUERY__NODE__NODE_DROP_STMT: return drop(*node.drop_stmt);
    case PG_QUERY__NODE__NODE_TRUNCATE_STMT: return truncate(*node.truncate_stmt);
    case PG_QUERY__NODE__NODE_RENAME_STMT: return rename(*node.rename_stmt);
    case PG_QUERY__NODE__NODE_ALTER_OBJECT_SCHEMA_STMT: return set_schema(*node.alter_object_schema_stmt);
    case PG_QUERY__NODE__NODE_ALTER_OWNER_STMT: return set_owner(*node.alter_owner_stmt);
    case PG_QUERY__NODE__NODE_COMMENT_STMT: return comment(*node.comment_stmt);
    case PG_QUERY__NODE__NODE_GRANT_STMT: return grant(*node.grant_stmt);
    case PG_QUERY__NODE__NODE_CREATE_FUNCTION_STMT: return create_function(*node.create_function_stmt);
    case PG_QUERY__NODE__NODE_ALTER_FUNCTION_STMT: return alter_function(*node.alter_function_stmt);
    case PG_QUERY__NODE__NODE_CREATE_DOMAIN_STMT: return create_domain(*node.create_domain_stmt);
    case PG_QUERY__NODE__NODE_ALTER_DOMAIN_STMT: return alter_domain(*node.alter_domain_stmt);
    case PG_QUERY__NODE__NODE_CREATE_ENUM_STMT: return create_enum(*node.create_enum_stmt);
    case PG_QUERY__NODE__NODE_ALTER_ENUM_STMT: return alter_enum(*node.alter_enum_stmt);
    case PG_QUERY__NODE__NODE_ALTER_DEFAULT_PRIVILEGES_STMT:
      return alter_default_privileges(*node.alter_default_privileges_stmt);
    case PG_QUERY__NODE__NODE_REINDEX_STMT: return reindex(*node.reindex_stmt);
    default: return fail(ErrorCode::kNotImplemented, "{} is not implemented", statement_->command);
  }
}

BindContext DdlRun::bind_now() const {
  BindContext context = context_.bind;
  context.catalog = std::make_shared<const Catalog>(edit_.now());
  return context;
}

Error DdlRun::sqlite_error(std::string_view doing) const {
  if (context_.functions != nullptr && context_.functions->error) {
    return *std::exchange(context_.functions->error, std::nullopt);
  }
  const int code = sqlite3_errcode(db_) & 0xff;
  const ErrorCode kind = code == SQLITE_FULL     ? ErrorCode::kDiskFull
                         : code == SQLITE_TOOBIG ? ErrorCode::kProgramLimitExceeded
                         : code == SQLITE_IOERR  ? ErrorCode::kIo
                                                 : ErrorCode::kInternal;
  return error(kind, "{}: {}", doing, sqlite3_errmsg(db_));
}

Status DdlRun::run(const std::string& sql) {
  if (sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) {
    return std::unexpected(sqlite_error(sql.substr(0, 200)));
  }
  return {};
}

Result<std::optional<std::string>> DdlRun::first(const std::string& sql) {
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v2(db_, sql.c_str(), -1, &statement, nullptr) != SQLITE_OK) {
    return std::unexpected(sqlite_error(sql.substr(0, 200)));
  }
  const std::unique_ptr<sqlite3_stmt, int (*)(sqlite3_stmt*)> finalizer(statement, &sqlite3_finalize);
  const int code = sqlite3_step(statement);
  if (code == SQLITE_DONE) return std::nullopt;
  if (code != SQLITE_ROW) return std::unexpected(sqlite_error(sql.substr(0, 200)));
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement, 0));
  return std::optional<std::string>(text == nullptr ? "" : text);
}

}  // namespace bop::sql
