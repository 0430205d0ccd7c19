// Aggregates: where they may stand, and which columns a grouped query may show.
#include <algorithm>

#include <fmt/format.h>

#include "sql/binder.hpp"
#include "sql/functions/kernels.hpp"

namespace bop::sql {

// An aggregate belongs to the innermost query of which it uses a column, or a result of another aggregate; to
// the one it stands in when it uses none. In a subquery that may be a query around it: the aggregate then is
// one value for each row of the subquery, and it is the outer clause that has to allow it.
void Binder::place_aggregate(Expr& aggregate, Scope& scope) const {
  int of_columns = 0;
  int of_aggregates = 0;
  int inner_location = -1;
  visit(aggregate, [&](const Expr& part) {
    if ((part.kind == ExprKind::kAggregate || part.kind == ExprKind::kGrouping) && &part != &aggregate) {
      if (part.depth <= scope.depth && part.depth > of_aggregates) {
        of_aggregates = part.depth;
        inner_location = part.location;
      }
    } else if (part.kind == ExprKind::kColumn && part.entry != nullptr && part.entry->depth <= scope.depth) {
      // To a function's body an argument is one value, to SQLite it is a column of the rows around.
      if (inlined_ != nullptr && part.entry->depth <= inlined_->depth) {
        not_implemented("an aggregate of an argument");
      }
      of_columns = std::max(of_columns, part.entry->depth);
    }
    return true;
  });
  if (of_aggregates > 0 && of_aggregates >= of_columns) {
    raise(error(ErrorCode::kGroupingError, "aggregate function calls cannot be nested"), inner_location);
  }
  aggregate.depth = of_columns == 0 ? scope.depth : of_columns;
  aggregate.outer = aggregate.depth < scope.depth;
  Scope* owner = &scope;
  while (owner->depth > aggregate.depth && owner->parent != nullptr) {
    owner = owner->parent;
  }
  if (owner->depth != aggregate.depth) {
    not_implemented("an aggregate of this outer query", aggregate.location);
  }
  switch (owner->clause) {
    case Clause::kSelect:
    case Clause::kHaving:
    case Clause::kOrderBy:
    case Clause::kDistinctOn:
    case Clause::kWindow: break;
    default:
      raise(error(ErrorCode::kGroupingError, "{} are not allowed in {}",
                  aggregate.kind == ExprKind::kGrouping ? "grouping operations" : "aggregate functions",
                  clause_name(owner->clause)),
            aggregate.location);
  }
  owner->has_aggregate = true;
}

namespace {

class GroupingCheck {
 public:
  GroupingCheck(const Binder& binder, const Query& query) : binder_(binder), query_(query) {}

  void check(const ExprRef& e) const {
    if (e == nullptr) {
      return;
    }
    if (is_group_key(*e)) {
      return;
    }
    if (e->kind == ExprKind::kGrouping && e->depth == query_.depth) {
      for (const ExprRef& arg : e->args) {
        if (!is_group_key(*arg)) {
          binder_.raise(
              error(ErrorCode::kGroupingError,
                    "arguments to GROUPING must be grouping expressions of the associated query level"),
              arg->location);
        }
      }
      return;
    }
    if ((e->kind == ExprKind::kAggregate || e->kind == ExprKind::kGrouping) && e->depth <= query_.depth) {
      if (e->depth == query_.depth) {
        check_direct(*e);
      }
      return;
    }
    if (e->kind == ExprKind::kColumn && e->entry != nullptr && e->entry->depth == query_.depth &&
        !depends_on_key(*e)) {
      const std::string column = e->entry->columns[static_cast<std::size_t>(e->number)].name;
      const std::string shown = e->entry->alias.empty() ? column : e->entry->alias + "." + column;
      if (inside_subquery_) {
        binder_.raise(
            error(ErrorCode::kGroupingError, "subquery uses ungrouped column \"{}\" from outer query", shown),
            e->location);
      }
      binder_.raise(
          error(ErrorCode::kGroupingError,
                "column \"{}\" must appear in the GROUP BY clause or be used in an aggregate function",
                shown),
          e->location);
    }
    for (const ExprRef& arg : e->args) {
      check(arg);
    }
    check_order(e->order);
    check(e->filter);
    if (e->window != nullptr) {
      for (const ExprRef& p : e->window->partition) {
        check(p);
      }
      check_order(e->window->order);
    }
    if (e->query != nullptr) {
      GroupingCheck inner = *this;
      inner.inside_subquery_ = true;
      inner.check_query(*e->query);
    }
  }

