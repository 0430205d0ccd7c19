// SCRAM-SHA-256 (RFC 5802, RFC 7677) without sockets: verifiers, the server's and the client's half of the
// exchange.
//
//   client-first   gs2-header client-first-bare        "n,," "n=user,r=CNONCE"
//                  with channel binding                "p=tls-server-end-point,," ...
//   server-first   "r=CNONCE SNONCE,s=BASE64(salt),i=ITERATIONS"
//   client-final   "c=BASE64(gs2-header [end point]),r=CNONCE SNONCE" ",p=BASE64(proof)"
//   server-final   "v=BASE64(server signature)"
//
//   SaltedPassword = PBKDF2-HMAC-SHA-256(normalised password, salt, iterations)
//   ClientKey = HMAC(SaltedPassword, "Client Key"), StoredKey = SHA-256(ClientKey)
//   ServerKey = HMAC(SaltedPassword, "Server Key")
//   AuthMessage = client-first-bare "," server-first "," client-final without its proof
//   proof = ClientKey XOR HMAC(StoredKey, AuthMessage), server signature = HMAC(ServerKey, AuthMessage)
//
// A verifier's text is PostgreSQL's: "SCRAM-SHA-256$4096:BASE64(salt)$BASE64(StoredKey):BASE64(ServerKey)".
// Whoever reads one can check a password, but not log in. An exchange belongs to one thread.
//
// Channel binding (RFC 5929, tls-server-end-point): under TLS the server also offers SCRAM-SHA-256-PLUS, in
// which the proof covers the hash of the server's certificate, so that nobody between can pass a login on.
// The flag "y" says that the client could bind and was not offered it: under TLS somebody has cut the offer
// out, and the exchange is refused.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "base/time.hpp"

namespace bop {

inline constexpr int kScramIterations = 4096;
inline constexpr std::string_view kScramMechanism = "SCRAM-SHA-256";
inline constexpr std::string_view kScramPlusMechanism = "SCRAM-SHA-256-PLUS";
using ScramKey = std::array<unsigned char, 32>;

struct ScramVerifier {
  int iterations = kScramIterations;
  std::string salt;  // bytes
  ScramKey stored_key{};
  ScramKey server_key{};

  [[nodiscard]] static Result<ScramVerifier> parse(std::string_view text);
  [[nodiscard]] std::string text() const;
  // True when `text` has the form of a verifier, so that CREATE ROLE keeps it as it is.
  [[nodiscard]] static bool looks_like(std::string_view text) { return parse(text).has_value(); }
};

[[nodiscard]] ScramVerifier make_scram_verifier(std::string_view password, std::string_view salt,
                                                int iterations);
// With 16 random bytes of salt and kScramIterations.
[[nodiscard]] ScramVerifier make_scram_verifier(std::string_view password, Random& random);
[[nodiscard]] bool scram_password_matches(const ScramVerifier& verifier, std::string_view password);

// SASLprep (RFC 4013) as far as it needs no Unicode tables: other spaces become the space, characters that
// are commonly mapped to nothing go. A password with control characters or invalid UTF-8 stays as it is, as
// PostgreSQL does. Not done: normalisation form KC, so that a password typed with compatibility characters
// must be typed alike.
[[nodiscard]] std::string saslprep(std::string_view password);

// The server's half. Same work whether or not the role exists: for an unknown one, or one without verifier,
// pass `mock_scram_verifier`; no proof satisfies it.
class ScramServer {
 public:
  // `nonce` is our part: printable ASCII without comma. `end_point` is the hash of the certificate with which
  // the connection is encrypted; without it there is no channel to bind.
  ScramServer(ScramVerifier verifier, bool is_mock, std::string nonce,
              std::optional<std::string> end_point = std::nullopt);

  // Takes client-first of the mechanism that the client chose, answers server-first. Errors:
  // kProtocolViolation, kFeatureNotSupported, kInvalidAuthorization (the offer of channel binding was lost).
  [[nodiscard]] Result<std::string> first(std::string_view client_first,
                                          std::string_view mechanism = kScramMechanism);
  // Takes client-final, answers server-final. kInvalidPassword: the proof is wrong. kInvalidAuthorization: it
  // is bound to another channel.
  [[nodiscard]] Result<std::string> final(std::string_view client_final);

 private:
  [[nodiscard]] Status take_binding_flag(std::string_view& rest);

  ScramVerifier verifier_;
  bool is_mock_;
  bool is_bound_ = false;
  std::optional<std::string> end_point_;
  std::string nonce_;            // after `first`: both parts
  std::string channel_binding_;  // what "c=" has to say
  std::string auth_message_;
};

// For a user who cannot log in: the salt is a function of the name and the node's secret, so that asking
// twice shows nothing.
[[nodiscard]] ScramVerifier mock_scram_verifier(std::string_view user, std::string_view node_secret);
[[nodiscard]] std::string scram_nonce(Random& random);

// The client's half.
class ScramClient {
 public:
  // With `end_point`, the hash of the server's certificate, the exchange is SCRAM-SHA-256-PLUS.
  ScramClient(std::string password, std::string nonce, std::optional<std::string> end_point = std::nullopt);
  [[nodiscard]] std::string_view mechanism() const {
    return end_point_ ? kScramPlusMechanism : kScramMechanism;
  }
  [[nodiscard]] std::string first() const;  // client-first
  [[nodiscard]] Result<std::string> final(std::string_view server_first);
  // kInvalidPassword: the server does not know the password's verifier and may be an impostor.
  [[nodiscard]] Status verify(std::string_view server_final) const;

 private:
  [[nodiscard]] std::string_view gs2_header() const;

  std::string password_;
  std::string nonce_;
  std::optional<std::string> end_point_;
  std::string expected_signature_;
};

[[nodiscard]] std::string base64_encode(std::string_view bytes);
// Strict: padded, no white space.
[[nodiscard]] Result<std::string> base64_decode(std::string_view text);

}  // namespace bop
