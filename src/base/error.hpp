// Making errors and passing them on. The types are public (bop/error.hpp).
#pragma once

#include <utility>

#include <fmt/format.h>
#include <bop/error.hpp>

namespace bop {

// return fail(ErrorCode::kDiskFull, "cannot write {}: no space left", path);
template <class... Args>
[[nodiscard]] std::unexpected<Error> fail(ErrorCode code, fmt::format_string<Args...> text, Args&&... args) {
  return std::unexpected(Error(code, fmt::format(text, std::forward<Args>(args)...)));
}
template <class... Args>
[[nodiscard]] Error error(ErrorCode code, fmt::format_string<Args...> text, Args&&... args) {
  return Error(code, fmt::format(text, std::forward<Args>(args)...));
}

}  // namespace bop

// BOP_TRY(call): returns the error of a Result<...> from the enclosing function, else does nothing.
// BOP_LET(name, call): the same, and names the value.
#define BOP_CONCAT_INNER(a, b) a##b
#define BOP_CONCAT(a, b) BOP_CONCAT_INNER(a, b)
#define BOP_TRY(call)                                                \
  do {                                                               \
    if (auto bop_try_result = (call); !bop_try_result.has_value()) { \
      return std::unexpected(std::move(bop_try_result).error());     \
    }                                                                \
  } while (false)
#define BOP_LET(name, call)                                                \
  auto BOP_CONCAT(bop_let_, name) = (call);                                \
  if (!BOP_CONCAT(bop_let_, name).has_value()) {                           \
    return std::unexpected(std::move(BOP_CONCAT(bop_let_, name)).error()); \
  }                                                                        \
  auto name = std::move(*BOP_CONCAT(bop_let_, name))
