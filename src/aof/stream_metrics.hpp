// What a commit stream counts. Relaxed atomics: each is exact, together they are not one moment's state.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

#include <bop/flush.hpp>

namespace bop::aof {

// A histogram with 2^kBits buckets for each power of two (error below 1 / 2^kBits).
template <unsigned kBits>
class Histogram {
 public:
  static constexpr std::size_t kEach = std::size_t{1} << kBits;
  static constexpr std::size_t kBuckets = kEach * (50 - kBits);  // up to 2^49

  void record(std::uint64_t value) noexcept {
    buckets_[bucket_of(value)].fetch_add(1, std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t count(std::size_t bucket) const noexcept {
    return buckets_[bucket].load(std::memory_order_relaxed);
  }
  // Upper bound of what `bucket` holds.
  [[nodiscard]] static constexpr std::uint64_t upper(std::size_t bucket) noexcept {
    return bucket < kEach ? bucket + 1 : (kEach + 1 + bucket % kEach) << (bucket / kEach - 1);
  }
  [[nodiscard]] std::uint64_t count() const noexcept {
    std::uint64_t all = 0;
    for (const auto& bucket : buckets_) all += bucket.load(std::memory_order_relaxed);
    return all;
  }
  // Upper bound of the share `quantile` (0 to 1) of what was recorded; 0 when nothing was.
  [[nodiscard]] std::uint64_t quantile(double quantile) const noexcept {
    const std::uint64_t all = count();
    if (all == 0) return 0;
    const auto wanted = std::min(static_cast<std::uint64_t>(static_cast<double>(all) * quantile), all - 1);
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < kBuckets; ++i) {
      seen += count(i);
      if (seen > wanted) return upper(i);
    }
    return upper(kBuckets - 1);
  }

 private:
  [[nodiscard]] static std::size_t bucket_of(std::uint64_t value) noexcept {
    if (value < kEach) return static_cast<std::size_t>(value);
    const auto power = static_cast<std::size_t>(std::bit_width(value)) - 1 - kBits;
    const std::size_t bucket = power * kEach + kEach + static_cast<std::size_t>((value >> power) - kEach);
    return bucket < kBuckets ? bucket : kBuckets - 1;
  }
  std::array<std::atomic<std::uint64_t>, kBuckets> buckets_{};
};
using LatencyBuckets = Histogram<2>;  // nanoseconds, as they are published
using FineBuckets = Histogram<6>;     // for percentiles

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

  // Of writes of records, without headers and marks.
  std::atomic<std::uint64_t> record_writes{0};  // completed
  std::atomic<std::uint64_t> failed_writes{0};  // of all kinds
  std::atomic<std::uint64_t> written_records{0};
  std::atomic<std::uint64_t> record_write_bytes{0};  // with padding
  std::atomic<std::uint64_t> record_write_ns{0};
  FineBuckets flush_latency;        // nanoseconds from submission to completion
  FineBuckets acknowledge_latency;  // nanoseconds from the first append of a write to its acknowledgement
  FineBuckets records_per_write;
  FineBuckets bytes_per_write;
};

}  // namespace bop::aof
