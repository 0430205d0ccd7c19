// Encodings of bytes as text that bytea's input and output share with encode() and decode().
#pragma once

#include <string>
#include <string_view>

#include "base/error.hpp"

namespace bop {

[[nodiscard]] Result<std::string> decode_hex(std::string_view s);
[[nodiscard]] Result<std::string> decode_escape(std::string_view s);
void encode_hex(std::string_view bytes, std::string& out);
void encode_escape(std::string_view bytes, std::string& out);

}  // namespace bop
