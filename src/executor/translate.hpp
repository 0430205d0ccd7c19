// A bound query in DuckDB's SQL, where every part of it is proven to answer as PostgreSQL does.
//
// The proofs are the tables in translate_call.cpp (operators, functions) and translate_aggregate.cpp, each
// entry of which tests/slt runs through both executors. Three ways lead to an answer:
//   * DuckDB's own operator over the stored representation (docs/formats.md), where both mean the same:
//   comparisons of
//     integers, dates, text in the C locale; integer arithmetic, whose overflow both refuse; decimals of
//     known scale;
//   * a function of BOP (`bop_call`), the same that SQLite calls, a value at a time;
//   * none: NotProven, and the statement is SQLite's.
// Types whose representation does not compare by itself (numeric without a scale, interval) are compared,
// sorted and grouped by a key (sort_key.hpp).
//
// numeric: a value of known display scale is a DECIMAL of that scale; +, - and * keep to PostgreSQL's scales
// by themselves. Where the scale of a value may be smaller than that of its column (CASE, coalesce over
// several scales), it is `mixed`: it may be compared, added and multiplied, but not shown. Everything else is
// text, as it is stored.
#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "executor/engine.hpp"
#include "sql/file_table.hpp"
#include "sql/functions/kernels.hpp"
#include "sql/query.hpp"

namespace bop::executor {

// Why the statement is not DuckDB's; caught by translate().
struct NotProven {
  std::string why;
};

// A file may not be read; caught by translate().
struct FileRefused {
  Error why;
};

struct Term {
  std::string sql;
  ColumnType type;
  bool mixed = false;
  bool absent = false;  // a column whose type does not travel
};

struct Translated {
  Statement statement;             // tables without their pages
  std::vector<Oid> relations;      // of statement.tables
  std::vector<std::string> names;  // and what SQLite's text calls them: r<id>
  // Values may turn out to have no form here (NaN in a DECIMAL, one that overflows) after rows have been
  // answered.
  bool may_fail_late = false;
};

struct TranslateInput {
  std::span<const OwnedValue> parameters;  // of $1...
  // Of functions, in any thread: without `names`, which are the session's. Types that would print them do not
  // travel.
  CodecContext codec;
  // The executor's query over a file that is opened now; empty: no files.
  std::function<Result<std::string>(const sql::FileTable&)> file = {};
};

// The statement, or in the error's text why not (kNotImplemented).
[[nodiscard]] Result<Translated> translate(const sql::Query& query, const TranslateInput& input);

// How a column of the type travels; nullopt: it does not. `typmod` as declared.
[[nodiscard]] std::optional<ColumnType> column_type(Oid type, std::int32_t typmod) noexcept;
// Compared, sorted and grouped by sort_key.
[[nodiscard]] bool is_keyed(Oid type, const ColumnType& physical) noexcept;

class Translator {
 public:
  explicit Translator(const TranslateInput& input) : input_(input) {}
  [[nodiscard]] Translated run(const sql::Query& query);

 private:
  using Expr = sql::Expr;
  using ExprRef = sql::ExprRef;
  using Query = sql::Query;
  struct Text {
    std::string sql;
    std::vector<Term> columns;  // o1, o2...: type and mixed
  };

  // translate_query.cpp
  [[nodiscard]] Text query(const Query& q);
  [[nodiscard]] Text body(const Query& q);
  [[nodiscard]] Text select(const Query& q);
  [[nodiscard]] Text values(const Query& q);
  [[nodiscard]] Text set_operation(const Query& q);
  [[nodiscard]] std::string with(const std::vector<std::shared_ptr<sql::Cte>>& ctes);
  [[nodiscard]] std::string from_node(const sql::FromNode& node);
  [[nodiscard]] std::string entry(const sql::RangeRef& e);
  [[nodiscard]] std::string table(const sql::RangeEntry& e);
  // " ORDER BY ...", or nothing.
  [[nodiscard]] std::string order(const std::vector<sql::SortKey>& keys, const Query* numbered);
  [[nodiscard]] std::string limit(const Query& q);
  [[nodiscard]] std::string group_list(const Query& q);

  // translate_expression.cpp
  [[nodiscard]] Term expression(const Expr& e);
  [[nodiscard]] Term open_expression(const Expr& e);
  [[nodiscard]] Term column(const Expr& e);
  [[nodiscard]] Term constant(const Expr& e);
  [[nodiscard]] Term literal(Oid type, std::int32_t typmod, const Value& value);
  [[nodiscard]] Term cast(const Expr& e);
  [[nodiscard]] Term in_list(const Expr& e);
  [[nodiscard]] Term in_subquery(const Expr& e);
  [[nodiscard]] Term quantified(const Expr& e);
  [[nodiscard]] Term branches(const std::vector<const Expr*>& values, std::vector<std::string>& texts);
  [[nodiscard]] std::string condition(const Expr& e);
  // AND and OR: what may fail is not computed where what stands before it decides. `tested`: only whether it
  // is true counts.
  [[nodiscard]] std::string logic(const Expr& e, bool tested);
  // What stands for the value in comparisons, orders and groups.
  [[nodiscard]] std::string key(const Expr& e);
  [[nodiscard]] std::string key(Oid type, const Term& term);

  // translate_call.cpp
  [[nodiscard]] Term call(const Expr& e);
  [[nodiscard]] std::optional<Term> native_call(const Expr& e, const std::vector<Term>& args);
  [[nodiscard]] std::optional<Term> decimal_call(const Expr& e, const std::vector<Term>& args);
  [[nodiscard]] Term comparison(std::string_view sign, Oid left, Oid right, const Term& a, const Term& b);
  // Two calls of one `identity` over arguments of one form are one function: DuckDB finds a GROUP BY
  // expression again in the select list by its words.
  [[nodiscard]] Term function(std::string identity, std::vector<Term> args, ColumnType result, bool strict,
                              std::function<std::unique_ptr<Evaluator>()> make);
  [[nodiscard]] Term kernel_call(const Kernel& kernel, std::vector<Term> args, std::vector<Oid> types,
                                 bool variadic_array, ColumnType result);
  [[nodiscard]] Term helper_call(const char* name, std::vector<OwnedValue> before, std::vector<Term> args,
                                 std::vector<OwnedValue> after, ColumnType result, bool strict);

  // translate_aggregate.cpp
  [[nodiscard]] Term aggregate(const Expr& e);
  [[nodiscard]] Term plain_aggregate(const Expr& e, std::string_view name, const std::string& tail);
  [[nodiscard]] std::string window(const sql::Window& w);

  const TranslateInput& input_;
  bool decimals_ = false;  // somewhere
  Translated out_;
  std::map<const sql::RangeEntry*, std::vector<Term>> entries_;
  std::map<const sql::Cte*, std::vector<Term>> ctes_;
  std::map<std::string, std::size_t> functions_;  // by identity and forms
  // The innermost grouped query whose targets are being written; null inside aggregates.
  const Query* grouped_ = nullptr;
  int depth_ = 1;  // of the query under way
};

[[noreturn]] inline void not_proven(std::string why) { throw NotProven{std::move(why)}; }

}  // namespace bop::executor
