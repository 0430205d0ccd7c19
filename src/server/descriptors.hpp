// The descriptors of this process: as many as the system allows, and some that clients cannot take.
#pragma once

#include <cstddef>

namespace bop::server {

struct DescriptorBudget {
  std::size_t limit = 0;     // open files and sockets that the process may have
  std::size_t reserved = 0;  // of them, kept for files of the storage, HTTP and the node itself
};

// Raises the limit of open files (RLIMIT_NOFILE) to the hard one.
[[nodiscard]] DescriptorBudget claim_descriptors();
// A budget of `limit` descriptors: 256 of them are reserved, or a quarter where that is less.
[[nodiscard]] DescriptorBudget descriptor_budget(std::size_t limit);

}  // namespace bop::server
