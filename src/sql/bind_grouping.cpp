// GROUP BY with GROUPING SETS, ROLLUP and CUBE, and GROUPING().
//
// GROUP BY is a list of items, each of which stands for a list of sets of keys: an expression for one set of
// it, (a, b) for one set of two, ROLLUP (a, b) for (a, b), (a) and (), CUBE for all subsets, GROUPING SETS
// for the sets of its items one after the other. The query's sets are all combinations of one set of each
// item; each is a GROUP BY of its own over the same rows, whose answers stand together, with NULL for the
// keys that it lacks. One set is a plain GROUP BY.
#include <algorithm>
#include <functional>

#include <fmt/format.h>

#include "sql/binder.hpp"
#include "sql/types/types.hpp"

namespace bop::sql {

namespace {

constexpr std::size_t kMaxGroupingSets = 4096;  // as in PostgreSQL
constexpr std::size_t kMaxCube = 12;            // as in PostgreSQL
constexpr std::size_t kMaxGroupingArguments = 31;

using Set = std::vector<std::size_t>;

bool is_set_list(const pg::Node& node) { return node.node_case == PG_QUERY__NODE__NODE_GROUPING_SET; }

Set joined(const Set& a, const Set& b) {
  Set out = a;
  for (const std::size_t key : b) {
    if (std::ranges::find(out, key) == out.end()) {
      out.push_back(key);
    }
  }
  return out;
}

// The sets that one item of GROUP BY stands for.
class Expansion {
 public:
  using KeysOf = std::function<Set(const pg::Node&)>;
  using Refuse = std::function<void(Error, int)>;
  Expansion(KeysOf keys_of, Refuse refuse) : keys_of_(std::move(keys_of)), refuse_(std::move(refuse)) {}

  std::vector<Set> of(const pg::Node& node) const {
    if (!is_set_list(node)) {
      return {keys_of_(node)};
    }
    const PgQuery__GroupingSet& g = *node.grouping_set;
    const pg::NodeList content = BOP_PG_LIST(&g, content);
    switch (g.kind) {
      case PG_QUERY__GROUPING_SET_KIND__GROUPING_SET_ROLLUP: {
        const std::vector<Set> parts = parts_of(content);
        std::vector<Set> out;
        for (std::size_t count = parts.size() + 1; count-- > 0;) {
          Set set;
          for (std::size_t i = 0; i < count; ++i) {
            set = joined(set, parts[i]);
          }
          out.push_back(std::move(set));
        }
        return out;
      }
      case PG_QUERY__GROUPING_SET_KIND__GROUPING_SET_CUBE: {
        if (content.size() > kMaxCube) {
          refuse_(error(ErrorCode::kTooManyColumns, "CUBE is limited to {} elements", kMaxCube), g.location);
        }
        const std::vector<Set> parts = parts_of(content);
        std::vector<Set> out;
        for (std::size_t chosen = std::size_t{1} << parts.size(); chosen-- > 0;) {
          Set set;
          for (std::size_t i = 0; i < parts.size(); ++i) {
            set = (chosen >> (parts.size() - 1 - i) & 1U) != 0 ? joined(set, parts[i]) : set;
          }
          out.push_back(std::move(set));
        }
        return out;
      }
      case PG_QUERY__GROUPING_SET_KIND__GROUPING_SET_SETS: {
        std::vector<Set> out;
        for (const pg::Node* item : content) {
          std::ranges::move(of(*item), std::back_inserter(out));
        }
        return out;
      }
      default: return {Set{}};
    }
  }

 private:
  [[nodiscard]] std::vector<Set> parts_of(pg::NodeList content) const {
    std::vector<Set> out;
    for (const pg::Node* item : content) {
      out.push_back(keys_of_(*item));
    }
    return out;
  }

