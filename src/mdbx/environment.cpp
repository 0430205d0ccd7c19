#include "mdbx/environment.hpp"

#include <fcntl.h>
#include <mdbx.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <utility>

#include "base/assert.hpp"
#include "mdbx/error_map.hpp"
#include "mdbx/file_guard.hpp"

namespace bop::mdbx {

namespace {

constexpr std::intptr_t kPage = 4096;
constexpr std::intptr_t kReaderSlotBytes = 64;

// Once for the process: errors are told as values, and what libmdbx has to say beside is of no use to
// anybody.
void be_silent() {
  static const int once = mdbx_setup_debug(MDBX_LOG_FATAL, MDBX_DBG_NONE, nullptr);
  (void)once;
}

MDBX_val value_of(Bytes bytes) noexcept { return {const_cast<std::byte*>(bytes.data()), bytes.size()}; }
Bytes bytes_of(const MDBX_val& value) noexcept {
  return {static_cast<const std::byte*>(value.iov_base), value.iov_len};
}

std::unexpected<Error> failed(int code, const std::string& path, std::string_view doing) {
  return std::unexpected(error_of(code, path, doing));
}

Status check(const Key& key, const std::string& path) {
  if (key.valid()) return {};
  return fail(ErrorCode::kProgramLimitExceeded, "{}: the key is longer than {} bytes", path, Key::kMaxBytes);
}

// Takes the room of the lock file, which is written through a mapping: without it, a full disk would be a
// SIGBUS. (A clean close gives the room back.)
Status reserve_lock_file(const Options& options) {
  const std::string path = options.directory + "/" + kLockFile;
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) return failed(errno, path, "open");
  const auto bytes = static_cast<::off_t>(4 * kPage + kReaderSlotBytes * options.max_readers);
  const int problem = ::fallocate(file, FALLOC_FL_KEEP_SIZE, 0, bytes) == 0 ? 0 : errno;
  ::close(file);
  if (problem != 0 && problem != EOPNOTSUPP && problem != ENOSYS)
    return failed(problem, path, "take room for");
  return {};
}

MDBX_env_flags_t flags_of(const Options& options) noexcept {
  unsigned flags = MDBX_VALIDATION | MDBX_NOSTICKYTHREADS | MDBX_NORDAHEAD;
  if (options.access == Access::kReadOnly) flags |= MDBX_RDONLY;
  if (options.durability == Durability::kLastSync) flags |= MDBX_SAFE_NOSYNC;
  if (options.exclusive || options.guarded) flags |= MDBX_EXCLUSIVE;
  return static_cast<MDBX_env_flags_t>(flags);
}

}  // namespace

Environment::Environment(Options options, MDBX_env* environment)
    : options_(std::move(options)), environment_(environment) {}

Environment::~Environment() {
  // Whatever it answers, the handle is gone.
  const bool is_durable = options_.durability == Durability::kEveryCommit || !is_open_;
  const int closed = mdbx_env_close_ex(environment_, is_durable);
  if (is_open_ && options_.guarded && options_.access == Access::kReadWrite && closed == MDBX_SUCCESS) {
    leave_guarded(options_.directory);
  }
}

Result<std::unique_ptr<Environment>> Environment::open(const Options& options) {
  BOP_ASSERT(options.max_bytes >= options.growth_bytes && options.growth_bytes >= std::uint64_t{kPage});
  const std::string& path = options.directory;
  std::error_code problem;
  if (options.access == Access::kReadWrite) {
    std::filesystem::create_directories(path, problem);
    if (problem) return failed(problem.value(), path, "make the folder");
    BOP_TRY(reserve_lock_file(options));
  }
  if (options.guarded && options.access == Access::kReadWrite) {
    BOP_TRY(enter_guarded(path));
  } else {
    BOP_TRY(read_file_through(path));
  }

  be_silent();
  MDBX_env* handle = nullptr;
  if (const int code = mdbx_env_create(&handle); code != MDBX_SUCCESS) return failed(code, path, "open");
  std::unique_ptr<Environment> environment(new Environment(options, handle));
  const auto set = [&](MDBX_option_t option, std::uint64_t value) {
    return mdbx_env_set_option(handle, option, value);
  };
  int code = set(MDBX_opt_max_readers, options.max_readers);
  if (code == MDBX_SUCCESS) code = set(MDBX_opt_max_db, options.max_tables);
  if (code == MDBX_SUCCESS) code = set(MDBX_opt_txn_dp_limit, kDirtyBytes / kPage);
  if (code == MDBX_SUCCESS && options.access == Access::kReadWrite) {
    const auto growth = static_cast<std::intptr_t>(options.growth_bytes);
    code = mdbx_env_set_geometry(handle, -1, -1, static_cast<std::intptr_t>(options.max_bytes), growth,
                                 2 * growth, kPage);
  }
  if (code != MDBX_SUCCESS) return failed(code, path, "set the limits");
  const mdbx_mode_t mode = options.access == Access::kReadWrite ? 0600 : 0;
  code = mdbx_env_open(handle, path.c_str(), flags_of(options), mode);
  if (code != MDBX_SUCCESS) return failed(code, path, "open");
  environment->is_open_ = true;
  return environment;
}

