#include "session/literal_plans.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <random>

#include "sql/types/types.hpp"

namespace bop::session {
namespace {

std::string shape(std::string_view text) {
  const auto found = shape_of(text);
  if (!found) return "none";
  std::string out = found->text;
  for (const Literal& literal : found->literals) {
    out += literal.type == types::kInt4      ? " i:"
           : literal.type == types::kInt8    ? " l:"
           : literal.type == types::kNumeric ? " n:"
                                             : " s:";
    out += literal.text;
  }
  return out;
}

TEST(StatementShape, LiteralsAreTakenOut) {
  EXPECT_EQ(shape("UPDATE a SET b = b + -5 WHERE id = 7;"), "UPDATE a SET b = b + $1 WHERE id = $2 i:-5 i:7");
  EXPECT_EQ(shape("SELECT x FROM t WHERE y IN (1, 'o''k', 2.50, 3000000000, .5e-3)"),
            "SELECT x FROM t WHERE y IN ($1, $2, $3, $4, $5) i:1 s:o'k n:2.50 l:3000000000 n:.5e-3");
  EXPECT_EQ(shape("insert into \"T 1\" values (1,-  2,'',null)"),
            "insert into \"T 1\" values ($1,$2,$3,null) i:1 i:-2 s:");
  EXPECT_EQ(shape("SELECT t1.c2 FROM t1 WHERE c3 - -1 > 2 AND d LIKE 'a%'"),
            "SELECT t1.c2 FROM t1 WHERE c3 - $1 > $2 AND d LIKE $3 i:-1 i:2 s:a%");
  EXPECT_EQ(shape("SELECT a-1 FROM t"), "SELECT a-$1 FROM t i:1");
  EXPECT_EQ(shape("SELECT 'ä;--/*$1' FROM t  ; \n"), "SELECT $1 FROM t   s:ä;--/*$1");
}

TEST(StatementShape, WhatMayBeMoreThanAValueStays) {
  EXPECT_EQ(shape("SELECT a FROM t WHERE b = 1 ORDER BY 1 LIMIT 5"),
            "SELECT a FROM t WHERE b = $1 ORDER BY 1 LIMIT 5 i:1");
  EXPECT_EQ(shape("SELECT 1, count(*) FROM t GROUP BY 1 HAVING count(*) > -2"),
            "SELECT $1, count(*) FROM t GROUP BY 1 HAVING count(*) > -2 i:1");
  EXPECT_EQ(shape("SELECT 1 FROM t GROUP BY a HAVING max(b) > '2024-01-01'"), "none") << "settings read it";
  for (const char* text : {"SELECT a FROM t",
                           "",
                           ";",
                           "BEGIN",
                           "SET x = 1",
                           "CREATE TABLE t (a varchar(5))",
                           "SELECT 1; SELECT 2",
                           "SELECT date '2024-01-01'",
                           "SELECT x::numeric(5,2) FROM t WHERE a = 1",
                           "SELECT CAST(1 AS text)",
                           "SELECT interval '1' DAY",
                           "SELECT E'a\\n'",
                           "SELECT B'01'",
                           "SELECT U&'a'",
                           "SELECT $1 + 1",
                           "SELECT $$a$$",
                           "SELECT 1 -- x",
                           "SELECT 1 /* x */",
                           "SELECT a[1] FROM t",
                           "SELECT 1 UNION SELECT 2",
                           "WITH c AS (SELECT 1) SELECT * FROM c",
                           "SELECT 'a' 'b'",
                           "SELECT 12abc",
                           "SELECT 1.2.3",
                           "SELECT 99999999999999999999",
                           "SELECT 'open",
                           "SELECT \"open",
                           "SELECT a @-5",
                           "SELECT 1 --1",
                           "SELECT extract(year from '2024-01-01')",
                           "VALUES (1)",
                           "SELECT 1e",
                           "SELECT x y 'z'"}) {
    EXPECT_EQ(shape(text), "none") << text;
  }
  std::string many = "INSERT INTO t VALUES (1";
  for (int i = 0; i < 300; ++i) many += ",1";
  EXPECT_EQ(shape(many + ")"), "none");
  EXPECT_EQ(shape("SELECT '" + std::string(LiteralPlans::kLongestText, 'x') + "'"), "none");
}

std::string parts(std::string_view text) {
  std::string out;
  for (const MessagePart& part : parts_of(text)) {
    if (!out.empty()) out += " | ";
    out += part.shape ? fmt::format("{} {}", part.shape->text, part.shape->literals.size())
                      : std::string(part.text);
  }
  return out.empty() ? "none" : out;
}

TEST(StatementShape, AMessageOfSeveralStatementsHasTheirShapes) {
  EXPECT_EQ(parts("BEGIN;UPDATE t SET a = 1 WHERE b = 'x;y'; select 2; END;"),
            "BEGIN | UPDATE t SET a = $1 WHERE b = $2 2 | select $1 1 | END");
  EXPECT_EQ(parts(";; SELECT 1;; ;SELECT a FROM \"t;u\""), "SELECT $1 1 | SELECT a FROM \"t;u\" 0");
  EXPECT_EQ(parts("start transaction isolation level serializable, read only; SELECT a; Rollback"),
            "start transaction isolation level serializable, read only | SELECT a 0 | Rollback");
  EXPECT_EQ(parts("SAVEPOINT a;SELECT 1;ROLLBACK TO a"), "SAVEPOINT a | SELECT $1 1 | ROLLBACK TO a");
  for (const char* text :
       {"SELECT 1", "SELECT 1;", ";", "", "BEGIN", "SELECT 1; CREATE TABLE t (a int)", "SELECT 1; $$;$$",
        "BEGIN; SET x = 1; COMMIT", "SELECT 1; SELECT 'open", "SELECT 1; SELECT E'a';",
        "BEGIN -- x\n; SELECT 1", "COMMIT PREPARED 'x'; SELECT 1", "SELECT 1; -- end",
        "SELECT 1; SELECT 2 /* ; */; SELECT 3", "SELECT (1; SELECT 2) UNION SELECT 1"}) {
    EXPECT_EQ(parts(text), "none") << text;
  }
  std::string many;
  for (int i = 0; i < 100; ++i) many += "SELECT 1;";
  EXPECT_EQ(parts(many), "none");
}

// What was taken out put back is the text again, but for blanks behind a minus and a semicolon at the end.
TEST(StatementShape, RandomTextsNeitherCrashNorLoseABit) {
  std::mt19937 random(7);
  const std::string_view parts[] = {"SELECT ", "UPDATE ", "a", "'x'",   "1",  "-",      " ",
                                    ",",       "(",       ")", "\"q\"", "=",  "2.5",    "'",
                                    "\"",      "::",      ";", ".",     "e7", "WHERE ", "LIMIT "};
  std::size_t shaped = 0;
  for (int i = 0; i < 200'000; ++i) {
    std::string text = random() % 4 == 0 ? "" : "SELECT ";
    for (unsigned n = random() % 12; n > 0; --n) text += parts[random() % std::size(parts)];
    const auto found = shape_of(text);
    if (!found) continue;
    ++shaped;
    ASSERT_FALSE(found->literals.empty());
    std::string back = found->text;
    for (std::size_t k = found->literals.size(); k > 0; --k) {
      const std::string name = "$" + std::to_string(k);
      const std::size_t at = back.find(name);
      ASSERT_NE(at, std::string::npos) << text;
      const Literal& literal = found->literals[k - 1];
      std::string value = literal.text;
      if (literal.type == types::kUnknown) {
        for (std::size_t q = value.find('\''); q != std::string::npos; q = value.find('\'', q + 2)) {
          value.insert(q, 1, '\'');
        }
        value = "'" + value + "'";
      }
      back.replace(at, name.size(), value);
    }
    const auto squeeze = [](std::string from) {
      std::erase_if(from, [](char c) { return c == ' ' || c == ';'; });
      return from;
    };
    ASSERT_EQ(squeeze(back), squeeze(text));
  }
  EXPECT_GT(shaped, 1000U);
}

TEST(LiteralPlans, AreSeenThenKeptAndForgottenInTheEnd) {
  LiteralPlans plans;
  EXPECT_FALSE(plans.find("a").has_value());
  ASSERT_TRUE(plans.find("a").has_value());
  EXPECT_EQ(plans.find("a")->state, LiteralPlans::State::kSeen);
  plans.keep("a", DatabaseId(5), {LiteralPlans::State::kUseless, nullptr});
  for (std::size_t i = 0; i < LiteralPlans::kEntries; ++i) (void)plans.find("x" + std::to_string(i));
  ASSERT_TRUE(plans.find("a").has_value()) << "old, but asked for";
  EXPECT_EQ(plans.find("a")->state, LiteralPlans::State::kUseless);
  for (std::size_t i = 0; i < 3 * LiteralPlans::kEntries; ++i) (void)plans.find("y" + std::to_string(i));
  EXPECT_FALSE(plans.find("a").has_value());
}

TEST(LiteralPlans, ANewCatalogTakesThePlansOfTheOldOneWithIt) {
  LiteralPlans plans;
  const auto plan_over = [](const std::shared_ptr<const sql::Catalog>& catalog) {
    auto plan = std::make_shared<sql::Plan>();
    plan->catalog = catalog;
    return LiteralPlans::Entry{LiteralPlans::State::kPlanned, std::move(plan)};
  };
  auto old = std::make_shared<const sql::Catalog>();
  const std::weak_ptr<const sql::Catalog> watched = old;
  plans.keep("a", DatabaseId(5), plan_over(old));
  plans.keep("b", DatabaseId(5), plan_over(old));
  plans.keep("of another", DatabaseId(6), plan_over(std::make_shared<const sql::Catalog>()));
  old.reset();
  EXPECT_FALSE(watched.expired());
  plans.keep("c", DatabaseId(5), plan_over(std::make_shared<const sql::Catalog>()));
  EXPECT_TRUE(watched.expired());
  EXPECT_FALSE(plans.find("a").has_value());
  EXPECT_EQ(plans.find("of another")->state, LiteralPlans::State::kPlanned);
}

}  // namespace
}  // namespace bop::session
