// MERGE: its actions are bound as INSERT, UPDATE and DELETE whose rows are those of the source.
#include <algorithm>

#include <fmt/format.h>

#include "sql/binder.hpp"
#include "sql/tree_search.hpp"

namespace bop::sql {

namespace {

void refuse_unreachable(const Binder& binder, const PgQuery__MergeStmt& stmt) {
  bool unconditional[2] = {false, false};
  for (const pg::Node* node : BOP_PG_LIST(&stmt, merge_when_clauses)) {
    const PgQuery__MergeWhenClause& when = *node->merge_when_clause;
    bool& ended = unconditional[when.matched != 0 ? 1 : 0];
    if (ended) {
      binder.raise(error(ErrorCode::kSyntaxError,
                         "unreachable WHEN clause specified after unconditional WHEN clause"));
    }
    ended = when.condition == nullptr;
  }
}

}  // namespace

void Binder::add_merge_source(Scope& scope, const Scope* outer) {
  if (outer == nullptr || !outer->merge_source) {
    return;
  }
  for (const ScopeItem& item : outer->items) {
    add_to_scope(scope, item);
  }
}

Merge Binder::merge(const PgQuery__MergeStmt& stmt) {
  Merge merge;
  refuse_unreachable(*this, stmt);
  if (stmt.with_clause != nullptr && stmt.with_clause->recursive != 0) {
    raise(error(ErrorCode::kSyntaxError, "WITH RECURSIVE is not supported for MERGE statement"));
  }
  Scope scope{.depth = 1};
  bind_ctes(stmt.with_clause, scope, merge.ctes);
  const std::shared_ptr<const Relation> table = find_relation(*stmt.relation, true);
  if (table->is_virtual()) {
    raise(error(ErrorCode::kInsufficientPrivilege, "permission denied: \"{}\" is a system catalog",
                table->name));
  }
  if (table->kind == 'v') {
    raise(error(ErrorCode::kNotImplemented, "cannot execute MERGE on relation \"{}\"", table->name)
              .detail("This operation is not supported for views."));
  }
  const PgQuery__Alias* alias = stmt.relation->alias;
  const std::string name(alias == nullptr ? std::string_view(table->name) : pg::text(alias->aliasname));
  merge.source.push_back(from_item(*stmt.source_relation, scope));
  Scope source{.depth = 1,
               .items = scope.items,
               .range_table = scope.range_table,
               .ctes = scope.ctes,
               .merge_source = true};
  if (std::ranges::any_of(scope.items, [&](const ScopeItem& item) { return item.alias == name; })) {
    raise(error(ErrorCode::kDuplicateAlias, "name \"{}\" specified more than once", name)
              .detail("The name is used both as MERGE target table and data source."));
  }
  merge.target = table_entry(table, name, 1);
  scope.items.insert(scope.items.begin(), scope_item(merge.target));
  scope.range_table.push_back(merge.target);
  source.range_table.push_back(merge.target);
  merge.on = boolean(*stmt.join_condition, scope, Clause::kJoin, "JOIN/ON");
  const std::set<const RangeEntry*> target{merge.target.get()};
  bool reads = reads_rows(*merge.on, target);
  for (const pg::Node* node : BOP_PG_LIST(&stmt, merge_when_clauses)) {
    const PgQuery__MergeWhenClause& when = *node->merge_when_clause;
    MergeAction action{.matched = when.matched != 0};
    if (when.condition != nullptr) {
      action.condition =
          boolean(*when.condition, action.matched ? scope : source, Clause::kMergeWhen, "WHEN");
      reads = reads || reads_rows(*action.condition, target);
    }
    switch (when.command_type) {
      case PG_QUERY__CMD_TYPE__CMD_INSERT: {
        PgQuery__InsertStmt insert_stmt = PG_QUERY__INSERT_STMT__INIT;
        PgQuery__SelectStmt select_stmt = PG_QUERY__SELECT_STMT__INIT;
        PgQuery__List values = PG_QUERY__LIST__INIT;
        pg::Node list = PG_QUERY__NODE__INIT;
        pg::Node rows = PG_QUERY__NODE__INIT;
        pg::Node* lists[] = {&list};
        insert_stmt.relation = stmt.relation;
        insert_stmt.n_cols = when.n_target_list;
        insert_stmt.cols = when.target_list;
        insert_stmt.override = when.override;
        if (when.n_values > 0) {
          values.n_items = when.n_values;
          values.items = when.values;
          list.node_case = PG_QUERY__NODE__NODE_LIST;
          list.list = &values;
          select_stmt.n_values_lists = 1;
          select_stmt.values_lists = lists;
          rows.node_case = PG_QUERY__NODE__NODE_SELECT_STMT;
          rows.select_stmt = &select_stmt;
          insert_stmt.select_stmt = &rows;
        }
        action.kind = 'i';
        action.change = std::make_unique<Change>(insert(insert_stmt, &source));
        break;
      }
      case PG_QUERY__CMD_TYPE__CMD_UPDATE: {
        PgQuery__UpdateStmt update_stmt = PG_QUERY__UPDATE_STMT__INIT;
        update_stmt.relation = stmt.relation;
        update_stmt.n_target_list = when.n_target_list;
        update_stmt.target_list = when.target_list;
        action.kind = 'u';
        action.change = std::make_unique<Change>(update(update_stmt, &source));
        break;
      }
      case PG_QUERY__CMD_TYPE__CMD_DELETE: {
        PgQuery__DeleteStmt delete_stmt = PG_QUERY__DELETE_STMT__INIT;
        delete_stmt.relation = stmt.relation;
        action.kind = 'd';
        action.change = std::make_unique<Change>(remove(delete_stmt, &source));
        break;
      }
      default: break;
    }
    merge.actions.push_back(std::move(action));
  }
  if (reads) {
    ask_for(*table, right::kSelect);
    std::vector<std::int16_t> all;  // more than PostgreSQL asks for
    for (const RangeColumn& column : merge.target->columns) {
      all.push_back(column.attribute);
    }
    note_columns(*table, view_ == nullptr ? 0 : view_->owner, right::kSelect, all);
  }
  return merge;
}

}  // namespace bop::sql
