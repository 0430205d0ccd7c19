#include "aof/commit_stream.hpp"

#include <algorithm>
#include <utility>

#include "aof/stream_backward.hpp"
#include "aof/stream_core.hpp"
#include "aof/stream_reader.hpp"
#include "aof/stream_tail.hpp"
#include "base/assert.hpp"

namespace bop::aof {

Result<std::unique_ptr<CommitStream>> CommitStream::open(Disk& disk, Clock& clock, Random& random,
                                                         Options options) {
  auto core = std::make_shared<Core>(disk, clock, random, std::move(options));
  BOP_TRY(core->open());
  return std::unique_ptr<CommitStream>(new CommitStream(std::move(core)));
}

CommitStream::CommitStream(std::shared_ptr<Core> core) : core_(std::move(core)) {}
CommitStream::~CommitStream() { core_->detach(); }

const Recovered& CommitStream::recovered() const noexcept { return core_->recovered_; }
Timeline CommitStream::timeline() const noexcept {
  return Timeline(core_->timeline_.load(std::memory_order_relaxed));
}

void CommitStream::set_term(Term term) {
  std::scoped_lock lock(core_->mutex_);
  BOP_ASSERT(term.value >= core_->term_.load());
  core_->term_.store(term.value);
}
Term CommitStream::term() const noexcept { return Term(core_->term_.load(std::memory_order_relaxed)); }

Result<Lsn> CommitStream::append(std::span<const RecordInput> batch) { return core_->append(batch); }

bool CommitStream::must_wait() const noexcept {
  return core_->unacknowledged_.load(std::memory_order_relaxed) > core_->options_.max_unacknowledged;
}
Lsn CommitStream::appended() const noexcept { return Lsn(core_->appended_.load(std::memory_order_acquire)); }
Lsn CommitStream::durable() const noexcept { return Lsn(core_->durable_.load(std::memory_order_acquire)); }
Lsn CommitStream::first() const noexcept { return Lsn(core_->first_.load(std::memory_order_acquire)); }

void CommitStream::want_durable(Lsn lsn) { core_->want_durable(lsn); }
void CommitStream::flush_due() { core_->flush_due(); }
void CommitStream::on_delay(std::move_only_function<void(std::chrono::nanoseconds)> callback) {
  std::scoped_lock lock(core_->mutex_);
  core_->delay_callback_ = std::move(callback);
}

Lsn CommitStream::newest_of(DatabaseId database) const {
  std::scoped_lock lock(core_->mutex_);
  return core_->newest_of(database);
}

std::vector<SealedSegment> CommitStream::sealed(std::uint64_t above_number) const {
  return core_->sealed(above_number);
}
std::uint64_t CommitStream::retained_bytes() const {
  std::scoped_lock lock(core_->mutex_);
  return core_->retained_bytes();
}
LogSegments CommitStream::segments(std::size_t most) const {
  std::scoped_lock lock(core_->mutex_);
  return core_->log_segments(most);
}
std::uint64_t CommitStream::buffer_bytes() const {
  std::scoped_lock lock(core_->mutex_);
  return core_->buffer_bytes();
}
bool CommitStream::is_full() const {
  std::scoped_lock lock(core_->mutex_);
  return core_->disk_full();
}
std::uint64_t CommitStream::max_batch_bytes() const noexcept { return core_->max_batch_bytes(); }

void CommitStream::on_room(std::move_only_function<void()> callback) {
  std::scoped_lock lock(core_->mutex_);
  core_->room_callbacks_.push_back(std::make_unique<std::move_only_function<void()>>(std::move(callback)));
}
void CommitStream::subscribe(std::move_only_function<void(Lsn)> callback) {
  std::scoped_lock lock(core_->mutex_);
  core_->subscribers_.push_back(std::make_unique<std::move_only_function<void(Lsn)>>(std::move(callback)));
}
void CommitStream::on_failure(std::move_only_function<void(const Error&)> callback) {
  std::scoped_lock lock(core_->mutex_);
  core_->failure_callbacks_.push_back(
      std::make_unique<std::move_only_function<void(const Error&)>>(std::move(callback)));
}
std::optional<Error> CommitStream::failure() const {
  std::scoped_lock lock(core_->mutex_);
  return core_->failure_;
}
void CommitStream::on_maintenance(std::move_only_function<void()> callback) {
  std::scoped_lock lock(core_->mutex_);
  core_->maintenance_callback_ = std::move(callback);
}

const std::shared_ptr<KeyRing>& CommitStream::keys() const noexcept { return core_->keys_; }
Status CommitStream::maintain() { return core_->maintain(); }
Status CommitStream::wait_durable(Lsn lsn) { return core_->wait_durable(lsn); }

Status CommitStream::check_kept(Lsn lsn) const {
  if (lsn >= first()) return {};
  return fail(ErrorCode::kNotInPrerequisiteState, "the record with LSN {} was trimmed, the oldest is {}",
              lsn.value, first().value);
}

Result<std::unique_ptr<Reader>> CommitStream::read_from(Lsn from, std::optional<DatabaseId> database) {
  BOP_TRY(check_kept(from));
  return std::make_unique<StreamReader>(core_, from, database);
}

Result<std::unique_ptr<Reader>> CommitStream::tail_from(Lsn from, std::optional<DatabaseId> database,
                                                        ReadUpTo up_to) {
  BOP_TRY(check_kept(from));
  return std::make_unique<TailReader>(core_, from, database, up_to);
}

std::unique_ptr<Reader> CommitStream::read_backward(Lsn from, std::optional<DatabaseId> database) {
  return std::make_unique<BackwardReader>(core_, from, database);
}

Result<std::optional<Lsn>> CommitStream::find_time(std::int64_t time_us, std::optional<DatabaseId> database) {
  return aof::find_time(core_, time_us, database);
}

std::vector<DatabaseId> CommitStream::databases() const {
  std::scoped_lock lock(core_->mutex_);
  return core_->databases();
}

Result<std::vector<CommitStream::SegmentSpan>> CommitStream::segments() const { return spans_of(*core_); }
std::size_t CommitStream::segment_count() const {
  std::scoped_lock lock(core_->mutex_);
  return core_->segment_count();
}

Status CommitStream::trim(Lsn below, bool is_short) { return core_->trim(below, is_short); }
Status CommitStream::trim_segments(std::uint64_t up_to_number) { return core_->trim_segments(up_to_number); }
void CommitStream::give_back_ballast() { core_->give_back_ballast(); }
Status CommitStream::close() { return core_->close(); }
const StreamMetrics& CommitStream::metrics() const noexcept { return core_->metrics_; }

}  // namespace bop::aof
