// Aggregates and window functions.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "executor/translate.hpp"
#include "sql/functions/registry.hpp"
#include "sql/tree_search.hpp"

namespace bop::executor {

using sql::ExprKind;

namespace {

constexpr ColumnType kBigint{.physical = Physical::kInt64};

const Kernel& numeric_division() {
  static const Kernel& kernel = []() -> const Kernel& {
    for (const Kernel* k : lookup_operator("/", 2)) {
      if (k->args[0] == types::kNumeric) return *k;
    }
    throw NotProven{"numeric division"};
  }();
  return kernel;
}

bool is_integer(Oid type) { return type == types::kInt2 || type == types::kInt4 || type == types::kInt8; }

}  // namespace

std::string Translator::window(const sql::Window& w) {
  std::string out = "OVER (";
  for (std::size_t i = 0; i < w.partition.size(); ++i)
    out += (i == 0 ? "PARTITION BY " : ", ") + key(*w.partition[i]);
  const std::string by = order(w.order, nullptr);
  out += by;
  const int f = w.frame_options;
  if (by.empty() && (f & 0x1) != 0 && (f & 0x6) == 0) not_proven("groups of a window without an order");
  if ((f & 0x1) != 0) {
    out += (f & 0x2) != 0 ? " RANGE" : (f & 0x4) != 0 ? " ROWS" : " GROUPS";
    const auto bound = [&](bool start) -> std::string {
      if ((f & (start ? 0x20 : 0x40)) != 0) return "UNBOUNDED PRECEDING";
      if ((f & (start ? 0x80 : 0x100)) != 0) return "UNBOUNDED FOLLOWING";
      if ((f & (start ? 0x200 : 0x400)) != 0) return "CURRENT ROW";
      const bool preceding = (f & (start ? 0x800 : 0x1000)) != 0;
      if ((f & 0x2) != 0) not_proven("RANGE with an offset");
      const Expr& offset = start ? *w.start : *w.end;
      if (offset.kind != ExprKind::kConst || offset.value.is_null() || offset.value.integer() < 0)
        not_proven("a frame offset that is no constant");
      return fmt::format("{} {}", offset.value.integer(), preceding ? "PRECEDING" : "FOLLOWING");
    };
    out += " BETWEEN " + bound(true) + " AND " + bound(false);
    if ((f & 0x8000) != 0) {
      out += " EXCLUDE CURRENT ROW";
    } else if ((f & 0x10000) != 0) {
      out += " EXCLUDE GROUP";
    } else if ((f & 0x20000) != 0) {
      out += " EXCLUDE TIES";
    }
  }
  return out + ")";
}

// Functions that exist only with OVER.
Term Translator::plain_aggregate(const Expr& e, std::string_view name, const std::string& tail) {
  if (name == "nth_value" || name == "ntile") {
    const Expr& number = *e.args.back();
    if (number.kind != ExprKind::kConst || number.value.is_null() || number.value.integer() < 1)
      not_proven("a number of rows that is no constant above 0");
  }
  std::string args;
  std::vector<Term> terms;
  for (const ExprRef& arg : e.args) {
    terms.push_back(expression(*arg));
    args += (args.empty() ? "" : ", ") + terms.back().sql;
  }
  std::string text = fmt::format("{}({}){}", name, args, tail);
  // An offset that is NULL gives NULL, not the default.
  if ((name == "lag" || name == "lead") && terms.size() == 3 && e.args[1]->kind != ExprKind::kConst)
    text = fmt::format("CASE WHEN {} IS NOT NULL THEN {} END", terms[1].sql, text);
  constexpr std::array<std::string_view, 3> kCounts{"row_number", "rank", "dense_rank"};
  if (std::ranges::find(kCounts, name) != kCounts.end()) return {.sql = text, .type = kBigint};
  if (name == "percent_rank" || name == "cume_dist")
    return {.sql = text, .type = {.physical = Physical::kDouble}};
  if (name == "ntile")
    return {.sql = fmt::format("CAST({} AS INTEGER)", text), .type = {.physical = Physical::kInt32}};
  if (terms.empty()) not_proven(fmt::format("window function {}", name));
  if (terms.size() == 3 && terms[2].type != terms[0].type) not_proven("a default of another form");
  return {.sql = text, .type = terms[0].type, .mixed = terms[0].mixed};
}

Term Translator::aggregate(const Expr& e) {
  if (e.outer) not_proven("an aggregate of an outer query");
  // Inside, columns are those of the rows; of a window function over groups they are those of the groups.
  const Query* groups = e.kind == ExprKind::kAggregate ? std::exchange(grouped_, nullptr) : grouped_;
  struct Restore {
    const Query*& place;
    const Query* value;
    ~Restore() { place = value; }
  } const restore{grouped_, groups};
  if (e.window != nullptr) {
    sql::visit(e, [&](const Expr& part) {
      if (part.kind == ExprKind::kColumn && part.entry != nullptr && part.entry->depth < depth_)
        not_proven("a window function over columns of an outer query");
      return true;
    });
  }
  std::string tail;
  if (e.filter != nullptr) tail += fmt::format(" FILTER (WHERE {})", condition(*e.filter));
  if (e.window != nullptr) tail += " " + window(*e.window);
  if (e.kernel == nullptr) return plain_aggregate(e, e.text, tail);

  const std::string_view name = e.kernel->name;
  if (e.star || e.args.empty()) {
    if (name != "count") not_proven(fmt::format("aggregate {}", name));
    return {.sql = "count(*)" + tail, .type = kBigint};
  }
  const Oid type = e.args[0]->type;
  Term arg = expression(*e.args[0]);
  if (e.filter != nullptr && sql::may_fail(*e.args[0])) {
    // DuckDB computes it for all rows, FILTER or not.
    arg.sql = fmt::format("CASE WHEN {} THEN {} END", condition(*e.filter), arg.sql);
  }
  const auto made = [&](std::string_view function, std::string_view what) {
    return fmt::format("{}({}{}){}", function, e.distinct ? "DISTINCT " : "", what, tail);
  };
  const auto decimal = [](int scale) {
    return ColumnType{
        .physical = Physical::kDecimal, .precision = 38, .scale = static_cast<std::uint8_t>(scale)};
  };
  const bool is_decimal = arg.type.physical == Physical::kDecimal;
  if (name == "count") {
    if (e.args.size() > 1) not_proven("count of several arguments");
    return {.sql = made("count", e.distinct ? key(type, arg) : arg.sql), .type = kBigint};
  }
  if (name == "min" || name == "max") {
    if (is_keyed(type, arg.type)) {
      const std::string of = fmt::format("{}, {}", arg.sql, key(type, arg));
      return {.sql = fmt::format("{}({}){}", name == "min" ? "arg_min" : "arg_max", of, tail),
              .type = arg.type};
    }
    return {.sql = made(name, arg.sql), .type = arg.type, .mixed = arg.mixed};
  }
  if (name == "sum" || name == "avg") {
    if (name == "sum" && (type == types::kInt2 || type == types::kInt4))
      return {.sql = fmt::format("CAST({} AS BIGINT)", made("sum", arg.sql)), .type = kBigint};
    if (!is_integer(type) && !is_decimal) not_proven(fmt::format("{} of type {}", name, format_type(type)));
    const int scale = is_decimal ? arg.type.scale : 0;
    Term sum{.sql = fmt::format("CAST({} AS DECIMAL(38,{}))", made("sum", arg.sql), scale),
             .type = decimal(scale),
             .mixed = arg.mixed};
    if (name == "sum") return sum;
    const Term count{.sql = fmt::format("CAST(nullif({}, 0) AS DECIMAL(38,0))", made("count", arg.sql)),
                     .type = decimal(0)};
    Expr division;
    division.kernel = &numeric_division();
    division.type = types::kNumeric;
    if (arg.mixed) {
      if (auto quotient = decimal_call(division, {sum, count})) return *quotient;
    }
    return kernel_call(numeric_division(), {sum, count}, {}, false, {});
  }
  if (name == "bool_and" || name == "bool_or" || name == "every")
    return {.sql = made(name == "bool_or" ? "bool_or" : "bool_and", arg.sql), .type = arg.type};
  if (name == "bit_and" || name == "bit_or" || name == "bit_xor")
    if (is_integer(type)) return {.sql = made(name, arg.sql), .type = arg.type};
  if (name == "string_agg" && type == types::kText && e.args.size() == 2 && e.window == nullptr &&
      e.args[1]->kind == ExprKind::kConst && !e.args[1]->value.is_null() && !e.distinct) {
    // Threads meet rows in any order; SQLite as they lie there, which is what people see elsewhere.
    if (e.order.empty()) not_proven("string_agg without ORDER BY");
    const std::string inside =
        fmt::format("{}, {}{}", arg.sql, expression(*e.args[1]).sql, order(e.order, nullptr));
    return {.sql = made("string_agg", inside), .type = arg.type};
  }
  not_proven(fmt::format("aggregate {} of type {}", name, format_type(type)));
}

}  // namespace bop::executor
