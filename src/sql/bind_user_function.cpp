// Calls of functions that users made.
//
// Where it means the same, the call becomes the function's body, with the call's arguments in the place of
// its parameters, as PostgreSQL does it ("inlining"): one SELECT, as an expression or as a subquery. So it
// may stand wherever an expression may, is indexed, and runs on both executors. Otherwise the function is run
// by the session, once for each call (FunctionContext::user_functions).
//
//   body                                      as
//   SELECT expression, nothing else           the expression
//   one other SELECT                          a subquery of one row
//   one SELECT, RETURNS SETOF or TABLE        a subquery in FROM
//   several statements, changes, void,        a run
//   recursion, plpgsql
//   an argument that is volatile and not      a run
//   used exactly once, or an aggregate that
//   a subquery would have to compute
#include <algorithm>

#include <fmt/format.h>

#include "sql/binder.hpp"
#include "sql/functions/kernels.hpp"
#include "sql/resolve_function.hpp"
#include "sql/tree_search.hpp"
#include "sql/user_function.hpp"

namespace bop::sql {

namespace {

constexpr std::size_t kMaxInlined = 50;  // calls in one another

bool is_plain_expression(const PgQuery__SelectStmt& s) {
  return s.op == PG_QUERY__SET_OPERATION__SETOP_NONE && s.n_target_list == 1 && s.n_from_clause == 0 &&
         s.where_clause == nullptr && s.n_group_clause == 0 && s.having_clause == nullptr &&
         s.n_window_clause == 0 && s.n_values_lists == 0 && s.n_distinct_clause == 0 &&
         s.n_sort_clause == 0 && s.limit_count == nullptr && s.limit_offset == nullptr &&
         s.n_locking_clause == 0 && s.with_clause == nullptr && s.into_clause == nullptr;
}

// Whether the tree calls an aggregate, a window function or one that answers a set, or has a subquery.
bool is_more_than_scalar(const ProtobufCMessage* message) {
  if (message->descriptor == &pg_query__func_call__descriptor) {
    const auto& call = *reinterpret_cast<const PgQuery__FuncCall*>(message);
    if (call.over != nullptr) return true;
    for (const Kernel* kernel : lookup_any(pg::last_name(BOP_PG_LIST(&call, funcname)))) {
      if (kernel->kind != KernelKind::kScalar) return true;
    }
  }
  if (message->descriptor == &pg_query__sub_link__descriptor) return true;
  bool found = false;
  pg::for_each_child(message,
                     [&](const ProtobufCMessage* child) { found = found || is_more_than_scalar(child); });
  return found;
}

int count_uses(const Expr& e, const Expr* what) {
  int count = 0;
  visit(e, [&](const Expr& part) {
    count += &part == what ? 1 : 0;
    return &part != what;
  });
  return count;
}

// The arguments without which the value is NULL: those below nothing but strict calls and casts.
void strict_leaves(const ExprRef& e, std::vector<const Expr*>& out) {
  out.push_back(e.get());
  const bool strict = e->kind == ExprKind::kCast || e->kind == ExprKind::kNot ||
                      (e->kind == ExprKind::kCall && e->kernel->strict && e->kernel->oid < kFirstUserOid);
  if (!strict) return;
  for (const ExprRef& arg : e->args) {
    if (arg != nullptr) strict_leaves(arg, out);
  }
}

bool is_never_null(const Expr& e) { return e.kind == ExprKind::kConst && !e.value.is_null(); }

Oid stored_function_name(std::string_view name) {
  Oid oid = 0;
  if (!name.starts_with('#')) return 0;
  for (const char c : name.substr(1)) {
    if (c < '0' || c > '9') return 0;
    oid = oid * 10 + static_cast<Oid>(c - '0');
  }
  return oid;
}

// The types of a call's arguments in the places of the function's; nullopt if they do not go there.
std::optional<std::vector<Oid>> placed_types(const Function& function, const std::vector<ExprRef>& args,
                                             const Binder& binder) {
  const auto inputs = function.inputs();
  std::vector<Oid> types;
  std::vector<bool> given(inputs.size(), false);
  const bool variadic = function.kernel->variadic != 0;
  bool by_name = false;
  for (std::size_t i = 0; i < args.size(); ++i) {
    if (args[i]->kind != ExprKind::kNamedArgument) {
      if (i >= inputs.size() && !variadic) return std::nullopt;
      types.push_back(binder.type_of(*args[i]));
      if (i < inputs.size()) given[i] = true;
      continue;
    }
    by_name = true;
    const auto at = std::ranges::find_if(inputs, [&](const auto* a) { return a->name == args[i]->text; });
    if (at == inputs.end()) return std::nullopt;
    const auto place = static_cast<std::size_t>(at - inputs.begin());
    if (given[place]) return std::nullopt;
    given[place] = true;
    types.resize(std::max(types.size(), place + 1), 0);
    types[place] = binder.type_of(*args[i]);
  }
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (given[i]) continue;
    if (!inputs[i]->default_text && !(variadic && i + 1 == inputs.size() && !by_name)) return std::nullopt;
    if (variadic && i + 1 == inputs.size() && !inputs[i]->default_text) return std::nullopt;
    if (i < types.size()) types[i] = inputs[i]->type;
  }
  return types;
}

}  // namespace

