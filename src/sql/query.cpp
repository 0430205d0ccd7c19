#include "sql/query.hpp"

#include "sql/tree.hpp"

namespace bop::sql {

namespace {

bool same_list(const std::vector<ExprRef>& a, const std::vector<ExprRef>& b) {
  if (a.size() != b.size()) {
    return false;
  }
  for (std::size_t i = 0; i < a.size(); ++i) {
    if ((a[i] == nullptr) != (b[i] == nullptr) || (a[i] != nullptr && !same_expr(*a[i], *b[i]))) {
      return false;
    }
  }
  return true;
}

bool same_order(const std::vector<SortKey>& a, const std::vector<SortKey>& b) {
  if (a.size() != b.size()) {
    return false;
  }
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i].descending != b[i].descending || a[i].nulls_first != b[i].nulls_first ||
        !same_expr(*a[i].expr, *b[i].expr)) {
      return false;
    }
  }
  return true;
}

}  // namespace

// In one query the same words mean the same: names are looked up from the same place.
static bool same_subquery(const Expr& a, const Expr& b) {
  if (a.query == b.query) {
    return true;
  }
  return a.source != nullptr && b.source != nullptr &&
         pg::same_tree(static_cast<const ProtobufCMessage*>(a.source),
                       static_cast<const ProtobufCMessage*>(b.source));
}

// IN, ANY and ALL of a subquery. Each has stand-ins of its own for the subquery's columns; what they are
// compared by is said by the left sides and the words.
static bool same_membership(const Expr& a, const Expr& b) {
  if (a.text != b.text || a.negated != b.negated || a.all != b.all || a.args.size() != b.args.size() ||
      !same_subquery(a, b)) {
    return false;
  }
  if (a.kind == ExprKind::kInSubquery) {
    return same_list(a.args, b.args);
  }
  for (std::size_t i = 0; i < a.args.size(); ++i) {
    if (a.args[i]->kernel != b.args[i]->kernel || !same_expr(*a.args[i]->args[0], *b.args[i]->args[0])) {
      return false;
    }
  }
  return true;
}

bool same_expr(const Expr& a, const Expr& b) {
  if (&a == &b) {
    return true;
  }
  if (a.kind == b.kind && (a.kind == ExprKind::kInSubquery || a.kind == ExprKind::kQuantifiedSubquery)) {
    return same_membership(a, b);
  }
  if (a.kind != b.kind || a.type != b.type || a.typmod != b.typmod || a.kernel != b.kernel ||
      a.number != b.number || a.entry != b.entry || a.text != b.text || a.negated != b.negated ||
      a.all != b.all || a.distinct != b.distinct || a.star != b.star || a.cast_from != b.cast_from ||
      a.depth != b.depth || a.window != b.window || !same_subquery(a, b) ||
      !(a.value.view() == b.value.view())) {
    return false;
  }
  if ((a.filter == nullptr) != (b.filter == nullptr) ||
      (a.filter != nullptr && !same_expr(*a.filter, *b.filter))) {
    return false;
  }
  return same_list(a.args, b.args) && same_order(a.order, b.order);
}

namespace {

void visit_present(const ExprRef& e, const Visitor& enter) {
  if (e != nullptr) {
    visit(*e, enter);
  }
}

void visit_keys(const std::vector<SortKey>& keys, const Visitor& enter) {
  for (const SortKey& key : keys) {
    visit_present(key.expr, enter);
  }
}

void visit_from(const FromNode& node, const Visitor& enter) {
  if (node.entry != nullptr) {
    if (node.entry->query != nullptr) {
      visit(*node.entry->query, enter);
    }
    visit_present(node.entry->function, enter);
    if (node.entry->sample != nullptr) {
      visit_present(node.entry->sample->percent, enter);
      visit_present(node.entry->sample->seed, enter);
    }
    return;
  }
  visit_from(*node.left, enter);
  visit_from(*node.right, enter);
  visit_present(node.on, enter);
}

}  // namespace

void visit(const Expr& e, const Visitor& enter) {
  if (!enter(e)) {
    return;
  }
  if (e.kind == ExprKind::kColumn && e.entry != nullptr && e.entry->merged) {
    visit(*merged_column(e), enter);
    return;
  }
  for (const ExprRef& arg : e.args) {
    visit_present(arg, enter);
  }
  visit_keys(e.order, enter);
  visit_present(e.filter, enter);
  if (e.window != nullptr) {
    for (const ExprRef& p : e.window->partition) {
      visit_present(p, enter);
    }
    visit_keys(e.window->order, enter);
    visit_present(e.window->start, enter);
    visit_present(e.window->end, enter);
  }
  if (e.query != nullptr) {
    visit(*e.query, enter);
  }
}

void visit(const Query& query, const Visitor& enter) {
  for (const auto& cte : query.ctes) {
    visit(*cte->query, enter);
  }
  for (const auto& from : query.from) {
    visit_from(*from, enter);
  }
  for (const Target& target : query.targets) {
    visit_present(target.expr, enter);
  }
  visit_present(query.where, enter);
  for (const ExprRef& e : query.group_by) {
    visit_present(e, enter);
  }
  visit_present(query.having, enter);
  for (const ExprRef& e : query.distinct_on) {
    visit_present(e, enter);
  }
  visit_keys(query.order_by, enter);
  visit_present(query.limit, enter);
  visit_present(query.offset, enter);
  for (const auto& row : query.rows) {
    for (const ExprRef& e : row) {
      visit_present(e, enter);
    }
  }
  if (query.left != nullptr) {
    visit(*query.left, enter);
    visit(*query.right, enter);
  }
}

bool uses_rows(const Expr& e, int depth, bool or_above) {
  bool found = false;
  visit(e, [&](const Expr& part) {
    const bool counted = part.kind == ExprKind::kAggregate;
    const int of = counted ? part.depth : part.entry != nullptr ? part.entry->depth : 0;
    if (counted || part.kind == ExprKind::kColumn) {
      found = found || of == depth || (or_above && of < depth && of > 0);
    }
    return !found;
  });
  return found;
}

}  // namespace bop::sql
