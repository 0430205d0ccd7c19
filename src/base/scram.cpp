#include "base/scram.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#include <algorithm>
#include <charconv>
#include <vector>

#include "base/assert.hpp"

namespace bop {

namespace {

constexpr int kMostIterations = 10'000'000;
constexpr std::string_view kBoundHeader = "p=tls-server-end-point,,";

std::string_view view_of(const ScramKey& key) {
  return {reinterpret_cast<const char*>(key.data()), key.size()};
}
const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

ScramKey hmac(std::string_view key, std::string_view message) {
  ScramKey out;
  unsigned int length = 0;
  const unsigned char* done = HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), bytes_of(message),
                                   message.size(), out.data(), &length);
  BOP_ASSERT(done != nullptr && length == out.size());
  return out;
}

ScramKey sha256(std::string_view message) {
  ScramKey out;
  SHA256(bytes_of(message), message.size(), out.data());
  return out;
}

ScramKey salted_password(std::string_view password, std::string_view salt, int iterations) {
  const std::string prepared = saslprep(password);
  ScramKey out;
  const int done = PKCS5_PBKDF2_HMAC(prepared.data(), static_cast<int>(prepared.size()), bytes_of(salt),
                                     static_cast<int>(salt.size()), iterations, EVP_sha256(),
                                     static_cast<int>(out.size()), out.data());
  BOP_ASSERT(done == 1);
  return out;
}

ScramKey exclusive_or(const ScramKey& a, const ScramKey& b) {
  ScramKey out;
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<unsigned char>(a[i] ^ b[i]);
  return out;
}

bool equal(const ScramKey& a, const ScramKey& b) { return CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0; }

Result<ScramKey> key_of_base64(std::string_view text) {
  BOP_LET(bytes, base64_decode(text));
  if (bytes.size() != ScramKey{}.size()) return fail(ErrorCode::kInvalidArgument, "a SCRAM key has 32 bytes");
  ScramKey key;
  std::ranges::copy(bytes, reinterpret_cast<char*>(key.data()));
  return key;
}

Result<int> iterations_of(std::string_view text) {
  int iterations = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), iterations);
  if (problem != std::errc{} || end != text.data() + text.size() || iterations < 1 ||
      iterations > kMostIterations) {
    return fail(ErrorCode::kInvalidArgument, "invalid SCRAM iteration count \"{}\"", text);
  }
  return iterations;
}

Error malformed(std::string detail) {
  return Error(ErrorCode::kProtocolViolation, "malformed SCRAM message").detail(std::move(detail));
}

// Takes "k=value" up to the next comma from the front of `rest`.
Result<std::string_view> take_attribute(std::string_view& rest, char name) {
  if (rest.size() < 2 || rest[0] != name || rest[1] != '=') {
    return std::unexpected(malformed(fmt::format("Expected attribute \"{}\".", name)));
  }
  const std::size_t comma = rest.find(',');
  const std::string_view value = rest.substr(2, comma == rest.npos ? rest.npos : comma - 2);
  rest = comma == rest.npos ? std::string_view{} : rest.substr(comma + 1);
  return value;
}

bool is_nonce(std::string_view text) {
  return !text.empty() &&
         std::ranges::all_of(text, [](char c) { return c >= 0x21 && c <= 0x7e && c != ','; });
}

// Decodes one character of UTF-8 at `at` and moves behind it; false when the bytes are none.
bool next_character(std::string_view text, std::size_t& at, std::uint32_t& character) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(at);
  std::size_t length = 0;
  std::uint32_t least = 0;
  if (lead < 0x80) {
    character = lead;
    ++at;
    return true;
  }
  if ((lead & 0xE0) == 0xC0) {
    length = 2, least = 0x80, character = lead & 0x1F;
  } else if ((lead & 0xF0) == 0xE0) {
    length = 3, least = 0x800, character = lead & 0x0F;
  } else if ((lead & 0xF8) == 0xF0) {
    length = 4, least = 0x10000, character = lead & 0x07;
  } else {
    return false;
  }
  if (text.size() - at < length) return false;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(at + i) & 0xC0) != 0x80) return false;
    character = (character << 6) | (byte(at + i) & 0x3F);
  }
  at += length;
  return character >= least && character <= 0x10FFFF && (character < 0xD800 || character > 0xDFFF);
}

