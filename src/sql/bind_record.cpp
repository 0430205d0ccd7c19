// Records: whole rows, ROW(...) as a value, and their fields.
#include <algorithm>

#include <fmt/format.h>

#include "sql/binder.hpp"
#include "sql/char_length.hpp"
#include "sql/functions/kernels.hpp"

namespace bop::sql {

namespace {

// As ROW(...) calls them.
std::string nameless(std::size_t index) { return fmt::format("f{}", index + 1); }

}  // namespace

ExprRef Binder::whole_row(const ScopeItem& item, int location) {
  const RangeEntry* entry = item.entry.get();
  if (entry != nullptr && entry->kind == RangeKind::kFunction && entry->function != nullptr &&
      entry->function->kernel != nullptr && entry->function->kernel->columns.empty() &&
      item.columns.size() == 1) {
    return named(item.columns.front().second, location);  // a function that answers values, not rows
  }
  if (names_found != nullptr && entry != nullptr && entry->relation != nullptr) {
    // Its text would have to follow the names of the table and of all of its columns.
    not_implemented(fmt::format("the whole row of \"{}\" in a stored expression or view", item.alias),
                    location);
  }
  ExprRef row = make_expr(ExprKind::kRow, types::kRecord, {}, location);
  for (const auto& [name, expr] : item.columns) {
    row->args.push_back(named(expr, location));
    row->names.push_back(name);
  }
  row->text = item.alias;
  row->absent_if_null = entry != nullptr && entry->nullable;
  return row;
}

std::vector<RangeColumn> Binder::fields_of(const Expr& e) const {
  std::vector<RangeColumn> out;
  if (e.kind == ExprKind::kRow) {
    for (std::size_t i = 0; i < e.args.size(); ++i) {
      const Expr& field = *e.args[i];
      const Oid type = type_of(field);
      out.push_back({.name = e.names.empty() ? nameless(i) : e.names[i],
                     .type = type == types::kUnknown ? Oid{types::kText} : type,
                     .typmod = field.typmod,
                     .value_typmod = char_value_typmod(field)});
      if (type == types::kRecord) out.back().fields = fields_of(field);
    }
  } else if (e.kind == ExprKind::kColumn && e.entry != nullptr) {
    out = e.entry->columns[static_cast<std::size_t>(e.number)].fields;
  } else if (e.kind == ExprKind::kField) {
    const std::vector<RangeColumn> outer = fields_of(*e.args[0]);
    if (static_cast<std::size_t>(e.number) < outer.size())
      out = outer[static_cast<std::size_t>(e.number)].fields;
  }
  return out;
}

namespace {

ExprRef field(const ExprRef& record, const RangeColumn& column, std::size_t index, int location) {
  if (record->kind == ExprKind::kRow && !record->absent_if_null) return record->args[index];
  ExprRef made = make_expr(ExprKind::kField, column.type, {record}, location);
  made->number = static_cast<int>(index);
  made->typmod = std::max(column.typmod, column.value_typmod);
  return made;
}

}  // namespace

ExprRef Binder::field_of(ExprRef record, std::string_view name, int location) {
  const Oid type = type_of(*record);
  if (type != types::kRecord) {
    raise(error(ErrorCode::kWrongObjectType,
                "column notation .{} applied to type {}, which is not a composite type", name,
                format_type(type)),
          location);
  }
  const std::vector<RangeColumn> fields = fields_of(*record);
  const auto found = std::ranges::find(fields, name, &RangeColumn::name);
  if (found == fields.end() && record->kind == ExprKind::kRow && !record->text.empty()) {
    raise(error(ErrorCode::kUndefinedColumn, "column {}.{} does not exist", record->text, name), location);
  }
  if (found == fields.end()) {
    raise(error(ErrorCode::kUndefinedColumn, "could not identify column \"{}\" in record data type", name),
          location);
  }
  return field(record, *found, static_cast<std::size_t>(found - fields.begin()), location);
}

std::vector<Target> Binder::expand_fields(const PgQuery__AIndirection& star, Scope& scope) {
  ExprRef record = expression(*star.arg, scope);
  for (std::size_t i = 0; i + 1 < star.n_indirection; ++i) {
    const pg::Node& part = *star.indirection[i];
    if (part.node_case != PG_QUERY__NODE__NODE_STRING) not_implemented("this form of .*", record->location);
    record = field_of(std::move(record), pg::string_of(&part), record->location);
  }
  const Oid type = type_of(*record);
  if (type != types::kRecord) {
    raise(error(ErrorCode::kWrongObjectType, "type {} is not composite", format_type(type)),
          record->location);
  }
  const std::vector<RangeColumn> fields = fields_of(*record);
  if (fields.empty() && record->kind != ExprKind::kRow) {
    raise(error(ErrorCode::kNotImplemented, "record type has not been registered"), record->location);
  }
  std::vector<Target> out;
  for (std::size_t i = 0; i < fields.size(); ++i) {
    out.push_back({.name = fields[i].name, .expr = field(record, fields[i], i, record->location)});
  }
  return out;
}

}  // namespace bop::sql