ExprRef Binder::inlined_argument(std::string_view qualifier, std::string_view name) const {
  if (inlined_ == nullptr || name.empty() || (!qualifier.empty() && qualifier != inlined_->function->name)) {
    return nullptr;
  }
  const auto inputs = inlined_->function->inputs();
  for (std::size_t i = 0; i < inputs.size() && i < inlined_->args.size(); ++i) {
    if (inputs[i]->name == name) return inlined_->args[i];
  }
  return nullptr;
}

ExprRef Binder::parameter_of(const NamedValues::Found& found, int location) {
  const auto place = static_cast<std::size_t>(found.number);
  if (parameters_.size() < place) parameters_.resize(place, 0);
  parameters_[place - 1] = found.type;
  ExprRef e = plain_parameter(found.number, location);
  if (e->kind == ExprKind::kParam) e->typmod = found.typmod;
  return e;
}

ExprRef Binder::named_value(std::string_view qualifier, std::string_view name, int location) {
  if (inlined_ != nullptr) return inlined_argument(qualifier, name);
  if (context_.names == nullptr || text_hidden_) return nullptr;
  const auto found = context_.names->find(qualifier, name);
  return found ? parameter_of(*found, location) : nullptr;
}

std::vector<ExprRef> Binder::settle_arguments(const Function& function, const PgQuery__FuncCall& call,
                                              std::vector<ExprRef> args, std::span<const Oid> wanted,
                                              Scope& scope) {
  const auto inputs = function.inputs();
  const Kernel& kernel = *function.kernel;
  std::vector<ExprRef> settled(inputs.size());
  std::vector<ExprRef> rest;  // of VARIADIC
  const bool packs = kernel.variadic != 0 && call.func_variadic == 0;
  for (std::size_t i = 0; i < args.size(); ++i) {
    ExprRef arg = std::move(args[i]);
    std::size_t place = i;
    if (arg->kind == ExprKind::kNamedArgument) {
      const auto at = std::ranges::find_if(inputs, [&](const auto* a) { return a->name == arg->text; });
      place = static_cast<std::size_t>(at - inputs.begin());
      arg = arg->args[0];
    }
    arg = coerce(std::move(arg), wanted[place], -1, CastContext::kImplicit);
    if (packs && place + 1 >= inputs.size()) {
      rest.push_back(std::move(arg));
    } else {
      settled[place] = std::move(arg);
    }
  }
  if (!rest.empty()) {
    const Oid element = type_of(*rest.front());
    settled.back() = make_expr(ExprKind::kArray, array_of(element), std::move(rest), call.location);
  }
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (settled[i] != nullptr) continue;
    const Result<ParsedStatementPtr> parsed = parse_expression(*inputs[i]->default_text);
    if (!parsed) raise(parsed.error());
    NamesFound* const found = std::exchange(names_found, nullptr);
    ExprRef value = with_text(*parsed, [&] {
      Scope top{.depth = scope.depth};
      return coerce(expression(*(*parsed)->node, top, Clause::kSelect), inputs[i]->type, -1,
                    CastContext::kAssignment);
    });
    names_found = found;
    settled[i] = std::move(value);
  }
  return settled;
}

