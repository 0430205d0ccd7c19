// SQL values as JSON, as to_json and its kin write them.
#pragma once

#include <string>

#include "base/error.hpp"
#include "sql/types/codec.hpp"
#include "sql/types/json.hpp"

namespace bop {

// Appends the value: numbers and booleans bare, json verbatim, arrays as arrays, all else as strings. NULL is
// null.
[[nodiscard]] Status append_as_json(Oid type, const Value& v, const CodecContext& context, std::string& out);

}  // namespace bop
