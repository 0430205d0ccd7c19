// Calls: functions, aggregates, window functions, functions that answer sets.
#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "sql/binder.hpp"
#include "sql/char_length.hpp"
#include "sql/functions/kernels.hpp"
#include "sql/resolve_function.hpp"
#include "sql/tree_search.hpp"
#include "sql/types/user_types.hpp"

namespace bop::sql {

namespace {

std::string type_list(std::span<const Oid> types) {
  std::string out;
  for (const Oid type : types) {
    out += out.empty() ? "" : ", ";
    out += format_type(type);
  }
  return out;
}

bool writes(std::string_view name) { return name == "nextval" || name == "setval"; }

}  // namespace

ExprRef Binder::make_call(std::string_view schema, std::string_view name, std::vector<ExprRef> args,
                          int location, bool variadic) {
  std::vector<Oid> actual;
  actual.reserve(args.size());
  for (const ExprRef& arg : args) {
    actual.push_back(type_of(*arg));
  }
  const bool ours = schema.empty() || schema == "pg_catalog";
  // A literal behind the name of a type is one of the type, whatever functions have the name.
  if (const TypeInfo* type = ours && args.size() == 1 ? find_type(name) : nullptr;
      type != nullptr && type->name == name && !is_pseudo(type->oid) && args[0]->kind == ExprKind::kUnknown) {
    return coerce(args[0], type->oid, -1, CastContext::kExplicit, location);
  }
  const std::vector<const Kernel*> kernels = ours ? lookup(name, args.size()) : std::vector<const Kernel*>{};
  const Resolution found = resolve_function(kernels, actual, variadic);
  if (found.outcome == Resolution::Outcome::kFound) {
    const Kernel& kernel = *found.kernel;
    ExprKind kind = ExprKind::kCall;
    if (kernel.kind == KernelKind::kAggregate) {
      kind = ExprKind::kAggregate;
    }
    ExprRef made = make_expr(kind, found.result, {}, location);
    made->kernel = &kernel;
    made->variadic_array = variadic;
    for (std::size_t i = 0; i < args.size(); ++i) {
      Oid wanted = found.args[i];
      if (wanted == 0) {
        const Oid given = type_of(*args[i]);
        wanted = given == types::kUnknown     ? Oid{types::kText}
                 : kernel.name == "pg_typeof" ? given
                                              : base_type(given);
      }
      const bool told = kernel.name == "pg_typeof" && type_of(*args[i]) == types::kUnknown;
      made->arg_types.push_back(told ? Oid{types::kUnknown} : wanted);
      ExprRef arg = type_of(*args[i]) == wanted
                        ? std::move(args[i])
                        : coerce(std::move(args[i]), wanted, -1, CastContext::kImplicit);
      if (sees_blanks(kernel, i)) {
        const Oid before = arg->type;
        arg = padded(std::move(arg));
        if (arg->type != before) {
          made->arg_types.back() = arg->type;
        }
      }
      made->args.push_back(std::move(arg));
    }
    needs_writer = needs_writer || writes(name);
    note_volatility(kernel, made->arg_types);
    return made;
  }
  // A type's name with one argument is a cast.
  if (args.size() == 1 && found.outcome == Resolution::Outcome::kNone && ours) {
    const TypeInfo* type = find_type(name);
    if (const UserTypes* users = UserTypes::current(); type == nullptr && users != nullptr) {
      type = users->find_user_type(schema, name).value_or(nullptr);
    }
    if (type != nullptr && !is_pseudo(type->oid)) {
      if (ExprRef made = try_coerce(args[0], type->oid, -1, CastContext::kExplicit, location);
          made != nullptr) {
        return made;
      }
    }
  }
  const std::string called = schema.empty() ? std::string(name) : fmt::format("{}.{}", schema, name);
  if (found.outcome == Resolution::Outcome::kAmbiguous) {
    raise(error(ErrorCode::kAmbiguousFunction, "function {}({}) is not unique", called, type_list(actual))
              .hint("Could not choose a best candidate function. You might need to add explicit type casts."),
          location);
  }
  no_function(called, actual, location);
}

void Binder::no_function(std::string_view name, std::span<const Oid> args, int location) const {
  raise(
      error(ErrorCode::kUndefinedFunction, "function {}({}) does not exist", name, type_list(args))
          .hint(
              "No function matches the given name and argument types. You might need to add explicit type casts."),
      location);
}

ExprRef Binder::function_call(const PgQuery__FuncCall& call, Scope& scope) {
  const pg::NodeList names = BOP_PG_LIST(&call, funcname);
  const std::string_view name = pg::last_name(names);
  const std::string_view schema =
      names.size() > 1 ? pg::string_of(names[names.size() - 2]) : std::string_view();
  if (call.agg_within_group != 0) {
    return ordered_set_call(call, scope);
  }
  // Arguments of an aggregate are bound with aggregates forbidden; known by its name beforehand.
  const std::vector<const Kernel*> kernels = lookup_any(name);
  const bool aggregate =
      std::ranges::any_of(kernels, [](const Kernel* k) { return k->kind == KernelKind::kAggregate; });
  const std::optional<Oid> only_window = window_function(name, call.n_args);
  if (only_window.has_value() && call.over == nullptr) {
    raise(error(ErrorCode::kWrongObjectType, "window function {} requires an OVER clause", name),
          call.location);
  }
  const bool counts_here = aggregate && call.over == nullptr;
  const bool saved = std::exchange(scope.in_aggregate, scope.in_aggregate || counts_here);
  const bool expand = std::exchange(scope.may_expand, scope.may_expand && !aggregate);
  std::vector<ExprRef> args;
  for (const pg::Node* node : BOP_PG_LIST(&call, args)) {
    const bool is_named = node->node_case == PG_QUERY__NODE__NODE_NAMED_ARG_EXPR;
    ExprRef arg = expression(is_named ? *node->named_arg_expr->arg : *node, scope);
    if (is_named) {
      ExprRef whole =
          make_expr(ExprKind::kNamedArgument, type_of(*arg), {arg}, node->named_arg_expr->location);
      whole->text = pg::text(node->named_arg_expr->name);
      arg = std::move(whole);
    } else if (!args.empty() && args.back()->kind == ExprKind::kNamedArgument) {
      raise(error(ErrorCode::kSyntaxError, "positional argument cannot follow named argument"),
            arg->location);
    }
    args.push_back(std::move(arg));
  }
  scope.in_aggregate = saved;
  scope.may_expand = expand;
  if (only_window.has_value()) {
    ExprRef made = make_expr(ExprKind::kWindow, *only_window, {}, call.location);
    made->text = name;
    window_arguments(*made, std::move(args), call.location);
    if (call.agg_filter != nullptr) {
      raise(error(ErrorCode::kNotImplemented, "FILTER is not implemented for non-aggregate window functions"),
            call.location);
    }
    if (call.agg_distinct != 0 || call.n_agg_order > 0) {
      not_implemented("DISTINCT or ORDER BY in a window function", call.location);
    }
    return window_call(call, std::move(made), scope);
  }
  if (call.agg_star != 0 && aggregate && name != "count") {
    raise(
        error(ErrorCode::kUndefinedFunction, "function {}() does not exist", name)
            .hint(
                "No function matches the given name and argument types. You might need to add explicit type casts."),
        call.location);
  }
  if (aggregate && name == "count" && args.empty() && call.agg_star == 0) {
    raise(error(ErrorCode::kWrongObjectType,
                "count(*) must be used to call a parameterless aggregate function"),
          call.location);
  }
  ExprRef made = user_call(call, schema, name, args, scope);
  if (made == nullptr) {
    if (std::ranges::any_of(args, [](const ExprRef& arg) { return arg->kind == ExprKind::kNamedArgument; })) {
      if (!lookup_any(name).empty())
        not_implemented("arguments by name of a built-in function", call.location);
      std::string given;
      for (const ExprRef& arg : args) {
        given += given.empty() ? "" : ", ";
        if (arg->kind == ExprKind::kNamedArgument) given += arg->text + " => ";
        given += format_type(type_of(*arg));
      }
      raise(error(ErrorCode::kUndefinedFunction, "function {}{}{}({}) does not exist", schema,
                  schema.empty() ? "" : ".", name, given)
                .hint("No function matches the given name and argument types. You might need to add explicit "
                      "type casts."),
            call.location);
    }
    made = make_call(schema, name, std::move(args), call.location, call.func_variadic != 0);
  }
  if (made->kind == ExprKind::kAggregate && is_ordered_set_aggregate(name)) {
    raise(error(ErrorCode::kWrongObjectType, "WITHIN GROUP is required for ordered-set aggregate {}", name),
          call.location);
  }
  const bool is_aggregate = made->kind == ExprKind::kAggregate;
  if (!is_aggregate) {
    const auto refuse = [&](std::string_view what) {
      raise(
          error(ErrorCode::kWrongObjectType, "{} specified, but {} is not an aggregate function", what, name),
          call.location);
    };
    if (call.agg_star != 0) {
      raise(error(ErrorCode::kWrongObjectType, "{}(*) specified, but {} is not an aggregate function", name,
                  name),
            call.location);
    }
    if (call.agg_distinct != 0) {
      refuse("DISTINCT");
    }
    if (call.n_agg_order > 0) {
      refuse("ORDER BY");
    }
    if (call.agg_filter != nullptr) {
      refuse("FILTER");
    }
    if (call.over != nullptr) {
      raise(error(ErrorCode::kWrongObjectType,
                  "OVER specified, but {} is not a window function nor an aggregate function", name),
            call.location);
    }
    if (made->kernel != nullptr && made->kind == ExprKind::kCall &&
        made->kernel->kind == KernelKind::kSetReturning) {
      return set_returning(std::move(made), scope, name);
    }
    return made;
  }
  made->star = call.agg_star != 0 || (made->kernel->name == "count" && made->args.empty());
  made->distinct = call.agg_distinct != 0;
  {
    const bool in = std::exchange(scope.in_aggregate, true);
    for (const pg::Node* node : BOP_PG_LIST(&call, agg_order)) {
      const PgQuery__SortBy& sort = *node->sort_by;
      if (sort.sortby_dir == PG_QUERY__SORT_BY_DIR__SORTBY_USING) {
        not_implemented("ORDER BY USING", sort.location);
      }
      SortKey key{.expr = resolve_unknown(expression(*sort.node, scope))};
      key.descending = sort.sortby_dir == PG_QUERY__SORT_BY_DIR__SORTBY_DESC;
      key.nulls_first = sort.sortby_nulls == PG_QUERY__SORT_BY_NULLS__SORTBY_NULLS_DEFAULT
                            ? key.descending
                            : sort.sortby_nulls == PG_QUERY__SORT_BY_NULLS__SORTBY_NULLS_FIRST;
      if (made->distinct && std::ranges::none_of(made->args, [&](const ExprRef& arg) {
            return same_expr(*arg, *key.expr) || same_expr(*arg, *padded(key.expr));
          })) {
        raise(error(ErrorCode::kInvalidColumnReference,
                    "in an aggregate with DISTINCT, ORDER BY expressions must appear in argument list"),
              key.expr->location);
      }
      made->order.push_back(std::move(key));
    }
    if (call.agg_filter != nullptr) {
      made->filter = boolean(*call.agg_filter, scope, Clause::kFilter, "FILTER");
    }
    scope.in_aggregate = in;
  }
  if (made->distinct) {
    for (const ExprRef& arg : made->args) {
      if (!is_comparable(type_of(*arg))) {
        raise(error(ErrorCode::kUndefinedFunction, "could not identify an equality operator for type {}",
                    format_type(type_of(*arg))),
              arg->location);
      }
    }
  }
  if (call.over != nullptr) {
    if (made->distinct) {
      raise(error(ErrorCode::kNotImplemented, "DISTINCT is not implemented for window functions"),
            call.location);
    }
    if (!made->order.empty()) {
      raise(error(ErrorCode::kNotImplemented, "aggregate ORDER BY is not implemented for window functions"),
            call.location);
    }
    if (!made->kernel->window) {
      not_implemented(fmt::format("aggregate function {} as a window function", name), call.location);
    }
    made->kind = ExprKind::kWindow;
    return window_call(call, std::move(made), scope);
  }
  place_aggregate(*made, scope);
  return made;
}

ExprRef Binder::set_returning(ExprRef call, Scope& scope, std::string_view name) {
  if (scope.clause == Clause::kFrom) {
    return call;
  }
  if (call->kernel->oid >= kFirstUserOid) {
    not_implemented(fmt::format("the set of {} outside FROM", name), call->location);
  }
  if (!scope.may_expand || scope.in_aggregate || scope.in_window) {
    raise(error(ErrorCode::kNotImplemented, "set-returning functions are not allowed in {}",
                clause_name(scope.clause)),
          call->location);
  }
  if (call->kernel->columns.size() > 1) {
    not_implemented(fmt::format("the record of {} in the select list", name), call->location);
  }
  RangeRef entry = new_entry(RangeKind::kFunction, std::string(name), scope.depth);
  const Oid type = call->type;
  const int location = call->location;
  entry->function = std::move(call);
  // The table of a function with named results calls its columns so.
  const auto& results = entry->function->kernel->columns;
  entry->columns.push_back({.name = std::string(name),
                            .type = type,
                            .value_typmod = char_value_typmod(*entry->function),
                            .sql = results.empty() ? "value" : fmt::format("\"{}\"", results.front().name)});
  scope.expanded.push_back(entry);
  return column_of(entry, 0, location);
}

// Several of one select list take their steps together; who has no more rows gives NULL until all have none.
// They become one function, of which each is a column: its arguments are all of theirs, behind a text that
// says whose they are (set_functions.cpp).
void Binder::run_together(const std::vector<RangeRef>& entries) {
  constexpr Oid kTogether = 13901;            // no name finds it
  constexpr std::size_t kMostArguments = 15;  // that the table of a function takes, without the text
  constexpr std::size_t kMostTogether = 8;    // columns of bop_together
  const std::set<const RangeEntry*> all = [&] {
    std::set<const RangeEntry*> out;
    for (const RangeRef& entry : entries) out.insert(entry.get());
    return out;
  }();
  auto together = std::make_shared<Expr>();
  together->kind = ExprKind::kCall;
  together->type = types::kText;
  together->kernel = find_kernel(kTogether);
  std::string who;
  std::vector<ExprRef> args;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const ExprRef call = entries[i]->function;
    if (reads_rows(*call, all))
      not_implemented("a set-returning function of a set-returning function", call->location);
    const std::string literal =
        call->kernel->typed ? arg_types_literal(call->arg_types, call->variadic_array) : "''";
    who += fmt::format("{} {} {};", call->kernel->oid, call->args.size(),
                       std::string_view(literal).substr(1, literal.size() - 2));
    std::ranges::copy(call->args, std::back_inserter(args));
    entries[i]->id = entries.front()->id;
    entries[i]->columns.front().sql = fmt::format("v{}", i + 1);
  }
  if (entries.size() > kMostTogether || args.size() > kMostArguments) {
    not_implemented(fmt::format("{} set-returning functions with {} arguments in one select list",
                                entries.size(), args.size()));
  }
  together->args.push_back(text_constant(who));
  std::ranges::copy(args, std::back_inserter(together->args));
  entries.front()->function = std::move(together);
}

}  // namespace bop::sql
