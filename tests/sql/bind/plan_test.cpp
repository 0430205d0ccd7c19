// What a plan promises beyond its rows: indexes are used, parameters have types, nothing is silently ignored.
#include <random>

#include <gtest/gtest.h>

#include "sql/bind/database_fixture.hpp"
#include "sql/types/types.hpp"

namespace bop::sql::test {
namespace {

std::string query_plan(TestDatabase& db, const Plan& plan) {
  std::string out;
  sqlite3_stmt* statement = nullptr;
  const std::string sql = "EXPLAIN QUERY PLAN " + plan.sql;
  EXPECT_EQ(sqlite3_prepare_v2(db.connection(), sql.c_str(), -1, &statement, nullptr), SQLITE_OK)
      << sqlite3_errmsg(db.connection()) << plan.sql;
  while (sqlite3_step(statement) == SQLITE_ROW) {
    out += reinterpret_cast<const char*>(sqlite3_column_text(statement, 3));
    out += '\n';
  }
  sqlite3_finalize(statement);
  return out;
}

TEST(Plan, point_statements_by_primary_key_search_and_never_scan) {
  TestDatabase db;
  for (const char* text :
       {"SELECT name FROM emp WHERE id = $1", "UPDATE emp SET salary = salary + $1 WHERE id = $2",
        "DELETE FROM emp WHERE id = $1", "SELECT c FROM pair WHERE a = $1 AND b = $2",
        "SELECT name FROM emp WHERE id IN (1, 2, $1)"}) {
    const auto plan = db.plan(text);
    ASSERT_TRUE(plan.has_value()) << plan.error().what();
    const std::string how = query_plan(db, **plan);
    EXPECT_NE(how.find("SEARCH"), std::string::npos) << text << "\n" << (*plan)->sql << "\n" << how;
    EXPECT_EQ(how.find("SCAN r"), std::string::npos) << text << "\n" << (*plan)->sql << "\n" << how;
  }
}

TEST(Plan, order_by_the_key_needs_no_sort) {
  TestDatabase db;
  const auto plan = db.plan("SELECT id FROM emp ORDER BY id LIMIT 10");
  ASSERT_TRUE(plan.has_value());
  EXPECT_EQ(query_plan(db, **plan).find("TEMP B-TREE"), std::string::npos) << (*plan)->sql;
}

TEST(Plan, parameters_get_their_types_from_where_they_stand) {
  TestDatabase db;
  const auto plan = db.plan("SELECT name, $3 FROM emp WHERE id = $1 AND hired > $2");
  ASSERT_TRUE(plan.has_value()) << plan.error().what();
  EXPECT_EQ((*plan)->parameters, (std::vector<Oid>{types::kInt4, types::kDate, types::kText}));
  const auto insert = db.plan("INSERT INTO num VALUES ($1, $2, $3)");
  ASSERT_TRUE(insert.has_value());
  EXPECT_EQ((*insert)->parameters, (std::vector<Oid>{types::kInt8, types::kNumeric, types::kText}));
  const auto hinted = db.plan("SELECT $1 + 1", {types::kInt8});
  ASSERT_TRUE(hinted.has_value());
  EXPECT_EQ((*hinted)->columns[0].type, types::kInt8);
}

TEST(Plan, output_columns_say_where_they_come_from) {
  TestDatabase db;
  const auto plan = db.plan("SELECT budget, budget + 1, budget AS b FROM dept");
  ASSERT_TRUE(plan.has_value());
  const auto& columns = (*plan)->columns;
  EXPECT_EQ(columns[0].name, "budget");
  EXPECT_EQ(columns[0].attribute, 3);
  EXPECT_NE(columns[0].table, 0u);
  EXPECT_NE(columns[0].typmod, -1);
  EXPECT_EQ(columns[1].name, "?column?");
  EXPECT_EQ(columns[1].table, 0u);
  EXPECT_EQ(columns[1].typmod, -1);
  EXPECT_EQ(columns[2].name, "b");
}

TEST(Plan, what_is_not_implemented_says_so) {
  TestDatabase db;
  for (
      const char* text :
      {"SELECT * FROM emp CROSS JOIN (emp e CROSS JOIN LATERAL (SELECT emp.id) s)",
       "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) CYCLE n SET c USING p SELECT * FROM r",
       "SELECT DISTINCT ON (id) id FROM emp ORDER BY id FETCH FIRST 1 ROW WITH TIES"}) {
    const auto plan = db.plan(text);
    ASSERT_FALSE(plan.has_value()) << text;
    EXPECT_EQ(plan.error().sqlstate(), "0A000") << text << ": " << plan.error().what();
  }
}

TEST(Plan, nothing_is_stored_before_all_is_computed) {
  TestDatabase db;
  for (
      const char* text :
      {"WITH x AS (DELETE FROM emp RETURNING id) SELECT * FROM x",
       "WITH x AS (UPDATE emp SET name = 'a' RETURNING id) DELETE FROM emp USING x WHERE emp.id = x.id RETURNING x.id",
       "MERGE INTO emp USING dept ON emp.dept = dept.id WHEN MATCHED THEN DELETE"}) {
    const auto plan = db.plan(text);
    ASSERT_TRUE(plan.has_value()) << text << ": " << plan.error().what();
    EXPECT_TRUE((*plan)->needs_writer) << text;
    bool stores = false;
    for (const PlanStep& step : (*plan)->steps) {
      const bool stage = step.sql.find("temp.bop_stage") != std::string::npos &&
                         (step.sql.find("INSERT INTO temp.") != std::string::npos ||
                          step.sql.find("INSERT OR IGNORE INTO temp.") != std::string::npos);
      stores = stores || step.sql.starts_with("DELETE FROM t1") || step.sql.starts_with("UPDATE t1");
      EXPECT_FALSE(stores && stage) << text << ": " << step.sql;
    }
    EXPECT_FALSE((*plan)->steps.empty()) << text;
  }
}

TEST(Plan, row_locks_need_the_writer) {
  TestDatabase db;
  EXPECT_TRUE((*db.plan("SELECT * FROM emp FOR UPDATE"))->needs_writer);
  EXPECT_FALSE((*db.plan("SELECT * FROM emp"))->needs_writer);
}

TEST(Plan, mutated_statements_never_crash) {
  TestDatabase db;
  const std::vector<std::string> corpus = {
      "WITH x AS (UPDATE emp SET name = name || 'a' WHERE id > 1 RETURNING id, name) INSERT INTO dept SELECT id, name FROM x ON CONFLICT DO NOTHING RETURNING *",
      "MERGE INTO emp e USING dept d ON e.dept = d.id WHEN MATCHED AND d.id > 1 THEN UPDATE SET name = d.name WHEN NOT MATCHED THEN INSERT (id, name) VALUES (d.id, DEFAULT)",
      "UPDATE emp SET (name, dept) = (SELECT d.name, d.id FROM dept d WHERE d.id = emp.dept) FROM dept o RETURNING emp.*, o.name",
      "SELECT dept, count(*) FROM emp GROUP BY dept ORDER BY 2 DESC OFFSET 1 FETCH FIRST 2 ROWS WITH TIES",
      "SELECT a.name, count(*) FROM emp a LEFT JOIN dept d ON a.dept = d.id WHERE a.salary > 1 GROUP BY a.name HAVING count(*) > 0 ORDER BY 1 LIMIT 3",
      "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 5) SELECT sum(n) OVER (PARTITION BY n) FROM r",
      "INSERT INTO dept VALUES (1, 'x', 2.5), (2, $1, DEFAULT) ON CONFLICT (id) DO UPDATE SET name = excluded.name RETURNING *",
      "UPDATE emp SET salary = d.id, note = NULL FROM dept d WHERE emp.dept = d.id AND d.name IN (SELECT name FROM dept)",
      "SELECT ARRAY[1, 2][1], CASE WHEN true THEN 'a' ELSE NULL END, (1, 2) < (3, 4), x::numeric(3, 1) FROM (VALUES (1), (NULL)) v(x)",
      "SELECT DISTINCT ON (dept) * FROM emp WHERE name ~ 'a' AND hired IS NOT NULL AND id = ANY ('{1,2}') UNION ALL SELECT * FROM emp"};
  std::vector<std::string> words;
  for (const std::string& statement : corpus) {
    std::size_t begin = 0;
    while (begin < statement.size()) {
      const std::size_t end = std::min(statement.find(' ', begin), statement.size());
      words.push_back(statement.substr(begin, end - begin));
      begin = end + 1;
    }
  }
  std::mt19937 random(7);
  int bound = 0;
  for (int round = 0; round < 6000; ++round) {
    std::string text = corpus[random() % corpus.size()];
    for (unsigned edits = 1 + random() % 4; edits > 0; --edits) {
      const std::size_t at = random() % text.size();
      const std::size_t space = text.find(' ', at);
      switch (random() % 4) {
        case 0: text[at] = static_cast<char>(32 + random() % 95); break;
        case 1: text.erase(at, 1 + random() % 8); break;
        case 2:
          text.insert(space == std::string::npos ? text.size() : space, " " + words[random() % words.size()]);
          break;
        default: {
          const std::size_t next = space == std::string::npos ? std::string::npos : text.find(' ', space + 1);
          if (next != std::string::npos) {
            text.replace(space + 1, next - space - 1, words[random() % words.size()]);
          }
        }
      }
      if (text.empty()) {
        text = "x";
      }
    }
    const auto plan = db.plan(text);
    if (plan.has_value()) {
      ++bound;
      sqlite3_stmt* statement = nullptr;
      const int code = sqlite3_prepare_v2(db.connection(), (*plan)->sql.c_str(), -1, &statement, nullptr);
      if ((*plan)->kind != PlanKind::kUtility) {
        EXPECT_EQ(code, SQLITE_OK) << text << "\n" << (*plan)->sql << "\n" << sqlite3_errmsg(db.connection());
      }
      sqlite3_finalize(statement);
    } else {
      EXPECT_NE(plan.error().sqlstate(), "XX000") << text << ": " << plan.error().what();
    }
  }
  EXPECT_GT(bound, 40);
}

}  // namespace
}  // namespace bop::sql::test
