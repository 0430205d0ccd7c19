#include "cli/cell_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <clocale>
#include <cstdint>
#include <cwchar>

namespace bop::cli {

namespace {

struct Character {
  std::uint32_t code = 0;
  std::size_t bytes = 1;
};

// The server sends valid UTF-8; what is not counts byte by byte.
Character character_at(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(at);
  const std::size_t bytes = first < 0x80 ? 1 : first < 0xC0 ? 0 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  if (bytes < 2 || at + bytes > text.size()) return {.code = first, .bytes = 1};
  std::uint32_t code = first & (0x7FU >> bytes);
  for (std::size_t i = 1; i < bytes; ++i) code = code << 6 | (byte(at + i) & 0x3FU);
  return {.code = code, .bytes = bytes};
}

// Negative: it controls a terminal. The program itself runs in the C locale, which knows no width but
// ASCII's.
int width_of(std::uint32_t code) {
  if (code < 0x20 || (code >= 0x7F && code < 0xA0)) return -1;
  if (code < 0x300) return 1;
  static const ::locale_t kUnicode = ::newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
  if (kUnicode == nullptr) return 1;
  const ::locale_t before = ::uselocale(kUnicode);
  const int width = ::wcwidth(static_cast<wchar_t>(code));
  ::uselocale(before);
  return width < 0 ? 1 : width;
}

}  // namespace

CellText::CellText(std::string_view value) {
  constexpr std::size_t kTab = 8;
  lines.emplace_back();
  for (std::size_t at = 0; at < value.size();) {
    Line& line = lines.back();
    const auto [code, bytes] = character_at(value, at);
    const int columns = width_of(code);
    std::string shown;
    if (code == '\n') {
      lines.emplace_back();
    } else if (code == '\r') {
      shown = "\\r";
    } else if (code == '\t') {
      shown.assign(kTab - line.width % kTab, ' ');
    } else if (columns < 0) {
      shown = bytes == 1 ? fmt::format("\\x{:02X}", code) : fmt::format("\\u{:04X}", code);
    } else {
      line.text.append(value.substr(at, bytes));
      line.width += static_cast<std::size_t>(columns);
    }
    if (!shown.empty()) {
      line.width += shown.size();
      line.text += shown;
    }
    at += bytes;
  }
  for (const Line& line : lines) width = std::max(width, line.width);
}

std::size_t display_width(std::string_view text) {
  std::size_t width = 0;
  for (std::size_t at = 0; at < text.size();) {
    const auto [code, bytes] = character_at(text, at);
    width += static_cast<std::size_t>(std::max(0, width_of(code)));
    at += bytes;
  }
  return width;
}

}  // namespace bop::cli
