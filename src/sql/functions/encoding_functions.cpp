// Digests, encode and decode, hexadecimal numbers, uuid.
#include <openssl/evp.h>

#include "base/time.hpp"
#include "sql/functions/registry.hpp"
#include "sql/types/bytes.hpp"
#include "sql/types/scalar.hpp"

namespace bop {
namespace {

std::string digest(const EVP_MD* kind, std::string_view bytes) {
  unsigned char out[EVP_MAX_MD_SIZE];
  unsigned int n = 0;
  BOP_ASSERT(EVP_Digest(bytes.data(), bytes.size(), out, &n, kind, nullptr) == 1);
  return {reinterpret_cast<const char*>(out), n};
}

Implementation sha(std::string key, const EVP_MD* (*kind)()) {
  return scalar(std::move(key),
                [kind](Call& c) -> Returned { return OwnedValue::of_blob(digest(kind(), c.text(0))); });
}

Returned md5(Call& c) {
  std::string hex;
  encode_hex(digest(EVP_md5(), c.text(0)), hex);
  return text_result(std::move(hex));
}

constexpr char kBase64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

std::string encode_base64(std::string_view in) {  // a line break after 76 characters, as PostgreSQL
  std::string out;
  int column = 0;
  for (std::size_t i = 0; i < in.size(); i += 3) {
    std::uint32_t v = 0;
    const std::size_t n = std::min<std::size_t>(3, in.size() - i);
    for (std::size_t k = 0; k < 3; ++k) v = v << 8 | (k < n ? static_cast<unsigned char>(in[i + k]) : 0U);
    if (column == 76) out += '\n', column = 0;
    out += kBase64[v >> 18];
    out += kBase64[v >> 12 & 63];
    out += n > 1 ? kBase64[v >> 6 & 63] : '=';
    out += n > 2 ? kBase64[v & 63] : '=';
    column += 4;
  }
  return out;
}

Result<std::string> decode_base64(std::string_view in) {
  std::string out;
  std::uint32_t v = 0;
  int have = 0, padding = 0;
  for (std::size_t i = 0; i < in.size(); ++i) {
    const char c = in[i];
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r') continue;
    const char* at = c == '\0' ? nullptr : std::strchr(kBase64, c);
    if (c == '=') {
      if (padding == 0 && have < 2)
        return fail(ErrorCode::kInvalidArgument, "unexpected \"=\" while decoding base64 sequence");
      ++padding;
      v <<= 6;
    } else if (at != nullptr && padding == 0) {
      v = v << 6 | static_cast<std::uint32_t>(at - kBase64);
    } else {
      return fail(ErrorCode::kInvalidArgument, "invalid symbol \"{}\" found while decoding base64 sequence",
                  in.substr(i, utf8_length(c)));
    }
    if (++have == 4) {
      out += static_cast<char>(v >> 16);
      if (padding < 2) out += static_cast<char>(v >> 8 & 0xff);
      if (padding < 1) out += static_cast<char>(v & 0xff);
      v = 0, have = 0;
    }
  }
  if (have != 0) {
    return std::unexpected(
        Error(ErrorCode::kInvalidArgument, "invalid base64 end sequence")
            .hint("Input data is missing padding, is truncated, or is otherwise corrupted."));
  }
  return out;
}

Returned encode(Call& c) {
  const std::string kind = lower_ascii(c.text(1));
  std::string out;
  if (kind == "hex")
    encode_hex(c.text(0), out);
  else if (kind == "base64")
    out = encode_base64(c.text(0));
  else if (kind == "escape") {
    for (const char ch : c.text(0)) {
      const auto b = static_cast<unsigned char>(ch);
      if (b == 0 || b >= 0x80)
        out += fmt::format("\\{:03o}", b);
      else if (ch == '\\')
        out += "\\\\";
      else
        out += ch;
    }
  } else
    return fail(ErrorCode::kInvalidArgument, "unrecognized encoding: \"{}\"", c.text(1));
  return text_result(std::move(out));
}

Returned decode(Call& c) {
  const std::string kind = lower_ascii(c.text(1));
  if (kind != "hex" && kind != "base64" && kind != "escape") {
    return fail(ErrorCode::kInvalidArgument, "unrecognized encoding: \"{}\"", c.text(1));
  }
  BOP_LET(bytes, kind == "hex"      ? decode_hex(c.text(0))
                 : kind == "base64" ? decode_base64(c.text(0))
                                    : decode_escape(c.text(0)));
  return OwnedValue::of_blob(std::move(bytes));
}

Returned random_uuid(Call& c) {
  std::string bytes(16, '\0');
  Random& random = c.context.random != nullptr ? *c.context.random : system_random();
  random.fill(std::as_writable_bytes(std::span(bytes)));
  bytes[6] = static_cast<char>((bytes[6] & 0x0f) | 0x40);
  bytes[8] = static_cast<char>((bytes[8] & 0x3f) | 0x80);
  return OwnedValue::of_blob(std::move(bytes));
}

Returned convert_from(Call& c) {
  const std::string name = lower_ascii(c.text(1));
  if (name != "utf8" && name != "utf-8" && name != "unicode") {
    return fail(ErrorCode::kNotImplemented, "conversion from encoding \"{}\" is not implemented", c.text(1));
  }
  const std::size_t bad = find_invalid_utf8(c.text(0));
  if (bad != std::string_view::npos) {
    return fail(ErrorCode::kCharacterNotInRepertoire, "invalid byte sequence for encoding \"UTF8\": 0x{:02x}",
                static_cast<unsigned char>(c.text(0)[bad]));
  }
  return text_result(std::string(c.text(0)));
}

}  // namespace

void add_encoding_functions(Implementations& all) {
  all.push_back(scalar("md5_text", md5));
  all.push_back(scalar("md5_bytea", md5));
  all.push_back(sha("sha224_bytea", EVP_sha224));
  all.push_back(sha("sha256_bytea", EVP_sha256));
  all.push_back(sha("sha384_bytea", EVP_sha384));
  all.push_back(sha("sha512_bytea", EVP_sha512));
  all.push_back(scalar("binary_encode", encode));
  all.push_back(scalar("binary_decode", decode));
  all.push_back(scalar("to_hex32", [](Call& c) {
    return text_result(fmt::format("{:x}", static_cast<std::uint32_t>(c.integer(0))));
  }));
  all.push_back(scalar("to_hex64", [](Call& c) {
    return text_result(fmt::format("{:x}", static_cast<std::uint64_t>(c.integer(0))));
  }));
  all.push_back(scalar("gen_random_uuid", random_uuid));
  all.push_back(scalar("pg_convert_from", convert_from));
  all.push_back(scalar("pg_convert_to",
                       [](Call& c) -> Returned { return OwnedValue::of_blob(std::string(c.text(0))); }));
  all.push_back(scalar("byteaGetByte", [](Call& c) -> Returned {
    const std::int64_t i = c.integer(1), n = static_cast<std::int64_t>(c.text(0).size());
    if (i < 0 || i >= n)
      return fail(ErrorCode::kArraySubscriptError, "index {} out of valid range, 0..{}", i, n - 1);
    return int_result(static_cast<unsigned char>(c.text(0)[static_cast<std::size_t>(i)]));
  }));
}

}  // namespace bop