ExprRef Binder::user_call(const PgQuery__FuncCall& call, std::string_view schema, std::string_view name,
                          std::vector<ExprRef>& args, Scope& scope) {
  std::vector<std::shared_ptr<const Function>> known;
  if (const Oid oid = schema.empty() ? stored_function_name(name) : Oid{0}; oid != 0) {
    if (auto function = context_.catalog->function(oid)) known.push_back(std::move(function));
  } else if (!context_.catalog->functions().empty()) {
    if (!schema.empty() && context_.who != nullptr) {
      if (Status may = may_look_in(*context_.catalog, schema, context_.who.get()); !may) {
        raise(may.error(), call.location);
      }
    }
    known = context_.catalog->find_functions(path(), schema, name);
  }
  if (known.empty()) return nullptr;
  std::vector<const Kernel*> kernels;
  std::vector<Oid> actual;
  bool by_name = false;
  for (const ExprRef& arg : args) {
    by_name = by_name || arg->kind == ExprKind::kNamedArgument;
    actual.push_back(type_of(*arg));
  }
  const auto built_in = lookup(name, args.size());
  // pg_catalog stands before the path, unless that names it.
  const auto is_hidden = [&](const Function& function) {
    if (!schema.empty()) return false;
    const auto named = std::ranges::find(path(), "pg_catalog");
    const Schema* own = context_.catalog->schema(function.schema);
    if (named != path().end() && own != nullptr && std::find(path().begin(), named, own->name) != named)
      return false;
    return std::ranges::any_of(built_in, [&](const Kernel* kernel) {
      return std::ranges::equal(kernel->args, function.kernel->args);
    });
  };
  for (const auto& function : known) {
    if (is_hidden(*function)) continue;
    const auto placed = placed_types(*function, args, *this);
    if (!placed) continue;
    if (by_name) {
      const Kernel* const one[] = {function->kernel.get()};
      if (resolve_function(one, *placed, call.func_variadic != 0).outcome != Resolution::Outcome::kFound) {
        continue;
      }
      actual = *placed;
    }
    kernels.push_back(function->kernel.get());
  }
  if (kernels.empty()) return nullptr;
  if ((schema.empty() || schema == "pg_catalog") && !by_name) {
    const std::size_t own = kernels.size();
    for (const Kernel* kernel : built_in) {
      const auto stands_before = [&](const Kernel* other) {
        return std::ranges::equal(other->args, kernel->args);
      };
      if (std::none_of(kernels.begin(), kernels.begin() + static_cast<std::ptrdiff_t>(own), stands_before))
        kernels.push_back(kernel);
    }
  }
  const Resolution found = resolve_function(kernels, actual, call.func_variadic != 0);
  if (found.outcome == Resolution::Outcome::kAmbiguous) {
    std::string types;
    for (const Oid type : actual) types += (types.empty() ? "" : ", ") + format_type(type);
    raise(error(ErrorCode::kAmbiguousFunction, "function {}({}) is not unique", name, types)
              .hint("Could not choose a best candidate function. You might need to add explicit type casts."),
          call.location);
  }
  if (found.outcome != Resolution::Outcome::kFound || found.kernel->oid < kFirstUserOid) return nullptr;
  const auto function = context_.catalog->function(found.kernel->oid);
  if (function->kind == 'p') {
    raise(error(ErrorCode::kWrongObjectType, "{} is a procedure", signature_text(*function))
              .hint("To call a procedure, use CALL."),
          call.location);
  }
  if (names_found != nullptr) {
    names_found->functions[&call] = function->oid;
    names_found->use_object(function->oid);
  }
  if (const FunctionUse use{.function = function->oid};
      std::ranges::find(function_uses, use) == function_uses.end()) {
    function_uses.push_back(use);
  }
  const std::vector<ExprRef> settled = settle_arguments(*function, call, std::move(args), found.args, scope);
  if (function->returns_set || (function->result == types::kRecord && scope.clause == Clause::kFrom)) {
    ExprRef set = make_expr(ExprKind::kCall, found.result, settled, call.location);
    set->kernel = function->kernel.get();
    is_volatile = is_volatile || function->volatility == 'v';
    has_stable = has_stable || function->volatility != 'i';
    return set;
  }
  if (function->result == types::kRecord) {
    not_implemented(fmt::format("the record of {} as a value", name), call.location);
  }
  for (const KnownCall& one : known_calls_) {
    if (one.function == function.get() && one.scope == &scope &&
        std::ranges::equal(one.args, settled,
                           [](const ExprRef& a, const ExprRef& b) { return a == b || same_expr(*a, *b); })) {
      return one.made;
    }
  }
  if (ExprRef made = inline_call(*function, settled, found.result, scope, call.location); made != nullptr) {
    if (!sql::is_volatile(*made)) known_calls_.push_back({function.get(), settled, &scope, made});
    return made;
  }
  if (scope.clause == Clause::kIndex || scope.clause == Clause::kIndexPredicate ||
      scope.clause == Clause::kGenerated) {
    not_implemented(fmt::format("the function {}, which is more than one expression, in {}", name,
                                clause_name(scope.clause)),
                    call.location);
  }
  if (std::ranges::any_of(function->input_types(), is_polymorphic)) {
    not_implemented(fmt::format("the polymorphic function {}, which is more than one query", name),
                    call.location);
  }
  ExprRef made = make_expr(ExprKind::kCall, found.result, {}, call.location);
  made->kernel = function->kernel.get();
  made->args.push_back(constant(types::kInt8, OwnedValue::of_int(function->oid)));
  std::ranges::copy(settled, std::back_inserter(made->args));
  is_volatile = is_volatile || function->volatility == 'v';
  has_stable = has_stable || function->volatility != 'i';
  made->writes = may_write(*function, *context_.catalog);
  needs_writer = needs_writer || made->writes;
  return made;
}

