#include "objstore/object_key.hpp"

namespace bop::objstore {
namespace {

bool is_key_byte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
         c == '.' || c == '=' || c == '+' || c == ',' || c == '@' || c == '/';
}

std::string_view problem_of(std::string_view key, bool whole) {
  if (key.size() > kMostKeyBytes) return "it is longer than 900 bytes";
  std::size_t segment = 0;  // bytes of it so far
  for (const char c : key) {
    if (!is_key_byte(c)) return "only letters, digits and -_.=+,@/ may be in it";
    if (c == '/') {
      if (segment == 0) return "it has an empty segment";
      segment = 0;
      continue;
    }
    if (c == '.' && segment == 0) return "a segment begins with a dot";
    if (++segment > kMostSegmentBytes) return "a segment is longer than 200 bytes";
  }
  if (whole && segment == 0) return key.empty() ? "it is empty" : "it ends with a slash";
  return {};
}

Status check(std::string_view what, std::string_view key, bool whole) {
  const std::string_view problem = problem_of(key, whole);
  if (problem.empty()) return {};
  std::string shown;
  for (const char c : key.substr(0, 80)) shown += c >= 0x20 && c < 0x7f ? c : '?';
  return fail(ErrorCode::kInvalidArgument, "the {} \"{}{}\" of an object is not allowed: {}", what, shown,
              key.size() > 80 ? "..." : "", problem);
}

}  // namespace

Status check_key(std::string_view key) { return check("key", key, true); }
Status check_prefix(std::string_view prefix) { return check("prefix", prefix, false); }

}  // namespace bop::objstore
