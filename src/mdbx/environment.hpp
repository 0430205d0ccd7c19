// libmdbx behind Result: a folder with one mapped file of B-trees.
//
// What a caller may rely on, and nothing more:
//   * A write that returned success is seen, whole, by every read that begins later, in every process.
//     Whether it survives a power cut is what Durability says. A killed process (kill -9) loses nothing.
//   * A crash, a power cut or a full disk leaves the file as some commit made it, with every commit before.
//   * A read sees one commit's state for as long as it lives, and holds up nobody; but the room of what was
//     changed meanwhile is not used again, so reads are kept short.
//   * Pages carry no checksums: rot can be read as other values, so a value that has to be true carries its
//   own.
//     open() reads the whole file once, so that what the disk cannot read is an error then and not a SIGBUS
//     later; libmdbx looks at each page before it follows it (MDBX_VALIDATION). But who writes on top of
//     damaged lists of free pages may end the process: for that there is Options::guarded.
// Memory: the file is mapped, so pages stay in the kernel's cache and are given up under pressure; a write
// keeps its changed pages, at most kDirtyBytes, and writes the rest out before.
//
// Opening takes some 16 KB for the lock file, more with more readers; without room for that it is kDiskFull.
//
// libmdbx opens its files by itself, not through Disk: it is not for what a simulation has to cut the power
// of.
//
// Errors: kDiskFull (nothing has changed, and the next write may succeed), kConfigurationLimitExceeded
// (max_bytes), kInsufficientResources (max_readers), kLocked (another process has it
// for itself), kCorrupt (no file of libmdbx, or a structure that is none), kFormatTooNew (another version's
// file), kPoisoned (an earlier write failed half way: close and open again), kFileNotFound, kOutOfMemory,
// kProgramLimitExceeded (key or value too long), kIo.
// Threads: every call of Environment from any thread. A ReadTransaction, WriteTransaction or Cursor is used
// by one thread at a time; a read may move between threads, a write lives in the call that made it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/error.hpp"
#include "base/ids.hpp"
#include "mdbx/key.hpp"

struct MDBX_env;
struct MDBX_txn;
struct MDBX_cursor;

namespace bop::mdbx {

enum class Durability : std::uint8_t {
  kEveryCommit,  // a write that returned success survives a power cut
  kLastSync,  // what was written up to the last sync() survives, later writes in part from the oldest on or
              // not at all; a killed process loses nothing
};

enum class Access : std::uint8_t {
  kReadWrite,  // makes folder and file where there are none
  kReadOnly,   // both must exist; the lock file is still written
};

struct Options {
  std::string directory;
  Access access = Access::kReadWrite;
  Durability durability = Durability::kEveryCommit;
  // The file grows and shrinks by growth_bytes as it needs; it never grows above max_bytes. Address space for
  // all of it is taken at once, memory is not.
  std::uint64_t max_bytes = std::uint64_t{1} << 30U;
  std::uint64_t growth_bytes = std::uint64_t{1} << 20U;
  std::uint32_t max_readers = 126;  // reads that live at once, of all processes together
  std::uint32_t max_tables = 16;
  bool exclusive = false;  // no other process may have it open
  // For one process alone (exclusive), with witnesses of its own: file_guard.hpp. open() refuses with
  // kCorrupt what changed after it was closed in order, and what processes died of.
  bool guarded = false;
};

inline constexpr std::uint64_t kDirtyBytes = std::uint64_t{16} << 20U;
inline constexpr std::size_t kMaxValueBytes = std::size_t{16} << 20U;

// A table of one environment, for as long as that is open.
using Table = StrongNumber<struct TableTag, std::uint32_t>;

// Valid until the next write of the same transaction, or the transaction's end.
using Bytes = std::span<const std::byte>;

struct Pair {
  Bytes key;
  Bytes value;
};

// A position in a table. Ends before its transaction.
class Cursor {
 public:
  Cursor(Cursor&& other) noexcept;
  Cursor& operator=(Cursor&& other) noexcept;
  ~Cursor();

  // Nothing: there is none.
  [[nodiscard]] Result<std::optional<Pair>> first();
  [[nodiscard]] Result<std::optional<Pair>> last();
  [[nodiscard]] Result<std::optional<Pair>> next();
  [[nodiscard]] Result<std::optional<Pair>> previous();
  [[nodiscard]] Result<std::optional<Pair>> at_or_after(const Key& key);
  [[nodiscard]] Result<std::optional<Pair>> at_or_before(const Key& key);

 private:
  friend class ReadTransaction;
  Cursor(MDBX_cursor* cursor, const std::string* path) : cursor_(cursor), path_(path) {}
  [[nodiscard]] Result<std::optional<Pair>> move(int operation, const Key* key);

  MDBX_cursor* cursor_;
  const std::string* path_;
};

class ReadTransaction {
 public:
  ReadTransaction(ReadTransaction&& other) noexcept;
  ReadTransaction& operator=(ReadTransaction&& other) noexcept;
  ~ReadTransaction();

  [[nodiscard]] Result<std::optional<Bytes>> get(Table table, const Key& key) const;
  [[nodiscard]] Result<Cursor> cursor(Table table) const;
  [[nodiscard]] Result<std::uint64_t> count(Table table) const;

 protected:
  friend class Environment;
  ReadTransaction(MDBX_txn* transaction, const std::string* path) : transaction_(transaction), path_(path) {}

  MDBX_txn* transaction_;
  const std::string* path_;
};

class WriteTransaction : public ReadTransaction {
 public:
  [[nodiscard]] Status put(Table table, const Key& key, Bytes value);
  // False: the key is taken, nothing has changed.
  [[nodiscard]] Result<bool> insert(Table table, const Key& key, Bytes value);
  // False: there was none.
  [[nodiscard]] Result<bool> erase(Table table, const Key& key);
  [[nodiscard]] Status clear(Table table);
  [[nodiscard]] Result<Table> make_table(const std::string& name);

 private:
  friend class Environment;
  using ReadTransaction::ReadTransaction;
};

struct EnvironmentInfo {
  std::uint64_t file_bytes = 0;
  std::uint64_t used_bytes = 0;  // up to the last page in use
  std::uint64_t max_bytes = 0;
  std::uint32_t readers = 0;
  std::uint32_t max_readers = 0;
};

class Environment {
 public:
  [[nodiscard]] static Result<std::unique_ptr<Environment>> open(const Options& options);
  ~Environment();
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

  // Made where there is none, unless the access is kReadOnly (kFileNotFound).
  [[nodiscard]] Result<Table> table(const std::string& name);
  [[nodiscard]] Result<ReadTransaction> read() const;
  // Runs `work` and commits what it did; an error of `work` takes everything back and is returned. One at a
  // time, of all processes; `work` must not begin another one, and must not throw.
  [[nodiscard]] Status write(const std::function<Status(WriteTransaction&)>& work);
  // Makes all writes so far durable.
  [[nodiscard]] Status sync();
  [[nodiscard]] Result<EnvironmentInfo> info() const;
  [[nodiscard]] const std::string& directory() const noexcept { return options_.directory; }

 private:
  Environment(Options options, MDBX_env* environment);

  const Options options_;
  MDBX_env* environment_;
  bool is_open_ = false;
};

// The names of the files in the folder.
inline constexpr const char* kDataFile = "mdbx.dat";
inline constexpr const char* kLockFile = "mdbx.lck";

// Removes the files of an environment that nobody has open; its folder stays. Success also when there are
// none.
[[nodiscard]] Status remove_environment(const std::string& directory);

}  // namespace bop::mdbx
