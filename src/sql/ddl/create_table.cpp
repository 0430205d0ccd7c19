// CREATE TABLE, and the definition of a column wherever it stands (ALTER TABLE ADD COLUMN too).
#include <sqlite3.h>

#include <algorithm>

#include "sql/catalog/temporary.hpp"
#include "sql/ddl/ddl_run.hpp"
#include "sql/sqlite_value.hpp"
#include "sql/types/types.hpp"

namespace bop::sql {

namespace {

constexpr std::size_t kMaxColumns = 1600;

bool is_reserved(std::string_view name) {
  constexpr std::string_view kSystem[] = {"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"};
  return std::ranges::find(kSystem, name) != std::end(kSystem);
}

}  // namespace

Status DdlRun::check_storage_options(pg::NodeList options, bool of_index) const {
  constexpr std::string_view kOfTables[] = {
      "fillfactor",           "toast_tuple_target", "parallel_workers",           "user_catalog_table",
      "vacuum_index_cleanup", "vacuum_truncate",    "log_autovacuum_min_duration"};
  constexpr std::string_view kOfIndexes[] = {"fillfactor", "deduplicate_items"};
  for (const pg::Node* item : options) {
    const std::string_view name = pg::text(item->def_elem->defname);
    const std::string_view space = pg::text(item->def_elem->defnamespace);
    if (!space.empty() && (of_index || space != "toast")) {
      return fail(ErrorCode::kInvalidArgument, "unrecognized parameter namespace \"{}\"", space);
    }
    const bool known = of_index ? std::ranges::find(kOfIndexes, name) != std::end(kOfIndexes)
                                : name.starts_with("autovacuum_") ||
                                      std::ranges::find(kOfTables, name) != std::end(kOfTables);
    if (!known) return fail(ErrorCode::kInvalidArgument, "unrecognized parameter \"{}\"", name);
    notice(error(ErrorCode::kNotImplemented, "storage parameter \"{}\" is accepted and has no effect", name));
  }
  return {};
}

Status DdlRun::check_table_storage(Relation& table, std::string_view access_method,
                                   std::string_view tablespace, PgQuery__OnCommitAction on_commit,
                                   pg::NodeList options) const {
  if (on_commit != PG_QUERY__ON_COMMIT_ACTION__ONCOMMIT_NOOP &&
      on_commit != PG_QUERY__ON_COMMIT_ACTION__ON_COMMIT_ACTION_UNDEFINED && table.persistence != 't') {
    return fail(ErrorCode::kInvalidTableDefinition, "ON COMMIT can only be used on temporary tables");
  }
  if (on_commit == PG_QUERY__ON_COMMIT_ACTION__ONCOMMIT_DELETE_ROWS)
    table.options.emplace_back(kOnCommitDelete);
  if (on_commit == PG_QUERY__ON_COMMIT_ACTION__ONCOMMIT_DROP) table.options.emplace_back(kOnCommitDrop);
  if (!tablespace.empty() && tablespace != "pg_default")
    return fail(ErrorCode::kNotImplemented, "TABLESPACE is not implemented");
  if (!access_method.empty() && access_method != "heap") {
    return fail(ErrorCode::kUndefinedObject, "access method \"{}\" does not exist", access_method);
  }
  return check_storage_options(options, false);
}

Status DdlRun::check_column_name(std::string_view name) const {
  if (!is_reserved(name)) return {};
  return fail(ErrorCode::kDuplicateColumn, "column name \"{}\" conflicts with a system column name", name);
}

Result<std::optional<Relation>> DdlRun::new_table(const PgQuery__RangeVar& name, bool if_not_exists) {
  const auto in = schema_for_creation(name);
  if (!in) {
    Error why = in.error();
    const bool placed = statement_->node->node_case == PG_QUERY__NODE__NODE_CREATE_STMT;
    if (placed &&
        (why.code() == ErrorCode::kInsufficientPrivilege || why.code() == ErrorCode::kInvalidTableDefinition))
      why.mut().position = position(name.location);
    return std::unexpected(std::move(why));
  }
  const Schema* schema = *in;
  Relation table;
  table.schema = schema->oid;
  if (is_temporary_schema(schema->name)) table.persistence = 't';
  table.name = std::string(pg::text(name.relname));
  table.owner = context_.user;
  table.acl = initial_acl(table.owner, table.schema, 'r');
  if (now().find(table.schema, table.name)) {
    if (!if_not_exists) {
      return fail(ErrorCode::kDuplicateTable, "relation \"{}\" already exists", table.name);
    }
    notice(error(ErrorCode::kDuplicateTable, "relation \"{}\" already exists, skipping", table.name));
    return std::nullopt;
  }
  if (now().type(now().find_type(table.schema, table.name)) != nullptr) {
    return std::unexpected(
        error(ErrorCode::kDuplicateObject, "type \"{}\" already exists", table.name)
            .hint("A relation has an associated type of the same name, so you must use a name that "
                  "doesn't conflict with any existing type."));
  }
  if (pg::text(name.relpersistence) == "u") {
    notice(Error(ErrorCode::kNotImplemented,
                 "UNLOGGED is accepted and has no effect: every commit is in the log"));
  }
  return table;
}

// A column of a view or of CREATE TABLE AS, as the query has it.
Status DdlRun::add_column_of(Relation& table, std::string name, const OutputColumn& source) const {
  Column column;
  column.number = static_cast<std::int16_t>(table.columns.size() + 1);
  column.name = std::move(name);
  column.type = source.type == types::kUnknown ? types::kText : source.type;
  column.typmod = source.typmod;
  if (table.find_column(column.name) != nullptr) {
    return fail(ErrorCode::kDuplicateColumn, "column \"{}\" specified more than once", column.name);
  }
  if (table.kind == 'r') BOP_TRY(check_column_name(column.name));
  if (column.type == types::kRecord || column.type == types::kRecordArray) {
    return fail(ErrorCode::kInvalidTableDefinition, "column \"{}\" has pseudo-type {}", column.name,
                format_type(column.type, -1));
  }
  table.columns.push_back(std::move(column));
  return {};
}

Status DdlRun::create_table(const PgQuery__CreateStmt& create) {
  if (create.partspec != nullptr || create.partbound != nullptr) {
    return fail(ErrorCode::kNotImplemented, "partitioned tables ({}) are not implemented",
                create.partspec != nullptr ? "PARTITION BY" : "PARTITION OF");
  }
  if (create.n_inh_relations > 0) return fail(ErrorCode::kNotImplemented, "INHERITS is not implemented");
  if (create.of_typename != nullptr)
    return fail(ErrorCode::kNotImplemented, "CREATE TABLE OF is not implemented");
  BOP_LET(made, new_table(*create.relation, create.if_not_exists != 0));
  if (!made) return {};
  Relation& table = *made;
  BOP_TRY(check_table_storage(table, pg::text(create.access_method), pg::text(create.tablespacename),
                              create.oncommit, BOP_PG_LIST(&create, options)));
  table.oid = edit_.allocate_oid();

  std::vector<PendingConstraint> pending;
  std::vector<Index> indexes;
  std::vector<const PgQuery__TableLikeClause*> likes;
  for (const pg::Node* element : BOP_PG_LIST(&create, table_elts)) {
    switch (element->node_case) {
      case PG_QUERY__NODE__NODE_COLUMN_DEF: {
        BOP_LET(column, make_column(table, *element->column_def, pending));
        table.columns.push_back(std::move(column));
        break;
      }
      case PG_QUERY__NODE__NODE_CONSTRAINT:
        pending.push_back({element->constraint,
                           {},
                           element->constraint->deferrable != 0,
                           element->constraint->initdeferred != 0});
        break;
      case PG_QUERY__NODE__NODE_TABLE_LIKE_CLAUSE:
        BOP_TRY(copy_like(table, *element->table_like_clause));
        likes.push_back(element->table_like_clause);
        break;
      default: return fail(ErrorCode::kNotImplemented, "this element of CREATE TABLE is not implemented");
    }
  }
  if (table.columns.size() > kMaxColumns) {
    return fail(ErrorCode::kTooManyColumns, "tables can have at most {} columns", kMaxColumns);
  }
  merge_keys(pending);
  // What columns are computed from, then keys before foreign keys (which may point to the table itself), as
  // PostgreSQL orders them.
  const auto rank = [](const PendingConstraint& constraint) {
    return constraint.node->contype == PG_QUERY__CONSTR_TYPE__CONSTR_GENERATED ? 0
           : constraint.node->contype == PG_QUERY__CONSTR_TYPE__CONSTR_FOREIGN ? 2
                                                                               : 1;
  };
  std::ranges::stable_sort(pending, {}, rank);
  for (const PendingConstraint& constraint : pending) BOP_TRY(add_constraint(table, constraint, indexes));
  for (const PgQuery__TableLikeClause* like : likes) BOP_TRY(copy_indexes(table, *like, indexes));
  edit_.put(table);
  BOP_LET(definition, create_table_sql(table, now()));
  BOP_TRY(run(definition));
  for (const Index& index : indexes) BOP_TRY(make_index(index, table));
  return {};
}

Result<Column> DdlRun::make_column(Relation& table, const PgQuery__ColumnDef& definition,
                                   std::vector<PendingConstraint>& pending) {
  Column column;
  column.name = std::string(pg::text(definition.colname));
  if (table.find_column(column.name) != nullptr) {
    return fail(ErrorCode::kDuplicateColumn, "column \"{}\" specified more than once", column.name);
  }
  BOP_TRY(check_column_name(column.name));
  if (definition.type_name == nullptr) {
    return fail(ErrorCode::kInvalidTableDefinition, "column \"{}\" has no type", column.name);
  }
  pg::Node type_node = PG_QUERY__NODE__INIT;
  type_node.node_case = PG_QUERY__NODE__NODE_TYPE_NAME;
  type_node.type_name = definition.type_name;
  BOP_LET(type, resolve_type(&type_node, *statement_, true));
  if (const TypeInfo* info = find_type(type.type); info != nullptr && info->typtype == 'p') {
    return std::unexpected(error(ErrorCode::kInvalidTableDefinition, "column \"{}\" has pseudo-type {}",
                                 column.name, format_type(type.type, -1))
                               .at(position(definition.type_name->location)));
  }
  column.type = type.type;
  column.typmod = type.typmod;
  column.number = static_cast<std::int16_t>(table.columns.size() + 1);
  BOP_LET(collation, collation_of(definition.coll_clause, column.type));
  column.collation = std::move(collation);
  if (const std::string_view method = pg::text(definition.compression);
      !method.empty() && method != "default") {
    return fail(ErrorCode::kNotImplemented, "compression method \"{}\" of a column is not implemented",
                method);
  }
  if (definition.n_fdwoptions > 0) {
    return fail(ErrorCode::kNotImplemented, "OPTIONS of a column are not implemented");
  }
  // The constraint that [NOT] DEFERRABLE and INITIALLY are about, and whether each has been said.
  PendingConstraint* last = nullptr;
  bool deferrable_said = false;
  bool initially_said = false;
  bool null_said = false;
  bool default_said = false;
  bool identity_said = false;
  bool primary_said = false;  // which a NULL does not contradict
  const auto twice_default = [&] {
    return error(ErrorCode::kSyntaxError,
                 "multiple default values specified for column \"{}\" of table \"{}\"", column.name,
                 table.name);
  };
  const auto null_conflict = [&] {
    return error(ErrorCode::kSyntaxError,
                 "conflicting NULL/NOT NULL declarations for column \"{}\" of table \"{}\"", column.name,
                 table.name);
  };
  const auto default_and_identity = [&] {
    return error(ErrorCode::kSyntaxError,
                 "both default and identity specified for column \"{}\" of table \"{}\"", column.name,
                 table.name);
  };
  for (const pg::Node* item : BOP_PG_LIST(&definition, constraints)) {
    const PgQuery__Constraint& constraint = *item->constraint;
    const auto refuse = [&](std::string_view what) -> Status {
      return std::unexpected(error(ErrorCode::kSyntaxError, "{}", what).at(position(constraint.location)));
    };
    const bool attribute = constraint.contype >= PG_QUERY__CONSTR_TYPE__CONSTR_ATTR_DEFERRABLE &&
                           constraint.contype <= PG_QUERY__CONSTR_TYPE__CONSTR_ATTR_IMMEDIATE;
    if (!attribute) {
      last = nullptr;
      deferrable_said = initially_said = false;
    }
    switch (constraint.contype) {
      case PG_QUERY__CONSTR_TYPE__CONSTR_NULL:
        if (column.not_null) {
          return std::unexpected(null_conflict().at(position(constraint.location)));
        }
        null_said = true;
        break;
      case PG_QUERY__CONSTR_TYPE__CONSTR_NOTNULL:
        if (null_said) {
          return std::unexpected(null_conflict().at(position(constraint.location)));
        }
        column.not_null = true;
        break;
      case PG_QUERY__CONSTR_TYPE__CONSTR_DEFAULT:
        if (std::exchange(default_said, true))
          return std::unexpected(twice_default().at(position(constraint.location)));
        if (identity_said) return std::unexpected(default_and_identity().at(position(constraint.location)));
        BOP_TRY(add_default(table, column, constraint.raw_expr));
        break;
      case PG_QUERY__CONSTR_TYPE__CONSTR_IDENTITY: {
        if (std::exchange(identity_said, true)) {
          return std::unexpected(error(ErrorCode::kSyntaxError,
                                       "multiple identity specifications for column \"{}\" of table \"{}\"",
                                       column.name, table.name)
                                     .at(position(constraint.location)));
        }
        if (default_said) return std::unexpected(default_and_identity().at(position(constraint.location)));
        if (null_said) return std::unexpected(null_conflict().at(position(constraint.location)));
        if (column.type != 20 && column.type != 21 && column.type != 23) {
          return fail(ErrorCode::kInvalidArgument,
                      "identity column type must be smallint, integer, or bigint");
        }
        column.not_null = true;
        BOP_TRY(add_sequence_column(table, column, pg::text(constraint.generated_when).front(), column.type,
                                    BOP_PG_LIST(&constraint, options)));
        break;
      }
      case PG_QUERY__CONSTR_TYPE__CONSTR_GENERATED:
        if (column.generated != 0) {
          return std::unexpected(
              error(ErrorCode::kSyntaxError,
                    "multiple generation clauses specified for column \"{}\" of table \"{}\"", column.name,
                    table.name)
                  .at(position(constraint.location)));
        }
        column.generated = 's';
        pending.push_back({.node = &constraint, .column = column.name});
        break;
      case PG_QUERY__CONSTR_TYPE__CONSTR_EXCLUSION:
        return std::unexpected(error(ErrorCode::kNotImplemented, "exclusion constraints are not implemented")
                                   .at(position(constraint.location)));
      case PG_QUERY__CONSTR_TYPE__CONSTR_ATTR_DEFERRABLE:
        if (last == nullptr) return std::unexpected(refuse("misplaced DEFERRABLE clause").error());
        if (std::exchange(deferrable_said, true))
          return std::unexpected(refuse("multiple DEFERRABLE/NOT DEFERRABLE clauses not allowed").error());
        last->deferrable = true;
        break;
      case PG_QUERY__CONSTR_TYPE__CONSTR_ATTR_NOT_DEFERRABLE:
        if (last == nullptr) return std::unexpected(refuse("misplaced NOT DEFERRABLE clause").error());
        if (std::exchange(deferrable_said, true))
          return std::unexpected(refuse("multiple DEFERRABLE/NOT DEFERRABLE clauses not allowed").error());
        if (last->deferred) {
          return std::unexpected(refuse("constraint declared INITIALLY DEFERRED must be DEFERRABLE").error());
        }
        break;
      case PG_QUERY__CONSTR_TYPE__CONSTR_ATTR_DEFERRED:
        if (last == nullptr) return std::unexpected(refuse("misplaced INITIALLY DEFERRED clause").error());
        if (std::exchange(initially_said, true)) {
          return std::unexpected(refuse("multiple INITIALLY IMMEDIATE/DEFERRED clauses not allowed").error());
        }
        if (deferrable_said && !last->deferrable) {
          return std::unexpected(refuse("constraint declared INITIALLY DEFERRED must be DEFERRABLE").error());
        }
        last->deferrable = last->deferred = true;
        break;
      case PG_QUERY__CONSTR_TYPE__CONSTR_ATTR_IMMEDIATE:
        if (last == nullptr) return std::unexpected(refuse("misplaced INITIALLY IMMEDIATE clause").error());
        if (std::exchange(initially_said, true)) {
          return std::unexpected(refuse("multiple INITIALLY IMMEDIATE/DEFERRED clauses not allowed").error());
        }
        break;
      default:
        primary_said |= constraint.contype == PG_QUERY__CONSTR_TYPE__CONSTR_PRIMARY;
        pending.push_back(
            {&constraint, column.name, constraint.deferrable != 0, constraint.initdeferred != 0});
        if (constraint.contype != PG_QUERY__CONSTR_TYPE__CONSTR_CHECK) last = &pending.back();
    }
    if (column.generated != 0 && (default_said || identity_said)) {
      return std::unexpected(
          error(ErrorCode::kSyntaxError,
                "both {} and generation expression specified for column \"{}\" of table \"{}\"",
                default_said ? "default" : "identity", column.name, table.name)
              .at(position(constraint.location)));
    }
  }
  if (primary_said) column.not_null = true;
  // A serial is a default and NOT NULL that stand behind all else.
  if (type.serial != 0) {
    if (default_said) return std::unexpected(twice_default());
    if (identity_said) return std::unexpected(default_and_identity());
    if (null_said) return std::unexpected(null_conflict());
    column.not_null = true;
    BOP_TRY(add_sequence_column(table, column, 0, type.type, {}));
  }
  return column;
}

std::int32_t DdlRun::default_typmod(Oid type, std::int32_t typmod) {
  return type == types::kInterval ? typmod : -1;
}

Status DdlRun::add_default(Relation& table, Column& column, const pg::Node* expression) {
  auto stored = store_expression(statement_, expression, &table, ExpressionUse::kDefault, bind_now(),
                                 column.type, default_typmod(column.type, column.typmod), column.name);
  if (!stored) return std::unexpected(in_expression(stored.error()));
  // DEFAULT NULL is no default.
  if (stored->text == "NULL") {
    column.default_text.reset();
  } else {
    column.default_text = std::move(stored->text);
  }
  return {};
}

Status DdlRun::add_generated(Relation& table, const PendingConstraint& pending) {
  BOP_LET(column, column_of(table, pending.column));
  auto stored = store_expression(statement_, pending.node->raw_expr, &table, ExpressionUse::kGenerated,
                                 bind_now(), column->type, column->typmod, column->name);
  if (!stored) return std::unexpected(in_expression(stored.error()));
  column->default_text = std::move(stored->text);
  return {};
}

// The sequence behind a serial ('\0') or identity ('a', 'd') column.
Status DdlRun::add_sequence_column(const Relation& table, Column& column, char identity, Oid type,
                                   std::span<pg::Node* const> options) {
  Sequence sequence;
  sequence.oid = edit_.allocate_oid();
  sequence.schema = table.schema;
  sequence.owner = table.owner;
  sequence.acl = initial_acl(sequence.owner, sequence.schema, 'S');
  sequence.name = free_name(table.schema, table.name, column.name, "seq", nullptr);
  sequence.type = type;
  sequence.owned_by_table = table.oid;
  sequence.owned_by_column = column.number;
  sequence.max = type == 21 ? INT16_MAX : type == 23 ? INT32_MAX : INT64_MAX;
  BOP_TRY(sequence_options(sequence, options, true));
  column.sequence = sequence.oid;
  column.identity = identity;
  if (identity == 0) column.default_text = fmt::format("nextval('{}'::regclass)", sequence.oid);
  edit_.put(std::move(sequence));
  return {};
}

Status DdlRun::select_into(const PgQuery__SelectStmt& select) {
  std::vector<std::unique_ptr<PgQuery__SelectStmt>> copies;
  for (const PgQuery__SelectStmt* next = &select; next != nullptr; next = next->larg) {
    copies.push_back(std::make_unique<PgQuery__SelectStmt>(*next));
    if (copies.size() > 1) copies[copies.size() - 2]->larg = copies.back().get();
  }
  PgQuery__CreateTableAsStmt create = PG_QUERY__CREATE_TABLE_AS_STMT__INIT;
  create.into = std::exchange(copies.back()->into_clause, nullptr);
  create.is_select_into = 1;
  pg::Node query = PG_QUERY__NODE__INIT;
  query.node_case = PG_QUERY__NODE__NODE_SELECT_STMT;
  query.select_stmt = copies.front().get();
  create.query = &query;
  return create_table_as(create);
}

// CREATE TABLE ... AS and SELECT ... INTO: the table of the query's columns, then an INSERT of its rows.
Status DdlRun::create_table_as(const PgQuery__CreateTableAsStmt& create) {
  if (create.objtype == PG_QUERY__OBJECT_TYPE__OBJECT_MATVIEW) {
    return fail(ErrorCode::kNotImplemented, "materialized views are not implemented");
  }
  const PgQuery__IntoClause& into = *create.into;
  BOP_LET(made, new_table(*into.rel, create.if_not_exists != 0));
  if (!made) return {};
  Relation& table = *made;
  BOP_TRY(check_table_storage(table, pg::text(into.access_method), pg::text(into.table_space_name),
                              into.on_commit, BOP_PG_LIST(&into, options)));
  BOP_LET(plan, sql::bind(inner_statement(statement_, create.query), context_.bind));
  if (plan->kind != PlanKind::kSelect) {
    return fail(ErrorCode::kNotImplemented, "CREATE TABLE AS of this statement is not implemented");
  }
  if (context_.may_run) BOP_TRY(context_.may_run(*plan));
  if (into.n_col_names > plan->columns.size()) {
    return fail(ErrorCode::kSyntaxError, "too many column names were specified");
  }
  table.oid = edit_.allocate_oid();
  for (std::size_t i = 0; i < plan->columns.size(); ++i) {
    const bool named = i < into.n_col_names;
    BOP_TRY(add_column_of(table,
                          named ? std::string(pg::string_of(into.col_names[i])) : plan->columns[i].name,
                          plan->columns[i]));
  }
  edit_.put(table);
  BOP_LET(definition, create_table_sql(table, now()));
  BOP_TRY(run(definition));
  if (into.skip_data != 0) {
    outcome_.tag = create.is_select_into != 0 ? "SELECT 0" : "CREATE TABLE AS";
    return {};
  }
  std::string names;
  for (const Column& column : table.columns) {
    if (!names.empty()) names += ", ";
    names += column_name(column.number);
  }
  std::optional<FeedRows> feed;
  if (context_.compute) {
    BOP_LET(rows, context_.compute(*plan));
    if (rows) feed.emplace(db_, std::move(*rows));
  }
  const std::string insert = fmt::format("INSERT INTO {}({}) {}", table_name(table.oid), names,
                                         feed ? fed_query(plan->columns.size()) : plan->sql);
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v2(db_, insert.c_str(), -1, &statement, nullptr) != SQLITE_OK) {
    return std::unexpected(sqlite_error(insert.substr(0, 200)));
  }
  const std::unique_ptr<sqlite3_stmt, int (*)(sqlite3_stmt*)> finalizer(statement, &sqlite3_finalize);
  int index = 0;
  for (const OwnedValue& value : plan->constants) bind_value(statement, ++index, value);
  if (sqlite3_step(statement) != SQLITE_DONE) return std::unexpected(sqlite_error("CREATE TABLE AS"));
  outcome_.tag = fmt::format("SELECT {}", sqlite3_changes64(db_));
  return {};
}

}  // namespace bop::sql
