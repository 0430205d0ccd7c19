// CREATE FUNCTION and CREATE PROCEDURE.
//
// What is made is a row of the catalog (catalog/function.hpp). A body of LANGUAGE sql is bound once when it
// is made, so that its mistakes are told then; what is kept is its text.
#include <algorithm>

#include "sql/binder.hpp"
#include "sql/catalog/temporary.hpp"
#include "sql/ddl/ddl_run.hpp"
#include "sql/functions/kernels.hpp"
#include "sql/plpgsql/program.hpp"
#include "sql/types/types.hpp"
#include "sql/user_function.hpp"

namespace bop::sql {

namespace {

// The parameters of a function for its body.
class ParameterNames final : public NamedValues {
 public:
  explicit ParameterNames(const Function& function) : function_(function) {}
  std::optional<Found> find(std::string_view qualifier, std::string_view name) override {
    if (name.empty() || (!qualifier.empty() && qualifier != function_.name)) return std::nullopt;
    const auto inputs = function_.inputs();
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      if (inputs[i]->name == name) return Found{.number = static_cast<int>(i) + 1, .type = inputs[i]->type};
    }
    return std::nullopt;
  }
  std::vector<std::pair<std::string, Found>> fields(std::string_view) override { return {}; }
  [[nodiscard]] Conflict conflict() const override { return Conflict::kColumn; }

 private:
  const Function& function_;
};

std::string_view words_of(const pg::Node* node) {
  if (node == nullptr) return {};
  if (node->node_case == PG_QUERY__NODE__NODE_STRING) return pg::text(node->string->sval);
  return {};
}

bool is_true(const pg::Node* node) {
  return node != nullptr &&
         ((node->node_case == PG_QUERY__NODE__NODE_BOOLEAN && node->boolean->boolval != 0) ||
          (node->node_case == PG_QUERY__NODE__NODE_INTEGER && node->integer->ival != 0));
}

double number_of(const pg::Node* node) {
  if (node == nullptr) return 0;
  if (node->node_case == PG_QUERY__NODE__NODE_INTEGER) return node->integer->ival;
  if (node->node_case == PG_QUERY__NODE__NODE_FLOAT) return std::strtod(node->float_->fval, nullptr);
  return 0;
}

Error return_mismatch(const Function& function, std::string detail) {
  return error(ErrorCode::kInvalidFunctionDefinition,
               "return type mismatch in function declared to return {}", format_type(function.result))
      .detail(std::move(detail));
}

// What the last statement answers, against what the function says.
Status check_result(const Function& function, const Plan& plan) {
  if (!plan.returns_rows) {
    return std::unexpected(return_mismatch(
        function, "Function's final statement must be SELECT or INSERT/UPDATE/DELETE RETURNING."));
  }
  const auto outputs = function.outputs();
  const std::size_t count = outputs.empty() ? 1 : outputs.size();
  if (plan.columns.size() != count) {
    const bool several = outputs.size() > 1;
    return std::unexpected(return_mismatch(
        function, !several                      ? "Final statement must return exactly one column."
                  : plan.columns.size() > count ? "Final statement returns too many columns."
                                                : "Final statement returns too few columns."));
  }
  for (std::size_t i = 0; i < count; ++i) {
    const Oid wanted = outputs.empty() ? function.result : outputs[i]->type;
    const CastContext cast = cast_context(base_type(plan.columns[i].type), base_type(wanted));
    if (cast == CastContext::kImplicit || cast == CastContext::kAssignment) continue;
    if (outputs.size() > 1) {
      return std::unexpected(return_mismatch(
          function, fmt::format("Final statement returns {} instead of {} at column {}.",
                                format_type(plan.columns[i].type), format_type(wanted), i + 1)));
    }
    return std::unexpected(return_mismatch(
        function, fmt::format("Actual return type is {}.", format_type(plan.columns[i].type))));
  }
  return {};
}

}  // namespace

Result<Oid> DdlRun::function_type(const PgQuery__TypeName& name, bool& set) const {
  PgQuery__TypeName plain = name;
  set = name.setof != 0;
  plain.setof = 0;
  pg::Node node = PG_QUERY__NODE__INIT;
  node.node_case = PG_QUERY__NODE__NODE_TYPE_NAME;
  node.type_name = &plain;
  auto resolved = resolve_type(&node, *statement_);
  if (!resolved && resolved.error().code() == ErrorCode::kUndefinedObject) {
    const pg::NodeList names = BOP_PG_LIST(&name, names);
    std::string schema;
    std::string table;
    BOP_LET(found, find_qualified(names, schema, table));
    if (found) {
      return fail(ErrorCode::kNotImplemented, "the row type of {} in a function is not implemented", table);
    }
  }
  if (!resolved && resolved.error().code() == ErrorCode::kUndefinedObject) {
    return fail(ErrorCode::kUndefinedObject, "type {} does not exist", name_list(BOP_PG_LIST(&name, names)));
  }
  if (!resolved) return std::unexpected(without_position(resolved.error()));
  return resolved->type;
}

