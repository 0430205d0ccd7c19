// Window functions: their arguments, windows and frames.
#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "sql/binder.hpp"
#include "sql/functions/kernels.hpp"
#include "sql/types/user_types.hpp"

namespace bop::sql {

namespace {

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
constexpr int kRowsFrame = 0x4;
constexpr int kGroupsFrame = 0x8;
constexpr int kDefaultFrame = 0x422;

// What a key may be moved by (in_range of PostgreSQL's operator classes).
struct RangeOffset {
  Oid key, offset;
};
constexpr std::array kRangeOffsets{
    RangeOffset{types::kInt2, types::kInt2},
    RangeOffset{types::kInt2, types::kInt4},
    RangeOffset{types::kInt2, types::kInt8},
    RangeOffset{types::kInt4, types::kInt2},
    RangeOffset{types::kInt4, types::kInt4},
    RangeOffset{types::kInt4, types::kInt8},
    RangeOffset{types::kInt8, types::kInt8},
    RangeOffset{types::kFloat4, types::kFloat8},
    RangeOffset{types::kFloat8, types::kFloat8},
    RangeOffset{types::kNumeric, types::kNumeric},
    RangeOffset{types::kDate, types::kInterval},
    RangeOffset{types::kTimestamp, types::kInterval},
    RangeOffset{types::kTimestamptz, types::kInterval},
    RangeOffset{types::kTime, types::kInterval},
    RangeOffset{types::kTimetz, types::kInterval},
    RangeOffset{types::kInterval, types::kInterval},
};

}  // namespace

std::optional<Oid> window_function(std::string_view name, std::size_t nargs) {
  const WindowFunction* found = find_window_function(name, nargs);
  return found == nullptr ? std::nullopt : std::optional<Oid>(found->result);
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

// PostgreSQL's own choice: the one type that the offset can be cast to, or the very one; of a literal the
// key's.
ExprRef Binder::range_offset(ExprRef offset, const Expr& key) {
  const Oid from = type_of(key);
  const Oid given = type_of(*offset);
  const Oid preferred = given == types::kUnknown ? base_type(from) : given;
  const int location = offset->location;
  Oid chosen = 0;
  int known = 0;
  int matches = 0;
  for (const RangeOffset& way : kRangeOffsets) {
    if (way.key != base_type(from)) {
      continue;
    }
    ++known;
    if (!can_coerce(given, way.offset, CastContext::kImplicit)) {
      continue;
    }
    ++matches;
    chosen = chosen == preferred ? chosen : way.offset;
  }
  if (known == 0) {
    raise(
        error(ErrorCode::kNotImplemented,
              "RANGE with offset PRECEDING/FOLLOWING is not supported for column type {}", format_type(from)),
        location);
  }
  if (matches == 0) {
    raise(
        error(ErrorCode::kNotImplemented,
              "RANGE with offset PRECEDING/FOLLOWING is not supported for column type {} and offset type {}",
              format_type(from), format_type(given))
            .hint("Cast the offset value to an appropriate type."),
        location);
  }
  if (matches > 1 && chosen != preferred) {
    raise(
        error(
            ErrorCode::kNotImplemented,
            "RANGE with offset PRECEDING/FOLLOWING has multiple interpretations for column type {} and offset "
            "type {}",
            format_type(from), format_type(given))
            .hint("Cast the offset value to the exact intended type."),
        location);
  }
  return coerce(std::move(offset), chosen, -1, CastContext::kImplicit);
}

ExprRef Binder::frame_offset(const PgQuery__WindowDef& def, bool start, const Window& window, Scope& scope) {
  const pg::Node* node = start ? def.start_offset : def.end_offset;
  if (node == nullptr) {
    return nullptr;
  }
  const bool range = (def.frame_options & kRangeFrame) != 0;
  const std::string_view mode = range ? "RANGE" : (def.frame_options & kRowsFrame) != 0 ? "ROWS" : "GROUPS";
  if (range && window.order.size() != 1) {
    raise(error(ErrorCode::kWindowingError,
                "RANGE with offset PRECEDING/FOLLOWING requires exactly one ORDER BY column"),
          def.location);
  }
  ExprRef e = expression(*node, scope, Clause::kWindow);
  const int location = e->location;
  visit(*e, [&](const Expr& part) {
    if (part.kind == ExprKind::kAggregate && part.depth == scope.depth) {
      raise(error(ErrorCode::kGroupingError, "aggregate functions are not allowed in window {}", mode),
            part.location);
    }
    if (part.kind == ExprKind::kColumn && part.entry != nullptr && part.entry->depth == scope.depth) {
      raise(error(ErrorCode::kInvalidColumnReference, "argument of {} must not contain variables", mode),
            part.location);
    }
    return true;
  });
  if (range) {
    return range_offset(std::move(e), *window.order.front().expr);
  }
  const Oid from = type_of(*e);
  ExprRef made = try_coerce(std::move(e), types::kInt8, -1, CastContext::kAssignment);
  if (made == nullptr) {
    raise(error(ErrorCode::kDatatypeMismatch, "argument of {} must be type bigint, not type {}", mode,
                format_type(from)),
          location);
  }
  if (made->kind == ExprKind::kConst && made->value.is_null()) {
    raise(
        error(ErrorCode::kNullNotAllowed, "frame {} offset must not be null", start ? "starting" : "ending"));
  }
  return made;
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
  window->start = frame_offset(def, true, *window, scope);
  window->end = frame_offset(def, false, *window, scope);
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
