// SELECT, VALUES, set operations, WITH.
#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "sql/binder.hpp"
#include "sql/functions/kernels.hpp"
#include "sql/statement_kind.hpp"

namespace bop::sql {

std::string_view clause_name(Clause clause) {
  switch (clause) {
    case Clause::kSelect: return "SELECT";
    case Clause::kWhere: return "WHERE";
    case Clause::kJoin: return "JOIN conditions";
    case Clause::kFrom: return "functions in FROM";
    case Clause::kGroupBy: return "GROUP BY";
    case Clause::kHaving: return "HAVING";
    case Clause::kOrderBy: return "ORDER BY";
    case Clause::kDistinctOn: return "DISTINCT ON";
    case Clause::kLimit: return "LIMIT";
    case Clause::kOffset: return "OFFSET";
    case Clause::kValues: return "VALUES";
    case Clause::kReturning: return "RETURNING";
    case Clause::kUpdateSet: return "UPDATE";
    case Clause::kFilter: return "FILTER";
    case Clause::kWindow: return "window definitions";
    case Clause::kCheck: return "check constraints";
    case Clause::kDefault: return "DEFAULT expressions";
    case Clause::kIndex: return "index expressions";
    case Clause::kIndexPredicate: return "index predicates";
    case Clause::kGenerated: return "column generation expressions";
    case Clause::kTransform: return "transform expressions";
    case Clause::kConflict: return "ON CONFLICT";
    case Clause::kMergeWhen: return "MERGE WHEN conditions";
    case Clause::kCopyWhere: return "COPY FROM WHERE conditions";
    case Clause::kLateral: return "FROM clause of their own query level";
  }
  return "";
}

QueryRef Binder::select(const PgQuery__SelectStmt& stmt, Scope* parent, bool resolve_unknown_types) {
  Scope scope{.parent = parent, .depth = parent == nullptr ? 1 : parent->depth + 1};
  std::vector<std::shared_ptr<Cte>> ctes;
  bind_ctes(stmt.with_clause, scope, ctes);
  if (stmt.into_clause != nullptr) {
    raise(error(ErrorCode::kSyntaxError, "SELECT ... INTO is not allowed here"),
          stmt.into_clause->rel->location);
  }
  QueryRef query;
  if (stmt.op != PG_QUERY__SET_OPERATION__SETOP_NONE && stmt.larg != nullptr) {
    query = set_operation(stmt, scope, resolve_unknown_types);
  } else if (stmt.n_values_lists > 0) {
    query = values(stmt, scope, resolve_unknown_types);
  } else {
    query = plain_select(stmt, scope, resolve_unknown_types);
  }
  query->ctes.insert(query->ctes.begin(), ctes.begin(), ctes.end());
  if (stmt.limit_count != nullptr) {
    query->limit = limit_expression(*stmt.limit_count, scope, Clause::kLimit);
  }
  if (stmt.limit_offset != nullptr) {
    query->offset = limit_expression(*stmt.limit_offset, scope, Clause::kOffset);
  }
  query->with_ties = stmt.limit_option == PG_QUERY__LIMIT_OPTION__LIMIT_OPTION_WITH_TIES;
  if (query->with_ties && !query->distinct_on.empty()) {
    not_implemented("FETCH FIRST ... WITH TIES of a query with DISTINCT ON");
  }
  for (const pg::Node* node : BOP_PG_LIST(&stmt, locking_clause)) {
    lock_rows(*node->locking_clause, *query, scope);
  }
  return query;
}

void Binder::lock_rows(const PgQuery__LockingClause& lock, const Query& query, const Scope& scope) {
  const std::string_view clause = lock_clause_name(lock);
  const auto refuse = [&](std::string_view what) {
    raise(error(ErrorCode::kNotImplemented, "{} {}", clause, what));
  };
  if (query.kind == QueryKind::kValues) {
    refuse("cannot be applied to VALUES");
  }
  if (query.kind == QueryKind::kSetOperation) {
    refuse("is not allowed with UNION/INTERSECT/EXCEPT");
  }
  if (query.distinct) {
    refuse("is not allowed with DISTINCT clause");
  }
  if (query.grouped_by) {
    refuse("is not allowed with GROUP BY clause");
  }
  if (query.having != nullptr) {
    refuse("is not allowed with HAVING clause");
  }
  if (query.grouped) {
    refuse("is not allowed with aggregate functions");
  }
  if (scope.has_window) {
    refuse("is not allowed with window functions");
  }
  if (!scope.expanded.empty()) {
    refuse("is not allowed with set-returning functions in the target list");
  }
  for (const pg::Node* name : BOP_PG_LIST(&lock, locked_rels)) {
    const PgQuery__RangeVar& range = *name->range_var;
    if (!pg::text(range.schemaname).empty() || !pg::text(range.catalogname).empty()) {
      raise(error(ErrorCode::kSyntaxError, "{} must specify unqualified relation names", clause),
            range.location);
    }
    const std::string_view wanted = pg::text(range.relname);
    const auto found = std::ranges::find(scope.items, wanted, &ScopeItem::alias);
    if (found == scope.items.end()) {
      raise(error(ErrorCode::kUndefinedTable, "relation \"{}\" in {} clause not found in FROM clause", wanted,
                  clause),
            range.location);
    }
    const RangeRef& entry = found->entry;
    const std::string_view what = entry == nullptr                      ? "a join"
                                  : entry->kind == RangeKind::kFunction ? "a function"
                                  : entry->kind == RangeKind::kCte      ? "a WITH query"
                                                                        : std::string_view();
    if (!what.empty()) {
      raise(error(ErrorCode::kNotImplemented, "{} cannot be applied to {}", clause, what), range.location);
    }
  }
  const Oid role = view_ == nullptr ? 0 : view_->owner;
  if (lock.n_locked_rels == 0) {
    for (const auto& node : query.from) {
      ask_for_locking(*node, role);
    }
  }
  for (const pg::Node* name : BOP_PG_LIST(&lock, locked_rels)) {
    const std::string_view wanted = pg::text(name->range_var->relname);
    ask_for_locking(*std::ranges::find(scope.items, wanted, &ScopeItem::alias)->entry, role);
  }
  // One writer a database: holding its lane is holding every row. So SKIP LOCKED, which waits for the lane
  // like every writer, finds no row that somebody else has locked, and has none to skip.
  needs_writer = true;
  lock_nowait = lock_nowait || lock.wait_policy == PG_QUERY__LOCK_WAIT_POLICY__LockWaitError;
}

ExprRef Binder::limit_expression(const pg::Node& node, Scope& scope, Clause clause) {
  ExprRef e = expression(node, scope, clause);
  if (uses_rows(*e, scope.depth)) {
    raise(error(ErrorCode::kInvalidColumnReference, "argument of {} must not contain variables",
                clause_name(clause)),
          e->location);
  }
  const Oid from = type_of(*e);
  const int location = e->location;
  ExprRef made = try_coerce(std::move(e), types::kInt8, -1, CastContext::kAssignment);
  if (made == nullptr) {
    raise(error(ErrorCode::kDatatypeMismatch, "argument of {} must be type bigint, not type {}",
                clause_name(clause), format_type(from)),
          location);
  }
  if (uses_rows(*made, scope.depth, true)) {
    not_implemented(fmt::format("a column of an outer query in {}", clause_name(clause)), location);
  }
  return made;
}

QueryRef Binder::plain_select(const PgQuery__SelectStmt& stmt, Scope& scope, bool resolve_unknown_types) {
  auto query = std::make_shared<Query>();
  query->depth = scope.depth;
  scope.query = query.get();
  for (const pg::Node* node : BOP_PG_LIST(&stmt, from_clause)) {
    query->from.push_back(from_item(*node, scope));
  }
  for (const pg::Node* node : BOP_PG_LIST(&stmt, window_clause)) {
    const std::string_view name = pg::text(node->window_def->name);
    if (std::ranges::any_of(scope.windows, [&](const auto& known) { return known.first == name; })) {
      raise(error(ErrorCode::kWindowingError, "window \"{}\" is already defined", name),
            node->window_def->location);
    }
    scope.windows.emplace_back(name, window_definition(*node->window_def, scope));
  }
  scope.may_expand = true;
  query->targets = target_list(BOP_PG_LIST(&stmt, target_list), scope, Clause::kSelect);
  scope.may_expand = false;
  if (stmt.where_clause != nullptr) {
    query->where = boolean(*stmt.where_clause, scope, Clause::kWhere, "WHERE");
  }
  if (stmt.having_clause != nullptr) {
    query->having = boolean(*stmt.having_clause, scope, Clause::kHaving, "HAVING");
  }
  query->order_by = sort_clause(BOP_PG_LIST(&stmt, sort_clause), *query, scope, false);
  group_clause(stmt, *query, scope);
  if (stmt.n_distinct_clause > 0) {
    query->distinct = true;
    for (const pg::Node* node : BOP_PG_LIST(&stmt, distinct_clause)) {
      // A plain DISTINCT is a list with one empty node.
      if (node->node_case != PG_QUERY__NODE__NODE__NOT_SET) {
        query->distinct_on.push_back(
            resolve_unknown(output_or_expression(*node, *query, scope, Clause::kDistinctOn, false)));
      }
    }
  }
  if (resolve_unknown_types) {
    for (Target& target : query->targets) {
      target.expr = resolve_unknown(target.expr);
    }
  }
  query->grouped = query->grouped || query->grouped_by || query->having != nullptr || scope.has_aggregate;
  if (query->distinct && query->distinct_on.empty()) {
    for (const Target& target : query->targets) {
      if (!is_comparable(type_of(*target.expr)) && type_of(*target.expr) != types::kUnknown) {
        raise(error(ErrorCode::kUndefinedFunction, "could not identify an equality operator for type {}",
                    format_type(type_of(*target.expr))),
              target.expr->location);
      }
    }
    for (const SortKey& key : query->order_by) {
      const bool shown =
          std::ranges::any_of(query->targets, [&](const Target& t) { return same_expr(*t.expr, *key.expr); });
      if (!shown && key.expr->kind != ExprKind::kConst) {
        raise(error(ErrorCode::kInvalidColumnReference,
                    "for SELECT DISTINCT, ORDER BY expressions must appear in select list"),
              key.expr->location);
      }
    }
  }
  if (!query->distinct_on.empty()) {
    for (std::size_t i = 0; i < query->distinct_on.size() && i < query->order_by.size(); ++i) {
      const bool initial = std::ranges::any_of(
          query->distinct_on, [&](const ExprRef& e) { return same_expr(*e, *query->order_by[i].expr); });
      if (!initial) {
        raise(error(ErrorCode::kInvalidColumnReference,
                    "SELECT DISTINCT ON expressions must match initial ORDER BY expressions"),
              query->distinct_on[i]->location);
      }
    }
  }
  if (!scope.expanded.empty()) {
    if (query->grouped || scope.has_window) {
      not_implemented("set-returning functions beside aggregates and window functions in the select list");
    }
    if (scope.expanded.size() > 1) run_together(scope.expanded);
    auto leaf = std::make_unique<FromNode>();
    leaf->entry = scope.expanded[0];
    query->from.push_back(std::move(leaf));
  }
  if (query->grouped) {
    check_grouping(*query);
  }
  return query;
}

ExprRef Binder::output_or_expression(const pg::Node& node, Query& query, Scope& scope, Clause clause,
                                     bool output_only) {
  // A bare name is an output column first (in GROUP BY: a column of FROM first); a number is a position.
  if (node.node_case == PG_QUERY__NODE__NODE_COLUMN_REF && node.column_ref->n_fields == 1) {
    const std::string_view name = pg::string_of(node.column_ref->fields[0]);
    const int location = node.column_ref->location;
    const bool from_first = clause == Clause::kGroupBy && find_column(name, scope, location) != nullptr;
    if (!name.empty() && !from_first) {
      ExprRef found;
      for (const Target& target : query.targets) {
        if (target.name != name) {
          continue;
        }
        if (found != nullptr && !same_expr(*found, *target.expr)) {
          raise(error(ErrorCode::kAmbiguousColumn, "{} \"{}\" is ambiguous", clause_name(clause), name),
                location);
        }
        found = target.expr;
      }
      if (found != nullptr) {
        return found;
      }
    }
  }
  if (node.node_case == PG_QUERY__NODE__NODE_A_CONST) {
    const PgQuery__AConst& c = *node.a_const;
    const bool integer = c.isnull == 0 && (c.val_case == PG_QUERY__A__CONST__VAL_IVAL ||
                                           c.val_case == PG_QUERY__A__CONST__VAL__NOT_SET);
    if (!integer) {
      raise(error(ErrorCode::kSyntaxError, "non-integer constant in {}", clause_name(clause)), c.location);
    }
    const int number = c.val_case == PG_QUERY__A__CONST__VAL_IVAL ? c.ival->ival : 0;
    if (number < 1 || static_cast<std::size_t>(number) > query.targets.size()) {
      raise(error(ErrorCode::kInvalidColumnReference, "{} position {} is not in select list",
                  clause_name(clause), number),
            c.location);
    }
    return query.targets[static_cast<std::size_t>(number - 1)].expr;
  }
  if (output_only) {
    if (node.node_case == PG_QUERY__NODE__NODE_COLUMN_REF && node.column_ref->n_fields == 1 &&
        node.column_ref->fields[0]->node_case == PG_QUERY__NODE__NODE_STRING) {
      raise(error(ErrorCode::kUndefinedColumn, "column \"{}\" does not exist",
                  pg::string_of(node.column_ref->fields[0])),
            node.column_ref->location);
    }
    raise(error(ErrorCode::kNotImplemented, "invalid UNION/INTERSECT/EXCEPT ORDER BY clause")
              .detail("Only result column names can be used, not expressions or functions.")
              .hint("Add the expression/function to every SELECT, or move the UNION into a FROM clause."));
  }
  ExprRef e = expression(node, scope, clause);
  // The same expression as an output column is that column: it is then computed once.
  for (const Target& target : query.targets) {
    if (same_expr(*target.expr, *e)) {
      return target.expr;
    }
  }
  return e;
}

std::vector<SortKey> Binder::sort_clause(pg::NodeList list, Query& query, Scope& scope, bool output_only) {
  std::vector<SortKey> keys;
  for (const pg::Node* node : list) {
    const PgQuery__SortBy& sort = *node->sort_by;
    SortKey key;
    if (sort.sortby_dir == PG_QUERY__SORT_BY_DIR__SORTBY_USING) {
      const std::string_view op = pg::last_name(BOP_PG_LIST(&sort, use_op));
      if (op != "<" && op != ">") {
        raise(error(ErrorCode::kWrongObjectType, "operator {} is not a valid ordering operator", op)
                  .hint("Ordering operators must be \"<\" or \">\" members of btree operator families."),
              sort.location);
      }
      key.descending = op == ">";
    } else {
      key.descending = sort.sortby_dir == PG_QUERY__SORT_BY_DIR__SORTBY_DESC;
    }
    key.nulls_first = sort.sortby_nulls == PG_QUERY__SORT_BY_NULLS__SORTBY_NULLS_FIRST ||
                      (sort.sortby_nulls != PG_QUERY__SORT_BY_NULLS__SORTBY_NULLS_LAST && key.descending);
    ExprRef e = output_or_expression(*sort.node, query, scope, Clause::kOrderBy, output_only);
    if (type_of(*e) == types::kUnknown) {
      // The output column itself becomes text.
      ExprRef as_text = resolve_unknown(e);
      for (Target& target : query.targets) {
        if (target.expr == e) {
          target.expr = as_text;
        }
      }
      e = as_text;
    }
    if (!is_comparable(type_of(*e))) {
      raise(error(ErrorCode::kUndefinedFunction, "could not identify an ordering operator for type {}",
                  format_type(type_of(*e)))
                .hint("Use an explicit ordering operator or modify the query."),
            e->location);
    }
    key.expr = std::move(e);
    keys.push_back(std::move(key));
  }
  return keys;
}

}  // namespace bop::sql
