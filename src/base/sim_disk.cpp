#include "base/sim_disk.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/assert.hpp"
#include "base/sim_disk_core.hpp"

namespace bop {
namespace {

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

}  // namespace

std::string sim_parent_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

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
  const bool creates =
      found == core_->names.end() && (mode == OpenMode::kCreate || mode == OpenMode::kOpenOrCreate);
  const SimFault fault =
      core_->enter(creates ? SimCall::kName : SimCall::kQuery, creates ? "create" : "open", path);
  if (fault != SimFault::kNone) return std::unexpected(Core::failure(fault, "open", path).error());
  if (core_->is_directory(path)) return fail(ErrorCode::kIo, "cannot open \"{}\": is a directory", path);
  Core::InodeRef inode;
  if (found != core_->names.end()) {
    if (mode == OpenMode::kCreate) {
      return fail(ErrorCode::kFileExists, "cannot create \"{}\": it exists", path);
    }
    inode = found->second;
  } else {
    if (!creates || !core_->is_directory(sim_parent_of(path))) {
      return std::unexpected(Core::not_found("open", path).error());
    }
    inode = std::make_shared<Core::Inode>(core_->used);
    if (!core_->has_room(*inode, 1)) {
      return fail(ErrorCode::kDiskFull, "cannot create \"{}\": no space left on device", path);
    }
    core_->change_name("", path, inode);
  }
  return Core::make_file(core_, std::move(inode), path, mode != OpenMode::kRead);
}

Status SimDisk::remove(const std::string& given) {
  const std::string path = normal(given);
  const std::lock_guard guard(core_->mutex);
  const SimFault fault = core_->enter(SimCall::kName, "remove", path);
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
  const SimFault fault = core_->enter(SimCall::kName, "rename", from);
  if (fault != SimFault::kNone) return Core::failure(fault, "rename", from);
  const auto found = core_->names.find(from);
  if (found == core_->names.end() || !core_->is_directory(sim_parent_of(to))) {
    return Core::not_found("rename", from);
  }
  if (from != to) core_->change_name(from, to, found->second);
  return {};
}

Status SimDisk::create_directories(const std::string& given) {
  std::string path = normal(given);
  const std::lock_guard guard(core_->mutex);
  const SimFault fault = core_->enter(SimCall::kName, "create_directories", path);
  if (fault != SimFault::kNone) return Core::failure(fault, "create", path);
  for (; !core_->is_directory(path); path = sim_parent_of(path)) {
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
  const SimFault fault = core_->enter(SimCall::kSync, "sync_directory", path);
  if (fault != SimFault::kNone) return Core::failure(fault, "sync directory", path);
  if (!core_->is_directory(path)) return Core::not_found("sync", path);
  core_->sync_names(path);
  return {};
}

Result<std::vector<std::string>> SimDisk::list(const std::string& given) {
  const std::string path = normal(given);
  const std::lock_guard guard(core_->mutex);
  const SimFault fault = core_->enter(SimCall::kQuery, "list", path);
  if (fault != SimFault::kNone) return std::unexpected(Core::failure(fault, "list", path).error());
  if (!core_->is_directory(path)) return std::unexpected(Core::not_found("list", path).error());
  std::vector<std::string> out;
  const auto add = [&](const std::string& name) {
    if (name != path && sim_parent_of(name) == path) out.push_back(name.substr(name.rfind('/') + 1));
  };
  for (const auto& [name, inode] : core_->names) add(name);
  for (const auto& name : core_->directories) add(name);
  std::ranges::sort(out);
  return out;
}

Result<bool> SimDisk::exists(const std::string& given) {
  const std::string path = normal(given);
  const std::lock_guard guard(core_->mutex);
  const SimFault fault = core_->enter(SimCall::kQuery, "exists", path);
  if (fault != SimFault::kNone) return std::unexpected(Core::failure(fault, "look up", path).error());
  return core_->names.contains(path) || core_->is_directory(path);
}

Result<std::uint64_t> SimDisk::free_bytes(const std::string& given) {
  const std::lock_guard guard(core_->mutex);
  const SimFault fault = core_->enter(SimCall::kQuery, "free_bytes", given);
  if (fault != SimFault::kNone) return std::unexpected(Core::failure(fault, "measure", given).error());
  if (core_->options.capacity_bytes == 0) return std::uint64_t{1} << 50;
  return core_->options.capacity_bytes - std::min(core_->options.capacity_bytes, *core_->used);
}

Result<std::unique_ptr<DiskLock>> SimDisk::lock(const std::string& given) {
  const std::string path = normal(given);
  const std::lock_guard guard(core_->mutex);
  const SimFault fault = core_->enter(SimCall::kName, "lock", path);
  if (fault != SimFault::kNone) return std::unexpected(Core::failure(fault, "lock", path).error());
  if (!core_->is_directory(sim_parent_of(path)))
    return std::unexpected(Core::not_found("lock", path).error());
  if (!core_->locks.insert(path).second) {
    return fail(ErrorCode::kLocked, "\"{}\" is held by process 1 (simulated)", path);
  }
  if (!core_->names.contains(path)) core_->change_name("", path, std::make_shared<Core::Inode>(core_->used));
  return Core::make_lock(core_, path);
}

std::size_t SimDisk::poll() {
  std::vector<std::pair<File::Completion, Status>> ready;
  {
    const std::lock_guard guard(core_->mutex);
    ++core_->now;
    std::vector<Core::Write>& writes = core_->writes;
    const auto due =
        std::partition(writes.begin(), writes.end(), [&, now_ns = core_->now_ns()](const Core::Write& w) {
          return w.due > core_->now || w.not_before_ns > now_ns;
        });
    std::vector<Core::Write> finished(std::make_move_iterator(due), std::make_move_iterator(writes.end()));
    writes.erase(due, writes.end());
    for (std::size_t i = finished.size(); i > 1; --i)
      std::swap(finished[i - 1], finished[core_->random.below(i)]);
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
    const std::int64_t next = next_completion_ns();
    const std::lock_guard guard(core_->mutex);
    if (core_->clock != nullptr && !core_->writes.empty() && next > core_->now_ns()) {
      core_->clock->advance(std::chrono::nanoseconds(next - core_->now_ns()));
    }
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
    if (core.options.trace_length > 0) core.enter(SimCall::kQuery, "power_cut", "");
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

void SimDisk::exempt(bool calls) {
  const std::lock_guard guard(core_->mutex);
  core_->exempt = calls;
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

void SimDisk::use_clock(SimClock* clock) {
  const std::lock_guard guard(core_->mutex);
  core_->clock = clock;
}

std::int64_t SimDisk::next_completion_ns() const {
  const std::lock_guard guard(core_->mutex);
  std::int64_t next = std::numeric_limits<std::int64_t>::max();
  for (const Core::Write& write : core_->writes) next = std::min(next, write.not_before_ns);
  return next;
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
