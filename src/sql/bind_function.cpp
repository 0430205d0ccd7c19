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

// Functions that exist only with OVER; SQLite's own are PostgreSQL's.
struct WindowFunction {
  std::string_view name;
  int min_args, max_args;
  Oid result;  // 0: of the arguments that are no number of rows
};
constexpr std::array kWindowFunctions{
    WindowFunction{"row_number", 0, 0, types::kInt8},
    WindowFunction{"rank", 0, 0, types::kInt8},
    WindowFunction{"dense_rank", 0, 0, types::kInt8},
    WindowFunction{"percent_rank", 0, 0, types::kFloat8},
    WindowFunction{"cume_dist", 0, 0, types::kFloat8},
    WindowFunction{"ntile", 1, 1, types::kInt4},
    WindowFunction{"lag", 1, 3, 0},
    WindowFunction{"lead", 1, 3, 0},
    WindowFunction{"first_value", 1, 1, 0},
    WindowFunction{"last_value", 1, 1, 0},
    WindowFunction{"nth_value", 2, 2, 0},
};

const WindowFunction* find_window_function(std::string_view name, std::size_t nargs) {
  for (const WindowFunction& f : kWindowFunctions) {
    if (f.name == name && nargs >= static_cast<std::size_t>(f.min_args) &&
        nargs <= static_cast<std::size_t>(f.max_args)) {
      return &f;
    }
  }
  return nullptr;
}

// FRAMEOPTION_* of PostgreSQL: RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW, when nothing is said.
constexpr int kRangeFrame = 0x2;
constexpr int kGroupsFrame = 0x8;
constexpr int kDefaultFrame = 0x422;

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

// The arguments of a function that exists only with OVER, as its places want them: a value (and what stands
// for it where there is no row, of the type that both have in common) or numbers of rows.
void Binder::window_arguments(Expr& made, std::vector<ExprRef> args, int location) {
  std::vector<Oid> actual;
  for (const ExprRef& arg : args) {
    actual.push_back(type_of(*arg));
  }
  std::vector<ExprRef> values;
  const bool of_values = made.type == 0;
  for (std::size_t i = 0; of_values && i < args.size(); i += 2) {
    values.push_back(args[i]);
  }
  const Oid common = of_values ? common_type_or_none(values) : Oid{0};
  for (std::size_t i = 0; i < args.size(); ++i) {
    const Oid wanted = of_values && i % 2 == 0 ? common : Oid{types::kInt4};
    if (wanted == 0 || !can_coerce(actual[i], wanted, CastContext::kImplicit)) {
      no_function(made.text, actual, location);
    }
    args[i] = coerce(std::move(args[i]), wanted, -1, CastContext::kImplicit);
  }
  if (of_values) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] = args[2 * i];
    }
    made.type = common;
    made.typmod = common_typmod(values);
  }
  made.args = std::move(args);
}

