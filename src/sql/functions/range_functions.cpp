// Ranges and multiranges. Most functions see either as a list of ranges; empty ranges are none.
#include <algorithm>
#include <optional>

#include "sql/functions/registry.hpp"
#include "sql/types/array.hpp"
#include "sql/types/range.hpp"

namespace bop {
namespace {

Multirange operand(const Call& c, std::size_t i) { return ranges_of_stored(c.types[i], c.text(i)); }
// The subtype of whichever argument is a range or multirange.
Oid subtype(const Call& c) {
  const Oid first = subtype_of_range(c.types[0]);
  return first != 0 ? first : subtype_of_range(c.types[1]);
}
Returned range_result(Oid type, const Range& range) { return text_result(stored_range(type, range)); }
Returned multirange_result(Oid type, const Multirange& ranges) {
  return text_result(stored_multirange(type, ranges));
}
Range none() { return {.empty = true}; }

bool holds_range(Oid subtype, const Range& a, const Range& b) {
  return compare_bounds(subtype, a.lower, true, b.lower, true) <= 0 &&
         compare_bounds(subtype, a.upper, false, b.upper, false) >= 0;
}
bool contains(Oid subtype, const Multirange& a, const Multirange& b) {
  return std::ranges::all_of(b, [&](const Range& inner) {
    return std::ranges::any_of(a, [&](const Range& outer) { return holds_range(subtype, outer, inner); });
  });
}
bool contains_value(Oid subtype, const Multirange& a, const Value& v) {
  const RangeBound point{.infinite = false, .inclusive = true, .value = OwnedValue(v)};
  return contains(subtype, a, {Range{.lower = point, .upper = point}});
}
bool overlaps(Oid subtype, const Range& a, const Range& b) {
  return compare_bounds(subtype, a.lower, true, b.upper, false) <= 0 &&
         compare_bounds(subtype, b.lower, true, a.upper, false) <= 0;
}
Range common(Oid subtype, const Range& a, const Range& b) {
  if (!overlaps(subtype, a, b)) return none();
  return {.lower = compare_bounds(subtype, a.lower, true, b.lower, true) >= 0 ? a.lower : b.lower,
          .upper = compare_bounds(subtype, a.upper, false, b.upper, false) <= 0 ? a.upper : b.upper};
}

using Test = bool (*)(Oid subtype, const Multirange& a, const Multirange& b);
// Of two that both hold something.
bool before(Oid s, const Multirange& a, const Multirange& b) {
  return compare_bounds(s, a.back().upper, false, b.front().lower, true) < 0;
}
bool after(Oid s, const Multirange& a, const Multirange& b) { return before(s, b, a); }
bool overleft(Oid s, const Multirange& a, const Multirange& b) {
  return compare_bounds(s, a.back().upper, false, b.back().upper, false) <= 0;
}
bool overright(Oid s, const Multirange& a, const Multirange& b) {
  return compare_bounds(s, a.front().lower, true, b.front().lower, true) >= 0;
}
bool adjacent(Oid s, const Multirange& a, const Multirange& b) {
  return bounds_touch(s, a.back().upper, b.front().lower) || bounds_touch(s, b.back().upper, a.front().lower);
}
bool any_overlap(Oid s, const Multirange& a, const Multirange& b) {
  return std::ranges::any_of(a, [&](const Range& x) {
    return std::ranges::any_of(b, [&](const Range& y) { return overlaps(s, x, y); });
  });
}

Multirange minus(Oid type, const Multirange& a, const Multirange& b) {
  const Oid s = subtype_of_range(type);
  std::vector<Range> left = a;
  for (const Range& cut : b) {
    std::vector<Range> next;
    for (const Range& piece : left) {
      if (!overlaps(s, piece, cut)) {
        next.push_back(piece);
        continue;
      }
      if (compare_bounds(s, piece.lower, true, cut.lower, true) < 0) {
        RangeBound end = cut.lower;
        end.inclusive = !end.inclusive;
        next.push_back({.lower = piece.lower, .upper = std::move(end)});
      }
      if (compare_bounds(s, piece.upper, false, cut.upper, false) > 0) {
        RangeBound begin = cut.upper;
        begin.inclusive = !begin.inclusive;
        next.push_back({.lower = std::move(begin), .upper = piece.upper});
      }
    }
    left = std::move(next);
  }
  return make_multirange(type, std::move(left));
}

Multirange intersection(Oid type, const Multirange& a, const Multirange& b) {
  std::vector<Range> found;
  for (const Range& x : a) {
    for (const Range& y : b) found.push_back(common(subtype_of_range(type), x, y));
  }
  return make_multirange(type, std::move(found));
}

Multirange together(Oid type, Multirange a, const Multirange& b) {
  a.insert(a.end(), b.begin(), b.end());
  return make_multirange(type, std::move(a));
}

Returned one_of(Oid type, const Multirange& ranges, std::string_view what) {
  if (ranges.size() > 1) {
    return fail(ErrorCode::kDataException, "result of range {} would not be contiguous", what);
  }
  return range_result(type, ranges.empty() ? none() : ranges.front());
}

Range spanning(const Multirange& ranges) {
  return ranges.empty() ? none() : Range{.lower = ranges.front().lower, .upper = ranges.back().upper};
}

Result<Range> constructed(Call& c) {
  const Oid type = c.kernel.result;
  bool lower_inclusive = true, upper_inclusive = false;
  if (c.size() > 2) {
    if (c[2].is_null()) {
      return fail(ErrorCode::kDataException, "range constructor flags argument must not be null");
    }
    const std::string_view flags = c.text(2);
    if (flags.size() != 2 || (flags[0] != '[' && flags[0] != '(') || (flags[1] != ']' && flags[1] != ')')) {
      return std::unexpected(error(ErrorCode::kSyntaxError, "invalid range bound flags")
                                 .hint("Valid values are \"[]\", \"[)\", \"(]\", and \"()\"."));
    }
    lower_inclusive = flags[0] == '[';
    upper_inclusive = flags[1] == ']';
  }
  const auto bound = [&](std::size_t i, bool inclusive) {
    if (c[i].is_null()) return RangeBound{};
    return RangeBound{.infinite = false, .inclusive = inclusive, .value = OwnedValue(c[i])};
  };
  return make_range(type, bound(0, lower_inclusive), bound(1, upper_inclusive));
}

// range_agg and range_intersect_agg, over ranges and multiranges.
class RangeAgg : public Aggregate {
 public:
  explicit RangeAgg(bool intersects) : intersects_(intersects) {}
  Status step(Call& c) override {
    if (c[0].is_null()) return {};
    type_ = c.types[0];
    const Multirange next = operand(c, 0);
    if (!ranges_) {
      ranges_ = next;
    } else if (intersects_) {
      ranges_ = intersection(type_, *ranges_, next);
    } else {
      ranges_->insert(ranges_->end(), next.begin(), next.end());
    }
    return {};
  }
  Returned value(FunctionContext&) const override {
    if (!ranges_) return OwnedValue::null();
    if (intersects_ && is_range(type_)) return range_result(type_, spanning(*ranges_));
    return multirange_result(multirange_of(type_), make_multirange(type_, *ranges_));
  }

