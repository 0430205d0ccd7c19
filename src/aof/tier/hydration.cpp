#include "aof/tier/hydration.hpp"

#include <algorithm>
#include <compare>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <utility>

#include "base/assert.hpp"
#include "base/metrics.hpp"

namespace bop::aof {

namespace {

// While both wait, one start in so many is for who reads ahead.
constexpr std::uint64_t kBackgroundShare = 4;

struct PieceName {
  std::string key;
  std::uint64_t offset;
  std::uint64_t bytes;
  friend auto operator<=>(const PieceName&, const PieceName&) = default;
};

}  // namespace

struct Hydration::State : std::enable_shared_from_this<State> {
  struct Asker {
    std::uint64_t number;
    objstore::Completion<PieceBytes> done;
  };
  struct Piece {
    PieceName name;
    objstore::Priority priority;
    std::vector<Asker> askers;
    bool is_on_its_way = false;
    objstore::CallPtr call;
    std::int64_t asked_ns = 0;
  };
  using PiecePtr = std::shared_ptr<Piece>;

  State(objstore::ObjectStore& given, Clock& time, Options with, Arrived sink)
      : store(given), clock(time), options(with), arrived(std::move(sink)) {}

  objstore::ObjectStore& store;
  Clock& clock;
  const Options options;
  const Arrived arrived;

  mutable std::mutex mutex;
  std::map<PieceName, PiecePtr> pieces;  // waiting and on their way
  std::deque<PiecePtr> foreground;       // those that wait, each in one of the two, first come first served
  std::deque<PiecePtr> background;
  std::size_t in_flight = 0;
  std::uint64_t bytes_in_flight = 0;
  std::uint64_t starts = 0;
  std::uint64_t next_asker = 1;
  bool is_stopped = false;

  std::deque<PiecePtr>& queue_of(objstore::Priority priority) {
    return priority == objstore::Priority::kForeground ? foreground : background;
  }

  // With the mutex.
  [[nodiscard]] std::size_t waiting() const { return foreground.size() + background.size(); }
  void count() const {
    metrics().hydration_queue_depth.set(static_cast<std::int64_t>(waiting()));
    metrics().hydrations_in_flight.set(static_cast<std::int64_t>(in_flight));
  }

  // With the mutex: takes what may begin now.
  [[nodiscard]] std::vector<PiecePtr> take_ready() {
    std::vector<PiecePtr> ready;
    while (!is_stopped && in_flight < options.max_in_flight) {
      if (waiting() == 0) break;
      const bool is_ahead =
          foreground.empty() || (!background.empty() && starts % kBackgroundShare == kBackgroundShare - 1);
      std::deque<PiecePtr>& queue = is_ahead ? background : foreground;
      const PiecePtr piece = queue.front();
      // One piece always goes, whatever the limit.
      if (in_flight > 0 && bytes_in_flight + piece->name.bytes > options.max_bytes) break;
      queue.pop_front();
      piece->is_on_its_way = true;
      ++starts;
      ++in_flight;
      bytes_in_flight += piece->name.bytes;
      ready.push_back(piece);
    }
    count();
    return ready;
  }

  void begin(const std::vector<PiecePtr>& ready) {
    for (const PiecePtr& piece : ready) {
      objstore::CallPtr call = store.get(
          piece->name.key, objstore::Range{.offset = piece->name.offset, .bytes = piece->name.bytes},
          {.deadline = options.deadline, .priority = piece->priority},
          [state = shared_from_this(), piece](auto answer) { state->end(piece, std::move(answer)); });
      bool is_late = false;
      {
        const std::lock_guard guard(mutex);
        is_late = is_stopped;
        if (!is_late) piece->call = call;
      }
      if (is_late) call->cancel();
    }
  }

  void end(const PiecePtr& piece, Result<std::vector<std::byte>> answer) {
    Result<PieceBytes> result = PieceBytes{};
    if (!answer.has_value()) {
      result = std::unexpected(std::move(answer).error());
      metrics().hydration_failures_total.add();
    } else if (answer->size() != piece->name.bytes) {
      result = fail(ErrorCode::kCorrupt, "{}: {} has {} of the {} bytes from {} on", store.name(),
                    piece->name.key, answer->size(), piece->name.bytes, piece->name.offset);
      metrics().hydration_failures_total.add();
    } else {
      result = std::make_shared<const std::vector<std::byte>>(*std::move(answer));
      metrics().hydration_bytes_total.add(piece->name.bytes);
      // Before the piece is nobody's: who asks from here on finds it in the cache or joins.
      if (arrived && !has_stopped()) {
        arrived(piece->name.key, {.offset = piece->name.offset, .bytes = piece->name.bytes}, *result);
      }
    }
    metrics().hydrations_total.add();
    metrics().hydration_seconds.record(clock.steady_ns() - piece->asked_ns);
    std::vector<Asker> askers;
    std::vector<PiecePtr> ready;
    {
      const std::lock_guard guard(mutex);
      BOP_ASSERT(in_flight > 0 && bytes_in_flight >= piece->name.bytes);
      --in_flight;
      bytes_in_flight -= piece->name.bytes;
      const auto found = pieces.find(piece->name);
      if (found != pieces.end() && found->second == piece) pieces.erase(found);
      askers.swap(piece->askers);
      piece->call.reset();
      ready = take_ready();
    }
    begin(ready);
    for (Asker& asker : askers) asker.done(result);
  }