Status DdlRun::read_parameters(const PgQuery__CreateFunctionStmt& create, Function& function) {
  bool defaults = false;
  for (const pg::Node* node : BOP_PG_LIST(&create, parameters)) {
    const PgQuery__FunctionParameter& parameter = *node->function_parameter;
    FunctionArgument argument{.name = std::string(pg::text(parameter.name)), .default_text = std::nullopt};
    switch (parameter.mode) {
      case PG_QUERY__FUNCTION_PARAMETER_MODE__FUNC_PARAM_OUT: argument.mode = 'o'; break;
      case PG_QUERY__FUNCTION_PARAMETER_MODE__FUNC_PARAM_INOUT: argument.mode = 'b'; break;
      case PG_QUERY__FUNCTION_PARAMETER_MODE__FUNC_PARAM_VARIADIC: argument.mode = 'v'; break;
      case PG_QUERY__FUNCTION_PARAMETER_MODE__FUNC_PARAM_TABLE: argument.mode = 't'; break;
      default: break;
    }
    bool set = false;
    BOP_LET(type, function_type(*parameter.arg_type, set));
    if (set) {
      return fail(ErrorCode::kInvalidFunctionDefinition, "{}s cannot accept set arguments",
                  function.kind == 'p' ? "procedure" : "function");
    }
    argument.type = type;
    if (type == types::kVoid || type == types::kTrigger || type == types::kRecord ||
        type == types::kCstring || type == types::kAny) {
      return fail(type == types::kRecord || type == types::kAny ? ErrorCode::kInvalidFunctionDefinition
                                                                : ErrorCode::kInvalidFunctionDefinition,
                  "SQL functions cannot have arguments of type {}", format_type(type));
    }
    const bool after_variadic =
        !function.arguments.empty() &&
        std::ranges::any_of(function.arguments, [](const FunctionArgument& a) { return a.mode == 'v'; });
    if (after_variadic && argument.is_input()) {
      return fail(ErrorCode::kInvalidFunctionDefinition,
                  "VARIADIC parameter must be the last input parameter");
    }
    if (argument.mode == 'v' && !is_true_array(type)) {
      return fail(ErrorCode::kInvalidFunctionDefinition, "VARIADIC parameter must be an array");
    }
    for (const FunctionArgument& other : function.arguments) {
      // An input and an output column may have one name.
      const bool apart = (other.is_input() && other.mode != 'b' && argument.mode == 'o') ||
                         (argument.is_input() && argument.mode != 'b' && other.mode == 'o');
      if (!argument.name.empty() && other.name == argument.name && !apart) {
        return fail(ErrorCode::kInvalidFunctionDefinition, "parameter name \"{}\" used more than once",
                    argument.name);
      }
    }
    if (parameter.defexpr != nullptr) {
      if (!argument.is_input()) {
        return fail(ErrorCode::kInvalidFunctionDefinition, "only input parameters can have default values");
      }
      BOP_LET(stored, store_expression(statement_, parameter.defexpr, nullptr, ExpressionUse::kDefault,
                                       bind_now(), type, -1, argument.name));
      BOP_LET(pinned, pin_literals(stored.text, nullptr, ExpressionUse::kDefault, bind_now(), type, -1,
                                   argument.name));
      argument.default_text = std::move(pinned.text);
      defaults = true;
    } else if (defaults && argument.is_input()) {
      return fail(ErrorCode::kInvalidFunctionDefinition,
                  "input parameters after one with a default value must also have defaults");
    }
    function.arguments.push_back(std::move(argument));
  }
  return {};
}

