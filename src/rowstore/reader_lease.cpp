// The pool of readers: who has one, who waits for one, and who loses his because he only holds it.
#include <algorithm>
#include <utility>

#include "base/assert.hpp"
#include "rowstore/row_store.hpp"
#include "rowstore/state.hpp"

namespace bop::rowstore {

ReaderLease::ReaderLease(std::shared_ptr<void> state, std::unique_ptr<Connection> connection)
    : state_(std::move(state)), connection_(std::move(connection)) {}
ReaderLease::ReaderLease(ReaderLease&& other) noexcept
    : state_(std::move(other.state_)), connection_(std::move(other.connection_)) {}
ReaderLease& ReaderLease::operator=(ReaderLease&& other) noexcept {
  if (this != &other) {
    release();
    state_ = std::move(other.state_);
    connection_ = std::move(other.connection_);
  }
  return *this;
}
ReaderLease::~ReaderLease() { release(); }
void ReaderLease::release() noexcept {
  if (!connection_) return;
  RowStore::give_back(*static_cast<RowStore::State*>(state_.get()), std::move(connection_));
  state_.reset();
}

void ReaderLease::begin_idle(Executor& executor, std::move_only_function<void()> evict) {
  BOP_ASSERT(connection_);
  auto& state = *static_cast<RowStore::State*>(state_.get());
  std::lock_guard lock(state.mutex);
  state.idle_holders.insert_or_assign(
      connection_.get(), RowStore::State::IdleHolder{state.next_holder++, &executor, std::move(evict),
                                                     state.database.clock().steady_ns(), false});
  RowStore::watch_idle(state);
}

void ReaderLease::end_idle() {
  auto& state = *static_cast<RowStore::State*>(state_.get());
  std::lock_guard lock(state.mutex);
  state.idle_holders.erase(connection_.get());
}

// A connection of the current instance, counted as lent; null when all are lent, and until a retreat ended.
Result<std::unique_ptr<Connection>> RowStore::take_reader(State& state) {
  std::shared_ptr<Instance> instance;
  {
    std::lock_guard lock(state.mutex);
    if (!state.instance) return fail(ErrorCode::kCannotConnectNow, "the database is not open");
    if (state.retreating) return nullptr;
    if (auto why = state.instance->discarded()) return std::unexpected(std::move(*why));
    if (!state.idle.empty()) {
      auto connection = std::move(state.idle.back());
      state.idle.pop_back();
      ++state.lent;
      return connection;
    }
    if (state.lent >= state.options.max_readers) return nullptr;
    ++state.lent;
    instance = state.instance;
  }
  auto connection = connect(state, std::move(instance), Connection::Role::kReader);
  if (!connection) {
    std::lock_guard lock(state.mutex);
    --state.lent;
  }
  return connection;
}

Result<ReaderLease> RowStore::try_borrow_reader() {
  BOP_LET(connection, take_reader(*state_));
  if (!connection) return ReaderLease();
  return ReaderLease(state_, std::move(connection));
}

RowStore::ReaderTicket RowStore::borrow_reader(Executor& executor, ReaderRequest request, Lend lend) {
  for (;;) {
    auto connection = take_reader(*state_);
    if (connection && !*connection) {
      std::lock_guard lock(state_->mutex);
      if (!state_->retreating && state_->lent < state_->options.max_readers) continue;  // one came back
      const ReaderTicket ticket = state_->next_ticket++;
      state_->waiting.push_back(
          {ticket, &executor, std::move(request), state_->database.clock().steady_ns(), std::move(lend)});
      watch_idle(*state_);
      return ticket;
    }
    auto lease = connection ? Result<ReaderLease>(ReaderLease(state_, std::move(*connection)))
                            : Result<ReaderLease>(std::unexpected(connection.error()));
    executor.post([lend = std::move(lend), lease = std::move(lease)]() mutable { lend(std::move(lease)); });
    return 0;
  }
}

bool RowStore::cancel_reader(ReaderTicket ticket, Error why) {
  std::lock_guard lock(state_->mutex);
  const auto it = std::ranges::find(state_->waiting, ticket, &State::Waiter::ticket);
  if (ticket == 0 || it == state_->waiting.end()) return false;
  State::Waiter waiter = std::move(*it);
  state_->waiting.erase(it);
  waiter.executor->post([lend = std::move(waiter.lend), why = std::move(why)]() mutable {
    lend(std::unexpected(std::move(why)));
  });
  return true;
}

std::vector<RowStore::ReaderWait> RowStore::reader_waits() const {
  std::lock_guard lock(state_->mutex);
  std::vector<ReaderWait> waits;
  for (const State::Waiter& waiter : state_->waiting) {
    waits.push_back({waiter.request.session, waiter.request.description, waiter.since_ns});
  }
  return waits;
}

void RowStore::set_reader_idle_limit(std::chrono::nanoseconds limit) {
  std::lock_guard lock(state_->mutex);
  state_->idle_limit = limit;
}

// With the mutex held. While somebody waits, every idle holder has a timer.
void RowStore::watch_idle(State& state) {
  if (state.waiting.empty()) return;
  const std::int64_t now = state.database.clock().steady_ns();
  for (auto& [connection, holder] : state.idle_holders) {
    if (holder.watched || !holder.evict) continue;
    holder.watched = true;
    const auto left = std::max(state.idle_limit - std::chrono::nanoseconds(now - holder.since_ns),
                               std::chrono::nanoseconds(0));
    (void)holder.executor->post_after(
        left, [weak = state.weak_from_this(), key = connection, number = holder.number] {
          if (const auto self = weak.lock()) idle_too_long(*self, key, number);
        });
  }
}

// On the holder's executor: nobody else ends its idleness meanwhile.
void RowStore::idle_too_long(State& state, const Connection* connection, std::uint64_t number) {
  std::move_only_function<void()> evict;
  {
    std::lock_guard lock(state.mutex);
    const auto found = state.idle_holders.find(connection);
    if (found == state.idle_holders.end() || found->second.number != number) return;
    State::IdleHolder& holder = found->second;
    holder.watched = false;
    if (state.waiting.empty()) return;
    if (state.database.clock().steady_ns() - holder.since_ns < state.idle_limit.count())
      return watch_idle(state);
    evict = std::exchange(holder.evict, {});
  }
  evict();
}

void RowStore::give_back(State& state, std::unique_ptr<Connection> connection) noexcept {
  connection->rollback();
  connection->set_progress(0, {});
  {
    std::lock_guard lock(state.mutex);
    --state.lent;
    state.idle_holders.erase(connection.get());
    const bool good =
        state.instance && connection->instance_ == state.instance && !state.instance->discarded();
    if (good) state.idle.push_back(std::move(connection));
  }
  connection.reset();
  serve_waiting(state);
}

bool RowStore::readers_wanted() const {
  std::lock_guard lock(state_->mutex);
  return !state_->waiting.empty();
}

// Gives readers to those who wait, as far as there are readers.
void RowStore::serve_waiting(State& state) {
  for (;;) {
    std::optional<State::Waiter> next;
    {
      std::lock_guard lock(state.mutex);
      if (state.waiting.empty()) return;
      next = std::move(state.waiting.front());
      state.waiting.pop_front();
    }
    auto taken = take_reader(state);
    if (taken && !*taken) {  // somebody was quicker
      std::lock_guard lock(state.mutex);
      state.waiting.push_front(std::move(*next));
      if (state.retreating || state.lent >= state.options.max_readers) return;
      continue;
    }
    auto self = std::static_pointer_cast<void>(state.shared_from_this());
    auto lease = taken ? Result<ReaderLease>(ReaderLease(std::move(self), std::move(*taken)))
                       : Result<ReaderLease>(std::unexpected(taken.error()));
    next->executor->post(
        [lend = std::move(next->lend), lease = std::move(lease)]() mutable { lend(std::move(lease)); });
  }
}

}  // namespace bop::rowstore
