// Names that were not found: what PostgreSQL suggests instead (parse_relation.c: errorMissingColumn,
// errorMissingRTE).
#include <algorithm>
#include <numeric>

#include <fmt/format.h>

#include "sql/binder.hpp"

namespace bop::sql {

namespace {

constexpr int kMaxFuzzyDistance = 3;
constexpr std::size_t kMaxLevenshteinLength = 255;

std::size_t characters(std::string_view s) {
  return static_cast<std::size_t>(
      std::ranges::count_if(s, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

std::vector<std::string_view> split_characters(std::string_view s) {
  std::vector<std::string_view> out;
  for (std::size_t i = 0; i < s.size();) {
    std::size_t next = i + 1;
    while (next < s.size() && (static_cast<unsigned char>(s[next]) & 0xC0) == 0x80) {
      ++next;
    }
    out.push_back(s.substr(i, next - i));
    i = next;
  }
  return out;
}

int levenshtein(std::string_view a, std::string_view b) {
  if (characters(a) > kMaxLevenshteinLength || characters(b) > kMaxLevenshteinLength) {
    return kMaxFuzzyDistance + 1;
  }
  const std::vector<std::string_view> from = split_characters(a);
  const std::vector<std::string_view> to = split_characters(b);
  std::vector<int> row(to.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (std::size_t i = 1; i <= from.size(); ++i) {
    int diagonal = std::exchange(row[0], static_cast<int>(i));
    for (std::size_t k = 1; k <= to.size(); ++k) {
      const int changed = diagonal + (from[i - 1] == to[k - 1] ? 0 : 1);
      diagonal = row[k];
      row[k] = std::min({row[k] + 1, row[k - 1] + 1, changed});
    }
  }
  return row[to.size()];
}

// The nearest one or two columns of a query's tables; none if more are as near.
struct Nearest {
  struct Column {
    const RangeEntry* entry = nullptr;
    std::string_view name;
  };
  int distance = kMaxFuzzyDistance + 1;
  Column first, second;
  const RangeEntry* exact = nullptr;  // has the very column, but is out of reach

  void look_at(const RangeEntry& entry, std::string_view actual, std::string_view wanted, int penalty) {
    if (penalty > distance) {
      return;
    }
    const int columns = levenshtein(actual, wanted);
    if (columns > static_cast<int>(wanted.size() / 2)) {
      return;
    }
    const int total = columns + penalty;
    if (total < distance) {
      distance = total;
      first = {&entry, actual};
      second = {};
    } else if (total == distance) {
      if (second.entry != nullptr) {
        first = second = {};
        distance = total - 1;
      } else if (first.entry != nullptr) {
        second = {&entry, actual};
      } else if (distance <= kMaxFuzzyDistance) {
        first = {&entry, actual};
      }
    }
  }
};

Nearest nearest_column(std::string_view table, std::string_view column, const Scope& scope) {
  Nearest nearest;
  for (const Scope* s = &scope; s != nullptr; s = s->parent) {
    for (const RangeRef& entry : s->range_table) {
      const int penalty =
          table.empty() ? 0 : std::min(levenshtein(table, entry->alias), kMaxFuzzyDistance + 1);
      bool exact = false;
      for (const RangeColumn& known : entry->columns) {
        exact = exact || known.name == column;
        nearest.look_at(*entry, known.name, column, penalty);
      }
      if (exact && penalty == 0) {
        nearest.exact = entry.get();
        return nearest;
      }
    }
  }
  return nearest;
}

}  // namespace

void Binder::raise_missing_column(std::string_view table, std::string_view column, const Scope& scope,
                                  int location) const {
  Error e = table.empty() ? error(ErrorCode::kUndefinedColumn, "column \"{}\" does not exist", column)
                          : error(ErrorCode::kUndefinedColumn, "column {}.{} does not exist", table, column);
  const Nearest nearest = nearest_column(table, column, scope);
  if (nearest.exact != nullptr) {
    e.mut().hint = fmt::format(
        "There is a column named \"{}\" in table \"{}\", but it cannot be referenced from this part of the query.",
        column, nearest.exact->alias);
  } else if (nearest.second.entry != nullptr) {
    e.mut().hint = fmt::format("Perhaps you meant to reference the column \"{}.{}\" or the column \"{}.{}\".",
                               nearest.first.entry->alias, nearest.first.name, nearest.second.entry->alias,
                               nearest.second.name);
  } else if (nearest.first.entry != nullptr) {
    e.mut().hint = fmt::format("Perhaps you meant to reference the column \"{}.{}\".",
                               nearest.first.entry->alias, nearest.first.name);
  }
  raise(std::move(e), location);
}

void Binder::raise_missing_table(std::string_view schema, std::string_view table, const Scope& scope,
                                 int location) const {
  const Catalog::Named meant = context_.catalog->find(path(), schema, table);
  const auto visible = [&](const RangeEntry& entry) {
    for (const Scope* s = &scope; s != nullptr; s = s->parent) {
      for (const ScopeItem& item : s->items) {
        if (item.alias == entry.alias) {
          return item.entry.get() == &entry;
        }
      }
    }
    return false;
  };
  for (const Scope* s = &scope; s != nullptr; s = s->parent) {
    for (const RangeRef& entry : s->range_table) {
      const bool same = meant && entry->relation != nullptr && entry->relation->oid == meant.oid;
      const bool same_cte = schema.empty() && entry->cte != nullptr && entry->cte->name == table;
      if (!same && !same_cte && entry->alias != table) {
        continue;
      }
      const bool renamed = entry->alias != table && visible(*entry);
      raise(
          error(ErrorCode::kUndefinedTable, "invalid reference to FROM-clause entry for table \"{}\"",
                renamed ? table : std::string_view(entry->alias))
              .hint(renamed
                        ? fmt::format("Perhaps you meant to reference the table alias \"{}\".", entry->alias)
                        : fmt::format("There is an entry for table \"{}\", but it cannot be referenced from "
                                      "this part of the query.",
                                      entry->alias)),
          location);
    }
  }
  raise(error(ErrorCode::kUndefinedTable, "missing FROM-clause entry for table \"{}\"", table), location);
}

}  // namespace bop::sql
