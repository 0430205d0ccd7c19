// Bit strings, which are stored as text of zeros and ones.
#include <algorithm>
#include <optional>

#include "sql/functions/registry.hpp"

namespace bop {
namespace {

Returned bitwise(Call& c, std::string_view name, char (*f)(char, char)) {
  if (c.text(0).size() != c.text(1).size()) {
    return fail(ErrorCode::kStringLengthMismatch, "cannot {} bit strings of different sizes", name);
  }
  std::string out;
  for (std::size_t i = 0; i < c.text(0).size(); ++i) out += f(c.text(0)[i], c.text(1)[i]);
  return text_result(std::move(out));
}

// Moves the bits to the left, or for a negative number to the right; the length stays.
Returned shifted(std::string_view bits, std::int64_t left) {
  const auto size = static_cast<std::int64_t>(bits.size());
  std::string out(bits.size(), '0');
  for (std::int64_t i = 0; i < size; ++i) {
    if (i + left >= 0 && i + left < size)
      out[static_cast<std::size_t>(i)] = bits[static_cast<std::size_t>(i + left)];
  }
  return text_result(std::move(out));
}

Status check_index(std::string_view bits, std::int64_t at) {
  if (at >= 0 && at < static_cast<std::int64_t>(bits.size())) return {};
  return fail(ErrorCode::kArraySubscriptError, "bit index {} out of valid range (0..{})", at,
              static_cast<std::int64_t>(bits.size()) - 1);
}

Result<std::string> part(std::string_view bits, std::int64_t start, std::int64_t length) {
  if (length < 0) return fail(ErrorCode::kSubstringError, "negative substring length not allowed");
  const auto size = static_cast<std::int64_t>(bits.size());
  const std::int64_t begin = std::max<std::int64_t>(start, 1);
  const std::int64_t end = std::min(start + length, size + 1);  // behind the last
  if (begin >= end) return std::string();
  return std::string(bits.substr(static_cast<std::size_t>(begin - 1), static_cast<std::size_t>(end - begin)));
}

Returned overlay(Call& c) {
  const std::int64_t start = c.integer(2);
  const std::int64_t length = c.size() > 3 ? c.integer(3) : static_cast<std::int64_t>(c.text(1).size());
  if (start <= 0) return fail(ErrorCode::kSubstringError, "negative substring length not allowed");
  BOP_LET(head, part(c.text(0), 1, start - 1));
  BOP_LET(tail, part(c.text(0), start + length, INT32_MAX));
  return text_result(head + std::string(c.text(1)) + tail);
}

Returned position(Call& c) {
  const std::size_t at = c.text(0).find(c.text(1));
  return int_result(at == std::string_view::npos ? 0 : static_cast<std::int64_t>(at) + 1);
}

// The lowest `length` bits of an integer of `width` bits, with its sign in front.
Returned of_integer(Call& c, int width) {
  const std::int64_t length = std::max<std::int64_t>(c.integer(1), 1);
  std::string out;
  for (std::int64_t i = length - 1; i >= 0; --i)
    out += (c.integer(0) >> std::min<std::int64_t>(i, width - 1) & 1) != 0 ? '1' : '0';
  return text_result(std::move(out));
}

Returned to_integer(std::string_view bits, std::size_t width) {
  if (bits.size() > width) {
    return fail(ErrorCode::kNumericOutOfRange, "{} out of range", width == 32 ? "integer" : "bigint");
  }
  std::uint64_t value = 0;
  for (const char bit : bits) value = value << 1 | (bit == '1' ? 1U : 0U);
  return int_result(width == 32 ? static_cast<std::int32_t>(value) : static_cast<std::int64_t>(value));
}

class BitFold : public Aggregate {
 public:
  explicit BitFold(char op) : op_(op) {}
  Status step(Call& c) override {
    if (c[0].is_null()) return {};
    if (!bits_) {
      bits_ = std::string(c.text(0));
      return {};
    }
    if (bits_->size() != c.text(0).size()) {
      return fail(ErrorCode::kStringLengthMismatch, "cannot {} bit strings of different sizes",
                  op_ == '&'   ? "AND"
                  : op_ == '|' ? "OR"
                               : "XOR");
    }
    for (std::size_t i = 0; i < bits_->size(); ++i) {
      const bool a = (*bits_)[i] == '1', b = c.text(0)[i] == '1';
      (*bits_)[i] = (op_ == '&' ? a && b : op_ == '|' ? a || b : a != b) ? '1' : '0';
    }
    return {};
  }
  Returned value(FunctionContext&) const override {
    return bits_ ? OwnedValue::of_text(*bits_) : OwnedValue::null();
  }

