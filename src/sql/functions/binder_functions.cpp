// Functions outside pg_proc that the binder writes: casts, modifiers, array constructors, ANY and ALL.
#include <algorithm>
#include <bit>
#include <optional>

#include "sql/functions/json_convert.hpp"
#include "sql/functions/regex.hpp"
#include "sql/functions/registry.hpp"
#include "sql/types/array.hpp"
#include "sql/types/float.hpp"
#include "sql/types/json.hpp"
#include "sql/types/record.hpp"

namespace bop {
namespace {

Oid oid(Call& c, std::size_t i) { return static_cast<Oid>(c.integer(i)); }

// bop_cast(value, from, to, explicit)
Returned cast_value(Call& c) { return cast(oid(c, 1), oid(c, 2), c[0], c[3].as_bool(), c.codec()); }

// bop_typmod(value, type, typmod, explicit)
Returned typmod_value(Call& c) {
  return apply_typmod(oid(c, 1), static_cast<std::int32_t>(c.integer(2)), OwnedValue(c[0]), c[3].as_bool());
}

// bop_padded(value, type, typmod)
Returned padded_value(Call& c) { return padded(oid(c, 1), static_cast<std::int32_t>(c.integer(2)), c[0]); }

// What ANY and ALL compare with. Ordering operators need no function of their own; others run their kernel.
Result<std::optional<bool>> test(Call& c, std::string_view op, Oid element, const Value& a, const Value& b) {
  if (a.is_null() || b.is_null()) return std::nullopt;
  if (op == "=" || op == "<>" || op == "<" || op == "<=" || op == ">" || op == ">=") {
    const int order = compare(element, a, b);
    if (op == "=") return order == 0;
    if (op == "<>") return order != 0;
    if (op == "<") return order < 0;
    if (op == "<=") return order <= 0;
    return op == ">" ? order > 0 : order >= 0;
  }
  for (const Kernel* k : lookup_operator(op, 2)) {
    const Implementation& i = implementation_of(*k);
    if (!i.scalar || k->args[1] != (element == types::kVarchar ? types::kText : element)) continue;
    const Value args[] = {a, b};
    Call inner{.args = args, .context = c.context, .kernel = *k};
    BOP_LET(r, i.scalar(inner));
    if (r.is_null()) return std::nullopt;
    return r.integer() != 0;
  }
  return fail(ErrorCode::kNotImplemented, "operator {} with ANY or ALL of {} is not implemented", op,
              format_type(element));
}

// bop_any(op, elem oid, scalar, array): true if any holds, else NULL if any is unknown, else false. ALL
// dually.
Returned quantified(Call& c, bool any) {
  if (c[3].is_null()) return OwnedValue::null();
  const Oid element = oid(c, 1);
  const Oid array = c.size() > 4 ? oid(c, 4) : array_of(element);
  const Array a = parse_stored_array(array, c.text(3));
  bool unknown = false;
  for (const OwnedValue& e : a.elements) {
    BOP_LET(r, test(c, c.text(0), element, c[2], e));
    if (!r)
      unknown = true;
    else if (*r == any)
      return OwnedValue::of_bool(any);
  }
  return unknown ? OwnedValue::null() : OwnedValue::of_bool(!any);
}

std::optional<std::size_t> offset_of(const Array& a, Call& c, std::size_t first) {
  const std::size_t n = c.size() - first;
  if (n != a.dimensions.size()) return std::nullopt;
  std::int64_t at = 0;
  for (std::size_t d = 0; d < n; ++d) {
    const std::int64_t i = c.integer(first + d) - a.dimensions[d].lower;
    if (c[first + d].is_null() || i < 0 || i >= a.dimensions[d].count) return std::nullopt;
    at = at * a.dimensions[d].count + i;
  }
  return static_cast<std::size_t>(at);
}

// bop_subscript(array oid, array, i...)
Returned subscript(Call& c) {
  if (c[1].is_null()) return OwnedValue::null();
  if (oid(c, 0) == types::kJsonb) {
    const Json j = parse_stored_json(c.text(1));
    const Json* at = &j;
    for (std::size_t i = 2; i < c.size() && at != nullptr; ++i) {
      if (c[i].is_null()) return OwnedValue::null();
      at = at->type == Json::Type::kArray && c[i].kind == Value::Kind::kInt     ? at->at(c.integer(i))
           : at->type == Json::Type::kObject && c[i].kind == Value::Kind::kText ? at->find(c.text(i))
                                                                                : nullptr;
    }
    return at == nullptr ? OwnedValue::null() : OwnedValue::of_text(jsonb_text(*at));
  }
  const Array a = parse_stored_array(oid(c, 0), c.text(1));
  const auto at = offset_of(a, c, 2);
  return at ? a.elements[*at] : OwnedValue::null();
}

// bop_slice(array oid, array, lower, upper, ...)
Returned slice(Call& c) {
  if (c[1].is_null()) return OwnedValue::null();
  const Array a = parse_stored_array(oid(c, 0), c.text(1));
  const std::size_t n = (c.size() - 2) / 2;
  if (n > a.dimensions.size()) return text_result("{}");
  std::vector<std::int64_t> from(a.dimensions.size()), count(a.dimensions.size());
  for (std::size_t d = 0; d < a.dimensions.size(); ++d) {
    const auto& dim = a.dimensions[d];
    std::int64_t low = dim.lower, high = std::int64_t{dim.lower} + dim.count - 1;
    if (d < n) {
      if (!c[2 + 2 * d].is_null()) low = std::max(low, c.integer(2 + 2 * d));
      if (!c[3 + 2 * d].is_null()) high = std::min(high, c.integer(3 + 2 * d));
    }
    if (low > high) return text_result("{}");
    from[d] = low - dim.lower;
    count[d] = high - low + 1;
  }
  Array r;
  for (const std::int64_t k : count) r.dimensions.push_back({1, static_cast<std::int32_t>(k)});
  std::int64_t total = 1;
  for (const std::int64_t k : count) total *= k;
  for (std::int64_t i = 0; i < total; ++i) {
    std::int64_t rest = i, at = 0, weight = 1;
    for (std::size_t d = count.size(); d-- > 0;) {
      at += (from[d] + rest % count[d]) * weight;
      rest /= count[d];
      weight *= a.dimensions[d].count;
    }
    r.elements.push_back(a.elements[static_cast<std::size_t>(at)]);
  }
  return text_result(stored_array(oid(c, 0), r));
}

// bop_array(elem oid, values...)
Returned make_array(Call& c) {
  std::vector<OwnedValue> items;
  for (std::size_t i = 1; i < c.size(); ++i) items.emplace_back(c[i]);
  return text_result(stored_array(array_of(oid(c, 0)), Array::of_vector(std::move(items))));
}

// bop_array_nested(elem oid, arrays...)
Returned nest_arrays(Call& c) {
  const Oid type = array_of(oid(c, 0));
  Array all;
  bool first = true;
  for (std::size_t i = 1; i < c.size(); ++i) {
    Array a = c[i].is_null() ? Array() : parse_stored_array(type, c.text(i));
    if (first) {
      all.dimensions = a.dimensions;
    } else if (a.dimensions != all.dimensions) {
      return fail(ErrorCode::kArraySubscriptError,
                  "multidimensional arrays must have array expressions with matching dimensions");
    }
    first = false;
    for (OwnedValue& e : a.elements) all.elements.push_back(std::move(e));
  }
  if (all.elements.empty())
    all.dimensions.clear();
  else
    all.dimensions.insert(all.dimensions.begin(), {1, static_cast<std::int32_t>(c.size() - 1)});
  if (all.dimensions.size() > kMaxArrayDimensions) {
    return fail(ErrorCode::kProgramLimitExceeded,
                "number of array dimensions ({}) exceeds the maximum allowed ({})", all.dimensions.size(),
                kMaxArrayDimensions);
  }
  return text_result(stored_array(type, all));
}

// bop_row(head, value, head, value...): a record (types/record.hpp).
Returned make_row(Call& c) {
  std::string out;
  for (std::size_t i = 0; i + 1 < c.size(); i += 2) {
    out += c.text(i);
    append_record_value(c[i + 1], out);
  }
  return text_result(std::move(out));
}

// bop_field(record, index)
Returned field_of_row(Call& c) {
  if (c[0].is_null()) return OwnedValue::null();
  Record record = parse_stored_record(c.text(0));
  const auto index = static_cast<std::size_t>(c.integer(1));
  return index < record.size() ? std::move(record[index].value) : OwnedValue::null();
}

// bop_row_null(record, null): IS NULL is for all fields, IS NOT NULL for none.
Returned row_is_null(Call& c) {
  const bool null = c.integer(1) != 0;
  if (c[0].is_null()) return bool_result(null);
  const Record record = parse_stored_record(c.text(0));
  return bool_result(
      std::ranges::all_of(record, [&](const RecordField& field) { return field.value.is_null() == null; }));
}

// ---- TABLESAMPLE (generate_lateral.cpp)
Returned sample_size(Call& c) {
  if (c[0].is_null()) {
    return fail(ErrorCode::kInvalidTablesampleArgument, "TABLESAMPLE parameter cannot be null");
  }
  const double percent = float_of(c[0]);
  if (!(percent >= 0 && percent <= 100)) {
    return fail(ErrorCode::kInvalidTablesampleArgument, "sample percentage must be between 0 and 100");
  }
  return OwnedValue::of_real(percent);
}

Returned sample_seed(Call& c) {
  if (c[0].is_null()) {
    return fail(ErrorCode::kInvalidTablesampleRepeat, "TABLESAMPLE REPEATABLE parameter cannot be null");
  }
  return int_result(static_cast<std::int64_t>(std::bit_cast<std::uint64_t>(float_of(c[0]))));
}

// bop_sampled(place, percent, seed): whether chance lets in what stands at this place.
Returned sampled(Call& c) {
  const auto mix = [](std::uint64_t x) {  // splitmix64
    x += 0x9e3779b97f4a7c15U;
    x = (x ^ (x >> 30U)) * 0xbf58476d1ce4e5b9U;
    x = (x ^ (x >> 27U)) * 0x94d049bb133111ebU;
    return x ^ (x >> 31U);
  };
  const std::uint64_t chance =
      mix(mix(static_cast<std::uint64_t>(c.integer(2))) ^ static_cast<std::uint64_t>(c.integer(0)));
  return bool_result(static_cast<double>(chance >> 11U) * 0x1p-53 * 100 < float_of(c[1]));
}

}  // namespace

const std::vector<Helper>& helpers() {
  static const std::vector<Helper> all{
      {"bop_cast", cast_value},
      {"bop_typmod", typmod_value},
      {"bop_padded", padded_value},
      {"bop_any", [](Call& c) { return quantified(c, true); }},
      {"bop_all", [](Call& c) { return quantified(c, false); }},
      {"bop_subscript", subscript},
      {"bop_slice", slice},
      {"bop_array", make_array},
      {"bop_array_nested", nest_arrays},
      {"bop_row", make_row},
      {"bop_field", field_of_row},
      {"bop_row_null", row_is_null},
      {"bop_sample_size", sample_size},
      {"bop_sample_seed", sample_seed},
      {"bop_sampled", sampled},
  };
  return all;
}

}  // namespace bop
