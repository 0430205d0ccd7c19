// Bytes that compare as values of a type do, for types whose representation does not.
#pragma once

#include <string>

#include "base/ids.hpp"
#include "sql/types/value.hpp"

namespace bop::executor {

// numeric: kind (-Infinity, negative, zero, positive, Infinity, NaN), the power of ten of the first digit,
// the digits; of a negative number complemented. interval: its length in microseconds with months of 30 days,
// 16 bytes.
[[nodiscard]] bool has_sort_key(Oid type) noexcept;
[[nodiscard]] std::string sort_key(Oid type, const Value& value);

}  // namespace bop::executor
