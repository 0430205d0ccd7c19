#include "wire/http/pages.hpp"

#include <fmt/format.h>

namespace bop::wire::http {

namespace {

constexpr std::string_view kJson = "application/json";
constexpr std::string_view kPlain = "text/plain; charset=utf-8";

}  // namespace

std::string json_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20) {
      out += fmt::format("\\u{:04x}", byte);
    } else {
      out += c;
    }
  }
  return out += '"';
}

Page answer(const Sources& sources, std::string_view method, std::string_view target) {
  if (method != "GET" && method != "HEAD") return {405, kPlain, "only GET and HEAD are answered here\n"};
  const std::string_view path = target.substr(0, target.find('?'));
  if (path == "/health") {
    const std::optional<std::string> reason = sources.unavailable();
    if (!reason) return {200, kJson, "{\"status\":\"ok\"}\n"};
    return {503, kJson, fmt::format("{{\"status\":\"unavailable\",\"reason\":{}}}\n", json_string(*reason))};
  }
  if (path == "/metrics") return {200, "text/plain; version=0.0.4; charset=utf-8", sources.metrics()};
  if (path == "/") {
    return {200, "text/html; charset=utf-8",
            fmt::format(
                "<!doctype html><html lang=\"en\"><title>BOP</title><h1>BOP {}</h1>"
                "<p>A database node. It speaks the PostgreSQL protocol; this port tells how it is.</p>"
                "<ul><li><a href=\"/health\">/health</a><li><a href=\"/metrics\">/metrics</a></ul></html>\n",
                sources.version)};
  }
  return {404, kPlain, "there is nothing here; try /health or /metrics\n"};
}

}  // namespace bop::wire::http
