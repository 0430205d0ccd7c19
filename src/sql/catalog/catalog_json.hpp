// The JSON bodies of bop_catalog's rows; their format is in catalog.hpp.
#pragma once

#include <string>
#include <string_view>

#include "sql/catalog/catalog.hpp"

namespace bop::sql {

[[nodiscard]] std::string to_json(const Schema& schema);
[[nodiscard]] std::string to_json(const Relation& relation);
[[nodiscard]] std::string to_json(const Index& index);
[[nodiscard]] std::string to_json(const Sequence& sequence);
[[nodiscard]] std::string to_json(const Type& type);
[[nodiscard]] std::string to_json(const Function& function);
[[nodiscard]] std::string to_json(const DefaultAcl& defaults);

// Errors: kCorrupt when the text is not what to_json writes.
[[nodiscard]] Result<Oid> state_from_json(std::string_view body);
[[nodiscard]] Result<Schema> schema_from_json(Oid oid, std::string_view body);
[[nodiscard]] Result<Relation> relation_from_json(Oid oid, char kind, std::string_view body);
[[nodiscard]] Result<Index> index_from_json(Oid oid, std::string_view body);
[[nodiscard]] Result<Sequence> sequence_from_json(Oid oid, std::string_view body);
[[nodiscard]] Result<Type> type_from_json(Oid oid, std::string_view body);
[[nodiscard]] Result<Function> function_from_json(Oid oid, std::string_view body);
[[nodiscard]] Result<DefaultAcl> default_acl_from_json(Oid oid, std::string_view body);

}  // namespace bop::sql
