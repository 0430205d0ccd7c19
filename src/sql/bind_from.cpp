// FROM: tables, views, subqueries, functions, joins, and the names that they bring into scope.
#include <algorithm>

#include <fmt/format.h>

#include "sql/binder.hpp"
#include "sql/catalog/temporary.hpp"
#include "sql/char_length.hpp"
#include "sql/functions/kernels.hpp"
#include "sql/sequence_states.hpp"

namespace bop::sql {

namespace {

constexpr int kMaxViewDepth = 64;

void set_nullable(const FromNode& node) {
  if (node.entry != nullptr) {
    node.entry->nullable = true;
    return;
  }
  set_nullable(*node.left);
  set_nullable(*node.right);
}

bool is_unnest_of_several(const pg::Node& node) {
  if (node.node_case != PG_QUERY__NODE__NODE_FUNC_CALL) return false;
  const PgQuery__FuncCall& call = *node.func_call;
  return call.n_funcname == 1 && pg::string_of(call.funcname[0]) == "unnest" && call.n_args > 1 &&
         call.n_agg_order == 0 && call.agg_filter == nullptr && call.over == nullptr &&
         call.agg_distinct == 0 && call.agg_star == 0 && call.func_variadic == 0;
}

}  // namespace

RangeRef Binder::new_entry(RangeKind kind, std::string alias, int depth) {
  auto entry = std::make_shared<RangeEntry>();
  entry->kind = kind;
  entry->id = next_entry_++;
  entry->depth = depth;
  entry->alias = std::move(alias);
  return entry;
}

void Binder::used_relation(Oid oid) {
  if (std::ranges::find(relations, oid) == relations.end()) {
    relations.push_back(oid);
  }
}

std::shared_ptr<const Relation> Binder::find_relation(const PgQuery__RangeVar& range, bool for_change,
                                                      const Scope* scope) {
  const std::string_view schema = pg::text(range.schemaname);
  const std::string_view name = pg::text(range.relname);
  const std::string_view database = pg::text(range.catalogname);
  const std::string shown = schema.empty() ? std::string(name) : fmt::format("{}.{}", schema, name);
  if (!database.empty() && database != context_.database) {
    raise(error(ErrorCode::kNotImplemented, "cross-database references are not implemented: \"{}.{}\"",
                database, shown),
          range.location);
  }
  // Names in a view's text were looked up when it was made.
  if (!text_hidden_) {
    if (Status allowed = may_look_in(*context_.catalog, schema, context_.who.get()); !allowed) {
      raise(std::move(allowed).error(), range.location);
    }
  }
  const Catalog::Named found = context_.catalog->find(path(), schema, name);
  if (!found) {
    Error missing = error(ErrorCode::kUndefinedTable, "relation \"{}\" does not exist", shown);
    for (const Scope* s = schema.empty() ? scope : nullptr; s != nullptr; s = s->parent) {
      if (std::ranges::find(s->later_ctes, name) != s->later_ctes.end()) {
        missing.mut().detail = fmt::format(
            "There is a WITH item named \"{}\", but it cannot be referenced from this part of the query.",
            name);
        missing.mut().hint = "Use WITH RECURSIVE, or re-order the WITH items to remove forward references.";
        break;
      }
    }
    raise(std::move(missing), range.location);
  }
  const auto named = context_.catalog->relation(found.oid);
  if (named != nullptr && named->persistence == 't' && !text_hidden_ &&
      context_.catalog->schema(named->schema)->name != own_temporary(path())) {
    raise(error(ErrorCode::kNotImplemented, "cannot access temporary tables of other sessions"));
  }
  if (found.kind == 'i') {
    raise(error(ErrorCode::kWrongObjectType, "\"{}\" is an index", name), for_change ? -1 : range.location);
  }
  if (found.kind == 'S') {
    if (for_change) {
      raise(error(ErrorCode::kWrongObjectType, "cannot change sequence \"{}\"", name));
    }
    not_implemented("a sequence here", range.location);
  }
  std::shared_ptr<const Relation> relation = context_.catalog->relation(found.oid);
  BOP_ASSERT(relation != nullptr);
  // It shows all sequences, whoever asks.
  if (!sees_sequences_ && relation->is_virtual() && relation->name == kSequenceStates) {
    raise(error(ErrorCode::kInsufficientPrivilege, "permission denied for view {}", name), range.location);
  }
  used_relation(found.oid);
  if (!for_change) {
    ask_for(*relation, right::kSelect);
  }
  return relation;
}

RangeRef Binder::table_entry(const std::shared_ptr<const Relation>& relation, std::string alias, int depth) {
  RangeRef entry = new_entry(RangeKind::kTable, std::move(alias), depth);
  entry->relation = relation;
  // A view sees the columns that there were when it was made. Those dropped since keep their places; it uses
  // none.
  const ViewRead* read = view_ == nullptr ? nullptr : view_->find_read(relation->oid);
  for (const Column& column : relation->columns) {
    const bool visible = read == nullptr
                             ? !column.dropped
                             : std::ranges::find(read->columns, column.number) != read->columns.end();
    if (!visible) {
      continue;
    }
    entry->columns.push_back(
        {.name = column.name,
         .type = column.type,
         .typmod = column.typmod,
         .table = relation->oid,
         .attribute = column.number,
         .not_null = column.not_null,
         .sql = relation->is_virtual() ? "\"" + column.name + "\"" : column_name(column.number)});
  }
  return entry;
}

RangeRef Binder::view_entry(const std::shared_ptr<const Relation>& view, std::string alias, int depth) {
  if (depth_of_views_ >= kMaxViewDepth) {
    raise(error(ErrorCode::kStatementTooComplex, "views are nested more than {} levels", kMaxViewDepth));
  }
  Result<std::vector<ParsedStatementPtr>> parsed = parse(view->view_text);
  if (!parsed) {
    raise(std::move(parsed).error());
  }
  if (parsed->size() != 1 || (*parsed)[0]->node->node_case != PG_QUERY__NODE__NODE_SELECT_STMT) {
    raise(error(ErrorCode::kInternal, "the stored query of view \"{}\" is not one SELECT", view->name));
  }
  const ViewRead* read = view_ == nullptr ? nullptr : view_->find_read(view->oid);
  ++depth_of_views_;
  NamesFound* const outer_found = std::exchange(names_found, nullptr);
  const Relation* const outer_view = std::exchange(view_, view.get());
  RangeRef entry = new_entry(RangeKind::kSubquery, std::move(alias), depth);
  entry->relation = view;
  entry->query = with_text((*parsed)[0], [&] {
    Scope top{.depth = depth};
    return select(*(*parsed)[0]->node->select_stmt, &top, true);
  });
  view_ = outer_view;
  names_found = outer_found;
  --depth_of_views_;
  columns_of_query(*entry, *entry->query);
  std::size_t i = 0;
  for (const Column& column : view->columns) {
    if (!column.dropped && i < entry->columns.size()) {
      entry->columns[i].name = column.name;
      entry->columns[i].table = view->oid;
      entry->columns[i].attribute = column.number;
      ++i;
    }
  }
  if (read != nullptr) {
    std::erase_if(entry->columns, [&](const RangeColumn& column) {
      return std::ranges::find(read->columns, column.attribute) == read->columns.end();
    });
  }
  return entry;
}

void Binder::tell_read(const PgQuery__RangeVar& range, const Relation& relation) {
  if (names_found == nullptr) {
    return;
  }
  if (const Schema* schema = context_.catalog->schema(relation.schema); schema != nullptr) {
    names_found->schemas[&range] = schema->name;
  }
  // Built-in relations are the same for every version of a catalog.
  if (relation.oid < kFirstUserOid) {
    return;
  }
  std::vector<std::int16_t> columns;
  for (const Column& column : relation.columns) {
    if (!column.dropped) {
      columns.push_back(column.number);
    }
  }
  names_found->read(relation.oid).columns = std::move(columns);
}

void Binder::columns_of_query(RangeEntry& entry, const Query& query) const {
  entry.columns.clear();
  for (std::size_t i = 0; i < query.targets.size(); ++i) {
    const Target& target = query.targets[i];
    entry.columns.push_back({.name = target.name,
                             .type = type_of(*target.expr),
                             .typmod = target.expr->typmod,
                             .table = target.table,
                             .attribute = target.attribute,
                             .value_typmod = char_value_typmod(query, i),
                             .sql = fmt::format("o{}", i + 1)});
    if (entry.columns.back().type == types::kRecord) entry.columns.back().fields = fields_of(*target.expr);
  }
}

ScopeItem Binder::scope_item(const RangeRef& entry) const {
  ScopeItem item{.alias = entry->alias, .entry = entry};
  for (std::size_t i = 0; i < entry->columns.size(); ++i) {
    item.columns.emplace_back(entry->columns[i].name, column_of(entry, i));
  }
  return item;
}

void Binder::add_to_scope(Scope& scope, ScopeItem item) {
  if (!item.alias.empty()) {
    for (const ScopeItem& other : scope.items) {
      if (other.alias == item.alias &&
          (other.schema.empty() || item.schema.empty() || other.schema == item.schema)) {
        raise(error(ErrorCode::kDuplicateAlias, "table name \"{}\" specified more than once", item.alias));
      }
    }
  }
  if (item.entry != nullptr) {
    scope.range_table.push_back(item.entry);
  }
  scope.items.push_back(std::move(item));
}

void Binder::rename_columns(RangeEntry& entry, const PgQuery__Alias* alias, std::string_view what) {
  if (alias == nullptr) {
    return;
  }
  if (alias->n_colnames > entry.columns.size()) {
    raise(error(ErrorCode::kInvalidColumnReference,
                "{} \"{}\" has {} columns available but {} columns specified", what, entry.alias,
                entry.columns.size(), alias->n_colnames));
  }
  for (std::size_t i = 0; i < alias->n_colnames; ++i) {
    entry.columns[i].name = pg::string_of(alias->colnames[i]);
  }
}

// ROWS FROM of several functions, and unnest of several arrays, which means the same.
RangeRef Binder::functions_entry(const PgQuery__RangeFunction& range, Scope& scope) {
  std::vector<RangeRef> entries;
  const auto add = [&](ExprRef call, std::string name) {
    if (call->kind != ExprKind::kCall || call->kernel->kind != KernelKind::kSetReturning) {
      not_implemented("ROWS FROM of a function that answers no set");
    }
    if (call->kernel->columns.size() > 1) {
      not_implemented("ROWS FROM of a function that answers several columns");
    }
    if (call->kernel->oid >= kFirstUserOid) {
      not_implemented("a user's function among several in FROM", call->location);
    }
    if (!call->kernel->columns.empty()) name = call->kernel->columns.front().name;
    RangeRef entry = new_entry(RangeKind::kFunction, name, scope.depth);
    entry->columns.push_back({.name = std::move(name),
                              .type = call->type,
                              .value_typmod = char_value_typmod(*call),
                              .sql = "value"});
    entry->function = std::move(call);
    entries.push_back(std::move(entry));
  };
  for (std::size_t i = 0; i < range.n_functions; ++i) {
    const pg::NodeList parts = BOP_PG_LIST(range.functions[i]->list, items);
    const pg::Node& node = *parts[0];
    if (parts.size() > 1 && parts[1] != nullptr && parts[1]->node_case == PG_QUERY__NODE__NODE_LIST &&
        parts[1]->list->n_items > 0) {
      not_implemented("a column definition list of a function",
                      parts[1]->list->items[0]->column_def->location);
    }
    if (!is_unnest_of_several(node)) {
      add(expression(node, scope, Clause::kFrom), pg::target_name(node));
      continue;
    }
    for (const pg::Node* array : BOP_PG_LIST(node.func_call, args)) {
      std::vector<ExprRef> args{resolve_unknown(expression(*array, scope, Clause::kFrom))};
      add(make_call("pg_catalog", "unnest", std::move(args), node.func_call->location, false), "unnest");
    }
  }
  run_together(entries);
  const RangeRef& entry = entries.front();
  if (range.alias != nullptr) entry->alias = pg::text(range.alias->aliasname);
  for (std::size_t i = 1; i < entries.size(); ++i)
    entry->columns.push_back(std::move(entries[i]->columns.front()));
  if (range.ordinality != 0) {
    entry->columns.push_back(
        {.name = "ordinality", .type = types::kInt8, .not_null = true, .sql = "ordinality"});
  }
  rename_columns(*entry, range.alias, "table");
  return entry;
}

RangeRef Binder::function_entry(const PgQuery__RangeFunction& range, Scope& scope) {
  if (range.n_coldeflist > 0) {
    not_implemented("a column definition list of a function", range.coldeflist[0]->column_def->location);
  }
  const pg::NodeList parts = BOP_PG_LIST(range.functions[0]->list, items);
  const pg::Node& node = *parts[0];
  if (range.n_functions == 1) {
    if (RangeRef file = file_entry(node, range, scope)) return file;
  }
  if (range.n_functions > 1 || is_unnest_of_several(node)) {
    return functions_entry(range, scope);
  }
  if (range.is_rowsfrom != 0 && parts.size() > 1 && parts[1] != nullptr &&
      parts[1]->node_case == PG_QUERY__NODE__NODE_LIST && parts[1]->list->n_items > 0) {
    not_implemented("a column definition list of a function", parts[1]->list->items[0]->column_def->location);
  }
  ExprRef call = expression(node, scope, Clause::kFrom);
  const std::string name = pg::target_name(node);
  const std::string alias = range.alias == nullptr ? name : std::string(pg::text(range.alias->aliasname));
  const bool set = call->kind == ExprKind::kCall && call->kernel->kind == KernelKind::kSetReturning;
  if (call->kind == ExprKind::kCall && call->kernel->oid >= kFirstUserOid &&
      (set || call->type == types::kRecord)) {
    if (range.ordinality != 0) {
      not_implemented("WITH ORDINALITY of a user's function", call->location);
    }
    RangeRef entry =
        inline_set(*context_.catalog->function(call->kernel->oid), call->args, alias, scope, call->location);
    rename_columns(*entry, range.alias, "table");
    return entry;
  }
  if (!set) {
    // One row of one value.
    auto query = std::make_shared<Query>();
    query->depth = scope.depth + 1;
    query->targets.push_back({.name = alias, .expr = resolve_unknown(call)});
    if (range.ordinality != 0) {
      query->targets.push_back({.name = "ordinality", .expr = constant(types::kInt8, OwnedValue::of_int(1))});
    }
    RangeRef entry = new_entry(RangeKind::kSubquery, alias, scope.depth);
    entry->query = std::move(query);
    columns_of_query(*entry, *entry->query);
    note_lateral(*entry);
    rename_columns(*entry, range.alias, "table");
    return entry;
  }
  RangeRef entry = new_entry(RangeKind::kFunction, alias, scope.depth);
  if (call->kernel->columns.empty()) {
    entry->columns.push_back({.name = alias,
                              .type = call->type,
                              .typmod = -1,
                              .value_typmod = char_value_typmod(*call),
                              .sql = "value"});
  } else {
    for (const KernelColumn& column : call->kernel->columns) {
      entry->columns.push_back(
          {.name = std::string(column.name), .type = column.type, .sql = fmt::format("\"{}\"", column.name)});
    }
  }
  if (range.ordinality != 0) {
    entry->columns.push_back(
        {.name = "ordinality", .type = types::kInt8, .not_null = true, .sql = "ordinality"});
  }
  entry->function = std::move(call);
  rename_columns(*entry, range.alias, "table");
  return entry;
}

std::unique_ptr<FromNode> Binder::from_item(const pg::Node& node, Scope& scope) {
  auto leaf = std::make_unique<FromNode>();
  switch (node.node_case) {
    case PG_QUERY__NODE__NODE_RANGE_VAR: {
      const PgQuery__RangeVar& range = *node.range_var;
      const std::string_view name = pg::text(range.relname);
      const bool has_alias = range.alias != nullptr;
      std::string alias(has_alias ? pg::text(range.alias->aliasname) : name);
      if (pg::text(range.schemaname).empty()) {
        for (Scope* s = &scope; s != nullptr; s = s->parent) {
          for (const auto& cte : s->ctes) {
            if (cte->name != name) {
              continue;
            }
            if (cte->change != nullptr && !cte->change->has_returning) {
              raise(error(ErrorCode::kNotImplemented, "WITH query \"{}\" does not have a RETURNING clause",
                          name),
                    range.location);
            }
            ++cte->references;
            leaf->entry = new_entry(RangeKind::kCte, std::move(alias), scope.depth);
            leaf->entry->cte = cte;
            leaf->entry->columns = cte->columns;
            rename_columns(*leaf->entry, range.alias, "table");
            add_to_scope(scope, scope_item(leaf->entry));
            return leaf;
          }
        }
      }
      leaf->entry = sequence_item(range, alias, scope);
      if (leaf->entry != nullptr) return leaf;
      const std::shared_ptr<const Relation> relation = find_relation(range, false, &scope);
      leaf->entry = relation->kind == 'v' && !relation->is_virtual()
                        ? view_entry(relation, std::move(alias), scope.depth)
                        : table_entry(relation, std::move(alias), scope.depth);
      leaf->entry->read_by = view_ == nullptr ? Oid{0} : view_->owner;
      tell_read(range, *relation);
      rename_columns(*leaf->entry, range.alias, "table");
      ScopeItem item = scope_item(leaf->entry);
      if (!has_alias) {
        if (const Schema* schema = context_.catalog->schema(relation->schema); schema != nullptr) {
          item.schema = schema->name;
        }
      }
      add_to_scope(scope, std::move(item));
      return leaf;
    }
    case PG_QUERY__NODE__NODE_RANGE_SUBSELECT: {
      leaf->entry = subquery_entry(*node.range_subselect, scope);
      add_to_scope(scope, scope_item(leaf->entry));
      return leaf;
    }
    case PG_QUERY__NODE__NODE_RANGE_FUNCTION: {
      leaf->entry = function_entry(*node.range_function, scope);
      add_to_scope(scope, scope_item(leaf->entry));
      return leaf;
    }
    case PG_QUERY__NODE__NODE_JOIN_EXPR: return join_item(*node.join_expr, scope);
    case PG_QUERY__NODE__NODE_RANGE_TABLE_SAMPLE: {
      leaf->entry = sampled_entry(*node.range_table_sample, scope);
      add_to_scope(scope, scope_item(leaf->entry));
      return leaf;
    }
    case PG_QUERY__NODE__NODE_RANGE_TABLE_FUNC: not_implemented("XMLTABLE", node.range_table_func->location);
    default: not_implemented("this item in FROM");
  }
}

std::unique_ptr<FromNode> Binder::join_item(const PgQuery__JoinExpr& join, Scope& scope) {
  const std::size_t begin = scope.items.size();
  auto node = std::make_unique<FromNode>();
  node->left = from_item(*join.larg, scope);
  const std::size_t middle = scope.items.size();
  {
    // Rows of the right side of these stand without any of the left.
    const bool outer =
        join.jointype == PG_QUERY__JOIN_TYPE__JOIN_RIGHT || join.jointype == PG_QUERY__JOIN_TYPE__JOIN_FULL;
    std::vector<ScopeItem::Lateral> before;
    for (std::size_t i = begin; i < middle; ++i) {
      before.push_back(scope.items[i].lateral);
      scope.items[i].lateral = outer ? ScopeItem::Lateral::kOuterJoin : before.back();
    }
    node->right = from_item(*join.rarg, scope);
    for (std::size_t i = begin; i < middle; ++i) {
      scope.items[i].lateral = before[i - begin];
    }
  }
  switch (join.jointype) {
    case PG_QUERY__JOIN_TYPE__JOIN_INNER: node->join = JoinKind::kInner; break;
    case PG_QUERY__JOIN_TYPE__JOIN_LEFT: node->join = JoinKind::kLeft; break;
    case PG_QUERY__JOIN_TYPE__JOIN_RIGHT: node->join = JoinKind::kRight; break;
    case PG_QUERY__JOIN_TYPE__JOIN_FULL: node->join = JoinKind::kFull; break;
    default: not_implemented("this kind of join");
  }
  // Names that both sides are joined by.
  std::vector<std::string> names;
  const auto columns_between = [&](std::size_t from, std::size_t to) {
    std::vector<std::pair<std::string, ExprRef>> out;
    for (std::size_t i = from; i < to; ++i) {
      if (scope.items[i].columns_visible) {
        out.insert(out.end(), scope.items[i].columns.begin(), scope.items[i].columns.end());
      }
    }
    return out;
  };
  const auto left = columns_between(begin, middle);
  const auto right = columns_between(middle, scope.items.size());
  const auto find_in = [&](const std::vector<std::pair<std::string, ExprRef>>& list, std::string_view name,
                           std::string_view side, bool required) -> ExprRef {
    ExprRef found;
    for (const auto& [column, expr] : list) {
      if (column == name) {
        if (found != nullptr) {
          raise(error(ErrorCode::kAmbiguousColumn,
                      "common column name \"{}\" appears more than once in {} table", name, side));
        }
        found = expr;
      }
    }
    if (found == nullptr && required) {
      raise(error(ErrorCode::kUndefinedColumn,
                  "column \"{}\" specified in USING clause does not exist in {} table", name, side));
    }
    return found;
  };
  if (join.is_natural != 0) {
    for (const auto& [name, expr] : left) {
      if (find_in(right, name, "right", false) != nullptr) {
        names.push_back(name);
      }
    }
    if (names_found != nullptr && !names.empty()) {
      names_found->naturals[&join] = names;
    }
  }
  for (const pg::Node* name : BOP_PG_LIST(&join, using_clause)) {
    names.emplace_back(pg::string_of(name));
  }
  const bool merged = join.is_natural != 0 || join.n_using_clause > 0;
  ScopeItem all;
  if (merged) {
    ExprRef condition;
    for (const std::string& name : names) {
      ExprRef l = named(find_in(left, name, "left", true), -1);
      ExprRef r = named(find_in(right, name, "right", true), -1);
      ExprRef equal = make_operator("=", l, r, -1);
      condition = condition == nullptr ? equal : make_expr(ExprKind::kAnd, types::kBool, {condition, equal});
      const std::vector<ExprRef> both{l, r};
      const Oid type = common_type(both, "JOIN/USING");
      ExprRef merged_column;
      if (node->join == JoinKind::kFull) {
        merged_column = make_expr(
            ExprKind::kCoalesce, type,
            {coerce(l, type, -1, CastContext::kImplicit), coerce(r, type, -1, CastContext::kImplicit)});
      } else {
        merged_column = coerce(node->join == JoinKind::kRight ? r : l, type, -1, CastContext::kImplicit);
      }
      all.columns.emplace_back(name, std::move(merged_column));
    }
    node->on = condition;
  } else if (join.quals != nullptr) {
    Scope on{.parent = scope.parent,
             .query = scope.query,
             .depth = scope.depth,
             .range_table = scope.range_table,
             .ctes = scope.ctes,
             .later_ctes = scope.later_ctes};
    on.items.assign(scope.items.begin() + static_cast<std::ptrdiff_t>(begin), scope.items.end());
    node->on = boolean(*join.quals, on, Clause::kJoin, "JOIN/ON");
  }
  if (node->join == JoinKind::kLeft || node->join == JoinKind::kFull) {
    set_nullable(*node->right);
  }
  if (node->join == JoinKind::kRight || node->join == JoinKind::kFull) {
    set_nullable(*node->left);
  }
  if (!merged && join.alias == nullptr) {
    return node;
  }
  if (join.join_using_alias != nullptr) {
    // It names the columns that both sides are joined by, and hides nothing.
    ScopeItem joined{.alias = std::string(pg::text(join.join_using_alias->aliasname)),
                     .columns = all.columns,
                     .columns_visible = false};
    add_to_scope(scope, std::move(joined));
  }
  const auto add_rest = [&](const std::vector<std::pair<std::string, ExprRef>>& list) {
    for (const auto& [name, expr] : list) {
      if (std::ranges::find(names, name) == names.end()) {
        all.columns.emplace_back(name, expr);
      }
    }
  };
  add_rest(left);
  add_rest(right);
  if (join.alias != nullptr) {
    // The alias hides the tables inside.
    all.alias = pg::text(join.alias->aliasname);
    if (join.alias->n_colnames > all.columns.size()) {
      raise(error(ErrorCode::kInvalidColumnReference,
                  "join expression \"{}\" has {} columns available but {} columns specified", all.alias,
                  all.columns.size(), join.alias->n_colnames));
    }
    for (std::size_t i = 0; i < join.alias->n_colnames; ++i) {
      all.columns[i].first = pg::string_of(join.alias->colnames[i]);
    }
    scope.items.resize(begin);
  } else {
    for (std::size_t i = begin; i < scope.items.size(); ++i) {
      scope.items[i].columns_visible = false;
    }
  }
  add_to_scope(scope, std::move(all));
  return node;
}

}  // namespace bop::sql
