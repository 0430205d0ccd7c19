// Parts of changes: data-modifying statements in WITH (staged.hpp says how they run), rows of subqueries that
// are assigned to several columns.
#include <fmt/format.h>

#include "sql/binder.hpp"
#include "sql/tree_search.hpp"

namespace bop::sql {

void Binder::bind_changing_cte(const PgQuery__CommonTableExpr& def, bool recursive, Cte& cte, Scope& scope) {
  if (recursive) {
    raise(error(ErrorCode::kInvalidRecursion,
                "recursive query \"{}\" must not contain data-modifying statements", cte.name),
          def.location);
  }
  const pg::Node& node = *def.ctequery;
  if (node.node_case == PG_QUERY__NODE__NODE_MERGE_STMT) {
    raise(error(ErrorCode::kNotImplemented, "MERGE not supported in WITH query"), def.location);
  }
  Change change = node.node_case == PG_QUERY__NODE__NODE_INSERT_STMT   ? insert(*node.insert_stmt, &scope)
                  : node.node_case == PG_QUERY__NODE__NODE_UPDATE_STMT ? update(*node.update_stmt, &scope)
                                                                       : remove(*node.delete_stmt, &scope);
  auto shape = std::make_shared<Query>();
  for (const Target& target : change.returning) {
    ExprRef type = null_constant(target.expr->type);
    type->typmod = target.expr->typmod;
    shape->targets.push_back(
        {.name = target.name, .expr = std::move(type), .table = target.table, .attribute = target.attribute});
  }
  RangeEntry columns;
  columns_of_query(columns, *shape);
  if (def.n_aliascolnames > columns.columns.size()) {
    raise(error(ErrorCode::kInvalidColumnReference,
                "WITH query \"{}\" has {} columns available but {} columns specified", cte.name,
                columns.columns.size(), def.n_aliascolnames),
          def.location);
  }
  for (std::size_t i = 0; i < def.n_aliascolnames; ++i) {
    columns.columns[i].name = pg::string_of(def.aliascolnames[i]);
  }
  cte.columns = std::move(columns.columns);
  cte.query = std::move(shape);
  cte.change = std::make_shared<Change>(std::move(change));
}

// A column of SET (a, b) = (SELECT ...). The subquery stands once in the statement's text and is computed for
// each of the columns.
ExprRef Binder::row_column(const PgQuery__MultiAssignRef& multi, Scope& scope, QueryRef& rows) {
  const pg::Node& source = *multi.source;
  if (source.node_case != PG_QUERY__NODE__NODE_SUB_LINK ||
      source.sub_link->sub_link_type != PG_QUERY__SUB_LINK_TYPE__EXPR_SUBLINK) {
    raise(error(ErrorCode::kNotImplemented,
                "source for a multiple-column UPDATE item must be a sub-SELECT or ROW() expression"),
          expression(source, scope, Clause::kUpdateSet)->location);
  }
  const PgQuery__SubLink& link = *source.sub_link;
  if (multi.colno == 1) {
    const Clause outer = std::exchange(scope.clause, Clause::kUpdateSet);
    has_subquery = true;
    rows = select(*link.subselect->select_stmt, &scope, true);
    scope.clause = outer;
    if (rows->targets.size() != static_cast<std::size_t>(multi.ncolumns)) {
      raise(error(ErrorCode::kSyntaxError, "number of columns does not match number of values"),
            link.location);
    }
    if (sql::is_volatile(*rows)) {
      not_implemented("a volatile function in a subquery whose row is assigned to several columns",
                      link.location);
    }
  }
  auto column = std::make_shared<Query>();
  column->depth = scope.depth + 1;
  auto leaf = std::make_unique<FromNode>();
  leaf->entry = new_entry(RangeKind::kSubquery, "", column->depth);
  columns_of_query(*leaf->entry, *rows);
  leaf->entry->query = rows;
  const auto place = static_cast<std::size_t>(multi.colno - 1);
  ExprRef value = column_of(leaf->entry, place);
  ExprRef made = make_expr(ExprKind::kScalarSubquery, value->type, {}, rows->targets[place].expr->location);
  made->typmod = value->typmod;
  column->targets.push_back({.name = rows->targets[place].name, .expr = std::move(value)});
  column->from.push_back(std::move(leaf));
  made->query = std::move(column);
  return made;
}

}  // namespace bop::sql