  [[nodiscard]] bool has_stopped() const {
    const std::lock_guard guard(mutex);
    return is_stopped;
  }

  void forget(const std::weak_ptr<Piece>& of, std::uint64_t number) {
    std::optional<Asker> dropped;  // destroyed without the mutex
    const std::lock_guard guard(mutex);
    const PiecePtr piece = of.lock();
    if (!piece) return;
    for (auto asker = piece->askers.begin(); asker != piece->askers.end(); ++asker) {
      if (asker->number != number) continue;
      dropped = std::move(*asker);
      piece->askers.erase(asker);
      break;
    }
    if (!dropped.has_value() || !piece->askers.empty() || piece->is_on_its_way) return;
    std::erase(queue_of(piece->priority), piece);
    pieces.erase(piece->name);
    count();
  }
};

Hydration::Hydration(objstore::ObjectStore& store, Clock& clock, Options options, Arrived arrived)
    : state_(std::make_shared<State>(store, clock, options, std::move(arrived))) {
  BOP_ASSERT(options.max_in_flight > 0 && options.max_bytes > 0 && options.max_waiting > 0);
}

Hydration::~Hydration() { stop(); }

Result<Hydration::Ticket> Hydration::fetch(std::string key, objstore::Range range,
                                           objstore::Priority priority,
                                           objstore::Completion<PieceBytes> done) {
  if (range.bytes == 0 || range.bytes > kMaxPieceBytes) {
    return fail(ErrorCode::kInvalidArgument, "{} bytes of {} were asked for at once; 1 to {} may be",
                range.bytes, key, kMaxPieceBytes);
  }
  std::vector<State::PiecePtr> ready;
  Ticket ticket;
  {
    const std::lock_guard guard(state_->mutex);
    if (state_->is_stopped) {
      return fail(ErrorCode::kAdminShutdown, "{} is not read any more: the log is closing", key);
    }
    PieceName name{.key = std::move(key), .offset = range.offset, .bytes = range.bytes};
    State::PiecePtr& piece = state_->pieces[name];
    if (!piece) {
      // Who reads ahead leaves half of the places to who waits.
      const std::size_t most =
          state_->options.max_waiting / (priority == objstore::Priority::kBackground ? 2 : 1);
      if (state_->waiting() >= std::max<std::size_t>(most, 1)) {
        state_->pieces.erase(name);
        return fail(ErrorCode::kInsufficientResources,
                    "{} pieces of archived segments are waited for already", state_->waiting());
      }
      piece = std::make_shared<State::Piece>(
          State::Piece{.name = std::move(name), .priority = priority, .asked_ns = state_->clock.steady_ns()});
      state_->queue_of(priority).push_back(piece);
    } else {
      metrics().hydrations_joined_total.add();
      if (priority == objstore::Priority::kForeground && piece->priority != priority) {
        if (!piece->is_on_its_way) {
          std::erase(state_->background, piece);
          state_->foreground.push_back(piece);
        }
        piece->priority = priority;
      }
    }
    const std::uint64_t number = state_->next_asker++;
    piece->askers.push_back({number, std::move(done)});
    ticket.drop_ = [state = std::weak_ptr(state_), of = std::weak_ptr(piece), number] {
      if (const auto alive = state.lock()) alive->forget(of, number);
    };
    ready = state_->take_ready();
  }
  state_->begin(ready);
  return ticket;
}

void Hydration::stop() {
  std::vector<State::Asker> askers;
  std::vector<objstore::CallPtr> calls;
  {
    const std::lock_guard guard(state_->mutex);
    if (std::exchange(state_->is_stopped, true)) return;
    for (auto& [name, piece] : state_->pieces) {
      for (State::Asker& asker : piece->askers) askers.push_back(std::move(asker));
      piece->askers.clear();
      // The call holds the piece as long as the store holds the call: not the other way round from here on.
      if (piece->call) calls.push_back(std::move(piece->call));
    }
    state_->pieces.clear();
    state_->foreground.clear();
    state_->background.clear();
    state_->count();
  }
  for (const objstore::CallPtr& call : calls) call->cancel();
  for (State::Asker& asker : askers) {
    asker.done(
        fail(ErrorCode::kAdminShutdown, "the log is closing: an archived segment is not read any more"));
  }
}

std::size_t Hydration::depth() const {
  const std::lock_guard guard(state_->mutex);
  return state_->waiting();
}
std::size_t Hydration::in_flight() const {
  const std::lock_guard guard(state_->mutex);
  return state_->in_flight;
}

Hydration::Ticket& Hydration::Ticket::operator=(Ticket&& other) noexcept {
  if (this != &other) {
    drop();
    drop_ = std::exchange(other.drop_, {});
  }
  return *this;
}
void Hydration::Ticket::drop() noexcept {
  if (const auto drop = std::exchange(drop_, {})) drop();
}

}  // namespace bop::aof
