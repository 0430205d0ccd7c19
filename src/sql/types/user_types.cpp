#include "sql/types/user_types.hpp"

#include <algorithm>

namespace bop {

namespace {

thread_local const UserTypes* current_types = nullptr;

constexpr std::int16_t kEnumLength = 4;  // PostgreSQL's values are OIDs of labels

}  // namespace

UserType::UserType(Definition definition, const TypeInfo* base, const TypeInfo* base_array)
    : definition_(std::move(definition)) {
  const Definition& d = definition_;
  if (base != nullptr) {
    info_ = *base;
    info_.preferred = false;
    info_.typtype = 'd';
    info_.elem_oid = 0;
    info_.input = "domain_in";
    info_.receive = "domain_recv";
  } else {
    info_ = {.typlen = kEnumLength,
             .byval = true,
             .typtype = 'e',
             .category = 'E',
             .align = 'i',
             .storage = 'p',
             .delim = ',',
             .input = "enum_in",
             .output = "enum_out",
             .receive = "enum_recv",
             .send = "enum_send",
             .storable = true};
  }
  info_.oid = d.oid;
  info_.name = info_.sql_name = d.name;
  info_.array_oid = d.array_oid;
  array_info_ = {.oid = d.array_oid,
                 .name = d.array_name,
                 .typlen = -1,
                 .byval = false,
                 .typtype = 'b',
                 .category = 'A',
                 .align = info_.align == 'd' ? 'd' : 'i',
                 .storage = 'x',
                 .delim = ',',
                 .elem_oid = d.oid,
                 .input = "array_in",
                 .output = "array_out",
                 .receive = "array_recv",
                 .send = "array_send",
                 .sql_name = d.array_name,
                 .collation = base_array != nullptr ? base_array->collation
                              : base == nullptr     ? find_type(types::kInt8Array)->collation
                                                    : std::string_view(),
                 .storable = base == nullptr || base_array != nullptr};
  std::ranges::sort(definition_.labels, {}, &EnumLabel::ordinal);
}

const EnumLabel* UserType::find_label(std::string_view label) const noexcept {
  const auto it = std::ranges::find(definition_.labels, label, &EnumLabel::label);
  return it == definition_.labels.end() ? nullptr : &*it;
}

const EnumLabel* UserType::find_ordinal(std::int64_t ordinal) const noexcept {
  const auto it = std::ranges::lower_bound(definition_.labels, ordinal, {}, &EnumLabel::ordinal);
  return it == definition_.labels.end() || it->ordinal != ordinal ? nullptr : &*it;
}

const UserTypes* UserTypes::current() noexcept { return current_types; }

UserTypesScope::UserTypesScope(const UserTypes* types) noexcept : outer_(current_types) {
  current_types = types;
}

UserTypesScope::~UserTypesScope() { current_types = outer_; }

const UserType* find_user_type(Oid oid) noexcept {
  if (oid < types::kFirstUser || current_types == nullptr) return nullptr;
  const UserType* type = current_types->find_user_type(oid);
  return type != nullptr && type->definition().oid == oid ? type : nullptr;
}

const UserType* find_enum(Oid oid) noexcept {
  const UserType* type = find_user_type(oid);
  return type != nullptr && type->definition().kind == 'e' ? type : nullptr;
}

namespace {

// The domain of a domain or of an array of one.
const UserType* domain_in(Oid oid) noexcept {
  if (oid < types::kFirstUser) return nullptr;
  const UserType* type = find_user_type(is_true_array(oid) ? element_of(oid) : oid);
  return type != nullptr && type->definition().kind == 'd' ? type : nullptr;
}

}  // namespace

Oid unchecked_type(Oid oid) noexcept {
  const UserType* domain = domain_in(oid);
  if (domain == nullptr) return oid;
  const Oid base = base_type(domain->definition().oid);
  return domain->definition().oid == oid ? base : array_of(base);
}

std::int32_t unchecked_typmod(Oid oid) noexcept {
  std::int32_t typmod = -1;
  for (const UserType* domain = domain_in(oid); domain != nullptr;
       domain = domain_in(domain->definition().base))
    typmod = domain->definition().base_typmod;
  return typmod;
}

bool is_constrained(Oid oid) noexcept {
  for (const UserType* domain = domain_in(oid); domain != nullptr;
       domain = domain_in(domain->definition().base)) {
    if (domain->definition().not_null || !domain->definition().checks.empty()) return true;
  }
  return false;
}

}  // namespace bop
