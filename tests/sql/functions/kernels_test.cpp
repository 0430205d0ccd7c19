#include "sql/functions/kernels.hpp"

#include <gtest/gtest.h>
#include <sqlite3.h>

namespace bop {
namespace {

// A connection with all kernels; `run` answers the first column of all rows, joined by '|'.
class Kernels : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(sqlite3_open(":memory:", &db_), SQLITE_OK);
    ASSERT_TRUE(register_functions(db_, &context_));
  }
  void TearDown() override { sqlite3_close(db_); }

  std::string run(const std::string& sql) {
    context_.error.reset();
    sqlite3_stmt* s = nullptr;
    if (sqlite3_prepare_v2(db_, sql.c_str(), -1, &s, nullptr) != SQLITE_OK)
      return std::string("SQLITE: ") + sqlite3_errmsg(db_);
    std::string out;
    int code = SQLITE_OK;
    for (int n = 0; (code = sqlite3_step(s)) == SQLITE_ROW; ++n) {
      const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(s, 0));
      out += (n > 0 ? "|" : "") + std::string(text == nullptr ? "NULL" : text);
    }
    if (code != SQLITE_DONE)
      out = context_.error
                ? "ERROR " + std::string(context_.error->sqlstate()) + ": " + context_.error->what()
                : sqlite3_errmsg(db_);
    sqlite3_finalize(s);
    return out;
  }
  static const Kernel& function(std::string_view name, std::vector<Oid> args) {
    for (const Kernel* k : lookup(name, args.size())) {
      if (k->args == args) return *k;
    }
    ADD_FAILURE() << "no kernel " << name;
    return all_kernels()[0];
  }
  static const Kernel& op(std::string_view sign, Oid left, Oid right) {
    for (const Kernel* k : lookup_operator(sign, 2)) {
      if (k->args == std::vector<Oid>{left, right}) return *k;
    }
    ADD_FAILURE() << "no operator " << sign;
    return all_kernels()[0];
  }
  std::string call(const Kernel& k, const std::string& args) {
    return run("SELECT " + k.sqlite_name + "(" + args + ")");
  }

  sqlite3* db_ = nullptr;
  FunctionContext context_;
};

using namespace types;

TEST_F(Kernels, IntegerArithmeticChecksItsWidth) {
  const Kernel& plus = op("+", kInt4, kInt4);
  EXPECT_EQ(plus.result, kInt4);
  EXPECT_EQ(call(plus, "1, 2"), "3");
  EXPECT_EQ(call(plus, "2147483647, 1"), "ERROR 22003: integer out of range");
  EXPECT_EQ(call(plus, "NULL, 1"), "NULL");
  EXPECT_EQ(call(op("/", kInt8, kInt8), "1, 0"), "ERROR 22012: division by zero");
  EXPECT_EQ(call(op("*", kInt2, kInt8), "3, 3074457345618258603"), "ERROR 22003: bigint out of range");
}

TEST_F(Kernels, NativeComparisonsUseTheTypesCollation) {
  EXPECT_EQ(op("<", kInt4, kInt8).native_sql, "({0} < {1})");
  EXPECT_EQ(op("=", kNumeric, kNumeric).native_sql, "({0} = {1} COLLATE bop_numeric)");
  EXPECT_EQ(run("SELECT '1.0' = '1.00' COLLATE bop_numeric"), "1");
  EXPECT_EQ(run("SELECT column1 FROM (VALUES ('10'), ('NaN'), ('-Infinity'), ('9.5')) "
                "ORDER BY column1 COLLATE bop_numeric"),
            "-Infinity|9.5|10|NaN");
  EXPECT_EQ(run("SELECT '0 1 0' = '0 0 86400000000' COLLATE bop_interval"), "1");
}

TEST_F(Kernels, AggregatesHavePostgresResultTypes) {
  const std::string values = " FROM (VALUES (1), (2), (NULL), (4))";
  const Kernel& sum = function("sum", {kInt4});
  EXPECT_EQ(sum.result, kInt8);
  EXPECT_EQ(run("SELECT " + sum.sqlite_name + "(column1)" + values), "7");
  EXPECT_EQ(function("sum", {kInt8}).result, kNumeric);
  EXPECT_EQ(run("SELECT " + function("avg", {kInt4}).sqlite_name + "(column1)" + values),
            "2.3333333333333333");
  EXPECT_EQ(run("SELECT " + function("stddev", {kInt4}).sqlite_name + "(column1)" + values),
            "1.5275252316519467");
  EXPECT_EQ(run("SELECT " + sum.sqlite_name + "(column1) FROM (VALUES (1)) WHERE 0"), "NULL");
  EXPECT_EQ(run("SELECT " + sum.sqlite_name + "(DISTINCT column1) FROM (VALUES (1), (1), (2))"), "3");
  EXPECT_EQ(run("SELECT " + function("avg", {kInt4}).sqlite_name +
                "(column1) OVER (ORDER BY column1 ROWS 1 PRECEDING) FROM (VALUES (1), (2), (4))"),
            "1.00000000000000000000|1.5000000000000000|3.0000000000000000");
  const Kernel& array_agg = function("array_agg", {kAnyNonArray});
  EXPECT_TRUE(array_agg.typed);
  EXPECT_EQ(run("SELECT " + array_agg.sqlite_name + "('23', column1)" + values), "{1,2,NULL,4}");
  EXPECT_EQ(run("SELECT bop_array_collect(23, column1) FROM (VALUES (1)) WHERE 0"), "{}");
}

