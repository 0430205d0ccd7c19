// What a bound statement is to a session: SQL of SQLite, the parameters it wants and the rows it answers.
//
// A Plan is immutable and belongs to one version of the catalog: it is thrown away when the session's catalog
// is another (compare `catalog`). Any number of sessions may share it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/ids.hpp"
#include "sql/catalog/catalog.hpp"
#include "sql/parse.hpp"
#include "sql/types/codec.hpp"
#include "sql/types/value.hpp"

struct sqlite3;
struct sqlite3_stmt;

namespace bop {
struct FunctionContext;
}

namespace bop::sql {

struct Query;

using bop::CodecContext;
using bop::OwnedValue;
using bop::ResultBatch;
using bop::Value;

struct OutputColumn {
  std::string name;
  Oid type = 0;
  std::int32_t typmod = -1;
  Oid table = 0;  // 0 unless the column is a plain column of a table
  std::int16_t attribute = 0;
  std::int32_t value_typmod = -1;  // of char(n) without typmod: how long its values are
  // What a client is told of a user's type: of a domain its base type; pg_type.typlen.
  Oid sent_type = 0;  // 0: `type`
  std::int32_t sent_typmod = -1;
  std::int16_t type_length = 0;  // 0: as the registry of types has it

  [[nodiscard]] Oid shown_type() const noexcept { return sent_type != 0 ? sent_type : type; }
  [[nodiscard]] std::int32_t shown_typmod() const noexcept { return sent_type != 0 ? sent_typmod : typmod; }
  // What the values are encoded with.
  [[nodiscard]] std::int32_t encoding_typmod() const noexcept { return typmod >= 0 ? typmod : value_typmod; }
};

enum class PlanKind : std::uint8_t {
  kSelect,
  kInsert,
  kUpdate,
  kDelete,
  kExplain,         // `inner` is the plan to explain; columns: one, "QUERY PLAN" text
  kChangingSelect,  // with data-modifying statements in WITH
  kUtility,         // the session or the DDL engine works from `statement`
};

// A query that finds what a violated unique key held, for the DETAIL of 23505.
struct UniqueDiagnosis {
  Oid index = 0;
  std::string sql;  // same parameters and constants as the plan; answers at most one row: the key's values
  std::string fed_sql = {};  // the same over the rows of Plan::source
};

// A value that is computed before the statement and bound to it (prior_values.hpp).
struct PriorValue {
  int parameter = 0;  // counted like `constants`, where NULL stands in its place
  std::string sql;    // same parameters and constants as the plan; answers one row of one column
};

struct Plan;

// One of several statements of SQLite (staged.hpp), each with the parameters and constants of the plan.
struct PlanStep {
  enum class Kind : std::uint8_t {
    kCommand,  // without parameters
    kChange,
    kAnswer,  // its rows are those of the statement
    kTrial,   // is taken back; its rows are stored with `into`, whose parameters are their columns
  };
  std::string sql;
  std::string into = {};
  std::size_t into_columns = 0;
  Kind kind = Kind::kChange;
  bool counts = false;  // the rows that it changes are those that the tag tells
  // What another executor may compute of it, and the text that takes its rows (Plan::source).
  std::shared_ptr<const Plan> source = {};
  std::string fed_sql = {};
  // For EXPLAIN: what it does, and to which relation.
  std::string label = {};
  std::string relation = {};
};

enum class ExplainFormat : std::uint8_t { kText, kJson, kXml, kYaml };

// A temporary trigger that stands while the plan runs (foreign_key_actions.hpp).
struct Guard {
  std::string name;
  std::string sql;  // CREATE TEMP TRIGGER
};

// What a statement does with a relation: the rights that are asked for it, and whose.
struct RelationUse {
  Oid relation = 0;
  Oid role = 0;  // the owner of the view that names it; 0: the user
  Rights rights = 0;
  // The columns that it reads (SELECT) and sets (INSERT, UPDATE): rights on all of these do as well.
  std::set<std::int16_t> read = {}, inserted = {}, updated = {};
};

// What was found out about how SQLite reads for a query, for all who run its plan.
struct ReadingNotes {
  std::mutex mutex;
  bool known = false;
  std::vector<std::string> scans;  // range entries (r<id>) that it reads through
  bool ranges = false;             // it searches, and nobody knows how much it finds
  bool sorts = false;
  // Rows of the largest table that it scans and of the largest of all, when the database had so many pages.
  std::uint32_t pages = 0;
  std::uint64_t scanned_rows = 0, largest_rows = 0;
};

// A user's function that a statement calls: EXECUTE is asked for, and of whom.
struct FunctionUse {
  Oid function = 0;
  Oid role = 0;  // as in RelationUse
  friend bool operator==(const FunctionUse&, const FunctionUse&) = default;
};

struct Plan {
  PlanKind kind = PlanKind::kUtility;
  ParsedStatementPtr statement;
  std::shared_ptr<const Catalog> catalog;
  std::uint64_t names_key = 0;  // BindContext's: with another one, names may mean something else

