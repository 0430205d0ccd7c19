#include "sql/types/types.hpp"

#include <algorithm>
#include <array>
#include <unordered_map>

#include "sql/types/bytes.hpp"
#include "sql/types/user_types.hpp"

namespace bop {
namespace {

constexpr bool storable(char typtype, char category, std::string_view name) {
  return (typtype == 'b' || typtype == 'r' || typtype == 'm') && category != 'P' && name != "unknown";
}

constexpr auto kTypes = std::to_array<TypeInfo>({
#define BOP_TYPE(oid, name, len, byval, typtype, category, preferred, align, storage, delim, array, elem, \
                 input, output, receive, send, sql_name, collation)                                       \
  {oid,                                                                                                   \
   name,                                                                                                  \
   len,                                                                                                   \
   byval,                                                                                                 \
   typtype,                                                                                               \
   category,                                                                                              \
   preferred,                                                                                             \
   align,                                                                                                 \
   storage,                                                                                               \
   delim,                                                                                                 \
   array,                                                                                                 \
   elem,                                                                                                  \
   input,                                                                                                 \
   output,                                                                                                \
   receive,                                                                                               \
   send,                                                                                                  \
   sql_name,                                                                                              \
   collation,                                                                                             \
   storable(typtype, category, name)},
#include "sql/types/type_table.def"
#undef BOP_TYPE
});
static_assert(std::ranges::is_sorted(kTypes, {}, &TypeInfo::oid));

struct CastRow {
  Oid from, to;
  char context, method;
};
constexpr auto kCasts = std::to_array<CastRow>({
#define BOP_CAST(from, to, context, method) {from, to, context, method},
#include "sql/types/cast_table.def"
#undef BOP_CAST
});

const CastRow* find_cast(Oid from, Oid to) noexcept {
  const auto it = std::ranges::lower_bound(kCasts, std::pair(from, to), {},
                                           [](const CastRow& c) { return std::pair(c.from, c.to); });
  return it != kCasts.end() && it->from == from && it->to == to ? &*it : nullptr;
}

struct Alias {
  std::string_view name;
  Oid oid;
};
constexpr auto kAliases = std::to_array<Alias>({
    {"int", types::kInt4},
    {"decimal", types::kNumeric},
    {"dec", types::kNumeric},
    {"bit varying", types::kVarbit},
    {"float", types::kFloat8},
    {"character", types::kBpchar},
    {"national character", types::kBpchar},
    {"nchar", types::kBpchar},
    {"char varying", types::kVarchar},
    {"national character varying", types::kVarchar},
    {"national char varying", types::kVarchar},
    {"time with time zone", types::kTimetz},
    {"timestamp with time zone", types::kTimestamptz},
    {"time without time zone", types::kTime},
    {"timestamp without time zone", types::kTimestamp},
});

const std::unordered_map<std::string_view, const TypeInfo*>& names() {
  static const auto map = [] {
    std::unordered_map<std::string_view, const TypeInfo*> m;
    for (const TypeInfo& t : kTypes) m.emplace(t.name, &t);
    for (const TypeInfo& t : kTypes) {
      if (t.oid != types::kChar && t.oid != types::kBpchar) m.emplace(t.sql_name, &t);
    }
    for (const Alias& a : kAliases) m.emplace(a.name, find_type(a.oid));
    return m;
  }();
  return map;
}

bool is_text_category(Oid oid) noexcept {
  const TypeInfo* t = find_type(oid);
  return t != nullptr && t->category == 'S';
}

}  // namespace

std::span<const TypeInfo> all_types() noexcept { return kTypes; }

const TypeInfo* find_type(Oid oid) noexcept {
  if (oid >= types::kFirstUser) {
    const UserTypes* users = UserTypes::current();
    const UserType* type = users == nullptr ? nullptr : users->find_user_type(oid);
    if (type == nullptr) return nullptr;
    return type->definition().oid == oid ? &type->info() : &type->array_info();
  }
  const auto it = std::ranges::lower_bound(kTypes, oid, {}, &TypeInfo::oid);
  return it != kTypes.end() && it->oid == oid ? &*it : nullptr;
}

const TypeInfo* find_type(std::string_view name) noexcept {
  if (const auto it = names().find(name); it != names().end()) return it->second;
  if (name.ends_with("[]")) {
    while (name.ends_with("[]")) name.remove_suffix(2);
    const TypeInfo* element = find_type(trim_space(name));
    if (element != nullptr) return find_type(element->array_oid);
  }
  return nullptr;
}

Oid base_type(Oid oid) noexcept {
  while (oid >= types::kFirstUser) {
    const UserType* type = find_user_type(oid);
    if (type == nullptr || type->definition().kind != 'd') break;
    oid = type->definition().base;
  }
  return oid;
}

