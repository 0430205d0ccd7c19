// When a read gets a second request: after the time in which 95 of 100 recent reads had their answer, and
// only as many as a share of all reads, so that a store that is slow for everybody does not get twice the
// load.
//
// Threads: one at a time.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace bop::objstore {

class Hedging {
 public:
  struct Options {
    unsigned percent = 5;  // of all reads; 0: none
    std::chrono::nanoseconds least_delay = std::chrono::milliseconds(5);
  };
  explicit Hedging(Options options) : options_(options) {}

  // A read has begun: when it shall be looked at, if at all.
  [[nodiscard]] std::optional<std::chrono::nanoseconds> begin() {
    hundredths_ = std::min<std::uint64_t>(hundredths_ + options_.percent, kMostSaved * 100);
    if (options_.percent == 0 || known_ < kFewest) return std::nullopt;
    return std::max(options_.least_delay, std::chrono::nanoseconds(p95()));
  }
  // True if a second request may be made now, which is then counted.
  [[nodiscard]] bool take() {
    if (hundredths_ < 100) return false;
    hundredths_ -= 100;
    return true;
  }
  // The first answer of a read.
  void record(std::int64_t ns) {
    recent_[next_++ % recent_.size()] = ns;
    known_ = std::min(known_ + 1, recent_.size());
  }

 private:
  static constexpr std::size_t kFewest = 16;      // reads known before any is hedged
  static constexpr std::uint64_t kMostSaved = 8;  // hedges in a row after a quiet time

  [[nodiscard]] std::int64_t p95() const {
    auto sorted = recent_;
    const auto at = sorted.begin() + static_cast<std::ptrdiff_t>(known_ * 95 / 100);
    std::nth_element(sorted.begin(), at, sorted.begin() + static_cast<std::ptrdiff_t>(known_));
    return *at;
  }

  const Options options_;
  std::array<std::int64_t, 128> recent_{};
  std::size_t next_ = 0, known_ = 0;
  std::uint64_t hundredths_ = 0;
};

}  // namespace bop::objstore
