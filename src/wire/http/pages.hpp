// What HTTP answers, without a socket: GET and HEAD of
//
//   /             the page that shows how the node is; its style, script and icon lie beside it (page_files.hpp)
//   /status.json  what the page shows, as JSON (docs/operations.md)
//   /health       200 {"status":"ok"} or 503 {"status":"unavailable","reason":"..."}
//   /metrics      Prometheus text exposition format 0.0.4
//
// Everything else is 404, other methods 405. Thread-safe when the sources are.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace bop::wire::http {

struct Request {
  std::string_view method;
  std::string_view target;  // as the request line has it, with its query
  std::string_view host;    // and other headers; empty when they are not there
  std::string_view authorization;
  bool is_forwarded = false;  // a proxy says that it asks for somebody else
  bool is_loopback = false;   // the peer is this machine
};

struct Page {
  unsigned status = 200;
  std::string_view content_type;
  std::string body;
};

struct Sources {
  // Why the node cannot serve; nullopt when it can.
  std::function<std::optional<std::string>()> unavailable;
  std::function<std::string()> metrics;
  // Answers /status.json.
  std::function<Page(const Request&)> status;
};

inline constexpr std::string_view kJson = "application/json";
inline constexpr std::string_view kPlain = "text/plain; charset=utf-8";

[[nodiscard]] Page answer(const Sources& sources, const Request& request);

// The value of `name` in the query of a target, as it stands there; nullopt when it is not there.
[[nodiscard]] std::optional<std::string_view> query_value(std::string_view target, std::string_view name);

}  // namespace bop::wire::http
