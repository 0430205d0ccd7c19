// One life of SQLite over a database: its VFS, WAL, wal-index and capture over the main file. A rewind or a
// retreat fences the instance and makes another; connections keep theirs alive until they are closed.
//
// Threads: SQLite's own protocol between its connections; `discard` and `stop` from any thread.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/disk.hpp"
#include "base/error.hpp"
#include "base/ids.hpp"
#include "database/database.hpp"
#include "rowstore/capture.hpp"
#include "rowstore/page_file.hpp"
#include "rowstore/row_store.hpp"
#include "rowstore/wal_index.hpp"
#include "rowstore/wal_memory.hpp"

struct sqlite3_vfs;

namespace bop::rowstore {

class Instance {
 public:
  Instance(const RowStoreOptions& options, database::Database& database, std::shared_ptr<PageFile> file,
           Csn recovered);
  // `other`, which has been stopped, as it was at `to`: the same frames of WAL up to there, nothing read from
  // or written to a disk. `frames` is what other.capture().frames_up_to(to) says.
  Instance(const RowStoreOptions& options, Instance& other, std::shared_ptr<PageFile> file, Csn to,
           std::uint32_t frames);
  ~Instance();
  Instance(const Instance&) = delete;
  Instance& operator=(const Instance&) = delete;

  [[nodiscard]] database::Database& database() noexcept { return database_; }
  [[nodiscard]] PageFile& file() noexcept { return *file_; }
  [[nodiscard]] WalMemory& wal() noexcept { return wal_; }
  [[nodiscard]] WalIndex& index() noexcept { return index_; }
  [[nodiscard]] Capture& capture() noexcept { return capture_; }
  [[nodiscard]] const char* vfs_name() const noexcept { return vfs_name_.c_str(); }
  [[nodiscard]] Csn recovered() const noexcept { return recovered_; }

  [[nodiscard]] const std::function<Result<std::unique_ptr<File>>()>& open_scratch() const noexcept {
    return open_scratch_;
  }
  [[nodiscard]] std::atomic<std::uint64_t>& temp_bytes() noexcept { return temp_bytes_; }
  [[nodiscard]] std::uint64_t temp_limit() const noexcept { return temp_limit_; }

  // Every call from now on fails with `why`; the first reason stays.
  void discard(const Error& why) { file_->fence(why); }
  // And, when it returns, nobody writes to the WAL any more.
  void stop(const Error& why) {
    discard(why);
    const std::lock_guard lock(writing_);
  }
  // Held while a piece of the WAL is written.
  [[nodiscard]] std::mutex& writing() noexcept { return writing_; }
  [[nodiscard]] std::optional<Error> discarded() const { return file_->fenced(); }

 private:
  void register_vfs();

  database::Database& database_;
  const std::shared_ptr<PageFile> file_;
  const Csn recovered_;
  const std::uint64_t temp_limit_;
  std::function<Result<std::unique_ptr<File>>()> open_scratch_;  // empty: memory only
  std::atomic<std::uint64_t> temp_bytes_{0};
  std::mutex writing_;
  WalMemory wal_;
  WalIndex index_;
  Capture capture_;
  std::string vfs_name_;
  std::unique_ptr<sqlite3_vfs> vfs_;
};

}  // namespace bop::rowstore
