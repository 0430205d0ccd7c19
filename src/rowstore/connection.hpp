// One SQLite connection of a row store: page size 4096, 32 reserved bytes, auto_vacuum incremental, WAL in
// process memory, foreign keys on; an authorizer refuses ATTACH and the pragmas that would change the format.
//
// A connection is used by one thread at a time and belongs to the store's pool, or is its one writer. After a
// discard (rule 2) every call fails and the connection is only good for giving back.
//
// A transaction: begin_read or begin_write, statements through handle() or prepare(), then commit or
// rollback. commit's Csn is where the outcome is decided, not durable: the answer waits at the output gate.
//
// Error texts: when SQLite answers SQLITE_IOERR, SQLITE_FULL, SQLITE_CORRUPT or SQLITE_INTERRUPT,
// `take_error()` has the reason as a bop::Error (transaction too large, disk full, rot with file and page,
// log poisoned).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <bop/flush.hpp>
#include "base/error.hpp"
#include "base/ids.hpp"

struct sqlite3;
struct sqlite3_stmt;

namespace bop::rowstore {

class Instance;
class PageSource;
class StatementCache;

// A cached prepared statement; giving it back resets it and clears its bindings.
class CachedStatement {
 public:
  CachedStatement() = default;
  CachedStatement(CachedStatement&& other) noexcept;
  CachedStatement& operator=(CachedStatement&& other) noexcept;
  ~CachedStatement();
  [[nodiscard]] sqlite3_stmt* get() const noexcept { return statement_; }
  explicit operator bool() const noexcept { return statement_ != nullptr; }

 private:
  friend class StatementCache;
  CachedStatement(StatementCache* cache, sqlite3_stmt* statement) : cache_(cache), statement_(statement) {}
  void release() noexcept;
  StatementCache* cache_ = nullptr;
  sqlite3_stmt* statement_ = nullptr;
};

class Connection {
 public:
  enum class Role : std::uint8_t { kReader, kWriter };

  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Opens the newest snapshot for reading; its Csn comes from the snapshot's own place in the WAL.
  [[nodiscard]] Result<Csn> begin_read();
  // By the holder of the writer lane, on the writer. The snapshot is the tip; returns its Csn.
  [[nodiscard]] Result<Csn> begin_write();
  // Ends the transaction. For a writer: the Csn of its record, or of its snapshot when it changed nothing. On
  // an error the transaction is rolled back; kOutcomeUnknown: it was appended and this instance is discarded.
  [[nodiscard]] Result<Csn> commit();
  // Of the writer, for its transaction: called once when that becomes large, before what takes long.
  void on_large(std::function<void()> large);
  // Of the writer, for its transaction: how long its commit may wait for the disk while nobody waits for it.
  void set_flush(const aof::FlushPolicy& flush);
  void rollback() noexcept;
  [[nodiscard]] bool in_transaction() const noexcept { return in_transaction_; }
  // SQLite has taken the whole running transaction back, savepoints included: what it does when a statement
  // that writes is interrupted, or finds the disk full or broken.
  [[nodiscard]] bool rolled_back_by_itself() const noexcept;
  // Csn of the snapshot of the running transaction.
  [[nodiscard]] Csn snapshot() const noexcept { return snapshot_; }

  // Runs inside the commit hook: after the record has its Csn, before any reader can see the commit. Must not
  // fail and not use the connection. Cleared when the transaction ends.
  void on_commit(std::move_only_function<void(Csn)> hook) { on_commit_ = std::move(hook); }

  // From the cache keyed by text; prepared on a miss.
  [[nodiscard]] Result<CachedStatement> prepare(std::string_view sql);
  // Runs statements without results, for set-up and tests.
  [[nodiscard]] Status execute(std::string_view sql);
  // The same for what makes temporary tables of SQLite, which a reader may have, too.
  [[nodiscard]] Status execute_temporary(std::string_view sql);

  // About how many pages the database has.
  [[nodiscard]] std::uint32_t database_pages() const noexcept;
  // The pages that the running transaction sees.
  [[nodiscard]] Result<std::shared_ptr<const PageSource>> page_source();

  [[nodiscard]] sqlite3* handle() const noexcept { return sqlite_; }
  [[nodiscard]] Role role() const noexcept { return role_; }

  // The reason behind SQLite's last error when it came from below it; clears it.
  [[nodiscard]] std::optional<Error> take_error();
  // `take_error()`, else SQLite's own code and text as an Error of the nearest code.
  [[nodiscard]] Error sqlite_error(int code);

  // For the SQL layer: its context of this connection.
  void* user_context = nullptr;

  // Asked every `instructions` virtual machine steps while a statement runs; an error interrupts it and is
  // what take_error answers. Empty removes it.
  void set_progress(int instructions, std::function<std::optional<Error>()> ask);
  // While something else than a statement runs on the connection, maybe in another thread: nobody is asked.
  void pause_progress(bool paused) noexcept;

  // From the VFS.
  void set_error(Error error) { error_ = std::move(error); }
  void run_commit_hook(Csn csn) {
    if (on_commit_) on_commit_(csn);
  }

 private:
  friend class RowStore;
  Connection(std::shared_ptr<Instance> instance, Role role);
  [[nodiscard]] Status open(const std::function<Status(Connection&)>& on_open,
                            std::function<void(Connection&)> on_close, std::size_t cached_statements,
                            int cache_kib);
  static int authorize(void* self, int action, const char* first, const char* second, const char*,
                       const char*);
  static int progress(void* self);
  [[nodiscard]] Status step(sqlite3_stmt* statement);

  // Where in the WAL the running read transaction stands; none: nothing was ever in this WAL.
  struct SnapshotPlace {
    std::uint32_t last_frame = 0;
    std::array<std::byte, 8> salt{};  // of Capture::Salt
  };
  [[nodiscard]] Result<std::optional<SnapshotPlace>> snapshot_place();
  [[nodiscard]] Result<Csn> snapshot_csn();
  void end() noexcept;

  std::shared_ptr<Instance> instance_;
  Role role_;
  std::function<void(Connection&)> on_close_;
  bool internal_ = false;  // our own pragmas pass the authorizer
  sqlite3* sqlite_ = nullptr;
  std::unique_ptr<StatementCache> cache_;
  sqlite3_stmt* begin_ = nullptr;
  sqlite3_stmt* begin_immediate_ = nullptr;
  sqlite3_stmt* commit_ = nullptr;
  sqlite3_stmt* rollback_ = nullptr;
  bool in_transaction_ = false;
  Csn snapshot_;
  std::optional<Csn> pinned_;
  std::optional<Error> error_;
  std::move_only_function<void(Csn)> on_commit_;
  std::function<std::optional<Error>()> progress_;
  int progress_instructions_ = 0;
};

}  // namespace bop::rowstore
