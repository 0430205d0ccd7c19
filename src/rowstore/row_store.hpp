// The row tables of one database: SQLite over our own files, every commit a record of the database's log.
//
//   DATA/db/<id>/rows.db          pages; an image of the log at the base, plus pages of later commits
//   DATA/db/<id>/manifest.0, .1   which base the file holds (manifest.hpp)
//
// There are no -wal and -shm files. See DESIGN.md beside this file for the state, its locks and crash safety.
//
// Threads: `writer()` only by the holder of the database's writer lane; everything else from any thread.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/disk.hpp"
#include "base/error.hpp"
#include "base/ids.hpp"
#include "base/time.hpp"
#include "database/database.hpp"
#include "database/table_engine.hpp"
#include "rowstore/connection.hpp"

namespace bop::rowstore {

class Instance;
class RowStore;

struct RowStoreOptions {
  Disk* disk = nullptr;
  std::string scratch_dir;  // DATA/tmp; empty: temporary files stay in memory (simulation)
  std::size_t max_readers = 32;
  std::size_t cached_statements = 256;  // a connection
  int writer_cache_kib = 8192;          // SQLite's page cache
  int reader_cache_kib = 2048;
  std::uint64_t wal_memory = std::uint64_t{64} << 20;  // above it the WAL goes to a scratch file
  std::uint64_t wal_limit = std::uint64_t{256} << 20;  // at it the WAL is restarted
  std::uint64_t max_transaction_bytes = std::uint64_t{1} << 30;
  std::uint64_t temp_limit = std::uint64_t{4} << 30;  // of all temporary files of the database
  bool deltas = true;
  // kDiskFull when a database's file could not grow by so many bytes. Asked before a commit. Empty: it can.
  std::function<Status(DatabaseId, std::uint64_t growth_bytes)> check_room;
  // On every new connection: register functions and virtual tables, set user_context.
  std::function<Status(Connection&)> on_open;
  // When a connection is closed, to free its user_context.
  std::function<void(Connection&)> on_close;
};

// A borrowed reader; gives the connection back (rolled back) when it dies.
class ReaderLease {
 public:
  ReaderLease() = default;
  ReaderLease(ReaderLease&& other) noexcept;
  ReaderLease& operator=(ReaderLease&& other) noexcept;
  ~ReaderLease();
  [[nodiscard]] Connection& operator*() const noexcept { return *connection_; }
  [[nodiscard]] Connection* operator->() const noexcept { return connection_.get(); }
  [[nodiscard]] Connection* get() const noexcept { return connection_.get(); }
  explicit operator bool() const noexcept { return connection_ != nullptr; }

  // The holder waits for its client. When others wait for a reader and it stays idle for longer than the
  // limit, `evict` runs once, on `executor`, whose task this call is: it must let go of the lease.
  void begin_idle(Executor& executor, std::move_only_function<void()> evict);
  void end_idle();

 private:
  friend class RowStore;
  ReaderLease(std::shared_ptr<void> state, std::unique_ptr<Connection> connection);
  void release() noexcept;
  std::shared_ptr<void> state_;
  std::unique_ptr<Connection> connection_;
};

class RowStore final : public database::TableEngine {
 public:
  // `directory` exists. Creates the files of a new database. Serves after recover_begin, apply...,
  // recover_end.
  [[nodiscard]] static Result<std::unique_ptr<RowStore>> open(RowStoreOptions options,
                                                              database::Database& database,
                                                              std::string directory);
  ~RowStore() override;

  // The one writer. kPoisoned after failure(); the reason when the instance is discarded and not yet
  // replaced.
  [[nodiscard]] Result<Connection*> writer();

  // A reader at once: an empty lease if all are lent.
  [[nodiscard]] Result<ReaderLease> try_borrow_reader();
  // A reader as soon as one is back, first come first served; the callback runs on `executor`, which must
  // outlive the wait. The ticket is 0 when there is nothing to wait for.
  using ReaderTicket = std::uint64_t;
  using Lend = std::move_only_function<void(Result<ReaderLease>)>;
  struct ReaderRequest {
    std::uint64_t session = 0;
    std::string description;  // what bop_locks shows
  };
  ReaderTicket borrow_reader(Executor& executor, ReaderRequest request, Lend lend);
  // A waiter gives up: its callback gets `why`. False: its callback has run or is on its way.
  bool cancel_reader(ReaderTicket ticket, Error why);
  struct ReaderWait {
    std::uint64_t session = 0;
    std::string description;
    std::int64_t since_ns = 0;  // of the database's clock
  };
  [[nodiscard]] std::vector<ReaderWait> reader_waits() const;  // in the order in which they are served
  [[nodiscard]] std::size_t max_readers() const;
  // Idle time after which a holder that others wait for loses its reader.
  void set_reader_idle_limit(std::chrono::nanoseconds limit);

