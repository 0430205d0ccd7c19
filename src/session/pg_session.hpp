// The session of PostgreSQL-like wires: statements, portals, transactions and settings of one connection.
//
// Life of a statement (Run): bind to a plan -> get its connection (reader snapshot or writer lane) -> step it
// in batches -> end it (constraint checks, commit when it stands alone). Every wait leaves the Run where it
// is; `resume` goes on. A portal that is not exhausted keeps its Run.
//
// Owned by the wire's connection, used on its executor; `cancel` and `activity` from any thread.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "executor/translate.hpp"
#include "rowstore/connection.hpp"
#include "session/copy_run.hpp"
#include "session/cursor.hpp"
#include "session/durability.hpp"
#include "session/files.hpp"
#include "session/node.hpp"
#include "session/notification.hpp"
#include "session/run.hpp"
#include "session/session.hpp"
#include "session/shared_change.hpp"
#include "session/transaction.hpp"
#include "session/variables.hpp"
#include "sql/bind.hpp"
#include "sql/catalog/catalog_types.hpp"
#include "sql/explain.hpp"
#include "sql/fed_rows.hpp"
#include "sql/functions/kernels.hpp"
#include "sql/parse.hpp"
#include "sql/pg_catalog/pg_catalog.hpp"
#include "sql/plan.hpp"
#include "sql/types/timezone.hpp"

extern "C" {
struct PgQuery__ExecuteStmt;
struct PgQuery__GrantRoleStmt;
struct PgQuery__GrantStmt;
struct PgQuery__LockStmt;
struct PgQuery__Node;
struct PgQuery__RoleSpec;
struct PgQuery__RangeVar;
struct PgQuery__VariableSetStmt;
}

