#include "base/sim_disk.hpp"

#include <gtest/gtest.h>

#include "base/disk_contract.hpp"

namespace bop {
namespace {

TEST(SimDisk, KeepsTheContract) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    SimDisk disk(seed);
    check_disk_contract(disk, "top");
  }
}

}  // namespace
}  // namespace bop
