// bit and bit varying: stored as text of zeros and ones, whose bytewise order is PostgreSQL's.
#pragma once

#include <string>
#include <string_view>

#include "base/error.hpp"

namespace bop {

// "101", "b101" or "x1f": zeros and ones.
[[nodiscard]] Result<std::string> parse_bits(std::string_view text);
// int32 number of bits, then the bits in bytes, the first bit highest, zeros behind the last.
[[nodiscard]] Result<std::string> parse_bits_binary(std::string_view in);
void append_bits_binary(std::string_view bits, std::string& out);

}  // namespace bop
