// GROUP BY with several sets, for SQLite, which knows one set only.
//
//   FROM (WITH g1 AS MATERIALIZED (SELECT key AS k1, ..., column AS c1, ... FROM ... WHERE ...)
//         SELECT k1, k2, aggregate AS a1, 0 AS m FROM g1 GROUP BY k1, k2
//         UNION ALL SELECT k1, NULL, aggregate, 1 FROM g1 GROUP BY k1 ...) AS u1 WHERE having
//
// The rows are computed once, with the keys and those columns that aggregates use (not the arguments: a
// FILTER keeps them from rows for which they may fail). What the query says of its groups (select list,
// HAVING, ORDER BY, window functions, subqueries that look at a group) then reads the columns of u1 in the
// place of keys, aggregates and GROUPING(), so that it is an ordinary query over ordinary rows, wherever it
// stands. DuckDB has the operator itself (executor/translate_query.cpp), which is why this is done here and
// not to the typed tree.
#include <algorithm>

#include <fmt/format.h>

#include "sql/binder.hpp"
#include "sql/generate.hpp"
#include "sql/tree_search.hpp"

namespace bop::sql {

namespace {

constexpr std::size_t kMaxMask = 62;      // keys that GROUPING() can tell apart
constexpr std::size_t kMaxCompound = 64;  // terms of one UNION ALL; SQLite takes 500

std::string_view collation_of(const Expr& e) {
  const TypeInfo* info = find_type(e.type);
  return info == nullptr ? std::string_view() : info->collation;
}

std::string with_collation(std::string text, const Expr& e) {
  const std::string_view collation = collation_of(e);
  return collation.empty() ? text : fmt::format("{} COLLATE {}", text, collation);
}

// A constant is a key only where it is that very one.
bool is_key(const Expr& key, const Expr& e) {
  return &key == &e || (key.kind != ExprKind::kConst && same_expr(key, e));
}

void add(std::vector<const Expr*>& list, const Expr& e) {
  if (std::ranges::none_of(list, [&](const Expr* other) { return same_expr(*other, e); })) {
    list.push_back(&e);
  }
}

// What a query says of its groups: its aggregates, and the columns that a key determines.
struct Parts {
  std::vector<const Expr*> aggregates, columns;

