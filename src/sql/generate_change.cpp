#include <algorithm>

#include <fmt/format.h>

#include "sql/binder.hpp"
#include "sql/fed_rows.hpp"
#include "sql/functions/kernels.hpp"
#include "sql/generate.hpp"
#include "sql/row_check.hpp"
#include "sql/tree_search.hpp"

namespace bop::sql {

namespace {

constexpr std::size_t kMaxCheckArguments = 120;  // of one call

std::string column_list(const std::vector<const Column*>& columns) {
  std::string out;
  for (const Column* column : columns) {
    out += (out.empty() ? "" : ", ") + column_name(column->number);
  }
  return out;
}

}  // namespace

std::string Generator::change(Change& c) {
  switch (c.kind) {
    case 'i': return with(c.ctes) + insert(c);
    case 'u': return with(c.ctes) + update(c);
    default: return with(c.ctes) + remove(c);
  }
}

// One call per row that answers 1 or fails. Columns of `new_row` are already written as SQL.
std::string Generator::row_check(Change& c) {
  const Relation& table = *c.target->relation;
  const auto options =
      std::ranges::stable_partition(c.checks, [](const Change::Check& check) { return !check.option; });
  std::ranges::sort(c.checks.begin(), options.begin(), {}, &Change::Check::name);
  if (c.checked_row != nullptr) {
    for (RangeColumn& column : c.checked_row->columns) {
      const auto same = std::ranges::find(c.new_row->columns, column.attribute, &RangeColumn::attribute);
      column.sql = same == c.new_row->columns.end() ? std::string("NULL") : same->sql;
    }
  }
  const std::size_t total = c.new_row->columns.size() + c.checks.size() + 1;
  std::string out;
  using Range = std::pair<std::size_t, std::size_t>;
  const auto part = [&](Range columns, Range checks, bool whole) {
    RowCheck check{.relation = table.name, .whole_row = whole};
    std::string args;
    for (std::size_t i = columns.first; i < columns.second; ++i) {
      const RangeColumn& column = c.new_row->columns[i];
      check.columns.push_back(
          {.name = column.name, .type = column.type, .typmod = column.typmod, .not_null = column.not_null});
      args += ", " + column.sql;
    }
    for (std::size_t i = checks.first; i < checks.second; ++i) {
      const Change::Check& one = c.checks[i];
      check.checks.push_back(one.option ? std::string(RowCheck::kOption) + one.name : one.name);
      // A CHECK fails only when it is false, and computes no more than that takes; an option unless it is
      // true.
      args += one.option ? ", CASE WHEN " + condition(*one.expr) + " THEN 1 ELSE 0 END"
                         : ", CASE WHEN NOT " + condition(*one.expr) + " THEN 0 ELSE 1 END";
    }
    out += out.empty() ? "" : " AND ";
    out += fmt::format("bop_check_row({}{})", bind_constant(OwnedValue::of_text(check.encode())), args);
  };
  const std::size_t columns = c.new_row->columns.size();
  if (total <= kMaxCheckArguments) {
    part({0, columns}, {0, c.checks.size()}, true);
    return out;
  }
  constexpr std::size_t kStep = kMaxCheckArguments - 1;
  for (std::size_t begin = 0; begin < columns; begin += kStep) {
    part({begin, std::min(begin + kStep, columns)}, {}, false);
  }
  for (std::size_t begin = 0; begin < c.checks.size(); begin += kStep) {
    part({}, {begin, std::min(begin + kStep, c.checks.size())}, false);
  }
  return out;
}

// Once the other columns of the row are written as SQL.
void Generator::write_generated(const Change& c) {
  for (const Assignment& g : c.generated) {
    const auto column =
        std::ranges::find(c.generated_from->columns, g.column->number, &RangeColumn::attribute);
    column->sql = "(" + expression(*g.expr) + ")";
  }
}

std::string Generator::fed(const RangeEntry& subquery, const std::function<std::string()>& text) {
  fed_ = &subquery;
  std::string out = text();
  fed_ = nullptr;
  return out;
}

std::string Generator::fed_change(Change& c, const RangeEntry& subquery) {
  if (c.kind != 'd') return fed(subquery, [&] { return change(c); });
  return fmt::format("DELETE FROM {} WHERE bop_go_on() AND rowid IN ({}){}",
                     table_name(c.target->relation->oid), fed_query(1), returning(c));
}

std::string Generator::inserted_rows(const Change& c) {
  if (!c.insert_columns.empty()) {
    return c.source->kind == QueryKind::kValues ? values(*c.source, false) : query(*c.source);
  }
  if (c.source->kind != QueryKind::kValues) {
    return "SELECT NULL FROM (" + query(*c.source) + ")";
  }
  std::string rows;
  for (std::size_t i = 0; i < c.source->rows.size(); ++i) {
    rows += i == 0 ? "VALUES (NULL)" : ", (NULL)";
  }
  return rows;
}

std::string Generator::insert(Change& c) {
  const std::string target =
      fmt::format("INSERT INTO {} AS r{}", table_name(c.target->relation->oid), c.target->id);
  if (c.insert_columns.empty()) {  // a table of which a statement stores no columns still has rows
    std::string check = "1";
    if (c.new_row != nullptr) {
      write_generated(c);
      check = row_check(c);
    }
    return fmt::format("{}(c0) SELECT NULL FROM ({}) WHERE {}{}", target, inserted_rows(c), check,
                       returning(c));
  }
  std::string out = fmt::format("{}({}) ", target, column_list(c.insert_columns));
  const std::size_t count = c.insert_columns.size();
  const bool plain_values = c.source->kind == QueryKind::kValues;
  if (c.new_row == nullptr) {
    if (plain_values) {
      out += values(*c.source, false);
    } else {
      // WHERE keeps ON CONFLICT from being read as a join's ON.
      const std::string inner = query(*c.source);
      out += c.has_upsert ? "SELECT * FROM (" + inner + ") WHERE 1" : inner;
    }
  } else {
    std::string rows;
    if (plain_values) {
      std::string columns;
      for (std::size_t i = 1; i <= count; ++i) {
        columns += fmt::format("{}column{} AS o{}", i == 1 ? "" : ", ", i, i);
      }
      rows = fmt::format("SELECT {} FROM ({}) LIMIT -1", columns, values(*c.source, false));
    } else {
      rows = "SELECT * FROM (" + query(*c.source) + ") LIMIT -1";
    }
    // LIMIT keeps the rows from being computed twice, once for the check and once for the table.
    std::string columns;
    for (std::size_t i = 0; i < count; ++i) {
      columns += fmt::format("{}n.o{}", i == 0 ? "" : ", ", i + 1);
      for (RangeColumn& column : c.new_row->columns) {
        if (column.attribute == c.insert_columns[i]->number) {
          column.sql = fmt::format("n.o{}", i + 1);
        }
      }
    }
    write_generated(c);
    const std::string check = row_check(c);
    out += fmt::format("SELECT {} FROM ({}) AS n WHERE {}", columns, rows, check);
  }
  if (c.has_upsert) {
    out += " ON CONFLICT";
    if (!c.upsert.any_target) {
      // As the index was made: constants in the text.
      Generator literal(0, true);
      std::string keys;
      for (const ExprRef& key : c.upsert.target) {
        const std::string text = literal.index_key(*key);
        keys += (keys.empty() ? "" : ", ") + (c.upsert.equal_nulls ? equal_nulls_key(text, key->type) : text);
      }
      out += "(" + keys + ")";
      if (c.upsert.target_where != nullptr) {
        out += " WHERE " + literal.condition(*c.upsert.target_where);
      }
    }
    if (c.upsert.nothing) {
      out += " DO NOTHING";
    } else {
      out += " DO UPDATE SET " + assignments(c, c.upsert.set);
      std::string where =
          is_one_row(c) ? std::string() : fmt::format("bop_meet_row(r{}.rowid)", c.target->id);
      if (c.upsert.where != nullptr) {
        where += (where.empty() ? "" : " AND ") + condition(*c.upsert.where);
      }
      out += where.empty() ? "" : " WHERE " + where;
    }
  }
  return out + returning(c);
}

std::string Generator::assignments(Change& c, const std::vector<Assignment>& set) {
  if (c.new_row == nullptr) {
    std::string out;
    for (const Assignment& a : set) {
      out += fmt::format("{}{} = {}", out.empty() ? "" : ", ", column_name(a.column->number),
                         expression(*a.expr));
    }
    return out;
  }
  std::string names;
  std::string inner;
  std::string outer;
  for (RangeColumn& column : c.new_row->columns) {
    column.sql = fmt::format("r{}.{}", c.target->id, column_name(column.attribute));
  }
  for (std::size_t i = 0; i < set.size(); ++i) {
    const std::string_view comma = i == 0 ? "" : ", ";
    names += fmt::format("{}{}", comma, column_name(set[i].column->number));
    inner += fmt::format("{}{} AS o{}", comma, expression(*set[i].expr), i + 1);
    outer += fmt::format("{}n.o{}", comma, i + 1);
    for (RangeColumn& column : c.new_row->columns) {
      if (column.attribute == set[i].column->number) {
        column.sql = fmt::format("n.o{}", i + 1);
      }
    }
  }
  write_generated(c);
  const std::string check = row_check(c);
  return fmt::format("{} = (SELECT {} FROM (SELECT {}) AS n WHERE {})",
                     set.size() == 1 ? names : "(" + names + ")", outer, inner, check);
}

// bop_go_on() in the changes below ends a statement that is to stop between two rows.
std::string Generator::update(Change& c) {
  std::string out = fmt::format("UPDATE {} AS r{} SET {}", table_name(c.target->relation->oid), c.target->id,
                                assignments(c, c.set));
  if (!c.from.empty()) {
    out += " FROM " + from_list(c.from);
  } else if (c.acts_on_itself || std::ranges::any_of(c.set, [&](const Assignment& a) {
               return reads_any(*a.expr, c.changed_tables);
             })) {
    // With FROM all new values are computed before the first row is changed.
    out += " FROM (SELECT 1)";
  }
  if (c.where != nullptr) {
    out += " WHERE bop_go_on() AND " + condition(*c.where);
  }
  return out + returning(c);
}

std::string Generator::deleted_rows(Change& c) {
  const std::string table = table_name(c.target->relation->oid);
  const std::string row = fmt::format("r{}", c.target->id);
  std::string answers;
  for (const Target& target : c.returning) {
    answers += (answers.empty() ? "" : ", ") + expression(*target.expr);
  }
  std::string out =
      fmt::format("{}SELECT {} FROM {} AS {} WHERE {}.rowid IN (SELECT {}.rowid FROM {} AS {}{}",
                  with(c.ctes), answers.empty() ? "NULL" : answers, table, row, row, row, table, row,
                  c.from.empty() ? "" : " JOIN " + from_list(c.from));
  if (c.where != nullptr) {
    out += " WHERE " + condition(*c.where);
  }
  return out + ")";
}

std::string Generator::remove(Change& c) {
  const std::string table = table_name(c.target->relation->oid);
  std::string out;
  if (c.from.empty()) {
    out = fmt::format("DELETE FROM {} AS r{}", table, c.target->id);
    if (c.where != nullptr) {
      out += " WHERE bop_go_on() AND " + condition(*c.where);
    }
    return out + returning(c);
  }
  out = fmt::format("DELETE FROM {} WHERE rowid IN (SELECT r{}.rowid FROM {} AS r{} JOIN {}", table,
                    c.target->id, table, c.target->id, from_list(c.from));
  if (c.where != nullptr) {
    out += " WHERE bop_go_on() AND " + condition(*c.where);
  }
  return out + ")" + returning(c);
}

std::string Generator::returning(const Change& c) {
  // SQLite computes RETURNING as soon as a row is stored, before it looks at the next one.
  const std::string store = c.has_upsert && !c.upsert.nothing && !is_one_row(c)
                                ? fmt::format("bop_store_row({}.rowid)", table_name(c.target->relation->oid))
                                : std::string();
  if (!c.has_returning || (c.kind == 'd' && c.acts_on_itself)) {
    return store.empty() ? store : " RETURNING " + store;
  }
  // SQLite answers columns of the changed table only, by its own name; the alias is not known there.
  const bool saved = std::exchange(c.target->bare, true);
  const std::vector<RangeColumn> columns = c.target->columns;
  for (RangeColumn& column : c.target->columns) {
    column.sql = fmt::format("{}.{}", table_name(c.target->relation->oid), column.sql);
  }
  std::string out = c.returning.empty() ? " RETURNING NULL" : " RETURNING ";
  for (std::size_t i = 0; i < c.returning.size(); ++i) {
    out += (i == 0 ? "" : ", ") + expression(*c.returning[i].expr);
  }
  c.target->bare = saved;
  c.target->columns = columns;
  return store.empty() ? out : out + ", " + store;
}

// The row that was refused has taken its numbers already: to tell them, nextval is currval while this lives.
class NumbersTaken {
 public:
  explicit NumbersTaken(const std::vector<ExprRef>& values) {
    for (const ExprRef& value : values) take(value);
  }
  ~NumbersTaken() {
    for (Expr* call : calls_) call->kernel = find_kernel(kNextval);
  }
  NumbersTaken(const NumbersTaken&) = delete;
  NumbersTaken& operator=(const NumbersTaken&) = delete;

