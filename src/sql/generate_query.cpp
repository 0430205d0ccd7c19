#include <algorithm>

#include <fmt/format.h>

#include "sql/binder.hpp"
#include "sql/fed_rows.hpp"
#include "sql/file_table.hpp"
#include "sql/functions/kernels.hpp"
#include "sql/generate.hpp"
#include "sql/tree_search.hpp"

namespace bop::sql {

namespace {

// Aliases o1, o2... of the columns of a query, behind a prefix.
std::string outputs(std::size_t count, std::string_view prefix = "") {
  std::string out;
  for (std::size_t i = 1; i <= count; ++i) {
    out += fmt::format("{}{}o{}", i == 1 ? "" : ", ", prefix, i);
  }
  return out;
}

bool has_outer_right(const FromNode& node) {
  return node.entry == nullptr && (node.join == JoinKind::kRight || node.join == JoinKind::kFull ||
                                   has_outer_right(*node.left) || has_outer_right(*node.right));
}

bool calls_writer(const Query& q) {
  const auto calls = [](const Expr& e) {
    bool found = false;
    visit(e, [&](const Expr& part) {
      found = found || part.writes;
      return !found;
    });
    return found;
  };
  return std::ranges::any_of(q.targets, [&](const Target& t) { return calls(*t.expr); }) ||
         std::ranges::any_of(q.order_by, [&](const SortKey& k) { return calls(*k.expr); });
}

bool never_null(const Expr& e) {
  return e.kind == ExprKind::kColumn && e.entry != nullptr && !e.entry->nullable &&
         e.entry->columns[static_cast<std::size_t>(e.number)].not_null;
}

}  // namespace

std::string Generator::with(const std::vector<std::shared_ptr<Cte>>& ctes) {
  std::string out;
  for (const auto& cte : ctes) {
    if (cte->change != nullptr && cte->stored.empty()) {
      continue;  // nobody reads it, or not here
    }
    out += out.empty() ? "WITH " : ", ";
    out += fmt::format("w{}({}) AS ", cte->id, outputs(cte->columns.size()));
    if (cte->change != nullptr || !cte->stored.empty()) {
      std::string columns;
      for (std::size_t i = 0; i < cte->columns.size(); ++i) {
        const TypeInfo* type = find_type(cte->columns[i].type);
        columns += fmt::format("{}o{}", i == 0 ? "" : ", ", i + 1);
        columns +=
            type == nullptr || type->collation.empty() ? "" : fmt::format(" COLLATE {}", type->collation);
      }
      out += fmt::format("(SELECT {} FROM temp.{})", columns.empty() ? "NULL" : columns, cte->stored);
      continue;
    }
    const bool is_volatile_cte = is_volatile(*cte->query);
    const int own_references = cte->recursive ? 1 : 0;
    const bool shared = is_volatile_cte && cte->references - own_references > 1;
    out += cte->materialized > 0 || shared             ? "MATERIALIZED "
           : cte->materialized < 0 && !is_volatile_cte ? "NOT MATERIALIZED "
                                                       : "";
    out += "(";
    if (cte->recursive) {
      out += recursion(*cte);
    } else if (is_volatile_cte) {
      out += once(*cte->query);
    } else {
      out += query(*cte->query);
    }
    out += ")";
  }
  return out.empty() ? out : out + " ";
}

// SQLite merges a subquery into the query around it, unless it has an OFFSET. What it answers would then be
// computed at each place where it is used.
std::string Generator::once(const Query& q) { return "SELECT * FROM (" + query(q) + ") LIMIT -1 OFFSET 0"; }

std::string Generator::query(const Query& q) {
  const int outer = std::exchange(depth_, q.depth);
  std::string out = with(q.ctes) + body(q);
  depth_ = outer;
  return out;
}

// LIMIT WITH TIES: the rows behind the offset whose peers begin within the limit.
std::string Generator::tied_rows(const Query& q) {
  const Rows rows = q.kind == QueryKind::kSelect ? rows_of(q) : Rows();
  std::string base;
  if (q.kind != QueryKind::kSelect) {
    base = fmt::format("SELECT r{0}.* FROM ({1}) AS r{0}", q.output->id,
                       q.kind == QueryKind::kValues ? values(q, true) : set_operation(q));
  } else {
    base = q.distinct ? "SELECT DISTINCT " : "SELECT ";
    for (std::size_t i = 0; i < q.targets.size(); ++i) {
      base += fmt::format("{}{} AS o{}", i == 0 ? "" : ", ", target(q, i), i + 1);
    }
  }
  std::string order_keys;
  for (std::size_t i = 0; i < q.order_by.size(); ++i) {
    const SortKey& key = q.order_by[i];
    std::string name = fmt::format("k{}", i + 1);
    const auto same = std::ranges::find(q.targets, key.expr, &Target::expr);
    if (q.kind != QueryKind::kSelect || same != q.targets.end()) {
      name = same != q.targets.end() ? fmt::format("o{}", same - q.targets.begin() + 1)
                                     : fmt::format("o{}", key.expr->number + 1);
    } else {
      base += fmt::format("{}{} AS {}", q.targets.empty() && i == 0 ? "" : ", ", collated(*key.expr), name);
    }
    order_keys += fmt::format("{}{}{}{}", i == 0 ? "" : ", ", name, key.descending ? " DESC" : "",
                              key.nulls_first ? " NULLS FIRST" : " NULLS LAST");
  }
  base += rows.text;
  const auto given = [](const ExprRef& e) {
    return e != nullptr && !(e->kind == ExprKind::kConst && e->value.is_null());
  };
  const std::string most = given(q.limit) ? fmt::format("bop_limit({})", expression(*q.limit)) : "-1";
  const std::string skipped = given(q.offset) ? fmt::format("bop_offset({})", expression(*q.offset)) : "0";
  return fmt::format(
      "SELECT {} FROM (SELECT *, rank() OVER (ORDER BY {}) AS bop_rank, row_number() OVER (ORDER BY {}) AS bop_row "
      "FROM ({})) WHERE bop_row > {} AND ({} < 0 OR ({} > 0 AND bop_rank <= {} + {})) ORDER BY bop_row",
      q.targets.empty() ? "NULL AS o0" : outputs(q.targets.size()), order_keys, order_keys, base, skipped,
      most, most, skipped, most);
}

std::string Generator::body(const Query& q) {
  if (q.with_ties) {
    return tied_rows(q);
  }
  switch (q.kind) {
    case QueryKind::kSelect: return q.distinct_on.empty() ? select(q) : distinct_on(q);
    case QueryKind::kValues:
    case QueryKind::kSetOperation: {
      std::string inner = q.kind == QueryKind::kValues ? values(q, true) : set_operation(q);
      if (q.order_by.empty() && q.limit == nullptr && q.offset == nullptr) {
        return inner;
      }
      std::string out = fmt::format("SELECT * FROM ({}) AS r{}", inner, q.output->id);
      if (!q.order_by.empty()) {
        out += " ORDER BY " + order(q.order_by, nullptr);
      }
      return out + limit(q);
    }
  }
  return {};
}

std::string Generator::values(const Query& q, bool named) {
  std::string out = "VALUES ";
  for (std::size_t r = 0; r < q.rows.size(); ++r) {
    std::string row;
    for (const ExprRef& e : q.rows[r]) {
      // SQLite calls a column of VALUES as the column that stands in its first row, others column1,
      // column2...
      const bool has_name = r == 0 && e != nullptr && e->kind == ExprKind::kColumn;
      row += fmt::format("{}{}", row.empty() ? "" : ", ",
                         e == nullptr ? "NULL"
                         : has_name   ? "+(" + expression(*e) + ")"
                                      : expression(*e));
    }
    out += (r == 0 ? "(" : ", (") + row + ")";
  }
  if (!named) {
    return out;
  }
  std::string columns;
  for (std::size_t i = 1; i <= q.targets.size(); ++i) {
    const TypeInfo* type = find_type(q.targets[i - 1].expr->type);
    columns += fmt::format("{}column{}", i == 1 ? "" : ", ", i);
    if (type != nullptr && !type->collation.empty()) {
      columns += fmt::format(" COLLATE {}", type->collation);
    }
    columns += fmt::format(" AS o{}", i);
  }
  return fmt::format("SELECT {} FROM ({})", columns, out);
}

std::string Generator::leg(const Query& q, bool left) {
  const bool plain = q.ctes.empty() && q.order_by.empty() && q.limit == nullptr && q.offset == nullptr;
  const bool inlined =
      plain &&
      ((q.kind == QueryKind::kSelect && q.distinct_on.empty()) || q.kind == QueryKind::kValues ||
       (left && q.kind == QueryKind::kSetOperation && (q.operation == SetOperation::kUnion || !q.all)));
  return inlined ? body(q) : "SELECT * FROM (" + query(q) + ")";
}

std::string Generator::set_operation(const Query& q) {
  const std::size_t columns = q.targets.size();
  if (q.all && q.operation != SetOperation::kUnion) {
    // The n-th equal row of one side against the n-th of the other.
    const auto numbered = [&](const Query& side) {
      return fmt::format("SELECT *, row_number() OVER (PARTITION BY {}) AS n FROM ({})", outputs(columns),
                         query(side));
    };
    return fmt::format("SELECT {} FROM ({} {} {})", outputs(columns), numbered(*q.left),
                       q.operation == SetOperation::kIntersect ? "INTERSECT" : "EXCEPT", numbered(*q.right));
  }
  const std::string_view word = q.operation == SetOperation::kIntersect ? "INTERSECT"
                                : q.operation == SetOperation::kExcept  ? "EXCEPT"
                                : q.all                                 ? "UNION ALL"
                                                                        : "UNION";
  return fmt::format("{} {} {}", leg(*q.left, true), word, leg(*q.right, false));
}

std::string Generator::order(const std::vector<SortKey>& keys, const std::vector<Target>* targets) {
  std::string out;
  for (const SortKey& key : keys) {
    if (key.expr->kind == ExprKind::kConst) {
      continue;  // the same for all rows
    }
    out += out.empty() ? "" : ", ";
    bool by_number = false;
    if (targets != nullptr) {
      for (std::size_t i = 0; i < targets->size() && !by_number; ++i) {
        if ((*targets)[i].expr == key.expr) {
          out += std::to_string(i + 1);
          by_number = true;
        }
      }
    }
    if (!by_number) {
      out += collated(*key.expr);
    }
    out += key.descending ? " DESC" : "";
    // (Grouping sets leave columns out, which are NULL then.)
    if (key.nulls_first == key.descending && (!replaced_.empty() || !never_null(*key.expr))) {
      out += key.nulls_first ? " NULLS FIRST" : " NULLS LAST";
    }
  }
  return out.empty() ? "NULL" : out;
}

std::string Generator::limit(const Query& q) {
  const auto number = [&](const Expr& e, std::string_view function) {
    const bool plain = e.kind == ExprKind::kConst && !e.value.is_null() && e.value.integer() >= 0;
    return plain ? std::to_string(e.value.integer()) : fmt::format("{}({})", function, expression(e));
  };
  const auto given = [](const ExprRef& e) {
    return e != nullptr && !(e->kind == ExprKind::kConst && e->value.is_null());
  };
  std::string out;
  if (given(q.limit)) {
    out += " LIMIT " + number(*q.limit, "bop_limit");
  } else if (given(q.offset)) {
    out += " LIMIT -1";
  }
  if (given(q.offset)) {
    out += " OFFSET " + number(*q.offset, "bop_offset");
  }
  return out;
}

// To SQLite a query without GROUP BY is one group only if a result column holds an aggregate.
std::string Generator::target(const Query& q, std::size_t i) {
  const Expr& e = *q.targets[i].expr;
  if (i > 0 || !q.grouped || !q.group_by.empty() || !q.grouping_sets.empty()) {
    return collated(e);
  }
  bool counted = false;
  for (const Target& t : q.targets) {
    visit(*t.expr, [&](const Expr& part) {
      counted = counted || (part.kind == ExprKind::kAggregate && part.depth == q.depth);
      return !counted;
    });
  }
  if (counted) {
    return collated(e);
  }
  const std::string_view collation = find_type(e.type) == nullptr ? "" : find_type(e.type)->collation;
  return fmt::format("CASE WHEN count(*) IS NOT NULL THEN {} END{}{}", expression(e),
                     collation.empty() ? "" : " COLLATE ", collation);
}

// GROUP BY and HAVING. A constant would be the number of a column.
std::string Generator::grouping(const Query& q) {
  std::string groups;
  for (const ExprRef& e : q.group_by) {
    if (e->kind != ExprKind::kConst) {
      groups += (groups.empty() ? "" : ", ") + collated(*e);
    }
  }
  std::string out;
  if (!q.group_by.empty()) {
    out += " GROUP BY " + (groups.empty() ? "NULL" : groups);
  }
  if (q.having != nullptr) {
    out += " HAVING " + condition(*q.having);
  }
  return out;
}

Generator::Rows Generator::rows_of(const Query& q) {
  if (!q.grouping_sets.empty()) {
    return grouping_sets(q);
  }
  if (!q.grouped && !q.from.empty() && calls_writer(q)) {
    return rows_first(q);
  }
  std::string out;
  if (!q.from.empty()) {
    out += " FROM " + from_list(q.from);
  }
  if (q.where != nullptr) {
    out += " WHERE " + condition(*q.where);
  }
  return Rows(out + grouping(q));
}

std::string Generator::select(const Query& q) {
  const Rows rows = rows_of(q);
  std::string out = q.distinct ? "SELECT DISTINCT " : "SELECT ";
  if (q.targets.empty()) {
    out += q.grouped && q.group_by.empty() && q.grouping_sets.empty() ? "count(*) AS o0" : "NULL AS o0";
  }
  for (std::size_t i = 0; i < q.targets.size(); ++i) {
    out += fmt::format("{}{} AS o{}", i == 0 ? "" : ", ", target(q, i), i + 1);
  }
  out += rows.text;
  if (!q.order_by.empty()) {
    out += " ORDER BY " + order(q.order_by, &q.targets);
  }
  return out + limit(q);
}

std::string Generator::distinct_on(const Query& q) {
  const Rows rows = rows_of(q);
  // The first row of each partition, in the order of ORDER BY.
  std::string columns;
  for (std::size_t i = 0; i < q.targets.size(); ++i) {
    columns += fmt::format("{} AS o{}, ", target(q, i), i + 1);
  }
  std::string partition;
  for (const ExprRef& e : q.distinct_on) {
    partition += (partition.empty() ? "" : ", ") + collated(*e);
  }
  std::string keys;
  std::string outer_order;
  for (std::size_t i = 0; i < q.order_by.size(); ++i) {
    const SortKey& key = q.order_by[i];
    keys += fmt::format(", {} AS k{}", collated(*key.expr), i + 1);
    outer_order +=
        fmt::format("{}k{}{}{}", i == 0 ? " ORDER BY " : ", ", i + 1, key.descending ? " DESC" : "",
                    key.nulls_first ? " NULLS FIRST" : " NULLS LAST");
  }
  std::string inner = "SELECT " + columns + "row_number() OVER (PARTITION BY " + partition;
  if (!q.order_by.empty()) {
    inner += " ORDER BY " + order(q.order_by, nullptr);
  }
  inner += ") AS n" + keys + rows.text;
  return fmt::format("SELECT {} FROM ({}) WHERE n = 1{}", outputs(q.targets.size()), inner, outer_order) +
         limit(q);
}

std::string Generator::entry(const RangeEntry& e) {
  switch (e.kind) {
    case RangeKind::kTable:
      if (e.sample != nullptr) {
        return sampled(e);
      }
      return fmt::format(
          "{} AS r{}",
          e.relation->is_virtual() ? "\"" + e.relation->virtual_table + "\"" : table_name(e.relation->oid),
          e.id);
    case RangeKind::kSubquery:
      // LIMIT keeps rows that come only once from being the inner ones of a join.
      if (&e == fed_) return fmt::format("({} LIMIT -1) AS r{}", fed_query(e.columns.size()), e.id);
      if (e.lateral) {
        return lateral(e);
      }
      // As a CTE, from which SQLite leaves out no column that is not used: computing it may have an effect.
      return has_volatile_output(*e.query)
                 ? fmt::format("(WITH v{0} AS ({1}) SELECT * FROM v{0}) AS r{0}", e.id, once(*e.query))
                 : fmt::format("({}) AS r{}", query(*e.query), e.id);
    case RangeKind::kCte:
      if (is_stepping(*e.cte)) {
        return fmt::format("bop_unpack(x{}.p) AS r{}", e.cte->id, e.id);
      }
      return fmt::format("w{} AS r{}", e.cte->id, e.id);
    case RangeKind::kFunction: {
      const Expr& f = *e.function;
      std::string args = f.kernel->typed ? arg_types_literal(f.arg_types, f.variadic_array) : std::string();
      if (!f.args.empty()) {
        args += (args.empty() ? "" : ", ") + list(f.args);
      }
      return fmt::format("{}({}) AS r{}", f.kernel->sqlite_name, args, e.id);
    }
    case RangeKind::kFile: return file(e);
    case RangeKind::kStored: return fmt::format("temp.{} AS r{}", e.alias, e.id);
    case RangeKind::kExcluded: break;
  }
  return {};
}

// Beside other tables the file is read once, whatever the order of the join.
std::string Generator::file(const RangeEntry& e) {
  const std::string token = bind_constant(OwnedValue::of_text(file_token(*e.file)));
  if (alone_) return fmt::format("bop_file({}) AS r{}", token, e.id);
  std::string names = e.file->columns.empty() ? "1" : "";
  for (std::size_t i = 0; i < e.file->columns.size(); ++i)
    names += fmt::format("{}v{}", i > 0 ? ", " : "", i);
  return fmt::format("(WITH f{0} AS MATERIALIZED (SELECT {1} FROM bop_file({2})) SELECT * FROM f{0}) AS r{0}",
                     e.id, names, token);
}

std::string Generator::from_node(const FromNode& node) {
  if (node.entry != nullptr) {
    return entry(*node.entry);
  }
  std::string out = from_node(*node.left);
  switch (node.join) {
    case JoinKind::kInner: out += " JOIN "; break;
    case JoinKind::kLeft: out += " LEFT JOIN "; break;
    case JoinKind::kRight: out += " RIGHT JOIN "; break;
    case JoinKind::kFull: out += " FULL JOIN "; break;
  }
  out += node.right->entry != nullptr ? from_node(*node.right) : in_parentheses(*node.right);
  if (node.on != nullptr) {
    out += " ON " + condition(*node.on);
  } else if (node.join != JoinKind::kInner) {
    out += " ON 1";
  }
  return out;
}

std::string Generator::from_list(const std::vector<std::unique_ptr<FromNode>>& from) {
  std::string out;
  const bool before = std::exchange(alone_, false);
  for (std::size_t i = 0; i < from.size(); ++i) {
    const bool closed = i > 0 && has_outer_right(*from[i]);
    out += i == 0 ? "" : " JOIN ";
    alone_ = from.size() == 1 && from.front()->entry != nullptr;
    out += closed ? in_parentheses(*from[i]) : from_node(*from[i]);
  }
  alone_ = before;
  return out;
}

}  // namespace bop::sql
