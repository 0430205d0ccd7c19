// The typed tree: what the binder makes of a statement and the generator turns into SQL of SQLite.
//
// Every name is resolved, every expression has its type, every implicit cast stands as a node. Nodes are
// shared within one statement (an ORDER BY that names an output column is that column's expression) and used
// by one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/ids.hpp"
#include "sql/catalog/catalog.hpp"
#include "sql/types/value.hpp"

namespace bop {
struct Kernel;
}

namespace bop::sql {

struct Expr;
struct Query;
struct FileTable;  // sql/file_table.hpp
struct RangeEntry;
using ExprRef = std::shared_ptr<Expr>;
using QueryRef = std::shared_ptr<Query>;
using RangeRef = std::shared_ptr<RangeEntry>;

enum class ExprKind : std::uint8_t {
  kConst,      // value
  kUnknown,    // a quoted literal whose type is not known yet: text
  kParam,      // number
  kColumn,     // entry, number = index into its columns
  kCall,       // kernel(args)
  kAggregate,  // kernel(args), distinct, order, filter, star; the first `direct` args are those before WITHIN
               // GROUP
  kGrouping,   // args are keys of the query of `depth`: a bit each, set where the row's grouping set lacks it
  kWindow,     // kernel or window_name (args) over window
  kCast,       // args[0] from `cast_from` to type and typmod, explicit_cast
  kPadded,     // args[0], a char(n) or an array of them, made text with the blanks of the modifier `number`
  kAnd,
  kOr,
  kNot,
  kIsNull,
  kIsNotNull,
  kIsTrue,
  kIsNotTrue,
  kIsFalse,
  kIsNotFalse,
  kCase,  // args: when, then, when, then..., else (NULL constant when absent)
  kCoalesce,
  kNullIf,  // args: value, value = other (a boolean)
  kGreatest,
  kLeast,
  kIsDistinct,
  kIsNotDistinct,  // args: a, b of one type
  kRow,            // args, names
  kField,          // the field `number` of args[0], a record
  kArray,          // ARRAY[...] of elements; kArrayNested of arrays
  kArrayNested,
  kInList,      // args[0] IN (args[1]...); negated
  kInSubquery,  // args IN (query); negated. Rows: several args
  kAnyArray,
  kAllArray,  // text = operator, args: scalar, array
  kScalarSubquery,
  kExists,
  kArraySubquery,
  kQuantifiedSubquery,  // args[0] is the comparison with args... ; query; all
  kSubscript,           // args[0] array, then indexes
  kSlice,  // args[0] array, then lower, upper, lower, upper...; a null pointer is a missing bound
  kSetToDefault,
  kNamedArgument,  // text: its name, args[0]; only until its call is bound
};

struct SortKey {
  ExprRef expr;
  bool descending = false;
  bool nulls_first = false;
};

struct Window {
  std::vector<ExprRef> partition;
  std::vector<SortKey> order;
  int frame_options = 0;  // FRAMEOPTION_* of PostgreSQL
  ExprRef start, end;
};

struct Expr {
  ExprKind kind = ExprKind::kConst;
  Oid type = 0;
  std::int32_t typmod = -1;
  int location = -1;
  std::vector<ExprRef> args;
  OwnedValue value;
  std::string text;
  int number = 0;
  RangeRef entry;
  const Kernel* kernel = nullptr;
  std::vector<Oid> arg_types;   // of a `typed` kernel: the actual types
  bool variadic_array = false;  // the call says VARIADIC
  bool negated = false, all = false, distinct = false, star = false, explicit_cast = false;
  int depth = 0;       // of kAggregate and kGrouping: depth of the query whose rows it sums up
  bool outer = false;  // of the same: that is not the query in which it stands
  bool within_group = false;
  bool writes = false;  // kCall of a function that may change rows
  std::size_t direct = 0;
  Oid cast_from = 0;
  std::vector<std::string> names;  // of the fields of kRow; empty: f1, f2...
  bool absent_if_null =
      false;  // kRow of the null-supplying side of an outer join: NULL if all its fields are
  std::vector<SortKey> order;
  ExprRef filter;
  std::shared_ptr<Window> window;
  QueryRef query;
  const void* source =
      nullptr;  // of a subquery that is a value: its node in the parse tree, while that is bound
};

struct RangeColumn {
  std::string name;
  Oid type = 0;
  std::int32_t typmod = -1;
  Oid table = 0;
  std::int16_t attribute = 0;
  std::int32_t value_typmod = -1;  // of char(n) without typmod: how long its values are (char_length.hpp)
  bool not_null = false;
  std::string sql;                       // its name in SQLite
  std::vector<RangeColumn> fields = {};  // of a record, where they are known: names and types
};

struct Change;

// TABLESAMPLE: of each row (BERNOULLI) or of each block of rows (SYSTEM) chance decides.
struct Sample {
  bool system = false;
  ExprRef percent, seed;  // seed: null where REPEATABLE is not said
};

struct Cte {
  std::string name;
  int id = 0;  // w<id> in SQLite
  std::vector<RangeColumn> columns;
  QueryRef query;
  bool recursive = false;
  int materialized = 0;  // 1 yes, -1 no
  int references = 0;    // its own recursive one included
  // A data-modifying statement; `query` has the types of its RETURNING then.
  std::shared_ptr<Change> change;
  std::string stored;  // the temporary table that has its rows (staged.hpp)
};

enum class RangeKind : std::uint8_t { kTable, kSubquery, kCte, kFunction, kExcluded, kStored, kFile };

struct RangeEntry {
  RangeKind kind = RangeKind::kTable;
  int id = 0;     // r<id> in SQLite
  int depth = 0;  // of the query that it stands in; 1 = outermost
  std::string alias;
  std::vector<RangeColumn> columns;
  std::shared_ptr<const Relation> relation;
  QueryRef query;
  std::shared_ptr<Cte> cte;
  ExprRef function;
  std::shared_ptr<const FileTable> file;
  std::shared_ptr<Sample> sample;  // of a table
  bool nullable = false;           // on the null-supplying side of an outer join
  bool lateral = false;            // a subquery that refers to items of FROM before it
  bool merged =
      false;          // of a view: its columns are written as the expressions of its query (view_target.hpp)
  bool bare = false;  // columns are written without r<id>. (RETURNING, index expressions)
  // Its columns are read with the rights of a role (0: the user): each that is named is noted in
  // Binder::uses.
  std::optional<Oid> read_by = std::nullopt;
};

enum class JoinKind : std::uint8_t { kInner, kLeft, kRight, kFull };

// A leaf (entry) or a join.
struct FromNode {
  RangeRef entry;
  JoinKind join = JoinKind::kInner;
  std::unique_ptr<FromNode> left, right;
  ExprRef on;  // null: cross join
};

struct Target {
  std::string name;
  ExprRef expr;
  Oid table = 0;
  std::int16_t attribute = 0;
};

enum class QueryKind : std::uint8_t { kSelect, kValues, kSetOperation };
enum class SetOperation : std::uint8_t { kUnion, kIntersect, kExcept };

struct Query {
  QueryKind kind = QueryKind::kSelect;
  int depth = 1;
  std::vector<std::shared_ptr<Cte>> ctes;
  std::vector<Target>
      targets;  // of kValues and kSetOperation: names and types (expr of the first row or left side)
  std::vector<std::unique_ptr<FromNode>> from;
  ExprRef where;
  std::vector<ExprRef> group_by;
  // GROUPING SETS, ROLLUP, CUBE: for each set its keys, as places in group_by. Empty: one set of all keys.
  std::vector<std::vector<std::size_t>> grouping_sets;
  bool grouped_by = false;  // GROUP BY is there, be it of no expression
  bool grouped = false;     // GROUP BY, HAVING or an aggregate
  ExprRef having;
  bool distinct = false;
  std::vector<ExprRef> distinct_on;
  std::vector<SortKey> order_by;
  ExprRef limit, offset;
  bool with_ties = false;
  std::vector<std::vector<ExprRef>> rows;  // kValues
  SetOperation operation = SetOperation::kUnion;
  bool all = false;
  QueryRef left, right;
  RangeRef output;  // kValues, kSetOperation: what ORDER BY refers to
};

struct Assignment {
  const Column* column = nullptr;
  ExprRef expr;
};

struct Upsert {
  bool nothing = true;
  bool any_target = true;  // ON CONFLICT DO NOTHING without target
  std::vector<ExprRef> target;
  bool equal_nulls = false;  // of an index NULLS NOT DISTINCT
  ExprRef target_where;
  std::vector<Assignment> set;
  ExprRef where;
  RangeRef excluded;
};

struct ViewTarget;  // view_target.hpp

// INSERT, UPDATE, DELETE.
struct Change {
  char kind = 'i';  // i u d
  std::vector<std::shared_ptr<Cte>> ctes;
  RangeRef target;
  std::vector<const Column*> insert_columns;
  QueryRef source;              // of INSERT: one target a column of insert_columns
  std::vector<Assignment> set;  // of UPDATE
  std::vector<std::unique_ptr<FromNode>> from;
  ExprRef where;
  bool has_upsert = false;
  Upsert upsert;
  std::vector<Target> returning;
  bool has_returning = false;
  struct Check {
    std::string name;
    ExprRef expr;  // over `new_row`
    // WITH CHECK OPTION of the view `name`: NULL is not enough, and a constraint that is violated is told
    // first.
    bool option = false;
  };
  // The tables whose rows the statement changes: its own and those that actions of foreign keys reach.
  std::set<Oid> changed_tables;
  bool acts_on_itself = false;  // actions of foreign keys come back to the table
  RangeRef new_row;             // columns n<num>: the row as it will be stored
  std::vector<Check> checks;
  // The generated columns of the table: SQLite stores them, what looks at a row before that computes them.
  std::vector<Assignment> generated;  // over `generated_from`
  RangeRef generated_from;            // `new_row` if there is one
  RangeRef checked_row;               // the row as the check options of views see it
  // Of a statement of several steps (staged.hpp): the temporary table of its rows, and the columns of FROM
  // that are kept there for RETURNING.
  RangeRef stage;
  std::vector<ExprRef> shown;
  std::shared_ptr<ViewTarget> view;  // by which the table is changed
};

// What a column of a merged entry is written as.
[[nodiscard]] const ExprRef& merged_column(const Expr& e);

struct MergeAction {
  bool matched = false;
  char kind = 'n';  // i u d, n nothing
  ExprRef condition;
  std::unique_ptr<Change> change;
};

struct Merge {
  std::vector<std::shared_ptr<Cte>> ctes;
  RangeRef target;
  std::vector<std::unique_ptr<FromNode>> source;  // one
  ExprRef on;
  std::vector<MergeAction> actions;
};

// An INSERT of exactly one row.
[[nodiscard]] inline bool is_one_row(const Change& c) {
  return c.kind == 'i' && c.source->kind == QueryKind::kValues && c.source->rows.size() == 1;
}

[[nodiscard]] inline ExprRef make_expr(ExprKind kind, Oid type, std::vector<ExprRef> args = {},
                                       int location = -1) {
  auto e = std::make_shared<Expr>();
  e->kind = kind;
  e->type = type;
  e->args = std::move(args);
  e->location = location;
  return e;
}

// Structural equality: the same value for the same row.
[[nodiscard]] bool same_expr(const Expr& a, const Expr& b);

// Calls `enter` for an expression and all below it, subqueries included (their CTEs, FROM and clauses);
// where it answers false, what is below is left out.
using Visitor = std::function<bool(const Expr&)>;
void visit(const Expr& e, const Visitor& enter);
void visit(const Query& query, const Visitor& enter);

// Whether the value can differ between rows of the queries of `depth` and, with `or_above`, of those around
// it.
[[nodiscard]] bool uses_rows(const Expr& e, int depth, bool or_above = false);
}  // namespace bop::sql
