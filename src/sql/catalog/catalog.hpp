// The catalog of one database: an immutable model of its schemas, relations, constraints, indexes and
// sequences.
//
// A Catalog never changes; every DDL statement makes the next version with a CatalogEdit and publishes it as
// a shared_ptr. Anything may hold a version for as long as it likes, on any thread.
//
// Stored form: one SQLite table, created by `kCatalogTableSql`,
//
//   bop_catalog(oid INTEGER PRIMARY KEY, kind TEXT NOT NULL, body TEXT NOT NULL)
//
// with one row an object; `body` is a JSON object. Members that hold their default are left out; a reader
// ignores members that it does not know and refuses kinds that it does not know. Kinds and members:
//
//   state     oid 0. next_oid: the next OID to hand out (first 16384; never reused, also not after DROP)
//   schema    name, owner, acl, comment
//   table     schema, name, owner, acl, comment, options: [text...], persistence,
//             columns: [{num, name, type, typmod, not_null, default, identity, generated, sequence, dropped, collation,
//             comment}...], constraints: [{oid, name, type, columns: [num...], index, check, deferrable, deferred,
//             not_validated, no_inherit, table, foreign_columns: [num...], on_update, on_delete, match, comment}...]
//   view      schema, name, owner, acl, comment, options, columns as above, query: the PostgreSQL text of the
//             SELECT, reads: [{oid, columns: [num...], used: [num...]}...]
//   index     schema, name, owner, comment, options, table, method, unique, primary, constraint, predicate,
//             keys: [{num, expression, type, descending, nulls_first, collation, opclass}...], include: [num...]
//   default_acl  role, schema, object (letter), acl: what ALTER DEFAULT PRIVILEGES has said
//   sequence  schema, name, owner, acl, comment, type, start, increment, min, max, cache, cycle, state,
//             table, column
//   type      schema, name, owner, comment, kind: "e" enum or "d" domain, array: OID of its array type, array_name,
//             of an enum labels: [{oid, label, ordinal, order}...] (ordinal is what is stored; left out: 0), of a
//             domain type, typmod, not_null, default, collation, checks: [{oid, name, check, not_validated,
//             comment}...]
//   function  schema, name, owner, acl, comment, kind: "f" or left out, "p" a procedure, language,
//             arguments: [{name, type, mode, default}...] (mode as pg_proc.proargmodes, left out: "i"), result, set,
//             strict, leakproof, volatility (left out: "v"), parallel (left out: "u"), cost, rows (texts), standard:
//             the body is of the SQL standard, body, reads: [oid...]
//
// Types and functions of users stand as "#<oid>" in the texts of other objects (stored_text.hpp).
//
// acl: [text...], items as sql/catalog/acl.hpp stores them; left out: the default of the kind, which for the
// schemas that every database has lets everybody use them.
//
// Objects of SQLite are named by OID: table t<oid> with columns c<num>, index i<oid>. Columns of SQLite have
// no affinity and the collation of their type (types::collation); a primary key of one column of type int2,
// int4 or int8 is `INTEGER PRIMARY KEY`. Names of PostgreSQL stand only here.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "base/ids.hpp"
#include "sql/catalog/acl.hpp"
#include "sql/catalog/function.hpp"
#include "sql/types/user_types.hpp"

struct sqlite3;

