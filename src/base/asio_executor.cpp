#include "base/asio_executor.hpp"

#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <condition_variable>
#include <cstdint>
#include <list>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/assert.hpp"
#include "base/log.hpp"
#include "base/metrics.hpp"
#include "base/turn.hpp"

namespace bop {
namespace {

namespace asio = boost::asio;

// Handlers run between two looks at the disks.
constexpr int kBatch = 64;
// How often somebody looks after a thread that blocks at the end of its turn: the second look passes the loop
// on to another one.
constexpr std::chrono::milliseconds kBetweenLooks{5};
// Above this a call is better made by a thread that nobody waits for.
constexpr std::int64_t kUsualBlockNs = 1'000'000;
// So many handlers may become ready while a thread blocks: what it blocked for wakes one.
constexpr int kFewReady = 2;
// Where more did, so many turns pass before blocking is tried again.
constexpr int kBusyTurns = 256;
// Without a call that blocks for so long, the thread that looks after them sleeps until there is one.
constexpr int kIdleLooks = 200;
// Threads that wait for the baton; more end.
constexpr std::size_t kMostSpares = 16;
constexpr std::chrono::nanoseconds kBetweenWarnings = std::chrono::seconds{10};

// What the calling thread runs at the moment.
struct Running {
  const void* loop = nullptr;
  bool has_baton = false;
  std::int64_t blocked_since_ns = 0;
};
thread_local Running running;

}  // namespace

struct AsioExecutor::Loop final : Turn {
  struct Timer {
    Timer(asio::io_context& io, Task work) : timer(io), task(std::move(work)) {}
    asio::steady_timer timer;
    Task task;
  };
  struct Watch {
    Disk* disk;
    std::unique_ptr<asio::posix::stream_descriptor> descriptor;
  };

  explicit Loop(Options given) : options(std::move(given)) {}

  void arm(Watch& watch) {
    watch.descriptor->async_wait(asio::posix::stream_descriptor::wait_read, [this,
                                                                             &watch](const auto& failure) {
      if (failure) return;
      std::uint64_t count = 0;
      [[maybe_unused]] const ssize_t got = ::read(watch.descriptor->native_handle(), &count, sizeof(count));
      arm(watch);
      watch.disk->poll();
    });
  }

  // One handler: sleeps until there is one, or looks without sleeping while work is expected.
  void run_one() noexcept {
    for (std::int64_t until = expected_until.load(std::memory_order_relaxed); until != 0;
         until = expected_until.load(std::memory_order_relaxed)) {
      if (io.poll_one() > 0 || stopping.load(std::memory_order_acquire)) return;
      if (system_clock().steady_ns() < until) continue;
      expected_until.compare_exchange_strong(until, 0, std::memory_order_relaxed);
    }
    io.run_one();
  }

  static void lose_baton() {
    running.has_baton = false;
    set_current(nullptr);
  }

  // Runs handlers while this thread has the baton.
  void turn() noexcept {
    running = {.loop = this, .has_baton = true};
    set_current(this);
    is_idle = false;
    end_turn();  // what a thread that handed off has left
    while (running.has_baton && !stopping.load(std::memory_order_acquire)) {
      run_one();
      if (is_kept.load(std::memory_order_relaxed)) take_turn_back();
      int ran = 1;
      while (running.has_baton && ran < kBatch && !is_due()) {
        const bool none = io.poll_one() == 0;
        if (is_kept.load(std::memory_order_relaxed)) take_turn_back();
        if (!running.has_baton) break;
        is_idle = none;
        if (none) break;
        ++ran;
      }
      if (!running.has_baton) break;
      if (std::exchange(has_blocked, false) && ran > kFewReady) busy_turns = kBusyTurns;
      for (Watch& watch : watches) {
        if (watch.disk->poll() > 0) is_idle = false;
      }
      end_turn();
    }
    set_current(nullptr);
    running = {};
  }

  // ---- the turn; its members are the baton's
  struct Ending {
    const void* key = nullptr;
    Task task;
  };
  std::vector<Ending> endings;
  std::int64_t endings_due_ns = 0;
  bool is_idle = false;  // no handler is ready
  bool is_ending = false;
  bool has_blocked = false;  // at the end of the last turn
  int busy_turns = 0;

