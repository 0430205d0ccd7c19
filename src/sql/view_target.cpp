#include "sql/view_target.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "sql/binder.hpp"
#include "sql/functions/kernels.hpp"
#include "sql/tree_search.hpp"

namespace bop::sql {

namespace {

struct Verb {
  std::string_view cannot;  // "cannot insert into view"
  std::string_view doing;
  std::string_view event;
};

Verb verb_of(char kind) {
  switch (kind) {
    case 'i': return {"insert into", "inserting into", "INSERT"};
    case 'u': return {"update", "updating", "UPDATE"};
    default: return {"delete from", "deleting from", "DELETE"};
  }
}

[[noreturn]] void refuse(const Binder& binder, const Relation& view, char kind, std::string_view why) {
  const Verb verb = verb_of(kind);
  binder.raise(
      error(ErrorCode::kNotInPrerequisiteState, "cannot {} view \"{}\"", verb.cannot, view.name)
          .detail(std::string(why))
          .hint(fmt::format("To enable {} the view, provide an INSTEAD OF {} trigger or an unconditional ON "
                            "{} DO INSTEAD rule.",
                            verb.doing, verb.event, verb.event)));
}

// FROM of the view's text.
std::size_t from_items(const Relation& view) {
  const auto parsed = parse(view.view_text);
  if (!parsed || parsed->size() != 1 || (*parsed)[0]->node->node_case != PG_QUERY__NODE__NODE_SELECT_STMT) {
    return 0;
  }
  return (*parsed)[0]->node->select_stmt->n_from_clause;
}

// Whether the option of the view, or that of one above which cascades, checks its WHERE.
bool is_checked(const RangeEntry& level, bool& cascades) {
  const std::vector<std::string>& options = level.relation->options;
  const auto has = [&](std::string_view option) {
    return std::ranges::find(options, option) != options.end();
  };
  cascades = cascades || has(kCheckCascaded);
  return cascades || has(kCheckLocal);
}

const RangeRef& source_of(const RangeEntry& view) { return view.query->from.front()->entry; }

}  // namespace

const ExprRef& merged_column(const Expr& e) {
  const std::string& name = e.entry->columns[static_cast<std::size_t>(e.number)].sql;  // "o3"
  return e.entry->query->targets[static_cast<std::size_t>(std::stoi(name.substr(1))) - 1].expr;
}

std::string_view not_updatable(const Query& query, std::size_t written) {
  if (query.distinct || !query.distinct_on.empty()) {
    return "Views containing DISTINCT are not automatically updatable.";
  }
  if (query.grouped_by) {
    return "Views containing GROUP BY are not automatically updatable.";
  }
  if (query.having != nullptr) {
    return "Views containing HAVING are not automatically updatable.";
  }
  if (query.kind == QueryKind::kSetOperation) {
    return "Views containing UNION, INTERSECT, or EXCEPT are not automatically updatable.";
  }
  if (!query.ctes.empty()) {
    return "Views containing WITH are not automatically updatable.";
  }
  if (query.limit != nullptr || query.offset != nullptr) {
    return "Views containing LIMIT or OFFSET are not automatically updatable.";
  }
  if (query.grouped) {
    return "Views that return aggregate functions are not automatically updatable.";
  }
  for (const Target& target : query.targets) {
    bool windows = false;
    visit(*target.expr, [&](const Expr& part) {
      windows = windows || part.kind == ExprKind::kWindow;
      return !windows && part.query == nullptr;
    });
    if (windows) {
      return "Views that return window functions are not automatically updatable.";
    }
  }
  if (query.kind == QueryKind::kSelect && query.from.size() > written) {
    return "Views that return set-returning functions are not automatically updatable.";
  }
  const RangeEntry* source =
      query.kind != QueryKind::kSelect || query.from.size() != 1 ? nullptr : query.from.front()->entry.get();
  if (source == nullptr || source->relation == nullptr ||
      (source->kind != RangeKind::kTable && source->kind != RangeKind::kSubquery)) {
    return "Views that do not select from a single table or view are not automatically updatable.";
  }
  return {};
}

const Column* updatable_column(const RangeEntry& view, std::size_t column) {
  Expr e;
  e.kind = ExprKind::kColumn;
  e.entry = std::shared_ptr<RangeEntry>(std::shared_ptr<void>(), const_cast<RangeEntry*>(&view));
  e.number = static_cast<int>(column);
  const Expr& behind = *merged_column(e);
  if (behind.kind != ExprKind::kColumn || behind.entry == nullptr || behind.entry != source_of(view)) {
    return nullptr;
  }
  const RangeEntry& source = *behind.entry;
  const auto place = static_cast<std::size_t>(behind.number);
  return source.kind == RangeKind::kTable ? source.relation->find_column(source.columns[place].attribute)
                                          : updatable_column(source, place);
}

void Binder::bind_target(Change& change, const PgQuery__RangeVar& name, Scope& scope, Rights rights) {
  const std::shared_ptr<const Relation> named = find_relation(name, true);
  const auto refuse_catalog = [&](const Relation& relation) {
    if (relation.is_virtual()) {
      raise(error(ErrorCode::kInsufficientPrivilege, "permission denied: \"{}\" is a system catalog",
                  relation.name));
    }
  };
  refuse_catalog(*named);
  ask_for(*named, rights);
  const std::string alias(name.alias == nullptr ? std::string_view(named->name)
                                                : pg::text(name.alias->aliasname));
  if (named->kind != 'v') {
    change.target = table_entry(named, alias, 1);
  } else {
    auto view = std::make_shared<ViewTarget>();
    view->view = named;
    view->entry = view_entry(named, alias, 1);
    RangeRef level = view->entry;
    std::vector<ExprRef> conditions;
    while (level->kind == RangeKind::kSubquery) {
      if (const std::string_view why = not_updatable(*level->query, from_items(*level->relation));
          !why.empty()) {
        refuse(*this, *level->relation, change.kind, why);
      }
      level->merged = true;
      view->levels.push_back(level);
      if (level->query->where != nullptr) {
        conditions.push_back(level->query->where);
      }
      const RangeRef& next = source_of(*level);
      refuse_catalog(*next->relation);
      ask_for(*next->relation, rights, level->relation->owner);
      level = next;
    }
    for (const RangeRef& each : view->levels) {
      bool any = false;
      for (std::size_t i = 0; i < each->columns.size(); ++i) {
        any = any || updatable_column(*each, i) != nullptr;
      }
      if (!any && change.kind != 'd') {
        refuse(*this, *each->relation, change.kind,
               "Views that have no updatable columns are not automatically updatable.");
      }
    }
    change.target = level;
    change.target->depth = 1;
    change.view = std::move(view);
    if (change.kind != 'i' && !conditions.empty()) {
      change.where = conditions.size() == 1 ? conditions.front()
                                            : make_expr(ExprKind::kAnd, types::kBool, std::move(conditions));
    }
  }
  if (change.kind != 'i') {
    add_to_scope(scope, target_item(change));
  }
}

ScopeItem Binder::target_item(const Change& change) const {
  return scope_item(change.view == nullptr ? change.target : change.view->entry);
}

const Relation& Binder::named_relation(const Change& change) {
  return change.view == nullptr ? *change.target->relation : *change.view->view;
}

// The columns that an INSERT without a list of columns names; nullptr for one that cannot be assigned to.
std::vector<Binder::TargetColumn> Binder::target_columns(const Change& change) const {
  std::vector<TargetColumn> out;
  if (change.view == nullptr) {
    for (const Column& column : change.target->relation->columns) {
      if (!column.dropped) {
        out.push_back({.name = column.name, .column = &column});
      }
    }
    return out;
  }
  const RangeEntry& entry = *change.view->entry;
  for (std::size_t i = 0; i < entry.columns.size(); ++i) {
    out.push_back({.name = entry.columns[i].name, .column = updatable_column(entry, i)});
  }
  return out;
}

const Column* Binder::assigned_column(const Change& change, std::string_view name, int location) const {
  const std::vector<TargetColumn> columns = target_columns(change);
  const auto found = std::ranges::find(columns, name, &TargetColumn::name);
  if (found == columns.end()) {
    raise(error(ErrorCode::kUndefinedColumn, "column \"{}\" of relation \"{}\" does not exist", name,
                named_relation(change).name),
          location);
  }
  refuse_computed(change, *found);
  return found->column;
}

void Binder::refuse_computed(const Change& change, const TargetColumn& column) const {
  if (column.column == nullptr) {
    raise(error(ErrorCode::kNotImplemented, "cannot {} column \"{}\" of view \"{}\"",
                change.kind == 'i' ? "insert into" : "update", column.name, named_relation(change).name)
              .detail("View columns that are not columns of their base relation are not updatable."));
  }
}

// The WHERE of the views whose options say so, over the row as it will be stored; the lowest is told first.
// The view is bound once more, over an entry of its own.
void Binder::bind_view_checks(Change& change) {
  if (change.view == nullptr || change.kind == 'd') {
    return;
  }
  bool cascades = false;
  if (std::ranges::none_of(change.view->levels,
                           [&](const RangeRef& level) { return is_checked(*level, cascades); })) {
    return;
  }
  if (change.new_row == nullptr) {
    change.new_row = change.generated_from;
  }
  if (change.new_row == nullptr) {
    change.new_row = table_entry(change.target->relation, change.target->relation->name, 1);
    change.new_row->kind = RangeKind::kExcluded;
    change.new_row->bare = true;
  }
  cascades = false;
  std::vector<Change::Check> checks;
  RangeRef level = view_entry(change.view->view, "", 1);
  while (level->kind == RangeKind::kSubquery) {
    level->merged = true;
    if (is_checked(*level, cascades) && level->query->where != nullptr) {
      checks.push_back({.name = level->relation->name, .expr = level->query->where, .option = true});
    }
    level = source_of(*level);
  }
  level->kind = RangeKind::kExcluded;
  level->bare = true;
  change.checked_row = level;
  std::ranges::reverse(checks);
  std::ranges::move(checks, std::back_inserter(change.checks));
}

namespace {

struct Updatability {
  std::string_view why;
  std::vector<std::int16_t> columns;
};

Updatability updatability(const std::shared_ptr<const Catalog>& catalog,
                          const std::shared_ptr<const Relation>& view) {
  Updatability out;
  const auto parsed = parse(view->view_text);
  if (!parsed || parsed->size() != 1) {
    out.why = "Views that do not select from a single table or view are not automatically updatable.";
    return out;
  }
  const BindContext context{.catalog = catalog};
  try {
    Binder binder(parsed->front(), context, {});
    RangeRef level = binder.view_entry(view, "", 1);
    const RangeRef top = level;
    while (level->kind == RangeKind::kSubquery) {
      out.why = not_updatable(*level->query, from_items(*level->relation));
      if (!out.why.empty()) {
        return out;
      }
      level = source_of(*level);
    }
    if (level->relation->is_virtual()) {
      out.why = "Views that do not select from a single table or view are not automatically updatable.";
      return out;
    }
    for (std::size_t i = 0; i < top->columns.size(); ++i) {
      if (updatable_column(*top, i) != nullptr) {
        out.columns.push_back(top->columns[i].attribute);
      }
    }
    if (out.columns.empty()) {
      out.why = "Views that have no updatable columns are not automatically updatable.";
    }
  } catch (const BindFailure&) {
    out.why = "Views that do not select from a single table or view are not automatically updatable.";
  }
  return out;
}

}  // namespace

std::optional<std::vector<std::int16_t>> updatable_columns(const std::shared_ptr<const Catalog>& catalog,
                                                           const std::shared_ptr<const Relation>& view) {
  Updatability found = updatability(catalog, view);
  if (!found.why.empty()) {
    return std::nullopt;
  }
  return std::move(found.columns);
}

std::string_view why_not_updatable(const std::shared_ptr<const Catalog>& catalog,
                                   const std::shared_ptr<const Relation>& view) {
  return updatability(catalog, view).why;
}

}  // namespace bop::sql
