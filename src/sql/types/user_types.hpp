// Types that users make: enums and domains. Unlike those of the registry (types.hpp) they belong to one
// version of one database's catalog.
//
// The functions of types.hpp answer for them, too, while a UserTypesScope tells where to look: whoever runs
// SQL or reads and writes values for a session opens one for its thread. Without a scope there are no such
// types. What an OID or a name means is settled by then: plans keep OIDs and belong to one version.
//
// How their values are stored (docs/formats.md): an enum as an integer, its label's `ordinal`; an array of
// enums as an array of bigint; a domain as its base type. So neither order nor collations need the catalog.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/ids.hpp"
#include "sql/types/types.hpp"

namespace bop {

struct EnumLabel {
  Oid oid = 0;
  std::string label;
  std::int64_t ordinal = 0;  // what is stored; grows with the order
  float order = 0;           // pg_enum.enumsortorder

  friend bool operator==(const EnumLabel&, const EnumLabel&) = default;
};

struct DomainRule {
  std::string name;
  std::string check;  // PostgreSQL text of an expression over the column "value"
};

// A type and its array type. Immutable: TypeInfo holds views of the strings.
class UserType {
 public:
  struct Definition {
    Oid oid = 0, array_oid = 0;
    char kind = 'e';  // pg_type.typtype: e enum, d domain
    std::string name, array_name;
    std::vector<EnumLabel> labels;  // of an enum, by ordinal
    Oid base = 0;                   // of a domain
    std::int32_t base_typmod = -1;
    bool not_null = false;
    std::vector<DomainRule> checks;
  };
  // `base`: what is known of the base type of a domain and of its array type; null for an enum.
  UserType(Definition definition, const TypeInfo* base, const TypeInfo* base_array);
  UserType(const UserType&) = delete;
  UserType& operator=(const UserType&) = delete;

  [[nodiscard]] const Definition& definition() const noexcept { return definition_; }
  [[nodiscard]] const TypeInfo& info() const noexcept { return info_; }
  [[nodiscard]] const TypeInfo& array_info() const noexcept { return array_info_; }
  [[nodiscard]] const EnumLabel* find_label(std::string_view label) const noexcept;
  [[nodiscard]] const EnumLabel* find_ordinal(std::int64_t ordinal) const noexcept;

 private:
  Definition definition_;
  TypeInfo info_, array_info_;
};

class UserTypes {
 public:
  virtual ~UserTypes() = default;
  // By the OID of the type or of its array type; nullptr if there is none.
  [[nodiscard]] virtual const UserType* find_user_type(Oid oid) const = 0;
  // By name, along the search path if `schema` is empty. Errors are those about the schema (42501).
  [[nodiscard]] virtual Result<const TypeInfo*> find_user_type(std::string_view schema,
                                                               std::string_view name) const = 0;
  // As format_type shows it: quoted, and with its schema where the search path does not lead to it.
  [[nodiscard]] virtual std::string shown_name(const UserType& type) const = 0;

  [[nodiscard]] virtual std::string schema_of(const UserType& type) const = 0;

  // Of the innermost scope of this thread; nullptr outside of all.
  [[nodiscard]] static const UserTypes* current() noexcept;
};

class UserTypesScope {
 public:
  explicit UserTypesScope(const UserTypes* types) noexcept;
  ~UserTypesScope();
  UserTypesScope(const UserTypesScope&) = delete;
  UserTypesScope& operator=(const UserTypesScope&) = delete;

 private:
  const UserTypes* outer_;
};

// nullptr unless the OID is that of a user's type (not of its array) in the current scope.
[[nodiscard]] const UserType* find_user_type(Oid oid) noexcept;
[[nodiscard]] const UserType* find_enum(Oid oid) noexcept;
// What a value of a domain, or of an array of one, is before the domain's constraints are looked at: a value
// of its base type, or an array of that. Any other type itself. `typmod`: the modifier below the domain.
[[nodiscard]] Oid unchecked_type(Oid oid) noexcept;
[[nodiscard]] std::int32_t unchecked_typmod(Oid oid) noexcept;
// A domain with constraints, its own or those of a domain that it is over, or an array of one.
[[nodiscard]] bool is_constrained(Oid oid) noexcept;

}  // namespace bop