Result<Table> Environment::table(const std::string& name) {
  MDBX_dbi table = 0;
  if (options_.access == Access::kReadWrite) {
    Result<Table> made = Table(0);
    BOP_TRY(write([&](WriteTransaction& transaction) -> Status {
      made = transaction.make_table(name);
      if (!made) return std::unexpected(made.error());
      return {};
    }));
    return made;
  }
  BOP_LET(transaction, read());
  const int code = mdbx_dbi_open(transaction.transaction_, name.c_str(), MDBX_DB_DEFAULTS, &table);
  if (code == MDBX_NOTFOUND) {
    return fail(ErrorCode::kFileNotFound, "{}: there is no table {}", options_.directory, name);
  }
  if (code != MDBX_SUCCESS) return failed(code, options_.directory, "open a table");
  // A handle that a read opened counts only once that has been committed.
  const int committed = mdbx_txn_commit(std::exchange(transaction.transaction_, nullptr));
  if (committed != MDBX_SUCCESS) return failed(committed, options_.directory, "open a table");
  return Table(table);
}

Result<ReadTransaction> Environment::read() const {
  MDBX_txn* transaction = nullptr;
  const int code = mdbx_txn_begin(environment_, nullptr, MDBX_TXN_RDONLY, &transaction);
  if (code != MDBX_SUCCESS) return failed(code, options_.directory, "begin to read");
  return ReadTransaction(transaction, &options_.directory);
}

Status Environment::write(const std::function<Status(WriteTransaction&)>& work) {
  MDBX_txn* handle = nullptr;
  int code = mdbx_txn_begin(environment_, nullptr, MDBX_TXN_READWRITE, &handle);
  if (code != MDBX_SUCCESS) return failed(code, options_.directory, "begin to write");
  WriteTransaction transaction(handle, &options_.directory);
  BOP_TRY(work(transaction));  // its destructor takes everything back
  code = mdbx_txn_commit(std::exchange(transaction.transaction_, nullptr));
  if (code == MDBX_RESULT_TRUE) {
    return fail(ErrorCode::kInternal, "{}: a write that had failed was to be committed", options_.directory);
  }
  if (code != MDBX_SUCCESS) return failed(code, options_.directory, "commit");
  return {};
}

Status Environment::sync() {
  const int code = mdbx_env_sync_ex(environment_, true, false);
  if (code != MDBX_SUCCESS && code != MDBX_RESULT_TRUE) return failed(code, options_.directory, "sync");
  return {};
}

Result<EnvironmentInfo> Environment::info() const {
  MDBX_envinfo told{};
  const int code = mdbx_env_info_ex(environment_, nullptr, &told, sizeof(told));
  if (code != MDBX_SUCCESS) return failed(code, options_.directory, "look at the file");
  EnvironmentInfo info;
  info.file_bytes = told.mi_dxb_fsize;
  info.used_bytes = (told.mi_last_pgno + 1) * told.mi_dxb_pagesize;
  info.max_bytes = told.mi_geo.upper;
  info.readers = told.mi_numreaders;
  info.max_readers = told.mi_maxreaders;
  return info;
}

ReadTransaction::ReadTransaction(ReadTransaction&& other) noexcept
    : transaction_(std::exchange(other.transaction_, nullptr)), path_(other.path_) {}

ReadTransaction& ReadTransaction::operator=(ReadTransaction&& other) noexcept {
  std::swap(transaction_, other.transaction_);
  std::swap(path_, other.path_);
  return *this;
}

ReadTransaction::~ReadTransaction() {
  if (transaction_ != nullptr) (void)mdbx_txn_abort(transaction_);
}

Result<std::optional<Bytes>> ReadTransaction::get(Table table, const Key& key) const {
  BOP_TRY(check(key, *path_));
  const MDBX_val wanted = value_of(key.bytes());
  MDBX_val found{};
  const int code = mdbx_get(transaction_, table.value, &wanted, &found);
  if (code == MDBX_NOTFOUND) return std::nullopt;
  if (code != MDBX_SUCCESS) return failed(code, *path_, "read");
  return bytes_of(found);
}

