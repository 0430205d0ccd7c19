// Subqueries in FROM, LATERAL or not, and samples of tables.
//
// A LATERAL subquery sees the items of FROM before it as a subquery in an expression sees the query around
// it; so do the arguments of functions in FROM. generate_lateral.cpp says how SQLite answers it.
#include <algorithm>

#include <fmt/format.h>

#include "sql/binder.hpp"
#include "sql/functions/kernels.hpp"
#include "sql/tree_search.hpp"

namespace bop::sql {

RangeRef Binder::subquery_entry(const PgQuery__RangeSubselect& range, Scope& scope) {
  if (range.subquery == nullptr || range.subquery->node_case != PG_QUERY__NODE__NODE_SELECT_STMT) {
    not_implemented("this kind of subquery in FROM");
  }
  Scope outside{.parent = scope.parent,
                .depth = scope.depth,
                .range_table = scope.range_table,
                .ctes = scope.ctes,
                .later_ctes = scope.later_ctes,
                .clause = Clause::kLateral};
  if (range.lateral != 0) {
    outside.items = scope.items;
  }
  QueryRef query = select(*range.subquery->select_stmt, &outside, true);
  std::string alias(range.alias == nullptr ? std::string_view() : pg::text(range.alias->aliasname));
  RangeRef entry = new_entry(RangeKind::kSubquery, std::move(alias), scope.depth);
  columns_of_query(*entry, *query);
  entry->query = std::move(query);
  rename_columns(*entry, range.alias, "table");
  note_lateral(*entry);
  return entry;
}

void Binder::note_lateral(RangeEntry& entry) const {
  visit(*entry.query, [&](const Expr& part) {
    entry.lateral = entry.lateral || (part.kind == ExprKind::kColumn && part.entry != nullptr &&
                                      part.entry->depth == entry.depth);
    return !entry.lateral;
  });
}

void Binder::check_lateral(const ScopeItem& item, int location) const {
  if (item.lateral == ScopeItem::Lateral::kYes) {
    return;
  }
  Error e = error(ErrorCode::kInvalidColumnReference,
                  "invalid reference to FROM-clause entry for table \"{}\"", item.alias);
  if (item.lateral == ScopeItem::Lateral::kTarget) {
    e.mut().hint = fmt::format(
        "There is an entry for table \"{}\", but it cannot be referenced from this part of the query.",
        item.alias);
  } else {
    e.mut().detail = "The combining JOIN type must be INNER or LEFT for a LATERAL reference.";
  }
  raise(std::move(e), location);
}

RangeRef Binder::sampled_entry(const PgQuery__RangeTableSample& sample, Scope& scope) {
  const PgQuery__RangeVar& range = *sample.relation->range_var;
  const auto refuse = [&] {
    raise(error(ErrorCode::kNotImplemented,
                "TABLESAMPLE clause can only be applied to tables and materialized views"),
          range.location);
  };
  if (pg::text(range.schemaname).empty()) {
    for (Scope* s = &scope; s != nullptr; s = s->parent) {
      if (std::ranges::any_of(s->ctes,
                              [&](const auto& cte) { return cte->name == pg::text(range.relname); })) {
        refuse();
      }
    }
  }
  const std::shared_ptr<const Relation> relation = find_relation(range, false, &scope);
  if (relation->kind != 'r') {
    refuse();
  }
  if (relation->is_virtual()) {
    not_implemented("TABLESAMPLE of a relation of the catalog", range.location);
  }
  const bool has_alias = range.alias != nullptr;
  RangeRef entry = table_entry(
      relation, std::string(has_alias ? pg::text(range.alias->aliasname) : pg::text(range.relname)),
      scope.depth);
  tell_read(range, *relation);
  rename_columns(*entry, range.alias, "table");
  const std::string method = name_list(BOP_PG_LIST(&sample, method));
  if (method != "bernoulli" && method != "system" && method != "pg_catalog.bernoulli" &&
      method != "pg_catalog.system") {
    raise(error(ErrorCode::kUndefinedObject, "tablesample method {} does not exist", method),
          sample.location);
  }
  if (sample.n_args != 1) {
    raise(error(ErrorCode::kInvalidTablesampleArgument, "tablesample method {} requires 1 argument, not {}",
                method, sample.n_args),
          sample.location);
  }
  entry->sample = std::make_shared<Sample>();
  entry->sample->system = method.ends_with("system");
  const auto number = [&](const pg::Node& node, Oid type) {
    ExprRef e = expression(node, scope, Clause::kFrom);
    const int location = e->location;
    if (uses_rows(*e, scope.depth)) {
      not_implemented("TABLESAMPLE with a size of other items of FROM", location);
    }
    const Oid given = type_of(*e);
    ExprRef made = try_coerce(std::move(e), type, -1, CastContext::kAssignment);
    if (made == nullptr) {
      raise(error(ErrorCode::kDatatypeMismatch, "argument of TABLESAMPLE must be type {}, not type {}",
                  format_type(type), format_type(given)),
            location);
    }
    return made;
  };
  entry->sample->percent = number(*sample.args[0], types::kFloat4);
  if (sample.repeatable != nullptr) {
    entry->sample->seed = number(*sample.repeatable, types::kFloat8);
  }
  return entry;
}

}  // namespace bop::sql
