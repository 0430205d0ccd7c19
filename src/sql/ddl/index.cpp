// CREATE INDEX, and making any index in SQLite.
#include <sqlite3.h>

#include <algorithm>

#include "sql/ddl/ddl_run.hpp"
#include "sql/functions/kernels.hpp"
#include "sql/sqlite_value.hpp"
#include "sql/types/types.hpp"

namespace bop::sql {

namespace {

// What PostgreSQL calls an index column of an expression: the function's name, else "expr".
std::string expression_name(const pg::Node* node) {
  switch (node->node_case) {
    case PG_QUERY__NODE__NODE_FUNC_CALL:
      return std::string(pg::last_name(BOP_PG_LIST(node->func_call, funcname)));
    case PG_QUERY__NODE__NODE_COLUMN_REF:
      return std::string(pg::last_name(BOP_PG_LIST(node->column_ref, fields)));
    case PG_QUERY__NODE__NODE_COALESCE_EXPR: return "coalesce";
    case PG_QUERY__NODE__NODE_CASE_EXPR: return "case";
    case PG_QUERY__NODE__NODE_TYPE_CAST: return expression_name(node->type_cast->arg);
    default: return "expr";
  }
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
  const std::string_view method = pg::text(create.access_method);
  if (!method.empty() && method != "btree") {
    if (method != "hash") {
      return fail(ErrorCode::kNotImplemented, "access method \"{}\" is not implemented; only btree is",
                  method);
    }
    notice(
        error(ErrorCode::kNotImplemented, "access method \"{}\" is accepted; the index is a btree", method));
  }
  if (!pg::text(create.table_space).empty())
    return fail(ErrorCode::kNotImplemented, "TABLESPACE is not implemented");
  if (create.nulls_not_distinct != 0)
    return fail(ErrorCode::kNotImplemented, "NULLS NOT DISTINCT is not implemented");
  BOP_TRY(check_table_options(BOP_PG_LIST(&create, options)));

  Index index;
  index.schema = table->schema;
  index.table = table->oid;
  index.owner = table->owner;
  index.unique = create.unique != 0;
  std::string columns_name;
  const auto add_name = [&](std::string_view name) {
    if (!columns_name.empty()) columns_name += "_";
    columns_name += name;
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
      BOP_LET(text, deparse_expression(element.expr));
      BOP_LET(parsed, parse_expression(text));
      BOP_LET(bound, bind_expression(parsed, table.get(), ExpressionUse::kIndex, bind_now()));
      key.expression = std::move(text);
      key.type = bound.type;
      add_name(expression_name(element.expr));
    }
    if (element.n_collation > 0) {
      const std::string_view name = pg::last_name(BOP_PG_LIST(&element, collation));
      if (name != "C" && name != "POSIX" && name != "default") {
        return fail(ErrorCode::kNotImplemented, "collation \"{}\" is not implemented; only \"C\" is", name);
      }
      key.collation = std::string(name);
    }
    if (element.n_opclass > 0) {
      const std::string_view name = pg::last_name(BOP_PG_LIST(&element, opclass));
      if (!name.ends_with("_ops")) {
        return fail(ErrorCode::kUndefinedObject,
                    "operator class \"{}\" does not exist for access method \"btree\"", name);
      }
      key.opclass = std::string(name);
    }
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
    const Column* column = table->find_column(pg::text(item->index_elem->name));
    if (column == nullptr)
      return fail(ErrorCode::kUndefinedColumn, "column \"{}\" does not exist", item->index_elem->name);
    index.include.push_back(column->number);
  }
  if (create.where_clause != nullptr) {
    BOP_LET(text, deparse_expression(create.where_clause));
    BOP_LET(parsed, parse_expression(text));
    BOP_TRY(bind_expression(parsed, table.get(), ExpressionUse::kIndexPredicate, bind_now()));
    index.predicate = std::move(text);
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

Status DdlRun::make_index(const Index& index, const Relation& table) {
  edit_.put(index);
  // The rowid is its own index.
  const Column* rowid = table.rowid_column();
  if (index.primary && rowid != nullptr) return {};
  BOP_LET(sql, create_index_sql(index, table, bind_now()));
  if (sql.empty()) return {};
  if (sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK) return {};
  if ((sqlite3_errcode(db_) & 0xff) != SQLITE_CONSTRAINT)
    return std::unexpected(sqlite_error("CREATE INDEX"));
  return std::unexpected(duplicate_key(index, table));
}

// The refusal of a unique index, with the first key that stands more than once, when its parts are plain
// columns.
Error DdlRun::duplicate_key(const Index& index, const Relation& table) {
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
  const std::string sql =
      fmt::format("SELECT {0} FROM {1} WHERE {2} GROUP BY {0} HAVING count(*) > 1 LIMIT 1", columns,
                  table_name(table.oid), present);
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v2(db_, sql.c_str(), -1, &statement, nullptr) == SQLITE_OK &&
      sqlite3_step(statement) == SQLITE_ROW) {
    std::string values;
    for (std::size_t i = 0; i < index.keys.size(); ++i) {
      const Column* column = table.find_column(index.keys[i].column);
      if (i > 0) values += ", ";
      encode_text(column->type, column->typmod, column_value(statement, static_cast<int>(i)), CodecContext{},
                  values);
    }
    duplicate.mut().detail = fmt::format("Key ({})=({}) is duplicated.", names, values);
  }
  sqlite3_finalize(statement);
  return about(table, std::move(duplicate)).constraint(index.name);
}

}  // namespace bop::sql
