#include "sql/bind.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "sql/binder.hpp"
#include "sql/functions/kernels.hpp"
#include "sql/generate.hpp"
#include "sql/plan_change.hpp"
#include "sql/staged.hpp"
#include "sql/statement_kind.hpp"
#include "sql/tree_search.hpp"

namespace bop::sql {

Binder::Binder(const ParsedStatementPtr& statement, const BindContext& context,
               std::span<const Oid> parameter_types)
    : statement_(statement), context_(context), parameters_(parameter_types.begin(), parameter_types.end()) {
  for (Oid& type : parameters_) {
    if (type == types::kUnknown) {
      type = 0;
    }
  }
}

// A recursive query refers to itself by way of its CTE: nothing would ever free it.
Binder::~Binder() {
  for (const auto& cte : recursive_ctes_) {
    cte->query.reset();
  }
}

void Binder::raise(Error e, int location) const {
  if (location >= 0 && e.fields().position == 0) {
    e.mut().position = position(location);
  }
  throw BindFailure{std::move(e)};
}

void Binder::not_implemented(std::string_view what, int location) const {
  raise(error(ErrorCode::kNotImplemented, "{}{}", what,
              what.ends_with("implemented") ? "" : " is not implemented"),
        location);
}

namespace {

constexpr std::size_t kMaxTargets = 1664;  // as in PostgreSQL

void plan_select(Binder& binder, const PgQuery__SelectStmt& stmt, Plan& plan) {
  plan.kind = PlanKind::kSelect;
  plan.tag = "SELECT";
  plan.returns_rows = true;
  const QueryRef query = binder.select(stmt, nullptr, true);
  if (query->targets.size() > kMaxTargets) {
    throw BindFailure{
        error(ErrorCode::kTooManyColumns, "target lists can have at most {} entries", kMaxTargets)};
  }
  finish_parameters(binder);
  plan.columns = output_columns(binder, query->targets);
  Generator generator(binder.parameters().size());
  if (changes_rows(query->ctes)) {
    plan.kind = PlanKind::kChangingSelect;
    plan_changes(binder, query->ctes, plan);
    StagedPlan staged(binder, generator, plan);
    staged.compute_read(query->ctes);
    staged.answer(*query);
    staged.finish();
    plan_diagnoses(binder, query->ctes, generator, plan);
    binder.needs_writer = true;
  } else {
    plan.sql = generator.query(*query);
  }
  plan.constants = generator.take_constants();
  plan.needs_writer = binder.needs_writer;
  if (!plan.needs_writer && combines_rows(*query)) {
    plan.query = query;
    plan.reading = std::make_shared<ReadingNotes>();
  }
  plan.lock_nowait = binder.lock_nowait;
}

Result<PlanPtr> bind_telling(const ParsedStatementPtr& statement, const BindContext& context,
                             std::span<const Oid> parameter_types, NamesFound* found) {
  auto plan = std::make_shared<Plan>();
  plan->statement = statement;
  plan->catalog = context.catalog;
  plan->names_key = context.names_key;
  try {
    const pg::Node& node = *statement->node;
    Binder binder(statement, context, parameter_types);
    binder.names_found = found;
    switch (node.node_case) {
      case PG_QUERY__NODE__NODE_SELECT_STMT:
        if (select_into(*node.select_stmt) != nullptr) {
          // SELECT INTO is CREATE TABLE AS: work for DDL.
          plan->kind = PlanKind::kUtility;
          plan->tag = "SELECT";
          return plan;
        }
        plan_select(binder, *node.select_stmt, *plan);
        break;
      case PG_QUERY__NODE__NODE_INSERT_STMT:
        plan_change(binder, binder.insert(*node.insert_stmt), *plan);
        break;
      case PG_QUERY__NODE__NODE_UPDATE_STMT:
        plan_change(binder, binder.update(*node.update_stmt), *plan);
        break;
      case PG_QUERY__NODE__NODE_DELETE_STMT:
        plan_change(binder, binder.remove(*node.delete_stmt), *plan);
        break;
      case PG_QUERY__NODE__NODE_MERGE_STMT: plan_merge(binder, binder.merge(*node.merge_stmt), *plan); break;
      case PG_QUERY__NODE__NODE_EXPLAIN_STMT:
        plan_explain(*node.explain_stmt, statement, context, parameter_types, *plan);
        return plan;
      case PG_QUERY__NODE__NODE_DECLARE_CURSOR_STMT: {
        const ParsedStatementPtr query = inner_statement(statement, node.declare_cursor_stmt->query);
        BOP_LET(inner, bind_telling(query, context, parameter_types, found));
        if (inner->kind == PlanKind::kChangingSelect) {
          return fail(ErrorCode::kNotImplemented,
                      "DECLARE CURSOR must not contain data-modifying statements in WITH");
        }
        if (inner->kind != PlanKind::kSelect) {
          return fail(ErrorCode::kNotImplemented, "DECLARE CURSOR over this query is not implemented");
        }
        plan->kind = PlanKind::kUtility;
        plan->tag = std::string(statement->command);
        plan->parameters = inner->parameters;
        plan->inner = std::move(inner);
        return plan;
      }
      default:
        plan->kind = PlanKind::kUtility;
        plan->tag = std::string(statement->command);
        plan->parameters.assign(parameter_types.begin(), parameter_types.end());
        return plan;
    }
    plan->parameters = binder.parameters();
    plan->relations = binder.relations;
    plan->uses = binder.uses;
    plan->function_uses = binder.function_uses;
    plan->is_volatile = binder.is_volatile;
    return plan;
  } catch (BindFailure& failure) {
    return std::unexpected(std::move(failure.error));
  }
}

}  // namespace

Result<PlanPtr> bind(const ParsedStatementPtr& statement, const BindContext& context,
                     std::span<const Oid> parameter_types) {
  return bind_telling(statement, context, parameter_types, nullptr);
}

Result<PlanPtr> bind_query(const ParsedStatementPtr& statement, const BindContext& context,
                           NamesFound& found) {
  return bind_telling(statement, context, {}, &found);
}

namespace {

Clause clause_of(ExpressionUse use) {
  switch (use) {
    case ExpressionUse::kCheck: return Clause::kCheck;
    case ExpressionUse::kDefault: return Clause::kDefault;
    case ExpressionUse::kIndex: return Clause::kIndex;
    case ExpressionUse::kIndexPredicate: return Clause::kIndexPredicate;
    case ExpressionUse::kGenerated: return Clause::kGenerated;
    case ExpressionUse::kTransform: return Clause::kTransform;
    case ExpressionUse::kCopyWhere: return Clause::kCopyWhere;
  }
  return Clause::kCheck;
}

void collect_columns(const Expr& e, std::vector<std::int16_t>& out) {
  if (e.kind == ExprKind::kColumn && e.entry != nullptr) {
    const std::int16_t number = e.entry->columns[static_cast<std::size_t>(e.number)].attribute;
    if (std::ranges::find(out, number) == out.end()) {
      out.push_back(number);
    }
  }
  for (const ExprRef& arg : e.args) {
    if (arg != nullptr) {
      collect_columns(*arg, out);
    }
  }
}

}  // namespace

namespace {

// A default that is too long for its column is refused where it is used, not where it is written.
ExprRef default_value(Binder& binder, const ExprRef& e, Oid type, std::int32_t typmod) {
  if (typmod >= 0 && type != types::kInterval &&
      (e->kind == ExprKind::kUnknown || e->kind == ExprKind::kConst)) {
    ExprRef whole = binder.try_coerce(e, type, -1, CastContext::kAssignment);
    if (whole != nullptr && whole->kind == ExprKind::kConst &&
        !apply_typmod(type, typmod, whole->value, false).has_value()) {
      ExprRef made = make_expr(ExprKind::kCast, type, {std::move(whole)}, e->location);
      made->cast_from = type;
      made->typmod = typmod;
      return made;
    }
  }
  return binder.try_coerce(e, type, typmod, CastContext::kAssignment);
}

void refuse_generated_columns(const Binder& binder, const Expr& e) {
  visit(e, [&](const Expr& part) {
    if (part.kind == ExprKind::kColumn && part.entry != nullptr && part.entry->relation != nullptr) {
      const std::int16_t number = part.entry->columns[static_cast<std::size_t>(part.number)].attribute;
      const Column* column = part.entry->relation->find_column(number);
      if (column != nullptr && column->generated != 0) {
        binder.raise(error(ErrorCode::kInvalidObjectDefinition,
                           "cannot use generated column \"{}\" in column generation expression", column->name)
                         .detail("A generated column cannot reference another generated column."),
                     part.location);
      }
    }
    return true;
  });
}

}  // namespace

Result<BoundExpression> bind_expression(const ParsedStatementPtr& expression, const Relation* relation,
                                        ExpressionUse use, const BindContext& context, Oid coerce_to,
                                        std::int32_t coerce_typmod, std::string_view column_name,
                                        NamesFound* found) {
  try {
    Binder binder(expression, context, {});
    binder.names_found = found;
    Scope scope{.depth = 1};
    if (relation != nullptr) {
      RangeRef entry = binder.table_entry(std::make_shared<const Relation>(*relation), relation->name, 1);
      entry->bare = true;
      scope.items.push_back(binder.scope_item(entry));
      scope.range_table.push_back(entry);
    }
    const Clause clause = clause_of(use);
    ExprRef e;
    if (use == ExpressionUse::kCheck || use == ExpressionUse::kIndexPredicate ||
        use == ExpressionUse::kCopyWhere) {
      e = binder.boolean(*expression->node, scope, clause, use == ExpressionUse::kCheck ? "CHECK" : "WHERE");
    } else {
      e = binder.expression(*expression->node, scope, clause);
      if (coerce_to != 0) {
        const Oid from = binder.type_of(*e);
        ExprRef made = use == ExpressionUse::kDefault
                           ? default_value(binder, e, coerce_to, coerce_typmod)
                           : binder.try_coerce(e, coerce_to, coerce_typmod, CastContext::kAssignment);
        if (made == nullptr && use == ExpressionUse::kTransform) {
          binder.raise(
              error(ErrorCode::kDatatypeMismatch,
                    "result of USING clause for column \"{}\" cannot be cast automatically to type {}",
                    column_name, format_type(coerce_to))
                  .hint("You might need to add an explicit cast."));
        }
        if (made == nullptr) {
          binder.raise(error(ErrorCode::kDatatypeMismatch,
                             "column \"{}\" is of type {} but default expression is of type {}", column_name,
                             format_type(coerce_to), format_type(from))
                           .hint("You will need to rewrite or cast the expression."));
        }
        e = std::move(made);
      } else {
        e = binder.resolve_unknown(std::move(e));
      }
    }
    if (!binder.parameters().empty()) {
      int number = 1;
      int location = -1;
      visit(*e, [&](const Expr& part) {
        if (part.kind == ExprKind::kParam && location < 0) {
          number = part.number;
          location = part.location;
        }
        return true;
      });
      binder.raise(error(ErrorCode::kUndefinedParameter, "there is no parameter ${}", number), location);
    }
    const bool immutable = !binder.is_volatile && !binder.has_stable;
    if (!immutable) {
      if (use == ExpressionUse::kIndex) {
        binder.raise(error(ErrorCode::kInvalidObjectDefinition,
                           "functions in index expression must be marked IMMUTABLE"));
      }
      if (use == ExpressionUse::kIndexPredicate) {
        binder.raise(error(ErrorCode::kInvalidObjectDefinition,
                           "functions in index predicate must be marked IMMUTABLE"));
      }
      if (use == ExpressionUse::kGenerated) {
        binder.raise(error(ErrorCode::kInvalidObjectDefinition, "generation expression is not immutable"));
      }
    }
    BoundExpression out;
    out.type = binder.type_of(*e);
    out.typmod = e->typmod;
    out.immutable = immutable;
    collect_columns(*e, out.columns);
    if (use == ExpressionUse::kGenerated) {
      refuse_generated_columns(binder, *e);
    }
    Generator generator(0, true);
    const bool tested = use == ExpressionUse::kCheck || use == ExpressionUse::kIndexPredicate ||
                        use == ExpressionUse::kCopyWhere;
    out.sql = tested                         ? generator.condition(*e)
              : use == ExpressionUse::kIndex ? generator.index_key(*e)
                                             : generator.expression(*e);
    return out;
  } catch (BindFailure& failure) {
    return std::unexpected(std::move(failure.error));
  }
}

}  // namespace bop::sql
