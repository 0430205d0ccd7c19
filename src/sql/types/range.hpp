// Ranges and multiranges of PostgreSQL's built-in types.
//
// Stored as their literals with bounds in their session-independent text form: `[1,5)`, `empty`,
// `{[1,3),[5,)}`. Ranges of integers and dates are brought to the form `[a,b)` first; a multirange holds its
// ranges in order, without empty ones and without two that overlap or touch. Collations order both.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/ids.hpp"
#include "sql/types/codec.hpp"
#include "sql/types/value.hpp"

namespace bop {

struct RangeBound {
  bool infinite = true;
  bool inclusive = false;
  OwnedValue value;
};

struct Range {
  bool empty = false;
  RangeBound lower, upper;
};
using Multirange = std::vector<Range>;

[[nodiscard]] bool is_range(Oid type) noexcept;
[[nodiscard]] bool is_multirange(Oid type) noexcept;
// 0 if `type` is neither a range nor a multirange.
[[nodiscard]] Oid subtype_of_range(Oid type) noexcept;
[[nodiscard]] Oid multirange_of(Oid range) noexcept;
[[nodiscard]] Oid range_of_multirange(Oid multirange) noexcept;

// 22000 if the lower bound is above the upper one.
[[nodiscard]] Result<Range> make_range(Oid type, RangeBound lower, RangeBound upper);
[[nodiscard]] Multirange make_multirange(Oid type, std::vector<Range> ranges);

[[nodiscard]] Result<Range> parse_range(Oid type, std::string_view text, const CodecContext& context);
[[nodiscard]] Result<Multirange> parse_multirange(Oid type, std::string_view text,
                                                  const CodecContext& context);
[[nodiscard]] Range range_of_stored(Oid type, std::string_view stored);
// The ranges of a stored range (empty: none) or multirange.
[[nodiscard]] Multirange ranges_of_stored(Oid type, std::string_view stored);
void append_range(Oid type, const Range& range, const CodecContext& context, std::string& out);
void append_multirange(Oid type, const Multirange& ranges, const CodecContext& context, std::string& out);
[[nodiscard]] std::string stored_range(Oid type, const Range& range);
[[nodiscard]] std::string stored_multirange(Oid type, const Multirange& ranges);
// Of either: what a value of the type is stored as, and its text.
[[nodiscard]] Result<OwnedValue> parse_range_value(Oid type, std::string_view text,
                                                   const CodecContext& context);
void append_range_value(Oid type, std::string_view stored, const CodecContext& context, std::string& out);
[[nodiscard]] Result<OwnedValue> parse_range_binary(Oid type, std::string_view in,
                                                    const CodecContext& context);
void append_range_binary(Oid type, std::string_view stored, const CodecContext& context, std::string& out);

// PostgreSQL's btree order of stored values of the type, a range or a multirange.
[[nodiscard]] int compare_range_values(Oid type, std::string_view a, std::string_view b) noexcept;
// Order of bounds; `a_lower`: a is a lower one.
[[nodiscard]] int compare_bounds(Oid subtype, const RangeBound& a, bool a_lower, const RangeBound& b,
                                 bool b_lower) noexcept;
// Whether nothing lies between an upper bound and a lower one, and they do not overlap.
[[nodiscard]] bool bounds_touch(Oid subtype, const RangeBound& upper, const RangeBound& lower) noexcept;

}  // namespace bop
