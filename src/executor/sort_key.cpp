#include "executor/sort_key.hpp"

#include <cstdlib>

#include "sql/types/types.hpp"

namespace bop::executor {

namespace {

enum Kind : char { kMinusInfinity = 1, kNegative, kZero, kPositive, kInfinity, kNotANumber };

std::string numeric_key(std::string_view text) {
  const auto only = [](Kind kind) { return std::string(1, static_cast<char>(kind)); };
  if (text == "NaN") return only(kNotANumber);
  if (text == "Infinity") return only(kInfinity);
  if (text == "-Infinity") return only(kMinusInfinity);
  const bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  std::string digits;
  std::int32_t power =
      0;  // digits before the point, leading zeros left out; negative: zeros behind the point
  bool behind_point = false;
  for (const char c : text) {
    if (c == '.') {
      behind_point = true;
      continue;
    }
    if (digits.empty() && c == '0') {
      power -= behind_point ? 1 : 0;
      continue;
    }
    digits += c;
    power += behind_point ? 0 : 1;
  }
  while (digits.ends_with('0')) digits.pop_back();
  if (digits.empty()) return only(kZero);
  std::string key = only(negative ? kNegative : kPositive);
  const auto biased = static_cast<std::uint32_t>(power) + 0x80000000U;
  for (int shift = 24; shift >= 0; shift -= 8)
    key += static_cast<char>(biased >> static_cast<unsigned>(shift));
  key += digits;
  if (negative) {
    for (std::size_t i = 1; i < key.size(); ++i) key[i] = static_cast<char>(~key[i]);
    key += '\xff';  // behind every digit that a longer number could have there
  }
  return key;
}

std::string interval_key(std::string_view text) {
  const std::string copy(text);
  char* at = nullptr;
  const std::int64_t months = std::strtoll(copy.c_str(), &at, 10);
  const std::int64_t days = std::strtoll(at, &at, 10);
  const std::int64_t microseconds = std::strtoll(at, &at, 10);
  const __int128 length = (static_cast<__int128>(months) * 30 + days) * 86'400'000'000 + microseconds;
  const auto biased = static_cast<unsigned __int128>(length) + (static_cast<unsigned __int128>(1) << 127U);
  std::string key;
  for (int shift = 120; shift >= 0; shift -= 8)
    key += static_cast<char>(biased >> static_cast<unsigned>(shift));
  return key;
}

}  // namespace

bool has_sort_key(Oid type) noexcept { return type == types::kNumeric || type == types::kInterval; }

std::string sort_key(Oid type, const Value& value) {
  return type == types::kNumeric ? numeric_key(value.bytes) : interval_key(value.bytes);
}

}  // namespace bop::executor
