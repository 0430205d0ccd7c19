#include "sql/catalog/function.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "base/assert.hpp"
#include "sql/catalog/catalog.hpp"
#include "sql/functions/kernels.hpp"
#include "sql/types/types.hpp"

namespace bop::sql {

std::vector<const FunctionArgument*> Function::inputs() const {
  std::vector<const FunctionArgument*> found;
  for (const FunctionArgument& argument : arguments) {
    if (argument.is_input()) {
      found.push_back(&argument);
    }
  }
  return found;
}

std::vector<const FunctionArgument*> Function::outputs() const {
  std::vector<const FunctionArgument*> found;
  for (const FunctionArgument& argument : arguments) {
    if (argument.is_output()) {
      found.push_back(&argument);
    }
  }
  return found;
}

std::vector<Oid> Function::input_types() const {
  std::vector<Oid> types;
  for (const FunctionArgument* argument : inputs()) {
    types.push_back(argument->type);
  }
  return types;
}

std::size_t Function::defaults() const {
  return static_cast<std::size_t>(std::ranges::count_if(
      arguments, [](const FunctionArgument& a) { return a.is_input() && a.default_text.has_value(); }));
}

namespace {

std::string argument_text(const FunctionArgument& argument) {
  std::string out = argument.mode == 'o'   ? "OUT "
                    : argument.mode == 'b' ? "INOUT "
                    : argument.mode == 'v' ? "VARIADIC "
                                           : "";
  if (!argument.name.empty()) {
    out += quote_name(argument.name) + " ";
  }
  return out + format_type(argument.type);
}

}  // namespace

std::string arguments_text(const Function& function, bool with_defaults) {
  std::string out;
  for (const FunctionArgument& argument : function.arguments) {
    if (argument.mode == 't') {
      continue;
    }
    out += out.empty() ? "" : ", ";
    out += argument_text(argument);
    if (with_defaults && argument.default_text) {
      out += " DEFAULT " + *argument.default_text;
    }
  }
  return out;
}

std::string identity_text(const Function& function) { return arguments_text(function, false); }

std::string result_text(const Function& function) {
  if (function.kind == 'p') {
    return {};
  }
  std::string columns;
  for (const FunctionArgument& argument : function.arguments) {
    if (argument.mode == 't') {
      columns += columns.empty() ? "" : ", ";
      columns += argument_text(argument);
    }
  }
  if (!columns.empty()) {
    return fmt::format("TABLE({})", columns);
  }
  return (function.returns_set ? "SETOF " : "") + format_type(function.result);
}

std::string signature_text(const Function& function) {
  std::string out = function.name + "(";
  bool first = true;
  for (const Oid type : function.input_types()) {
    out += first ? "" : ", ";
    first = false;
    out += format_type(type);
  }
  return out + ")";
}

std::shared_ptr<const Function> Catalog::function(Oid oid) const {
  const auto it = functions_.find(oid);
  return it == functions_.end() ? nullptr : it->second;
}

std::shared_ptr<const Function> Catalog::find_function(Oid schema, std::string_view name,
                                                       std::span<const Oid> inputs) const {
  const auto [begin, end] = function_names_.equal_range(std::pair(schema, std::string(name)));
  for (auto it = begin; it != end; ++it) {
    const auto& function = functions_.at(it->second);
    if (std::ranges::equal(function->input_types(), inputs)) {
      return function;
    }
  }
  return nullptr;
}

std::vector<std::shared_ptr<const Function>> Catalog::find_functions(std::span<const std::string> search_path,
                                                                     std::string_view schema_name,
                                                                     std::string_view name) const {
  std::vector<std::shared_ptr<const Function>> found;
  if (functions_.empty()) {
    return found;
  }
  const auto add = [&](const Schema* schema) {
    if (schema == nullptr) {
      return;
    }
    const auto [begin, end] = function_names_.equal_range(std::pair(schema->oid, std::string(name)));
    for (auto it = begin; it != end; ++it) {
      const auto& function = functions_.at(it->second);
      const auto hidden = [&](const auto& other) { return other->input_types() == function->input_types(); };
      if (std::ranges::none_of(found, hidden)) {
        found.push_back(function);
      }
    }
  };
  if (!schema_name.empty()) {
    add(schema(schema_name));
    return found;
  }
  for (const std::string& path : search_path) {
    add(schema(std::string_view(path)));
  }
  return found;
}

void CatalogEdit::put(Function function) {
  changed_.insert(function.oid);
  remove_function_name(function.oid);
  const auto kernel = std::make_shared<Kernel>();
  // The name and the columns' names are those of the function, which lives as long.
  auto made = std::make_shared<Function>(std::move(function));
  kernel->oid = made->oid;
  kernel->name = kernel->proc_name = made->name;
  kernel->args = made->input_types();
  kernel->result = made->result;
  const auto inputs = made->inputs();
  kernel->variadic = !inputs.empty() && inputs.back()->mode == 'v' ? element_of(inputs.back()->type) : 0;
  kernel->defaults = static_cast<int>(made->defaults());
  kernel->strict = made->strict;
  kernel->volatility = made->volatility;
  kernel->kind = made->returns_set ? KernelKind::kSetReturning : KernelKind::kScalar;
  kernel->sqlite_name = "bop_function";
  kernel->is_operator = kernel->typed = kernel->window = false;
  for (const FunctionArgument* argument : made->outputs()) {
    kernel->columns.push_back({argument->name, argument->type});
  }
  made->kernel = kernel;
  next_->function_names_.emplace(std::pair(made->schema, made->name), made->oid);
  const Oid oid = made->oid;
  next_->functions_[oid] = std::move(made);
}

void CatalogEdit::remove_function_name(Oid oid) {
  const auto it = next_->functions_.find(oid);
  if (it == next_->functions_.end()) {
    return;
  }
  const auto [begin, end] =
      next_->function_names_.equal_range(std::pair(it->second->schema, it->second->name));
  for (auto entry = begin; entry != end; ++entry) {
    if (entry->second == oid) {
      next_->function_names_.erase(entry);
      return;
    }
  }
}

void CatalogEdit::drop_function(Oid oid) {
  BOP_ASSERT(next_->functions_.contains(oid));
  changed_.insert(oid);
  remove_function_name(oid);
  next_->functions_.erase(oid);
}

Rights held_on(const Function& function, const Identity& who, Rights wanted) {
  return held(function.acl, AclKind::kFunction, function.owner, who, wanted);
}

}  // namespace bop::sql
