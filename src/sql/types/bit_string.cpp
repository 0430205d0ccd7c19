#include "sql/types/bit_string.hpp"

#include "sql/types/bytes.hpp"

namespace bop {

Result<std::string> parse_bits(std::string_view text) {
  const bool hex = text.starts_with('x') || text.starts_with('X');
  const bool marked = hex || text.starts_with('b') || text.starts_with('B');
  std::string bits;
  for (std::size_t i = marked ? 1 : 0; i < text.size(); ++i) {
    const char c = ascii_lower(text[i]);
    const std::string_view shown = text.substr(i, utf8_length(text[i]));
    if (!hex) {
      if (c != '0' && c != '1') {
        return fail(ErrorCode::kInvalidTextRepresentation, "\"{}\" is not a valid binary digit", shown);
      }
      bits += c;
      continue;
    }
    const int value = is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    if (value < 0) {
      return fail(ErrorCode::kInvalidTextRepresentation, "\"{}\" is not a valid hexadecimal digit", shown);
    }
    for (int k = 3; k >= 0; --k) bits += (value >> k & 1) != 0 ? '1' : '0';
  }
  return bits;
}

Result<std::string> parse_bits_binary(std::string_view in) {
  const auto count = take_be<std::int32_t>(in);
  if (!count) return fail(ErrorCode::kProtocolViolation, "insufficient data left in message");
  if (*count < 0) {
    return fail(ErrorCode::kInvalidBinaryRepresentation, "invalid length in external bit string");
  }
  const std::size_t bytes = (static_cast<std::size_t>(*count) + 7) / 8;
  if (in.size() < bytes) return fail(ErrorCode::kProtocolViolation, "insufficient data left in message");
  if (in.size() > bytes) return fail(ErrorCode::kInvalidBinaryRepresentation, "incorrect binary data format");
  std::string bits;
  for (std::size_t i = 0; i < static_cast<std::size_t>(*count); ++i)
    bits += (static_cast<unsigned char>(in[i / 8]) >> (7 - i % 8) & 1) != 0 ? '1' : '0';
  return bits;
}

void append_bits_binary(std::string_view bits, std::string& out) {
  put_be(out, static_cast<std::int32_t>(bits.size()));
  for (std::size_t i = 0; i < bits.size(); i += 8) {
    int byte = 0;
    for (std::size_t k = 0; k < 8; ++k)
      byte = byte << 1 | (i + k < bits.size() && bits[i + k] == '1' ? 1 : 0);
    out += static_cast<char>(byte);
  }
}

}  // namespace bop
