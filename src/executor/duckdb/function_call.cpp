// bop_call(<index>, arguments...): the statement's own functions inside DuckDB's expressions.
#include <duckdb/execution/expression_executor.hpp>
#include <duckdb/execution/expression_executor_state.hpp>
#include <duckdb/function/scalar_function.hpp>
#include <duckdb/main/extension/extension_loader.hpp>
#include <duckdb/planner/expression/bound_function_expression.hpp>

#include "executor/duckdb/statement_state.hpp"
#include "executor/duckdb/values.hpp"

namespace bop::executor {

namespace {

using duckdb::ClientContext;
using duckdb::DataChunk;
using duckdb::idx_t;
using duckdb::unique_ptr;

struct CallData final : duckdb::FunctionData {
  CallData(StatementState& s, std::size_t i) : state(s), index(i) {}
  unique_ptr<FunctionData> Copy() const override { return duckdb::make_uniq<CallData>(state, index); }
  bool Equals(const FunctionData& other) const override { return index == other.Cast<CallData>().index; }
  const Function& function() const { return state.statement.functions[index]; }
  StatementState& state;
  const std::size_t index;
};

struct CallState final : duckdb::FunctionLocalState {
  explicit CallState(std::unique_ptr<Evaluator> e) : evaluator(std::move(e)) {}
  std::unique_ptr<Evaluator> evaluator;
};

unique_ptr<duckdb::FunctionData> bind_call(ClientContext& context, duckdb::ScalarFunction& bound,
                                           duckdb::vector<unique_ptr<duckdb::Expression>>& arguments) {
  StatementState& state = StatementState::of(context);
  if (arguments.empty()) throw duckdb::InvalidInputException("bop_call wants a function");
  const auto index = static_cast<std::size_t>(
      duckdb::ExpressionExecutor::EvaluateScalar(context, *arguments[0]).GetValue<std::int64_t>());
  const Function& function = state.statement.functions.at(index);
  duckdb::Function::EraseArgument(bound, arguments, 0);
  if (arguments.size() != function.arguments.size())
    throw duckdb::InvalidInputException("bop_call has the wrong number of arguments");
  bound.arguments.clear();
  for (const ColumnType& type : function.arguments) bound.arguments.push_back(logical_type(type));
  bound.varargs = duckdb::LogicalType(duckdb::LogicalTypeId::INVALID);
  bound.SetReturnType(logical_type(function.result));
  return duckdb::make_uniq<CallData>(state, index);
}

unique_ptr<duckdb::FunctionLocalState> init_call(duckdb::ExpressionState&,
                                                 const duckdb::BoundFunctionExpression&,
                                                 duckdb::FunctionData* data) {
  return duckdb::make_uniq<CallState>(data->Cast<CallData>().function().make());
}

void run_call(DataChunk& input, duckdb::ExpressionState& state, duckdb::Vector& result) {
  const auto& expression = state.expr.Cast<duckdb::BoundFunctionExpression>();
  auto& data = expression.bind_info->Cast<CallData>();
  auto& evaluator = *duckdb::ExecuteFunctionState::GetFunctionState(state)->Cast<CallState>().evaluator;
  const Function& function = data.function();
  const std::size_t count = function.arguments.size();
  bool constant = true;
  std::vector<CellReader> readers;
  readers.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    constant = constant && input.data[i].GetVectorType() == duckdb::VectorType::CONSTANT_VECTOR;
    readers.emplace_back(input.data[i], input.size(), function.arguments[i]);
  }
  constant = constant && data.state.statement.functions[data.index].strict && count > 0;
  result.SetVectorType(duckdb::VectorType::FLAT_VECTOR);
  const idx_t rows = constant ? 1 : input.size();
  std::vector<Value> arguments(count);
  for (idx_t row = 0; row < rows; ++row) {
    bool any_null = false;
    for (std::size_t i = 0; i < count; ++i) {
      arguments[i] = readers[i].read(row);
      any_null = any_null || arguments[i].is_null();
    }
    if (function.strict && any_null) {
      duckdb::FlatVector::SetNull(result, row, true);
      continue;
    }
    auto value = evaluator.call(arguments);
    if (!value) data.state.fail_with(std::move(value).error());
    if (!store_value(*value, function.result, result, row)) {
      data.state.fail_with(
          error(ErrorCode::kNotImplemented, "a value of this statement has no form in the second executor"));
    }
  }
  if (constant) result.SetVectorType(duckdb::VectorType::CONSTANT_VECTOR);
}

}  // namespace

void register_calls(duckdb::DatabaseInstance& database) {
  duckdb::ExtensionLoader loader(database, "bop");
  for (const bool is_volatile : {false, true}) {
    duckdb::ScalarFunction call(
        is_volatile ? "bop_call_volatile" : "bop_call", {duckdb::LogicalType::BIGINT},
        duckdb::LogicalType::ANY, run_call, bind_call, nullptr, nullptr, init_call, duckdb::LogicalType::ANY,
        is_volatile ? duckdb::FunctionStability::VOLATILE : duckdb::FunctionStability::CONSISTENT,
        duckdb::FunctionNullHandling::SPECIAL_HANDLING);
    call.SetErrorMode(duckdb::FunctionErrors::CAN_THROW_RUNTIME_ERROR);
    loader.RegisterFunction(call);
  }
}

}  // namespace bop::executor
