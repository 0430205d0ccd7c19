// Appending through Aof, and waiting for what was appended.
#include <atomic>
#include <chrono>
#include <semaphore>
#include <utility>

#include "aof/aof_impl.hpp"
#include "base/error.hpp"
#include "base/time.hpp"
#include "base/turn.hpp"

namespace bop::aof {

namespace {

// The turn of a thread that waits for its own record: it makes the write that carries the record, and leaves
// what comes after it to others.
class OwnTurn final : public Turn {
 public:
  explicit OwnTurn(const CommitStream& stream) : stream_(stream), before_(current()) { set_current(this); }
  ~OwnTurn() override {
    end(Lsn(0));
    set_current(before_);
  }
  OwnTurn(const OwnTurn&) = delete;
  OwnTurn& operator=(const OwnTurn&) = delete;

  void end(Lsn own) {
    own_ = own;
    while (!others_.empty()) {
      auto tasks = std::exchange(others_, {});
      for (auto& [key, task] : tasks) task();
    }
  }
  void at_end(const void* key, std::chrono::nanoseconds, Task task) override {
    for (const auto& [known, other] : others_) {
      if (known == key) return;
    }
    others_.emplace_back(key, std::move(task));
  }
  bool begin_blocking() override { return stream_.durable() < own_; }
  void end_blocking() override {}

 private:
  const CommitStream& stream_;
  Turn* const before_;
  Lsn own_{UINT64_MAX};
  std::vector<std::pair<const void*, Task>> others_;
};

}  // namespace

FlushPolicy Aof::Impl::policy() const {
  return {.strategy = config_.flush_strategy,
          .records = config_.batch_size,
          .interval = std::chrono::milliseconds(config_.interval_ms)};
}

Result<Lsn> Aof::Impl::append(std::span<const RecordInput> batch) {
  if (stream_->must_wait()) [[unlikely]] {
    refusals_.fetch_add(1, std::memory_order_relaxed);
    stream_->want_durable(stream_->appended());  // else what nobody waits for would hold appends up
    return fail(ErrorCode::kInsufficientResources,
                "{} bytes wait for the disk, and max_unacknowledged is {}: wait_for_room(), then try again",
                stream_->metrics().unacknowledged_bytes.load(std::memory_order_relaxed),
                config_.max_unacknowledged);
  }
  auto lsn = stream_->append(batch);
  if (!lsn.has_value()) [[unlikely]] {
    if (backpressure_of(lsn.error()) != BackpressureKind::kNone) {
      refusals_.fetch_add(1, std::memory_order_relaxed);
    }
    return lsn;
  }
  grew();
  return lsn;
}

Result<Lsn> Aof::Impl::append_numbered(const RecordInput& record) {
  if (record.producer == 0) {
    return fail(ErrorCode::kInvalidArgument, "producer 0 is no producer: number them from 1");
  }
  if (stream_->must_wait()) [[unlikely]]
    return append(std::span(&record, 1));  // refused there
  BOP_LET(appended, producers_->append(record));
  if (appended.repeated) {
    repeats_.fetch_add(1, std::memory_order_relaxed);
    return appended.lsn;
  }
  grew();
  return appended.lsn;
}

void Aof::Impl::on_durable(Lsn lsn, DurableWaiters::Callback done) {
  stream_->want_durable(lsn);
  waiters_.add(*stream_, lsn, std::move(done));
}

Status Aof::Impl::check_may_wait() const {
  if (!loop_->is_current() && !DurableWaiters::is_calling()) return {};
  return fail(ErrorCode::kObjectInUse, "a callback of the log must not wait for the log");
}

Status Aof::Impl::wait_durable(Lsn lsn) {
  BOP_TRY(check_may_wait());
  if (stream_->durable() >= lsn) return {};
  Status result;
  std::binary_semaphore done(0);
  on_durable(lsn, [&](Status status) {
    result = std::move(status);
    done.release();
  });
  done.acquire();
  return result;
}

Result<Lsn> Aof::Impl::append_durable(const RecordInput& record) {
  BOP_TRY(check_may_wait());
  // A disk that is full may have room again in a while, and nothing says when: that is for the caller.
  while (stream_->must_wait()) {
    constexpr std::chrono::seconds kAWhile{1};
    static_cast<void>(wait_for_room(kAWhile));
    if (auto failure = stream_->failure()) return std::unexpected(std::move(*failure));
  }
  const auto append_it = [&] {
    return record.producer != 0 ? append_numbered(record) : append(std::span(&record, 1));
  };
  const bool alone = waiting_appends_.fetch_add(1, std::memory_order_relaxed) == 0;
  struct Leave {
    std::atomic<unsigned>& count;
    ~Leave() { count.fetch_sub(1, std::memory_order_relaxed); }
  } leave{waiting_appends_};
  if (!alone || Turn::current() != nullptr) {
    BOP_LET(lsn, append_it());
    BOP_TRY(wait_durable(lsn));
    return lsn;
  }
  OwnTurn turn(*stream_);
  BOP_LET(lsn, append_it());
  turn.end(lsn);
  const NoTurn waiting;
  BOP_TRY(wait_durable(lsn));
  return lsn;
}

Backpressure Aof::Impl::backpressure() const {
  if (stream_->must_wait()) {
    return {.kind = BackpressureKind::kWriteQueue,
            .held = stream_->metrics().unacknowledged_bytes.load(std::memory_order_relaxed),
            .limit = config_.max_unacknowledged,
            .wait_for = "records to become durable: the disk is slower than the producers"};
  }
  if (stream_->is_full()) {
    return {.kind = BackpressureKind::kDiskFull,
            .held = stream_->retained_bytes(),
            .wait_for = "free space on the disk of the log: free some, or trim the log"};
  }
  return {};
}

Status Aof::Impl::wait_for_room(std::chrono::nanoseconds most) {
  const std::int64_t until_ns = system_clock().steady_ns() + most.count();
  BOP_TRY(check_may_wait());
  Backpressure now;
  stream_->want_durable(stream_->appended());
  growth_waiters_.fetch_add(1);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  {
    std::unique_lock lock(growth_mutex_);
    for (;;) {
      now = backpressure();
      const std::int64_t left = until_ns - system_clock().steady_ns();
      if (now.kind == BackpressureKind::kNone || left <= 0 || closing_) break;
      growth_.wait_for(lock, std::chrono::nanoseconds(left));
    }
  }
  growth_waiters_.fetch_sub(1);
  if (now.kind == BackpressureKind::kNone) return {};
  const ErrorCode code =
      now.kind == BackpressureKind::kDiskFull ? ErrorCode::kDiskFull : ErrorCode::kInsufficientResources;
  return fail(code, "appends still wait for {}", now.wait_for);
}

// Wakes readers at the tail, and who waits for room.
void Aof::Impl::grew() {
  // Whoever waits has counted itself before it looked at the newest id, and we look after we moved it.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (growth_waiters_.load(std::memory_order_relaxed) == 0) return;
  {
    const std::scoped_lock lock(growth_mutex_);
  }
  growth_.notify_all();
}

}  // namespace bop::aof
