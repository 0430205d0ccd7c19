// read_csv, read_json and read_parquet in FROM: the file is asked for its columns while the statement is
// bound.
#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "sql/binder.hpp"
#include "sql/file_table.hpp"
#include "sql/functions/kernels.hpp"

namespace bop::sql {

namespace {

enum class OptionType : std::uint8_t { kText, kBool, kInteger };
struct Option {
  std::string_view name;
  OptionType type;
};

// What may be said of a file; the executor's other options name other files, or guess.
constexpr std::array kCsvOptions{
    Option{"delim", OptionType::kText},       Option{"quote", OptionType::kText},
    Option{"escape", OptionType::kText},      Option{"nullstr", OptionType::kText},
    Option{"header", OptionType::kBool},      Option{"skip", OptionType::kInteger},
    Option{"all_varchar", OptionType::kBool}, Option{"sample_size", OptionType::kInteger},
    Option{"dateformat", OptionType::kText},  Option{"timestampformat", OptionType::kText},
};
constexpr std::array kJsonOptions{
    Option{"format", OptionType::kText},
    Option{"sample_size", OptionType::kInteger},
    Option{"maximum_depth", OptionType::kInteger},
};

std::span<const Option> options_of(FileKind kind) {
  switch (kind) {
    case FileKind::kCsv: return kCsvOptions;
    case FileKind::kJson: return kJsonOptions;
    case FileKind::kParquet: return {};
  }
  return {};
}

const PgQuery__AConst* constant_of(const pg::Node& node) {
  if (node.node_case == PG_QUERY__NODE__NODE_TYPE_CAST) return constant_of(*node.type_cast->arg);
  return node.node_case == PG_QUERY__NODE__NODE_A_CONST && node.a_const->isnull == 0 ? node.a_const : nullptr;
}

// The option's value as a literal of the executor; nullopt: of another type.
std::optional<std::string> option_literal(const PgQuery__AConst& value, OptionType type) {
  switch (type) {
    case OptionType::kText:
      if (value.val_case != PG_QUERY__A__CONST__VAL_SVAL) return std::nullopt;
      return executor_literal(pg::text(value.sval->sval));
    case OptionType::kBool:
      if (value.val_case != PG_QUERY__A__CONST__VAL_BOOLVAL) return std::nullopt;
      return value.boolval->boolval != 0 ? "true" : "false";
    case OptionType::kInteger:
      if (value.val_case != PG_QUERY__A__CONST__VAL_IVAL) return std::nullopt;
      return std::to_string(value.ival->ival);
  }
  return std::nullopt;
}

}  // namespace

RangeRef Binder::file_entry(const pg::Node& node, const PgQuery__RangeFunction& range, Scope& scope) {
  if (context_.files == nullptr || node.node_case != PG_QUERY__NODE__NODE_FUNC_CALL) return nullptr;
  const PgQuery__FuncCall& call = *node.func_call;
  const pg::NodeList names = BOP_PG_LIST(&call, funcname);
  if (names.size() > 2 || (names.size() == 2 && pg::string_of(names.front()) != "pg_catalog")) return nullptr;
  FileRequest request;
  if (!is_file_function(pg::last_name(names), request.kind)) return nullptr;
  const std::string_view function = name_of(request.kind);
  bool named = false;
  for (const pg::Node* argument : BOP_PG_LIST(&call, args)) {
    if (argument->node_case != PG_QUERY__NODE__NODE_NAMED_ARG_EXPR) {
      const PgQuery__AConst* name = constant_of(*argument);
      if (name == nullptr || name->val_case != PG_QUERY__A__CONST__VAL_SVAL)
        not_implemented(fmt::format("{} of anything but one constant name", function), call.location);
      if (std::exchange(named, true))
        not_implemented(fmt::format("{} of several files", function), call.location);
      request.name = pg::text(name->sval->sval);
      continue;
    }
    const PgQuery__NamedArgExpr& option = *argument->named_arg_expr;
    const std::span<const Option> known = options_of(request.kind);
    const auto found = std::ranges::find(known, pg::text(option.name), &Option::name);
    if (found == known.end()) {
      not_implemented(fmt::format("the option \"{}\" of {}", pg::text(option.name), function),
                      option.location);
    }
    const PgQuery__AConst* value = constant_of(*option.arg);
    const auto literal = value == nullptr ? std::nullopt : option_literal(*value, found->type);
    if (!literal) {
      raise(error(ErrorCode::kInvalidArgument, "the option \"{}\" of {} must be a constant {}", found->name,
                  function,
                  found->type == OptionType::kText   ? "text"
                  : found->type == OptionType::kBool ? "boolean"
                                                     : "integer"),
            option.location);
    }
    if (std::ranges::find(request.options, found->name,
                          [](const auto& o) { return std::string_view(o.first); }) != request.options.end()) {
      raise(error(ErrorCode::kSyntaxError, "argument name \"{}\" used more than once", found->name),
            option.location);
    }
    request.options.emplace_back(found->name, *literal);
  }
  if (!named) {
    raise(error(ErrorCode::kUndefinedFunction, "function {}() does not exist", function), call.location);
  }
  auto table = context_.files->describe(std::move(request));
  if (!table) raise(std::move(table).error(), call.location);
  const std::string alias =
      range.alias == nullptr ? std::string(function) : std::string(pg::text(range.alias->aliasname));
  RangeRef entry = new_entry(RangeKind::kFile, alias, scope.depth);
  for (const FileColumn& column : (*table)->columns) {
    entry->columns.push_back({.name = column.name,
                              .type = column.type,
                              .typmod = column.typmod,
                              .sql = fmt::format("v{}", entry->columns.size())});
  }
  entry->file = std::move(*table);
  if (range.ordinality != 0) not_implemented(fmt::format("WITH ORDINALITY of {}", function), call.location);
  rename_columns(*entry, range.alias, "table");
  return entry;
}

}  // namespace bop::sql
