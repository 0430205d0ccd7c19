#include "sql/types/range.hpp"

#include <algorithm>
#include <array>
#include <optional>

#include "sql/types/array.hpp"
#include "sql/types/bytes.hpp"
#include "sql/types/datetime.hpp"
#include "sql/types/types.hpp"

namespace bop {
namespace {

struct RangeType {
  Oid range, multirange, subtype;
};
constexpr std::array kRangeTypes{
    RangeType{types::kInt4Range, types::kInt4Multirange, types::kInt4},
    RangeType{types::kInt8Range, types::kInt8Multirange, types::kInt8},
    RangeType{types::kNumRange, types::kNumMultirange, types::kNumeric},
    RangeType{types::kDateRange, types::kDateMultirange, types::kDate},
    RangeType{types::kTsRange, types::kTsMultirange, types::kTimestamp},
    RangeType{types::kTstzRange, types::kTstzMultirange, types::kTimestamptz},
};

const RangeType* of(Oid type) noexcept {
  const auto* it = std::ranges::find_if(
      kRangeTypes, [type](const RangeType& t) { return t.range == type || t.multirange == type; });
  return it == kRangeTypes.end() ? nullptr : it;
}

Status step_up(Oid subtype, RangeBound& bound) {
  const std::int64_t value = bound.value.integer();
  if (subtype == types::kDate) {
    if (is_infinite_date(value)) return {};
    if (value + 1 > kMaxDate) return fail(ErrorCode::kDatetimeOutOfRange, "date out of range");
  } else if (value == (subtype == types::kInt4 ? INT32_MAX : INT64_MAX)) {
    return fail(ErrorCode::kNumericOutOfRange, "{} out of range",
                subtype == types::kInt4 ? "integer" : "bigint");
  }
  bound.value = OwnedValue::of_int(value + 1);
  bound.inclusive = !bound.inclusive;
  return {};
}

bool is_discrete(Oid subtype) {
  return subtype == types::kInt4 || subtype == types::kInt8 || subtype == types::kDate;
}

Range empty_range() { return {.empty = true}; }

// A literal of one range from the start of `text`, which is cut off there.
class RangeParser {
 public:
  RangeParser(Oid type, std::string_view whole, const CodecContext& context)
      : type_(type), subtype_(subtype_of_range(type)), whole_(whole), context_(context) {}

  Result<Range> parse(std::string_view& rest) {
    skip(rest);
    if (lower_ascii(rest.substr(0, 5)) == "empty") {
      rest.remove_prefix(5);
      skip(rest);
      return empty_range();
    }
    std::optional<std::string> lower_text, upper_text;
    if (rest.empty() || (rest[0] != '[' && rest[0] != '('))
      return malformed("Missing left parenthesis or bracket.");
    const bool lower_inclusive = rest[0] == '[';
    rest.remove_prefix(1);
    BOP_TRY(bound(rest, lower_text));
    if (rest.empty() || rest[0] != ',') return malformed("Missing comma after lower bound.");
    rest.remove_prefix(1);
    BOP_TRY(bound(rest, upper_text));
    if (rest.empty() || (rest[0] != ']' && rest[0] != ')')) return malformed("Too many commas.");
    const bool upper_inclusive = rest[0] == ']';
    rest.remove_prefix(1);
    skip(rest);
    BOP_LET(lower, value_of(lower_text, lower_inclusive));
    BOP_LET(upper, value_of(upper_text, upper_inclusive));
    return make_range(type_, std::move(lower), std::move(upper));
  }
  std::unexpected<Error> malformed(std::string_view detail, std::string_view what = "range") const {
    return std::unexpected(
        error(ErrorCode::kInvalidTextRepresentation, "malformed {} literal: \"{}\"", what, whole_)
            .detail(std::string(detail)));
  }
  static void skip(std::string_view& s) {
    while (!s.empty() && is_space(s[0])) s.remove_prefix(1);
  }

 private:
  Result<RangeBound> value_of(const std::optional<std::string>& text, bool inclusive) {
    if (!text) return RangeBound{};
    BOP_LET(value, parse_text(subtype_, -1, *text, context_));
    return RangeBound{.infinite = false, .inclusive = inclusive, .value = std::move(value)};
  }
  // Without a value where there is none.
  Status bound(std::string_view& rest, std::optional<std::string>& out) {
    if (!rest.empty() && (rest[0] == ',' || rest[0] == ')' || rest[0] == ']')) return {};
    std::string text;
    bool quoted = false;
    while (!rest.empty() && (quoted || (rest[0] != ',' && rest[0] != ')' && rest[0] != ']'))) {
      if (rest[0] == '\\' && rest.size() > 1) {
        rest.remove_prefix(1);
        text += rest[0];
      } else if (rest[0] == '"' && quoted && rest.size() > 1 && rest[1] == '"') {
        rest.remove_prefix(1);
        text += '"';
      } else if (rest[0] == '"') {
        quoted = !quoted;
      } else {
        text += rest[0];
      }
      rest.remove_prefix(1);
    }
    if (rest.empty()) return malformed("Unexpected end of input.");
    out = std::move(text);
    return {};
  }

