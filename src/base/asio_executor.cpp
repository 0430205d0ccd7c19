#include "base/asio_executor.hpp"

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
#include <mutex>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/assert.hpp"
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
      int ran = 1;
      while (running.has_baton && ran < kBatch && !is_due()) {
        const bool none = io.poll_one() == 0;
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
    if (!watcher.joinable()) {
      watcher = std::thread([this] { watch_blocking(); });
    }
    is_idle = false;
    has_blocked = true;
    running.blocked_since_ns = system_clock().steady_ns();
    // Both in one order for all: the watcher looks at the one behind its change of the other.
    blocked_since_ns.store(running.blocked_since_ns, std::memory_order_seq_cst);
    if (watcher_sleeps.load(std::memory_order_seq_cst)) {
      const std::lock_guard guard(watcher_mutex);
      watcher_changed.notify_one();
    }
    return true;
  }
  void end_blocking() override {
    std::int64_t since = running.blocked_since_ns;
    if (!blocked_since_ns.compare_exchange_strong(since, 0)) return lose_baton();
    if (system_clock().steady_ns() - since > kUsualBlockNs) busy_turns = kBusyTurns;
  }

  // Of the thread that gives the baton of one that blocks too long to another one.
  void watch_blocking() {
    ::pthread_setname_np(::pthread_self(), "loop-watch");
    std::unique_lock guard(watcher_mutex);
    std::int64_t last = 0;
    for (int idle = 0; !stopping.load();) {
      if (idle >= kIdleLooks) {
        watcher_sleeps = true;
        watcher_changed.wait(guard, [&] { return stopping.load() || blocked_since_ns.load() != 0; });
        watcher_sleeps = false;
        idle = 0;
      }
      watcher_changed.wait_for(guard, kBetweenLooks, [&] { return stopping.load(); });
      const std::int64_t since = blocked_since_ns.load(std::memory_order_acquire);
      idle = since == last ? idle + 1 : 0;
      if (since > 0 && since == last) pass_on(since);
      last = since;
    }
  }
  void pass_on(std::int64_t since) {
    const std::lock_guard guard(mutex);
    if (stopping.load() || !has_spare()) return;
    if (!blocked_since_ns.compare_exchange_strong(since, 0)) return;
    metrics().reactor_stalls_total.add();
    busy_turns = kBusyTurns;
    has_blocked = false;
    is_ending = false;
    baton_is_free = true;
    changed.notify_one();
  }
  // With the mutex: a thread waits for the baton, or will.
  bool has_spare() {
    if (spares > 0) return true;
    if (threads.size() + (caller_runs ? 1 : 0) >= options.most_threads) return false;
    threads.emplace_back([this] { live(); });
    return true;
  }

  std::thread watcher;  // started by the first that blocks
  std::mutex watcher_mutex;
  std::condition_variable watcher_changed;
  std::atomic<bool> watcher_sleeps{false};
  std::atomic<std::int64_t> blocked_since_ns{0};  // by the steady clock, who has the baton; 0: it does not

  // A thread's life: to wait for the baton and run the loop with it.
  void live() {
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
  std::vector<std::thread> threads;
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
  loop_->threads.emplace_back([loop = loop_.get()] { loop->live(); });
}

void AsioExecutor::run() {
  {
    const std::lock_guard guard(loop_->mutex);
    BOP_ASSERT(loop_->threads.empty() && !loop_->caller_runs);
    loop_->caller_runs = true;
  }
  loop_->live();
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
    // The turn goes on for as long as the handler that asked: what waits for its end may not.
    guard.unlock();
    loop_->is_idle = false;
    loop_->end_turn();
    return false;
  }
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
  return loop_->threads.size() + (loop_->caller_runs ? 1 : 0);
}

}  // namespace bop