bool is_domain(Oid oid) noexcept { return base_type(oid) != oid; }

Oid stored_element(Oid element) noexcept {
  if (element < types::kFirstUser) return element;
  element = base_type(element);
  return find_enum(element) != nullptr ? Oid{types::kInt8} : element;
}

bool is_true_array(Oid oid) noexcept {
  const TypeInfo* t = find_type(oid);
  return t != nullptr && (t->category == 'A' || oid == types::kRecordArray) && t->input == "array_in";
}

Oid array_of(Oid element) noexcept {
  const TypeInfo* t = find_type(element);
  return t == nullptr ? 0 : t->array_oid;
}

Oid element_of(Oid array) noexcept {
  const TypeInfo* t = find_type(base_type(array));
  const bool is_array = t != nullptr && (t->category == 'A' || t->oid == types::kRecordArray);
  return is_array ? t->elem_oid : 0;
}

bool is_polymorphic(Oid oid) noexcept {
  switch (oid) {
    case types::kAnyElement:
    case types::kAnyArray:
    case types::kAnyNonArray:
    case types::kAnyEnum:
    case types::kAnyRange:
    case types::kAnyMultirange:
    case types::kAnyCompatibleRange:
    case types::kAnyCompatibleMultirange:
    case types::kAnyCompatible:
    case types::kAnyCompatibleArray:
    case types::kAnyCompatibleNonArray: return true;
    default: return false;
  }
}

bool is_pseudo(Oid oid) noexcept {
  const TypeInfo* t = find_type(oid);
  return t != nullptr && t->typtype == 'p';
}

bool is_comparable(Oid oid) noexcept {
  oid = base_type(oid);
  const TypeInfo* t = find_type(oid);
  if (oid == types::kRecord) return true;  // if its fields are
  if (t == nullptr || !t->storable) return false;
  if (is_true_array(oid)) return is_comparable(t->elem_oid);
  switch (oid) {
    case types::kJson:
    case types::kXid:
    case types::kCid:
    case types::kAclitem:
    case types::kJsonpath:
    case types::kPgNodeTree: return false;
    default: return true;
  }
}

CastContext cast_context(Oid from, Oid to) noexcept {
  from = base_type(from);
  to = base_type(to);
  if (from == to) return CastContext::kImplicit;
  if (from == types::kUnknown) return CastContext::kImplicit;
  if (const CastRow* row = find_cast(from, to)) {
    return row->context == 'i'   ? CastContext::kImplicit
           : row->context == 'a' ? CastContext::kAssignment
                                 : CastContext::kExplicit;
  }
  // int2vector and oidvector are arrays as sources of a cast, but nothing is cast to them.
  const bool from_array = is_true_array(from) || from == types::kInt2Vector || from == types::kOidVector;
  if (from_array && is_true_array(to)) return cast_context(element_of(from), element_of(to));
  if (is_pseudo(from) || is_pseudo(to)) {
    return from == types::kRecord && is_text_category(to) ? CastContext::kAssignment : CastContext::kNone;
  }
  if (is_text_category(to)) return CastContext::kAssignment;
  if (is_text_category(from)) return CastContext::kExplicit;
  return CastContext::kNone;
}

bool is_stored_alike(Oid from, Oid to) noexcept {
  if (from == to) return true;
  if (is_domain(to)) return false;  // its constraints are looked at
  from = base_type(from);
  if (from == to) return true;
  const auto is_integer = [](Oid o) {
    switch (o) {
      case types::kInt2:
      case types::kInt4:
      case types::kInt8: return true;
      default: return false;
    }
  };
  const auto width = [](Oid o) { return o == types::kInt2 ? 2 : o == types::kInt4 ? 4 : 8; };
  if (is_integer(from) && is_integer(to)) return width(from) <= width(to);
  if (is_integer(from) || is_integer(to)) {
    // reg* and oid widen to bigint and are numbers below.
    const CastRow* to_int8 = to == types::kInt8 ? find_cast(from, to) : nullptr;
    return to_int8 != nullptr && find_type(from)->typlen == 4 && find_type(from)->category == 'N' &&
           from != types::kFloat4;
  }
  if (const CastRow* row = find_cast(from, to); row != nullptr) {
    return row->method == 'b' && !(from == types::kText && to == types::kBpchar) &&
           !(from == types::kVarchar && to == types::kBpchar) && find_type(from)->category != 'A' &&
           find_type(to)->oid != types::kBytea && from != types::kBpchar;
  }
  if (is_true_array(from) && is_true_array(to) &&
      (from == types::kTextArray || from == types::kVarcharArray)) {
    return to == types::kTextArray || to == types::kVarcharArray;
  }
  return false;
}

}  // namespace bop
