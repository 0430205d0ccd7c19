// What a return code of libmdbx means in the one taxonomy of errors.
#pragma once

#include <string_view>

#include "base/error.hpp"

namespace bop::mdbx {

// `code` is not success. "<path>: cannot <doing>: <why>".
[[nodiscard]] Error error_of(int code, std::string_view path, std::string_view doing);

}  // namespace bop::mdbx
