// Files of the operating system.
//
// A file that is written with write_durable has two descriptors: the buffered one that every other call uses,
// and one with O_DIRECT | O_DSYNC. The kernel keeps them coherent where it matters here: a direct write first
// writes back dirty cached pages of its range and drops the cached pages afterwards, so that a read_at that
// starts after the completion sees the written bytes. A read_at that overlaps a write in flight may see
// either; nobody asks. A file system without O_DIRECT (tmpfs) gets O_DSYNC through the cache, which needs no
// such care.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <thread>

#include "base/assert.hpp"
#include "base/disk.hpp"
#include "base/durable_queue.hpp"
#include "base/log.hpp"

namespace bop {

Error system_error(int code, std::string_view doing, std::string_view path) {
  ErrorCode kind = ErrorCode::kIo;
  if (code == ENOSPC || code == EDQUOT) kind = ErrorCode::kDiskFull;
  if (code == ENOENT) kind = ErrorCode::kFileNotFound;
  if (code == EEXIST) kind = ErrorCode::kFileExists;
  return error(kind, "cannot {} \"{}\": {}", doing, path, std::strerror(code));
}

DurableDescriptor::~DurableDescriptor() { ::close(fd_); }

namespace {

constexpr std::size_t kZeroBytes = std::size_t{1} << 20;
// So many zeros are written past the page cache: there they would cost a copy, and direct writes over them
// would have to drop them again.
constexpr std::uint64_t kDirectZeroBytes = std::uint64_t{8} << 20;
constexpr mode_t kFileMode = 0600;
constexpr mode_t kDirectoryMode = 0700;

std::unexpected<Error> failed(const char* doing, const std::string& path) {
  return std::unexpected(system_error(errno, doing, path));
}

// Zeros to write from, page-aligned.
const std::byte* zeros() {
  alignas(4096) static const std::byte kZeros[kZeroBytes]{};
  return kZeros;
}

class SystemFile final : public File {
 public:
  SystemFile(std::shared_ptr<DurableQueue> queue, int fd, std::string path)
      : queue_(std::move(queue)), fd_(fd), path_(std::move(path)) {}
  ~SystemFile() override { ::close(fd_); }

  Result<std::size_t> read_at(ByteOffset at, std::span<std::byte> out) override {
    std::size_t count = 0;
    while (count < out.size()) {
      const ssize_t got =
          ::pread(fd_, out.data() + count, out.size() - count, static_cast<off_t>(at.value + count));
      if (got == 0) break;
      if (got > 0) {
        count += static_cast<std::size_t>(got);
      } else if (errno != EINTR) {
        return failed("read", path_);
      }
    }
    return count;
  }

  Status write_at(ByteOffset at, std::span<const std::byte> bytes) override {
    std::uint64_t offset = at.value;
    while (!bytes.empty()) {
      const ssize_t written = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
      if (written > 0) {
        offset += static_cast<std::uint64_t>(written);
        bytes = bytes.subspan(static_cast<std::size_t>(written));
      } else if (written == 0) {
        errno = ENOSPC;
        return failed("write", path_);
      } else if (errno != EINTR) {
        return failed("write", path_);
      }
    }
    return {};
  }

  Status sync() override {
    if (::fdatasync(fd_) != 0) return failed("sync", path_);
    return {};
  }

  Result<std::uint64_t> size() override {
    struct stat about{};
    if (::fstat(fd_, &about) != 0) return failed("stat", path_);
    return static_cast<std::uint64_t>(about.st_size);
  }

  Status truncate(std::uint64_t size) override {
    while (::ftruncate(fd_, static_cast<off_t>(size)) != 0) {
      if (errno != EINTR) return failed("truncate", path_);
    }
    return {};
  }

  Status prewrite(std::uint64_t from, std::uint64_t to) override {
    BOP_ASSERT(from <= to);
    if (from == to) return {};
    // Reserving first finds a full disk before anything is written and gives long extents. Only the zeros
    // written below turn the extents into written ones, so that later overwrites change no metadata.
    while (::fallocate(fd_, FALLOC_FL_KEEP_SIZE, static_cast<off_t>(from), static_cast<off_t>(to - from)) !=
           0) {
      if (errno == ENOSPC || errno == EDQUOT) return failed("prewrite", path_);
      if (errno != EINTR) break;  // not all file systems can reserve
    }
    if (to - from >= kDirectZeroBytes) {
      BOP_LET(end, zero_directly(from, to));
      from = end;
    }
    while (from < to) {
      const std::uint64_t part = std::min<std::uint64_t>(to - from, kZeroBytes);
      BOP_TRY(write_at(ByteOffset(from), std::span(zeros(), part)));
      from += part;
    }
    return {};
  }