// RFC 3454, tables C.1.2 and B.1.
bool is_other_space(std::uint32_t c) {
  return c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200B) || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}
bool is_mapped_to_nothing(std::uint32_t c) {
  return c == 0xAD || c == 0x34F || c == 0x1806 || (c >= 0x180B && c <= 0x180D) || c == 0x200C ||
         c == 0x200D || c == 0x2060 || (c >= 0xFE00 && c <= 0xFE0F) || c == 0xFEFF;
}
bool is_control(std::uint32_t c) { return c < 0x20 || (c >= 0x7F && c <= 0x9F); }

}  // namespace

std::string base64_encode(std::string_view bytes) {
  std::string out((bytes.size() + 2) / 3 * 4, '\0');
  // EVP_EncodeBlock writes a terminator, for which std::string has room.
  EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()), bytes_of(bytes),
                  static_cast<int>(bytes.size()));
  return out;
}

Result<std::string> base64_decode(std::string_view text) {
  const auto wrong = [&] { return fail(ErrorCode::kInvalidArgument, "invalid base64"); };
  if (text.size() % 4 != 0) return wrong();
  std::size_t padding = 0;
  if (text.ends_with("==")) {
    padding = 2;
  } else if (text.ends_with("=")) {
    padding = 1;
  }
  const auto is_digit = [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
  };
  if (!std::ranges::all_of(text.substr(0, text.size() - padding), is_digit)) return wrong();
  std::string out(text.size() / 4 * 3, '\0');
  const int length = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()), bytes_of(text),
                                     static_cast<int>(text.size()));
  if (length != static_cast<int>(out.size())) return wrong();
  out.resize(out.size() - padding);
  return out;
}

std::string saslprep(std::string_view password) {
  std::string out;
  out.reserve(password.size());
  for (std::size_t at = 0; at < password.size();) {
    const std::size_t begin = at;
    std::uint32_t character = 0;
    if (!next_character(password, at, character) || is_control(character)) return std::string(password);
    if (is_mapped_to_nothing(character)) continue;
    if (is_other_space(character)) {
      out += ' ';
    } else {
      out += password.substr(begin, at - begin);
    }
  }
  return out.empty() ? std::string(password) : out;
}

Result<ScramVerifier> ScramVerifier::parse(std::string_view text) {
  const auto wrong = [] { return fail(ErrorCode::kInvalidArgument, "not a SCRAM-SHA-256 verifier"); };
  if (!text.starts_with(kScramMechanism)) return wrong();
  text.remove_prefix(kScramMechanism.size());
  if (!text.starts_with('$')) return wrong();
  text.remove_prefix(1);
  const std::size_t colon = text.find(':');
  const std::size_t dollar = text.find('$');
  if (colon == text.npos || dollar == text.npos || dollar < colon) return wrong();
  const std::size_t second_colon = text.find(':', dollar);
  if (second_colon == text.npos) return wrong();
  ScramVerifier verifier;
  BOP_LET(iterations, iterations_of(text.substr(0, colon)));
  BOP_LET(salt, base64_decode(text.substr(colon + 1, dollar - colon - 1)));
  BOP_LET(stored, key_of_base64(text.substr(dollar + 1, second_colon - dollar - 1)));
  BOP_LET(server, key_of_base64(text.substr(second_colon + 1)));
  if (salt.empty()) return wrong();
  return ScramVerifier{iterations, std::move(salt), stored, server};
}

std::string ScramVerifier::text() const {
  return fmt::format("{}${}:{}${}:{}", kScramMechanism, iterations, base64_encode(salt),
                     base64_encode(view_of(stored_key)), base64_encode(view_of(server_key)));
}

ScramVerifier make_scram_verifier(std::string_view password, std::string_view salt, int iterations) {
  const ScramKey salted = salted_password(password, salt, iterations);
  return {iterations, std::string(salt), sha256(view_of(hmac(view_of(salted), "Client Key"))),
          hmac(view_of(salted), "Server Key")};
}

