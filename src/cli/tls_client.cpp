#include "cli/tls_client.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <csignal>
#include <ctime>

#include "server/tls_certificate.hpp"

namespace bop::cli {

namespace {

Error broken(std::string_view what) {
  const char* words = ERR_reason_error_string(ERR_peek_error());
  ERR_clear_error();
  return Error(ErrorCode::kConnectionFailure,
               fmt::format("{}: {}", what, words == nullptr ? "the server closed the connection" : words));
}

// OpenSSL writes without MSG_NOSIGNAL: a connection that is gone must not end the program.
class PipeSignalHeld {
 public:
  PipeSignalHeld() {
    ::sigemptyset(&pipe_);
    ::sigaddset(&pipe_, SIGPIPE);
    ::pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  ~PipeSignalHeld() {
    const timespec now{};
    while (::sigtimedwait(&pipe_, nullptr, &now) == SIGPIPE) {
    }
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  PipeSignalHeld(const PipeSignalHeld&) = delete;
  PipeSignalHeld& operator=(const PipeSignalHeld&) = delete;

 private:
  ::sigset_t pipe_{};
  ::sigset_t before_{};
};

}  // namespace

void TlsClient::Free::operator()(SSL_CTX* context) const noexcept { SSL_CTX_free(context); }
void TlsClient::Free::operator()(SSL* ssl) const noexcept { SSL_free(ssl); }

Result<TlsClient> TlsClient::connect(int socket, const std::string& host) {
  ERR_clear_error();
  TlsClient client;
  client.context_.reset(SSL_CTX_new(TLS_client_method()));
  if (!client.context_) return std::unexpected(broken("no TLS"));
  SSL_CTX_set_min_proto_version(client.context_.get(), TLS1_2_VERSION);
  SSL_CTX_set_options(client.context_.get(), SSL_OP_NO_RENEGOTIATION);
  client.ssl_.reset(SSL_new(client.context_.get()));
  if (!client.ssl_ || SSL_set_fd(client.ssl_.get(), socket) != 1) return std::unexpected(broken("no TLS"));
  SSL_set_tlsext_host_name(client.ssl_.get(), host.c_str());
  if (SSL_connect(client.ssl_.get()) != 1) return std::unexpected(broken("the TLS handshake failed"));
  return client;
}

std::optional<std::string> TlsClient::end_point() const {
  X509* certificate = SSL_get0_peer_certificate(ssl_.get());
  return certificate == nullptr ? std::nullopt : server::tls_server_end_point(certificate);
}

Result<std::size_t> TlsClient::read(std::span<char> bytes) {
  ERR_clear_error();
  std::size_t got = 0;
  const int result = SSL_read_ex(ssl_.get(), bytes.data(), bytes.size(), &got);
  if (result == 1) return got;
  const int why = SSL_get_error(ssl_.get(), result);
  // A server that is killed closes without a word of TLS.
  const bool ended = why == SSL_ERROR_ZERO_RETURN || why == SSL_ERROR_SYSCALL ||
                     ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING;
  if (ended) return std::size_t{0};
  return std::unexpected(broken("the connection broke"));
}

Status TlsClient::write(std::string_view bytes) {
  const PipeSignalHeld held;
  ERR_clear_error();
  std::size_t sent = 0;
  if (SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &sent) == 1) return {};
  return std::unexpected(broken("the connection broke"));
}

bool TlsClient::has_pending() const { return SSL_pending(ssl_.get()) > 0; }

}  // namespace bop::cli
