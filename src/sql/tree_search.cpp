#include "sql/tree_search.hpp"

#include <algorithm>
#include <functional>

#include "sql/functions/kernels.hpp"

namespace bop::sql {

namespace {

// Looks for a node that one of the two predicates accepts.
class Search {
 public:
  using OfExpr = std::function<bool(const Expr&)>;
  using OfEntry = std::function<bool(const RangeEntry&)>;

  explicit Search(OfExpr expr, OfEntry entry = {}, bool subqueries = true)
      : expr_(std::move(expr)), entry_(std::move(entry)), subqueries_(subqueries) {}

  bool in(const Expr& e) {
    if (expr_ && expr_(e)) {
      return true;
    }
    if (e.kind == ExprKind::kColumn && e.entry != nullptr && e.entry->merged) {
      return in(*merged_column(e));
    }
    return in(e.args) || in(e.order) || in(e.filter) ||
           (e.window != nullptr &&
            (in(e.window->partition) || in(e.window->order) || in(e.window->start) || in(e.window->end))) ||
           (subqueries_ && e.query != nullptr && in(*e.query));
  }

  bool in(const Query& q) {
    return std::ranges::any_of(q.ctes, [&](const auto& cte) { return in(*cte); }) || in_output(q) ||
           std::ranges::any_of(q.from, [&](const auto& node) { return in(*node); }) || in(q.where) ||
           in(q.group_by) || in(q.having) || in(q.distinct_on) || in(q.order_by) || in(q.limit) ||
           in(q.offset) || (q.left != nullptr && (in(*q.left) || in(*q.right)));
  }

  bool in_output(const Query& q) {
    return std::ranges::any_of(q.targets, [&](const Target& target) { return in(target.expr); }) ||
           std::ranges::any_of(q.rows, [&](const auto& row) { return in(row); }) ||
           (q.left != nullptr && (in_output(*q.left) || in_output(*q.right)));
  }

 private:
  bool in(const ExprRef& e) { return e != nullptr && in(*e); }
  bool in(const std::vector<ExprRef>& list) {
    return std::ranges::any_of(list, [&](const ExprRef& e) { return in(e); });
  }
  bool in(const std::vector<SortKey>& keys) {
    return std::ranges::any_of(keys, [&](const SortKey& key) { return in(key.expr); });
  }
  bool in(const FromNode& node) {
    return node.entry != nullptr ? in(*node.entry) : in(*node.left) || in(*node.right) || in(node.on);
  }
  bool in(const RangeEntry& entry) {
    return (entry_ && entry_(entry)) || (entry.query != nullptr && in(*entry.query)) ||
           (entry.cte != nullptr && in(*entry.cte)) || in(entry.function) ||
           (entry.sample != nullptr && (in(entry.sample->percent) || in(entry.sample->seed)));
  }
  // A recursive CTE reads itself.
  bool in(const Cte& cte) { return cte.query != nullptr && seen_.insert(&cte).second && in(*cte.query); }

