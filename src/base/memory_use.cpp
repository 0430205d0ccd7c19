#include "base/memory_use.hpp"

#include <fcntl.h>
#include <malloc.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <fstream>
#include <limits>
#include <mutex>
#include <string>
#include <string_view>

#include "base/time.hpp"

namespace bop {

namespace {

constexpr std::uint64_t kMostValue = 0x3fffffff;
constexpr std::uint64_t kValueShare = 8;  // of the limit
constexpr std::int64_t kLookEveryNs = 5'000'000;
constexpr std::int64_t kTrimEveryNs = 200'000'000;
constexpr std::uint64_t kNone = std::numeric_limits<std::uint64_t>::max();

std::atomic<std::uint64_t> limit{0};
std::atomic<bool> is_short{false};
std::atomic<std::int64_t> looked_ns{0};
std::mutex looking;
std::int64_t trimmed_ns = 0;

std::uint64_t number_in(const std::string& path) {
  std::ifstream file(path);
  std::uint64_t number = kNone;
  return file >> number ? number : kNone;  // "max" is no number
}

// The limits of the control groups of the process, of both versions, and of those above.
std::uint64_t group_limit() {
  std::ifstream groups("/proc/self/cgroup");
  std::uint64_t least = kNone;
  for (std::string line; std::getline(groups, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (second == line.npos) continue;
    const std::string_view kinds = std::string_view(line).substr(first + 1, second - first - 1);
    const bool old = kinds.find("memory") != kinds.npos;
    if (!old && !kinds.empty()) continue;
    std::string folder = line.substr(second + 1);
    while (true) {
      const std::string path = old ? "/sys/fs/cgroup/memory" + folder + "/memory.limit_in_bytes"
                                   : "/sys/fs/cgroup" + folder + "/memory.max";
      least = std::min(least, number_in(path));
      const std::size_t slash = folder.rfind('/');
      if (folder.empty() || slash == folder.npos) break;
      folder.resize(slash);
    }
  }
  return least;
}

}  // namespace

std::uint64_t memory_of_machine() {
  struct sysinfo info{};
  const std::uint64_t all = ::sysinfo(&info) == 0 ? std::uint64_t{info.totalram} * info.mem_unit : kNone;
  return std::min(all, group_limit());
}

std::uint64_t resident_bytes() {
  static const int file = ::open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  static const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  std::array<char, 128> text;
  const ssize_t got = file < 0 ? 0 : ::pread(file, text.data(), text.size(), 0);
  if (got <= 0) return 0;
  const char* end = text.data() + got;
  const char* second = std::find(text.data(), text.data() + got, ' ');
  std::uint64_t pages = 0;
  if (second != end) std::from_chars(second + 1, end, pages);
  return pages * page;
}

void set_memory_limit(std::uint64_t bytes) { limit = bytes; }
std::uint64_t memory_limit() noexcept { return limit.load(std::memory_order_relaxed); }

bool memory_is_short(const std::function<bool()>& give) {
  const std::uint64_t most = memory_limit();
  if (most == 0) return false;
  const std::int64_t now = system_clock().steady_ns();
  if (now - looked_ns.load(std::memory_order_relaxed) < kLookEveryNs) return is_short.load();
  const std::unique_lock lock(looking, std::try_to_lock);
  if (!lock) return is_short.load();
  looked_ns = now;
  bool above = resident_bytes() > most;
  const bool gave = above && give && give();
  if (gave || (above && now - trimmed_ns >= kTrimEveryNs)) {
    // The allocator may still hold what others have freed.
    trimmed_ns = now;
    ::malloc_trim(0);
    above = resident_bytes() > most;
  }
  is_short = above;
  return above;
}

void give_back_memory() {
  constexpr std::uint64_t kChanged = std::uint64_t{64} << 20;
  static std::atomic<std::uint64_t> after_last{0};
  const std::uint64_t now = resident_bytes();
  const std::uint64_t before = after_last.load();
  // Less, too: what a statement has given back piece by piece is free then.
  if (now < before + kChanged && before < now + kChanged) return;
  ::malloc_trim(0);
  after_last = resident_bytes();
}

std::size_t most_value_bytes() noexcept {
  const std::uint64_t most = memory_limit();
  return static_cast<std::size_t>(most == 0 ? kMostValue : std::min(kMostValue, most / kValueShare));
}

}  // namespace bop
