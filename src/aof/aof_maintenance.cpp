// What the library does by itself, and what it tells.
#include <algorithm>
#include <chrono>
#include <utility>

#include "aof/aof_impl.hpp"
#include "aof/record.hpp"
#include "base/error.hpp"
#include "base/time.hpp"

namespace bop::aof {

namespace {

constexpr std::chrono::seconds kTick{1};

AofPercentiles percentiles_of(const FineBuckets& buckets) {
  return {.count = buckets.count(),
          .p50 = buckets.quantile(0.5),
          .p90 = buckets.quantile(0.9),
          .p95 = buckets.quantile(0.95),
          .p99 = buckets.quantile(0.99),
          .p999 = buckets.quantile(0.999),
          .max = buckets.quantile(1)};
}

}  // namespace

void Aof::Impl::tick() {
  sample();
  post_maintenance();
  loop_->post_after(kTick, [this] {
    if (!closing_) tick();
  });
}

// One at a time; the flag is given back only at its end, so that a slow disk does not gather tasks.
void Aof::Impl::post_maintenance() {
  if (maintaining_.exchange(true)) return;
  loop_->post([this] {
    loop_->hand_off();
    if (!closing_) maintain();
    maintaining_ = false;
    grew();
  });
}

// An error here is asked for again in a second; what it means for appends they are told themselves.
void Aof::Impl::maintain() {
  static_cast<void>(stream_->maintain());
  static_cast<void>(producers_->maintain());
  static_cast<void>(retain());
}

Status Aof::Impl::retain() {
  if (!config_.retention_bytes.has_value() && !ages_.has_value()) return {};
  if (stream_->segment_count() < 2) return {};
  BOP_LET(segments, stream_->segments());
  Lsn below(0);
  if (ages_.has_value()) {
    below = ages_->expired(segments, std::chrono::seconds(*config_.ttl_seconds), system_clock().steady_ns());
  }
  if (config_.retention_bytes.has_value()) {
    std::uint64_t bytes = 0;
    for (const auto& segment : segments) bytes += segment.bytes;
    for (std::size_t i = 0; i + 1 < segments.size() && bytes > *config_.retention_bytes; ++i) {
      bytes -= segments[i].bytes;
      below = std::max(below, segments[i + 1].base);
    }
  }
  return below > stream_->first() ? trim(below) : Status();
}

Status Aof::Impl::trim(Lsn below) {
  BOP_LET(allowed, producers_->allow_trim(std::min(below, stream_->appended().next())));
  return stream_->trim(allowed);
}

// Throughput over the last second or so.
void Aof::Impl::sample() {
  const auto& counted = stream_->metrics();
  const Sample now{.at_ns = system_clock().steady_ns(),
                   .records = counted.written_records.load(std::memory_order_relaxed),
                   .bytes = counted.record_write_bytes.load(std::memory_order_relaxed)};
  const std::scoped_lock lock(samples_mutex_);
  const double seconds = static_cast<double>(now.at_ns - last_sample_.at_ns) * 1e-9;
  if (seconds > 0) {
    records_per_second_ =
        static_cast<std::uint64_t>(static_cast<double>(now.records - last_sample_.records) / seconds);
    bytes_per_second_ =
        static_cast<std::uint64_t>(static_cast<double>(now.bytes - last_sample_.bytes) / seconds);
  }
  last_sample_ = now;
}

AofMetrics Aof::Impl::metrics() const {
  const StreamMetrics& counted = stream_->metrics();
  const auto cause = [&](FlushCause which) {
    return counted.flushes[static_cast<std::size_t>(which)].load(std::memory_order_relaxed);
  };
  AofFlushMetrics flush{
      .successful_flushes = counted.record_writes.load(),
      .failed_flushes = counted.failed_writes.load(),
      .sync_flushes = cause(FlushCause::kCommit),
      .async_flushes = cause(FlushCause::kAsync),
      .batched_flushes = cause(FlushCause::kBatched),
      .periodic_flushes = cause(FlushCause::kPeriodic),
      .forced_flushes = cause(FlushCause::kWanted),
      .full_flushes = cause(FlushCause::kFull),
      .total_records_flushed = counted.written_records.load(),
      .total_bytes_flushed = counted.record_write_bytes.load(),
      .pending_records = stream_->appended().value - stream_->durable().value,
      .pending_bytes = counted.unacknowledged_bytes.load(),
      .total_flush_time_us = counted.record_write_ns.load() / 1000,
      .flush_latency_ns = percentiles_of(counted.flush_latency),
      .records_per_flush = percentiles_of(counted.records_per_write),
      .bytes_per_flush = percentiles_of(counted.bytes_per_write),
  };
  flush.total_flushes = flush.sync_flushes + flush.async_flushes + flush.batched_flushes +
                        flush.periodic_flushes + flush.forced_flushes + flush.full_flushes;
  const Producers::Written states = producers_->written();
  const std::uint64_t appends = counted.records.load() - states.records;
  const std::uint64_t bytes = counted.record_bytes.load() - states.bytes;
  flush.average_record_size = appends == 0 ? 0 : bytes / appends - kRecordOverhead;
  {
    const std::scoped_lock lock(samples_mutex_);
    flush.records_per_second = records_per_second_;
    flush.bytes_per_second = bytes_per_second_;
  }
  return {.total_appends = appends,
          .repeated_appends = repeats_.load(),
          .total_reads = reads_.load(),
          .cache_hits = hits_.load(),
          .cache_misses = misses_.load(),
          .refused_appends = refusals_.load(),
          .segments = stream_->segment_count(),
          .segments_created = counted.rotations.load() + (recovery_.created ? 1 : 0),
          .segments_deleted = counted.segments_trimmed.load(),
          .bytes = stream_->retained_bytes(),
          .append_to_durable_ns = percentiles_of(counted.acknowledge_latency),
          .flush = flush};
}

}  // namespace bop::aof
