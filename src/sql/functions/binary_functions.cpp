// bytea: trimming, overlay, single bytes, encodings. UTF8 is the one encoding that text has here.
#include "sql/functions/registry.hpp"
#include "sql/types/bytes.hpp"

namespace bop {
namespace {

Returned blob(std::string bytes) { return OwnedValue::of_blob(std::move(bytes)); }

Returned trimmed(Call& c, bool left, bool right) {
  std::string_view s = c.text(0);
  const std::string_view set = c.text(1);
  const auto in_set = [&](char byte) { return set.find(byte) != set.npos; };
  while (left && !s.empty() && in_set(s.front())) s.remove_prefix(1);
  while (right && !s.empty() && in_set(s.back())) s.remove_suffix(1);
  return blob(std::string(s));
}

Returned overlay(Call& c) {
  const std::string_view s = c.text(0), by = c.text(1);
  const std::int64_t start = c.integer(2);
  const std::int64_t length = c.size() > 3 ? c.integer(3) : static_cast<std::int64_t>(by.size());
  if (start <= 0) return fail(ErrorCode::kSubstringError, "negative substring length not allowed");
  const auto size = static_cast<std::int64_t>(s.size());
  const auto at = [&](std::int64_t position) {
    return static_cast<std::size_t>(std::clamp<std::int64_t>(position, 0, size));
  };
  std::string out(s.substr(0, at(start - 1)));
  out.append(by);
  out.append(s.substr(at(start - 1 + length)));
  return blob(std::move(out));
}

bool is_utf8(std::string_view name) {
  std::string folded;
  for (const char ch : name) {
    if (ch != '-' && ch != '_' && ch != ' ') folded += ascii_lower(ch);
  }
  return folded == "utf8" || folded == "unicode";
}

}  // namespace

void add_binary_functions(Implementations& all) {
  all.push_back(scalar("bytealtrim", [](Call& c) { return trimmed(c, true, false); }));
  all.push_back(scalar("byteartrim", [](Call& c) { return trimmed(c, false, true); }));
  all.push_back(scalar("byteatrim", [](Call& c) { return trimmed(c, true, true); }));
  all.push_back(scalar("byteaoverlay", overlay));
  all.push_back(scalar("byteaoverlay_no_len", overlay));
  all.push_back(scalar("byteaSetByte", [](Call& c) -> Returned {
    const auto size = static_cast<std::int64_t>(c.text(0).size());
    if (c.integer(1) < 0 || c.integer(1) >= size) {
      return fail(ErrorCode::kArraySubscriptError, "index {} out of valid range, 0..{}", c.integer(1),
                  size - 1);
    }
    std::string out(c.text(0));
    out[static_cast<std::size_t>(c.integer(1))] = static_cast<char>(c.integer(2));
    return blob(std::move(out));
  }));
  all.push_back(scalar("byteacmp", [](Call& c) {
    const int order = c.text(0).compare(c.text(1));
    return int_result(order < 0 ? -1 : order > 0 ? 1 : 0);
  }));
  all.push_back(scalar("length_in_encoding", [](Call& c) -> Returned {
    if (!is_utf8(c.text(1))) {
      return fail(ErrorCode::kNotImplemented, "encoding \"{}\" is not implemented; only UTF8 is", c.text(1));
    }
    return int_result(static_cast<std::int64_t>(utf8_count(c.text(0))));
  }));
}

}  // namespace bop
