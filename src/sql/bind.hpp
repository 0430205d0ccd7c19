// The binder: a parsed statement and a catalog become a Plan, by PostgreSQL's rules of names and types.
//
// Errors bear PostgreSQL's text, SQLSTATE and position. What is not implemented answers kNotImplemented;
// nothing of a statement is left out silently. Thread-safe: all state is in the arguments.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "sql/plan.hpp"

namespace bop::sql {

class FileCatalog;

// Names beside those of columns: parameters of the function whose body a statement belongs to, variables of
// PL/pgSQL. They become parameters of the plan.
class NamedValues {
 public:
  struct Found {
    int number = 0;  // $number
    Oid type = 0;
    std::int32_t typmod = -1;
  };
  enum class Conflict : std::uint8_t { kError, kColumn, kValue };  // where a column has the name, too

  virtual ~NamedValues() = default;
  // `name`, or `qualifier.name`.
  [[nodiscard]] virtual std::optional<Found> find(std::string_view qualifier, std::string_view name) = 0;
  // The fields of a value of several (`record.*`, `record`), in order; none if there is no such value.
  [[nodiscard]] virtual std::vector<std::pair<std::string, Found>> fields(std::string_view name) = 0;
  [[nodiscard]] virtual Conflict conflict() const = 0;
};

struct BindContext {
  std::shared_ptr<const Catalog> catalog;
  std::vector<std::string> search_path = {"public"};  // as it resolves ("$user" replaced or left out)
  std::optional<std::vector<std::string>> body_path;  // the same of functions' bodies; none: no other one
  std::optional<std::size_t> most_parameters;         // of a statement that is run with so many; none: any
  std::uint64_t names_key = 0;  // of what names mean besides the catalog: path and role; for Plan::names_key
  CodecContext codec;           // for literals; `names` for regclass literals
  std::string database;         // the name that may stand before schema.table
  std::shared_ptr<const Identity> who;  // whose names they are; null: may look everywhere
  FileCatalog* files = nullptr;         // null: there are none
  // The plan of a prepared statement, for EXPLAIN EXECUTE with so many arguments; null: there are none.
  std::function<Result<PlanPtr>(std::string_view name, std::size_t arguments)> prepared;
  NamedValues* names = nullptr;  // may be called while the statement is bound
};

// Plans SELECT, VALUES, INSERT, UPDATE, DELETE and EXPLAIN of these; any other statement becomes
// PlanKind::kUtility. `parameter_types`: types that the client said, 0 = to be inferred.
[[nodiscard]] Result<PlanPtr> bind(const ParsedStatementPtr& statement, const BindContext& context,
                                   std::span<const Oid> parameter_types = {});

// ---- for DDL

struct TypeRef {
  Oid type = 0;
  std::int32_t typmod = -1;
  char serial = 0;  // '2' '4' '8': smallserial, serial, bigserial; `type` is then the integer
};
// A TypeName node of the tree ("numeric(10,2)[]"); `location` for errors comes from the node.
[[nodiscard]] Result<TypeRef> resolve_type(const PgQuery__Node* type_name, const ParsedStatement& statement,
                                           bool allow_serial = false);
[[nodiscard]] Result<TypeRef> resolve_type(std::string_view text);

struct NamesFound;  // sql/stored_text.hpp

// Plans a SELECT and tells what its names mean.
[[nodiscard]] Result<PlanPtr> bind_query(const ParsedStatementPtr& statement, const BindContext& context,
                                         NamesFound& found);

struct BoundExpression {
  std::string sql;  // of SQLite, columns written bare ("c2"), no parameters, constants as literals
  Oid type = 0;
  std::int32_t typmod = -1;
  bool immutable = true;  // calls no stable or volatile function
  bool nullable = true;
  std::vector<std::int16_t> columns;  // of `relation` that are used
};
enum class ExpressionUse : std::uint8_t {
  kCheck,
  kDefault,
  kIndex,
  kIndexPredicate,
  kGenerated,
  kTransform,
  kCopyWhere
};
// Binds an expression over the columns of one relation (nullptr: none), for CHECK, DEFAULT and index
// definitions. Refuses what the use forbids with PostgreSQL's message (subqueries, aggregates, volatile
// functions in indexes). `coerce_to` not 0: assignment cast to that type and modifier (42804 as PostgreSQL
// says for DEFAULT).
[[nodiscard]] Result<BoundExpression> bind_expression(const ParsedStatementPtr& expression,
                                                      const Relation* relation, ExpressionUse use,
                                                      const BindContext& context, Oid coerce_to = 0,
                                                      std::int32_t coerce_typmod = -1,
                                                      std::string_view column_name = {},
                                                      NamesFound* found = nullptr);

// SQLite's text of CREATE TABLE t<oid> / CREATE INDEX i<oid> for a relation as the catalog has it.
// Constraints that SQLite enforces stand in it: the primary key (INTEGER PRIMARY KEY or a unique index of its
// own), foreign keys. Unique keys of more than the rowid are indexes of their own (create_index_sql).
[[nodiscard]] Result<std::string> create_table_sql(const Relation& table, const Catalog& catalog);
// NULLS NOT DISTINCT: a key of SQLite's index has a value of another storage class in the place of NULL.
inline constexpr std::string_view kNullsNotDistinct = "bop.nulls_not_distinct";
[[nodiscard]] bool has_equal_nulls(const Index& index);
[[nodiscard]] std::string equal_nulls_key(std::string_view key, Oid type);
[[nodiscard]] Result<std::string> create_index_sql(const Index& index, const Relation& table,
                                                   const BindContext& context);

}  // namespace bop::sql
