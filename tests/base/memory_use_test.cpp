#include "base/memory_use.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "base/time.hpp"

namespace bop {
namespace {

struct Limit {
  explicit Limit(std::uint64_t bytes) { set_memory_limit(bytes); }
  ~Limit() { set_memory_limit(0); }
};

// The last answer holds for some milliseconds.
bool becomes(bool wanted) {
  const std::int64_t deadline = system_clock().steady_ns() + 5'000'000'000;
  while (system_clock().steady_ns() < deadline) {
    if (memory_is_short() == wanted) return true;
  }
  return false;
}

TEST(MemoryUse, KnowsItselfAndTheMachine) {
  const std::uint64_t own = resident_bytes();
  EXPECT_GT(own, std::uint64_t{1} << 20);
  EXPECT_GT(memory_of_machine(), own);
  const std::string large(std::size_t{64} << 20, 'x');
  EXPECT_GT(resident_bytes(), own + large.size() / 2);
}

TEST(MemoryUse, IsShortAboveTheLimitOnly) {
  EXPECT_FALSE(memory_is_short());  // no limit
  {
    const Limit limit(std::uint64_t{1} << 20);
    EXPECT_TRUE(becomes(true));
  }
  const Limit limit(resident_bytes() + (std::uint64_t{1} << 30));
  EXPECT_TRUE(becomes(false));
}

TEST(MemoryUse, ValuesHaveAShareOfTheLimit) {
  EXPECT_EQ(most_value_bytes(), 0x3fffffffu);
  {
    const Limit limit(std::uint64_t{512} << 20);
    EXPECT_EQ(most_value_bytes(), std::size_t{64} << 20);
  }
  const Limit limit(std::uint64_t{64} << 30);
  EXPECT_EQ(most_value_bytes(), 0x3fffffffu);
}

}  // namespace
}  // namespace bop