ExprRef Binder::function_call(const PgQuery__FuncCall& call, Scope& scope) {
  const pg::NodeList names = BOP_PG_LIST(&call, funcname);
  const std::string_view name = pg::last_name(names);
  const std::string_view schema =
      names.size() > 1 ? pg::string_of(names[names.size() - 2]) : std::string_view();
  if (call.agg_within_group != 0) {
    not_implemented("WITHIN GROUP", call.location);
  }
  // Arguments of an aggregate are bound with aggregates forbidden; known by its name beforehand.
  const std::vector<const Kernel*> kernels = lookup_any(name);
  const bool aggregate =
      std::ranges::any_of(kernels, [](const Kernel* k) { return k->kind == KernelKind::kAggregate; });
  const WindowFunction* only_window = find_window_function(name, call.n_args);
  if (only_window != nullptr && call.over == nullptr) {
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
  if (only_window != nullptr) {
    ExprRef made = make_expr(ExprKind::kWindow, only_window->result, {}, call.location);
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
  made->star = call.agg_star != 0;
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

std::shared_ptr<Window> Binder::window_definition(const PgQuery__WindowDef& def, Scope& scope) {
  auto window = std::make_shared<Window>();
  const std::string_view base = pg::text(def.refname);
  if (!base.empty()) {
    bool found = false;
    for (const auto& [name, w] : scope.windows) {
      if (name == base) {
        *window = *w;
        found = true;
      }
    }
    if (!found) {
      raise(error(ErrorCode::kUndefinedObject, "window \"{}\" does not exist", base), def.location);
    }
    if (def.n_partition_clause > 0) {
      raise(error(ErrorCode::kWindowingError, "cannot override PARTITION BY clause of window \"{}\"", base),
            def.location);
    }
    if (def.n_order_clause > 0 && !window->order.empty()) {
      raise(error(ErrorCode::kWindowingError, "cannot override ORDER BY clause of window \"{}\"", base),
            def.location);
    }
    if (window->frame_options != kDefaultFrame) {
      Error e =
          error(ErrorCode::kWindowingError, "cannot copy window \"{}\" because it has a frame clause", base);
      if (pg::text(def.name).empty() && def.n_order_clause == 0 && def.frame_options == kDefaultFrame) {
        e.mut().hint = "Omit the parentheses in this OVER clause.";
      }
      raise(std::move(e), def.location);
    }
  }
  const bool in = std::exchange(scope.in_window, true);
  for (const pg::Node* node : BOP_PG_LIST(&def, partition_clause)) {
    window->partition.push_back(resolve_unknown(expression(*node, scope, Clause::kWindow)));
  }
  for (const pg::Node* node : BOP_PG_LIST(&def, order_clause)) {
    const PgQuery__SortBy& sort = *node->sort_by;
    if (sort.sortby_dir == PG_QUERY__SORT_BY_DIR__SORTBY_USING) {
      not_implemented("ORDER BY USING", sort.location);
    }
    SortKey key{.expr = resolve_unknown(expression(*sort.node, scope, Clause::kWindow))};
    key.descending = sort.sortby_dir == PG_QUERY__SORT_BY_DIR__SORTBY_DESC;
    key.nulls_first = sort.sortby_nulls == PG_QUERY__SORT_BY_NULLS__SORTBY_NULLS_DEFAULT
                          ? key.descending
                          : sort.sortby_nulls == PG_QUERY__SORT_BY_NULLS__SORTBY_NULLS_FIRST;
    window->order.push_back(std::move(key));
  }
  for (const ExprRef& e : window->partition) {
    if (!is_comparable(type_of(*e))) {
      raise(error(ErrorCode::kUndefinedFunction, "could not identify an equality operator for type {}",
                  format_type(type_of(*e))),
            e->location);
    }
  }
  for (const SortKey& key : window->order) {
    if (!is_comparable(type_of(*key.expr))) {
      raise(error(ErrorCode::kUndefinedFunction, "could not identify an ordering operator for type {}",
                  format_type(type_of(*key.expr)))
                .hint("Use an explicit ordering operator or modify the query."),
            key.expr->location);
    }
  }
  window->frame_options = def.frame_options;
  if ((def.frame_options & kGroupsFrame) != 0 && window->order.empty()) {
    raise(error(ErrorCode::kWindowingError, "GROUPS mode requires an ORDER BY clause"), def.location);
  }
  const auto offset = [&](const pg::Node* node) -> ExprRef {
    if (node == nullptr) {
      return nullptr;
    }
    if ((def.frame_options & kRangeFrame) != 0) {
      if (window->order.size() != 1) {
        raise(error(ErrorCode::kWindowingError,
                    "RANGE with offset PRECEDING/FOLLOWING requires exactly one ORDER BY column"),
              def.location);
      }
      not_implemented("RANGE with an offset", def.location);
    }
    const std::string_view mode = (def.frame_options & kGroupsFrame) != 0 ? "GROUPS" : "ROWS";
    ExprRef e = expression(*node, scope, Clause::kWindow);
    const int location = e->location;
    if (uses_rows(*e, scope.depth)) {
      raise(error(ErrorCode::kInvalidColumnReference, "argument of {} must not contain variables", mode),
            location);
    }
    // SQLite reads the offsets once, before the rows, and only constants.
    visit(*e, [&](const Expr& part) {
      if (part.kind != ExprKind::kConst && part.kind != ExprKind::kUnknown && part.kind != ExprKind::kParam &&
          part.kind != ExprKind::kCast) {
        not_implemented("a frame offset that is not constant", location);
      }
      return true;
    });
    const Oid from = type_of(*e);
    ExprRef made = try_coerce(std::move(e), types::kInt8, -1, CastContext::kAssignment);
    if (made == nullptr) {
      raise(error(ErrorCode::kDatatypeMismatch, "argument of {} must be type bigint, not type {}", mode,
                  format_type(from)),
            location);
    }
    if (made->kind == ExprKind::kConst && made->value.is_null()) {
      raise(error(ErrorCode::kNullNotAllowed, "frame {} offset must not be null",
                  node == def.start_offset ? "starting" : "ending"));
    }
    return made;
  };
  window->start = offset(def.start_offset);
  window->end = offset(def.end_offset);
  scope.in_window = in;
  return window;
}

ExprRef Binder::window_call(const PgQuery__FuncCall& call, ExprRef made, Scope& scope) {
  if (scope.in_window) {
    raise(error(ErrorCode::kWindowingError, "window function calls cannot be nested"), call.location);
  }
  if (scope.in_aggregate) {
    raise(error(ErrorCode::kGroupingError, "aggregate function calls cannot contain window function calls"),
          call.location);
  }
  if (scope.clause != Clause::kSelect && scope.clause != Clause::kOrderBy) {
    raise(error(ErrorCode::kWindowingError, "window functions are not allowed in {}",
                clause_name(scope.clause)),
          call.location);
  }
  if (const std::string_view name = pg::text(call.over->name); !name.empty()) {
    for (const auto& [known, window] : scope.windows) {
      if (known == name) {
        made->window = window;
      }
    }
    if (made->window == nullptr) {
      raise(error(ErrorCode::kUndefinedObject, "window \"{}\" does not exist", name), call.over->location);
    }
  } else {
    made->window = window_definition(*call.over, scope);
  }
  scope.has_window = true;
  return made;
}

}  // namespace bop::sql