  KeysOf keys_of_;
  Refuse refuse_;
};

}  // namespace

void Binder::group_clause(const PgQuery__SelectStmt& stmt, Query& query, Scope& scope) {
  const pg::NodeList items = BOP_PG_LIST(&stmt, group_clause);
  const bool has_sets = std::ranges::any_of(items, [](const pg::Node* node) {
    return is_set_list(*node) && node->grouping_set->kind != PG_QUERY__GROUPING_SET_KIND__GROUPING_SET_EMPTY;
  });
  const auto keys_of = [&](const pg::Node& node) -> Set {
    std::vector<ExprRef> fields;
    if (node.node_case == PG_QUERY__NODE__NODE_ROW_EXPR) {
      for (const pg::Node* field : BOP_PG_LIST(node.row_expr, args)) {
        fields.push_back(output_or_expression(*field, query, scope, Clause::kGroupBy, false));
      }
    } else {
      const ExprRef e = output_or_expression(node, query, scope, Clause::kGroupBy, false);
      fields = e->kind == ExprKind::kRow ? e->args : std::vector<ExprRef>{e};
    }
    Set keys;
    for (const ExprRef& field : fields) {
      ExprRef key = resolve_unknown(field);
      if (key != field) {
        // What the select list shows is the key: in a set without it, NULL.
        for (Target& target : query.targets) {
          target.expr = target.expr == field ? key : target.expr;
        }
      }
      const auto known =
          std::ranges::find_if(query.group_by, [&](const ExprRef& other) { return same_expr(*other, *key); });
      keys.push_back(static_cast<std::size_t>(known - query.group_by.begin()));
      if (known == query.group_by.end()) {
        query.group_by.push_back(std::move(key));
      }
    }
    return keys;
  };
  const Expansion expansion(keys_of, [this](Error e, int location) { raise(std::move(e), location); });
  std::vector<Set> sets{Set{}};
  for (const pg::Node* item : items) {
    const std::vector<Set> more = expansion.of(*item);
    if (sets.size() * more.size() > kMaxGroupingSets) {
      raise(error(ErrorCode::kStatementTooComplex, "too many grouping sets present (maximum {})",
                  kMaxGroupingSets),
            is_set_list(*item) ? item->grouping_set->location : -1);
    }
    std::vector<Set> product;
    for (const Set& a : sets) {
      for (const Set& b : more) {
        product.push_back(joined(a, b));
      }
    }
    sets = std::move(product);
  }
  if (stmt.group_distinct != 0) {
    std::vector<Set> distinct;
    for (const Set& set : sets) {
      if (std::ranges::none_of(distinct,
                               [&](const Set& other) { return std::ranges::is_permutation(set, other); })) {
        distinct.push_back(set);
      }
    }
    sets = std::move(distinct);
  }
  if (has_sets && sets.size() > 1) {
    query.grouping_sets = std::move(sets);
  }
  query.grouped = query.grouped || !items.empty();
  query.grouped_by = !items.empty();
  for (const ExprRef& e : query.group_by) {
    // By the number or name of an output column; written out they have been refused already.
    visit(*e, [&](const Expr& part) {
      if ((part.kind == ExprKind::kAggregate || part.kind == ExprKind::kGrouping) &&
          part.depth == query.depth) {
        raise(error(ErrorCode::kGroupingError, "{} are not allowed in GROUP BY",
                    part.kind == ExprKind::kAggregate ? "aggregate functions" : "grouping operations"),
              part.location);
      }
      if (part.kind == ExprKind::kWindow && part.query == nullptr) {
        raise(error(ErrorCode::kWindowingError, "window functions are not allowed in GROUP BY"),
              part.location);
      }
      return part.query == nullptr;
    });
    if (!is_comparable(type_of(*e))) {
      raise(error(ErrorCode::kUndefinedFunction, "could not identify an equality operator for type {}",
                  format_type(type_of(*e))),
            e->location);
    }
  }
}

ExprRef Binder::grouping_function(const PgQuery__GroupingFunc& f, Scope& scope) {
  if (f.n_args > kMaxGroupingArguments) {
    raise(error(ErrorCode::kTooManyArguments, "GROUPING must have fewer than {} arguments",
                kMaxGroupingArguments + 1),
          f.location);
  }
  ExprRef made = make_expr(ExprKind::kGrouping, types::kInt4, {}, f.location);
  const bool saved = std::exchange(scope.in_aggregate, true);
  for (const pg::Node* node : BOP_PG_LIST(&f, args)) {
    made->args.push_back(expression(*node, scope));
  }
  scope.in_aggregate = saved;
  place_aggregate(*made, scope);
  return made;
}

}  // namespace bop::sql