  // Somebody waits for one.
  [[nodiscard]] bool readers_wanted() const;

  // Newest commit that a new snapshot shows; may run ahead of the log (output gate).
  [[nodiscard]] Csn tip() const;

  // A page of the main file and WAL in numbers, for metrics and bop_ views.
  struct Numbers {
    std::uint64_t wal_frames = 0, wal_bytes = 0, database_pages = 0;
    std::uint64_t commits = 0, full_pages = 0, delta_pages = 0, record_bytes = 0;
    std::uint64_t checkpoints = 0, readers_lent = 0;
    Lsn base;
  };
  [[nodiscard]] Numbers numbers() const;

  // True when the WAL is above wal_limit: the next checkpoint takes the writer lane, waits until everything
  // is committed and empties the WAL, so that the next writer restarts it.
  [[nodiscard]] bool wal_full() const;

  // Frees up to `pages` pages at the end of the file, inside the writer's running transaction.
  [[nodiscard]] Result<std::uint64_t> incremental_vacuum(Connection& writer, std::uint32_t pages);

  // Makes the statistics of the tables (quoted names; none: of all) by which statements are planned, inside
  // the writer's running transaction. Other connections see them from its commit on.
  [[nodiscard]] Status analyze(Connection& writer, const std::vector<std::string>& tables);

  // Discards the instance and recovers from base and log up to what is committed. Borrowed readers fail from
  // now on.
  [[nodiscard]] Status rewind() override;
  [[nodiscard]] bool wants_rewind() const override;
  void retreat_begin(const Error& why) override;
  [[nodiscard]] Status retreat_end(const Error& why) override;
  // Set by a failed sync of the main file or the manifest.
  [[nodiscard]] std::optional<Error> failure() const override;
  // Fences the instance: every statement on it fails with `why` until rewind.
  void discard(const Error& why);
  [[nodiscard]] bool discarded() const;

  // TableEngine
  [[nodiscard]] Result<Lsn> recover_begin() override;
  [[nodiscard]] Status apply(const database::LogRecord& record) override;
  [[nodiscard]] Status recover_end(Lsn end) override;
  void checkpoint(Executor& background, std::move_only_function<void(Result<Lsn>)> done) override;
  // The newest commit that a new snapshot sees.
  [[nodiscard]] Csn newest() const;
  // The checkpoint under way, if there is one, does not wait for the writer lane. For one who holds the lane
  // and waits for the checkpoint.
  void checkpoint_beside_writer();
  [[nodiscard]] Lsn base() const override;
  [[nodiscard]] std::uint64_t unchecked_bytes() const override;
  [[nodiscard]] std::uint64_t growth_bytes() const override;
  [[nodiscard]] Status verify() override;
  void close() override;

 private:
  friend class ReaderLease;
  struct State;
  using StatePtr = std::shared_ptr<State>;
  using Done = std::move_only_function<void(Result<Lsn>)>;
  explicit RowStore(StatePtr state) : state_(std::move(state)) {}

  [[nodiscard]] static Result<std::unique_ptr<Connection>> connect(State& state,
                                                                   std::shared_ptr<Instance> instance,
                                                                   Connection::Role role);
  [[nodiscard]] static Result<std::unique_ptr<Connection>> take_reader(State& state);
  static void give_back(State& state, std::unique_ptr<Connection> connection) noexcept;
  [[nodiscard]] static bool wal_full(const State& state);

  static void serve_waiting(State& state);
  static void watch_idle(State& state);
  static void idle_too_long(State& state, const Connection* connection, std::uint64_t number);
  static void replace(State& state, std::shared_ptr<Instance> instance, std::unique_ptr<Connection> writer);
  [[nodiscard]] static Status retreat_to(State& state, std::optional<Csn> committed, const Error& why);

  // Steps of a checkpoint, each a task of `background` (checkpoint.cpp).
  struct Run;
  static void checkpoint_begin(const StatePtr& state, const std::shared_ptr<Run>& run);
  static void checkpoint_lane(const StatePtr& state, const std::shared_ptr<Run>& run, Status granted);
  static void checkpoint_pin(const StatePtr& state, const std::shared_ptr<Run>& run);
  static void checkpoint_backfill(const StatePtr& state, const std::shared_ptr<Run>& run, Status committed);
  static void checkpoint_publish(const StatePtr& state, const std::shared_ptr<Run>& run, Status committed);
  static void checkpoint_end(const StatePtr& state, const std::shared_ptr<Run>& run, Result<Lsn> outcome);
  [[nodiscard]] static Status pin_and_wait(State& state, Run& run, Csn& wait_for);
  [[nodiscard]] static Error stop_writing(State& state, const Error& cause);
  [[nodiscard]] static Result<bool> backfill(State& state, Run& run);
  [[nodiscard]] static Result<Lsn> publish(State& state, Run& run);

  StatePtr state_;
};

}  // namespace bop::rowstore
