// TLS over a socket that does not block: the handshake and the bytes of one connection.
//
// Calls never wait: what cannot go on says which event of the socket it waits for. A write that was refused
// must be tried again with the same bytes in front. One thread at a time; the socket is the caller's.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "server/tls_certificate.hpp"
#include "session/session.hpp"

extern "C" {
struct ssl_st;
}

namespace bop::server {

class TlsChannel {
 public:
  enum class Outcome : std::uint8_t { kDone, kWantRead, kWantWrite, kEnded };
  struct Transfer {
    Outcome outcome = Outcome::kDone;
    std::size_t bytes = 0;
  };

  // The server's side of a handshake that is about to begin.
  [[nodiscard]] static Result<TlsChannel> accept(const TlsCertificate::Context& context, int socket);

  // Goes on with the handshake; kEnded: it failed, `failure` says why.
  [[nodiscard]] Outcome shake_hands();
  [[nodiscard]] bool is_established() const noexcept { return established_; }
  [[nodiscard]] const std::string& failure() const noexcept { return failure_; }
  [[nodiscard]] session::Encryption encryption() const;
  [[nodiscard]] const std::optional<std::string>& end_point() const noexcept { return end_point_; }

  [[nodiscard]] Transfer read(std::span<char> bytes);
  [[nodiscard]] Transfer write(std::string_view bytes);
  // Tells the peer that nothing follows, if the socket takes it.
  void close();

 private:
  struct Free {
    void operator()(ssl_st* ssl) const noexcept;
  };
  TlsChannel() = default;
  [[nodiscard]] Outcome outcome_of(int result);

  std::unique_ptr<ssl_st, Free> ssl_;
  std::optional<std::string> end_point_;
  std::string failure_;
  bool established_ = false;
  bool broken_ = false;
};

}  // namespace bop::server
