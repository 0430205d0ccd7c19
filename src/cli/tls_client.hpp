// The client's side of TLS over a blocking socket, for `bop sql`.
//
// The server's certificate is not compared with an authority: that the peer is the node is shown by
// SCRAM-SHA-256-PLUS, whose proof covers the certificate and needs the password on both sides.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/error.hpp"

extern "C" {
struct ssl_ctx_st;
struct ssl_st;
}

namespace bop::cli {

class TlsClient {
 public:
  // Shakes hands on `socket`, which stays the caller's.
  [[nodiscard]] static Result<TlsClient> connect(int socket, const std::string& host);

  // What SCRAM binds to; none for a certificate without such a hash.
  [[nodiscard]] std::optional<std::string> end_point() const;
  // 0: the peer closed the connection.
  [[nodiscard]] Result<std::size_t> read(std::span<char> bytes);
  [[nodiscard]] Status write(std::string_view bytes);
  // Bytes that have come and have not been read.
  [[nodiscard]] bool has_pending() const;

 private:
  struct Free {
    void operator()(ssl_ctx_st* context) const noexcept;
    void operator()(ssl_st* ssl) const noexcept;
  };
  TlsClient() = default;

  std::unique_ptr<ssl_ctx_st, Free> context_;
  std::unique_ptr<ssl_st, Free> ssl_;
};

}  // namespace bop::cli
