// `bop status`: asks a node's /health. Exit codes: 0 it serves, 1 it answers that it does not, 2 no answer.
// `bop status --link`: prints the address of the node's page with the key that shows details on it. Exit
// codes: 0, 2 no node serves the data directory.
#pragma once

#include <cstdint>
#include <string>

namespace bop::cli {

struct StatusCommand {
  std::string data_dir;
  std::string host;  // empty: from data_dir
  std::uint16_t port = 0;
  bool link = false;
};

[[nodiscard]] int run_status(const StatusCommand& command);

}  // namespace bop::cli
