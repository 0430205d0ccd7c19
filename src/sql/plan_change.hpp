// From bound changes to the plan that runs them.
#pragma once

#include <memory>
#include <vector>

#include "sql/bind.hpp"
#include "sql/plan.hpp"
#include "sql/query.hpp"

extern "C" {
struct PgQuery__ExplainStmt;
}

namespace bop::sql {

class Binder;
class Generator;

// Fails for parameters whose types nothing decided.
void finish_parameters(Binder& binder);
[[nodiscard]] std::vector<OutputColumn> output_columns(const Binder& binder,
                                                       const std::vector<Target>& targets);

[[nodiscard]] bool changes_rows(const std::vector<std::shared_ptr<Cte>>& ctes);
// What the data-modifying parts of WITH do: foreign keys, their actions, guards.
void plan_changes(Binder& binder, const std::vector<std::shared_ptr<Cte>>& ctes, Plan& plan);
// What their violated unique keys held; once their steps are made.
void plan_diagnoses(const Binder& binder, const std::vector<std::shared_ptr<Cte>>& ctes, Generator& generator,
                    Plan& plan);
// INSERT, UPDATE or DELETE with all of that.
void plan_change(Binder& binder, Change change, Plan& plan);

// bind_explain.cpp
void plan_explain(const PgQuery__ExplainStmt& stmt, const ParsedStatementPtr& statement,
                  const BindContext& context, std::span<const Oid> parameter_types, Plan& plan);

void plan_merge(Binder& binder, Merge merge, Plan& plan);

}  // namespace bop::sql
