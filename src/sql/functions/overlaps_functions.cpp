// (a, b) OVERLAPS (c, d), where the second of each pair may be a length.
#include "sql/functions/registry.hpp"
#include "sql/types/calendar.hpp"
#include "sql/types/datetime.hpp"
#include "sql/types/interval.hpp"

namespace bop {
namespace {

Returned overlaps(Oid type, Value a, Value b, Value x, Value y) {
  const auto order = [&](Value& from, Value& to) {
    if (from.is_null() || (!to.is_null() && compare(type, from, to) > 0)) std::swap(from, to);
    return !from.is_null();
  };
  if (!order(a, b) || !order(x, y)) return OwnedValue::null();
  const int c_start = compare(type, a, x);
  if (c_start == 0) {
    if (b.is_null() || y.is_null()) return OwnedValue::null();
    return bool_result(true);
  }
  const Value& later = c_start > 0 ? a : x;
  const Value& end = c_start > 0 ? y : b;
  if (end.is_null()) return OwnedValue::null();
  if (compare(type, later, end) < 0) return bool_result(true);
  return (c_start > 0 ? b : y).is_null() ? Returned(OwnedValue::null()) : bool_result(false);
}

// The end of a span that is told by its beginning and length.
Returned end_of(const Call& c, Oid type, std::size_t i) {
  if (c[i].is_null() || c[i + 1].is_null()) return OwnedValue::null();
  const Interval length = Interval::of_stored(c.text(i + 1));
  if (type == types::kTime) {
    const std::int64_t t = c.integer(i) + length.us % kUsPerDay;
    return int_result(t - floor_div64(t, kUsPerDay) * kUsPerDay);
  }
  return then(type == types::kTimestamptz ? add_interval_tz(c.integer(i), length, c.codec())
                                          : add_interval(c.integer(i), length),
              OwnedValue::of_int);
}

}  // namespace

void add_overlaps_functions(Implementations& all) {
  const auto plain = [&all](const char* key, Oid type) {
    all.push_back(scalar(key, [type](Call& c) { return overlaps(type, c[0], c[1], c[2], c[3]); }));
  };
  plain("overlaps_timestamp", types::kTimestamp);
  plain("overlaps_time", types::kTime);
  plain("overlaps_timetz", types::kTimetz);
  constexpr std::pair<const char*, Oid> kTypes[] = {{"timestamp without time zone", types::kTimestamp},
                                                    {"timestamp with time zone", types::kTimestamptz},
                                                    {"time without time zone", types::kTime}};
  for (const auto& [name, type] : kTypes) {
    for (const int lengths : {1, 2, 3}) {  // bit 0: of the first pair, bit 1: of the second
      const auto second = [&](int bit) { return (lengths & bit) != 0 ? "interval" : name; };
      all.push_back(scalar(fmt::format("overlaps({0}, {1}, {0}, {2})", name, second(1), second(2)),
                           [type, lengths](Call& c) -> Returned {
                             OwnedValue b(c[1]), y(c[3]);
                             if ((lengths & 1) != 0) {
                               BOP_LET(end, end_of(c, type, 0));
                               b = std::move(end);
                             }
                             if ((lengths & 2) != 0) {
                               BOP_LET(end, end_of(c, type, 2));
                               y = std::move(end);
                             }
                             return overlaps(type, c[0], b, c[2], y);
                           }));
    }
  }
}

}  // namespace bop
