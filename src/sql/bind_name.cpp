// Names: columns, stars, the names of output columns.
#include <algorithm>

#include <fmt/format.h>

#include "sql/binder.hpp"
#include "sql/functions/kernels.hpp"

namespace bop::sql {

std::string name_list(pg::NodeList names) {
  std::string out;
  for (const pg::Node* node : names) {
    out += out.empty() ? "" : ".";
    out += node->node_case == PG_QUERY__NODE__NODE_A_STAR ? std::string_view("*") : pg::string_of(node);
  }
  return out;
}

ExprRef Binder::column_of(const RangeRef& entry, std::size_t index, int location) const {
  const RangeColumn& column = entry->columns[index];
  ExprRef e = make_expr(ExprKind::kColumn, column.type, {}, location);
  e->typmod = column.typmod;
  e->entry = entry;
  e->number = static_cast<int>(index);
  return e;
}

namespace {

void tell_columns(NamesFound& found, const Expr& e) {
  if (e.kind == ExprKind::kColumn && e.entry != nullptr) {
    const RangeColumn& column = e.entry->columns[static_cast<std::size_t>(e.number)];
    if (column.table >= kFirstUserOid) {
      found.use(column.table, column.attribute);
    }
  }
  for (const ExprRef& arg : e.args) {
    if (arg != nullptr) {
      tell_columns(found, *arg);
    }
  }
}

bool same_column(const ExprRef& a, const ExprRef& b) {
  return a == b || (a->kind == ExprKind::kColumn && b->kind == ExprKind::kColumn && a->entry == b->entry &&
                    a->number == b->number);
}

// What `alias`.`name` (an empty alias: the bare name) means: all candidates of the innermost scope that has
// any.
std::vector<ExprRef> meanings(std::string_view alias, std::string_view name, const Scope& scope) {
  std::vector<ExprRef> out;
  for (const Scope* s = &scope; s != nullptr && out.empty(); s = s->parent) {
    for (const ScopeItem& item : s->items) {
      if (alias.empty() ? !item.columns_visible : item.alias != alias) {
        continue;
      }
      const std::size_t before = out.size();
      for (const auto& [column, expr] : item.columns) {
        if (column == name) {
          out.push_back(expr);
        }
      }
      if (!alias.empty() && out.size() == before) {
        return {};  // the name hides tables of outer queries
      }
    }
  }
  return out;
}

}  // namespace

ExprRef Binder::named(const ExprRef& e, int location) {
  if (names_found != nullptr) {
    tell_columns(*names_found, *e);
  }
  visit(*e, [&](const Expr& part) {
    if (part.kind == ExprKind::kColumn && part.entry != nullptr) {
      note_read(*part.entry, static_cast<std::size_t>(part.number));
    }
    return true;
  });
  // A reference has a location of its own; a merged column of USING is an expression already.
  auto copy = std::make_shared<Expr>(*e);
  copy->location = location;
  return copy;
}

std::vector<std::string> Binder::reference_to(const ScopeItem& item, const Scope& owner,
                                              const std::string& name, const ExprRef& e,
                                              const Scope& scope) const {
  const auto means_it = [&](std::string_view alias) {
    const std::vector<ExprRef> found_there = meanings(alias, name, scope);
    return found_there.size() == 1 && same_column(found_there.front(), e);
  };
  if (!item.alias.empty() && means_it(item.alias)) {
    return {item.alias, name};
  }
  // A column of a join without a name belongs to one of the tables joined.
  for (const ScopeItem& other : owner.items) {
    if (item.alias.empty() && !other.alias.empty() && e->entry != nullptr && other.entry == e->entry &&
        means_it(other.alias)) {
      return {other.alias, name};
    }
  }
  if (means_it({})) {
    return {name};
  }
  return {};
}

ExprRef Binder::find_column(std::string_view name, Scope& scope, int location,
                            std::vector<std::string>* reference) {
  for (Scope* s = &scope; s != nullptr; s = s->parent) {
    ExprRef found;
    const ScopeItem* place = nullptr;
    for (const ScopeItem& item : s->items) {
      if (!item.columns_visible) {
        continue;
      }
      for (const auto& [column, expr] : item.columns) {
        if (column != name) {
          continue;
        }
        if (found != nullptr) {
          raise(error(ErrorCode::kAmbiguousColumn, "column reference \"{}\" is ambiguous", name), location);
        }
        found = expr;
        place = &item;
      }
    }
    if (found != nullptr) {
      check_lateral(*place, location);
      if (reference != nullptr) {
        *reference = reference_to(*place, *s, std::string(name), found, scope);
      }
      return named(found, location);
    }
  }
  return nullptr;
}

void Binder::check_qualification(const PgQuery__ColumnRef& ref) const {
  const pg::NodeList fields = BOP_PG_LIST(&ref, fields);
  if (fields.size() > 4) {
    raise(error(ErrorCode::kSyntaxError, "improper qualified name (too many dotted names): {}",
                name_list(fields)),
          ref.location);
  }
  if (fields.size() == 4 && pg::string_of(fields[0]) != context_.database) {
    raise(error(ErrorCode::kNotImplemented, "cross-database references are not implemented: {}",
                name_list(fields)),
          ref.location);
  }
}

// t.* where one value is wanted.
ExprRef Binder::whole_row_star(const PgQuery__ColumnRef& ref, Scope& scope) {
  check_qualification(ref);
  const pg::NodeList fields = BOP_PG_LIST(&ref, fields);
  const std::string_view table = pg::string_of(fields[fields.size() - 2]);
  const std::string_view schema =
      fields.size() > 2 ? pg::string_of(fields[fields.size() - 3]) : std::string_view();
  for (Scope* s = &scope; s != nullptr; s = s->parent) {
    for (const ScopeItem& item : s->items) {
      if (item.alias == table && (schema.empty() || item.schema == schema))
        return whole_row(item, ref.location);
    }
  }
  raise_missing_table(schema, table, scope, ref.location);
}

ExprRef Binder::column_reference(const PgQuery__ColumnRef& ref, Scope& scope) {
  const pg::NodeList fields = BOP_PG_LIST(&ref, fields);
  if (fields.back()->node_case == PG_QUERY__NODE__NODE_A_STAR) {
    if (fields.size() > 1) return whole_row_star(ref, scope);
    raise(error(ErrorCode::kSyntaxError, "row expansion via \"*\" is not supported here"), ref.location);
  }
  if (scope.clause == Clause::kDefault) {
    raise(error(ErrorCode::kNotImplemented, "cannot use column reference in DEFAULT expression"),
          ref.location);
  }
  const std::string_view column = pg::string_of(fields.back());
  ExprRef value = fields.size() == 1
                      ? named_value({}, column, ref.location)
                      : named_value(pg::string_of(fields[fields.size() - 2]), column, ref.location);
  const bool by_value = value != nullptr && !text_hidden_;
  if (by_value && context_.names->conflict() == NamedValues::Conflict::kValue) {
    return value;
  }
  const auto refuse_both = [&] {
    if (by_value && context_.names->conflict() == NamedValues::Conflict::kError) {
      raise(error(ErrorCode::kAmbiguousColumn, "column reference \"{}\" is ambiguous", name_list(fields))
                .detail("It could refer to either a PL/pgSQL variable or a table column."),
            ref.location);
    }
  };
  if (fields.size() == 1) {
    std::vector<std::string> reference;
    if (ExprRef e = find_column(column, scope, ref.location, names_found == nullptr ? nullptr : &reference);
        e != nullptr) {
      if (!reference.empty()) {
        names_found->columns[&ref] = std::move(reference);
      }
      refuse_both();
      return e;
    }
    if (value != nullptr) {
      return value;
    }
    for (Scope* s = &scope; s != nullptr; s = s->parent) {
      for (const ScopeItem& item : s->items) {
        if (item.alias == column) {
          // Of a function that answers values, not rows, it is the value.
          if (item.entry != nullptr && item.entry->kind == RangeKind::kFunction && item.columns.size() == 1) {
            return named(item.columns.front().second, ref.location);
          }
          return whole_row(item, ref.location);
        }
      }
    }
    if (column == "tableoid") {
      for (const ScopeItem& item : scope.items) {
        if (item.entry != nullptr && item.entry->relation != nullptr) {
          return constant(types::kOid, OwnedValue::of_int(item.entry->relation->oid), ref.location);
        }
      }
    }
    raise_missing_column({}, column, scope, ref.location);
  }
  check_qualification(ref);
  const std::string_view table = pg::string_of(fields[fields.size() - 2]);
  const std::string_view schema =
      fields.size() > 2 ? pg::string_of(fields[fields.size() - 3]) : std::string_view();
  for (Scope* s = &scope; s != nullptr; s = s->parent) {
    for (const ScopeItem& item : s->items) {
      if (item.alias != table || (!schema.empty() && item.schema != schema)) {
        continue;
      }
      check_lateral(item, ref.location);
      const auto is_it = [&](const auto& named_column) { return named_column.first == column; };
      if (std::ranges::count_if(item.columns, is_it) > 1) {
        raise(error(ErrorCode::kAmbiguousColumn, "column reference \"{}\" is ambiguous", column),
              ref.location);
      }
      for (const auto& [name, expr] : item.columns) {
        if (name == column) {
          if (names_found != nullptr) {
            if (auto reference = reference_to(item, *s, name, expr, scope); !reference.empty()) {
              names_found->columns[&ref] = std::move(reference);
            }
          }
          refuse_both();
          return named(expr, ref.location);
        }
      }
      if (column == "tableoid" && item.entry != nullptr && item.entry->relation != nullptr) {
        return constant(types::kOid, OwnedValue::of_int(item.entry->relation->oid), ref.location);
      }
      if (value != nullptr) {
        return value;
      }
      raise_missing_column(table, column, scope, ref.location);
    }
  }
  if (value != nullptr) {
    return value;
  }
  raise_missing_table(schema, table, scope, ref.location);
}

std::vector<Target> Binder::expand_star(const PgQuery__ColumnRef& ref, Scope& scope) {
  const pg::NodeList fields = BOP_PG_LIST(&ref, fields);
  std::vector<Target> out;
  NamesFound::Star star;
  bool expressible = true;
  const auto add = [&](const ScopeItem& item, const Scope& owner) {
    for (const auto& [name, expr] : item.columns) {
      if (names_found != nullptr) {
        star.columns.push_back(reference_to(item, owner, name, expr, scope));
        expressible = expressible && !star.columns.back().empty();
      }
      Target target{.name = name, .expr = named(expr, ref.location)};
      if (expr->kind == ExprKind::kColumn) {
        const RangeColumn& column = expr->entry->columns[static_cast<std::size_t>(expr->number)];
        target.table = column.table;
        target.attribute = column.attribute;
      }
      out.push_back(std::move(target));
    }
  };
  if (fields.size() == 2 && context_.names != nullptr && !text_hidden_) {
    for (const auto& [name, found] : context_.names->fields(pg::string_of(fields[0]))) {
      out.push_back({.name = name, .expr = parameter_of(found, ref.location)});
    }
    if (!out.empty()) {
      return out;
    }
  }
  if (fields.size() == 1) {
    if (scope.items.empty()) {
      raise(error(ErrorCode::kSyntaxError, "SELECT * with no tables specified is not valid"), ref.location);
    }
    for (const ScopeItem& item : scope.items) {
      if (item.columns_visible) {
        add(item, scope);
      }
    }
    if (names_found != nullptr && expressible && !out.empty()) {
      names_found->stars[&ref] = std::move(star);
    }
    return out;
  }
  check_qualification(ref);
  const std::string_view table = pg::string_of(fields[fields.size() - 2]);
  const std::string_view schema =
      fields.size() > 2 ? pg::string_of(fields[fields.size() - 3]) : std::string_view();
  for (Scope* s = &scope; s != nullptr; s = s->parent) {
    for (const ScopeItem& item : s->items) {
      if (item.alias == table && (schema.empty() || item.schema == schema)) {
        add(item, *s);
        if (names_found != nullptr && expressible && !out.empty()) {
          names_found->stars[&ref] = std::move(star);
        }
        return out;
      }
    }
  }
  raise_missing_table(schema, table, scope, ref.location);
}

std::vector<Target> Binder::target_list(pg::NodeList list, Scope& scope, Clause clause) {
  std::vector<Target> out;
  for (const pg::Node* node : list) {
    const PgQuery__ResTarget& target = *node->res_target;
    if (target.val->node_case == PG_QUERY__NODE__NODE_COLUMN_REF) {
      const PgQuery__ColumnRef& ref = *target.val->column_ref;
      if (ref.fields[ref.n_fields - 1]->node_case == PG_QUERY__NODE__NODE_A_STAR) {
        for (Target& t : expand_star(ref, scope)) {
          out.push_back(std::move(t));
        }
        continue;
      }
    }
    if (target.val->node_case == PG_QUERY__NODE__NODE_A_INDIRECTION) {
      const PgQuery__AIndirection& part = *target.val->a_indirection;
      if (part.indirection[part.n_indirection - 1]->node_case == PG_QUERY__NODE__NODE_A_STAR) {
        scope.clause = clause;
        std::ranges::move(expand_fields(part, scope), std::back_inserter(out));
        continue;
      }
    }
    Target made;
    made.expr = expression(*target.val, scope, clause);
    const std::string_view name = pg::text(target.name);
    made.name = name.empty() ? pg::target_name(*target.val) : std::string(name);
    if (made.expr->kind == ExprKind::kColumn) {
      const RangeColumn& column = made.expr->entry->columns[static_cast<std::size_t>(made.expr->number)];
      made.table = column.table;
      made.attribute = column.attribute;
    }
    out.push_back(std::move(made));
  }
  return out;
}

namespace {

// The name that an expression suggests and how strongly: 0 none, 1 weak, 2 strong.
int suggest_name(const pg::Node* node, std::string& name) {
  if (node == nullptr) {
    return 0;
  }
  const auto strong = [&](std::string_view n) {
    name = n;
    return 2;
  };
  switch (node->node_case) {
    case PG_QUERY__NODE__NODE_COLUMN_REF: {
      for (std::size_t i = node->column_ref->n_fields; i-- > 0;) {  // a star has no name
        if (const std::string_view field = pg::string_of(node->column_ref->fields[i]); !field.empty()) {
          return strong(field);
        }
      }
      return 0;
    }
    case PG_QUERY__NODE__NODE_A_INDIRECTION: {
      for (std::size_t i = node->a_indirection->n_indirection; i-- > 0;) {
        if (const std::string_view field = pg::string_of(node->a_indirection->indirection[i]);
            !field.empty()) {
          return strong(field);
        }
      }
      return suggest_name(node->a_indirection->arg, name);
    }
    case PG_QUERY__NODE__NODE_FUNC_CALL: return strong(pg::last_name(BOP_PG_LIST(node->func_call, funcname)));
    case PG_QUERY__NODE__NODE_A_EXPR:
      return node->a_expr->kind == PG_QUERY__A__EXPR__KIND__AEXPR_NULLIF ? strong("nullif") : 0;
    case PG_QUERY__NODE__NODE_TYPE_CAST: {
      const int strength = suggest_name(node->type_cast->arg, name);
      if (strength > 1) {
        return strength;
      }
      name = pg::last_name(BOP_PG_LIST(node->type_cast->type_name, names));
      return 1;
    }
    case PG_QUERY__NODE__NODE_COLLATE_CLAUSE: return suggest_name(node->collate_clause->arg, name);
    case PG_QUERY__NODE__NODE_GROUPING_FUNC: return strong("grouping");
    case PG_QUERY__NODE__NODE_SUB_LINK: {
      const PgQuery__SubLink& link = *node->sub_link;
      if (link.sub_link_type == PG_QUERY__SUB_LINK_TYPE__EXISTS_SUBLINK) {
        return strong("exists");
      }
      if (link.sub_link_type == PG_QUERY__SUB_LINK_TYPE__ARRAY_SUBLINK) {
        return strong("array");
      }
      if (link.sub_link_type == PG_QUERY__SUB_LINK_TYPE__EXPR_SUBLINK && link.subselect != nullptr &&
          link.subselect->node_case == PG_QUERY__NODE__NODE_SELECT_STMT) {
        const PgQuery__SelectStmt* select = link.subselect->select_stmt;
        while (select->larg != nullptr) {
          select = select->larg;
        }
        if (select->n_target_list > 0) {
          const PgQuery__ResTarget& target = *select->target_list[0]->res_target;
          if (const std::string_view given = pg::text(target.name); !given.empty()) {
            return strong(given);
          }
          return suggest_name(target.val, name);
        }
        if (select->n_values_lists > 0) {
          return strong("column1");
        }
      }
      return 0;
    }
    case PG_QUERY__NODE__NODE_CASE_EXPR: {
      const int strength = suggest_name(node->case_expr->defresult, name);
      if (strength > 1) {
        return strength;
      }
      name = "case";
      return 1;
    }
    case PG_QUERY__NODE__NODE_A_ARRAY_EXPR: return strong("array");
    case PG_QUERY__NODE__NODE_ROW_EXPR: return strong("row");
    case PG_QUERY__NODE__NODE_COALESCE_EXPR: return strong("coalesce");
    case PG_QUERY__NODE__NODE_MIN_MAX_EXPR:
      return strong(node->min_max_expr->op == PG_QUERY__MIN_MAX_OP__IS_GREATEST ? "greatest" : "least");
    case PG_QUERY__NODE__NODE_SQLVALUE_FUNCTION:
      switch (node->sqlvalue_function->op) {
        case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_DATE: return strong("current_date");
        case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_TIME:
        case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_TIME_N: return strong("current_time");
        case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_TIMESTAMP:
        case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_TIMESTAMP_N: return strong("current_timestamp");
        case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_LOCALTIME:
        case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_LOCALTIME_N: return strong("localtime");
        case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_LOCALTIMESTAMP:
        case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_LOCALTIMESTAMP_N: return strong("localtimestamp");
        case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_ROLE: return strong("current_role");
        case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_USER: return strong("current_user");
        case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_USER: return strong("user");
        case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_SESSION_USER: return strong("session_user");
        case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_CATALOG: return strong("current_catalog");
        case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_SCHEMA: return strong("current_schema");
        default: return 0;
      }
    default: return 0;
  }
}

}  // namespace

std::string pg::target_name(const pg::Node& node) {
  std::string name;
  return suggest_name(&node, name) > 0 ? name : "?column?";
}

}  // namespace bop::sql
