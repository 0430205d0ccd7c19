// Text that the catalog keeps: queries of views, DEFAULT, CHECK, expressions and predicates of indexes.
//
// Such text is bound again at each use, by other sessions and on later versions of the catalog. It must mean
// what it meant when it was made, so its names are settled then:
//   relations   with their schema; a view also keeps the columns that each relation had (ViewRead), and is
//               bound with these alone
//   columns     qualified, * and NATURAL written out, wherever that is possible without another meaning
//   constants   of regclass as the OID; of intervals in full; of dates and times in ISO form
//               with their zone ('now' is a value then); of enums cast to their type
//   types       that users made as "#<oid>", functions too
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "sql/bind.hpp"

extern "C" {
struct PgQuery__ColumnRef;
struct PgQuery__FuncCall;
struct PgQuery__JoinExpr;
struct PgQuery__RangeVar;
struct PgQuery__TypeName;
}

namespace bop::sql {

// What the binder found behind the names of one text. Keys are nodes of the tree that was bound.
struct NamesFound {
  struct Star {
    std::vector<std::vector<std::string>> columns;  // each as the parts of a reference
  };
  struct Literal {
    Oid type = 0;
    std::string text;
  };
  std::map<const PgQuery__RangeVar*, std::string> schemas;
  std::map<const PgQuery__ColumnRef*, std::vector<std::string>> columns;
  std::map<const PgQuery__ColumnRef*, Star> stars;
  std::map<const PgQuery__JoinExpr*, std::vector<std::string>> naturals;  // the columns of NATURAL JOIN
  std::map<const PgQuery__TypeName*, Oid> types;                          // of users
  std::map<const PgQuery__FuncCall*, Oid> functions;                      // of users
  std::map<int, Literal> literals;                                        // by location
  std::map<int, Oid> literal_types;  // of every literal that got its type from its place, by location
  std::vector<ViewRead> reads;       // in the order of their names

  ViewRead& read(Oid relation);
  void use(Oid relation, std::int16_t column);
  void use_object(Oid object) { read(object); }
};

struct StoredQuery {
  std::string text;
  PlanPtr plan;
  std::vector<ViewRead> reads;
};
[[nodiscard]] Result<StoredQuery> store_query(const PgQuery__Node* query, const BindContext& context);

struct StoredExpression {
  std::string text;
  BoundExpression bound;
};
// bind_expression of a part of `statement`, and the text to keep of it.
[[nodiscard]] Result<StoredExpression> store_expression(const ParsedStatementPtr& statement,
                                                        const PgQuery__Node* expression,
                                                        const Relation* relation, ExpressionUse use,
                                                        const BindContext& context, Oid coerce_to = 0,
                                                        std::int32_t coerce_typmod = -1,
                                                        std::string_view column_name = {});

// The stored expression with a cast at each literal that has its type from its context only, so that it keeps
// the type when the context changes. The place of the whole, if it has a type, counts as context too.
[[nodiscard]] Result<StoredExpression> pin_literals(const std::string& stored, const Relation* relation,
                                                    ExpressionUse use, const BindContext& context,
                                                    Oid coerce_to = 0, std::int32_t coerce_typmod = -1,
                                                    std::string_view column_name = {});

// A stored query or expression after a rename.
struct RelationName {
  std::string schema, name;
};
// `columns`: what the query calls the columns that it sees, from the first, if these are no longer their
// names.
[[nodiscard]] Result<std::string> rename_relation(const std::string& stored_query, const RelationName& from,
                                                  const RelationName& to,
                                                  const std::vector<std::string>& columns = {});
// The expression is over the columns of one table.
[[nodiscard]] Result<std::string> rename_column(const std::string& stored_expression, std::string_view from,
                                                std::string_view to);

// The relations and sequences that an expression names by regclass constants.
[[nodiscard]] std::vector<Oid> named_objects(std::string_view stored_expression);

// The users' types that a stored query or expression names, or has constants of.
[[nodiscard]] std::vector<Oid> named_types(const std::string& stored);
// The users' functions that it calls.
[[nodiscard]] std::vector<Oid> named_functions(const std::string& stored);
// The text after an enum's labels have changed: constants say what `renew` makes of their text.
using RenewLiteral = std::function<std::string(Oid type, std::string_view text)>;
[[nodiscard]] Result<std::string> renew_literals(const std::string& stored, Oid type,
                                                 const RenewLiteral& renew);

// Stored text for a reader: with names in place of the OIDs of regclass constants and types.
[[nodiscard]] std::string shown_expression(const std::string& stored, const ObjectNames& names);
[[nodiscard]] std::string shown_query(const std::string& stored, const ObjectNames& names);

}  // namespace bop::sql
