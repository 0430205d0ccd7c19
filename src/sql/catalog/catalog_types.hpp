// The types of a catalog as types.hpp asks for them.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "sql/catalog/catalog.hpp"
#include "sql/types/user_types.hpp"

namespace bop::sql {

// Looks each time at what the three say then; they outlive it.
class CatalogTypes final : public UserTypes {
 public:
  CatalogTypes(const std::shared_ptr<const Catalog>& catalog, const std::vector<std::string>& search_path,
               const std::shared_ptr<const Identity>& who)
      : catalog_(catalog), search_path_(search_path), who_(who) {}

  [[nodiscard]] const UserType* find_user_type(Oid oid) const override;
  [[nodiscard]] Result<const TypeInfo*> find_user_type(std::string_view schema,
                                                       std::string_view name) const override;
  [[nodiscard]] std::string shown_name(const UserType& type) const override;
  [[nodiscard]] std::string schema_of(const UserType& type) const override;

 private:
  const std::shared_ptr<const Catalog>& catalog_;
  const std::vector<std::string>& search_path_;
  const std::shared_ptr<const Identity>& who_;
};

}  // namespace bop::sql
