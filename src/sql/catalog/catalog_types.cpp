#include "sql/catalog/catalog_types.hpp"

#include <fmt/format.h>

namespace bop::sql {

const UserType* CatalogTypes::find_user_type(Oid oid) const {
  return catalog_ == nullptr ? nullptr : catalog_->user_type(oid);
}

Result<const TypeInfo*> CatalogTypes::find_user_type(std::string_view schema, std::string_view name) const {
  if (catalog_ == nullptr) return nullptr;
  BOP_TRY(may_look_in(*catalog_, schema, who_.get()));
  const Oid oid = catalog_->find_type(search_path_, schema, name);
  if (oid == 0) return nullptr;
  const UserType* type = catalog_->user_type(oid);
  return type->definition().oid == oid ? &type->info() : &type->array_info();
}

std::string CatalogTypes::shown_name(const UserType& type) const {
  const UserType::Definition& d = type.definition();
  if (catalog_->find_type(search_path_, {}, d.name) == d.oid) return quote_name(d.name);
  return fmt::format("{}.{}", quote_name(schema_of(type)), quote_name(d.name));
}

std::string CatalogTypes::schema_of(const UserType& type) const {
  return catalog_->schema(catalog_->type(type.definition().oid)->schema)->name;
}

}  // namespace bop::sql
