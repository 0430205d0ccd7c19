#include "sql/tree.hpp"

#include <cstring>

namespace bop::sql::pg {

namespace {

bool says_where(const ProtobufCFieldDescriptor& field) {
  const std::string_view name = field.name;
  return name == "location" || name == "stmt_location" || name == "stmt_len";
}

// One value of a field that is no message, string or list.
std::size_t width_of(ProtobufCType type) {
  switch (type) {
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE: return sizeof(std::uint64_t);
    case PROTOBUF_C_TYPE_BOOL: return sizeof(protobuf_c_boolean);
    default: return sizeof(std::uint32_t);
  }
}

bool same_value(ProtobufCType type, const char* a, const char* b) {
  switch (type) {
    case PROTOBUF_C_TYPE_MESSAGE: {
      const auto* left = *reinterpret_cast<ProtobufCMessage* const*>(a);
      const auto* right = *reinterpret_cast<ProtobufCMessage* const*>(b);
      return left == nullptr || right == nullptr ? left == right : same_tree(left, right);
    }
    case PROTOBUF_C_TYPE_STRING:
      return text(*reinterpret_cast<char* const*>(a)) == text(*reinterpret_cast<char* const*>(b));
    case PROTOBUF_C_TYPE_BYTES: return false;  // libpg_query has none
    default: return std::memcmp(a, b, width_of(type)) == 0;
  }
}

}  // namespace

bool same_tree(const ProtobufCMessage* a, const ProtobufCMessage* b) {
  if (a->descriptor != b->descriptor) return false;
  const char* left = reinterpret_cast<const char*>(a);
  const char* right = reinterpret_cast<const char*>(b);
  for (unsigned i = 0; i < a->descriptor->n_fields; ++i) {
    const ProtobufCFieldDescriptor& field = a->descriptor->fields[i];
    if (says_where(field)) continue;
    if ((field.flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0) {
      const auto chosen = *reinterpret_cast<const std::uint32_t*>(left + field.quantifier_offset);
      if (chosen != *reinterpret_cast<const std::uint32_t*>(right + field.quantifier_offset)) return false;
      if (chosen != field.id) continue;
    }
    if (field.label != PROTOBUF_C_LABEL_REPEATED) {
      if (!same_value(field.type, left + field.offset, right + field.offset)) return false;
      continue;
    }
    const std::size_t count = *reinterpret_cast<const std::size_t*>(left + field.quantifier_offset);
    if (count != *reinterpret_cast<const std::size_t*>(right + field.quantifier_offset)) return false;
    if (count == 0) continue;
    const bool pointers = field.type == PROTOBUF_C_TYPE_MESSAGE || field.type == PROTOBUF_C_TYPE_STRING;
    const std::size_t width = pointers ? sizeof(void*) : width_of(field.type);
    const char* left_items = *reinterpret_cast<const char* const*>(left + field.offset);
    const char* right_items = *reinterpret_cast<const char* const*>(right + field.offset);
    for (std::size_t k = 0; k < count * width; k += width) {
      if (!same_value(field.type, left_items + k, right_items + k)) return false;
    }
  }
  return true;
}

}  // namespace bop::sql::pg
