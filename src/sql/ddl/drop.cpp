// DROP and TRUNCATE: what depends on an object, and taking all of it away.
#include <algorithm>

#include "sql/ddl/ddl_run.hpp"

namespace bop::sql {

bool DdlRun::uses(const Relation& view, Oid object) const {
  return std::ranges::any_of(view.reads, [&](const ViewRead& read) {
    const auto other = now().relation(read.relation);
    return read.relation == object || (other && uses(*other, object));
  });
}

std::set<Oid> DdlRun::sequences_of_default(const Column& column) const {
  std::set<Oid> found;
  if (column.sequence != 0) found.insert(column.sequence);
  if (!column.default_text) return found;
  for (const Oid object : named_objects(*column.default_text)) {
    if (now().sequence(object) != nullptr) found.insert(object);
  }
  return found;
}

Oid DdlRun::dropped_type_of(const Dropped& dropped, Oid type) const {
  const UserType* user = type < kFirstUserOid ? nullptr : now().user_type(type);
  return user != nullptr && dropped.types.contains(user->definition().oid) ? user->definition().oid : 0;
}

void DdlRun::collect_of_types(Dropped& dropped, std::vector<std::string>& dependents,
                              std::vector<std::string>& taken) const {
  const auto add = [&](const std::string& what, Oid cause) {
    dependents.push_back(fmt::format("{} depends on {}", what, description(cause)));
    taken.push_back(what);
  };
  for (const auto& [oid, type] : now().types()) {
    if (dropped.types.contains(oid)) continue;
    const bool in_schema = dropped.schemas.contains(type->schema);
    const Oid base = dropped_type_of(dropped, type->base);
    if (!in_schema && base == 0) continue;
    dropped.types.insert(oid);
    add(description(oid), in_schema ? type->schema : base);
  }
  if (dropped.types.empty() && dropped.functions.empty()) return;
  const auto named = [&](const std::string& text) -> Oid {
    for (const Oid type : named_types(text)) {
      if (const Oid found = dropped_type_of(dropped, type)) return found;
    }
    if (dropped.functions.empty()) return 0;
    for (const Oid function : named_functions(text)) {
      if (dropped.functions.contains(function)) return function;
    }
    return 0;
  };
  for (const auto& [oid, relation] : now().relations()) {
    if (dropped.relations.contains(oid) || relation->kind != 'r' ||
        dropped.schemas.contains(relation->schema))
      continue;
    for (const Column& column : relation->columns) {
      if (column.dropped || dropped.columns.contains({oid, column.number})) continue;
      Oid type = dropped_type_of(dropped, column.type);
      if (type == 0 && column.generated != 0) type = named(*column.default_text);
      if (type != 0) {
        dropped.columns.insert({oid, column.number});
        dropped.columns_of_types.insert({oid, column.number});
        add(fmt::format("column {} of {}", column.name, description(oid)), type);
      } else if (const Oid used = column.default_text ? named(*column.default_text) : 0;
                 used != 0 && dropped.defaults.insert({oid, column.number}).second) {
        add(fmt::format("default value for column {} of {}", column.name, description(oid)), used);
      }
    }
    const auto lost = [&](std::int16_t number) { return dropped.columns_of_types.contains({oid, number}); };
    for (const Constraint& constraint : relation->constraints) {
      const Oid used = constraint.type == 'c' ? named(constraint.check_text) : 0;
      if (used == 0 || std::ranges::any_of(constraint.columns, lost)) continue;
      if (!dropped.constraints.insert({oid, constraint.oid}).second) continue;
      add(fmt::format("constraint {} on {}", constraint.name, description(oid)), used);
    }
    Relation without = *relation;  // what stays of it
    for (Column& column : without.columns) column.dropped = column.dropped || lost(column.number);
    const auto bound = [&](const std::string& text, ExpressionUse use) {
      if (text.empty()) return true;
      const auto parsed = parse_expression(text);
      return parsed && bind_expression(*parsed, &without, use, bind_now()).has_value();
    };
    for (const auto& index : now().indexes_of(oid)) {
      Oid used = named(index->predicate);
      bool goes = !bound(index->predicate, ExpressionUse::kIndexPredicate);
      for (const IndexKey& key : index->keys) {
        if (used == 0) used = named(key.expression);
        goes = goes || lost(key.column) || !bound(key.expression, ExpressionUse::kIndex);
      }
      if (used != 0 && !goes && dropped.indexes.insert(index->oid).second) add(description(index->oid), used);
    }
  }
}

Status DdlRun::collect(Dropped& dropped, bool cascade, std::string_view what,
                       const std::vector<Dependent>& computed) {
  std::vector<std::string> dependents;  // "view v depends on table t"
  std::vector<std::string> taken;       // "view v"
  for (const Dependent& column : computed) {
    dependents.push_back(fmt::format("{} depends on {}", column.object, column.cause));
    taken.push_back(column.object);
  }
  // "table t", "column c of table t": what a view needs and loses.
  const auto lost = [&](const ViewRead& read) -> std::string {
    if (const auto source = now().relation(read.relation)) {
      const std::string name = description(read.relation);
      if (dropped.relations.contains(read.relation)) return name;
      for (const std::int16_t number : read.used) {
        if (dropped.columns.contains({read.relation, number}))
          return fmt::format("column {} of {}", source->find_column(number)->name, name);
      }
    }
    if (dropped.sequences.contains(read.relation)) return description(read.relation);
    if (dropped.types.contains(read.relation)) return description(read.relation);
    if (dropped.functions.contains(read.relation)) return description(read.relation);
    if (dropped.indexes.contains(read.relation)) {
      const auto index = now().index(read.relation);
      if (index->constraint == 0) return description(read.relation);
      return fmt::format("constraint {} on {}", index->name, description(index->table));
    }
    return {};
  };
  for (bool grew = true; grew;) {
    const std::size_t before = dependents.size();
    collect_functions(dropped, dependents, taken);
    collect_of_types(dropped, dependents, taken);
    grew = dependents.size() != before;
    for (const auto& [oid, relation] : now().relations()) {
      if (dropped.relations.contains(oid)) continue;
      if (dropped.schemas.contains(relation->schema)) {
        dropped.relations.insert(oid);
        dependents.push_back(
            fmt::format("{} depends on {}", description(oid), description(relation->schema)));
        taken.push_back(description(oid));
        grew = true;
        continue;
      }
      for (const ViewRead& read : relation->reads) {
        const std::string cause = lost(read);
        if (cause.empty()) continue;
        dropped.relations.insert(oid);
        dependents.push_back(fmt::format("{} depends on {}", description(oid), cause));
        taken.push_back(description(oid));
        grew = true;
        break;
      }
    }
    for (const auto& [oid, sequence] : now().sequences()) {
      if (dropped.sequences.contains(oid)) continue;
      if (sequence->owned_by_table != 0 && dropped.relations.contains(sequence->owned_by_table)) {
        dropped.sequences.insert(oid);  // goes silently with its table
        grew = true;
      } else if (dropped.schemas.contains(sequence->schema)) {
        dropped.sequences.insert(oid);
        dependents.push_back(
            fmt::format("{} depends on {}", description(oid), description(sequence->schema)));
        taken.push_back(description(oid));
        grew = true;
      }
    }
  }
  for (const auto& [oid, relation] : now().relations()) {
    if (dropped.relations.contains(oid)) continue;
    for (const Constraint& constraint : relation->constraints) {
      const bool points = constraint.type == 'f' && (dropped.relations.contains(constraint.foreign_table) ||
                                                     dropped.indexes.contains(constraint.index));
      if (!points || dropped.constraints.contains({oid, constraint.oid})) continue;
      dropped.constraints.insert({oid, constraint.oid});
      const auto source = now().relation(constraint.foreign_table);
      const auto key =
          dropped.relations.contains(constraint.foreign_table) ? nullptr : now().index(constraint.index);
      const auto lost_column = std::ranges::find_if(constraint.foreign_columns, [&](std::int16_t number) {
        return dropped.columns.contains({constraint.foreign_table, number});
      });
      std::string cause = description(key ? key->oid : source->oid);
      if (lost_column != constraint.foreign_columns.end()) {
        cause =
            fmt::format("column {} of {}", source->find_column(*lost_column)->name, description(source->oid));
      }
      dependents.push_back(
          fmt::format("constraint {} on {} depends on {}", constraint.name, description(oid), cause));
      taken.push_back(fmt::format("constraint {} on {}", constraint.name, description(oid)));
    }
    for (const Column& column : relation->columns) {
      if (column.dropped || column.identity != 0 || dropped.columns.contains({oid, column.number})) continue;
      const std::set<Oid> used = sequences_of_default(column);
      const auto gone = std::ranges::find_if(used, [&](Oid s) { return dropped.sequences.contains(s); });
      if (gone == used.end()) continue;
      dependents.push_back(fmt::format("default value for column {} of {} depends on {}", column.name,
                                       description(oid), description(*gone)));
      taken.push_back(fmt::format("default value for column {} of {}", column.name, description(oid)));
    }
  }
  if (dependents.empty()) return {};
  if (!cascade) {
    std::string detail;
    for (const std::string& line : dependents) detail += (detail.empty() ? "" : "\n") + line;
    return std::unexpected(error(ErrorCode::kDependentObjectsStillExist,
                                 "cannot drop {} because other objects depend on it", what)
                               .detail(std::move(detail))
                               .hint("Use DROP ... CASCADE to drop the dependent objects too."));
  }
  if (taken.size() == 1) {
    notice(error(ErrorCode::kDependentObjectsStillExist, "drop cascades to {}", taken.front()));
  } else {
    std::string detail;
    for (const std::string& line : taken)
      detail += (detail.empty() ? "drop cascades to " : "\ndrop cascades to ") + line;
    notice(error(ErrorCode::kDependentObjectsStillExist, "drop cascades to {} other objects", taken.size())
               .detail(std::move(detail)));
  }
  return {};
}

Status DdlRun::remove(const Dropped& dropped) {
  // Foreign keys first, so that no table points to one that is gone.
  std::map<Oid, std::set<Oid>> by_table;
  for (const auto& [table, constraint] : dropped.constraints) by_table[table].insert(constraint);
  for (const auto& [table, constraints] : by_table) {
    const Relation before = *now().relation(table);
    Relation after = before;
    std::erase_if(after.constraints, [&](const Constraint& c) { return constraints.contains(c.oid); });
    edit_.put(after);
    BOP_TRY(rebuild(before, after));
  }
  for (const auto& [oid, relation] : std::map(now().relations())) {
    if (dropped.relations.contains(oid)) continue;
    bool changed = false;
    Relation after = *relation;
    for (Column& column : after.columns) {
      if (column.dropped || column.identity != 0) continue;
      if (dropped.defaults.contains({oid, column.number}) ||
          std::ranges::any_of(sequences_of_default(column),
                              [&](Oid s) { return dropped.sequences.contains(s); })) {
        column.sequence = 0;
        column.default_text.reset();
        changed = true;
      }
    }
    if (changed) edit_.put(std::move(after));
  }
  for (const Oid oid : dropped.indexes) {
    BOP_TRY(run(fmt::format("DROP INDEX IF EXISTS {}", index_name(oid))));
    edit_.drop_index(oid);
  }
  // A table whose own foreign keys point to another doomed one must go first; rows without foreign keys go
  // silently.
  std::vector<Oid> tables;
  for (const Oid oid : dropped.relations) {
    if (now().relation(oid)->kind == 'r') tables.push_back(oid);
  }
  while (!tables.empty()) {
    const auto next = std::ranges::find_if(tables, [&](Oid oid) {
      return std::ranges::none_of(now().references_to(oid), [&](const Catalog::Reference& reference) {
        return reference.table->oid != oid && std::ranges::find(tables, reference.table->oid) != tables.end();
      });
    });
    const Oid oid = next != tables.end() ? *next : tables.front();
    std::erase(tables, oid);
    // Without its own foreign keys the implicit DELETE of DROP TABLE has nothing to look at.
    BOP_TRY(run(fmt::format("DROP TABLE {}", table_name(oid))));
    for (const auto& index : now().indexes_of(oid)) edit_.drop_index(index->oid);
    edit_.drop_relation(oid);
  }
  for (const Oid oid : dropped.relations) {
    if (now().relation(oid) != nullptr) edit_.drop_relation(oid);
  }
  for (const Oid oid : dropped.sequences) {
    outcome_.dropped_sequences.push_back(now().sequence(oid)->state_key());
    edit_.drop_sequence(oid);
  }
  // Columns of types that go; what depends on them is gone.
  for (const auto& [table, number] : dropped.columns_of_types) {
    const auto relation = now().relation(table);
    if (relation == nullptr) continue;
    BOP_LET(parsed, parse(fmt::format(
                        "ALTER TABLE {}.{} DROP COLUMN {}", quote_name(now().schema(relation->schema)->name),
                        quote_name(relation->name), quote_name(relation->find_column(number)->name))));
    BOP_TRY(alter_table(*parsed.front()->node->alter_table_stmt));
  }
  for (const Oid oid : dropped.types) edit_.drop_type(oid);
  for (const Oid oid : dropped.functions) edit_.drop_function(oid);
  for (const auto& [oid, defaults] : std::map(now().default_acls())) {
    if (dropped.schemas.contains(defaults->schema)) edit_.drop_default_acl(oid);
  }
  for (const Oid oid : dropped.schemas) edit_.drop_schema(oid);
  return {};
}

Status DdlRun::drop(const PgQuery__DropStmt& drop) {
  const bool cascade = drop.behavior == PG_QUERY__DROP_BEHAVIOR__DROP_CASCADE;
  if (drop.remove_type == PG_QUERY__OBJECT_TYPE__OBJECT_TYPE ||
      drop.remove_type == PG_QUERY__OBJECT_TYPE__OBJECT_DOMAIN) {
    Dropped dropped;
    std::string what;
    BOP_TRY(find_dropped_types(drop, dropped, what));
    if (dropped.types.empty()) return {};
    BOP_TRY(collect(dropped, cascade, what));
    return remove(dropped);
  }
  if (drop.remove_type == PG_QUERY__OBJECT_TYPE__OBJECT_FUNCTION ||
      drop.remove_type == PG_QUERY__OBJECT_TYPE__OBJECT_PROCEDURE ||
      drop.remove_type == PG_QUERY__OBJECT_TYPE__OBJECT_ROUTINE) {
    Dropped dropped;
    std::string what;
    BOP_TRY(find_dropped_functions(drop, dropped, what));
    if (dropped.functions.empty()) return {};
    BOP_TRY(collect(dropped, cascade, what));
    return remove(dropped);
  }
  struct Kind {
    int type;
    char kind;
    std::string_view word;
  };
  constexpr Kind kKinds[] = {{PG_QUERY__OBJECT_TYPE__OBJECT_TABLE, 'r', "table"},
                             {PG_QUERY__OBJECT_TYPE__OBJECT_VIEW, 'v', "view"},
                             {PG_QUERY__OBJECT_TYPE__OBJECT_INDEX, 'i', "index"},
                             {PG_QUERY__OBJECT_TYPE__OBJECT_SEQUENCE, 'S', "sequence"},
                             {PG_QUERY__OBJECT_TYPE__OBJECT_SCHEMA, 'n', "schema"}};
  const auto* kind = std::ranges::find(kKinds, static_cast<int>(drop.remove_type), &Kind::type);
  if (kind == std::end(kKinds))
    return fail(ErrorCode::kNotImplemented, "{} is not implemented", statement_->command);
  if (drop.concurrent != 0) {
    if (context_.in_block) {
      return fail(ErrorCode::kActiveTransaction,
                  "DROP INDEX CONCURRENTLY cannot run inside a transaction block");
    }
    if (drop.n_objects > 1) {
      return fail(ErrorCode::kNotImplemented,
                  "DROP INDEX CONCURRENTLY does not support dropping multiple objects");
    }
    if (cascade) return fail(ErrorCode::kNotImplemented, "DROP INDEX CONCURRENTLY does not support CASCADE");
  }
  Dropped dropped;
  std::string what;
  std::size_t count = 0;
  for (const pg::Node* object : BOP_PG_LIST(&drop, objects)) {
    if (kind->kind == 'n') {
      const std::string name(pg::string_of(object));
      const Schema* schema = now().schema(std::string_view(name));
      if (schema == nullptr) {
        if (drop.missing_ok == 0)
          return fail(ErrorCode::kUndefinedSchema, "schema \"{}\" does not exist", name);
        notice(error(ErrorCode::kUndefinedSchema, "schema \"{}\" does not exist, skipping", name));
        continue;
      }
      if (schema->oid == kPgCatalogSchema || schema->oid == kInformationSchema) {
        return fail(ErrorCode::kDependentObjectsStillExist,
                    "cannot drop schema {} because it is required by the database system", name);
      }
      BOP_TRY(must_own(schema->owner, describe('n', name)));
      dropped.schemas.insert(schema->oid);
      what = describe('n', name);
      ++count;
      continue;
    }
    std::string schema;
    std::string name;
    BOP_LET(found, find_qualified(BOP_PG_LIST(object->list, items), schema, name));
    const std::string shown = schema.empty() ? name : schema + "." + name;
    if (!found) {
      if (drop.missing_ok != 0) {
        if (!schema.empty() && now().schema(std::string_view(schema)) == nullptr) {
          notice(error(ErrorCode::kUndefinedSchema, "schema \"{}\" does not exist, skipping", schema));
        } else {
          notice(error(ErrorCode::kUndefinedTable, "{} \"{}\" does not exist, skipping", kind->word, name));
        }
        continue;
      }
      if (!schema.empty() && now().schema(std::string_view(schema)) == nullptr) {
        return fail(ErrorCode::kUndefinedSchema, "schema \"{}\" does not exist", schema);
      }
      return fail(kind->kind == 'i' ? ErrorCode::kUndefinedObject : ErrorCode::kUndefinedTable,
                  "{} \"{}\" does not exist", kind->word, shown);
    }
    if (found.kind != kind->kind) {
      const std::string_view actual = found.kind == 'r'   ? "table"
                                      : found.kind == 'v' ? "view"
                                      : found.kind == 'i' ? "index"
                                                          : "sequence";
      const char* article = kind->kind == 'i' ? "an" : "a";
      return std::unexpected(
          error(ErrorCode::kWrongObjectType, "\"{}\" is not {} {}", name, article, kind->word)
              .hint(fmt::format("Use DROP {} to remove {} {}.",
                                actual == "table"   ? "TABLE"
                                : actual == "view"  ? "VIEW"
                                : actual == "index" ? "INDEX"
                                                    : "SEQUENCE",
                                actual == "index" ? "an" : "a", actual)));
    }
    if (const auto relation = now().relation(found.oid); relation && relation->is_virtual()) {
      return fail(ErrorCode::kInsufficientPrivilege, "permission denied: \"{}\" is a system catalog", name);
    }
    // What stands in a schema is its owner's to drop, too.
    if (const auto in = now().schema(schema_of(found)); in == nullptr || !who().has_rights_of(in->owner)) {
      BOP_TRY(must_own(found));
    }
    switch (kind->kind) {
      case 'r':
      case 'v': dropped.relations.insert(found.oid); break;
      case 'S': {
        const auto sequence = now().sequence(found.oid);
        if (sequence->owned_by_table != 0) {
          const auto owner = now().relation(sequence->owned_by_table);
          const Column* column = owner ? owner->find_column(sequence->owned_by_column) : nullptr;
          if (column != nullptr && column->identity != 0) {
            return std::unexpected(error(ErrorCode::kDependentObjectsStillExist,
                                         "cannot drop {} because column {} of {} requires it",
                                         description(found.oid), column->name, description(owner->oid))
                                       .hint(fmt::format("You can drop column {} of {} instead.",
                                                         column->name, description(owner->oid))));
          }
        }
        dropped.sequences.insert(found.oid);
        break;
      }
      default: {
        const auto index = now().index(found.oid);
        if (index->constraint != 0) {
          const auto owner = now().relation(index->table);
          return std::unexpected(error(ErrorCode::kDependentObjectsStillExist,
                                       "cannot drop {} because constraint {} on {} requires it",
                                       description(found.oid), name, description(owner->oid))
                                     .hint(fmt::format("You can drop constraint {} on {} instead.", name,
                                                       description(owner->oid))));
        }
        dropped.indexes.insert(found.oid);
      }
    }
    what = description(found.oid);
    ++count;
  }
  if (count == 0) return {};
  if (count > 1) what = "desired object(s)";
  BOP_TRY(collect(dropped, cascade, what));
  return remove(dropped);
}

Status DdlRun::truncate(const PgQuery__TruncateStmt& truncate) {
  std::set<Oid> tables;
  for (const pg::Node* item : BOP_PG_LIST(&truncate, relations)) {
    BOP_LET(found, find_relation(*item->range_var));
    const auto relation = now().relation(found.oid);
    if (!relation || relation->kind != 'r' || relation->is_virtual()) {
      return fail(ErrorCode::kWrongObjectType, "\"{}\" is not a table", item->range_var->relname);
    }
    if (held_on(*relation, who(), right::kTruncate) == 0) {
      return std::unexpected(permission_denied(*relation));
    }
    tables.insert(found.oid);
  }
  const bool cascade = truncate.behavior == PG_QUERY__DROP_BEHAVIOR__DROP_CASCADE;
  for (bool grew = true; grew;) {
    grew = false;
    for (const Oid oid : std::set(tables)) {
      for (const Catalog::Reference& reference : now().references_to(oid)) {
        if (tables.contains(reference.table->oid)) continue;
        if (!cascade) {
          return std::unexpected(
              error(ErrorCode::kNotImplemented,
                    "cannot truncate a table referenced in a foreign key constraint")
                  .detail(fmt::format("Table \"{}\" references \"{}\".", reference.table->name,
                                      now().relation(oid)->name))
                  .hint(fmt::format("Truncate table \"{}\" at the same time, or use TRUNCATE ... CASCADE.",
                                    reference.table->name)));
        }
        notice(error(ErrorCode::kDependentObjectsStillExist, "truncate cascades to table \"{}\"",
                     reference.table->name));
        if (held_on(*reference.table, who(), right::kTruncate) == 0) {
          return std::unexpected(permission_denied(*reference.table));
        }
        tables.insert(reference.table->oid);
        grew = true;
      }
    }
  }
  for (const Oid oid : tables) {
    // ON DELETE actions must not run: a table without rows in its referencing tables has none. Those are in
    // the list as well; their rows go first.
    for (const Catalog::Reference& reference : now().references_to(oid)) {
      BOP_TRY(run(fmt::format("DELETE FROM {}", table_name(reference.table->oid))));
    }
    BOP_TRY(run(fmt::format("DELETE FROM {}", table_name(oid))));
    if (truncate.restart_seqs == 0) continue;
    for (const auto& [sequence_oid, sequence] : now().sequences()) {
      if (sequence->owned_by_table != oid) continue;
      BOP_TRY(must_own(sequence->owner, describe('S', sequence->name)));
      Sequence restarted = *sequence;
      restart_sequence(restarted, restarted.start, false);
      edit_.put(std::move(restarted));
    }
  }
  return {};
}

}  // namespace bop::sql
