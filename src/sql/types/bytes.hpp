// Reading and writing the small things that every codec needs: big-endian integers, white space, UTF-8.
#pragma once

#include <bit>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

namespace bop {

template <std::integral T>
void put_be(std::string& out, T value) {
  const auto v = static_cast<std::make_unsigned_t<T>>(value);
  for (int shift = static_cast<int>(sizeof(T)) * 8 - 8; shift >= 0; shift -= 8) {
    out += static_cast<char>(static_cast<std::uint64_t>(v) >> shift & 0xff);
  }
}

// Reads from the front and removes; nothing when too short.
template <std::integral T>
[[nodiscard]] std::optional<T> take_be(std::string_view& in) {
  if (in.size() < sizeof(T)) return std::nullopt;
  std::uint64_t v = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i) v = v << 8 | static_cast<unsigned char>(in[i]);
  in.remove_prefix(sizeof(T));
  return static_cast<T>(static_cast<std::make_unsigned_t<T>>(v));
}

[[nodiscard]] constexpr bool is_space(char c) noexcept { return c == ' ' || (c >= '\t' && c <= '\r'); }
[[nodiscard]] constexpr bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
[[nodiscard]] constexpr bool is_alpha(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
[[nodiscard]] constexpr char ascii_lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}
[[nodiscard]] constexpr char ascii_upper(char c) noexcept {
  return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
}
[[nodiscard]] inline std::string lower_ascii(std::string_view s) {
  std::string r(s);
  for (char& c : r) c = ascii_lower(c);
  return r;
}
[[nodiscard]] constexpr std::string_view trim_space(std::string_view s) noexcept {
  while (!s.empty() && is_space(s.front())) s.remove_prefix(1);
  while (!s.empty() && is_space(s.back())) s.remove_suffix(1);
  return s;
}

// Bytes of the character that starts with `lead`; 1 for bytes that start none.
[[nodiscard]] constexpr std::size_t utf8_length(char lead) noexcept {
  const auto b = static_cast<unsigned char>(lead);
  return b < 0xc0 ? 1 : b < 0xe0 ? 2 : b < 0xf0 ? 3 : 4;
}
[[nodiscard]] constexpr std::size_t utf8_count(std::string_view s) noexcept {
  std::size_t n = 0;
  for (const char c : s) n += (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  return n;
}
// Byte offset of character `index`, or the size.
[[nodiscard]] constexpr std::size_t utf8_offset(std::string_view s, std::size_t index) noexcept {
  std::size_t at = 0;
  for (; index > 0 && at < s.size(); --index) at += utf8_length(s[at]);
  return at < s.size() ? at : s.size();
}
// Offset of the first byte that is not valid UTF-8 (RFC 3629) or is NUL; npos if all is well.
[[nodiscard]] std::size_t find_invalid_utf8(std::string_view s) noexcept;
void append_utf8(std::string& out, std::uint32_t code_point);
// Decodes one character of valid UTF-8 at `at` and moves behind it.
[[nodiscard]] std::uint32_t next_code_point(std::string_view s, std::size_t& at) noexcept;

}  // namespace bop
