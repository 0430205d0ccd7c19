// One DDL statement in the making: the next catalog, the connection it changes, and what all statements need.
//
// Statements are member functions, each in the file of its noun (create_table.cpp, index.cpp, drop.cpp...).
// One thread, one statement; nothing outlives it but the DdlOutcome.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sql/catalog/catalog_types.hpp"
#include "sql/ddl/ddl.hpp"
#include "sql/ddl/grant_request.hpp"
#include "sql/stored_text.hpp"
#include "sql/tree.hpp"

struct sqlite3;

namespace bop::sql {

// A foreign key or index constraint found in a definition, made once all columns are known.
struct PendingConstraint {
  const PgQuery__Constraint* node;
  std::string column;  // of a column constraint; empty for a table constraint
  bool deferrable = false;
  bool deferred = false;
  std::string name = {};  // instead of the one in `node`
};

// What an object's removal takes with it.
struct Dropped {
  std::set<Oid> relations, indexes, sequences, schemas, types, functions;
  std::set<std::pair<Oid, std::int16_t>> columns;                     // table, number
  std::set<std::pair<Oid, Oid>> constraints;                          // table, constraint
  std::set<std::pair<Oid, std::int16_t>> columns_of_types, defaults;  // lost with a type: table, number
};

class DdlRun {
 public:
  DdlRun(const ParsedStatementPtr& statement, const DdlContext& context, sqlite3* db)
      : statement_(statement), context_(context), db_(db), edit_(context.bind.catalog) {}

  [[nodiscard]] Result<DdlOutcome> execute();

