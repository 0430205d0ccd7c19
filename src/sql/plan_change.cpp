#include "sql/plan_change.hpp"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "sql/binder.hpp"
#include "sql/change_source.hpp"
#include "sql/char_length.hpp"
#include "sql/foreign_key_actions.hpp"
#include "sql/generate.hpp"
#include "sql/pending_rows.hpp"
#include "sql/prior_values.hpp"
#include "sql/staged.hpp"
#include "sql/tree_search.hpp"
#include "sql/types/user_types.hpp"

namespace bop::sql {

void finish_parameters(Binder& binder) {
  for (std::size_t i = 0; i < binder.parameters().size(); ++i) {
    if (binder.parameters()[i] == 0) {
      binder.raise(
          error(ErrorCode::kIndeterminateDatatype, "could not determine data type of parameter ${}", i + 1));
    }
  }
}

namespace {

// A client is told of a domain as what it is over.
void tell_client(OutputColumn& column) {
  const Oid base = base_type(column.type);
  const UserType* user = find_user_type(column.type);
  if (base != column.type && user != nullptr) {
    column.sent_type = base;
    column.sent_typmod = user->definition().base_typmod;
  }
  const TypeInfo* info = find_type(base);
  column.type_length = info == nullptr ? std::int16_t{-1} : info->typlen;
}

}  // namespace

std::vector<OutputColumn> output_columns(const Binder& binder, const std::vector<Target>& targets) {
  std::vector<OutputColumn> out;
  for (const Target& target : targets) {
    const Oid type = binder.type_of(*target.expr);
    out.push_back({.name = target.name,
                   .type = type,
                   .typmod = target.expr->typmod,
                   .table = target.table,
                   .attribute = target.attribute,
                   .value_typmod = char_value_typmod(*target.expr)});
    if (type >= types::kFirstUser) tell_client(out.back());
  }
  return out;
}

bool changes_rows(const std::vector<std::shared_ptr<Cte>>& ctes) {
  return std::ranges::any_of(ctes, [](const auto& cte) { return cte->change != nullptr; });
}

namespace {

using Acted = std::map<Oid, ActedTable>;

// What a change and the actions of foreign keys behind it will change.
void plan_actions(Binder& binder, Change& change, Acted& all, Plan& plan) {
  const Catalog& catalog = *binder.context().catalog;
  const Relation& table = *change.target->relation;
  const bool references =
      std::ranges::any_of(table.constraints, [](const Constraint& c) { return c.type == 'f'; });
  plan.check_foreign_keys = plan.check_foreign_keys || (change.kind != 'd' && references) ||
                            (change.kind != 'i' && !catalog.references_to(table.oid).empty());
  std::set<std::int16_t> columns;
  for (const Assignment& a : change.kind == 'u' ? change.set : change.upsert.set) {
    columns.insert(a.column->number);
  }
  columns = with_generated(change, std::move(columns));
  const Acted acted = foreign_key_actions(catalog, table.oid, change.kind == 'd', columns);
  change.changed_tables.insert(table.oid);
  change.acts_on_itself = acted.contains(table.oid);
  for (const auto& [oid, what] : acted) {
    change.changed_tables.insert(oid);
    ActedTable& sum = all[oid];
    sum.deletes = sum.deletes || what.deletes;
    sum.columns.insert(what.columns.begin(), what.columns.end());
    sum.keys.insert(what.keys.begin(), what.keys.end());
  }
  const auto known = std::ranges::find(plan.only_inserted, table.oid);
  const bool inserts = change.kind == 'i' && (!change.has_upsert || change.upsert.nothing);
  if (!inserts && known != plan.only_inserted.end()) {
    plan.only_inserted.erase(known);
  } else if (inserts && known == plan.only_inserted.end() &&
             std::ranges::find(plan.changed_tables, table.oid) == plan.changed_tables.end()) {
    plan.only_inserted.push_back(table.oid);
  }
  for (const Oid oid : change.changed_tables) {
    if (std::ranges::find(plan.changed_tables, oid) == plan.changed_tables.end()) {
      plan.changed_tables.push_back(oid);
    }
  }
}

// `only_deletes`: but for the actions, nothing is stored.
void plan_guards(Binder& binder, const Acted& acted, bool only_deletes, Plan& plan) {
  for (const auto& [oid, what] : acted) {
    plan.acting_keys.insert(plan.acting_keys.end(), what.keys.begin(), what.keys.end());
  }
  plan.guards = action_guards(binder, acted);
  if (!only_deletes ||
      std::ranges::any_of(acted, [](const auto& table) { return !table.second.columns.empty(); })) {
    std::ranges::move(pending_guards(*binder.context().catalog, plan.changed_tables),
                      std::back_inserter(plan.guards));
  }
}

// The parts of a statement change their rows one after the other, and a key acts at once; PostgreSQL's keys
// act when all parts are done. It is the same unless what one changes is what another's key acts on.
void refuse_meeting_actions(const Binder& binder, const std::vector<const Change*>& parts) {
  for (const Change* part : parts) {
    for (const Change* other : parts) {
      const Relation& table = *other->target->relation;
      const bool acts = table.oid == part->target->relation->oid ? part->acts_on_itself
                                                                 : part->changed_tables.contains(table.oid);
      if (part == other || !acts) continue;
      binder.not_implemented(
          fmt::format(
              "changing table \"{}\" in a statement of which another part changes it by a foreign key",
              table.name),
          -1);
    }
  }
}

std::vector<const Change*> changes_of(const std::vector<std::shared_ptr<Cte>>& ctes) {
  std::vector<const Change*> out;
  for (const auto& cte : ctes) {
    if (cte->change != nullptr) out.push_back(cte->change.get());
  }
  return out;
}

void plan_parts(Binder& binder, const std::vector<std::shared_ptr<Cte>>& ctes, Acted& acted, Plan& plan) {
  for (const auto& cte : ctes) {
    if (cte->change != nullptr) {
      plan_actions(binder, *cte->change, acted, plan);
    }
  }
}

// Whether RETURNING shows what SQLite's cannot: it computes it between the changes of single rows, after
// their foreign keys have acted, and over the columns of the changed table only.
bool returns_more(const Change& change) {
  if (change.has_upsert) {
    return false;
  }
  const std::set<const RangeEntry*> others = entries_of(change.from);
  return std::ranges::any_of(change.returning, [&](const Target& target) {
    const Expr& e = *target.expr;
    return reads_rows(e, others) || reads_any(e, change.changed_tables) ||
           (change.acts_on_itself && change.kind != 'd' && reads_columns(e));
  });
}

// The rows of a DELETE are found twice when its own cascades may be faster.
void plan_prior_rows(Change& change, Generator& generator, Plan& plan) {
  if (change.kind == 'd' && change.acts_on_itself) {
    plan.prior_rows = generator.deleted_rows(change);
  }
}

void plan_diagnoses(const Binder& binder, const Change& change, Generator& generator, Plan& plan) {
  if (change.kind == 'd') {
    return;
  }
  const Relation& table = *change.target->relation;
  for (const auto& index : binder.context().catalog->indexes_of(table.oid)) {
    // A key that DO UPDATE has made is not among those that were proposed.
    const bool set_on_conflict = std::ranges::any_of(change.upsert.set, [&](const Assignment& a) {
      return std::ranges::find(index->keys, a.column->number, &IndexKey::column) != index->keys.end();
    });
    if (!index->unique || index->deferrable || set_on_conflict) {
      continue;
    }
    if (std::string sql = generator.key_diagnosis(change, table, *index); !sql.empty()) {
      plan.unique_diagnoses.push_back({.index = index->oid, .sql = std::move(sql)});
    }
  }
}

}  // namespace

void plan_diagnoses(const Binder& binder, const std::vector<std::shared_ptr<Cte>>& ctes, Generator& generator,
                    Plan& plan) {
  for (const auto& cte : ctes) {
    if (cte->change != nullptr) {
      plan_diagnoses(binder, *cte->change, generator, plan);
    }
  }
}

void plan_changes(Binder& binder, const std::vector<std::shared_ptr<Cte>>& ctes, Plan& plan) {
  Acted acted;
  plan_parts(binder, ctes, acted, plan);
  refuse_meeting_actions(binder, changes_of(ctes));
  plan_guards(binder, acted, false, plan);
}

void plan_merge(Binder& binder, Merge merge, Plan& plan) {
  finish_parameters(binder);
  plan.kind = PlanKind::kUpdate;
  plan.tag = "MERGE";
  plan.needs_writer = true;
  plan.target = merge.target->relation->oid;
  const std::vector<std::shared_ptr<Cte>> ctes = merge.ctes;
  Acted acted;
  plan_parts(binder, ctes, acted, plan);
  for (const MergeAction& action : merge.actions) {
    if (action.change != nullptr) {
      plan_actions(binder, *action.change, acted, plan);
    }
  }
  std::vector<const Change*> parts = changes_of(ctes);
  for (const MergeAction& action : merge.actions) {
    if (action.change != nullptr) parts.push_back(action.change.get());
  }
  refuse_meeting_actions(binder, parts);
  plan_guards(binder, acted, false, plan);
  Generator generator(binder.parameters().size());
  StagedPlan staged(binder, generator, plan);
  staged.compute_read(ctes);
  staged.answer(merge);
  staged.finish();
  plan_diagnoses(binder, ctes, generator, plan);
  for (const MergeAction& action : merge.actions) {
    if (action.change != nullptr) {
      plan_diagnoses(binder, *action.change, generator, plan);
    }
  }
  plan.constants = generator.take_constants();
}

void plan_change(Binder& binder, Change change, Plan& plan) {
  finish_parameters(binder);
  plan.kind = change.kind == 'i'   ? PlanKind::kInsert
              : change.kind == 'u' ? PlanKind::kUpdate
                                   : PlanKind::kDelete;
  plan.tag = change.kind == 'i' ? "INSERT 0" : change.kind == 'u' ? "UPDATE" : "DELETE";
  plan.returns_rows = change.has_returning;
  plan.columns = output_columns(binder, change.returning);
  plan.needs_writer = true;
  plan.target = change.target->relation->oid;
  const std::vector<std::shared_ptr<Cte>> ctes = change.ctes;
  const bool several = changes_rows(ctes);
  Acted acted;
  plan_parts(binder, ctes, acted, plan);
  plan_actions(binder, change, acted, plan);
  std::vector<const Change*> parts = changes_of(ctes);
  parts.push_back(&change);
  refuse_meeting_actions(binder, parts);
  plan_guards(binder, acted, change.kind == 'd' && !several, plan);
  Generator generator(binder.parameters().size());
  const bool cascades_volatile = change.kind == 'd' && change.acts_on_itself && binder.is_volatile;
  // What its own cascades may take before it meets them would have to be found twice.
  const bool cascades_joined = change.kind == 'd' && change.acts_on_itself && joins_rows(change);
  if (several || cascades_volatile || cascades_joined || returns_more(change)) {
    if (change.has_upsert) {
      refuse_prior_values(binder, change, {plan.changed_tables.begin(), plan.changed_tables.end()});
    }
    StagedPlan staged(binder, generator, plan);
    staged.compute_read(ctes);
    staged.answer(change);
    staged.finish();
    plan_diagnoses(binder, change, generator, plan);
    plan_diagnoses(binder, ctes, generator, plan);
  } else {
    compute_prior_values(binder, change, generator, plan);
    plan.sql = generator.change(change);
    plan_prior_rows(change, generator, plan);
    plan_diagnoses(binder, change, generator, plan);
    plan_source(binder, change, generator, plan);
  }
  plan.constants = generator.take_constants();
}

}  // namespace bop::sql
