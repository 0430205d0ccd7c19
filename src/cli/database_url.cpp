#include "cli/database_url.hpp"

#include <charconv>
#include <optional>

namespace bop::cli {

namespace {

Result<std::string> decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    unsigned value = 0;
    const char* begin = text.data() + i + 1;
    if (text.size() - i < 3 || std::from_chars(begin, begin + 2, value, 16).ptr != begin + 2) {
      return fail(ErrorCode::kConfigInvalid, "\"{}\" is not percent-encoded", text);
    }
    out += static_cast<char>(value);
    i += 2;
  }
  return out;
}

// nullopt: not understood.
std::optional<DatabaseUrl::Tls> tls_of(std::string_view parameter) {
  if (parameter == "sslmode=disable") return DatabaseUrl::Tls::kDisable;
  if (parameter == "sslmode=prefer") return DatabaseUrl::Tls::kPrefer;
  if (parameter == "sslmode=require") return DatabaseUrl::Tls::kRequire;
  return std::nullopt;
}

}  // namespace

Result<DatabaseUrl> parse_url(std::string_view text) {
  const std::string_view whole = text;
  const auto wrong = [&](std::string_view why) {
    return fail(
        ErrorCode::kConfigInvalid,
        "\"{}\" is not a database URL: {}; it looks like postgresql://user:password@host:5432/database",
        whole, why);
  };
  if (text.starts_with("postgresql://")) {
    text.remove_prefix(13);
  } else if (text.starts_with("postgres://")) {
    text.remove_prefix(11);
  } else {
    return wrong("it does not begin with postgresql://");
  }
  DatabaseUrl url;
  if (const std::size_t question = text.find('?'); question != text.npos) {
    const auto tls = tls_of(text.substr(question + 1));
    if (!tls) return wrong("of parameters only sslmode=disable, prefer or require is understood");
    url.tls = *tls;
    text = text.substr(0, question);
  }
  const std::size_t slash = text.find('/');
  if (slash != text.npos) {
    BOP_LET(database, decoded(text.substr(slash + 1)));
    url.database = std::move(database);
    text = text.substr(0, slash);
  }
  const std::size_t at = text.rfind('@');
  if (at != text.npos) {
    const std::string_view login = text.substr(0, at);
    const std::size_t colon = login.find(':');
    BOP_LET(user, decoded(login.substr(0, colon)));
    if (!user.empty()) url.user = std::move(user);
    if (colon != login.npos) {
      BOP_LET(password, decoded(login.substr(colon + 1)));
      url.password = std::move(password);
    }
    text = text.substr(at + 1);
  }
  std::string_view host = text;
  std::string_view port;
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == text.npos) return wrong("']' is missing");
    host = text.substr(1, end - 1);
    port = text.substr(end + 1);
    if (!port.empty() && !port.starts_with(':')) return wrong("the port is malformed");
    if (!port.empty()) port.remove_prefix(1);
  } else if (const std::size_t colon = text.rfind(':'); colon != text.npos) {
    host = text.substr(0, colon);
    port = text.substr(colon + 1);
  }
  if (!host.empty()) url.host = host;
  if (!port.empty()) {
    const auto end = std::from_chars(port.data(), port.data() + port.size(), url.port);
    if (end.ec != std::errc{} || end.ptr != port.data() + port.size())
      return wrong("the port is not a number");
  }
  return url;
}

}  // namespace bop::cli
