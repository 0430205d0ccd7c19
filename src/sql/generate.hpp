// The typed tree becomes SQL of SQLite.
//
// Names in that SQL: range entries are r<id> (unique in the statement, so that no scope can hide another),
// CTEs w<id>, output columns of subqueries o1, o2..., tables and columns as the catalog names them (t<oid>,
// c<number>). Every ORDER BY says where NULLs go, every comparison of a type whose order is not that of bytes
// says its collation.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sql/query.hpp"
#include "sql/types/value.hpp"

namespace bop::sql {

class Generator {
 public:
  // `parameters`: ?1 to ?parameters are the statement's; constants follow. `literals`: all constants stand in
  // the text (SQL that is stored, such as index expressions).
  explicit Generator(std::size_t parameters, bool literals = false)
      : parameters_(parameters), literals_(literals) {}

  [[nodiscard]] std::string with(const std::vector<std::shared_ptr<Cte>>& ctes);
  [[nodiscard]] std::string query(const Query& q);
  [[nodiscard]] std::string change(Change& c);
  // Text with bop_rows in the place of one of its subqueries (fed_rows.hpp).
  [[nodiscard]] std::string fed(const RangeEntry& subquery, const std::function<std::string()>& text);
  // A change whose rows are those; of a DELETE they are rowids.
  [[nodiscard]] std::string fed_change(Change& c, const RangeEntry& subquery);
  // The rows that a DELETE is about to delete, as its RETURNING answers them.
  [[nodiscard]] std::string deleted_rows(Change& c);
  [[nodiscard]] std::string expression(const Expr& e);
  [[nodiscard]] std::string record(const Expr& e);
  // The same with COLLATE where the type needs it and the text would not imply it.
  [[nodiscard]] std::string collated(const Expr& e);
  // The same as a key of an index, where SQLite takes a string for the name of a column.
  [[nodiscard]] std::string index_key(const Expr& e);
  // What is tested for being true: SQLite computes no more of it than it needs. (Elsewhere AND and OR compute
  // both sides.)
  [[nodiscard]] std::string condition(const Expr& e);
  [[nodiscard]] std::string row_check(Change& c);
  // What an INSERT stores, without its WITH.
  [[nodiscard]] std::string inserted_rows(const Change& c);
  [[nodiscard]] std::string from_list(const std::vector<std::unique_ptr<FromNode>>& from);
  [[nodiscard]] std::string bind_constant(OwnedValue value);
  // The number of a parameter that the session binds.
  [[nodiscard]] int reserve_parameter();
  [[nodiscard]] std::vector<OwnedValue> take_constants() { return std::move(constants_); }
  // Query text that finds which row of an INSERT or UPDATE is in conflict with a unique index; empty if
  // unknown.
  [[nodiscard]] std::string key_diagnosis(const Change& c, const Relation& table, const Index& index);

