// `bop status`: asks a node's /health. Exit codes: 0 it serves, 1 it answers that it does not, 2 no answer.
#pragma once

#include <cstdint>
#include <string>

namespace bop::cli {

struct StatusCommand {
  std::string data_dir;
  std::string host;  // empty: from data_dir
  std::uint16_t port = 0;
};

[[nodiscard]] int run_status(const StatusCommand& command);

}  // namespace bop::cli