 private:
  // ---- statements
  [[nodiscard]] Status create_table(const PgQuery__CreateStmt& create);
  [[nodiscard]] Status create_table_as(const PgQuery__CreateTableAsStmt& create);
  [[nodiscard]] Status select_into(const PgQuery__SelectStmt& select);
  [[nodiscard]] Status create_index(const PgQuery__IndexStmt& create);
  [[nodiscard]] Status create_view(const PgQuery__ViewStmt& create);
  [[nodiscard]] Result<std::vector<std::string>> view_options(const PgQuery__ViewStmt& create) const;
  [[nodiscard]] Status create_schema(const PgQuery__CreateSchemaStmt& create);
  [[nodiscard]] Status create_elements(const PgQuery__CreateSchemaStmt& create, const Schema& schema);
  [[nodiscard]] Status apply(const pg::Node& node);
  [[nodiscard]] Status create_sequence(const PgQuery__CreateSeqStmt& create);
  [[nodiscard]] Status alter_sequence(const PgQuery__AlterSeqStmt& alter);
  [[nodiscard]] Status alter_table(const PgQuery__AlterTableStmt& alter);
  [[nodiscard]] Status drop(const PgQuery__DropStmt& drop);
  [[nodiscard]] Status truncate(const PgQuery__TruncateStmt& truncate);
  [[nodiscard]] Status rename(const PgQuery__RenameStmt& rename);
  [[nodiscard]] Status set_schema(const PgQuery__AlterObjectSchemaStmt& alter);
  [[nodiscard]] Status set_owner(const PgQuery__AlterOwnerStmt& alter);
  [[nodiscard]] Status reindex(const PgQuery__ReindexStmt& reindex);
  // ---- types (type.cpp)
  [[nodiscard]] Status create_enum(const PgQuery__CreateEnumStmt& create);
  [[nodiscard]] Status alter_enum(const PgQuery__AlterEnumStmt& alter);
  [[nodiscard]] Status rename_type(const PgQuery__RenameStmt& rename);
  [[nodiscard]] Status set_type_schema(const PgQuery__AlterObjectSchemaStmt& alter);
  [[nodiscard]] Status set_type_owner(const PgQuery__AlterOwnerStmt& alter);
  [[nodiscard]] Status comment_on_type(const PgQuery__CommentStmt& comment);
  [[nodiscard]] Status find_dropped_types(const PgQuery__DropStmt& drop, Dropped& dropped, std::string& what);
  [[nodiscard]] Result<Type> new_type(pg::NodeList names, char kind);
  [[nodiscard]] Status check_type_name_free(Oid schema, const std::string& name);
  [[nodiscard]] std::string free_array_name(Oid schema, std::string_view name) const;
  [[nodiscard]] Result<std::shared_ptr<const Type>> find_type_to_change(pg::NodeList names) const;
  [[nodiscard]] Result<std::shared_ptr<const Type>> find_type_or_domain(const pg::Node* object,
                                                                        PgQuery__ObjectType wanted) const;
  [[nodiscard]] Status add_label(Type& type, const std::string& label, std::string_view neighbor, bool after);
  [[nodiscard]] Status rename_label(Type type);
  // ---- functions (function.cpp, function_change.cpp)
  [[nodiscard]] Status create_function(const PgQuery__CreateFunctionStmt& create);
  [[nodiscard]] Status alter_function(const PgQuery__AlterFunctionStmt& alter);
  [[nodiscard]] Status rename_function(const PgQuery__RenameStmt& rename);
  [[nodiscard]] Status set_function_schema(const PgQuery__AlterObjectSchemaStmt& alter);
  [[nodiscard]] Status set_function_owner(const PgQuery__AlterOwnerStmt& alter);
  [[nodiscard]] Status comment_on_function(const PgQuery__CommentStmt& comment);
  [[nodiscard]] Status grant_on_functions(const PgQuery__GrantStmt& grant, const RoleOf& role);
  [[nodiscard]] Status grant_on_function(const GrantRequest& request, Oid function);
  [[nodiscard]] Status find_dropped_functions(const PgQuery__DropStmt& drop, Dropped& dropped,
                                              std::string& what);
  // Functions that go with what is dropped.
  void collect_functions(Dropped& dropped, std::vector<std::string>& dependents,
                         std::vector<std::string>& taken) const;
  [[nodiscard]] Result<Oid> function_type(const PgQuery__TypeName& name, bool& set) const;
  [[nodiscard]] Status read_parameters(const PgQuery__CreateFunctionStmt& create, Function& function);
  [[nodiscard]] Status read_result(const PgQuery__CreateFunctionStmt& create, Function& function);
  [[nodiscard]] Status read_options(pg::NodeList options, Function& function, std::string* body);
  [[nodiscard]] Status read_standard_body(const pg::Node& body, Function& function);
  [[nodiscard]] Status check_body(const Function& function);
  [[nodiscard]] Status check_plpgsql(const Function& function) const;
  // nullptr after the NOTICE that it is not there.
  [[nodiscard]] Result<std::shared_ptr<const Function>> find_function(const pg::Node* object,
                                                                      PgQuery__ObjectType type,
                                                                      bool missing_ok) const;
  [[nodiscard]] static std::string_view routine_word(char kind) {
    return kind == 'p' ? "procedure" : "function";
  }
  [[nodiscard]] Status must_own_function(const Function& function) const;
  [[nodiscard]] Status check_function_free(const Function& function) const;
  // ---- domains (domain.cpp)
  [[nodiscard]] Status create_domain(const PgQuery__CreateDomainStmt& create);
  [[nodiscard]] Status alter_domain(const PgQuery__AlterDomainStmt& alter);
  [[nodiscard]] Status rename_domain_check(const PgQuery__RenameStmt& rename);
  [[nodiscard]] Status comment_on_domain_check(const PgQuery__CommentStmt& comment);
  [[nodiscard]] Status refuse_domain_constraint(const PgQuery__Constraint& constraint) const;
  [[nodiscard]] Status set_domain_default(Type& domain, const pg::Node* expression);
  [[nodiscard]] Status add_domain_check(Type& domain, const PgQuery__Constraint& constraint);
  [[nodiscard]] Status verify_domain_check(const Type& domain, const DomainCheck& check);
  [[nodiscard]] Status each_column_of(const Type& domain,
                                      const std::function<Status(const Relation&, const Column&)>& f) const;
  // Every query and expression that the catalog keeps, with what `change` makes of it.
  [[nodiscard]] Status change_texts(const std::function<Result<std::string>(const std::string&)>& change);
  // 42809 unless what `found` is can be meant by ALTER <type>.
  [[nodiscard]] Status check_kind(const Catalog::Named& found, PgQuery__ObjectType type,
                                  std::string_view name) const;
  // The owner of a relation or sequence, with what belongs to it.
  [[nodiscard]] Status change_owner(const Catalog::Named& found, const PgQuery__RoleSpec& role);
  // 42501 unless the user may make the role the owner of what is the user's. `schema`: it stands in it, and
  // the role has to have CREATE there; 0: in none.
  [[nodiscard]] Status may_give(Oid to, const PgQuery__RoleSpec& role, Oid schema) const;
  [[nodiscard]] Status may_create_schemas() const;
  // The object of ALTER <type> ... with IF EXISTS; empty after the NOTICE that it is not there.
  [[nodiscard]] Result<Catalog::Named> find_altered(const PgQuery__RangeVar& name, bool missing_ok,
                                                    PgQuery__ObjectType type) const;
  [[nodiscard]] Status comment(const PgQuery__CommentStmt& comment);
  // ---- GRANT and REVOKE (grant.cpp)
  [[nodiscard]] Status grant(const PgQuery__GrantStmt& grant);
  [[nodiscard]] Status alter_default_privileges(const PgQuery__AlterDefaultPrivilegesStmt& alter);
  [[nodiscard]] Status change_default(const GrantRequest& request, Oid role, Oid schema, char object);
  // What an object of this kind begins with, by what ALTER DEFAULT PRIVILEGES has said.
  [[nodiscard]] ObjectAcl initial_acl(Oid role, Oid schema, char object) const;
  [[nodiscard]] Status grant_on(const GrantRequest& request, Oid relation, bool as_table);
  [[nodiscard]] Status grant_on_columns(const GrantRequest& request, Oid object);
  [[nodiscard]] Status grant_on_schema(const GrantRequest& request, std::string_view name);
  [[nodiscard]] Result<std::vector<Oid>> relations_of_schema(const Schema& schema, bool sequences) const;

