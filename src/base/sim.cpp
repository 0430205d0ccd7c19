#include "base/sim.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

#include "base/assert.hpp"
#include "base/sim_disk.hpp"

namespace bop {

std::uint64_t SimRandom::next() noexcept {
  state_ += 0x9e3779b97f4a7c15;
  std::uint64_t z = state_;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

void SimRandom::fill(std::span<std::byte> out) noexcept {
  while (!out.empty()) {
    const std::uint64_t word = next();
    const std::size_t size = std::min(out.size(), sizeof(word));
    std::memcpy(out.data(), &word, size);
    out = out.subspan(size);
  }
}

void SimScheduler::attach(SimDisk& disk) {
  disks_.push_back(&disk);
  disk.use_clock(&clock_);
}
void SimScheduler::detach(SimDisk& disk) {
  std::erase(disks_, &disk);
  disk.use_clock(nullptr);
}

std::int64_t SimScheduler::next_timer_ns() const noexcept {
  std::int64_t next = std::numeric_limits<std::int64_t>::max();
  for (const SimExecutor* executor : executors_) {
    if (!executor->busy_ && !executor->timers_.empty()) {
      next = std::min(next, executor->timers_.begin()->first.due_ns);
    }
  }
  for (const SimDisk* disk : disks_) next = std::min(next, disk->next_completion_ns());
  return next;
}

bool SimScheduler::run_ready() {
  const std::int64_t now = clock_.steady_ns();
  std::size_t count = 0;
  for (const SimExecutor* executor : executors_) count += executor->is_ready(now) ? 1 : 0;
  for (const SimDisk* disk : disks_) count += disk->next_completion_ns() <= now ? 1 : 0;
  if (count == 0) return false;
  ++steps_;
  std::size_t chosen = random_.below(count);
  for (SimExecutor* executor : executors_) {
    if (executor->is_ready(now) && chosen-- == 0) {
      executor->run_next(now);
      return true;
    }
  }
  for (SimDisk* disk : disks_) {
    if (disk->next_completion_ns() <= now && chosen-- == 0) {
      disk->poll();
      return true;
    }
  }
  BOP_ASSERT(false);
}

bool SimScheduler::run_one() {
  if (run_ready()) return true;
  const std::int64_t next = next_timer_ns();
  if (next == std::numeric_limits<std::int64_t>::max()) return false;
  clock_.advance(std::chrono::nanoseconds(next - clock_.steady_ns()));
  return run_ready();
}

std::size_t SimScheduler::run_until_idle(std::size_t most) {
  std::size_t count = 0;
  while (run_one()) BOP_ASSERT(++count <= most);
  return count;
}

void SimScheduler::run_for(std::chrono::nanoseconds span) {
  const std::int64_t end = clock_.steady_ns() + span.count();
  for (;;) {
    if (run_ready()) continue;
    const std::int64_t next = next_timer_ns();
    if (next > end) break;
    clock_.advance(std::chrono::nanoseconds(next - clock_.steady_ns()));
  }
  clock_.advance(std::chrono::nanoseconds(std::max<std::int64_t>(0, end - clock_.steady_ns())));
}

SimExecutor::SimExecutor(SimScheduler& world) : world_(world) { world_.executors_.push_back(this); }

SimExecutor::~SimExecutor() {
  BOP_ASSERT(depth_ == 0);
  std::erase(world_.executors_, this);
}

Executor::TimerId SimExecutor::post_after(std::chrono::nanoseconds delay, Task task) {
  const TimerId id = world_.next_timer_++;
  const std::int64_t due = world_.clock_.steady_ns() + std::max<std::int64_t>(0, delay.count());
  timers_.emplace(TimerKey{due, id}, std::move(task));
  return id;
}

bool SimExecutor::cancel(TimerId id) {
  const auto found = std::ranges::find(timers_, id, [](const auto& timer) { return timer.first.id; });
  if (found == timers_.end()) return false;
  const Task dropped = std::move(found->second);  // destroyed after the map is whole again
  timers_.erase(found);
  return true;
}

bool SimExecutor::hand_off() {
  BOP_ASSERT(depth_ > 0);
  ++hand_offs_;
  busy_ = false;
  return true;
}

bool SimExecutor::is_ready(std::int64_t now_ns) const noexcept {
  return !busy_ && (!ready_.empty() || (!timers_.empty() && timers_.begin()->first.due_ns <= now_ns));
}

void SimExecutor::run_next(std::int64_t now_ns) {
  Task task;
  const bool timer_due = !timers_.empty() && timers_.begin()->first.due_ns <= now_ns;
  if (timer_due && (ready_.empty() || world_.random_.chance(1, 2))) {
    task = std::move(timers_.begin()->second);
    timers_.erase(timers_.begin());
  } else {
    task = std::move(ready_.front());
    ready_.pop_front();
  }
  busy_ = true;
  ++depth_;
  const std::uint64_t hand_offs_before = hand_offs_;
  task();
  task = nullptr;
  --depth_;
  // A task that handed off must not end the exclusivity of one that started since.
  if (hand_offs_ == hand_offs_before || depth_ == 0) busy_ = false;
}

}  // namespace bop
