#include "server/details_access.hpp"

#include <openssl/crypto.h>

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <cctype>

namespace bop::server {

namespace {

bool same_word(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) {
    return std::tolower(static_cast<unsigned char>(x)) == std::tolower(static_cast<unsigned char>(y));
  });
}

bool is_port(std::string_view text) {
  return !text.empty() && text.size() <= 5 &&
         std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

bool names_this_machine(std::string_view host) {
  std::string_view name = host;
  if (host.starts_with('[')) {
    const std::size_t end = host.find(']');
    if (end == host.npos) return false;
    name = host.substr(1, end - 1);
    const std::string_view rest = host.substr(end + 1);
    if (!rest.empty() && !(rest.starts_with(':') && is_port(rest.substr(1)))) return false;
    boost::system::error_code failure;
    const auto address = boost::asio::ip::make_address_v6(std::string(name), failure);
    return !failure && address.is_loopback();
  }
  if (const std::size_t colon = host.find(':'); colon != host.npos) {
    if (!is_port(host.substr(colon + 1))) return false;
    name = host.substr(0, colon);
  }
  if (same_word(name, "localhost")) return true;
  boost::system::error_code failure;
  const auto address = boost::asio::ip::make_address_v4(std::string(name), failure);
  return !failure && address.is_loopback();
}

DetailsAccess::DetailsAccess(std::string_view mode, std::string key)
    : mode_(mode == "off"        ? Mode::kOff
            : mode == "loopback" ? Mode::kLoopback
                                 : Mode::kKey),
      key_(std::move(key)) {}

DetailsAccess::Verdict DetailsAccess::judge(const wire::http::Request& request) const {
  if (mode_ == Mode::kOff) return Verdict::kHidden;
  constexpr std::string_view kScheme = "Bearer ";
  if (same_word(request.authorization.substr(0, kScheme.size()), kScheme)) {
    const std::string_view key = request.authorization.substr(kScheme.size());
    const bool right = key.size() == key_.size() && CRYPTO_memcmp(key.data(), key_.data(), key_.size()) == 0;
    return right ? Verdict::kShown : Verdict::kWrongKey;
  }
  const bool is_here = request.is_loopback && !request.is_forwarded && request.authorization.empty() &&
                       names_this_machine(request.host);
  return mode_ == Mode::kLoopback && is_here ? Verdict::kShown : Verdict::kHidden;
}

}  // namespace bop::server
