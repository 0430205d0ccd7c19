#include "sql/with_recursion.hpp"

#include <algorithm>
#include <functional>

namespace bop::sql {

namespace {

// Where in an item's query a reference stands, as far as it matters for recursion.
enum class Place { kAllowed, kNonRecursiveTerm, kSubquery, kOuterJoin, kIntersect, kExcept };

// Finds the references of a query to names of WITH; names that an inner WITH hides are not reported.
class References {
 public:
  using Found = std::function<void(const PgQuery__RangeVar&, Place)>;

  explicit References(Found found) : found_(std::move(found)) {}

  void walk(const pg::Node& node, Place place) { walk(&node.base, place); }
  void walk_select(const PgQuery__SelectStmt& select, Place place) { walk(&select.base, place); }
  void walk_with(const PgQuery__WithClause& with, Place place) {
    enter_with(with, place, [] {});
  }

 private:
  void walk(const ProtobufCMessage* message, Place place) {
    if (message == nullptr) {
      return;
    }
    if (message->descriptor == &pg_query__range_var__descriptor) {
      const auto& range = *reinterpret_cast<const PgQuery__RangeVar*>(message);
      if (pg::text(range.schemaname).empty() &&
          std::ranges::find(hidden_, pg::text(range.relname)) == hidden_.end()) {
        found_(range, place);
      }
      return;
    }
    if (message->descriptor == &pg_query__select_stmt__descriptor) {
      const auto& stmt = *reinterpret_cast<const PgQuery__SelectStmt*>(message);
      if (stmt.with_clause != nullptr) {
        enter_with(*stmt.with_clause, place, [&] { select(stmt, place); });
      } else {
        select(stmt, place);
      }
      return;
    }
    if (message->descriptor == &pg_query__with_clause__descriptor) {
      return;  // enter_with has seen it
    }
    if (message->descriptor == &pg_query__join_expr__descriptor) {
      const auto& join = *reinterpret_cast<const PgQuery__JoinExpr*>(message);
      const Place null_side = place == Place::kAllowed ? Place::kOuterJoin : place;
      const bool left_nulls =
          join.jointype == PG_QUERY__JOIN_TYPE__JOIN_RIGHT || join.jointype == PG_QUERY__JOIN_TYPE__JOIN_FULL;
      const bool right_nulls =
          join.jointype == PG_QUERY__JOIN_TYPE__JOIN_LEFT || join.jointype == PG_QUERY__JOIN_TYPE__JOIN_FULL;
      walk(&join.larg->base, left_nulls ? null_side : place);
      walk(&join.rarg->base, right_nulls ? null_side : place);
      if (join.quals != nullptr) {
        walk(&join.quals->base, place);
      }
      return;
    }
    if (message->descriptor == &pg_query__sub_link__descriptor) {
      const auto& link = *reinterpret_cast<const PgQuery__SubLink*>(message);
      if (link.testexpr != nullptr) {
        walk(&link.testexpr->base, place);
      }
      walk(&link.subselect->base, Place::kSubquery);
      return;
    }
    walk_fields(message, place);
  }

  void select(const PgQuery__SelectStmt& stmt, Place place) {
    const bool intersect = stmt.op == PG_QUERY__SET_OPERATION__SETOP_INTERSECT;
    const bool except = stmt.op == PG_QUERY__SET_OPERATION__SETOP_EXCEPT;
    if (place != Place::kAllowed || (!intersect && !except)) {
      walk_fields(&stmt.base, place);
      return;
    }
    const Place all = intersect ? Place::kIntersect : Place::kExcept;
    walk(&stmt.larg->base, stmt.all != 0 ? all : place);
    walk(&stmt.rarg->base, except || stmt.all != 0 ? all : place);
    for (const auto& list : {BOP_PG_LIST(&stmt, sort_clause), BOP_PG_LIST(&stmt, locking_clause)}) {
      for (const pg::Node* node : list) {
        walk(&node->base, place);
      }
    }
    for (const pg::Node* node : {stmt.limit_count, stmt.limit_offset}) {
      if (node != nullptr) {
        walk(&node->base, place);
      }
    }
  }

  template <class Body>
  void enter_with(const PgQuery__WithClause& with, Place place, Body body) {
    const std::size_t before = hidden_.size();
    const auto hide = [&](const pg::Node* node) {
      hidden_.emplace_back(pg::text(node->common_table_expr->ctename));
    };
    const pg::NodeList items = BOP_PG_LIST(&with, ctes);
    if (with.recursive != 0) {
      std::ranges::for_each(items, hide);
    }
    for (const pg::Node* node : items) {
      walk(&node->common_table_expr->ctequery->base, place);
      if (with.recursive == 0) {
        hide(node);
      }
    }
    body();
    hidden_.resize(before);
  }

  void walk_fields(const ProtobufCMessage* message, Place place) {
    pg::for_each_child(message, [&](const ProtobufCMessage* child) { walk(child, place); });
  }

