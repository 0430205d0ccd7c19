// A time as people write it on a command line.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace bop::cli {

// 2026-11-22 03:04:05[.678901][Z|+HH[:MM]|-HH[:MM]], also with T between; UTC without a zone. Microseconds
// since the Unix epoch.
[[nodiscard]] std::optional<std::int64_t> parse_time(std::string_view text);

}  // namespace bop::cli