  void at_end(const void* key, std::chrono::nanoseconds most, Task task) override {
    for (const Ending& ending : endings) {
      if (ending.key == key) return;
    }
    const std::int64_t due = system_clock().steady_ns() + most.count();
    endings_due_ns = endings.empty() ? due : std::min(endings_due_ns, due);
    endings.push_back({key, std::move(task)});
  }
  [[nodiscard]] bool is_due() const {
    return !endings.empty() && system_clock().steady_ns() >= endings_due_ns;
  }
  void end_turn() {
    while (running.has_baton && !endings.empty()) {
      is_ending = true;
      std::vector<Ending> now = std::exchange(endings, {});
      for (Ending& ending : now) ending.task();
      if (!running.has_baton) return;
      is_ending = false;
      is_idle = false;  // as far as anybody knows
    }
  }

  bool begin_blocking() override {
    if (!is_ending || !is_idle || expected_until.load(std::memory_order_relaxed) != 0) return false;
    if (busy_turns > 0) return --busy_turns, false;
    if (!start_watcher()) return false;
    is_idle = false;
    has_blocked = true;
    running.blocked_since_ns = system_clock().steady_ns();
    // Both in one order for all: the watcher looks at the one behind its change of the other.
    blocked_since_ns.store(running.blocked_since_ns, std::memory_order_seq_cst);
    wake_watcher();
    return true;
  }
  void end_blocking() override {
    std::int64_t since = running.blocked_since_ns;
    if (!blocked_since_ns.compare_exchange_strong(since, 0)) return lose_baton();
    if (system_clock().steady_ns() - since > kUsualBlockNs) busy_turns = kBusyTurns;
  }

  // ---- a handler that keeps the baton for long, for want of a thread to hand it to
  // It has no turn from then on until it returns: what it asks of the log is submitted at once.
  void keep_baton() {
    is_idle = false;
    end_turn();
    set_current(nullptr);
    if (is_kept.exchange(true)) return;
    if (const std::int64_t now = system_clock().steady_ns(); now >= kept_told_until_ns) {
      kept_told_until_ns = now + kBetweenWarnings.count();
      log_warning("a loop stands still: all threads that it may have run long statements",
                  {{"loop", options.name}, {"threads", options.most_threads}});
    }
    wake_watcher();
  }
  // Behind a handler. Its thread may have handed off after all: then it is another's turn.
  void take_turn_back() {
    if (!running.has_baton) return;
    is_kept = false;
    set_current(this);
  }
  std::atomic<bool> is_kept{false};
  std::int64_t kept_told_until_ns = 0;  // by the steady clock

  // ---- the watcher: passes on the baton of a thread that blocks too long, and polls the disks for one that
  // keeps it. Others wait for their completions, which are nobody's turn.
  [[nodiscard]] bool start_watcher() {
    if (watcher.joinable()) return true;
    try {
      watcher = std::thread([this] { watch(); });
      return true;
    } catch (const std::system_error&) {  // the system has no more threads
      return false;
    }
  }
  void wake_watcher() {
    if (!watcher_sleeps.load(std::memory_order_seq_cst)) return;
    const std::lock_guard guard(watcher_mutex);
    watcher_changed.notify_one();
  }
  void watch() {
    ::pthread_setname_np(::pthread_self(), "loop-watch");
    std::unique_lock guard(watcher_mutex);
    std::int64_t last = 0;
    for (int idle = 0; !stopping.load();) {
      if (idle >= kIdleLooks) {
        watcher_sleeps = true;
        watcher_changed.wait(
            guard, [&] { return stopping.load() || blocked_since_ns.load() != 0 || is_kept.load(); });
        watcher_sleeps = false;
        idle = 0;
      }
      bool polls = is_kept.load();
      if (!polls) watcher_changed.wait_for(guard, kBetweenLooks, [&] { return stopping.load(); });
      const std::int64_t since = blocked_since_ns.load(std::memory_order_acquire);
      idle = since == last && !polls ? idle + 1 : 0;
      if (since > 0 && since == last && !pass_on(since)) polls = true;
      last = since;
      if (polls) {
        guard.unlock();
        poll_disks();
        guard.lock();
      }
    }
  }
  // Waits for completions between two looks at most.
  void poll_disks() {
    std::vector<pollfd> ready;
    for (const Watch& watch : watches) ready.push_back({watch.disk->event_fd(), POLLIN, 0});
    ::poll(ready.data(), ready.size(), static_cast<int>(kBetweenLooks.count()));
    for (std::size_t i = 0; i < ready.size(); ++i) {
      std::uint64_t count = 0;
      if ((ready[i].revents & POLLIN) != 0) {
        [[maybe_unused]] const ssize_t got = ::read(ready[i].fd, &count, sizeof(count));
      }
      watches[i].disk->poll();
    }
  }
  // False: there is no thread to pass it on to.
  bool pass_on(std::int64_t since) {
    const std::lock_guard guard(mutex);
    if (stopping.load()) return true;
    if (!has_spare()) return false;
    if (!blocked_since_ns.compare_exchange_strong(since, 0)) return true;
    metrics().reactor_stalls_total.add();
    busy_turns = kBusyTurns;
    has_blocked = false;
    is_ending = false;
    baton_is_free = true;
    changed.notify_one();
    return true;
  }
  // Later there may be no thread to be had.
  [[nodiscard]] bool has_watcher_of_disks() { return watches.empty() || start_watcher(); }
  std::thread watcher;  // of a loop without disks, started by the first that blocks
  std::mutex watcher_mutex;
  std::condition_variable watcher_changed;
  std::atomic<bool> watcher_sleeps{false};
  std::atomic<std::int64_t> blocked_since_ns{0};  // by the steady clock, who has the baton; 0: it does not

