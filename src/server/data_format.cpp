#include "server/data_format.hpp"

#include <fmt/format.h>

#include <charconv>

namespace bop::server {

namespace {

constexpr std::string_view kVersionWord = "bop ";
constexpr std::string_view kLogWord = "log ";

// Takes a line from the front of `text`; nothing if its end is missing.
std::optional<std::string_view> take_line(std::string_view& text) {
  const std::size_t end = text.find('\n');
  if (end == text.npos) return std::nullopt;
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(end + 1);
  return line;
}

template <class T>
bool parse_number(std::string_view text, int base, T& out) {
  const auto [end, bad] = std::from_chars(text.data(), text.data() + text.size(), out, base);
  return bad == std::errc{} && end == text.data() + text.size();
}

std::optional<aof::StreamIdentity> parse_identity(std::string_view line) {
  aof::StreamIdentity identity{};
  if (!line.starts_with(kLogWord)) return std::nullopt;
  line.remove_prefix(kLogWord.size());
  if (line.size() != 2 * identity.size()) return std::nullopt;
  for (std::size_t i = 0; i < identity.size(); ++i) {
    if (!parse_number(line.substr(2 * i, 2), 16, identity[i])) return std::nullopt;
  }
  return identity;
}

}  // namespace

std::string text_of(const DataFormat& format) {
  std::string text = fmt::format("{}{}\n", kVersionWord, format.version);
  if (format.log) text += fmt::format("{}{:02x}\n", kLogWord, fmt::join(*format.log, ""));
  return text;
}

Result<DataFormat> parse_data_format(std::string_view text, std::string_view path) {
  const auto foreign = [&] {
    return fail(ErrorCode::kCorrupt,
                "{}/format does not name a format of BOP; choose another directory with --data-dir", path);
  };
  DataFormat format;
  // Version 1 was read without its line's end, too.
  std::string_view line = text.substr(0, text.find('\n'));
  text.remove_prefix(std::min(text.size(), line.size() + 1));
  if (!line.starts_with(kVersionWord)) return foreign();
  line.remove_prefix(kVersionWord.size());
  if (!parse_number(line, 10, format.version) || format.version == 0) return foreign();
  if (format.version > kDataFormat) {
    return fail(ErrorCode::kFormatTooNew,
                "the data directory {} has format {}, this version of BOP reads up to {}; start it with the "
                "version that wrote it, or a newer one",
                path, format.version, kDataFormat);
  }
  if (format.version >= 2) {
    const auto named = take_line(text);
    format.log = named ? parse_identity(*named) : std::nullopt;
    if (!format.log) return foreign();
  }
  if (!text.empty()) return foreign();
  return format;
}

}  // namespace bop::server
