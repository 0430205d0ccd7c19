// The two kinds of page sources, and how a connection makes its own.
#include "rowstore/page_source.hpp"

#include <sqlite3.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <mutex>
#include <unordered_map>

#include "base/assert.hpp"
#include "rowstore/connection.hpp"
#include "rowstore/instance.hpp"
#include "rowstore/vfs.hpp"

namespace bop::rowstore {

namespace {

// SQLite's wal-index (sqlite.org/walformat.html, section 2): regions of 32 KiB; each begins with the page
// numbers of its frames, 4096 of them, fewer in the first, which starts with a header of 136 bytes.
constexpr std::size_t kRegionBytes = 32768;
constexpr std::size_t kFramesPerRegion = 4096;
constexpr std::size_t kIndexHeaderBytes = 136;
constexpr std::size_t kFramesOfFirstRegion = kFramesPerRegion - kIndexHeaderBytes / sizeof(std::uint32_t);

class SnapshotPages final : public PageSource {
 public:
  // `generation`: of the WAL, which another one follows when it begins anew.
  SnapshotPages(std::shared_ptr<Instance> instance, std::uint32_t last_frame, std::uint32_t generation)
      : instance_(std::move(instance)), generation_(generation) {
    frames_.reserve(last_frame);
    std::uint32_t frame = 1;
    for (int r = 0; frame <= last_frame; ++r) {
      const auto* region =
          static_cast<const std::byte*>(instance_->index().region(r, kRegionBytes, /*extend=*/false));
      BOP_ASSERT(region != nullptr);
      const std::size_t count = r == 0 ? kFramesOfFirstRegion : kFramesPerRegion;
      const std::byte* at = region + (r == 0 ? kIndexHeaderBytes : 0);
      for (std::size_t i = 0; i < count && frame <= last_frame; ++i, ++frame) {
        std::uint32_t page = 0;
        std::memcpy(&page, at + i * sizeof(page), sizeof(page));
        frames_[page] = frame;  // the newest wins
      }
    }
  }

  Result<const std::byte*> page(PageNo page, std::span<std::byte, kPageBytes> buffer) const override {
    if (const auto found = frames_.find(page.value); found != frames_.end()) {
      if (auto why = instance_->discarded()) return std::unexpected(std::move(*why));
      std::array<std::byte, kFrameBytes> scratch;
      BOP_LET(frame, instance_->wal().frame(found->second, scratch));
      if (frame != scratch.data()) return frame + kFrameHeaderBytes;
      std::memcpy(buffer.data(), frame + kFrameHeaderBytes, kPageBytes);
      return buffer.data();
    }
    const PageFile& file = instance_->file();
    if (page.value == 0 || page.value > file.pages()) {
      return fail(ErrorCode::kCorrupt, "a b-tree of {} refers to page {}, which is not there", file.path(),
                  page.value);
    }
    BOP_TRY(file.read(page, buffer));
    return buffer.data();
  }
  Result<std::size_t> run(PageNo first, std::span<std::byte> buffer) const override {
    const PageFile& file = instance_->file();
    std::size_t count = 0;
    for (; count < buffer.size() / kPageBytes; ++count) {
      const PageNo page(static_cast<std::uint32_t>(first.value + count));
      if (page.value > file.pages() || frames_.contains(page.value)) break;
    }
    if (count > 0) BOP_TRY(file.read_run(first, buffer.first(count * kPageBytes)));
    return count;
  }
  // Of pages that are not in the snapshot's frames nobody writes the main file while the snapshot is held;
  // frames that were committed stay as they are as long as their generation of the WAL.
  bool versions(std::span<const PageNo> pages, std::span<std::uint64_t> out) const override {
    instance_->file().writes_of(pages, out);
    if (frames_.empty()) return true;
    constexpr std::uint64_t kIsFrame = std::uint64_t{1} << 63;
    for (std::size_t i = 0; i < pages.size(); ++i) {
      if (const auto found = frames_.find(pages[i].value); found != frames_.end())
        out[i] = kIsFrame | std::uint64_t{generation_ & 0x7fffffffU} << 32 | found->second;
    }
    return true;
  }
  std::uint64_t file() const noexcept override { return instance_->file().id(); }
  bool parallel() const noexcept override { return true; }

 private:
  std::shared_ptr<Instance> instance_;
  const std::uint32_t generation_;
  std::unordered_map<std::uint32_t, std::uint32_t> frames_;
};

class ConnectionPages final : public PageSource {
 public:
  ConnectionPages(Connection& connection, CachedStatement read)
      : connection_(connection), read_(std::move(read)) {}

  Result<const std::byte*> page(PageNo page, std::span<std::byte, kPageBytes> buffer) const override {
    const std::lock_guard lock(mutex_);
    sqlite3_stmt* statement = read_.get();
    sqlite3_bind_int64(statement, 1, page.value);
    connection_.pause_progress(true);
    const int code = sqlite3_step(statement);
    connection_.pause_progress(false);
    const bool whole =
        code == SQLITE_ROW && sqlite3_column_bytes(statement, 0) == static_cast<int>(kPageBytes);
    if (whole) std::memcpy(buffer.data(), sqlite3_column_blob(statement, 0), kPageBytes);
    sqlite3_reset(statement);
    if (!whole) {
      return fail(code == SQLITE_ROW || code == SQLITE_DONE ? ErrorCode::kCorrupt : ErrorCode::kIo,
                  "page {} could not be read: {}", page.value, sqlite3_errstr(code));
    }
    return buffer.data();
  }
  bool parallel() const noexcept override { return false; }

 private:
  mutable std::mutex mutex_;
  Connection& connection_;
  CachedStatement read_;
};

}  // namespace

Result<std::shared_ptr<const PageSource>> Connection::page_source() {
  BOP_ASSERT(in_transaction_);
  if (role_ == Role::kWriter) {
    BOP_LET(read, prepare("SELECT data FROM sqlite_dbpage WHERE pgno = ?1"));
    return std::make_shared<ConnectionPages>(*this, std::move(read));
  }
  std::uint32_t last_frame = 0;
  std::uint32_t generation = 0;
  if (!reads_file_only(sqlite_)) {
    BOP_LET(snapshot, snapshot_place());
    if (snapshot) {
      last_frame = snapshot->last_frame;
      // The first salt is one more each time that the WAL begins anew (sqlite.org/fileformat2.html, 4.1).
      std::memcpy(&generation, snapshot->salt.data(), sizeof(generation));
      generation = std::byteswap(generation);
    }
  }
  return std::make_shared<SnapshotPages>(instance_, last_frame, generation);
}

std::uint32_t Connection::database_pages() const noexcept {
  return std::max(instance_->capture().database_pages(), instance_->file().pages());
}

}  // namespace bop::rowstore
