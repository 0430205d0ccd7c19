#include "session/copy_target.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "sql/types/types.hpp"

namespace bop::session {

namespace pg = sql::pg;

std::string column_list(const std::vector<std::string>& columns) {
  std::string list;
  for (const std::string& column : columns) {
    if (!list.empty()) list += ", ";
    list += sql::quote_name(column);
  }
  return list;
}

Result<CopyTarget> copy_target(const PgQuery__CopyStmt& copy, const sql::Catalog& catalog,
                               std::span<const std::string> path) {
  const PgQuery__RangeVar& relation = *copy.relation;
  const auto found = catalog.find(path, pg::text(relation.schemaname), pg::text(relation.relname));
  const auto table = found ? catalog.relation(found.oid) : nullptr;
  if (!table) {
    return fail(ErrorCode::kUndefinedTable, "relation \"{}\" does not exist", relation.relname);
  }
  if (table->kind == 'v' || table->is_virtual()) {
    if (copy.is_from != 0) {
      Error why = error(ErrorCode::kWrongObjectType, "cannot copy to view \"{}\"", table->name);
      if (table->kind == 'v')
        why.mut().hint = "To enable copying to a view, provide an INSTEAD OF INSERT trigger.";
      return std::unexpected(std::move(why));
    }
    if (table->kind == 'v') {
      return std::unexpected(error(ErrorCode::kWrongObjectType, "cannot copy from view \"{}\"", table->name)
                                 .hint("Try the COPY (SELECT ...) TO variant."));
    }
  }
  CopyTarget target;
  target.plain = table->name;
  target.relation = table;
  const sql::Schema* schema = catalog.schema(table->schema);
  target.name = fmt::format("{}.{}", sql::quote_name(schema->name), sql::quote_name(table->name));
  const auto add = [&](const sql::Column& column) {
    target.columns.push_back(column.name);
    target.types.push_back(column.type);
    target.typmods.push_back(column.typmod);
  };
  if (copy.n_attlist == 0) {
    for (const sql::Column& column : table->columns) {
      if (!column.dropped && column.generated == 0) add(column);
    }
    return target;
  }
  for (const pg::Node* item : BOP_PG_LIST(&copy, attlist)) {
    const std::string_view name = pg::string_of(item);
    const sql::Column* column = table->find_column(name);
    if (column == nullptr) {
      return fail(ErrorCode::kUndefinedColumn, "column \"{}\" of relation \"{}\" does not exist", name,
                  table->name);
    }
    if (std::ranges::find(target.columns, name) != target.columns.end()) {
      return fail(ErrorCode::kDuplicateColumn, "column \"{}\" specified more than once", name);
    }
    if (column->generated != 0) {
      return std::unexpected(
          error(ErrorCode::kInvalidColumnReference, "column \"{}\" is a generated column", name)
              .detail("Generated columns cannot be used in COPY."));
    }
    add(*column);
  }
  return target;
}

// COPY FROM with WHERE as an INSERT of one row if the condition holds for it: it sees defaults too.
Result<std::string> copy_filter(const sql::ParsedStatementPtr& statement, const CopyTarget& target,
                                const sql::BindContext& context) {
  const PgQuery__CopyStmt& copy = *statement->node->copy_stmt;
  const sql::Relation& table = *target.relation;
  BOP_LET(bound, sql::bind_expression(sql::inner_statement(statement, copy.where_clause), &table,
                                      sql::ExpressionUse::kCopyWhere, context));
  for (const std::int16_t number : bound.columns) {
    const sql::Column* column = table.find_column(number);
    if (column->generated == 0) continue;
    return std::unexpected(error(ErrorCode::kInvalidColumnReference,
                                 "generated columns are not supported in COPY FROM WHERE conditions")
                               .detail(fmt::format("Column \"{}\" is a generated column.", column->name)));
  }
  BOP_LET(condition, sql::deparse_expression(copy.where_clause));
  std::vector<std::string> names;
  std::string values;
  for (const sql::Column& column : table.columns) {
    if (column.dropped || column.generated != 0) continue;
    const auto given = std::ranges::find(target.columns, column.name);
    std::string value = "NULL";
    if (given != target.columns.end()) {
      value = fmt::format("${}", given - target.columns.begin() + 1);
    } else if (column.identity != 0) {
      value = fmt::format("nextval('{}'::regclass)", column.sequence);
    } else if (column.default_text) {
      value = "(" + *column.default_text + ")";
    }
    values += fmt::format("{}CAST({} AS {}) AS {}", values.empty() ? "" : ", ", value,
                          format_type(column.type, column.typmod), sql::quote_name(column.name));
    names.push_back(column.name);
  }
  return fmt::format(
      "INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT * FROM (SELECT {} OFFSET 0) AS {} WHERE {}",
      target.name, column_list(names), values, sql::quote_name(target.plain), condition);
}

}  // namespace bop::session
