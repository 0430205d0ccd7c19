#include <algorithm>
#include <optional>

#include "sql/functions/registry.hpp"
#include "sql/types/array.hpp"
#include "sql/types/bytes.hpp"

namespace bop {
namespace {

Oid array_type(Call& c, std::size_t i) {
  const Oid t = i < c.types.size() ? c.types[i] : types::kTextArray;
  return element_of(t) != 0 ? t : types::kTextArray;
}
Array array(Call& c, std::size_t i) {
  return c[i].is_null() ? Array() : parse_stored_array(array_type(c, i), c.text(i));
}
bool same(Oid element, const OwnedValue& a, const Value& b) {
  if (a.is_null() || b.is_null()) return a.is_null() && b.is_null();
  return compare(element, a, b) == 0;
}

const Array::Dimension* dimension(const Array& a, std::int64_t d) {
  return d < 1 || d > static_cast<std::int64_t>(a.dimensions.size())
             ? nullptr
             : &a.dimensions[static_cast<std::size_t>(d - 1)];
}

Implementation bound(std::string key, std::int64_t (*f)(const Array::Dimension&)) {
  return scalar(std::move(key), [f](Call& c) -> Returned {
    const Array a = array(c, 0);
    const auto* d = dimension(a, c.integer(1));
    return d == nullptr ? OwnedValue::null() : OwnedValue::of_int(f(*d));
  });
}

Returned dims(Call& c) {
  const Array a = array(c, 0);
  if (a.dimensions.empty()) return OwnedValue::null();
  std::string s;
  for (const auto& d : a.dimensions) s += fmt::format("[{}:{}]", d.lower, d.lower + d.count - 1);
  return text_result(std::move(s));
}

Result<Array> one_dimension(Array a, std::string_view what) {
  if (a.dimensions.size() > 1) return fail(ErrorCode::kNotImplemented, "{}", what);
  return a;
}

// array_append(array, element) and array_prepend(element, array); a NULL array is empty.
Returned push(Call& c, bool back) {
  const std::size_t at = back ? 0 : 1;
  const Oid type = array_type(c, at);
  Array a = array(c, at);
  if (a.dimensions.size() > 1)
    return fail(ErrorCode::kDataException, "argument must be empty or one-dimensional array");
  const std::int32_t lower = a.dimensions.empty() ? 1 : a.dimensions[0].lower;
  a.elements.insert(back ? a.elements.end() : a.elements.begin(), OwnedValue(c[1 - at]));
  a.dimensions = {{lower, static_cast<std::int32_t>(a.elements.size())}};
  return text_result(stored_array(type, a));
}

Returned cat(Call& c) {
  if (c[0].is_null()) return OwnedValue(c[1]);
  if (c[1].is_null()) return OwnedValue(c[0]);
  const Oid type = array_type(c, 0);
  Array a = array(c, 0), b = array(c, 1);
  if (a.elements.empty()) return OwnedValue(c[1]);
  if (b.elements.empty()) return OwnedValue(c[0]);
  const std::size_t n = a.dimensions.size(), m = b.dimensions.size();
  const auto incompatible = [] {
    return std::unexpected(Error(ErrorCode::kArraySubscriptError, "cannot concatenate incompatible arrays"));
  };
  const auto counts_match = [](std::span<const Array::Dimension> x, std::span<const Array::Dimension> y) {
    return std::ranges::equal(x, y, {}, &Array::Dimension::count, &Array::Dimension::count);
  };
  if (n == m) {
    if (!counts_match(std::span(a.dimensions).subspan(1), std::span(b.dimensions).subspan(1)))
      return incompatible();
    a.dimensions[0].count += b.dimensions[0].count;
  } else if (n == m + 1) {
    if (!counts_match(std::span(a.dimensions).subspan(1), b.dimensions)) return incompatible();
    ++a.dimensions[0].count;
  } else if (m == n + 1) {
    if (!counts_match(a.dimensions, std::span(b.dimensions).subspan(1))) return incompatible();
    a.dimensions = b.dimensions;
    ++a.dimensions[0].count;
  } else {
    return incompatible();
  }
  std::ranges::move(b.elements, std::back_inserter(a.elements));
  return text_result(stored_array(type, a));
}

Returned position(Call& c) {
  if (c[0].is_null()) return OwnedValue::null();
  BOP_LET(a,
          one_dimension(array(c, 0), "searching for elements in multidimensional arrays is not supported"));
  if (a.elements.empty()) return OwnedValue::null();
  const std::int32_t lower = a.dimensions[0].lower;
  if (c.size() > 2 && c[2].is_null())
    return fail(ErrorCode::kNullNotAllowed, "initial position must not be null");
  const std::int64_t from = c.size() > 2 ? std::max<std::int64_t>(0, c.integer(2) - lower) : 0;
  for (std::size_t i = static_cast<std::size_t>(from); i < a.elements.size(); ++i) {
    if (same(element_of(array_type(c, 0)), a.elements[i], c[1]))
      return OwnedValue::of_int(lower + static_cast<std::int64_t>(i));
  }
  return OwnedValue::null();
}

Returned positions(Call& c) {
  if (c[0].is_null()) return OwnedValue::null();
  BOP_LET(a,
          one_dimension(array(c, 0), "searching for elements in multidimensional arrays is not supported"));
  std::vector<OwnedValue> hits;
  for (std::size_t i = 0; i < a.elements.size(); ++i) {
    if (same(element_of(array_type(c, 0)), a.elements[i], c[1]))
      hits.push_back(OwnedValue::of_int(a.dimensions[0].lower + static_cast<std::int64_t>(i)));
  }
  return text_result(stored_array(types::kInt4Array, Array::of_vector(std::move(hits))));
}

Returned remove(Call& c) {
  if (c[0].is_null()) return OwnedValue::null();
  const Oid type = array_type(c, 0);
  BOP_LET(a, one_dimension(array(c, 0), "removing elements from multidimensional arrays is not supported"));
  std::erase_if(a.elements, [&](const OwnedValue& e) { return same(element_of(type), e, c[1]); });
  if (a.elements.empty())
    a.dimensions.clear();
  else
    a.dimensions[0].count = static_cast<std::int32_t>(a.elements.size());
  return text_result(stored_array(type, a));
}

Returned replace(Call& c) {
  if (c[0].is_null()) return OwnedValue::null();
  const Oid type = array_type(c, 0);
  Array a = array(c, 0);
  for (OwnedValue& e : a.elements) {
    if (same(element_of(type), e, c[1])) e = OwnedValue(c[2]);
  }
  return text_result(stored_array(type, a));
}

Returned to_string(Call& c) {
  if (c[0].is_null() || c[1].is_null()) return OwnedValue::null();
  const Array a = array(c, 0);
  std::string s;
  bool first = true;
  for (const OwnedValue& e : a.elements) {
    if (e.is_null() && (c.size() < 3 || c[2].is_null())) continue;
    if (!first) s += c.text(1);
    first = false;
    if (e.is_null())
      s += c.text(2);
    else
      s += text_of(element_of(array_type(c, 0)), e, c.codec());
  }
  return text_result(std::move(s));
}

std::vector<OwnedValue> cut(Call& c) {
  const std::string_view s = c.text(0);
  std::vector<OwnedValue> parts;
  const auto add = [&](std::string_view p) {
    parts.push_back(c.size() > 2 && !c[2].is_null() && p == c.text(2) ? OwnedValue::null()
                                                                      : OwnedValue::of_text(std::string(p)));
  };
  if (s.empty()) return parts;
  if (c[1].is_null()) {  // every character
    for (std::size_t i = 0; i < s.size(); i += utf8_length(s[i])) add(s.substr(i, utf8_length(s[i])));
    return parts;
  }
  const std::string_view by = c.text(1);
  std::size_t at = 0;
  for (std::size_t hit = by.empty() ? s.npos : s.find(by); hit != s.npos; hit = s.find(by, at)) {
    add(s.substr(at, hit - at));
    at = hit + by.size();
  }
  add(s.substr(at));
  return parts;
}

// Every element of b is in a; NULL elements equal nothing.
bool contains(Oid element, const Array& a, const Array& b) {
  return std::ranges::all_of(b.elements, [&](const OwnedValue& y) {
    return !y.is_null() && std::ranges::any_of(a.elements, [&](const OwnedValue& x) {
      return !x.is_null() && compare(element, x, y) == 0;
    });
  });
}

Returned fill(Call& c) {
  if (c[1].is_null() || (c.size() > 2 && c[2].is_null()))
    return fail(ErrorCode::kNullNotAllowed, "dimension array or low bound array cannot be null");
  const Oid element = c.types.empty() ? types::kText : c.types[0];
  const Array sizes = parse_stored_array(types::kInt4Array, c.text(1));
  const Array lowers = c.size() > 2 ? parse_stored_array(types::kInt4Array, c.text(2)) : Array();
  Array a;
  std::int64_t total = 1;
  for (std::size_t i = 0; i < sizes.elements.size(); ++i) {
    const std::int64_t n = sizes.elements[i].integer();
    a.dimensions.push_back(
        {i < lowers.elements.size() ? static_cast<std::int32_t>(lowers.elements[i].integer()) : 1,
         static_cast<std::int32_t>(n)});
    total *= n;
    if (n < 0 || total > kMaxArrayElements / 16)
      return fail(ErrorCode::kProgramLimitExceeded, "array size exceeds the maximum allowed ({})",
                  kMaxArrayElements);
  }
  if (total == 0 || sizes.elements.empty())
    a.dimensions.clear();
  else
    a.elements.assign(static_cast<std::size_t>(total), OwnedValue(c[0]));
  return text_result(stored_array(array_of(element), a));
}

Returned trim(Call& c) {
  const Oid type = array_type(c, 0);
  Array a = array(c, 0);
  const std::int64_t n = c.integer(1), have = a.dimensions.empty() ? 0 : a.dimensions[0].count;
  if (n < 0 || n > have)
    return fail(ErrorCode::kArraySubscriptError, "number of elements to trim must be between 0 and {}", have);
  if (have == 0) return OwnedValue(c[0]);
  const std::size_t each = a.elements.size() / static_cast<std::size_t>(have);
  a.elements.resize(a.elements.size() - each * static_cast<std::size_t>(n));
  a.dimensions[0].count -= static_cast<std::int32_t>(n);
  a.dimensions[0].lower = 1;
  if (a.elements.empty()) a.dimensions.clear();
  return text_result(stored_array(type, a));
}

}  // namespace

void add_array_functions(Implementations& all) {
  all.push_back(bound("array_length", [](const Array::Dimension& d) { return std::int64_t{d.count}; }));
  all.push_back(bound("array_lower", [](const Array::Dimension& d) { return std::int64_t{d.lower}; }));
  all.push_back(
      bound("array_upper", [](const Array::Dimension& d) { return std::int64_t{d.lower} + d.count - 1; }));
  all.push_back(scalar("array_ndims", [](Call& c) -> Returned {
    const Array a = array(c, 0);
    return a.dimensions.empty() ? OwnedValue::null()
                                : OwnedValue::of_int(static_cast<std::int64_t>(a.dimensions.size()));
  }));
  all.push_back(scalar("array_dims", dims));
  all.push_back(scalar("array_cardinality", [](Call& c) {
    return int_result(static_cast<std::int64_t>(array(c, 0).elements.size()));
  }));
  all.push_back(scalar("array_append", [](Call& c) { return push(c, true); }));
  all.push_back(scalar("array_prepend", [](Call& c) { return push(c, false); }));
  all.push_back(scalar("array_cat", cat));
  all.push_back(scalar("array_position", position));
  all.push_back(scalar("array_position_start", position));
  all.push_back(scalar("array_positions", positions));
  all.push_back(scalar("array_remove", remove));
  all.push_back(scalar("array_replace", replace));
  for (const char* k : {"array_to_text", "array_to_text_null"}) all.push_back(scalar(k, to_string));
  for (const char* k : {"text_to_array", "text_to_array_null"}) {
    all.push_back(scalar(k, [](Call& c) -> Returned {
      if (c[0].is_null()) return OwnedValue::null();
      return text_result(stored_array(types::kTextArray, Array::of_vector(cut(c))));
    }));
  }
  for (const char* k : {"text_to_table", "text_to_table_null"}) {
    all.push_back(rows(k, [](Call& c) -> Result<RowSource> {
      return RowSource([parts = c[0].is_null() ? std::vector<OwnedValue>() : cut(c),
                        i = std::size_t{0}](std::vector<OwnedValue>& row) mutable -> Result<bool> {
        if (i >= parts.size()) return false;
        row.assign(1, std::move(parts[i++]));
        return true;
      });
    }));
  }
  all.push_back(scalar("arraycontains", [](Call& c) {
    return bool_result(contains(element_of(array_type(c, 0)), array(c, 0), array(c, 1)));
  }));
  all.push_back(scalar("arraycontained", [](Call& c) {
    return bool_result(contains(element_of(array_type(c, 0)), array(c, 1), array(c, 0)));
  }));
  all.push_back(scalar("arrayoverlap", [](Call& c) {
    const Oid element = element_of(array_type(c, 0));
    const Array a = array(c, 0), b = array(c, 1);
    return bool_result(std::ranges::any_of(b.elements, [&](const OwnedValue& y) {
      return !y.is_null() && std::ranges::any_of(a.elements, [&](const OwnedValue& x) {
        return !x.is_null() && compare(element, x, y) == 0;
      });
    }));
  }));
  all.push_back(scalar("array_fill", fill));
  all.push_back(scalar("array_fill_with_lower_bounds", fill));
  all.push_back(scalar("trim_array", trim));
  all.push_back(scalar("array_larger", [](Call& c) -> Returned {
    return OwnedValue(compare_arrays(array_type(c, 0), c.text(0), c.text(1)) > 0 ? c[0] : c[1]);
  }));
}

}  // namespace bop