TEST_F(Kernels, SetFunctionsAreTables) {
  EXPECT_EQ(run("SELECT value FROM " + function("generate_series", {kInt4, kInt4, kInt4}).sqlite_name +
                "(3, 1, -1)"),
            "3|2|1");
  EXPECT_EQ(run("SELECT value FROM " + function("generate_series", {kInt4, kInt4, kInt4}).sqlite_name +
                "(1, 2, 0)"),
            "ERROR 22023: step size cannot equal zero");
  EXPECT_EQ(run("SELECT value || ':' || ordinality FROM " + function("unnest", {kAnyArray}).sqlite_name +
                "('1009', '{a,b}')"),
            "a:1|b:2");
  EXPECT_EQ(run("SELECT key || '=' || value FROM " + function("jsonb_each", {kJsonb}).sqlite_name +
                "('{\"a\": 1}')"),
            "a=1");
  EXPECT_EQ(run("SELECT g.value FROM (VALUES (2), (3)) v, " +
                function("generate_series", {kInt4, kInt4}).sqlite_name + "(2, v.column1) g"),
            "2|2|3");
}

TEST_F(Kernels, PatternsAreBoundedAndReported) {
  const Kernel& match = op("~", kText, kText);
  EXPECT_EQ(call(match, "'abc', '^a'"), "1");
  EXPECT_EQ(call(match, "'abc', '('"),
            "ERROR 2201B: invalid regular expression: parentheses () not balanced");
  EXPECT_EQ(call(match, "'" + std::string(40, 'a') + "b', '^(a+)+$'").substr(0, 12), "ERROR 2201B:");
  EXPECT_EQ(call(op("~~", kText, kText), "'a_c', 'a\\_c'"), "1");
  EXPECT_EQ(call(op("~~", kText, kText), "'a', 'a\\'"), "0");
}

TEST_F(Kernels, AnyAllSubscriptsAndArrays) {
  EXPECT_EQ(run("SELECT bop_any('=', 23, 2, '{1,2}')"), "1");
  EXPECT_EQ(run("SELECT bop_any('=', 23, 3, '{1,NULL}')"), "NULL");
  EXPECT_EQ(run("SELECT bop_all('<>', 23, 3, '{1,2}')"), "1");
  EXPECT_EQ(run("SELECT bop_any('~~', 25, 'abc', '{x,a%}')"), "1");
  EXPECT_EQ(run("SELECT bop_subscript(1007, '{{1,2},{3,4}}', 2, 1)"), "3");
  EXPECT_EQ(run("SELECT bop_slice(1007, '{1,2,3}', 2, NULL)"), "{2,3}");
  EXPECT_EQ(run("SELECT bop_array(25, 'a b', NULL)"), "{\"a b\",NULL}");
  EXPECT_EQ(run("SELECT bop_array_nested(23, '{1,2}', '{3,4}')"), "{{1,2},{3,4}}");
}

TEST_F(Kernels, CastsInSqlAnswerTheirErrors) {
  EXPECT_EQ(run("SELECT " + cast_sql(kInt4, kNumeric, -1, false, "5")), "5");
  EXPECT_EQ(run("SELECT " + cast_sql(kText, kInt4, -1, true, "'x'")),
            "ERROR 22P02: invalid input syntax for type integer: \"x\"");
  EXPECT_EQ(run("SELECT " + cast_sql(kText, kVarchar, 7, false, "'abcd'")),
            "ERROR 22001: value too long for type character varying(3)");
  EXPECT_EQ(cast_sql(kVarchar, kText, -1, false, "x"), "x");
}

TEST_F(Kernels, SessionFunctionsWithoutASessionSaySo) {
  EXPECT_EQ(call(function("current_database", {}), ""),
            "ERROR 0A000: function current_database needs a session");
  EXPECT_EQ(call(function("pg_typeof", {kAny}), "'1700', '1'"), "1700");
}

TEST_F(Kernels, EveryKernelIsRegisteredOrNative) {
  EXPECT_GT(all_kernels().size(), 1200U);
  for (const Kernel& k : all_kernels()) {
    if (!k.native_sql.empty()) continue;
    const std::string sql = k.kind == KernelKind::kSetReturning ? "SELECT * FROM " + k.sqlite_name
                                                                : "SELECT " + k.sqlite_name + "(NULL, NULL)";
    sqlite3_stmt* s = nullptr;
    EXPECT_EQ(sqlite3_prepare_v2(db_, sql.c_str(), -1, &s, nullptr), SQLITE_OK)
        << k.name << ": " << sqlite3_errmsg(db_);
    sqlite3_finalize(s);
  }
}

}  // namespace
}  // namespace bop
