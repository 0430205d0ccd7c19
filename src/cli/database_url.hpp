// postgresql://user:password@host:port/database, percent-encoded, as the `ready:` line prints it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.hpp"

namespace bop::cli {

struct DatabaseUrl {
  std::string user = "bop";
  std::string password;
  std::string host = "127.0.0.1";
  std::uint16_t port = 5432;
  std::string database;  // empty: the user's name
};

// Also "postgres://". Parameters behind '?' are refused: none is understood.
[[nodiscard]] Result<DatabaseUrl> parse_url(std::string_view text);

}  // namespace bop::cli
