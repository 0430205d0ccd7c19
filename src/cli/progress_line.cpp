#include "cli/progress_line.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>

namespace bop::cli {

namespace {
constexpr auto kTerminalPause = std::chrono::milliseconds(200);
constexpr auto kLinePause = std::chrono::seconds(2);
}  // namespace

ProgressLine::ProgressLine(bool wanted)
    : terminal_(::isatty(STDERR_FILENO) == 1),
      on_(wanted || terminal_),
      next_(start_ + (terminal_ ? Clock::duration(kTerminalPause) : Clock::duration(kLinePause))) {}

void ProgressLine::show(std::string_view phase, std::uint64_t done, std::uint64_t total) {
  if (!on_) return;
  const auto now = Clock::now();
  if (now < next_) return;
  next_ = now + (terminal_ ? Clock::duration(kTerminalPause) : Clock::duration(kLinePause));
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(now - start_).count();
  const std::uint64_t percent = total == 0 ? 100 : std::min<std::uint64_t>(done * 100 / total, 100);
  fmt::print(stderr, "{}{}: {} of {} ({} %), {} s{}", terminal_ ? "\r\033[K" : "", phase, size_text(done),
             size_text(std::max(done, total)), percent, seconds, terminal_ ? "" : "\n");
  std::fflush(stderr);
  shown_ = true;
}

void ProgressLine::end() {
  if (shown_ && terminal_) fmt::print(stderr, "\r\033[K");
  shown_ = false;
}

std::string size_text(std::uint64_t bytes) {
  constexpr std::array<std::string_view, 5> kUnits{"bytes", "kB", "MB", "GB", "TB"};
  double size = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (size >= 1024 && unit + 1 < kUnits.size()) {
    size /= 1024;
    ++unit;
  }
  return unit == 0 ? fmt::format("{} bytes", bytes) : fmt::format("{:.1f} {}", size, kUnits[unit]);
}

std::string time_text(std::int64_t us) {
  const std::chrono::microseconds whole(us);
  const auto seconds = std::chrono::floor<std::chrono::seconds>(whole);
  return fmt::format("{:%F %T}.{:06}Z", std::chrono::sys_seconds(seconds), (whole - seconds).count());
}

}  // namespace bop::cli
