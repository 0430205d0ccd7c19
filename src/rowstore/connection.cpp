#include "rowstore/connection.hpp"

#include <sqlite3.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "base/assert.hpp"
#include "rowstore/instance.hpp"
#include "rowstore/statement_cache.hpp"
#include "rowstore/vfs.hpp"

namespace bop::rowstore {

namespace {

// SQLite's WalIndexHdr, which is what a sqlite3_snapshot holds: 48 bytes, mxFrame at 16, aSalt at 32.
constexpr std::size_t kSnapshotFrameAt = 16;
constexpr std::size_t kSnapshotSaltAt = 32;

ErrorCode code_of_sqlite(int code) {
  switch (code) {
    case SQLITE_CONSTRAINT_UNIQUE:
    case SQLITE_CONSTRAINT_PRIMARYKEY:
    case SQLITE_CONSTRAINT_ROWID: return ErrorCode::kUniqueViolation;
    case SQLITE_CONSTRAINT_NOTNULL: return ErrorCode::kNotNullViolation;
    case SQLITE_CONSTRAINT_FOREIGNKEY: return ErrorCode::kForeignKeyViolation;
    case SQLITE_CONSTRAINT_CHECK: return ErrorCode::kCheckViolation;
    default: break;
  }
  switch (code & 0xff) {
    case SQLITE_FULL: return ErrorCode::kDiskFull;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return ErrorCode::kCorrupt;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN: return ErrorCode::kIo;
    case SQLITE_NOMEM: return ErrorCode::kOutOfMemory;
    case SQLITE_INTERRUPT: return ErrorCode::kCancelled;
    case SQLITE_TOOBIG: return ErrorCode::kProgramLimitExceeded;
    case SQLITE_AUTH: return ErrorCode::kInsufficientPrivilege;
    case SQLITE_READONLY: return ErrorCode::kReadOnlyTransaction;
    default: return ErrorCode::kInternal;
  }
}

// Pragmas that only ask, or only touch their own connection. Everything else could change the format, the
// locks or the checkpoints under us.
constexpr std::array<std::string_view, 18> kAllowedPragmas = {
    "writable_schema",  // DDL swaps the roots of a rebuilt table and reads the schema again
    "table_info",      "table_xinfo",      "table_list",        "index_list",     "index_info",
    "index_xinfo",     "foreign_key_list", "foreign_key_check", "foreign_keys",   "defer_foreign_keys",
    "integrity_check", "quick_check",      "optimize",          "analysis_limit", "page_count",
    "freelist_count",  "data_version"};

}  // namespace

Connection::Connection(std::shared_ptr<Instance> instance, Role role)
    : instance_(std::move(instance)), role_(role) {}

Connection::~Connection() {
  if (sqlite_ == nullptr) return;
  rollback();
  if (on_close_) on_close_(*this);
  cache_.reset();
  for (sqlite3_stmt* statement : {begin_, begin_immediate_, commit_, rollback_}) sqlite3_finalize(statement);
  // With statements of the SQL layer still open SQLite keeps a zombie, which would outlive its VFS.
  while (sqlite3_stmt* open = sqlite3_next_stmt(sqlite_, nullptr)) sqlite3_finalize(open);
  BOP_ASSERT(sqlite3_close(sqlite_) == SQLITE_OK);
}

int Connection::authorize(void* connection, int action, const char* first, const char* second, const char*,
                          const char*) {
  const auto& self = *static_cast<const Connection*>(connection);
  if (action == SQLITE_ATTACH || action == SQLITE_DETACH) return SQLITE_DENY;
  if (action != SQLITE_PRAGMA || self.internal_) return SQLITE_OK;
  const bool allowed = std::ranges::any_of(kAllowedPragmas, [&](std::string_view p) { return p == first; });
  // Foreign keys stay on: the pragma may be asked, not set.
  if (allowed && std::string_view(first) == "foreign_keys" && second != nullptr) return SQLITE_DENY;
  return allowed ? SQLITE_OK : SQLITE_DENY;
}

Status Connection::open(const std::function<Status(Connection&)>& on_open,
                        std::function<void(Connection&)> on_close, std::size_t cached_statements,
                        int cache_kib) {
  const OpeningScope scope(*this);
  int code = sqlite3_open_v2(kMainFileName, &sqlite_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_EXRESCODE,
                             instance_->vfs_name());
  if (code != SQLITE_OK) return std::unexpected(sqlite_error(code));
  sqlite3_db_config(sqlite_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  sqlite3_db_config(sqlite_, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 1, nullptr);
  // EXPLAIN ANALYZE turns it on while it counts.
  sqlite3_db_config(sqlite_, SQLITE_DBCONFIG_STMT_SCANSTATUS, 0, nullptr);
  sqlite3_wal_autocheckpoint(sqlite_, 0);
  BOP_TRY(
      execute(fmt::format("PRAGMA synchronous=OFF; PRAGMA foreign_keys=ON; PRAGMA cache_size=-{};"
                          "SELECT 1 FROM sqlite_schema LIMIT 1;",
                          cache_kib)));
  if (role_ == Role::kReader) BOP_TRY(execute("PRAGMA query_only=ON"));
  const std::pair<sqlite3_stmt**, const char*> own[] = {{&begin_, "BEGIN"},
                                                        {&begin_immediate_, "BEGIN IMMEDIATE"},
                                                        {&commit_, "COMMIT"},
                                                        {&rollback_, "ROLLBACK"}};
  for (const auto& [statement, sql] : own) {
    code = sqlite3_prepare_v3(sqlite_, sql, -1, SQLITE_PREPARE_PERSISTENT, statement, nullptr);
    if (code != SQLITE_OK) return std::unexpected(sqlite_error(code));
  }
  cache_ = std::make_unique<StatementCache>(sqlite_, cached_statements);
  sqlite3_set_authorizer(sqlite_, &Connection::authorize, this);
  if (on_open) BOP_TRY(on_open(*this));
  on_close_ = std::move(on_close);
  return {};
}

Status Connection::step(sqlite3_stmt* statement) {
  const int code = sqlite3_step(statement);
  sqlite3_reset(statement);
  if (code == SQLITE_DONE || code == SQLITE_ROW) return {};
  return std::unexpected(sqlite_error(code));
}

Result<std::optional<Connection::SnapshotPlace>> Connection::snapshot_place() {
  sqlite3_snapshot* snapshot = nullptr;
  const int code = sqlite3_snapshot_get(sqlite_, "main", &snapshot);
  if (code == SQLITE_ERROR) return std::nullopt;
  if (code != SQLITE_OK) return std::unexpected(sqlite_error(code));
  SnapshotPlace place;
  const auto* bytes = reinterpret_cast<const std::byte*>(snapshot);
  std::memcpy(&place.last_frame, bytes + kSnapshotFrameAt, sizeof(place.last_frame));
  std::memcpy(place.salt.data(), bytes + kSnapshotSaltAt, place.salt.size());
  sqlite3_snapshot_free(snapshot);
  return place;
}

Result<Csn> Connection::snapshot_csn() {
  BOP_LET(place, snapshot_place());
  if (!place) return instance_->recovered();
  const auto csn = instance_->capture().csn_of(place->salt, place->last_frame);
  if (!csn) {
    return fail(ErrorCode::kInternal, "no commit is known for frame {} of the WAL", place->last_frame);
  }
  return *csn;
}

Result<Csn> Connection::begin_read() {
  BOP_ASSERT(!in_transaction_);
  if (auto why = instance_->discarded()) return std::unexpected(std::move(*why));
  error_.reset();
  // Pinned before the snapshot is taken, at a state that it cannot be older than.
  pinned_ = instance_->capture().published();
  instance_->database().attachments().pin(*pinned_);
  in_transaction_ = true;
  auto begun = step(begin_);
  auto csn = begun ? snapshot_csn() : Result<Csn>(std::unexpected(begun.error()));
  if (!csn) {
    rollback();
    return csn;
  }
  snapshot_ = *csn;
  return csn;
}

Result<Csn> Connection::begin_write() {
  BOP_ASSERT(!in_transaction_ && role_ == Role::kWriter);
  if (auto why = instance_->discarded()) return std::unexpected(std::move(*why));
  error_.reset();
  pinned_ = instance_->capture().published();
  instance_->database().attachments().pin(*pinned_);
  in_transaction_ = true;
  instance_->capture().begin_transaction();
  if (auto begun = step(begin_immediate_); !begun) {
    rollback();
    return std::unexpected(std::move(begun).error());
  }
  snapshot_ = instance_->capture().tip();
  return snapshot_;
}

void Connection::end() noexcept {
  in_transaction_ = false;
  on_commit_ = {};
  if (pinned_) instance_->database().attachments().unpin(*std::exchange(pinned_, std::nullopt));
}

void Connection::on_large(std::function<void()> large) { instance_->capture().on_large(std::move(large)); }
void Connection::set_flush(const aof::FlushPolicy& flush) { instance_->capture().set_flush(flush); }

Result<Csn> Connection::commit() {
  BOP_ASSERT(in_transaction_);
  if (sqlite3_get_autocommit(sqlite_) != 0) {
    // SQLite rolled back by itself when a statement failed.
    auto why = take_error();
    end();
    if (why) return std::unexpected(std::move(*why));
    return fail(ErrorCode::kInFailedTransaction, "the transaction was rolled back when a statement failed");
  }
  auto done = step(commit_);
  const auto decided = role_ == Role::kWriter ? instance_->capture().decided() : std::nullopt;
  if (done) {
    if (decided) {
      snapshot_ = *decided;
      instance_->capture().published(*decided);
    }
    end();
    return snapshot_;
  }
  if (decided) {
    // In the log, but SQLite could not finish: this instance is behind the log and must not go on (rule 2).
    Error why =
        error(ErrorCode::kOutcomeUnknown, "the commit is record {} of the log, and then failed here: {}",
              decided->value, done.error().what());
    instance_->discard(why);
    rollback();
    return std::unexpected(std::move(why));
  }
  rollback();
  return std::unexpected(std::move(done).error());
}

bool Connection::rolled_back_by_itself() const noexcept {
  return in_transaction_ && sqlite3_get_autocommit(sqlite_) != 0;
}

void Connection::rollback() noexcept {
  if (!in_transaction_) return;
  // Statements that still run would keep their read transaction open behind the ROLLBACK.
  for (sqlite3_stmt* s = sqlite3_next_stmt(sqlite_, nullptr); s != nullptr;
       s = sqlite3_next_stmt(sqlite_, s)) {
    if (sqlite3_stmt_busy(s) != 0) sqlite3_reset(s);
  }
  if (sqlite3_get_autocommit(sqlite_) == 0) {
    sqlite3_step(rollback_);
    sqlite3_reset(rollback_);
  }
  end();
}

Result<CachedStatement> Connection::prepare(std::string_view sql) {
  int code = SQLITE_OK;
  CachedStatement statement = cache_->take(sql, code);
  if (!statement) return std::unexpected(sqlite_error(code));
  return statement;
}

Status Connection::execute(std::string_view sql) {
  const std::string text(sql);
  const int code = sqlite3_exec(sqlite_, text.c_str(), nullptr, nullptr, nullptr);
  if (code == SQLITE_OK) return {};
  return std::unexpected(sqlite_error(code));
}

Status Connection::execute_temporary(std::string_view sql) {
  if (role_ != Role::kReader) return execute(sql);
  internal_ = true;
  Status done = execute("PRAGMA query_only=OFF");
  if (done) done = execute(sql);
  const Status closed = execute("PRAGMA query_only=ON");
  internal_ = false;
  return done ? closed : done;
}

std::optional<Error> Connection::take_error() {
  auto from_temp = take_temp_error();
  auto own = std::exchange(error_, std::nullopt);
  return own ? std::move(own) : std::move(from_temp);
}

Error Connection::sqlite_error(int code) {
  switch (code & 0xff) {
    case SQLITE_IOERR:
    case SQLITE_FULL:
    case SQLITE_CORRUPT:
    case SQLITE_INTERRUPT:
    case SQLITE_CANTOPEN:
      if (auto reason = take_error()) return std::move(*reason);
      break;
    default: break;
  }
  return {code_of_sqlite(code), sqlite_ != nullptr ? sqlite3_errmsg(sqlite_) : sqlite3_errstr(code)};
}

int Connection::progress(void* connection) {
  auto& self = *static_cast<Connection*>(connection);
  auto stop = self.progress_();
  if (!stop) return 0;
  self.error_ = std::move(stop);
  return 1;
}

void Connection::set_progress(int instructions, std::function<std::optional<Error>()> ask) {
  progress_ = std::move(ask);
  progress_instructions_ = progress_ ? instructions : 0;
  pause_progress(false);
}

void Connection::pause_progress(bool paused) noexcept {
  const int instructions = paused ? 0 : progress_instructions_;
  sqlite3_progress_handler(sqlite_, instructions, instructions == 0 ? nullptr : &Connection::progress, this);
}

}  // namespace bop::rowstore