  // ---- names (names.cpp)
  [[nodiscard]] const Catalog& now() const { return edit_.now(); }
  // A copy of the catalog as it is now, for the binder.
  [[nodiscard]] BindContext bind_now() const;
  [[nodiscard]] Result<const Schema*> temporary_schema();
  [[nodiscard]] Result<const Schema*> schema_for_creation(std::string_view name);
  // Where the relation of that name is to be made.
  [[nodiscard]] Result<const Schema*> schema_for_creation(const PgQuery__RangeVar& name);
  // 0A000 if a qualified name begins with another database.
  [[nodiscard]] Status check_database(std::string_view database, std::string_view schema,
                                      std::string_view name) const;
  // A collation written for a column or key of `type`; empty if there is none.
  [[nodiscard]] Result<std::string> collation_of(const PgQuery__CollateClause* clause, Oid type) const;
  [[nodiscard]] Result<std::string> collation_of(pg::NodeList name, Oid type, int location) const;
  [[nodiscard]] Result<const Schema*> may_create_in(const Schema& schema) const;
  [[nodiscard]] Result<Catalog::Named> find_relation(const PgQuery__RangeVar& name,
                                                     bool missing_ok = false) const;
  [[nodiscard]] Result<Catalog::Named> find_qualified(pg::NodeList names, std::string& schema,
                                                      std::string& name) const;
  // A table that can be changed; views and built-in relations are refused.
  [[nodiscard]] Result<Relation> table_to_change(const PgQuery__RangeVar& name, std::string_view doing) const;
  // "t_a_b_suffix", cut to 63 bytes, numbered until free in the schema (relations) or the table
  // (constraints).
  [[nodiscard]] std::string free_name(Oid schema, std::string_view first, std::string_view second,
                                      std::string_view suffix, const Relation* constraints_of) const;
  [[nodiscard]] std::string describe(char kind, const std::string& name) const;  // "table t"
  // The same for an object as PostgreSQL tells of dependencies: quoted, and with its schema where the search
  // path does not lead to it.
  [[nodiscard]] std::string description(Oid object) const;
  [[nodiscard]] Result<Oid> role_oid(const PgQuery__RoleSpec& role) const;
  [[nodiscard]] int position(int location) const { return statement_->position(location); }
  void notice(Error what) const {
    if (context_.notice) context_.notice(false, what);
  }
  // The schema and table fields of an error about `table`.
  [[nodiscard]] Error about(const Relation& table, Error what) const;
  // Positions in text of the catalog mean nothing to the client.
  [[nodiscard]] static Error without_position(Error what);
  // As PostgreSQL tells an error in a DEFAULT or CHECK: ALTER TABLE does not say where.
  [[nodiscard]] Error in_expression(Error what) const;
  [[nodiscard]] Status check_name_free(Oid schema, std::string_view name) const;
  [[nodiscard]] const Identity& who() const;
  [[nodiscard]] Status may_look_in(std::string_view schema) const {
    return sql::may_look_in(now(), schema, &who());
  }
  // 42501 unless the user has the rights of `owner`. `what` as "table t".
  [[nodiscard]] Status must_own(Oid owner, std::string_view what) const;
  [[nodiscard]] Oid schema_of(const Catalog::Named& object) const;
  // The same for a relation, index or sequence by its name in the catalog.
  [[nodiscard]] Status must_own(const Catalog::Named& object) const;

