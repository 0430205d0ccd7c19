// What a statement is asked to be allowed: rights on relations, or on those of their columns that it names.
//
// A right on the relation is enough. Without it the columns count (RelationUse): those that are read, those
// that INSERT is given, those that UPDATE sets. A use that names none (SELECT count(*)) is content with any.
#include <algorithm>
#include <set>

#include "sql/binder.hpp"
#include "sql/column_rights.hpp"
#include "sql/sequence_states.hpp"
#include "sql/tree_search.hpp"
#include "sql/view_target.hpp"

namespace bop::sql {

bool held_on_columns(const Relation& relation, const Identity& who, Rights missing, const RelationUse& use) {
  if ((missing & ~(right::kSelect | right::kInsert | right::kUpdate)) != 0) {
    return false;
  }
  const auto held_on = [&](const Column& column, Rights right) {
    return !column.dropped && column.acl &&
           held(column.acl, AclKind::kColumn, relation.owner, who, right) == right;
  };
  for (const auto& [right, columns] :
       {std::pair(right::kSelect, &use.read), std::pair(right::kInsert, &use.inserted),
        std::pair(right::kUpdate, &use.updated)}) {
    if ((missing & right) == 0) {
      continue;
    }
    const bool enough =
        columns->empty()
            ? std::ranges::any_of(relation.columns, [&](const Column& c) { return held_on(c, right); })
            : std::ranges::all_of(*columns, [&](std::int16_t number) {
                const Column* column = relation.find_column(number);
                return column != nullptr && held_on(*column, right);
              });
    if (!enough) {
      return false;
    }
  }
  return true;
}

void Binder::ask_for(const Relation& relation, Rights rights) {
  ask_for(relation, rights, view_ == nullptr ? 0 : view_->owner);
}

void Binder::ask_for(const Relation& relation, Rights rights, Oid role) {
  if (relation.is_virtual()) {
    return;
  }
  const auto same = std::ranges::find_if(
      uses, [&](const RelationUse& use) { return use.relation == relation.oid && use.role == role; });
  if (same == uses.end()) {
    uses.push_back({.relation = relation.oid, .role = role, .rights = rights});
  } else {
    same->rights |= rights;
  }
}

void Binder::ask_for_locking(const FromNode& node, Oid role) {
  if (node.entry != nullptr) {
    return ask_for_locking(*node.entry, role);
  }
  ask_for_locking(*node.left, role);
  ask_for_locking(*node.right, role);
}

void Binder::ask_for_locking(const RangeEntry& entry, Oid role) {
  if (entry.relation != nullptr) {
    ask_for(*entry.relation, right::kUpdate, role);
  }
  if (entry.query != nullptr) {
    for (const auto& node : entry.query->from) {
      if (node->entry != nullptr && node->entry->relation != nullptr &&
          node->entry->relation->name == kSequenceStates) {
        raise(error(ErrorCode::kWrongObjectType, "cannot lock rows in sequence \"{}\"", entry.alias));
      }
      ask_for_locking(*node, entry.relation == nullptr ? role : entry.relation->owner);
    }
  }
}

void Binder::ask_for_reading(const Change& change) {
  std::set<const RangeEntry*> rows{change.target.get()};
  if (change.upsert.excluded != nullptr) {
    rows.insert(change.upsert.excluded.get());
  }
  bool reads = false;
  std::set<std::int16_t> columns;
  const auto look_at = [&](const ExprRef& e) {
    if (e == nullptr) {
      return;
    }
    if (!reads_rows(*e, rows)) {
      return;
    }
    reads = true;
    for (const RangeEntry* row : rows) {
      for (const RangeColumn& column : row->columns) {
        if (reads_columns(*e, *row, {column.attribute})) {
          columns.insert(column.attribute);
        }
      }
    }
  };
  look_at(change.view == nullptr ? change.where : change.view->condition);
  look_at(change.upsert.where);
  for (const Assignment& a : change.set) {
    look_at(a.expr);
  }
  for (const Assignment& a : change.upsert.set) {
    look_at(a.expr);
  }
  for (const Target& target : change.returning) {
    look_at(target.expr);
  }
  if (!reads) {
    return;
  }
  const Relation& relation = named_relation(change);
  ask_for(relation, right::kSelect);
  note_changed(change, right::kSelect, {columns.begin(), columns.end()});
}

void Binder::note_columns(const Relation& relation, Oid role, Rights right,
                          std::span<const std::int16_t> columns) {
  const auto use = std::ranges::find_if(
      uses, [&](const RelationUse& each) { return each.relation == relation.oid && each.role == role; });
  if (use == uses.end()) {
    return;
  }
  std::set<std::int16_t>& noted = right == right::kSelect   ? use->read
                                  : right == right::kInsert ? use->inserted
                                                            : use->updated;
  noted.insert(columns.begin(), columns.end());
}

void Binder::note_changed(const Change& change, Rights right, const std::vector<std::int16_t>& columns) {
  // Of a view the columns that are those of its table, and so on below it: there for each view's owner. Of
  // what is read it has been lost which columns of the view say it: all are asked for.
  Oid role = view_ == nullptr ? 0 : view_->owner;
  if (change.view != nullptr) {
    for (const RangeRef& level : change.view->levels) {
      std::vector<std::int16_t> own;
      for (std::size_t i = 0; i < level->columns.size(); ++i) {
        const Column* const below = updatable_column(*level, i);
        if (right == right::kSelect ||
            (below != nullptr && std::ranges::find(columns, below->number) != columns.end())) {
          own.push_back(level->relation->columns[i].number);
        }
      }
      ask_for(*level->relation, right, role);
      note_columns(*level->relation, role, right, own);
      role = level->relation->owner;
    }
    ask_for(*change.target->relation, right, role);
  }
  note_columns(*change.target->relation, role, right, columns);
}

void Binder::note_read(const RangeEntry& entry, std::size_t column) {
  if (!entry.read_by || entry.relation == nullptr) {
    return;
  }
  const Relation& relation = *entry.relation;
  const std::int16_t number =
      entry.kind == RangeKind::kTable ? entry.columns[column].attribute : relation.columns[column].number;
  note_columns(relation, *entry.read_by, right::kSelect, std::span(&number, 1));
}

}  // namespace bop::sql
