// WITH RECURSIVE. SQLite's recursion takes one row of the working table at a time, PostgreSQL's all of them;
// where the recursive term looks at more than one row (DISTINCT, GROUP BY, ORDER BY, LIMIT, window functions)
// or has its reference inside a subquery in FROM, the recursion goes over whole working tables, each packed
// into one value as the rows of a LATERAL subquery are (generate_lateral.cpp):
//
//   WITH x1(p) AS (SELECT bop_pack(o1) FROM (first term)
//                  UNION ALL SELECT (SELECT bop_pack(o1) FROM (recursive term over bop_unpack(x1.p))) FROM x1
//                            WHERE p IS NOT NULL)
//   SELECT o1 FROM x1, bop_unpack(x1.p)
//
// A step without rows packs NULL, which ends it. UNION (not ALL) would have to know all rows so far: beside
// those, it is refused (bind_set_operation.cpp).
#include <algorithm>

#include <fmt/format.h>

#include "sql/binder.hpp"
#include "sql/generate.hpp"

namespace bop::sql {

namespace {

bool reads(const FromNode& node, const Cte& cte) {
  return node.entry != nullptr ? node.entry->cte.get() == &cte
                               : reads(*node.left, cte) || reads(*node.right, cte);
}

}  // namespace

std::string_view beyond_sqlite(const Query& term, const Cte& cte, bool all) {
  if (term.kind != QueryKind::kSelect || !term.ctes.empty() ||
      std::ranges::none_of(term.from, [&](const auto& node) { return reads(*node, cte); })) {
    return "a recursive reference inside a subquery in FROM or a set operation";
  }
  if (term.grouped) {
    return "GROUP BY in a recursive term";
  }
  if (!term.order_by.empty() || term.limit != nullptr || term.offset != nullptr) {
    return "ORDER BY, LIMIT or OFFSET in a recursive term";
  }
  if (term.distinct && (all || !term.distinct_on.empty())) {
    return "DISTINCT in a recursive term";
  }
  for (const Target& target : term.targets) {
    bool windows = false;
    visit(*target.expr, [&](const Expr& part) {
      windows = windows || part.kind == ExprKind::kWindow;
      return !windows && part.query == nullptr;
    });
    if (windows) {
      return "a window function in a recursive term";
    }
  }
  return {};
}

std::string Generator::recursion(const Cte& cte) {
  const Query& q = *cte.query;
  if (beyond_sqlite(*q.right, cte, q.all).empty()) {
    return with(q.ctes) + leg(*q.left, true) + (q.all ? " UNION ALL " : " UNION ") + leg(*q.right, false);
  }
  if (cte.columns.size() > kMaxPackedColumns) {
    throw BindFailure{error(ErrorCode::kNotImplemented,
                            "this recursion over more than {} columns is not implemented",
                            kMaxPackedColumns)};
  }
  std::string packed = cte.columns.empty() ? "NULL" : "";
  std::string columns = cte.columns.empty() ? "NULL" : "";
  for (std::size_t i = 0; i < cte.columns.size(); ++i) {
    const TypeInfo* type = find_type(cte.columns[i].type);
    const bool collated = type != nullptr && !type->collation.empty();
    packed += fmt::format("{}o{}", i == 0 ? "" : ", ", i + 1);
    columns += fmt::format("{0}y{1}.o{2}{3}{4} AS o{2}", i == 0 ? "" : ", ", cte.id, i + 1,
                           collated ? " COLLATE " : "", collated ? type->collation : "");
  }
  const std::string before = with(q.ctes);
  const std::string first = query(*q.left);
  stepping_.push_back(&cte);
  const std::string next = query(*q.right);
  stepping_.pop_back();
  return fmt::format(
      "{0}SELECT * FROM (WITH x{1}(p) AS (SELECT bop_pack({2}) FROM ({3}) UNION ALL SELECT (SELECT bop_pack({2}) FROM "
      "({4})) FROM x{1} WHERE p IS NOT NULL) SELECT {5} FROM x{1}, bop_unpack(x{1}.p) AS y{1})",
      before, cte.id, packed, first, next, columns);
}

bool Generator::is_stepping(const Cte& cte) const {
  return std::ranges::find(stepping_, &cte) != stepping_.end();
}

}  // namespace bop::sql