namespace bop::session {

inline constexpr Oid kTextType = 25;
inline constexpr std::size_t kBatchBytes = 64 * 1024;
inline constexpr std::size_t kMaxHeldBytes = std::size_t{1} << 30;  // of RETURNING, in memory
inline constexpr std::size_t kMaxPreparedStatements = 10'000;
inline constexpr std::size_t kMaxPortals = 1'000;
inline constexpr std::size_t kMaxPortalBytes = std::size_t{256} << 20;  // of rows that open portals hold

struct CopyTarget;

// The text of the value that SET gives.
[[nodiscard]] Result<std::string> value_of_set(const PgQuery__VariableSetStmt& set);

class PgSession final : public Session,
                        private SessionInfo,
                        private bop::Sequences,
                        private bop::UserFunctions,
                        private sql::ClusterView {
 public:
  [[nodiscard]] static Result<std::unique_ptr<Session>> open(Node& node,
                                                             std::shared_ptr<database::Database> database,
                                                             const DatabaseEntry& entry, const Role& role,
                                                             const ConnectRequest& request,
                                                             Executor& executor, std::int32_t backend_pid);
  ~PgSession() override;

  // Session
  [[nodiscard]] Progress start_query(std::string text, ReplySink& sink) override;
  [[nodiscard]] Status parse(std::string name, std::string text, std::span<const Oid> type_hints) override;
  [[nodiscard]] Result<PreparedDescription> describe_statement(const std::string& name) override;
  [[nodiscard]] Result<std::optional<std::vector<OutputColumn>>> describe_portal(
      const std::string& name) override;
  [[nodiscard]] Status bind(std::string portal, const std::string& statement,
                            std::vector<Parameter> parameters, std::vector<Format> formats) override;
  [[nodiscard]] Result<std::span<const Format>> portal_formats(const std::string& portal) override;
  [[nodiscard]] std::string_view portal_text(const std::string& portal) const override;
  [[nodiscard]] Progress start_execute(const std::string& portal, std::uint64_t max_rows,
                                       ReplySink& sink) override;
  void close_statement(const std::string& name) override;
  void close_portal(const std::string& name) override;
  [[nodiscard]] Progress start_sync(ReplySink& sink) override;
  void fail_extended() override;
  [[nodiscard]] Progress copy_input(std::string_view bytes) override;
  [[nodiscard]] Progress copy_input_done() override;
  [[nodiscard]] Progress copy_input_fail(std::string_view reason) override;
  [[nodiscard]] bool in_copy() const override;
  [[nodiscard]] Progress resume() override;
  [[nodiscard]] TransactionStatus transaction_status() const override;
  [[nodiscard]] const CodecContext& codec_context() const override { return functions_.codec; }
  [[nodiscard]] std::vector<std::pair<std::string, std::string>> reported_parameters() const override;
  [[nodiscard]] bool holds_up_others() const override { return transaction_.holds_up_others(); }
  void cancel() override;
  void abandon() override;
  [[nodiscard]] std::int32_t backend_pid() const override { return pid_; }
  void when_ended(std::function<void(Error)> end) override;
  [[nodiscard]] Csn gate() const override { return transaction_.gate(); }
  [[nodiscard]] bool answers_early() const override { return durability_.is_early(); }
  void when_notified(std::function<void()> wake) override;
  void deliver_notifications(ReplySink& sink) override;

  // From any thread.
  [[nodiscard]] sql::ClusterView::ActivityRow activity_row() const;
  // The part of it by which sessions are counted and chosen: "active", "idle"..., and since when.
  struct Standing {
    std::string state;
    std::int64_t since = 0;  // as timestamptz
  };
  [[nodiscard]] Standing standing() const;
  [[nodiscard]] const database::Database& database() const { return *database_; }
  [[nodiscard]] const Role& role() const { return role_; }
  void terminate();  // pg_terminate_backend; any thread, while the node knows the session

 private:
  friend class PlpgsqlRun;
  // What the wire asked for and is in progress.
  enum class Operation : std::uint8_t { kNone, kQuery, kExecute };

  PgSession(Node& node, std::shared_ptr<database::Database> database, DatabaseEntry entry, Role role,
            const ConnectRequest& request, Executor& executor, std::int32_t backend_pid);
  [[nodiscard]] Status apply_start_settings(const ConnectRequest& request);
  void apply_stored_settings();

  // ---- operations (pg_session.cpp)
  [[nodiscard]] Progress drive();
  [[nodiscard]] Progress drive_query();
  [[nodiscard]] Progress drive_execute();
  void finish_operation();
  void begin_idle_timer();
  void end_idle_timer();
  [[nodiscard]] static Error terminated();
  void give_up(const Error& why);
  void end(Error why);
  [[nodiscard]] std::int64_t wall_timestamp() const;
  void drop_portals() { drop_portals_after(0); }
  void drop_portals_after(std::uint64_t number);
  void fail_block();
  [[nodiscard]] Status check_prepared_limit() const;
  [[nodiscard]] Result<std::optional<std::vector<OutputColumn>>> prepared_columns(
      const Prepared& prepared) const;
  [[nodiscard]] Status need_block(std::string_view command) const;
  [[nodiscard]] Result<bool> declare_cursor(Run& run);
  [[nodiscard]] Result<bool> pull_row(Portal& portal, std::uint64_t needed);
  [[nodiscard]] Result<bool> next_row(Portal& portal);
  [[nodiscard]] Status start_cursor(Portal& portal);
  [[nodiscard]] Result<bool> next_held_row(Portal& portal);
  [[nodiscard]] Result<std::optional<bool>> next_row_of_engine(Portal& portal);
  [[nodiscard]] Result<std::optional<bool>> fetch_of_engine(Portal& portal);
  [[nodiscard]] Result<std::optional<bool>> next_row_of_sqlite(Portal& portal);
  [[nodiscard]] Result<bool> settle_in_engine(Portal& portal);
  [[nodiscard]] Status begin_fetch(Run& run);
  [[nodiscard]] Result<Progress> fetch(Run& run);
  [[nodiscard]] Result<Progress> step_fetch(Run& run, Fetch& fetch);
  [[nodiscard]] const Portal* fetched_cursor(const sql::ParsedStatement& statement) const;
  [[nodiscard]] Status close_cursor(const sql::ParsedStatement& statement);
  [[nodiscard]] Status hold_cursors();
  void settle_held(bool committed);
  void close_all_cursors();
  [[nodiscard]] Status check_cursor_bytes() const;
  void end_block();  // after COMMIT or ROLLBACK: no block, nothing failed, portals gone
  [[nodiscard]] Run* current_run() const;
  // literal_plans.cpp
  [[nodiscard]] sql::PlanPtr plan_of_shape(const StatementShape& shape, std::string_view text);
  [[nodiscard]] std::unique_ptr<Run> run_of_shape(const StatementShape& shape, const sql::PlanPtr& plan,
                                                  std::string_view text);
  [[nodiscard]] Status forget_shape(Run& run);
  [[nodiscard]] bool begin_shape(std::string_view text);
  [[nodiscard]] bool begin_parts(const std::string& text);
  [[nodiscard]] Status begin_next_statement();
  [[nodiscard]] sql::PlanPtr plan_of(const std::string& text, std::span<const Oid> hints);
  [[nodiscard]] bool stands_alone() const;
  void begin_message();
  void begin_operation(Operation operation, ReplySink& sink, std::string_view text);
  // The statement failed: tells the client and leaves the transaction failed or rolled back.
  void statement_failed(Error why);
  void report_changes();
  void notice(Severity severity, Error what);

  // ---- temporary relations (temporary.cpp)
  [[nodiscard]] std::string temporary_name() const;
  void notice_temporary(const sql::ParsedStatement& statement);
  [[nodiscard]] Status obey_on_commit();
  [[nodiscard]] Result<bool> discard_temporary();
  [[nodiscard]] Status apply_internally(const std::string& text);

  // ---- statements (statement_run.cpp)
  [[nodiscard]] Result<Progress> step(Run& run);
  [[nodiscard]] Status check_allowed(const sql::ParsedStatement& statement) const;
  [[nodiscard]] Status plan(Run& run);
  [[nodiscard]] Result<bool> get_connection(Run& run);
  [[nodiscard]] Result<Progress> step_plan(Run& run);
  [[nodiscard]] Result<Progress> step_select(Run& run);
  Result<Progress> end_of_rows(Run& run);
  // Bytes or rows of COPY TO, to the client or into a file.
  void send_copied(Run& run, std::string_view bytes);
  void send_copied_rows(Run& run, const ResultBatch& batch);
  [[nodiscard]] Status start_copy_file(Run& run);
  [[nodiscard]] Result<Progress> copy_from_file(Run& run, std::string_view name);
  [[nodiscard]] Result<Progress> copy_from_parquet(Run& run, const CopyTarget& target);
  [[nodiscard]] Status end_copy_in(Run& run);
  // engine_run.cpp. Which executor the plan is for, and why; its SELECT is started if it is the engine's.
  struct Route {
    std::optional<executor::Translated> statement;  // of the engine
    std::string why;
    bool after_trial = false;  // only if SQLite does not answer soon
  };
  [[nodiscard]] Route route(const Run& run, const sql::Plan& plan, bool now);
  enum class Rows : std::uint8_t { kSent, kFetched, kWhole };
  [[nodiscard]] Status start_engine(Run& run, Rows rows = Rows::kSent);
  [[nodiscard]] Result<std::optional<sql::FedRows>> rows_of_engine(const Run& run, const sql::Plan& source);
  // The rows of a change or of a step of it, if the engine computes them; else there is no feed.
  [[nodiscard]] Status feed_rows(Run& run, const sql::PlanPtr& source);
  // The same once more, to tell which key a change that had a feed has violated; null: SQLite has to find it.
  [[nodiscard]] Result<sql::PlanPtr> feed_diagnosis(Run& run, int code);
  [[nodiscard]] Route route_change(const Run& run, const sql::Plan& change, const sql::Plan*& source);
  // Its plan as a tree; with ANALYZE it is run, its rows are counted and not sent.
  [[nodiscard]] Result<sql::ExplainNode> explain_engine(Run& run, executor::Translated statement,
                                                        sql::ExplainSummary& summary);
  [[nodiscard]] Status attach_tables(rowstore::Connection& connection, executor::Translated& statement,
                                     const sql::Catalog& catalog) const;
  // None: SQLite has to do it.
  [[nodiscard]] Result<std::optional<Progress>> step_engine(Run& run);
  [[nodiscard]] bool is_terminated() const noexcept { return terminated_.load(std::memory_order_relaxed); }
  [[nodiscard]] Status checked_interrupt();
  [[nodiscard]] bool trial_is_over(Run& run);
  [[nodiscard]] Result<bool> withhold(Run& run);  // false: SQLite has to do it
  [[nodiscard]] bool drain_engine(Run& run, std::size_t& bytes);
  [[nodiscard]] Status run_change(Run& run);
  // Of a plan of several statements of SQLite (change_steps.cpp).
  [[nodiscard]] Status run_steps(Run& run);
  [[nodiscard]] Status try_step(Run& run, const sql::PlanStep& step);
  [[nodiscard]] Result<Progress> step_change(Run& run);
  // constraints_run.cpp
  [[nodiscard]] sql::IsDeferred waits_for_commit() const;
  [[nodiscard]] Status make_guards(Run& run, const sql::Plan& plan);
  [[nodiscard]] Status end_guards(Run& run, const sql::Plan& plan);
  [[nodiscard]] Status refuse_if_pending(std::string_view command, Oid table) const;
  [[nodiscard]] Status set_constraints(const sql::ParsedStatement& statement);
  [[nodiscard]] Status check_waiting();
  [[nodiscard]] Result<Progress> step_explain(Run& run);
  [[nodiscard]] Result<sql::ExplainNode> measure(Run& run, sql::ExplainSummary& times);
  [[nodiscard]] Status prepare_change(Run& run);
  [[nodiscard]] Status prepare_step(Run& run, const sql::PlanStep& step);
  static void measure_step(Run& run, const sql::PlanStep& step, std::uint64_t rows);
  [[nodiscard]] static Status make_stages(Run& run);
  [[nodiscard]] Result<rowstore::CachedStatement> prepare(Run& run, std::string_view sql);
  [[nodiscard]] Status bind_values(const Run& run, sqlite3_stmt* statement) const;
  [[nodiscard]] Status compute_prior_values(Run& run);
  [[nodiscard]] Status bind_prior_values(const Run& run, sqlite3_stmt* statement) const;
  [[nodiscard]] Error step_error(Run& run);
  static void append_row(const Run& run, sqlite3_stmt* statement, ResultBatch& batch);
  [[nodiscard]] static Status hold_row(Run& run, sqlite3_stmt* statement);
  [[nodiscard]] Status hold_prior_rows(Run& run);
  void describe_rows(Run& run);
  void send(Run& run, const ResultBatch& batch);
  [[nodiscard]] Result<Progress> end_statement(Run& run);
  [[nodiscard]] Status commit_now(Run& run);
  [[nodiscard]] bool drop_stale_plan(Run& run) const;
  // ---- portals (portal_run.cpp)
  // Before the transaction changes anything: reads portals on its connection to their end, because they show
  // what was there when they were opened.
  [[nodiscard]] Status settle_portals();
  [[nodiscard]] Status drain(Run& run, std::size_t& bytes);
  [[nodiscard]] bool portals_read() const;
  // Sends rows of `held`: kSuspended at max_rows, kWaiting for room in the output.
  [[nodiscard]] Progress send_held(Run& run);
  // 55006 when the statement alters or empties, or `after` has lost, a table that an open portal reads.
  [[nodiscard]] Status refuse_if_read(const sql::ParsedStatement& statement, const sql::Catalog* after) const;
  [[nodiscard]] Status check_result_formats(const Portal& portal, std::size_t columns) const;
  // Binds a prepared statement again after DDL; what it answers must not change.
  [[nodiscard]] Status refresh(Prepared& prepared);

  // ---- utility statements (utility.cpp, utility_transaction.cpp, utility_shared.cpp)
  [[nodiscard]] Result<Progress> step_utility(Run& run);
  [[nodiscard]] Result<Progress> step_transaction(Run& run);
  [[nodiscard]] Status set_variable(const sql::ParsedStatement& statement);
  [[nodiscard]] Status answer_show(Run& run);
  [[nodiscard]] Status prepare_sql(const sql::ParsedStatementPtr& statement);
  [[nodiscard]] Status start_execute_sql(Run& run);
  // With a plan of today's catalog, and so many arguments as it wants.
  [[nodiscard]] Result<Prepared*> prepared_statement(std::string_view name, std::size_t arguments);
  [[nodiscard]] Result<std::vector<OwnedValue>> execute_arguments(const PgQuery__ExecuteStmt& execute,
                                                                  const std::vector<Oid>& types);
  [[nodiscard]] Status deallocate(const sql::ParsedStatement& statement);
  [[nodiscard]] Status discard(const sql::ParsedStatement& statement);
  [[nodiscard]] Status run_ddl(Run& run);
  // Answers the tag. `internal`: with all rights, telling nobody.
  [[nodiscard]] Result<std::string> apply_ddl(const sql::ParsedStatementPtr& statement, bool internal);
  [[nodiscard]] Status start_shared_change(Run& run);  // roles and databases
  // ALTER ROLE and ALTER DATABASE ... SET and RESET (utility_settings.cpp).
  [[nodiscard]] Result<std::function<Status(sqlite3*)>> change_settings(const PgQuery__Node& node) const;
  [[nodiscard]] std::vector<StoredSettingRow> stored_settings() const override;
  [[nodiscard]] bool wait_for_users(Run& run);
  // ---- utility_grant.cpp
  [[nodiscard]] Result<std::vector<Oid>> role_oids(std::span<PgQuery__Node* const> nodes) const;
  [[nodiscard]] Result<SharedStep> grant_roles(const PgQuery__GrantRoleStmt& grant) const;
  [[nodiscard]] Result<SharedStep> grant_on_databases(const PgQuery__GrantStmt& grant) const;
  [[nodiscard]] Result<bool> maintain(Run& run);  // VACUUM, ANALYZE
  [[nodiscard]] Result<bool> checkpoint(Run& run);
  [[nodiscard]] Result<sql::Catalog::Named> find_relation(const PgQuery__RangeVar& name) const;
  [[nodiscard]] std::vector<std::string> owned_by(Oid role) const;
  [[nodiscard]] Result<bool> lock_tables(const sql::ParsedStatement& statement);
  void answer_text(Run& run, const OutputColumn& description, std::span<const std::string> lines);
  [[nodiscard]] Result<std::vector<OutputColumn>> utility_columns(
      const sql::ParsedStatement& statement) const;
  [[nodiscard]] bool utility_needs_writer(const sql::ParsedStatement& statement) const;

  // ---- statements in statements (function_run.cpp)
  [[nodiscard]] Result<Progress> step_do(Run& run);
  [[nodiscard]] Result<Progress> step_nested(Run& run, ReplySink& sink);
  [[nodiscard]] Status begin_savepoint(const std::string& name);
  [[nodiscard]] Status undo_to(const std::string& name);
  [[nodiscard]] Result<OwnedValue> call_function(Oid function, std::span<const Value> args) override;

  // ---- COPY (copy_run.cpp)
  [[nodiscard]] Result<Progress> step_copy(Run& run);
  class BinaryRows;
  [[nodiscard]] Status copy_row(Run& run, std::span<const CopyField> fields);
  [[nodiscard]] Status copy_field(Run& run, std::size_t column, CopyField field);
  [[nodiscard]] Status store_copied(Run& run);
  void write_copy_binary_row(Run& run, const ResultBatch& batch, std::size_t row) const;
  [[nodiscard]] Progress copy_failed(Error why);

  // ---- LISTEN and NOTIFY (notify_run.cpp)
  [[nodiscard]] Status step_notify(const sql::ParsedStatement& statement);
  void publish_notifications(Csn csn);

  // ---- context (session_context.cpp)
  [[nodiscard]] sql::BindContext bind_context();
  [[nodiscard]] std::vector<std::string> search_path() const;
  void refresh_settings();
  void end_local_settings();
  void connected(rowstore::Connection& connection);
  [[nodiscard]] std::optional<Error> interrupt();
  [[nodiscard]] std::optional<Error> interrupt_sqlite();
  [[nodiscard]] std::shared_ptr<const sql::Catalog> catalog() const;
  void ensure_transaction();
  void start_statement_clock();
  void start_deadline();  // statement_timeout
  void hand_off();        // before what takes long
  void end_of_transaction();
  [[nodiscard]] std::int32_t lane_holder(std::int32_t waiting) const;
  [[nodiscard]] Result<Csn> commit_transaction();
  [[nodiscard]] Status refuse_in_block(std::string_view command) const;
  [[nodiscard]] Status assign(std::string_view variable, std::optional<std::string_view> value, bool local);

  // ---- the user and its rights (user.cpp)
  void refresh_user();
  void freshen_user() {  // as of the newest shared catalog
    if (node_.shared_version() != shared_seen_) refresh_user();
  }
  [[nodiscard]] Oid oid_of_user(const std::string& name) const;
  [[nodiscard]] Status set_role(std::optional<std::string_view> name, bool local);
  [[nodiscard]] Status set_session_authorization(std::optional<std::string_view> name, bool local);
  [[nodiscard]] Status become(std::string_view role, const Role& who, bool local);
  [[nodiscard]] Result<Oid> role_oid(const PgQuery__RoleSpec& role) const;
  [[nodiscard]] std::vector<std::string> usable_path(const sql::Catalog& catalog) const;
  [[nodiscard]] bool owns_database() const;
  [[nodiscard]] bool may_create_schemas() const;
  [[nodiscard]] bool may_create_temporary() const;
  [[nodiscard]] Status may_look_in(const char* schema) const;
  [[nodiscard]] Status check_privileges(const sql::Plan& plan) const;
  [[nodiscard]] Status may_use(const sql::Sequence* sequence, sql::Rights any) const;  // one is enough
  // The error without what it tells of the changed table's rows, if the user may not read them.
  [[nodiscard]] Error without_rows(const sql::Plan& plan, Error why) const;
  [[nodiscard]] Error without_rows(const sql::Catalog& catalog, Error why) const;
  [[nodiscard]] Error without_rows(const sql::Catalog& catalog, Oid changed, Error why) const;
  [[nodiscard]] bool fills_identity(const sql::Sequence* sequence) const;

  // SessionInfo
  [[nodiscard]] std::string current_user() const override { return user_name_; }
  [[nodiscard]] std::string session_user() const override { return session_user_; }
  [[nodiscard]] std::string current_database() const override { return entry_.name; }
  [[nodiscard]] std::vector<std::string> current_schemas(bool include_implicit) const override;
  [[nodiscard]] std::uint64_t transaction_id() override;
  [[nodiscard]] std::optional<std::string> setting(std::string_view name) const override;
  [[nodiscard]] Result<std::string> set_setting(std::string_view name, std::string_view value,
                                                bool local) override;
  [[nodiscard]] Status check_interrupt() override;
  [[nodiscard]] Status sleep_us(std::int64_t microseconds) override;
  [[nodiscard]] Result<bool> signal_backend(std::int32_t pid, bool terminate,
                                            std::int64_t timeout_ms) override;
  [[nodiscard]] Status notify(std::string_view channel, std::string_view payload) override;
  [[nodiscard]] std::vector<std::string> listening_channels() const override;
  [[nodiscard]] Result<bool> advisory_lock(const AdvisoryLock& lock) override;
  void advisory_unlock_all() override;
  [[nodiscard]] double notification_queue_usage() const override;
  // Sequences
  [[nodiscard]] Result<std::int64_t> nextval(Oid sequence) override;
  [[nodiscard]] Result<std::int64_t> currval(Oid sequence) override;
  [[nodiscard]] Result<std::int64_t> setval(Oid sequence, std::int64_t value, bool is_called) override;
  [[nodiscard]] Status start_sequence(const sql::Sequence& sequence, std::int64_t value, bool is_called);
  [[nodiscard]] Result<std::int64_t> lastval() override;
  // ClusterView
  [[nodiscard]] std::vector<RoleRow> roles() const override;
  [[nodiscard]] std::vector<MemberRow> members() const override;
  [[nodiscard]] sql::Identity identity(Oid role) const override;
  [[nodiscard]] std::optional<std::string> role_name(Oid role) const override;
  [[nodiscard]] std::vector<DatabaseRow> databases() const override;
  [[nodiscard]] std::vector<SettingRow> settings() const override;
  [[nodiscard]] std::vector<ActivityRow> activity() const override;
  [[nodiscard]] std::vector<LockRow> locks() const override;
  [[nodiscard]] std::vector<AdvisoryRow> advisory_locks() const override;
  [[nodiscard]] std::vector<CursorRow> cursors() const override;
  [[nodiscard]] std::vector<PreparedRow> prepared_statements() const override;
  [[nodiscard]] std::optional<SequencePosition> sequence_position(Oid sequence) const override;

  Node& node_;
  std::shared_ptr<database::Database> database_;
  const DatabaseEntry entry_;
  const Role role_;  // that logged in
  std::string session_user_, user_name_;
  std::shared_ptr<const sql::Identity> who_;  // of user_name_, as of shared_seen_
  std::uint64_t shared_seen_ = 0;             // Node::shared_version
  std::map<std::string, Oid> user_oids_;      // of the roles that the session has been
  Executor& executor_;
  const std::int32_t pid_;
  std::string client_address_;

  Variables variables_;
  Durability durability_;
  FunctionContext functions_;
  SessionFiles files_;
  sql::CatalogSession catalog_session_;
  sql::CatalogKernels catalog_kernels_;
  // Open while a caller of the wire is in here: what values and statements mean depends on the users' types.
  sql::CatalogTypes user_types_{catalog_session_.catalog, catalog_session_.search_path, catalog_session_.who};
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);

