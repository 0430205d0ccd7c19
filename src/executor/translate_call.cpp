// Operators and functions: which are DuckDB's own, and how ours are called.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <unordered_map>

#include "executor/sort_key.hpp"
#include "executor/translate.hpp"
#include "sql/functions/registry.hpp"

namespace bop::executor {

using sql::ExprKind;

namespace {

constexpr ColumnType kBool{.physical = Physical::kBool};

bool is_comparison(std::string_view sign) {
  constexpr std::array<std::string_view, 6> kSigns{"=", "<>", "<", "<=", ">", ">="};
  return std::ranges::find(kSigns, sign) != kSigns.end();
}

// Types whose stored values compare with each other as they stand. Numbers below are classes.
int comparison_class(Oid type) {
  switch (type) {
    case types::kInt2:
    case types::kInt4:
    case types::kInt8:
    case types::kOid: return 1;
    case types::kFloat4:
    case types::kFloat8: return 2;
    case types::kText:
    case types::kVarchar:
    case types::kName: return 3;
    default: return static_cast<int>(type) + 100;
  }
}

// By the name of the function behind an operator: DuckDB's operator, which refuses what overflows as ours
// does, and the width in which it is computed.
struct Arithmetic {
  std::string_view sign;
  Physical width;
};
const std::unordered_map<std::string_view, Arithmetic>& integer_arithmetic() {
  using enum Physical;
  static const std::unordered_map<std::string_view, Arithmetic> table{
      {"int2pl", {"+", kInt16}},  {"int2mi", {"-", kInt16}},  {"int2mul", {"*", kInt16}},
      {"int4pl", {"+", kInt32}},  {"int4mi", {"-", kInt32}},  {"int4mul", {"*", kInt32}},
      {"int24pl", {"+", kInt32}}, {"int24mi", {"-", kInt32}}, {"int24mul", {"*", kInt32}},
      {"int42pl", {"+", kInt32}}, {"int42mi", {"-", kInt32}}, {"int42mul", {"*", kInt32}},
      {"int8pl", {"+", kInt64}},  {"int8mi", {"-", kInt64}},  {"int8mul", {"*", kInt64}},
      {"int28pl", {"+", kInt64}}, {"int28mi", {"-", kInt64}}, {"int28mul", {"*", kInt64}},
      {"int82pl", {"+", kInt64}}, {"int82mi", {"-", kInt64}}, {"int82mul", {"*", kInt64}},
      {"int48pl", {"+", kInt64}}, {"int48mi", {"-", kInt64}}, {"int48mul", {"*", kInt64}},
      {"int84pl", {"+", kInt64}}, {"int84mi", {"-", kInt64}}, {"int84mul", {"*", kInt64}}};
  return table;
}

std::string_view width_name(Physical width) {
  return width == Physical::kInt16 ? "SMALLINT" : width == Physical::kInt32 ? "INTEGER" : "BIGINT";
}

// Calls a kernel, or one of the binder's helpers, with constants around the arguments.
class KernelEvaluator final : public Evaluator {
 public:
  KernelEvaluator(const ScalarFunction& function, const Kernel& kernel, std::vector<Oid> types,
                  bool variadic_array, std::vector<OwnedValue> before, std::vector<OwnedValue> after,
                  const CodecContext& codec)
      : function_(function),
        kernel_(kernel),
        types_(std::move(types)),
        variadic_array_(variadic_array),
        before_(std::move(before)),
        after_(std::move(after)) {
    context_.codec = codec;
  }
  Result<OwnedValue> call(std::span<const Value> arguments) override {
    std::span<const Value> all = arguments;
    if (!before_.empty() || !after_.empty()) {
      scratch_.clear();
      for (const OwnedValue& v : before_) scratch_.push_back(v);
      scratch_.insert(scratch_.end(), arguments.begin(), arguments.end());
      for (const OwnedValue& v : after_) scratch_.push_back(v);
      all = scratch_;
    }
    Call call{.args = all,
              .context = context_,
              .kernel = kernel_,
              .types = types_,
              .variadic_array = variadic_array_};
    return function_(call);
  }

 private:
  const ScalarFunction& function_;
  const Kernel& kernel_;
  const std::vector<Oid> types_;
  const bool variadic_array_;
  const std::vector<OwnedValue> before_, after_;
  std::vector<Value> scratch_;
  FunctionContext context_;
};

const Kernel& no_kernel() {
  static const Kernel none{.sqlite_name = "bop"};
  return none;
}

// The quotient of numbers one of which may have fewer digits behind its point than its column shows: right
// only where that does not decide how many the quotient has.
class MixedQuotient final : public Evaluator {
 public:
  MixedQuotient(const Kernel& kernel, int scale, const CodecContext& codec)
      : divide_(implementation_of(kernel).scalar, kernel, {}, false, {}, {}, codec), scale_(scale) {}
  Result<OwnedValue> call(std::span<const Value> arguments) override {
    BOP_LET(quotient, divide_.call(arguments));
    const std::size_t point = quotient.bytes().find('.');
    const std::size_t shown = point == std::string::npos ? 0 : quotient.bytes().size() - point - 1;
    if (shown <= static_cast<std::size_t>(scale_))
      return fail(ErrorCode::kNotImplemented, "a quotient of numbers of unknown scale");
    return quotient;
  }

