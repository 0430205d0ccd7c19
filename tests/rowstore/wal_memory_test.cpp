// The WAL in memory: what a reader that follows no lock may rely on.

#include "rowstore/wal_memory.hpp"

#include <array>
#include <atomic>
#include <thread>

#include <gtest/gtest.h>

namespace bop::rowstore {
namespace {

WalMemory::OpenScratch no_scratch() { return {}; }

// SQLite tells its readers of a frame through the wal-index, by fences that the thread sanitizer does not
// follow; the size is what orders a reader's bytes after the writer's, also when a WAL that began anew writes
// over its old frames.
TEST(WalMemory, BytesWrittenOverOldOnesAreOrderedBeforeAReadThatComesLater) {
  WalMemory wal(1 << 20, no_scratch());
  std::array<std::byte, kFrameBytes> frame{};
  ASSERT_TRUE(wal.write(kWalHeaderBytes, frame).has_value());
  ASSERT_TRUE(wal.write(kWalHeaderBytes + kFrameBytes, frame).has_value());
  std::atomic<bool> told{false};
  std::jthread reader([&] {
    while (!told.load(std::memory_order_relaxed)) std::this_thread::yield();
    std::array<std::byte, kFrameBytes> seen{};
    auto got = wal.read(kWalHeaderBytes, seen);
    ASSERT_TRUE(got && *got == seen.size());
    EXPECT_EQ(seen.front(), std::byte{7});
    EXPECT_EQ(seen.back(), std::byte{7});
  });
  frame.fill(std::byte{7});
  const bool written = wal.write(kWalHeaderBytes, frame).has_value();
  told.store(true, std::memory_order_relaxed);
  EXPECT_TRUE(written);
  EXPECT_EQ(wal.size(), kWalHeaderBytes + 2 * kFrameBytes);
}

}  // namespace
}  // namespace bop::rowstore
