// Expressions: one case a kind of node. What is not listed answers 0A000.
#include <charconv>

#include <fmt/format.h>

#include "sql/binder.hpp"
#include "sql/functions/kernels.hpp"
#include "sql/types/user_types.hpp"

namespace bop::sql {

ExprRef Binder::expression(const pg::Node& node, Scope& scope, Clause clause) {
  const Clause saved = std::exchange(scope.clause, clause);
  const bool may_expand = std::exchange(scope.may_expand, clause == Clause::kSelect && scope.may_expand);
  ExprRef e = expression(node, scope);
  scope.clause = saved;
  scope.may_expand = may_expand;
  return e;
}

ExprRef Binder::boolean(const pg::Node& node, Scope& scope, Clause clause, std::string_view what) {
  return coerce_boolean(expression(node, scope, clause), what);
}

ExprRef Binder::expression(const pg::Node& node, Scope& scope) { return expression_node(node, scope); }

ExprRef Binder::expression_node(const pg::Node& node, Scope& scope) {
  switch (node.node_case) {
    case PG_QUERY__NODE__NODE_A_CONST: return constant_node(*node.a_const);
    case PG_QUERY__NODE__NODE_COLUMN_REF: return column_reference(*node.column_ref, scope);
    case PG_QUERY__NODE__NODE_PARAM_REF: return parameter(node.param_ref->number, node.param_ref->location);
    case PG_QUERY__NODE__NODE_A_EXPR: return operator_expression(*node.a_expr, scope);
    case PG_QUERY__NODE__NODE_FUNC_CALL: return function_call(*node.func_call, scope);
    case PG_QUERY__NODE__NODE_TYPE_CAST: return type_cast(*node.type_cast, scope);
    case PG_QUERY__NODE__NODE_SUB_LINK: return sub_link(*node.sub_link, scope);
    case PG_QUERY__NODE__NODE_CASE_EXPR: return case_expression(*node.case_expr, scope);
    case PG_QUERY__NODE__NODE_A_ARRAY_EXPR: return array_expression(*node.a_array_expr, scope, 0, -1);
    case PG_QUERY__NODE__NODE_A_INDIRECTION: return indirection(*node.a_indirection, scope);
    case PG_QUERY__NODE__NODE_SQLVALUE_FUNCTION: return value_function(*node.sqlvalue_function);
    case PG_QUERY__NODE__NODE_BOOL_EXPR: {
      const PgQuery__BoolExpr& b = *node.bool_expr;
      const bool is_not = b.boolop == PG_QUERY__BOOL_EXPR_TYPE__NOT_EXPR;
      const bool is_and = b.boolop == PG_QUERY__BOOL_EXPR_TYPE__AND_EXPR;
      const ExprKind kind = is_not ? ExprKind::kNot : is_and ? ExprKind::kAnd : ExprKind::kOr;
      ExprRef made = make_expr(kind, types::kBool, {}, b.location);
      for (const pg::Node* arg : BOP_PG_LIST(&b, args)) {
        made->args.push_back(coerce_boolean(expression(*arg, scope), is_not ? "NOT" : is_and ? "AND" : "OR"));
      }
      return made;
    }
    case PG_QUERY__NODE__NODE_NULL_TEST: {
      const PgQuery__NullTest& t = *node.null_test;
      const bool is_null = t.nulltesttype == PG_QUERY__NULL_TEST_TYPE__IS_NULL;
      ExprRef arg = expression(*t.arg, scope);
      if (arg->kind == ExprKind::kRow && !arg->absent_if_null) {
        // All fields are NULL, or none is.
        ExprRef all = make_expr(ExprKind::kAnd, types::kBool, {}, t.location);
        for (const ExprRef& field : arg->args) {
          all->args.push_back(
              make_expr(is_null ? ExprKind::kIsNull : ExprKind::kIsNotNull, types::kBool, {field}));
        }
        return all->args.empty() ? constant(types::kBool, OwnedValue::of_bool(true)) : all;
      }
      return make_expr(is_null ? ExprKind::kIsNull : ExprKind::kIsNotNull, types::kBool,
                       {resolve_unknown(arg)}, t.location);
    }
    case PG_QUERY__NODE__NODE_BOOLEAN_TEST: {
      const PgQuery__BooleanTest& t = *node.boolean_test;
      struct Test {
        ExprKind kind;
        std::string_view name;
      };
      Test test{};
      switch (t.booltesttype) {
        case PG_QUERY__BOOL_TEST_TYPE__IS_TRUE: test = {ExprKind::kIsTrue, "IS TRUE"}; break;
        case PG_QUERY__BOOL_TEST_TYPE__IS_NOT_TRUE: test = {ExprKind::kIsNotTrue, "IS NOT TRUE"}; break;
        case PG_QUERY__BOOL_TEST_TYPE__IS_FALSE: test = {ExprKind::kIsFalse, "IS FALSE"}; break;
        case PG_QUERY__BOOL_TEST_TYPE__IS_NOT_FALSE: test = {ExprKind::kIsNotFalse, "IS NOT FALSE"}; break;
        case PG_QUERY__BOOL_TEST_TYPE__IS_UNKNOWN: test = {ExprKind::kIsNull, "IS UNKNOWN"}; break;
        default: test = {ExprKind::kIsNotNull, "IS NOT UNKNOWN"}; break;
      }
      return make_expr(test.kind, types::kBool, {coerce_boolean(expression(*t.arg, scope), test.name)},
                       t.location);
    }
    case PG_QUERY__NODE__NODE_COALESCE_EXPR:
    case PG_QUERY__NODE__NODE_MIN_MAX_EXPR: {
      const bool coalesce = node.node_case == PG_QUERY__NODE__NODE_COALESCE_EXPR;
      const pg::NodeList list =
          coalesce ? BOP_PG_LIST(node.coalesce_expr, args) : BOP_PG_LIST(node.min_max_expr, args);
      const bool greatest = !coalesce && node.min_max_expr->op == PG_QUERY__MIN_MAX_OP__IS_GREATEST;
      const int location = coalesce ? node.coalesce_expr->location : node.min_max_expr->location;
      std::vector<ExprRef> args;
      for (const pg::Node* arg : list) {
        args.push_back(expression(*arg, scope));
      }
      const Oid type = common_type(args, coalesce ? "COALESCE" : greatest ? "GREATEST" : "LEAST");
      for (ExprRef& arg : args) {
        arg = coerce(std::move(arg), type, -1, CastContext::kImplicit);
      }
      if (!coalesce && !is_comparable(type)) {
        raise(error(ErrorCode::kUndefinedFunction, "could not identify a comparison function for type {}",
                    format_type(type)),
              location);
      }
      const std::int32_t typmod = common_typmod(args);
      ExprRef made = make_expr(coalesce   ? ExprKind::kCoalesce
                               : greatest ? ExprKind::kGreatest
                                          : ExprKind::kLeast,
                               type, std::move(args), location);
      made->typmod = typmod;
      return made;
    }
    case PG_QUERY__NODE__NODE_ROW_EXPR: {
      ExprRef made = make_expr(ExprKind::kRow, types::kRecord, {}, node.row_expr->location);
      for (const pg::Node* arg : BOP_PG_LIST(node.row_expr, args)) {
        const bool is_star =
            arg->node_case == PG_QUERY__NODE__NODE_COLUMN_REF &&
            arg->column_ref->fields[arg->column_ref->n_fields - 1]->node_case == PG_QUERY__NODE__NODE_A_STAR;
        if (!is_star) {
          made->args.push_back(expression(*arg, scope));
          continue;
        }
        for (Target& target : expand_star(*arg->column_ref, scope))
          made->args.push_back(std::move(target.expr));
      }
      return made;
    }
    case PG_QUERY__NODE__NODE_COLLATE_CLAUSE: {
      const PgQuery__CollateClause& c = *node.collate_clause;
      const std::string_view name = pg::last_name(BOP_PG_LIST(&c, collname));
      ExprRef arg = expression(*c.arg, scope);
      const TypeInfo* type = find_type(type_of(*arg));
      if (type != nullptr && type->category != 'S' && type->oid != types::kUnknown) {
        raise(error(ErrorCode::kDatatypeMismatch, "collations are not supported by type {}",
                    format_type(type->oid)),
              c.location);
      }
      if (name != "default" && name != "C" && name != "POSIX" && name != "ucs_basic" && name != "C.UTF-8" &&
          name != "C.utf8") {
        raise(error(ErrorCode::kUndefinedObject, "collation \"{}\" for encoding \"UTF8\" does not exist",
                    name_list(BOP_PG_LIST(&c, collname))),
              c.location);
      }
      return resolve_unknown(std::move(arg));
    }
    case PG_QUERY__NODE__NODE_SET_TO_DEFAULT: {
      if (scope.clause != Clause::kValues && scope.clause != Clause::kUpdateSet) {
        raise(error(ErrorCode::kSyntaxError, "DEFAULT is not allowed in this context"),
              node.set_to_default->location);
      }
      return make_expr(ExprKind::kSetToDefault, types::kUnknown, {}, node.set_to_default->location);
    }
    case PG_QUERY__NODE__NODE_NAMED_ARG_EXPR:
      not_implemented("arguments by name", node.named_arg_expr->location);
    case PG_QUERY__NODE__NODE_GROUPING_FUNC: return grouping_function(*node.grouping_func, scope);
    case PG_QUERY__NODE__NODE_XML_EXPR:
    case PG_QUERY__NODE__NODE_XML_SERIALIZE:
      not_implemented("XML", node.node_case == PG_QUERY__NODE__NODE_XML_EXPR ? node.xml_expr->location
                                                                             : node.xml_serialize->location);
    case PG_QUERY__NODE__NODE_CURRENT_OF_EXPR: not_implemented("WHERE CURRENT OF");
    case PG_QUERY__NODE__NODE_MULTI_ASSIGN_REF: not_implemented("this form of multiple assignment");
    default: not_implemented("this expression");
  }
}

ExprRef Binder::constant_node(const PgQuery__AConst& c) {
  if (c.isnull != 0) {
    ExprRef e = constant(types::kUnknown, OwnedValue::null(), c.location);
    return e;
  }
  switch (c.val_case) {
    case PG_QUERY__A__CONST__VAL_IVAL:
      return constant(types::kInt4, OwnedValue::of_int(c.ival->ival), c.location);
    case PG_QUERY__A__CONST__VAL_FVAL: {
      const std::string_view text = pg::text(c.fval->fval);
      std::int64_t number = 0;
      const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
      if (problem == std::errc() && end == text.data() + text.size()) {
        // The grammar has put a minus in front already: the least integer is one.
        const bool narrow = number >= INT32_MIN && number <= INT32_MAX;
        return constant(narrow ? types::kInt4 : types::kInt8, OwnedValue::of_int(number), c.location);
      }
      auto value = parse_text(types::kNumeric, -1, text, context_.codec);
      if (!value) {
        raise(std::move(value).error(), c.location);
      }
      return constant(types::kNumeric, std::move(*value), c.location);
    }
    case PG_QUERY__A__CONST__VAL_BOOLVAL:
      return constant(types::kBool, OwnedValue::of_bool(c.boolval->boolval != 0), c.location);
    case PG_QUERY__A__CONST__VAL_SVAL: {
      ExprRef e = make_expr(ExprKind::kUnknown, types::kUnknown, {}, c.location);
      e->text = pg::text(c.sval->sval);
      return e;
    }
    case PG_QUERY__A__CONST__VAL_BSVAL: {
      auto value = parse_text(types::kBit, -1, pg::text(c.bsval->bsval), context_.codec);
      if (!value) {
        raise(std::move(value).error(), c.location);
      }
      return constant(types::kBit, std::move(*value), c.location);
    }
    default:
      // The protocol buffers of libpg_query leave a zero integer out.
      return constant(types::kInt4, OwnedValue::of_int(0), c.location);
  }
}

ExprRef Binder::parameter(int number, int location) {
  if (number < 1 || number > 65535) {
    raise(error(ErrorCode::kUndefinedParameter, "there is no parameter ${}", number), location);
  }
  if (inlined_ != nullptr) {
    if (static_cast<std::size_t>(number) > inlined_->args.size()) {
      raise(error(ErrorCode::kUndefinedParameter, "there is no parameter ${}", number), location);
    }
    return inlined_->args[static_cast<std::size_t>(number - 1)];
  }
  if (context_.names != nullptr && !text_hidden_) {
    if (const auto found = context_.names->find({}, fmt::format("${}", number))) {
      return parameter_of(*found, location);
    }
  }
  return plain_parameter(number, location);
}

ExprRef Binder::plain_parameter(int number, int location) {
  if (text_hidden_ ||
      (context_.most_parameters && static_cast<std::size_t>(number) > *context_.most_parameters)) {
    raise(error(ErrorCode::kUndefinedParameter, "there is no parameter ${}", number), location);
  }
  if (parameters_.size() < static_cast<std::size_t>(number)) {
    parameters_.resize(static_cast<std::size_t>(number), 0);
  }
  const Oid type = parameters_[static_cast<std::size_t>(number - 1)];
  ExprRef e = make_expr(ExprKind::kParam, type, {}, location);
  e->number = number;
  if (const Oid plain = unchecked_type(type); plain != type) {
    e->type = plain;  // the client's value is one of the base type until it is checked
    return coerce(std::move(e), type, -1, CastContext::kImplicit, location);
  }
  return e;
}

ExprRef Binder::case_expression(const PgQuery__CaseExpr& c, Scope& scope) {
  ExprRef subject = c.arg == nullptr ? nullptr : resolve_unknown(expression(*c.arg, scope));
  std::vector<ExprRef> conditions;
  std::vector<ExprRef> results;
  for (const pg::Node* node : BOP_PG_LIST(&c, args)) {
    const PgQuery__CaseWhen& when = *node->case_when;
    if (subject == nullptr) {
      conditions.push_back(coerce_boolean(expression(*when.expr, scope), "CASE/WHEN"));
    } else {
      conditions.push_back(coerce_boolean(
          make_operator("=", subject, expression(*when.expr, scope), when.location), "CASE/WHEN"));
    }
    results.push_back(expression(*when.result, scope));
  }
  // PostgreSQL looks at ELSE first when it chooses the type.
  ExprRef otherwise = c.defresult == nullptr ? constant(types::kUnknown, OwnedValue::null())
                                             : expression(*c.defresult, scope);
  std::vector<ExprRef> branches{otherwise};
  branches.insert(branches.end(), results.begin(), results.end());
  const Oid type = common_type(branches, "CASE");
  ExprRef made = make_expr(ExprKind::kCase, type, {}, c.location);
  for (ExprRef& branch : branches) {
    branch = coerce(std::move(branch), type, -1, CastContext::kImplicit);
  }
  for (std::size_t i = 0; i < conditions.size(); ++i) {
    made->args.push_back(conditions[i]);
    made->args.push_back(branches[i + 1]);
  }
  made->args.push_back(branches[0]);
  made->typmod = common_typmod(branches);
  return made;
}

ExprRef Binder::type_cast(const PgQuery__TypeCast& c, Scope& scope) {
  const TypeRef to = type_name(*c.type_name);
  if (c.arg->node_case == PG_QUERY__NODE__NODE_A_ARRAY_EXPR && is_true_array(to.type)) {
    ExprRef array = array_expression(*c.arg->a_array_expr, scope, to.type, to.typmod);
    return coerce(std::move(array), to.type, to.typmod, CastContext::kExplicit, c.location);
  }
  ExprRef arg = expression(*c.arg, scope);
  if (arg->kind == ExprKind::kParam && type_of(*arg) == types::kUnknown) {
    arg = coerce(std::move(arg), to.type, -1, CastContext::kExplicit, c.location);
  }
  const int literal = arg->kind == ExprKind::kUnknown ? arg->location : c.location;
  ExprRef made = coerce(std::move(arg), to.type, to.typmod, CastContext::kExplicit, literal);
  return made;
}

ExprRef Binder::array_expression(const PgQuery__AArrayExpr& a, Scope& scope, Oid array_type,
                                 std::int32_t typmod) {
  std::vector<ExprRef> elements;
  bool nested = false;
  for (const pg::Node* node : BOP_PG_LIST(&a, elements)) {
    if (node->node_case == PG_QUERY__NODE__NODE_A_ARRAY_EXPR) {
      elements.push_back(array_expression(*node->a_array_expr, scope, array_type, typmod));
      nested = true;
    } else {
      elements.push_back(expression(*node, scope));
      nested = nested || is_true_array(type_of(*elements.back()));
    }
  }
  Oid element = 0;
  if (array_type != 0) {
    element = nested ? array_type : element_of(array_type);
  } else if (elements.empty()) {
    raise(error(ErrorCode::kIndeterminateDatatype, "cannot determine type of empty array")
              .hint("Explicitly cast to the desired type, for example ARRAY[]::integer[]."),
          a.location);
  } else {
    element = common_type(elements, "ARRAY");
  }
  const CastContext context = array_type != 0 ? CastContext::kExplicit : CastContext::kImplicit;
  for (ExprRef& e : elements) {
    e = coerce(std::move(e), element, nested ? -1 : typmod, context);
  }
  const Oid type = nested ? element : array_of(element);
  if (type == 0) {
    raise(error(ErrorCode::kUndefinedObject, "could not find array type for data type {}",
                format_type(element)),
          a.location);
  }
  ExprRef made =
      make_expr(nested ? ExprKind::kArrayNested : ExprKind::kArray, type, std::move(elements), a.location);
  made->typmod = common_typmod(made->args);
  return made;
}

ExprRef Binder::indirection(const PgQuery__AIndirection& a, Scope& scope) {
  ExprRef arg = expression(*a.arg, scope);
  std::size_t fields = 0;  // that are named before the first subscript
  while (fields < a.n_indirection && a.indirection[fields]->node_case == PG_QUERY__NODE__NODE_STRING) {
    const int location = arg->location;
    arg = field_of(std::move(arg), pg::string_of(a.indirection[fields++]), location);
  }
  if (fields == a.n_indirection) {
    return arg;
  }
  const pg::NodeList subscripts = BOP_PG_LIST(&a, indirection).subspan(fields);
  bool slice = false;
  for (const pg::Node* node : subscripts) {
    if (node->node_case == PG_QUERY__NODE__NODE_A_STAR) {
      raise(error(ErrorCode::kSyntaxError, "row expansion via \"*\" is not supported here"), arg->location);
    }
    if (node->node_case != PG_QUERY__NODE__NODE_A_INDICES) {
      not_implemented("access to a field of an array's element", arg->location);
    }
    slice = slice || node->a_indices->is_slice != 0;
  }
  const Oid array = type_of(*arg);
  const Oid element = element_of(array);
  if (element == 0) {
    raise(error(ErrorCode::kDatatypeMismatch,
                "cannot subscript type {} because it does not support subscripting", format_type(array)),
          arg->location);
  }
  ExprRef made =
      make_expr(slice ? ExprKind::kSlice : ExprKind::kSubscript, slice ? array : element, {}, arg->location);
  if (!slice) {
    made->typmod = arg->typmod;
  }
  made->cast_from = array;
  made->args.push_back(std::move(arg));
  const auto index = [&](const pg::Node* node) -> ExprRef {
    if (node == nullptr) {
      return nullptr;
    }
    ExprRef e = expression(*node, scope);
    const int location = e->location;
    ExprRef as_int = try_coerce(std::move(e), types::kInt4, -1, CastContext::kAssignment);
    if (as_int == nullptr) {
      raise(error(ErrorCode::kDatatypeMismatch, "array subscript must have type integer"), location);
    }
    return as_int;
  };
  for (const pg::Node* node : subscripts) {
    const PgQuery__AIndices& indices = *node->a_indices;
    if (slice) {
      // In a slice a single subscript n means 1:n.
      made->args.push_back(indices.is_slice != 0 ? index(indices.lidx)
                                                 : constant(types::kInt4, OwnedValue::of_int(1)));
    }
    made->args.push_back(index(indices.uidx));
  }
  return made;
}

ExprRef Binder::value_function(const PgQuery__SQLValueFunction& f) {
  const auto cast_now = [&](Oid type, std::int32_t typmod) {
    ExprRef now = make_call("pg_catalog", "now", {}, f.location);
    return coerce(std::move(now), type, typmod, CastContext::kExplicit, f.location);
  };
  switch (f.op) {
    case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_DATE: return cast_now(types::kDate, -1);
    case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_TIME: return cast_now(types::kTimetz, -1);
    case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_TIME_N: return cast_now(types::kTimetz, f.typmod);
    case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_TIMESTAMP: return cast_now(types::kTimestamptz, -1);
    case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_TIMESTAMP_N:
      return cast_now(types::kTimestamptz, f.typmod);
    case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_LOCALTIME: return cast_now(types::kTime, -1);
    case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_LOCALTIME_N: return cast_now(types::kTime, f.typmod);
    case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_LOCALTIMESTAMP: return cast_now(types::kTimestamp, -1);
    case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_LOCALTIMESTAMP_N: return cast_now(types::kTimestamp, f.typmod);
    case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_ROLE:
    case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_USER:
    case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_USER:
      return make_call("pg_catalog", "current_user", {}, f.location);
    case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_SESSION_USER:
      return make_call("pg_catalog", "session_user", {}, f.location);
    case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_CATALOG:
      return make_call("pg_catalog", "current_database", {}, f.location);
    case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_SCHEMA:
      return make_call("pg_catalog", "current_schema", {}, f.location);
    default: not_implemented("this function of the SQL standard", f.location);
  }
}

}  // namespace bop::sql