ExprRef Binder::inline_call(const Function& function, const std::vector<ExprRef>& args, Oid result,
                            Scope& scope, int location) {
  if (function.language != "sql" || result == types::kVoid || result == types::kRecord) return nullptr;
  std::size_t depth = 0;
  for (const InlinedCall* outer = inlined_; outer != nullptr; outer = outer->outer) {
    if (outer->function->oid == function.oid || ++depth >= kMaxInlined) return nullptr;
  }
  const auto parsed = parse(function.body);
  if (!parsed || parsed->size() != 1) return nullptr;
  const ParsedStatementPtr& body = parsed->front();
  if (body->node->node_case != PG_QUERY__NODE__NODE_SELECT_STMT || changes_anything(*body)) return nullptr;
  const PgQuery__SelectStmt& select = *body->node->select_stmt;
  const bool plain = is_plain_expression(select);
  const bool simple = plain && !is_more_than_scalar(&select.base);
  if (!plain && std::ranges::any_of(
                    args, [](const ExprRef& arg) { return has_aggregate(*arg) || sql::is_volatile(*arg); })) {
    return nullptr;
  }
  bodies_.push_back(body);
  const bool was_volatile = std::exchange(is_volatile, false);
  const bool was_stable = std::exchange(has_stable, false);
  const bool wrote = needs_writer;
  const std::size_t relations_before = relations.size();
  const std::size_t uses_before = uses.size();
  NamesFound* const found = std::exchange(names_found, nullptr);
  const Relation* const view = std::exchange(view_, nullptr);
  const InlinedCall frame{.function = &function, .args = args, .outer = inlined_, .depth = scope.depth};
  ExprRef made;
  const auto restore = [&] {
    names_found = found;
    view_ = view;
  };
  try {
    made = with_text(body, [&] {
      inlined_ = &frame;
      return inline_body(function, *body->node, result, scope);
    });
  } catch (BindFailure& failure) {
    restore();
    // What cannot be said of rows around it may well be run.
    if (failure.error.code() != ErrorCode::kNotImplemented) throw;
    made = nullptr;
  }
  restore();
  // More than one look at a volatile argument would see more than one value.
  if (made != nullptr) {
    for (const ExprRef& arg : args) {
      if ((sql::is_volatile(*arg) && count_uses(*made, arg.get()) != 1) || (!simple && has_aggregate(*arg))) {
        made = nullptr;
        break;
      }
    }
  }
  // What the function says of itself counts, unless it is as good as its expression.
  const bool body_volatile = std::exchange(is_volatile, was_volatile);
  const bool body_stable = std::exchange(has_stable, was_stable);
  if (made == nullptr) {
    needs_writer = wrote;
    relations.resize(relations_before);
    uses.resize(uses_before);
    return nullptr;
  }
  const bool lets_volatile = function.volatility == 'v';
  const bool lets_stable = function.volatility != 'i';
  is_volatile = is_volatile || (lets_volatile && (body_volatile || !simple));
  has_stable = has_stable || (lets_stable && (body_stable || body_volatile || !simple));
  if (function.strict) {
    std::vector<const Expr*> leaves;
    if (simple) strict_leaves(made, leaves);
    ExprRef any = make_expr(ExprKind::kOr, types::kBool);
    for (const ExprRef& arg : args) {
      if (is_never_null(*arg) || std::ranges::find(leaves, arg.get()) != leaves.end()) continue;
      any->args.push_back(make_expr(ExprKind::kIsNull, types::kBool, {arg}));
    }
    if (any->args.size() == 1) any = any->args.front();
    if (any->kind != ExprKind::kOr || !any->args.empty()) {
      made = make_expr(ExprKind::kCase, result, {any, null_constant(result), made}, location);
    }
  }
  return made;
}

