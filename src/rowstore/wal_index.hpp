// SQLite's wal-index ("shm") in the memory of this process: regions of 32 KiB and eight lock slots with true
// shared and exclusive semantics between the connections of one instance.
//
// A slot is held shared by any number of handles or exclusively by one; a conflicting request is refused at
// once (SQLite retries). Threads: any.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

namespace bop::rowstore {

class WalIndex {
 public:
  static constexpr int kSlots = 8;

  // What one connection holds.
  struct Handle {
    std::uint16_t shared = 0;
    std::uint16_t exclusive = 0;
  };

  // Null when the region does not exist and `extend` is false. Zeroed when new; never moves.
  [[nodiscard]] void* region(int index, std::size_t bytes, bool extend);
  [[nodiscard]] bool lock_shared(Handle& handle, int first, int count);
  [[nodiscard]] bool lock_exclusive(Handle& handle, int first, int count);
  void unlock(Handle& handle, int first, int count);

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<std::byte[]>> regions_;
  std::array<int, kSlots> holders_{};  // > 0 shared holders, -1 exclusive
};

}  // namespace bop::rowstore