  Result<bool> reserve(std::uint64_t from, std::uint64_t to) override {
    while (::fallocate(fd_, FALLOC_FL_KEEP_SIZE, static_cast<off_t>(from), static_cast<off_t>(to - from)) !=
           0) {
      if (errno == EOPNOTSUPP || errno == ENOSYS) return false;
      if (errno != EINTR) return failed("reserve room for", path_);
    }
    return true;
  }

  void write_durable(ByteOffset at, std::span<const std::byte> bytes, Completion done) override {
    BOP_ASSERT(at.value % kDiskBlockBytes == 0 && bytes.size() % kDiskBlockBytes == 0 && !bytes.empty());
    BOP_ASSERT(reinterpret_cast<std::uintptr_t>(bytes.data()) % kDiskBlockBytes == 0);
    queue_->submit({durable(), at.value, bytes, std::move(done)});
  }

  const std::string& path() const noexcept override { return path_; }

 private:
  // Zeros past the page cache as far as that is possible; answers where it stopped.
  Result<std::uint64_t> zero_directly(std::uint64_t from, std::uint64_t to) {
    if (from % kDiskBlockBytes != 0) return from;
    const int fd = ::open(fmt::format("/proc/self/fd/{}", fd_).c_str(), O_WRONLY | O_DIRECT | O_CLOEXEC);
    if (fd < 0) return from;
    while (to - from >= kDiskBlockBytes) {
      const std::uint64_t part =
          std::min<std::uint64_t>(to - from, kZeroBytes) / kDiskBlockBytes * kDiskBlockBytes;
      const ssize_t written = ::pwrite(fd, zeros(), part, static_cast<off_t>(from));
      if (written < 0 && errno == EINTR) continue;
      if (written < 0 && (errno == ENOSPC || errno == EDQUOT || errno == EIO)) {
        const int code = errno;
        ::close(fd);
        return std::unexpected(system_error(code, "prewrite", path_));
      }
      const std::uint64_t whole =
          written < 0 ? 0 : static_cast<std::uint64_t>(written) / kDiskBlockBytes * kDiskBlockBytes;
      if (whole == 0) break;
      from += whole;
    }
    ::close(fd);
    return from;
  }

  // Opens the second descriptor at the first use, by way of the first so that renames do not matter. If that
  // fails the writes through it fail with EBADF.
  std::shared_ptr<DurableDescriptor> durable() {
    const std::lock_guard guard(mutex_);
    if (!durable_) {
      const std::string same = fmt::format("/proc/self/fd/{}", fd_);
      int fd = ::open(same.c_str(), O_WRONLY | O_DIRECT | O_DSYNC | O_CLOEXEC);
      if (fd < 0) fd = ::open(same.c_str(), O_WRONLY | O_DSYNC | O_CLOEXEC);
      durable_ = std::make_shared<DurableDescriptor>(fd, path_);
    }
    return durable_;
  }

  const std::shared_ptr<DurableQueue> queue_;
  const int fd_;
  const std::string path_;
  std::mutex mutex_;
  std::shared_ptr<DurableDescriptor> durable_;
};

class SystemLock final : public DiskLock {
 public:
  explicit SystemLock(int fd) : fd_(fd) {}
  ~SystemLock() override { ::close(fd_); }  // the name stays: removing it would race with the next holder

 private:
  int fd_;
};

class SystemDisk final : public Disk {
 public:
  explicit SystemDisk(std::shared_ptr<DurableQueue> queue) : queue_(std::move(queue)) {}

  Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override {
    int flags = O_CLOEXEC | (mode == OpenMode::kRead ? O_RDONLY : O_RDWR);
    if (mode == OpenMode::kCreate) flags |= O_CREAT | O_EXCL;
    if (mode == OpenMode::kOpenOrCreate) flags |= O_CREAT;
    int fd = -1;
    do {
      fd = ::open(path.c_str(), flags, kFileMode);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0) return failed("open", path);
    return std::make_unique<SystemFile>(queue_, fd, path);
  }

  Status remove(const std::string& path) override {
    if (std::remove(path.c_str()) != 0) return failed("remove", path);
    return {};
  }

  Status rename(const std::string& from, const std::string& to) override {
    if (std::rename(from.c_str(), to.c_str()) != 0) return failed("rename", from);
    return {};
  }

