// UNION, INTERSECT, EXCEPT, VALUES and WITH: queries made of queries.
#include <algorithm>

#include <fmt/format.h>

#include "sql/binder.hpp"
#include "sql/generate.hpp"
#include "sql/with_recursion.hpp"

namespace bop::sql {

void Binder::coerce_column(Query& query, std::size_t column, Oid type, std::int32_t typmod,
                           CastContext context) {
  switch (query.kind) {
    case QueryKind::kSelect: {
      ExprRef& e = query.targets[column].expr;
      ExprRef made = coerce(e, type, typmod, context);
      if (made != e) {
        // ORDER BY of the same query means the new expression too where it meant the old.
        for (SortKey& key : query.order_by) {
          if (key.expr == e && e->kind == ExprKind::kUnknown) {
            key.expr = made;
          }
        }
        e = std::move(made);
      }
      return;
    }
    case QueryKind::kValues:
      for (std::vector<ExprRef>& row : query.rows) {
        row[column] = coerce(row[column], type, typmod, context);
      }
      break;
    case QueryKind::kSetOperation:
      coerce_column(*query.left, column, type, typmod, context);
      coerce_column(*query.right, column, type, typmod, context);
      break;
  }
  query.output->columns[column].type = type;
  query.output->columns[column].typmod = typmod;
  query.targets[column].expr = column_of(query.output, column);
}

// Makes the stand-ins for the output columns of VALUES or a set operation, from names and types of `targets`.
void Binder::name_output(Query& query) {
  query.output = new_entry(RangeKind::kSubquery, "", query.depth);
  columns_of_query(*query.output, query);
  for (std::size_t i = 0; i < query.targets.size(); ++i) {
    query.output->columns[i].table = 0;
    query.output->columns[i].attribute = 0;
    query.targets[i] = {.name = query.targets[i].name, .expr = column_of(query.output, i)};
  }
}

QueryRef Binder::set_operation(const PgQuery__SelectStmt& stmt, Scope& scope, bool resolve_unknown_types) {
  auto query = std::make_shared<Query>();
  query->kind = QueryKind::kSetOperation;
  query->depth = scope.depth;
  query->all = stmt.all != 0;
  std::string_view what = "UNION";
  switch (stmt.op) {
    case PG_QUERY__SET_OPERATION__SETOP_INTERSECT:
      query->operation = SetOperation::kIntersect;
      what = "INTERSECT";
      break;
    case PG_QUERY__SET_OPERATION__SETOP_EXCEPT:
      query->operation = SetOperation::kExcept;
      what = "EXCEPT";
      break;
    default: break;
  }
  query->left = select(*stmt.larg, &scope, false);
  query->right = select(*stmt.rarg, &scope, false);
  const std::size_t columns = query->left->targets.size();
  if (columns != query->right->targets.size()) {
    const Query& right = *query->right;
    const int location = right.targets.empty() ? -1 : right.targets[0].expr->location;
    raise(error(ErrorCode::kSyntaxError, "each {} query must have the same number of columns", what),
          location);
  }
  for (std::size_t i = 0; i < columns; ++i) {
    const std::vector<ExprRef> both{query->left->targets[i].expr, query->right->targets[i].expr};
    const bool unknown = type_of(*both[0]) == types::kUnknown && type_of(*both[1]) == types::kUnknown;
    const Oid type = unknown ? Oid{types::kText} : common_type(both, what);
    const std::int32_t typmod = common_typmod(both);
    for (Query* side : {query->left.get(), query->right.get()}) {
      coerce_column(*side, i, type, -1, CastContext::kImplicit);
    }
    if (!query->all || query->operation != SetOperation::kUnion) {
      if (!is_comparable(type)) {
        raise(error(ErrorCode::kUndefinedFunction, "could not identify an equality operator for type {}",
                    format_type(type)),
              both[0]->location);
      }
    }
    ExprRef shape = null_constant(type);
    shape->typmod = typmod;
    query->targets.push_back({.name = query->left->targets[i].name, .expr = std::move(shape)});
  }
  (void)resolve_unknown_types;
  name_output(*query);
  Scope output{.parent = scope.parent, .depth = scope.depth, .ctes = scope.ctes};
  query->order_by = sort_clause(BOP_PG_LIST(&stmt, sort_clause), *query, output, true);
  return query;
}

QueryRef Binder::values(const PgQuery__SelectStmt& stmt, Scope& scope, bool resolve_unknown_types) {
  auto query = std::make_shared<Query>();
  query->kind = QueryKind::kValues;
  query->depth = scope.depth;
  for (const pg::Node* list : BOP_PG_LIST(&stmt, values_lists)) {
    std::vector<ExprRef> row;
    for (const pg::Node* node : BOP_PG_LIST(list->list, items)) {
      row.push_back(expression(*node, scope, Clause::kValues));
      if (row.back()->kind == ExprKind::kSetToDefault) {
        raise(error(ErrorCode::kSyntaxError, "DEFAULT is not allowed in this context"), row.back()->location);
      }
    }
    if (!query->rows.empty() && row.size() != query->rows[0].size()) {
      raise(error(ErrorCode::kSyntaxError, "VALUES lists must all be the same length"),
            row.empty() ? -1 : row[0]->location);
    }
    query->rows.push_back(std::move(row));
  }
  (void)resolve_unknown_types;
  for (std::size_t i = 0; i < query->rows[0].size(); ++i) {
    std::vector<ExprRef> column;
    for (const std::vector<ExprRef>& row : query->rows) {
      column.push_back(row[i]);
    }
    const Oid type = common_type(column, "VALUES");
    for (std::vector<ExprRef>& row : query->rows) {
      row[i] = coerce(row[i], type, -1, CastContext::kImplicit);
    }
    ExprRef shape = null_constant(type);
    shape->typmod = common_typmod(column);
    query->targets.push_back({.name = fmt::format("column{}", i + 1), .expr = std::move(shape)});
  }
  name_output(*query);
  Scope output{.parent = scope.parent, .depth = scope.depth, .ctes = scope.ctes};
  query->order_by = sort_clause(BOP_PG_LIST(&stmt, sort_clause), *query, output, false);
  return query;
}

void Binder::bind_ctes(const PgQuery__WithClause* with, Scope& scope,
                       std::vector<std::shared_ptr<Cte>>& out) {
  if (with == nullptr) {
    return;
  }
  const pg::NodeList all = BOP_PG_LIST(with, ctes);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const PgQuery__CommonTableExpr& def = *all[i]->common_table_expr;
    for (std::size_t k = 0; k < i; ++k) {
      if (pg::text(all[k]->common_table_expr->ctename) == pg::text(def.ctename)) {
        raise(error(ErrorCode::kDuplicateAlias, "WITH query name \"{}\" specified more than once",
                    pg::text(def.ctename)),
              def.location);
      }
    }
    if (def.search_clause != nullptr || def.cycle_clause != nullptr) {
      not_implemented("SEARCH and CYCLE", def.location);
    }
    if (def.ctequery->node_case != PG_QUERY__NODE__NODE_SELECT_STMT && scope.parent != nullptr) {
      raise(error(ErrorCode::kNotImplemented,
                  "WITH clause containing a data-modifying statement must be at the top level"),
            def.location);
    }
    scope.later_ctes.emplace_back(pg::text(def.ctename));
  }
  std::vector<WithItem> items;
  if (with->recursive != 0) {
    auto ordered = order_with_items(*with);
    if (!ordered) {
      raise(std::move(ordered.error().error), ordered.error().location);
    }
    items = std::move(*ordered);
  } else {
    for (const pg::Node* node : all) {
      items.push_back({.definition = node->common_table_expr});
    }
  }
  for (const WithItem& item : items) {
    std::shared_ptr<Cte> cte = bind_cte(*item.definition, item.recursive, scope);
    std::erase(scope.later_ctes, cte->name);
    scope.ctes.push_back(cte);
    out.push_back(std::move(cte));
  }
}