  std::string tag;  // "SELECT", "INSERT 0", "UPDATE", "DELETE": the session appends the count of rows
  std::vector<Oid> parameters;        // types of $1..$n
  std::vector<OutputColumn> columns;  // of the answer
  bool returns_rows = false;          // SELECT, RETURNING, EXPLAIN

  // One statement of SQLite. Its parameters are ?1..?n for $1..$n in stored representation, then ?n+1... for
  // `constants`. For kInsert, kUpdate, kDelete the count of rows is sqlite3_changes64.
  std::string sql;
  std::vector<OwnedValue> constants;
  std::vector<PlanStep> steps;  // not empty: run in this order in place of `sql`

  // Of a SELECT that does more than look rows up: what another executor may answer it from.
  std::shared_ptr<const Query> query;
  std::shared_ptr<ReadingNotes> reading;  // with it

  // Of a change: what another executor may compute of it, as a query (change_source.hpp), and the statement
  // that takes its rows from whoever has computed them (fed_rows.hpp); same parameters and constants.
  std::shared_ptr<const Plan> source;
  std::string fed_sql;

  bool needs_writer =
      false;  // changes rows, takes row locks or calls a function that writes (nextval, setval)
  bool check_foreign_keys =
      false;                 // after the statement: SQLITE_DBSTATUS_DEFERRED_FKS > 0 -> foreign_key_violation
  bool lock_nowait = false;  // FOR UPDATE NOWAIT: fails instead of queueing for the writer lane
  std::vector<Oid> changed_tables;  // `target` and the tables that actions of foreign keys reach
  std::vector<Oid> only_inserted;   // those of them that rows are only added to
  std::vector<Oid> acting_keys;     // the foreign keys whose actions may update rows
  std::vector<Guard> guards;
  std::vector<PriorValue> prior_values;
  // Of a DELETE whose cascades come back to its table, and may take rows before the DELETE meets them: its
  // rows, in place of RETURNING and of SQLite's count. Same parameters and constants.
  std::string prior_rows;
  bool is_volatile = false;    // calls a volatile function
  Oid target = 0;              // the table that is changed
  std::vector<Oid> relations;  // all that are read or changed, views included
  std::vector<RelationUse> uses;
  std::vector<FunctionUse> function_uses;
  std::vector<UniqueDiagnosis> unique_diagnoses;

  std::shared_ptr<const Plan> inner;  // of kExplain
  bool explain_analyze = false;
  ExplainFormat explain_format = ExplainFormat::kText;
  std::optional<bool> explain_summary;       // times of planning and execution; none: with ANALYZE
  std::vector<std::string> explain_ignored;  // options that are accepted and have no effect
};

using PlanPtr = std::shared_ptr<const Plan>;

// Functions that plans call besides the kernels (row checks, one-row subqueries, LIMIT); after
// register_functions, on every connection that runs plans. They report errors like kernels do, in the
// FunctionContext. A pooled connection that moves to another session: call it again (cheap).
[[nodiscard]] Status register_plan_functions(sqlite3* connection, FunctionContext* context);

// PostgreSQL's error for SQLITE_CONSTRAINT_*, from the extended code and message of a failed step of `plan`:
// 23505 with key and values, 23502, 23514. `parameters` as they were bound. Runs queries on `connection`,
// whose failed statement has been reset before.
[[nodiscard]] Error translate_constraint(const Plan& plan, sqlite3* connection, int extended_code,
                                         std::string_view message, std::span<const OwnedValue> parameters);

// 23505 of a key whose values are the first columns of the row that `found` stands on.
[[nodiscard]] Error duplicate_key_error(const Catalog& catalog, const Relation& table, const Index& index,
                                        sqlite3_stmt* found);

// Any other failure of a step: the kernel's own error if there is one (taken out of `context`), else by
// SQLite's code.
[[nodiscard]] Error translate_error(const Plan& plan, sqlite3* connection, int extended_code,
                                    std::string_view message, FunctionContext* context,
                                    std::span<const OwnedValue> parameters);

// Which constraints wait for COMMIT; null: none.
using IsDeferred = std::function<bool(const Constraint&)>;
// After a statement with check_foreign_keys that left SQLite's counter of deferred violations above 0:
// success if only deferred constraints are violated, else 23503 with its DETAIL. At COMMIT none is deferred,
// and `tables` are those that the transaction has changed. `acting_keys`: what their actions have stored is
// told from the referencing side. `only_inserted`: who refers to these cannot have lost its row.
[[nodiscard]] Status check_foreign_keys(const Catalog& catalog, sqlite3* connection,
                                        std::span<const Oid> tables, const IsDeferred& is_deferred,
                                        std::span<const Oid> acting_keys = {},
                                        std::span<const Oid> only_inserted = {});
// One key of `table`, deferred or not, over all of its rows.
[[nodiscard]] Status check_foreign_key(const Catalog& catalog, sqlite3* connection, const Relation& table,
                                       const Constraint& key);

}  // namespace bop::sql
