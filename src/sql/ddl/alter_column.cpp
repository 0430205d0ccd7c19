// ALTER COLUMN ... TYPE, and what is over the column: defaults, keys, CHECK and expressions of indexes are
// bound again with the new type, and rows that are there have to hold them.
#include <algorithm>

#include "sql/ddl/ddl_run.hpp"
#include "sql/functions/kernels.hpp"
#include "sql/types/types.hpp"

namespace bop::sql {

Status DdlRun::alter_type(Alteration& alteration, const PgQuery__AlterTableCmd& command) {
  Relation& table = alteration.table;
  BOP_LET(column, column_of(table, pg::text(command.name)));
  if (alteration.before.find_column(column->number) == nullptr) {
    return fail(ErrorCode::kUndefinedColumn, "column \"{}\" of relation \"{}\" does not exist", column->name,
                table.name);
  }
  if (!alteration.retyped.insert(column->number).second) {
    return fail(ErrorCode::kNotImplemented, "cannot alter type of column \"{}\" twice", column->name);
  }
  const PgQuery__ColumnDef& definition = *command.def->column_def;
  pg::Node type_node = PG_QUERY__NODE__INIT;
  type_node.node_case = PG_QUERY__NODE__NODE_TYPE_NAME;
  type_node.type_name = definition.type_name;
  BOP_LET(type, resolve_type(&type_node, *statement_));
  BOP_LET(collation, collation_of(definition.coll_clause, type.type));
  if (column->identity != 0) {
    if (type.type != types::kInt8 && type.type != types::kInt2 && type.type != types::kInt4) {
      return fail(ErrorCode::kInvalidArgument, "identity column type must be smallint, integer, or bigint");
    }
    // The values that it hands out are of the column's type.
    Sequence sequence = *now().sequence(column->sequence);
    std::string word = "as";
    PgQuery__DefElem option = PG_QUERY__DEF_ELEM__INIT;
    option.defname = word.data();
    option.arg = &type_node;
    pg::Node item = PG_QUERY__NODE__INIT;
    item.node_case = PG_QUERY__NODE__NODE_DEF_ELEM;
    item.def_elem = &option;
    pg::Node* const options[] = {&item};
    BOP_TRY(sequence_options(sequence, options, false));
    edit_.put(std::move(sequence));
  }
  for (const auto& [oid, relation] : now().relations()) {
    const ViewRead* read = relation->find_read(table.oid);
    if (read != nullptr && std::ranges::find(read->used, column->number) != read->used.end()) {
      return std::unexpected(
          error(ErrorCode::kNotImplemented, "cannot alter type of a column used by a view or rule")
              .detail(fmt::format("rule _RETURN on view {} depends on column \"{}\"", relation->name,
                                  column->name)));
    }
  }
  BOP_LET(computed, computed_from(table, column->number));
  if (!computed.empty()) {
    return std::unexpected(
        error(ErrorCode::kNotImplemented, "cannot alter type of a column used by a generated column")
            .detail(fmt::format("Column \"{}\" is used by generated column \"{}\".", column->name,
                                table.find_column(computed.front())->name)));
  }
  if (column->generated != 0 && definition.raw_default != nullptr) {
    return std::unexpected(error(ErrorCode::kInvalidColumnDefinition,
                                 "cannot specify USING when altering type of generated column")
                               .detail(fmt::format("Column \"{}\" is a generated column.", column->name)));
  }
  if (definition.raw_default != nullptr) {
    // Over the table as it was before the statement, whatever else the statement changes.
    const ParsedStatementPtr expression = inner_statement(statement_, definition.raw_default);
    BOP_TRY(bind_expression(expression, &alteration.before, ExpressionUse::kTransform, bind_now()));
    const auto bound = bind_expression(expression, &alteration.before, ExpressionUse::kTransform, bind_now(),
                                       type.type, type.typmod, column->name);
    if (!bound) return std::unexpected(without_position(bound.error()));
    alteration.expressions[column->number] = bound->sql;
  } else {
    const CastContext context = cast_context(column->type, type.type);
    if (context != CastContext::kImplicit && context != CastContext::kAssignment &&
        column->type != type.type) {
      Error why = error(ErrorCode::kDatatypeMismatch, "column \"{}\" cannot be cast automatically to type {}",
                        column->name, format_type(type.type, -1));
      if (column->generated == 0) {
        why.mut().hint = fmt::format("You might need to specify \"USING {}::{}\".", quote_name(column->name),
                                     format_type(type.type, type.typmod));
      }
      return std::unexpected(std::move(why));
    }
    if (column->generated == 0)
      alteration.expressions[column->number] =
          cast_sql(column->type, type.type, type.typmod, false, column_name(column->number));
  }
  if (column->default_text) {
    // The default goes on to be the value that it was, which is cast.
    const bool generated = column->generated != 0;
    const Relation* over = generated ? &table : nullptr;
    const ExpressionUse use = generated ? ExpressionUse::kGenerated : ExpressionUse::kDefault;
    auto pinned = pin_literals(*column->default_text, over, use, bind_now(), column->type,
                               default_typmod(column->type, column->typmod), column->name);
    if (!pinned) return std::unexpected(without_position(pinned.error()));
    BOP_LET(parsed, parse_expression(pinned->text));
    const auto bound = bind_expression(parsed, over, use, bind_now(), type.type,
                                       default_typmod(type.type, type.typmod), column->name);
    if (!bound && bound.error().code() == ErrorCode::kDatatypeMismatch) {
      return fail(ErrorCode::kDatatypeMismatch,
                  "{} for column \"{}\" cannot be cast automatically to type {}",
                  generated ? "generation expression" : "default", column->name, format_type(type.type, -1));
    }
    if (!bound) return std::unexpected(without_position(bound.error()));
    column->default_text = std::move(pinned->text);
  }
  column->type = type.type;
  column->typmod = type.typmod;
  column->collation = std::move(collation);
  alteration.rebuild = true;
  return {};
}

// `stored`, of the table as it was, bound with the new types; empty if it has nothing to do with them.
Result<std::optional<StoredExpression>> DdlRun::retyped(const std::string& stored,
                                                        const Alteration& alteration,
                                                        ExpressionUse use) const {
  // A literal keeps the type that its context gave it when the text was made.
  auto pinned = pin_literals(stored, &alteration.before, use, bind_now());
  if (!pinned) return std::unexpected(without_position(pinned.error()));
  if (!alteration.retypes(pinned->bound.columns)) return std::nullopt;
  BOP_LET(parsed, parse_expression(pinned->text));
  auto bound = bind_expression(parsed, &alteration.table, use, bind_now());
  if (!bound) return std::unexpected(without_position(bound.error()));
  return StoredExpression{.text = std::move(pinned->text), .bound = std::move(*bound)};
}

Status DdlRun::bind_retyped(Alteration& alteration) {
  Relation& after = alteration.table;
  for (const auto& index : now().indexes_of(after.oid)) {
    Index changed = *index;
    for (IndexKey& key : changed.keys) {
      if (key.column != 0) {
        key.type = after.find_column(key.column)->type;
        continue;
      }
      BOP_LET(expression, retyped(key.expression, alteration, ExpressionUse::kIndex));
      if (!expression) continue;
      key.expression = std::move(expression->text);
      key.type = expression->bound.type;
    }
    if (!changed.predicate.empty()) {
      BOP_LET(predicate, retyped(changed.predicate, alteration, ExpressionUse::kIndexPredicate));
      if (predicate) changed.predicate = std::move(predicate->text);
    }
    edit_.put(std::move(changed));
  }
  for (Constraint& constraint : after.constraints) {
    const bool added = std::ranges::none_of(alteration.before.constraints,
                                            [&](const Constraint& c) { return c.oid == constraint.oid; });
    if (constraint.type == 'c' && alteration.retypes(constraint.columns)) {
      if (added) {
        // Its literals have no type yet, as if the types had been changed first.
        BOP_LET(parsed, parse_expression(constraint.check_text));
        const auto bound = bind_expression(parsed, &after, ExpressionUse::kCheck, bind_now());
        if (!bound) return std::unexpected(without_position(bound.error()));
        continue;
      }
      BOP_LET(check, retyped(constraint.check_text, alteration, ExpressionUse::kCheck));
      if (check) constraint.check_text = std::move(check->text);
      if (constraint.validated) alteration.checks.push_back(constraint);
    }
    const bool itself = constraint.foreign_table == after.oid;
    if (constraint.type == 'f' && (alteration.retypes(constraint.columns) ||
                                   (itself && alteration.retypes(constraint.foreign_columns)))) {
      const Relation referenced = itself ? after : *now().relation(constraint.foreign_table);
      BOP_TRY(check_key_types(constraint, after, referenced));
      if (!added) alteration.foreign_keys.emplace_back(after.oid, constraint.oid);
    }
  }
  for (const Catalog::Reference& reference : now().references_to(after.oid)) {
    if (reference.table->oid == after.oid || !alteration.retypes(reference.constraint->foreign_columns))
      continue;
    BOP_TRY(check_key_types(*reference.constraint, *reference.table, after));
    alteration.foreign_keys.emplace_back(reference.table->oid, reference.constraint->oid);
  }
  for (const std::int16_t number : alteration.retyped) {
    const Column* column = after.find_column(number);
    if (!column->dropped && column->not_null) alteration.not_null.push_back(number);
  }
  return {};
}

}  // namespace bop::sql
