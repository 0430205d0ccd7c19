// libpg_query's parse tree for those .cpp files that walk it, with short names.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

extern "C" {
#include <pg_query/pg_query.pb-c.h>
}

namespace bop::sql::pg {

using Node = PgQuery__Node;
using NodeList = std::span<Node* const>;

// BOP_PG_LIST(stmt, target_list) is the list as a span.
#define BOP_PG_LIST(message, field) \
  ::bop::sql::pg::NodeList((message)->field, static_cast<std::size_t>((message)->n_##field))

// Strings of the tree are never null, but absent ones are empty.
[[nodiscard]] inline std::string_view text(const char* s) { return s == nullptr ? std::string_view() : s; }

[[nodiscard]] inline std::string_view string_of(const Node* node) {
  if (node == nullptr || node->node_case != PG_QUERY__NODE__NODE_STRING) {
    return {};
  }
  return text(node->string->sval);
}
// The last of a qualified name's parts.
[[nodiscard]] inline std::string_view last_name(NodeList names) {
  return names.empty() ? std::string_view() : string_of(names.back());
}

}  // namespace bop::sql::pg
