#include "objstore/operation.hpp"

#include <algorithm>
#include <array>

namespace bop::objstore {
namespace {

struct KindMetrics {
  std::string_view verb;
  Latency& seconds;
  Counter& ok;
  Counter& refused;      // the answer is the store's last word: not found, taken, denied, ...
  Counter& unavailable;  // no usable answer in time
  Counter& cancelled;
};

const KindMetrics& metrics_of(OperationKind kind) {
  Metrics& m = metrics();
  static const std::array<KindMetrics, 6> table{{
      {"put", m.objstore_put_seconds, m.objstore_put_ok_total, m.objstore_put_refused_total,
       m.objstore_put_unavailable_total, m.objstore_put_cancelled_total},
      {"get", m.objstore_get_seconds, m.objstore_get_ok_total, m.objstore_get_refused_total,
       m.objstore_get_unavailable_total, m.objstore_get_cancelled_total},
      {"look up", m.objstore_head_seconds, m.objstore_head_ok_total, m.objstore_head_refused_total,
       m.objstore_head_unavailable_total, m.objstore_head_cancelled_total},
      {"list", m.objstore_list_seconds, m.objstore_list_ok_total, m.objstore_list_refused_total,
       m.objstore_list_unavailable_total, m.objstore_list_cancelled_total},
      {"remove", m.objstore_remove_seconds, m.objstore_remove_ok_total, m.objstore_remove_refused_total,
       m.objstore_remove_unavailable_total, m.objstore_remove_cancelled_total},
      {"put a part of", m.objstore_part_seconds, m.objstore_part_ok_total, m.objstore_part_refused_total,
       m.objstore_part_unavailable_total, m.objstore_part_cancelled_total},
  }};
  return table[static_cast<std::size_t>(kind)];
}

std::string_view outcome_of(ErrorCode code) {
  if (code == ErrorCode::kCancelled) return "cancelled";
  if (code == ErrorCode::kObjectStoreUnavailable || code == ErrorCode::kCorrupt) return "unavailable";
  return "refused";
}

}  // namespace

StoreCore::StoreCore(std::shared_ptr<RawStore> raw_store, Executor& its_executor, Clock& its_clock,
                     Random& its_random, RetryOptions given)
    : raw(std::move(raw_store)),
      executor(its_executor),
      clock(its_clock),
      random(its_random),
      options(given),
      admission(given.admission),
      hedging(given.hedging),
      mailbox(std::make_shared<Mailbox>(its_executor)) {}

void StoreCore::submit(const std::shared_ptr<Operation>& operation) {
  {
    const std::lock_guard guard(mutex_);
    operations_.insert(operation);
    open_.fetch_add(1, std::memory_order_relaxed);
    if (closed_) return;  // shut_down answers it
  }
  executor.post([core = weak_from_this(), operation] {
    if (const auto self = core.lock()) operation->begin(*self);
  });
}

void StoreCore::begin(const std::shared_ptr<Operation>& operation) {
  {
    const std::lock_guard guard(mutex_);
    if (closed_) return;  // its parent is being ended, too
    operations_.insert(operation);
    open_.fetch_add(1, std::memory_order_relaxed);
  }
  operation->begin(*this);
}

void StoreCore::forget(const Operation& operation) {
  const std::lock_guard guard(mutex_);
  const auto found = operations_.find(std::const_pointer_cast<Operation>(operation.shared_from_this()));
  if (found == operations_.end()) return;
  operations_.erase(found);
  open_.fetch_sub(1, std::memory_order_relaxed);
  ended_.fetch_add(1, std::memory_order_relaxed);
}

void StoreCore::shut_down() {
  mailbox->close();
  admission.clear();
  while (true) {
    std::unordered_set<std::shared_ptr<Operation>> rest;
    {
      const std::lock_guard guard(mutex_);
      closed_ = true;
      rest.swap(operations_);
    }
    if (rest.empty()) return;
    for (const auto& operation : rest) operation->abandon();
  }
}

std::string StoreCore::new_stamp() { return fmt::format("{:016x}{:016x}", random.u64(), random.u64()); }

void Operation::begin(StoreCore& core) {
  if (over_) return core.forget(*this);  // cancelled before it began
  core_ = &core;
  begun_ns_ = now_ns();
  deadline_ns_ = begun_ns_ + std::chrono::nanoseconds(options_.deadline).count();
  if (auto good = check(); !good) return fail_with(std::move(good).error());
  deadline_timer_ = core.executor.post_after(options_.deadline, [self = weak_from_this()] {
    const auto operation = self.lock();
    if (!operation || operation->over_) return;
    operation->deadline_timer_ = 0;
    operation->fail_with(operation->unavailable());
  });
  start();
}

void Operation::cancel() {
  if (over_) return;
  fail_with(error(ErrorCode::kCancelled, "the call for \"{}\" was cancelled", key_));
}

void Operation::abandon() {
  if (over_) return;
  over_ = true;
  cancel_attempts();
  metrics_of(kind_).cancelled.add();
  tell(error(ErrorCode::kCancelled, "the call for \"{}\" was cancelled: its object store is being closed",
             key_));
}

void Operation::enter() {
  bool accepted = false;
  const Admission::Ticket ticket = core_->admission.enter(
      {claim_bytes(), options_.priority},
      [self = weak_from_this(), core = core_, bytes = claim_bytes(), priority = options_.priority] {
        const auto operation = self.lock();
        if (!operation || operation->over_) {
          // Not inside the grant of another.
          core->executor.post([store = core->weak_from_this(), bytes, priority] {
            if (const auto alive = store.lock()) alive->admission.leave({bytes, priority});
          });
          return;
        }
        operation->ticket_ = 0;
        operation->send();
      },
      accepted);
  if (!accepted) {
    return fail_with(error(ErrorCode::kObjectStoreUnavailable,
                           "cannot {} \"{}\" in {}: {} calls wait already, which is the limit",
                           metrics_of(kind_).verb, key_, core_->raw->traits().name,
                           core_->admission.waiting()));
  }
  if (!over_ && ticket != 0) ticket_ = ticket;
}

std::chrono::nanoseconds Operation::attempt_timeout(std::uint64_t bytes) const {
  using std::chrono::nanoseconds;
  const double seconds =
      static_cast<double>(bytes) / static_cast<double>(core_->options.slowest_bytes_per_second);
  return nanoseconds(core_->options.attempt_timeout) + nanoseconds(static_cast<std::int64_t>(seconds * 1e9));
}

CallOptions Operation::options_of_rest() const {
  const auto rest = std::chrono::nanoseconds(deadline_ns_ - now_ns());
  return {
      .deadline = std::max(std::chrono::ceil<std::chrono::milliseconds>(rest), std::chrono::milliseconds(1)),
      .priority = options_.priority};
}

void Operation::set_timer(std::chrono::nanoseconds delay, Task task) {
  if (timer_ != 0) core_->executor.cancel(timer_);
  timer_ = core_->executor.post_after(delay, [self = weak_from_this(), task = std::move(task)]() mutable {
    const auto operation = self.lock();
    if (!operation || operation->over_) return;
    operation->timer_ = 0;
    task();
  });
}

void Operation::again(const RawFailure& failure) {
  const AnswerRule& rule = rule_of(failure.kind);
  last_answer_ = failure.text.empty() ? std::string(rule.name) : failure.text;
  if (failure.kind == RawKind::kSlowDown) metrics().objstore_slow_downs_total.add();
  if (!rule.again) return fail_with(error_of(failure));
  const RetryOptions& options = core_->options;
  // 2^20 times any first pause is above any longest one that makes sense.
  auto most = options.first_backoff * (1U << std::min(tries_, 20U));
  if (failure.kind == RawKind::kSlowDown) most *= 4;
  most = std::min(most, options.longest_backoff);
  ++tries_;
  const auto most_ns = static_cast<std::uint64_t>(std::chrono::nanoseconds(most).count());
  auto pause = std::chrono::nanoseconds(static_cast<std::int64_t>(core_->below(most_ns + 1)));
  pause += std::chrono::nanoseconds(failure.retry_after);
  if (now_ns() + pause.count() >= deadline_ns_) {
    // A checksum that never fitted is told as that.
    return fail_with(failure.kind == RawKind::kCorrupt ? error_of(failure) : unavailable());
  }
  metrics().objstore_retries_total.add();
  set_timer(pause, [this] { enter(); });
}

Error Operation::error_of(const RawFailure& failure) const {
  const AnswerRule& rule = rule_of(failure.kind);
  return error(rule.code, "cannot {} \"{}\" in {}: {}", metrics_of(kind_).verb, key_,
               core_->raw->traits().name, failure.text.empty() ? rule.name : std::string_view(failure.text));
}

Error Operation::unavailable() const {
  const auto waited = (now_ns() - begun_ns_) / 1'000'000;
  return error(ErrorCode::kObjectStoreUnavailable,
               "cannot {} \"{}\" in {} within {} ms ({} answers after {} ms): {}", metrics_of(kind_).verb,
               key_, core_->raw->traits().name, options_.deadline.count(), tries_, waited,
               !last_answer_.empty() ? "the last one was: " + last_answer_
               : ticket_ != 0        ? std::string("it waited for other calls")
                                     : std::string("no answer came"));
}

void Operation::fail_with(Error error) {
  if (over_) return;
  if (core_ == nullptr) {  // cancelled before it began
    over_ = true;
    metrics_of(kind_).cancelled.add();
    return tell(std::move(error));
  }
  if (finish(outcome_of(error.code()))) tell(std::move(error));
}

bool Operation::finish(std::string_view outcome) {
  if (over_) return false;
  over_ = true;
  const auto alive = shared_from_this();
  if (deadline_timer_ != 0) core_->executor.cancel(deadline_timer_);
  if (timer_ != 0) core_->executor.cancel(timer_);
  core_->admission.forget(std::exchange(ticket_, 0));
  cancel_attempts();
  const KindMetrics& measured = metrics_of(kind_);
  Counter& counter = outcome == "ok"            ? measured.ok
                     : outcome == "refused"     ? measured.refused
                     : outcome == "unavailable" ? measured.unavailable
                                                : measured.cancelled;
  counter.add();
  measured.seconds.record(now_ns() - begun_ns_);
  core_->forget(*this);
  at_end();
  return true;
}

void Operation::cancel_attempts() {
  for (const auto& attempt : std::exchange(attempts_, {})) {
    attempt->over = true;
    if (core_ != nullptr && attempt->timeout != 0) core_->executor.cancel(attempt->timeout);
    // The call may keep the attempt alive for as long as it is not answered.
    if (const RawCallPtr call = std::exchange(attempt->call, nullptr)) call->cancel();
  }
}

void Operation::drop(const std::shared_ptr<Attempt>& attempt) {
  attempt->over = true;
  if (attempt->timeout != 0) core_->executor.cancel(attempt->timeout);
  std::erase(attempts_, attempt);
}

}  // namespace bop::objstore
