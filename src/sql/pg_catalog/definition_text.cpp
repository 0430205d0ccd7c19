#include "sql/pg_catalog/definition_text.hpp"

#include <fmt/format.h>

#include "sql/stored_text.hpp"

namespace bop::sql {

namespace {

std::string column_list(const Relation& table, const std::vector<std::int16_t>& columns) {
  std::string out;
  for (const std::int16_t number : columns) {
    const Column* column = table.find_column(number);
    out += (out.empty() ? "" : ", ") + quote_name(column == nullptr ? "?" : column->name);
  }
  return out;
}

// Expressions of indexes stand in brackets, unless they are a function call.
std::string key_expression(const std::string& text) {
  const std::size_t open = text.find('(');
  const bool call = open != std::string::npos && open > 0 && text.back() == ')' &&
                    text.find_first_not_of("abcdefghijklmnopqrstuvwxyz_0123456789.") == open;
  return call ? text : "(" + text + ")";
}

std::string_view action_text(char action) {
  switch (action) {
    case 'r': return "RESTRICT";
    case 'c': return "CASCADE";
    case 'n': return "SET NULL";
    case 'd': return "SET DEFAULT";
    default: return "NO ACTION";
  }
}

std::string in_brackets(const std::string& text) {
  return text.starts_with("(") && text.ends_with(")") ? text : "(" + text + ")";
}

}  // namespace

std::string index_key_definition(const Catalog& catalog, const Index& index, std::int64_t number,
                                 const ObjectNames& names) {
  const auto table = catalog.relation(index.table);
  const auto at = static_cast<std::size_t>(number - 1);
  if (at < index.keys.size()) {
    const IndexKey& key = index.keys[at];
    return key.column != 0 ? quote_name(table->find_column(key.column)->name)
                           : key_expression(shown_expression(key.expression, names));
  }
  if (at - index.keys.size() < index.include.size()) {
    return quote_name(table->find_column(index.include[at - index.keys.size()])->name);
  }
  return {};
}

std::string index_definition(const Catalog& catalog, const Index& index, const ObjectNames& names) {
  const auto table = catalog.relation(index.table);
  std::string out = fmt::format("CREATE {}INDEX {} ON {}.{} USING {} (", index.unique ? "UNIQUE " : "",
                                quote_name(index.name), quote_name(catalog.schema(table->schema)->name),
                                quote_name(table->name), index.method);
  for (std::size_t i = 0; i < index.keys.size(); ++i) {
    const IndexKey& key = index.keys[i];
    out +=
        (i > 0 ? ", " : "") + index_key_definition(catalog, index, static_cast<std::int64_t>(i + 1), names);
    if (!key.opclass.empty()) out += " " + key.opclass;
    if (key.descending) {
      out += key.nulls_first ? " DESC" : " DESC NULLS LAST";
    } else if (key.nulls_first) {
      out += " NULLS FIRST";
    }
  }
  out += ")";
  if (!index.include.empty()) out += " INCLUDE (" + column_list(*table, index.include) + ")";
  if (has_equal_nulls(index)) out += " NULLS NOT DISTINCT";
  if (!index.predicate.empty()) out += " WHERE " + in_brackets(shown_expression(index.predicate, names));
  return out;
}

std::string domain_check_definition(const DomainCheck& check, const ObjectNames& names) {
  // The column "value" that stands for it.
  const std::string text = rename_column(check.text, "value", "VALUE").value_or(check.text);
  std::string shown = shown_expression(text, names);
  constexpr std::string_view kQuoted = "\"VALUE\"";
  for (std::size_t at = shown.find(kQuoted); at != std::string::npos; at = shown.find(kQuoted, at))
    shown.replace(at, kQuoted.size(), "VALUE");
  return "CHECK (" + in_brackets(shown) + ")" + (check.validated ? "" : " NOT VALID");
}

std::string constraint_definition(const Catalog& catalog, const Relation& table, const Constraint& constraint,
                                  const ObjectNames& names) {
  std::string out;
  switch (constraint.type) {
    case 'p': out = "PRIMARY KEY (" + column_list(table, constraint.columns) + ")"; break;
    case 'u': {
      const auto index = catalog.index(constraint.index);
      out = index && has_equal_nulls(*index) ? "UNIQUE NULLS NOT DISTINCT (" : "UNIQUE (";
      out += column_list(table, constraint.columns) + ")";
      break;
    }
    case 'c': out = "CHECK (" + in_brackets(shown_expression(constraint.check_text, names)) + ")"; break;
    case 'f': {
      const auto foreign = catalog.relation(constraint.foreign_table);
      const Schema* schema = catalog.schema(foreign->schema);
      const std::string name =
          (schema->name == "public" ? "" : quote_name(schema->name) + ".") + quote_name(foreign->name);
      out = fmt::format("FOREIGN KEY ({}) REFERENCES {}({})", column_list(table, constraint.columns), name,
                        column_list(*foreign, constraint.foreign_columns));
      if (constraint.match == 'f') out += " MATCH FULL";
      if (constraint.on_update != 'a') out += fmt::format(" ON UPDATE {}", action_text(constraint.on_update));
      if (constraint.on_delete != 'a') out += fmt::format(" ON DELETE {}", action_text(constraint.on_delete));
      break;
    }
    default: break;
  }
  if ((constraint.type == 'p' || constraint.type == 'u') && constraint.index != 0) {
    if (const auto index = catalog.index(constraint.index); index && !index->include.empty()) {
      out += " INCLUDE (" + column_list(table, index->include) + ")";
    }
  }
  if (constraint.no_inherit) out += " NO INHERIT";
  if (constraint.deferrable) out += " DEFERRABLE";
  if (constraint.deferred) out += " INITIALLY DEFERRED";
  if (!constraint.validated) out += " NOT VALID";
  return out;
}

}  // namespace bop::sql
