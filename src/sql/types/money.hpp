// money: a number of cents, written as PostgreSQL does under lc_monetary C.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.hpp"

namespace bop {

[[nodiscard]] Result<std::int64_t> parse_money(std::string_view text);
void append_money(std::int64_t cents, std::string& out);

}  // namespace bop