// The type that a function answers, by RETURNS and by its OUT parameters.
Status DdlRun::read_result(const PgQuery__CreateFunctionStmt& create, Function& function) {
  const auto outputs = function.outputs();
  const Oid by_outputs = outputs.empty()       ? Oid{0}
                         : outputs.size() == 1 ? outputs[0]->type
                                               : Oid{types::kRecord};
  if (function.kind == 'p') {
    function.result = by_outputs == 0 ? Oid{types::kVoid} : Oid{types::kRecord};
    return {};
  }
  if (create.return_type == nullptr) {
    if (by_outputs == 0) {
      return fail(ErrorCode::kInvalidFunctionDefinition, "function result type must be specified");
    }
    function.result = by_outputs;
    return {};
  }
  const bool table =
      std::ranges::any_of(function.arguments, [](const FunctionArgument& a) { return a.mode == 't'; });
  if (table) {
    function.result = by_outputs;
    function.returns_set = true;
    return {};
  }
  BOP_LET(type, function_type(*create.return_type, function.returns_set));
  function.result = type;
  if (by_outputs != 0 && by_outputs != type) {
    return fail(ErrorCode::kInvalidFunctionDefinition,
                "function result type must be {} because of OUT parameters", format_type(by_outputs));
  }
  if (type == types::kTrigger) {
    return fail(ErrorCode::kNotImplemented, "trigger functions are not implemented");
  }
  if (type == types::kRecord && by_outputs == 0) {
    return fail(ErrorCode::kNotImplemented,
                "a function that returns record without OUT parameters is not implemented");
  }
  if (is_polymorphic(type) && std::ranges::none_of(function.input_types(), is_polymorphic)) {
    return std::unexpected(error(ErrorCode::kInvalidFunctionDefinition, "cannot determine result data type")
                               .detail(fmt::format("A result of type {} requires at least one input of type "
                                                   "anyelement, anyarray, anynonarray, anyenum, anyrange, or "
                                                   "anymultirange.",
                                                   format_type(type))));
  }
  return {};
}

Status DdlRun::read_options(pg::NodeList options, Function& function, std::string* body) {
  std::set<std::string_view> said;
  for (const pg::Node* node : options) {
    const PgQuery__DefElem& option = *node->def_elem;
    const std::string_view name = pg::text(option.defname);
    if (!said.insert(name).second) {
      return std::unexpected(
          error(ErrorCode::kSyntaxError, "conflicting or redundant options").at(position(option.location)));
    }
    if (function.kind == 'p' &&
        (name == "volatility" || name == "strict" || name == "cost" || name == "rows" ||
         name == "leakproof" || name == "parallel" || name == "window")) {
      return std::unexpected(
          error(ErrorCode::kInvalidFunctionDefinition, "invalid attribute in procedure definition")
              .at(position(option.location)));
    }
    if (name == "language") {
      function.language = words_of(option.arg);
    } else if (name == "as") {
      const pg::NodeList parts = BOP_PG_LIST(option.arg->list, items);
      if (parts.size() != 1) {
        return fail(ErrorCode::kInvalidFunctionDefinition, "only one AS item needed for language \"{}\"",
                    function.language.empty() ? "sql" : function.language);
      }
      if (body != nullptr) *body = words_of(parts[0]);
    } else if (name == "volatility") {
      function.volatility = words_of(option.arg).front();
    } else if (name == "strict") {
      function.strict = is_true(option.arg);
    } else if (name == "leakproof") {
      function.leakproof = is_true(option.arg);
      if (function.leakproof && !who().superuser) {
        return fail(ErrorCode::kInsufficientPrivilege, "only superuser can define a leakproof function");
      }
    } else if (name == "parallel") {
      const std::string_view word = words_of(option.arg);
      if (word != "safe" && word != "unsafe" && word != "restricted") {
        return fail(ErrorCode::kSyntaxError, "parameter \"parallel\" must be SAFE, RESTRICTED, or UNSAFE");
      }
      function.parallel = word.front();
    } else if (name == "cost") {
      function.cost = number_of(option.arg);
      if (function.cost <= 0) return fail(ErrorCode::kInvalidArgument, "COST must be positive");
    } else if (name == "rows") {
      function.rows = number_of(option.arg);
      if (function.rows <= 0) return fail(ErrorCode::kInvalidArgument, "ROWS must be positive");
    } else if (name == "security") {
      if (is_true(option.arg)) {
        return std::unexpected(error(ErrorCode::kNotImplemented, "SECURITY DEFINER is not implemented")
                                   .at(position(option.location)));
      }
    } else {
      const std::string_view shown = name == "set"         ? "SET"
                                     : name == "window"    ? "WINDOW"
                                     : name == "support"   ? "SUPPORT"
                                     : name == "transform" ? "TRANSFORM"
                                                           : name;
      return std::unexpected(error(ErrorCode::kNotImplemented, "{} of a function is not implemented", shown)
                                 .at(position(option.location)));
    }
  }
  return {};
}

