// Utility statements: SET and SHOW, PREPARE and EXECUTE, DISCARD, DDL, maintenance.
#include <sqlite3.h>

#include <algorithm>

#include "base/assert.hpp"
#include "session/pg_session.hpp"
#include "sql/ddl/ddl.hpp"
#include "sql/sqlite_value.hpp"
#include "sql/tree.hpp"

namespace bop::session {

namespace pg = sql::pg;

namespace {

// The text of one value of SET: a constant, or a type-cast interval constant (SET TIME ZONE INTERVAL ...).
Result<std::string> constant_text(const pg::Node* node) {
  if (node->node_case == PG_QUERY__NODE__NODE_TYPE_CAST) return constant_text(node->type_cast->arg);
  if (node->node_case != PG_QUERY__NODE__NODE_A_CONST) {
    return fail(ErrorCode::kNotImplemented, "this form of SET value is not implemented");
  }
  const PgQuery__AConst& constant = *node->a_const;
  switch (constant.val_case) {
    case PG_QUERY__A__CONST__VAL_IVAL: return std::to_string(constant.ival->ival);
    case PG_QUERY__A__CONST__VAL_FVAL: return std::string(constant.fval->fval);
    case PG_QUERY__A__CONST__VAL_BOOLVAL: return std::string(constant.boolval->boolval != 0 ? "on" : "off");
    case PG_QUERY__A__CONST__VAL_SVAL: return std::string(constant.sval->sval);
    default: return fail(ErrorCode::kNotImplemented, "this form of SET value is not implemented");
  }
}

std::string variable_name(std::string_view name) {
  if (name == "timezone") return "TimeZone";
  return std::string(name);
}

// A name in a list: quoted when reading it back would fold or split it.
std::string list_item(std::string_view text) {
  const bool plain = !text.empty() && std::ranges::all_of(text, [](unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
  return plain ? std::string(text) : sql::quote_name(text);
}

}  // namespace

bool PgSession::utility_needs_writer(const sql::ParsedStatement& statement) const {
  return statement.kind == sql::StatementKind::kDdl || statement.kind == sql::StatementKind::kLock;
}

Result<Progress> PgSession::step_utility(Run& run) {
  using sql::StatementKind;
  const sql::ParsedStatement& statement = *run.statement;
  if (run.stage == Run::Stage::kStart) run.tag = std::string(statement.command);
  switch (statement.kind) {
    case StatementKind::kSet:
      ensure_transaction();
      BOP_TRY(set_variable(statement));
      break;
    case StatementKind::kShow: BOP_TRY(answer_show(run)); break;
    case StatementKind::kPrepare: BOP_TRY(prepare_sql(run.statement)); break;
    case StatementKind::kExecute: BOP_TRY(start_execute_sql(run)); return step(run);
    case StatementKind::kDeallocate: BOP_TRY(deallocate(statement)); break;
    case StatementKind::kDiscard: {
      const auto target = statement.node->discard_stmt->target;
      if (target == PG_QUERY__DISCARD_MODE__DISCARD_ALL && run.stage == Run::Stage::kStart &&
          !transaction_.active()) {
        BOP_TRY(refuse_in_block("DISCARD ALL"));
        drop_portals();
      }
      if (target == PG_QUERY__DISCARD_MODE__DISCARD_ALL || target == PG_QUERY__DISCARD_MODE__DISCARD_TEMP) {
        BOP_LET(ready, discard_temporary());
        if (!ready) return Progress::kWaiting;
      }
      BOP_TRY(discard(statement));
      break;
    }
    case StatementKind::kCopy: {
      BOP_LET(progress, step_copy(run));
      if (progress != Progress::kDone) return progress;
      break;
    }
    case StatementKind::kListen:
    case StatementKind::kNotify:
    case StatementKind::kUnlisten: BOP_TRY(step_notify(statement)); break;
    case StatementKind::kConstraintsSet:
      ensure_transaction();
      BOP_TRY(set_constraints(statement));
      break;
    case StatementKind::kDeclareCursor: {
      ensure_transaction();
      BOP_LET(declared, declare_cursor(run));
      if (!declared) return Progress::kWaiting;
      break;
    }
    case StatementKind::kFetch: {
      BOP_LET(progress, fetch(run));
      if (progress != Progress::kDone) return progress;
      break;
    }
    case StatementKind::kClosePortal: BOP_TRY(close_cursor(statement)); break;
    case StatementKind::kCheckpoint: {
      BOP_LET(done, checkpoint(run));
      if (!done) return Progress::kWaiting;
      break;
    }
    case StatementKind::kLock: {
      BOP_LET(ready, lock_tables(statement));
      if (!ready) return Progress::kWaiting;
      break;
    }
    case StatementKind::kSelect:  // INTO
    case StatementKind::kDdl:
    case StatementKind::kOther: {
      const pg::Node& node = *statement.node;
      const bool on_database = node.node_case == PG_QUERY__NODE__NODE_GRANT_STMT &&
                               node.grant_stmt->objtype == PG_QUERY__OBJECT_TYPE__OBJECT_DATABASE;
      switch (on_database ? PG_QUERY__NODE__NODE_GRANT_ROLE_STMT : node.node_case) {
        case PG_QUERY__NODE__NODE_VACUUM_STMT: {
          BOP_LET(done, maintain(run));
          if (!done) return Progress::kWaiting;
          break;
        }
        case PG_QUERY__NODE__NODE_DO_STMT: {
          BOP_LET(progress, step_do(run));
          if (progress != Progress::kDone) return progress;
          break;
        }
        case PG_QUERY__NODE__NODE_CREATEDB_STMT:
        case PG_QUERY__NODE__NODE_DROPDB_STMT:
        case PG_QUERY__NODE__NODE_CREATE_ROLE_STMT:
        case PG_QUERY__NODE__NODE_ALTER_ROLE_STMT:
        case PG_QUERY__NODE__NODE_ALTER_ROLE_SET_STMT:
        case PG_QUERY__NODE__NODE_ALTER_DATABASE_SET_STMT:
        case PG_QUERY__NODE__NODE_DROP_ROLE_STMT:
        case PG_QUERY__NODE__NODE_GRANT_ROLE_STMT:
          if (!run.shared_result) {
            if (run.stage != Run::Stage::kWaitShared) BOP_TRY(start_shared_change(run));
            if (!run.shared_result) return Progress::kWaiting;
          }
          BOP_TRY(*run.shared_result);
          if (run.shared_notices) {
            for (const auto& [warning, what] : *run.shared_notices) {
              notice(warning ? Severity::kWarning : Severity::kNotice, what);
            }
          }
          break;
        default:
          ensure_transaction();
          if (transaction_.read_only()) {
            return fail(ErrorCode::kReadOnlyTransaction, "cannot execute {} in a read-only transaction",
                        statement.command);
          }
          BOP_LET(ready, transaction_.want_writer());
          if (!ready) return Progress::kWaiting;
          BOP_TRY(refuse_if_read(statement, nullptr));
          BOP_TRY(settle_portals());
          BOP_TRY(run_ddl(run));
      }
      break;
    }
    default: return fail(ErrorCode::kNotImplemented, "{} is not implemented", statement.command);
  }
  run.stage = Run::Stage::kEnd;
  return end_statement(run);
}

// ------------------------------------------------------------------------------------------------ SET and
// SHOW

Result<std::string> value_of_set(const PgQuery__VariableSetStmt& set) {
  std::string value;
  const bool is_list = variable_name(pg::text(set.name)) == "search_path";
  for (const pg::Node* item : BOP_PG_LIST(&set, args)) {
    BOP_LET(text, constant_text(item));
    if (!value.empty()) value += ", ";
    value += is_list ? list_item(text) : text;
  }
  return value;
}

Status PgSession::set_variable(const sql::ParsedStatement& statement) {
  const PgQuery__VariableSetStmt& set = *statement.node->variable_set_stmt;
  const std::string name = variable_name(pg::text(set.name));
  const bool local = set.is_local != 0;
  if (local && !in_block_ && nested_ == 0) {
    notice(Severity::kWarning,
           Error(ErrorCode::kNoActiveTransaction, "SET LOCAL can only be used in transaction blocks"));
  }
  const auto change = [&](std::string_view variable, std::optional<std::string_view> value) -> Status {
    if (variable == "transaction_isolation" && transaction_.has_snapshot()) {
      return fail(ErrorCode::kActiveTransaction,
                  "SET TRANSACTION ISOLATION LEVEL must be called before any query");
    }
    return assign(variable, value, local);
  };
  switch (set.kind) {
    case PG_QUERY__VARIABLE_SET_KIND__VAR_SET_VALUE: {
      BOP_LET(value, value_of_set(set));
      BOP_TRY(change(name, value));
      break;
    }
    case PG_QUERY__VARIABLE_SET_KIND__VAR_SET_DEFAULT:
    case PG_QUERY__VARIABLE_SET_KIND__VAR_RESET: BOP_TRY(change(name, std::nullopt)); break;
    case PG_QUERY__VARIABLE_SET_KIND__VAR_RESET_ALL: variables_.reset_all(); break;
    case PG_QUERY__VARIABLE_SET_KIND__VAR_SET_MULTI: {
      const bool session = name == "SESSION CHARACTERISTICS";
      if (!session && name != "TRANSACTION") {
        return fail(ErrorCode::kNotImplemented, "SET {} is not implemented", name);
      }
      if (!session && !in_block_) {
        notice(Severity::kWarning, Error(ErrorCode::kNoActiveTransaction,
                                         "SET TRANSACTION can only be used in transaction blocks"));
      }
      for (const pg::Node* item : BOP_PG_LIST(&set, args)) {
        if (item->node_case != PG_QUERY__NODE__NODE_DEF_ELEM) {
          return fail(ErrorCode::kNotImplemented, "this form of SET TRANSACTION is not implemented");
        }
        const PgQuery__DefElem& option = *item->def_elem;
        BOP_LET(text, constant_text(option.arg));
        if (pg::text(option.defname) == "transaction_read_only" ||
            pg::text(option.defname) == "transaction_deferrable") {
          text = text == "0" || text == "off" ? "off" : "on";
        }
        const std::string variable = fmt::format("{}{}", session ? "default_" : "", option.defname);
        if (variable == "transaction_read_only" && text == "off" && transaction_.read_only() &&
            transaction_.has_snapshot()) {
          return fail(ErrorCode::kActiveTransaction,
                      "transaction read-write mode must be set before any query");
        }
        if (session) {
          BOP_TRY(change(variable, text));
        } else {
          if (variable == "transaction_isolation" && transaction_.has_snapshot()) {
            return fail(ErrorCode::kActiveTransaction,
                        "SET TRANSACTION ISOLATION LEVEL must be called before any query");
          }
          BOP_LET(changed, variables_.set(variable, text, true));
          (void)changed;
        }
      }
      break;
    }
    default: return fail(ErrorCode::kNotImplemented, "this form of SET is not implemented");
  }
  refresh_settings();
  return {};
}

Result<std::vector<OutputColumn>> PgSession::utility_columns(const sql::ParsedStatement& statement) const {
  const auto text_column = [](std::string name) {
    return std::vector<OutputColumn>{OutputColumn{.name = std::move(name), .type = 25}};
  };
  if (statement.kind == sql::StatementKind::kShow) {
    const std::string name = variable_name(pg::text(statement.node->variable_show_stmt->name));
    if (name == "all") {
      return std::vector<OutputColumn>{
          {.name = "name", .type = 25}, {.name = "setting", .type = 25}, {.name = "description", .type = 25}};
    }
    const VariableInfo* info = find_variable(name);
    return text_column(info != nullptr ? std::string(info->name) : name);
  }
  if (statement.kind == sql::StatementKind::kExecute) {
    const auto found = prepared_.find(pg::text(statement.node->execute_stmt->name));
    if (found == prepared_.end()) {
      return fail(ErrorCode::kInvalidStatementName, "prepared statement \"{}\" does not exist",
                  statement.node->execute_stmt->name);
    }
    if (found->second.plan && found->second.plan->returns_rows) return found->second.plan->columns;
  }
  if (const Portal* cursor = fetched_cursor(statement)) return cursor->prepared.plan->columns;
  return std::vector<OutputColumn>{};
}

Status PgSession::answer_show(Run& run) {
  const std::string name = variable_name(pg::text(run.statement->node->variable_show_stmt->name));
  run.tag = "SHOW";
  if (name == "all") {
    BOP_LET(columns, utility_columns(*run.statement));
    if (run.describe) sink_->row_description(columns);
    ResultBatch batch(3);
    for (const VariableInfo& info : variable_table()) {
      BOP_LET(value, variables_.show(info.name));
      batch.append(Value::of_text(info.name));
      batch.append(Value::of_text(value));
      batch.append(Value::of_text(info.meaning));
    }
    run.described = true;
    run.held.push_back(std::move(batch));
    return {};
  }
  BOP_LET(value, variables_.show(name));
  const VariableInfo* info = find_variable(name);
  answer_text(run, {.name = info != nullptr ? std::string(info->name) : name, .type = kTextType},
              std::span(&value, 1));
  return {};
}

// ------------------------------------------------------------------------------------------ PREPARE and
// EXECUTE

Status PgSession::prepare_sql(const sql::ParsedStatementPtr& statement) {
  const PgQuery__PrepareStmt& prepare = *statement->node->prepare_stmt;
  const std::string name(pg::text(prepare.name));
  if (prepared_.contains(name)) {
    return fail(ErrorCode::kDuplicatePreparedStatement, "prepared statement \"{}\" already exists", name);
  }
  BOP_TRY(check_prepared_limit());
  Prepared prepared;
  for (const pg::Node* type : BOP_PG_LIST(&prepare, argtypes)) {
    BOP_LET(resolved, sql::resolve_type(type, *statement));
    prepared.hints.push_back(resolved.type);
  }
  prepared.statement = sql::inner_statement(statement, prepare.query);
  prepared.text = statement->text;
  prepared.from_sql = true;
  prepared.made = functions_.codec.statement_timestamp;
  BOP_LET(plan, sql::bind(prepared.statement, bind_context(), prepared.hints));
  prepared.plan = std::move(plan);
  prepared_.emplace(name, std::move(prepared));
  return {};
}

Result<Prepared*> PgSession::prepared_statement(std::string_view name, std::size_t arguments) {
  const auto found = prepared_.find(std::string(name));
  if (found == prepared_.end()) {
    return fail(ErrorCode::kInvalidStatementName, "prepared statement \"{}\" does not exist", name);
  }
  Prepared& prepared = found->second;
  BOP_TRY(refresh(prepared));
  const std::size_t wanted = prepared.plan->parameters.size();
  if (arguments == wanted) return &prepared;
  return std::unexpected(
      error(ErrorCode::kSyntaxError, "wrong number of parameters for prepared statement \"{}\"", name)
          .detail(fmt::format("Expected {} parameters but got {}.", wanted, arguments)));
}

// Each argument is an expression of its own: evaluated as SELECT <argument>, assigned to the parameter's
// type.
Result<std::vector<OwnedValue>> PgSession::execute_arguments(const PgQuery__ExecuteStmt& execute,
                                                             const std::vector<Oid>& types) {
  sqlite3* scratch = nullptr;
  if (sqlite3_open(":memory:", &scratch) != SQLITE_OK) return fail(ErrorCode::kOutOfMemory, "out of memory");
  const std::unique_ptr<sqlite3, int (*)(sqlite3*)> closer(scratch, &sqlite3_close);
  BOP_TRY(register_functions(scratch, &functions_));
  BOP_TRY(sql::register_plan_functions(scratch, &functions_));
  std::vector<OwnedValue> values;
  for (std::size_t i = 0; i < types.size(); ++i) {
    BOP_LET(text, sql::deparse_expression(execute.params[i]));
    BOP_LET(expression, sql::parse_expression(text));
    BOP_LET(bound, sql::bind_expression(expression, nullptr, sql::ExpressionUse::kDefault, bind_context(),
                                        types[i], -1, fmt::format("${}", i + 1)));
    sqlite3_stmt* statement = nullptr;
    const std::string select = "SELECT " + bound.sql;
    if (sqlite3_prepare_v2(scratch, select.c_str(), -1, &statement, nullptr) != SQLITE_OK) {
      return fail(ErrorCode::kNotImplemented, "parameter ${} of EXECUTE cannot be computed: {}", i + 1,
                  sqlite3_errmsg(scratch));
    }
    const std::unique_ptr<sqlite3_stmt, int (*)(sqlite3_stmt*)> finalizer(statement, &sqlite3_finalize);
    if (sqlite3_step(statement) != SQLITE_ROW) {
      if (functions_.error) return std::unexpected(*std::exchange(functions_.error, std::nullopt));
      return fail(ErrorCode::kInternal, "parameter ${} of EXECUTE: {}", i + 1, sqlite3_errmsg(scratch));
    }
    values.emplace_back(sql::column_value(statement, 0));
  }
  return values;
}

// Turns the run of EXECUTE into the run of the prepared statement.
Status PgSession::start_execute_sql(Run& run) {
  const sql::ParsedStatementPtr outer = run.statement;
  const PgQuery__ExecuteStmt& execute = *outer->node->execute_stmt;
  BOP_LET(prepared, prepared_statement(pg::text(execute.name), execute.n_params));
  BOP_LET(values, execute_arguments(execute, prepared->plan->parameters));
  run.statement = prepared->statement;
  run.hints = prepared->plan->parameters;
  run.plan = prepared->plan;
  run.promised = prepared->plan;
  run.parameters = std::move(values);
  run.stage = Run::Stage::kStart;
  run.tag.clear();
  return {};
}

Status PgSession::deallocate(const sql::ParsedStatement& statement) {
  const std::string name(pg::text(statement.node->deallocate_stmt->name));
  if (name.empty()) {
    prepared_.clear();
    return {};
  }
  if (prepared_.erase(name) == 0) {
    return fail(ErrorCode::kInvalidStatementName, "prepared statement \"{}\" does not exist", name);
  }
  return {};
}

Status PgSession::discard(const sql::ParsedStatement& statement) {
  switch (statement.node->discard_stmt->target) {
    case PG_QUERY__DISCARD_MODE__DISCARD_ALL:
      prepared_.clear();
      BOP_TRY(set_session_authorization(std::nullopt, false));
      variables_.reset_all();
      currvals_.clear();
      last_sequence_.reset();
      close_all_cursors();
      ensure_transaction();
      notify_changes_.unlisten_all();
      advisory_unlock_all();
      refresh_settings();
      break;
    case PG_QUERY__DISCARD_MODE__DISCARD_SEQUENCES:
      currvals_.clear();
      last_sequence_.reset();
      break;
    default: break;  // plans are checked against the catalog at each use; TEMP is done
  }
  return {};
}

// ------------------------------------------------------------------------------------------ DDL and
// maintenance

Status PgSession::run_ddl(Run& run) {
  run.connection = &transaction_.connection();
  notice_temporary(*run.statement);
  BOP_LET(tag, apply_ddl(run.statement, false));
  run.tag = std::move(tag);
  return {};
}

Result<std::string> PgSession::apply_ddl(const sql::ParsedStatementPtr& statement, bool internal) {
  rowstore::Connection& connection = transaction_.connection();
  sql::DdlContext context;
  context.bind = bind_context();
  if (internal) context.bind.who.reset();
  context.creates_temporary = may_create_temporary();
  context.implicit_temporary = implicit_temporary_;
  context.user = who_->role;
  context.user_name = user_name_;
  context.owns_database = owns_database();
  context.creates_schemas = may_create_schemas();
  context.identity = [this](Oid role) { return identity(role); };
  context.session_user = oid_of_user(session_user_);
  context.in_block = in_block_;
  context.functions = &functions_;
  context.notice = [this, internal](bool warning, const Error& what) {
    if (internal) return;
    notice(warning ? Severity::kWarning : Severity::kNotice, what);
  };
  context.sequence_position = [this](Oid key) -> std::optional<std::pair<std::int64_t, bool>> {
    const auto position = database_->sequences().position(key);
    return position ? std::optional(std::pair(position->value, position->called)) : std::nullopt;
  };
  // A failed statement ends the transaction or returns to a savepoint, and its catalog goes with it.
  const auto start_sequences = [this](const sql::Catalog& next,
                                      std::span<const sql::DdlOutcome::SequenceStart> starts) -> Status {
    for (const auto& start : starts) {
      if (const auto sequence = next.sequence(start.sequence)) {
        BOP_TRY(start_sequence(*sequence, start.value, start.called));
      }
    }
    return {};
  };
  context.before_rows = [this, &start_sequences](
                            std::shared_ptr<const sql::Catalog> next,
                            std::span<const sql::DdlOutcome::SequenceStart> starts) -> Status {
    catalog_session_.catalog = next;
    transaction_.set_catalog(next);
    return start_sequences(*next, starts);
  };
  context.may_run = [this](const sql::Plan& plan) { return check_privileges(plan); };
  context.compute = [this, &connection](const sql::Plan& plan) -> Result<std::optional<sql::FedRows>> {
    if (plan.query == nullptr) return std::nullopt;
    Run inner;
    inner.connection = &connection;
    return rows_of_engine(inner, plan);
  };
  context.role = [this](const std::string& name) -> Result<Oid> {
    if (const Role* role = node_.shared()->role(name)) return role->oid;
    return fail(ErrorCode::kUndefinedObject, "role \"{}\" does not exist", name);
  };
  catalog_session_.catalog = context.bind.catalog;
  catalog_session_.connection = connection.handle();
  auto done = sql::execute_ddl(statement, context, connection.handle());
  if (!done) {
    if (auto below = connection.take_error()) return std::unexpected(std::move(*below));
    return std::unexpected(done.error());
  }
  BOP_TRY(refuse_if_read(*statement, done->catalog.get()));
  if (done->catalog != context.bind.catalog) transaction_.set_catalog(done->catalog);
  for (const Oid table : done->changed_tables) transaction_.table_changed(table);
  for (const Oid sequence : done->dropped_sequences) transaction_.sequence_dropped(sequence);
  BOP_TRY(start_sequences(*done->catalog, done->sequence_starts));
  return std::move(done->tag);
}

Result<sql::Catalog::Named> PgSession::find_relation(const PgQuery__RangeVar& name) const {
  const std::string_view schema = pg::text(name.schemaname);
  const std::string_view database = pg::text(name.catalogname);
  const std::string shown = schema.empty() ? name.relname : fmt::format("{}.{}", schema, name.relname);
  if (!database.empty() && database != entry_.name) {
    return fail(ErrorCode::kNotImplemented, "cross-database references are not implemented: \"{}.{}\"",
                database, shown);
  }
  BOP_TRY(may_look_in(name.schemaname));
  const auto found = catalog()->find(usable_path(*catalog()), schema, pg::text(name.relname));
  if (!found) return fail(ErrorCode::kUndefinedTable, "relation \"{}\" does not exist", shown);
  return found;
}

}  // namespace bop::session
