// What a commit stream counts. Relaxed atomics: each is exact, together they are not one moment's state.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "aof/flush_policy.hpp"

namespace bop::aof {

// A histogram of durations with four buckets for each power of two of nanoseconds (error below 19 %).
class LatencyBuckets {
 public:
  static constexpr std::size_t kBuckets = 4 * 48;

  void record(std::uint64_t ns) noexcept { buckets_[bucket_of(ns)].fetch_add(1, std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t count(std::size_t bucket) const noexcept {
    return buckets_[bucket].load(std::memory_order_relaxed);
  }
  // Upper bound in nanoseconds of what `bucket` holds.
  [[nodiscard]] static constexpr std::uint64_t upper_ns(std::size_t bucket) noexcept {
    return bucket < 4 ? bucket + 1 : (5 + bucket % 4) << (bucket / 4 - 1);
  }
  // Upper bound of the share `quantile` (0 to 1) of what was recorded; 0 when nothing was.
  [[nodiscard]] std::uint64_t quantile_ns(double quantile) const noexcept {
    std::uint64_t all = 0;
    for (const auto& bucket : buckets_) all += bucket.load(std::memory_order_relaxed);
    const auto wanted = static_cast<std::uint64_t>(static_cast<double>(all) * quantile);
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < kBuckets; ++i) {
      seen += count(i);
      if (seen > wanted) return upper_ns(i);
    }
    return all == 0 ? 0 : upper_ns(kBuckets - 1);
  }

 private:
  [[nodiscard]] static std::size_t bucket_of(std::uint64_t ns) noexcept {
    if (ns < 4) return static_cast<std::size_t>(ns);
    const auto power = static_cast<std::size_t>(std::bit_width(ns)) - 3;  // ns >> power is 4..7
    const std::size_t bucket = power * 4 + 4 + static_cast<std::size_t>((ns >> power) - 4);
    return bucket < kBuckets ? bucket : kBuckets - 1;
  }
  std::array<std::atomic<std::uint64_t>, kBuckets> buckets_{};
};

struct StreamMetrics {
  std::atomic<std::uint64_t> batches{0};
  std::atomic<std::uint64_t> records{0};
  std::atomic<std::uint64_t> record_bytes{0};  // headers, envelopes and payloads
  // Payloads that went through compression or encryption, before and after.
  std::atomic<std::uint64_t> given_payload_bytes{0};
  std::atomic<std::uint64_t> stored_payload_bytes{0};
  std::atomic<std::uint64_t> writes{0};       // completed durable writes
  std::atomic<std::uint64_t> write_bytes{0};  // with padding
  std::atomic<std::uint64_t> in_flight{0};
  std::atomic<std::uint64_t> max_in_flight{0};                     // most ever
  std::array<std::atomic<std::uint64_t>, kFlushCauses> flushes{};  // writes begun, by FlushCause
  std::atomic<std::uint64_t> rotations{0};
  std::atomic<std::uint64_t> late_preparations{0};  // append() had to prepare a segment itself
  std::atomic<std::uint64_t> refused_disk_full{0};
  std::atomic<std::uint64_t> segments_trimmed{0};
  std::atomic<std::uint64_t> unacknowledged_bytes{0};
  LatencyBuckets write_latency;   // from submission to completion
  LatencyBuckets commit_latency;  // from the first append of a write to its acknowledgement
};

}  // namespace bop::aof
