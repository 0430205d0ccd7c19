#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "executor/sort_key.hpp"
#include "executor/translate.hpp"
#include "sql/tree_search.hpp"
#include "sql/types/array.hpp"
#include "sql/types/user_types.hpp"

namespace bop::executor {

using sql::ExprKind;
using sql::RangeKind;

namespace {

constexpr ColumnType kBool{.physical = Physical::kBool};

std::string quoted(std::string_view s) {
  std::string out = "'";
  for (const char c : s) {
    out += c;
    if (c == '\'') out += c;
  }
  return out + '\'';
}

std::string type_name(const ColumnType& type) {
  switch (type.physical) {
    case Physical::kBool: return "BOOLEAN";
    case Physical::kInt16: return "SMALLINT";
    case Physical::kInt32: return "INTEGER";
    case Physical::kInt64: return "BIGINT";
    case Physical::kFloat: return "FLOAT";
    case Physical::kDouble: return "DOUBLE";
    case Physical::kText: return "VARCHAR";
    case Physical::kBlob: return "BLOB";
    case Physical::kDecimal: return fmt::format("DECIMAL({},{})", type.precision, type.scale);
  }
  return {};
}

// Digits and scale of a number's text; nullopt for NaN, infinities and what is too long.
std::optional<ColumnType> decimal_of(std::string_view text) {
  int digits = 0;
  int scale = -1;
  for (const char c : text) {
    if (c == '-' && digits == 0) continue;
    if (c == '.') {
      scale = 0;
    } else if (c >= '0' && c <= '9') {
      ++digits;
      scale += scale >= 0 ? 1 : 0;
    } else {
      return std::nullopt;
    }
  }
  scale = std::max(scale, 0);
  if (digits == 0 || digits > 38) return std::nullopt;
  return ColumnType{.physical = Physical::kDecimal,
                    .precision = static_cast<std::uint8_t>(digits),
                    .scale = static_cast<std::uint8_t>(scale)};
}

bool varies(const sql::Expr& e) { return sql::reads_columns(e) || sql::has_aggregate(e); }

// Whether a row may have values for which it fails, so that what stands before it in AND and OR has to keep
// it from them. What can only overflow is not among them: PostgreSQL promises no order, and a join condition
// inside a CASE would be no join condition any more. Without columns it fails for all rows or for none.
bool fails_for_some(const sql::Expr& e) {
  const auto any_argument = [&] {
    return std::ranges::any_of(e.args,
                               [](const sql::ExprRef& a) { return a != nullptr && fails_for_some(*a); });
  };
  switch (e.kind) {
    case ExprKind::kCall: {
      using namespace std::string_view_literals;
      constexpr std::array kSafe{"="sv, "<>"sv, "<"sv, "<="sv, ">"sv,  ">="sv,
                                 "+"sv, "-"sv,  "*"sv, "||"sv, "~~"sv, "!~~"sv};
      const bool safe = e.kernel->is_operator && std::ranges::find(kSafe, e.kernel->name) != kSafe.end();
      return (!safe && varies(e)) || any_argument();
    }
    case ExprKind::kCast: {
      const TypeInfo* from = find_type(e.cast_from);
      const bool parses =
          !is_stored_alike(e.cast_from, e.type) &&
          (from == nullptr || from->category == 'S' || from->category == 'A' || e.typmod != -1);
      return (parses && varies(e)) || any_argument();
    }
    case ExprKind::kScalarSubquery:
    case ExprKind::kExists:
    case ExprKind::kQuantifiedSubquery: return false;
    default: return any_argument();
  }
}

bool has_one_row(const sql::Query& q) {
  return q.kind == sql::QueryKind::kSelect && q.grouped && q.group_by.empty();
}

bool computes_what_may_fail(const sql::Query& q) {
  return (q.where != nullptr && fails_for_some(*q.where)) ||
         std::ranges::any_of(q.targets, [](const sql::Target& t) { return fails_for_some(*t.expr); });
}

// DuckDB joins subqueries, also where CASE, coalesce, AND and OR would not compute them: those that may find
// two rows do not stand there, nor in a `branch` of the first two those whose values may fail. (Of AND and OR
// PostgreSQL promises no order.)
void refuse_subqueries_that_fail(const sql::Expr& e, bool branch) {
  sql::visit(e, [branch](const sql::Expr& part) {
    if (part.kind == sql::ExprKind::kScalarSubquery &&
        (!has_one_row(*part.query) || (branch && computes_what_may_fail(*part.query))))
      not_proven("a subquery that may fail where it may not be computed");
    return true;
  });
}

}  // namespace

std::string cast_to(const Term& term, const ColumnType& type) {
  return fmt::format("CAST({} AS {})", term.sql, type_name(type));
}

std::optional<ColumnType> column_type(Oid type, std::int32_t typmod) noexcept {
  switch (type) {
    case types::kBool: return kBool;
    case types::kInt2: return ColumnType{.physical = Physical::kInt16};
    case types::kInt4:
    case types::kDate: return ColumnType{.physical = Physical::kInt32};
    case types::kInt8:
    case types::kOid:
    case types::kTime:
    case types::kTimestamp:
    case types::kTimestamptz: return ColumnType{.physical = Physical::kInt64};
    case types::kFloat4: return ColumnType{.physical = Physical::kFloat};
    case types::kFloat8: return ColumnType{.physical = Physical::kDouble};
    case types::kBytea:
    case types::kUuid: return ColumnType{.physical = Physical::kBlob};
    case types::kNumeric:
      if (const auto known = numeric_typmod(typmod);
          known && known->precision <= 38 && known->scale >= 0 && known->scale <= known->precision) {
        return ColumnType{.physical = Physical::kDecimal,
                          .precision = static_cast<std::uint8_t>(known->precision),
                          .scale = static_cast<std::uint8_t>(known->scale)};
      }
      return ColumnType{};
    case types::kText:
    case types::kVarchar:
    case types::kBpchar:
    case types::kName:
    case types::kInterval:
    case types::kJson:
    case types::kJsonb: return ColumnType{};
    // Types that users make are known to the session's thread alone.
    default:
      return is_true_array(type) && find_user_type(type) == nullptr ? std::optional(ColumnType{})
                                                                    : std::nullopt;
  }
}

bool is_keyed(Oid type, const ColumnType& physical) noexcept {
  const TypeInfo* info = find_type(type);
  return info == nullptr || type == types::kJson ||
         (!info->collation.empty() && physical.physical != Physical::kDecimal);
}

std::string Translator::key(Oid type, const Term& term) {
  if (!is_keyed(type, term.type)) return term.sql;
  if (!has_sort_key(type)) not_proven(fmt::format("comparing values of type {}", format_type(type)));
  class Key final : public Evaluator {
   public:
    explicit Key(Oid type) : type_(type) {}
    Result<OwnedValue> call(std::span<const Value> arguments) override {
      return OwnedValue::of_blob(sort_key(type_, arguments[0]));
    }

   private:
    Oid type_;
  };
  return function(fmt::format("key {}", type), {term}, {.physical = Physical::kBlob}, true,
                  [type] { return std::make_unique<Key>(type); })
      .sql;
}

std::string Translator::key(const Expr& e) { return key(e.type, expression(e)); }

Term Translator::literal(Oid type, std::int32_t typmod, const Value& value) {
  auto physical = column_type(type, typmod);
  if (!physical) not_proven(fmt::format("values of type {}", format_type(type)));
  if (type == types::kNumeric && value.kind == Value::Kind::kText) {
    physical = decimal_of(value.bytes).value_or(ColumnType{});
  }
  if (value.is_null())
    return {.sql = fmt::format("CAST(NULL AS {})", type_name(*physical)), .type = *physical};
  std::string text;
  switch (value.kind) {
    case Value::Kind::kInt:
      text = physical->physical == Physical::kBool ? (value.integer != 0 ? "true" : "false")
                                                   : fmt::format("'{}'", value.integer);
      break;
    case Value::Kind::kReal: text = fmt::format("'{}'", value.real); break;
    case Value::Kind::kBlob:
      text = "'";
      for (const char c : value.bytes) text += fmt::format("\\x{:02X}", static_cast<unsigned char>(c));
      text += '\'';
      break;
    default: text = quoted(value.bytes);
  }
  return {.sql = fmt::format("CAST({} AS {})", text, type_name(*physical)), .type = *physical};
}

Term Translator::constant(const Expr& e) { return literal(e.type, e.typmod, e.value); }

Term Translator::column(const Expr& e) {
  if (e.entry->merged) return expression(*sql::merged_column(e));
  const auto known = entries_.find(e.entry.get());
  if (known == entries_.end()) not_proven("a column of another place");
  const Term& term = known->second.at(static_cast<std::size_t>(e.number));
  if (term.absent) not_proven(fmt::format("values of type {}", format_type(e.type)));
  const std::string name =
      fmt::format("r{}.{}", e.entry->id, e.entry->columns[static_cast<std::size_t>(e.number)].sql);
  Term out{.sql = name, .type = term.type, .mixed = term.mixed};
  // PostgreSQL lets columns stand that a grouped primary key determines.
  if (grouped_ != nullptr && e.entry->depth == grouped_->depth) out.sql = fmt::format("any_value({})", name);
  return out;
}

Term Translator::expression(const Expr& e) {
  if (grouped_ != nullptr) {
    for (const ExprRef& group : grouped_->group_by) {
      if (!sql::same_expr(*group, e)) continue;
      const Query* outer = std::exchange(grouped_, nullptr);
      Term term = expression(e);
      if (is_keyed(e.type, term.type)) {
        const std::string any = fmt::format("any_value({})", term.sql);
        term.sql = outer->grouping_sets.empty()
                       ? any
                       : fmt::format("CASE WHEN grouping({}) = 0 THEN {} END", key(e.type, term), any);
      }
      grouped_ = outer;
      return term;
    }
  }
  Term term = open_expression(e);
  decimals_ = decimals_ || (term.type.physical == Physical::kDecimal && e.kind != ExprKind::kConst);
  return term;
}

std::string Translator::logic(const Expr& e, bool tested) {
  const bool is_and = e.kind == ExprKind::kAnd;
  const std::string_view word = is_and ? " AND " : " OR ";
  std::vector<std::string> texts;
  std::size_t first = e.args.size();  // that may fail; nothing stands before the first argument
  std::size_t last = 0;
  for (std::size_t i = 0; i < e.args.size(); ++i) {
    texts.push_back(tested ? condition(*e.args[i]) : expression(*e.args[i]).sql);
    if (i > 0) refuse_subqueries_that_fail(*e.args[i], false);
    if (i == 0 || !fails_for_some(*e.args[i])) continue;
    first = std::min(first, i);
    last = i;
  }
  const auto joined = [&](std::size_t from, std::size_t to) {
    std::string out;
    for (std::size_t i = from; i < to; ++i) out += (i == from ? "" : std::string(word)) + texts[i];
    return out;
  };
  // Each argument is written twice at most, so that the text stays as long as the statement.
  const auto guarded = [&](std::size_t from) {
    std::string rest = joined(last, texts.size());
    for (std::size_t i = last; i-- > from;) {
      if (tested) {
        rest = is_and ? fmt::format("CASE WHEN {} THEN {} ELSE false END", texts[i], rest)
                      : fmt::format("CASE WHEN {} THEN true ELSE {} END", texts[i], rest);
      } else {
        rest = fmt::format("CASE WHEN ({0}) IS {1} THEN {1} ELSE (({0}){2}({3})) END", texts[i],
                           is_and ? "false" : "true", word, rest);
      }
    }
    return rest;
  };
  if (first == e.args.size()) return "(" + joined(0, texts.size()) + ")";
  if (!tested || !is_and) return "(" + guarded(0) + ")";
  // The plain conditions in front stay where a scan finds them.
  const std::string plain = joined(0, first);
  return fmt::format("({0} AND CASE WHEN {0} THEN {1} ELSE false END)", plain, guarded(first));
}

std::string Translator::condition(const Expr& e) {
  if (e.kind == ExprKind::kAnd || e.kind == ExprKind::kOr) return logic(e, true);
  const Term term = expression(e);
  if (term.type != kBool) not_proven("a condition that is no boolean");
  return term.sql;
}

// Several values of one PostgreSQL type become one physical type.
Term Translator::branches(const std::vector<const Expr*>& values, std::vector<std::string>& texts) {
  std::vector<Term> terms;
  Term common;
  bool first = true;
  int integer_digits = 0;
  bool text = false;
  for (const Expr* value : values) {
    terms.push_back(expression(*value));
    const Term& term = terms.back();
    const bool is_null = value->kind == ExprKind::kConst && value->value.is_null();
    if (term.type.physical != Physical::kDecimal && !is_null && value->type == types::kNumeric) text = true;
    if (is_null) continue;
    if (first) {
      common = term;
      first = false;
    }
    if (term.type.physical == Physical::kDecimal) {
      common.mixed = common.mixed || term.mixed || term.type.scale != common.type.scale;
      integer_digits = std::max(integer_digits, term.type.precision - term.type.scale);
      common.type.scale = std::max(common.type.scale, term.type.scale);
    } else if (!text && term.type != common.type) {
      not_proven("values of different forms in one place");
    }
  }
  if (first) common = terms.front();
  if (text) {
    // Some have no known scale: all as text.
    common.type = {};
    if (common.mixed) not_proven("numbers of unknown scale in one place");
    for (const Term& term : terms) {
      if (term.mixed) not_proven("numbers of unknown scale in one place");
    }
  } else if (common.type.physical == Physical::kDecimal) {
    common.type.precision = static_cast<std::uint8_t>(std::min(38, integer_digits + common.type.scale));
  }
  for (const Term& term : terms)
    texts.push_back(term.type == common.type ? term.sql : cast_to(term, common.type));
  return common;
}

Term Translator::in_list(const Expr& e) {
  const Term left = expression(*e.args[0]);
  std::string list;
  bool plain = !is_keyed(e.args[0]->type, left.type);
  for (std::size_t i = 1; i < e.args.size(); ++i) {
    const Term item = expression(*e.args[i]);
    plain = plain && (item.type == left.type ||
                      (item.type.physical == Physical::kDecimal && left.type.physical == Physical::kDecimal));
    if (!plain) break;
    list += (i == 1 ? "" : ", ") + item.sql;
  }
  if (plain)
    return {.sql = fmt::format("({} {}IN ({}))", left.sql, e.negated ? "NOT " : "", list), .type = kBool};
  const std::string_view sign = e.negated ? "<>" : "=";
  list.clear();
  for (std::size_t i = 1; i < e.args.size(); ++i) {
    const Term item = expression(*e.args[i]);
    list += (i == 1      ? ""
             : e.negated ? " AND "
                         : " OR ") +
            comparison(sign, e.args[0]->type, e.args[i]->type, left, item).sql;
  }
  return {.sql = "(" + list + ")", .type = kBool};
}

Term Translator::in_subquery(const Expr& e) {
  if (e.args.size() != 1) not_proven("IN of rows over a subquery");
  const Term left = expression(*e.args[0]);
  const Text inner = query(*e.query);
  entries_[e.entry.get()] = inner.columns;
  const Expr& right_expr = *e.order[0].expr;
  const Query* outer = std::exchange(grouped_, nullptr);
  const Term right = expression(right_expr);
  grouped_ = outer;
  const std::string a = key(e.args[0]->type, left);
  const std::string b = key(right_expr.type, right);
  const bool keyed = is_keyed(e.args[0]->type, left.type);
  if (keyed != is_keyed(right_expr.type, right.type)) not_proven("IN over values of different forms");
  const bool alike =
      left.type == right.type ||
      (left.type.physical == Physical::kDecimal && right.type.physical == Physical::kDecimal) ||
      e.args[0]->type == right_expr.type;
  if (!alike) not_proven("IN over values of different forms");
  return {.sql = fmt::format("({} {}IN (SELECT {} FROM ({}) AS r{}))", a, e.negated ? "NOT " : "", b,
                             inner.sql, e.entry->id),
          .type = kBool};
}

Term Translator::quantified(const Expr& e) {
  const Text inner = query(*e.query);
  entries_[e.entry.get()] = inner.columns;
  const Term test = expression(*e.args[0]);
  const std::string pairs =
      fmt::format("(SELECT {} AS p FROM ({}) AS r{})", test.sql, inner.sql, e.entry->id);
  return {.sql = fmt::format(
              "(SELECT CASE WHEN {}(p) = {} THEN {} WHEN count(p) < count(*) THEN NULL ELSE {} END "
              "FROM {})",
              e.all ? "bool_and" : "bool_or", e.all ? "false" : "true", e.all ? "false" : "true",
              e.all ? "true" : "false", pairs),
          .type = kBool};
}

Term Translator::cast(const Expr& e) {
  const Expr& operand = *e.args[0];
  const Term from = expression(operand);
  auto physical = column_type(e.type, e.typmod);
  if (!physical) not_proven(fmt::format("values of type {}", format_type(e.type)));
  const auto is_integer = [](Oid t) { return t == types::kInt2 || t == types::kInt4 || t == types::kInt8; };
  const auto is_float = [](Oid t) { return t == types::kFloat4 || t == types::kFloat8; };
  if (from.mixed) not_proven("a cast of a number of unknown scale");
  if (is_integer(e.cast_from) && (is_integer(e.type) || is_float(e.type)))
    return {.sql = cast_to(from, *physical), .type = *physical};
  if (e.cast_from == types::kFloat4 && e.type == types::kFloat8)
    return {.sql = cast_to(from, *physical), .type = *physical};
  if (is_integer(e.cast_from) && e.type == types::kNumeric && e.typmod == -1) {
    const int digits = e.cast_from == types::kInt2 ? 5 : e.cast_from == types::kInt4 ? 10 : 19;
    const ColumnType decimal{.physical = Physical::kDecimal, .precision = static_cast<std::uint8_t>(digits)};
    return {.sql = cast_to(from, decimal), .type = decimal};
  }
  if (e.typmod == -1 && is_stored_alike(e.cast_from, e.type) && from.type.physical == physical->physical)
    return from;
  if (e.type == types::kNumeric && e.cast_from == types::kNumeric && e.typmod == -1) return from;
  class Cast final : public Evaluator {
   public:
    Cast(Oid from, Oid to, std::int32_t typmod, bool is_explicit, const CodecContext& codec)
        : from_(from), to_(to), typmod_(typmod), explicit_(is_explicit), codec_(codec) {}
    Result<OwnedValue> call(std::span<const Value> arguments) override {
      BOP_LET(value, bop::cast(from_, to_, arguments[0], explicit_, codec_));
      if (typmod_ == -1 || value.is_null()) return value;
      return apply_typmod(to_, typmod_, std::move(value), explicit_);
    }

   private:
    Oid from_, to_;
    std::int32_t typmod_;
    bool explicit_;
    CodecContext codec_;
  };
  return function(
      fmt::format("cast {} {} {} {}", e.cast_from, e.type, e.typmod, e.explicit_cast), {from}, *physical,
      true,
      [from_type = e.cast_from, to = e.type, typmod = e.typmod, is_explicit = e.explicit_cast,
       codec = input_.codec] { return std::make_unique<Cast>(from_type, to, typmod, is_explicit, codec); });
}

Term Translator::open_expression(const Expr& e) {
  const auto test = [&](std::string_view words) {
    return Term{.sql = fmt::format("({} {})", expression(*e.args[0]).sql, words), .type = kBool};
  };
  const auto own_type = [&] {
    const auto physical = column_type(e.type, -1);
    if (!physical) not_proven(fmt::format("values of type {}", format_type(e.type)));
    return *physical;
  };
  const auto all_args = [&](std::size_t from = 0) {
    std::vector<Term> out;
    for (std::size_t i = from; i < e.args.size(); ++i) {
      if (e.args[i] == nullptr) not_proven("an open slice");
      out.push_back(expression(*e.args[i]));
    }
    return out;
  };
  switch (e.kind) {
    case ExprKind::kConst: return constant(e);
    case ExprKind::kUnknown: return {.sql = quoted(e.text), .type = {}};
    case ExprKind::kParam: {
      const auto i = static_cast<std::size_t>(e.number - 1);
      if (i >= input_.parameters.size()) not_proven("a parameter without a value");
      return literal(e.type, -1, input_.parameters[i]);
    }
    case ExprKind::kColumn: return column(e);
    case ExprKind::kCall: return call(e);
    case ExprKind::kGrouping: {
      if (grouped_ == nullptr || grouped_->depth != e.depth) not_proven("GROUPING of an outer query");
      if (grouped_->grouping_sets.empty()) return literal(e.type, -1, Value::of_int(0));
      const Query* outer = std::exchange(grouped_, nullptr);
      std::string keys;
      for (const ExprRef& arg : e.args) keys += (keys.empty() ? "" : ", ") + key(*arg);
      grouped_ = outer;
      return {.sql = fmt::format("CAST(grouping({}) AS INTEGER)", keys),
              .type = {.physical = Physical::kInt32}};
    }
    case ExprKind::kAggregate:
    case ExprKind::kWindow: return aggregate(e);
    case ExprKind::kCast: return cast(e);
    case ExprKind::kPadded:
      return helper_call("bop_padded", {}, all_args(),
                         {OwnedValue::of_int(e.args[0]->type), OwnedValue::of_int(e.number)}, own_type(),
                         true);
    case ExprKind::kAnd:
    case ExprKind::kOr: return {.sql = logic(e, false), .type = kBool};
    case ExprKind::kNot: return {.sql = "(NOT " + expression(*e.args[0]).sql + ")", .type = kBool};
    case ExprKind::kIsNull: return test("IS NULL");
    case ExprKind::kIsNotNull: return test("IS NOT NULL");
    case ExprKind::kIsTrue: return test("IS TRUE");
    case ExprKind::kIsNotTrue: return test("IS NOT TRUE");
    case ExprKind::kIsFalse: return test("IS FALSE");
    case ExprKind::kIsNotFalse: return test("IS NOT FALSE");
    case ExprKind::kCase: {
      for (std::size_t i = 1; i < e.args.size(); ++i) refuse_subqueries_that_fail(*e.args[i], true);
      std::vector<const Expr*> values;
      for (std::size_t i = 1; i < e.args.size(); i += 2) values.push_back(e.args[i].get());
      values.push_back(e.args.back().get());
      std::vector<std::string> texts;
      Term out = branches(values, texts);
      std::string sql = "(CASE";
      for (std::size_t i = 0; i + 1 < e.args.size(); i += 2)
        sql += fmt::format(" WHEN {} THEN {}", condition(*e.args[i]), texts[i / 2]);
      out.sql = fmt::format("{} ELSE {} END)", sql, texts.back());
      return out;
    }
    case ExprKind::kCoalesce: {
      for (std::size_t i = 1; i < e.args.size(); ++i) refuse_subqueries_that_fail(*e.args[i], true);
      std::vector<const Expr*> values;
      for (const ExprRef& arg : e.args) values.push_back(arg.get());
      std::vector<std::string> texts;
      Term out = branches(values, texts);
      out.sql.clear();
      for (const std::string& text : texts) out.sql += (out.sql.empty() ? "coalesce(" : ", ") + text;
      out.sql += ")";
      return out;
    }
    case ExprKind::kNullIf: {
      Term out = expression(*e.args[0]);
      out.sql = fmt::format("(CASE WHEN {} THEN NULL ELSE {} END)", condition(*e.args[1]), out.sql);
      return out;
    }
    case ExprKind::kIsDistinct:
    case ExprKind::kIsNotDistinct: {
      const Term a = expression(*e.args[0]);
      const Term b = expression(*e.args[1]);
      return {
          .sql = fmt::format("({} {} {})", key(e.args[0]->type, a),
                             e.kind == ExprKind::kIsDistinct ? "IS DISTINCT FROM" : "IS NOT DISTINCT FROM",
                             key(e.args[1]->type, b)),
          .type = kBool};
    }
    case ExprKind::kInList: return in_list(e);
    case ExprKind::kInSubquery: return in_subquery(e);
    case ExprKind::kAnyArray:
    case ExprKind::kAllArray:
      return helper_call(e.kind == ExprKind::kAnyArray ? "bop_any" : "bop_all",
                         {OwnedValue::of_text(e.text), OwnedValue::of_int(e.cast_from)}, all_args(), {},
                         kBool, false);
    case ExprKind::kScalarSubquery: {
      const Text inner = query(*e.query);
      return {
          .sql = "(" + inner.sql + ")", .type = inner.columns.at(0).type, .mixed = inner.columns[0].mixed};
    }
    case ExprKind::kExists: return {.sql = "EXISTS (" + query(*e.query).sql + ")", .type = kBool};
    case ExprKind::kQuantifiedSubquery: return quantified(e);
    case ExprKind::kArray:
      return helper_call("bop_array", {OwnedValue::of_int(element_of(e.type))}, all_args(), {}, own_type(),
                         false);
    case ExprKind::kSubscript:
      return helper_call("bop_subscript", {OwnedValue::of_int(e.cast_from)}, all_args(), {}, own_type(),
                         false);
    default: break;
  }
  not_proven("an expression of this kind");
}

}  // namespace bop::executor
