// Every statement of golden/answers.txt answers as PostgreSQL 15 did: rows, or SQLSTATE, message, detail,
// hint, position.
#include <fstream>
#include <map>
#include <set>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "sql/bind/database_fixture.hpp"

namespace bop::sql::test {
namespace {

struct Case {
  std::string statement;
  std::vector<std::string> expected;
};

std::vector<Case> read_cases() {
  const char* top = std::getenv("BOP_SOURCE_DIR");
  std::ifstream file(fmt::format("{}/tests/sql/golden/answers.txt", top == nullptr ? "." : top));
  std::vector<Case> cases;
  std::string line;
  bool in_answer = false;
  while (std::getline(file, line)) {
    if (!in_answer && !line.empty()) {
      cases.push_back({.statement = line, .expected = {}});
    } else if (line == "----" && cases.back().expected.empty()) {
    } else if (line.empty() && (cases.back().expected.size() != 1 || cases.back().expected[0] != "ok" ||
                                file.peek() != '\n')) {
      in_answer = false;
      continue;
    } else {
      cases.back().expected.push_back(line);
    }
    in_answer = true;
  }
  return cases;
}

// Statements that answer otherwise than PostgreSQL, each with its reason. An unexpected agreement fails too.
const std::map<std::string, std::string> kKnownDifferences = {
    {"SELECT CASE WHEN id > 100 THEN 1 / 0 ELSE id END FROM emp WHERE id = 2",
     "constants are not folded by the planner"},
    {"SELECT $1", "psql's simple protocol knows no parameters; here the type is text"},
    {"SELECT FROM emp WHERE id < 3", "psql does not print rows without columns"},
};

std::vector<std::string> answer_of(TestDatabase& db, const std::string& statement) {
  std::vector<std::string> out;
  Result<Answer> answer = db.run(statement);
  if (answer) {
    out.push_back("ok");
    out.insert(out.end(), answer->rows.begin(), answer->rows.end());
    return out;
  }
  const Error& e = answer.error();
  out.push_back(fmt::format("error {} {}", e.sqlstate(), e.what()));
  if (!e.fields().detail.empty()) {
    out.push_back("detail " + e.fields().detail);
  }
  if (!e.fields().hint.empty()) {
    out.push_back("hint " + e.fields().hint);
  }
  if (e.fields().position != 0) {
    out.push_back(fmt::format("position {}", e.fields().position));
  }
  return out;
}

TEST(Golden, statements_answer_as_postgresql) {
  TestDatabase db;
  const std::vector<Case> cases = read_cases();
  ASSERT_GT(cases.size(), 150u);
  for (const Case& c : cases) {
    const std::vector<std::string> got = answer_of(db, c.statement);
    if (const auto known = kKnownDifferences.find(c.statement); known != kKnownDifferences.end()) {
      EXPECT_NE(got, c.expected) << c.statement << " agrees now; take it off the list";
      continue;
    }
    EXPECT_EQ(got, c.expected) << c.statement;
  }
}

}  // namespace
}  // namespace bop::sql::test
