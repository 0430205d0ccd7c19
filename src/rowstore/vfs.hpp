// SQLite's window on an instance: a VFS that knows exactly three kinds of files.
//
//   rows.db       the main file: reads verified, writes (checkpoints only) sealed
//   rows.db-wal   the WAL in memory; writing the page of a commit frame runs the capture
//   no name       temporary files
//
// Everything else is refused: with our options SQLite never makes a rollback journal. A failure below SQLite
// is kept as bop::Error in the connection that met it (Connection::take_error).
#pragma once

#include <memory>
#include <optional>

#include "base/error.hpp"

struct sqlite3;
struct sqlite3_vfs;

namespace bop::rowstore {

class Connection;
class Instance;

inline constexpr char kMainFileName[] = "rows.db";

[[nodiscard]] std::unique_ptr<sqlite3_vfs> make_vfs(Instance& instance, const char* name);

// Files that SQLite opens in this scope, in this thread, belong to `connection`.
class OpeningScope {
 public:
  explicit OpeningScope(Connection& connection) noexcept;
  ~OpeningScope();
  OpeningScope(const OpeningScope&) = delete;
  OpeningScope& operator=(const OpeningScope&) = delete;
};

// The connection's read transaction reads the main file alone: all of the WAL was in it when the transaction
// began, and a writer may begin the WAL anew meanwhile. (It holds the first of SQLite's read marks,
// WAL_READ_LOCK(0).)
[[nodiscard]] bool reads_file_only(sqlite3* connection);

// The newest error of a temporary file in this thread, cleared by the call.
[[nodiscard]] std::optional<Error> take_temp_error();

}  // namespace bop::rowstore