std::shared_ptr<Cte> Binder::bind_cte(const PgQuery__CommonTableExpr& def, bool recursive, Scope& scope) {
  auto cte = std::make_shared<Cte>();
  cte->name = pg::text(def.ctename);
  cte->id = next_cte_++;
  cte->materialized = def.ctematerialized == PG_QUERY__CTEMATERIALIZE__CTEMaterializeAlways  ? 1
                      : def.ctematerialized == PG_QUERY__CTEMATERIALIZE__CTEMaterializeNever ? -1
                                                                                             : 0;
  const std::string& name = cte->name;
  if (def.ctequery->node_case != PG_QUERY__NODE__NODE_SELECT_STMT) {
    bind_changing_cte(def, recursive, *cte, scope);
    return cte;
  }
  const PgQuery__SelectStmt& stmt = *def.ctequery->select_stmt;
  const auto take_columns = [&](const Query& query) {
    RangeEntry shape;
    shape.alias = name;
    columns_of_query(shape, query);
    if (def.n_aliascolnames > shape.columns.size()) {
      raise(error(ErrorCode::kInvalidColumnReference,
                  "WITH query \"{}\" has {} columns available but {} columns specified", name,
                  shape.columns.size(), def.n_aliascolnames),
            def.location);
    }
    for (std::size_t i = 0; i < def.n_aliascolnames; ++i) {
      shape.columns[i].name = pg::string_of(def.aliascolnames[i]);
    }
    cte->columns = std::move(shape.columns);
  };
  if (!recursive) {
    cte->query = select(stmt, &scope, true);
    take_columns(*cte->query);
    return cte;
  }
  auto query = std::make_shared<Query>();
  query->kind = QueryKind::kSetOperation;
  query->depth = scope.depth + 1;
  query->all = stmt.all != 0;
  Scope inside{.parent = &scope, .depth = scope.depth + 1};
  bind_ctes(stmt.with_clause, inside, query->ctes);
  query->left = select(*stmt.larg, &inside, true);
  take_columns(*query->left);
  inside.ctes.push_back(cte);
  query->right = select(*stmt.rarg, &inside, false);
  cte->recursive = true;
  if (query->left->targets.size() != query->right->targets.size()) {
    const auto& targets = query->right->targets;
    raise(error(ErrorCode::kSyntaxError, "each UNION query must have the same number of columns"),
          targets.empty() ? -1 : targets[0].expr->location);
  }
  for (const Target& target : query->right->targets) {
    visit(*target.expr, [&](const Expr& part) {
      if (part.kind == ExprKind::kAggregate && part.depth == query->right->depth) {
        raise(error(ErrorCode::kInvalidRecursion,
                    "aggregate functions are not allowed in a recursive query's recursive term"),
              part.location);
      }
      return true;
    });
  }
  if (const std::string_view what = query->all ? "" : beyond_sqlite(*query->right, *cte, false);
      !what.empty()) {
    not_implemented(what, def.location);
  }
  for (std::size_t i = 0; i < query->left->targets.size(); ++i) {
    const Oid type = type_of(*query->left->targets[i].expr);
    const std::vector<ExprRef> both{query->left->targets[i].expr, query->right->targets[i].expr};
    const Oid overall = common_type(both, "UNION");
    const std::int32_t typmod = both[0]->typmod;
    const std::int32_t overall_typmod = common_typmod(both);
    if (overall != type || overall_typmod != typmod) {
      raise(error(ErrorCode::kDatatypeMismatch,
                  "recursive query \"{}\" column {} has type {} in non-recursive term but type {} overall",
                  name, i + 1, format_type(type, typmod), format_type(overall, overall_typmod))
                .hint("Cast the output of the non-recursive term to the correct type."),
            both[0]->location);
    }
    coerce_column(*query->right, i, type, -1, CastContext::kImplicit);
    query->targets.push_back({.name = cte->columns[i].name, .expr = null_constant(type)});
  }
  name_output(*query);
  cte->query = std::move(query);
  recursive_ctes_.push_back(cte);
  return cte;
}

}  // namespace bop::sql
