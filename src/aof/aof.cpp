// The calls of Aof, and its life.
#include <bop/aof.hpp>

#include <array>
#include <utility>

#include "aof/aof_impl.hpp"
#include "aof/key_encryption_key.hpp"
#include "base/error.hpp"
#include "base/log.hpp"
#include "base/time.hpp"

namespace bop::aof {

namespace {

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

Result<RecordId> id_of(Result<Lsn> lsn) {
  if (!lsn.has_value()) return std::unexpected(std::move(lsn).error());
  return lsn->value;
}

}  // namespace

Aof::Impl::Impl(AofConfig config) : config_(std::move(config)) {}

Aof::Impl::~Impl() {
  if (loop_) loop_->stop();
}

Status Aof::Impl::open() {
  BOP_TRY(config_.validate());
  if (!config_.log_level.empty()) BOP_TRY(configure_log("text", config_.log_level));
  BOP_LET(disk, open_system_disk(config_.disk));
  disk_ = std::move(disk);
  CodecOptions codec{
      .compress = config_.enable_compression,
      .level = config_.compression_level,
      .key_lifetime_us = static_cast<std::int64_t>(config_.encryption_key_lifetime_seconds) * 1'000'000};
  if (config_.enable_encryption) {
    BOP_LET(keys, load_key_encryption_keys(*disk_, config_.encryption_keys));
    codec.by = std::make_shared<const KeyEncryptionKeys>(std::move(keys));
  }
  const Options options{.directory = config_.directory,
                        .segment_bytes = config_.segment_size,
                        .max_in_flight = config_.max_in_flight,
                        .write_bytes = config_.write_size,
                        .max_unacknowledged = config_.max_unacknowledged,
                        .ballast_bytes = config_.ballast_bytes,
                        .codec = std::move(codec),
                        // Above 1 no segment is ever so full: the append that needs the next one prepares it.
                        .prepare_at = config_.pre_allocate_enabled ? config_.pre_allocate_threshold : 2.0};
  BOP_LET(stream, CommitStream::open(*disk_, system_clock(), system_random(), options));
  for (const DatabaseId database : stream->databases()) {
    if (database == kLibraryRecords || database == kLibraryStates) continue;
    return fail(ErrorCode::kConfigInvalid,
                "{} holds the log of a node (database {}), which only the node may open", config_.directory,
                database.value);
  }
  stream_ = std::move(stream);
  producers_ = std::make_unique<Producers>(*stream_, kLibraryRecords, kLibraryStates, config_.max_producers);
  BOP_TRY(producers_->open());
  const Recovered& found = stream_->recovered();
  recovery_ = {.created = found.created,
               .clean = found.clean,
               .first = found.first.value,
               .last = found.last.value,
               .discarded_bytes = found.discarded_bytes,
               .verdict = found.verdict};
  if (config_.ttl_seconds.has_value()) {
    BOP_LET(segments, stream_->segments());
    ages_.emplace(segments, found.last_timestamp_us, system_clock().wall_us(), system_clock().steady_ns());
  }
  // One that runs, one that prepares a segment, one that takes over when the first blocks in both.
  loop_ = std::make_unique<AsioExecutor>(AsioExecutor::Options{.name = "aof", .most_threads = 3});
  loop_->attach(*disk_);
  watch_stream();
  loop_->start();
  last_sample_.at_ns = system_clock().steady_ns();
  tick();
  return {};
}

void Aof::Impl::watch_stream() {
  stream_->subscribe([this](Lsn durable) {
    waiters_.advanced(durable);
    grew();
  });
  stream_->on_failure([this](const Error& error) {
    waiters_.failed(error);
    grew();
  });
  stream_->on_room([this] { grew(); });
  stream_->on_maintenance([this] { post_maintenance(); });
  stream_->on_delay(
      [this](std::chrono::nanoseconds delay) { loop_->post_after(delay, [this] { stream_->flush_due(); }); });
}

Status Aof::Impl::close() {
  BOP_TRY(check_may_wait());
  const std::scoped_lock lock(close_mutex_);
  if (closed_.has_value()) return *closed_;
  closing_ = true;
  Status done = stream_->close();
  loop_->stop();
  // What became durable in the end may not have been told: the loop told it.
  waiters_.advanced(stream_->durable());
  waiters_.failed(done.has_value() ? error(ErrorCode::kAdminShutdown, "the log is closed") : done.error());
  grew();
  closed_ = done;
  return done;
}

Result<std::unique_ptr<Aof>> Aof::open(AofConfig config) {
  auto impl = std::make_shared<Impl>(std::move(config));
  BOP_TRY(impl->open());
  return std::unique_ptr<Aof>(new Aof(std::move(impl)));
}

Aof::Aof(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
Aof::~Aof() { static_cast<void>(impl_->close()); }

const AofRecovery& Aof::recovery() const noexcept { return impl_->recovery_; }

namespace {

RecordInput input_of(const std::span<const std::byte>& payload, FlushPolicy flush, std::uint64_t producer = 0,
                     std::uint64_t sequence = 0) {
  return {.database = kLibraryRecords,
          .kind = RecordKind::kAppend,
          .producer = producer,
          .sequence = sequence,
          .payload = std::span(&payload, 1),
          .flush = flush};
}

}  // namespace

Result<RecordId> Aof::append(std::span<const std::byte> payload) {
  const RecordInput record = input_of(payload, impl_->policy());
  return id_of(impl_->append(std::span(&record, 1)));
}

Result<RecordId> Aof::append(std::string_view payload) { return append(bytes_of(payload)); }

Result<RecordId> Aof::append_batch(std::span<const std::span<const std::byte>> payloads) {
  std::vector<RecordInput> batch;
  batch.reserve(payloads.size());
  for (const auto& payload : payloads) batch.push_back(input_of(payload, impl_->policy()));
  return id_of(impl_->append(batch));
}

Result<RecordId> Aof::append(std::uint64_t producer, std::uint64_t sequence,
                             std::span<const std::byte> payload) {
  return id_of(impl_->append_numbered(input_of(payload, impl_->policy(), producer, sequence)));
}

Result<RecordId> Aof::append_durable(std::uint64_t producer, std::uint64_t sequence,
                                     std::span<const std::byte> payload) {
  if (producer == 0)
    return fail(ErrorCode::kInvalidArgument, "producer 0 is no producer: number them from 1");
  return id_of(impl_->append_durable(input_of(payload, {}, producer, sequence)));
}

Result<RecordId> Aof::append_durable(std::span<const std::byte> payload) {
  return id_of(impl_->append_durable(input_of(payload, {})));
}

Result<RecordId> Aof::append_durable(std::string_view payload) { return append_durable(bytes_of(payload)); }

std::optional<std::uint64_t> Aof::newest_sequence(std::uint64_t producer) const {
  return impl_->producers_->newest(producer);
}

void Aof::forget_producer(std::uint64_t producer) { impl_->producers_->forget(producer); }

void Aof::append_async(std::span<const std::byte> payload,
                       std::move_only_function<void(Result<RecordId>)> done) {
  auto id = append(payload);
  if (!id.has_value()) return done(std::unexpected(std::move(id).error()));
  impl_->on_durable(Lsn(*id), [number = *id, done = std::move(done)](Status status) mutable {
    if (status.has_value()) {
      done(number);
    } else {
      done(std::unexpected(std::move(status).error()));
    }
  });
}

std::future<Result<RecordId>> Aof::append_future(std::span<const std::byte> payload) {
  std::promise<Result<RecordId>> promise;
  auto future = promise.get_future();
  append_async(payload, [promise = std::move(promise)](Result<RecordId> id) mutable {
    promise.set_value(std::move(id));
  });
  return future;
}

void Aof::on_durable(RecordId id, std::move_only_function<void(Status)> done) {
  if (id > appended()) {
    return done(
        fail(ErrorCode::kInvalidArgument, "id {} was never appended, the newest is {}", id, appended()));
  }
  impl_->on_durable(Lsn(id), std::move(done));
}

Status Aof::flush() { return impl_->wait_durable(impl_->stream_->appended()); }

Status Aof::wait_durable(RecordId id) {
  if (id > appended()) {
    return fail(ErrorCode::kInvalidArgument, "id {} was never appended, the newest is {}", id, appended());
  }
  return impl_->wait_durable(Lsn(id));
}

RecordId Aof::first() const noexcept { return impl_->stream_->first().value; }
RecordId Aof::appended() const noexcept { return impl_->stream_->appended().value; }
RecordId Aof::durable() const noexcept { return impl_->stream_->durable().value; }

Result<AofRecordCopy> Aof::read(RecordId id) { return impl_->read(Lsn(id)); }
Backpressure Aof::backpressure() const { return impl_->backpressure(); }
Status Aof::wait_for_room(std::chrono::nanoseconds most) { return impl_->wait_for_room(most); }
Status Aof::trim(RecordId below) { return impl_->trim(Lsn(below)); }
AofMetrics Aof::metrics() const { return impl_->metrics(); }
Status Aof::close() { return impl_->close(); }

}  // namespace bop::aof
