// jsonb_path_*: part of the functions of json (json_functions.cpp).
#pragma once

#include "sql/functions/registry.hpp"

namespace bop {

void add_jsonpath_functions(Implementations& all);

}  // namespace bop