  // With the mutex: a thread waits for the baton, or will.
  bool has_spare() {
    if (spares > 0) return true;
    if (living + (caller_runs ? 1 : 0) >= options.most_threads) return false;
    for (const auto& thread : ended) {
      thread->join();
      threads.erase(thread);
    }
    ended.clear();
    try {
      const auto thread = threads.emplace(threads.end());
      *thread = std::thread([this, thread] { live(thread); });
    } catch (const std::system_error&) {  // as above
      threads.pop_back();
      return false;
    }
    ++living;
    return true;
  }

  // A thread's life: to wait for the baton and run the loop with it. Those that come back when enough wait
  // end; who runs in the caller's thread stays.
  using Threads = std::list<std::thread>;
  void live(std::optional<Threads::iterator> self) {
    ::pthread_setname_np(::pthread_self(), options.name.substr(0, 15).c_str());
    std::unique_lock guard(mutex);
    for (;;) {
      ++spares;
      changed.wait(guard, [&] { return baton_is_free || stopping.load(); });
      --spares;
      if (stopping.load()) return;
      baton_is_free = false;
      guard.unlock();
      turn();
      guard.lock();
      if (self && spares >= kMostSpares && !stopping.load()) {
        --living;
        ended.push_back(*self);
        return;
      }
    }
  }

  const Options options;
  // Before the context: tasks that are dropped with it may still cancel timers.
  std::mutex timer_mutex;
  std::unordered_map<TimerId, std::shared_ptr<Timer>> timers;
  TimerId next_timer = 1;

  asio::io_context io{2};  // two: a handler that handed off is still inside
  asio::executor_work_guard<asio::io_context::executor_type> work{io.get_executor()};
  std::vector<Watch> watches;
  std::atomic<bool> stopping{false};
  std::atomic<std::int64_t> expected_until{0};  // of the steady clock; 0: nothing is expected

