#include "session/node.hpp"

#include <algorithm>
#include <tuple>

#include "base/assert.hpp"
#include "base/log.hpp"
#include "executor/loader.hpp"
#include "raft/group.hpp"
#include "session/pg_session.hpp"
#include "sql/catalog/catalog.hpp"
#include "sql/plan.hpp"

namespace bop::session {

namespace {

rowstore::RowStore& rows_of(database::Database& database) {
  return static_cast<rowstore::RowStore&>(database.rows());
}

}  // namespace

Status Node::on_open(rowstore::Connection& connection) {
  auto context = std::make_unique<ConnectionContext>();
  BOP_TRY(register_functions(connection.handle(), &context->idle));
  BOP_TRY(sql::register_plan_functions(connection.handle(), &context->idle));
  BOP_TRY(sql::register_catalog_tables(connection.handle(), &context->slot));
  connection.user_context = context.release();
  return {};
}

void Node::on_close(rowstore::Connection& connection) {
  delete static_cast<ConnectionContext*>(std::exchange(connection.user_context, nullptr));
}

Node::Node(NodeOptions options, database::DatabaseSet& databases, raft::Group& group)
    : options_(std::move(options)),
      databases_(databases),
      group_(group),
      notifications_(options_.notify_queue_bytes),
      advisory_locks_(options_.advisory_locks, options_.advisory_waiters) {}

Node::~Node() { BOP_ASSERT(sessions_.empty() && shared_changes_ == 0); }

Result<std::unique_ptr<Node>> Node::open(NodeOptions options, database::DatabaseSet& databases,
                                         raft::Group& group, std::string_view admin_password) {
  std::unique_ptr<Node> node(new Node(std::move(options), databases, group));
  BOP_TRY(node->start(admin_password));
  return node;
}

Status Node::start(std::string_view admin_password) {
  const auto system = databases_.system();
  auto& rows = rows_of(*system);
  BOP_LET(writer, rows.writer());
  BOP_TRY(writer->begin_write());
  auto ready = SharedCatalog::initialised(writer->handle());
  if (ready && !*ready) {
    auto made = options_.make_verifier(admin_password);
    Status done = made ? SharedCatalog::initialise(writer->handle(), DatabaseId(2), {"SCRAM-SHA-256", *made})
                       : Status(std::unexpected(made.error()));
    if (!done) ready = std::unexpected(done.error());
  }
  if (ready) {
    if (Status done = SharedCatalog::upgrade(writer->handle()); !done) ready = std::unexpected(done.error());
  }
  if (!ready) {
    writer->rollback();
    return std::unexpected(ready.error());
  }
  BOP_LET(csn, writer->commit());
  BOP_TRY(group_.wait_committed(csn));
  BOP_TRY(reload_shared());
  std::vector<database::DatabaseEntry> listed;
  for (const auto& [name, entry] : shared()->databases()) listed.push_back({entry.id, name});
  BOP_TRY(databases_.reconcile(listed));
  for (const auto& database : databases_.all()) {
    if (database->id() == database::kSystemDatabase) continue;
    BOP_TRY(load_catalog(*database));
    if (Status dropped = drop_left_temporary(*database); !dropped) {
      log_error("temporary tables that the last run left are still there", dropped.error());
    }
  }
  return {};
}

void Node::limit_idle_writers(database::Database& database) const {
  const std::int64_t limit = options_.writer_idle_ms;
  const std::chrono::nanoseconds idle =
      limit > 0 ? std::chrono::nanoseconds(std::chrono::milliseconds(limit)) : std::chrono::hours(24 * 365);
  database.lane().set_idle_limit(idle);
  rows_of(database).set_reader_idle_limit(idle);
}

Status Node::load_catalog(database::Database& database) {
  limit_idle_writers(database);
  auto& rows = rows_of(database);
  BOP_LET(reader, rows.try_borrow_reader());
  if (!reader)
    return fail(ErrorCode::kInternal, "database \"{}\": no connection to load its catalog", database.name());
  BOP_LET(csn, reader->begin_read());
  auto catalog = sql::Catalog::load(reader->handle(), sql::builtin_relations());
  if (!catalog) {
    // A damaged page is named by whoever has read it; SQLite says only that there is one.
    auto why = reader->take_error();
    return std::unexpected(why ? std::move(*why) : std::move(catalog).error());
  }
  database.publish_attachment(csn, std::move(*catalog));
  return {};
}

Status Node::reload_shared() {
  auto& rows = rows_of(*databases_.system());
  BOP_LET(reader, rows.try_borrow_reader());
  if (!reader) return fail(ErrorCode::kInternal, "system database: no connection to read it");
  BOP_LET(csn, reader->begin_read());
  auto loaded = SharedCatalog::load(reader->handle());
  if (!loaded) {
    auto why = reader->take_error();
    return std::unexpected(why ? std::move(*why) : std::move(loaded).error());
  }
  const std::lock_guard lock(mutex_);
  if (shared_ && csn < shared_csn_) return {};  // another change has overtaken this one
  shared_ = std::move(*loaded);
  shared_csn_ = csn;
  shared_version_.fetch_add(1, std::memory_order_release);
  return {};
}

std::shared_ptr<const SharedCatalog> Node::shared() const {
  const std::lock_guard lock(mutex_);
  return shared_;
}

std::vector<Verifier> Node::verifiers(std::string_view user) const {
  const auto catalog = shared();
  const Role* role = catalog->role(user);
  if (role == nullptr || !role->login) return {};
  // Microseconds from 2000-01-01, as in valid_until. The password of an expired role is no password.
  constexpr std::int64_t kPostgresEpochUs = 946'684'800'000'000;
  if (role->valid_until && *role->valid_until < options_.clock->wall_us() - kPostgresEpochUs) return {};
  return role->verifiers;
}

Result<std::unique_ptr<Session>> Node::connect(const ConnectRequest& request, Executor& executor,
                                               std::int32_t backend_pid) {
  if (!accepting_.load(std::memory_order_acquire)) {
    return fail(ErrorCode::kCannotConnectNow, "the database system is shutting down");
  }
  const auto catalog = shared();
  const Role* role = catalog->role(request.user);
  if (role == nullptr) {
    return fail(ErrorCode::kInvalidAuthorization, "role \"{}\" does not exist", request.user);
  }
  if (!role->login) {
    return fail(ErrorCode::kInvalidAuthorization, "role \"{}\" is not permitted to log in", request.user);
  }
  const std::string name = request.database.empty() ? request.user : request.database;
  const DatabaseEntry* entry = catalog->database(name);
  const auto database = entry != nullptr ? databases_.find(entry->id) : nullptr;
  if (!database) return fail(ErrorCode::kUndefinedDatabase, "database \"{}\" does not exist", name);
  if (!entry->allow_connections) {
    return fail(ErrorCode::kNotInPrerequisiteState, "database \"{}\" is not currently accepting connections",
                name);
  }
  const sql::Identity who = catalog->identity(role->oid);
  if (sql::held(entry->acl, sql::AclKind::kDatabase, entry->owner, who, sql::right::kConnect) == 0) {
    return std::unexpected(sql::permission_denied("database", fmt::format("\"{}\"", name))
                               .detail("User does not have CONNECT privilege."));
  }
  return PgSession::open(*this, database, *entry, *role, request, executor, backend_pid);
}

Csn Node::released() const { return databases_.gate().released(); }

bool Node::when_released(Csn csn, Executor& executor, std::move_only_function<void(Status)> run) {
  return databases_.gate().when(csn, executor, std::move(run));
}

void Node::stop_accepting() { accepting_.store(false, std::memory_order_release); }

std::size_t Node::session_count() const {
  const std::lock_guard lock(mutex_);
  return sessions_.size();
}

void Node::change_shared(Executor& executor, SharedChange change,
                         std::move_only_function<void(Status)> done) {
  const auto system = databases_.system();
  struct Job {
    SharedChange what;
    std::move_only_function<void(Status)> done;
    database::WriterLane::Ticket ticket = 0;
  };
  auto job = std::make_shared<Job>(Job{std::move(change), std::move(done), 0});
  {
    const std::lock_guard lock(mutex_);
    ++shared_changes_;
  }
  auto end = [this, job](Status outcome) {
    if (outcome) {
      job->what.committed();
      outcome = reload_shared();
      if (!outcome) log_error("the shared catalog is committed, but cannot be read", outcome.error());
    } else {
      job->what.undone();
    }
    job->done(std::move(outcome));
    end_shared_change();
  };
  auto run = [system, job, end, &executor](Status entered) {
    if (!entered) return end(std::move(entered));
    const auto finish = [&]() -> Result<Csn> {
      BOP_LET(writer, rows_of(*system).writer());
      BOP_TRY(writer->begin_write());
      if (Status changed = job->what.change(writer->handle()); !changed) {
        writer->rollback();
        return std::unexpected(changed.error());
      }
      return writer->commit();
    };
    auto csn = finish();
    system->lane().leave(job->ticket);
    if (!csn) {
      // The refusal may come from a change that is not durable yet.
      auto refuse = [end, why = csn.error()](const Status&) { end(std::unexpected(why)); };
      if (system->gate().when(rows_of(*system).tip(), executor, refuse)) refuse({});
      return;
    }
    if (system->gate().when(*csn, executor, end)) end({});
  };
  const auto entered = system->lane().enter(
      {.session = 0, .description = "shared catalog", .timeout = std::nullopt, .evict = {}}, executor, run);
  job->ticket = entered.ticket;
  if (entered.granted) run({});
}

void Node::end_shared_change() {
  const std::lock_guard lock(mutex_);
  --shared_changes_;
  shared_changed_.notify_all();
}

bool Node::wait_for_shared_changes(std::chrono::milliseconds most) const {
  std::unique_lock lock(mutex_);
  return shared_changed_.wait_for(lock, most, [this] { return shared_changes_ == 0; });
}

Status Node::enter(PgSession& session, const Role& role, const DatabaseEntry& entry) {
  const std::lock_guard lock(mutex_);
  if (dropping_.contains(entry.id) || session.database().dropped()) {
    return std::unexpected(error(ErrorCode::kUndefinedDatabase, "database \"{}\" does not exist", entry.name)
                               .detail("It seems to have just been dropped or renamed."));
  }
  const std::size_t most = options_.max_connections;
  if (sessions_.size() >= most) {
    return fail(ErrorCode::kTooManyConnections, "sorry, too many clients already");
  }
  if (!role.superuser && sessions_.size() + options_.superuser_reserved_connections >= most) {
    return fail(ErrorCode::kTooManyConnections,
                "remaining connection slots are reserved for non-replication superuser connections");
  }
  const auto count = [&](auto matches) {
    return std::ranges::count_if(sessions_, [&](const auto& other) { return matches(*other.second); });
  };
  if (!role.superuser) {
    if (role.connection_limit >= 0 &&
        count([&](const PgSession& s) { return s.role().oid == role.oid; }) >= role.connection_limit) {
      return fail(ErrorCode::kTooManyConnections, "too many connections for role \"{}\"", role.name);
    }
    if (entry.connection_limit >= 0 &&
        count([&](const PgSession& s) { return s.database().id() == entry.id; }) >= entry.connection_limit) {
      return fail(ErrorCode::kTooManyConnections, "too many connections for database \"{}\"", entry.name);
    }
  }
  sessions_[session.backend_pid()] = &session;
  return {};
}

bool Node::terminate(std::int32_t backend_pid) {
  const std::lock_guard lock(mutex_);
  const auto found = sessions_.find(backend_pid);
  if (found == sessions_.end()) return false;
  found->second->terminate();
  return true;
}

std::optional<Node::SessionRole> Node::role_of(std::int32_t backend_pid) const {
  const std::lock_guard lock(mutex_);
  const auto found = sessions_.find(backend_pid);
  if (found == sessions_.end()) return std::nullopt;
  return SessionRole{found->second->role().oid, found->second->role().superuser};
}

void Node::leave(PgSession& session) {
  const std::lock_guard lock(mutex_);
  const auto found = sessions_.find(session.backend_pid());
  if (found != sessions_.end() && found->second == &session) sessions_.erase(found);
}

Node::Overview Node::overview(std::size_t most) const {
  struct Candidate {
    int rank;
    std::int64_t since;
    const PgSession* session;
  };
  Overview out;
  std::vector<Candidate> candidates;
  const std::lock_guard lock(mutex_);  // sessions cannot leave
  candidates.reserve(sessions_.size());
  for (const auto& [pid, session] : sessions_) {
    const PgSession::Standing standing = session->standing();
    ++out.states[standing.state];
    const int rank = standing.state == "active" ? 0 : standing.state == "idle" ? 2 : 1;
    candidates.push_back({rank, standing.since, session});
  }
  out.sessions = candidates.size();
  const auto end = candidates.begin() + static_cast<std::ptrdiff_t>(std::min(most, candidates.size()));
  std::ranges::partial_sort(candidates, end, [](const Candidate& a, const Candidate& b) {
    return std::tie(a.rank, a.since) < std::tie(b.rank, b.since);
  });
  for (auto it = candidates.begin(); it != end; ++it) out.rows.push_back(it->session->activity_row());
  return out;
}

std::vector<sql::ClusterView::ActivityRow> Node::activity() const {
  const std::lock_guard lock(mutex_);
  std::vector<sql::ClusterView::ActivityRow> rows;
  for (const auto& [pid, session] : sessions_) rows.push_back(session->activity_row());
  return rows;
}

Status Node::begin_drop(const DatabaseEntry& entry) {
  const std::lock_guard lock(mutex_);
  const auto users = std::ranges::count_if(
      sessions_, [&](const auto& known) { return known.second->database().id() == entry.id; });
  if (users > 0) {
    return std::unexpected(
        error(ErrorCode::kObjectInUse, "database \"{}\" is being accessed by other users", entry.name)
            .detail(fmt::format("There {} {} other session{} using the database.", users == 1 ? "is" : "are",
                                users, users == 1 ? "" : "s")));
  }
  const SharedCatalog& newest = *shared_;
  if (newest.database(entry.name) == nullptr || !dropping_.insert(entry.id).second) {
    return fail(ErrorCode::kUndefinedDatabase, "database \"{}\" does not exist", entry.name);
  }
  return {};
}

void Node::end_drop(DatabaseId id) {
  const std::lock_guard lock(mutex_);
  dropping_.erase(id);
}

bool Node::cancel(std::int32_t backend_pid) {
  const std::lock_guard lock(mutex_);
  const auto found = sessions_.find(backend_pid);
  if (found == sessions_.end()) return false;
  found->second->cancel();
  return true;
}

Result<executor::Engine*> Node::engine() {
  const std::lock_guard lock(engine_mutex_);
  if (!engine_) {
    engine_ = executor::load_engine(options_.engine);
    if (!*engine_)
      log_warning("DuckDB is not there: all queries are SQLite's", {{"why", engine_->error().what()}});
  }
  if (!*engine_) return std::unexpected(engine_->error());
  return (*engine_)->get();
}

bool Node::give_back_memory() {
  const std::lock_guard lock(engine_mutex_);
  return engine_ && *engine_ && (**engine_)->give_back();
}

std::optional<executor::Engine::Numbers> Node::engine_numbers() {
  const std::lock_guard lock(engine_mutex_);
  if (!engine_ || !*engine_) return std::nullopt;
  return (**engine_)->numbers();
}

}  // namespace bop::session
