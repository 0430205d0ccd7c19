// Statements that change rows and are not one statement of SQLite: those with data-modifying statements in
// WITH, MERGE, and those whose RETURNING shows what SQLite's cannot.
//
// PostgreSQL runs all parts of a statement over one snapshot: no part sees what another one changes. SQLite
// has no snapshot beside its own transaction, so such a statement is a list of steps (Plan::steps) in which
// nothing is changed before everything is computed:
//
//   compute  the rows of each part go to a temporary table, its stage: what INSERT stores, the rowids and new
//            values of UPDATE, the rowids of DELETE, and what RETURNING needs of FROM; then what RETURNING
//            answers goes to a second stage, where the other parts find it
//            (MERGE has one stage of the joined rows before, which says which action each of them meets)
//   answer   the rows of the statement itself
//   store    the rows of each stage
//
// in this order of parts: those that somebody reads, as WITH has them; the statement itself; those that
// nobody reads. A row that two parts would change is changed by the first only.
//
// What an INSERT ... ON CONFLICT answers is known only when it has stored its rows. If somebody reads it, it
// stores them twice: for a trial that is taken back, and in its turn.
//
// Stages are tables of the connection's temporary database, which is not logged; they are emptied before and
// behind use.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "sql/change_source.hpp"
#include "sql/plan.hpp"
#include "sql/query.hpp"

namespace bop::sql {

class Binder;
class Generator;

class StagedPlan {
 public:
  StagedPlan(Binder& binder, Generator& generator, Plan& plan)
      : binder_(binder), generator_(generator), plan_(plan) {}
  ~StagedPlan();
  StagedPlan(const StagedPlan&) = delete;
  StagedPlan& operator=(const StagedPlan&) = delete;

  // The parts of WITH that somebody reads; before the statement itself.
  void compute_read(const std::vector<std::shared_ptr<Cte>>& ctes);
  void answer(const Query& query);
  void answer(Change& change);
  void answer(Merge& merge);
  // The other parts, and all that is stored. Ends the plan.
  void finish();

 private:
  struct Stage {
    std::string table;
    RangeRef entry;
  };
  struct Part {
    Change* change = nullptr;
    bool answers = false;  // the statement itself
  };

  [[nodiscard]] Stage make_stage(std::size_t columns, bool keyed);
  void compute(Change& change, Cte* cte, bool counts);
  void compute_insert(Change& change, bool counts);
  void compute_rows(Change& change, bool counts);
  void return_rows(Change& change, Cte* cte);
  [[nodiscard]] ExprRef is_row(const Change& change, ExprRef number);
  void try_upsert(Change& change, Cte& cte);
  void store(Change& change, bool answers);
  // Fills a stage with the rows of a MERGE: o1 the target's rowid, o2 the number of the action, then what the
  // actions read of the source. From then on the source's columns are those of the stage.
  [[nodiscard]] Stage compute_joined(Merge& merge);
  [[nodiscard]] std::string except_changed(const Change& change) const;

  Binder& binder_;
  Generator& generator_;
  Plan& plan_;
  std::vector<std::shared_ptr<Cte>> read_;  // all of WITH
  std::vector<std::shared_ptr<Cte>> unread_;
  std::vector<Part> parts_;
  std::vector<PlanStep> before_, compute_, store_, after_;
  std::vector<std::pair<Oid, std::string>> changed_;  // table, stage of the rows that a part changes
  std::vector<std::unique_ptr<Renamed>> renamed_;     // the source of a MERGE
  int stages_ = 0;
};

}  // namespace bop::sql
