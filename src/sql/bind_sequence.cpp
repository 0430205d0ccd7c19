// A sequence where a table may stand: one row that says where it is.
#include <fmt/format.h>

#include "sql/binder.hpp"
#include "sql/sequence_states.hpp"
#include "sql/stored_text.hpp"

namespace bop::sql {

RangeRef Binder::sequence_item(const PgQuery__RangeVar& range, std::string alias, Scope& scope) {
  const std::string_view schema = pg::text(range.schemaname);
  const Catalog& catalog = *context_.catalog;
  const Catalog::Named found = catalog.find(path(), schema, pg::text(range.relname));
  if (!found || found.kind != 'S') return nullptr;
  if (!schema.empty() && !text_hidden_) {
    if (Status allowed = may_look_in(catalog, schema, context_.who.get()); !allowed) {
      raise(std::move(allowed).error(), range.location);
    }
  }
  const auto sequence = catalog.sequence(found.oid);
  uses.push_back({.relation = sequence->oid,
                  .role = view_ == nullptr ? Oid{0} : view_->owner,
                  .rights = right::kSelect});
  const Schema* const own = catalog.schema(sequence->schema);
  if (names_found != nullptr) {
    if (own != nullptr) names_found->schemas[&range] = own->name;
    names_found->use_object(sequence->oid);
  }
  const auto parsed =
      parse(fmt::format("SELECT last_value, log_cnt, is_called FROM pg_catalog.{} WHERE sequence = {}",
                        kSequenceStates, found.oid));
  if (!parsed) raise(parsed.error());
  bodies_.push_back(parsed->front());
  NamesFound* const outer_found = std::exchange(names_found, nullptr);
  RangeRef entry = new_entry(RangeKind::kSubquery, std::move(alias), scope.depth);
  entry->query = with_text(parsed->front(), [&] {
    Scope top{.depth = scope.depth};
    sees_sequences_ = true;
    return select(*parsed->front()->node->select_stmt, &top, true);
  });
  sees_sequences_ = false;
  names_found = outer_found;
  columns_of_query(*entry, *entry->query);
  rename_columns(*entry, range.alias, "table");
  ScopeItem item = scope_item(entry);
  if (range.alias == nullptr && own != nullptr) item.schema = own->name;
  add_to_scope(scope, std::move(item));
  return entry;
}

}  // namespace bop::sql
