// One in-memory SQLite database with the tables of golden/schema.sql, for tests that bind and run statements.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <sqlite3.h>

#include "sql/bind.hpp"
#include "sql/functions/kernels.hpp"

namespace bop::sql::test {

struct Answer {
  std::vector<std::string> rows;  // cells joined by '|', NULL as NULL
  std::string tag;
};

class TestDatabase {
 public:
  TestDatabase();
  ~TestDatabase();
  TestDatabase(const TestDatabase&) = delete;
  TestDatabase& operator=(const TestDatabase&) = delete;

  // Parses, binds and runs one statement as a session would: all or nothing, foreign keys at its end.
  Result<Answer> run(std::string_view text, const std::vector<OwnedValue>& parameters = {});
  Result<PlanPtr> plan(std::string_view text, std::vector<Oid> types = {});
  BindContext context() const;
  sqlite3* connection() { return db_; }
  const std::shared_ptr<const Catalog>& catalog() const { return catalog_; }

 private:
  Result<Answer> step(const Plan& plan, const std::vector<OwnedValue>& parameters);
  void execute(const std::string& sql);
  void make_tables();

  sqlite3* db_ = nullptr;
  FunctionContext functions_;
  std::shared_ptr<const Catalog> catalog_;
};

}  // namespace bop::sql::test