ScramVerifier make_scram_verifier(std::string_view password, Random& random) {
  std::array<char, 16> salt;
  random.fill(std::as_writable_bytes(std::span(salt)));
  return make_scram_verifier(password, std::string_view(salt.data(), salt.size()), kScramIterations);
}

bool scram_password_matches(const ScramVerifier& verifier, std::string_view password) {
  const ScramKey salted = salted_password(password, verifier.salt, verifier.iterations);
  return equal(hmac(view_of(salted), "Server Key"), verifier.server_key);
}

ScramVerifier mock_scram_verifier(std::string_view user, std::string_view node_secret) {
  const ScramKey seed = hmac(node_secret, user);
  return {kScramIterations, std::string(view_of(seed).substr(0, 16)), seed, seed};
}

std::string scram_nonce(Random& random) {
  std::array<char, 18> bytes;
  random.fill(std::as_writable_bytes(std::span(bytes)));
  return base64_encode(std::string_view(bytes.data(), bytes.size()));
}

ScramServer::ScramServer(ScramVerifier verifier, bool is_mock, std::string nonce,
                         std::optional<std::string> end_point)
    : verifier_(std::move(verifier)),
      is_mock_(is_mock),
      end_point_(std::move(end_point)),
      nonce_(std::move(nonce)) {}

// Takes the flag of the gs2 header, up to its comma, from the front of `rest`.
Status ScramServer::take_binding_flag(std::string_view& rest) {
  if (rest.empty()) return std::unexpected(malformed("The message is empty."));
  switch (rest[0]) {
    case 'n':
    case 'y':
      if (is_bound_) {
        return std::unexpected(
            malformed("The client selected SCRAM-SHA-256-PLUS, but the SCRAM message does not include "
                      "channel binding data."));
      }
      if (rest[0] == 'y' && end_point_) {
        return std::unexpected(
            Error(ErrorCode::kInvalidAuthorization, "SCRAM channel binding negotiation error")
                .detail("The client supports SCRAM channel binding but thinks the server does not.  "
                        "However, this server does support channel binding."));
      }
      rest.remove_prefix(1);
      break;
    case 'p': {
      if (!is_bound_) {
        return std::unexpected(
            malformed("The client selected SCRAM-SHA-256 without channel binding, but the SCRAM "
                      "message includes channel binding data."));
      }
      BOP_LET(type, take_attribute(rest, 'p'));
      if (type != "tls-server-end-point") {
        return fail(ErrorCode::kProtocolViolation, "unsupported SCRAM channel-binding type \"{}\"", type);
      }
      return {};
    }
    default: return std::unexpected(malformed("Unexpected channel-binding flag."));
  }
  if (!rest.starts_with(',')) return std::unexpected(malformed("Comma expected."));
  rest.remove_prefix(1);
  return {};
}

Result<std::string> ScramServer::first(std::string_view client_first, std::string_view mechanism) {
  is_bound_ = mechanism == kScramPlusMechanism;
  BOP_ASSERT(!is_bound_ || end_point_);
  std::string_view rest = client_first;
  BOP_TRY(take_binding_flag(rest));
  if (rest.starts_with('a')) {
    return fail(ErrorCode::kFeatureNotSupported,
                "client uses authorization identity, but it is not supported");
  }
  if (!rest.starts_with(','))
    return std::unexpected(malformed("Unexpected attribute in client-first-message."));
  rest.remove_prefix(1);
  const std::string_view gs2_header = client_first.substr(0, client_first.size() - rest.size());
  if (rest.starts_with("m=")) {
    return fail(ErrorCode::kFeatureNotSupported, "client requires an unsupported SCRAM extension");
  }
  const std::string_view bare = rest;
  BOP_TRY(take_attribute(rest, 'n'));  // PostgreSQL's user is that of the startup message
  BOP_LET(client_nonce, take_attribute(rest, 'r'));
  if (!is_nonce(client_nonce)) return std::unexpected(malformed("Non-printable characters in SCRAM nonce."));
  channel_binding_ = base64_encode(std::string(gs2_header) + (is_bound_ ? *end_point_ : ""));
  nonce_ = std::string(client_nonce) + nonce_;
  std::string answer =
      fmt::format("r={},s={},i={}", nonce_, base64_encode(verifier_.salt), verifier_.iterations);
  auth_message_ = fmt::format("{},{}", bare, answer);
  return answer;
}