namespace bop::sql {

inline constexpr Oid kFirstUserOid = 16384;
inline constexpr Oid kPgCatalogSchema = 11;
inline constexpr Oid kPublicSchema = 2200;
inline constexpr Oid kInformationSchema = 13000;
inline constexpr Oid kBootstrapRole = 10;
inline constexpr std::string_view kCatalogTableSql =
    "CREATE TABLE bop_catalog(oid INTEGER PRIMARY KEY, kind TEXT NOT NULL, body TEXT NOT NULL)";

struct Column {
  std::int16_t number = 0;  // pg_attribute.attnum, from 1; never reused after DROP COLUMN
  std::string name;
  Oid type = 0;
  std::int32_t typmod = -1;
  bool not_null = false;
  bool dropped = false;
  char identity = 0;                        // 'a' always, 'd' by default
  char generated = 0;                       // 's' stored; the expression is default_text
  Oid sequence = 0;                         // of an identity or serial column
  std::optional<std::string> default_text;  // PostgreSQL text of an expression
  std::string collation;                    // as written; empty = default
  std::string comment;
  ObjectAcl acl;  // pg_attribute.attacl: in addition to the table's
};

struct Constraint {
  Oid oid = 0;
  std::string name;
  char type = 'c';                    // pg_constraint.contype: p u f c
  std::vector<std::int16_t> columns;  // of its table
  Oid index = 0;                      // p, u: the index behind it; f: the referenced unique index
  std::string check_text;             // c: PostgreSQL text of the expression
  bool deferrable = false, deferred = false, validated = true, no_inherit = false;
  Oid foreign_table = 0;  // f
  std::vector<std::int16_t> foreign_columns;
  char on_update = 'a', on_delete = 'a';  // a no action, r restrict, c cascade, n set null, d set default
  char match = 's';                       // s simple, f full
  std::string comment;
};

// What the query of a view names: a relation with the columns that it had when the view was made, in order
// (the query sees no others), and which of them it uses; or, without columns, the object of a regclass
// constant.
struct ViewRead {
  Oid relation = 0;
  std::vector<std::int16_t> columns;
  std::vector<std::int16_t> used;
};

// Tables, views and the built-in (virtual) relations: whatever can stand in FROM.
struct Relation {
  Oid oid = 0;
  Oid schema = 0;
  std::string name;
  char kind = 'r';  // pg_class.relkind: r table, v view
  Oid owner = kBootstrapRole;
  ObjectAcl acl;
  char persistence = 'p';
  std::vector<Column> columns;  // by number, dropped ones included
  std::vector<Constraint> constraints;
  std::string view_text;
  std::vector<ViewRead> reads;  // of a view
  std::vector<std::string> options;
  std::string comment;
  // Of built-in relations: name of the eponymous virtual table of SQLite whose columns bear the names above.
  // Such relations are read only.
  std::string virtual_table;

  [[nodiscard]] const Column* find_column(std::string_view column) const;  // not dropped
  [[nodiscard]] const Column* find_column(std::int16_t number) const;      // also dropped
  [[nodiscard]] const Constraint* find_constraint(std::string_view constraint) const;
  [[nodiscard]] const Constraint* primary_key() const;
  [[nodiscard]] const ViewRead* find_read(Oid relation) const;
  // The column that is SQLite's rowid ("INTEGER PRIMARY KEY"); nullptr if none is.
  [[nodiscard]] const Column* rowid_column() const;
  [[nodiscard]] bool is_virtual() const { return !virtual_table.empty(); }
};

struct IndexKey {
  std::int16_t column = 0;  // 0: an expression
  std::string expression;   // PostgreSQL text
  Oid type = 0;             // of the key
  bool descending = false, nulls_first = false;
  std::string collation, opclass;
};

struct Index {
  Oid oid = 0;
  Oid schema = 0;
  std::string name;
  Oid table = 0;
  Oid owner = kBootstrapRole;
  std::string method = "btree";
  bool unique = false, primary = false;
  // Of a DEFERRABLE key: SQLite's index is not unique, changed rows are looked at later (pending_rows.hpp).
  bool deferrable = false;
  Oid constraint = 0;
  std::string predicate;  // PostgreSQL text; empty = all rows
  std::vector<IndexKey> keys;
  std::vector<std::int16_t> include;
  std::vector<std::string> options;
  std::string comment;
};

struct Sequence {
  Oid oid = 0;
  Oid schema = 0;
  std::string name;
  Oid owner = kBootstrapRole;
  ObjectAcl acl;
  Oid type = 20;
  std::int64_t start = 1, increment = 1, min = 1, max = INT64_MAX, cache = 1;
  bool cycle = false;
  // Key of its runtime state (database/sequences.hpp), 0: the OID. RESTART and changed options take a new
  // one.
  Oid state = 0;
  [[nodiscard]] Oid state_key() const noexcept { return state != 0 ? state : oid; }
  Oid owned_by_table = 0;
  std::int16_t owned_by_column = 0;
  std::string comment;
};

struct DomainCheck {
  Oid oid = 0;
  std::string name;
  std::string text;  // PostgreSQL text of an expression over the column "value"
  bool validated = true;
  std::string comment;
};

// What CREATE TYPE AS ENUM and CREATE DOMAIN make.
struct Type {
  Oid oid = 0;
  Oid schema = 0;
  std::string name;
  Oid owner = kBootstrapRole;
  char kind = 'e';  // pg_type.typtype: e enum, d domain
  Oid array_oid = 0;
  std::string array_name;
  std::vector<EnumLabel> labels;  // of an enum, by ordinal
  Oid base = 0;                   // of a domain
  std::int32_t typmod = -1;
  bool not_null = false;
  std::optional<std::string> default_text;
  std::string collation;  // as written; empty = that of the base type
  std::vector<DomainCheck> checks;
  std::string comment;
  std::shared_ptr<const UserType> user = nullptr;  // what is above, for types.hpp; made by CatalogEdit::put
};

struct Schema {
  Oid oid = 0;
  std::string name;
  Oid owner = kBootstrapRole;
  ObjectAcl acl;
  std::string comment;
};

// What the objects of a kind that a role makes begin with: in all schemas (0) in the place of the default of
// the kind, in one schema in addition to that.
struct DefaultAcl {
  Oid oid = 0;
  Oid role = 0;
  Oid schema = 0;
  char object = 'r';  // pg_default_acl.defaclobjtype: r tables and views, S sequences, n schemas
  Acl acl;
};

// What a schema begins with: those that every database has are everybody's to use, others have no list.
[[nodiscard]] ObjectAcl default_schema_acl(Oid schema, Oid owner);

// The built-in relations of pg_catalog and information_schema; constant after construction. An OID below
// 16384 each.
using BuiltinRelations = std::vector<std::shared_ptr<const Relation>>;

class Catalog {
 public:
  // An empty database: schemas pg_catalog, information_schema, public.
  explicit Catalog(std::shared_ptr<const BuiltinRelations> builtin = nullptr);

