// How far a long run is, on the standard error: one line that is overwritten on a terminal, a line every few
// seconds elsewhere.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace bop::cli {

class ProgressLine {
 public:
  // Elsewhere than on a terminal only if `wanted`.
  explicit ProgressLine(bool wanted);
  ~ProgressLine() { end(); }
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  // Bytes; cheap to call often.
  void show(std::string_view phase, std::uint64_t done, std::uint64_t total);
  // Takes the line away.
  void end();

 private:
  using Clock = std::chrono::steady_clock;
  const bool terminal_;
  const bool on_;
  const Clock::time_point start_ = Clock::now();
  Clock::time_point next_;
  bool shown_ = false;
};

// "12.3 MB"
[[nodiscard]] std::string size_text(std::uint64_t bytes);
// "2026-11-22 03:04:05.678901Z"
[[nodiscard]] std::string time_text(std::int64_t us);

}  // namespace bop::cli
