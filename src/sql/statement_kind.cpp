#include "sql/statement_kind.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>

#include "sql/tree.hpp"

namespace bop::sql {

namespace {

struct Row {
  PgQuery__Node__NodeCase node;
  StatementKind kind;
  std::string_view command;
};

#define BOP_NODE(x) PG_QUERY__NODE__NODE_##x
constexpr std::array kRows{
    Row{BOP_NODE(SELECT_STMT), StatementKind::kSelect, "SELECT"},
    Row{BOP_NODE(INSERT_STMT), StatementKind::kInsert, "INSERT"},
    Row{BOP_NODE(UPDATE_STMT), StatementKind::kUpdate, "UPDATE"},
    Row{BOP_NODE(DELETE_STMT), StatementKind::kDelete, "DELETE"},
    Row{BOP_NODE(MERGE_STMT), StatementKind::kUpdate, "MERGE"},
    Row{BOP_NODE(EXPLAIN_STMT), StatementKind::kExplain, "EXPLAIN"},
    Row{BOP_NODE(VARIABLE_SHOW_STMT), StatementKind::kShow, "SHOW"},
    Row{BOP_NODE(PREPARE_STMT), StatementKind::kPrepare, "PREPARE"},
    Row{BOP_NODE(EXECUTE_STMT), StatementKind::kExecute, "EXECUTE"},
    Row{BOP_NODE(DECLARE_CURSOR_STMT), StatementKind::kDeclareCursor, "DECLARE CURSOR"},
    Row{BOP_NODE(COPY_STMT), StatementKind::kCopy, "COPY"},
    Row{BOP_NODE(LISTEN_STMT), StatementKind::kListen, "LISTEN"},
    Row{BOP_NODE(NOTIFY_STMT), StatementKind::kNotify, "NOTIFY"},
    Row{BOP_NODE(UNLISTEN_STMT), StatementKind::kUnlisten, "UNLISTEN"},
    Row{BOP_NODE(LOCK_STMT), StatementKind::kLock, "LOCK TABLE"},
    Row{BOP_NODE(CONSTRAINTS_SET_STMT), StatementKind::kConstraintsSet, "SET CONSTRAINTS"},
    Row{BOP_NODE(CHECK_POINT_STMT), StatementKind::kCheckpoint, "CHECKPOINT"},
    Row{BOP_NODE(DO_STMT), StatementKind::kOther, "DO"},
    Row{BOP_NODE(CALL_STMT), StatementKind::kOther, "CALL"},
    Row{BOP_NODE(LOAD_STMT), StatementKind::kOther, "LOAD"},
    Row{BOP_NODE(CREATE_STMT), StatementKind::kDdl, "CREATE TABLE"},
    Row{BOP_NODE(CREATE_TABLE_AS_STMT), StatementKind::kDdl, "SELECT"},
    Row{BOP_NODE(VIEW_STMT), StatementKind::kDdl, "CREATE VIEW"},
    Row{BOP_NODE(INDEX_STMT), StatementKind::kDdl, "CREATE INDEX"},
    Row{BOP_NODE(CREATE_SEQ_STMT), StatementKind::kDdl, "CREATE SEQUENCE"},
    Row{BOP_NODE(ALTER_SEQ_STMT), StatementKind::kDdl, "ALTER SEQUENCE"},
    Row{BOP_NODE(CREATE_SCHEMA_STMT), StatementKind::kDdl, "CREATE SCHEMA"},
    Row{BOP_NODE(CREATEDB_STMT), StatementKind::kDdl, "CREATE DATABASE"},
    Row{BOP_NODE(DROPDB_STMT), StatementKind::kDdl, "DROP DATABASE"},
    Row{BOP_NODE(ALTER_DATABASE_STMT), StatementKind::kDdl, "ALTER DATABASE"},
    Row{BOP_NODE(ALTER_DATABASE_SET_STMT), StatementKind::kDdl, "ALTER DATABASE"},
    Row{BOP_NODE(CREATE_ROLE_STMT), StatementKind::kDdl, "CREATE ROLE"},
    Row{BOP_NODE(ALTER_ROLE_STMT), StatementKind::kDdl, "ALTER ROLE"},
    Row{BOP_NODE(ALTER_ROLE_SET_STMT), StatementKind::kDdl, "ALTER ROLE"},
    Row{BOP_NODE(DROP_ROLE_STMT), StatementKind::kDdl, "DROP ROLE"},
    Row{BOP_NODE(GRANT_STMT), StatementKind::kDdl, ""},
    Row{BOP_NODE(GRANT_ROLE_STMT), StatementKind::kDdl, ""},
    Row{BOP_NODE(ALTER_DEFAULT_PRIVILEGES_STMT), StatementKind::kDdl, "ALTER DEFAULT PRIVILEGES"},
    Row{BOP_NODE(COMMENT_STMT), StatementKind::kDdl, "COMMENT"},
    Row{BOP_NODE(TRUNCATE_STMT), StatementKind::kDdl, "TRUNCATE TABLE"},
    Row{BOP_NODE(VACUUM_STMT), StatementKind::kDdl, ""},
    Row{BOP_NODE(REINDEX_STMT), StatementKind::kDdl, "REINDEX"},
    Row{BOP_NODE(CLUSTER_STMT), StatementKind::kDdl, "CLUSTER"},
    Row{BOP_NODE(REFRESH_MAT_VIEW_STMT), StatementKind::kDdl, "REFRESH MATERIALIZED VIEW"},
    Row{BOP_NODE(CREATE_EXTENSION_STMT), StatementKind::kDdl, "CREATE EXTENSION"},
    Row{BOP_NODE(CREATE_FUNCTION_STMT), StatementKind::kDdl, "CREATE FUNCTION"},
    Row{BOP_NODE(CREATE_TRIG_STMT), StatementKind::kDdl, "CREATE TRIGGER"},
    Row{BOP_NODE(CREATE_DOMAIN_STMT), StatementKind::kDdl, "CREATE DOMAIN"},
    Row{BOP_NODE(CREATE_ENUM_STMT), StatementKind::kDdl, "CREATE TYPE"},
    Row{BOP_NODE(COMPOSITE_TYPE_STMT), StatementKind::kDdl, "CREATE TYPE"},
    Row{BOP_NODE(CREATE_RANGE_STMT), StatementKind::kDdl, "CREATE TYPE"},
    Row{BOP_NODE(ALTER_ENUM_STMT), StatementKind::kDdl, "ALTER TYPE"},
    Row{BOP_NODE(RULE_STMT), StatementKind::kDdl, "CREATE RULE"},
    Row{BOP_NODE(CREATE_POLICY_STMT), StatementKind::kDdl, "CREATE POLICY"},
    Row{BOP_NODE(CREATE_STATS_STMT), StatementKind::kDdl, "CREATE STATISTICS"},
    Row{BOP_NODE(ALTER_SYSTEM_STMT), StatementKind::kDdl, "ALTER SYSTEM"},
    Row{BOP_NODE(ALTER_DOMAIN_STMT), StatementKind::kDdl, "ALTER DOMAIN"},
    Row{BOP_NODE(ALTER_FUNCTION_STMT), StatementKind::kDdl, "ALTER FUNCTION"},
    Row{BOP_NODE(CREATE_PLANG_STMT), StatementKind::kDdl, "CREATE LANGUAGE"},
    Row{BOP_NODE(ALTER_DATABASE_REFRESH_COLL_STMT), StatementKind::kDdl, "ALTER DATABASE"},
    Row{BOP_NODE(CREATE_CONVERSION_STMT), StatementKind::kDdl, "CREATE CONVERSION"},
    Row{BOP_NODE(CREATE_CAST_STMT), StatementKind::kDdl, "CREATE CAST"},
    Row{BOP_NODE(CREATE_OP_CLASS_STMT), StatementKind::kDdl, "CREATE OPERATOR CLASS"},
    Row{BOP_NODE(CREATE_OP_FAMILY_STMT), StatementKind::kDdl, "CREATE OPERATOR FAMILY"},
    Row{BOP_NODE(ALTER_OP_FAMILY_STMT), StatementKind::kDdl, "ALTER OPERATOR FAMILY"},
    Row{BOP_NODE(CREATE_TABLE_SPACE_STMT), StatementKind::kDdl, "CREATE TABLESPACE"},
    Row{BOP_NODE(DROP_TABLE_SPACE_STMT), StatementKind::kDdl, "DROP TABLESPACE"},
    Row{BOP_NODE(ALTER_OPERATOR_STMT), StatementKind::kDdl, "ALTER OPERATOR"},
    Row{BOP_NODE(ALTER_TYPE_STMT), StatementKind::kDdl, "ALTER TYPE"},
    Row{BOP_NODE(DROP_OWNED_STMT), StatementKind::kDdl, "DROP OWNED"},
    Row{BOP_NODE(REASSIGN_OWNED_STMT), StatementKind::kDdl, "REASSIGN OWNED"},
    Row{BOP_NODE(ALTER_TSDICTIONARY_STMT), StatementKind::kDdl, "ALTER TEXT SEARCH DICTIONARY"},
    Row{BOP_NODE(ALTER_TSCONFIGURATION_STMT), StatementKind::kDdl, "ALTER TEXT SEARCH CONFIGURATION"},
    Row{BOP_NODE(CREATE_FDW_STMT), StatementKind::kDdl, "CREATE FOREIGN DATA WRAPPER"},
    Row{BOP_NODE(ALTER_FDW_STMT), StatementKind::kDdl, "ALTER FOREIGN DATA WRAPPER"},
    Row{BOP_NODE(CREATE_FOREIGN_SERVER_STMT), StatementKind::kDdl, "CREATE SERVER"},
    Row{BOP_NODE(ALTER_FOREIGN_SERVER_STMT), StatementKind::kDdl, "ALTER SERVER"},
    Row{BOP_NODE(CREATE_USER_MAPPING_STMT), StatementKind::kDdl, "CREATE USER MAPPING"},
    Row{BOP_NODE(ALTER_USER_MAPPING_STMT), StatementKind::kDdl, "ALTER USER MAPPING"},
    Row{BOP_NODE(DROP_USER_MAPPING_STMT), StatementKind::kDdl, "DROP USER MAPPING"},
    Row{BOP_NODE(ALTER_TABLE_SPACE_OPTIONS_STMT), StatementKind::kDdl, "ALTER TABLESPACE"},
    Row{BOP_NODE(ALTER_TABLE_MOVE_ALL_STMT), StatementKind::kDdl, "ALTER TABLE ALL IN TABLESPACE"},
    Row{BOP_NODE(SEC_LABEL_STMT), StatementKind::kDdl, "SECURITY LABEL"},
    Row{BOP_NODE(CREATE_FOREIGN_TABLE_STMT), StatementKind::kDdl, "CREATE FOREIGN TABLE"},
    Row{BOP_NODE(IMPORT_FOREIGN_SCHEMA_STMT), StatementKind::kDdl, "IMPORT FOREIGN SCHEMA"},
    Row{BOP_NODE(ALTER_EXTENSION_STMT), StatementKind::kDdl, "ALTER EXTENSION"},
    Row{BOP_NODE(ALTER_EXTENSION_CONTENTS_STMT), StatementKind::kDdl, "ALTER EXTENSION"},
    Row{BOP_NODE(CREATE_EVENT_TRIG_STMT), StatementKind::kDdl, "CREATE EVENT TRIGGER"},
    Row{BOP_NODE(ALTER_EVENT_TRIG_STMT), StatementKind::kDdl, "ALTER EVENT TRIGGER"},
    Row{BOP_NODE(ALTER_POLICY_STMT), StatementKind::kDdl, "ALTER POLICY"},
    Row{BOP_NODE(CREATE_TRANSFORM_STMT), StatementKind::kDdl, "CREATE TRANSFORM"},
    Row{BOP_NODE(CREATE_AM_STMT), StatementKind::kDdl, "CREATE ACCESS METHOD"},
    Row{BOP_NODE(CREATE_PUBLICATION_STMT), StatementKind::kDdl, "CREATE PUBLICATION"},
    Row{BOP_NODE(ALTER_PUBLICATION_STMT), StatementKind::kDdl, "ALTER PUBLICATION"},
    Row{BOP_NODE(CREATE_SUBSCRIPTION_STMT), StatementKind::kDdl, "CREATE SUBSCRIPTION"},
    Row{BOP_NODE(ALTER_SUBSCRIPTION_STMT), StatementKind::kDdl, "ALTER SUBSCRIPTION"},
    Row{BOP_NODE(DROP_SUBSCRIPTION_STMT), StatementKind::kDdl, "DROP SUBSCRIPTION"},
    Row{BOP_NODE(ALTER_COLLATION_STMT), StatementKind::kDdl, "ALTER COLLATION"},
    Row{BOP_NODE(ALTER_STATS_STMT), StatementKind::kDdl, "ALTER STATISTICS"},
};

// "DROP TABLE", "ALTER VIEW": the verb and the kind of object.
struct ObjectRow {
  PgQuery__ObjectType type;
  std::array<std::string_view, 3> commands;  // CREATE, ALTER, DROP
};
#define BOP_OBJECT(x, words)                                                              \
  ObjectRow {                                                                             \
    PG_QUERY__OBJECT_TYPE__OBJECT_##x, { "CREATE " words, "ALTER " words, "DROP " words } \
  }
constexpr std::array kObjects{
    BOP_OBJECT(TABLE, "TABLE"),
    BOP_OBJECT(COLUMN, "TABLE"),
    BOP_OBJECT(TABCONSTRAINT, "TABLE"),
    BOP_OBJECT(INDEX, "INDEX"),
    BOP_OBJECT(VIEW, "VIEW"),
    BOP_OBJECT(MATVIEW, "MATERIALIZED VIEW"),
    BOP_OBJECT(FOREIGN_TABLE, "FOREIGN TABLE"),
    BOP_OBJECT(SEQUENCE, "SEQUENCE"),
    BOP_OBJECT(SCHEMA, "SCHEMA"),
    BOP_OBJECT(DATABASE, "DATABASE"),
    BOP_OBJECT(ROLE, "ROLE"),
    BOP_OBJECT(TYPE, "TYPE"),
    BOP_OBJECT(ATTRIBUTE, "TYPE"),
    BOP_OBJECT(DOMAIN, "DOMAIN"),
    BOP_OBJECT(DOMCONSTRAINT, "DOMAIN"),
    BOP_OBJECT(FUNCTION, "FUNCTION"),
    BOP_OBJECT(PROCEDURE, "PROCEDURE"),
    BOP_OBJECT(ROUTINE, "ROUTINE"),
    BOP_OBJECT(AGGREGATE, "AGGREGATE"),
    BOP_OBJECT(OPERATOR, "OPERATOR"),
    BOP_OBJECT(OPCLASS, "OPERATOR CLASS"),
    BOP_OBJECT(OPFAMILY, "OPERATOR FAMILY"),
    BOP_OBJECT(CAST, "CAST"),
    BOP_OBJECT(TRANSFORM, "TRANSFORM"),
    BOP_OBJECT(COLLATION, "COLLATION"),
    BOP_OBJECT(CONVERSION, "CONVERSION"),
    BOP_OBJECT(EXTENSION, "EXTENSION"),
    BOP_OBJECT(TRIGGER, "TRIGGER"),
    BOP_OBJECT(EVENT_TRIGGER, "EVENT TRIGGER"),
    BOP_OBJECT(RULE, "RULE"),
    BOP_OBJECT(POLICY, "POLICY"),
    BOP_OBJECT(LANGUAGE, "LANGUAGE"),
    BOP_OBJECT(LARGEOBJECT, "LARGE OBJECT"),
    BOP_OBJECT(ACCESS_METHOD, "ACCESS METHOD"),
    BOP_OBJECT(TABLESPACE, "TABLESPACE"),
    BOP_OBJECT(FDW, "FOREIGN DATA WRAPPER"),
    BOP_OBJECT(FOREIGN_SERVER, "SERVER"),
    BOP_OBJECT(USER_MAPPING, "USER MAPPING"),
    BOP_OBJECT(PUBLICATION, "PUBLICATION"),
    BOP_OBJECT(SUBSCRIPTION, "SUBSCRIPTION"),
    BOP_OBJECT(STATISTIC_EXT, "STATISTICS"),
    BOP_OBJECT(TSCONFIGURATION, "TEXT SEARCH CONFIGURATION"),
    BOP_OBJECT(TSDICTIONARY, "TEXT SEARCH DICTIONARY"),
    BOP_OBJECT(TSPARSER, "TEXT SEARCH PARSER"),
    BOP_OBJECT(TSTEMPLATE, "TEXT SEARCH TEMPLATE"),
};
#undef BOP_OBJECT

enum class Verb : std::uint8_t { kCreate, kAlter, kDrop };

std::string_view object_command(PgQuery__ObjectType type, Verb verb) {
  const auto* row = std::ranges::find(kObjects, type, &ObjectRow::type);
  constexpr std::array<std::string_view, 3> kVerbs{"CREATE", "ALTER", "DROP"};
  const auto at = static_cast<std::size_t>(verb);
  return row == kObjects.end() ? kVerbs[at] : row->commands[at];
}

std::string_view transaction_command(PgQuery__TransactionStmtKind kind) {
  switch (kind) {
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_BEGIN: return "BEGIN";
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_START: return "START TRANSACTION";
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_COMMIT: return "COMMIT";
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_ROLLBACK:
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_ROLLBACK_TO: return "ROLLBACK";
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_SAVEPOINT: return "SAVEPOINT";
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_RELEASE: return "RELEASE";
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_PREPARE: return "PREPARE TRANSACTION";
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_COMMIT_PREPARED: return "COMMIT PREPARED";
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_ROLLBACK_PREPARED: return "ROLLBACK PREPARED";
    default: return "";
  }
}

const Row* row_of(const PgQuery__Node& node) {
  for (const Row& row : kRows) {
    if (row.node == node.node_case) {
      return &row;
    }
  }
  return nullptr;
}

}  // namespace

StatementKind kind_of(const PgQuery__Node& node) {
  switch (node.node_case) {
    case BOP_NODE(TRANSACTION_STMT): return StatementKind::kTransaction;
    case BOP_NODE(VARIABLE_SET_STMT): return StatementKind::kSet;
    case BOP_NODE(DEALLOCATE_STMT): return StatementKind::kDeallocate;
    case BOP_NODE(FETCH_STMT): return StatementKind::kFetch;
    case BOP_NODE(CLOSE_PORTAL_STMT): return StatementKind::kClosePortal;
    case BOP_NODE(DISCARD_STMT): return StatementKind::kDiscard;
    case BOP_NODE(DROP_STMT):
    case BOP_NODE(RENAME_STMT):
    case BOP_NODE(ALTER_TABLE_STMT):
    case BOP_NODE(ALTER_OWNER_STMT):
    case BOP_NODE(ALTER_OBJECT_SCHEMA_STMT):
    case BOP_NODE(ALTER_OBJECT_DEPENDS_STMT):
    case BOP_NODE(DEFINE_STMT): return StatementKind::kDdl;
    default: break;
  }
  const Row* row = row_of(node);
  return row == nullptr ? StatementKind::kOther : row->kind;
}

std::string_view command_of(const PgQuery__Node& node) {
  switch (node.node_case) {
    case BOP_NODE(TRANSACTION_STMT): return transaction_command(node.transaction_stmt->kind);
    case BOP_NODE(VARIABLE_SET_STMT): {
      const PgQuery__VariableSetKind kind = node.variable_set_stmt->kind;
      const bool reset = kind == PG_QUERY__VARIABLE_SET_KIND__VAR_RESET ||
                         kind == PG_QUERY__VARIABLE_SET_KIND__VAR_RESET_ALL;
      return reset ? "RESET" : "SET";
    }
    case BOP_NODE(DEALLOCATE_STMT):
      return pg::text(node.deallocate_stmt->name).empty() ? "DEALLOCATE ALL" : "DEALLOCATE";
    case BOP_NODE(FETCH_STMT): return node.fetch_stmt->ismove != 0 ? "MOVE" : "FETCH";
    case BOP_NODE(CLOSE_PORTAL_STMT):
      return pg::text(node.close_portal_stmt->portalname).empty() ? "CLOSE CURSOR ALL" : "CLOSE CURSOR";
    case BOP_NODE(DISCARD_STMT):
      switch (node.discard_stmt->target) {
        case PG_QUERY__DISCARD_MODE__DISCARD_PLANS: return "DISCARD PLANS";
        case PG_QUERY__DISCARD_MODE__DISCARD_SEQUENCES: return "DISCARD SEQUENCES";
        case PG_QUERY__DISCARD_MODE__DISCARD_TEMP: return "DISCARD TEMP";
        default: return "DISCARD ALL";
      }
    case BOP_NODE(DROP_STMT): return object_command(node.drop_stmt->remove_type, Verb::kDrop);
    case BOP_NODE(RENAME_STMT): {
      const bool of_part = node.rename_stmt->rename_type == PG_QUERY__OBJECT_TYPE__OBJECT_COLUMN;
      return object_command(of_part ? node.rename_stmt->relation_type : node.rename_stmt->rename_type,
                            Verb::kAlter);
    }
    case BOP_NODE(ALTER_TABLE_STMT): return object_command(node.alter_table_stmt->objtype, Verb::kAlter);
    case BOP_NODE(ALTER_OWNER_STMT): return object_command(node.alter_owner_stmt->object_type, Verb::kAlter);
    case BOP_NODE(ALTER_OBJECT_SCHEMA_STMT):
      return object_command(node.alter_object_schema_stmt->object_type, Verb::kAlter);
    case BOP_NODE(ALTER_OBJECT_DEPENDS_STMT):
      return object_command(node.alter_object_depends_stmt->object_type, Verb::kAlter);
    case BOP_NODE(DEFINE_STMT): return object_command(node.define_stmt->kind, Verb::kCreate);
    case BOP_NODE(CREATE_FUNCTION_STMT):
      return node.create_function_stmt->is_procedure != 0 ? "CREATE PROCEDURE" : "CREATE FUNCTION";
    case BOP_NODE(ALTER_FUNCTION_STMT):
      return object_command(node.alter_function_stmt->objtype, Verb::kAlter);
    case BOP_NODE(GRANT_STMT): return node.grant_stmt->is_grant != 0 ? "GRANT" : "REVOKE";
    case BOP_NODE(GRANT_ROLE_STMT): return node.grant_role_stmt->is_grant != 0 ? "GRANT ROLE" : "REVOKE ROLE";
    case BOP_NODE(VACUUM_STMT): return node.vacuum_stmt->is_vacuumcmd != 0 ? "VACUUM" : "ANALYZE";
    default: break;
  }
  const Row* row = row_of(node);
  return row == nullptr ? std::string_view() : row->command;
}
#undef BOP_NODE

const PgQuery__IntoClause* select_into(const PgQuery__SelectStmt& select) {
  const PgQuery__SelectStmt* leftmost = &select;
  while (leftmost->larg != nullptr) leftmost = leftmost->larg;
  return leftmost->into_clause;
}

std::string_view lock_clause_name(const PgQuery__LockingClause& lock) {
  switch (lock.strength) {
    case PG_QUERY__LOCK_CLAUSE_STRENGTH__LCS_FORKEYSHARE: return "FOR KEY SHARE";
    case PG_QUERY__LOCK_CLAUSE_STRENGTH__LCS_FORSHARE: return "FOR SHARE";
    case PG_QUERY__LOCK_CLAUSE_STRENGTH__LCS_FORNOKEYUPDATE: return "FOR NO KEY UPDATE";
    default: return "FOR UPDATE";
  }
}

}  // namespace bop::sql