  OfExpr expr_;
  OfEntry entry_;
  bool subqueries_;
  std::set<const Cte*> seen_;
};

void add_entries(const FromNode& node, std::set<const RangeEntry*>& out) {
  if (node.entry != nullptr) {
    out.insert(node.entry.get());
    return;
  }
  add_entries(*node.left, out);
  add_entries(*node.right, out);
}

bool calls_volatile(const Expr& e) { return e.kernel != nullptr && e.kernel->volatility == 'v'; }

bool samples_anew(const RangeEntry& entry) {
  return entry.sample != nullptr && entry.sample->seed == nullptr;
}

bool is_aggregate(const Expr& e) { return e.kind == ExprKind::kAggregate || e.kind == ExprKind::kWindow; }

bool node_may_fail(const Expr& e) {
  switch (e.kind) {
    case ExprKind::kConst:
    case ExprKind::kUnknown:
    case ExprKind::kParam:
    case ExprKind::kColumn:
    case ExprKind::kPadded:
    case ExprKind::kAnd:
    case ExprKind::kOr:
    case ExprKind::kNot:
    case ExprKind::kIsNull:
    case ExprKind::kIsNotNull:
    case ExprKind::kIsTrue:
    case ExprKind::kIsNotTrue:
    case ExprKind::kIsFalse:
    case ExprKind::kIsNotFalse:
    case ExprKind::kCase:
    case ExprKind::kCoalesce:
    case ExprKind::kIsDistinct:
    case ExprKind::kIsNotDistinct:
    case ExprKind::kInList:
    case ExprKind::kAnyArray:
    case ExprKind::kAllArray: return false;
    // Comparisons that SQLite does by itself.
    case ExprKind::kCall:
      return !e.kernel->is_operator || e.kernel->native_sql.empty() || e.kernel->result != types::kBool;
    default: return true;
  }
}

}  // namespace

std::set<const RangeEntry*> entries_of(const std::vector<std::unique_ptr<FromNode>>& from) {
  std::set<const RangeEntry*> out;
  for (const auto& node : from) {
    add_entries(*node, out);
  }
  return out;
}

bool is_volatile(const Expr& e) { return Search(calls_volatile).in(e); }
bool is_volatile(const Query& q) { return Search(calls_volatile, samples_anew).in(q); }
bool has_volatile_output(const Query& q) { return Search(calls_volatile).in_output(q); }

bool reads_stored(const Query& q) {
  return Search({},
                [](const RangeEntry& entry) {
                  return entry.kind == RangeKind::kStored ||
                         (entry.cte != nullptr && entry.cte->change != nullptr);
                })
      .in(q);
}

bool reads_files(const Query& q) {
  return Search({}, [](const RangeEntry& entry) { return entry.kind == RangeKind::kFile; }).in(q);
}

bool reads_any(const Expr& e, const std::set<Oid>& tables) {
  return Search({},
                [&](const RangeEntry& entry) {
                  return entry.kind == RangeKind::kTable && entry.relation != nullptr &&
                         tables.contains(entry.relation->oid);
                })
      .in(e);
}

bool reads_columns(const Expr& e) {
  return Search([](const Expr& node) { return node.kind == ExprKind::kColumn; }).in(e);
}

bool reads_columns(const Expr& e, const RangeEntry& entry, const std::set<std::int16_t>& columns) {
  return Search([&](const Expr& node) {
           return node.kind == ExprKind::kColumn && node.entry.get() == &entry &&
                  columns.contains(entry.columns[static_cast<std::size_t>(node.number)].attribute);
         })
      .in(e);
}

bool reads_rows(const Expr& e, const std::set<const RangeEntry*>& entries) {
  return Search([&](const Expr& node) {
           return node.kind == ExprKind::kColumn && entries.contains(node.entry.get());
         })
      .in(e);
}

bool may_fail(const Expr& e) { return Search(node_may_fail).in(e); }
bool has_aggregate(const Expr& e) { return Search(is_aggregate, {}, false).in(e); }

namespace {

bool reads_tables(const FromNode& node) {
  if (node.entry == nullptr) return reads_tables(*node.left) || reads_tables(*node.right);
  const RangeEntry& entry = *node.entry;
  if (entry.kind == RangeKind::kSubquery) return combines_rows(*entry.query);
  return entry.kind == RangeKind::kTable || entry.kind == RangeKind::kCte;
}

}  // namespace

bool combines_rows(const Query& q) {
  if (q.kind == QueryKind::kSetOperation) return true;
  for (const auto& cte : q.ctes) {
    if (combines_rows(*cte->query)) return true;
  }
  if (q.kind != QueryKind::kSelect ||
      std::ranges::none_of(q.from, [](const auto& f) { return reads_tables(*f); })) {
    return false;
  }
  if (q.grouped || q.distinct || !q.distinct_on.empty() || !q.order_by.empty() || q.from.size() > 1 ||
      q.from.front()->entry == nullptr || q.from.front()->entry->kind == RangeKind::kSubquery) {
    return true;
  }
  bool found = false;
  const auto look = [&](const Expr& e) {
    found = found || e.window != nullptr || e.query != nullptr;
    return !found;
  };
  for (const Target& target : q.targets) visit(*target.expr, look);
  if (q.where != nullptr) visit(*q.where, look);
  return found;
}

}  // namespace bop::sql
