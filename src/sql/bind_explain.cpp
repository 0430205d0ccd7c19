// What EXPLAIN is told to do, and the plan that it shows.
#include <algorithm>

#include "sql/bind.hpp"
#include "sql/binder.hpp"
#include "sql/plan_change.hpp"
#include "sql/tree.hpp"

namespace bop::sql {

namespace {

struct Format {
  std::string_view name;
  ExplainFormat format;
  Oid type;
  Oid sent_type;  // what a client is told, if that is another one
};
constexpr Oid kXml = 142;
constexpr Format kFormats[] = {{"text", ExplainFormat::kText, types::kText, 0},
                               {"json", ExplainFormat::kJson, types::kJson, 0},
                               {"xml", ExplainFormat::kXml, types::kText, kXml},
                               {"yaml", ExplainFormat::kYaml, types::kText, 0}};

Result<PlanPtr> explained_plan(const pg::Node& query, bool analyze, const ParsedStatementPtr& statement,
                               const BindContext& context, std::span<const Oid> parameter_types) {
  if (query.node_case == PG_QUERY__NODE__NODE_EXECUTE_STMT && context.prepared) {
    return context.prepared(pg::text(query.execute_stmt->name), query.execute_stmt->n_params);
  }
  const pg::Node* rows = &query;
  if (query.node_case == PG_QUERY__NODE__NODE_DECLARE_CURSOR_STMT) {
    rows = query.declare_cursor_stmt->query;
  } else if (query.node_case == PG_QUERY__NODE__NODE_CREATE_TABLE_AS_STMT) {
    const PgQuery__CreateTableAsStmt& create = *query.create_table_as_stmt;
    if (create.objtype == PG_QUERY__OBJECT_TYPE__OBJECT_MATVIEW)
      return fail(ErrorCode::kNotImplemented, "CREATE MATERIALIZED VIEW is not implemented");
    const PgQuery__RangeVar& made = *create.into->rel;
    std::string_view schema = pg::text(made.schemaname);
    for (const std::string& name : context.search_path) {
      if (schema.empty() && context.catalog->schema(name) != nullptr) schema = name;
    }
    if (create.if_not_exists == 0 && context.catalog->find({}, schema, pg::text(made.relname)))
      return fail(ErrorCode::kDuplicateTable, "relation \"{}\" already exists", made.relname);
    if (analyze)
      return fail(ErrorCode::kNotImplemented, "EXPLAIN ANALYZE of CREATE TABLE AS is not implemented");
    rows = create.query;
  }
  if (rows->node_case == PG_QUERY__NODE__NODE_EXECUTE_STMT) {
    return fail(ErrorCode::kNotImplemented, "EXPLAIN of CREATE TABLE AS EXECUTE is not implemented");
  }
  BOP_LET(plan, sql::bind(inner_statement(statement, rows), context, parameter_types));
  if (plan->kind == PlanKind::kUtility) {
    return fail(ErrorCode::kNotImplemented, "EXPLAIN of SELECT INTO is not implemented");
  }
  return plan;
}

}  // namespace

void plan_explain(const PgQuery__ExplainStmt& stmt, const ParsedStatementPtr& statement,
                  const BindContext& context, std::span<const Oid> parameter_types, Plan& plan) {
  plan.kind = PlanKind::kExplain;
  plan.tag = "EXPLAIN";
  plan.returns_rows = true;
  plan.columns.push_back({.name = "QUERY PLAN", .type = types::kText});
  for (const pg::Node* node : BOP_PG_LIST(&stmt, options)) {
    const PgQuery__DefElem& option = *node->def_elem;
    const std::string_view name = pg::text(option.defname);
    std::string value = "true";
    if (option.arg != nullptr) {
      value = option.arg->node_case == PG_QUERY__NODE__NODE_STRING ? std::string(pg::string_of(option.arg))
              : option.arg->node_case == PG_QUERY__NODE__NODE_BOOLEAN
                  ? (option.arg->boolean->boolval != 0 ? "true" : "false")
              : option.arg->node_case == PG_QUERY__NODE__NODE_INTEGER
                  ? std::to_string(option.arg->integer->ival)
                  : "?";
    }
    const bool on = value == "true" || value == "on" || value == "1";
    const bool off = value == "false" || value == "off" || value == "0";
    if (!on && !off && name != "format") {
      throw BindFailure{error(ErrorCode::kSyntaxError, "{} requires a Boolean value", name)};
    }
    if (name == "analyze") {
      plan.explain_analyze = on;
    } else if (name == "summary") {
      plan.explain_summary = on;
    } else if (name == "format") {
      const auto format = std::ranges::find(kFormats, value, &Format::name);
      if (format == std::end(kFormats)) {
        throw BindFailure{error(ErrorCode::kInvalidArgument,
                                "unrecognized value for EXPLAIN option \"format\": \"{}\"", value)
                              .at(statement->position(option.location))};
      }
      plan.explain_format = format->format;
      plan.columns.back().type = format->type;
      plan.columns.back().sent_type = format->sent_type;
    } else if (name == "verbose" || name == "buffers" || name == "timing" || name == "settings" ||
               name == "wal" || name == "costs") {
      // There are no costs to be shown.
      if (on && name != "costs") plan.explain_ignored.emplace_back(name);
    } else {
      throw BindFailure{error(ErrorCode::kSyntaxError, "unrecognized EXPLAIN option \"{}\"", name)
                            .at(statement->position(option.location))};
    }
  }
  for (const std::string_view name : {"wal", "timing"}) {
    if (!plan.explain_analyze &&
        std::ranges::find(plan.explain_ignored, name) != plan.explain_ignored.end()) {
      throw BindFailure{error(ErrorCode::kInvalidArgument, "EXPLAIN option {} requires ANALYZE",
                              name == "wal" ? "WAL" : "TIMING")};
    }
  }
  Result<PlanPtr> bound =
      explained_plan(*stmt.query, plan.explain_analyze, statement, context, parameter_types);
  if (!bound) {
    throw BindFailure{std::move(bound).error()};
  }
  plan.inner = std::move(*bound);
  // Those of EXECUTE are computed when the plan runs.
  if (stmt.query->node_case != PG_QUERY__NODE__NODE_EXECUTE_STMT) {
    plan.parameters = plan.inner->parameters;
  }
  plan.relations = plan.inner->relations;
  plan.uses = plan.inner->uses;
  plan.function_uses = plan.inner->function_uses;
  plan.needs_writer = plan.explain_analyze && plan.inner->needs_writer;
}

}  // namespace bop::sql
