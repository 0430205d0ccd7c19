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
  enum class Tls : std::uint8_t { kDisable, kPrefer, kRequire };
  Tls tls = Tls::kPrefer;
};

// Also "postgres://". Behind '?' stands sslmode=disable, prefer (the default) or require; other parameters
// are refused.
[[nodiscard]] Result<DatabaseUrl> parse_url(std::string_view text);

}  // namespace bop::cli