Status DdlRun::check_plpgsql(const Function& function) const {
  const auto refuse = [](std::string_view what) -> Status {
    return fail(ErrorCode::kNotImplemented, "{} in LANGUAGE plpgsql is not implemented", what);
  };
  if (function.kind == 'p') return refuse("a procedure");
  if (function.returns_set) return refuse("a function that returns a set");
  if (!function.outputs().empty()) return refuse("a function with OUT parameters");
  const auto inputs = function.input_types();
  if (is_polymorphic(function.result) || std::ranges::any_of(inputs, is_polymorphic)) {
    return refuse("a polymorphic function");
  }
  auto program = plpgsql::function_program(function);
  if (!program) return std::unexpected(without_position(program.error()));
  return {};
}

Status DdlRun::check_body(const Function& function) {
  if (function.language == "plpgsql") return check_plpgsql(function);
  const auto statements = parse(function.body);
  if (!statements) return std::unexpected(without_position(statements.error()));
  const bool nothing = function.result == types::kVoid;
  if (statements->empty()) {
    if (nothing) return {};
    return std::unexpected(return_mismatch(
        function, "Function's final statement must be SELECT or INSERT/UPDATE/DELETE RETURNING."));
  }
  const std::vector<Oid> inputs = function.input_types();
  if (std::ranges::any_of(inputs, is_polymorphic)) return {};
  ParameterNames names(function);
  BindContext context = bind_now();
  context.names = &names;
  for (const ParsedStatementPtr& statement : *statements) {
    if (statement->kind == StatementKind::kTransaction) {
      return fail(ErrorCode::kNotImplemented, "{} is not allowed in an SQL function", statement->command);
    }
    if (function.volatility != 'v' && changes_anything(*statement)) {
      return fail(ErrorCode::kNotImplemented, "{} is not allowed in a non-volatile function",
                  statement->command);
    }
    Result<PlanPtr> plan = sql::bind(statement, context, inputs);
    if (!plan) return std::unexpected(without_position(plan.error()));
    if ((*plan)->parameters.size() > inputs.size()) {
      return fail(ErrorCode::kUndefinedParameter, "there is no parameter ${}", inputs.size() + 1);
    }
    if (statement == statements->back() && !nothing && function.kind == 'f') {
      if ((*plan)->kind == PlanKind::kUtility) {
        return std::unexpected(return_mismatch(
            function, "Function's final statement must be SELECT or INSERT/UPDATE/DELETE RETURNING."));
      }
      BOP_TRY(check_result(function, **plan));
    }
  }
  return {};
}

// RETURN expression, or BEGIN ATOMIC statements END: kept as a list of statements with settled names.
Status DdlRun::read_standard_body(const pg::Node& body, Function& function) {
  function.standard_body = true;
  ParameterNames names(function);
  BindContext context = bind_now();
  context.names = &names;
  std::string text;
  const auto add = [&](const pg::Node* statement) -> Status {
    if (statement->node_case == PG_QUERY__NODE__NODE_SELECT_STMT) {
      auto stored = store_query(statement, context);
      if (!stored) return std::unexpected(without_position(stored.error()));
      text += (text.empty() ? "" : "; ") + stored->text;
      for (const ViewRead& read : stored->reads) function.reads.push_back(read.relation);
      return {};
    }
    BOP_LET(plain, deparse_statement(statement));
    text += (text.empty() ? "" : "; ") + plain;
    return {};
  };
  const auto add_one = [&](const pg::Node* statement) -> Status {
    if (statement == nullptr || statement->node_case == PG_QUERY__NODE__NODE__NOT_SET) return {};
    if (statement->node_case != PG_QUERY__NODE__NODE_RETURN_STMT) return add(statement);
    BOP_LET(expression, deparse_expression(statement->return_stmt->returnval));
    BOP_LET(parsed, parse("SELECT " + expression));
    return add(parsed.front()->node);
  };
  if (body.node_case != PG_QUERY__NODE__NODE_LIST) {
    BOP_TRY(add_one(&body));
  } else {
    for (const pg::Node* item : BOP_PG_LIST(body.list, items)) {
      if (item == nullptr || item->node_case != PG_QUERY__NODE__NODE_LIST) {
        BOP_TRY(add_one(item));
        continue;
      }
      for (const pg::Node* statement : BOP_PG_LIST(item->list, items)) BOP_TRY(add_one(statement));
    }
  }
  function.body = std::move(text);
  return {};
}

