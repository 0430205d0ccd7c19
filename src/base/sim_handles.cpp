// Open files and locks of a simulated disk.
#include <algorithm>
#include <utility>

#include "base/assert.hpp"
#include "base/crc64.hpp"
#include "base/sim_disk_core.hpp"

namespace bop {

class SimFile final : public File {
 public:
  SimFile(std::shared_ptr<SimDisk::Core> core, SimDisk::Core::InodeRef inode, std::string path, bool writable)
      : core_(std::move(core)),
        inode_(std::move(inode)),
        path_(std::move(path)),
        generation_(core_->generation),
        writable_(writable) {}
  ~SimFile() override {
    const std::lock_guard guard(core_->mutex);
    inode_.reset();  // may free space
  }

  Result<std::size_t> read_at(ByteOffset at, std::span<std::byte> out) override {
    const std::lock_guard guard(core_->mutex);
    BOP_TRY(alive());
    const SimFault fault = core_->enter(SimCall::kRead, "read", path_, at.value, out.size());
    if (fault != SimFault::kNone) return std::unexpected(core_->failure(fault, "read", path_).error());
    const std::uint64_t size = inode_->contents.size();
    const std::size_t count = at.value >= size ? 0 : std::min<std::uint64_t>(out.size(), size - at.value);
    if (!inode_->contents.read(at.value, out.first(count))) {
      return fail(ErrorCode::kIo, "cannot read \"{}\" at {}: unreadable sector", path_, at.value);
    }
    return count;
  }

  Status write_at(ByteOffset at, std::span<const std::byte> bytes) override {
    const std::lock_guard guard(core_->mutex);
    BOP_TRY(alive());
    BOP_TRY(may_write());
    const SimFault fault = core_->enter(SimCall::kWrite, "write", path_, at.value, bytes.size());
    if (fault == SimFault::kIo || fault == SimFault::kShort) {
      const std::size_t part = bytes.empty() ? 0 : core_->random.below(bytes.size());
      if (part > 0) core_->resize_by(*inode_, [&](SimContents& c) { c.write(at.value, bytes.first(part)); });
    }
    if (fault != SimFault::kNone) return core_->failure(fault, "write", path_);
    BOP_TRY(room_for(at.value + bytes.size()));
    if (!bytes.empty()) core_->resize_by(*inode_, [&](SimContents& c) { c.write(at.value, bytes); });
    return {};
  }

  Status sync() override {
    const std::lock_guard guard(core_->mutex);
    BOP_TRY(alive());
    const SimFault fault = core_->enter(SimCall::kSync, "sync", path_);
    if (fault != SimFault::kNone) {
      inode_->contents.failed_sync(core_->random);
      return core_->failure(fault, "sync", path_);
    }
    inode_->contents.sync();
    return {};
  }

  Result<std::uint64_t> size() override {
    const std::lock_guard guard(core_->mutex);
    BOP_TRY(alive());
    const SimFault fault = core_->enter(SimCall::kQuery, "size", path_);
    if (fault != SimFault::kNone) return std::unexpected(core_->failure(fault, "stat", path_).error());
    return inode_->contents.size();
  }

  Status truncate(std::uint64_t size) override {
    const std::lock_guard guard(core_->mutex);
    BOP_TRY(alive());
    BOP_TRY(may_write());
    const SimFault fault = core_->enter(SimCall::kWrite, "truncate", path_, size);
    if (fault != SimFault::kNone) return core_->failure(fault, "truncate", path_);
    BOP_TRY(room_for(size));
    core_->resize_by(*inode_, [&](SimContents& c) { c.truncate(size); });
    return {};
  }

  Status prewrite(std::uint64_t from, std::uint64_t to) override {
    const std::lock_guard guard(core_->mutex);
    BOP_TRY(alive());
    BOP_TRY(may_write());
    BOP_ASSERT(from <= to);
    const SimFault fault = core_->enter(SimCall::kWrite, "prewrite", path_, from, to - from);
    if (fault == SimFault::kIo || fault == SimFault::kShort) {
      const std::uint64_t part = from == to ? 0 : core_->random.below(to - from);
      core_->resize_by(*inode_, [&](SimContents& c) { c.write_zeros(from, from + part); });
    }
    if (fault != SimFault::kNone) return core_->failure(fault, "prewrite", path_);
    BOP_TRY(room_for(to));
    core_->resize_by(*inode_, [&](SimContents& c) { c.write_zeros(from, to); });
    return {};
  }

  void write_durable(ByteOffset at, std::span<const std::byte> bytes, Completion done) override {
    BOP_ASSERT(at.value % kDiskBlockBytes == 0 && bytes.size() % kDiskBlockBytes == 0 && !bytes.empty());
    BOP_ASSERT(reinterpret_cast<std::uintptr_t>(bytes.data()) % kDiskBlockBytes == 0);
    BOP_ASSERT(writable_);
    const std::lock_guard guard(core_->mutex);
    if (!alive()) return;  // the process that waits for this completion is gone
    for (const SimDisk::Core::Write& other : core_->writes) {
      BOP_ASSERT(other.inode != inode_ || other.at >= at.value + bytes.size() ||
                 at.value >= other.at + other.bytes.size());  // two writes in flight overlap
    }
    SimFault fault = core_->enter(SimCall::kDurableWrite, "write_durable", path_, at.value, bytes.size());
    const bool stalls = fault == SimFault::kStall;
    if (stalls) fault = SimFault::kNone;
    const std::uint64_t delay = 1 + core_->random.below(std::max(1U, core_->options.longest_delay));
    core_->writes.push_back({inode_, path_, at.value, bytes, std::move(done),
                             core_->now + delay + core_->stalled, crc64(at.value, bytes), fault,
                             stalls ? core_->now_ns() + core_->options.stall.count() : 0});
  }

  const std::string& path() const noexcept override { return path_; }

 private:
  Status alive() const {
    if (generation_ == core_->generation) return {};
    return fail(ErrorCode::kIo, "\"{}\" was opened before the simulated restart", path_);
  }
  Status may_write() const {
    if (writable_) return {};
    return fail(ErrorCode::kIo, "cannot write \"{}\": it was opened for reading", path_);
  }
  Status room_for(std::uint64_t end) const {
    if (core_->has_room(*inode_, end)) return {};
    return fail(ErrorCode::kDiskFull,
                "cannot extend \"{}\" to {} bytes: no space left on device (simulated capacity {})", path_,
                end, core_->options.capacity_bytes);
  }

  std::shared_ptr<SimDisk::Core> core_;
  SimDisk::Core::InodeRef inode_;
  std::string path_;
  std::uint64_t generation_;
  bool writable_;
};

class SimLock final : public DiskLock {
 public:
  SimLock(std::shared_ptr<SimDisk::Core> core, std::string path)
      : core_(std::move(core)), path_(std::move(path)), generation_(core_->generation) {}
  ~SimLock() override {
    const std::lock_guard guard(core_->mutex);
    if (generation_ == core_->generation) core_->locks.erase(path_);
  }

 private:
  std::shared_ptr<SimDisk::Core> core_;
  std::string path_;
  std::uint64_t generation_;
};

std::unique_ptr<File> SimDisk::Core::make_file(std::shared_ptr<Core> core, InodeRef inode, std::string path,
                                               bool writable) {
  return std::make_unique<SimFile>(std::move(core), std::move(inode), std::move(path), writable);
}

std::unique_ptr<DiskLock> SimDisk::Core::make_lock(std::shared_ptr<Core> core, std::string path) {
  return std::make_unique<SimLock>(std::move(core), std::move(path));
}

}  // namespace bop