  // ---- tables (create_table.cpp, constraint.cpp)
  [[nodiscard]] Result<Column> make_column(Relation& table, const PgQuery__ColumnDef& definition,
                                           std::vector<PendingConstraint>& pending);
  // like.cpp
  [[nodiscard]] Status copy_like(Relation& table, const PgQuery__TableLikeClause& like);
  [[nodiscard]] Status copy_indexes(Relation& table, const PgQuery__TableLikeClause& like,
                                    std::vector<Index>& indexes);
  void copy_sequence(Oid made, const Sequence& original);
  // What PostgreSQL calls the column of an index that is an expression.
  [[nodiscard]] static std::string expression_name(const pg::Node* node);
  // The modifier with which a default is bound when it is made: how long a value may be is looked at when it
  // is stored, but an interval's modifier says what its text means.
  [[nodiscard]] static std::int32_t default_typmod(Oid type, std::int32_t typmod);
  [[nodiscard]] Status add_default(Relation& table, Column& column, const pg::Node* expression);
  // What a generated column is computed from, once all columns are known.
  [[nodiscard]] Status add_generated(Relation& table, const PendingConstraint& pending);
  [[nodiscard]] Status add_sequence_column(const Relation& table, Column& column, char identity, Oid type,
                                           std::span<pg::Node* const> options);
  // Storage parameters, for which there is no storage: unknown ones are refused.
  [[nodiscard]] Status check_storage_options(pg::NodeList options, bool of_index) const;
  [[nodiscard]] Status check_table_storage(Relation& table, std::string_view access_method,
                                           std::string_view tablespace, PgQuery__OnCommitAction on_commit,
                                           pg::NodeList options) const;
  // The head of a table about to be made; nullopt: it exists and IF NOT EXISTS says that this is well.
  [[nodiscard]] Result<std::optional<Relation>> new_table(const PgQuery__RangeVar& name, bool if_not_exists);
  [[nodiscard]] Status add_column_of(Relation& table, std::string name, const OutputColumn& source) const;
  [[nodiscard]] Status check_column_name(std::string_view name) const;
  // Adds the constraint to `table`; indexes that it needs are put into `indexes` (made in SQLite by the
  // caller).
  [[nodiscard]] Status add_constraint(Relation& table, const PendingConstraint& pending,
                                      std::vector<Index>& indexes);
  // Of keys over the same columns one is made; the primary key takes the place of the others.
  static void merge_keys(std::vector<PendingConstraint>& pending);
  [[nodiscard]] Status add_key(Relation& table, const PendingConstraint& pending,
                               std::vector<Index>& indexes);
  [[nodiscard]] Status add_key_by_index(Relation& table, const PendingConstraint& pending);
  [[nodiscard]] Status add_check(Relation& table, const PendingConstraint& pending);
  [[nodiscard]] Status add_foreign_key(Relation& table, const PendingConstraint& pending,
                                       const std::vector<Index>& indexes);
  // 42804 unless the columns of the foreign key can be compared with those that it refers to.
  [[nodiscard]] Status check_key_types(const Constraint& key, const Relation& table,
                                       const Relation& referenced) const;
  [[nodiscard]] Status verify_check(const Relation& table, const Constraint& constraint);
  [[nodiscard]] Status verify_not_null(const Relation& table, const Column& column);
  [[nodiscard]] Error null_found(const Relation& table, const Column& column) const;
  // `rows`: what stands in FROM for the rows of the index.
  [[nodiscard]] Error duplicate_key(const Index& index, const Relation& table, const std::string& rows);
  [[nodiscard]] Status make_index(const Index& index, const Relation& table);