  Transaction transaction_;
  bool in_block_ = false;  // BEGIN was given
  bool failed_ = false;    // the block is aborted (25P02)
  std::optional<Error> evicted_;

  Operation operation_ = Operation::kNone;
  ReplySink* sink_ = nullptr;
  std::vector<sql::ParsedStatementPtr> query_;
  std::string query_text_;                // what the parts point into
  std::vector<MessagePart> query_parts_;  // of a message whose statements run by plans for their shapes
  std::size_t query_next_ = 0;
  std::unique_ptr<Run> run_;  // of the simple protocol
  std::shared_ptr<Portal> executing_;

  std::map<std::string, Prepared, std::less<>> prepared_;
  std::map<std::string, std::shared_ptr<Portal>, std::less<>> portals_;
  std::uint64_t newest_portal_ = 0;

  int nested_ = 0;      // statements inside the running one
  int call_depth_ = 0;  // functions inside it
  struct KnownFunction;
  std::map<Oid, std::shared_ptr<KnownFunction>> function_programs_;

  std::map<Oid, std::int64_t> currvals_;
  std::optional<Oid> last_sequence_;

  std::atomic<bool> cancelled_{false};
  std::atomic<bool> terminated_{false};
  bool waited_ = false;              // for the lane or a reader
  std::atomic<bool> parked_{false};  // an operation waits: not on any thread
  std::int64_t deadline_ns_ = 0;     // of the statement; 0 = none
  enum class LiteralMode : std::uint8_t { kOff, kOn, kAlways } literal_plans_ = LiteralMode::kOn;
  std::int64_t budget_ns_ = 0;       // when the reactor is handed off
  std::int64_t trial_until_ns_ = 0;  // when SQLite is interrupted in favour of the engine; 0: it is not
  bool trial_over_ = false;          // and it was
  int stop_asked_ = 0;               // since functions_.stop was set
  std::int64_t statement_timeout_ms_ = 0;
  std::int64_t lock_timeout_ms_ = 0;
  std::int64_t idle_timeout_ms_ = 0;
  bool has_temporary_ = false;       // has had a temporary relation: its schema is in `path_`
  bool implicit_temporary_ = false;  // in front, where search_path does not name it
  std::vector<std::string> path_;
  std::uint64_t names_key_ = 0;  // of path_ and role
  // Whether names would be the same if the statement were bound now.
  [[nodiscard]] bool is_current(const sql::Plan& plan) const {
    return plan.catalog == catalog() && plan.names_key == names_key_;
  }
  Isolation default_isolation_ = Isolation::kReadCommitted;
  bool default_read_only_ = false;
  bool plain_defaults_ = true;  // transaction_isolation and transaction_read_only say what the defaults say
  std::optional<Executor::TimerId> timer_;
  std::optional<Executor::TimerId> idle_timer_;
  NotifyChanges notify_changes_;      // of the transaction
  std::set<std::string> listening_;   // as of the newest commit
  std::shared_ptr<Mailbox> mailbox_;  // once it has listened
  Csn own_commit_;                    // of the newest transaction that notified
  bool awaits_commit_ = false;        // the oldest message waits for the log
  std::function<void()> notified_;    // the wire's: something was heard; with end_mutex_ held
  std::mutex end_mutex_;
  std::function<void(Error)> end_;  // the wire's: ends the connection; any thread, with the mutex held

  mutable std::mutex activity_mutex_;
  ActivityRow activity_;
};

}  // namespace bop::session
