// One life of SQLite over a database: its VFS, WAL, wal-index and capture over the main file. A rewind fences
// the instance and makes another; connections keep theirs alive until they are closed.
//
// Threads: SQLite's own protocol between its connections; `discard` from any thread.
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
  [[nodiscard]] std::optional<Error> discarded() const { return file_->fenced(); }

 private:
  database::Database& database_;
  const std::shared_ptr<PageFile> file_;
  const Csn recovered_;
  const std::uint64_t temp_limit_;
  std::function<Result<std::unique_ptr<File>>()> open_scratch_;  // empty: memory only
  std::atomic<std::uint64_t> temp_bytes_{0};
  WalMemory wal_;
  WalIndex index_;
  Capture capture_;
  std::string vfs_name_;
  std::unique_ptr<sqlite3_vfs> vfs_;
};

}  // namespace bop::rowstore
