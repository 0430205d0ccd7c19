// Reading through Aof.
#include <algorithm>
#include <chrono>
#include <utility>

#include "aof/aof_impl.hpp"
#include "base/error.hpp"
#include "base/time.hpp"

namespace bop::aof {

namespace {

// A place so far before a record at most is worth going on from.
constexpr std::uint64_t kMostSkipped = 64;

AofRecord record_of(const RecordView& view) {
  return {.id = view.lsn.value,
          .timestamp_us = view.timestamp_us,
          .producer = view.producer,
          .sequence = view.sequence,
          .batch_remaining = view.batch_remaining,
          .payload = view.payload};
}

}  // namespace

// A reader that stands at the record or shortly before it.
std::unique_ptr<Reader> Aof::Impl::take_place(Lsn lsn) {
  const std::scoped_lock lock(reads_mutex_);
  auto best = places_.end();
  for (auto place = places_.begin(); place != places_.end(); ++place) {
    if (place->next > lsn || lsn.value - place->next.value > kMostSkipped) continue;
    if (best == places_.end() || place->next > best->next) best = place;
  }
  if (best == places_.end()) return nullptr;
  auto reader = std::move(best->reader);
  places_.erase(best);
  return reader;
}

Result<AofRecordCopy> Aof::Impl::read(Lsn lsn) {
  reads_.fetch_add(1, std::memory_order_relaxed);
  if (lsn > stream_->durable()) {
    return fail(ErrorCode::kNotInPrerequisiteState,
                "the record with id {} is not durable, the newest that is has {}", lsn.value,
                stream_->durable().value);
  }
  std::unique_ptr<Reader> reader = take_place(lsn);
  if (reader != nullptr) {
    hits_.fetch_add(1, std::memory_order_relaxed);
  } else {
    misses_.fetch_add(1, std::memory_order_relaxed);
    BOP_LET(opened, stream_->tail_from(lsn, std::nullopt, ReadUpTo::kDurable));
    reader = std::move(opened);
  }
  for (;;) {
    BOP_LET(view, reader->next());
    if (!view.has_value() || view->lsn > lsn) {
      return fail(ErrorCode::kInternal, "the record with id {} is durable and was not found", lsn.value);
    }
    if (view->lsn < lsn) continue;
    if (view->database != kLibraryRecords) {
      return fail(ErrorCode::kInvalidArgument, "the record with id {} is one of the log itself", lsn.value);
    }
    AofRecordCopy copy{.id = view->lsn.value,
                       .timestamp_us = view->timestamp_us,
                       .producer = view->producer,
                       .sequence = view->sequence,
                       .payload = {view->payload.begin(), view->payload.end()}};
    const std::scoped_lock lock(reads_mutex_);
    places_.push_front({lsn.next(), std::move(reader)});
    if (places_.size() > config_.segment_cache_size) places_.pop_back();
    return copy;
  }
}

Result<std::unique_ptr<Reader>> Aof::Impl::reader(const AofReadOptions& options) {
  const bool backward = options.direction == AofReadOptions::Direction::kBackward;
  if (options.from_id.has_value() && options.from_time_us.has_value()) {
    return fail(ErrorCode::kInvalidArgument, "a reader begins at an id or at a time, not at both");
  }
  if (backward && options.tail == AofReadOptions::Tail::kVolatile) {
    return fail(ErrorCode::kInvalidArgument, "a reader that goes backward reads durable records only");
  }
  Lsn from = backward ? stream_->durable() : stream_->first();
  if (options.from_id.has_value()) {
    from = Lsn(std::max<RecordId>(*options.from_id, 1));
  } else if (options.from_time_us.has_value()) {
    const std::int64_t time = *options.from_time_us;
    const bool at_end = backward && time == INT64_MAX;
    BOP_LET(found, at_end ? Result<std::optional<Lsn>>(std::nullopt)
                          : stream_->find_time(backward ? time + 1 : time));
    if (backward) {
      if (found.has_value()) from = Lsn(found->value - 1);
    } else {
      from = found.value_or(stream_->durable().next());
    }
  }
  if (backward) return stream_->read_backward(from, kLibraryRecords);
  const ReadUpTo up_to =
      options.tail == AofReadOptions::Tail::kVolatile ? ReadUpTo::kAppended : ReadUpTo::kDurable;
  return stream_->tail_from(from, kLibraryRecords, up_to);
}

void Aof::Impl::wait_growth(ReadUpTo up_to, Lsn seen, std::int64_t until_ns) {
  const auto newest = [&] { return up_to == ReadUpTo::kDurable ? stream_->durable() : stream_->appended(); };
  growth_waiters_.fetch_add(1);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  {
    std::unique_lock lock(growth_mutex_);
    while (newest() <= seen && !closing_) {
      const std::int64_t left = until_ns - system_clock().steady_ns();
      if (left <= 0) break;
      growth_.wait_for(lock, std::chrono::nanoseconds(left));
    }
  }
  growth_waiters_.fetch_sub(1);
}

class AofReader::Impl {
 public:
  Impl(std::shared_ptr<Aof::Impl> log, std::unique_ptr<Reader> reader, const AofReadOptions& options)
      : log_(std::move(log)), reader_(std::move(reader)), options_(options) {}

  Result<std::optional<AofRecord>> next() {
    for (;;) {
      BOP_LET(view, reader_->next());
      if (!view.has_value()) return std::nullopt;
      // Of a time that is still to come.
      if (!is_backward() && options_.from_time_us.has_value() &&
          view->timestamp_us < *options_.from_time_us) {
        continue;
      }
      return record_of(*view);
    }
  }

  Result<std::optional<AofRecord>> next_within(std::chrono::nanoseconds most) {
    if (is_backward()) return next();
    const std::int64_t until_ns = system_clock().steady_ns() + most.count();
    const bool appended = options_.tail == AofReadOptions::Tail::kVolatile;
    const ReadUpTo up_to = appended ? ReadUpTo::kAppended : ReadUpTo::kDurable;
    for (;;) {
      const Lsn seen = appended ? log_->stream_->appended() : log_->stream_->durable();
      BOP_LET(record, next());
      if (record.has_value() || system_clock().steady_ns() >= until_ns) return record;
      if (log_->is_closed()) return std::nullopt;
      log_->wait_growth(up_to, seen, until_ns);
    }
  }

 private:
  bool is_backward() const { return options_.direction == AofReadOptions::Direction::kBackward; }

  std::shared_ptr<Aof::Impl> log_;
  std::unique_ptr<Reader> reader_;
  const AofReadOptions options_;
};

AofReader::AofReader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
AofReader::~AofReader() = default;
Result<std::optional<AofRecord>> AofReader::next() { return impl_->next(); }
Result<std::optional<AofRecord>> AofReader::next_within(std::chrono::nanoseconds most) {
  return impl_->next_within(most);
}

Result<std::unique_ptr<AofReader>> Aof::reader(const AofReadOptions& options) {
  BOP_LET(inner, impl_->reader(options));
  return std::unique_ptr<AofReader>(
      new AofReader(std::make_unique<AofReader::Impl>(impl_, std::move(inner), options)));
}

}  // namespace bop::aof
