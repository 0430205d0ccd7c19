#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "sql/binder.hpp"
#include "sql/char_length.hpp"
#include "sql/functions/kernels.hpp"
#include "sql/generate.hpp"
#include "sql/resolve_function.hpp"
#include "sql/tree_search.hpp"
#include "sql/types/record.hpp"

namespace bop::sql {

namespace {

constexpr std::size_t kMaxInlineText = 200;
constexpr std::size_t kMaxCopiedText = 2000;  // of a side of AND or OR that is written twice

std::string quoted(std::string_view s) {
  std::string out = "'";
  for (const char c : s) {
    out += c;
    if (c == '\'') {
      out += c;
    }
  }
  return out + '\'';
}

constexpr std::string_view kCollate = " COLLATE ";

std::string_view collation_of(Oid type) {
  const TypeInfo* info = find_type(type);
  return info == nullptr ? std::string_view() : info->collation;
}

// Whether SQLite knows the collation of the expression's text by itself.
bool implies_collation(const Expr& e) {
  if (e.kind != ExprKind::kColumn || e.entry == nullptr) {
    return false;
  }
  const RangeEntry& entry = *e.entry;
  if (entry.merged) {
    return implies_collation(*merged_column(e));
  }
  return entry.kind != RangeKind::kFunction && !entry.lateral &&
         (entry.kind != RangeKind::kCte || !entry.cte->recursive) &&
         (entry.relation == nullptr || !entry.relation->is_virtual());
}

bool is_single_row(const Query& q) {
  if (q.kind == QueryKind::kValues) {
    return q.rows.size() == 1;
  }
  if (q.kind != QueryKind::kSelect) {
    return false;
  }
  if (!q.with_ties && q.limit != nullptr && q.limit->kind == ExprKind::kConst && !q.limit->value.is_null() &&
      q.limit->value.integer() == 1) {
    return true;
  }
  return q.grouping_sets.empty() && (q.from.empty() || (q.grouped && q.group_by.empty()));
}

// The one column of a table that has an affinity (docs/formats.md). SQLite looks a column without one up in
// an index by anything but a column with one, although all values are integers; a plus in front takes the
// affinity away, and with it the look-up by rowid.
bool is_rowid(const Expr& e) {
  if (e.kind != ExprKind::kColumn || e.entry == nullptr || e.entry->kind != RangeKind::kTable ||
      e.entry->merged || e.entry->bare || e.entry->relation == nullptr || e.entry->relation->is_virtual()) {
    return false;
  }
  const Column* rowid = e.entry->relation->rowid_column();
  return rowid != nullptr && e.entry->columns[static_cast<std::size_t>(e.number)].attribute == rowid->number;
}

// The key of a stage (staged.hpp): SQLite would as soon read through the changed table and look there.
bool is_staged_row(const Expr& e) {
  return e.entry->kind == RangeKind::kStored &&
         e.entry->columns[static_cast<std::size_t>(e.number)].sql == "o0";
}

bool is_plain_number(const Expr& e) { return e.kind == ExprKind::kConst && !e.value.is_null(); }

}  // namespace

std::string Generator::bind_constant(OwnedValue value) {
  if (literals_) {
    switch (value.kind()) {
      case OwnedValue::Kind::kNull: return "NULL";
      case OwnedValue::Kind::kInt: return std::to_string(value.integer());
      case OwnedValue::Kind::kReal: {
        std::string text = fmt::format("{}", value.real());
        if (text == "inf" || text == "-inf") {
          return text == "inf" ? "9e999" : "-9e999";
        }
        return text.find_first_of(".e") == std::string::npos ? text + ".0" : text;
      }
      case OwnedValue::Kind::kText: return quoted(value.bytes());
      case OwnedValue::Kind::kBlob: {
        std::string text = "x'";
        for (const char c : value.bytes()) {
          text += fmt::format("{:02x}", static_cast<unsigned char>(c));
        }
        return text + '\'';
      }
    }
  }
  constants_.push_back(std::move(value));
  return fmt::format("?{}", parameters_ + constants_.size());
}

int Generator::reserve_parameter() {
  constants_.push_back(OwnedValue());
  return static_cast<int>(parameters_ + constants_.size());
}

std::string Generator::constant(const Expr& e) {
  switch (e.value.kind()) {
    case OwnedValue::Kind::kNull: return "NULL";
    case OwnedValue::Kind::kInt:
      return e.value.integer() < 0 ? fmt::format("({})", e.value.integer())
                                   : std::to_string(e.value.integer());
    case OwnedValue::Kind::kText:
      if (e.value.bytes().size() <= kMaxInlineText && e.value.bytes().find('\0') == std::string::npos) {
        return quoted(e.value.bytes());
      }
      return bind_constant(e.value);
    default: return bind_constant(e.value);
  }
}

// A value of type record tells the names and types of its fields (types/record.hpp).
std::string Generator::record(const Expr& e) {
  std::string fields, present;
  for (std::size_t i = 0; i < e.args.size(); ++i) {
    const Expr& field = *e.args[i];
    const Oid type = field.type == 0 || field.type == types::kUnknown ? Oid{types::kText} : field.type;
    const std::string name = e.names.empty() ? fmt::format("f{}", i + 1) : e.names[i];
    const std::int32_t typmod = field.typmod >= 0 ? field.typmod : char_value_typmod(field);
    const std::string value = expression(field);
    fields +=
        fmt::format("{}{}, {}", i == 0 ? "" : ", ", quoted(record_field_head(name, type, typmod)), value);
    if (e.absent_if_null) present += fmt::format("{}{} IS NOT NULL", i == 0 ? "" : " OR ", value);
  }
  const std::string made = fmt::format("bop_row({})", fields);
  return present.empty() ? made : fmt::format("(CASE WHEN {} THEN {} END)", present, made);
}

std::string Generator::collated(const Expr& e) {
  const std::string_view collation = collation_of(e.type);
  std::string text = expression(e);
  if (collation.empty() || implies_collation(e) || text.ends_with(collation)) {
    return text;
  }
  return text.append(kCollate).append(collation);
}

std::string Generator::index_key(const Expr& e) {
  return reads_columns(e) ? expression(e) : fmt::format("+({})", expression(e));
}

std::string Generator::list(const std::vector<ExprRef>& args) {
  std::string out;
  for (const ExprRef& arg : args) {
    out += out.empty() ? "" : ", ";
    out += arg == nullptr ? "NULL" : expression(*arg);
  }
  return out;
}

std::string Generator::call(const Expr& e) {
  const Kernel& kernel = *e.kernel;
  if (!kernel.native_sql.empty() && kernel.kind != KernelKind::kAggregate) {
    std::string out = "(";
    const std::string_view sql = kernel.native_sql;
    for (std::size_t i = 0; i < sql.size(); ++i) {
      if (sql[i] == '{' && i + 2 < sql.size() && sql[i + 2] == '}') {
        const auto k = static_cast<std::size_t>(sql[i + 1] - '0');
        if (k < e.args.size()) {
          const bool compares = kernel.is_operator && k == 0 && kernel.result == types::kBool;
          // What is looked up in an index is computed once; behind a plus SQLite uses none.
          const bool each_row = e.args[k]->kind == ExprKind::kColumn && kernel.is_operator &&
                                kernel.result == types::kBool && e.args.size() == 2 &&
                                is_volatile(*e.args[1 - k]);
          out += each_row ? "+(" : "";
          out += compares ? collated(*e.args[k]) : expression(*e.args[k]);
          out += each_row ? ")" : "";
        } else {
          out += "NULL";
        }
        i += 2;
      } else {
        out += sql[i];
      }
    }
    return out + ")";
  }
  std::string out = kernel.sqlite_name + "(";
  if (kernel.typed) {
    out += arg_types_literal(e.arg_types, e.variadic_array);
    out += e.args.empty() ? "" : ", ";
  }
  return out + list(e.args) + ")";
}

std::string Generator::window(const Window& w) {
  std::string out = "OVER (";
  if (!w.partition.empty()) {
    out += "PARTITION BY ";
    for (std::size_t i = 0; i < w.partition.size(); ++i) {
      out += (i == 0 ? "" : ", ") + collated(*w.partition[i]);
    }
  }
  if (!w.order.empty()) {
    out += " ORDER BY " + order(w.order, nullptr);
  }
  const int f = w.frame_options;
  if ((f & 0x1) != 0 && !is_framed(w)) {
    out += (f & 0x2) != 0 ? " RANGE" : (f & 0x4) != 0 ? " ROWS" : " GROUPS";
    const auto bound = [&](bool start) -> std::string {
      if ((f & (start ? 0x20 : 0x40)) != 0) {
        return "UNBOUNDED PRECEDING";
      }
      if ((f & (start ? 0x80 : 0x100)) != 0) {
        return "UNBOUNDED FOLLOWING";
      }
      if ((f & (start ? 0x200 : 0x400)) != 0) {
        return "CURRENT ROW";
      }
      const bool preceding = (f & (start ? 0x800 : 0x1000)) != 0;
      return expression(start ? *w.start : *w.end) + (preceding ? " PRECEDING" : " FOLLOWING");
    };
    // Without BETWEEN the frame ends at the current row, which is what the options already say.
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

std::string Generator::aggregate(const Expr& e) {
  if (e.window != nullptr && is_framed(*e.window) && sees_frame(e)) {
    return framed(e);
  }
  // A native aggregate is a template such as "max({0})": SQLite's own function of that name.
  const bool native = e.kernel != nullptr && !e.kernel->native_sql.empty();
  std::string out(native                ? e.kernel->native_sql.substr(0, e.kernel->native_sql.find('('))
                  : e.kernel != nullptr ? std::string_view(e.kernel->sqlite_name)
                                        : std::string_view(e.text));
  out += "(";
  const bool typed = e.kernel != nullptr && e.kernel->typed && !native;
  // SQLite's DISTINCT takes one argument; for more the kernel drops equal neighbours of the sorted rows.
  const bool neighbours = e.distinct && e.args.size() + (typed ? 1 : 0) > 1;
  std::vector<SortKey> order_by = e.order;
  if (neighbours) {
    out.insert(out.size() - 1, "_distinct");
    for (const ExprRef& arg : e.args) {
      if (std::ranges::none_of(order_by, [&](const SortKey& key) { return same_expr(*key.expr, *arg); })) {
        order_by.push_back({.expr = arg});
      }
    }
  } else if (e.distinct) {
    out += "DISTINCT ";
  }
  if (e.star || (e.args.empty() && e.kernel != nullptr)) {
    out += "*";
  } else {
    if (typed) {
      out += arg_types_literal(e.arg_types, e.variadic_array) + ", ";
    }
    for (std::size_t i = 0; i < e.args.size(); ++i) {
      out += i == 0 ? "" : ", ";
      const bool place = e.kernel == nullptr && i + 1 == e.args.size() &&
                         (e.text == "ntile" || e.text == "nth_value") && !is_plain_number(*e.args[i]);
      const std::string arg =
          i == 0 && (e.distinct || native) ? collated(*e.args[i]) : expression(*e.args[i]);
      out += place ? "coalesce(" + arg + ", 1)" : arg;
    }
    if (!order_by.empty()) {
      out += " ORDER BY " + order(order_by, nullptr);
    }
  }
  out += ")";
  if (e.filter != nullptr) {
    out += " FILTER (WHERE " + condition(*e.filter) + ")";
  }
  if (e.window != nullptr) {
    out += " " + window(*e.window);
    // A number of buckets or a place that is NULL gives NULL; SQLite takes numbers only.
    if (e.kernel == nullptr && (e.text == "ntile" || e.text == "nth_value") &&
        !is_plain_number(*e.args.back())) {
      return fmt::format("CASE WHEN {} IS NOT NULL THEN {} END", expression(*e.args.back()), out);
    }
    // An offset that is NULL gives NULL, not the default.
    if (e.kernel == nullptr && (e.text == "lag" || e.text == "lead") && e.args.size() == 3 &&
        !is_plain_number(*e.args[1])) {
      return fmt::format("CASE WHEN {} IS NOT NULL THEN {} END", expression(*e.args[1]), out);
    }
  }
  // SQLite finds the query that an aggregate belongs to as PostgreSQL does, but lets one stand in result
  // columns only: so it is the result of a subquery without rows of its own.
  return e.outer ? "(SELECT " + out + ")" : out;
}

std::string Generator::scalar_subquery(const Expr& e) {
  if (is_single_row(*e.query)) {
    return "(" + query(*e.query) + ")";
  }
  return "(SELECT bop_single(o1) FROM (" + query(*e.query) + "))";
}

std::string Generator::quantified(const Expr& e) {
  const std::string pairs =
      fmt::format("(SELECT {} AS p FROM ({}) AS r{})", expression(*e.args[0]), query(*e.query), e.entry->id);
  if (e.all) {
    return "(SELECT CASE WHEN min(p) = 0 THEN 0 WHEN count(p) < count(*) THEN NULL ELSE 1 END FROM " + pairs +
           ")";
  }
  return "(SELECT CASE WHEN max(p) = 1 THEN 1 WHEN count(p) < count(*) THEN NULL ELSE 0 END FROM " + pairs +
         ")";
}

// As a value SQLite computes both sides of AND and OR, except that it leaves out a subquery on the right
// where the left side decides: a side that may fail becomes one. Aggregates must stay at their level, and an
// index has no subqueries; there CASE asks the left side first.
std::string Generator::logic(const Expr& e) {
  const bool is_and = e.kind == ExprKind::kAnd;
  const std::string_view word = is_and ? " AND " : " OR ";
  std::string out = expression(*e.args[0]);
  bool plain = !is_volatile(*e.args[0]);
  for (std::size_t i = 1; i < e.args.size(); ++i) {
    const Expr& next = *e.args[i];
    const bool lazy = may_fail(next);
    if (lazy && !literals_ && !has_aggregate(next)) {
      out += fmt::format("{}(SELECT {})", word, expression(next));
    } else if (lazy && plain && out.size() <= kMaxCopiedText) {
      const int decided = is_and ? 0 : 1;
      out = fmt::format("CASE ({0}) WHEN {1} THEN {1} ELSE (({0}){2}{3}) END", out, decided, word,
                        expression(next));
    } else {
      out += std::string(word) + expression(next);
    }
    plain = plain && !is_volatile(next);
  }
  return "(" + out + ")";
}

std::string Generator::condition(const Expr& e) {
  switch (e.kind) {
    case ExprKind::kAnd:
    case ExprKind::kOr: {
      std::string out = "(";
      for (std::size_t i = 0; i < e.args.size(); ++i) {
        out += i == 0 ? "" : e.kind == ExprKind::kAnd ? " AND " : " OR ";
        out += condition(*e.args[i]);
      }
      return out + ")";
    }
    case ExprKind::kNot: return "(NOT " + condition(*e.args[0]) + ")";
    case ExprKind::kCall: return equality(e);
    default: return expression(e);
  }
}

// A column of a table and the rowid of another: said twice, so that either may be looked up by the other.
std::string Generator::equality(const Expr& e) {
  std::string text = expression(e);
  if (!e.kernel->is_operator || e.kernel->name != "=" || e.args.size() != 2 || literals_ ||
      !replaced_.empty()) {
    return text;
  }
  const auto is_here = [&](const Expr& arg) {
    return arg.kind == ExprKind::kColumn && arg.entry != nullptr && arg.entry->kind == RangeKind::kTable &&
           !arg.entry->merged && !arg.entry->bare && arg.entry->depth == depth_;
  };
  const Expr& left = *e.args[0];
  const Expr& right = *e.args[1];
  if (!is_here(left) || !is_here(right) || is_rowid(left) == is_rowid(right)) {
    return text;
  }
  const Expr& other = is_rowid(left) ? right : left;
  const Expr& rowid = is_rowid(left) ? left : right;
  return fmt::format("({} AND {} = +{})", text, expression(other), expression(rowid));
}

// SQLite takes a collation that an operand names, however deep in it, for the operand's own. So whatever
// holds one says its own; not a boolean, which is a number and may have to stay what an index is looked up
// by.
std::string Generator::expression(const Expr& e) {
  if (!replaced_.empty()) {
    if (std::optional<std::string> column = replaced(e)) {
      return *std::move(column);
    }
  }
  std::string text = open_expression(e);
  if (e.type == types::kBool || e.kind == ExprKind::kConst || e.kind == ExprKind::kUnknown ||
      text.find(kCollate) == std::string::npos)
    return text;
  const std::string_view own = collation_of(e.type);
  return text.append(kCollate).append(own.empty() ? "BINARY" : own);
}

std::string Generator::open_expression(const Expr& e) {
  const auto test = [&](std::string_view words) {
    return fmt::format("({} {})", expression(*e.args[0]), words);
  };
  const auto all_fields = [&](bool null) {
    return fmt::format("bop_row_null({}, {})", expression(*e.args[0]), null ? 1 : 0);
  };
  switch (e.kind) {
    case ExprKind::kConst: return constant(e);
    case ExprKind::kUnknown: return quoted(e.text);
    case ExprKind::kParam: return fmt::format("?{}", e.number);
    case ExprKind::kColumn: {
      if (e.entry->merged) {
        return expression(*merged_column(e));
      }
      const RangeColumn& column = e.entry->columns[static_cast<std::size_t>(e.number)];
      if (e.entry->bare) {
        return column.sql;
      }
      if (e.entry->kind == RangeKind::kExcluded) {
        return "excluded." + column.sql;
      }
      // Of a query around this one it is a value that others are looked up by, and so is a row that a stage
      // names.
      return fmt::format("{}r{}.{}", (e.entry->depth < depth_ && is_rowid(e)) || is_staged_row(e) ? "+" : "",
                         e.entry->id, column.sql);
    }
    case ExprKind::kCall: return call(e);
    case ExprKind::kAggregate:
    case ExprKind::kWindow: return aggregate(e);
    case ExprKind::kGrouping: return "0";  // of one set, which has all keys
    case ExprKind::kCast:
      return cast_sql(e.cast_from, e.type, e.typmod, e.explicit_cast, expression(*e.args[0]));
    case ExprKind::kPadded:
      return fmt::format("bop_padded({}, {}, {})", expression(*e.args[0]), e.args[0]->type, e.number);
    case ExprKind::kAnd:
    case ExprKind::kOr: return logic(e);
    case ExprKind::kNot: return "(NOT " + expression(*e.args[0]) + ")";
    case ExprKind::kIsNull: return e.args[0]->type == types::kRecord ? all_fields(true) : test("IS NULL");
    case ExprKind::kIsNotNull:
      return e.args[0]->type == types::kRecord ? all_fields(false) : test("IS NOT NULL");
    case ExprKind::kIsTrue: return test("IS TRUE");
    case ExprKind::kIsNotTrue: return test("IS NOT TRUE");
    case ExprKind::kIsFalse: return test("IS FALSE");
    case ExprKind::kIsNotFalse: return test("IS NOT FALSE");
    case ExprKind::kCase: {
      std::string out = "CASE";
      for (std::size_t i = 0; i + 1 < e.args.size(); i += 2) {
        out += " WHEN " + condition(*e.args[i]) + " THEN " + expression(*e.args[i + 1]);
      }
      return "(" + out + " ELSE " + expression(*e.args.back()) + " END)";
    }
    case ExprKind::kCoalesce:
      return e.args.size() == 1 ? expression(*e.args[0]) : "coalesce(" + list(e.args) + ")";
    case ExprKind::kNullIf:
      return "(CASE WHEN " + expression(*e.args[1]) + " THEN NULL ELSE " + expression(*e.args[0]) + " END)";
    case ExprKind::kGreatest: return fmt::format("bop_greatest({}, {})", e.type, list(e.args));
    case ExprKind::kLeast: return fmt::format("bop_least({}, {})", e.type, list(e.args));
    case ExprKind::kIsDistinct:
      return "(" + collated(*e.args[0]) + " IS DISTINCT FROM " + expression(*e.args[1]) + ")";
    case ExprKind::kIsNotDistinct:
      return "(" + collated(*e.args[0]) + " IS NOT DISTINCT FROM " + expression(*e.args[1]) + ")";
    case ExprKind::kRow: return record(e);
    case ExprKind::kField: return fmt::format("bop_field({}, {})", expression(*e.args[0]), e.number);
    case ExprKind::kArray:
      return fmt::format("bop_array({}{}{})", element_of(e.type), e.args.empty() ? "" : ", ", list(e.args));
    case ExprKind::kArrayNested:
      return fmt::format("bop_array_nested({}, {})", element_of(e.type), list(e.args));
    case ExprKind::kInList: {
      std::string out = "(" + collated(*e.args[0]) + (e.negated ? " NOT IN (" : " IN (");
      for (std::size_t i = 1; i < e.args.size(); ++i) {
        out += (i == 1 ? "" : ", ") + expression(*e.args[i]);
      }
      return out + "))";
    }
    case ExprKind::kInSubquery: {
      std::string left;
      bool plain = true;
      std::string right;
      for (std::size_t i = 0; i < e.args.size(); ++i) {
        left += (i == 0 ? "" : ", ") + collated(*e.args[i]);
        right += (i == 0 ? "" : ", ") + expression(*e.order[i].expr);
        plain = plain && e.order[i].expr->kind == ExprKind::kColumn;
      }
      const bool looked_up = plain && e.args.size() == 1 && !is_rowid(*e.args[0]) &&
                             e.query->kind == QueryKind::kSelect && is_rowid(*e.query->targets[0].expr);
      const std::string rows =
          looked_up ? fmt::format("SELECT +o1 FROM ({})", query(*e.query))
          : plain   ? query(*e.query)
                    : fmt::format("SELECT {} FROM ({}) AS r{}", right, query(*e.query), e.entry->id);
      return fmt::format("({} {} ({}))", e.args.size() == 1 ? left : "(" + left + ")",
                         e.negated ? "NOT IN" : "IN", rows);
    }
    case ExprKind::kAnyArray:
    case ExprKind::kAllArray:
      return fmt::format("{}({}, {}, {}, {})", e.kind == ExprKind::kAnyArray ? "bop_any" : "bop_all",
                         quoted(e.text), e.cast_from, expression(*e.args[0]), expression(*e.args[1]));
    case ExprKind::kScalarSubquery: return scalar_subquery(e);
    case ExprKind::kExists: return "EXISTS (" + query(*e.query) + ")";
    case ExprKind::kArraySubquery:
      if (e.query->targets[0].expr->type == e.type) {  // of arrays
        return fmt::format(
            "(SELECT coalesce({}({}, o1), '{{}}') FROM ({}))",
            resolve_function(lookup("array_agg", 1), std::array{e.type}, false).kernel->sqlite_name,
            arg_types_literal(std::array{e.type}), query(*e.query));
      }
      return fmt::format("(SELECT coalesce(bop_array_collect({}, o1), '{{}}') FROM ({}))", element_of(e.type),
                         query(*e.query));
    case ExprKind::kQuantifiedSubquery: return quantified(e);
    case ExprKind::kSubscript: return fmt::format("bop_subscript({}, {})", e.cast_from, list(e.args));
    case ExprKind::kSlice: return fmt::format("bop_slice({}, {})", e.cast_from, list(e.args));
    case ExprKind::kSetToDefault:
    case ExprKind::kNamedArgument: break;
  }
  throw BindFailure{error(ErrorCode::kNotImplemented, "DEFAULT is not implemented here")};
}

}  // namespace bop::sql
