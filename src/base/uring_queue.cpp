#include <liburing.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <utility>
#include <vector>

#include "base/assert.hpp"
#include "base/durable_queue.hpp"

namespace bop {
namespace {

constexpr unsigned kEntries = 256;
// Only if another thread reaps the completions that `wait` waits for does this limit matter.
constexpr int kRecheckMs = 10;

// One ring. Submission and reaping each have their mutex; completions run outside both.
class UringQueue final : public DurableQueue {
 public:
  static Result<std::unique_ptr<DurableQueue>> open() {
    auto queue = std::make_unique<UringQueue>();
    io_uring_params parameters{};
    if (const int status = io_uring_queue_init_params(kEntries, &queue->ring_, &parameters); status < 0) {
      return std::unexpected(
          error(ErrorCode::kNotImplemented, "io_uring is not available: {}", describe(-status)));
    }
    queue->open_ = true;
    if ((parameters.features & IORING_FEAT_NODROP) == 0) {
      return fail(ErrorCode::kNotImplemented, "this kernel's io_uring may drop completions");
    }
    queue->event_fd_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (queue->event_fd_ < 0) return std::unexpected(system_error(errno, "create", "eventfd"));
    if (const int status = io_uring_register_eventfd(&queue->ring_, queue->event_fd_); status < 0) {
      return fail(ErrorCode::kNotImplemented, "io_uring takes no eventfd: {}", describe(-status));
    }
    return queue;
  }

  ~UringQueue() override {
    if (open_) {
      while (in_flight_.load() > 0) {
        io_uring_cqe* entry = nullptr;
        if (io_uring_wait_cqe(&ring_, &entry) < 0) continue;
        delete static_cast<DurableWrite*>(io_uring_cqe_get_data(entry));
        io_uring_cqe_seen(&ring_, entry);
        --in_flight_;
      }
      io_uring_queue_exit(&ring_);
    }
    if (event_fd_ >= 0) ::close(event_fd_);
  }

  void submit(DurableWrite write) override {
    ++in_flight_;
    enqueue(new DurableWrite(std::move(write)));
  }

  std::size_t poll() override {
    if (in_flight_.load(std::memory_order_acquire) == 0) return 0;
    std::vector<std::pair<DurableWrite*, Status>> ready;
    {
      const std::lock_guard guard(reap_mutex_);
      io_uring_cqe* entry = nullptr;
      while (io_uring_peek_cqe(&ring_, &entry) == 0) {
        // The kernel orders the submitter before us, which neither the language nor the thread sanitizer
        // knows.
        (void)handed_over_.load(std::memory_order_acquire);
        auto* write = static_cast<DurableWrite*>(io_uring_cqe_get_data(entry));
        const int result = entry->res;
        io_uring_cqe_seen(&ring_, entry);
        take(write, result, ready);
      }
    }
    for (auto& [write, status] : ready) {
      const std::unique_ptr<DurableWrite> owned(write);
      owned->done(std::move(status));
    }
    return ready.size();
  }

  std::size_t wait() override {
    while (in_flight_.load(std::memory_order_acquire) > 0) {
      if (const std::size_t ran = poll(); ran > 0) return ran;
      pollfd waits{event_fd_, POLLIN, 0};
      if (::poll(&waits, 1, kRecheckMs) > 0) {
        std::uint64_t ignored = 0;
        [[maybe_unused]] const ssize_t got = ::read(event_fd_, &ignored, sizeof(ignored));
      }
    }
    return 0;
  }

  int event_fd() const noexcept override { return event_fd_; }
  std::string_view kind() const noexcept override { return "io_uring"; }

 private:
  static std::string describe(int code) { return std::string(::strerror(code)); }

  void enqueue(DurableWrite* write) {
    const std::lock_guard guard(submit_mutex_);
    io_uring_sqe* entry = io_uring_get_sqe(&ring_);
    BOP_ASSERT(entry != nullptr);  // every entry is submitted below, so that the queue is empty here
    io_uring_prep_write(entry, write->file->fd(), write->bytes.data(),
                        static_cast<unsigned>(write->bytes.size()), write->at);
    io_uring_sqe_set_data(entry, write);
    handed_over_.fetch_add(1, std::memory_order_release);  // from here on the write is the reaper's; see poll
    int status = 0;
    do {
      status = io_uring_submit(&ring_);
    } while (status == -EINTR || status == -EAGAIN || status == -EBUSY || status == 0);
    BOP_ASSERT(status == 1);
  }

  // What a completion entry means: done, failed, or the rest has to be written again.
  void take(DurableWrite* write, int result, std::vector<std::pair<DurableWrite*, Status>>& ready) {
    if (result == -EINTR || result == -EAGAIN) return enqueue(write);
    if (result < 0) {
      ready.emplace_back(write, std::unexpected(system_error(-result, "write", write->file->path())));
    } else if (static_cast<std::size_t>(result) < write->bytes.size()) {
      // A short write: whole blocks of it count; no block at all means that no space is left.
      const std::size_t whole = static_cast<std::size_t>(result) / kDiskBlockBytes * kDiskBlockBytes;
      if (whole > 0) {
        write->at += whole;
        write->bytes = write->bytes.subspan(whole);
        return enqueue(write);
      }
      ready.emplace_back(write, std::unexpected(system_error(ENOSPC, "write", write->file->path())));
    } else {
      ready.emplace_back(write, Status{});
    }
    --in_flight_;
  }

  io_uring ring_{};
  bool open_ = false;
  int event_fd_ = -1;
  std::mutex submit_mutex_, reap_mutex_;
  std::atomic<std::size_t> in_flight_{0};
  std::atomic<std::uint64_t> handed_over_{0};
};

}  // namespace

Result<std::unique_ptr<DurableQueue>> open_uring_queue() { return UringQueue::open(); }

}  // namespace bop
