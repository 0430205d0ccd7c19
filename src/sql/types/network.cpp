#include "sql/types/network.hpp"

#include <algorithm>
#include <charconv>
#include <optional>

#include <fmt/format.h>

#include "sql/types/bytes.hpp"

namespace bop {
namespace {

// A decimal number of at most `most` without sign; nullopt if the text is none.
std::optional<int> small_number(std::string_view text, int most) {
  int n = 0;
  const auto r = std::from_chars(text.data(), text.data() + text.size(), n);
  if (text.empty() || !is_digit(text[0]) || r.ec != std::errc() || r.ptr != text.data() + text.size() ||
      n > most)
    return std::nullopt;
  return n;
}

bool parse_v4(std::string_view text, bool cidr, std::optional<int> bits, Inet& out) {
  std::size_t count = 0;
  while (true) {
    const std::size_t dot = std::min(text.find('.'), text.size());
    const auto octet = small_number(text.substr(0, dot), 255);
    if (!octet || count == 4) return false;
    out.address[count++] = static_cast<std::uint8_t>(*octet);
    if (dot == text.size()) break;
    text.remove_prefix(dot + 1);
  }
  const int written = static_cast<int>(count) * 8;
  if (bits) {
    if (!cidr && *bits / 8 > static_cast<int>(count)) return false;
    out.bits = *bits;
  } else if (!cidr || count == 4) {
    if (count != 4) return false;
    out.bits = 32;
  } else {  // by the classes of addresses of old
    const int first = out.address[0];
    out.bits = first >= 240 ? 32 : first >= 224 ? 8 : first >= 192 ? 24 : first >= 128 ? 16 : 8;
    out.bits = std::max(out.bits, written);
    if (out.bits == 8 && first == 224) out.bits = 4;
  }
  return true;
}

bool parse_v6(std::string_view text, Inet& out) {
  out.v6 = true;
  out.bits = 128;
  std::array<std::uint16_t, 8> words{};
  std::size_t count = 0;
  std::optional<std::size_t> gap;
  if (text.starts_with("::")) {
    gap = 0;
    text.remove_prefix(2);
  } else if (text.starts_with(':')) {
    return false;
  }
  while (!text.empty()) {
    if (count == 8) return false;
    const std::size_t colon = std::min(text.find(':'), text.size());
    const std::string_view group = text.substr(0, colon);
    if (group.find('.') != group.npos) {
      Inet v4;
      if (colon != text.size() || count > 6 || std::ranges::count(group, '.') != 3 ||
          !parse_v4(group, false, std::nullopt, v4))
        return false;
      words[count++] = static_cast<std::uint16_t>(v4.address[0] << 8 | v4.address[1]);
      words[count++] = static_cast<std::uint16_t>(v4.address[2] << 8 | v4.address[3]);
      break;
    }
    std::uint16_t word = 0;
    const auto r = std::from_chars(group.data(), group.data() + group.size(), word, 16);
    if (group.empty() || group.size() > 4 || r.ec != std::errc() || r.ptr != group.data() + group.size())
      return false;
    words[count++] = word;
    if (colon == text.size()) break;
    text.remove_prefix(colon + 1);
    if (text.empty()) return false;  // ends with one colon
    if (text[0] == ':') {
      if (gap) return false;
      gap = count;
      text.remove_prefix(1);
    }
  }
  if (gap ? count > 7 : count != 8) return false;
  if (gap) {
    std::rotate(words.begin() + static_cast<std::ptrdiff_t>(*gap),
                words.begin() + static_cast<std::ptrdiff_t>(count), words.end());
  }
  for (std::size_t i = 0; i < 8; ++i) {
    out.address[2 * i] = static_cast<std::uint8_t>(words[i] >> 8);
    out.address[2 * i + 1] = static_cast<std::uint8_t>(words[i]);
  }
  return true;
}

int hex_value(char c) {
  c = ascii_lower(c);
  return is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

}  // namespace

void Inet::fill_host(bool ones) noexcept {
  for (int i = bits; i < max_bits(); ++i) {
    const auto mask = static_cast<std::uint8_t>(1 << (7 - i % 8));
    auto& byte = address[static_cast<std::size_t>(i / 8)];
    byte = static_cast<std::uint8_t>(ones ? byte | mask : byte & ~mask);
  }
}

bool Inet::has_host_bits() const noexcept {
  for (int i = bits; i < max_bits(); ++i) {
    if (bit(i)) return true;
  }
  return false;
}

Result<Inet> Inet::parse(std::string_view text, bool cidr) {
  const std::string_view name = cidr ? "cidr" : "inet";
  const auto bad = [&] {
    return fail(ErrorCode::kInvalidTextRepresentation, "invalid input syntax for type {}: \"{}\"", name,
                text);
  };
  Inet made;
  const std::size_t slash = text.find('/');
  const std::string_view address = text.substr(0, slash);
  const bool v6 = address.find(':') != address.npos;
  std::optional<int> bits;
  if (slash != text.npos) {
    bits = small_number(text.substr(slash + 1), v6 ? 128 : 32);
    if (!bits) return bad();
  }
  if (v6 ? !parse_v6(address, made) : !parse_v4(address, cidr, bits, made)) return bad();
  if (v6 && bits) made.bits = *bits;
  if (cidr && made.has_host_bits()) {
    return std::unexpected(error(ErrorCode::kInvalidTextRepresentation, "invalid cidr value: \"{}\"", text)
                               .detail("Value has bits set to right of mask."));
  }
  return made;
}

Inet Inet::of_stored(std::string_view stored) { return parse(stored, false).value_or(Inet()); }

std::string Inet::stored() const { return fmt::format("{}/{}", host(), bits); }

std::string Inet::text(bool cidr) const { return cidr || bits != max_bits() ? stored() : host(); }

std::string Inet::host() const {
  const auto v4 = [&](std::size_t at) {
    return fmt::format("{}.{}.{}.{}", address[at], address[at + 1], address[at + 2], address[at + 3]);
  };
  if (!v6) return v4(0);
  std::array<int, 8> words{};
  for (std::size_t i = 0; i < 8; ++i) words[i] = address[2 * i] << 8 | address[2 * i + 1];
  std::size_t best = 8, best_length = 1;  // of the longest run of zeros, two at least
  for (std::size_t i = 0; i < 8; ++i) {
    std::size_t end = i;
    while (end < 8 && words[end] == 0) ++end;
    if (end - i > best_length) {
      best = i;
      best_length = end - i;
    }
    if (end > i) i = end - 1;
  }
  std::string out;
  for (std::size_t i = 0; i < 8; ++i) {
    if (best < 8 && i >= best && i < best + best_length) {
      if (i == best) out += ':';
      continue;
    }
    if (i > 0) out += ':';
    if (i == 6 && best == 0 &&
        (best_length == 6 || (best_length == 7 && words[7] != 1) ||
         (best_length == 5 && words[5] == 0xffff))) {
      return out + v4(12);
    }
    out += fmt::format("{:x}", words[i]);
  }
  if (best < 8 && best + best_length == 8) out += ':';
  return out;
}

int Inet::compare_bits(const Inet& a, const Inet& b, int count) noexcept {
  for (int i = 0; i < count; ++i) {
    if (a.bit(i) != b.bit(i)) return a.bit(i) ? 1 : -1;
  }
  return 0;
}

int Inet::compare(const Inet& a, const Inet& b) noexcept {
  if (a.v6 != b.v6) return a.v6 ? 1 : -1;
  if (const int c = compare_bits(a, b, std::min(a.bits, b.bits)); c != 0) return c;
  if (a.bits != b.bits) return a.bits < b.bits ? -1 : 1;
  return compare_bits(a, b, a.max_bits());
}

namespace {

// Pairs of digits with the same separator or none: every two, or as `every` bytes say.
std::optional<std::string> hex_bytes(std::string_view text, std::string_view separators, std::size_t every) {
  std::string bytes;
  char separator = '\0';
  while (!text.empty()) {
    if (!bytes.empty() && bytes.size() % every == 0) {
      const bool is_separator = separators.find(text[0]) != separators.npos;
      if (separator == '\0' && is_separator && bytes.size() == every) separator = text[0];
      if (is_separator != (separator != '\0') || (is_separator && text[0] != separator)) return std::nullopt;
      if (is_separator) text.remove_prefix(1);
    }
    if (text.size() < 2 || hex_value(text[0]) < 0 || hex_value(text[1]) < 0) return std::nullopt;
    bytes += static_cast<char>(hex_value(text[0]) * 16 + hex_value(text[1]));
    text.remove_prefix(2);
  }
  return bytes;
}

}  // namespace

Result<std::string> parse_macaddr(std::string_view text) {
  const std::string_view s = trim_space(text);
  struct Form {
    std::string_view separators;
    std::size_t every;
  };
  constexpr Form kForms[] = {{":-", 1}, {":-", 3}, {".-", 2}, {"", 6}};
  for (const Form& form : kForms) {
    const auto bytes = hex_bytes(s, form.separators, form.every);
    if (bytes && bytes->size() == 6) return *bytes;
  }
  return fail(ErrorCode::kInvalidTextRepresentation, "invalid input syntax for type macaddr: \"{}\"", text);
}

Result<std::string> parse_macaddr8(std::string_view text) {
  const std::string_view s = trim_space(text);
  for (const std::size_t every :
       {std::size_t{1}, std::size_t{2}, std::size_t{3}, std::size_t{4}, std::size_t{8}}) {
    auto bytes = hex_bytes(s, ":-.", every);
    if (!bytes || (bytes->size() != 6 && bytes->size() != 8)) continue;
    if (bytes->size() == 6) bytes->insert(3, "\xff\xfe");
    return *bytes;
  }
  return fail(ErrorCode::kInvalidTextRepresentation, "invalid input syntax for type macaddr8: \"{}\"", text);
}

void append_macaddr(std::string_view bytes, std::string& out) {
  for (std::size_t i = 0; i < bytes.size(); ++i)
    out += fmt::format("{}{:02x}", i == 0 ? "" : ":", static_cast<unsigned char>(bytes[i]));
}

}  // namespace bop
