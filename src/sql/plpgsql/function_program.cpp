#include <fmt/format.h>

#include "sql/plpgsql/program.hpp"
#include "sql/types/types.hpp"

namespace bop::sql::plpgsql {

Result<std::shared_ptr<const Program>> function_program(const Function& function) {
  std::vector<Parameter> parameters;
  for (const FunctionArgument* input : function.inputs()) {
    parameters.push_back({.name = input->name, .type = input->type});
  }
  const bool nothing = function.result == types::kVoid;
  if (function.language == "plpgsql")
    return parse_program(function.body, function.name, parameters, !nothing);
  auto program = std::make_shared<Program>();
  program->conflict = Program::Conflict::kColumn;
  Scope& scope = program->scopes.emplace_back(Scope{.label = function.name, .names = {}});
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    Variable variable;
    variable.name = parameters[i].name;
    variable.known_type = parameters[i].type;
    scope.names.emplace_back(fmt::format("${}", i + 1), static_cast<int>(i));
    if (!variable.name.empty()) scope.names.emplace_back(variable.name, static_cast<int>(i));
    program->variables.push_back(std::move(variable));
  }
  program->found = static_cast<int>(program->variables.size());
  Variable found;
  found.type = "boolean";
  program->variables.push_back(std::move(found));
  program->block.kind = Kind::kBlock;
  BOP_LET(statements, parse(function.body));
  for (const ParsedStatementPtr& statement : statements) {
    Statement made;
    made.kind = !nothing && statement == statements.back() ? Kind::kResult : Kind::kPlain;
    made.line = static_cast<int>(program->block.body.size()) + 1;
    made.expression = {.statement = statement, .scope = &scope, .text = statement->text};
    program->block.body.push_back(std::move(made));
  }
  return program;
}

}  // namespace bop::sql::plpgsql