ExprRef Binder::inline_body(const Function& function, const pg::Node& body, Oid result, Scope& scope) {
  const PgQuery__SelectStmt& stmt = *body.select_stmt;
  const auto fit = [&](ExprRef e) {
    const Oid from = type_of(*e);
    ExprRef made = try_coerce(std::move(e), result, -1, CastContext::kAssignment);
    if (made == nullptr) {
      raise(error(ErrorCode::kInvalidFunctionDefinition,
                  "return type mismatch in function declared to return {}", format_type(result))
                .detail(fmt::format("Actual return type is {}.", format_type(from))));
    }
    return made;
  };
  Scope top{.depth = scope.depth};
  top.in_aggregate = scope.in_aggregate;
  top.in_window = scope.in_window;
  if (is_plain_expression(stmt) && !is_more_than_scalar(&stmt.base)) {
    return fit(expression(*stmt.target_list[0]->res_target->val, top, Clause::kSelect));
  }
  if (scope.clause == Clause::kIndex || scope.clause == Clause::kIndexPredicate ||
      scope.clause == Clause::kGenerated) {
    not_implemented(fmt::format("a function with a query in {}", clause_name(scope.clause)));
  }
  has_subquery = true;
  QueryRef query = select(stmt, &top, true);
  if (query->targets.size() != 1) {
    raise(error(ErrorCode::kInvalidFunctionDefinition,
                "return type mismatch in function declared to return {}", format_type(function.result))
              .detail("Final statement must return exactly one column."));
  }
  const Oid from = type_of(*query->targets[0].expr);
  if (!can_coerce(from, result, CastContext::kAssignment)) (void)fit(query->targets[0].expr);
  coerce_column(*query, 0, result, -1, CastContext::kAssignment);
  if (query->limit != nullptr || query->offset != nullptr || query->with_ties) {
    // The first of its rows.
    auto first = std::make_shared<Query>();
    first->depth = query->depth;
    RangeRef entry = new_entry(RangeKind::kSubquery, function.name, query->depth);
    entry->query = std::move(query);
    columns_of_query(*entry, *entry->query);
    auto leaf = std::make_unique<FromNode>();
    leaf->entry = entry;
    first->from.push_back(std::move(leaf));
    first->targets.push_back({.name = function.name, .expr = column_of(entry, 0)});
    query = std::move(first);
  }
  query->limit = constant(types::kInt8, OwnedValue::of_int(1));
  ExprRef made = make_expr(ExprKind::kScalarSubquery, result);
  made->query = std::move(query);
  made->source = &body;
  return made;
}

