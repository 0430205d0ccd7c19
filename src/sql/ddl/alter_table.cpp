// ALTER TABLE: the commands are applied to a copy of the relation, then SQLite's table follows in one step.
#include <algorithm>
#include <cctype>

#include "sql/ddl/ddl_run.hpp"
#include "sql/functions/kernels.hpp"
#include "sql/types/types.hpp"
#include "sql/types/user_types.hpp"

namespace bop::sql {

namespace {

// The words of a form of ALTER TABLE, for its refusal.
std::string_view form_of(const PgQuery__AlterTableCmd& command) {
#define BOP_FORM(x) PG_QUERY__ALTER_TABLE_TYPE__AT_##x
  struct Form {
    PgQuery__AlterTableType type;
    std::string_view words;
  };
  static constexpr Form kForms[] = {
      {BOP_FORM(AddColumn), "ADD COLUMN"},
      {BOP_FORM(ColumnDefault), "DEFAULT"},
      {BOP_FORM(SetOptions), "SET"},
      {BOP_FORM(ResetOptions), "RESET"},
      {BOP_FORM(SetRelOptions), "SET"},
      {BOP_FORM(ResetRelOptions), "RESET"},
      {BOP_FORM(ReplaceRelOptions), "SET"},
      {BOP_FORM(SetStatistics), "SET STATISTICS"},
      {BOP_FORM(SetCompression), "SET COMPRESSION"},
      {BOP_FORM(AlterConstraint), "ALTER CONSTRAINT"},
      {BOP_FORM(AlterColumnGenericOptions), "OPTIONS"},
      {BOP_FORM(ClusterOn), "CLUSTER ON"},
      {BOP_FORM(DropCluster), "SET WITHOUT CLUSTER"},
      {BOP_FORM(SetLogged), "SET LOGGED"},
      {BOP_FORM(SetUnLogged), "SET UNLOGGED"},
      {BOP_FORM(DropOids), "SET WITHOUT OIDS"},
      {BOP_FORM(SetAccessMethod), "SET ACCESS METHOD"},
      {BOP_FORM(SetTableSpace), "SET TABLESPACE"},
      {BOP_FORM(EnableTrig), "ENABLE TRIGGER"},
      {BOP_FORM(EnableAlwaysTrig), "ENABLE ALWAYS TRIGGER"},
      {BOP_FORM(EnableReplicaTrig), "ENABLE REPLICA TRIGGER"},
      {BOP_FORM(DisableTrig), "DISABLE TRIGGER"},
      {BOP_FORM(EnableTrigAll), "ENABLE TRIGGER ALL"},
      {BOP_FORM(DisableTrigAll), "DISABLE TRIGGER ALL"},
      {BOP_FORM(EnableTrigUser), "ENABLE TRIGGER USER"},
      {BOP_FORM(DisableTrigUser), "DISABLE TRIGGER USER"},
      {BOP_FORM(EnableRule), "ENABLE RULE"},
      {BOP_FORM(EnableAlwaysRule), "ENABLE ALWAYS RULE"},
      {BOP_FORM(EnableReplicaRule), "ENABLE REPLICA RULE"},
      {BOP_FORM(DisableRule), "DISABLE RULE"},
      {BOP_FORM(AddInherit), "INHERIT"},
      {BOP_FORM(DropInherit), "NO INHERIT"},
      {BOP_FORM(AddOf), "OF"},
      {BOP_FORM(DropOf), "NOT OF"},
      {BOP_FORM(ReplicaIdentity), "REPLICA IDENTITY"},
      {BOP_FORM(EnableRowSecurity), "ENABLE ROW LEVEL SECURITY"},
      {BOP_FORM(DisableRowSecurity), "DISABLE ROW LEVEL SECURITY"},
      {BOP_FORM(ForceRowSecurity), "FORCE ROW LEVEL SECURITY"},
      {BOP_FORM(NoForceRowSecurity), "NO FORCE ROW LEVEL SECURITY"},
      {BOP_FORM(GenericOptions), "OPTIONS"},
      {BOP_FORM(AttachPartition), "ATTACH PARTITION"},
      {BOP_FORM(DetachPartition), "DETACH PARTITION"},
      {BOP_FORM(DetachPartitionFinalize), "DETACH PARTITION"},
  };
#undef BOP_FORM
  const auto* form = std::ranges::find(kForms, command.subtype, &Form::type);
  return form == std::end(kForms) ? "of this kind" : form->words;
}

}  // namespace

Status DdlRun::alter_table(const PgQuery__AlterTableStmt& alter) {
  BOP_LET(found, find_altered(*alter.relation, alter.missing_ok != 0, alter.objtype));
  if (!found) return {};
  if (alter.n_cmds == 1 &&
      alter.cmds[0]->alter_table_cmd->subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_ChangeOwner) {
    BOP_TRY(must_own(found));
    return change_owner(found, *alter.cmds[0]->alter_table_cmd->newowner);
  }
  if (alter.objtype != PG_QUERY__OBJECT_TYPE__OBJECT_TABLE)
    return fail(ErrorCode::kNotImplemented, "{} ... {} is not implemented", statement_->command,
                form_of(*alter.cmds[0]->alter_table_cmd));
  BOP_LET(table, table_to_change(*alter.relation, "ALTER TABLE"));
  Alteration alteration;
  alteration.before = table;
  alteration.table = std::move(table);
  for (const pg::Node* command : BOP_PG_LIST(&alter, cmds)) {
    BOP_TRY(alter_one(alteration, *command->alter_table_cmd));
  }
  if (!alteration.retyped.empty()) BOP_TRY(bind_retyped(alteration));
  Relation& after = alteration.table;
  edit_.put(after);
  if (context_.before_rows) {
    BOP_TRY(context_.before_rows(std::make_shared<const Catalog>(now()), outcome_.sequence_starts));
    outcome_.sequence_starts.clear();
  }
  if (alteration.rebuild) {
    BOP_TRY(replace_rows(alteration.before, after, alteration.expressions));
  } else {
    for (const Column& column : after.columns) {
      if (column.dropped || alteration.before.find_column(column.number) != nullptr) continue;
      const TypeInfo* type = find_type(column.type);
      const std::string collation =
          type != nullptr && !type->collation.empty() ? fmt::format(" COLLATE {}", type->collation) : "";
      BOP_TRY(run(fmt::format("ALTER TABLE {} ADD COLUMN {}{}", table_name(after.oid),
                              column_name(column.number), collation)));
    }
    std::string sets;
    for (const auto& [number, value] : alteration.expressions) {
      sets += fmt::format("{}{} = {}", sets.empty() ? "" : ", ", column_name(number), value);
    }
    if (!sets.empty()) BOP_TRY(run(fmt::format("UPDATE {} SET {}", table_name(after.oid), sets)));
  }
  for (const std::int16_t number : alteration.not_null)
    BOP_TRY(verify_not_null(after, *after.find_column(number)));
  for (const Constraint& check : alteration.checks) BOP_TRY(verify_check(after, check));
  if (alteration.rebuild) BOP_TRY(remake_indexes(after));
  for (const Index& index : alteration.new_indexes) BOP_TRY(make_index(index, after));
  for (const auto& [owner, key] : alteration.foreign_keys) BOP_TRY(verify_foreign_key(owner, key));
  return {};
}

Status DdlRun::verify_foreign_key(Oid table, Oid key) {
  const auto relation = now().relation(table);
  const auto constraint = std::ranges::find(relation->constraints, key, &Constraint::oid);
  if (constraint == relation->constraints.end()) return {};  // dropped by the same statement
  return check_foreign_key(now(), db_, *relation, *constraint);
}

bool DdlRun::Alteration::retypes(std::span<const std::int16_t> columns) const {
  return std::ranges::any_of(columns, [&](std::int16_t number) { return retyped.contains(number); });
}

Result<Column*> DdlRun::column_of(Relation& table, std::string_view name) const {
  const auto column =
      std::ranges::find_if(table.columns, [&](const Column& c) { return !c.dropped && c.name == name; });
  if (column == table.columns.end()) {
    return fail(ErrorCode::kUndefinedColumn, "column \"{}\" of relation \"{}\" does not exist", name,
                table.name);
  }
  return &*column;
}

Status DdlRun::alter_one(Alteration& alteration, const PgQuery__AlterTableCmd& command) {
  Relation& table = alteration.table;
  switch (command.subtype) {
    case PG_QUERY__ALTER_TABLE_TYPE__AT_AddColumn: return add_column(alteration, command);
    case PG_QUERY__ALTER_TABLE_TYPE__AT_DropColumn: return drop_column(alteration, command);
    case PG_QUERY__ALTER_TABLE_TYPE__AT_AlterColumnType: return alter_type(alteration, command);
    case PG_QUERY__ALTER_TABLE_TYPE__AT_ColumnDefault: {
      BOP_LET(column, column_of(table, pg::text(command.name)));
      if (column->identity != 0) {
        return std::unexpected(error(ErrorCode::kSyntaxError,
                                     "column \"{}\" of relation \"{}\" is an identity column", column->name,
                                     table.name)
                                   .hint("Use ALTER TABLE ... ALTER COLUMN ... DROP IDENTITY instead."));
      }
      if (column->generated != 0) {
        Error why = error(ErrorCode::kSyntaxError, "column \"{}\" of relation \"{}\" is a generated column",
                          column->name, table.name);
        if (command.def == nullptr) {
          why.mut().hint = "Use ALTER TABLE ... ALTER COLUMN ... DROP EXPRESSION instead.";
        }
        return std::unexpected(std::move(why));
      }
      // SQLite's table knows the default of a column that ON DELETE SET DEFAULT can set.
      for (const Constraint& key : table.constraints) {
        const bool sets = key.type == 'f' && (key.on_delete == 'd' || key.on_update == 'd');
        if (sets && std::ranges::find(key.columns, column->number) != key.columns.end())
          alteration.rebuild = true;
      }
      column->sequence = 0;  // a serial's default is gone; its sequence still belongs to the column
      if (command.def == nullptr) {
        column->default_text.reset();
        return {};
      }
      return add_default(table, *column, command.def);
    }
    case PG_QUERY__ALTER_TABLE_TYPE__AT_DropNotNull: {
      BOP_LET(column, column_of(table, pg::text(command.name)));
      if (column->identity != 0) {
        return fail(ErrorCode::kSyntaxError, "column \"{}\" of relation \"{}\" is an identity column",
                    column->name, table.name);
      }
      const Constraint* key = table.primary_key();
      if (key != nullptr && std::ranges::find(key->columns, column->number) != key->columns.end()) {
        return fail(ErrorCode::kInvalidTableDefinition, "column \"{}\" is in a primary key", column->name);
      }
      column->not_null = false;
      return {};
    }
    case PG_QUERY__ALTER_TABLE_TYPE__AT_SetNotNull: {
      BOP_LET(column, column_of(table, pg::text(command.name)));
      column->not_null = true;
      alteration.not_null.push_back(column->number);
      return {};
    }
    case PG_QUERY__ALTER_TABLE_TYPE__AT_AddConstraint: {
      const PgQuery__Constraint& node = *command.def->constraint;
      const std::size_t constraints_before = table.constraints.size();
      if (node.is_no_inherit != 0 && node.contype != PG_QUERY__CONSTR_TYPE__CONSTR_CHECK) {
        return fail(ErrorCode::kNotImplemented, "NO INHERIT is not implemented here");
      }
      BOP_TRY(add_constraint(table, {&node, {}, node.deferrable != 0, node.initdeferred != 0},
                             alteration.new_indexes));
      Constraint& added = table.constraints[constraints_before];
      const bool skip = node.skip_validation != 0;
      if (added.type == 'c') {
        added.validated = !skip;
        if (!skip) alteration.checks.push_back(added);
      } else if (added.type == 'f') {
        added.validated = !skip;
        alteration.rebuild = true;
        if (!skip) alteration.foreign_keys.emplace_back(table.oid, added.oid);
      } else if (added.type == 'p') {
        for (const std::int16_t number : added.columns) alteration.not_null.push_back(number);
        if (table.rowid_column() != nullptr) alteration.rebuild = true;
      }
      return {};
    }
    case PG_QUERY__ALTER_TABLE_TYPE__AT_DropExpression: return drop_expression(alteration, command);
    case PG_QUERY__ALTER_TABLE_TYPE__AT_DropConstraint: return drop_constraint(alteration, command);
    case PG_QUERY__ALTER_TABLE_TYPE__AT_ValidateConstraint: {
      const auto constraint = std::ranges::find(table.constraints, pg::text(command.name), &Constraint::name);
      if (constraint == table.constraints.end()) {
        return fail(ErrorCode::kUndefinedObject, "constraint \"{}\" of relation \"{}\" does not exist",
                    command.name, table.name);
      }
      if (constraint->type != 'c' && constraint->type != 'f') {
        return fail(ErrorCode::kWrongObjectType,
                    "constraint \"{}\" of relation \"{}\" is not a foreign key or check constraint",
                    constraint->name, table.name);
      }
      if (!constraint->validated && constraint->type == 'f') {
        alteration.foreign_keys.emplace_back(table.oid, constraint->oid);
      } else if (!constraint->validated) {
        alteration.checks.push_back(*constraint);
      }
      constraint->validated = true;
      return {};
    }
    case PG_QUERY__ALTER_TABLE_TYPE__AT_AlterConstraint: {
      const PgQuery__Constraint& node = *command.def->constraint;
      const auto constraint = std::ranges::find(table.constraints, pg::text(node.conname), &Constraint::name);
      if (constraint == table.constraints.end()) {
        return fail(ErrorCode::kUndefinedObject, "constraint \"{}\" of relation \"{}\" does not exist",
                    node.conname, table.name);
      }
      if (constraint->type != 'f') {
        return fail(ErrorCode::kWrongObjectType,
                    "constraint \"{}\" of relation \"{}\" is not a foreign key constraint", constraint->name,
                    table.name);
      }
      constraint->deferrable = node.deferrable != 0;
      constraint->deferred = node.initdeferred != 0;
      return {};
    }
    case PG_QUERY__ALTER_TABLE_TYPE__AT_ChangeOwner: {
      const Catalog::Named found = now().find(table.schema, table.name);
      BOP_TRY(change_owner(found, *command.newowner));
      table.owner = now().relation(table.oid)->owner;
      return {};
    }
    case PG_QUERY__ALTER_TABLE_TYPE__AT_ResetRelOptions:
      for (const pg::Node* item : BOP_PG_LIST(command.def->list, items)) {
        if (item->def_elem->arg != nullptr)
          return fail(ErrorCode::kSyntaxError, "RESET must not include values for parameters");
      }
      [[fallthrough]];
    case PG_QUERY__ALTER_TABLE_TYPE__AT_SetRelOptions:
      return check_storage_options(BOP_PG_LIST(command.def->list, items), false);
    case PG_QUERY__ALTER_TABLE_TYPE__AT_SetStatistics:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_SetStorage: {
      BOP_TRY(column_of(table, pg::text(command.name)));
      if (command.subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_SetStorage) {
        std::string storage(pg::string_of(command.def));
        std::ranges::transform(storage, storage.begin(), [](unsigned char c) { return std::tolower(c); });
        constexpr std::string_view kKinds[] = {"plain", "external", "extended", "main"};
        if (std::ranges::find(kKinds, storage) == std::end(kKinds)) {
          return fail(ErrorCode::kInvalidArgument, "invalid storage type \"{}\"", storage);
        }
      }
      notice(Error(ErrorCode::kNotImplemented,
                   "statistics targets and storage of columns are accepted and have no effect"));
      return {};
    }
    case PG_QUERY__ALTER_TABLE_TYPE__AT_AddIdentity: {
      BOP_LET(column, column_of(table, pg::text(command.name)));
      const PgQuery__Constraint& node = *command.def->constraint;
      if (!column->not_null) {
        return fail(ErrorCode::kNotInPrerequisiteState,
                    "column \"{}\" of relation \"{}\" must be declared NOT NULL before identity can be added",
                    column->name, table.name);
      }
      if (column->identity != 0) {
        return fail(ErrorCode::kNotInPrerequisiteState,
                    "column \"{}\" of relation \"{}\" is already an identity column", column->name,
                    table.name);
      }
      if (column->default_text) {
        return fail(ErrorCode::kNotInPrerequisiteState,
                    "column \"{}\" of relation \"{}\" already has a default value", column->name, table.name);
      }
      return add_sequence_column(table, *column, pg::text(node.generated_when).front(), column->type,
                                 BOP_PG_LIST(&node, options));
    }
    case PG_QUERY__ALTER_TABLE_TYPE__AT_SetIdentity: return set_identity(alteration, command);
    case PG_QUERY__ALTER_TABLE_TYPE__AT_DropIdentity: {
      BOP_LET(column, column_of(table, pg::text(command.name)));
      if (column->identity == 0) {
        if (command.missing_ok != 0) {
          notice(error(ErrorCode::kNotInPrerequisiteState,
                       "column \"{}\" of relation \"{}\" is not an identity column, skipping", column->name,
                       table.name));
          return {};
        }
        return fail(ErrorCode::kNotInPrerequisiteState,
                    "column \"{}\" of relation \"{}\" is not an identity column", column->name, table.name);
      }
      outcome_.dropped_sequences.push_back(now().sequence(column->sequence)->state_key());
      edit_.drop_sequence(column->sequence);
      column->sequence = 0;
      column->identity = 0;
      return {};
    }
    default:
      return fail(ErrorCode::kNotImplemented, "ALTER TABLE ... {} is not implemented", form_of(command));
  }
}

// SET GENERATED, SET <option of the sequence> and RESTART of an identity column.
Status DdlRun::set_identity(Alteration& alteration, const PgQuery__AlterTableCmd& command) {
  Relation& table = alteration.table;
  BOP_LET(column, column_of(table, pg::text(command.name)));
  if (column->identity == 0) {
    return fail(ErrorCode::kNotInPrerequisiteState,
                "column \"{}\" of relation \"{}\" is not an identity column", column->name, table.name);
  }
  std::vector<pg::Node*> options;
  bool said = false;
  for (pg::Node* item : BOP_PG_LIST(command.def->list, items)) {
    const PgQuery__DefElem& option = *item->def_elem;
    if (pg::text(option.defname) != "generated") {
      options.push_back(item);
      continue;
    }
    if (std::exchange(said, true)) {
      return std::unexpected(
          error(ErrorCode::kSyntaxError, "conflicting or redundant options").at(position(option.location)));
    }
    column->identity = static_cast<char>(option.arg->integer->ival);
  }
  if (options.empty()) return {};
  Sequence sequence = *now().sequence(column->sequence);
  BOP_TRY(sequence_options(sequence, options, false));
  edit_.put(std::move(sequence));
  return {};
}

Status DdlRun::drop_expression(Alteration& alteration, const PgQuery__AlterTableCmd& command) {
  Relation& table = alteration.table;
  BOP_LET(column, column_of(table, pg::text(command.name)));
  if (column->generated == 0) {
    if (command.missing_ok == 0) {
      return fail(ErrorCode::kNotInPrerequisiteState,
                  "column \"{}\" of relation \"{}\" is not a stored generated column", column->name,
                  table.name);
    }
    notice(error(ErrorCode::kNotice,
                 "column \"{}\" of relation \"{}\" is not a stored generated column, skipping", column->name,
                 table.name));
    return {};
  }
  column->generated = 0;
  column->default_text.reset();
  alteration.rebuild = true;  // the values stay
  return {};
}

Result<std::vector<std::int16_t>> DdlRun::computed_from(const Relation& table, std::int16_t number) const {
  std::vector<std::int16_t> found;
  for (const Column& column : table.columns) {
    if (column.dropped || column.generated == 0 || column.number == number) continue;
    BOP_LET(parsed, parse_expression(*column.default_text));
    BOP_LET(bound, bind_expression(parsed, &table, ExpressionUse::kGenerated, bind_now(), column.type,
                                   column.typmod, column.name));
    if (std::ranges::find(bound.columns, number) != bound.columns.end()) found.push_back(column.number);
  }
  return found;
}

Status DdlRun::drop_constraint(Alteration& alteration, const PgQuery__AlterTableCmd& command) {
  Relation& table = alteration.table;
  const std::string name(pg::text(command.name));
  const auto constraint = std::ranges::find(table.constraints, name, &Constraint::name);
  if (constraint == table.constraints.end()) {
    if (command.missing_ok != 0) {
      notice(error(ErrorCode::kUndefinedObject,
                   "constraint \"{}\" of relation \"{}\" does not exist, skipping", name, table.name));
      return {};
    }
    return fail(ErrorCode::kUndefinedObject, "constraint \"{}\" of relation \"{}\" does not exist", name,
                table.name);
  }
  if (constraint->type == 'f') alteration.rebuild = true;
  if (constraint->type == 'p' || constraint->type == 'u') {
    const Oid index = constraint->index;
    Dropped dropped;
    dropped.indexes.insert(index);
    BOP_TRY(collect(dropped, command.behavior == PG_QUERY__DROP_BEHAVIOR__DROP_CASCADE,
                    fmt::format("constraint {} on {}", name, description(table.oid))));
    if (constraint->type == 'p' && table.rowid_column() != nullptr) alteration.rebuild = true;
    const bool own =
        std::ranges::any_of(dropped.constraints, [&](const auto& c) { return c.first == table.oid; });
    std::erase_if(table.constraints,
                  [&](const Constraint& c) { return dropped.constraints.contains({table.oid, c.oid}); });
    if (own) alteration.rebuild = true;
    std::erase_if(dropped.constraints, [&](const auto& c) { return c.first == table.oid; });
    BOP_TRY(remove(dropped));
  }
  std::erase_if(table.constraints, [&](const Constraint& c) { return c.name == name; });
  return {};
}

Status DdlRun::add_column(Alteration& alteration, const PgQuery__AlterTableCmd& command) {
  Relation& table = alteration.table;
  const PgQuery__ColumnDef& definition = *command.def->column_def;
  const std::string name(pg::text(definition.colname));
  if (table.find_column(name) != nullptr) {
    if (command.missing_ok != 0) {
      notice(error(ErrorCode::kDuplicateColumn, "column \"{}\" of relation \"{}\" already exists, skipping",
                   name, table.name));
      return {};
    }
    return fail(ErrorCode::kDuplicateColumn, "column \"{}\" of relation \"{}\" already exists", name,
                table.name);
  }
  std::vector<PendingConstraint> pending;
  BOP_LET(column, make_column(table, definition, pending));
  table.columns.push_back(column);
  if (column.generated != 0) alteration.rebuild = true;
  const std::optional<std::string> domain_default = default_of_domain(now(), column.type);
  if (column.default_text || column.sequence != 0 || domain_default || is_constrained(column.type)) {
    edit_.put(table);
    const std::string text = column.default_text ? *column.default_text : domain_default.value_or("NULL");
    if (column.sequence != 0) {
      alteration.expressions[column.number] =
          fmt::format("{}({})", lookup("nextval", 1).front()->sqlite_name, column.sequence);
    } else {
      BOP_LET(parsed, parse_expression(text));
      BOP_LET(bound, bind_expression(parsed, nullptr, ExpressionUse::kDefault, bind_now(), column.type,
                                     column.typmod, column.name));
      alteration.expressions[column.number] = bound.sql;
    }
  }
  if (column.not_null) alteration.not_null.push_back(column.number);
  merge_keys(pending);
  for (const PendingConstraint& constraint : pending) {
    if (constraint.node->contype == PG_QUERY__CONSTR_TYPE__CONSTR_GENERATED) {
      BOP_TRY(add_generated(table, constraint));
    }
  }
  for (const PendingConstraint& constraint : pending) {
    if (constraint.node->contype == PG_QUERY__CONSTR_TYPE__CONSTR_GENERATED) continue;
    const std::size_t at = table.constraints.size();
    BOP_TRY(add_constraint(table, constraint, alteration.new_indexes));
    const Constraint& added = table.constraints[at];
    if (added.type == 'c') alteration.checks.push_back(added);
    if (added.type == 'f') {
      alteration.rebuild = true;
      alteration.foreign_keys.emplace_back(table.oid, added.oid);
    }
    if (added.type == 'p' && table.rowid_column() != nullptr) alteration.rebuild = true;
  }
  return {};
}

Status DdlRun::drop_column(Alteration& alteration, const PgQuery__AlterTableCmd& command) {
  Relation& table = alteration.table;
  const std::string name(pg::text(command.name));
  auto column =
      std::ranges::find_if(table.columns, [&](const Column& c) { return !c.dropped && c.name == name; });
  if (column == table.columns.end()) {
    if (command.missing_ok != 0) {
      notice(error(ErrorCode::kUndefinedColumn, "column \"{}\" of relation \"{}\" does not exist, skipping",
                   name, table.name));
      return {};
    }
    return fail(ErrorCode::kUndefinedColumn, "column \"{}\" of relation \"{}\" does not exist", name,
                table.name);
  }
  const bool cascade = command.behavior == PG_QUERY__DROP_BEHAVIOR__DROP_CASCADE;
  std::set<std::int16_t> numbers{column->number};
  std::vector<Dependent> computed;
  BOP_LET(generated, computed_from(table, column->number));
  for (const std::int16_t other : generated) {
    const std::string of = " of " + description(table.oid);
    numbers.insert(other);
    computed.push_back({.object = fmt::format("column {}{}", table.find_column(other)->name, of),
                        .cause = fmt::format("column {}{}", name, of)});
  }
  // SQLite would go on computing it.
  if (column->generated != 0 || !computed.empty()) alteration.rebuild = true;
  Relation without = table;
  Dropped dropped;
  for (const std::int16_t number : numbers) {
    std::ranges::find(without.columns, number, &Column::number)->dropped = true;
    dropped.columns.insert({table.oid, number});
  }
  const auto uses = [&](const std::vector<std::int16_t>& columns) {
    return std::ranges::any_of(columns, [&](std::int16_t number) { return numbers.contains(number); });
  };
  const Column* rowid = table.rowid_column();
  if (rowid != nullptr && numbers.contains(rowid->number)) alteration.rebuild = true;
  for (const auto& index : now().indexes_of(table.oid)) {
    const bool keyed =
        std::ranges::any_of(index->keys, [&](const IndexKey& key) { return numbers.contains(key.column); });
    bool expressed = uses(index->include);
    for (const IndexKey& key : index->keys) {
      if (key.column != 0) continue;
      BOP_LET(parsed, parse_expression(key.expression));
      expressed |= !bind_expression(parsed, &without, ExpressionUse::kIndex, bind_now());
    }
    if (!index->predicate.empty()) {
      BOP_LET(parsed, parse_expression(index->predicate));
      expressed |= !bind_expression(parsed, &without, ExpressionUse::kIndexPredicate, bind_now());
    }
    if (keyed || expressed) dropped.indexes.insert(index->oid);
  }
  for (const Constraint& constraint : table.constraints) {
    if (constraint.type == 'f' && uses(constraint.columns)) alteration.rebuild = true;
  }
  std::erase_if(table.constraints, [&](const Constraint& constraint) {
    // Foreign keys of the table to a key that goes are dependents like those of other tables.
    return uses(constraint.columns) || (constraint.type != 'f' && dropped.indexes.contains(constraint.index));
  });
  for (const auto& [oid, sequence] : now().sequences()) {
    if (sequence->owned_by_table == table.oid && numbers.contains(sequence->owned_by_column))
      dropped.sequences.insert(oid);
  }
  // The table without its own constraints on the column, but still with its name, for what depends on it.
  edit_.put(table);
  BOP_TRY(collect(dropped, cascade, fmt::format("column {} of {}", name, description(table.oid)), computed));
  const auto own = [&](const Constraint& c) { return dropped.constraints.contains({table.oid, c.oid}); };
  if (std::erase_if(table.constraints, own) > 0) alteration.rebuild = true;
  std::erase_if(dropped.constraints, [&](const auto& c) { return c.first == table.oid; });
  for (const std::int16_t number : numbers) {
    column = std::ranges::find(table.columns, number, &Column::number);
    column->dropped = true;
    column->acl.reset();
    column->not_null = false;
    column->default_text.reset();
    column->sequence = 0;
    column->identity = 0;
    column->generated = 0;
    column->name = fmt::format("........pg.dropped.{}........", number);
  }
  edit_.put(table);
  return remove(dropped);
}

}  // namespace bop::sql