  Status create_directories(const std::string& path) override {
    const std::filesystem::path whole(path);
    std::filesystem::path part;
    for (const auto& name : whole) {
      const std::string parent = part.empty() ? "." : part.string();
      part /= name;
      if (name.empty() || name == "." || name == ".." || name == "/") continue;
      if (::mkdir(part.c_str(), kDirectoryMode) == 0) {
        BOP_TRY(sync_directory(parent));
      } else if (errno != EEXIST) {
        return failed("create directory", part.string());
      } else if (!std::filesystem::is_directory(part)) {
        return fail(ErrorCode::kFileExists, "cannot create directory \"{}\": a file is in the way",
                    part.string());
      }
    }
    return {};
  }

  Status sync_directory(const std::string& path) override {
    const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return failed("open directory", path);
    const int status = ::fsync(fd);
    const int code = errno;
    ::close(fd);
    if (status != 0) return std::unexpected(system_error(code, "sync directory", path));
    return {};
  }

  Result<std::vector<std::string>> list(const std::string& path) override {
    std::error_code code;
    std::filesystem::directory_iterator entry(path, code);
    std::vector<std::string> out;
    for (; !code && entry != std::filesystem::directory_iterator(); entry.increment(code)) {
      out.push_back(entry->path().filename().string());
    }
    if (code) return std::unexpected(system_error(code.value(), "list", path));
    std::ranges::sort(out);
    return out;
  }

  Result<bool> exists(const std::string& path) override {
    struct stat about{};
    if (::stat(path.c_str(), &about) == 0) return true;
    if (errno == ENOENT || errno == ENOTDIR) return false;
    return failed("look up", path);
  }

  Result<std::uint64_t> free_bytes(const std::string& path) override {
    struct statvfs about{};
    if (::statvfs(path.c_str(), &about) != 0) return failed("measure", path);
    return static_cast<std::uint64_t>(about.f_bavail) * about.f_frsize;
  }

  Result<std::unique_ptr<DiskLock>> lock(const std::string& path) override {
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, kFileMode);
    if (fd < 0) return failed("open", path);
    // A process that was killed a moment ago holds its locks until the kernel has taken it apart.
    constexpr int kAttempts = 60;
    constexpr auto kPause = std::chrono::milliseconds(50);
    int code = 0;
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
      code = ::flock(fd, LOCK_EX | LOCK_NB) == 0 ? 0 : errno;
      if (code != EWOULDBLOCK) break;
      std::this_thread::sleep_for(kPause);
    }
    if (code != 0) {
      char holder[32] = "";
      const ssize_t got = ::pread(fd, holder, sizeof(holder) - 1, 0);
      ::close(fd);
      if (code != EWOULDBLOCK) return std::unexpected(system_error(code, "lock", path));
      std::string_view id(holder, got > 0 ? static_cast<std::size_t>(got) : 0);
      id = id.substr(0, id.find('\n'));
      return fail(ErrorCode::kLocked, "\"{}\" is held by process {}", path, id.empty() ? "unknown" : id);
    }
    // The lock is what counts: on a full disk the process id may be missing.
    const std::string id = fmt::format("{}\n", ::getpid());
    if (::ftruncate(fd, 0) == 0) {
      [[maybe_unused]] const ssize_t written = ::pwrite(fd, id.data(), id.size(), 0);
    }
    return std::make_unique<SystemLock>(fd);
  }

  std::size_t poll() override { return queue_->poll(); }
  std::size_t wait() override { return queue_->wait(); }
  int event_fd() const noexcept override { return queue_->event_fd(); }
  std::string_view kind() const noexcept override { return queue_->kind(); }

 private:
  const std::shared_ptr<DurableQueue> queue_;
};

}  // namespace

Result<std::unique_ptr<Disk>> open_system_disk(std::string_view prefer) {
  if (prefer != "auto" && prefer != "io_uring" && prefer != "pwritev") {
    return fail(ErrorCode::kConfigInvalid, "disk is \"{}\": it may be auto, io_uring or pwritev", prefer);
  }
  if (prefer == "io_uring") {
    BOP_LET(queue, open_uring_queue());
    log_info("disk", {{"kind", "io_uring"}, {"reason", "the setting disk asks for it"}});
    return std::make_unique<SystemDisk>(std::move(queue));
  }
  // O_DSYNC writes never complete inside io_uring's submission: the kernel gives each to a worker thread of
  // its own. So the ring saves no thread, and its workers come late when processors are busy: on two
  // processors 16 producers of the log did 1.0 to 4.7 times as many appends through pwritev, 64 producers 1.2
  // to 3 times as many, and one producer as many or more. A node that is not short of processors does as many
  // commits either way.
  log_info("disk", {{"kind", "pwritev"},
                    {"reason", prefer == "auto" ? "durable writes need a thread each in io_uring, too"
                                                : "the setting disk asks for it"}});
  BOP_LET(queue, open_thread_queue());
  return std::make_unique<SystemDisk>(std::move(queue));
}

}  // namespace bop