 private:
  void check_order(const std::vector<SortKey>& keys) const {
    for (const SortKey& key : keys) {
      check(key.expr);
    }
  }
  void check_from(const FromNode& node) const {
    if (node.entry != nullptr) {
      if (node.entry->query != nullptr) {
        check_query(*node.entry->query);
      }
      check(node.entry->function);
      return;
    }
    check_from(*node.left);
    check_from(*node.right);
    check(node.on);
  }
  void check_query(const Query& query) const {
    for (const auto& cte : query.ctes) {
      check_query(*cte->query);
    }
    for (const auto& from : query.from) {
      check_from(*from);
    }
    for (const Target& target : query.targets) {
      check(target.expr);
    }
    check(query.where);
    check(query.having);
    for (const ExprRef& e : query.group_by) {
      check(e);
    }
    for (const ExprRef& e : query.distinct_on) {
      check(e);
    }
    check_order(query.order_by);
    for (const auto& row : query.rows) {
      for (const ExprRef& e : row) {
        check(e);
      }
    }
    if (query.left != nullptr) {
      check_query(*query.left);
      check_query(*query.right);
    }
  }
  [[nodiscard]] bool is_group_key(const Expr& e) const {
    return std::ranges::any_of(query_.group_by, [&](const ExprRef& key) { return same_expr(*key, e); });
  }
  // A table whose whole primary key is grouped by: its other columns have one value a group.
  [[nodiscard]] bool depends_on_key(const Expr& e) const {
    if (e.entry->kind != RangeKind::kTable || e.entry->relation == nullptr) {
      return false;
    }
    const Constraint* key = e.entry->relation->primary_key();
    if (key == nullptr || key->deferrable) {
      return false;
    }
    const bool whole = std::ranges::all_of(key->columns, [&](std::int16_t number) {
      for (std::size_t i = 0; i < query_.group_by.size(); ++i) {
        const Expr& g = *query_.group_by[i];
        if (g.kind == ExprKind::kColumn && g.entry == e.entry &&
            g.entry->columns[static_cast<std::size_t>(g.number)].attribute == number && in_all_sets(i)) {
          return true;
        }
      }
      return false;
    });
    if (whole && binder_.names_found != nullptr) {
      binder_.names_found->use_object(key->index);
    }
    return whole;
  }

  [[nodiscard]] bool in_all_sets(std::size_t key) const {
    return std::ranges::all_of(query_.grouping_sets, [&](const std::vector<std::size_t>& set) {
      return std::ranges::find(set, key) != set.end();
    });
  }
  // What stands before WITHIN GROUP has one value a group.
  void check_direct(const Expr& aggregate) const {
    for (std::size_t i = 0; i < aggregate.direct; ++i) {
      try {
        check(aggregate.args[i]);
      } catch (BindFailure& failure) {
        failure.error.mut().detail =
            "Direct arguments of an ordered-set aggregate must use only grouped columns.";
        throw;
      }
    }
  }

  const Binder& binder_;
  const Query& query_;
  bool inside_subquery_ = false;
};

}  // namespace

void Binder::check_grouping(const Query& query) {
  const GroupingCheck check(*this, query);
  for (const Target& target : query.targets) {
    check.check(target.expr);
  }
  check.check(query.having);
  for (const SortKey& key : query.order_by) {
    check.check(key.expr);
  }
  for (const ExprRef& e : query.distinct_on) {
    check.check(e);
  }
}

}  // namespace bop::sql
