#include "sql/query.hpp"

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

bool same_expr(const Expr& a, const Expr& b) {
  if (&a == &b) {
    return true;
  }
  if (a.kind != b.kind || a.type != b.type || a.typmod != b.typmod || a.kernel != b.kernel ||
      a.number != b.number || a.entry != b.entry || a.text != b.text || a.negated != b.negated ||
      a.all != b.all || a.distinct != b.distinct || a.star != b.star || a.cast_from != b.cast_from ||
      a.window != b.window || a.query != b.query || !(a.value.view() == b.value.view())) {
    return false;
  }
  if ((a.filter == nullptr) != (b.filter == nullptr) ||
      (a.filter != nullptr && !same_expr(*a.filter, *b.filter))) {
    return false;
  }
  return same_list(a.args, b.args) && same_order(a.order, b.order);
}

}  // namespace bop::sql
