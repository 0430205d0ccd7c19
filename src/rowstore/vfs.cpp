#include "rowstore/vfs.hpp"

#include <sqlite3.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <new>
#include <string_view>
#include <thread>

#include "base/assert.hpp"
#include "rowstore/connection.hpp"
#include "rowstore/instance.hpp"
#include "rowstore/temp_file.hpp"

namespace bop::rowstore {

namespace {

thread_local Connection* opening = nullptr;
thread_local std::optional<Error> temp_error;

int code_for(const Error& error, int otherwise) {
  switch (error.code()) {
    case ErrorCode::kDiskFull:
    case ErrorCode::kTransactionTooLarge:
    case ErrorCode::kConfigurationLimitExceeded:
    case ErrorCode::kInsufficientResources: return SQLITE_FULL;
    case ErrorCode::kOutOfMemory: return SQLITE_IOERR_NOMEM;
    case ErrorCode::kCorrupt: return SQLITE_IOERR_CORRUPTFS;
    default: return otherwise;
  }
}

struct OpenFile : sqlite3_file {
  Instance* instance;
  Connection* connection;
  WalIndex::Handle locks;      // main file
  int lock_level;              // main file
  std::uint32_t header_frame;  // WAL: the frame whose header was written last, 0 = none
  std::uint32_t header_pages;  // and the database size in it; not 0 = commit
  TempFile* temp;
};

OpenFile& self(sqlite3_file* file) { return *static_cast<OpenFile*>(file); }

int report(OpenFile& file, Error error, int otherwise) {
  const int code = code_for(error, otherwise);
  if (file.connection != nullptr) {
    file.connection->set_error(std::move(error));
  } else {
    temp_error = std::move(error);
  }
  return code;
}

std::span<std::byte> bytes_of(void* data, int size) {
  return {static_cast<std::byte*>(data), static_cast<std::size_t>(size)};
}
std::span<const std::byte> bytes_of(const void* data, int size) {
  return {static_cast<const std::byte*>(data), static_cast<std::size_t>(size)};
}

int short_read(std::span<std::byte> out, std::size_t got) {
  if (got == out.size()) return SQLITE_OK;
  std::fill(out.begin() + static_cast<std::ptrdiff_t>(got), out.end(), std::byte{0});
  return SQLITE_IOERR_SHORT_READ;
}

// --- main file ---

int main_close(sqlite3_file*) { return SQLITE_OK; }

// Whole pages, and SQLite's peeks into page 1 (16 and 100 bytes).
int main_read(sqlite3_file* f, void* data, int size, sqlite3_int64 at) {
  OpenFile& file = self(f);
  PageFile& pages = file.instance->file();
  const auto out = bytes_of(data, size);
  const auto offset = static_cast<std::uint64_t>(at);
  const PageNo page(static_cast<std::uint32_t>(offset / kPageBytes + 1));
  const std::size_t inside = offset % kPageBytes;
  BOP_ASSERT(inside + out.size() <= kPageBytes);
  if (page.value > pages.pages()) return short_read(out, 0);
  if (out.size() == kPageBytes) {
    auto read = pages.read(page, out.first<kPageBytes>());
    return read ? SQLITE_OK : report(file, std::move(read).error(), SQLITE_IOERR_READ);
  }
  std::array<std::byte, kPageBytes> whole;
  auto read = pages.read(page, whole);
  // When it opens the file SQLite looks for its format only, which is the same in all of ours. The page
  // itself comes from the WAL, or is read, and refused, as a whole.
  if (!read && read.error().code() == ErrorCode::kCorrupt) {
    make_first_page(whole);
    read = {};
  }
  if (!read) return report(file, std::move(read).error(), SQLITE_IOERR_READ);
  std::memcpy(out.data(), whole.data() + inside, out.size());
  return SQLITE_OK;
}

int main_write(sqlite3_file* f, const void* data, int size, sqlite3_int64 at) {
  OpenFile& file = self(f);
  BOP_ASSERT(size == static_cast<int>(kPageBytes) && at % static_cast<sqlite3_int64>(kPageBytes) == 0);
  const PageNo page(static_cast<std::uint32_t>(at / static_cast<sqlite3_int64>(kPageBytes) + 1));
  auto written = file.instance->file().write(page, bytes_of(data, size).first<kPageBytes>());
  return written ? SQLITE_OK : report(file, std::move(written).error(), SQLITE_IOERR_WRITE);
}

int main_truncate(sqlite3_file* f, sqlite3_int64 size) {
  OpenFile& file = self(f);
  auto cut =
      file.instance->file().resize(static_cast<std::uint32_t>(size / static_cast<sqlite3_int64>(kPageBytes)));
  return cut ? SQLITE_OK : report(file, std::move(cut).error(), SQLITE_IOERR_TRUNCATE);
}

// synchronous is OFF: a checkpoint of ours syncs by itself.
int no_sync(sqlite3_file*, int) { return SQLITE_OK; }

int main_size(sqlite3_file* f, sqlite3_int64* size) {
  *size =
      static_cast<sqlite3_int64>(self(f).instance->file().pages()) * static_cast<sqlite3_int64>(kPageBytes);
  return SQLITE_OK;
}

// In WAL mode every connection holds a shared lock for its life. The exclusive one, which SQLite takes when
// it believes to be the last to close, is never granted: nothing is checkpointed or deleted then.
int main_lock(sqlite3_file* f, int level) {
  OpenFile& file = self(f);
  if (level > SQLITE_LOCK_SHARED) return SQLITE_BUSY;
  file.lock_level = std::max(file.lock_level, level);
  return SQLITE_OK;
}
int main_unlock(sqlite3_file* f, int level) {
  self(f).lock_level = level;
  return SQLITE_OK;
}
int main_reserved(sqlite3_file*, int* out) {
  *out = 0;
  return SQLITE_OK;
}
int no_control(sqlite3_file*, int, void*) { return SQLITE_NOTFOUND; }
int sector_size(sqlite3_file*) { return static_cast<int>(kPageBytes); }
int characteristics(sqlite3_file*) { return SQLITE_IOCAP_POWERSAFE_OVERWRITE; }

int shm_map(sqlite3_file* f, int region, int size, int extend, void volatile** out) {
  *out = self(f).instance->index().region(region, static_cast<std::size_t>(size), extend != 0);
  return SQLITE_OK;
}
int shm_lock(sqlite3_file* f, int first, int count, int flags) {
  OpenFile& file = self(f);
  WalIndex& index = file.instance->index();
  if ((flags & SQLITE_SHM_UNLOCK) != 0) {
    index.unlock(file.locks, first, count);
    return SQLITE_OK;
  }
  const bool got = (flags & SQLITE_SHM_SHARED) != 0 ? index.lock_shared(file.locks, first, count)
                                                    : index.lock_exclusive(file.locks, first, count);
  return got ? SQLITE_OK : SQLITE_BUSY;
}
void shm_barrier(sqlite3_file*) { std::atomic_thread_fence(std::memory_order_seq_cst); }
int shm_unmap(sqlite3_file* f, int) {
  OpenFile& file = self(f);
  file.instance->index().unlock(file.locks, 0, WalIndex::kSlots);
  return SQLITE_OK;
}

const sqlite3_io_methods kMainMethods = {
    2,         main_close,  main_read,     main_write, main_truncate, no_sync,         main_size,
    main_lock, main_unlock, main_reserved, no_control, sector_size,   characteristics, shm_map,
    shm_lock,  shm_barrier, shm_unmap,     nullptr,    nullptr};

// --- WAL ---

int wal_read(sqlite3_file* f, void* data, int size, sqlite3_int64 at) {
  OpenFile& file = self(f);
  const auto out = bytes_of(data, size);
  if (auto why = file.instance->discarded()) return report(file, std::move(*why), SQLITE_IOERR_READ);
  auto got = file.instance->wal().read(static_cast<std::uint64_t>(at), out);
  return got ? short_read(out, *got) : report(file, std::move(got).error(), SQLITE_IOERR_READ);
}

std::uint32_t big_endian(const std::byte* at) {
  std::uint32_t value = 0;
  for (int i = 0; i < 4; ++i) value = (value << 8) | static_cast<std::uint32_t>(at[i]);
  return value;
}

Status write_wal(OpenFile& file, std::span<const std::byte> bytes, std::uint64_t at) {
  Instance& instance = *file.instance;
  const std::lock_guard lock(instance.writing());
  if (auto why = instance.discarded()) return std::unexpected(std::move(*why));
  if (at < kWalHeaderBytes) {
    BOP_ASSERT(at == 0 && bytes.size() == kWalHeaderBytes);
    BOP_TRY(instance.wal().write(at, bytes));
    instance.capture().wal_header(bytes);
    file.header_frame = 0;
    return {};
  }
  const std::uint64_t body = at - kWalHeaderBytes;
  const auto frame = static_cast<std::uint32_t>(body / kFrameBytes + 1);
  if (body % kFrameBytes == 0) {
    BOP_ASSERT(bytes.size() == kFrameHeaderBytes);
    BOP_TRY(instance.capture().frame_begins(frame));
    BOP_TRY(instance.wal().write(at, bytes));
    file.header_frame = frame;
    file.header_pages = big_endian(bytes.data() + 4);
    return {};
  }
  BOP_ASSERT(body % kFrameBytes == kFrameHeaderBytes && bytes.size() == kPageBytes);
  BOP_TRY(instance.wal().write(at, bytes));
  // Only the page that follows its own commit header closes a transaction; others rewrite a page in place.
  const bool commits = file.header_frame == frame && file.header_pages != 0;
  file.header_frame = 0;
  if (!commits) return {};
  BOP_LET(csn, instance.capture().commit_frame(frame, file.header_pages));
  if (file.connection != nullptr) file.connection->run_commit_hook(csn);
  return {};
}

int wal_write(sqlite3_file* f, const void* data, int size, sqlite3_int64 at) {
  OpenFile& file = self(f);
  auto written = write_wal(file, bytes_of(data, size), static_cast<std::uint64_t>(at));
  return written ? SQLITE_OK : report(file, std::move(written).error(), SQLITE_IOERR_WRITE);
}
int wal_truncate(sqlite3_file* f, sqlite3_int64 size) {
  Instance& instance = *self(f).instance;
  const std::lock_guard lock(instance.writing());
  if (!instance.discarded()) instance.wal().truncate(static_cast<std::uint64_t>(size));
  return SQLITE_OK;
}
int wal_size(sqlite3_file* f, sqlite3_int64* size) {
  *size = static_cast<sqlite3_int64>(self(f).instance->wal().size());
  return SQLITE_OK;
}
int no_lock(sqlite3_file*, int) { return SQLITE_OK; }

const sqlite3_io_methods kWalMethods = {1,          main_close,  wal_read,        wal_write, wal_truncate,
                                        no_sync,    wal_size,    no_lock,         no_lock,   main_reserved,
                                        no_control, sector_size, characteristics, nullptr,   nullptr,
                                        nullptr,    nullptr,     nullptr,         nullptr};

// --- temporary files ---

int temp_close(sqlite3_file* f) {
  delete self(f).temp;
  return SQLITE_OK;
}
int temp_read(sqlite3_file* f, void* data, int size, sqlite3_int64 at) {
  const auto out = bytes_of(data, size);
  auto got = self(f).temp->read(static_cast<std::uint64_t>(at), out);
  return got ? short_read(out, *got) : report(self(f), std::move(got).error(), SQLITE_IOERR_READ);
}
int temp_write(sqlite3_file* f, const void* data, int size, sqlite3_int64 at) {
  auto written = self(f).temp->write(static_cast<std::uint64_t>(at), bytes_of(data, size));
  return written ? SQLITE_OK : report(self(f), std::move(written).error(), SQLITE_IOERR_WRITE);
}
int temp_truncate(sqlite3_file* f, sqlite3_int64 size) {
  auto cut = self(f).temp->truncate(static_cast<std::uint64_t>(size));
  return cut ? SQLITE_OK : report(self(f), std::move(cut).error(), SQLITE_IOERR_TRUNCATE);
}
int temp_size(sqlite3_file* f, sqlite3_int64* size) {
  *size = static_cast<sqlite3_int64>(self(f).temp->size());
  return SQLITE_OK;
}

const sqlite3_io_methods kTempMethods = {1,          temp_close,  temp_read,       temp_write, temp_truncate,
                                         no_sync,    temp_size,   no_lock,         no_lock,    main_reserved,
                                         no_control, sector_size, characteristics, nullptr,    nullptr,
                                         nullptr,    nullptr,     nullptr,         nullptr};

// --- the VFS ---

int vfs_open(sqlite3_vfs* vfs, sqlite3_filename, sqlite3_file* f, int flags, int* out_flags) {
  auto* file = new (f) OpenFile{};
  file->instance = static_cast<Instance*>(vfs->pAppData);
  file->connection = opening;
  if (out_flags != nullptr) *out_flags = flags;
  if ((flags & SQLITE_OPEN_MAIN_DB) != 0) {
    file->pMethods = &kMainMethods;
  } else if ((flags & SQLITE_OPEN_WAL) != 0) {
    file->pMethods = &kWalMethods;
  } else if ((flags & (SQLITE_OPEN_TEMP_DB | SQLITE_OPEN_TEMP_JOURNAL | SQLITE_OPEN_TRANSIENT_DB |
                       SQLITE_OPEN_SUBJOURNAL)) != 0) {
    file->connection = nullptr;
    file->temp = new (std::nothrow)
        TempFile(file->instance->temp_bytes(), file->instance->temp_limit(), file->instance->open_scratch());
    if (file->temp == nullptr) return SQLITE_NOMEM;
    file->pMethods = &kTempMethods;
  } else {
    return SQLITE_CANTOPEN;
  }
  return SQLITE_OK;
}

int vfs_delete(sqlite3_vfs*, const char*, int) { return SQLITE_OK; }

// The WAL is always there, a rollback journal never.
int vfs_access(sqlite3_vfs*, const char* name, int, int* out) {
  *out = std::string_view(name).ends_with("-wal") ? 1 : 0;
  return SQLITE_OK;
}
int vfs_full_path(sqlite3_vfs*, const char* name, int size, char* out) {
  sqlite3_snprintf(size, out, "%s", name);
  return SQLITE_OK;
}
int vfs_randomness(sqlite3_vfs*, int size, char* out) {
  sqlite3_vfs* system = sqlite3_vfs_find(nullptr);
  return system->xRandomness(system, size, out);
}
// SQLite backs off so while another thread publishes a commit: microseconds.
int vfs_sleep(sqlite3_vfs*, int microseconds) {
  ::usleep(static_cast<useconds_t>(microseconds));
  return microseconds;
}
int vfs_time64(sqlite3_vfs*, sqlite3_int64* out) {
  sqlite3_vfs* system = sqlite3_vfs_find(nullptr);
  return system->xCurrentTimeInt64(system, out);
}
int vfs_time(sqlite3_vfs* vfs, double* out) {
  sqlite3_int64 ms = 0;
  const int code = vfs_time64(vfs, &ms);
  *out = static_cast<double>(ms) / 86'400'000.0;
  return code;
}
int vfs_last_error(sqlite3_vfs*, int, char*) { return 0; }

}  // namespace

std::unique_ptr<sqlite3_vfs> make_vfs(Instance& instance, const char* name) {
  auto vfs = std::make_unique<sqlite3_vfs>();
  std::memset(vfs.get(), 0, sizeof(sqlite3_vfs));
  vfs->iVersion = 2;
  vfs->szOsFile = sizeof(OpenFile);
  vfs->mxPathname = 512;
  vfs->zName = name;
  vfs->pAppData = &instance;
  vfs->xOpen = vfs_open;
  vfs->xDelete = vfs_delete;
  vfs->xAccess = vfs_access;
  vfs->xFullPathname = vfs_full_path;
  vfs->xRandomness = vfs_randomness;
  vfs->xSleep = vfs_sleep;
  vfs->xCurrentTime = vfs_time;
  vfs->xGetLastError = vfs_last_error;
  vfs->xCurrentTimeInt64 = vfs_time64;
  return vfs;
}

OpeningScope::OpeningScope(Connection& connection) noexcept { opening = &connection; }
OpeningScope::~OpeningScope() { opening = nullptr; }

bool reads_file_only(sqlite3* connection) {
  constexpr int kReadLock0 = 3;  // the slot of WAL_READ_LOCK(0)
  sqlite3_file* file = nullptr;
  sqlite3_file_control(connection, "main", SQLITE_FCNTL_FILE_POINTER, &file);
  BOP_ASSERT(file != nullptr);
  return (self(file).locks.shared & (1U << kReadLock0)) != 0;
}

std::optional<Error> take_temp_error() { return std::exchange(temp_error, std::nullopt); }

}  // namespace bop::rowstore
