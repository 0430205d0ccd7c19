// The state behind a SimDisk, its files and its locks; private to them.
#pragma once

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/assert.hpp"
#include "base/crc64.hpp"
#include "base/sim_disk.hpp"

namespace bop {

enum class SimCall : std::uint8_t { kRead, kWrite, kDurableWrite, kSync, kName, kQuery };

inline std::uint64_t sim_blocks(std::uint64_t size) { return (size + 4095) / 4096 * 4096; }
// The folder of a path that is in its one spelling.
[[nodiscard]] std::string sim_parent_of(const std::string& path);

struct SimDisk::Core {
  struct Inode {
    explicit Inode(std::shared_ptr<std::uint64_t> used_bytes) : used(std::move(used_bytes)) {}
    ~Inode() { *used -= sim_blocks(contents.size()); }
    Inode(const Inode&) = delete;
    Inode& operator=(const Inode&) = delete;
    SimContents contents;
    std::shared_ptr<std::uint64_t> used;  // of the disk
  };
  using InodeRef = std::shared_ptr<Inode>;
  // `unset` no longer names anything, then `set` names `inode`; either may be empty.
  struct NameChange {
    std::string directory, unset, set;
    InodeRef inode;
  };
  struct Write {
    InodeRef inode;
    std::string path;
    std::uint64_t at;
    std::span<const std::byte> bytes;
    File::Completion done;
    std::uint64_t due, checksum;
    SimFault fault;
    std::int64_t not_before_ns;  // by the clock
  };
  struct Plan {
    std::uint64_t at;  // number of the call, or of the sync for kFailedSync
    SimFault fault;
    bool sticky;
  };
  struct Step {
    const char* operation;
    std::string path;
    std::uint64_t at, size;
    SimFault fault;
  };

  Core(std::uint64_t seed, SimDiskOptions given) : random(seed), options(given) {}

