// Who may see on the HTTP port what sessions do: users, clients, applications, statements (http_details).
//
// Numbers are for everybody who reaches the port, as /metrics is. Details are what pg_stat_activity keeps for
// superusers, and HTTP knows no roles: so they are shown to who brings the node's key
// (`Authorization: Bearer <key>`), a text in a file that only the node's own user reads. The page takes the
// key from the part of its address behind '#', which browsers send to nobody.
//
// By the mode kLoopback clients of this machine need no key. That they are is not proven by the peer's
// address alone: a proxy here may ask for somebody else, and a browser here for a foreign page whose name was
// made to lead to this machine. So a request that names a proxy's client, or a host other than this machine's
// own names, or brings what proves something to somebody else, needs the key all the same.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "wire/http/pages.hpp"

namespace bop::server {

class DetailsAccess {
 public:
  enum class Mode : std::uint8_t { kKey, kLoopback, kOff };
  enum class Verdict : std::uint8_t { kShown, kHidden, kWrongKey };

  // `mode` as the setting has it: "key", "loopback", "off".
  DetailsAccess(std::string_view mode, std::string key);

  [[nodiscard]] Verdict judge(const wire::http::Request& request) const;
  [[nodiscard]] Mode mode() const noexcept { return mode_; }

 private:
  Mode mode_;
  std::string key_;
};

// Whether `host`, as a request's header has it, is a name or an address by which a machine calls itself.
[[nodiscard]] bool names_this_machine(std::string_view host);

}  // namespace bop::server
