// Functions of enums, whose values are the ordinals of their labels.
#include <algorithm>

#include "sql/functions/registry.hpp"
#include "sql/types/array.hpp"
#include "sql/types/user_types.hpp"

namespace bop {
namespace {

Result<const std::vector<EnumLabel>*> labels_of(const Call& c) {
  const UserType* type = c.types.empty() ? nullptr : find_enum(c.types[0]);
  if (type == nullptr) return fail(ErrorCode::kNotImplemented, "could not determine actual enum type");
  return &type->definition().labels;
}

Returned edge(Call& c, bool last) {
  BOP_LET(labels, labels_of(c));
  if (labels->empty()) {
    return fail(ErrorCode::kNotInPrerequisiteState, "enum {} contains no values", format_type(c.types[0]));
  }
  return OwnedValue::of_int(last ? labels->back().ordinal : labels->front().ordinal);
}

// A bound that is NULL is none.
Returned range(Call& c) {
  BOP_LET(labels, labels_of(c));
  std::vector<OwnedValue> found;
  for (const EnumLabel& label : *labels) {
    const bool above = c.size() < 2 || c[0].is_null() || label.ordinal >= c.integer(0);
    const bool below = c.size() < 2 || c[1].is_null() || label.ordinal <= c.integer(1);
    if (above && below) found.push_back(OwnedValue::of_int(label.ordinal));
  }
  return text_result(stored_array(array_of(c.types[0]), Array::of_vector(std::move(found))));
}

}  // namespace

void add_enum_functions(Implementations& all) {
  all.push_back(scalar("enum_first", [](Call& c) { return edge(c, false); }));
  all.push_back(scalar("enum_last", [](Call& c) { return edge(c, true); }));
  all.push_back(scalar("enum_range_all", range));
  all.push_back(scalar("enum_range_bounds", range));
  all.push_back(scalar("enum_cmp", [](Call& c) {
    return int_result(c.integer(0) < c.integer(1) ? -1 : c.integer(0) > c.integer(1) ? 1 : 0);
  }));
  all.push_back(
      scalar("enum_larger", [](Call& c) { return int_result(std::max(c.integer(0), c.integer(1))); }));
  all.push_back(
      scalar("enum_smaller", [](Call& c) { return int_result(std::min(c.integer(0), c.integer(1))); }));
}

}  // namespace bop
