// Committing: which writes go out when, and what their completions acknowledge.
#include <algorithm>
#include <array>
#include <utility>

#include "aof/stream_core.hpp"
#include "base/assert.hpp"

namespace bop::aof {

namespace {

// What a commit may wait for others of the same turn, whose processor has more to do than it can.
constexpr std::chrono::microseconds kLongestTurn{1000};
// On disks that need less for a write, those of loops' threads gather behind the one in flight: a second one
// would cost more than the wait.
constexpr std::int64_t kFastWriteNs = 1'000'000;

// Calls `callback` without the lock; callbacks stay where they are for the life of the stream.
template <class Callback, class... Arguments>
void call(std::unique_lock<std::mutex>& lock, Callback& callback, const Arguments&... arguments) {
  lock.unlock();
  callback(arguments...);
  lock.lock();
}

}  // namespace

// Ends the open write with a filler up to a block boundary.
void CommitStream::Core::close_write() {
  BOP_ASSERT(open_);
  const std::uint64_t end = align_up(open_->used + kFillerBytes, kDiskBlockBytes);
  std::array<std::byte, kDiskBlockBytes + kFillerBytes> payload;
  const std::span filler = std::span(payload).first(end - open_->used - kRecordOverhead);
  const Lsn watermark(durable_.load(std::memory_order_relaxed));
  encode_filler(filler, {.watermark = watermark, .closed = open_->closes_stream});
  put_mark(RecordKind::kFiller, filler);
  BOP_ASSERT(open_->used == end);
  persisted_watermark_ = watermark;
  open_->segment->next_offset = open_->offset + open_->used;
  on_its_way_.store(open_->last.value, std::memory_order_release);
  open_.reset();
}

// From now on it goes out as soon as it may.
void CommitStream::Core::want_write(Write& write, FlushCause cause) {
  if (write.wanted) return;
  write.wanted = true;
  write.cause = cause;
}

// One more record of the open write, which was appended with this policy.
void CommitStream::Core::note_flush(const FlushPolicy& policy, const Moment& now) {
  Write& write = *open_;
  ++write.records;
  if (policy.waits_for_others()) {
    write.most_records = std::min<std::uint64_t>(write.most_records, std::max(policy.records, 1U));
  }
  if (policy.waits_for_time()) {
    const std::int64_t most_ns = std::chrono::nanoseconds(policy.interval).count();
    write.due_ns = std::min(write.due_ns, now.ns() + most_ns);
  }
  if (policy.strategy == FlushStrategy::kSync) want_write(write, FlushCause::kCommit);
  if (policy.strategy == FlushStrategy::kAsync) want_write(write, FlushCause::kAsync);
  if (write.records >= write.most_records) want_write(write, FlushCause::kBatched);
  if (!write.wanted && write.due_ns != INT64_MAX && now.ns() >= write.due_ns) {
    want_write(write, FlushCause::kPeriodic);
  }
  if (write.wanted) on_its_way_.store(last_.index.value, std::memory_order_release);
}

// What the owner has to be told: after how long the open write is due, unless that was told already.
std::optional<std::chrono::nanoseconds> CommitStream::Core::next_delay(const Moment& now) {
  if (!open_ || open_->wanted || open_->due_ns >= told_due_ns_) return std::nullopt;
  told_due_ns_ = open_->due_ns;
  return std::chrono::nanoseconds(open_->due_ns - now.ns());
}

void CommitStream::Core::want_durable(Lsn lsn) {
  if (lsn.value <= on_its_way_.load(std::memory_order_acquire)) return;
  Turn* const turn = Turn::current();
  Submits submits;
  {
    std::scoped_lock lock(mutex_);
    if (!open_ || open_->before.index >= lsn) return;
    want_write(*open_, FlushCause::kWanted);
    on_its_way_.store(open_->last.value, std::memory_order_release);
    if (turn == nullptr) collect_submits(submits, clock_);
  }
  if (turn != nullptr) ask_for_end(*turn);
  submit(submits);
}

void CommitStream::Core::flush_due() {
  Turn* const turn = Turn::current();
  Submits submits;
  std::optional<std::chrono::nanoseconds> delay;
  {
    std::scoped_lock lock(mutex_);
    if (closed_) return;
    const std::int64_t now_ns = clock_.steady_ns();
    if (told_due_ns_ <= now_ns) told_due_ns_ = INT64_MAX;
    if (open_ && open_->due_ns <= now_ns) {
      want_write(*open_, FlushCause::kPeriodic);
      on_its_way_.store(open_->last.value, std::memory_order_release);
      if (turn == nullptr) collect_submits(submits, now_ns);
    }
    delay = next_delay(now_ns);
  }
  if (turn != nullptr) ask_for_end(*turn);
  submit(submits);
  if (delay && delay_callback_) delay_callback_(*delay);
}

// One write is always in flight while there is something that somebody wants written: then the others gather,
// and one write serves many. Another one joins it when it is large, when its oldest record has waited as long
// as a whole write takes, or when writes take much longer than the disk needs: that time is spent waiting for
// a processor, and waits overlap for free. (But not where a loop gathers and the disk is fast.)
bool CommitStream::Core::may_submit(const Moment& now) const {
  if (failure_.has_value() || submitted_ == queue_.size() || barrier_in_flight_) return false;
  const Write& write = *queue_[submitted_];
  if (write.used == 0) return false;
  if (&write == open_.get() && !write.wanted) return false;
  if (in_flight_ == 0) return submitted_ == 0;
  if (write.barrier || in_flight_ >= options_.max_in_flight) return false;
  if (&write != open_.get() || write.used >= options_.write_bytes / 4) return true;
  if (Turn::current() != nullptr && average_write_ns_ < kFastWriteNs) return false;
  return in_flight_ < overlap_ || now.ns() - write.first_append_ns >= last_write_ns_;
}

// Adapts the number of small writes in flight to a write that took `ns`.
void CommitStream::Core::observe_write(std::int64_t ns) {
  constexpr std::int64_t kShortest = 1000;
  last_write_ns_ = std::max(ns, kShortest);
  average_write_ns_ += (last_write_ns_ - average_write_ns_) / 8;
  // The best slowly forgets, so that a disk that became slower is not taken for a busy machine for ever.
  best_write_ns_ =
      best_write_ns_ == 0 ? last_write_ns_ : std::min(last_write_ns_, best_write_ns_ + best_write_ns_ / 1024);
  const std::int64_t overlap = average_write_ns_ / (4 * best_write_ns_);
  overlap_ = static_cast<std::size_t>(
      std::clamp<std::int64_t>(overlap, 1, static_cast<std::int64_t>(options_.max_in_flight)));
}

void CommitStream::Core::collect_submits(Submits& submits, const Moment& now) {
  while (may_submit(now)) {
    std::shared_ptr<Write>& write = queue_[submitted_];
    if (write == open_) close_write();
    write->submitted_ns = now.ns();
    metrics_.flushes[static_cast<std::size_t>(write->cause)].fetch_add(1, std::memory_order_relaxed);
    barrier_in_flight_ = write->barrier;
    ++submitted_;
    ++in_flight_;
    submits.push_back(write);
  }
  metrics_.in_flight.store(in_flight_, std::memory_order_relaxed);
  if (in_flight_ > metrics_.max_in_flight.load(std::memory_order_relaxed)) {
    metrics_.max_in_flight.store(in_flight_, std::memory_order_relaxed);
  }
}

void CommitStream::Core::submit(const Submits& submits) {
  for (const auto& write : submits) {
    write->segment->file->write_durable(
        ByteOffset(write->offset), std::span<const std::byte>(write->buffer.data(), write->used),
        [core = shared_from_this(), write](Status status) { core->completed(write, std::move(status)); });
  }
}

void CommitStream::Core::completed(const std::shared_ptr<Write>& write, Status status) {
  Turn* const turn = Turn::current();
  Submits submits;
  {
    std::scoped_lock lock(mutex_);
    const std::int64_t now_ns = clock_.steady_ns();
    BOP_ASSERT(in_flight_ > 0 && !write->done);
    --in_flight_;
    write->done = true;
    if (write->barrier) barrier_in_flight_ = false;
    observe_write(now_ns - write->submitted_ns);
    metrics_.in_flight.store(in_flight_, std::memory_order_relaxed);
    metrics_.write_latency.record(static_cast<std::uint64_t>(last_write_ns_));
    metrics_.writes.fetch_add(1, std::memory_order_relaxed);
    metrics_.write_bytes.fetch_add(write->used, std::memory_order_relaxed);
    if (write->records != 0 && status.has_value()) count_flush(*write);
    if (!status.has_value()) metrics_.failed_writes.fetch_add(1, std::memory_order_relaxed);
    if (!status.has_value() && !failure_.has_value()) {
      failure_ = error(ErrorCode::kPoisoned,
                       "the log cannot be written since a durable write to {} at byte {} failed: {}",
                       write->segment->path, write->offset, status.error().what())
                     .hint("Reads of committed data go on. Check the disk, then restart the node.");
      failure_pending_ = true;
    }
    if (!failure_.has_value()) {
      acknowledge(now_ns);
      if (turn == nullptr) collect_submits(submits, now_ns);
    }
    if (waiting_ != 0) progress_.notify_all();
  }
  if (turn != nullptr) ask_for_end(*turn);
  submit(submits);
  notify();
}

void CommitStream::Core::count_flush(const Write& write) {
  const auto ns = static_cast<std::uint64_t>(last_write_ns_);
  metrics_.record_writes.fetch_add(1, std::memory_order_relaxed);
  metrics_.written_records.fetch_add(write.records, std::memory_order_relaxed);
  metrics_.record_write_bytes.fetch_add(write.used, std::memory_order_relaxed);
  metrics_.record_write_ns.fetch_add(ns, std::memory_order_relaxed);
  metrics_.flush_latency.record(ns);
  metrics_.records_per_write.record(write.records);
  metrics_.bytes_per_write.record(write.used);
}

void CommitStream::Core::ask_for_end(Turn& turn) {
  turn.at_end(this, kLongestTurn, [core = shared_from_this()] { core->end_of_turn(); });
}

void CommitStream::Core::end_of_turn() {
  Submits submits;
  {
    const std::scoped_lock lock(mutex_);
    collect_submits(submits, clock_);
  }
  submit(submits);
}

// Takes the done writes from the front of the queue.
void CommitStream::Core::acknowledge(std::int64_t now_ns) {
  while (!queue_.empty() && queue_.front()->done) {
    Write& write = *queue_.front();
    Segment& segment = *write.segment;
    BOP_ASSERT(submitted_ > 0 && write.offset == (write.barrier ? 0 : segment.durable_end));
    segment.durable_end = write.offset + write.used;
    if (write.offset == kSegmentHeaderBytes) segment.holds_heads = true;
    if (!write.barrier && (segment.entry_points.empty() ||
                           write.offset >= segment.entry_points.back().offset + kEntryPointBytes)) {
      segment.entry_points.push_back({write.before.index.next(), write.offset, write.before});
    }
    BOP_ASSERT(write.last.value >= durable_.load(std::memory_order_relaxed));
    durable_.store(write.last.value, std::memory_order_release);
    if (write.closes_stream) closed_on_disk_ = true;
    if (write.unacknowledged != 0) {
      const auto ns = static_cast<std::uint64_t>(std::max<std::int64_t>(0, now_ns - write.first_append_ns));
      metrics_.commit_latency.record(ns);
      metrics_.acknowledge_latency.record(ns);
    }
    const std::uint64_t held = unacknowledged_.load(std::memory_order_relaxed) - write.unacknowledged;
    unacknowledged_.store(held, std::memory_order_relaxed);
    metrics_.unacknowledged_bytes.store(held, std::memory_order_relaxed);
    if (over_limit_ && held <= options_.max_unacknowledged) {
      over_limit_ = false;
      room_pending_ = true;
    }
    if (write.buffer.capacity() == align_up(options_.write_bytes, kDiskBlockBytes)) {
      recent_.push_back(std::move(queue_.front()));
    }
    queue_.pop_front();
    if (recent_.size() > options_.max_in_flight + 2) {
      if (spare_buffers_.size() < most_spare_buffers()) {
        spare_buffers_.push_back(std::move(recent_.front()->buffer));
      }
      recent_.pop_front();
    }
    --submitted_;
  }
}

void CommitStream::Core::notify() {
  std::unique_lock lock(mutex_);
  if (notifying_ || detached_) return;
  notifying_ = true;
  notifier_ = std::this_thread::get_id();
  while (!detached_) {
    const std::uint64_t durable = durable_.load(std::memory_order_relaxed);
    const bool advanced = durable > notified_lsn_;
    const bool failed = std::exchange(failure_pending_, false);
    const bool room = std::exchange(room_pending_, false);
    if (!advanced && !failed && !room) break;
    notified_lsn_ = durable;
    const std::size_t subscribers = subscribers_.size();
    const std::size_t failures = failure_callbacks_.size();
    const std::size_t rooms = room_callbacks_.size();
    for (std::size_t i = 0; advanced && i < subscribers; ++i) call(lock, *subscribers_[i], Lsn(durable));
    for (std::size_t i = 0; failed && i < failures; ++i) call(lock, *failure_callbacks_[i], *failure_);
    for (std::size_t i = 0; room && i < rooms; ++i) call(lock, *room_callbacks_[i]);
  }
  notifying_ = false;
  notified_.notify_all();
}

// After it no callback runs. A callback must not destroy the stream.
void CommitStream::Core::detach() {
  std::unique_lock lock(mutex_);
  detached_ = true;
  closed_ = true;
  BOP_ASSERT(!notifying_ || notifier_ != std::this_thread::get_id());
  notified_.wait(lock, [this] { return !notifying_; });
  lock_.reset();
}

// A write of nothing but a filler.
void CommitStream::Core::push_mark_write(bool closes_stream) {
  if (open_) close_write();
  begin_write(0, clock_);
  open_->closes_stream = closes_stream;
  open_->cause = FlushCause::kMark;
  close_write();
}

// One of the waiting threads drives the disk; the others sleep until it, or whoever runs completions, made
// progress.
Status CommitStream::Core::wait_durable(Lsn lsn) {
  constexpr int kMostIdleTurns = 1'000'000;  // another thread may be running our completions
  int idle_turns = 0;
  const NoTurn here;  // also for the completions that run below: what they make possible is submitted at once
  want_durable(lsn);
  end_of_turn();
  std::unique_lock lock(mutex_);
  for (;;) {
    const Lsn durable(durable_.load(std::memory_order_relaxed));
    if (durable >= lsn && (queue_.empty() || !closed_)) return {};
    if (failure_.has_value()) return std::unexpected(*failure_);
    if (lsn.value > appended_.load(std::memory_order_relaxed)) {
      return fail(ErrorCode::kInvalidArgument, "LSN {} was never appended, the newest is {}", lsn.value,
                  appended_.load(std::memory_order_relaxed));
    }
    ++waiting_;
    if (driving_) {
      progress_.wait(lock);
      --waiting_;
      continue;
    }
    driving_ = true;
    lock.unlock();
    const std::size_t ran = disk_.wait();
    if (ran == 0) std::this_thread::yield();
    lock.lock();
    driving_ = false;
    --waiting_;
    if (waiting_ != 0) progress_.notify_all();
    if (ran != 0) {
      idle_turns = 0;
    } else if (++idle_turns == kMostIdleTurns) {
      return fail(ErrorCode::kIo, "the disk does not complete the writes of {}", options_.directory);
    }
  }
}

}  // namespace bop::aof
