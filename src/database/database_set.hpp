// All databases of a node: opened, recovered, created, dropped, checkpointed, and the log trimmed below them.
//
//   DATA/db/<id>/     files of one database (the engine's names); `removed`: they are being removed
//
// Opening: (1) `open` finds the directories, makes the system database if there is none, and replays the log
// once from the smallest base, each record to its database. (2) The caller reads the list of databases from
// the rows of the system database and calls `reconcile`: a listed database without files is created and
// replayed from its creation; a directory that is not listed is removed. Only then connections are accepted.
//
// CREATE DATABASE: `prepare_database` in the transaction that writes the row in `system`, so that a database
// which cannot be made is not listed either; `list` once the row is durable, or `discard` when it is not.
// DROP DATABASE: commit the deletion, wait for the gate, then `drop_database`. A crash in between is repaired
// by `reconcile`. Ids of databases that were listed are never reused.
//
// Threads: all calls from any thread after `open`; reconcile and close alone, and the calls for one id one at
// a time.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/disk.hpp"
#include "base/error.hpp"
#include "base/ids.hpp"
#include "base/time.hpp"
#include "database/database.hpp"

namespace bop::database {

struct DatabaseEntry {
  DatabaseId id;
  std::string name;
};

struct DatabaseSetOptions {
  Disk* disk = nullptr;
  Clock* clock = nullptr;
  std::string data_dir;
  raft::Group* group = nullptr;  // open and recovered; outlives the set
  // Makes the engine of a database whose directory exists.
  std::function<Result<std::unique_ptr<TableEngine>>(Database&, const std::string& directory)> make_rows;
  std::uint64_t checkpoint_bytes = std::uint64_t{16} << 20;  // unchecked bytes that start a checkpoint
  // Of the log above a base, whosever records they are, that start one: a start has to read them.
  std::uint64_t checkpoint_records = 500'000;
  std::uint64_t checkpoint_log_bytes = std::uint64_t{64} << 20;
  // Bytes of the log above which every database that holds some of it back starts one. Several segments.
  std::uint64_t log_limit = std::uint64_t{512} << 20;
  // A checkpoint found the disk full: room that is kept for that is wanted now. Called from `background`.
  std::function<void()> on_full;
  std::uint64_t retain_records = 0;  // records kept below the oldest base (log_retain)
};

class DatabaseSet {
 public:
  [[nodiscard]] static Result<std::unique_ptr<DatabaseSet>> open(DatabaseSetOptions options);
  ~DatabaseSet();

  // Whether a set has left files in `data_dir`: then its log must be there, too.
  [[nodiscard]] static Result<bool> exist_in(Disk& disk, const std::string& data_dir);

  [[nodiscard]] OutputGate& gate() noexcept { return *gate_; }
  [[nodiscard]] std::shared_ptr<Database> system() const;
  [[nodiscard]] std::shared_ptr<Database> find(DatabaseId id) const;
  [[nodiscard]] std::shared_ptr<Database> find(std::string_view name) const;
  [[nodiscard]] std::vector<std::shared_ptr<Database>> all() const;

  [[nodiscard]] Status reconcile(std::span<const DatabaseEntry> listed);
  // Makes the files of a new database and opens it; nobody finds it and no checkpoint touches it until
  // `list`, so that the log has no record of it before the one that makes it known.
  [[nodiscard]] Result<std::shared_ptr<Database>> prepare_database(DatabaseId id, std::string name);
  void list(std::shared_ptr<Database> prepared);
  // Takes a prepared database back. Files that cannot be removed go at the next start.
  void discard(const std::shared_ptr<Database>& prepared);
  // prepare_database and list in one.
  [[nodiscard]] Result<std::shared_ptr<Database>> create_database(DatabaseId id, std::string name);
  // Success when there is none. Nobody works in it. An error says that files are left, which a later tick or
  // the next start removes; the database is gone all the same. Until they are, the log that they need is
  // kept: a start opens them before it knows that nobody wants them any more.
  [[nodiscard]] Status drop_database(DatabaseId id);

  // Starts the checkpoints that are due; call it now and then (a timer), it is cheap.
  void tick(Executor& background);
  // Drops the part of the log that no base needs, of what is retained beyond that nothing unless the disk
  // `is_short`. Waits for the disk; a checkpoint's end calls it.
  [[nodiscard]] Status trim(bool is_short = false);
  // A start needs the log above it: the oldest base of a database that has records above its own.
  [[nodiscard]] Lsn oldest_base() const;
  // A checkpoint of every database, then a trim; for shutdown and tests.
  void checkpoint_all(Executor& background, std::move_only_function<void(Status)> done);
  // After the log failed: discards what runs ahead of it in every database, so that reads go on. Statements
  // that have seen such states end with `why`.
  void retreat_all(const Error& why, Executor& background);
  // Bytes that the databases' files will grow by when they take in what is in the log; takes no lock of a
  // commit.
  [[nodiscard]] std::uint64_t growth_bytes() const;
  // kDiskFull unless the files of database `id` can grow by so many bytes and those of the others by theirs.
  [[nodiscard]] Status check_room(DatabaseId id, std::uint64_t growth_bytes) const;
  // Why this node cannot write any more: its log's failure, or that of a database's files.
  [[nodiscard]] std::optional<Error> failure() const;

  // Closes the engines; the caller closes the group after it.
  void close();

 private:
  explicit DatabaseSet(DatabaseSetOptions options);
  [[nodiscard]] std::string directory_of(DatabaseId id) const;
  [[nodiscard]] Status recover();
  [[nodiscard]] Result<std::shared_ptr<Database>> make(DatabaseId id, std::string name);
  // One pass over the log for all of them; opens their engines.
  [[nodiscard]] Status replay(std::span<const std::shared_ptr<Database>> databases);
  [[nodiscard]] Status remove_files(DatabaseId id);
  [[nodiscard]] Result<bool> is_removed(DatabaseId id) const;
  [[nodiscard]] bool holds_log(Database& database) const;
  [[nodiscard]] std::uint64_t growth_but_of(std::optional<DatabaseId> id) const;
  void note_checkpoint(const Database& database, const Result<Lsn>& base);

  DatabaseSetOptions options_;
  std::shared_ptr<OutputGate> gate_;  // shared with the group's callbacks, which cannot be taken back
  mutable std::atomic<bool> short_of_room_{false};  // a checkpoint may free some
  mutable std::mutex mutex_;
  std::map<DatabaseId, std::shared_ptr<Database>> databases_;
  std::map<DatabaseId, ErrorCode> checkpoint_troubles_;
  // Of each database that holds the log: its base, and the log's bytes when the tick first saw it.
  struct BaseSeen {
    Lsn base;
    std::uint64_t appended_bytes = 0;
  };
  std::map<DatabaseId, BaseSeen> bases_seen_;  // of tick()
  std::map<DatabaseId, Lsn> leaving_;  // dropped, with files: the base above which the log is kept for them
  std::mutex removal_mutex_;           // one removal at a time; taken before mutex_
};

}  // namespace bop::database
