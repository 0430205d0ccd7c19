// RANGE with an offset: whether a row lies on the frame's side of "the current row's key plus or minus the
// offset" (in_range of PostgreSQL's operator classes).
#pragma once

#include "base/error.hpp"
#include "sql/types/codec.hpp"
#include "sql/types/value.hpp"

namespace bop {

// val <= base + offset (`less`) or val >= base + offset; base - offset where `subtract`. None is NULL. 22013
// for a negative offset.
[[nodiscard]] Result<bool> in_range(Oid type, const Value& value, const Value& base, const Value& offset,
                                    bool subtract, bool less, const CodecContext& context);

}  // namespace bop
