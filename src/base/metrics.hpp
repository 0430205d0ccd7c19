// What a node counts and measures, declared once in metrics.def, and its text for Prometheus.
//
//   metrics().commits_total.add();
//   metrics().statement_seconds.record(elapsed_ns);
//
// All operations are lock-free and relaxed: each number is exact, together they are not one moment's state.
//
// prometheus-cpp is not used for this: its histogram takes a mutex and its buckets are few and fixed at
// creation, while these keep 16 buckets for each power of two (error at most 6.25 %) for quantiles of our
// own, and a family there is built at run time where the table here is checked by the compiler. The text
// format is simple.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace bop {

class Counter {
 public:
  void add(std::uint64_t count = 1) noexcept { value_.fetch_add(count, std::memory_order_relaxed); }
  // For counts that another object keeps: a collector copies them.
  void set(std::uint64_t value) noexcept { value_.store(value, std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t value() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

class Gauge {
 public:
  void set(std::int64_t value) noexcept { value_.store(value, std::memory_order_relaxed); }
  void add(std::int64_t by = 1) noexcept { value_.fetch_add(by, std::memory_order_relaxed); }
  void sub(std::int64_t by = 1) noexcept { value_.fetch_sub(by, std::memory_order_relaxed); }
  [[nodiscard]] std::int64_t value() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::int64_t> value_{0};
};

// A histogram of durations in nanoseconds, log-linear as HDR histograms are: values below 16 have a bucket
// each, every power of two above is divided into 16.
class Latency {
 public:
  static constexpr std::size_t kSteps = 16;
  static constexpr std::size_t kPowers = 42;  // up to 2^45 ns, almost ten hours; longer counts as that
  static constexpr std::size_t kBuckets = kSteps * (kPowers);

  void record(std::int64_t ns) noexcept {
    const auto value = static_cast<std::uint64_t>(ns < 0 ? 0 : ns);
    buckets_[bucket_of(value)].fetch_add(1, std::memory_order_relaxed);
    sum_ns_.fetch_add(value, std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t count() const noexcept { return count_below(kBuckets); }
  [[nodiscard]] std::uint64_t sum_ns() const noexcept { return sum_ns_.load(std::memory_order_relaxed); }
  // The upper bound of the bucket that holds the quantile (0 to 1); 0 when nothing was recorded.
  [[nodiscard]] std::uint64_t quantile_ns(double quantile) const noexcept;
  // How many were recorded in buckets [0, bucket).
  [[nodiscard]] std::uint64_t count_below(std::size_t bucket) const noexcept;

  // The counts of one moment, or what came between two.
  struct Counts {
    std::array<std::uint64_t, kBuckets> buckets{};
    std::uint64_t sum_ns = 0;
    [[nodiscard]] std::uint64_t count() const noexcept;
    [[nodiscard]] std::uint64_t quantile_ns(double quantile) const noexcept;
    [[nodiscard]] Counts since(const Counts& earlier) const noexcept;
  };
  [[nodiscard]] Counts counts() const noexcept;

  [[nodiscard]] static constexpr std::size_t bucket_of(std::uint64_t ns) noexcept {
    if (ns < kSteps) return static_cast<std::size_t>(ns);
    const auto shift = static_cast<std::size_t>(std::bit_width(ns)) - 5;  // ns >> shift is 16..31
    const std::size_t bucket = shift * kSteps + static_cast<std::size_t>(ns >> shift);
    return bucket < kBuckets ? bucket : kBuckets - 1;
  }
  // The smallest value above what `bucket` holds.
  [[nodiscard]] static constexpr std::uint64_t end_of(std::size_t bucket) noexcept {
    if (bucket < kSteps) return bucket + 1;
    const std::size_t shift = bucket / kSteps - 1;
    return (static_cast<std::uint64_t>(bucket % kSteps) + kSteps + 1) << shift;
  }

 private:
  std::array<std::atomic<std::uint64_t>, kBuckets> buckets_{};
  std::atomic<std::uint64_t> sum_ns_{0};
};

class Metrics {
 public:
  Metrics();
  ~Metrics();
#define BOP_METRIC(member, type, name, labels, help) type member;
#include "base/metrics.def"
#undef BOP_METRIC

  // `collect` runs before each exposition, to copy numbers that other objects keep. Ends with the returned
  // object, which may not be destroyed from inside `collect`. Thread-safe.
  [[nodiscard]] std::shared_ptr<void> add_collector(std::function<void()> collect);

  // Prometheus text format 0.0.4.
  [[nodiscard]] std::string exposition();

 private:
  struct Collectors;
  std::shared_ptr<Collectors> collectors_;
};

// The process's.
[[nodiscard]] Metrics& metrics() noexcept;

}  // namespace bop
