// Files as the durable layers see them, with a real and a simulated implementation.
//
// What a caller may rely on, and nothing more:
//   * `write_at` is visible to later reads at once and durable only after `sync` returned.
//   * `write_durable` is durable when its completion carries success (O_DIRECT | O_DSYNC semantics); writes
//     in flight may become durable in any order, each may be torn at any 512-byte sector by a power cut.
//   * A name (create, rename, remove) is durable only after `sync_directory` of its parent.
//   * A failed sync or durable write says nothing about the bytes: the caller must not retry and trust.
// Errors: kDiskFull for ENOSPC and EDQUOT, kFileNotFound, kFileExists, kIo for the rest, with the path named.
// Threads: all calls are thread-safe unless said otherwise; two overlapping writes of one range are a defect
// of the caller.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/ids.hpp"

namespace bop {

inline constexpr std::size_t kSectorBytes = 512;
inline constexpr std::size_t kDiskBlockBytes =
    4096;  // alignment of buffer, offset and length of durable writes

enum class OpenMode : std::uint8_t {
  kRead,       // must exist
  kReadWrite,  // must exist
  kCreate,     // must not exist
  kOpenOrCreate
};

class File {
 public:
  virtual ~File() = default;
  // Reads up to out.size() bytes; fewer only at the end of the file.
  [[nodiscard]] virtual Result<std::size_t> read_at(ByteOffset at, std::span<std::byte> out) = 0;
  [[nodiscard]] virtual Status write_at(ByteOffset at, std::span<const std::byte> bytes) = 0;
  [[nodiscard]] virtual Status sync() = 0;
  [[nodiscard]] virtual Result<std::uint64_t> size() = 0;
  [[nodiscard]] virtual Status truncate(std::uint64_t size) = 0;
  // Writes zeros over [from, to) so that later overwrites change no metadata; not durable until `sync`.
  [[nodiscard]] virtual Status prewrite(std::uint64_t from, std::uint64_t to) = 0;
  // Takes the room for [from, to) on the file system without changing size or contents, so that nobody else
  // can take it and later writes there find it; a truncation gives it back. kDiskFull when there is none;
  // false where this cannot be done.
  [[nodiscard]] virtual Result<bool> reserve(std::uint64_t from, std::uint64_t to) {
    (void)from, (void)to;
    return false;
  }

  // Buffer, offset and length are multiples of kDiskBlockBytes; the buffer stays alive and unchanged until
  // `done` ran. `done` runs exactly once, from Disk::poll/wait or from the implementation's own thread,
  // never from inside this call.
  using Completion = std::move_only_function<void(Status)>;
  virtual void write_durable(ByteOffset at, std::span<const std::byte> bytes, Completion done) = 0;

  [[nodiscard]] virtual const std::string& path() const noexcept = 0;
};

// Held while alive; another process's attempt fails with kLocked and names the holder's process id.
class DiskLock {
 public:
  virtual ~DiskLock() = default;
};

class Disk {
 public:
  virtual ~Disk() = default;
  [[nodiscard]] virtual Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) = 0;
  [[nodiscard]] virtual Status remove(const std::string& path) = 0;
  [[nodiscard]] virtual Status rename(const std::string& from, const std::string& to) = 0;  // replaces `to`
  [[nodiscard]] virtual Status create_directories(const std::string& path) = 0;             // mode 0700
  [[nodiscard]] virtual Status sync_directory(const std::string& path) = 0;
  [[nodiscard]] virtual Result<std::vector<std::string>> list(const std::string& path) = 0;  // names, sorted
  [[nodiscard]] virtual Result<bool> exists(const std::string& path) = 0;
  [[nodiscard]] virtual Result<std::uint64_t> free_bytes(const std::string& path) = 0;
  [[nodiscard]] virtual Result<std::unique_ptr<DiskLock>> lock(const std::string& path) = 0;

  // Runs the completions that are ready, without waiting; returns how many.
  virtual std::size_t poll() = 0;
  // Waits until at least one completion ran (or none is in flight).
  virtual std::size_t wait() = 0;
  // A descriptor that becomes readable when completions are ready, or -1.
  [[nodiscard]] virtual int event_fd() const noexcept = 0;
  // "io_uring", "pwritev", "simulated".
  [[nodiscard]] virtual std::string_view kind() const noexcept = 0;
};

// `prefer` is "io_uring", "pwritev" (on a few threads) or "auto", which is pwritev. The choice and its reason
// are logged; io_uring fails with kNotImplemented where the kernel does not allow it.
[[nodiscard]] Result<std::unique_ptr<Disk>> open_system_disk(std::string_view prefer);

}  // namespace bop