Status DdlRun::create_function(const PgQuery__CreateFunctionStmt& create) {
  const pg::NodeList names = BOP_PG_LIST(&create, funcname);
  Function function;
  function.name = std::string(pg::last_name(names));
  function.kind = create.is_procedure != 0 ? 'p' : 'f';
  const std::string_view schema_name =
      names.size() > 1 ? pg::string_of(names[names.size() - 2]) : std::string_view();
  if (schema_name == kTemporaryAlias || is_temporary_schema(schema_name)) {
    return fail(ErrorCode::kNotImplemented, "temporary functions are not implemented");
  }
  BOP_LET(schema, schema_for_creation(schema_name));
  function.schema = schema->oid;
  function.owner = context_.user;
  std::string body;
  BOP_TRY(read_options(BOP_PG_LIST(&create, options), function, &body));
  if (function.language.empty()) {
    if (create.sql_body == nullptr)
      return fail(ErrorCode::kInvalidFunctionDefinition, "no language specified");
    function.language = "sql";
  }
  for (char& c : function.language) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (function.language == "c" || function.language == "internal") {
    return fail(ErrorCode::kNotImplemented, "functions in LANGUAGE {} are not implemented",
                function.language);
  }
  if (function.language != "sql" && function.language != "plpgsql") {
    return fail(ErrorCode::kUndefinedObject, "language \"{}\" does not exist", function.language);
  }
  BOP_TRY(read_parameters(create, function));
  BOP_TRY(read_result(create, function));
  if (function.rows != 0 && !function.returns_set) {
    return fail(ErrorCode::kInvalidArgument, "ROWS is not applicable when function does not return a set");
  }
  if (function.rows == 0 && function.returns_set) function.rows = 1000;
  if (create.sql_body != nullptr) {
    if (!body.empty())
      return fail(ErrorCode::kInvalidFunctionDefinition, "duplicate function body specified");
    BOP_TRY(read_standard_body(*create.sql_body, function));
  } else {
    const auto has_body = [](const pg::Node* o) { return pg::text(o->def_elem->defname) == "as"; };
    if (std::ranges::none_of(BOP_PG_LIST(&create, options), has_body)) {
      return fail(ErrorCode::kInvalidFunctionDefinition, "no function body specified");
    }
    function.body = std::move(body);
  }
  const auto known = now().find_function(function.schema, function.name, function.input_types());
  if (known == nullptr) {
    BOP_TRY(check_body(function));
    function.oid = edit_.allocate_oid();
    edit_.put(std::move(function));
    return {};
  }
  if (create.replace == 0) {
    return fail(ErrorCode::kDuplicateFunction, "function \"{}\" already exists with same argument types",
                function.name);
  }
  BOP_TRY(must_own(known->owner, fmt::format("{} {}", routine_word(known->kind), known->name)));
  if (known->kind != function.kind) {
    return std::unexpected(
        error(ErrorCode::kWrongObjectType, "cannot change routine kind")
            .detail(fmt::format("\"{}\" is a {}.", known->name, routine_word(known->kind))));
  }
  const std::string hint = fmt::format("Use DROP {} {} first.", known->kind == 'p' ? "PROCEDURE" : "FUNCTION",
                                       signature_text(*known));
  const auto outputs = [](const Function& f) {
    std::vector<std::pair<std::string, Oid>> out;
    for (const FunctionArgument* a : f.outputs()) out.emplace_back(a->name, a->type);
    return out;
  };
  if (known->result != function.result || known->returns_set != function.returns_set) {
    return std::unexpected(
        error(ErrorCode::kInvalidFunctionDefinition, "cannot change return type of existing function")
            .hint(hint));
  }
  if (outputs(*known) != outputs(function) && known->result == types::kRecord) {
    return std::unexpected(
        error(ErrorCode::kInvalidFunctionDefinition, "cannot change return type of existing function")
            .detail("Row type defined by OUT parameters is different.")
            .hint(hint));
  }
  const auto before = known->inputs();
  const auto after = function.inputs();
  for (std::size_t i = 0; i < before.size(); ++i) {
    if (!before[i]->name.empty() && before[i]->name != after[i]->name) {
      return std::unexpected(error(ErrorCode::kInvalidFunctionDefinition,
                                   "cannot change name of input parameter \"{}\"", before[i]->name)
                                 .hint(hint));
    }
  }
  if (known->defaults() > function.defaults()) {
    return std::unexpected(error(ErrorCode::kInvalidFunctionDefinition,
                                 "cannot remove parameter defaults from existing function")
                               .hint(hint));
  }
  BOP_TRY(check_body(function));
  function.oid = known->oid;
  function.owner = known->owner;
  function.acl = known->acl;
  function.comment = known->comment;
  edit_.put(std::move(function));
  return {};
}

}  // namespace bop::sql