  [[nodiscard]] bool in(const Expr& e) const {
    return std::ranges::find(calls_, &e) != calls_.end() ||
           std::ranges::any_of(e.args, [&](const ExprRef& arg) { return arg != nullptr && in(*arg); });
  }

 private:
  static constexpr Oid kNextval = 1574;
  static constexpr Oid kCurrval = 1575;

  void take(const ExprRef& e) {
    if (e == nullptr) return;
    if (e->kind == ExprKind::kCall && e->kernel == find_kernel(kNextval)) {
      calls_.push_back(e.get());
      e->kernel = find_kernel(kCurrval);
    }
    for (const ExprRef& arg : e->args) take(arg);
  }

  std::vector<Expr*> calls_;
};

// The rows of INSERT ... VALUES with the columns that `keys` marks and NULL for the others; nothing when a
// key would be computed anew, to another value.
std::string key_rows(Generator& generator, const Query& source, const std::vector<bool>& keys) {
  std::string rows;
  for (const std::vector<ExprRef>& values : source.rows) {
    const NumbersTaken taken(source.rows.size() == 1 ? values : std::vector<ExprRef>());
    rows += rows.empty() ? "(" : ", (";
    for (std::size_t i = 0; i < values.size(); ++i) {
      const bool wanted = keys[i] && values[i] != nullptr;
      if (wanted && is_volatile(*values[i]) && !taken.in(*values[i])) {
        return {};
      }
      rows += (i == 0 ? "" : ", ") + (wanted ? generator.expression(*values[i]) : std::string("NULL"));
    }
    rows += ")";
  }
  return "VALUES " + rows;
}

std::string Generator::key_diagnosis(const Change& c, const Relation& table, const Index& index) {
  std::vector<std::string> keys;
  std::vector<bool> is_key(c.insert_columns.size());
  std::string from;
  for (const IndexKey& key : index.keys) {
    if (key.column == 0) {
      return {};
    }
    const Column* column = table.find_column(key.column);
    const auto computed = std::ranges::find(c.generated, column, &Assignment::column);
    if (computed != c.generated.end()) {
      for (RangeColumn& source : c.generated_from->columns) {
        source.sql = c.kind == 'i' ? std::string("NULL")
                                   : fmt::format("r{}.{}", c.target->id, column_name(source.attribute));
      }
      for (std::size_t i = 0; i < c.insert_columns.size(); ++i) {
        const std::int16_t number = c.insert_columns[i]->number;
        std::ranges::find(c.generated_from->columns, number, &RangeColumn::attribute)->sql =
            fmt::format("n.o{}", i + 1);
        is_key[i] = is_key[i] || reads_columns(*computed->expr, *c.generated_from, {number});
      }
      for (const Assignment& a : c.set) {
        if (is_volatile(*a.expr)) {
          return {};
        }
        std::ranges::find(c.generated_from->columns, a.column->number, &RangeColumn::attribute)->sql =
            "(" + expression(*a.expr) + ")";
      }
      keys.push_back("(" + expression(*computed->expr) + ")");
      continue;
    }
    if (c.kind == 'i') {
      const auto it =
          std::ranges::find(c.insert_columns, key.column, [](const Column* k) { return k->number; });
      if (it == c.insert_columns.end()) {
        return {};
      }
      is_key[static_cast<std::size_t>(it - c.insert_columns.begin())] = true;
      keys.push_back(fmt::format("n.o{}", it - c.insert_columns.begin() + 1));
    } else {
      std::string text = fmt::format("r{}.{}", c.target->id, column_name(column->number));
      for (const Assignment& a : c.set) {
        if (a.column->number == key.column) {
          if (is_volatile(*a.expr)) {
            return {};
          }
          text = expression(*a.expr);
        }
      }
      keys.push_back(text);
    }
  }
  if (c.kind == 'i') {
    const bool is_values = c.source->kind == QueryKind::kValues;
    if (!is_values && is_volatile(*c.source)) {
      return {};
    }
    from = is_values ? key_rows(*this, *c.source, is_key) : query(*c.source);
    if (from.empty()) {
      return {};
    }
    std::string columns;
    for (std::size_t i = 1; i <= c.insert_columns.size(); ++i) {
      columns += fmt::format(
          "{}{} AS o{}", i == 1 ? "" : ", ",
          c.source->kind == QueryKind::kValues ? fmt::format("column{}", i) : fmt::format("o{}", i), i);
    }
    from = fmt::format("(SELECT {} FROM ({})) AS n", columns, from);
  } else {
    from = fmt::format("{} AS r{}", table_name(table.oid), c.target->id);
    if (!c.from.empty()) {
      from += " JOIN " + from_list(c.from);
    }
    if (c.where != nullptr) {
      if (is_volatile(*c.where)) {
        return {};
      }
      from += " WHERE " + condition(*c.where);
    }
  }
  // The new keys; the first that the table holds already or that comes twice.
  std::string select;
  std::string equal;
  std::string names;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const TypeInfo* type = find_type(table.find_column(index.keys[i].column)->type);
    const std::string collation = type == nullptr || type->collation.empty()
                                      ? std::string()
                                      : fmt::format(" COLLATE {}", type->collation);
    select += fmt::format("{}{}{} AS k{}", i == 0 ? "" : ", ", keys[i], collation, i + 1);
    names += fmt::format("{}k{}", i == 0 ? "" : ", ", i + 1);
    equal += fmt::format("{}x.{} {} d.k{}", i == 0 ? "" : " AND ", column_name(index.keys[i].column),
                         has_equal_nulls(index) ? "IS" : "=", i + 1);
  }
  return fmt::format(
      "{}SELECT {} FROM (SELECT {}, count(*) AS n FROM (SELECT {} FROM {}) GROUP BY {}) AS d "
      "ORDER BY EXISTS (SELECT 1 FROM {} AS x WHERE {}) DESC, n DESC LIMIT 1",
      with(c.ctes), names, names, select, from, names, table_name(table.oid), equal);
}

}  // namespace bop::sql
