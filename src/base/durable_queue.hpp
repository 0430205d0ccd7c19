// Durable writes of SystemDisk: what io_uring and the threads that stand in for it have in common.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/disk.hpp"
#include "base/error.hpp"

namespace bop {

// A descriptor opened with O_DSYNC, closed with its last user; writes in flight keep it open.
class DurableDescriptor {
 public:
  DurableDescriptor(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  ~DurableDescriptor();
  DurableDescriptor(const DurableDescriptor&) = delete;
  DurableDescriptor& operator=(const DurableDescriptor&) = delete;
  [[nodiscard]] int fd() const noexcept { return fd_; }
  [[nodiscard]] const std::string& path() const noexcept { return path_; }

 private:
  int fd_;
  std::string path_;
};

struct DurableWrite {
  std::shared_ptr<DurableDescriptor> file;
  std::uint64_t at = 0;
  std::span<const std::byte> bytes;  // what is still to be written
  File::Completion done;
};

// Thread-safe. Destruction waits for the writes in flight and drops their completions.
class DurableQueue {
 public:
  virtual ~DurableQueue() = default;
  virtual void submit(DurableWrite write) = 0;
  virtual std::size_t poll() = 0;
  virtual std::size_t wait() = 0;
  [[nodiscard]] virtual int event_fd() const noexcept = 0;
  [[nodiscard]] virtual std::string_view kind() const noexcept = 0;
};

// kNotImplemented with the reason when the kernel has no io_uring or forbids it.
[[nodiscard]] Result<std::unique_ptr<DurableQueue>> open_uring_queue();
[[nodiscard]] Result<std::unique_ptr<DurableQueue>> open_thread_queue();

// The error of a system call: ENOSPC and EDQUOT are kDiskFull, ENOENT is kFileNotFound, EEXIST is
// kFileExists, all others kIo.
[[nodiscard]] Error system_error(int code, std::string_view doing, std::string_view path);

}  // namespace bop
