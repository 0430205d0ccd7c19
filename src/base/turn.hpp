// What a thread that runs a loop of handlers offers to whoever the handlers call.
//
// A loop takes turns: it runs the handlers that are ready, then looks for more. Work that many handlers of a
// turn ask for (the write of the log that makes their commits durable) is best done once at its end.
//
// Who waits for another loop's turn: a session that was shown a commit of this turn, before the write with it
// is submitted, waits at the output gate until this turn has ended, whichever loop it is on. That is not
// long:
//   * the handlers of a turn begin within `most` of the first that asked for its end (the log: 1 ms);
//   * one that runs on hands off (statement_budget_ms: 5 ms), and the thread that takes over ends the turn;
//   * where no thread takes over, hand_off ends the turn itself, and the handler has none until it returns:
//     what it asks for later is done at once;
//   * who blocks at the end of a turn (begin_blocking) has submitted what others wait for: it is that write;
//   * completions of other writes are taken by any thread that polls the disk, at the latest by the thread
//     that looks after one that blocks, or that keeps its loop.
// So it waits for at most these milliseconds and one disk write.
//
// Threads: a turn belongs to the thread for which it is `current`.
#pragma once

#include <chrono>
#include <utility>
#include <vector>

#include "base/time.hpp"

namespace bop {

class Turn {
 public:
  virtual ~Turn() = default;
  // Of the calling thread; null when it runs no loop (any more: hand_off took it away) or keeps it for long.
  [[nodiscard]] static Turn* current() noexcept { return current_; }

  // Runs `task` once, in this loop, when the handlers that are ready have run, or soon after `most` has
  // passed; `key`: the same one again in this turn is that task.
  virtual void at_end(const void* key, std::chrono::nanoseconds most, Task task) = 0;

  // Before a call that blocks for some hundred microseconds at most: true when nothing is known to wait for
  // this thread. Then `end_blocking` follows. A call that takes long does not hold up the loop: another
  // thread goes on with it.
  [[nodiscard]] virtual bool begin_blocking() = 0;
  virtual void end_blocking() = 0;

 protected:
  static void set_current(Turn* turn) noexcept { current_ = turn; }

 private:
  friend class NoTurn;
  static inline thread_local Turn* current_ = nullptr;
};

// While it exists the calling thread has no turn: it waits for what it asks for, so that nothing may be left
// for an end that comes after.
class NoTurn final {
 public:
  NoTurn();
  ~NoTurn();
  NoTurn(const NoTurn&) = delete;
  NoTurn& operator=(const NoTurn&) = delete;

 private:
  Turn* const before_;
};

// For a thread that runs no loop and waits for what it has asked for: a turn is what it does until `end`, and
// it may block.
class CallerTurn final : public Turn {
 public:
  CallerTurn() : before_(current()) { set_current(this); }
  ~CallerTurn() override {
    end();
    set_current(before_);
  }
  CallerTurn(const CallerTurn&) = delete;
  CallerTurn& operator=(const CallerTurn&) = delete;

  void end() {
    while (!tasks_.empty()) {
      for (auto& [key, task] : std::exchange(tasks_, {})) task();
    }
  }
  void at_end(const void* key, std::chrono::nanoseconds, Task task) override {
    for (const auto& [known, other] : tasks_) {
      if (known == key) return;
    }
    tasks_.emplace_back(key, std::move(task));
  }
  bool begin_blocking() override { return true; }
  void end_blocking() override {}

 private:
  Turn* const before_;
  std::vector<std::pair<const void*, Task>> tasks_;
};

inline NoTurn::NoTurn() : before_(Turn::current()) { Turn::set_current(nullptr); }
inline NoTurn::~NoTurn() { Turn::set_current(before_); }

}  // namespace bop
