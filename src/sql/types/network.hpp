// inet, cidr, macaddr and macaddr8.
//
// Stored: inet and cidr as the text "<address>/<bits>", IPv6 as RFC 5952 writes it, so that both compare as
// one type under the collation bop_inet; macaddr and macaddr8 as their 6 and 8 bytes.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.hpp"

namespace bop {

struct Inet {
  bool v6 = false;
  std::array<std::uint8_t, 16> address{};  // network byte order; the first four of IPv4
  int bits = 32;

  [[nodiscard]] int max_bits() const noexcept { return v6 ? 128 : 32; }
  [[nodiscard]] int bytes() const noexcept { return v6 ? 16 : 4; }
  [[nodiscard]] bool bit(int i) const noexcept {
    return (address[static_cast<std::size_t>(i / 8)] >> (7 - i % 8) & 1) != 0;
  }
  // Sets the bits behind the mask to zero or one.
  void fill_host(bool ones) noexcept;
  [[nodiscard]] bool has_host_bits() const noexcept;

  [[nodiscard]] static Result<Inet> parse(std::string_view text, bool cidr);
  [[nodiscard]] static Inet of_stored(std::string_view stored);
  [[nodiscard]] std::string stored() const;
  [[nodiscard]] std::string host() const;  // without the mask
  // As inet's and cidr's output: inet leaves out a full mask.
  [[nodiscard]] std::string text(bool cidr) const;

  // Of the first `count` bits.
  [[nodiscard]] static int compare_bits(const Inet& a, const Inet& b, int count) noexcept;
  // PostgreSQL's btree order: family, network, length of the mask, address.
  [[nodiscard]] static int compare(const Inet& a, const Inet& b) noexcept;
};

// The 6 bytes of a macaddr; the 8 bytes of a macaddr8, which takes 6 bytes too.
[[nodiscard]] Result<std::string> parse_macaddr(std::string_view text);
[[nodiscard]] Result<std::string> parse_macaddr8(std::string_view text);
void append_macaddr(std::string_view bytes, std::string& out);

}  // namespace bop