 private:
  KernelEvaluator divide_;
  int scale_;
};

}  // namespace

Term Translator::function(std::string identity, std::vector<Term> args, ColumnType result, bool strict,
                          std::function<std::unique_ptr<Evaluator>()> make) {
  Function f{.result = result, .strict = strict, .make = std::move(make)};
  std::string list;
  const auto add_form = [&](const ColumnType& type) {
    identity += fmt::format("/{}.{}.{}", static_cast<int>(type.physical), type.precision, type.scale);
  };
  for (Term& arg : args) {
    // The width of a decimal that DuckDB has computed is its own affair.
    if (arg.type.physical == Physical::kDecimal) arg.type.precision = 38;
    f.arguments.push_back(arg.type);
    list += ", " + arg.sql;
    add_form(arg.type);
  }
  add_form(result);
  const auto [known, is_new] = functions_.emplace(std::move(identity), out_.statement.functions.size());
  if (is_new) out_.statement.functions.push_back(std::move(f));
  return {.sql = fmt::format("bop_call({}{})", known->second, list), .type = result};
}

Term Translator::kernel_call(const Kernel& kernel, std::vector<Term> args, std::vector<Oid> types,
                             bool variadic_array, ColumnType result) {
  if (kernel.oid >= sql::kFirstUserOid) not_proven("a user's function");
  const Implementation& implementation = implementation_of(kernel);
  if (!implementation.scalar) not_proven(fmt::format("function {}", kernel.name));
  for (const Term& arg : args) {
    if (arg.mixed) not_proven("a number of unknown scale as an argument");
  }
  std::string identity =
      fmt::format("kernel {} {}{}", kernel.oid, kernel.sqlite_name, variadic_array ? " variadic" : "");
  for (const Oid type : types) identity += fmt::format(" {}", type);
  return function(std::move(identity), std::move(args), result, kernel.strict,
                  [&implementation, &kernel, types = std::move(types), variadic_array, codec = input_.codec] {
                    return std::make_unique<KernelEvaluator>(implementation.scalar, kernel, types,
                                                             variadic_array, std::vector<OwnedValue>(),
                                                             std::vector<OwnedValue>(), codec);
                  });
}

Term Translator::helper_call(const char* name, std::vector<OwnedValue> before, std::vector<Term> args,
                             std::vector<OwnedValue> after, ColumnType result, bool strict) {
  const auto& all = helpers();
  const auto found =
      std::ranges::find_if(all, [&](const Helper& h) { return std::string_view(h.name) == name; });
  if (found == all.end()) not_proven(name);
  for (const Term& arg : args) {
    if (arg.mixed) not_proven("a number of unknown scale as an argument");
  }
  std::string identity = name;
  for (const auto* values : {&before, &after}) {
    identity += " of";
    for (const OwnedValue& value : *values) {
      identity += fmt::format(" {}:{}:{}:{}", static_cast<int>(value.kind()), value.integer(),
                              value.bytes().size(), value.bytes());
    }
  }
  return function(
      std::move(identity), std::move(args), result, strict,
      [&helper = *found, before = std::move(before), after = std::move(after), codec = input_.codec] {
        return std::make_unique<KernelEvaluator>(helper.function, no_kernel(), std::vector<Oid>(), false,
                                                 before, after, codec);
      });
}

Term Translator::comparison(std::string_view sign, Oid left, Oid right, const Term& a, const Term& b) {
  const bool decimals = a.type.physical == Physical::kDecimal && b.type.physical == Physical::kDecimal;
  if (!decimals && comparison_class(left) != comparison_class(right))
    not_proven("a comparison of different types");
  if (decimals || (!is_keyed(left, a.type) && !is_keyed(right, b.type)))
    return {.sql = fmt::format("({} {} {})", a.sql, sign, b.sql), .type = kBool};
  // A number of known scale beside one of unknown: both by their keys.
  const auto keyed = [&](Oid type, Term term) {
    if (term.type.physical == Physical::kDecimal) {
      term.sql = fmt::format("CAST({} AS VARCHAR)", term.sql);
      term.type = {};
    }
    return key(type, term);
  };
  return {.sql = fmt::format("({} {} {})", keyed(left, a), sign, keyed(right, b)), .type = kBool};
}

std::optional<Term> Translator::decimal_call(const Expr& e, const std::vector<Term>& args) {
  const std::string_view name = e.kernel->proc_name.empty() ? e.kernel->name : e.kernel->proc_name;
  const bool decimals =
      std::ranges::all_of(args, [](const Term& t) { return t.type.physical == Physical::kDecimal; });
  if (!decimals) return std::nullopt;
  const auto width = [](int digits, int scale) {
    return ColumnType{.physical = Physical::kDecimal,
                      .precision = static_cast<std::uint8_t>(std::min(digits, 38)),
                      .scale = static_cast<std::uint8_t>(scale)};
  };
  if (name == "numeric_uminus")
    return Term{.sql = fmt::format("(-{})", args[0].sql), .type = args[0].type, .mixed = args[0].mixed};
  if (args.size() != 2) return std::nullopt;
  const ColumnType& a = args[0].type;
  const ColumnType& b = args[1].type;
  const bool mixed = args[0].mixed || args[1].mixed;
  if (name == "numeric_add" || name == "numeric_sub") {
    const int scale = std::max(a.scale, b.scale);
    const int digits = std::max(a.precision - a.scale, b.precision - b.scale) + scale + 1;
    if (digits > 38) return std::nullopt;
    return Term{.sql = fmt::format("({} {} {})", args[0].sql, name == "numeric_add" ? "+" : "-", args[1].sql),
                .type = width(digits, scale),
                .mixed = mixed};
  }
  if (name == "numeric_mul") {
    if (a.scale + b.scale > 18 && a.precision + b.precision > 38) return std::nullopt;
    return Term{.sql = fmt::format("({} * {})", args[0].sql, args[1].sql),
                .type = width(a.precision + b.precision, a.scale + b.scale),
                .mixed = mixed};
  }
  if (name == "numeric_div" && mixed) {
    const int scale = std::max(a.scale, b.scale);
    return function(fmt::format("quotient {}", scale), args, {}, true,
                    [&kernel = *e.kernel, scale, codec = input_.codec] {
                      return std::make_unique<MixedQuotient>(kernel, scale, codec);
                    });
  }
  return std::nullopt;
}

std::optional<Term> Translator::native_call(const Expr& e, const std::vector<Term>& args) {
  const Kernel& kernel = *e.kernel;
  const std::string_view name = kernel.proc_name.empty() ? kernel.name : kernel.proc_name;
  if (kernel.is_operator && args.size() == 2 && kernel.result == types::kBool && is_comparison(kernel.name)) {
    const Oid left = e.args[0]->type;
    const Oid right = e.args[1]->type;
    const bool decimals =
        args[0].type.physical == Physical::kDecimal && args[1].type.physical == Physical::kDecimal;
    if (decimals || comparison_class(left) == comparison_class(right))
      return comparison(kernel.name, left, right, args[0], args[1]);
    return std::nullopt;
  }
  if (const auto found = integer_arithmetic().find(name);
      found != integer_arithmetic().end() && args.size() == 2) {
    const auto [sign, width] = found->second;
    const auto as_width = [&, w = width](const Term& t) {
      return t.type.physical == w ? t.sql : fmt::format("CAST({} AS {})", t.sql, width_name(w));
    };
    return Term{.sql = fmt::format("({} {} {})", as_width(args[0]), sign, as_width(args[1])),
                .type = {.physical = width}};
  }
  if (auto decimal = decimal_call(e, args)) return decimal;
  if (name == "textcat" && args.size() == 2)
    return Term{.sql = fmt::format("({} || {})", args[0].sql, args[1].sql)};
  if ((name == "textlike" || name == "textnlike") && args.size() == 2 &&
      e.args[1]->kind == ExprKind::kConst && !e.args[1]->value.is_null() &&
      e.args[1]->value.bytes().find('\\') == std::string::npos) {
    return Term{
        .sql = fmt::format("({} {} {})", args[0].sql, name == "textlike" ? "LIKE" : "NOT LIKE", args[1].sql),
        .type = kBool};
  }
  if ((name == "int2up" || name == "int4up" || name == "int8up" || name == "numeric_uplus" ||
       name == "float4up" || name == "float8up") &&
      args.size() == 1)
    return args[0];
  return std::nullopt;
}

Term Translator::call(const Expr& e) {
  const Kernel& kernel = *e.kernel;
  if (kernel.kind != KernelKind::kScalar) not_proven(fmt::format("function {}", kernel.name));
  if (kernel.volatility == 'v') not_proven(fmt::format("the volatile function {}", kernel.name));
  std::vector<Term> args;
  for (const ExprRef& arg : e.args) {
    if (arg == nullptr) not_proven("an argument that is left out");
    args.push_back(expression(*arg));
  }
  if (auto native = native_call(e, args)) return *native;
  const auto physical = column_type(e.type, -1);
  if (!physical) not_proven(fmt::format("values of type {}", format_type(e.type)));
  return kernel_call(kernel, std::move(args), kernel.typed ? e.arg_types : std::vector<Oid>(),
                     e.variadic_array, *physical);
}

}  // namespace bop::executor
