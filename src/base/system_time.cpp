#include <sys/random.h>
#include <time.h>

#include <cerrno>

#include "base/assert.hpp"
#include "base/time.hpp"

namespace bop {
namespace {

constexpr std::int64_t kNsPerSecond = 1'000'000'000;

class SystemClock final : public Clock {
 public:
  std::int64_t wall_us() const noexcept override { return now_ns(CLOCK_REALTIME) / 1000; }
  std::int64_t steady_ns() const noexcept override { return now_ns(CLOCK_BOOTTIME); }

 private:
  static std::int64_t now_ns(clockid_t id) noexcept {
    timespec now{};
    BOP_ASSERT(::clock_gettime(id, &now) == 0);
    return now.tv_sec * kNsPerSecond + now.tv_nsec;
  }
};

class SystemRandom final : public Random {
 public:
  void fill(std::span<std::byte> out) noexcept override {
    while (!out.empty()) {
      const ssize_t got = ::getrandom(out.data(), out.size(), 0);
      BOP_ASSERT(got > 0 || errno == EINTR);
      if (got > 0) out = out.subspan(static_cast<std::size_t>(got));
    }
  }
};

}  // namespace

Clock& system_clock() noexcept {
  static SystemClock clock;
  return clock;
}

Random& system_random() noexcept {
  static SystemRandom random;
  return random;
}

}  // namespace bop
