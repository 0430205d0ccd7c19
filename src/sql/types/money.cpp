#include "sql/types/money.hpp"

#include <fmt/format.h>

#include "sql/types/bytes.hpp"

namespace bop {

Result<std::int64_t> parse_money(std::string_view text) {
  std::string_view s = trim_space(text);
  bool minus = false;
  if (s.starts_with('$')) s.remove_prefix(1);
  s = trim_space(s);
  if (s.starts_with('-') || s.starts_with('(')) {
    minus = true;
    s.remove_prefix(1);
  } else if (s.starts_with('+')) {
    s.remove_prefix(1);
  }
  s = trim_space(s);
  if (s.starts_with('$')) s.remove_prefix(1);
  s = trim_space(s);
  __int128 cents = 0;
  int decimals = -1;  // behind the point; -1 before it
  bool any = false;
  std::size_t i = 0;
  for (; i < s.size(); ++i) {
    if (is_digit(s[i]) && decimals < 2) {
      if (cents <= INT64_MAX) cents = cents * 10 + (s[i] - '0');
      decimals += decimals >= 0 ? 1 : 0;
      any = true;
    } else if (s[i] == '.' && decimals < 0) {
      decimals = 0;
    } else if (s[i] != ',') {
      break;
    }
  }
  const bool round_up = i < s.size() && is_digit(s[i]) && s[i] >= '5';
  for (int d = decimals < 0 ? 0 : decimals; d < 2 && cents <= INT64_MAX; ++d) cents *= 10;
  if (round_up) ++cents;
  while (i < s.size() && is_digit(s[i])) ++i;
  while (i < s.size() && (is_space(s[i]) || s[i] == ')' || s[i] == '$' || s[i] == '-' || s[i] == '+')) {
    minus = minus || s[i] == '-';
    ++i;
  }
  if (i < s.size() || !any) {
    return fail(ErrorCode::kInvalidTextRepresentation, "invalid input syntax for type money: \"{}\"", text);
  }
  if (minus) cents = -cents;
  if (cents > INT64_MAX || cents < INT64_MIN) {
    return fail(ErrorCode::kNumericOutOfRange, "value \"{}\" is out of range for type money", text);
  }
  return static_cast<std::int64_t>(cents);
}

void append_money(std::int64_t cents, std::string& out) {
  const std::uint64_t size =
      cents < 0 ? 0 - static_cast<std::uint64_t>(cents) : static_cast<std::uint64_t>(cents);
  std::string whole = std::to_string(size / 100);
  for (std::size_t at = whole.size(); at > 3;) {
    at -= 3;
    whole.insert(at, ",");
  }
  out += fmt::format("{}${}.{:02}", cents < 0 ? "-" : "", whole, size % 100);
}

}  // namespace bop
