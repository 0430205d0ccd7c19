// What HTTP answers, without a socket: GET and HEAD of
//
//   /          a short page that says what this is, with links
//   /health    200 {"status":"ok"} or 503 {"status":"unavailable","reason":"..."}
//   /metrics   Prometheus text exposition format 0.0.4
//
// Everything else is 404, other methods 405. Thread-safe when the sources are.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace bop::wire::http {

struct Sources {
  // Why the node cannot serve; nullopt when it can.
  std::function<std::optional<std::string>()> unavailable;
  std::function<std::string()> metrics;
  std::string version;
};

struct Page {
  unsigned status = 200;
  std::string_view content_type;
  std::string body;
};

// `target` as the request line has it, with its query.
[[nodiscard]] Page answer(const Sources& sources, std::string_view method, std::string_view target);

// `text` as a JSON string with its quotes.
[[nodiscard]] std::string json_string(std::string_view text);

}  // namespace bop::wire::http