  Oid type_, subtype_;
  std::string_view whole_;
  const CodecContext& context_;
};

void append_bound(Oid subtype, const RangeBound& bound, const CodecContext& context, std::string& out) {
  if (bound.infinite) return;
  std::string text;
  encode_text(subtype, -1, bound.value, context, text);
  const bool quotes = text.empty() || std::ranges::any_of(text, [](char c) {
                        return c == '"' || c == '\\' || c == '(' || c == ')' || c == '[' || c == ']' ||
                               c == ',' || is_space(c);
                      });
  if (quotes) out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') out += c;
    out += c;
  }
  if (quotes) out += '"';
}

int compare_two(Oid subtype, const Range& a, const Range& b) noexcept {
  if (a.empty || b.empty) return a.empty == b.empty ? 0 : a.empty ? -1 : 1;
  const int c = compare_bounds(subtype, a.lower, true, b.lower, true);
  return c != 0 ? c : compare_bounds(subtype, a.upper, false, b.upper, false);
}

constexpr int kEmptyFlag = 1, kLowerInclusive = 2, kUpperInclusive = 4, kLowerInfinite = 8,
              kUpperInfinite = 16;

Result<Range> take_range(Oid type, std::string_view& in, const CodecContext& context) {
  const Oid subtype = subtype_of_range(type);
  const auto flags = take_be<std::uint8_t>(in);
  if (!flags) return fail(ErrorCode::kProtocolViolation, "no data left in message");
  if ((*flags & kEmptyFlag) != 0) return empty_range();
  RangeBound bounds[2];
  for (int i = 0; i < 2; ++i) {
    bounds[i].infinite = (*flags & (i == 0 ? kLowerInfinite : kUpperInfinite)) != 0;
    bounds[i].inclusive = !bounds[i].infinite && (*flags & (i == 0 ? kLowerInclusive : kUpperInclusive)) != 0;
    if (bounds[i].infinite) continue;
    const auto length = take_be<std::uint32_t>(in);
    if (!length || *length > in.size())
      return fail(ErrorCode::kProtocolViolation, "insufficient data left in message");
    BOP_LET(value, parse_binary(subtype, -1, in.substr(0, *length), context));
    in.remove_prefix(*length);
    bounds[i].value = std::move(value);
  }
  return make_range(type, std::move(bounds[0]), std::move(bounds[1]));
}

void put_range(Oid type, const Range& range, const CodecContext& context, std::string& out) {
  const Oid subtype = subtype_of_range(type);
  int flags = range.empty ? kEmptyFlag : 0;
  if (!range.empty) {
    flags |= range.lower.infinite ? kLowerInfinite : range.lower.inclusive ? kLowerInclusive : 0;
    flags |= range.upper.infinite ? kUpperInfinite : range.upper.inclusive ? kUpperInclusive : 0;
  }
  out += static_cast<char>(flags);
  if (range.empty) return;
  for (const RangeBound* bound : {&range.lower, &range.upper}) {
    if (bound->infinite) continue;
    std::string bytes;
    encode_binary(subtype, -1, bound->value, context, bytes);
    put_be(out, static_cast<std::uint32_t>(bytes.size()));
    out += bytes;
  }
}

}  // namespace

bool is_range(Oid type) noexcept {
  const RangeType* t = of(type);
  return t != nullptr && t->range == type;
}
bool is_multirange(Oid type) noexcept {
  const RangeType* t = of(type);
  return t != nullptr && t->multirange == type;
}
Oid subtype_of_range(Oid type) noexcept {
  const RangeType* t = of(type);
  return t == nullptr ? 0 : t->subtype;
}
Oid multirange_of(Oid range) noexcept {
  const RangeType* t = of(range);
  return t == nullptr ? 0 : t->multirange;
}
Oid range_of_multirange(Oid multirange) noexcept {
  const RangeType* t = of(multirange);
  return t == nullptr ? 0 : t->range;
}

