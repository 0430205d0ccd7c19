// GENERATED ALWAYS AS (expression) STORED. SQLite computes and stores the value, also where actions of
// foreign keys change a row; a statement never names such a column. What looks at a row before it is stored
// (NOT NULL, CHECK, the diagnosis of a unique key) computes the value itself.
#include <algorithm>

#include <fmt/format.h>

#include "sql/binder.hpp"
#include "sql/tree_search.hpp"

namespace bop::sql {

void Binder::bind_generated(Change& change) {
  const std::shared_ptr<const Relation>& table = change.target->relation;
  for (const Column& column : table->columns) {
    if (column.dropped || column.generated == 0) {
      continue;
    }
    if (change.generated_from == nullptr) {
      change.generated_from = table_entry(table, table->name, 1);
      change.generated_from->kind = RangeKind::kExcluded;
      change.generated_from->bare = true;
    }
    Result<ParsedStatementPtr> parsed = parse_expression(*column.default_text);
    if (!parsed) {
      raise(std::move(parsed).error());
    }
    ExprRef value = with_text(*parsed, [&] {
      Scope scope{.depth = 1};
      scope.items.push_back(scope_item(change.generated_from));
      return coerce_assignment(expression(*(*parsed)->node, scope, Clause::kGenerated), column, -1);
    });
    change.generated.push_back({.column = &column, .expr = std::move(value)});
  }
}

std::set<std::int16_t> with_generated(const Change& change, std::set<std::int16_t> columns) {
  std::set<std::int16_t> computed;
  for (const Assignment& g : change.generated) {
    if (reads_columns(*g.expr, *change.generated_from, columns)) {
      computed.insert(g.column->number);
    }
  }
  columns.merge(computed);
  return columns;
}

Error generated_always(const Column& column, bool update) {
  Error why =
      update ? error(ErrorCode::kGeneratedAlways, "column \"{}\" can only be updated to DEFAULT", column.name)
             : error(ErrorCode::kGeneratedAlways, "cannot insert a non-DEFAULT value into column \"{}\"",
                     column.name);
  if (column.generated != 0) {
    why.mut().detail = fmt::format("Column \"{}\" is a generated column.", column.name);
    return why;
  }
  why.mut().detail =
      fmt::format("Column \"{}\" is an identity column defined as GENERATED ALWAYS.", column.name);
  if (!update) {
    why.mut().hint = "Use OVERRIDING SYSTEM VALUE to override.";
  }
  return why;
}

}  // namespace bop::sql