 private:
  bool intersects_;
  Oid type_ = 0;
  std::optional<Multirange> ranges_;
};

void add_constructors(Implementations& all) {
  constexpr std::pair<const char*, const char*> kTypes[] = {{"int4", "integer"},
                                                            {"int8", "bigint"},
                                                            {"num", "numeric"},
                                                            {"date", "date"},
                                                            {"ts", "timestamp without time zone"},
                                                            {"tstz", "timestamp with time zone"}};
  for (const auto& [name, subtype] : kTypes) {
    for (const char* flags : {"", ", text"}) {
      all.push_back(
          scalar(fmt::format("{0}range({1}, {1}{2})", name, subtype, flags), [](Call& c) -> Returned {
            BOP_LET(range, constructed(c));
            return range_result(c.kernel.result, range);
          }));
    }
    all.push_back(scalar(fmt::format("{}multirange()", name), [](Call&) { return text_result("{}"); }));
    const auto collected = [](Call& c) -> Returned {
      const Oid range = range_of_multirange(c.kernel.result);
      std::vector<Range> ranges;
      std::vector<Value> members(c.args.begin(), c.args.end());
      Array whole;  // of a call that says VARIADIC
      if (members.size() == 1 && members[0].bytes.starts_with('{')) {
        whole = parse_stored_array(array_of(range), members[0].bytes);
        members.assign(whole.elements.begin(), whole.elements.end());
      }
      for (const Value& v : members) {
        if (v.is_null()) {
          return fail(ErrorCode::kNullNotAllowed, "multirange values cannot contain null members");
        }
        ranges.push_back(range_of_stored(range, v.bytes));
      }
      return multirange_result(c.kernel.result, make_multirange(range, std::move(ranges)));
    };
    all.push_back(scalar(fmt::format("{0}multirange({0}range)", name), collected));
    all.push_back(scalar(fmt::format("{0}multirange({0}range[])", name), collected));
  }
}

void add_tests(Implementations& all) {
  struct Relation {
    const char* name;
    Test test;
  };
  constexpr Relation kRelations[] = {{"overlaps", any_overlap}, {"before", before},
                                     {"after", after},          {"overleft", overleft},
                                     {"overright", overright},  {"adjacent", adjacent}};
  for (const Relation& relation : kRelations) {
    for (const char* form :
         {"range_{}", "range_{}_multirange", "multirange_{}_range", "multirange_{}_multirange"}) {
      all.push_back(scalar(fmt::format(fmt::runtime(form), relation.name), [test = relation.test](Call& c) {
        const Multirange a = operand(c, 0), b = operand(c, 1);
        return bool_result(!a.empty() && !b.empty() && test(subtype(c), a, b));
      }));
    }
  }
  const auto holds = [](Call& c) { return bool_result(contains(subtype(c), operand(c, 0), operand(c, 1))); };
  const auto held = [](Call& c) { return bool_result(contains(subtype(c), operand(c, 1), operand(c, 0))); };
  for (const char* k : {"range_contains", "range_contains_multirange", "multirange_contains_range",
                        "multirange_contains_multirange"}) {
    all.push_back(scalar(k, holds));
  }
  for (const char* k : {"range_contained_by", "range_contained_by_multirange",
                        "multirange_contained_by_range", "multirange_contained_by_multirange"}) {
    all.push_back(scalar(k, held));
  }
  for (const char* k : {"range_contains_elem", "multirange_contains_elem"}) {
    all.push_back(
        scalar(k, [](Call& c) { return bool_result(contains_value(subtype(c), operand(c, 0), c[1])); }));
  }
  for (const char* k : {"elem_contained_by_range", "elem_contained_by_multirange"}) {
    all.push_back(
        scalar(k, [](Call& c) { return bool_result(contains_value(subtype(c), operand(c, 1), c[0])); }));
  }
}

// What a range and a multirange tell of themselves.
void add_properties(Implementations& all, const std::string& kind) {
  const auto edge = [](bool upper) {
    return [upper](Call& c) -> Returned {
      const Multirange ranges = operand(c, 0);
      if (ranges.empty()) return OwnedValue::null();
      const RangeBound& bound = upper ? ranges.back().upper : ranges.front().lower;
      return bound.infinite ? OwnedValue::null() : bound.value;
    };
  };
  all.push_back(scalar(kind + "_lower", edge(false)));
  all.push_back(scalar(kind + "_upper", edge(true)));
  all.push_back(scalar(kind + "_empty", [](Call& c) { return bool_result(operand(c, 0).empty()); }));
  const auto flag = [&](const char* name, bool (*f)(const Multirange&)) {
    all.push_back(scalar(kind + name, [f](Call& c) {
      const Multirange ranges = operand(c, 0);
      return bool_result(!ranges.empty() && f(ranges));
    }));
  };
  flag("_lower_inc", [](const Multirange& r) { return r.front().lower.inclusive; });
  flag("_upper_inc", [](const Multirange& r) { return r.back().upper.inclusive; });
  flag("_lower_inf", [](const Multirange& r) { return r.front().lower.infinite; });
  flag("_upper_inf", [](const Multirange& r) { return r.back().upper.infinite; });
  constexpr const char* kWords[] = {"eq", "ne", "lt", "le", "gt", "ge"};
  for (int i = 0; i < 6; ++i) {
    all.push_back(scalar(fmt::format("{}_{}", kind, kWords[i]), [i](Call& c) {
      const int order = compare_range_values(c.types[0], c.text(0), c.text(1));
      const bool answers[] = {order == 0, order != 0, order < 0, order <= 0, order > 0, order >= 0};
      return bool_result(answers[i]);
    }));
  }
  all.push_back(scalar(kind + "_cmp", [](Call& c) {
    return int_result(compare_range_values(c.types[0], c.text(0), c.text(1)));
  }));
}

}  // namespace

void add_range_functions(Implementations& all) {
  add_constructors(all);
  add_tests(all);
  add_properties(all, "range");
  add_properties(all, "multirange");
  all.push_back(scalar("range_union", [](Call& c) {
    return one_of(c.types[0], together(c.types[0], operand(c, 0), operand(c, 1)), "union");
  }));
  all.push_back(scalar("range_minus", [](Call& c) {
    return one_of(c.types[0], minus(c.types[0], operand(c, 0), operand(c, 1)), "difference");
  }));
  all.push_back(scalar("range_intersect", [](Call& c) {
    return range_result(c.types[0], spanning(intersection(c.types[0], operand(c, 0), operand(c, 1))));
  }));
  all.push_back(scalar("range_merge", [](Call& c) {
    return range_result(c.types[0], spanning(together(c.types[0], operand(c, 0), operand(c, 1))));
  }));
  all.push_back(scalar("range_merge_from_multirange", [](Call& c) {
    return range_result(range_of_multirange(c.types[0]), spanning(operand(c, 0)));
  }));
  all.push_back(scalar("multirange_union", [](Call& c) {
    return multirange_result(c.types[0], together(c.types[0], operand(c, 0), operand(c, 1)));
  }));
  all.push_back(scalar("multirange_minus", [](Call& c) {
    return multirange_result(c.types[0], minus(c.types[0], operand(c, 0), operand(c, 1)));
  }));
  all.push_back(scalar("multirange_intersect", [](Call& c) {
    return multirange_result(c.types[0], intersection(c.types[0], operand(c, 0), operand(c, 1)));
  }));
  all.push_back(scalar("multirange(anyrange)",
                       [](Call& c) { return multirange_result(multirange_of(c.types[0]), operand(c, 0)); }));
  all.push_back(rows("multirange_unnest", [](Call& c) -> Result<RowSource> {
    const Oid type = range_of_multirange(c.types[0]);
    return RowSource([type, ranges = c[0].is_null() ? Multirange() : operand(c, 0),
                      i = std::size_t{0}](std::vector<OwnedValue>& row) mutable -> Result<bool> {
      if (i >= ranges.size()) return false;
      row.assign(1, OwnedValue::of_text(stored_range(type, ranges[i++])));
      return true;
    });
  }));
  for (const char* k : {"range_agg(anyrange)", "range_agg(anymultirange)"})
    all.push_back(aggregate(k, [] { return std::make_unique<RangeAgg>(false); }));
  for (const char* k : {"range_intersect_agg(anyrange)", "range_intersect_agg(anymultirange)"})
    all.push_back(aggregate(k, [] { return std::make_unique<RangeAgg>(true); }));
}

}  // namespace bop