 private:
  char op_;
  std::optional<std::string> bits_;
};

}  // namespace

void add_bit_functions(Implementations& all) {
  constexpr const char* kWords[] = {"eq", "ne", "lt", "le", "gt", "ge"};
  constexpr const char* kSigns[] = {"=", "<>", "<", "<=", ">", ">="};
  for (int i = 0; i < 6; ++i) {
    all.push_back(native(fmt::format("bit{}", kWords[i]), fmt::format("({{0}} {} {{1}})", kSigns[i])));
  }
  all.push_back(scalar("bitcmp", [](Call& c) {
    const int order = c.text(0).compare(c.text(1));
    return int_result(order < 0 ? -1 : order > 0 ? 1 : 0);
  }));
  all.push_back(scalar("bit_and", [](Call& c) {
    return bitwise(c, "AND", [](char a, char b) { return a == '1' && b == '1' ? '1' : '0'; });
  }));
  all.push_back(scalar("bit_or", [](Call& c) {
    return bitwise(c, "OR", [](char a, char b) { return a == '1' || b == '1' ? '1' : '0'; });
  }));
  all.push_back(scalar("bitxor", [](Call& c) {
    return bitwise(c, "XOR", [](char a, char b) { return a != b ? '1' : '0'; });
  }));
  all.push_back(scalar("bitnot", [](Call& c) {
    std::string out(c.text(0));
    for (char& bit : out) bit = bit == '1' ? '0' : '1';
    return text_result(std::move(out));
  }));
  all.push_back(scalar("bitshiftleft", [](Call& c) { return shifted(c.text(0), c.integer(1)); }));
  all.push_back(scalar("bitshiftright", [](Call& c) { return shifted(c.text(0), -c.integer(1)); }));
  all.push_back(
      scalar("bitcat", [](Call& c) { return text_result(std::string(c.text(0)) + std::string(c.text(1))); }));
  all.push_back(scalar("bit_length(bit)",
                       [](Call& c) { return int_result(static_cast<std::int64_t>(c.text(0).size())); }));
  all.push_back(
      scalar("bitlength", [](Call& c) { return int_result(static_cast<std::int64_t>(c.text(0).size())); }));
  all.push_back(scalar("bitoctetlength", [](Call& c) {
    return int_result((static_cast<std::int64_t>(c.text(0).size()) + 7) / 8);
  }));
  all.push_back(
      scalar("bit_bit_count", [](Call& c) { return int_result(std::ranges::count(c.text(0), '1')); }));
  all.push_back(scalar("bitsubstr", [](Call& c) -> Returned {
    BOP_LET(found, part(c.text(0), c.integer(1), c.integer(2)));
    return text_result(std::move(found));
  }));
  all.push_back(scalar("bitsubstr_no_len", [](Call& c) -> Returned {
    BOP_LET(found, part(c.text(0), c.integer(1), std::int64_t{INT32_MAX} * 2));
    return text_result(std::move(found));
  }));
  all.push_back(scalar("bitposition", position));
  all.push_back(scalar("bitoverlay", overlay));
  all.push_back(scalar("bitoverlay_no_len", overlay));
  all.push_back(scalar("bitgetbit", [](Call& c) -> Returned {
    BOP_TRY(check_index(c.text(0), c.integer(1)));
    return int_result(c.text(0)[static_cast<std::size_t>(c.integer(1))] == '1' ? 1 : 0);
  }));
  all.push_back(scalar("bitsetbit", [](Call& c) -> Returned {
    BOP_TRY(check_index(c.text(0), c.integer(1)));
    if (c.integer(2) != 0 && c.integer(2) != 1)
      return fail(ErrorCode::kInvalidArgument, "new bit must be 0 or 1");
    std::string out(c.text(0));
    out[static_cast<std::size_t>(c.integer(1))] = c.integer(2) == 1 ? '1' : '0';
    return text_result(std::move(out));
  }));
  all.push_back(scalar("bitfromint4", [](Call& c) { return of_integer(c, 32); }));
  all.push_back(scalar("bitfromint8", [](Call& c) { return of_integer(c, 64); }));
  all.push_back(scalar("bittoint4", [](Call& c) { return to_integer(c.text(0), 32); }));
  all.push_back(scalar("bittoint8", [](Call& c) { return to_integer(c.text(0), 64); }));
  const auto fold = [&all](const char* key, char op) {
    all.push_back(aggregate(key, [op] { return std::make_unique<BitFold>(op); }));
  };
  fold("bit_and(bit)", '&');
  fold("bit_or(bit)", '|');
  fold("bit_xor(bit)", '^');
}

}  // namespace bop
