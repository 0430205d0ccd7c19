// WITHIN GROUP: ordered-set and hypothetical-set aggregates.
//
// Bound, the call has the arguments before WITHIN GROUP (`direct` many) and then those of its ORDER BY. For
// the hypothetical ones a text in front says the order (functions/ordered_set_aggregates.cpp), so that only
// dense_rank needs its rows sorted.
#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "sql/binder.hpp"
#include "sql/functions/kernels.hpp"

namespace bop::sql {

namespace {

constexpr std::array<std::string_view, 3> kOrderedSet{"percentile_cont", "percentile_disc", "mode"};
constexpr std::array<std::string_view, 4> kHypotheticalSet{"rank", "dense_rank", "percent_rank", "cume_dist"};

bool is_one_of(std::string_view name, std::span<const std::string_view> names) {
  return std::ranges::find(names, name) != names.end();
}

}  // namespace

bool is_ordered_set_aggregate(std::string_view name) {
  return is_one_of(name, kOrderedSet) || is_one_of(name, kHypotheticalSet);
}

ExprRef Binder::ordered_set_call(const PgQuery__FuncCall& call, Scope& scope) {
  const std::string_view name = pg::last_name(BOP_PG_LIST(&call, funcname));
  const bool hypothetical = is_one_of(name, kHypotheticalSet);
  std::vector<ExprRef> args;
  std::vector<SortKey> keys;
  const bool saved = std::exchange(scope.in_aggregate, true);
  for (const pg::Node* node : BOP_PG_LIST(&call, args)) {
    args.push_back(expression(*node, scope));
  }
  const std::size_t direct = args.size();
  for (const pg::Node* node : BOP_PG_LIST(&call, agg_order)) {
    const PgQuery__SortBy& sort = *node->sort_by;
    if (sort.sortby_dir == PG_QUERY__SORT_BY_DIR__SORTBY_USING) {
      not_implemented("ORDER BY USING", sort.location);
    }
    SortKey key;
    key.descending = sort.sortby_dir == PG_QUERY__SORT_BY_DIR__SORTBY_DESC;
    key.nulls_first = sort.sortby_nulls == PG_QUERY__SORT_BY_NULLS__SORTBY_NULLS_DEFAULT
                          ? key.descending
                          : sort.sortby_nulls == PG_QUERY__SORT_BY_NULLS__SORTBY_NULLS_FIRST;
    args.push_back(expression(*sort.node, scope));
    keys.push_back(std::move(key));
  }
  scope.in_aggregate = saved;
  if (!is_ordered_set_aggregate(name)) {
    const ExprRef other = make_call("", name, std::move(args), call.location);
    if (other->kind == ExprKind::kAggregate) {
      raise(error(ErrorCode::kWrongObjectType,
                  "{} is not an ordered-set aggregate, so it cannot have WITHIN GROUP", name),
            call.location);
    }
    raise(error(ErrorCode::kWrongObjectType, "WITHIN GROUP specified, but {} is not an aggregate function",
                name),
          call.location);
  }
  ExprRef made;
  if (hypothetical) {
    if (direct != keys.size()) {
      std::vector<Oid> actual;
      for (const ExprRef& arg : args) {
        actual.push_back(type_of(*arg));
      }
      no_function(name, actual, call.location);
    }
    std::string order;
    for (std::size_t i = 0; i < direct; ++i) {
      const std::vector<ExprRef> both{args[direct + i], args[i]};
      const Oid type = common_type(both, "WITHIN GROUP");
      for (ExprRef* arg : {&args[i], &args[direct + i]}) {
        *arg = coerce(std::move(*arg), type, -1, CastContext::kImplicit);
      }
      order += keys[i].descending ? 'd' : 'a';
      order += keys[i].nulls_first ? 'f' : 'l';
    }
    const std::vector<const Kernel*> kernels = lookup_any(name);
    const auto kernel =
        std::ranges::find_if(kernels, [](const Kernel* k) { return k->kind == KernelKind::kAggregate; });
    made = make_expr(ExprKind::kAggregate, (*kernel)->result, {text_constant(order)}, call.location);
    made->kernel = *kernel;
    std::ranges::copy(args, std::back_inserter(made->args));
    for (const ExprRef& arg : made->args) {
      made->arg_types.push_back(arg->type);
    }
    made->direct = direct + 1;
  } else {
    made = make_call("", name, std::move(args), call.location);
    made->direct = direct;
    if (keys.size() != 1 || made->kind != ExprKind::kAggregate) {
      no_function(name, made->arg_types, call.location);
    }
  }
  made->within_group = true;
  const std::size_t first = made->args.size() - keys.size();
  for (std::size_t i = 0; i < keys.size(); ++i) {
    keys[i].expr = made->args[first + i];
    if (!is_comparable(type_of(*keys[i].expr))) {
      raise(error(ErrorCode::kUndefinedFunction, "could not identify an ordering operator for type {}",
                  format_type(type_of(*keys[i].expr)))
                .hint("Use an explicit ordering operator or modify the query."),
            keys[i].expr->location);
    }
  }
  if (!hypothetical || name == "dense_rank") {
    made->order = std::move(keys);
  }
  if (call.agg_filter != nullptr) {
    const bool in = std::exchange(scope.in_aggregate, true);
    made->filter = boolean(*call.agg_filter, scope, Clause::kFilter, "FILTER");
    scope.in_aggregate = in;
  }
  if (call.over != nullptr) {
    raise(error(ErrorCode::kNotImplemented, "OVER is not supported for ordered-set aggregate {}", name),
          call.location);
  }
  place_aggregate(*made, scope);
  return made;
}

}  // namespace bop::sql
