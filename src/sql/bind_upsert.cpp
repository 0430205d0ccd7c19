// INSERT ... ON CONFLICT: which index is meant, and what is done to the row that is there.
#include <algorithm>

#include <fmt/format.h>

#include "sql/binder.hpp"

namespace bop::sql {

// Whether ON CONFLICT means this index: its keys are exactly those that are named, and each term of its
// predicate stands in the WHERE. Then the target of `upsert` is what the index is made of.
bool Binder::is_arbiter(const Index& index, const RangeRef& bare, const std::set<std::int16_t>& columns,
                        const std::vector<ExprRef>& expressions, const ExprRef& where, Upsert& upsert) {
  if (!index.unique) {
    return false;
  }
  const auto bound = [&](const std::string& text, bool predicate) {
    Result<ParsedStatementPtr> parsed = parse_expression(text);
    if (!parsed) {
      raise(std::move(parsed).error());
    }
    return with_text(*parsed, [&] {
      Scope scope{.depth = 1};
      scope.items.push_back(scope_item(bare));
      const pg::Node& node = *(*parsed)->node;
      return predicate ? boolean(node, scope, Clause::kIndexPredicate, "WHERE")
                       : expression(node, scope, Clause::kIndex);
    });
  };
  const auto among = [](const std::vector<ExprRef>& list, const Expr& e) {
    return std::ranges::any_of(list, [&](const ExprRef& other) { return same_expr(*other, e); });
  };
  std::vector<ExprRef> target;
  std::set<std::int16_t> key_columns;
  std::vector<ExprRef> key_expressions;
  for (const IndexKey& key : index.keys) {
    if (key.column == 0) {
      key_expressions.push_back(bound(key.expression, false));
      target.push_back(key_expressions.back());
      continue;
    }
    key_columns.insert(key.column);
    const auto place = std::ranges::find(bare->columns, key.column, &RangeColumn::attribute);
    target.push_back(column_of(bare, static_cast<std::size_t>(place - bare->columns.begin())));
  }
  const auto all_among = [&](const std::vector<ExprRef>& some, const std::vector<ExprRef>& list) {
    return std::ranges::all_of(some, [&](const ExprRef& e) { return among(list, *e); });
  };
  if (key_columns != columns || !all_among(key_expressions, expressions) ||
      !all_among(expressions, key_expressions)) {
    return false;
  }
  if (!index.predicate.empty()) {
    const auto terms = [](const ExprRef& e) {
      return e == nullptr ? std::vector<ExprRef>{} : e->kind == ExprKind::kAnd ? e->args : std::vector{e};
    };
    ExprRef predicate = bound(index.predicate, true);
    if (!all_among(terms(predicate), terms(where))) {
      return false;
    }
    upsert.target_where = std::move(predicate);
  }
  upsert.target = std::move(target);
  upsert.equal_nulls = has_equal_nulls(index);
  return true;
}

void Binder::refuse_deferrable(const Index& index) const {
  Error why = error(ErrorCode::kNotInPrerequisiteState,
                    "ON CONFLICT does not support deferrable unique constraints/exclusion constraints as "
                    "arbiters");
  why.mut().constraint = index.name;
  const auto table = context_.catalog->relation(index.table);
  why.mut().table = table->name;
  if (const Schema* schema = context_.catalog->schema(index.schema); schema != nullptr) {
    why.mut().schema = schema->name;
  }
  raise(std::move(why));
}

void Binder::bind_upsert(Change& change, const PgQuery__OnConflictClause& clause, Scope& outer) {
  change.has_upsert = true;
  Upsert& upsert = change.upsert;
  const Relation& table = *change.target->relation;
  upsert.nothing = clause.action == PG_QUERY__ON_CONFLICT_ACTION__ONCONFLICT_NOTHING;
  if (clause.infer == nullptr) {
    if (!upsert.nothing) {
      raise(error(ErrorCode::kSyntaxError,
                  "ON CONFLICT DO UPDATE requires inference specification or constraint name")
                .hint("For example, ON CONFLICT (column_name)."),
            clause.location);
    }
    for (const auto& index : context_.catalog->indexes_of(table.oid)) {
      if (index->deferrable) refuse_deferrable(*index);
    }
  } else {
    upsert.any_target = false;
    RangeRef bare = table_entry(change.target->relation, table.name, 1);
    bare->bare = true;
    Scope scope{.depth = 1};
    scope.items.push_back(scope_item(bare));
    std::set<std::int16_t> columns;
    std::vector<ExprRef> expressions;
    if (const std::string_view name = pg::text(clause.infer->conname); !name.empty()) {
      const Constraint* constraint = table.find_constraint(name);
      if (constraint == nullptr || (constraint->type != 'p' && constraint->type != 'u')) {
        raise(error(ErrorCode::kUndefinedObject, "constraint \"{}\" for table \"{}\" does not exist", name,
                    table.name));
      }
      columns.insert(constraint->columns.begin(), constraint->columns.end());
    }
    for (const pg::Node* node : BOP_PG_LIST(clause.infer, index_elems)) {
      const PgQuery__IndexElem& element = *node->index_elem;
      if (element.n_collation > 0 || element.n_opclass > 0) {
        not_implemented("a collation or operator class in ON CONFLICT", clause.location);
      }
      if (element.expr != nullptr) {
        if (change.view != nullptr) {
          not_implemented("an expression in ON CONFLICT of a view", clause.location);
        }
        ExprRef e = expression(*element.expr, scope, Clause::kConflict);
        if (e->kind == ExprKind::kColumn && e->entry == bare) {
          columns.insert(bare->columns[static_cast<std::size_t>(e->number)].attribute);
        } else {
          expressions.push_back(std::move(e));
        }
        continue;
      }
      const std::vector<TargetColumn> known = target_columns(change);
      const auto found = std::ranges::find(known, pg::text(element.name), &TargetColumn::name);
      const Column* column = found == known.end() ? nullptr : found->column;
      if (column == nullptr) {
        raise(error(ErrorCode::kUndefinedColumn, "column \"{}\" does not exist", pg::text(element.name)),
              clause.infer->location);
      }
      columns.insert(column->number);
    }
    ExprRef where;
    if (clause.infer->where_clause != nullptr) {
      if (change.view != nullptr) {
        not_implemented("WHERE in ON CONFLICT of a view", clause.location);
      }
      where = boolean(*clause.infer->where_clause, scope, Clause::kConflict, "WHERE");
    }
    const auto indexes = context_.catalog->indexes_of(table.oid);
    if (std::ranges::none_of(indexes, [&](const auto& index) {
          return is_arbiter(*index, bare, columns, expressions, where, upsert);
        })) {
      raise(error(ErrorCode::kInvalidColumnReference,
                  "there is no unique or exclusion constraint matching the ON CONFLICT specification"));
    }
    // Of several that are meant, is_arbiter has taken the first.
    const auto index = std::ranges::find_if(indexes, [&](const auto& other) {
      Upsert scratch;
      return other->deferrable && is_arbiter(*other, bare, columns, expressions, where, scratch);
    });
    if (index != indexes.end()) refuse_deferrable(**index);
  }
  if (clause.infer != nullptr) {
    ask_for(named_relation(change), right::kSelect);  // it is told whether the key is there
    std::vector<std::int16_t> keys;
    for (const ExprRef& key : upsert.target) {
      if (key->kind == ExprKind::kColumn) {
        keys.push_back(key->entry->columns[static_cast<std::size_t>(key->number)].attribute);
      }
    }
    note_changed(change, right::kSelect, keys);
  }
  if (upsert.nothing) {
    return;
  }
  ask_for(named_relation(change), right::kUpdate);
  Scope scope{.parent = outer.parent, .depth = 1, .ctes = outer.ctes};
  add_to_scope(scope, target_item(change));
  RangeRef excluded = table_entry(change.target->relation, "excluded", 1);
  excluded->kind = RangeKind::kExcluded;
  ScopeItem proposed = scope_item(excluded);
  if (change.view != nullptr) {  // by the names of the view, as far as they are columns of the table
    std::vector<std::pair<std::string, ExprRef>> columns;
    for (const TargetColumn& column : target_columns(change)) {
      for (std::size_t i = 0; i < excluded->columns.size() && column.column != nullptr; ++i) {
        if (excluded->columns[i].attribute == column.column->number) {
          columns.emplace_back(column.name, column_of(excluded, i));
        }
      }
    }
    proposed.columns = std::move(columns);
  }
  add_to_scope(scope, std::move(proposed));
  upsert.excluded = std::move(excluded);
  upsert.set = assignments(BOP_PG_LIST(&clause, target_list), change, scope);
  std::vector<std::int16_t> updated;
  for (const Assignment& a : upsert.set) {
    updated.push_back(a.column->number);
  }
  note_changed(change, right::kUpdate, updated);
  if (clause.where_clause != nullptr) {
    upsert.where = boolean(*clause.where_clause, scope, Clause::kWhere, "WHERE");
  }
}

}  // namespace bop::sql
