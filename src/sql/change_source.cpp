#include "sql/change_source.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "sql/binder.hpp"
#include "sql/generate.hpp"
#include "sql/tree_search.hpp"

namespace bop::sql {

std::vector<std::unique_ptr<Renamed>> renamed(const std::vector<ExprRef>& columns) {
  std::vector<std::unique_ptr<Renamed>> out;
  std::set<const RangeEntry*> seen;
  for (const ExprRef& column : columns) {
    if (seen.insert(column->entry.get()).second) {
      out.push_back(std::make_unique<Renamed>(*column->entry));
    }
  }
  return out;
}

std::string collated_column(std::string text, Oid type) {
  const TypeInfo* info = find_type(type);
  return info == nullptr || info->collation.empty() ? text
                                                    : fmt::format("({} COLLATE {})", text, info->collation);
}

void add_columns(const Expr& e, const std::set<const RangeEntry*>& entries, std::vector<ExprRef>& out) {
  visit(e, [&](const Expr& part) {
    const bool shown = part.kind == ExprKind::kColumn && entries.contains(part.entry.get());
    if (shown && std::ranges::none_of(out, [&](const ExprRef& known) {
          return known->entry == part.entry && known->number == part.number;
        })) {
      auto column = std::make_shared<Expr>();
      column->kind = ExprKind::kColumn;
      column->type = part.type;
      column->typmod = part.typmod;
      column->entry = part.entry;
      column->number = part.number;
      out.push_back(std::move(column));
    }
    return true;
  });
}

std::unique_ptr<FromNode> leaf(RangeRef entry) {
  auto node = std::make_unique<FromNode>();
  node->entry = std::move(entry);
  return node;
}

std::vector<std::unique_ptr<FromNode>> from_one(const RangeRef& entry) {
  std::vector<std::unique_ptr<FromNode>> from;
  from.push_back(leaf(entry));
  return from;
}

ExprRef rowid_of(const Binder& binder, const RangeRef& target) {
  constexpr std::string_view kName = "rowid";
  const auto known = std::ranges::find(target->columns, kName, &RangeColumn::sql);
  const auto place = static_cast<std::size_t>(known - target->columns.begin());
  if (known == target->columns.end()) {
    target->columns.push_back(
        {.name = std::string(kName), .type = types::kInt8, .not_null = true, .sql = std::string(kName)});
  }
  return binder.column_of(target, place);
}

std::vector<std::shared_ptr<Cte>> plain_ctes(const std::vector<std::shared_ptr<Cte>>& ctes) {
  std::vector<std::shared_ptr<Cte>> out;
  std::ranges::copy_if(ctes, std::back_inserter(out), [](const auto& cte) { return cte->change == nullptr; });
  return out;
}

std::shared_ptr<const Plan> source_plan(const Plan& plan, std::shared_ptr<const Query> query,
                                        Generator& generator) {
  if (!combines_rows(*query) || reads_stored(*query)) {
    return nullptr;
  }
  auto source = std::make_shared<Plan>();
  source->kind = PlanKind::kSelect;
  source->statement = plan.statement;
  source->catalog = plan.catalog;
  source->columns.resize(query->targets.size());
  source->reading = std::make_shared<ReadingNotes>();
  source->sql = generator.query(*query);
  source->query = std::move(query);
  return source;
}

namespace {

bool has_subquery(const Expr& e) {
  bool found = false;
  visit(e, [&](const Expr& part) {
    found = found || part.query != nullptr;
    return !found;
  });
  return found;
}

}  // namespace

bool joins_rows(const Change& change) {
  return !change.from.empty() || (change.where != nullptr && has_subquery(*change.where)) ||
         std::ranges::any_of(change.set, [](const Assignment& a) { return has_subquery(*a.expr); });
}

ChangeSource::ChangeSource(Binder& binder, Generator& generator, const Plan& statement, Change& change,
                           const std::vector<ExprRef>& shown) {
  if (!joins_rows(change)) {
    return;
  }
  const std::set<const RangeEntry*> others = entries_of(change.from);
  std::vector<ExprRef> columns = shown;
  std::vector<Assignment*> whole;
  for (Assignment& a : change.set) {
    if (has_subquery(*a.expr)) {
      whole.push_back(&a);
    } else {
      add_columns(*a.expr, others, columns);
    }
  }
  auto query = std::make_shared<Query>();
  query->ctes = plain_ctes(change.ctes);
  query->targets.push_back({.name = "rowid", .expr = rowid_of(binder, change.target)});
  for (const Assignment* a : whole) {
    query->targets.push_back({.name = a->column->name, .expr = a->expr});
  }
  for (const ExprRef& column : columns) {
    query->targets.push_back({.name = "", .expr = column});
  }
  query->from = std::exchange(change.from, {});
  query->from.insert(query->from.begin(), leaf(change.target));
  query->where = change.where;
  plan = source_plan(statement, query, generator);
  if (plan == nullptr) {
    return;
  }
  rows = binder.new_entry(RangeKind::kSubquery, "", 1);
  for (const Target& target : query->targets) {
    rows->columns.push_back({.name = target.name,
                             .type = target.expr->type,
                             .typmod = target.expr->typmod,
                             .sql = fmt::format("o{}", rows->columns.size() + 1)});
  }
  for (std::size_t i = 0; i < whole.size(); ++i) {
    whole[i]->expr = binder.column_of(rows, i + 1);
  }
  renamed_ = renamed(columns);
  for (std::size_t i = 0; i < columns.size(); ++i) {
    RangeColumn& column = columns[i]->entry->columns[static_cast<std::size_t>(columns[i]->number)];
    column.sql = collated_column(fmt::format("r{}.o{}", rows->id, whole.size() + i + 2), column.type);
  }
  rows->query = std::move(query);
  change.from = from_one(rows);
  change.where = binder.make_operator("=", rowid_of(binder, change.target), binder.column_of(rows, 0), -1);
}

RangeRef selected_rows(const Change& change) {
  if (change.source->kind != QueryKind::kSelect || change.source->from.size() != 1) {
    return nullptr;
  }
  const RangeRef& rows = change.source->from.front()->entry;
  if (rows == nullptr || rows->kind != RangeKind::kSubquery || rows->columns.empty()) {
    return nullptr;
  }
  std::vector<std::shared_ptr<Cte>> ctes = plain_ctes(change.ctes);
  rows->query->ctes.insert(rows->query->ctes.begin(), ctes.begin(), ctes.end());
  return rows;
}

namespace {

void plan_fed(const Binder& binder, Change& change, const RangeEntry& rows, Generator& generator,
              Plan& plan) {
  plan.fed_sql = generator.fed_change(change, rows);
  for (UniqueDiagnosis& diagnosis : plan.unique_diagnoses) {
    const auto index = binder.context().catalog->index(diagnosis.index);
    diagnosis.fed_sql = generator.fed(
        rows, [&] { return generator.key_diagnosis(change, *change.target->relation, *index); });
  }
}

}  // namespace

void plan_source(Binder& binder, Change& change, Generator& generator, Plan& plan) {
  if (change.kind != 'i') {
    const ChangeSource source(binder, generator, plan, change, {});
    plan.source = source.plan;
    if (plan.source != nullptr) plan_fed(binder, change, *source.rows, generator, plan);
    return;
  }
  const RangeRef rows = selected_rows(change);
  if (rows == nullptr) return;
  plan.source = source_plan(plan, rows->query, generator);
  if (plan.source != nullptr) plan_fed(binder, change, *rows, generator, plan);
}

}  // namespace bop::sql
