// to_char, to_date, to_timestamp, to_number.
#include "sql/functions/registry.hpp"

namespace bop {
void add_format_functions(Implementations&) {}
}  // namespace bop
