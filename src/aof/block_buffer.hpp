// Memory for one durable write: aligned to disk blocks.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>

#include "base/disk.hpp"

namespace bop::aof {

class BlockBuffer {
 public:
  BlockBuffer() = default;
  // `bytes` is a multiple of kDiskBlockBytes.
  explicit BlockBuffer(std::size_t bytes)
      : bytes_(static_cast<std::byte*>(std::aligned_alloc(kDiskBlockBytes, bytes))), capacity_(bytes) {
    if (bytes_ == nullptr) throw std::bad_alloc();
  }
  [[nodiscard]] std::byte* data() noexcept { return bytes_.get(); }
  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }

 private:
  struct Free {
    void operator()(std::byte* bytes) const noexcept { std::free(bytes); }
  };
  std::unique_ptr<std::byte, Free> bytes_;
  std::size_t capacity_ = 0;
};

}  // namespace bop::aof
