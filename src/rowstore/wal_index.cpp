#include "rowstore/wal_index.hpp"

#include "base/assert.hpp"

namespace bop::rowstore {

void* WalIndex::region(int index, std::size_t bytes, bool extend) {
  std::lock_guard lock(mutex_);
  const auto i = static_cast<std::size_t>(index);
  if (i >= regions_.size()) {
    if (!extend) return nullptr;
    while (regions_.size() <= i) regions_.push_back(std::make_unique<std::byte[]>(bytes));
  }
  return regions_[i].get();
}

bool WalIndex::lock_shared(Handle& handle, int first, int count) {
  BOP_ASSERT(count == 1);
  const auto bit = static_cast<std::uint16_t>(1U << first);
  if ((handle.shared & bit) != 0) return true;
  std::lock_guard lock(mutex_);
  int& holders = holders_[static_cast<std::size_t>(first)];
  if (holders < 0) return false;
  ++holders;
  handle.shared |= bit;
  return true;
}

bool WalIndex::lock_exclusive(Handle& handle, int first, int count) {
  std::lock_guard lock(mutex_);
  for (int slot = first; slot < first + count; ++slot) {
    const auto bit = static_cast<std::uint16_t>(1U << slot);
    if ((handle.exclusive & bit) == 0 && holders_[static_cast<std::size_t>(slot)] != 0) return false;
  }
  for (int slot = first; slot < first + count; ++slot) {
    holders_[static_cast<std::size_t>(slot)] = -1;
    handle.exclusive |= static_cast<std::uint16_t>(1U << slot);
  }
  return true;
}

void WalIndex::unlock(Handle& handle, int first, int count) {
  std::lock_guard lock(mutex_);
  for (int slot = first; slot < first + count; ++slot) {
    const auto bit = static_cast<std::uint16_t>(1U << slot);
    int& holders = holders_[static_cast<std::size_t>(slot)];
    if ((handle.exclusive & bit) != 0) holders = 0;
    if ((handle.shared & bit) != 0) --holders;
    handle.exclusive &= static_cast<std::uint16_t>(~bit);
    handle.shared &= static_cast<std::uint16_t>(~bit);
  }
}

}  // namespace bop::rowstore
