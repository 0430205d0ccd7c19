// The real Executor: one thread at a time runs a Boost.Asio io_context, and with it sockets, tasks, timers
// and the completions of a Disk.
//
// The thread that runs handlers holds the baton. `hand_off` passes it to a spare thread, which goes on with
// the loop while the handler that called it runs to its end; its thread then waits as a spare. So handlers
// never overlap but for those that handed off. Operations that a handler started as a continuation of itself
// before it handed off may wait for its end.
//
// Where no thread is left to pass the baton to, the handler keeps it: this loop's tasks and sockets wait
// until the handler ends or a thread comes back. Nobody else does: the handler has no turn from then on
// (turn.hpp), and the watching thread polls the disks.
//
// A turn of the loop (turn.hpp): the handlers that are ready, at most 64, then the disks, then what asked for
// its end. Whoever blocks there while no handler is ready does so in the loop's own thread, which spares two
// changes of thread a call; after 5 to 10 ms a watching thread passes the baton on as hand_off would.
//
// Tasks start in the order in which they were posted. Destruction stops the loop; tasks that did not run are
// dropped. An exception that leaves a task ends the process.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "base/disk.hpp"
#include "base/time.hpp"

namespace boost::asio {
class io_context;
}

namespace bop {

class AsioExecutor final : public Executor {
 public:
  struct Options {
    std::string name = "reactor";   // of its threads, as the system shows them; at most 15 bytes count
    std::size_t most_threads = 32;  // with this many in use, hand_off keeps the baton; spare ones end
  };
  AsioExecutor();
  explicit AsioExecutor(Options options);
  ~AsioExecutor() override;

  // Polls `disk` when its descriptor says so and after each batch of handlers. Before start() or run(); the
  // disk must outlive the loop.
  void attach(Disk& disk);

  // Starts the first thread.
  void start();
  // Instead of start(): runs the loop in the calling thread until stop_soon().
  void run();
  // Ends the loop after the handlers that run now; from any thread, also from a task.
  void stop_soon() noexcept;
  // stop_soon() and waits for all threads. Not from a task.
  void stop();

  // For sockets and signals: handlers of this context run under the rules above.
  [[nodiscard]] boost::asio::io_context& io() noexcept;

  void post(Task task) override;
  TimerId post_after(std::chrono::nanoseconds delay, Task task) override;
  bool cancel(TimerId id) override;
  bool is_current() const noexcept override;
  bool hand_off() override;
  void expect(std::chrono::nanoseconds within) noexcept override;

  [[nodiscard]] std::size_t threads() const;

 private:
  struct Loop;
  std::unique_ptr<Loop> loop_;
};

}  // namespace bop