RangeRef Binder::inline_set(const Function& function, const std::vector<ExprRef>& args, std::string alias,
                            Scope& scope, int location) {
  const auto refuse = [&](std::string_view what) {
    not_implemented(fmt::format("{} of the function {} in FROM", what, function.name), location);
  };
  const auto parsed = parse(function.body);
  if (!parsed) raise(parsed.error());
  const bool one = function.language == "sql" && parsed->size() == 1 &&
                   parsed->front()->node->node_case == PG_QUERY__NODE__NODE_SELECT_STMT;
  if (!one || changes_anything(*parsed->front())) refuse("a body other than one SELECT");
  for (const InlinedCall* outer = inlined_; outer != nullptr; outer = outer->outer) {
    if (outer->function->oid == function.oid) refuse("recursion");
  }
  for (const ExprRef& arg : args) {
    if (uses_rows(*arg, scope.depth)) refuse("an argument from the same FROM clause");
    if (sql::is_volatile(*arg)) refuse("a volatile argument");
  }
  const ParsedStatementPtr& body = parsed->front();
  bodies_.push_back(body);
  NamesFound* const found = std::exchange(names_found, nullptr);
  const Relation* const view = std::exchange(view_, nullptr);
  const InlinedCall frame{.function = &function, .args = args, .outer = inlined_, .depth = scope.depth};
  QueryRef query = with_text(body, [&] {
    inlined_ = &frame;
    Scope top{.depth = scope.depth};
    return select(*body->node->select_stmt, &top, true);
  });
  names_found = found;
  view_ = view;
  const auto outputs = function.outputs();
  const std::size_t count = outputs.empty() ? 1 : outputs.size();
  if (query->targets.size() != count) {
    raise(error(ErrorCode::kInvalidFunctionDefinition,
                "return type mismatch in function declared to return {}", format_type(function.result))
              .detail(query->targets.size() > count ? "Final statement returns too many columns."
                                                    : "Final statement returns too few columns."));
  }
  for (std::size_t i = 0; i < count; ++i) {
    coerce_column(*query, i, outputs.empty() ? function.result : outputs[i]->type, -1,
                  CastContext::kAssignment);
  }
  RangeRef entry = new_entry(RangeKind::kSubquery, std::move(alias), scope.depth);
  entry->query = std::move(query);
  if (!function.returns_set || function.strict) {
    auto all = std::make_shared<Query>();
    all->depth = entry->query->depth;
    RangeRef rows = new_entry(RangeKind::kSubquery, function.name, all->depth);
    rows->query = std::move(entry->query);
    columns_of_query(*rows, *rows->query);
    auto leaf = std::make_unique<FromNode>();
    leaf->entry = rows;
    all->from.push_back(std::move(leaf));
    for (std::size_t i = 0; i < count; ++i) {
      all->targets.push_back({.name = rows->columns[i].name, .expr = column_of(rows, i)});
    }
    if (function.strict && !args.empty()) {
      all->where = make_expr(ExprKind::kAnd, types::kBool);
      for (const ExprRef& arg : args) {
        all->where->args.push_back(make_expr(ExprKind::kIsNotNull, types::kBool, {arg}));
      }
      if (all->where->args.size() == 1) all->where = all->where->args.front();
    }
    if (!function.returns_set) all->limit = constant(types::kInt8, OwnedValue::of_int(1));
    entry->query = std::move(all);
  }
  columns_of_query(*entry, *entry->query);
  for (std::size_t i = 0; i < count; ++i) {
    entry->columns[i].name = outputs.empty() || outputs[i]->name.empty()
                                 ? (outputs.size() > 1 ? fmt::format("column{}", i + 1) : entry->alias)
                                 : outputs[i]->name;
  }
  return entry;
}

}  // namespace bop::sql
