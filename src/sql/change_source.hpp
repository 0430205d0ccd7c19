// What another executor may compute of a change: which rows it meets, and what they get.
//
// INSERT ... SELECT, and UPDATE, DELETE and MERGE that join or ask subqueries, have two texts for SQLite: one
// that finds its rows by itself, and one that takes them from bop_rows (fed_rows.hpp). Those are the answer
// of a query, the source, which has been read to its end before the first row is changed: the rowid of each
// row of the target that is met, and what the new values need.
//
//   UPDATE t SET a = s.n + 1, b = (SELECT max(x) FROM u WHERE u.k = t.k) FROM s WHERE t.k = s.k
//   source:  SELECT t.rowid, (SELECT max(x) FROM u WHERE u.k = t.k), s.n FROM t, s WHERE t.k = s.k
//   stored:  UPDATE t SET a = r.o3 + 1, b = r.o2 FROM bop_rows AS r(o1, o2, o3) WHERE t.rowid = r.o1
//
// A value that has a subquery comes from the source as a whole: what its branches do not compute must not
// fail. Of all others only the columns of FROM come from there, so they may call what SQLite alone knows. A
// row that is met twice is in the source twice; SQLite changes it once.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "sql/plan.hpp"
#include "sql/query.hpp"

namespace bop::sql {

class Binder;
class Generator;

// Other names for the columns of an entry while this lives.
class Renamed {
 public:
  explicit Renamed(RangeEntry& entry) : entry_(entry), columns_(entry.columns), bare_(entry.bare) {
    entry.bare = true;
  }
  ~Renamed() {
    entry_.columns = std::move(columns_);
    entry_.bare = bare_;
  }
  Renamed(const Renamed&) = delete;
  Renamed& operator=(const Renamed&) = delete;

 private:
  RangeEntry& entry_;
  std::vector<RangeColumn> columns_;
  bool bare_;
};

// Each entry that has one of the columns, once.
[[nodiscard]] std::vector<std::unique_ptr<Renamed>> renamed(const std::vector<ExprRef>& columns);
[[nodiscard]] std::string collated_column(std::string text, Oid type);
// Adds the columns of `entries` that an expression reads.
void add_columns(const Expr& e, const std::set<const RangeEntry*>& entries, std::vector<ExprRef>& out);
[[nodiscard]] std::unique_ptr<FromNode> leaf(RangeRef entry);
[[nodiscard]] std::vector<std::unique_ptr<FromNode>> from_one(const RangeRef& entry);
// The rowid of a changed table, which becomes a column of its entry.
[[nodiscard]] ExprRef rowid_of(const Binder& binder, const RangeRef& target);
// Those of WITH that change nothing.
[[nodiscard]] std::vector<std::shared_ptr<Cte>> plain_ctes(const std::vector<std::shared_ptr<Cte>>& ctes);
// Whether other executors are asked at all: the change looks up more than its own rows.
[[nodiscard]] bool joins_rows(const Change& change);

// The query as a plan that the session routes; null if it is not worth it, or reads what only SQLite has.
[[nodiscard]] std::shared_ptr<const Plan> source_plan(const Plan& plan, std::shared_ptr<const Query> query,
                                                      Generator& generator);

// Of UPDATE and DELETE, whose own text has been made. While it lives, what the values of SET and `shown` read
// of FROM, and those that have a subquery, are written as columns of bop_rows.
class ChangeSource {
 public:
  // Takes FROM from the change, whose WHERE is that the row is the one of bop_rows then. `shown`: columns of
  // FROM that are needed besides.
  ChangeSource(Binder& binder, Generator& generator, const Plan& plan, Change& change,
               const std::vector<ExprRef>& shown);

  std::shared_ptr<const Plan> plan;  // null: SQLite's
  RangeRef rows;                     // o1: the rowid

 private:
  std::vector<std::unique_ptr<Renamed>> renamed_;
};

// Of INSERT ... SELECT: its rows, whose query has the statement's WITH from then on. Null: they are others.
[[nodiscard]] RangeRef selected_rows(const Change& change);

// Plan::source and Plan::fed_sql of a change that is one statement of SQLite and has its diagnoses.
void plan_source(Binder& binder, Change& change, Generator& generator, Plan& plan);

}  // namespace bop::sql
