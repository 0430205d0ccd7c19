#include "database/database_set.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "aof/reader.hpp"
#include "base/assert.hpp"
#include "base/log.hpp"
#include "base/metrics.hpp"
#include "raft/group.hpp"

namespace bop::database {

namespace {

constexpr const char* kRemovedName = "removed";
// What a new database takes on the disk: its first page and its first manifest.
constexpr std::uint64_t kNewDatabaseBytes = 2 * kPageBytes;

// The database whose files a directory of this name holds.
std::optional<DatabaseId> id_of(const std::string& name) {
  std::uint32_t id = 0;
  const auto [end, bad] = std::from_chars(name.data(), name.data() + name.size(), id);
  if (bad != std::errc() || end != name.data() + name.size() || id == 0) return std::nullopt;
  return DatabaseId(id);
}

}  // namespace

DatabaseSet::DatabaseSet(DatabaseSetOptions options)
    : options_(std::move(options)), gate_(std::make_shared<OutputGate>()) {}

DatabaseSet::~DatabaseSet() { close(); }

Result<std::unique_ptr<DatabaseSet>> DatabaseSet::open(DatabaseSetOptions options) {
  BOP_ASSERT(options.disk && options.clock && options.group && options.make_rows);
  std::unique_ptr<DatabaseSet> set(new DatabaseSet(std::move(options)));
  raft::Group& group = *set->options_.group;
  group.subscribe([gate = set->gate_](Lsn committed) { gate->release(committed); });
  group.on_failure([gate = set->gate_](const Error& why) { gate->fail(why); });
  set->gate_->on_wait([&group](Csn csn) { group.want_committed(csn); });
  set->gate_->release(group.committed());
  if (auto why = group.failure()) set->gate_->fail(*why);
  BOP_TRY(set->recover());
  return set;
}

Result<bool> DatabaseSet::exist_in(Disk& disk, const std::string& data_dir) {
  const std::string root = data_dir + "/db";
  BOP_LET(exists, disk.exists(root));
  if (!exists) return false;
  BOP_LET(names, disk.list(root));
  for (const std::string& name : names) {
    if (!id_of(name)) continue;
    BOP_LET(files, disk.list(root + "/" + name));
    if (!files.empty()) return true;
  }
  return false;
}

std::string DatabaseSet::directory_of(DatabaseId id) const {
  return fmt::format("{}/db/{}", options_.data_dir, id.value);
}

Result<std::shared_ptr<Database>> DatabaseSet::make(DatabaseId id, std::string name) {
  const std::string directory = directory_of(id);
  BOP_TRY(options_.disk->create_directories(directory));
  BOP_TRY(options_.disk->sync_directory(options_.data_dir + "/db"));
  auto database = std::make_shared<Database>(id, std::move(name), *options_.group, *gate_, *options_.clock);
  BOP_LET(rows, options_.make_rows(*database, directory));
  database->set_rows(std::move(rows));
  return database;
}

Status DatabaseSet::recover() {
  const std::string root = options_.data_dir + "/db";
  BOP_TRY(options_.disk->create_directories(root));
  BOP_TRY(options_.disk->sync_directory(options_.data_dir));
  BOP_LET(names, options_.disk->list(root));
  std::vector<DatabaseId> ids{kSystemDatabase};
  for (const std::string& name : names) {
    if (const auto id = id_of(name); id && *id != kSystemDatabase) ids.push_back(*id);
  }
  std::vector<std::shared_ptr<Database>> databases;
  for (const DatabaseId id : ids) {
    BOP_LET(removed, is_removed(id));
    if (removed) {
      BOP_TRY(remove_files(id));
      if (id != kSystemDatabase) continue;
    }
    BOP_LET(database, make(id, id == kSystemDatabase ? "system" : ""));
    databases.push_back(database);
  }
  BOP_TRY(replay(databases));
  std::lock_guard lock(mutex_);
  for (auto& database : databases) databases_.emplace(database->id(), std::move(database));
  return {};
}

Status DatabaseSet::replay(std::span<const std::shared_ptr<Database>> databases) {
  struct Progress {
    Database* database;
    Lsn base;
    Lsn last;
  };
  std::map<DatabaseId, Progress> progress;
  Lsn from(UINT64_MAX);
  for (const auto& database : databases) {
    BOP_LET(base, database->rows().recover_begin());
    progress[database->id()] = {database.get(), base, base};
    // The bases of databases that rest may lie far behind.
    if (base != options_.group->newest_of(database->id())) from = std::min(from, base);
  }
  const bool has_records = from != Lsn(UINT64_MAX);
  // Below the first record there is nothing to read; that nothing is missing there, the chains prove.
  from = has_records ? std::max(from.next(), options_.group->first()) : from;
  std::optional<DatabaseId> only;
  if (databases.size() == 1) only = databases.front()->id();
  std::unique_ptr<aof::Reader> reader;
  if (has_records) {
    BOP_LET(opened, options_.group->read_from(from, only));
    reader = std::move(opened);
  }
  while (reader) {
    BOP_LET(record, reader->next());
    if (!record) break;
    const auto it = progress.find(record->database);
    if (it == progress.end() || record->lsn <= it->second.base) continue;
    Progress& at = it->second;
    if (record->database_previous.index != at.last) {
      return fail(
          ErrorCode::kCorrupt,
          "record {} of database {} follows record {} of it, but the newest one here is {}: records are missing",
          record->lsn.value, record->database.value, record->database_previous.index.value, at.last.value);
    }
    at.last = record->lsn;
    BOP_TRY(at.database->rows().apply(
        {record->lsn, record->database_previous.index, record->kind, record->payload}));
  }
  for (auto& [id, at] : progress) {
    // The records before `newest` were followed one by one; this tells that the log does not end too early.
    const Lsn newest = options_.group->newest_of(id);
    if (at.last != newest) {
      return fail(ErrorCode::kCorrupt,
                  "the log's newest record of database {} is {}, but its files and the log lead to {}: "
                  "records are missing",
                  id.value, newest.value, at.last.value);
    }
    BOP_TRY(at.database->rows().recover_end(at.last));
  }
  return {};
}

std::shared_ptr<Database> DatabaseSet::system() const { return find(kSystemDatabase); }

std::shared_ptr<Database> DatabaseSet::find(DatabaseId id) const {
  std::lock_guard lock(mutex_);
  const auto it = databases_.find(id);
  return it == databases_.end() ? nullptr : it->second;
}

std::shared_ptr<Database> DatabaseSet::find(std::string_view name) const {
  std::lock_guard lock(mutex_);
  for (const auto& [id, database] : databases_) {
    if (database->name() == name) return database;
  }
  return nullptr;
}

std::vector<std::shared_ptr<Database>> DatabaseSet::all() const {
  std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<Database>> out;
  for (const auto& [id, database] : databases_) out.push_back(database);
  return out;
}

Status DatabaseSet::reconcile(std::span<const DatabaseEntry> listed) {
  for (const auto& database : all()) {
    const bool known =
        database->id() == kSystemDatabase ||
        std::ranges::any_of(listed, [&](const auto& entry) { return entry.id == database->id(); });
    if (!known) BOP_TRY(drop_database(database->id()));
  }
  std::vector<std::shared_ptr<Database>> missing;
  for (const auto& entry : listed) {
    if (auto database = find(entry.id)) {
      database->rename(entry.name);
      continue;
    }
    BOP_LET(database, make(entry.id, entry.name));
    missing.push_back(std::move(database));
  }
  if (missing.empty()) return {};
  BOP_TRY(replay(missing));
  std::lock_guard lock(mutex_);
  for (auto& database : missing) databases_.emplace(database->id(), std::move(database));
  return {};
}

Result<std::shared_ptr<Database>> DatabaseSet::prepare_database(DatabaseId id, std::string name) {
  if (find(id)) return fail(ErrorCode::kDuplicateDatabase, "database {} exists", id.value);
  // What an interrupted creation under this id left behind never held a commit.
  BOP_TRY(remove_files(id));
  BOP_TRY(check_room(id, kNewDatabaseBytes));
  const auto opened = [&]() -> Result<std::shared_ptr<Database>> {
    BOP_LET(database, make(id, std::move(name)));
    BOP_LET(base, database->rows().recover_begin());
    BOP_TRY(database->rows().recover_end(base));
    return database;
  };
  auto database = opened();
  if (!database) (void)remove_files(id);
  return database;
}

void DatabaseSet::list(std::shared_ptr<Database> prepared) {
  const DatabaseId id = prepared->id();
  std::lock_guard lock(mutex_);
  databases_.emplace(id, std::move(prepared));
}

void DatabaseSet::discard(const std::shared_ptr<Database>& prepared) {
  prepared->mark_dropped();
  prepared->rows().close();
  (void)remove_files(prepared->id());
}

Result<std::shared_ptr<Database>> DatabaseSet::create_database(DatabaseId id, std::string name) {
  BOP_LET(database, prepare_database(id, std::move(name)));
  list(database);
  return database;
}

Status DatabaseSet::drop_database(DatabaseId id) {
  BOP_ASSERT(id != kSystemDatabase);
  std::lock_guard removal(removal_mutex_);
  if (const auto database = find(id)) {
    const Lsn kept = holds_log(*database) ? database->rows().base() : Lsn(UINT64_MAX);
    {
      std::lock_guard lock(mutex_);
      databases_.erase(id);
      leaving_.emplace(id, kept);
    }
    database->mark_dropped();
    database->rows().close();
  }
  BOP_TRY(remove_files(id));
  std::lock_guard lock(mutex_);
  leaving_.erase(id);
  return {};
}

Result<bool> DatabaseSet::is_removed(DatabaseId id) const {
  BOP_LET(exists, options_.disk->exists(directory_of(id)));
  if (!exists) return false;
  BOP_LET(names, options_.disk->list(directory_of(id)));
  return names.empty() || std::ranges::find(names, kRemovedName) != names.end();
}

// One of the files takes the name of a mark, which a full disk has room for, and goes last: with it, or with
// nothing at all in it, a directory is what is left of a removal that was cut, and never taken for a database
// with some files missing.
Status DatabaseSet::remove_files(DatabaseId id) {
  const std::string directory = directory_of(id);
  BOP_LET(exists, options_.disk->exists(directory));
  if (!exists) return {};
  BOP_LET(names, options_.disk->list(directory));
  const std::string mark = directory + "/" + kRemovedName;
  if (!names.empty()) {
    if (std::ranges::find(names, kRemovedName) == names.end()) {
      BOP_TRY(options_.disk->rename(directory + "/" + names.back(), mark));
      names.back() = kRemovedName;
    }
    BOP_TRY(options_.disk->sync_directory(directory));
    for (const std::string& name : names) {
      if (name != kRemovedName) BOP_TRY(options_.disk->remove(directory + "/" + name));
    }
    BOP_TRY(options_.disk->sync_directory(directory));
    BOP_TRY(options_.disk->remove(mark));
    BOP_TRY(options_.disk->sync_directory(directory));
  }
  BOP_TRY(options_.disk->remove(directory));
  return options_.disk->sync_directory(options_.data_dir + "/db");
}

void DatabaseSet::tick(Executor& background) {
  const std::uint64_t appended = options_.group->appended().value;
  const std::uint64_t appended_bytes = options_.group->appended_bytes();
  const bool short_of_room = short_of_room_.exchange(false, std::memory_order_relaxed);
  const bool log_too_long =
      short_of_room || options_.group->is_full() || options_.group->retained_bytes() > options_.log_limit;
  for (const auto& database : all()) {
    if (database->rows().wants_rewind()) {
      background.post([database] {
        if (auto done = database->rows().rewind(); !done) {
          log_error("a database cannot be recovered from its log", done.error());
        }
      });
      continue;
    }
    if (database->rows().failure() || !holds_log(*database)) {
      bases_seen_.erase(database->id());
      continue;
    }
    const Lsn old_base = database->rows().base();
    const std::uint64_t behind = appended - std::min(appended, old_base.value);
    BaseSeen& seen = bases_seen_.try_emplace(database->id(), old_base, appended_bytes).first->second;
    if (seen.base != old_base) seen = {old_base, appended_bytes};
    if (database->rows().unchecked_bytes() < options_.checkpoint_bytes &&
        behind < options_.checkpoint_records &&
        appended_bytes - seen.appended_bytes < options_.checkpoint_log_bytes && !log_too_long)
      continue;
    database->rows().checkpoint(background, [this, database, short_of_room](Result<Lsn> base) {
      if (database->dropped()) return;
      note_checkpoint(*database, base);
      if (!base && base.error().code() == ErrorCode::kDiskFull && options_.on_full) options_.on_full();
      if (auto trimmed = trim(short_of_room); !trimmed)
        log_error("the log could not be trimmed", trimmed.error());
    });
  }
  std::erase_if(bases_seen_, [this](const auto& seen) { return find(seen.first) == nullptr; });
  std::vector<DatabaseId> leaving;
  {
    std::lock_guard lock(mutex_);
    for (const auto& [id, kept] : leaving_) leaving.push_back(id);
  }
  for (const DatabaseId id : leaving) background.post([this, id] { static_cast<void>(drop_database(id)); });
  // Databases that were written to before and are idle now.
  if (log_too_long) background.post([this, short_of_room] { static_cast<void>(trim(short_of_room)); });
}

void DatabaseSet::checkpoint_all(Executor& background, std::move_only_function<void(Status)> done) {
  struct Run {
    std::size_t left;
    Status first;
    std::move_only_function<void(Status)> done;
    std::mutex mutex;
  };
  const auto databases = all();
  auto run = std::make_shared<Run>();
  run->left = databases.size();
  run->done = std::move(done);
  for (const auto& database : databases) {
    database->rows().checkpoint(background, [this, run, database](Result<Lsn> base) {
      std::unique_lock lock(run->mutex);
      if (!base && run->first && !database->dropped()) run->first = std::unexpected(base.error());
      if (--run->left != 0) return;
      lock.unlock();
      if (run->first) run->first = trim();
      run->done(std::move(run->first));
    });
  }
}

// Told once, not with every try: a full disk or a failed file stays so for long.
void DatabaseSet::note_checkpoint(const Database& database, const Result<Lsn>& base) {
  if (!base) metrics().checkpoint_failures_total.add();
  std::lock_guard lock(mutex_);
  if (base) {
    checkpoint_troubles_.erase(database.id());
    return;
  }
  const ErrorCode code = base.error().code();
  const auto [known, fresh] = checkpoint_troubles_.try_emplace(database.id(), code);
  if (fresh || known->second != code) log_error("checkpoints of a database fail", base.error());
  known->second = code;
}

// One without a record above its base needs nothing of the log, however old the base is.
bool DatabaseSet::holds_log(Database& database) const {
  return options_.group->newest_of(database.id()) > database.rows().base();
}

std::uint64_t DatabaseSet::growth_bytes() const { return growth_but_of({}); }

std::uint64_t DatabaseSet::growth_but_of(std::optional<DatabaseId> id) const {
  std::uint64_t bytes = 0;
  for (const auto& database : all()) {
    if (database->id() != id) bytes += database->rows().growth_bytes();
  }
  return bytes;
}

Status DatabaseSet::check_room(DatabaseId id, std::uint64_t growth_bytes) const {
  BOP_LET(free, options_.disk->free_bytes(options_.data_dir));
  const std::uint64_t needed = growth_bytes + growth_but_of(id);
  if (free >= needed) return {};
  short_of_room_.store(true, std::memory_order_relaxed);
  return std::unexpected(
      error(ErrorCode::kDiskFull, "no space for the tables in {}: {} bytes are free, {} are needed",
            options_.data_dir, free, needed)
          .hint("Free space on the file system of the data directory; writes then go on by themselves."));
}

Lsn DatabaseSet::oldest_base() const {
  Lsn oldest = options_.group->committed();
  for (const auto& database : all()) {
    if (holds_log(*database)) oldest = std::min(oldest, database->rows().base());
  }
  std::lock_guard lock(mutex_);
  for (const auto& [id, kept] : leaving_) oldest = std::min(oldest, kept);
  return oldest;
}

Status DatabaseSet::trim(bool is_short) {
  const Lsn below = oldest_base();
  if (below.value <= options_.retain_records) return {};
  return options_.group->trim(Lsn(below.value - options_.retain_records), is_short);
}

void DatabaseSet::retreat_all(const Error& why, Executor& background) {
  for (const auto& database : all()) {
    database->rows().retreat_begin(why);
    background.post([database, why] {
      if (auto done = database->rows().retreat_end(why); !done) {
        log_error("a database cannot be read since the log failed", done.error());
      }
    });
  }
}

std::optional<Error> DatabaseSet::failure() const {
  if (auto why = options_.group->failure()) return why;
  for (const auto& database : all()) {
    if (auto why = database->rows().failure()) return why;
  }
  return std::nullopt;
}

void DatabaseSet::close() {
  for (const auto& database : all()) database->rows().close();
  std::map<DatabaseId, std::shared_ptr<Database>> gone;  // destroyed without the mutex: a commit asks for it
  std::lock_guard lock(mutex_);
  gone.swap(databases_);
}

}  // namespace bop::database
