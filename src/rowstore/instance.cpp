#include "rowstore/instance.hpp"

#include <sqlite3.h>

#include "base/assert.hpp"
#include "rowstore/vfs.hpp"

namespace bop::rowstore {

namespace {
// A file that loses its name at once: the kernel frees it with the process.
std::function<Result<std::unique_ptr<File>>()> scratch_maker(Disk* disk, std::string directory,
                                                             DatabaseId database) {
  if (directory.empty()) return {};
  return [disk, directory = std::move(directory), database]() -> Result<std::unique_ptr<File>> {
    static std::atomic<std::uint64_t> counter{0};
    const std::string path = fmt::format("{}/{}-{}", directory, database.value, ++counter);
    BOP_TRY(disk->create_directories(directory));
    auto file = disk->open(path, OpenMode::kOpenOrCreate);
    if (file) BOP_TRY(disk->remove(path));
    return file;
  };
}

std::function<Status(std::uint64_t)> room_checker(const RowStoreOptions& options, DatabaseId id) {
  if (!options.check_room) return {};
  return [check = options.check_room, id](std::uint64_t growth) { return check(id, growth); };
}
}  // namespace

Instance::Instance(const RowStoreOptions& options, database::Database& database,
                   std::shared_ptr<PageFile> file, Csn recovered)
    : database_(database),
      file_(std::move(file)),
      recovered_(recovered),
      temp_limit_(options.temp_limit),
      open_scratch_(scratch_maker(options.disk, options.scratch_dir, database.id())),
      wal_(options.wal_memory, open_scratch_),
      capture_(database.port(), *file_, wal_,
               {.max_transaction_bytes = options.max_transaction_bytes,
                .deltas = options.deltas,
                .check_room = room_checker(options, database.id())},
               recovered, file_->pages()),
      vfs_name_(fmt::format("bop-{}", static_cast<const void*>(this))),
      vfs_(make_vfs(*this, vfs_name_.c_str())) {
  register_vfs();
}

Instance::Instance(const RowStoreOptions& options, Instance& other, std::shared_ptr<PageFile> file, Csn to,
                   std::uint32_t frames)
    : database_(other.database_),
      file_(std::move(file)),
      recovered_(to),
      temp_limit_(options.temp_limit),
      open_scratch_(other.open_scratch_),
      wal_(other.wal_, frames),
      capture_(other.capture_, *file_, wal_, to),
      vfs_name_(fmt::format("bop-{}", static_cast<const void*>(this))),
      vfs_(make_vfs(*this, vfs_name_.c_str())) {
  register_vfs();
}

void Instance::register_vfs() { BOP_ASSERT(sqlite3_vfs_register(vfs_.get(), 0) == SQLITE_OK); }

Instance::~Instance() { sqlite3_vfs_unregister(vfs_.get()); }

}  // namespace bop::rowstore
