// AofConfig: what is allowed, and what is not there yet.
#include <bop/aof.hpp>

#include "aof/producer_table.hpp"
#include "base/disk.hpp"
#include "base/error.hpp"

namespace bop::aof {

namespace {

Status check_range(const char* option, std::uint64_t value, std::uint64_t least, std::uint64_t most) {
  if (value >= least && value <= most) return {};
  return fail(ErrorCode::kConfigInvalid, "{} is {}: it must be {} to {}", option, value, least, most);
}

Status check_flush(const AofConfig& config) {
  const FlushPolicy policy{.strategy = config.flush_strategy};
  if (policy.waits_for_others()) BOP_TRY(check_range("batch_size", config.batch_size, 1, 1'000'000));
  if (policy.waits_for_time()) BOP_TRY(check_range("interval_ms", config.interval_ms, 1, 3'600'000));
  return {};
}

Status check_retention(const AofConfig& config) {
  if (config.ttl_seconds.has_value()) {
    BOP_TRY(check_range("ttl_seconds", *config.ttl_seconds, 1, 100ULL * 366 * 86400));
  }
  if (config.retention_bytes.has_value() && *config.retention_bytes < 2 * config.segment_size) {
    return fail(ErrorCode::kConfigInvalid, "retention_bytes is {}: it must be at least two segments, {}",
                *config.retention_bytes, 2 * config.segment_size);
  }
  return {};
}

Status check_archive(const AofConfig& config) {
  if (config.archive_compression_level < 1 || config.archive_compression_level > 19) {
    return fail(ErrorCode::kConfigInvalid, "archive_compression_level is {}: it must be 1 to 19",
                config.archive_compression_level);
  }
  BOP_TRY(check_range("archive_threshold", config.archive_threshold, 1, UINT32_MAX));
  BOP_TRY(check_range("archive_backpressure_segments", config.archive_backpressure_segments, 1, UINT32_MAX));
  return check_range("archive_backpressure_bytes", config.archive_backpressure_bytes, config.segment_size,
                     UINT64_MAX);
}

Status check_codec(const AofConfig& config) {
  if (config.compression_level < 1 || config.compression_level > 19) {
    return fail(ErrorCode::kConfigInvalid, "compression_level is {}: it must be 1 to 19",
                config.compression_level);
  }
  if (config.enable_encryption != !config.encryption_keys.empty()) {
    return fail(ErrorCode::kConfigInvalid, "{}",
                config.enable_encryption
                    ? "encryption_keys is empty: enable_encryption needs a file of keys, or env:NAME"
                    : "encryption_keys is set without enable_encryption: set both or neither");
  }
  constexpr std::uint64_t kCentury = 100ULL * 366 * 86400;
  return check_range("encryption_key_lifetime_seconds", config.encryption_key_lifetime_seconds, 0, kCentury);
}

Status check_built(const AofConfig& config) {
  const char* missing = nullptr;
  if (config.archive_enabled) missing = "archive_enabled";
  if (!config.index_path.empty()) missing = "index_path";
  if (missing == nullptr) return {};
  return fail(ErrorCode::kNotImplemented, "{} is not implemented yet: leave it at its default", missing);
}

}  // namespace

Status AofConfig::validate() const {
  if (directory.empty()) return fail(ErrorCode::kConfigInvalid, "directory is empty: name the log's folder");
  constexpr std::uint64_t kSmallest = 64U << 10U;
  constexpr std::uint64_t kLargest = 4ULL << 30U;
  BOP_TRY(check_range("segment_size", segment_size, kSmallest, kLargest));
  if (segment_size % kDiskBlockBytes != 0) {
    return fail(ErrorCode::kConfigInvalid, "segment_size is {}: it must be a multiple of {}", segment_size,
                kDiskBlockBytes);
  }
  BOP_TRY(check_flush(*this));
  BOP_TRY(check_range("segment_cache_size", segment_cache_size, 0, 1024));
  if (!(pre_allocate_threshold > 0 && pre_allocate_threshold < 1)) {
    return fail(ErrorCode::kConfigInvalid, "pre_allocate_threshold is {}: it must be above 0 and below 1",
                pre_allocate_threshold);
  }
  BOP_TRY(check_retention(*this));
  BOP_TRY(check_range("max_unacknowledged", max_unacknowledged, kDiskBlockBytes, 1ULL << 40U));
  BOP_TRY(check_range("max_in_flight", max_in_flight, 1, 16));
  BOP_TRY(check_range("write_size", write_size, kDiskBlockBytes, segment_size / 2));
  BOP_TRY(check_range("max_producers", max_producers, 1, segment_size / 2 / kProducerBytes));
  if (disk != "auto" && disk != "pwritev" && disk != "io_uring") {
    return fail(ErrorCode::kConfigInvalid, "disk is \"{}\": it must be auto, pwritev or io_uring", disk);
  }
  if (!log_level.empty() && log_level != "debug" && log_level != "info" && log_level != "warning" &&
      log_level != "error") {
    return fail(ErrorCode::kConfigInvalid, "log_level is \"{}\": it must be debug, info, warning or error",
                log_level);
  }
  BOP_TRY(check_codec(*this));
  BOP_TRY(check_archive(*this));
  return check_built(*this);
}

BackpressureKind backpressure_of(const Error& error) noexcept {
  if (error.code() == ErrorCode::kInsufficientResources) return BackpressureKind::kWriteQueue;
  if (error.code() == ErrorCode::kDiskFull) return BackpressureKind::kDiskFull;
  return BackpressureKind::kNone;
}

}  // namespace bop::aof