 private:
  [[nodiscard]] std::string once(const Query& q);
  [[nodiscard]] std::string body(const Query& q);
  [[nodiscard]] std::string tied_rows(const Query& q);
  [[nodiscard]] std::string select(const Query& q);
  [[nodiscard]] std::string target(const Query& q, std::size_t i);
  // FROM, WHERE, GROUP BY and HAVING. Parts of the query may be columns of what this makes of them: it is
  // asked before anything else of the query is written, which is done while the answer lives.
  struct Rows;
  [[nodiscard]] Rows rows_of(const Query& q);
  [[nodiscard]] std::string grouping(const Query& q);
  // generate_grouping.cpp
  struct Replaced;
  [[nodiscard]] Rows grouping_sets(const Query& q);
  // The rows of a query whose columns call functions that change rows: there before the first call.
  [[nodiscard]] Rows rows_first(const Query& q);
  [[nodiscard]] std::string grouping_leg(const Query& q, const std::vector<std::size_t>& set,
                                         const std::vector<const Expr*>& computed, int id);
  [[nodiscard]] std::optional<std::string> replaced(const Expr& e) const;
  // generate_frame.cpp: a window function whose frame SQLite cannot say.
  [[nodiscard]] std::string framed(const Expr& e);
  [[nodiscard]] std::string distinct_on(const Query& q);
  [[nodiscard]] std::string values(const Query& q, bool named);
  [[nodiscard]] std::string set_operation(const Query& q);
  [[nodiscard]] std::string leg(const Query& q, bool left);
  [[nodiscard]] std::string from_node(const FromNode& node);
  // generate_recursion.cpp
  [[nodiscard]] std::string recursion(const Cte& cte);
  [[nodiscard]] bool is_stepping(const Cte& cte) const;
  // generate_lateral.cpp
  [[nodiscard]] std::string in_parentheses(const FromNode& node);
  [[nodiscard]] std::string lateral(const RangeEntry& e);
  [[nodiscard]] std::string sampled(const RangeEntry& e);
  [[nodiscard]] std::string entry(const RangeEntry& e);
  [[nodiscard]] std::string file(const RangeEntry& e);
  [[nodiscard]] std::string order(const std::vector<SortKey>& keys, const std::vector<Target>* targets);
  [[nodiscard]] std::string limit(const Query& q);
  [[nodiscard]] std::string open_expression(const Expr& e);
  [[nodiscard]] std::string logic(const Expr& e);
  [[nodiscard]] std::string equality(const Expr& e);
  [[nodiscard]] std::string call(const Expr& e);
  [[nodiscard]] std::string aggregate(const Expr& e);
  [[nodiscard]] std::string window(const Window& w);
  [[nodiscard]] std::string scalar_subquery(const Expr& e);
  [[nodiscard]] std::string quantified(const Expr& e);
  [[nodiscard]] std::string constant(const Expr& e);
  [[nodiscard]] std::string list(const std::vector<ExprRef>& args);
  void write_generated(const Change& c);
  [[nodiscard]] std::string insert(Change& c);
  [[nodiscard]] std::string update(Change& c);
  [[nodiscard]] std::string remove(Change& c);
  [[nodiscard]] std::string returning(const Change& c);
  [[nodiscard]] std::string assignments(Change& c, const std::vector<Assignment>& set);

  std::size_t parameters_;
  bool literals_;
  bool alone_ = false;  // what is being written is all that its query reads
  std::vector<OwnedValue> constants_;
  const RangeEntry* fed_ = nullptr;
  std::vector<const Replaced*> replaced_;  // the innermost query last
  std::vector<const Cte*> stepping_;  // whose recursive term is being written, over packed working tables
  int next_group_ = 1;
  int depth_ = 1;  // of the query being written
};

// What stands for parts of a query: columns of another one that has computed them.
struct Generator::Replaced {
  std::vector<std::pair<const Expr*, std::string>> parts;
  const Query* grouped = nullptr;  // of whose keys `mask` has a bit each, set where the row's set lacks it
  std::string mask;
};

struct Generator::Rows {
  std::string text;
  std::unique_ptr<Replaced> replaced;
  std::vector<const Replaced*>* place = nullptr;

  Rows() = default;
  explicit Rows(std::string t) : text(std::move(t)) {}
  Rows(Rows&& other) noexcept
      : text(std::move(other.text)),
        replaced(std::move(other.replaced)),
        place(std::exchange(other.place, nullptr)) {}
  Rows& operator=(Rows&&) = delete;
  Rows(const Rows&) = delete;
  Rows& operator=(const Rows&) = delete;
  ~Rows() {
    if (place != nullptr) place->pop_back();
  }
};

// generate_lateral.cpp: columns that bop_pack and bop_unpack take.
inline constexpr std::size_t kMaxPackedColumns = 100;
// generate_recursion.cpp: what SQLite's recursion cannot do in a recursive term; empty: nothing.
[[nodiscard]] std::string_view beyond_sqlite(const Query& term, const Cte& cte, bool all);
// generate_frame.cpp: whether the window has a frame that SQLite cannot say, and whether the function looks
// at it.
[[nodiscard]] bool is_framed(const Window& w);
[[nodiscard]] bool sees_frame(const Expr& e);

}  // namespace bop::sql
