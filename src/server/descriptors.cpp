#include "server/descriptors.hpp"

#include <sys/resource.h>

#include <algorithm>

namespace bop::server {

DescriptorBudget descriptor_budget(std::size_t limit) {
  constexpr std::size_t kReserved = 256;
  return {limit, std::min(kReserved, limit / 4)};
}

DescriptorBudget claim_descriptors() {
  constexpr std::size_t kPortable = 1024;
  rlimit now{};
  if (::getrlimit(RLIMIT_NOFILE, &now) != 0) return descriptor_budget(kPortable);
  rlimit wanted{now.rlim_max, now.rlim_max};
  if (::setrlimit(RLIMIT_NOFILE, &wanted) == 0) now = wanted;
  return descriptor_budget(now.rlim_cur);
}

}  // namespace bop::server
