// libpg_query's parse tree for those .cpp files that walk it, with short names.
#pragma once

#include <cstddef>
#include <cstdint>
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

// Calls `visit` with every message that `message` holds directly, in the order of its fields, by protobuf-c's
// descriptors, so that no kind of node is forgotten. Absent ones are left out.
template <class Visit>
void for_each_child(const ProtobufCMessage* message, const Visit& visit) {
  const char* base = reinterpret_cast<const char*>(message);
  for (unsigned i = 0; i < message->descriptor->n_fields; ++i) {
    const ProtobufCFieldDescriptor& field = message->descriptor->fields[i];
    if (field.type != PROTOBUF_C_TYPE_MESSAGE) {
      continue;
    }
    if (field.label == PROTOBUF_C_LABEL_REPEATED) {
      const std::size_t count = *reinterpret_cast<const std::size_t*>(base + field.quantifier_offset);
      auto* const* items = *reinterpret_cast<ProtobufCMessage** const*>(base + field.offset);
      for (std::size_t k = 0; k < count; ++k) {
        visit(items[k]);
      }
      continue;
    }
    if ((field.flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0 &&
        *reinterpret_cast<const std::uint32_t*>(base + field.quantifier_offset) != field.id) {
      continue;
    }
    if (const auto* child = *reinterpret_cast<ProtobufCMessage* const*>(base + field.offset);
        child != nullptr) {
      visit(child);
    }
  }
}

// Whether both say the same, wherever they stand in their texts.
[[nodiscard]] bool same_tree(const ProtobufCMessage* a, const ProtobufCMessage* b);

// What a result column is called that has no name of its own.
[[nodiscard]] std::string target_name(const Node& node);

}  // namespace bop::sql::pg
