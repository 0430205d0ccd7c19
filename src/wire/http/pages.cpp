#include "wire/http/pages.hpp"

#include "base/json.hpp"
#include "wire/http/page_files.hpp"

namespace bop::wire::http {

Page answer(const Sources& sources, const Request& request) {
  if (request.method != "GET" && request.method != "HEAD") {
    return {405, kPlain, "only GET and HEAD are answered here\n"};
  }
  const std::string_view path = request.target.substr(0, request.target.find('?'));
  if (path == "/health") {
    const std::optional<std::string> reason = sources.unavailable();
    if (!reason) return {200, kJson, "{\"status\":\"ok\"}\n"};
    Page page{503, kJson, ""};
    JsonWriter(page.body)
        .begin_object()
        .member("status", "unavailable")
        .member("reason", std::string_view(*reason))
        .end_object();
    page.body += '\n';
    return page;
  }
  if (path == "/metrics") return {200, "text/plain; version=0.0.4; charset=utf-8", sources.metrics()};
  if (path == "/status.json") return sources.status(request);
  for (const PageFile& file : page_files()) {
    if (path == file.path) return {200, file.content_type, std::string(file.bytes)};
  }
  return {404, kPlain, "there is nothing here; try /, /status.json, /health or /metrics\n"};
}

std::optional<std::string_view> query_value(std::string_view target, std::string_view name) {
  const std::size_t mark = target.find('?');
  std::string_view rest = mark == target.npos ? std::string_view() : target.substr(mark + 1);
  while (!rest.empty()) {
    const std::size_t end = rest.find('&');
    const std::string_view one = rest.substr(0, end);
    rest = end == rest.npos ? std::string_view() : rest.substr(end + 1);
    const std::size_t equal = one.find('=');
    if (one.substr(0, equal) != name) continue;
    return equal == one.npos ? std::string_view() : one.substr(equal + 1);
  }
  return std::nullopt;
}

}  // namespace bop::wire::http