  // ---- ALTER TABLE (alter_table.cpp, alter_column.cpp, rebuild.cpp)
  struct Alteration {
    Relation table;
    Relation before;
    bool rebuild = false;
    std::map<std::int16_t, std::string> expressions;  // column -> SQLite text of its new value
    std::set<std::int16_t> retyped;
    std::vector<Index> new_indexes;
    std::vector<Constraint> checks;                                           // to verify
    std::vector<std::int16_t> not_null;                                       // to verify
    std::vector<std::pair<Oid, Oid>> foreign_keys;                            // table, constraint: to verify
    [[nodiscard]] bool retypes(std::span<const std::int16_t> columns) const;  // any of them
  };
  [[nodiscard]] Status alter_one(Alteration& alteration, const PgQuery__AlterTableCmd& command);
  [[nodiscard]] Status add_column(Alteration& alteration, const PgQuery__AlterTableCmd& command);
  [[nodiscard]] Status drop_column(Alteration& alteration, const PgQuery__AlterTableCmd& command);
  [[nodiscard]] Status alter_type(Alteration& alteration, const PgQuery__AlterTableCmd& command);
  [[nodiscard]] Status set_identity(Alteration& alteration, const PgQuery__AlterTableCmd& command);
  [[nodiscard]] Status drop_expression(Alteration& alteration, const PgQuery__AlterTableCmd& command);
  // The generated columns that are computed from the column.
  [[nodiscard]] Result<std::vector<std::int16_t>> computed_from(const Relation& table,
                                                                std::int16_t column) const;
  [[nodiscard]] Status drop_constraint(Alteration& alteration, const PgQuery__AlterTableCmd& command);
  [[nodiscard]] Result<Column*> column_of(Relation& table, std::string_view name) const;
  [[nodiscard]] Result<std::optional<StoredExpression>> retyped(const std::string& stored,
                                                                const Alteration& alteration,
                                                                ExpressionUse use) const;
  // What is over columns with a new type, bound again; notes what their rows have to be verified for.
  [[nodiscard]] Status bind_retyped(Alteration& alteration);
  // Makes SQLite's table anew as `after` says, with the rows of `before`; indexes are made again.
  [[nodiscard]] Status rebuild(const Relation& before, const Relation& after);
  // The same without the indexes, which are gone afterwards. `expressions`: new values by column.
  [[nodiscard]] Status replace_rows(const Relation& before, const Relation& after,
                                    const std::map<std::int16_t, std::string>& expressions);
  [[nodiscard]] Status remake_indexes(const Relation& table);
  // 23503 unless each row's key is there. Deferred keys as well: PostgreSQL validates them at once.
  [[nodiscard]] Status verify_foreign_key(Oid table, Oid key);

  // ---- DROP (drop.cpp)
  // Collects what depends on what is in `dropped`; on RESTRICT the first dependency is the error. `computed`:
  // generated columns in `dropped` that go with a column of their table.
  struct Dependent {
    std::string object;
    std::string cause;
  };
  [[nodiscard]] Status collect(Dropped& dropped, bool cascade, std::string_view what,
                               const std::vector<Dependent>& computed = {});
  [[nodiscard]] Status remove(const Dropped& dropped);
  // What goes with types: columns, defaults, constraints, indexes, domains. As `collect` lists them.
  void collect_of_types(Dropped& dropped, std::vector<std::string>& dependents,
                        std::vector<std::string>& taken) const;
  [[nodiscard]] Oid dropped_type_of(const Dropped& dropped, Oid type) const;
  // The sequences that the default names in nextval.
  [[nodiscard]] std::set<Oid> sequences_of_default(const Column& column) const;
  [[nodiscard]] Status rename_in_views(Oid relation, const RelationName& to, std::int16_t column = 0);
  // Whether a view's query names `object`, itself or by other views.
  [[nodiscard]] bool uses(const Relation& view, Oid object) const;

  // ---- sequences (sequence.cpp)
  [[nodiscard]] Status sequence_options(Sequence& sequence, pg::NodeList options, bool create);
  [[nodiscard]] Status own_sequence(Sequence& sequence, pg::NodeList names) const;
  void restart_sequence(Sequence& sequence, std::int64_t first, bool called);

  // ---- SQLite (ddl_run.cpp)
  [[nodiscard]] Status run(const std::string& sql);
  // First column of the first row, as text; nullopt if there is no row.
  [[nodiscard]] Result<std::optional<std::string>> first(const std::string& sql);
  [[nodiscard]] Error sqlite_error(std::string_view doing) const;

  const ParsedStatementPtr& statement_;
  DdlContext context_;  // of the statement; elements of CREATE SCHEMA have their own
  sqlite3* db_;
  CatalogEdit edit_;
  DdlOutcome outcome_;
};

}  // namespace bop::sql