  mutable std::mutex mutex;
  std::condition_variable changed;
  bool baton_is_free = true;
  std::size_t spares = 0;  // threads that wait for the baton
  bool caller_runs = false;
  std::size_t living = 0;  // of `threads`
  Threads threads;
  std::vector<Threads::iterator> ended;  // to be joined
};

AsioExecutor::AsioExecutor() : AsioExecutor(Options{}) {}
AsioExecutor::AsioExecutor(Options options) : loop_(std::make_unique<Loop>(std::move(options))) {
  loop_->watches.reserve(8);
}

AsioExecutor::~AsioExecutor() {
  stop();
  std::unordered_map<TimerId, std::shared_ptr<Loop::Timer>> dropped;  // destroyed without the mutex
  const std::lock_guard guard(loop_->timer_mutex);
  dropped.swap(loop_->timers);
}

void AsioExecutor::attach(Disk& disk) {
  BOP_ASSERT(loop_->threads.empty() && loop_->watches.size() < loop_->watches.capacity());
  Loop::Watch& watch = loop_->watches.emplace_back(&disk, nullptr);
  if (disk.event_fd() < 0) return;
  const int own = ::dup(disk.event_fd());  // the descriptor object closes what it is given
  BOP_ASSERT(own >= 0);
  watch.descriptor = std::make_unique<asio::posix::stream_descriptor>(loop_->io, own);
  loop_->arm(watch);
}

void AsioExecutor::start() {
  const std::lock_guard guard(loop_->mutex);
  BOP_ASSERT(loop_->threads.empty() && !loop_->caller_runs);
  const bool started = loop_->has_spare() && loop_->has_watcher_of_disks();
  BOP_ASSERT(started);
}

void AsioExecutor::run() {
  {
    const std::lock_guard guard(loop_->mutex);
    BOP_ASSERT(loop_->threads.empty() && !loop_->caller_runs);
    loop_->caller_runs = true;
    const bool started = loop_->has_watcher_of_disks();
    BOP_ASSERT(started);
  }
  loop_->live(std::nullopt);
}

void AsioExecutor::stop_soon() noexcept {
  {
    const std::lock_guard guard(loop_->mutex);
    loop_->stopping = true;
  }
  loop_->changed.notify_all();
  {
    const std::lock_guard guard(loop_->watcher_mutex);
    loop_->watcher_changed.notify_all();
  }
  loop_->io.stop();
}

void AsioExecutor::stop() {
  BOP_ASSERT(!is_current());
  stop_soon();
  // No thread is started any more: hand_off looks at `stopping` under the mutex.
  for (std::thread& thread : loop_->threads) {
    if (thread.joinable()) thread.join();
  }
  if (loop_->watcher.joinable()) loop_->watcher.join();
}

asio::io_context& AsioExecutor::io() noexcept { return loop_->io; }

void AsioExecutor::post(Task task) {
  asio::post(loop_->io, [task = std::move(task)]() mutable { task(); });
}

Executor::TimerId AsioExecutor::post_after(std::chrono::nanoseconds delay, Task task) {
  auto timer = std::make_shared<Loop::Timer>(loop_->io, std::move(task));
  timer->timer.expires_after(std::chrono::duration_cast<std::chrono::steady_clock::duration>(delay));
  const std::lock_guard guard(loop_->timer_mutex);
  const TimerId id = loop_->next_timer++;
  loop_->timers.emplace(id, timer);
  timer->timer.async_wait([loop = loop_.get(), id](const auto&) {
    std::shared_ptr<Loop::Timer> due;
    {
      const std::lock_guard inner(loop->timer_mutex);
      const auto found = loop->timers.find(id);
      if (found == loop->timers.end()) return;  // cancelled
      due = std::move(found->second);
      loop->timers.erase(found);
    }
    due->task();
  });
  return id;
}

bool AsioExecutor::cancel(TimerId id) {
  std::shared_ptr<Loop::Timer> dropped;
  const std::lock_guard guard(loop_->timer_mutex);
  const auto found = loop_->timers.find(id);
  if (found == loop_->timers.end()) return false;
  dropped = std::move(found->second);
  loop_->timers.erase(found);
  dropped->timer.cancel();
  return true;
}

bool AsioExecutor::is_current() const noexcept { return running.loop == loop_.get(); }

bool AsioExecutor::hand_off() {
  BOP_ASSERT(is_current());
  if (!running.has_baton) return false;
  std::unique_lock guard(loop_->mutex);
  if (loop_->stopping) return false;
  if (!loop_->has_spare()) {
    // The turn would go on for as long as the handler that asked: what waits for its end may not.
    guard.unlock();
    loop_->keep_baton();
    return false;
  }
  loop_->is_kept = false;
  Loop::lose_baton();
  loop_->baton_is_free = true;
  loop_->changed.notify_one();
  return true;
}

void AsioExecutor::expect(std::chrono::nanoseconds within) noexcept {
  loop_->expected_until.store(system_clock().steady_ns() + within.count(), std::memory_order_relaxed);
}

std::size_t AsioExecutor::threads() const {
  const std::lock_guard guard(loop_->mutex);
  return loop_->living + (loop_->caller_runs ? 1 : 0);
}

}  // namespace bop
