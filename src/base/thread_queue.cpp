#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "base/assert.hpp"
#include "base/durable_queue.hpp"
#include "base/turn.hpp"

namespace bop {
namespace {

constexpr std::size_t kMostThreads = 16;  // the depth at which devices are measured to be at their best

// Threads that do one durable write at a time; all but the first are started when a write finds none idle. A
// thread that has nothing else to do at the end of its turn makes its write itself, and polls when the turn
// goes on.
class ThreadQueue final : public DurableQueue {
 public:
  explicit ThreadQueue(int event_fd) : event_fd_(event_fd) { add_thread(); }

  ~ThreadQueue() override {
    {
      const std::lock_guard guard(mutex_);
      stopping_ = true;
    }
    wanted_.notify_all();
    for (std::thread& thread : threads_) thread.join();
    ::close(event_fd_);
  }

  void submit(DurableWrite write) override {
    if (Turn* const turn = Turn::current(); turn != nullptr && turn->begin_blocking()) {
      return perform_here(std::move(write), *turn);
    }
    const std::lock_guard guard(mutex_);
    ++in_flight_;
    waiting_.push_back(std::move(write));
    if (waiting_.size() > idle_ && threads_.size() < kMostThreads) add_thread();
    wanted_.notify_one();
  }

  std::size_t poll() override {
    std::vector<Finished> ready;
    {
      const std::lock_guard guard(mutex_);
      ready.swap(finished_);
      in_flight_ -= ready.size();
    }
    for (Finished& finished : ready) finished.write.done(std::move(finished.status));
    return ready.size();
  }

  std::size_t wait() override {
    for (;;) {
      if (const std::size_t ran = poll(); ran > 0) return ran;
      std::unique_lock guard(mutex_);
      if (in_flight_ == 0) return 0;
      // Another thread may poll what this one waits for; then none is in flight or more will finish.
      done_.wait(guard, [&] { return !finished_.empty() || in_flight_ == 0; });
    }
  }

  int event_fd() const noexcept override { return event_fd_; }
  std::string_view kind() const noexcept override { return "pwritev"; }

 private:
  struct Finished {
    DurableWrite write;
    Status status;
  };

  void add_thread() {
    try {
      threads_.emplace_back([this] { run(); });
    } catch (const std::system_error&) {  // the system has no more: those that are there do it
      BOP_ASSERT(!threads_.empty());
    }
  }

  // In the calling thread, which has nothing better to do.
  void perform_here(DurableWrite write, Turn& turn) {
    {
      const std::lock_guard guard(mutex_);
      ++in_flight_;
    }
    Status status = perform(write);
    turn.end_blocking();
    const std::lock_guard guard(mutex_);
    finished_.push_back({std::move(write), std::move(status)});
    done_.notify_all();
    if (Turn::current() == &turn) {
      turn.at_end(this, std::chrono::nanoseconds(0), [this] { poll(); });
    } else {
      wake();
    }
  }
  void wake() const {
    const std::uint64_t one = 1;
    // EAGAIN means that the counter is at its limit: readable all the same.
    [[maybe_unused]] const ssize_t written = ::write(event_fd_, &one, sizeof(one));
  }

  void run() {
    ::pthread_setname_np(::pthread_self(), "durable-write");
    std::unique_lock guard(mutex_);
    for (;;) {
      ++idle_;
      wanted_.wait(guard, [&] { return stopping_ || !waiting_.empty(); });
      --idle_;
      if (waiting_.empty()) return;
      DurableWrite write = std::move(waiting_.front());
      waiting_.pop_front();
      guard.unlock();
      Status status = perform(write);
      guard.lock();
      finished_.push_back({std::move(write), std::move(status)});
      done_.notify_all();
      wake();
    }
  }

  static Status perform(const DurableWrite& write) {
    std::uint64_t at = write.at;
    std::span<const std::byte> rest = write.bytes;
    while (!rest.empty()) {
      const iovec part{const_cast<std::byte*>(rest.data()), rest.size()};
      const ssize_t written = ::pwritev(write.file->fd(), &part, 1, static_cast<off_t>(at));
      if (written < 0) {
        if (errno == EINTR || errno == EAGAIN) continue;
        return std::unexpected(system_error(errno, "write", write.file->path()));
      }
      const std::size_t whole = static_cast<std::size_t>(written) == rest.size()
                                    ? rest.size()
                                    : static_cast<std::size_t>(written) / kDiskBlockBytes * kDiskBlockBytes;
      if (whole == 0) return std::unexpected(system_error(ENOSPC, "write", write.file->path()));
      at += whole;
      rest = rest.subspan(whole);
    }
    return {};
  }

  const int event_fd_;
  std::mutex mutex_;
  std::condition_variable wanted_, done_;
  std::deque<DurableWrite> waiting_;
  std::vector<Finished> finished_;
  std::vector<std::thread> threads_;
  std::size_t idle_ = 0;
  std::size_t in_flight_ = 0;  // submitted, completion not yet taken by poll
  bool stopping_ = false;
};

}  // namespace

Result<std::unique_ptr<DurableQueue>> open_thread_queue() {
  const int fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (fd < 0) return std::unexpected(system_error(errno, "create", "eventfd"));
  return std::make_unique<ThreadQueue>(fd);
}

}  // namespace bop
