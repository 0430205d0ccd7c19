// CREATE INDEX, and making any index in SQLite.
#include <sqlite3.h>

#include <algorithm>
#include <set>

#include "sql/ddl/ddl_run.hpp"
#include "sql/functions/kernels.hpp"
#include "sql/sqlite_value.hpp"
#include "sql/types/types.hpp"

namespace bop::sql {

// What PostgreSQL calls an index column of an expression: the function's name, else "expr".
std::string DdlRun::expression_name(const pg::Node* node) {
  switch (node->node_case) {
    case PG_QUERY__NODE__NODE_FUNC_CALL:
      return std::string(pg::last_name(BOP_PG_LIST(node->func_call, funcname)));
    case PG_QUERY__NODE__NODE_COLUMN_REF:
      return std::string(pg::last_name(BOP_PG_LIST(node->column_ref, fields)));
    case PG_QUERY__NODE__NODE_COALESCE_EXPR: return "coalesce";
    case PG_QUERY__NODE__NODE_CASE_EXPR: return "case";
    case PG_QUERY__NODE__NODE_TYPE_CAST: {
      // The type's name goes before a name that says nothing.
      const pg::Node& arg = *node->type_cast->arg;
      const std::string name = expression_name(&arg);
      if (name != "expr" && arg.node_case != PG_QUERY__NODE__NODE_CASE_EXPR) return name;
      return std::string(pg::last_name(BOP_PG_LIST(node->type_cast->type_name, names)));
    }
    default: return "expr";
  }
}

namespace {

// PostgreSQL's operator classes of btree (hash has the same, and no others) and the type that each is for.
struct OperatorClass {
  std::string_view name;
  Oid type;
};
constexpr OperatorClass kOperatorClasses[] = {
    {"array_ops", types::kAnyArray},
    {"bit_ops", 1560},
    {"bool_ops", types::kBool},
    {"bpchar_ops", types::kBpchar},
    {"bpchar_pattern_ops", types::kBpchar},
    {"bytea_ops", types::kBytea},
    {"char_ops", types::kChar},
    {"cidr_ops", 869},
    {"date_ops", types::kDate},
    {"float4_ops", types::kFloat4},
    {"float8_ops", types::kFloat8},
    {"inet_ops", 869},
    {"int2_ops", types::kInt2},
    {"int4_ops", types::kInt4},
    {"int8_ops", types::kInt8},
    {"interval_ops", types::kInterval},
    {"jsonb_ops", types::kJsonb},
    {"name_ops", types::kName},
    {"numeric_ops", types::kNumeric},
    {"oid_ops", types::kOid},
    {"text_ops", types::kText},
    {"text_pattern_ops", types::kText},
    {"time_ops", types::kTime},
    {"timestamp_ops", types::kTimestamp},
    {"timestamptz_ops", types::kTimestamptz},
    {"timetz_ops", types::kTimetz},
    {"uuid_ops", types::kUuid},
    {"varchar_ops", types::kText},
    {"varchar_pattern_ops", types::kText},
};

// The operator class written for a key; empty if none is.
Result<std::string> operator_class(const PgQuery__IndexElem& element, Oid type) {
  if (element.n_opclass == 0) return std::string();
  const pg::NodeList names = BOP_PG_LIST(&element, opclass);
  const std::string name(pg::last_name(names));
  const auto* known = std::ranges::find(kOperatorClasses, name, &OperatorClass::name);
  if (known == std::end(kOperatorClasses) ||
      (names.size() > 1 && pg::string_of(names[names.size() - 2]) != "pg_catalog")) {
    std::string shown;
    for (const pg::Node* part : names)
      shown += fmt::format("{}{}", shown.empty() ? "" : ".", pg::string_of(part));
    return fail(ErrorCode::kUndefinedObject,
                "operator class \"{}\" does not exist for access method \"btree\"", shown);
  }
  if (element.n_opclassopts > 0) {
    return fail(ErrorCode::kInvalidArgument, "operator class {} has no options", name);
  }
  const Oid given = type == types::kVarchar ? types::kText : is_true_array(type) ? types::kAnyArray : type;
  const bool reg =
      known->type == types::kOid && find_type(type) != nullptr && find_type(type)->name.starts_with("reg");
  if (given != known->type && !reg) {
    return fail(ErrorCode::kDatatypeMismatch, "operator class \"{}\" does not accept data type {}", name,
                format_type(type, -1));
  }
  return name;
}

// Whether the access method can do what the statement asks for. All indexes are btrees.
Status check_method(const PgQuery__IndexStmt& create) {
  const std::string_view method = pg::text(create.access_method);
  if (method.empty() || method == "btree") return {};
  constexpr std::string_view kOthers[] = {"gin", "gist", "spgist", "brin"};
  if (std::ranges::find(kOthers, method) != std::end(kOthers)) {
    return fail(ErrorCode::kNotImplemented, "access method \"{}\" is not implemented; only btree is", method);
  }
  if (method != "hash")
    return fail(ErrorCode::kUndefinedObject, "access method \"{}\" does not exist", method);
  if (create.unique != 0) {
    return fail(ErrorCode::kNotImplemented, "access method \"hash\" does not support unique indexes");
  }
  if (create.n_index_including_params > 0) {
    return fail(ErrorCode::kNotImplemented, "access method \"hash\" does not support included columns");
  }
  if (create.n_index_params > 1) {
    return fail(ErrorCode::kNotImplemented, "access method \"hash\" does not support multicolumn indexes");
  }
  for (const pg::Node* item : BOP_PG_LIST(&create, index_params)) {
    if (item->index_elem->ordering != PG_QUERY__SORT_BY_DIR__SORTBY_DEFAULT) {
      return fail(ErrorCode::kNotImplemented, "access method \"hash\" does not support ASC/DESC options");
    }
    if (item->index_elem->nulls_ordering != PG_QUERY__SORT_BY_NULLS__SORTBY_NULLS_DEFAULT) {
      return fail(ErrorCode::kNotImplemented,
                  "access method \"hash\" does not support NULLS FIRST/LAST options");
    }
  }
  return {};
}

}  // namespace

Status DdlRun::create_index(const PgQuery__IndexStmt& create) {
  if (create.concurrent != 0 && context_.in_block) {
    return fail(ErrorCode::kActiveTransaction,
                "CREATE INDEX CONCURRENTLY cannot run inside a transaction block");
  }
  BOP_LET(found, find_relation(*create.relation));
  const auto table = now().relation(found.oid);
  if (!table || table->kind != 'r') {
    return std::unexpected(
        error(ErrorCode::kWrongObjectType, "cannot create index on relation \"{}\"", create.relation->relname)
            .detail(found.kind == 'v' ? "This operation is not supported for views."
                                      : "This operation is not supported for this kind of relation."));
  }
  if (table->is_virtual()) {
    return fail(ErrorCode::kInsufficientPrivilege, "permission denied: \"{}\" is a system catalog",
                table->name);
  }
  BOP_TRY(must_own(found));
  BOP_TRY(may_create_in(*now().schema(table->schema)));
  BOP_TRY(check_method(create));
  if (pg::text(create.access_method) == "hash") {
    notice(error(ErrorCode::kNotImplemented, "access method \"hash\" is accepted; the index is a btree"));
  }
  if (const std::string_view space = pg::text(create.table_space); !space.empty() && space != "pg_default")
    return fail(ErrorCode::kNotImplemented, "TABLESPACE is not implemented");
  BOP_TRY(check_storage_options(BOP_PG_LIST(&create, options), true));

  Index index;
  index.schema = table->schema;
  index.table = table->oid;
  index.owner = table->owner;
  index.unique = create.unique != 0;
  if (create.nulls_not_distinct != 0) index.options.emplace_back(kNullsNotDistinct);
  std::string columns_name;
  std::set<std::string> taken;
  const auto add_name = [&](std::string_view name) {
    std::string free(name);
    for (int i = 1; !taken.insert(free).second; ++i) free = fmt::format("{}{}", name, i);
    if (!columns_name.empty()) columns_name += "_";
    columns_name += free;
  };
  for (const pg::Node* item : BOP_PG_LIST(&create, index_params)) {
    const PgQuery__IndexElem& element = *item->index_elem;
    IndexKey key;
    if (!pg::text(element.name).empty()) {
      const Column* column = table->find_column(pg::text(element.name));
      if (column == nullptr) {
        return fail(ErrorCode::kUndefinedColumn, "column \"{}\" does not exist", element.name);
      }
      key.column = column->number;
      key.type = column->type;
      add_name(column->name);
    } else {
      BOP_LET(stored,
              store_expression(statement_, element.expr, table.get(), ExpressionUse::kIndex, bind_now()));
      key.expression = std::move(stored.text);
      key.type = stored.bound.type;
      add_name(expression_name(element.expr));
    }
    BOP_LET(collation, collation_of(BOP_PG_LIST(&element, collation), key.type, -1));
    key.collation = std::move(collation);
    BOP_LET(opclass, operator_class(element, key.type));
    key.opclass = std::move(opclass);
    key.descending = element.ordering == PG_QUERY__SORT_BY_DIR__SORTBY_DESC;
    key.nulls_first =
        element.nulls_ordering == PG_QUERY__SORT_BY_NULLS__SORTBY_NULLS_FIRST ||
        (element.nulls_ordering == PG_QUERY__SORT_BY_NULLS__SORTBY_NULLS_DEFAULT && key.descending);
    index.keys.push_back(std::move(key));
  }
  if (index.keys.size() > 32) {
    return fail(ErrorCode::kTooManyColumns, "cannot use more than 32 columns in an index");
  }
  for (const pg::Node* item : BOP_PG_LIST(&create, index_including_params)) {
    const PgQuery__IndexElem& element = *item->index_elem;
    if (element.expr != nullptr) {
      return fail(ErrorCode::kNotImplemented, "expressions are not supported in included columns");
    }
    if (element.n_collation > 0)
      return fail(ErrorCode::kInvalidObjectDefinition, "including column does not support a collation");
    if (element.n_opclass > 0)
      return fail(ErrorCode::kInvalidObjectDefinition, "including column does not support an operator class");
    if (element.ordering != PG_QUERY__SORT_BY_DIR__SORTBY_DEFAULT)
      return fail(ErrorCode::kInvalidObjectDefinition, "including column does not support ASC/DESC options");
    if (element.nulls_ordering != PG_QUERY__SORT_BY_NULLS__SORTBY_NULLS_DEFAULT) {
      return fail(ErrorCode::kInvalidObjectDefinition,
                  "including column does not support NULLS FIRST/LAST options");
    }
    const Column* column = table->find_column(pg::text(element.name));
    if (column == nullptr)
      return fail(ErrorCode::kUndefinedColumn, "column \"{}\" does not exist", element.name);
    index.include.push_back(column->number);
    add_name(column->name);
  }
  if (create.where_clause != nullptr) {
    BOP_LET(stored, store_expression(statement_, create.where_clause, table.get(),
                                     ExpressionUse::kIndexPredicate, bind_now()));
    index.predicate = std::move(stored.text);
  }
  index.name = std::string(pg::text(create.idxname));
  if (index.name.empty()) {
    index.name = free_name(index.schema, table->name, columns_name, "idx", nullptr);
  } else if (now().find(index.schema, index.name)) {
    if (create.if_not_exists != 0) {
      notice(error(ErrorCode::kDuplicateTable, "relation \"{}\" already exists, skipping", index.name));
      return {};
    }
    return fail(ErrorCode::kDuplicateTable, "relation \"{}\" already exists", index.name);
  }
  index.oid = edit_.allocate_oid();
  return make_index(index, *table);
}

Status DdlRun::reindex(const PgQuery__ReindexStmt& reindex) {
  bool concurrently = false;
  for (const pg::Node* item : BOP_PG_LIST(&reindex, params)) {
    const PgQuery__DefElem& option = *item->def_elem;
    const std::string_view name = pg::text(option.defname);
    if (name == "concurrently") {
      concurrently = true;
    } else if (name == "tablespace") {
      return fail(ErrorCode::kNotImplemented, "TABLESPACE is not implemented");
    } else if (name != "verbose") {
      return std::unexpected(error(ErrorCode::kSyntaxError, "unrecognized REINDEX option \"{}\"", name)
                                 .at(position(option.location)));
    }
  }
  const auto again = [&](const std::vector<Oid>& indexes) -> Status {
    for (const Oid index : indexes) {
      // A key that is the rowid has no index in SQLite.
      BOP_LET(made, first(fmt::format("SELECT 1 FROM sqlite_schema WHERE name = '{}'", index_name(index))));
      if (made) BOP_TRY(run(fmt::format("REINDEX {}", index_name(index))));
    }
    return {};
  };
  const bool whole = reindex.kind == PG_QUERY__REINDEX_OBJECT_TYPE__REINDEX_OBJECT_SYSTEM ||
                     reindex.kind == PG_QUERY__REINDEX_OBJECT_TYPE__REINDEX_OBJECT_DATABASE;
  const bool schema_wide = reindex.kind == PG_QUERY__REINDEX_OBJECT_TYPE__REINDEX_OBJECT_SCHEMA;
  if (context_.in_block && (concurrently || whole || schema_wide)) {
    return fail(ErrorCode::kActiveTransaction, "REINDEX {} cannot run inside a transaction block",
                concurrently                                                           ? "CONCURRENTLY"
                : schema_wide                                                          ? "SCHEMA"
                : reindex.kind == PG_QUERY__REINDEX_OBJECT_TYPE__REINDEX_OBJECT_SYSTEM ? "SYSTEM"
                                                                                       : "DATABASE");
  }
  std::vector<Oid> indexes;
  if (whole) {
    const std::string_view name = pg::text(reindex.name);
    if (!name.empty() && name != context_.bind.database) {
      return fail(ErrorCode::kNotImplemented, "can only reindex the currently open database");
    }
    if (!context_.owns_database) {
      return fail(ErrorCode::kInsufficientPrivilege, "must be owner of database {}", context_.bind.database);
    }
    for (const auto& [oid, index] : now().indexes()) indexes.push_back(oid);
    return again(indexes);
  }
  if (schema_wide) {
    const Schema* schema = now().schema(pg::text(reindex.name));
    if (schema == nullptr)
      return fail(ErrorCode::kUndefinedSchema, "schema \"{}\" does not exist", pg::text(reindex.name));
    BOP_TRY(must_own(schema->owner, describe('n', schema->name)));
    for (const auto& [oid, index] : now().indexes()) {
      if (index->schema == schema->oid) indexes.push_back(oid);
    }
    return again(indexes);
  }
  BOP_LET(found, find_relation(*reindex.relation));
  const bool of_index = reindex.kind == PG_QUERY__REINDEX_OBJECT_TYPE__REINDEX_OBJECT_INDEX;
  if (of_index ? found.kind != 'i' : found.kind != 'r') {
    return fail(ErrorCode::kWrongObjectType, "\"{}\" is not {}", reindex.relation->relname,
                of_index ? "an index" : "a table or materialized view");
  }
  BOP_TRY(must_own(found));
  if (of_index) return again({found.oid});
  for (const auto& index : now().indexes_of(found.oid)) indexes.push_back(index->oid);
  if (indexes.empty()) {
    notice(error(ErrorCode::kUndefinedObject, "table \"{}\" has no indexes to reindex",
                 reindex.relation->relname));
  }
  return again(indexes);
}

Status DdlRun::make_index(const Index& index, const Relation& table) {
  edit_.put(index);
  // The rowid is its own index.
  const Column* rowid = table.rowid_column();
  if (index.primary && rowid != nullptr) return {};
  // The rows that are there have to be unique now, whatever the key says of later ones.
  Index strict = index;
  strict.deferrable = false;
  BOP_LET(sql, create_index_sql(strict, table, bind_now()));
  if (sql.empty()) return {};
  if (sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK) {
    if (!index.deferrable) return {};
    BOP_TRY(run(fmt::format("DROP INDEX {}", index_name(index.oid))));
    BOP_LET(lax, create_index_sql(index, table, bind_now()));
    return run(lax);
  }
  if ((sqlite3_errcode(db_) & 0xff) != SQLITE_CONSTRAINT)
    return std::unexpected(sqlite_error("CREATE INDEX"));
  return std::unexpected(duplicate_key(index, table, table_name(table.oid)));
}

// The refusal of a unique index, with the first key that stands more than once, when its parts are plain
// columns.
Error DdlRun::duplicate_key(const Index& index, const Relation& table, const std::string& rows) {
  Error duplicate = error(ErrorCode::kUniqueViolation, "could not create unique index \"{}\"", index.name);
  std::string columns;
  std::string names;
  bool plain = index.predicate.empty();
  for (const IndexKey& key : index.keys) {
    plain &= key.column != 0;
    if (!plain) break;
    columns += fmt::format("{}{}", columns.empty() ? "" : ", ", column_name(key.column));
    names += fmt::format("{}{}", names.empty() ? "" : ", ", table.find_column(key.column)->name);
  }
  if (!plain) return about(table, std::move(duplicate)).constraint(index.name);
  std::string present;
  for (const IndexKey& key : index.keys) {
    present += fmt::format("{}{} IS NOT NULL", present.empty() ? "" : " AND ", column_name(key.column));
  }
  if (has_equal_nulls(index)) present = "1";
  const std::string sql = fmt::format(
      "SELECT {0} FROM {1} WHERE {2} GROUP BY {0} HAVING count(*) > 1 LIMIT 1", columns, rows, present);
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v2(db_, sql.c_str(), -1, &statement, nullptr) == SQLITE_OK &&
      sqlite3_step(statement) == SQLITE_ROW) {
    std::string values;
    for (std::size_t i = 0; i < index.keys.size(); ++i) {
      const Column* column = table.find_column(index.keys[i].column);
      if (i > 0) values += ", ";
      const Value value = column_value(statement, static_cast<int>(i));
      if (value.is_null()) {
        values += "null";
      } else {
        encode_text(column->type, column->typmod, value, CodecContext{}, values);
      }
    }
    duplicate.mut().detail = fmt::format("Key ({})=({}) is duplicated.", names, values);
  }
  sqlite3_finalize(statement);
  return about(table, std::move(duplicate)).constraint(index.name);
}

}  // namespace bop::sql