int compare_bounds(Oid subtype, const RangeBound& a, bool a_lower, const RangeBound& b,
                   bool b_lower) noexcept {
  if (a.infinite && b.infinite) return a_lower == b_lower ? 0 : a_lower ? -1 : 1;
  if (a.infinite) return a_lower ? -1 : 1;
  if (b.infinite) return b_lower ? 1 : -1;
  if (const int c = compare(subtype, a.value, b.value); c != 0) return c;
  if (!a.inclusive && !b.inclusive) return a_lower == b_lower ? 0 : a_lower ? 1 : -1;
  if (!a.inclusive) return a_lower ? 1 : -1;
  if (!b.inclusive) return b_lower ? -1 : 1;
  return 0;
}

bool bounds_touch(Oid subtype, const RangeBound& upper, const RangeBound& lower) noexcept {
  return !upper.infinite && !lower.infinite && compare(subtype, upper.value, lower.value) == 0 &&
         upper.inclusive != lower.inclusive;
}

Result<Range> make_range(Oid type, RangeBound lower, RangeBound upper) {
  const Oid subtype = subtype_of_range(type);
  const auto check = [&]() -> Result<bool> {  // whether it is empty
    if (lower.infinite || upper.infinite) return false;
    const int order = compare(subtype, lower.value, upper.value);
    if (order > 0) {
      return fail(ErrorCode::kDataException,
                  "range lower bound must be less than or equal to range upper bound");
    }
    return order == 0 && !(lower.inclusive && upper.inclusive);
  };
  BOP_LET(empty, check());
  if (empty) return empty_range();
  if (is_discrete(subtype)) {
    if (!lower.infinite && !lower.inclusive) BOP_TRY(step_up(subtype, lower));
    if (!upper.infinite && upper.inclusive) BOP_TRY(step_up(subtype, upper));
    if (!lower.infinite && !upper.infinite && compare(subtype, lower.value, upper.value) >= 0)
      return empty_range();
  }
  return Range{.empty = false, .lower = std::move(lower), .upper = std::move(upper)};
}

Multirange make_multirange(Oid type, std::vector<Range> ranges) {
  const Oid subtype = subtype_of_range(type);
  std::erase_if(ranges, [](const Range& r) { return r.empty; });
  std::ranges::sort(ranges, [&](const Range& a, const Range& b) { return compare_two(subtype, a, b) < 0; });
  Multirange made;
  for (Range& range : ranges) {
    if (!made.empty() && (compare_bounds(subtype, made.back().upper, false, range.lower, true) >= 0 ||
                          bounds_touch(subtype, made.back().upper, range.lower))) {
      if (compare_bounds(subtype, range.upper, false, made.back().upper, false) > 0)
        made.back().upper = std::move(range.upper);
      continue;
    }
    made.push_back(std::move(range));
  }
  return made;
}

Result<Range> parse_range(Oid type, std::string_view text, const CodecContext& context) {
  RangeParser parser(type, text, context);
  std::string_view rest = text;
  RangeParser::skip(rest);
  const bool empty_word = lower_ascii(rest.substr(0, 5)) == "empty";
  BOP_LET(range, parser.parse(rest));
  if (!rest.empty()) {
    return parser.malformed(empty_word ? "Junk after \"empty\" key word."
                                       : "Junk after right parenthesis or bracket.");
  }
  return range;
}

Result<Multirange> parse_multirange(Oid type, std::string_view text, const CodecContext& context) {
  RangeParser parser(range_of_multirange(type), text, context);
  std::string_view rest = text;
  const auto bad = [&](std::string_view detail) { return parser.malformed(detail, "multirange"); };
  RangeParser::skip(rest);
  if (rest.empty() || rest[0] != '{') return bad("Missing left brace.");
  rest.remove_prefix(1);
  std::vector<Range> ranges;
  RangeParser::skip(rest);
  if (rest.starts_with('}')) {
    rest.remove_prefix(1);
  } else {
    while (true) {
      RangeParser::skip(rest);
      if (rest.empty()) return bad("Unexpected end of input.");
      if (rest[0] != '[' && rest[0] != '(' && ascii_lower(rest[0]) != 'e')
        return bad("Expected range start.");
      BOP_LET(range, parser.parse(rest));
      ranges.push_back(std::move(range));
      if (rest.empty()) return bad("Unexpected end of input.");
      const char next = rest[0];
      if (next != ',' && next != '}') return bad("Expected comma or end of multirange.");
      rest.remove_prefix(1);
      if (next == '}') break;
    }
  }
  RangeParser::skip(rest);
  if (!rest.empty()) return bad("Junk after closing right brace.");
  return make_multirange(type, std::move(ranges));
}