  void collect(const Query& q, const Expr& e) {
    visit(e, [&](const Expr& part) {
      if (std::ranges::any_of(q.group_by, [&](const ExprRef& key) { return is_key(*key, part); })) {
        return false;
      }
      if (part.kind == ExprKind::kAggregate && part.depth == q.depth) {
        add(aggregates, part);
        return false;
      }
      if (part.kind == ExprKind::kGrouping && part.depth == q.depth) {
        return false;
      }
      if (part.kind == ExprKind::kColumn && part.entry != nullptr && part.entry->depth == q.depth) {
        add(columns, part);
      }
      return true;
    });
  }
};

Parts parts_of(const Query& q) {
  Parts out;
  for (const Target& target : q.targets) {
    out.collect(q, *target.expr);
  }
  for (const SortKey& key : q.order_by) {
    out.collect(q, *key.expr);
  }
  for (const ExprRef& e : q.distinct_on) {
    out.collect(q, *e);
  }
  if (q.having != nullptr) {
    out.collect(q, *q.having);
  }
  return out;
}

std::string union_of(const std::vector<std::string>& legs, std::size_t from, std::size_t to) {
  std::string out;
  if (to - from > kMaxCompound) {
    const std::size_t middle = from + (to - from) / 2;
    return fmt::format("SELECT * FROM ({}) UNION ALL SELECT * FROM ({})", union_of(legs, from, middle),
                       union_of(legs, middle, to));
  }
  for (std::size_t i = from; i < to; ++i) {
    out += (i == from ? "" : " UNION ALL ") + legs[i];
  }
  return out;
}

}  // namespace

std::optional<std::string> Generator::replaced(const Expr& e) const {
  for (auto place = replaced_.rbegin(); place != replaced_.rend(); ++place) {
    const Replaced& known = **place;
    for (const auto& [part, column] : known.parts) {
      if (is_key(*part, e)) {
        return with_collation(column, e);
      }
    }
    if (e.kind != ExprKind::kGrouping || known.grouped == nullptr || known.grouped->depth != e.depth) {
      continue;
    }
    const std::vector<ExprRef>& keys = known.grouped->group_by;
    std::string bits;
    for (std::size_t i = 0; i < e.args.size(); ++i) {
      const auto key =
          std::ranges::find_if(keys, [&](const ExprRef& k) { return same_expr(*k, *e.args[i]); });
      const auto number = static_cast<std::size_t>(key - keys.begin());
      if (number >= kMaxMask) {
        throw BindFailure{error(ErrorCode::kNotImplemented,
                                "GROUPING with more than {} keys is not implemented", kMaxMask)};
      }
      bits += fmt::format("{}(({} >> {} & 1) << {})", i == 0 ? "" : " | ", known.mask, number,
                          e.args.size() - 1 - i);
    }
    return "(" + bits + ")";
  }
  return std::nullopt;
}

// The groups of one set, over the rows of g<id>.
std::string Generator::grouping_leg(const Query& q, const std::vector<std::size_t>& set,
                                    const std::vector<const Expr*>& computed, int id) {
  std::string out = "SELECT ";
  std::string keys;
  std::uint64_t mask = 0;
  bool counts = false;
  for (std::size_t i = 0; i < q.group_by.size(); ++i) {
    const bool has = std::ranges::find(set, i) != set.end();
    const std::string key = with_collation(fmt::format("g{}.k{}", id, i + 1), *q.group_by[i]);
    out += with_collation(has ? fmt::format("g{}.k{}", id, i + 1) : "NULL", *q.group_by[i]);
    out += fmt::format(" AS k{}, ", i + 1);
    if (has) {
      keys += (keys.empty() ? " GROUP BY " : ", ") + key;
    } else {
      mask |= i < kMaxMask ? std::uint64_t{1} << i : 0;
    }
  }
  for (std::size_t i = 0; i < computed.size(); ++i) {
    const Expr& e = *computed[i];
    std::string text;
    if (e.kind == ExprKind::kAggregate) {
      counts = true;
      Expr here = e;  // also where a subquery of the select list says it
      here.outer = false;
      text = with_collation(expression(here), e);
    } else {
      text = expression(e);
    }
    out += fmt::format("{} AS a{}, ", text, i + 1);
  }
  // To SQLite all rows are one group only if an aggregate says so.
  out += set.empty() && !counts ? fmt::format("CASE WHEN count(*) IS NOT NULL THEN {} END AS m", mask)
                                : fmt::format("{} AS m", mask);
  return fmt::format("{} FROM g{}{}", out, id, keys);
}

Generator::Rows Generator::rows_first(const Query& q) {
  const int id = next_group_++;
  const Parts parts = parts_of(q);
  std::string rows = "SELECT ";
  for (std::size_t i = 0; i < parts.columns.size(); ++i) {
    rows += fmt::format("{} AS c{}, ", collated(*parts.columns[i]), i + 1);
  }
  rows += "NULL AS c0 FROM " + from_list(q.from);
  if (q.where != nullptr) {
    rows += " WHERE " + condition(*q.where);
  }
  Rows out(fmt::format(" FROM (WITH g{0} AS MATERIALIZED ({1}) SELECT * FROM g{0}) AS u{0}", id, rows));
  out.replaced = std::make_unique<Replaced>();
  for (std::size_t i = 0; i < parts.columns.size(); ++i) {
    out.replaced->parts.emplace_back(parts.columns[i], fmt::format("u{}.c{}", id, i + 1));
  }
  replaced_.push_back(out.replaced.get());
  out.place = &replaced_;
  return out;
}

Generator::Rows Generator::grouping_sets(const Query& q) {
  const int id = next_group_++;
  const Parts parts = parts_of(q);
  std::vector<const Expr*> used = parts.columns;
  for (const Expr* aggregate : parts.aggregates) {
    visit(*aggregate, [&](const Expr& part) {
      if (part.kind == ExprKind::kColumn && part.entry != nullptr && part.entry->depth == q.depth) {
        add(used, part);
      }
      return true;
    });
  }
  std::string rows = "SELECT ";
  for (std::size_t i = 0; i < q.group_by.size(); ++i) {
    rows += fmt::format("{} AS k{}, ", collated(*q.group_by[i]), i + 1);
  }
  Replaced input;
  for (std::size_t i = 0; i < used.size(); ++i) {
    rows += fmt::format("{} AS c{}, ", collated(*used[i]), i + 1);
    input.parts.emplace_back(used[i], fmt::format("g{}.c{}", id, i + 1));
  }
  rows += "NULL AS c0";
  if (!q.from.empty()) {
    rows += " FROM " + from_list(q.from);
  }
  if (q.where != nullptr) {
    rows += " WHERE " + condition(*q.where);
  }
  std::vector<const Expr*> computed = parts.aggregates;
  computed.insert(computed.end(), parts.columns.begin(), parts.columns.end());
  std::vector<std::string> legs;
  replaced_.push_back(&input);
  for (const auto& set : q.grouping_sets) {
    legs.push_back(grouping_leg(q, set, computed, id));
  }
  replaced_.pop_back();
  Rows out(fmt::format(" FROM (WITH g{0} AS MATERIALIZED ({1}) {2}) AS u{0}", id, rows,
                       union_of(legs, 0, legs.size())));
  out.replaced = std::make_unique<Replaced>();
  for (std::size_t i = 0; i < q.group_by.size(); ++i) {
    out.replaced->parts.emplace_back(q.group_by[i].get(), fmt::format("u{}.k{}", id, i + 1));
  }
  for (std::size_t i = 0; i < computed.size(); ++i) {
    out.replaced->parts.emplace_back(computed[i], fmt::format("u{}.a{}", id, i + 1));
  }
  out.replaced->grouped = &q;
  out.replaced->mask = fmt::format("u{}.m", id);
  replaced_.push_back(out.replaced.get());
  out.place = &replaced_;
  if (q.having != nullptr) {
    out.text += " WHERE " + condition(*q.having);
  }
  return out;
}

}  // namespace bop::sql
