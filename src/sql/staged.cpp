#include "sql/staged.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "sql/binder.hpp"
#include "sql/change_source.hpp"
#include "sql/fed_rows.hpp"
#include "sql/generate.hpp"
#include "sql/tree_search.hpp"

namespace bop::sql {

namespace {

std::string stage_columns(std::size_t count, std::size_t first = 1) {
  std::string out;
  for (std::size_t i = first; i <= count; ++i) {
    out += fmt::format("{}o{}", out.empty() ? "" : ", ", i);
  }
  return out;
}

// The columns of FROM that RETURNING shows, in the order of their places in the stage.
std::vector<ExprRef> shown_columns(const Change& change) {
  const std::set<const RangeEntry*> others = entries_of(change.from);
  std::vector<ExprRef> out;
  for (const Target& target : change.returning) {
    add_columns(*target.expr, others, out);
  }
  return out;
}

// The number of the action that a row of a MERGE meets, of those for rows that are `matched` or not.
ExprRef chosen_action(const Binder& binder, const Merge& merge, bool matched) {
  ExprRef choice = make_expr(ExprKind::kCase, types::kInt4);
  ExprRef otherwise = binder.null_constant(types::kInt4);
  for (std::size_t i = 0; i < merge.actions.size(); ++i) {
    const MergeAction& action = merge.actions[i];
    if (action.matched != matched) {
      continue;
    }
    ExprRef number = action.kind == 'n'
                         ? binder.null_constant(types::kInt4)
                         : binder.constant(types::kInt4, OwnedValue::of_int(static_cast<std::int64_t>(i)));
    if (action.condition == nullptr) {  // the last one
      otherwise = std::move(number);
      break;
    }
    choice->args.push_back(action.condition);
    choice->args.push_back(std::move(number));
  }
  if (choice->args.empty()) {
    return otherwise;
  }
  choice->args.push_back(std::move(otherwise));
  return choice;
}

// The rows of a MERGE that meet an action: the target's rowid, the action, what the actions read. Takes the
// source from it.
std::shared_ptr<const Query> joined_rows(const Binder& binder, Merge& merge,
                                         const std::vector<ExprRef>& shown) {
  auto query = std::make_shared<Query>();
  query->ctes = plain_ctes(merge.ctes);
  const ExprRef row = rowid_of(binder, merge.target);
  const bool inserts =
      std::ranges::any_of(merge.actions, [](const MergeAction& action) { return !action.matched; });
  ExprRef action = chosen_action(binder, merge, true);
  if (inserts) {
    ExprRef is_matched = make_expr(ExprKind::kIsNotNull, types::kBool, {row});
    action = make_expr(ExprKind::kCase, types::kInt4,
                       {std::move(is_matched), std::move(action), chosen_action(binder, merge, false)});
  }
  query->where = make_expr(ExprKind::kIsNotNull, types::kBool, {action});
  query->targets.push_back({.name = "row", .expr = row});
  query->targets.push_back({.name = "action", .expr = std::move(action)});
  for (const ExprRef& column : shown) {
    query->targets.push_back({.name = "", .expr = column});
  }
  auto join = std::make_unique<FromNode>();
  join->join = inserts ? JoinKind::kLeft : JoinKind::kInner;
  join->left = std::move(merge.source.front());
  join->right = leaf(merge.target);
  join->on = merge.on;
  query->from.push_back(std::move(join));
  merge.source.clear();
  return query;
}

}  // namespace

StagedPlan::Stage StagedPlan::make_stage(std::size_t columns, bool keyed) {
  Stage stage{.table = fmt::format("bop_stage_{}_{}{}", stages_++, columns, keyed ? "_keyed" : ""),
              .entry = binder_.new_entry(RangeKind::kStored, "", 1)};
  stage.entry->alias = stage.table;
  std::string definition = fmt::format("CREATE TEMP TABLE IF NOT EXISTS {}(o0{}", stage.table,
                                       keyed ? " INTEGER PRIMARY KEY" : "");
  if (columns > 0) {
    definition += ", " + stage_columns(columns);
  }
  before_.push_back({.sql = definition + ")", .kind = PlanStep::Kind::kCommand});
  before_.push_back({.sql = "DELETE FROM temp." + stage.table, .kind = PlanStep::Kind::kCommand});
  after_.push_back({.sql = "DELETE FROM temp." + stage.table, .kind = PlanStep::Kind::kCommand});
  return stage;
}

// A change behind WITH knows all of them while its text is made, itself too: a circle that keeps itself.
StagedPlan::~StagedPlan() {
  for (const auto& cte : read_) {
    if (cte->change != nullptr) {
      cte->change->ctes.clear();
    }
  }
}

void StagedPlan::compute_read(const std::vector<std::shared_ptr<Cte>>& ctes) {
  read_.insert(read_.end(), ctes.begin(), ctes.end());
  for (const auto& cte : ctes) {
    if (cte->change == nullptr) {
      if (cte->recursive || !is_volatile(*cte->query)) {
        continue;  // it is the same at each place that reads it
      }
      const Stage stage = make_stage(cte->columns.size(), false);
      compute_.push_back(
          {.sql = fmt::format("{}INSERT INTO temp.{}({}) {}", generator_.with(ctes), stage.table,
                              stage_columns(cte->columns.size()), generator_.query(*cte->query)),
           .label = "CTE " + cte->name});
      cte->stored = stage.table;
      continue;
    }
    // Its own WITH stands behind those of the statement.
    cte->change->ctes.insert(cte->change->ctes.begin(), ctes.begin(), ctes.end());
    if (cte->references == 0) {
      unread_.push_back(cte);
      continue;
    }
    compute(*cte->change, cte.get(), false);
    parts_.push_back({.change = cte->change.get()});
  }
}

void StagedPlan::answer(const Query& query) {
  compute_.push_back({.sql = generator_.query(query), .kind = PlanStep::Kind::kAnswer, .label = "Rows"});
}

void StagedPlan::answer(Change& change) {
  compute(change, nullptr, true);
  parts_.push_back({.change = &change, .answers = true});
}

// That the rowid of the changed table is `number`.
ExprRef StagedPlan::is_row(const Change& change, ExprRef number) {
  auto row = binder_.new_entry(RangeKind::kTable, "", 1);
  row->id = change.target->id;
  row->columns.push_back({.name = "rowid", .type = types::kInt8, .not_null = true, .sql = "rowid"});
  return binder_.make_operator("=", binder_.column_of(row, 0), std::move(number), -1);
}

StagedPlan::Stage StagedPlan::compute_joined(Merge& merge) {
  const std::set<const RangeEntry*> source = entries_of(merge.source);
  std::vector<ExprRef> shown;  // what the actions read of the source
  for (const MergeAction& action : merge.actions) {
    if (action.change == nullptr) {
      continue;
    }
    for (const Assignment& a : action.change->set) {
      add_columns(*a.expr, source, shown);
    }
    if (action.change->source != nullptr) {
      for (const ExprRef& value : action.change->source->rows.front()) {
        add_columns(*value, source, shown);
      }
    }
  }
  Stage stage = make_stage(shown.size() + 2, false);
  std::string choices[2];  // of NOT MATCHED, of MATCHED
  std::string changing;
  for (std::size_t i = 0; i < merge.actions.size(); ++i) {
    const MergeAction& action = merge.actions[i];
    choices[action.matched ? 1 : 0] += fmt::format(
        " WHEN {} THEN {}", action.condition == nullptr ? "1" : generator_.condition(*action.condition),
        action.kind == 'n' ? "NULL" : std::to_string(i));
    if (action.kind == 'u' || action.kind == 'd') {
      changing += fmt::format("{}{}", changing.empty() ? "" : ", ", i);
    }
  }
  const auto choice = [](const std::string& cases) {
    return cases.empty() ? "NULL" : "CASE" + cases + " END";
  };
  std::string values;
  for (std::size_t i = 0; i < shown.size(); ++i) {
    values += fmt::format(", {} AS o{}", generator_.expression(*shown[i]), i + 3);
  }
  const std::string row = fmt::format("r{}", merge.target->id);
  const std::string into =
      fmt::format("INSERT INTO temp.{}({}) ", stage.table, stage_columns(shown.size() + 2));
  // LIMIT keeps SQLite from computing the conditions twice.
  compute_.push_back(
      {.sql = fmt::format(
           "{}{}SELECT * FROM (SELECT {}.rowid AS o1, CASE WHEN {}.rowid IS NOT NULL THEN {} ELSE {} END AS "
           "o2{} FROM {} {} {} AS {} ON {} WHERE bop_go_on() LIMIT -1) WHERE o2 IS NOT NULL",
           generator_.with(merge.ctes), into, row, row, choice(choices[1]), choice(choices[0]), values,
           generator_.from_list(merge.source), choices[0].empty() ? "JOIN" : "LEFT JOIN",
           table_name(merge.target->relation->oid), row, generator_.condition(*merge.on)),
       .label = "Source and Target"});
  compute_.back().source = source_plan(plan_, joined_rows(binder_, merge, shown), generator_);
  if (compute_.back().source != nullptr) {
    compute_.back().fed_sql = into + fed_query(shown.size() + 2);
  }
  if (!changing.empty()) {
    compute_.push_back(
        {.sql = fmt::format("SELECT bop_merge_once() FROM temp.{} WHERE o2 IN ({}) GROUP BY o1 "
                            "HAVING count(*) > 1 LIMIT 1",
                            stage.table, changing),
         .label = "Check"});
  }
  stage.entry->columns.push_back({.name = "row", .type = types::kInt8, .sql = "o1"});
  stage.entry->columns.push_back({.name = "action", .type = types::kInt8, .sql = "o2"});
  renamed_ = renamed(shown);
  for (std::size_t i = 0; i < shown.size(); ++i) {
    RangeColumn& column = shown[i]->entry->columns[static_cast<std::size_t>(shown[i]->number)];
    column.sql = collated_column(fmt::format("r{}.o{}", stage.entry->id, i + 3), column.type);
  }
  return stage;
}

void StagedPlan::answer(Merge& merge) {
  const Stage joined = compute_joined(merge);
  for (std::size_t i = 0; i < merge.actions.size(); ++i) {
    MergeAction& action = merge.actions[i];
    if (action.change == nullptr) {
      continue;
    }
    Change& change = *action.change;
    change.ctes = merge.ctes;
    ExprRef number = binder_.constant(types::kInt8, OwnedValue::of_int(static_cast<std::int64_t>(i)));
    ExprRef met = binder_.make_operator("=", binder_.column_of(joined.entry, 1), std::move(number), -1);
    if (change.kind == 'i') {
      auto rows = std::make_shared<Query>();
      const std::vector<ExprRef>& values = change.source->rows.front();
      for (std::size_t k = 0; k < values.size(); ++k) {
        rows->targets.push_back({.name = change.insert_columns[k]->name, .expr = values[k]});
      }
      rows->from = from_one(joined.entry);
      rows->where = std::move(met);
      change.source = std::move(rows);
    } else {
      change.from = from_one(joined.entry);
      ExprRef row = is_row(change, binder_.column_of(joined.entry, 0));
      change.where = make_expr(ExprKind::kAnd, types::kBool, {std::move(row), std::move(met)});
    }
    compute(change, nullptr, true);
    parts_.push_back({.change = &change});
  }
}

void StagedPlan::finish() {
  for (const auto& cte : unread_) {
    compute(*cte->change, cte.get(), false);
    parts_.push_back({.change = cte->change.get()});
  }
  for (const Part& part : parts_) {
    store(*part.change, part.answers);
  }
  for (std::vector<PlanStep>* steps : {&before_, &compute_, &store_, &after_}) {
    std::ranges::move(*steps, std::back_inserter(plan_.steps));
  }
}

void StagedPlan::compute(Change& change, Cte* cte, bool counts) {
  const bool upsert = change.has_upsert;
  if (change.kind == 'i') {
    compute_insert(change, counts && !upsert);
  } else {
    compute_rows(change, counts);
  }
  const bool returns = change.has_returning && (cte == nullptr || cte->references > 0);
  if (!upsert && returns) {
    return_rows(change, cte);
  }
  if (change.kind != 'i') {  // from here on the rows are those of the stage
    change.from = from_one(change.stage);
    for (std::size_t i = 0; i < change.set.size(); ++i) {
      change.set[i].expr = binder_.column_of(change.stage, i + 1);
    }
    change.where = is_row(change, binder_.column_of(change.stage, 0));
    changed_.emplace_back(change.target->relation->oid, change.stage->alias);
  }
  if (upsert && returns && cte != nullptr) {
    try_upsert(change, *cte);
  }
}

void StagedPlan::compute_insert(Change& change, bool counts) {
  const std::size_t count = change.insert_columns.size();
  const Stage stage = make_stage(count, false);
  const std::string into =
      fmt::format("INSERT INTO temp.{}({}) ", stage.table, count == 0 ? "o0" : stage_columns(count));
  compute_.push_back({.sql = generator_.with(change.ctes) + into + generator_.inserted_rows(change),
                      .counts = counts,
                      .label = "Rows to Insert",
                      .relation = change.target->relation->name});
  if (const RangeRef selected = selected_rows(change); selected != nullptr) {
    PlanStep& step = compute_.back();
    step.source = source_plan(plan_, selected->query, generator_);
    if (step.source != nullptr)
      step.fed_sql = generator_.fed(*selected, [&] { return into + generator_.inserted_rows(change); });
  }
  auto rows = std::make_shared<Query>();
  for (const Column* column : change.insert_columns) {
    stage.entry->columns.push_back({.name = column->name,
                                    .type = column->type,
                                    .typmod = column->typmod,
                                    .sql = fmt::format("o{}", stage.entry->columns.size() + 1)});
  }
  for (std::size_t i = 0; i < count; ++i) {
    rows->targets.push_back(
        {.name = change.insert_columns[i]->name, .expr = binder_.column_of(stage.entry, i)});
  }
  rows->from = from_one(stage.entry);
  change.source = std::move(rows);
  change.stage = stage.entry;
}

std::string StagedPlan::except_changed(const Change& change) const {
  std::string out;
  for (const auto& [table, stage] : changed_) {
    if (table == change.target->relation->oid) {
      out += fmt::format(" AND r{}.rowid NOT IN (SELECT o0 FROM temp.{})", change.target->id, stage);
    }
  }
  return out;
}

void StagedPlan::compute_rows(Change& change, bool counts) {
  const std::vector<ExprRef> shown = shown_columns(change);
  const std::size_t count = change.set.size() + shown.size();
  const Stage stage = make_stage(count, true);
  std::string values;
  RangeEntry& entry = *stage.entry;
  const auto add = [&](const std::string& name, const Expr& e, Oid type, std::int32_t typmod) {
    values += ", " + generator_.expression(e);
    entry.columns.push_back(
        {.name = name, .type = type, .typmod = typmod, .sql = fmt::format("o{}", entry.columns.size())});
  };
  entry.columns.push_back({.name = "rowid", .type = types::kInt8, .not_null = true, .sql = "o0"});
  for (const Assignment& a : change.set) {
    add(a.column->name, *a.expr, a.column->type, a.column->typmod);
  }
  for (const ExprRef& e : shown) {
    add("", *e, e->type, e->typmod);
  }
  const std::string row = fmt::format("r{}", change.target->id);
  // The first of several rows of FROM that meet a row is the one that counts.
  const std::string into = fmt::format("INSERT OR IGNORE INTO temp.{}(o0{}{}) SELECT {}.rowid", stage.table,
                                       count == 0 ? "" : ", ", stage_columns(count), row);
  const auto from = [&] {
    std::string text = fmt::format(" FROM {} AS {}", table_name(change.target->relation->oid), row);
    if (!change.from.empty()) {
      text += " JOIN " + generator_.from_list(change.from);
    }
    text += " WHERE bop_go_on()";
    if (change.where != nullptr) {
      text += " AND " + generator_.condition(*change.where);
    }
    return text + except_changed(change);
  };
  compute_.push_back({.sql = generator_.with(change.ctes) + into + values + from(),
                      .counts = counts,
                      .label = change.kind == 'd' ? "Rows to Delete" : "Rows to Update",
                      .relation = change.target->relation->name});
  const ChangeSource source(binder_, generator_, plan_, change, shown);
  if (source.plan != nullptr) {
    PlanStep& step = compute_.back();
    step.source = source.plan;
    values.clear();
    for (const Assignment& a : change.set) {
      values += ", " + generator_.expression(*a.expr);
    }
    for (const ExprRef& e : shown) {
      values += ", " + generator_.expression(*e);
    }
    step.fed_sql = generator_.fed(*source.rows, [&] { return into + values + from(); });
  }
  change.stage = stage.entry;
  change.shown = shown;
}

// What RETURNING answers: over the rows as they will be, those of DELETE as they are.
void StagedPlan::return_rows(Change& change, Cte* cte) {
  RangeEntry& target = *change.target;
  const std::string row = fmt::format("r{}", target.id);
  const std::string stage_row = fmt::format("r{}", change.stage->id);
  const bool inserts = change.kind == 'i';
  const Renamed renamed(target);
  std::vector<std::unique_ptr<Renamed>> others;
  std::set<const RangeEntry*> seen;
  for (std::size_t i = 0; i < change.shown.size(); ++i) {
    RangeEntry& entry = *change.shown[i]->entry;
    if (seen.insert(&entry).second) {
      others.push_back(std::make_unique<Renamed>(entry));
    }
    RangeColumn& column = entry.columns[static_cast<std::size_t>(change.shown[i]->number)];
    column.sql = collated_column(fmt::format("{}.o{}", stage_row, change.set.size() + i + 1), column.type);
  }
  const auto place_of = [&](std::int16_t number) -> std::size_t {
    for (std::size_t i = 0; i < (inserts ? change.insert_columns.size() : change.set.size()); ++i) {
      const Column* column = inserts ? change.insert_columns[i] : change.set[i].column;
      if (column->number == number) {
        return i + 1;
      }
    }
    return 0;
  };
  std::vector<RangeEntry*> named{&target};
  std::unique_ptr<Renamed> generated;
  if (change.generated_from != nullptr) {
    generated = std::make_unique<Renamed>(*change.generated_from);
    named.push_back(change.generated_from.get());
  }
  for (RangeEntry* entry : named) {
    for (RangeColumn& column : entry->columns) {
      const std::size_t place = place_of(column.attribute);
      const std::string text = place != 0 ? fmt::format("{}.o{}", stage_row, place)
                               : inserts  ? std::string("NULL")
                                          : fmt::format("{}.{}", row, column_name(column.attribute));
      column.sql = collated_column(text, column.type);
    }
  }
  if (change.kind != 'd') {
    for (const Assignment& g : change.generated) {
      std::ranges::find(target.columns, g.column->number, &RangeColumn::attribute)->sql =
          collated_column("(" + generator_.expression(*g.expr) + ")", g.column->type);
    }
  }
  std::string values;
  for (const Target& answered : change.returning) {
    values += (values.empty() ? "" : ", ") + generator_.expression(*answered.expr);
  }
  std::string from = fmt::format(" FROM temp.{} AS {}", change.stage->alias, stage_row);
  if (!inserts) {
    from += fmt::format(" JOIN {} AS {} ON {}.rowid = {}.o0", table_name(target.relation->oid), row, row,
                        stage_row);
  }
  const std::string with = generator_.with(change.ctes);
  const std::string select =
      fmt::format("SELECT {}{} ORDER BY {}.rowid", values.empty() ? "NULL" : values, from, stage_row);
  if (cte == nullptr) {
    compute_.push_back({.sql = with + select, .kind = PlanStep::Kind::kAnswer, .label = "Returning"});
    return;
  }
  const std::size_t count = change.returning.size();
  const Stage answers = make_stage(count, false);
  compute_.push_back({.sql = fmt::format("{}INSERT INTO temp.{}({}) {}", with, answers.table,
                                         count == 0 ? "o0" : stage_columns(count), select),
                      .label = "CTE " + cte->name});
  cte->stored = answers.table;
}

void StagedPlan::try_upsert(Change& change, Cte& cte) {
  if (std::ranges::any_of(change.upsert.set, [](const Assignment& a) { return is_volatile(*a.expr); }) ||
      std::ranges::any_of(change.returning, [](const Target& t) { return is_volatile(*t.expr); })) {
    binder_.not_implemented(
        "a volatile function in an INSERT ... ON CONFLICT in WITH whose RETURNING is read");
  }
  const std::size_t count = change.returning.size();
  const Stage answers = make_stage(count, false);
  std::string values = count == 0 ? "NULL" : "";
  for (std::size_t i = 1; i <= count; ++i) {
    values += fmt::format("{}?{}", i == 1 ? "" : ", ", i);
  }
  compute_.push_back({.sql = generator_.change(change),
                      .into = fmt::format("INSERT INTO temp.{}({}) VALUES ({})", answers.table,
                                          count == 0 ? "o0" : stage_columns(count), values),
                      .into_columns = count,
                      .kind = PlanStep::Kind::kTrial,
                      .label = "CTE " + cte.name});
  cte.stored = answers.table;
}

void StagedPlan::store(Change& change, bool answers) {
  const bool returns =
      std::exchange(change.has_returning, answers && change.has_upsert && change.has_returning);
  store_.push_back({.sql = generator_.change(change),
                    .kind = change.has_returning ? PlanStep::Kind::kAnswer : PlanStep::Kind::kChange,
                    .counts = answers && change.has_upsert,
                    .label = change.kind == 'i'   ? "Insert"
                             : change.kind == 'u' ? "Update"
                                                  : "Delete",
                    .relation = change.target->relation->name});
  change.has_returning = returns;
}

}  // namespace bop::sql