Range range_of_stored(Oid type, std::string_view stored) {
  return parse_range(type, stored, storage_context()).value_or(empty_range());
}

Multirange ranges_of_stored(Oid type, std::string_view stored) {
  if (is_multirange(type)) return parse_multirange(type, stored, storage_context()).value_or(Multirange());
  Range range = range_of_stored(type, stored);
  return range.empty ? Multirange() : Multirange{std::move(range)};
}

void append_range(Oid type, const Range& range, const CodecContext& context, std::string& out) {
  if (range.empty) {
    out += "empty";
    return;
  }
  const Oid subtype = subtype_of_range(type);
  out += range.lower.inclusive ? '[' : '(';
  append_bound(subtype, range.lower, context, out);
  out += ',';
  append_bound(subtype, range.upper, context, out);
  out += range.upper.inclusive ? ']' : ')';
}

void append_multirange(Oid type, const Multirange& ranges, const CodecContext& context, std::string& out) {
  out += '{';
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    if (i > 0) out += ',';
    append_range(type, ranges[i], context, out);
  }
  out += '}';
}

std::string stored_range(Oid type, const Range& range) {
  std::string out;
  append_range(type, range, storage_context(), out);
  return out;
}

std::string stored_multirange(Oid type, const Multirange& ranges) {
  std::string out;
  append_multirange(type, ranges, storage_context(), out);
  return out;
}

Result<OwnedValue> parse_range_value(Oid type, std::string_view text, const CodecContext& context) {
  if (is_multirange(type)) {
    BOP_LET(ranges, parse_multirange(type, text, context));
    return OwnedValue::of_text(stored_multirange(type, ranges));
  }
  BOP_LET(range, parse_range(type, text, context));
  return OwnedValue::of_text(stored_range(type, range));
}

void append_range_value(Oid type, std::string_view stored, const CodecContext& context, std::string& out) {
  if (is_multirange(type)) return append_multirange(type, ranges_of_stored(type, stored), context, out);
  append_range(type, range_of_stored(type, stored), context, out);
}

Result<OwnedValue> parse_range_binary(Oid type, std::string_view in, const CodecContext& context) {
  if (is_range(type)) {
    BOP_LET(range, take_range(type, in, context));
    if (!in.empty()) return fail(ErrorCode::kInvalidBinaryRepresentation, "incorrect binary data format");
    return OwnedValue::of_text(stored_range(type, range));
  }
  const auto count = take_be<std::uint32_t>(in);
  if (!count) return fail(ErrorCode::kProtocolViolation, "insufficient data left in message");
  std::vector<Range> ranges;
  for (std::uint32_t i = 0; i < *count; ++i) {
    const auto length = take_be<std::uint32_t>(in);
    if (!length || *length > in.size())
      return fail(ErrorCode::kProtocolViolation, "insufficient data left in message");
    std::string_view one = in.substr(0, *length);
    BOP_LET(range, take_range(range_of_multirange(type), one, context));
    in.remove_prefix(*length);
    ranges.push_back(std::move(range));
  }
  if (!in.empty()) return fail(ErrorCode::kInvalidBinaryRepresentation, "incorrect binary data format");
  return OwnedValue::of_text(stored_multirange(type, make_multirange(type, std::move(ranges))));
}

void append_range_binary(Oid type, std::string_view stored, const CodecContext& context, std::string& out) {
  if (is_range(type)) return put_range(type, range_of_stored(type, stored), context, out);
  const Multirange ranges = ranges_of_stored(type, stored);
  put_be(out, static_cast<std::uint32_t>(ranges.size()));
  for (const Range& range : ranges) {
    std::string bytes;
    put_range(range_of_multirange(type), range, context, bytes);
    put_be(out, static_cast<std::uint32_t>(bytes.size()));
    out += bytes;
  }
}

int compare_range_values(Oid type, std::string_view a, std::string_view b) noexcept {
  if (a == b) return 0;
  const Oid subtype = subtype_of_range(type);
  if (is_range(type)) return compare_two(subtype, range_of_stored(type, a), range_of_stored(type, b));
  const Multirange x = ranges_of_stored(type, a), y = ranges_of_stored(type, b);
  for (std::size_t i = 0; i < std::min(x.size(), y.size()); ++i) {
    if (const int c = compare_two(subtype, x[i], y[i]); c != 0) return c;
  }
  return x.size() < y.size() ? -1 : x.size() > y.size() ? 1 : 0;
}

}  // namespace bop
