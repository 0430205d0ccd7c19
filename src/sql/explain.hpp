// EXPLAIN: SQLite's query plan as a tree in PostgreSQL's words.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "sql/plan.hpp"

struct sqlite3;
struct sqlite3_stmt;

namespace bop::sql {

struct ExplainNode {
  std::string type;      // Seq Scan, Index Scan, Sort...
  std::string relation;  // that it reads or changes
  std::string how;       // the index and its conditions
  // Of a run (ANALYZE), where SQLite counts them: rows of all loops together.
  std::optional<std::uint64_t> rows, loops;
  std::string estimate;  // of rows, where the executor tells one
  std::vector<ExplainNode> inputs;
};

struct ExplainSummary {
  std::string executor;  // which, and why
  std::int64_t planning_ns = 0;
  std::optional<std::int64_t> execution_ns;  // with ANALYZE
  bool shown = false;                        // the times
};

// What another executor does of a change: its plan of Plan::source, or of that of a step.
struct ExplainedSource {
  const Plan* source = nullptr;  // null: nothing
  ExplainNode node;
};

// The plan by EXPLAIN QUERY PLAN. The stages of a plan of several steps have to be there.
[[nodiscard]] Result<ExplainNode> explain(const Plan& plan, sqlite3* connection,
                                          const ExplainedSource& other = {});
// The same with what SQLite has counted in a run of `statement`, which was prepared on a connection with
// SQLITE_DBCONFIG_STMT_SCANSTATUS. `rows`: that it has answered or changed.
[[nodiscard]] ExplainNode explain_run(const Plan& plan, sqlite3_stmt* statement, std::uint64_t rows);

// A step of a plan of several, and what stands above its steps.
[[nodiscard]] ExplainNode explain_step_run(const Plan& plan, const PlanStep& step, sqlite3_stmt* statement,
                                           std::uint64_t rows);
[[nodiscard]] ExplainNode explain_root(const Plan& plan);

// The lines of the answer.
[[nodiscard]] std::vector<std::string> explain_lines(const ExplainNode& root, const ExplainSummary& summary,
                                                     ExplainFormat format);

}  // namespace bop::sql
