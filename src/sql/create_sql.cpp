// SQLite's text for tables and indexes of the catalog.
#include <algorithm>

#include <fmt/format.h>

#include "sql/bind.hpp"
#include "sql/types/types.hpp"

namespace bop::sql {

namespace {

std::string names(const std::vector<std::int16_t>& columns) {
  std::string out;
  for (const std::int16_t number : columns) {
    out += (out.empty() ? "" : ", ") + column_name(number);
  }
  return out;
}

std::string_view action(char letter) {
  switch (letter) {
    case 'r': return "RESTRICT";
    case 'c': return "CASCADE";
    case 'n': return "SET NULL";
    case 'd': return "SET DEFAULT";
    default: return "NO ACTION";
  }
}

bool is_set_to_default(const Relation& table, const Column& column) {
  return std::ranges::any_of(table.constraints, [&](const Constraint& c) {
    return c.type == 'f' && (c.on_delete == 'd' || c.on_update == 'd') &&
           std::ranges::find(c.columns, column.number) != c.columns.end();
  });
}

}  // namespace

Result<std::string> create_table_sql(const Relation& table, const Catalog& catalog) {
  const Column* rowid = table.rowid_column();
  std::string body;
  bool plain_columns = false;
  const auto context = [&] { return BindContext{.catalog = std::make_shared<const Catalog>(catalog)}; };
  for (const Column& column : table.columns) {
    if (column.dropped) {
      continue;
    }
    const TypeInfo* type = find_type(column.type);
    if (type == nullptr || !type->storable) {
      return fail(ErrorCode::kNotImplemented, "columns of type {} are not implemented",
                  format_type(column.type));
    }
    body += (body.empty() ? "" : ", ") + column_name(column.number);
    if (&column == rowid) {
      body += " INTEGER PRIMARY KEY";
    } else if (!type->collation.empty()) {
      body += fmt::format(" COLLATE {}", type->collation);
    }
    if (column.generated != 0) {
      BOP_LET(parsed, parse_expression(*column.default_text));
      BOP_LET(bound, bind_expression(parsed, &table, ExpressionUse::kGenerated, context(), column.type,
                                     column.typmod, column.name));
      body += fmt::format(" AS ({}) STORED", bound.sql);
      continue;
    }
    plain_columns = true;
    // Inserts bring their defaults along; SQLite needs one only for what its own ON DELETE SET DEFAULT
    // stores.
    if (column.default_text && is_set_to_default(table, column)) {
      BOP_LET(parsed, parse_expression(*column.default_text));
      BOP_LET(bound, bind_expression(parsed, nullptr, ExpressionUse::kDefault, context(), column.type,
                                     column.typmod, column.name));
      body += fmt::format(" DEFAULT ({})", bound.sql);
    }
  }
  if (!plain_columns) {
    body = "c0" + (body.empty() ? body : ", " + body);  // SQLite knows no table without columns
  }
  for (const Constraint& c : table.constraints) {
    if (c.type != 'f') {
      continue;
    }
    const std::shared_ptr<const Relation> target =
        c.foreign_table == table.oid ? nullptr : catalog.relation(c.foreign_table);
    if (c.foreign_table != table.oid && target == nullptr) {
      return fail(ErrorCode::kInternal, "foreign key \"{}\" refers to the missing relation {}", c.name,
                  c.foreign_table);
    }
    // NO ACTION and RESTRICT are both looked at after the statement, by the session.
    body += fmt::format(
        ", FOREIGN KEY ({}) REFERENCES {}({}) ON UPDATE {} ON DELETE {} DEFERRABLE INITIALLY DEFERRED",
        names(c.columns), table_name(c.foreign_table), names(c.foreign_columns),
        c.on_update == 'r' ? action('a') : action(c.on_update),
        c.on_delete == 'r' ? action('a') : action(c.on_delete));
  }
  return fmt::format("CREATE TABLE {}({})", table_name(table.oid), body);
}

bool has_equal_nulls(const Index& index) {
  return std::ranges::find(index.options, kNullsNotDistinct) != index.options.end();
}

std::string equal_nulls_key(std::string_view key, Oid type) {
  return fmt::format("ifnull({}, {})", key, type == types::kBytea || type == types::kUuid ? "0" : "x''");
}

Result<std::string> create_index_sql(const Index& index, const Relation& table, const BindContext& context) {
  std::string keys;
  for (const IndexKey& key : index.keys) {
    std::string text;
    Oid type = key.type;
    if (key.column != 0) {
      const Column* column = table.find_column(key.column);
      if (column == nullptr) {
        return fail(ErrorCode::kInternal, "index \"{}\" has a key on the missing column {}", index.name,
                    key.column);
      }
      text = column_name(key.column);
      type = column->type;
    } else {
      BOP_LET(parsed, parse_expression(key.expression));
      BOP_LET(bound, bind_expression(parsed, &table, ExpressionUse::kIndex, context));
      text = "(" + bound.sql + ")";
      type = bound.type;
    }
    if (!is_comparable(type)) {
      return std::unexpected(
          error(ErrorCode::kUndefinedObject,
                "data type {} has no default operator class for access method \"btree\"", format_type(type))
              .hint(
                  "You must specify an operator class for the index or define a default operator class for the data "
                  "type."));
    }
    if (has_equal_nulls(index)) text = equal_nulls_key(text, type);
    if (const TypeInfo* info = find_type(type); info != nullptr && !info->collation.empty()) {
      text += fmt::format(" COLLATE {}", info->collation);
    }
    keys += (keys.empty() ? "" : ", ") + text + (key.descending ? " DESC" : "");
  }
  std::string where;
  if (!index.predicate.empty()) {
    BOP_LET(parsed, parse_expression(index.predicate));
    BOP_LET(bound, bind_expression(parsed, &table, ExpressionUse::kIndexPredicate, context));
    where = " WHERE " + bound.sql;
  }
  return fmt::format("CREATE {}INDEX {} ON {}({}){}", index.unique && !index.deferrable ? "UNIQUE " : "",
                     index_name(index.oid), table_name(table.oid), keys, where);
}

}  // namespace bop::sql