  // Reads bop_catalog. A database without that table is empty.
  [[nodiscard]] static Result<std::shared_ptr<const Catalog>> load(
      sqlite3* connection, std::shared_ptr<const BuiltinRelations> builtin = nullptr);

  // ---- by OID; nullptr if there is none
  [[nodiscard]] const Schema* schema(Oid oid) const;
  [[nodiscard]] std::shared_ptr<const Relation> relation(Oid oid) const;  // also built-in ones
  [[nodiscard]] std::shared_ptr<const Index> index(Oid oid) const;
  [[nodiscard]] std::shared_ptr<const Sequence> sequence(Oid oid) const;
  [[nodiscard]] std::shared_ptr<const Type> type(Oid oid) const;
  [[nodiscard]] std::shared_ptr<const Function> function(Oid oid) const;
  [[nodiscard]] const UserType* user_type(Oid oid) const;  // also by the OID of its array type

  // ---- by name
  [[nodiscard]] const Schema* schema(std::string_view name) const;
  // Tables, views, indexes and sequences share one space of names in a schema.
  struct Named {
    Oid oid = 0;
    char kind = 0;  // pg_class.relkind: r v i S
    explicit operator bool() const { return oid != 0; }
  };
  [[nodiscard]] Named find(Oid schema, std::string_view name) const;
  // Along the search path, pg_catalog first unless the path names it. `schema_name` not empty: only there.
  [[nodiscard]] Named find(std::span<const std::string> search_path, std::string_view schema_name,
                           std::string_view name) const;
  // The OID of a user's type or of its array type, 0 if there is none. Types have names of their own.
  [[nodiscard]] Oid find_type(Oid schema, std::string_view name) const;
  [[nodiscard]] Oid find_type(std::span<const std::string> search_path, std::string_view schema_name,
                              std::string_view name) const;

  // By its input types; nullptr if there is none.
  [[nodiscard]] std::shared_ptr<const Function> find_function(Oid schema, std::string_view name,
                                                              std::span<const Oid> inputs) const;
  // All of a name, without those that the search path hides behind one of the same types.
  [[nodiscard]] std::vector<std::shared_ptr<const Function>> find_functions(
      std::span<const std::string> search_path, std::string_view schema_name, std::string_view name) const;

  // ---- all of them, by OID
  [[nodiscard]] const std::map<Oid, std::shared_ptr<const Function>>& functions() const { return functions_; }
  [[nodiscard]] const std::map<Oid, std::shared_ptr<const Schema>>& schemas() const { return schemas_; }
  [[nodiscard]] const std::map<Oid, std::shared_ptr<const Relation>>& relations() const { return relations_; }
  [[nodiscard]] const std::map<Oid, std::shared_ptr<const Index>>& indexes() const { return indexes_; }
  [[nodiscard]] const std::map<Oid, std::shared_ptr<const Sequence>>& sequences() const { return sequences_; }
  [[nodiscard]] const std::map<Oid, std::shared_ptr<const Type>>& types() const { return types_; }
  [[nodiscard]] const std::shared_ptr<const BuiltinRelations>& builtin() const { return builtin_; }
  [[nodiscard]] const std::map<Oid, std::shared_ptr<const DefaultAcl>>& default_acls() const {
    return default_acls_;
  }
  // nullptr: nothing was said.
  [[nodiscard]] const DefaultAcl* default_acl(Oid role, Oid schema, char object) const;
  [[nodiscard]] std::vector<std::shared_ptr<const Index>> indexes_of(Oid table) const;
  // Foreign keys of other (and the same) tables that point to `table`.
  struct Reference {
    std::shared_ptr<const Relation> table;
    const Constraint* constraint;
  };
  [[nodiscard]] std::vector<Reference> references_to(Oid table) const;
  [[nodiscard]] Oid next_oid() const { return next_oid_; }

