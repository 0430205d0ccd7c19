#include "sql/prior_values.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "sql/binder.hpp"
#include "sql/generate.hpp"
#include "sql/tree_search.hpp"

namespace bop::sql {

namespace {

class PriorValues {
 public:
  PriorValues(const Binder& binder, Change& change, Generator& generator, Plan& plan)
      : binder_(binder), change_(change), generator_(generator), plan_(plan) {
    rows_.insert(change.target.get());
    if (change.upsert.excluded != nullptr) {
      rows_.insert(change.upsert.excluded.get());
    }
    rows_.merge(entries_of(change.from));
  }

  void replace(Expr& e, std::string_view clause) {
    if (!reads_any(e, change_.changed_tables)) {
      return;
    }
    const bool one_value = e.kind == ExprKind::kScalarSubquery || e.kind == ExprKind::kExists ||
                           e.kind == ExprKind::kArraySubquery;
    if (!one_value) {
      if (e.query != nullptr) {
        refuse(e, clause);
      }
      for (const ExprRef& arg : e.args) {
        if (arg != nullptr) {
          replace(*arg, clause);
        }
      }
      if (reads_any(e, change_.changed_tables)) {
        refuse(e, clause);
      }
      return;
    }
    const bool volatile_cte =
        std::ranges::any_of(change_.ctes, [](const auto& cte) { return is_volatile(*cte->query); });
    if (reads_rows(e, rows_) || volatile_cte) {
      refuse(e, clause);
    }
    std::string sql = generator_.with(change_.ctes) + "SELECT " + generator_.expression(e);
    const int number = generator_.reserve_parameter();
    plan_.prior_values.push_back({.parameter = number, .sql = std::move(sql)});
    Expr value;
    value.kind = ExprKind::kParam;
    value.type = e.type;
    value.typmod = e.typmod;
    value.location = e.location;
    value.number = number;
    e = std::move(value);
  }

 private:
  [[noreturn]] void refuse(const Expr& e, std::string_view clause) const {
    binder_.not_implemented(fmt::format("a subquery of {} over a table that the statement changes", clause),
                            e.location);
  }

  const Binder& binder_;
  Change& change_;
  Generator& generator_;
  Plan& plan_;
  std::set<const RangeEntry*> rows_;  // what a subquery that is computed once may not refer to
};

}  // namespace

void refuse_prior_values(const Binder& binder, const Change& change, const std::set<Oid>& changed) {
  const auto refuse = [&](const ExprRef& e, std::string_view clause) {
    if (e != nullptr && reads_any(*e, changed)) {
      binder.not_implemented(fmt::format("a subquery of {} over a table that the statement changes", clause),
                             e->location);
    }
  };
  for (const Target& target : change.returning) {
    refuse(target.expr, "RETURNING");
  }
  for (const Assignment& a : change.upsert.set) {
    refuse(a.expr, "ON CONFLICT DO UPDATE");
  }
  refuse(change.upsert.where, "ON CONFLICT DO UPDATE");
}

void compute_prior_values(const Binder& binder, Change& change, Generator& generator, Plan& plan) {
  PriorValues values(binder, change, generator, plan);
  for (const Target& target : change.returning) {
    values.replace(*target.expr, "RETURNING");
  }
  if (!change.has_upsert || is_one_row(change)) {
    return;  // nothing is changed yet when the only row is in conflict
  }
  for (const Assignment& a : change.upsert.set) {
    values.replace(*a.expr, "ON CONFLICT DO UPDATE");
  }
  if (change.upsert.where != nullptr) {
    values.replace(*change.upsert.where, "ON CONFLICT DO UPDATE");
  }
}

}  // namespace bop::sql
