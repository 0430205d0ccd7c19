// The messages before authentication (protocol.hpp): pure parsing, every byte is hostile.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "session/session.hpp"

namespace bop::wire::pg {

struct StartupMessage {
  enum class Kind : std::uint8_t { kStartup, kSsl, kGss, kCancel };
  Kind kind = Kind::kStartup;
  // kCancel
  std::int32_t process_id = 0;
  std::int32_t secret = 0;
  // kStartup
  std::uint32_t minor = 0;
  session::ConnectRequest request;
  std::vector<std::string> unknown_options;  // "_pq_..." that we do not know
};

// `body` is the message behind its length. All errors are fatal for the connection.
[[nodiscard]] Result<StartupMessage> parse_startup(std::string_view body);

// "-c name=value --name=value" with backslash escapes, as the start-up option `options` holds it.
[[nodiscard]] Result<std::vector<std::pair<std::string, std::string>>> parse_options(std::string_view text);

}  // namespace bop::wire::pg
