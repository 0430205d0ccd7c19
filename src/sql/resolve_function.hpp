// Which function or operator a call means, by PostgreSQL's rules ("Type Conversion", chapters 10.2 and 10.3):
// an exact match, else candidates that implicit casts reach, narrowed by preferred types and by the category
// of literals whose type is unknown. Polymorphic arguments get their actual types.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "base/ids.hpp"

namespace bop {
struct Kernel;
}

namespace bop::sql {

struct Resolution {
  enum class Outcome { kFound, kNone, kAmbiguous };
  Outcome outcome = Outcome::kNone;
  const Kernel* kernel = nullptr;
  std::vector<Oid> args;  // type that each actual argument must be cast to; 0 = as it is ("any")
  Oid result = 0;
};

[[nodiscard]] Resolution resolve_function(std::span<const Kernel* const> kernels, std::span<const Oid> actual,
                                          bool variadic_array);
// Whether the function takes argument `i` as PostgreSQL keeps it, a char(n) with its blanks; comparisons and
// length() do not count them.
[[nodiscard]] bool sees_blanks(const Kernel& kernel, std::size_t i);
[[nodiscard]] Resolution resolve_operator(std::string_view sign, std::span<const Oid> actual);

}  // namespace bop::sql