  Found found_;
  std::vector<std::string_view> hidden_;
};

std::string_view place_name(Place place) {
  switch (place) {
    case Place::kNonRecursiveTerm: return "its non-recursive term";
    case Place::kSubquery: return "a subquery";
    case Place::kOuterJoin: return "an outer join";
    case Place::kIntersect: return "INTERSECT";
    case Place::kExcept: return "EXCEPT";
    case Place::kAllowed: break;
  }
  return "";
}

int location_of(const pg::Node& node) {
  switch (node.node_case) {
    case PG_QUERY__NODE__NODE_A_CONST: return node.a_const->location;
    case PG_QUERY__NODE__NODE_COLUMN_REF: return node.column_ref->location;
    case PG_QUERY__NODE__NODE_PARAM_REF: return node.param_ref->location;
    case PG_QUERY__NODE__NODE_SORT_BY: return location_of(*node.sort_by->node);
    default: return -1;
  }
}

using Checked = std::expected<void, RecursionProblem>;

Checked check_form(const PgQuery__CommonTableExpr& item) {
  const std::string_view name = pg::text(item.ctename);
  const auto refuse = [](Error e, int location) {
    return std::unexpected(RecursionProblem{.error = std::move(e), .location = location});
  };
  if (item.ctequery->node_case != PG_QUERY__NODE__NODE_SELECT_STMT) {
    return refuse(error(ErrorCode::kInvalidRecursion,
                        "recursive query \"{}\" must not contain data-modifying statements", name),
                  item.location);
  }
  const PgQuery__SelectStmt& stmt = *item.ctequery->select_stmt;
  if (stmt.op != PG_QUERY__SET_OPERATION__SETOP_UNION) {
    return refuse(
        error(ErrorCode::kInvalidRecursion,
              "recursive query \"{}\" does not have the form non-recursive-term UNION [ALL] recursive-term",
              name),
        item.location);
  }
  Checked result;
  int references = 0;
  References walker([&](const PgQuery__RangeVar& range, Place place) {
    if (!result || pg::text(range.relname) != name) {
      return;
    }
    if (place != Place::kAllowed) {
      result = refuse(
          error(ErrorCode::kInvalidRecursion, "recursive reference to query \"{}\" must not appear within {}",
                name, place_name(place)),
          range.location);
    } else if (++references > 1) {
      result = refuse(error(ErrorCode::kInvalidRecursion,
                            "recursive reference to query \"{}\" must not appear more than once", name),
                      range.location);
    }
  });
  walker.walk_select(*stmt.larg, Place::kNonRecursiveTerm);
  walker.walk_select(*stmt.rarg, Place::kAllowed);
  if (stmt.with_clause != nullptr) {
    walker.walk_with(*stmt.with_clause, Place::kSubquery);
  }
  if (!result) {
    return result;
  }
  const auto decoration = [&](std::string_view what, const pg::Node& node) {
    return refuse(error(ErrorCode::kNotImplemented, "{} in a recursive query is not implemented", what),
                  location_of(node));
  };
  if (stmt.n_sort_clause > 0) {
    return decoration("ORDER BY", *stmt.sort_clause[0]);
  }
  if (stmt.limit_offset != nullptr) {
    return decoration("OFFSET", *stmt.limit_offset);
  }
  if (stmt.limit_count != nullptr) {
    return decoration("LIMIT", *stmt.limit_count);
  }
  if (stmt.n_locking_clause > 0) {
    return decoration("FOR UPDATE/SHARE", *stmt.locking_clause[0]);
  }
  return {};
}

}  // namespace

std::expected<std::vector<WithItem>, RecursionProblem> order_with_items(const PgQuery__WithClause& with) {
  struct Pending {
    WithItem item;
    std::vector<std::size_t> needs;
    bool done = false;
  };
  std::vector<Pending> pending;
  for (const pg::Node* node : BOP_PG_LIST(&with, ctes)) {
    pending.push_back({.item = {.definition = node->common_table_expr}});
  }
  for (std::size_t i = 0; i < pending.size(); ++i) {
    References walker([&](const PgQuery__RangeVar& range, Place) {
      for (std::size_t k = 0; k < pending.size(); ++k) {
        if (pg::text(pending[k].item.definition->ctename) != pg::text(range.relname)) {
          continue;
        }
        if (k == i) {
          pending[i].item.recursive = true;
        } else {
          pending[i].needs.push_back(k);
        }
        return;
      }
    });
    walker.walk(*pending[i].item.definition->ctequery, Place::kAllowed);
  }
  std::vector<WithItem> out;
  while (out.size() < pending.size()) {
    const auto ready = std::ranges::find_if(pending, [&](const Pending& p) {
      return !p.done && std::ranges::all_of(p.needs, [&](std::size_t k) { return pending[k].done; });
    });
    if (ready == pending.end()) {
      const auto stuck = std::ranges::find(pending, false, &Pending::done);
      return std::unexpected(RecursionProblem{
          .error =
              error(ErrorCode::kNotImplemented, "mutual recursion between WITH items is not implemented"),
          .location = stuck->item.definition->location});
    }
    ready->done = true;
    out.push_back(ready->item);
  }
  for (const WithItem& item : out) {
    if (item.recursive) {
      if (Checked checked = check_form(*item.definition); !checked) {
        return std::unexpected(std::move(checked).error());
      }
    }
  }
  return out;
}

}  // namespace bop::sql
