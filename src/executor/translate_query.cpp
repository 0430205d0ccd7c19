// Queries, FROM and what orders and limits them.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "executor/translate.hpp"
#include "sql/tree_search.hpp"

namespace bop::executor {

using sql::ExprKind;
using sql::JoinKind;
using sql::QueryKind;
using sql::RangeKind;
using sql::SetOperation;

namespace {

std::string outputs(std::size_t count) {
  std::string out;
  for (std::size_t i = 1; i <= count; ++i) out += fmt::format("{}o{}", i == 1 ? "" : ", ", i);
  return out;
}

// One group of all rows, also of none: there DuckDB's joins that stand for LATERAL make NULL of what is no
// count.
bool has_whole_group(const sql::Query& q);
bool has_whole_group(const sql::FromNode& node) {
  if (node.entry == nullptr) return has_whole_group(*node.left) || has_whole_group(*node.right);
  return node.entry->query != nullptr && has_whole_group(*node.entry->query);
}
bool has_whole_group(const sql::Query& q) {
  if (q.left != nullptr) return has_whole_group(*q.left) || has_whole_group(*q.right);
  return (q.grouped && (q.group_by.empty() || !q.grouping_sets.empty())) ||
         std::ranges::any_of(q.from, [](const auto& node) { return has_whole_group(*node); });
}

}  // namespace

std::string cast_to(const Term& term, const ColumnType& type);  // translate_expression.cpp

Translated Translator::run(const sql::Query& q) {
  if (sql::is_volatile(q)) not_proven("a volatile function");
  Text text = query(q);
  for (std::size_t i = 0; i < text.columns.size(); ++i) {
    Term& column = text.columns[i];
    if (column.mixed) not_proven("a number of unknown scale in the answer");
    if (column.type.physical == Physical::kDecimal) column.type.precision = 38;
    out_.statement.columns.push_back(column.type);
  }
  std::string columns;
  bool widened = false;
  for (std::size_t i = 0; i < text.columns.size(); ++i) {
    Term out{.sql = fmt::format("o{}", i + 1)};
    const bool decimal = text.columns[i].type.physical == Physical::kDecimal;
    widened = widened || decimal;
    columns += (i == 0 ? "" : ", ") + (decimal ? cast_to(out, text.columns[i].type) : out.sql);
  }
  const bool answers_last = q.grouped || q.distinct || !q.distinct_on.empty() || !q.order_by.empty();
  out_.may_fail_late = !answers_last && decimals_;
  // A subquery keeps its order when nothing but a projection stands around it.
  out_.statement.sql = widened ? fmt::format("SELECT {} FROM ({})", columns, text.sql) : text.sql;
  return std::move(out_);
}

Translator::Text Translator::query(const Query& q) {
  // A subquery's own names: the groups of the query around it are not its columns'.
  const Query* outer = std::exchange(grouped_, nullptr);
  const int depth = depth_;
  std::string ctes = with(q.ctes);
  Text text = body(q);
  grouped_ = outer;
  depth_ = depth;
  text.sql = ctes + text.sql;
  return text;
}

std::string Translator::with(const std::vector<std::shared_ptr<sql::Cte>>& ctes) {
  std::string out;
  for (const auto& cte : ctes) {
    if (cte->recursive) not_proven("WITH RECURSIVE");
    const Text text = query(*cte->query);
    ctes_[cte.get()] = text.columns;
    out += fmt::format("{}w{}({}) AS {}({})", out.empty() ? "WITH " : ", ", cte->id,
                       outputs(text.columns.size()),
                       cte->materialized > 0   ? "MATERIALIZED "
                       : cte->materialized < 0 ? "NOT MATERIALIZED "
                                               : "",
                       text.sql);
  }
  return out.empty() ? out : out + " ";
}

Translator::Text Translator::body(const Query& q) {
  if (q.kind == QueryKind::kSelect) return select(q);
  Text text = q.kind == QueryKind::kValues ? values(q) : set_operation(q);
  if (q.order_by.empty() && q.limit == nullptr && q.offset == nullptr) return text;
  entries_[q.output.get()] = text.columns;
  text.sql = fmt::format("SELECT * FROM ({}) AS r{}", text.sql, q.output->id);
  text.sql += order(q.order_by, nullptr);
  text.sql += limit(q);
  return text;
}

Translator::Text Translator::values(const Query& q) {
  const std::size_t columns = q.targets.size();
  std::vector<std::vector<std::string>> texts(columns);
  Text out;
  for (std::size_t c = 0; c < columns; ++c) {
    std::vector<const Expr*> column;
    for (const auto& row : q.rows) column.push_back(row[c].get());
    Term term = branches(column, texts[c]);
    out.columns.push_back({.type = term.type, .mixed = term.mixed});
  }
  out.sql = fmt::format("SELECT * FROM (VALUES ");
  for (std::size_t r = 0; r < q.rows.size(); ++r) {
    out.sql += r == 0 ? "(" : ", (";
    for (std::size_t c = 0; c < columns; ++c) out.sql += (c == 0 ? "" : ", ") + texts[c][r];
    out.sql += ")";
  }
  out.sql += fmt::format(") AS v({})", outputs(columns));
  return out;
}

Translator::Text Translator::set_operation(const Query& q) {
  const bool counts_rows = q.all && q.operation == SetOperation::kUnion;
  Text left = query(*q.left);
  const Text right = query(*q.right);
  for (std::size_t i = 0; i < left.columns.size(); ++i) {
    if (left.columns[i].type.physical == Physical::kDecimal &&
        right.columns[i].type.physical == Physical::kDecimal &&
        left.columns[i].type.scale == right.columns[i].type.scale) {
      left.columns[i].mixed = left.columns[i].mixed || right.columns[i].mixed;
      left.columns[i].type.precision =
          std::max(left.columns[i].type.precision, right.columns[i].type.precision);
    } else if (left.columns[i].type != right.columns[i].type) {
      not_proven("a set operation over values of different forms");
    }
    if (!counts_rows && is_keyed(q.targets[i].expr->type, left.columns[i].type))
      not_proven(fmt::format("a set operation over values of type {}", format_type(q.targets[i].expr->type)));
  }
  const std::string_view word = q.operation == SetOperation::kIntersect ? "INTERSECT"
                                : q.operation == SetOperation::kExcept  ? "EXCEPT"
                                                                        : "UNION";
  left.sql = fmt::format("(SELECT * FROM ({})) {}{} (SELECT * FROM ({}))", left.sql, word,
                         q.all ? " ALL" : "", right.sql);
  return left;
}

std::string Translator::order(const std::vector<sql::SortKey>& keys, const Query* numbered) {
  std::string out;
  for (const sql::SortKey& k : keys) {
    if (k.expr->kind == ExprKind::kConst) continue;  // the same for all rows
    std::string text;
    if (numbered != nullptr) {
      for (std::size_t i = 0; i < numbered->targets.size() && text.empty(); ++i) {
        const auto& target = numbered->targets[i].expr;
        if (target == k.expr && !is_keyed(target->type, expression(*target).type))
          text = std::to_string(i + 1);
      }
    }
    if (text.empty()) text = key(*k.expr);
    out += fmt::format("{}{}{}{}", out.empty() ? "" : ", ", text, k.descending ? " DESC" : " ASC",
                       k.nulls_first ? " NULLS FIRST" : " NULLS LAST");
  }
  return out.empty() ? out : " ORDER BY " + out;
}

std::string Translator::limit(const Query& q) {
  if (q.with_ties) not_proven("FETCH FIRST ... WITH TIES");
  const auto number = [&](const Expr& e) -> std::string {
    Value value;
    if (e.kind == ExprKind::kConst) {
      value = e.value;
    } else if (e.kind == ExprKind::kParam && static_cast<std::size_t>(e.number) <= input_.parameters.size()) {
      value = input_.parameters[static_cast<std::size_t>(e.number - 1)];
    } else {
      not_proven("LIMIT of an expression");
    }
    if (value.is_null()) return {};
    if (value.kind != Value::Kind::kInt || value.integer < 0) not_proven("a LIMIT that is refused");
    return std::to_string(value.integer);
  };
  std::string out;
  if (q.limit != nullptr) {
    if (const std::string n = number(*q.limit); !n.empty()) out += " LIMIT " + n;
  }
  if (q.offset != nullptr) {
    if (const std::string n = number(*q.offset); !n.empty()) out += " OFFSET " + n;
  }
  return out;
}

std::string Translator::group_list(const Query& q) {
  std::vector<std::string> keys;
  for (const ExprRef& e : q.group_by) {
    if (e->kind == ExprKind::kConst) {
      if (!q.grouping_sets.empty()) not_proven("grouping sets of a constant");
      continue;
    }
    bool simple = true;
    sql::visit(*e, [&](const Expr& part) {
      simple = simple && part.query == nullptr;
      return simple;
    });
    if (!simple) not_proven("GROUP BY of a subquery");
    keys.push_back(key(*e));
  }
  if (q.grouping_sets.empty()) return fmt::format("{}", fmt::join(keys, ", "));
  std::string sets;
  for (const auto& set : q.grouping_sets) {
    sets += sets.empty() ? "(" : ", (";
    for (std::size_t i = 0; i < set.size(); ++i) sets += (i == 0 ? "" : ", ") + keys[set[i]];
    sets += ")";
  }
  return fmt::format("GROUPING SETS ({})", sets);
}

Translator::Text Translator::select(const Query& q) {
  depth_ = q.depth;
  std::string from;
  for (const auto& node : q.from) from += (from.empty() ? " FROM " : ", ") + from_node(*node);
  std::string where;
  if (q.where != nullptr) where = " WHERE " + condition(*q.where);
  depth_ = q.depth;
  std::string grouping;
  if (const std::string groups = group_list(q); !groups.empty()) grouping = " GROUP BY " + groups;
  if (!q.group_by.empty() && grouping.empty()) not_proven("GROUP BY of a constant");
  if (q.grouped) grouped_ = &q;
  if (q.grouped && q.group_by.empty()) {
    if (!q.grouping_sets.empty()) not_proven("grouping sets without keys");
    // To DuckDB, too, it is one group only if an aggregate says so.
    bool counted = false;
    for (const sql::Target& target : q.targets) counted = counted || sql::has_aggregate(*target.expr);
    if (!counted) not_proven("one group without an aggregate");
  }
  if (q.having != nullptr) grouping += " HAVING " + condition(*q.having);

  Text text;
  text.sql = "SELECT ";
  const bool distinct = q.distinct && q.distinct_on.empty();
  if (distinct) text.sql += "DISTINCT ";
  if (!q.distinct_on.empty()) {
    std::string keys;
    for (const ExprRef& e : q.distinct_on) keys += (keys.empty() ? "" : ", ") + key(*e);
    text.sql += fmt::format("DISTINCT ON ({}) ", keys);
  }
  for (std::size_t i = 0; i < q.targets.size(); ++i) {
    const Expr& e = *q.targets[i].expr;
    Term term = expression(e);
    if (distinct && is_keyed(e.type, term.type))
      not_proven(fmt::format("DISTINCT of values of type {}", format_type(e.type)));
    text.sql += fmt::format("{}{} AS o{}", i == 0 ? "" : ", ", term.sql, i + 1);
    text.columns.push_back({.type = term.type, .mixed = term.mixed});
  }
  if (q.targets.empty()) text.sql += q.grouped && q.group_by.empty() ? "count(*) AS o0" : "NULL AS o0";
  text.sql += from + where + grouping;
  text.sql += order(q.order_by, &q);
  text.sql += limit(q);
  grouped_ = nullptr;
  return text;
}

std::string Translator::table(const sql::RangeEntry& e) {
  if (e.relation->is_virtual()) not_proven("a relation of the catalog");
  Table table;
  std::string names;
  for (const sql::RangeColumn& column : e.columns) {
    const auto type = column_type(column.type, column.typmod);
    // Columns that are not asked for may be of any type: they are not read.
    table.columns.push_back(
        {.name = column.sql, .type = type.value_or(ColumnType{}), .not_null = column.not_null});
    names += (names.empty() ? "" : ", ") + column.sql;
  }
  const std::size_t index = out_.statement.tables.size();
  out_.statement.tables.push_back(std::move(table));
  out_.relations.push_back(e.relation->oid);
  out_.names.push_back(fmt::format("r{}", e.id));
  return names.empty() ? fmt::format("bop_scan({}) AS r{}", index, e.id)
                       : fmt::format("bop_scan({}) AS r{}({})", index, e.id, names);
}

std::string Translator::entry(const sql::RangeRef& e) {
  std::vector<Term>& columns = entries_[e.get()];
  switch (e->kind) {
    case RangeKind::kTable:
      if (e->sample != nullptr) not_proven("TABLESAMPLE");
      columns.clear();
      for (const sql::RangeColumn& column : e->columns) {
        const auto type = column_type(column.type, column.typmod);
        columns.push_back({.type = type.value_or(ColumnType{}), .absent = !type});
      }
      return table(*e);
    case RangeKind::kSubquery: {
      if (e->lateral && has_whole_group(*e->query)) not_proven("LATERAL over one group of all rows");
      Text text = query(*e->query);
      entries_[e.get()] = text.columns;
      const std::string names = outputs(text.columns.size());
      return fmt::format("{}({}) AS r{}{}", e->lateral ? "LATERAL " : "", text.sql, e->id,
                         names.empty() ? "" : "(" + names + ")");
    }
    case RangeKind::kCte: {
      const auto known = ctes_.find(e->cte.get());
      if (known == ctes_.end()) not_proven("a CTE of another place");
      columns = known->second;
      return fmt::format("w{} AS r{}", e->cte->id, e->id);
    }
    case RangeKind::kFile: {
      columns.clear();
      for (const sql::RangeColumn& column : e->columns)
        columns.push_back({.type = column_type(column.type, column.typmod).value_or(ColumnType{})});
      if (!input_.file) not_proven("a file");
      auto text = input_.file(*e->file);
      if (!text) throw FileRefused{std::move(text).error()};
      out_.statement.reads_files = true;
      return fmt::format("({}) AS r{}", *text, e->id);
    }
    case RangeKind::kFunction: not_proven("a function in FROM");
    case RangeKind::kStored:
    case RangeKind::kExcluded: break;
  }
  not_proven("this kind of FROM");
}

std::string Translator::from_node(const sql::FromNode& node) {
  if (node.entry != nullptr) return entry(node.entry);
  std::string out = "(" + from_node(*node.left);
  switch (node.join) {
    case JoinKind::kInner: out += node.on == nullptr ? " CROSS JOIN " : " JOIN "; break;
    case JoinKind::kLeft: out += " LEFT JOIN "; break;
    case JoinKind::kRight: out += " RIGHT JOIN "; break;
    case JoinKind::kFull: out += " FULL JOIN "; break;
  }
  out += from_node(*node.right);
  if (node.on != nullptr) {
    out += " ON " + condition(*node.on);
  } else if (node.join != JoinKind::kInner) {
    out += " ON true";
  }
  return out + ")";
}

Result<Translated> translate(const sql::Query& query, const TranslateInput& input) {
  try {
    return Translator(input).run(query);
  } catch (FileRefused& refused) {
    return std::unexpected(std::move(refused.why));
  } catch (const NotProven& why) {
    return fail(ErrorCode::kNotImplemented, "{}", why.why);
  }
}

}  // namespace bop::executor
