#include "server/tls_channel.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <cerrno>
#include <cstring>

namespace bop::server {

void TlsChannel::Free::operator()(SSL* ssl) const noexcept { SSL_free(ssl); }

Result<TlsChannel> TlsChannel::accept(const TlsCertificate::Context& context, int socket) {
  ERR_clear_error();
  TlsChannel channel;
  channel.ssl_.reset(SSL_new(context.ssl.get()));
  if (!channel.ssl_ || SSL_set_fd(channel.ssl_.get(), socket) != 1) {
    ERR_clear_error();
    return fail(ErrorCode::kOutOfMemory, "no memory for a TLS connection");
  }
  SSL_set_accept_state(channel.ssl_.get());
  channel.end_point_ = context.end_point;
  return channel;
}

// The error queue is the thread's: it was emptied before the call that gave `result`.
TlsChannel::Outcome TlsChannel::outcome_of(int result) {
  const int failure = errno;
  switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_NONE: return Outcome::kDone;
    case SSL_ERROR_WANT_READ: return Outcome::kWantRead;
    case SSL_ERROR_WANT_WRITE: return Outcome::kWantWrite;
    case SSL_ERROR_ZERO_RETURN: failure_ = "the client closed the connection"; break;
    case SSL_ERROR_SYSCALL:
      failure_ = failure == 0 ? "the client closed the connection" : std::strerror(failure);
      break;
    default: {
      const char* words = ERR_reason_error_string(ERR_peek_error());
      failure_ = words == nullptr ? "unknown error" : words;
    }
  }
  ERR_clear_error();
  broken_ = true;
  return Outcome::kEnded;
}

TlsChannel::Outcome TlsChannel::shake_hands() {
  if (established_) return Outcome::kDone;
  ERR_clear_error();
  errno = 0;
  const Outcome outcome = outcome_of(SSL_do_handshake(ssl_.get()));
  established_ = outcome == Outcome::kDone;
  return outcome;
}

session::Encryption TlsChannel::encryption() const {
  return {.version = SSL_get_version(ssl_.get()),
          .cipher = SSL_get_cipher_name(ssl_.get()),
          .bits = SSL_get_cipher_bits(ssl_.get(), nullptr)};
}

TlsChannel::Transfer TlsChannel::read(std::span<char> bytes) {
  ERR_clear_error();
  errno = 0;
  Transfer transfer;
  const int result = SSL_read_ex(ssl_.get(), bytes.data(), bytes.size(), &transfer.bytes);
  if (result != 1) transfer = {.outcome = outcome_of(result), .bytes = 0};
  return transfer;
}

TlsChannel::Transfer TlsChannel::write(std::string_view bytes) {
  ERR_clear_error();
  errno = 0;
  Transfer transfer;
  const int result = SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &transfer.bytes);
  if (result != 1) transfer = {.outcome = outcome_of(result), .bytes = 0};
  return transfer;
}

void TlsChannel::close() {
  if (!established_ || broken_) return;
  ERR_clear_error();
  (void)SSL_shutdown(ssl_.get());
  ERR_clear_error();
}

}  // namespace bop::server
