// Calls to an object store that wait for their answers: for tools, start-up and rebuilding, never on a thread
// that the store's answers need.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "objstore/object_store.hpp"

namespace bop::aof {

class BlockingStore {
 public:
  BlockingStore(objstore::ObjectStore& store, objstore::CallOptions options)
      : store_(store), options_(options) {}

  [[nodiscard]] Result<std::vector<std::byte>> get(const std::string& key,
                                                   std::optional<objstore::Range> range = std::nullopt) {
    return wait<std::vector<std::byte>>(
        [&](auto done) { return store_.get(key, range, options_, std::move(done)); });
  }
  [[nodiscard]] Result<objstore::ListPage> list(const std::string& prefix, const std::string& after) {
    return wait<objstore::ListPage>(
        [&](auto done) { return store_.list(prefix, after, options_, std::move(done)); });
  }
  // An object of that size, in pieces of at most `range_bytes`; kCorrupt when it is shorter.
  [[nodiscard]] Result<std::vector<std::byte>> get_whole(const std::string& key, std::uint64_t bytes,
                                                         std::uint64_t range_bytes);

 private:
  template <class T>
  struct Slot {
    std::mutex mutex;
    std::condition_variable ready;
    std::optional<Result<T>> result;
  };
  template <class T, class Begin>
  Result<T> wait(Begin begin) {
    auto slot = std::make_shared<Slot<T>>();
    const objstore::CallPtr call = begin(objstore::Completion<T>([slot](Result<T> result) {
      const std::scoped_lock lock(slot->mutex);
      slot->result = std::move(result);
      slot->ready.notify_all();
    }));
    for (;;) {
      {
        std::unique_lock lock(slot->mutex);
        if (slot->result.has_value()) return std::move(*slot->result);
      }
      // The simulated store answers from here; the others have threads.
      if (store_.poll() != 0) continue;
      std::unique_lock lock(slot->mutex);
      slot->ready.wait(lock, [&] { return slot->result.has_value(); });
    }
  }

  objstore::ObjectStore& store_;
  objstore::CallOptions options_;
};

inline Result<std::vector<std::byte>> BlockingStore::get_whole(const std::string& key, std::uint64_t bytes,
                                                               std::uint64_t range_bytes) {
  std::vector<std::byte> out;
  out.reserve(static_cast<std::size_t>(bytes));
  while (out.size() < bytes) {
    const objstore::Range range{out.size(), std::min<std::uint64_t>(range_bytes, bytes - out.size())};
    BOP_LET(piece, get(key, range));
    if (piece.size() != range.bytes) {
      return fail(ErrorCode::kCorrupt, "{}, {}: {} bytes at {} where {} are told", store_.name(), key,
                  piece.size(), range.offset, range.bytes);
    }
    out.insert(out.end(), piece.begin(), piece.end());
  }
  return out;
}

}  // namespace bop::aof
