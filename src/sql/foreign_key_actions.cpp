#include "sql/foreign_key_actions.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "sql/binder.hpp"
#include "sql/functions/kernels.hpp"
#include "sql/generate.hpp"

namespace bop::sql {

namespace {

bool meet(const std::vector<std::int16_t>& columns, const std::set<std::int16_t>& changed) {
  return std::ranges::any_of(columns, [&](std::int16_t number) { return changed.contains(number); });
}

// Whether an UPDATE by this key can bring a row into conflict with NOT NULL or CHECK of its table.
bool may_violate(const Relation& table, const Constraint& key) {
  for (const std::int16_t number : key.columns) {
    if (table.find_column(number)->not_null) {
      return true;
    }
  }
  const auto generated = [&](std::int16_t number) { return table.find_column(number)->generated != 0; };
  if (std::ranges::any_of(table.columns,
                          [](const Column& c) { return !c.dropped && c.generated != 0 && c.not_null; })) {
    return true;
  }
  return std::ranges::any_of(table.constraints, [&](const Constraint& c) {
    if (c.type == 'c' && std::ranges::any_of(c.columns, generated)) {
      return true;
    }
    return c.type == 'c' && (c.columns.empty() || std::ranges::any_of(c.columns, [&](std::int16_t number) {
                               return std::ranges::find(key.columns, number) != key.columns.end();
                             }));
  });
}

// Casts of the columns whose type differs from that of the key that is cascaded to them.
std::string casts(const Catalog& catalog, const Relation& table, const Constraint& key) {
  const auto referenced = catalog.relation(key.foreign_table);
  std::string out;
  for (std::size_t i = 0; key.on_update == 'c' && i < key.columns.size(); ++i) {
    const Column& to = *table.find_column(key.columns[i]);
    const Column& from = *referenced->find_column(key.foreign_columns[i]);
    if (to.type == from.type && (to.typmod == from.typmod || to.typmod == -1)) {
      continue;
    }
    const std::string name = column_name(to.number);
    out += fmt::format("{}{} = {}", out.empty() ? "" : ", ", name,
                       cast_sql(from.type, to.type, to.typmod, false, "new." + name));
  }
  return out;
}

}  // namespace

std::map<Oid, ActedTable> foreign_key_actions(const Catalog& catalog, Oid table, bool deletes,
                                              const std::set<std::int16_t>& columns) {
  std::map<Oid, ActedTable> out;
  struct Event {
    Oid table;
    bool deletes;
    std::set<std::int16_t> columns;
  };
  std::vector<Event> events{{table, deletes, columns}};
  while (!events.empty()) {
    const Event event = std::move(events.back());
    events.pop_back();
    for (const Catalog::Reference& reference : catalog.references_to(event.table)) {
      const Constraint& key = *reference.constraint;
      const auto changes = [&](char action, bool happens) {
        return happens && (action == 'n' || action == 'd' || action == 'c');
      };
      const bool on_delete = changes(key.on_delete, event.deletes);
      const bool on_update = changes(key.on_update, meet(key.foreign_columns, event.columns));
      if (!on_delete && !on_update) {
        continue;
      }
      ActedTable& acted = out[reference.table->oid];
      Event next{.table = reference.table->oid, .deletes = false, .columns = {}};
      if (on_delete && key.on_delete == 'c') {
        next.deletes = !std::exchange(acted.deletes, true);
      }
      if (on_update || (on_delete && key.on_delete != 'c')) {
        acted.keys.insert(key.oid);
        for (const std::int16_t number : key.columns) {
          if (acted.columns.insert(number).second) {
            next.columns.insert(number);
          }
        }
      }
      if (next.deletes || !next.columns.empty()) {
        events.push_back(std::move(next));
      }
    }
  }
  return out;
}

std::vector<Guard> action_guards(Binder& binder, const std::map<Oid, ActedTable>& acted) {
  const Catalog& catalog = *binder.context().catalog;
  std::vector<Guard> out;
  for (const auto& [oid, what] : acted) {
    const auto table = catalog.relation(oid);
    std::string cast;
    bool check = false;
    for (const Constraint& key : table->constraints) {
      if (!what.keys.contains(key.oid)) {
        continue;
      }
      check = check || may_violate(*table, key);
      if (const std::string more = casts(catalog, *table, key); !more.empty()) {
        cast += (cast.empty() ? "" : ", ") + more;
      }
    }
    std::string body;
    if (!cast.empty()) {
      body += fmt::format(" UPDATE {} SET {} WHERE rowid = new.rowid;", table_name(oid), cast);
    }
    if (const std::string call = check ? binder.stored_row_check(table, what.columns, "n") : std::string();
        !call.empty()) {
      body += fmt::format(" SELECT {} FROM {} AS n WHERE n.rowid = new.rowid;", call, table_name(oid));
    }
    if (body.empty()) {
      continue;
    }
    std::string columns;
    for (const std::int16_t number : what.columns) {
      columns += (columns.empty() ? "" : ", ") + column_name(number);
    }
    std::string name = fmt::format("bop_guard_{}", table_name(oid));
    std::string sql = fmt::format("CREATE TEMP TRIGGER {} AFTER UPDATE OF {} ON main.{} BEGIN{} END", name,
                                  columns, table_name(oid), body);
    out.push_back({.name = std::move(name), .sql = std::move(sql)});
  }
  return out;
}

}  // namespace bop::sql
