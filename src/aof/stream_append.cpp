// Appending: admission, placement, encoding.
#include <algorithm>
#include <utility>

#include "aof/stream_core.hpp"
#include "base/assert.hpp"

namespace bop::aof {

namespace {

// Room that every buffer keeps for its closing filler.
constexpr std::uint64_t kFillerReserve = kDiskBlockBytes + kFillerBytes;

std::uint64_t payload_size(const RecordInput& record) noexcept {
  std::uint64_t bytes = 0;
  for (const auto& part : record.payload) bytes += part.size();
  return bytes;
}

// Under the lock under which alone it is written.
void add(std::atomic<std::uint64_t>& counter, std::uint64_t by) noexcept {
  counter.store(counter.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
}

// Where the next write begins when one ends at `offset` without its filler.
constexpr std::uint64_t padded(std::uint64_t offset) noexcept {
  return align_up(offset + kFillerBytes, kDiskBlockBytes);
}

}  // namespace

std::uint64_t CommitStream::Core::heads_bytes() const noexcept {
  return record_bytes(8 + heads_.size() * 24);
}

Status CommitStream::Core::admit(std::uint64_t bytes) const {
  if (failure_.has_value()) return std::unexpected(*failure_);
  if (closed_) return fail(ErrorCode::kAdminShutdown, "the log is closed");
  const std::uint64_t held = unacknowledged_.load(std::memory_order_relaxed);
  if (held != 0 && held + bytes > options_.max_unacknowledged * kHardLimitFactor) {
    return fail(
        ErrorCode::kInsufficientResources,
        "{} bytes wait for the disk and {} more do not fit: the limit is four times max_unacknowledged ({})",
        held, bytes, options_.max_unacknowledged);
  }
  return {};
}

bool CommitStream::Core::fits(std::uint64_t bytes) const {
  if (!active_) return false;
  std::uint64_t start = active_->next_offset;
  if (open_) {
    const bool joins = open_->used + bytes + kFillerReserve <= open_->buffer.capacity();
    start = joins ? open_->offset + open_->used : padded(open_->offset + open_->used);
  } else if (start == kSegmentHeaderBytes) {
    start += heads_bytes();
  }
  return padded(start + bytes) + kCloseReserve <= active_->header.bytes;
}

BlockBuffer CommitStream::Core::take_buffer(std::uint64_t bytes) {
  const std::uint64_t standard = align_up(options_.write_bytes, kDiskBlockBytes);
  if (bytes <= standard && !spare_buffers_.empty()) {
    BlockBuffer buffer = std::move(spare_buffers_.back());
    spare_buffers_.pop_back();
    return buffer;
  }
  return BlockBuffer(static_cast<std::size_t>(std::max(standard, align_up(bytes, kDiskBlockBytes))));
}

// Opens a write that has room for `bytes` of records.
void CommitStream::Core::begin_write(std::uint64_t bytes, const Moment& now) {
  BOP_ASSERT(!open_ && active_);
  const bool first = active_->next_offset == kSegmentHeaderBytes;
  auto write = std::make_shared<Write>();
  write->segment = active_;
  write->buffer = take_buffer(bytes + (first ? heads_bytes() : 0) + kFillerReserve);
  write->offset = active_->next_offset;
  write->before = last_;
  write->last = last_.index;
  write->first_append_ns = now.ns();
  open_ = write;
  queue_.push_back(std::move(write));
  if (first) {
    const auto payload = encode_heads(heads_);
    put_mark(RecordKind::kHeads, payload);
  }
}

void CommitStream::Core::put_mark(RecordKind kind, std::span<const std::byte> payload) {
  const RecordView mark{.lsn = last_.index,
                        .term = last_.term,
                        .timeline = active_->header.timeline,
                        .kind = kind,
                        .timestamp_us = last_timestamp_us_,
                        .previous = last_};
  const std::uint64_t size = record_bytes(payload.size());
  const std::uint64_t seed = open_->segment->header.record_key() + open_->offset + open_->used;
  BOP_ASSERT(open_->used + size <= open_->buffer.capacity());
  encode_record(std::span(open_->buffer.data() + open_->used, size), seed, mark, std::span(&payload, 1));
  open_->used += size;
}

void CommitStream::Core::encode(const RecordInput& record, std::uint32_t batch_remaining) {
  RecordLink& head = heads_[record.database];
  const RecordView view{.lsn = last_.index.next(),
                        .term = Term(term_.load(std::memory_order_relaxed)),
                        .timeline = active_->header.timeline,
                        .database = record.database,
                        .kind = record.kind,
                        .flags = record.flags,
                        .encoding = record.encoding,
                        .producer = record.producer,
                        .sequence = record.sequence,
                        .timestamp_us = last_timestamp_us_,
                        .batch_remaining = batch_remaining,
                        .previous = last_,
                        .database_previous = head};
  const std::uint64_t size = record_bytes(payload_size(record));
  const std::uint64_t seed = active_key_ + open_->offset + open_->used;
  BOP_ASSERT(open_->used + size <= open_->buffer.capacity());
  const std::uint64_t checksum =
      encode_record(std::span(open_->buffer.data() + open_->used, size), seed, view, record.payload);
  open_->used += size;
  last_ = {view.lsn, view.term, checksum};
  head = {view.lsn, Term(0), checksum};
}

// The active segment is full: its successor's header goes out alone, between the two.
void CommitStream::Core::rotate(const Moment& now) {
  BOP_ASSERT(active_ && next_);
  if (open_) close_write();
  std::shared_ptr<Segment> segment = std::move(next_);
  segment->header.timeline = active_->header.timeline;
  segment->header.base = last_.index.next();
  segment->header.previous = last_;
  segment->header.previous_number = active_->header.number;
  segment->next_offset = kSegmentHeaderBytes;

  auto write = std::make_shared<Write>();
  write->segment = segment;
  write->buffer = take_buffer(kSegmentHeaderBytes);
  write->before = last_;
  write->last = last_.index;
  write->used = kSegmentHeaderBytes;
  write->first_append_ns = now.ns();
  write->barrier = true;
  write->cause = FlushCause::kMark;
  encode_segment_header(std::span(write->buffer.data(), kSegmentHeaderBytes), segment->header);
  queue_.push_back(std::move(write));

  segments_.push_back(segment);
  set_active(std::move(segment));
  metrics_.rotations.fetch_add(1, std::memory_order_relaxed);
}

void CommitStream::Core::set_active(std::shared_ptr<Segment> segment) {
  active_ = std::move(segment);
  active_key_ = active_->header.record_key();
  maintenance_wanted_ = false;
}

Result<Lsn> CommitStream::Core::append(std::span<const RecordInput> batch) {
  if (batch.empty()) return fail(ErrorCode::kInvalidArgument, "an empty batch cannot be appended");
  std::uint64_t bytes = 0;
  for (const RecordInput& record : batch) {
    if (!is_known(record.kind) || !is_entry(record.kind)) {
      return fail(ErrorCode::kInvalidArgument, "records of kind {} cannot be appended",
                  static_cast<unsigned>(record.kind));
    }
    if ((record.encoding & ~(kPayloadCompressed | kPayloadEncrypted)) != 0) {
      return fail(ErrorCode::kInvalidArgument, "a payload of encoding {} cannot be appended",
                  static_cast<unsigned>(record.encoding));
    }
    bytes += record_bytes(payload_size(record));
  }
  const std::uint64_t most = max_batch_bytes();
  if (bytes > most) {
    return fail(ErrorCode::kTransactionTooLarge,
                "a batch of {} bytes does not fit in the log: the limit is {}", bytes, most);
  }
  if (!encoder_) return append_encoded(batch);
  BOP_LET(encoded, encoder_->encode(batch));
  std::uint64_t given = 0, stored = 0;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    given += payload_size(batch[i]);
    stored += payload_size(encoded.records[i]);
  }
  BOP_LET(last, append_encoded(encoded.records));
  metrics_.given_payload_bytes.fetch_add(given, std::memory_order_relaxed);
  metrics_.stored_payload_bytes.fetch_add(stored, std::memory_order_relaxed);
  return last;
}

Result<Lsn> CommitStream::Core::append_encoded(std::span<const RecordInput> batch) {
  std::uint64_t bytes = 0;
  for (const RecordInput& record : batch) bytes += record_bytes(payload_size(record));
  Turn* const turn = Turn::current();
  Submits submits;
  Lsn last;
  bool wants_maintenance = false;
  std::optional<std::chrono::nanoseconds> delay;
  const std::int64_t wall_us = clock_.wall_us();
  const Moment now(clock_);
  {
    std::unique_lock lock(mutex_);
    for (;;) {
      BOP_TRY(admit(bytes));
      if (fits(bytes)) break;
      if (next_ && active_) {
        rotate(now);
        if (!fits(bytes)) {
          return fail(ErrorCode::kTransactionTooLarge, "a batch of {} bytes does not fit in a segment of {}",
                      bytes, options_.segment_bytes);
        }
        break;
      }
      if (disk_full_) {
        metrics_.refused_disk_full.fetch_add(1, std::memory_order_relaxed);
        return fail(ErrorCode::kDiskFull,
                    "no space is left for the log in {}: writes resume by themselves when there is",
                    options_.directory);
      }
      lock.unlock();
      metrics_.late_preparations.fetch_add(1, std::memory_order_relaxed);
      {
        std::scoped_lock maintenance(maintenance_);
        BOP_TRY(prepare());
      }
      lock.lock();
    }

    if (open_ && open_->used + bytes + kFillerReserve > open_->buffer.capacity()) close_write();
    if (!open_) begin_write(bytes, now);
    last_timestamp_us_ = std::max(last_timestamp_us_, wall_us);
    auto remaining = static_cast<std::uint32_t>(batch.size());
    for (const RecordInput& record : batch) encode(record, --remaining);
    open_->last = last_.index;
    open_->unacknowledged += bytes;
    closed_on_disk_ = false;
    last = last_.index;
    appended_.store(last.value, std::memory_order_release);
    const std::uint64_t held = unacknowledged_.load(std::memory_order_relaxed) + bytes;
    unacknowledged_.store(held, std::memory_order_relaxed);
    metrics_.unacknowledged_bytes.store(held, std::memory_order_relaxed);
    if (held > options_.max_unacknowledged) over_limit_ = true;

    add(metrics_.batches, 1);
    add(metrics_.records, batch.size());
    add(metrics_.record_bytes, bytes);

    const auto used = static_cast<double>(open_->offset + open_->used);
    if (!next_ && !maintenance_wanted_ &&
        used >= options_.prepare_at * static_cast<double>(active_->header.bytes)) {
      maintenance_wanted_ = true;
      wants_maintenance = true;
    }
    for (const RecordInput& record : batch) note_flush(record.flush, now);
    delay = next_delay(now);
    if (turn == nullptr) collect_submits(submits, now);
  }
  if (turn != nullptr) ask_for_end(*turn);
  submit(submits);
  if (delay && delay_callback_) delay_callback_(*delay);
  if (wants_maintenance && maintenance_callback_) maintenance_callback_();
  return last;
}

}  // namespace bop::aof