Result<std::string> ScramServer::final(std::string_view client_final) {
  std::string_view rest = client_final;
  BOP_LET(binding, take_attribute(rest, 'c'));
  if (binding != channel_binding_) {
    if (is_bound_) return fail(ErrorCode::kInvalidAuthorization, "SCRAM channel binding check failed");
    return std::unexpected(malformed("Unexpected SCRAM channel-binding attribute."));
  }
  BOP_LET(nonce, take_attribute(rest, 'r'));
  if (nonce != nonce_) return std::unexpected(malformed("Nonce does not match."));
  while (!rest.empty() && !rest.starts_with("p=")) {  // optional extensions
    const std::size_t comma = rest.find(',');
    rest = comma == rest.npos ? std::string_view{} : rest.substr(comma + 1);
  }
  const std::size_t proof_at = client_final.size() - rest.size();
  BOP_LET(proof_text, take_attribute(rest, 'p'));
  if (!rest.empty()) return std::unexpected(malformed("Garbage found at the end of client-final-message."));
  const Result<ScramKey> proof = key_of_base64(proof_text);
  if (!proof) return std::unexpected(malformed("Malformed proof in client-final-message."));

  auth_message_ += ',';
  auth_message_ += client_final.substr(0, proof_at - 1);
  const ScramKey signature = hmac(view_of(verifier_.stored_key), auth_message_);
  const ScramKey client_key = exclusive_or(*proof, signature);
  const bool right = equal(sha256(view_of(client_key)), verifier_.stored_key);
  std::string answer = "v=" + base64_encode(view_of(hmac(view_of(verifier_.server_key), auth_message_)));
  if (!right || is_mock_) return fail(ErrorCode::kInvalidPassword, "the SCRAM proof is wrong");
  return answer;
}

ScramClient::ScramClient(std::string password, std::string nonce, std::optional<std::string> end_point)
    : password_(std::move(password)), nonce_(std::move(nonce)), end_point_(std::move(end_point)) {}

std::string_view ScramClient::gs2_header() const { return end_point_ ? kBoundHeader : "n,,"; }

std::string ScramClient::first() const { return fmt::format("{}n=,r={}", gs2_header(), nonce_); }

Result<std::string> ScramClient::final(std::string_view server_first) {
  std::string_view rest = server_first;
  BOP_LET(nonce, take_attribute(rest, 'r'));
  if (!nonce.starts_with(nonce_) || nonce.size() == nonce_.size()) {
    return std::unexpected(malformed("The server's nonce does not begin with ours."));
  }
  BOP_LET(salt_text, take_attribute(rest, 's'));
  BOP_LET(salt, base64_decode(salt_text));
  BOP_LET(iterations_text, take_attribute(rest, 'i'));
  BOP_LET(iterations, iterations_of(iterations_text));
  const ScramKey salted = salted_password(password_, salt, iterations);
  const ScramKey client_key = hmac(view_of(salted), "Client Key");
  const ScramKey stored_key = sha256(view_of(client_key));
  const std::string channel = std::string(gs2_header()) + end_point_.value_or("");
  std::string without_proof = fmt::format("c={},r={}", base64_encode(channel), nonce);
  const std::string auth_message = fmt::format("n=,r={},{},{}", nonce_, server_first, without_proof);
  const ScramKey proof = exclusive_or(client_key, hmac(view_of(stored_key), auth_message));
  expected_signature_ =
      base64_encode(view_of(hmac(view_of(hmac(view_of(salted), "Server Key")), auth_message)));
  return without_proof + ",p=" + base64_encode(view_of(proof));
}

Status ScramClient::verify(std::string_view server_final) const {
  std::string_view rest = server_final;
  BOP_LET(signature, take_attribute(rest, 'v'));
  if (expected_signature_.empty() || signature != expected_signature_) {
    return fail(ErrorCode::kInvalidPassword,
                "the server's SCRAM signature is wrong: it does not know the password");
  }
  return {};
}

}  // namespace bop
