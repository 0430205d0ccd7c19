#include "session/pg_session.hpp"

#include <algorithm>

#include "base/assert.hpp"
#include "sql/refusal_place.hpp"

namespace bop::session {

namespace {
constexpr sql::WaitEvent kClientRead{"Client", "ClientRead"};
}

PgSession::PgSession(Node& node, std::shared_ptr<database::Database> database, DatabaseEntry entry, Role role,
                     const ConnectRequest& request, Executor& executor, std::int32_t backend_pid)
    : node_(node),
      database_(database),
      entry_(std::move(entry)),
      role_(std::move(role)),
      executor_(executor),
      pid_(backend_pid),
      client_address_(request.client_address),
      files_({.node = &node,
              .is_superuser = [this] { return who_ != nullptr && who_->superuser; },
              .interrupted = [this] { return checked_interrupt(); }}),
      catalog_kernels_(catalog_session_),
      transaction_(
          std::move(database), executor,
          {.wake =
               [this, alive = alive_] {
                 if (*alive && sink_ != nullptr) sink_->wake();
               },
           .connected = [this](rowstore::Connection& connection) { connected(connection); },
           .large = [this] { hand_off(); },
           .evicted =
               [this](Error why) {
                 evicted_ = std::move(why);
                 failed_ = in_block_;
                 drop_portals();
                 if (Run* run = current_run(); run != nullptr && run->copy_in) run->copy_in->statement = {};
               },
           .lane_request =
               [this] {
                 database::LaneRequest wanted;
                 wanted.session = static_cast<std::uint64_t>(pid_);
                 wanted.description = fmt::format("user {}, {}", role_.name,
                                                  variables_.get("application_name").empty()
                                                      ? std::string("pid ") + std::to_string(pid_)
                                                      : variables_.get("application_name"));
                 if (lock_timeout_ms_ > 0) wanted.timeout = std::chrono::milliseconds(lock_timeout_ms_);
                 return wanted;
               },
           .empty_catalog = [] { return std::make_shared<const sql::Catalog>(sql::builtin_relations()); }}) {
  functions_.session = this;
  functions_.sequences = this;
  functions_.user_functions = this;
  functions_.catalog = &catalog_kernels_;
  functions_.files = &files_;
  functions_.clock = node.options().clock;
  functions_.random = node.options().random;
  functions_.version = "PostgreSQL 15.8 (BOP 0.1.0) on x86_64-pc-linux-gnu, 64-bit";
  catalog_session_.database_oid = entry_.oid;
  catalog_session_.database_name = entry_.name;
  user_oids_[role_.name] = role_.oid;
  catalog_session_.cluster = this;
  activity_.pid = pid_;
  activity_.database = entry_.oid;
  activity_.user = role_.oid;
  activity_.database_name = entry_.name;
  activity_.user_name = role_.name;
  activity_.client_address = client_address_;
  if (request.encryption) {
    activity_.tls_version = request.encryption->version;
    activity_.tls_cipher = request.encryption->cipher;
    activity_.tls_bits = request.encryption->bits;
  }
  activity_.state = "idle";
  activity_.wait = kClientRead;
  activity_.backend_start = activity_.state_change = wall_timestamp();
}

Result<std::unique_ptr<Session>> PgSession::open(Node& node, std::shared_ptr<database::Database> database,
                                                 const DatabaseEntry& entry, const Role& role,
                                                 const ConnectRequest& request, Executor& executor,
                                                 std::int32_t backend_pid) {
  std::unique_ptr<PgSession> session(
      new PgSession(node, std::move(database), entry, role, request, executor, backend_pid));
  BOP_TRY(session->apply_start_settings(request));
  BOP_TRY(node.enter(*session, role, entry));
  return session;
}

Status PgSession::apply_start_settings(const ConnectRequest& request) {
  BOP_TRY(variables_.set_default("session_authorization", role_.name, true));
  BOP_TRY(variables_.set_default("is_superuser", role_.superuser ? "on" : "off", true));
  BOP_TRY(variables_.set_default("max_connections", std::to_string(node_.options().max_connections), true));
  BOP_TRY(variables_.set_default("superuser_reserved_connections",
                                 std::to_string(node_.options().superuser_reserved_connections), true));
  BOP_TRY(variables_.set_default("ssl", node_.options().tls ? "on" : "off", true));
  BOP_TRY(variables_.set_default("lock_timeout", std::to_string(node_.options().lock_timeout_ms)));
  BOP_TRY(variables_.set_default("statement_timeout", std::to_string(node_.options().statement_timeout_ms)));
  apply_stored_settings();
  if (!request.application_name.empty()) {
    BOP_TRY(variables_.set_default("application_name", request.application_name));
  }
  for (const auto& [name, value] : request.settings) BOP_TRY(variables_.set_default(name, value));
  (void)variables_.take_reports();
  refresh_settings();
  return {};
}

// ------------------------------------------------------------------------------------------------ operations

void PgSession::begin_operation(Operation operation, ReplySink& sink, std::string_view text) {
  BOP_ASSERT(operation_ == Operation::kNone);
  operation_ = operation;
  sink_ = &sink;
  cancelled_.store(false, std::memory_order_relaxed);
  transaction_.set_idle(false);
  begin_message();
  end_idle_timer();
  if (auto told = durability_.take_notice()) notice(Severity::kNotice, std::move(*told));
  const std::int64_t now = wall_timestamp();
  const std::lock_guard lock(activity_mutex_);
  activity_.state = "active";
  activity_.wait = {};
  activity_.query.assign(text.substr(0, 1024));
  activity_.query_start = activity_.state_change = now;
  if (activity_.transaction_start == 0) activity_.transaction_start = now;
}

void PgSession::finish_operation() {
  if (timer_) {
    executor_.cancel(*timer_);
    timer_.reset();
  }
  deadline_ns_ = 0;
  report_changes();
  operation_ = Operation::kNone;
  sink_ = nullptr;
  query_.clear();
  query_parts_.clear();
  query_next_ = 0;
  run_.reset();
  executing_.reset();
  if (transaction_.active()) transaction_.set_idle(true);
  begin_idle_timer();
  const std::int64_t now = wall_timestamp();
  const std::lock_guard lock(activity_mutex_);
  activity_.state = !in_block_ ? "idle" : failed_ ? "idle in transaction (aborted)" : "idle in transaction";
  activity_.wait = kClientRead;
  activity_.state_change = now;
  if (!in_block_ && !transaction_.active()) activity_.transaction_start = 0;
}

PgSession::Standing PgSession::standing() const {
  const std::lock_guard lock(activity_mutex_);
  return {activity_.state, activity_.state == "active" ? activity_.query_start : activity_.state_change};
}

Run* PgSession::current_run() const {
  if (operation_ == Operation::kQuery) return run_.get();
  if (operation_ == Operation::kExecute && executing_) return executing_->run.get();
  return nullptr;
}

// The running statement of the simple protocol is the last of its message and in no block: it commits itself.
bool PgSession::stands_alone() const {
  return nested_ == 0 && !in_block_ && operation_ == Operation::kQuery && query_next_ == query_.size();
}

Progress PgSession::start_query(std::string text, ReplySink& sink) {
  const UserTypesScope scope(&user_types_);
  begin_operation(Operation::kQuery, sink, text);
  prepared_.erase(std::string());
  if (begin_shape(text) || begin_parts(text)) {
    close_portal(std::string());
    return drive();
  }
  auto parsed = node_.parse_cache().parse(text);
  if (!parsed) {
    statement_failed(std::move(parsed).error());
    finish_operation();
    return Progress::kDone;
  }
  if (parsed->empty()) {
    sink.empty_query();
    finish_operation();
    return Progress::kDone;
  }
  close_portal(std::string());
  query_ = std::move(*parsed);
  query_next_ = 0;
  return drive();
}

Progress PgSession::drive() {
  parked_.store(false, std::memory_order_relaxed);
  budget_ns_ = node_.options().clock->steady_ns() + node_.options().statement_budget_ms * 1'000'000;
  if (std::exchange(waited_, false)) {
    sink_->stage(Stage::kExecute);
    const std::lock_guard lock(activity_mutex_);
    activity_.wait = {};
  }
  const Progress progress = operation_ == Operation::kQuery ? drive_query() : drive_execute();
  if (progress == Progress::kWaiting && !timer_ && deadline_ns_ != 0) {
    const std::int64_t left = std::max<std::int64_t>(deadline_ns_ - node_.options().clock->steady_ns(), 0);
    timer_ = executor_.post_after(std::chrono::nanoseconds(left), [this, alive = alive_] {
      if (!*alive) return;
      timer_.reset();
      if (!parked_.load(std::memory_order_acquire)) return;  // it runs again and looks at its deadline itself
      give_up(error(ErrorCode::kCancelled, "canceling statement due to statement timeout"));
    });
  }
  if (progress == Progress::kWaiting && transaction_.waits()) {
    waited_ = true;
    sink_->stage(Stage::kWait);
    const std::lock_guard lock(activity_mutex_);
    activity_.wait = transaction_.waits_for();
  }
  // From here on only tasks of the executor touch the session, until it is resumed.
  if (progress == Progress::kWaiting) parked_.store(true, std::memory_order_release);
  return progress;
}

Progress PgSession::drive_query() {
  while (run_ || query_next_ < query_.size()) {
    Result<Progress> progress = Progress::kDone;
    if (Status begun = run_ ? Status{} : begin_next_statement(); !begun) {
      progress = std::unexpected(std::move(begun).error());
    } else {
      progress = step(*run_);
    }
    if (!progress) {
      statement_failed(std::move(progress).error());
      break;
    }
    if (*progress != Progress::kDone) return *progress;
    run_.reset();
  }
  if (!in_block_ && transaction_.active()) {
    // Statements before a last one that took no part in the transaction (SET, EXECUTE of a utility...).
    sink_->stage(Stage::kCommit);
    Result<Csn> committed = Csn();
    if (Status held = hold_cursors(); !held) {
      committed = std::unexpected(std::move(held).error());
    } else {
      committed = commit_transaction();
    }
    if (committed) {
      sink_->gate(*committed);
      end_local_settings();
    } else {
      statement_failed(std::move(committed).error());
    }
  }
  if (!in_block_) drop_portals();
  finish_operation();
  return Progress::kDone;
}

std::string_view PgSession::portal_text(const std::string& portal) const {
  const auto found = portals_.find(portal);
  return found == portals_.end() ? std::string_view() : found->second->prepared.text;
}

Progress PgSession::start_execute(const std::string& portal, std::uint64_t max_rows, ReplySink& sink) {
  const UserTypesScope scope(&user_types_);
  const auto found = portals_.find(portal);
  begin_operation(
      Operation::kExecute, sink,
      found != portals_.end() ? std::string_view(found->second->prepared.text) : std::string_view());
  const auto refuse = [&](Error why) {
    statement_failed(std::move(why));
    finish_operation();
    return Progress::kDone;
  };
  if (evicted_) return refuse(*std::exchange(evicted_, std::nullopt));
  if (found == portals_.end()) {
    return refuse(error(ErrorCode::kInvalidCursorName, "portal \"{}\" does not exist", portal));
  }
  if (const auto& statement = found->second->prepared.statement) {
    if (Status allowed = check_allowed(*statement); !allowed) return refuse(allowed.error());
  }
  if (found->second->cursor) {
    return refuse(error(ErrorCode::kNotImplemented, "Execute of the cursor \"{}\" is not implemented", portal)
                      .hint("Use FETCH."));
  }
  executing_ = found->second;
  if (!executing_->prepared.statement) {
    sink.empty_query();
    finish_operation();
    return Progress::kDone;
  }
  if (executing_->complete) {
    if (executing_->complete_tag) {
      sink.command_complete(*executing_->complete_tag);
      finish_operation();
      return Progress::kDone;
    }
    return refuse(error(ErrorCode::kNotInPrerequisiteState, "portal \"{}\" cannot be run", portal));
  }
  Run& run = *executing_->run;
  start_deadline();
  run.max_rows = max_rows;
  run.rows_this_call = 0;
  return drive();
}

Progress PgSession::drive_execute() {
  const auto portal = executing_;
  auto progress = step(*portal->run);
  if (!progress) {
    portal->run->stop_reading();
    statement_failed(std::move(progress).error());
  } else if (*progress == Progress::kSuspended && in_copy()) {
    return Progress::kSuspended;
  } else if (*progress == Progress::kSuspended) {
    sink_->portal_suspended();
    finish_operation();
    return Progress::kSuspended;
  } else if (*progress == Progress::kWaiting) {
    return Progress::kWaiting;
  } else {
    Run& run = *portal->run;
    portal->complete = true;
    if (run.plan && run.plan->kind == sql::PlanKind::kUtility) {
      const auto columns = utility_columns(*portal->prepared.statement);
      if (columns && !columns->empty()) portal->complete_tag = run.tag;
    } else if (run.plan && run.plan->returns_rows) {
      const bool counts = run.plan->kind != sql::PlanKind::kExplain;
      portal->complete_tag = counts ? run.plan->tag + " 0" : run.tag;
    }
    run.stop_reading();
  }
  finish_operation();
  return Progress::kDone;
}

Progress PgSession::start_sync(ReplySink& sink) {
  const UserTypesScope scope(&user_types_);
  sink_ = &sink;
  if (!in_block_) {
    const Status held = evicted_ ? Status{} : hold_cursors();
    drop_portals();
    if (evicted_) {
      statement_failed(*std::exchange(evicted_, std::nullopt));
    } else if (!held) {
      statement_failed(held.error());
    } else if (transaction_.active()) {
      const bool changed = variables_.mark() != 0;
      sink.stage(Stage::kCommit);
      if (auto committed = commit_transaction()) {
        sink.gate(*committed);
        end_local_settings();
      } else {
        statement_failed(std::move(committed).error());
      }
      if (changed) report_changes();
    }
  }
  sink_ = nullptr;
  begin_idle_timer();
  if (!in_block_) {
    const std::lock_guard lock(activity_mutex_);
    activity_.transaction_start = 0;
  }
  return Progress::kDone;
}

void PgSession::fail_extended() {
  if (operation_ != Operation::kNone) return;  // statement_failed has done it
  if (in_block_) {
    if (!failed_) fail_block();
  } else if (transaction_.active()) {
    drop_portals();
    transaction_.rollback();
    end_of_transaction();
    variables_.rollback();
    refresh_settings();
  }
}

Progress PgSession::resume() {
  const UserTypesScope scope(&user_types_);
  if (operation_ == Operation::kNone) return Progress::kDone;
  return drive();
}

void PgSession::statement_failed(Error why) {
  if (Run* run = current_run()) {
    if (run->statement) why = sql::placed_refusal(std::move(why), *run->statement);
    run->stop_reading();
    run->copy_in.reset();
    run->stage = Run::Stage::kDone;
  }
  if (executing_) executing_->complete = true;  // and has no tag: it cannot be run again
  settle_held(false);
  sink_->gate(transaction_.gate());
  if (in_block_) {
    fail_block();
  } else {
    drop_portals();
    transaction_.rollback();
    end_of_transaction();
    variables_.rollback();
    refresh_settings();
  }
  sink_->error(why);
}

// Portals from before the newest savepoint may be wanted again once it has been rolled back to.
void PgSession::fail_block() {
  failed_ = true;
  drop_portals_after(transaction_.has_savepoints() ? transaction_.newest_savepoint_portals() : 0);
  if (!transaction_.has_savepoints()) node_.advisory_locks().release_transaction(backend_pid());
  transaction_.fail(portals_read());
}

void PgSession::end_block() {
  in_block_ = false;
  failed_ = false;
  drop_portals();
  refresh_settings();
}

// ----------------------------------------------------------------------------------------- extended protocol

void PgSession::begin_message() {
  if (!transaction_.active()) transaction_.forget_gate();
  durability_.begin_statement();
}

Status PgSession::parse(std::string name, std::string text, std::span<const Oid> type_hints) {
  const UserTypesScope scope(&user_types_);
  begin_message();
  BOP_LET(statements, node_.parse_cache().parse(text));
  if (statements.size() > 1) {
    return fail(ErrorCode::kSyntaxError, "cannot insert multiple commands into a prepared statement");
  }
  Prepared prepared;
  prepared.text = std::move(text);
  prepared.hints.assign(type_hints.begin(), type_hints.end());
  prepared.made = wall_timestamp();
  if (!statements.empty()) {
    prepared.statement = statements.front();
    BOP_TRY(check_allowed(*prepared.statement));
    start_statement_clock();
    auto plan = sql::bind(prepared.statement, bind_context(), type_hints);
    if (!plan) return std::unexpected(sql::placed_refusal(std::move(plan).error(), *prepared.statement));
    prepared.plan = std::move(*plan);
  }
  if (!name.empty() && prepared_.contains(name)) {
    return fail(ErrorCode::kDuplicatePreparedStatement, "prepared statement \"{}\" already exists", name);
  }
  if (!name.empty()) BOP_TRY(check_prepared_limit());
  prepared_.insert_or_assign(std::move(name), std::move(prepared));
  return {};
}

// The unnamed statement is always there.
Status PgSession::check_prepared_limit() const {
  if (prepared_.size() < kMaxPreparedStatements) return {};
  return fail(ErrorCode::kConfigurationLimitExceeded, "more than {} prepared statements in one session",
              kMaxPreparedStatements);
}

Result<PreparedDescription> PgSession::describe_statement(const std::string& name) {
  const UserTypesScope scope(&user_types_);
  begin_message();
  const auto found = prepared_.find(name);
  if (found == prepared_.end()) {
    return fail(ErrorCode::kInvalidStatementName, "prepared statement \"{}\" does not exist", name);
  }
  Prepared& prepared = found->second;
  PreparedDescription description;
  if (!prepared.statement) return description;
  BOP_TRY(check_allowed(*prepared.statement));
  BOP_TRY(refresh(prepared));
  description.parameters = prepared.plan->parameters;
  if (prepared.plan->kind == sql::PlanKind::kUtility) {
    BOP_LET(columns, utility_columns(*prepared.statement));
    if (!columns.empty()) description.columns = std::move(columns);
  } else if (prepared.plan->returns_rows) {
    description.columns = prepared.plan->columns;
  }
  return description;
}

Result<std::optional<std::vector<OutputColumn>>> PgSession::prepared_columns(const Prepared& prepared) const {
  if (prepared.plan->kind == sql::PlanKind::kUtility) {
    BOP_LET(columns, utility_columns(*prepared.statement));
    if (columns.empty() && fetched_cursor(*prepared.statement) == nullptr) return std::nullopt;
    return columns;
  }
  return prepared.plan->returns_rows ? std::optional(prepared.plan->columns) : std::nullopt;
}

Result<std::optional<std::vector<OutputColumn>>> PgSession::describe_portal(const std::string& name) {
  const UserTypesScope scope(&user_types_);
  const auto found = portals_.find(name);
  if (found == portals_.end())
    return fail(ErrorCode::kInvalidCursorName, "portal \"{}\" does not exist", name);
  const Prepared& prepared = found->second->prepared;
  if (!prepared.statement) return std::nullopt;
  BOP_LET(columns, prepared_columns(prepared));
  if (columns) BOP_TRY(check_result_formats(*found->second, columns->size()));
  return columns;
}

Status PgSession::bind(std::string portal, const std::string& statement, std::vector<Parameter> parameters,
                       std::vector<Format> formats) {
  const UserTypesScope scope(&user_types_);
  begin_message();
  const auto found = prepared_.find(statement);
  if (found == prepared_.end()) {
    if (statement.empty())
      return fail(ErrorCode::kInvalidStatementName, "unnamed prepared statement does not exist");
    return fail(ErrorCode::kInvalidStatementName, "prepared statement \"{}\" does not exist", statement);
  }
  Prepared& prepared = found->second;
  auto next = std::make_shared<Portal>();
  next->formats = std::move(formats);
  if (prepared.statement) {
    BOP_TRY(check_allowed(*prepared.statement));
    BOP_TRY(refresh(prepared));
    const auto& types = prepared.plan->parameters;
    if (parameters.size() != types.size()) {
      return fail(ErrorCode::kProtocolViolation,
                  "bind message supplies {} parameters, but prepared statement \"{}\" requires {}",
                  parameters.size(), statement, types.size());
    }
    next->run = std::make_unique<Run>();
    next->run->statement = prepared.statement;
    next->run->plan = prepared.plan;
    next->run->hints = types;
    next->run->promised = prepared.plan;
    start_statement_clock();
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      if (!parameters[i].bytes) {
        next->run->parameters.emplace_back();
        continue;
      }
      auto value = parameters[i].format == Format::kBinary
                       ? parse_binary(types[i], -1, *parameters[i].bytes, functions_.codec)
                       : parse_text(types[i], -1, *parameters[i].bytes, functions_.codec);
      if (!value) {
        Error why = std::move(value).error();
        why.mut().context = fmt::format("unnamed portal parameter ${}", i + 1);
        return std::unexpected(std::move(why));
      }
      next->run->parameters.push_back(std::move(*value));
    }
    BOP_LET(columns, prepared_columns(prepared));
    if (columns) BOP_TRY(check_result_formats(*next, columns->size()));
  }
  next->prepared = prepared;
  next->number = ++newest_portal_;
  next->made = wall_timestamp();
  if (!portal.empty() && portals_.contains(portal)) {
    return fail(ErrorCode::kDuplicateCursor, "cursor \"{}\" already exists", portal);
  }
  if (portals_.size() >= kMaxPortals) {
    return fail(ErrorCode::kConfigurationLimitExceeded, "more than {} open portals in one session",
                kMaxPortals);
  }
  portals_.insert_or_assign(std::move(portal), std::move(next));
  return {};
}

Result<std::span<const Format>> PgSession::portal_formats(const std::string& portal) {
  const auto found = portals_.find(portal);
  if (found == portals_.end())
    return fail(ErrorCode::kInvalidCursorName, "portal \"{}\" does not exist", portal);
  return std::span<const Format>(found->second->formats);
}

void PgSession::close_statement(const std::string& name) {
  const auto found = prepared_.find(name);
  if (found != prepared_.end()) prepared_.erase(found);
}

void PgSession::close_portal(const std::string& name) {
  const auto found = portals_.find(name);
  if (found == portals_.end()) return;
  if (found->second->run) found->second->run->stop_reading();
  portals_.erase(found);
}

}  // namespace bop::session
