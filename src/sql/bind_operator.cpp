// Operators, comparisons of rows, IN, ANY and ALL, and subqueries in expressions.
#include <algorithm>

#include <fmt/format.h>

#include "sql/binder.hpp"
#include "sql/functions/kernels.hpp"
#include "sql/resolve_function.hpp"

namespace bop::sql {

namespace {

bool is_comparison(std::string_view op) {
  return op == "=" || op == "<>" || op == "<" || op == "<=" || op == ">" || op == ">=";
}

// Whether PostgreSQL has an operator for just these two types, so that it casts neither.
bool compares_uncast(Oid left, Oid right) {
  const auto within = [&](std::initializer_list<Oid> family) {
    return std::ranges::find(family, left) != family.end() &&
           std::ranges::find(family, right) != family.end();
  };
  return within({types::kInt2, types::kInt4, types::kInt8}) || within({types::kFloat4, types::kFloat8}) ||
         within({types::kDate, types::kTimestamp, types::kTimestamptz});
}

}  // namespace

ExprRef Binder::make_operator(std::string_view name, ExprRef left, ExprRef right, int location) {
  if (name == "!=") {
    name = "<>";
  }
  std::vector<Oid> actual;
  if (left != nullptr) {
    actual.push_back(type_of(*left));
  }
  actual.push_back(type_of(*right));
  const Resolution found = resolve_operator(name, actual);
  if (found.outcome != Resolution::Outcome::kFound) {
    const bool ambiguous = found.outcome == Resolution::Outcome::kAmbiguous;
    const std::string sign =
        left == nullptr ? fmt::format("{} {}", name, format_type(actual[0]))
                        : fmt::format("{} {} {}", format_type(actual[0]), name, format_type(actual[1]));
    std::string_view hint =
        "Could not choose a best candidate operator. You might need to add explicit type casts.";
    if (!ambiguous && left != nullptr) {
      hint =
          "No operator matches the given name and argument types. You might need to add explicit type casts.";
    } else if (!ambiguous) {
      hint =
          "No operator matches the given name and argument type. You might need to add an explicit type cast.";
    }
    raise(error(ambiguous ? ErrorCode::kAmbiguousFunction : ErrorCode::kUndefinedFunction, "operator {}: {}",
                ambiguous ? "is not unique" : "does not exist", sign)
              .hint(std::string(hint)),
          location);
  }
  ExprRef made = make_expr(ExprKind::kCall, found.result, {}, location);
  made->kernel = found.kernel;
  std::size_t i = 0;
  for (ExprRef* operand : {&left, &right}) {
    if (*operand == nullptr) {
      continue;
    }
    const Oid wanted = found.args[i] == 0 ? base_type(type_of(**operand)) : found.args[i];
    ExprRef e = coerce(std::move(*operand), wanted, -1, CastContext::kImplicit);
    made->arg_types.push_back(type_of(*e));
    made->args.push_back(sees_blanks(*found.kernel, i) ? padded(std::move(e)) : std::move(e));
    ++i;
  }
  note_volatility(*found.kernel, made->arg_types);
  return made;
}

ExprRef Binder::comparison(std::string_view op, ExprRef left, ExprRef right, int location) {
  // Whole rows are compared as records are: NULL is equal to NULL.
  const bool written = left != nullptr && left->kind == ExprKind::kRow && right->kind == ExprKind::kRow &&
                       left->names.empty() && right->names.empty();
  if (written) {
    return row_comparison(op, *left, *right, location);
  }
  return make_operator(op, std::move(left), std::move(right), location);
}

ExprRef Binder::row_comparison(std::string_view op, const Expr& left, const Expr& right, int location) {
  if (op == "!=") {
    op = "<>";
  }
  if (left.args.size() != right.args.size()) {
    raise(error(ErrorCode::kSyntaxError, "unequal number of entries in row expressions"), location);
  }
  if (left.args.empty()) {
    raise(error(ErrorCode::kNotImplemented, "cannot compare rows of zero length"), location);
  }
  if (!is_comparison(op)) {
    not_implemented(fmt::format("operator {} between rows", op), location);
  }
  const std::size_t count = left.args.size();
  if (op == "=" || op == "<>") {
    ExprRef made = make_expr(op == "=" ? ExprKind::kAnd : ExprKind::kOr, types::kBool, {}, location);
    for (std::size_t i = 0; i < count; ++i) {
      made->args.push_back(comparison(op, left.args[i], right.args[i], location));
    }
    return count == 1 ? made->args[0] : made;
  }
  // a < b, or a = b and the rest: with NULL where a NULL decides, as PostgreSQL's row comparison.
  const std::string_view strict = op.starts_with('<') ? "<" : ">";
  ExprRef made = comparison(op, left.args[count - 1], right.args[count - 1], location);
  for (std::size_t i = count - 1; i-- > 0;) {
    ExprRef less = comparison(strict, left.args[i], right.args[i], location);
    ExprRef equal = comparison("=", left.args[i], right.args[i], location);
    ExprRef both = make_expr(ExprKind::kAnd, types::kBool, {equal, made}, location);
    made = make_expr(ExprKind::kOr, types::kBool, {less, both}, location);
  }
  return made;
}

// The left side of a comparison stands inside the subquery that the generated text makes of both, where a
// call without columns would not be ours.
void Binder::check_inside_subquery(const Expr& left, int location) const {
  visit(left, [&](const Expr& part) {
    const bool counts_rows =
        part.kind == ExprKind::kAggregate &&
        std::ranges::none_of(part.args, [&](const ExprRef& arg) { return uses_rows(*arg, part.depth); });
    if (part.kind == ExprKind::kWindow || counts_rows) {
      not_implemented("an aggregate without columns or a window function before ANY or ALL of a subquery",
                      location);
    }
    return true;
  });
}

// (a, b) = (SELECT x, y ...): the comparison is what a subquery around it selects.
ExprRef Binder::row_subquery(const PgQuery__AExpr& e, Scope& scope) {
  const PgQuery__SubLink& link = *e.rexpr->sub_link;
  const ExprRef left = expression(*e.lexpr, scope);
  has_subquery = true;
  QueryRef inner = select(*link.subselect->select_stmt, &scope, true);
  if (left->args.size() != inner->targets.size()) {
    raise(error(ErrorCode::kSyntaxError, "subquery has too {} columns",
                left->args.size() < inner->targets.size() ? "many" : "few"),
          e.location);
  }
  check_inside_subquery(*left, e.location);
  auto leaf = std::make_unique<FromNode>();
  leaf->entry = new_entry(RangeKind::kSubquery, "", scope.depth + 1);
  columns_of_query(*leaf->entry, *inner);
  leaf->entry->query = std::move(inner);
  Expr right;
  for (std::size_t i = 0; i < left->args.size(); ++i) {
    right.args.push_back(column_of(leaf->entry, i));
  }
  auto query = std::make_shared<Query>();
  query->depth = scope.depth + 1;
  query->targets.push_back(
      {.name = "", .expr = row_comparison(pg::last_name(BOP_PG_LIST(&e, name)), *left, right, e.location)});
  query->from.push_back(std::move(leaf));
  ExprRef made = make_expr(ExprKind::kScalarSubquery, types::kBool, {}, e.location);
  made->query = std::move(query);
  made->source = &e.base;
  return made;
}

ExprRef Binder::operator_expression(const PgQuery__AExpr& e, Scope& scope) {
  const std::string_view op = pg::last_name(BOP_PG_LIST(&e, name));
  const auto left = [&] { return e.lexpr == nullptr ? nullptr : expression(*e.lexpr, scope); };
  const auto right = [&] { return expression(*e.rexpr, scope); };
  switch (e.kind) {
    case PG_QUERY__A__EXPR__KIND__AEXPR_OP:
    case PG_QUERY__A__EXPR__KIND__AEXPR_LIKE:
    case PG_QUERY__A__EXPR__KIND__AEXPR_ILIKE:
    case PG_QUERY__A__EXPR__KIND__AEXPR_SIMILAR: {
      if (e.rexpr->node_case == PG_QUERY__NODE__NODE_SUB_LINK && e.lexpr != nullptr &&
          e.lexpr->node_case == PG_QUERY__NODE__NODE_ROW_EXPR &&
          e.rexpr->sub_link->sub_link_type == PG_QUERY__SUB_LINK_TYPE__EXPR_SUBLINK) {
        return row_subquery(e, scope);
      }
      ExprRef l = left();
      return comparison(op, std::move(l), right(), e.location);
    }
    case PG_QUERY__A__EXPR__KIND__AEXPR_OP_ANY:
    case PG_QUERY__A__EXPR__KIND__AEXPR_OP_ALL: return quantified_array(e, scope);
    case PG_QUERY__A__EXPR__KIND__AEXPR_IN: return in_list(e, scope);
    case PG_QUERY__A__EXPR__KIND__AEXPR_DISTINCT:
    case PG_QUERY__A__EXPR__KIND__AEXPR_NOT_DISTINCT: {
      const bool distinct = e.kind == PG_QUERY__A__EXPR__KIND__AEXPR_DISTINCT;
      ExprRef l = left();
      ExprRef r = right();
      const auto pair = [&](ExprRef a, ExprRef b) {
        // Through the operator, so that both sides get its types.
        ExprRef equal = make_operator("=", std::move(a), std::move(b), e.location);
        return make_expr(distinct ? ExprKind::kIsDistinct : ExprKind::kIsNotDistinct, types::kBool,
                         equal->args, e.location);
      };
      if (l->kind == ExprKind::kRow && r->kind == ExprKind::kRow) {
        if (l->args.size() != r->args.size()) {
          raise(error(ErrorCode::kSyntaxError, "unequal number of entries in row expressions"), e.location);
        }
        ExprRef made = make_expr(distinct ? ExprKind::kOr : ExprKind::kAnd, types::kBool, {}, e.location);
        for (std::size_t i = 0; i < l->args.size(); ++i) {
          made->args.push_back(pair(l->args[i], r->args[i]));
        }
        return made;
      }
      return pair(std::move(l), std::move(r));
    }
    case PG_QUERY__A__EXPR__KIND__AEXPR_NULLIF: {
      ExprRef l = left();
      ExprRef r = right();
      ExprRef equal = make_operator("=", l, r, e.location);
      // The operator's left side is the value; where PostgreSQL compares two types as they are, it keeps its
      // own.
      ExprRef value = compares_uncast(type_of(*l), type_of(*r)) ? l : equal->args[0];
      const Oid type = type_of(*value) == types::kUnknown ? Oid{types::kText} : type_of(*value);
      ExprRef made = make_expr(ExprKind::kNullIf, type, {std::move(value), std::move(equal)}, e.location);
      made->typmod = made->args[0]->typmod;
      return made;
    }
    case PG_QUERY__A__EXPR__KIND__AEXPR_BETWEEN:
    case PG_QUERY__A__EXPR__KIND__AEXPR_NOT_BETWEEN:
    case PG_QUERY__A__EXPR__KIND__AEXPR_BETWEEN_SYM:
    case PG_QUERY__A__EXPR__KIND__AEXPR_NOT_BETWEEN_SYM: {
      if (e.rexpr->node_case != PG_QUERY__NODE__NODE_LIST || e.rexpr->list->n_items != 2) {
        not_implemented("this form of BETWEEN", e.location);
      }
      const bool negated = e.kind == PG_QUERY__A__EXPR__KIND__AEXPR_NOT_BETWEEN ||
                           e.kind == PG_QUERY__A__EXPR__KIND__AEXPR_NOT_BETWEEN_SYM;
      const bool symmetric = e.kind == PG_QUERY__A__EXPR__KIND__AEXPR_BETWEEN_SYM ||
                             e.kind == PG_QUERY__A__EXPR__KIND__AEXPR_NOT_BETWEEN_SYM;
      const auto range = [&](const pg::Node& low, const pg::Node& high) {
        ExprRef a =
            comparison(negated ? "<" : ">=", expression(*e.lexpr, scope), expression(low, scope), e.location);
        ExprRef b = comparison(negated ? ">" : "<=", expression(*e.lexpr, scope), expression(high, scope),
                               e.location);
        return make_expr(negated ? ExprKind::kOr : ExprKind::kAnd, types::kBool, {a, b}, e.location);
      };
      const pg::Node& low = *e.rexpr->list->items[0];
      const pg::Node& high = *e.rexpr->list->items[1];
      if (!symmetric) {
        return range(low, high);
      }
      return make_expr(negated ? ExprKind::kAnd : ExprKind::kOr, types::kBool,
                       {range(low, high), range(high, low)}, e.location);
    }
    default: not_implemented("this operator", e.location);
  }
}

ExprRef Binder::in_list(const PgQuery__AExpr& e, Scope& scope) {
  const bool negated = pg::last_name(BOP_PG_LIST(&e, name)) == "<>";
  ExprRef left = expression(*e.lexpr, scope);
  std::vector<ExprRef> items;
  for (const pg::Node* node : BOP_PG_LIST(e.rexpr->list, items)) {
    items.push_back(expression(*node, scope));
  }
  if (left->kind != ExprKind::kRow) {
    std::vector<ExprRef> all{left};
    all.insert(all.end(), items.begin(), items.end());
    const Oid type = common_type_or_none(all);
    bool reachable = type != 0 && is_comparable(type);
    for (const ExprRef& item : all) {
      reachable = reachable && can_coerce(type_of(*item), type, CastContext::kImplicit);
    }
    if (reachable) {
      for (ExprRef& item : all) {
        item = coerce(std::move(item), type, -1, CastContext::kImplicit);
      }
      ExprRef made = make_expr(ExprKind::kInList, types::kBool, std::move(all), e.location);
      made->negated = negated;
      return made;
    }
  }
  ExprRef made = make_expr(negated ? ExprKind::kAnd : ExprKind::kOr, types::kBool, {}, e.location);
  for (ExprRef& item : items) {
    made->args.push_back(comparison(negated ? "<>" : "=", left, std::move(item), e.location));
  }
  return made;
}

ExprRef Binder::quantified_array(const PgQuery__AExpr& e, Scope& scope) {
  std::string_view op = pg::last_name(BOP_PG_LIST(&e, name));
  if (op == "!=") {
    op = "<>";
  }
  ExprRef left = expression(*e.lexpr, scope);
  ExprRef right = expression(*e.rexpr, scope);
  Oid array = type_of(*right);
  if (array == types::kUnknown) {
    Oid element = type_of(*left) == types::kUnknown ? Oid{types::kText} : type_of(*left);
    if (element == types::kVarchar) {
      element = types::kText;
    }
    array = array_of(element);
    right = coerce(std::move(right), array, -1, CastContext::kImplicit);
  }
  const Oid element = element_of(array);
  if (element == 0) {
    raise(error(ErrorCode::kWrongObjectType, "op ANY/ALL (array) requires array on right side"), e.location);
  }
  // The operator between the scalar and one element.
  ExprRef item = make_expr(ExprKind::kColumn, element);
  ExprRef pair = make_operator(op, std::move(left), std::move(item), e.location);
  if (pair->type != types::kBool) {
    raise(error(ErrorCode::kWrongObjectType, "op ANY/ALL (array) requires operator to yield boolean"),
          e.location);
  }
  const Oid wanted = type_of(*pair->args[1]);
  if (wanted != element && array_of(wanted) != 0) {
    right = coerce(std::move(right), array_of(wanted), -1, CastContext::kImplicit);
  } else if (!is_true_array(array)) {
    right = coerce(std::move(right), array_of(wanted), -1, CastContext::kImplicit);
  }
  const bool any = e.kind == PG_QUERY__A__EXPR__KIND__AEXPR_OP_ANY;
  ExprRef made = make_expr(any ? ExprKind::kAnyArray : ExprKind::kAllArray, types::kBool,
                           {pair->args[0], right}, e.location);
  made->text = op;
  made->cast_from = wanted;
  made->kernel = pair->kernel;
  return made;
}

ExprRef Binder::sub_link(const PgQuery__SubLink& link, Scope& scope) {
  if (link.subselect == nullptr || link.subselect->node_case != PG_QUERY__NODE__NODE_SELECT_STMT) {
    not_implemented("this kind of subquery", link.location);
  }
  switch (scope.clause) {
    case Clause::kCheck:
      raise(error(ErrorCode::kNotImplemented, "cannot use subquery in check constraint"), link.location);
    case Clause::kDefault:
      raise(error(ErrorCode::kNotImplemented, "cannot use subquery in DEFAULT expression"), link.location);
    case Clause::kIndex:
      raise(error(ErrorCode::kNotImplemented, "cannot use subquery in index expression"), link.location);
    case Clause::kIndexPredicate:
      raise(error(ErrorCode::kNotImplemented, "cannot use subquery in index predicate"), link.location);
    case Clause::kGenerated:
      raise(error(ErrorCode::kNotImplemented, "cannot use subquery in column generation expression"),
            link.location);
    case Clause::kTransform:
      raise(error(ErrorCode::kNotImplemented, "cannot use subquery in transform expression"), link.location);
    case Clause::kCopyWhere:
      raise(error(ErrorCode::kNotImplemented, "cannot use subquery in COPY FROM WHERE condition"),
            link.location);
    default: break;
  }
  has_subquery = true;
  QueryRef query = select(*link.subselect->select_stmt, &scope, true);
  const std::size_t columns = query->targets.size();
  switch (link.sub_link_type) {
    case PG_QUERY__SUB_LINK_TYPE__EXISTS_SUBLINK: {
      ExprRef made = make_expr(ExprKind::kExists, types::kBool, {}, link.location);
      made->query = std::move(query);
      made->source = &link.base;
      return made;
    }
    case PG_QUERY__SUB_LINK_TYPE__EXPR_SUBLINK:
    case PG_QUERY__SUB_LINK_TYPE__ARRAY_SUBLINK: {
      if (columns != 1) {
        raise(error(ErrorCode::kSyntaxError, "subquery must return only one column"), link.location);
      }
      const bool array = link.sub_link_type == PG_QUERY__SUB_LINK_TYPE__ARRAY_SUBLINK;
      const Expr& first = *query->targets[0].expr;
      const Oid type = type_of(first);
      Oid result = type;
      if (array && !is_true_array(type)) {  // of arrays: an array of one more dimension, of the same type
        result = array_of(type);
        if (result == 0) {
          raise(error(ErrorCode::kUndefinedObject, "could not find array type for data type {}",
                      format_type(type)),
                link.location);
        }
      }
      ExprRef made =
          make_expr(array ? ExprKind::kArraySubquery : ExprKind::kScalarSubquery, result, {}, link.location);
      made->typmod = first.typmod;
      made->query = std::move(query);
      made->source = &link.base;
      return made;
    }
    case PG_QUERY__SUB_LINK_TYPE__ANY_SUBLINK:
    case PG_QUERY__SUB_LINK_TYPE__ALL_SUBLINK: {
      const bool all = link.sub_link_type == PG_QUERY__SUB_LINK_TYPE__ALL_SUBLINK;
      std::string_view op = link.n_oper_name == 0 ? "=" : pg::last_name(BOP_PG_LIST(&link, oper_name));
      if (op == "!=") {
        op = "<>";
      }
      ExprRef test = expression(*link.testexpr, scope);
      const bool written = test->kind == ExprKind::kRow && test->names.empty();  // a whole row is one value
      std::vector<ExprRef> left = written ? test->args : std::vector<ExprRef>{test};
      if (left.size() != columns) {
        raise(error(ErrorCode::kSyntaxError, "subquery has too {} columns",
                    left.size() < columns ? "many" : "few"),
              link.location);
      }
      // Stand-ins for the subquery's columns: what the operator casts them to is done inside the subquery.
      RangeRef rows = new_entry(RangeKind::kSubquery, "", scope.depth + 1);
      columns_of_query(*rows, *query);
      rows->query = query;
      ExprRef made = make_expr(ExprKind::kQuantifiedSubquery, types::kBool, {}, link.location);
      const bool membership = (op == "=" && !all) || (op == "<>" && all);
      if (columns > 1 && !membership) {
        Expr l;
        Expr r;
        l.args = left;
        for (std::size_t i = 0; i < columns; ++i) {
          r.args.push_back(column_of(rows, i));
        }
        made->args.push_back(row_comparison(op, l, r, link.location));
      }
      for (std::size_t i = 0; i < columns && made->args.size() < columns && (columns == 1 || membership);
           ++i) {
        ExprRef pair = make_operator(op, left[i], column_of(rows, i), link.location);
        if (pair->type != types::kBool) {
          raise(
              error(ErrorCode::kDatatypeMismatch,
                    "row comparison operator must yield type boolean, not type {}", format_type(pair->type)),
              link.location);
        }
        made->args.push_back(std::move(pair));
      }
      made->text = op;
      made->all = all;
      made->entry = std::move(rows);
      made->query = std::move(query);
      made->source = &link.base;
      if (membership) {
        // IN and NOT IN: SQLite's own.
        ExprRef in = make_expr(ExprKind::kInSubquery, types::kBool, {}, link.location);
        in->negated = all;
        in->entry = made->entry;
        in->query = made->query;
        in->source = &link.base;
        for (const ExprRef& pair : made->args) {
          in->args.push_back(pair->args[0]);
          in->order.push_back({.expr = pair->args[1]});
        }
        return in;
      }
      for (const ExprRef& value : left) {
        check_inside_subquery(*value, link.location);
      }
      return made;
    }
    default: not_implemented("this kind of subquery", link.location);
  }
}

}  // namespace bop::sql
