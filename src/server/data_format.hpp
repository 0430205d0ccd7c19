// The file DATA/format: which format a data directory has, and which log is its own.
//
//   version 1   "bop 1\n"
//   version 2   "bop 2\n", then "log " and 32 hexadecimal digits, the identity of the node's commit stream, and "\n"
//
// Lines that follow are refused, as is a higher version. Older versions are brought up to date at the start
// (data_upgrade.hpp).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "aof/segment_header.hpp"
#include "base/error.hpp"

namespace bop::server {

inline constexpr std::uint32_t kDataFormat = 2;
inline constexpr std::string_view kFormatName = "format";

struct DataFormat {
  std::uint32_t version = kDataFormat;
  std::optional<aof::StreamIdentity> log;  // from version 2 on
  friend bool operator==(const DataFormat&, const DataFormat&) = default;
};

[[nodiscard]] std::string text_of(const DataFormat& format);
// `path` is the data directory's, for the error: kFormatTooNew, kCorrupt.
[[nodiscard]] Result<DataFormat> parse_data_format(std::string_view text, std::string_view path);

}  // namespace bop::server
