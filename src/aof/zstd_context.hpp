// Owners of zstd's contexts, and a store that keeps a few for their next user.
#pragma once

#include <zstd.h>

#include <cstddef>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace bop::aof {

struct ZstdDeleter {
  void operator()(ZSTD_CCtx* context) const noexcept { ZSTD_freeCCtx(context); }
  void operator()(ZSTD_DCtx* context) const noexcept { ZSTD_freeDCtx(context); }
};
using Compressor = std::unique_ptr<ZSTD_CCtx, ZstdDeleter>;
using Decompressor = std::unique_ptr<ZSTD_DCtx, ZstdDeleter>;

// Things that are costly to make and used by one thread at a time. Thread-safe. Keeps at most `most`; what
// comes back beyond that is destroyed.
template <class T>
class Spares {
 public:
  explicit Spares(std::size_t most) : most_(most) {}

  // A kept one, or an empty T.
  [[nodiscard]] T take() {
    std::scoped_lock lock(mutex_);
    if (kept_.empty()) return T();
    T one = std::move(kept_.back());
    kept_.pop_back();
    return one;
  }
  void give_back(T one) {
    std::scoped_lock lock(mutex_);
    if (kept_.size() < most_) kept_.push_back(std::move(one));
  }

 private:
  const std::size_t most_;
  std::mutex mutex_;
  std::vector<T> kept_;
};

}  // namespace bop::aof