  // Counts a call, remembers it, and says whether a fault strikes it.
  SimFault enter(SimCall call, const char* operation, const std::string& path, std::uint64_t at = 0,
                 std::uint64_t size = 0) {
    if (exempt) return SimFault::kNone;
    ++calls;
    if (call == SimCall::kSync) ++syncs;
    SimFault fault = SimFault::kNone;
    for (auto plan = plans.begin(); plan != plans.end(); ++plan) {
      const std::uint64_t counter = plan->fault == SimFault::kFailedSync ? syncs : calls;
      if (counter < plan->at || !applies(plan->fault, call)) continue;
      fault = plan->fault;
      if (!plan->sticky) plans.erase(plan);
      break;
    }
    if (const auto found = bad_paths.find(path); found != bad_paths.end() && applies(found->second, call)) {
      fault = found->second;
    }
    if (fault != SimFault::kNone) ++struck;
    if (fault == SimFault::kStall && call != SimCall::kDurableWrite) {
      if (clock != nullptr) clock->advance(options.stall);
    }
    if (options.trace_length > 0) {
      if (steps.size() >= options.trace_length) steps.pop_front();
      steps.push_back({operation, path, at, size, fault});
    }
    return fault == SimFault::kStall && call != SimCall::kDurableWrite ? SimFault::kNone : fault;
  }
  [[nodiscard]] std::int64_t now_ns() const noexcept { return clock == nullptr ? 0 : clock->steady_ns(); }
  static bool writes_bytes(SimCall call) { return call == SimCall::kWrite || call == SimCall::kDurableWrite; }
  static bool applies(SimFault fault, SimCall call) {
    switch (fault) {
      case SimFault::kNone: return false;
      case SimFault::kIo:
      case SimFault::kStall: return true;
      case SimFault::kDiskFull: return writes_bytes(call) || call == SimCall::kName;
      case SimFault::kShort: return writes_bytes(call);
      case SimFault::kFailedSync: return call == SimCall::kSync;
    }
    return false;
  }
  static Status failure(SimFault fault, const char* doing, const std::string& path) {
    if (fault == SimFault::kDiskFull || fault == SimFault::kShort) {
      return fail(ErrorCode::kDiskFull, "cannot {} \"{}\": no space left on device (injected)", doing, path);
    }
    return fail(ErrorCode::kIo, "cannot {} \"{}\": input/output error (injected)", doing, path);
  }
  static Status not_found(const char* doing, const std::string& path) {
    return fail(ErrorCode::kFileNotFound, "cannot {} \"{}\": no such file or directory", doing, path);
  }
  [[nodiscard]] bool has_room(const Inode& inode, std::uint64_t end) const {
    if (options.capacity_bytes == 0 || end <= inode.contents.size()) return true;
    return *used - sim_blocks(inode.contents.size()) + sim_blocks(end) <= options.capacity_bytes;
  }
  // Runs `change` on the contents and keeps the account of space.
  template <class Change>
  void resize_by(Inode& inode, Change change) {
    *used -= sim_blocks(inode.contents.size());
    change(inode.contents);
    *used += sim_blocks(inode.contents.size());
  }
  [[nodiscard]] bool is_directory(const std::string& path) const {
    return path == "." || path == "/" || directories.contains(path);
  }
  void change_name(std::string unset, std::string set, InodeRef inode) {
    if (!unset.empty()) names.erase(unset);
    if (!set.empty()) names[set] = inode;
    std::string directory = sim_parent_of(set.empty() ? unset : set);
    pending.push_back({std::move(directory), std::move(unset), std::move(set), std::move(inode)});
  }
  void make_durable(const NameChange& change) {
    if (!change.unset.empty()) durable_names.erase(change.unset);
    if (!change.set.empty()) durable_names[change.set] = change.inode;
  }
  void sync_names(const std::string& directory) {
    std::vector<NameChange> rest;
    for (NameChange& change : pending) {
      if (change.directory != directory) {
        rest.push_back(std::move(change));
        continue;
      }
      make_durable(change);
      // A name that this one took away must not come back when its own folder is synced.
      if (!change.unset.empty())
        std::erase_if(rest, [&](const NameChange& c) { return c.set == change.unset; });
    }
    pending = std::move(rest);
  }
  // Applies one durable write that is due; what its completion shall hear.
  Status finish(Write& write) {
    BOP_ASSERT(crc64(write.at, write.bytes) == write.checksum);  // the buffer changed before `done` ran
    Inode& inode = *write.inode;
    if (!has_room(inode, write.at + write.bytes.size())) {
      return fail(ErrorCode::kDiskFull,
                  "cannot write \"{}\": no space left on device (simulated capacity of {})", write.path,
                  options.capacity_bytes);
    }
    if (write.fault == SimFault::kNone) {
      resize_by(inode, [&](SimContents& c) { c.write_durable(write.at, write.bytes); });
      return {};
    }
    if (write.fault != SimFault::kDiskFull) {
      resize_by(inode, [&](SimContents& c) { c.write_torn(write.at, write.bytes, random); });
    }
    return failure(write.fault, "write", write.path);
  }

  // In sim_handles.cpp. Called with the mutex held.
  static std::unique_ptr<File> make_file(std::shared_ptr<Core> core, InodeRef inode, std::string path,
                                         bool writable);
  static std::unique_ptr<DiskLock> make_lock(std::shared_ptr<Core> core, std::string path);

  std::mutex mutex;
  SimClock* clock = nullptr;
  SimRandom random;
  SimDiskOptions options;
  std::uint64_t generation = 1;
  std::shared_ptr<std::uint64_t> used = std::make_shared<std::uint64_t>(0);
  std::map<std::string, InodeRef> names, durable_names;
  std::vector<NameChange> pending;
  std::set<std::string> directories, locks;
  std::vector<Write> writes;
  std::uint64_t now = 0, stalled = 0;
  std::uint64_t calls = 0, syncs = 0, struck = 0;
  bool exempt = false;
  std::vector<Plan> plans;
  std::map<std::string, SimFault> bad_paths;
  std::deque<Step> steps;
};

}  // namespace bop
