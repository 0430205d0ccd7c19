// INSERT, UPDATE, DELETE: target columns, defaults, assignment casts, what each row must satisfy.
#include <algorithm>

#include <fmt/format.h>

#include "sql/binder.hpp"
#include "sql/generate.hpp"
#include "sql/tree_search.hpp"
#include "sql/types/user_types.hpp"
#include "sql/view_target.hpp"

namespace bop::sql {

namespace {

// The columns that a statement stores; SQLite computes the others.
bool is_stored_by_statement(const Column& column) { return !column.dropped && column.generated == 0; }

std::size_t live_columns(const Relation& table) {
  return static_cast<std::size_t>(std::ranges::count_if(table.columns, is_stored_by_statement));
}

void add_condition(Change& change, ExprRef condition) {
  if (change.view != nullptr) {
    change.view->condition = condition;
  }
  change.where = change.where == nullptr
                     ? std::move(condition)
                     : make_expr(ExprKind::kAnd, types::kBool, {change.where, std::move(condition)});
}

// What PostgreSQL's rewriter refuses: after everything that is wrong with the statement itself.
void refuse_generated(const Binder& binder, const Column* column, bool update) {
  if (column != nullptr) {
    binder.raise(generated_always(*column, update));
  }
}

}  // namespace

ExprRef Binder::column_default(const Column& column) {
  if (column.identity != 0) {
    ExprRef sequence = constant(types::kRegclass, OwnedValue::of_int(column.sequence));
    ExprRef next = make_call("pg_catalog", "nextval", {std::move(sequence)}, -1);
    return coerce_assignment(std::move(next), column, -1);
  }
  const std::optional<std::string>& default_text =
      column.default_text ? column.default_text : default_of_domain(*context_.catalog, column.type);
  if (!default_text && is_constrained(column.type)) {
    return coerce_assignment(null_constant(types::kUnknown), column, -1);
  }
  if (!default_text) {
    ExprRef null = null_constant(column.type);
    null->typmod = column.typmod;
    return null;
  }
  Result<ParsedStatementPtr> parsed = parse_expression(*default_text);
  if (!parsed) {
    raise(std::move(parsed).error());
  }
  return with_text(*parsed, [&] {
    Scope scope{.clause = Clause::kDefault};
    return coerce_assignment(expression(*(*parsed)->node, scope, Clause::kDefault), column, -1);
  });
}

Change Binder::insert(const PgQuery__InsertStmt& stmt, Scope* outer) {
  Change change;
  change.kind = 'i';
  Scope scope{.parent = outer, .depth = 0};
  bind_ctes(stmt.with_clause, scope, change.ctes);
  bind_target(change, *stmt.relation, scope, right::kInsert);
  const std::shared_ptr<const Relation>& table = change.target->relation;
  // Columns of a view may be the same one of its table.
  const auto refuse_twice = [this](const Column& column) {
    raise(error(ErrorCode::kSyntaxError, "multiple assignments to same column \"{}\"", column.name), -1);
  };
  // ---- the columns that the statement names
  std::vector<const Column*> named;
  std::vector<int> locations;
  for (const pg::Node* node : BOP_PG_LIST(&stmt, cols)) {
    const PgQuery__ResTarget& target = *node->res_target;
    if (target.n_indirection > 0) {
      not_implemented("assignment to an element or field", target.location);
    }
    const std::string_view name = pg::text(target.name);
    const Column* column = assigned_column(change, name, target.location);
    if (const auto same = std::ranges::find(named, column); same != named.end()) {
      const auto other = static_cast<std::size_t>(same - named.begin());
      if (pg::text(BOP_PG_LIST(&stmt, cols)[other]->res_target->name) != name) refuse_twice(*column);
      raise(error(ErrorCode::kDuplicateColumn, "column \"{}\" specified more than once", name),
            target.location);
    }
    named.push_back(column);
    locations.push_back(target.location);
  }
  const bool explicit_columns = !named.empty();
  const std::vector<TargetColumn> all_columns = target_columns(change);
  if (!explicit_columns) {
    for (const TargetColumn& column : all_columns) {
      named.push_back(column.column);
      locations.push_back(-1);
    }
  }
  // ---- the rows
  const bool user_value = stmt.override == PG_QUERY__OVERRIDING_KIND__OVERRIDING_USER_VALUE;
  const bool system_value = stmt.override == PG_QUERY__OVERRIDING_KIND__OVERRIDING_SYSTEM_VALUE;
  const Column* refused = nullptr;  // the first that may not be given a value
  const auto given = [&](const Column& column) {
    const bool refuses = column.generated != 0 || (column.identity == 'a' && !system_value && !user_value);
    if (refuses && (refused == nullptr || column.number < refused->number)) {
      refused = &column;
    }
  };
  const auto check_count = [&](std::size_t count, int location_of_extra) {
    if (count > named.size()) {
      raise(error(ErrorCode::kSyntaxError, "INSERT has more expressions than target columns"),
            location_of_extra);
    }
    if (count < named.size()) {
      if (explicit_columns) {
        raise(error(ErrorCode::kSyntaxError, "INSERT has more target columns than expressions"),
              locations[count]);
      }
      named.resize(count);
    }
    for (auto column = named.begin(); column != named.end(); ++column) {
      if (std::find(named.begin(), column, *column) != column) refuse_twice(**column);
    }
    for (std::size_t i = 0; i < named.size() && !explicit_columns; ++i) {
      refuse_computed(change, all_columns[i]);
    }
  };
  const PgQuery__SelectStmt* source = stmt.select_stmt == nullptr ? nullptr : stmt.select_stmt->select_stmt;
  auto rows = std::make_shared<Query>();
  rows->kind = QueryKind::kValues;
  QueryRef selected;
  if (source == nullptr) {
    named.clear();
    rows->rows.emplace_back();
  } else if (source->n_values_lists > 0 && source->n_sort_clause == 0 && source->limit_count == nullptr &&
             source->limit_offset == nullptr && source->with_clause == nullptr &&
             source->n_locking_clause == 0) {
    for (const pg::Node* list : BOP_PG_LIST(source, values_lists)) {
      const pg::NodeList items = BOP_PG_LIST(list->list, items);
      Scope values_scope{.parent = &scope, .depth = 1};
      std::vector<ExprRef> row;
      for (const pg::Node* node : items) {
        row.push_back(expression(*node, values_scope, Clause::kValues));
      }
      if (!rows->rows.empty() && row.size() != rows->rows[0].size()) {
        raise(error(ErrorCode::kSyntaxError, "VALUES lists must all be the same length"),
              row.empty() ? -1 : row[0]->location);
      }
      if (rows->rows.empty()) {
        check_count(row.size(), row.size() > named.size() ? row[named.size()]->location : -1);
      }
      rows->rows.push_back(std::move(row));
    }
    for (std::vector<ExprRef>& row : rows->rows) {
      for (std::size_t i = 0; i < row.size(); ++i) {
        const Column& column = *named[i];
        const bool defaulted = row[i]->kind == ExprKind::kSetToDefault;
        if (!defaulted) {
          given(column);
        }
        const bool overridden = column.identity != 0 && user_value;
        if (!defaulted && !overridden) {
          row[i] = coerce_assignment(row[i], column, -1);
        } else if (column.generated == 0) {
          row[i] = column_default(column);
        }
      }
      for (std::size_t i = row.size(); i-- > 0;) {
        if (named[i]->generated != 0) {
          row.erase(row.begin() + static_cast<std::ptrdiff_t>(i));
        }
      }
    }
    std::erase_if(named, [](const Column* column) { return column->generated != 0; });
  } else {
    selected = select(*source, &scope, false);
    const std::size_t count = selected->targets.size();
    check_count(count, count > named.size() ? selected->targets[named.size()].expr->location : -1);
    for (std::size_t i = 0; i < count; ++i) {
      const Column& column = *named[i];
      given(column);
      if (const Oid from = type_of(*selected->targets[i].expr);
          !can_coerce(from, column.type, CastContext::kAssignment)) {
        raise(error(ErrorCode::kDatatypeMismatch, "column \"{}\" is of type {} but expression is of type {}",
                    column.name, format_type(column.type), format_type(from))
                  .hint("You will need to rewrite or cast the expression."),
              selected->targets[i].expr->location);
      }
      if (selected->targets[i].expr->kind == ExprKind::kUnknown ||
          selected->targets[i].expr->kind == ExprKind::kParam) {
        coerce_column(*selected, i, column.type, -1, CastContext::kAssignment);
      }
    }
  }
  // ---- the columns that it leaves out; with row checks every column takes part
  bind_generated(change);
  bind_checks(change, nullptr);
  bind_view_checks(change);
  std::vector<std::int16_t> inserted;
  for (const Column* column : named) {
    inserted.push_back(column->number);
  }
  note_changed(change, right::kInsert, inserted);
  std::vector<const Column*> missing;
  for (const Column& column : table->columns) {
    if (!is_stored_by_statement(column) || std::ranges::find(named, &column) != named.end()) {
      continue;
    }
    const bool has_value = column.default_text.has_value() || column.identity != 0 ||
                           is_constrained(column.type) ||
                           default_of_domain(*context_.catalog, column.type).has_value();
    if (has_value || change.new_row != nullptr) {
      missing.push_back(&column);
    }
  }
  if (named.empty() && missing.empty() && live_columns(*table) > 0) {
    missing.push_back(&*std::ranges::find_if(table->columns, is_stored_by_statement));
  }
  change.insert_columns = named;
  change.insert_columns.insert(change.insert_columns.end(), missing.begin(), missing.end());
  if (selected == nullptr) {
    for (std::vector<ExprRef>& row : rows->rows) {
      for (const Column* column : missing) {
        row.push_back(column_default(*column));
      }
    }
    change.source = std::move(rows);
  } else {
    // SELECT over the source: casts, and defaults computed once a row.
    auto rows_out = std::make_shared<Query>();
    auto leaf = std::make_unique<FromNode>();
    leaf->entry = new_entry(RangeKind::kSubquery, "", 1);
    columns_of_query(*leaf->entry, *selected);
    leaf->entry->query = selected;
    for (std::size_t i = 0; i < named.size(); ++i) {
      const bool overridden = named[i]->identity != 0 && user_value;
      ExprRef e = overridden ? column_default(*named[i])
                             : coerce_assignment(column_of(leaf->entry, i), *named[i], -1);
      rows_out->targets.push_back({.name = named[i]->name, .expr = std::move(e)});
    }
    for (const Column* column : missing) {
      rows_out->targets.push_back({.name = column->name, .expr = column_default(*column)});
    }
    rows_out->from.push_back(std::move(leaf));
    change.source = std::move(rows_out);
  }
  if (stmt.on_conflict_clause != nullptr) {
    bind_upsert(change, *stmt.on_conflict_clause, scope);
  }
  bind_returning(change, BOP_PG_LIST(&stmt, returning_list), scope);
  refuse_generated(*this, refused, false);
  ask_for_reading(change);
  BOP_ASSERT(change.insert_columns.size() <= live_columns(*table));
  return change;
}

std::vector<Assignment> Binder::assignments(pg::NodeList list, const Change& change, Scope& scope) {
  const RangeRef& row = change.target;
  const Relation& table = *row->relation;
  std::vector<Assignment> out;
  std::set<const Column*> named;
  const Column* refused = nullptr;
  QueryRef rows;  // of the subquery whose row is being assigned
  for (const pg::Node* node : list) {
    const PgQuery__ResTarget& target = *node->res_target;
    const std::string_view name = pg::text(target.name);
    if (target.n_indirection > 0) {
      not_implemented("assignment to an element or field", target.location);
    }
    const Column* column = assigned_column(change, name, target.location);
    if (!named.insert(column).second) {
      raise(error(ErrorCode::kSyntaxError, "multiple assignments to same column \"{}\"", column->name));
    }
    const pg::Node* value = target.val;
    ExprRef assigned;
    if (value->node_case == PG_QUERY__NODE__NODE_MULTI_ASSIGN_REF) {
      const PgQuery__MultiAssignRef& multi = *value->multi_assign_ref;
      if (multi.source->node_case == PG_QUERY__NODE__NODE_ROW_EXPR) {
        const PgQuery__RowExpr& values = *multi.source->row_expr;
        if (values.n_args != static_cast<std::size_t>(multi.ncolumns)) {
          raise(error(ErrorCode::kSyntaxError, "number of columns does not match number of values"),
                values.location);
        }
        value = values.args[multi.colno - 1];
      } else {
        assigned = row_column(multi, scope, rows);
      }
    }
    ExprRef e = assigned != nullptr ? std::move(assigned) : expression(*value, scope, Clause::kUpdateSet);
    const bool defaulted = e->kind == ExprKind::kSetToDefault;
    const bool refuses = column->generated != 0 || column->identity == 'a';
    if (!defaulted && refuses && (refused == nullptr || column->number < refused->number)) {
      refused = column;
    }
    if (defaulted && column->generated != 0) {
      continue;
    }
    e = defaulted ? column_default(*column) : coerce_assignment(std::move(e), *column, -1);
    out.push_back({.column = column, .expr = std::move(e)});
  }
  refuse_generated(*this, refused, true);
  if (out.empty()) {  // only generated columns were named: the rows are stored again as they are
    const auto place = std::ranges::find_if(row->columns, [&](const RangeColumn& column) {
      return is_stored_by_statement(*table.find_column(column.attribute));
    });
    if (place == row->columns.end()) {
      not_implemented("UPDATE of a table that has only generated columns");
    }
    out.push_back({.column = table.find_column(place->attribute),
                   .expr = column_of(row, static_cast<std::size_t>(place - row->columns.begin()))});
  }
  return out;
}

// FROM of UPDATE and USING of DELETE, which do not see the changed table.
void Binder::bind_other_tables(Change& change, pg::NodeList list, Scope& scope) {
  for (ScopeItem& item : scope.items) {
    item.lateral = ScopeItem::Lateral::kTarget;
  }
  for (const pg::Node* node : list) {
    change.from.push_back(from_item(*node, scope));
  }
  for (ScopeItem& item : scope.items) {
    item.lateral = ScopeItem::Lateral::kYes;
  }
}

Change Binder::update(const PgQuery__UpdateStmt& stmt, Scope* outer) {
  Change change;
  change.kind = 'u';
  Scope scope{.parent = outer, .depth = 1};
  bind_ctes(stmt.with_clause, scope, change.ctes);
  bind_target(change, *stmt.relation, scope, right::kUpdate);
  add_merge_source(scope, outer);
  bind_other_tables(change, BOP_PG_LIST(&stmt, from_clause), scope);
  change.set = assignments(BOP_PG_LIST(&stmt, target_list), change, scope);
  if (stmt.where_clause != nullptr) {
    add_condition(change, boolean(*stmt.where_clause, scope, Clause::kWhere, "WHERE"));
  }
  std::set<std::int16_t> changed;
  for (const Assignment& a : change.set) {
    changed.insert(a.column->number);
  }
  note_changed(change, right::kUpdate, {changed.begin(), changed.end()});
  bind_generated(change);
  bind_checks(change, &changed);
  bind_view_checks(change);
  bind_returning(change, BOP_PG_LIST(&stmt, returning_list), scope);
  ask_for_reading(change);
  return change;
}

Change Binder::remove(const PgQuery__DeleteStmt& stmt, Scope* outer) {
  Change change;
  change.kind = 'd';
  Scope scope{.parent = outer, .depth = 1};
  bind_ctes(stmt.with_clause, scope, change.ctes);
  bind_target(change, *stmt.relation, scope, right::kDelete);
  bind_other_tables(change, BOP_PG_LIST(&stmt, using_clause), scope);
  if (stmt.where_clause != nullptr) {
    add_condition(change, boolean(*stmt.where_clause, scope, Clause::kWhere, "WHERE"));
  }
  bind_returning(change, BOP_PG_LIST(&stmt, returning_list), scope);
  ask_for_reading(change);
  return change;
}

void Binder::bind_returning(Change& change, pg::NodeList list, Scope& outer) {
  change.has_returning = !list.empty();
  if (!change.has_returning) {
    return;
  }
  Scope scope{.parent = outer.parent, .depth = 1, .ctes = outer.ctes};
  const RangeRef& changed = change.view == nullptr ? change.target : change.view->entry;
  add_to_scope(scope, target_item(change));
  if (!change.from.empty()) {
    for (const ScopeItem& item : outer.items) {
      if (item.entry != changed) {
        scope.items.push_back(item);
      }
    }
  }
  change.returning = target_list(list, scope, Clause::kReturning);
  for (Target& target : change.returning) {
    target.expr = resolve_unknown(target.expr);
  }
}

// What CHECK and DEFAULT read is nobody's to ask for.
void Binder::bind_checks(Change& change, const std::set<std::int16_t>* changed) {
  const Relation& table = *change.target->relation;
  std::set<std::int16_t> computed;
  if (changed != nullptr && !change.generated.empty()) {
    computed = with_generated(change, *changed);
    changed = &computed;
  }
  const auto touched = [&](std::int16_t number) { return changed == nullptr || changed->contains(number); };
  // A row may violate what was never validated, whatever is changed in it.
  const auto affected = [&](const Constraint& c) {
    return c.columns.empty() || !c.validated || std::ranges::any_of(c.columns, touched);
  };
  bool needed = false;
  for (const Column& column : table.columns) {
    needed = needed || (!column.dropped && column.not_null && touched(column.number));
  }
  for (const Constraint& constraint : table.constraints) {
    needed = needed || (constraint.type == 'c' && affected(constraint));
  }
  if (!needed) {
    return;
  }
  change.new_row = change.generated_from;
  if (change.new_row == nullptr) {
    change.new_row = table_entry(change.target->relation, table.name, 1);
    change.new_row->kind = RangeKind::kExcluded;
    change.new_row->bare = true;
  }
  for (const Constraint& constraint : table.constraints) {
    if (constraint.type != 'c' || !affected(constraint)) {
      continue;
    }
    Result<ParsedStatementPtr> parsed = parse_expression(constraint.check_text);
    if (!parsed) {
      raise(std::move(parsed).error());
    }
    change.checks.push_back({.name = constraint.name, .expr = with_text(*parsed, [&] {
                                                        Scope scope{.depth = 1};
                                                        scope.items.push_back(scope_item(change.new_row));
                                                        return boolean(*(*parsed)->node, scope,
                                                                       Clause::kCheck, "CHECK");
                                                      })});
  }
}

std::string Binder::stored_row_check(const std::shared_ptr<const Relation>& table,
                                     const std::set<std::int16_t>& columns, std::string_view alias) {
  Change change;
  change.kind = 'u';
  change.target = table_entry(table, table->name, 1);
  bind_generated(change);
  bind_checks(change, &columns);
  if (change.new_row == nullptr) {
    return {};
  }
  for (RangeColumn& column : change.new_row->columns) {
    column.sql = fmt::format("{}.{}", alias, column_name(column.attribute));
  }
  return Generator(0, true).row_check(change);
}

}  // namespace bop::sql