Result<Cursor> ReadTransaction::cursor(Table table) const {
  MDBX_cursor* cursor = nullptr;
  const int code = mdbx_cursor_open(transaction_, table.value, &cursor);
  if (code != MDBX_SUCCESS) return failed(code, *path_, "read");
  return Cursor(cursor, path_);
}

Result<std::uint64_t> ReadTransaction::count(Table table) const {
  MDBX_stat stat{};
  const int code = mdbx_dbi_stat(transaction_, table.value, &stat, sizeof(stat));
  if (code != MDBX_SUCCESS) return failed(code, *path_, "count");
  return stat.ms_entries;
}

Status WriteTransaction::put(Table table, const Key& key, Bytes value) {
  BOP_TRY(check(key, *path_));
  if (value.size() > kMaxValueBytes) {
    return fail(ErrorCode::kProgramLimitExceeded, "{}: a value has {} bytes, more than {}", *path_,
                value.size(), kMaxValueBytes);
  }
  const MDBX_val at = value_of(key.bytes());
  MDBX_val data = value_of(value);
  const int code = mdbx_put(transaction_, table.value, &at, &data, MDBX_UPSERT);
  if (code != MDBX_SUCCESS) return failed(code, *path_, "write");
  return {};
}

Result<bool> WriteTransaction::insert(Table table, const Key& key, Bytes value) {
  BOP_LET(taken, get(table, key));
  if (taken.has_value()) return false;
  BOP_TRY(put(table, key, value));
  return true;
}

Result<bool> WriteTransaction::erase(Table table, const Key& key) {
  BOP_TRY(check(key, *path_));
  const MDBX_val at = value_of(key.bytes());
  const int code = mdbx_del(transaction_, table.value, &at, nullptr);
  if (code == MDBX_NOTFOUND) return false;
  if (code != MDBX_SUCCESS) return failed(code, *path_, "erase");
  return true;
}

Status WriteTransaction::clear(Table table) {
  const int code = mdbx_drop(transaction_, table.value, false);
  if (code != MDBX_SUCCESS) return failed(code, *path_, "clear a table");
  return {};
}

Result<Table> WriteTransaction::make_table(const std::string& name) {
  MDBX_dbi table = 0;
  const int code = mdbx_dbi_open(transaction_, name.c_str(), MDBX_CREATE, &table);
  if (code != MDBX_SUCCESS) return failed(code, *path_, "make a table");
  return Table(table);
}

Cursor::Cursor(Cursor&& other) noexcept
    : cursor_(std::exchange(other.cursor_, nullptr)), path_(other.path_) {}

Cursor& Cursor::operator=(Cursor&& other) noexcept {
  std::swap(cursor_, other.cursor_);
  std::swap(path_, other.path_);
  return *this;
}

Cursor::~Cursor() {
  if (cursor_ != nullptr) mdbx_cursor_close(cursor_);
}

Result<std::optional<Pair>> Cursor::move(int operation, const Key* key) {
  MDBX_val at{}, value{};
  if (key != nullptr) {
    BOP_TRY(check(*key, *path_));
    at = value_of(key->bytes());
  }
  const int code = mdbx_cursor_get(cursor_, &at, &value, static_cast<MDBX_cursor_op>(operation));
  if (code == MDBX_NOTFOUND || code == MDBX_ENODATA) return std::nullopt;
  if (code != MDBX_SUCCESS && code != MDBX_RESULT_TRUE) return failed(code, *path_, "read");
  return Pair{bytes_of(at), bytes_of(value)};
}

Result<std::optional<Pair>> Cursor::first() { return move(MDBX_FIRST, nullptr); }
Result<std::optional<Pair>> Cursor::last() { return move(MDBX_LAST, nullptr); }
Result<std::optional<Pair>> Cursor::next() { return move(MDBX_NEXT, nullptr); }
Result<std::optional<Pair>> Cursor::previous() { return move(MDBX_PREV, nullptr); }
Result<std::optional<Pair>> Cursor::at_or_after(const Key& key) { return move(MDBX_SET_RANGE, &key); }
Result<std::optional<Pair>> Cursor::at_or_before(const Key& key) {
  return move(MDBX_TO_KEY_LESSER_OR_EQUAL, &key);
}

Status remove_environment(const std::string& directory) {
  for (const char* name : {kSealFile, kLivesFile, kDataFile, kLockFile}) {
    std::error_code problem;
    std::filesystem::remove(directory + "/" + name, problem);
    if (problem) return failed(problem.value(), directory + "/" + name, "remove");
  }
  return {};
}

}  // namespace bop::mdbx
