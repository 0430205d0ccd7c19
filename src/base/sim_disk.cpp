#include "base/sim_disk.hpp"

#include <algorithm>
#include <deque>
#include <utility>

#include "base/assert.hpp"
#include "base/crc64.hpp"

namespace bop {
namespace {

enum class Call : std::uint8_t { kRead, kWrite, kSync, kName, kQuery };

std::uint64_t blocks(std::uint64_t size) { return (size + 4095) / 4096 * 4096; }

// One spelling for each path: no "./" in front, no "//", no "/" at the end.
std::string normal(const std::string& path) {
  std::string out;
  out.reserve(path.size());
  for (const char c : path) {
    if (c == '/' && !out.empty() && out.back() == '/') continue;
    out.push_back(c);
    if (out == "./") out.clear();
  }
  while (out.size() > 1 && out.back() == '/') out.pop_back();
  return out.empty() ? "." : out;
}

std::string parent_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

struct SimDisk::Core {
  struct Inode {
    explicit Inode(std::shared_ptr<std::uint64_t> used_bytes) : used(std::move(used_bytes)) {}
    ~Inode() { *used -= blocks(contents.size()); }
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
  SimFault enter(Call call, const char* operation, const std::string& path, std::uint64_t at = 0,
                 std::uint64_t size = 0) {
    ++calls;
    if (call == Call::kSync) ++syncs;
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
    if (options.trace_length > 0) {
      if (steps.size() >= options.trace_length) steps.pop_front();
      steps.push_back({operation, path, at, size, fault});
    }
    return fault;
  }
  static bool applies(SimFault fault, Call call) {
    switch (fault) {
      case SimFault::kNone: return false;
      case SimFault::kIo: return true;
      case SimFault::kDiskFull: return call == Call::kWrite || call == Call::kName;
      case SimFault::kShort: return call == Call::kWrite;
      case SimFault::kFailedSync: return call == Call::kSync;
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
    return *used - blocks(inode.contents.size()) + blocks(end) <= options.capacity_bytes;
  }
  // Runs `change` on the contents and keeps the account of space.
  template <class Change>
  void resize_by(Inode& inode, Change change) {
    *used -= blocks(inode.contents.size());
    change(inode.contents);
    *used += blocks(inode.contents.size());
  }
  [[nodiscard]] bool is_directory(const std::string& path) const {
    return path == "." || path == "/" || directories.contains(path);
  }
  void change_name(std::string unset, std::string set, InodeRef inode) {
    if (!unset.empty()) names.erase(unset);
    if (!set.empty()) names[set] = inode;
    std::string directory = parent_of(set.empty() ? unset : set);
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
      if (!change.unset.empty()) std::erase_if(rest, [&](const NameChange& c) { return c.set == change.unset; });
    }
    pending = std::move(rest);
  }
  // Applies one durable write that is due; what its completion shall hear.
  Status finish(Write& write) {
    BOP_ASSERT(crc64(write.at, write.bytes) == write.checksum);  // the buffer changed before `done` ran
    Inode& inode = *write.inode;
    if (!has_room(inode, write.at + write.bytes.size())) {
      return fail(ErrorCode::kDiskFull, "cannot write \"{}\": no space left on device (simulated capacity of {})",
                  write.path, options.capacity_bytes);
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

  std::mutex mutex;
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
  std::vector<Plan> plans;
  std::map<std::string, SimFault> bad_paths;
  std::deque<Step> steps;
};

class SimFile final : public File {
 public:
  SimFile(std::shared_ptr<SimDisk::Core> core, SimDisk::Core::InodeRef inode, std::string path, bool writable)
      : core_(std::move(core)), inode_(std::move(inode)), path_(std::move(path)),
        generation_(core_->generation), writable_(writable) {}
  ~SimFile() override {
    const std::lock_guard guard(core_->mutex);
    inode_.reset();  // may free space
  }

  Result<std::size_t> read_at(ByteOffset at, std::span<std::byte> out) override {
    const std::lock_guard guard(core_->mutex);
    BOP_TRY(alive());
    const SimFault fault = core_->enter(Call::kRead, "read", path_, at.value, out.size());
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
    const SimFault fault = core_->enter(Call::kWrite, "write", path_, at.value, bytes.size());
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
    const SimFault fault = core_->enter(Call::kSync, "sync", path_);
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
    const SimFault fault = core_->enter(Call::kQuery, "size", path_);
    if (fault != SimFault::kNone) return std::unexpected(core_->failure(fault, "stat", path_).error());
    return inode_->contents.size();
  }

  Status truncate(std::uint64_t size) override {
    const std::lock_guard guard(core_->mutex);
    BOP_TRY(alive());
    BOP_TRY(may_write());
    const SimFault fault = core_->enter(Call::kWrite, "truncate", path_, size);
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
    const SimFault fault = core_->enter(Call::kWrite, "prewrite", path_, from, to - from);
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
    const SimFault fault = core_->enter(Call::kWrite, "write_durable", path_, at.value, bytes.size());
    const std::uint64_t delay = 1 + core_->random.below(std::max(1U, core_->options.longest_delay));
    core_->writes.push_back({inode_, path_, at.value, bytes, std::move(done),
                             core_->now + delay + core_->stalled, crc64(at.value, bytes), fault});
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
    return fail(ErrorCode::kDiskFull, "cannot extend \"{}\" to {} bytes: no space left on device (simulated capacity {})",
                path_, end, core_->options.capacity_bytes);
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

SimDisk::SimDisk(std::uint64_t seed, SimDiskOptions options) : core_(std::make_shared<Core>(seed, options)) {}

SimDisk::~SimDisk() {
  std::vector<Core::Write> dropped;
  const std::lock_guard guard(core_->mutex);
  ++core_->generation;
  dropped.swap(core_->writes);
}

Result<std::unique_ptr<File>> SimDisk::open(const std::string& given, OpenMode mode) {
  const std::string path = normal(given);
  const std::lock_guard guard(core_->mutex);
  const auto found = core_->names.find(path);
  const bool creates = found == core_->names.end() && (mode == OpenMode::kCreate || mode == OpenMode::kOpenOrCreate);
  const SimFault fault = core_->enter(creates ? Call::kName : Call::kQuery, creates ? "create" : "open", path);
  if (fault != SimFault::kNone) return std::unexpected(Core::failure(fault, "open", path).error());
  Core::InodeRef inode;
  if (found != core_->names.end()) {
    if (mode == OpenMode::kCreate) {
      return fail(ErrorCode::kFileExists, "cannot create \"{}\": it exists", path);
    }
    inode = found->second;
  } else {
    if (!creates || !core_->is_directory(parent_of(path))) {
      return std::unexpected(Core::not_found("open", path).error());
    }
    inode = std::make_shared<Core::Inode>(core_->used);
    core_->change_name("", path, inode);
  }
  return std::make_unique<SimFile>(core_, std::move(inode), path, mode != OpenMode::kRead);
}

Status SimDisk::remove(const std::string& given) {
  const std::string path = normal(given);
  const std::lock_guard guard(core_->mutex);
  const SimFault fault = core_->enter(Call::kName, "remove", path);
  // Taking a name away needs no space.
  if (fault == SimFault::kIo) return Core::failure(fault, "remove", path);
  if (core_->directories.contains(path)) {
    const std::string inside = path + "/";
    const auto within = [&](const auto& set, auto name_of) {
      const auto next = set.lower_bound(inside);
      return next != set.end() && name_of(*next).starts_with(inside);
    };
    if (within(core_->names, [](const auto& entry) { return entry.first; }) ||
        within(core_->directories, [](const auto& name) { return name; })) {
      return fail(ErrorCode::kIo, "cannot remove \"{}\": directory not empty", path);
    }
    core_->directories.erase(path);
    return {};
  }
  if (!core_->names.contains(path)) return Core::not_found("remove", path);
  core_->change_name(path, "", nullptr);
  return {};
}

Status SimDisk::rename(const std::string& given_from, const std::string& given_to) {
  const std::string from = normal(given_from);
  const std::string to = normal(given_to);
  const std::lock_guard guard(core_->mutex);
  const SimFault fault = core_->enter(Call::kName, "rename", from);
  if (fault != SimFault::kNone) return Core::failure(fault, "rename", from);
  const auto found = core_->names.find(from);
  if (found == core_->names.end() || !core_->is_directory(parent_of(to))) {
    return Core::not_found("rename", from);
  }
  if (from != to) core_->change_name(from, to, found->second);
  return {};
}

Status SimDisk::create_directories(const std::string& given) {
  std::string path = normal(given);
  const std::lock_guard guard(core_->mutex);
  const SimFault fault = core_->enter(Call::kName, "create_directories", path);
  if (fault != SimFault::kNone) return Core::failure(fault, "create", path);
  for (; !core_->is_directory(path); path = parent_of(path)) {
    if (core_->names.contains(path)) {
      return fail(ErrorCode::kFileExists, "cannot create directory \"{}\": a file is in the way", path);
    }
    core_->directories.insert(path);
  }
  return {};
}

Status SimDisk::sync_directory(const std::string& given) {
  const std::string path = normal(given);
  const std::lock_guard guard(core_->mutex);
  const SimFault fault = core_->enter(Call::kSync, "sync_directory", path);
  if (fault != SimFault::kNone) return Core::failure(fault, "sync directory", path);
  if (!core_->is_directory(path)) return Core::not_found("sync", path);
  core_->sync_names(path);
  return {};
}

Result<std::vector<std::string>> SimDisk::list(const std::string& given) {
  const std::string path = normal(given);
  const std::lock_guard guard(core_->mutex);
  const SimFault fault = core_->enter(Call::kQuery, "list", path);
  if (fault != SimFault::kNone) return std::unexpected(Core::failure(fault, "list", path).error());
  if (!core_->is_directory(path)) return std::unexpected(Core::not_found("list", path).error());
  std::vector<std::string> out;
  const auto add = [&](const std::string& name) {
    if (name != path && parent_of(name) == path) out.push_back(name.substr(name.rfind('/') + 1));
  };
  for (const auto& [name, inode] : core_->names) add(name);
  for (const auto& name : core_->directories) add(name);
  std::ranges::sort(out);
  return out;
}

Result<bool> SimDisk::exists(const std::string& given) {
  const std::string path = normal(given);
  const std::lock_guard guard(core_->mutex);
  const SimFault fault = core_->enter(Call::kQuery, "exists", path);
  if (fault != SimFault::kNone) return std::unexpected(Core::failure(fault, "look up", path).error());
  return core_->names.contains(path) || core_->is_directory(path);
}

Result<std::uint64_t> SimDisk::free_bytes(const std::string& given) {
  const std::lock_guard guard(core_->mutex);
  const SimFault fault = core_->enter(Call::kQuery, "free_bytes", given);
  if (fault != SimFault::kNone) return std::unexpected(Core::failure(fault, "measure", given).error());
  if (core_->options.capacity_bytes == 0) return std::uint64_t{1} << 50;
  return core_->options.capacity_bytes - std::min(core_->options.capacity_bytes, *core_->used);
}

Result<std::unique_ptr<DiskLock>> SimDisk::lock(const std::string& given) {
  const std::string path = normal(given);
  const std::lock_guard guard(core_->mutex);
  const SimFault fault = core_->enter(Call::kName, "lock", path);
  if (fault != SimFault::kNone) return std::unexpected(Core::failure(fault, "lock", path).error());
  if (!core_->is_directory(parent_of(path))) return std::unexpected(Core::not_found("lock", path).error());
  if (!core_->locks.insert(path).second) {
    return fail(ErrorCode::kLocked, "\"{}\" is held by process 1 (simulated)", path);
  }
  if (!core_->names.contains(path)) core_->change_name("", path, std::make_shared<Core::Inode>(core_->used));
  return std::make_unique<SimLock>(core_, path);
}

std::size_t SimDisk::poll() {
  std::vector<std::pair<File::Completion, Status>> ready;
  {
    const std::lock_guard guard(core_->mutex);
    ++core_->now;
    std::vector<Core::Write>& writes = core_->writes;
    const auto due = std::partition(writes.begin(), writes.end(), [&](const Core::Write& w) { return w.due > core_->now; });
    std::vector<Core::Write> finished(std::make_move_iterator(due), std::make_move_iterator(writes.end()));
    writes.erase(due, writes.end());
    for (std::size_t i = finished.size(); i > 1; --i) std::swap(finished[i - 1], finished[core_->random.below(i)]);
    for (Core::Write& write : finished) {
      Status status = core_->finish(write);
      ready.emplace_back(std::move(write.done), std::move(status));
    }
  }
  for (auto& [done, status] : ready) done(std::move(status));
  return ready.size();
}

std::size_t SimDisk::wait() {
  while (in_flight() > 0) {
    if (const std::size_t ran = poll(); ran > 0) return ran;
  }
  return 0;
}

void SimDisk::power_cut() {
  std::vector<Core::Write> dropped;  // destroyed without the mutex: a completion may own files
  {
    const std::lock_guard guard(core_->mutex);
    Core& core = *core_;
    dropped.swap(core.writes);
    for (Core::Write& write : dropped) {
      if (!core.has_room(*write.inode, write.at + write.bytes.size())) continue;
      core.resize_by(*write.inode, [&](SimContents& c) { c.write_torn(write.at, write.bytes, core.random); });
    }
    // Names: all, none, or each change by itself.
    const std::uint64_t mode = core.random.below(4);
    for (const Core::NameChange& change : core.pending) {
      if (mode == 0 || (mode >= 2 && core.random.chance(1, 2))) core.make_durable(change);
    }
    core.pending.clear();
    core.names = core.durable_names;
    for (auto& [name, inode] : core.names) {
      core.resize_by(*inode, [&](SimContents& c) { c.power_cut(core.random); });
    }
    core.locks.clear();
    ++core.generation;
    if (core.options.trace_length > 0) core.enter(Call::kQuery, "power_cut", "");
  }
  ++power_cuts_;
}

void SimDisk::process_kill() {
  std::vector<Core::Write> dropped;
  const std::lock_guard guard(core_->mutex);
  dropped.swap(core_->writes);
  for (Core::Write& write : dropped) (void)core_->finish(write);
  core_->locks.clear();
  ++core_->generation;
}

std::uint64_t SimDisk::io_calls() const {
  const std::lock_guard guard(core_->mutex);
  return core_->calls;
}

void SimDisk::fail_call(std::uint64_t k, SimFault fault, bool sticky) {
  const std::lock_guard guard(core_->mutex);
  BOP_ASSERT(k > 0 && fault != SimFault::kNone);
  core_->plans.push_back({(fault == SimFault::kFailedSync ? core_->syncs : core_->calls) + k, fault, sticky});
}

void SimDisk::fail_path(const std::string& path, SimFault fault) {
  const std::lock_guard guard(core_->mutex);
  core_->bad_paths[normal(path)] = fault;
}

void SimDisk::clear_faults() {
  const std::lock_guard guard(core_->mutex);
  core_->plans.clear();
  core_->bad_paths.clear();
  core_->stalled = 0;
}

std::uint64_t SimDisk::faults_struck() const {
  const std::lock_guard guard(core_->mutex);
  return core_->struck;
}

void SimDisk::stall(std::uint32_t steps) {
  const std::lock_guard guard(core_->mutex);
  core_->stalled = steps;
  for (Core::Write& write : core_->writes) write.due += steps;
}

void SimDisk::set_capacity(std::uint64_t bytes) {
  const std::lock_guard guard(core_->mutex);
  core_->options.capacity_bytes = bytes;
}

bool SimDisk::flip_bit(const std::string& path, std::uint64_t offset, unsigned bit) {
  const std::lock_guard guard(core_->mutex);
  const auto found = core_->names.find(normal(path));
  return found != core_->names.end() && found->second->contents.flip_bit(offset, bit);
}

bool SimDisk::break_sector(const std::string& path, std::uint64_t offset) {
  const std::lock_guard guard(core_->mutex);
  const auto found = core_->names.find(normal(path));
  return found != core_->names.end() && found->second->contents.break_sector(offset);
}

std::size_t SimDisk::in_flight() const {
  const std::lock_guard guard(core_->mutex);
  return core_->writes.size();
}

std::uint64_t SimDisk::used_bytes() const {
  const std::lock_guard guard(core_->mutex);
  return *core_->used;
}

std::vector<std::string> SimDisk::trace() const {
  const std::lock_guard guard(core_->mutex);
  std::vector<std::string> out;
  for (const Core::Step& step : core_->steps) {
    out.push_back(fmt::format("{} {} at={} size={}{}", step.operation, step.path, step.at, step.size,
                              step.fault == SimFault::kNone ? "" : " FAULT"));
  }
  return out;
}

}  // namespace bop
