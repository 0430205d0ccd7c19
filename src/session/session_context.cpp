// What a session gives to the layers below: names, settings, interrupts, sequences, the node's rows of
// pg_catalog.
#include <algorithm>
#include <thread>

#include "base/assert.hpp"
#include "base/memory_use.hpp"
#include "base/metrics.hpp"
#include "session/pg_session.hpp"
#include "sql/catalog/temporary.hpp"

namespace bop::session {

namespace {

constexpr std::int64_t kPostgresEpochUs = 946'684'800'000'000;  // 2000-01-01 in microseconds of Unix time
constexpr int kProgressInstructions = 2000;
constexpr int kStopPatience = 20'000;  // times kProgressInstructions: about a second

Isolation isolation_of(std::string_view name) {
  if (name == "serializable") return Isolation::kSerializable;
  if (name == "repeatable read") return Isolation::kRepeatableRead;
  return Isolation::kReadCommitted;
}

// The names in a search_path: quoted or folded, separated by commas.
std::vector<std::string> split_path(std::string_view text) {
  std::vector<std::string> names;
  std::size_t i = 0;
  while (i < text.size()) {
    while (i < text.size() && (text[i] == ' ' || text[i] == ',')) ++i;
    if (i >= text.size()) break;
    std::string name;
    if (text[i] == '"') {
      for (++i; i < text.size(); ++i) {
        if (text[i] == '"') {
          if (i + 1 >= text.size() || text[i + 1] != '"') break;
          ++i;
        }
        name.push_back(text[i]);
      }
      ++i;
    } else {
      for (; i < text.size() && text[i] != ',' && text[i] != ' '; ++i) {
        name.push_back(static_cast<char>(std::tolower(static_cast<unsigned char>(text[i]))));
      }
    }
    names.push_back(std::move(name));
  }
  return names;
}

}  // namespace

sql::BindContext PgSession::bind_context() {
  sql::BindContext context;
  context.catalog = catalog_session_.catalog = catalog();
  context.search_path = usable_path(*context.catalog);
  context.names_key = names_key_;
  context.who = who_;
  context.codec = functions_.codec;
  context.database = entry_.name;
  context.files = &files_;
  context.prepared = [this](std::string_view name, std::size_t arguments) -> Result<sql::PlanPtr> {
    BOP_LET(prepared, prepared_statement(name, arguments));
    return prepared->plan;
  };
  return context;
}

std::shared_ptr<const sql::Catalog> PgSession::catalog() const { return transaction_.catalog(); }

std::vector<std::string> PgSession::search_path() const {
  std::vector<std::string> path;
  for (std::string& name : split_path(variables_.get("search_path"))) {
    if (name == "$user") name = user_name_;
    if (name == sql::kTemporaryAlias) name = temporary_name();
    path.push_back(std::move(name));
  }
  if (has_temporary_ && sql::own_temporary(path).empty()) path.insert(path.begin(), temporary_name());
  return path;
}

// Everything that is derived from variables.
void PgSession::refresh_settings() {
  refresh_user();
  durability_.read(variables_);
  path_ = search_path();
  names_key_ = std::hash<std::string>()(fmt::format("{}\n{}", who_->role, fmt::join(path_, "\n")));
  const auto written = split_path(variables_.get("search_path"));
  implicit_temporary_ = std::ranges::find(written, sql::kTemporaryAlias) == written.end() &&
                        std::ranges::find(written, temporary_name()) == written.end();
  catalog_session_.search_path = path_;
  const std::string& literals = variables_.get("bop.literal_plans");
  literal_plans_ = literals == "off"  ? LiteralMode::kOff
                   : literals == "on" ? LiteralMode::kOn
                                      : LiteralMode::kAlways;
  statement_timeout_ms_ = variables_.get_int("statement_timeout");
  lock_timeout_ms_ = variables_.get_int("lock_timeout");
  idle_timeout_ms_ = variables_.get_int("idle_in_transaction_session_timeout");
  CodecContext& codec = functions_.codec;
  codec.zone = TimeZone::find(variables_.get("TimeZone"));
  const std::string& style = variables_.get("DateStyle");
  codec.date_style = style.starts_with("ISO")   ? DateStyle::kIso
                     : style.starts_with("SQL") ? DateStyle::kSql
                     : style.starts_with("Pos") ? DateStyle::kPostgres
                                                : DateStyle::kGerman;
  codec.date_order = style.ends_with("DMY")   ? DateOrder::kDmy
                     : style.ends_with("YMD") ? DateOrder::kYmd
                                              : DateOrder::kMdy;
  const std::string& interval = variables_.get("IntervalStyle");
  codec.interval_style = interval == "postgres"           ? IntervalStyle::kPostgres
                         : interval == "postgres_verbose" ? IntervalStyle::kPostgresVerbose
                         : interval == "sql_standard"     ? IntervalStyle::kSqlStandard
                                                          : IntervalStyle::kIso8601;
  codec.bytea_output = variables_.get("bytea_output") == "hex" ? ByteaOutput::kHex : ByteaOutput::kEscape;
  codec.extra_float_digits = static_cast<int>(variables_.get_int("extra_float_digits"));
  codec.names = &catalog_kernels_;
  catalog_session_.codec = codec;
  default_isolation_ = isolation_of(variables_.get("default_transaction_isolation"));
  default_read_only_ = variables_.get_bool("default_transaction_read_only");
  plain_defaults_ =
      variables_.get("transaction_isolation") == variables_.get("default_transaction_isolation") &&
      variables_.get_bool("transaction_read_only") == default_read_only_;
  if (transaction_.active()) {
    transaction_.set_isolation(isolation_of(variables_.get("transaction_isolation")));
    transaction_.set_read_only(variables_.get_bool("transaction_read_only"));
  }
  const std::lock_guard lock(activity_mutex_);
  activity_.application_name = variables_.get("application_name");
}

// The transaction is committed: what SET LOCAL said holds no more.
void PgSession::end_local_settings() {
  const bool changed = variables_.mark() != 0;
  variables_.commit();
  if (changed) refresh_settings();
}

void PgSession::ensure_transaction() {
  if (transaction_.active()) return;
  if (!plain_defaults_) {
    // What the last transaction said of itself does not hold for the next.
    (void)variables_.set("transaction_isolation", variables_.get("default_transaction_isolation"), true,
                         true);
    (void)variables_.set("transaction_read_only", variables_.get("default_transaction_read_only"), true,
                         true);
  }
  transaction_.begin(default_isolation_, default_read_only_);
  functions_.codec.transaction_timestamp = functions_.codec.statement_timestamp;
}

void PgSession::start_statement_clock() {
  Clock& clock = *node_.options().clock;
  functions_.codec.statement_timestamp = clock.wall_us() - kPostgresEpochUs;
  if (!transaction_.active()) functions_.codec.transaction_timestamp = functions_.codec.statement_timestamp;
  start_deadline();
  functions_.error.reset();
  functions_.stop.reset();
  catalog_session_.codec = functions_.codec;
  catalog_session_.catalog = catalog();
  freshen_user();
  if (!who_->superuser) catalog_session_.search_path = usable_path(*catalog_session_.catalog);
}

void PgSession::start_deadline() {
  deadline_ns_ =
      statement_timeout_ms_ > 0 ? node_.options().clock->steady_ns() + statement_timeout_ms_ * 1'000'000 : 0;
}

void PgSession::hand_off() {
  if (executor_.hand_off()) metrics().hand_offs_total.add();
}

TransactionStatus PgSession::transaction_status() const {
  if (!in_block_) return TransactionStatus::kIdle;
  return failed_ ? TransactionStatus::kFailed : TransactionStatus::kInBlock;
}

std::vector<std::pair<std::string, std::string>> PgSession::reported_parameters() const {
  std::vector<std::pair<std::string, std::string>> reported;
  for (const VariableInfo& info : variable_table()) {
    if ((info.flags & kReport) != 0) reported.emplace_back(info.name, variables_.get(info.name));
  }
  return reported;
}

void PgSession::report_changes() {
  for (const std::string& name : variables_.take_reports())
    sink_->parameter_status(name, variables_.get(name));
}

void PgSession::notice(Severity severity, Error what) {
  const std::string& least = variables_.get("client_min_messages");
  if (least == "error" || (least == "warning" && severity != Severity::kWarning)) return;
  sink_->notice(severity, what);
}

// A connection of the pool starts to work for this session.
void PgSession::connected(rowstore::Connection& connection) {
  auto* context = static_cast<ConnectionContext*>(connection.user_context);
  context->slot.session = &catalog_session_;
  rebind_functions(connection.handle(), &functions_);
  (void)sql::register_plan_functions(connection.handle(), &functions_);
  connection.set_progress(kProgressInstructions, [this] { return interrupt_sqlite(); });
}

// SQLite takes the whole transaction back when a statement that writes is interrupted. Behind a savepoint the
// statement is asked to stop, and interrupted only if it does not.
std::optional<Error> PgSession::interrupt_sqlite() {
  if (functions_.stop) {
    if (++stop_asked_ < kStopPatience) return std::nullopt;
    return std::exchange(functions_.stop, std::nullopt);
  }
  auto why = interrupt();
  const Run* run = current_run();
  const bool writes =
      transaction_.writing() && transaction_.has_savepoints() &&
      (nested_ > 0 || run == nullptr || !run->plan || run->plan->kind != sql::PlanKind::kSelect);
  if (!why || !writes) return why;
  functions_.stop = std::move(why);
  stop_asked_ = 0;
  return std::nullopt;
}

std::optional<Error> PgSession::interrupt() {
  if (terminated_.load(std::memory_order_relaxed)) return terminated();
  if (cancelled_.load(std::memory_order_relaxed)) {
    cancelled_.store(false, std::memory_order_relaxed);
    return Error(ErrorCode::kCancelled, "canceling statement due to user request");
  }
  if (memory_is_short([this] { return node_.give_back_memory(); })) {
    return error(ErrorCode::kOutOfMemory, "out of memory")
        .detail(fmt::format("The node holds more than {} MB.", memory_limit() >> 20))
        .hint("The limit is the setting memory_limit.");
  }
  const std::int64_t now = node_.options().clock->steady_ns();
  if (deadline_ns_ != 0 && now >= deadline_ns_) {
    deadline_ns_ = 0;  // a handler may run
    return Error(ErrorCode::kCancelled, "canceling statement due to statement timeout");
  }
  if (trial_until_ns_ != 0 && now >= trial_until_ns_) {
    trial_until_ns_ = 0;
    trial_over_ = true;
    return Error(ErrorCode::kCancelled, "the trial of this executor is over");
  }
  if (now >= budget_ns_ && operation_ != Operation::kNone) {
    hand_off();
  }
  return std::nullopt;
}

// Several statements in one message are a block, too.
Status PgSession::refuse_in_block(std::string_view command) const {
  if (in_block_ || (operation_ == Operation::kQuery && query_.size() > 1)) {
    return fail(ErrorCode::kActiveTransaction, "{} cannot run inside a transaction block", command);
  }
  if (transaction_.active()) {
    return fail(ErrorCode::kActiveTransaction, "{} cannot be executed within a pipeline", command);
  }
  return {};
}

// ----------------------------------------------------------------------------------------------- SessionInfo

std::vector<std::string> PgSession::current_schemas(bool include_implicit) const {
  std::vector<std::string> schemas;
  const auto now = catalog();
  const std::string temporary = temporary_name();
  const bool has_own = implicit_temporary_ && now->schema(std::string_view(temporary)) != nullptr;
  if (include_implicit && has_own && sql::own_temporary(path_) == temporary) schemas.push_back(temporary);
  if (include_implicit && std::ranges::find(path_, "pg_catalog") == path_.end())
    schemas.emplace_back("pg_catalog");
  for (const std::string& name : usable_path(*now)) {
    if (implicit_temporary_ && name == temporary) continue;
    if (now->schema(std::string_view(name)) != nullptr) schemas.push_back(name);
  }
  return schemas;
}

// The next commit would be the one behind the newest: unique among writers, shared by readers of one state.
std::uint64_t PgSession::transaction_id() {
  return transaction_.active() ? transaction_.gate().value + 1 : node_.released().value + 1;
}

std::optional<std::string> PgSession::setting(std::string_view name) const {
  auto shown = variables_.show(name);
  return shown ? std::optional(std::move(*shown)) : std::nullopt;
}

Result<std::string> PgSession::set_setting(std::string_view name, std::string_view value, bool local) {
  BOP_TRY(assign(name, value, local));
  refresh_settings();
  return variables_.show(name);
}

Status PgSession::check_interrupt() {
  if (auto why = interrupt()) return std::unexpected(std::move(*why));
  return {};
}

Status PgSession::assign(std::string_view variable, std::optional<std::string_view> value, bool local) {
  if (variable == "role") return set_role(value, local);
  if (variable == "session_authorization") return set_session_authorization(value, local);
  BOP_LET(changed, variables_.set(variable, value, local));
  if (changed.inert) {
    notice(Severity::kNotice,
           error(ErrorCode::kNotImplemented, "setting \"{}\" is accepted and has no effect: {}",
                 changed.info->name, changed.info->meaning));
  }
  durability_.read(variables_);
  if (auto told = durability_.take_notice()) notice(Severity::kNotice, std::move(*told));
  return {};
}

std::int64_t PgSession::wall_timestamp() const { return node_.options().clock->wall_us() - kPostgresEpochUs; }

// As PostgreSQL: superusers' sessions are superusers' only, others' are their role's.
Result<bool> PgSession::signal_backend(std::int32_t pid, bool terminate, std::int64_t timeout_ms) {
  if (timeout_ms < 0) return fail(ErrorCode::kNumericOutOfRange, "\"timeout\" must not be negative");
  const auto target = node_.role_of(pid);
  if (!target) {
    notice(Severity::kWarning, error(ErrorCode::kWarning, "PID {} is not a PostgreSQL backend process", pid));
    return false;
  }
  if (target->superuser && !who_->superuser) {
    return fail(ErrorCode::kInsufficientPrivilege, "must be a superuser to {} superuser process",
                terminate ? "terminate" : "cancel");
  }
  if (!who_->has_rights_of(target->oid)) {
    return fail(ErrorCode::kInsufficientPrivilege,
                "must be a member of the role whose {} or member of pg_signal_backend",
                terminate ? "process is being terminated" : "query is being canceled");
  }
  if (!terminate) return node_.cancel(pid);
  if (!node_.terminate(pid) || timeout_ms == 0) return true;
  Clock& clock = *node_.options().clock;
  const std::int64_t until = clock.steady_ns() + timeout_ms * 1'000'000;
  while (node_.role_of(pid)) {
    if (clock.steady_ns() >= until) {
      notice(Severity::kWarning,
             error(ErrorCode::kWarning, "backend with PID {} did not terminate within {} milliseconds", pid,
                   timeout_ms));
      return false;
    }
    BOP_TRY(sleep_us(10'000));
  }
  return true;
}

Status PgSession::sleep_us(std::int64_t microseconds) {
  Clock& clock = *node_.options().clock;
  const std::int64_t until = clock.steady_ns() + microseconds * 1000;
  hand_off();
  for (std::int64_t now = clock.steady_ns(); now < until; now = clock.steady_ns()) {
    BOP_TRY(check_interrupt());
    std::this_thread::sleep_for(std::chrono::nanoseconds(std::min<std::int64_t>(until - now, 10'000'000)));
  }
  return {};
}

// ------------------------------------------------------------------------------------------------- Sequences

namespace {

Result<database::SequenceSpec> sequence_spec(const sql::Sequence* sequence, Oid oid) {
  if (sequence == nullptr)
    return fail(ErrorCode::kUndefinedTable, "sequence with OID {} does not exist", oid);
  return database::SequenceSpec{
      .start = sequence->start,
      .increment = sequence->increment,
      .min = sequence->min,
      .max = sequence->max,
      .cycle = sequence->cycle,
      .block = static_cast<std::uint32_t>(std::clamp<std::int64_t>(sequence->cache, 32, 65536))};
}

Error named(Error why, const sql::Catalog& catalog, Oid oid) {
  if (why.code() != ErrorCode::kSequenceLimitExceeded) return why;
  const auto sequence = catalog.sequence(oid);
  return error(ErrorCode::kSequenceLimitExceeded, "nextval: reached {} value of sequence \"{}\" ({})",
               sequence->increment > 0 ? "maximum" : "minimum", sequence->name,
               sequence->increment > 0 ? sequence->max : sequence->min);
}

}  // namespace

Result<std::int64_t> PgSession::nextval(Oid sequence) {
  if (transaction_.read_only()) {
    return fail(ErrorCode::kReadOnlyTransaction, "cannot execute nextval() in a read-only transaction");
  }
  const auto now = catalog();
  const auto known = now->sequence(sequence);
  if (!fills_identity(known.get())) {
    BOP_TRY(may_use(known.get(), sql::right::kUsage | sql::right::kUpdate));
  }
  BOP_LET(spec, sequence_spec(known.get(), sequence));
  auto value = database_->sequences().nextval(known->state_key(), spec, durability_.flush());
  if (!value) return std::unexpected(named(value.error(), *now, sequence));
  transaction_.raise_gate(value->gate);
  currvals_[sequence] = value->value;
  last_sequence_ = sequence;
  return value->value;
}

Result<std::int64_t> PgSession::currval(Oid sequence) {
  const auto known = catalog()->sequence(sequence);
  BOP_TRY(may_use(known.get(), sql::right::kSelect | sql::right::kUsage));
  const auto found = currvals_.find(sequence);
  if (found != currvals_.end()) return found->second;
  return fail(ErrorCode::kNotInPrerequisiteState,
              "currval of sequence \"{}\" is not yet defined in this session",
              known ? known->name : std::to_string(sequence));
}

Result<std::int64_t> PgSession::setval(Oid sequence, std::int64_t value, bool is_called) {
  const auto known = catalog()->sequence(sequence);
  BOP_TRY(may_use(known.get(), sql::right::kUpdate));
  BOP_LET(spec, sequence_spec(known.get(), sequence));
  if (value < spec.min || value > spec.max) {
    return fail(ErrorCode::kNumericOutOfRange,
                "setval: value {} is out of bounds for sequence \"{}\" ({}..{})", value, known->name,
                spec.min, spec.max);
  }
  BOP_LET(gate, database_->sequences().setval(known->state_key(), spec, value, is_called));
  transaction_.raise_gate(gate);
  if (is_called) currvals_[sequence] = value;
  return value;
}

Status PgSession::start_sequence(const sql::Sequence& sequence, std::int64_t value, bool is_called) {
  BOP_LET(spec, sequence_spec(&sequence, sequence.oid));
  BOP_LET(gate, database_->sequences().setval(sequence.state_key(), spec, value, is_called));
  transaction_.raise_gate(gate);
  return {};
}

Result<std::int64_t> PgSession::lastval() {
  if (last_sequence_) {
    BOP_TRY(may_use(catalog()->sequence(*last_sequence_).get(), sql::right::kSelect | sql::right::kUsage));
    return currvals_[*last_sequence_];
  }
  return fail(ErrorCode::kNotInPrerequisiteState, "lastval is not yet defined in this session");
}

// ----------------------------------------------------------------------------------------------- ClusterView

std::vector<sql::ClusterView::RoleRow> PgSession::roles() const {
  std::vector<RoleRow> rows;
  for (const auto& [name, role] : node_.shared()->roles()) {
    rows.push_back({.oid = role.oid,
                    .name = name,
                    .superuser = role.superuser,
                    .inherit = role.inherit,
                    .createrole = role.createrole,
                    .createdb = role.createdb,
                    .login = role.login,
                    .connection_limit = role.connection_limit,
                    .valid_until = role.valid_until});
  }
  return rows;
}

std::vector<sql::ClusterView::MemberRow> PgSession::members() const {
  std::vector<MemberRow> rows;
  for (const Membership& one : node_.shared()->memberships()) {
    rows.push_back({.role = one.role, .member = one.member, .grantor = one.grantor, .admin = one.admin});
  }
  return rows;
}

sql::Identity PgSession::identity(Oid role) const { return node_.shared()->identity(role); }

std::optional<std::string> PgSession::role_name(Oid role) const {
  const auto shared = node_.shared();
  const Role* known = shared->role(role);
  return known == nullptr ? std::nullopt : std::optional(known->name);
}

std::vector<sql::ClusterView::DatabaseRow> PgSession::databases() const {
  std::vector<DatabaseRow> rows;
  for (const auto& [name, entry] : node_.shared()->databases()) {
    const auto database = node_.databases().find(entry.id);
    const std::int64_t pages =
        database ? static_cast<std::int64_t>(
                       static_cast<rowstore::RowStore&>(database->rows()).numbers().database_pages)
                 : 0;
    rows.push_back({.oid = entry.oid,
                    .name = name,
                    .owner = entry.owner,
                    .is_template = entry.is_template,
                    .allow_connections = entry.allow_connections,
                    .connection_limit = entry.connection_limit,
                    .size_bytes = pages * static_cast<std::int64_t>(kPageBytes),
                    .acl = entry.acl});
  }
  return rows;
}

std::vector<sql::ClusterView::SettingRow> PgSession::settings() const {
  std::vector<SettingRow> rows;
  for (const VariableInfo& info : variable_table()) {
    constexpr std::string_view kKinds[] = {"bool", "integer", "real", "enum", "string"};
    SettingRow row;
    row.name = info.name;
    row.value = variables_.get(info.name);
    row.unit = info.unit;
    row.category = "Session";
    row.meaning = info.meaning;
    row.context = (info.flags & kFixed) != 0 ? "internal" : "user";
    row.kind = kKinds[static_cast<std::size_t>(info.kind)];
    if (info.kind == VariableKind::kInt || info.kind == VariableKind::kReal) {
      row.minimum = fmt::format("{}", info.minimum);
      row.maximum = fmt::format("{}", info.maximum);
    }
    row.boot_value = info.default_value;
    row.reset_value = info.default_value;
    rows.push_back(std::move(row));
  }
  return rows;
}

std::vector<sql::ClusterView::ActivityRow> PgSession::activity() const { return node_.activity(); }

// Portals of the extended protocol, too.
std::vector<sql::ClusterView::CursorRow> PgSession::cursors() const {
  std::vector<CursorRow> rows;
  for (const auto& [name, portal] : portals_) {
    const bool binary = std::ranges::find(portal->formats, Format::kBinary) != portal->formats.end();
    const Cursor* cursor = portal->cursor.get();
    rows.push_back({.name = name,
                    .statement = portal->prepared.text,
                    .holdable = cursor != nullptr && cursor->hold(),
                    .binary = binary,
                    .scrollable = cursor != nullptr && cursor->scroll() != Cursor::Scroll::kNo,
                    .created = portal->made});
  }
  return rows;
}

std::vector<sql::ClusterView::PreparedRow> PgSession::prepared_statements() const {
  std::vector<PreparedRow> rows;
  for (const auto& [name, prepared] : prepared_) {
    if (name.empty()) continue;
    rows.push_back({.name = name,
                    .statement = prepared.text,
                    .prepared = prepared.made,
                    .parameters = prepared.plan ? prepared.plan->parameters : std::vector<Oid>(),
                    .from_sql = prepared.from_sql});
  }
  return rows;
}

std::vector<sql::ClusterView::LockRow> PgSession::locks() const {
  std::vector<LockRow> rows;
  const std::int64_t now = node_.options().clock->steady_ns();
  for (const auto& database : node_.databases().all()) {
    const auto lane = database->lane().snapshot();
    const auto add = [&](const database::WriterLane::Entry& entry, bool granted) {
      rows.push_back({.database = database->name(),
                      .pid = static_cast<std::int32_t>(entry.session),
                      .user_name = {},
                      .granted = granted,
                      .waited_us = (now - entry.since_ns) / 1000,
                      .query = entry.description});
    };
    if (lane.holder) add(*lane.holder, true);
    for (const auto& waiter : lane.waiters) add(waiter, false);
    for (const auto& wait : static_cast<rowstore::RowStore&>(database->rows()).reader_waits()) {
      rows.push_back({.database = database->name(),
                      .pid = static_cast<std::int32_t>(wait.session),
                      .user_name = {},
                      .granted = false,
                      .waited_us = (now - wait.since_ns) / 1000,
                      .query = "waits for a connection to read: " + wait.description});
    }
  }
  return rows;
}

std::optional<sql::ClusterView::SequencePosition> PgSession::sequence_position(Oid sequence) const {
  const auto known = transaction_.catalog()->sequence(sequence);
  const auto at = known ? database_->sequences().position(known->state_key()) : std::nullopt;
  if (!at) return std::nullopt;
  return SequencePosition{.value = at->value, .called = at->called};
}

sql::ClusterView::ActivityRow PgSession::activity_row() const {
  const std::lock_guard lock(activity_mutex_);
  return activity_;
}

}  // namespace bop::session