 private:
  friend class CatalogEdit;
  void add_name(Oid schema, const std::string& name, Oid oid, char kind);
  void remove_name(Oid schema, const std::string& name);

  std::shared_ptr<const BuiltinRelations> builtin_;
  Oid next_oid_ = kFirstUserOid;
  std::map<Oid, std::shared_ptr<const Schema>> schemas_;
  std::map<Oid, std::shared_ptr<const Relation>> relations_;  // of users
  std::map<Oid, std::shared_ptr<const Relation>> builtin_by_oid_;
  std::map<Oid, std::shared_ptr<const Index>> indexes_;
  std::map<Oid, std::shared_ptr<const Sequence>> sequences_;
  std::map<Oid, std::shared_ptr<const DefaultAcl>> default_acls_;
  std::map<std::pair<Oid, std::string>, Named, std::less<>> names_;
  std::multimap<Oid, Oid> indexes_of_table_;
  std::map<Oid, std::shared_ptr<const Type>> types_;
  std::map<Oid, Oid> type_of_array_;
  std::map<std::pair<Oid, std::string>, Oid, std::less<>> type_names_;
  std::map<Oid, std::shared_ptr<const Function>> functions_;
  std::multimap<std::pair<Oid, std::string>, Oid> function_names_;
};

// The next version of a catalog in the making. One thread. `put` inserts or replaces by OID (a rename is a
// put with the new name); names must be free (asserted): the caller has answered 42P07 before.
class CatalogEdit {
 public:
  explicit CatalogEdit(std::shared_ptr<const Catalog> base);

  [[nodiscard]] const Catalog& now() const { return *next_; }  // with the changes made so far
  [[nodiscard]] Oid allocate_oid();

  void put(Schema schema);
  void put(Relation relation);
  void put(Index index);
  void put(Sequence sequence);
  void put(Type type);
  void put(Function function);
  void put(DefaultAcl defaults);
  void drop_default_acl(Oid oid);
  void drop_schema(Oid oid);
  void drop_relation(Oid oid);
  void drop_index(Oid oid);
  void drop_sequence(Oid oid);
  void drop_type(Oid oid);
  void drop_function(Oid oid);

  // Writes the changed rows of bop_catalog, making the table if it is missing; inside the caller's
  // transaction.
  [[nodiscard]] Status store(sqlite3* connection) const;
  // The new version; the edit is empty afterwards.
  [[nodiscard]] std::shared_ptr<const Catalog> finish();

 private:
  void remove_function_name(Oid oid);

  std::shared_ptr<Catalog> next_;
  std::set<Oid> changed_;
};

// The default of a domain; none for other types.
[[nodiscard]] const std::optional<std::string>& default_of_domain(const Catalog& catalog, Oid type);

// Those of `wanted` that the role has on it. The built-in relations are everybody's to read.
[[nodiscard]] Rights held_on(const Relation& relation, const Identity& who, Rights wanted);
[[nodiscard]] Rights held_on(const Sequence& sequence, const Identity& who, Rights wanted);
[[nodiscard]] Rights held_on(const Schema& schema, const Identity& who, Rights wanted);
[[nodiscard]] Rights held_on(const Function& function, const Identity& who, Rights wanted);
// "permission denied for <noun> <name>", 42501.
[[nodiscard]] Error permission_denied(std::string_view noun, std::string_view name);
[[nodiscard]] Error permission_denied(const Relation& relation);
// 42501 unless the role may look names up in the schema; a null identity may do everything.
[[nodiscard]] Status may_look_in(const Catalog& catalog, std::string_view schema, const Identity* who);
// The part of a search path that the role may use; for others the schemas are not there.
[[nodiscard]] std::vector<std::string> usable_path(const Catalog& catalog, std::span<const std::string> path,
                                                   const Identity& who);

// "t16384", "c3", "i16390".
[[nodiscard]] std::string table_name(Oid table);
[[nodiscard]] std::string column_name(std::int16_t number);
[[nodiscard]] std::string index_name(Oid index);

// `name` as PostgreSQL's quote_identifier prints it.
[[nodiscard]] std::string quote_name(std::string_view name);

}  // namespace bop::sql
