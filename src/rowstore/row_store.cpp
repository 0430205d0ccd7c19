#include "rowstore/row_store.hpp"

#include <sqlite3.h>

#include <algorithm>
#include <utility>

#include "aof/reader.hpp"
#include "base/assert.hpp"
#include "raft/group.hpp"
#include "rowstore/state.hpp"
#include "rowstore/vfs.hpp"

namespace bop::rowstore {

using database::LogRecord;
using database::RecordKind;

// --- connections ---

Result<std::unique_ptr<Connection>> RowStore::connect(State& state, std::shared_ptr<Instance> instance,
                                                      Connection::Role role) {
  std::unique_ptr<Connection> connection(new Connection(std::move(instance), role));
  const bool writes = role == Connection::Role::kWriter;
  BOP_TRY(connection->open(state.options.on_open, state.options.on_close, state.options.cached_statements,
                           writes ? state.options.writer_cache_kib : state.options.reader_cache_kib));
  return connection;
}

Result<Connection*> RowStore::writer() {
  std::lock_guard lock(state_->mutex);
  if (!state_->instance) return fail(ErrorCode::kCannotConnectNow, "the database is not open");
  if (state_->sync_failure) return std::unexpected(*state_->sync_failure);
  if (auto why = state_->instance->discarded()) return std::unexpected(std::move(*why));
  return state_->writer.get();
}

// --- life ---

Result<std::unique_ptr<RowStore>> RowStore::open(RowStoreOptions options, database::Database& database,
                                                 std::string directory) {
  return std::unique_ptr<RowStore>(
      new RowStore(std::make_shared<State>(std::move(options), database, std::move(directory))));
}

RowStore::~RowStore() {
  close();
  std::lock_guard lock(state_->mutex);
  state_->retired.clear();  // the sessions are gone
}

Result<Lsn> RowStore::recover_begin() {
  State& state = *state_;
  std::lock_guard files(state.files_mutex);
  Disk& disk = *state.options.disk;
  const DatabaseId id = state.database.id();
  BOP_LET(manifest, read_manifest(disk, state.directory, id));
  BOP_LET(file, PageFile::open(disk, state.directory + "/" + kMainFileName, id));
  state.file = std::move(file);
  if (!manifest || manifest->base == Lsn()) {
    // New, or its creation was cut: nothing of it is anywhere but perhaps in the log.
    const bool is_new = !manifest;
    if (is_new) manifest.emplace();
    manifest->timeline = state.database.port().group().timeline();
    std::array<std::byte, kPageBytes> first;
    make_first_page(first);
    BOP_TRY(state.file->resize(0));
    BOP_TRY(state.file->write(PageNo(1), first));
    BOP_TRY(state.file->sync());
    BOP_TRY(disk.sync_directory(state.directory));
    if (is_new) BOP_TRY(write_manifest(disk, state.directory, id, *manifest));
  }
  keep_room_for_manifests(disk, state.directory, *manifest);
  state.manifest = std::move(*manifest);
  state.base = state.manifest.base.value;
  state.database.sequences().restore(state.manifest.sequences);
  state.applier =
      std::make_unique<PageApplier>(*state.file, id, state.manifest.last_commit, state.manifest.pages);
  return state.manifest.base;
}

Status RowStore::apply(const LogRecord& record) {
  State& state = *state_;
  std::lock_guard files(state.files_mutex);
  BOP_ASSERT(state.applier);
  if (record.kind == RecordKind::kSequence) return state.database.sequences().replay(record.payload);
  return state.applier->apply(record);
}

Status RowStore::recover_end(Lsn end) {
  State& state = *state_;
  std::lock_guard files(state.files_mutex);
  BOP_ASSERT(state.applier);
  BOP_TRY(state.applier->finish());
  // If a later sync fails, what was not synced by then is unknown, and only this instance's WAL can make it
  // good.
  if (state.applier->last_commit() != state.manifest.last_commit) BOP_TRY(state.file->sync());
  const Csn recovered = std::max(state.applier->last_commit(), state.manifest.base);
  BOP_ASSERT(recovered <= std::max(end, state.manifest.base));
  state.applier.reset();
  state.database.attachments().discard_after(recovered);
  auto instance = std::make_shared<Instance>(state.options, state.database, state.file, recovered);
  BOP_LET(writer, connect(state, instance, Connection::Role::kWriter));
  replace(state, std::move(instance), std::move(writer));
  return {};
}

void RowStore::replace(State& state, std::shared_ptr<Instance> instance, std::unique_ptr<Connection> writer) {
  std::vector<std::unique_ptr<Connection>> idle;  // closed without the lock
  std::lock_guard lock(state.mutex);
  if (state.writer) state.retired.push_back(std::move(state.writer));
  idle.swap(state.idle);
  state.instance = std::move(instance);
  state.writer = std::move(writer);
  state.backfilled_frames = 0;
}

bool RowStore::wants_rewind() const {
  const auto instance = state_->current();
  return instance && instance->discarded() && !state_->rewinding && !failure() &&
         instance->capture().tip() <= state_->database.gate().released();
}

void RowStore::retreat_begin(const Error& why) {
  const auto instance = state_->current();
  if (!instance || instance->capture().tip_at_least() <= state_->database.gate().released()) return;
  {
    std::lock_guard lock(state_->mutex);
    state_->retreating = true;
  }
  instance->discard(why);
}

Status RowStore::retreat_end(const Error& why) {
  State& state = *state_;
  Status done;
  {
    std::lock_guard files(state.files_mutex);
    const auto instance = state.current();
    const Csn committed = state.database.gate().released();
    if (instance && !state.closed && (instance->discarded() || instance->capture().tip() > committed)) {
      done = retreat_to(state, committed, why);
    }
    std::lock_guard lock(state.mutex);
    state.retreating = false;
  }
  serve_waiting(state);
  return done;
}

// To the newest commit without one named. Frames that a checkpoint brought into the file count as not
// brought: readers take them from the WAL. Who asks for a reader meanwhile waits until serve_waiting.
Status RowStore::retreat_to(State& state, std::optional<Csn> committed, const Error& why) {
  const auto old = state.current();
  old->stop(why);
  const Csn to = committed.value_or(old->capture().tip());
  const auto frames = old->capture().frames_up_to(to);
  if (!frames) {
    return fail(ErrorCode::kInternal, "the WAL of database {} begins after commit {}",
                state.database.id().value, to.value);
  }
  state.pin.reset();
  state.backfill.reset();
  state.file = std::make_shared<PageFile>(old->file());
  auto instance = std::make_shared<Instance>(state.options, *old, state.file, to, *frames);
  BOP_LET(writer, connect(state, instance, Connection::Role::kWriter));
  state.database.attachments().discard_after(to);
  replace(state, std::move(instance), std::move(writer));
  return {};
}

std::optional<Error> RowStore::failure() const {
  std::lock_guard lock(state_->mutex);
  return state_->sync_failure;
}

void RowStore::discard(const Error& why) {
  if (auto instance = state_->current()) instance->discard(why);
}

bool RowStore::discarded() const {
  const auto instance = state_->current();
  return instance && instance->discarded();
}

Status RowStore::rewind() {
  State& state = *state_;
  if (state.rewinding.exchange(true)) return {};
  const struct Ended {
    State& state;
    ~Ended() { state.rewinding = false; }
  } ended{state};
  discard(error(ErrorCode::kOutcomeUnknown, "database {} is being recovered from its log",
                state.database.id().value));
  {
    std::lock_guard files(state.files_mutex);
    state.pin.reset();
    state.backfill.reset();
  }
  raft::Group& group = state.database.port().group();
  BOP_LET(base, recover_begin());
  Lsn last = base;
  BOP_LET(reader, group.read_from(std::max(base.next(), group.first()), state.database.id()));
  for (;;) {
    BOP_LET(record, reader->next());
    if (!record) break;
    if (record->database_previous.index != last) {
      return fail(ErrorCode::kCorrupt,
                  "record {} of database {} follows record {}, but {} is the newest here", record->lsn.value,
                  state.database.id().value, record->database_previous.index.value, last.value);
    }
    last = record->lsn;
    BOP_TRY(apply({record->lsn, record->database_previous.index, record->kind, record->payload}));
  }
  return recover_end(last);
}

void RowStore::close() {
  State& state = *state_;
  std::lock_guard files(state.files_mutex);
  state.closed = true;
  state.pin.reset();
  state.backfill.reset();
  state.applier.reset();
  std::deque<State::Waiter> waiting;
  {
    std::lock_guard lock(state.mutex);
    waiting.swap(state.waiting);
    if (state.instance) {
      state.instance->discard(state.database.dropped()
                                  ? error(ErrorCode::kDatabaseDropped, "the database was dropped")
                                  : error(ErrorCode::kAdminShutdown, "the database is closed"));
    }
    state.idle.clear();
    // A session may still hold it; it goes with the last of those, as the database does.
    if (state.writer) state.retired.push_back(std::move(state.writer));
    state.instance.reset();
  }
  for (auto& waiter : waiting) {
    waiter.executor->post([lend = std::move(waiter.lend)]() mutable {
      lend(fail(ErrorCode::kAdminShutdown, "the database is closed"));
    });
  }
}

// --- what it knows ---

Csn RowStore::tip() const {
  const auto instance = state_->current();
  return instance ? instance->capture().tip() : Csn();
}

Lsn RowStore::base() const { return Lsn(state_->base.load()); }

std::uint64_t RowStore::unchecked_bytes() const {
  const auto instance = state_->current();
  if (!instance) return 0;
  const std::uint32_t frames = instance->capture().committed_frames();
  const std::uint64_t generation = instance->capture().generation();
  std::lock_guard lock(state_->mutex);
  const std::uint32_t done = state_->backfilled_generation == generation ? state_->backfilled_frames : 0;
  return std::uint64_t{frames - std::min(frames, done)} * kPageBytes;
}

Csn RowStore::newest() const {
  const auto instance = state_->current();
  return instance ? instance->capture().published() : Csn();
}

std::uint64_t RowStore::growth_bytes() const {
  const auto instance = state_->current();
  if (!instance) return 0;
  const std::uint32_t now = instance->file().roomy_pages();
  const std::uint32_t then = instance->capture().promised_pages();
  // The second manifest is made with the first base.
  const std::uint64_t manifest = base() == Lsn() ? kPageBytes : 0;
  return std::uint64_t{then - std::min(now, then)} * kPageBytes + manifest;
}

bool RowStore::wal_full(const State& state) {
  const auto instance = state.current();
  return instance &&
         std::uint64_t{instance->capture().committed_frames()} * kFrameBytes > state.options.wal_limit;
}
bool RowStore::wal_full() const { return wal_full(*state_); }

std::size_t RowStore::max_readers() const { return state_->options.max_readers; }

RowStore::Numbers RowStore::numbers() const {
  Numbers out;
  if (const auto instance = state_->current()) {
    const auto captured = instance->capture().numbers();
    out.wal_frames = instance->capture().committed_frames();
    out.wal_bytes = instance->wal().size();
    out.database_pages = captured.database_pages;
    out.commits = captured.commits;
    out.full_pages = captured.full_pages;
    out.delta_pages = captured.delta_pages;
    out.record_bytes = captured.record_bytes;
  }
  out.base = base();
  std::lock_guard lock(state_->mutex);
  out.checkpoints = state_->checkpoints;
  out.readers_lent = state_->lent;
  return out;
}

Status RowStore::verify() {
  std::lock_guard files(state_->files_mutex);
  const auto instance = state_->current();
  if (!instance) return fail(ErrorCode::kCannotConnectNow, "the database is not open");
  return instance->file().verify();
}

namespace {
Result<std::int64_t> ask_number(Connection& connection, std::string_view sql) {
  BOP_LET(statement, connection.prepare(sql));
  const int code = sqlite3_step(statement.get());
  if (code != SQLITE_ROW) return std::unexpected(connection.sqlite_error(code));
  return sqlite3_column_int64(statement.get(), 0);
}
}  // namespace

Status RowStore::analyze(Connection& writer, const std::vector<std::string>& tables) {
  BOP_ASSERT(writer.role() == Connection::Role::kWriter && writer.in_transaction());
  if (tables.empty()) BOP_TRY(writer.execute("ANALYZE"));
  for (const std::string& table : tables) BOP_TRY(writer.execute("ANALYZE " + table));
  // A connection reads statistics with its schema: a new version of it makes the others read again.
  writer.internal_ = true;
  auto version = ask_number(writer, "PRAGMA schema_version");
  Status done = version ? writer.execute(fmt::format("PRAGMA schema_version = {}", *version + 1))
                        : Status(std::unexpected(version.error()));
  writer.internal_ = false;
  return done;
}

Result<std::uint64_t> RowStore::incremental_vacuum(Connection& writer, std::uint32_t pages) {
  BOP_ASSERT(writer.role() == Connection::Role::kWriter && writer.in_transaction());
  BOP_LET(before, ask_number(writer, "PRAGMA freelist_count"));
  writer.internal_ = true;
  auto done = writer.execute(fmt::format("PRAGMA incremental_vacuum({})", pages));
  writer.internal_ = false;
  BOP_TRY(std::move(done));
  BOP_LET(after, ask_number(writer, "PRAGMA freelist_count"));
  return static_cast<std::uint64_t>(before - after);
}

}  // namespace bop::rowstore
