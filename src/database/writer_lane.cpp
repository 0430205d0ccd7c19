#include "database/writer_lane.hpp"

#include <algorithm>
#include <utility>

#include "base/assert.hpp"
#include "base/metrics.hpp"

namespace bop::database {

namespace {
// Within this time clients that hold the lane mostly send their next statement; while others wait for them,
// the loop looks for it instead of sleeping.
constexpr std::chrono::microseconds kThinkTime{200};
}  // namespace

// All members are guarded by `mutex`. Callbacks are only ever posted, so no lock of ours is held while they
// run.
struct WriterLane::State : std::enable_shared_from_this<WriterLane::State> {
  struct Waiter {
    Entry entry;
    LaneRequest request;
    Executor* executor = nullptr;
    Granted granted;
    std::optional<Executor::TimerId> timer;
  };
  struct Holder {
    Entry entry;
    std::move_only_function<void()> evict;
    Executor* executor = nullptr;
    std::int64_t idle_since_ns = 0;
    std::optional<Executor::TimerId> timer;  // eviction
  };

  State(Clock& c, std::chrono::nanoseconds limit) : clock(c), idle_limit(limit) {}

  Clock& clock;
  std::chrono::nanoseconds idle_limit;
  mutable std::mutex mutex;
  Ticket next_ticket = 1;
  std::optional<Holder> holder;
  std::deque<Waiter> waiters;

  void hold(Entry entry, LaneRequest request, Executor& executor) {
    entry.since_ns = clock.steady_ns();
    holder.emplace(Holder{std::move(entry), std::move(request.evict), &executor, 0, std::nullopt});
  }

  void grant_next() {
    if (holder || waiters.empty()) return;
    Waiter next = std::move(waiters.front());
    waiters.pop_front();
    if (next.timer) next.executor->cancel(*next.timer);
    hold(std::move(next.entry), std::move(next.request), *next.executor);
    next.executor->post([granted = std::move(next.granted)]() mutable { granted({}); });
  }

  void timed_out(Ticket ticket) {
    std::lock_guard lock(mutex);
    const auto it = find(ticket);
    if (it == waiters.end()) return;
    it->timer.reset();
    std::string by = "another transaction";
    if (holder) {
      by = fmt::format("session {}: {}, for {} ms", holder->entry.session, holder->entry.description,
                       (clock.steady_ns() - holder->entry.since_ns) / 1'000'000);
    }
    Error why = error(ErrorCode::kLockNotAvailable, "canceling statement due to lock timeout")
                    .detail("The writer lane is held by " + by + ".");
    refuse(it, std::move(why));
  }

  std::deque<Waiter>::iterator find(Ticket ticket) {
    return std::ranges::find_if(waiters, [&](const Waiter& w) { return w.entry.ticket == ticket; });
  }

  void refuse(std::deque<Waiter>::iterator it, Error why) {
    Waiter waiter = std::move(*it);
    waiters.erase(it);
    if (waiter.timer) waiter.executor->cancel(*waiter.timer);
    waiter.executor->post([granted = std::move(waiter.granted), why = std::move(why)]() mutable {
      granted(std::unexpected(std::move(why)));
    });
  }

  // Starts the eviction timer when the holder is idle and somebody waits.
  void watch_holder() {
    if (!holder || !holder->entry.idle || !holder->evict || waiters.empty() || holder->timer) return;
    const std::int64_t idle_for = clock.steady_ns() - holder->idle_since_ns;
    const auto left = std::max(idle_limit - std::chrono::nanoseconds(idle_for), std::chrono::nanoseconds(0));
    holder->timer =
        holder->executor->post_after(left, [weak = weak_from_this(), ticket = holder->entry.ticket] {
          if (auto self = weak.lock()) self->idle_too_long(ticket);
        });
  }

  void idle_too_long(Ticket ticket) {
    std::move_only_function<void()> evict;
    {
      std::lock_guard lock(mutex);
      if (!holder || holder->entry.ticket != ticket) return;
      holder->timer.reset();
      if (!holder->entry.idle || waiters.empty() || !holder->evict) return;
      if (clock.steady_ns() - holder->idle_since_ns < idle_limit.count()) return watch_holder();
      evict = std::exchange(holder->evict, {});
    }
    evict();  // on the holder's executor: this is its timer's task
  }
};

WriterLane::WriterLane(Clock& clock, std::chrono::nanoseconds idle_limit)
    : state_(std::make_shared<State>(clock, idle_limit)) {}

WriterLane::~WriterLane() = default;

WriterLane::Entered WriterLane::enter(LaneRequest request, Executor& executor, Granted granted) {
  std::lock_guard lock(state_->mutex);
  Entry entry{state_->next_ticket++, request.session, request.description, state_->clock.steady_ns(), false};
  const Ticket ticket = entry.ticket;
  if (!state_->holder && state_->waiters.empty()) {
    state_->hold(std::move(entry), std::move(request), executor);
    return {ticket, true};
  }
  State::Waiter waiter{std::move(entry), std::move(request), &executor, std::move(granted), std::nullopt};
  if (waiter.request.timeout) {
    waiter.timer = executor.post_after(*waiter.request.timeout, [weak = std::weak_ptr(state_), ticket] {
      if (auto self = weak.lock()) self->timed_out(ticket);
    });
  }
  state_->waiters.push_back(std::move(waiter));
  state_->watch_holder();
  return {ticket, false};
}

void WriterLane::leave(Ticket ticket) {
  std::lock_guard lock(state_->mutex);
  BOP_ASSERT(state_->holder && state_->holder->entry.ticket == ticket);
  if (state_->holder->timer) state_->holder->executor->cancel(*state_->holder->timer);
  const std::int64_t held_ns = state_->clock.steady_ns() - state_->holder->entry.since_ns;
  metrics().writer_lane_hold_seconds.record(static_cast<std::uint64_t>(std::max<std::int64_t>(0, held_ns)));
  state_->holder.reset();
  state_->grant_next();
}

bool WriterLane::cancel(Ticket ticket, Error why) {
  std::lock_guard lock(state_->mutex);
  const auto it = state_->find(ticket);
  if (it == state_->waiters.end()) return false;
  state_->refuse(it, std::move(why));
  return true;
}

void WriterLane::set_idle(Ticket ticket, bool idle) {
  std::lock_guard lock(state_->mutex);
  if (!state_->holder || state_->holder->entry.ticket != ticket) return;
  State::Holder& holder = *state_->holder;
  if (holder.entry.idle == idle) return;
  holder.entry.idle = idle;
  if (idle) {
    holder.idle_since_ns = state_->clock.steady_ns();
    state_->watch_holder();
    if (!state_->waiters.empty()) holder.executor->expect(kThinkTime);
  }
}

void WriterLane::set_idle_limit(std::chrono::nanoseconds limit) {
  std::lock_guard lock(state_->mutex);
  state_->idle_limit = limit;
}

WriterLane::Snapshot WriterLane::snapshot() const {
  std::lock_guard lock(state_->mutex);
  Snapshot out;
  if (state_->holder) out.holder = state_->holder->entry;
  for (const auto& waiter : state_->waiters) out.waiters.push_back(waiter.entry);
  return out;
}

bool WriterLane::held() const {
  std::lock_guard lock(state_->mutex);
  return state_->holder.has_value();
}

}  // namespace bop::database
