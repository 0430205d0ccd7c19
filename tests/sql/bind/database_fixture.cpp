#include "sql/bind/database_fixture.hpp"

#include <fstream>
#include <stdexcept>

#include <fmt/format.h>

#include "base/assert.hpp"
#include "sql/types/types.hpp"

namespace bop::sql::test {

namespace {

std::string source_path(std::string_view name) {
  const char* top = std::getenv("BOP_SOURCE_DIR");
  return fmt::format("{}/tests/sql/golden/{}", top == nullptr ? "." : top, name);
}

Column column(std::int16_t number, std::string name, Oid type, bool not_null = false,
              std::int32_t typmod = -1) {
  Column c;
  c.number = number;
  c.name = std::move(name);
  c.type = type;
  c.typmod = typmod;
  c.not_null = not_null;
  return c;
}

}  // namespace

TestDatabase::TestDatabase() {
  BOP_ASSERT(sqlite3_open(":memory:", &db_) == SQLITE_OK);
  sqlite3_extended_result_codes(db_, 1);
  BOP_ASSERT(register_functions(db_, &functions_).has_value());
  BOP_ASSERT(register_plan_functions(db_, &functions_).has_value());
  execute("PRAGMA foreign_keys = ON");
  make_tables();
  std::ifstream file(source_path("schema.sql"));
  std::string line;
  while (std::getline(file, line)) {
    if (line.starts_with("INSERT")) {
      if (Result<Answer> answer = run(line); !answer) {
        throw std::runtime_error(line + ": " + answer.error().what());
      }
    }
  }
}

TestDatabase::~TestDatabase() { sqlite3_close_v2(db_); }

void TestDatabase::execute(const std::string& sql) {
  if (sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) {
    throw std::runtime_error(sql + ": " + sqlite3_errmsg(db_));
  }
}

void TestDatabase::make_tables() {
  CatalogEdit edit(std::make_shared<const Catalog>());
  std::vector<Oid> made;
  const auto table = [&](std::string name, std::vector<Column> columns, std::vector<std::int16_t> key) {
    Relation r;
    r.oid = edit.allocate_oid();
    r.schema = kPublicSchema;
    r.name = name;
    r.columns = std::move(columns);
    if (!key.empty()) {
      Index index;
      index.oid = edit.allocate_oid();
      index.schema = kPublicSchema;
      index.name = name + "_pkey";
      index.table = r.oid;
      index.unique = index.primary = true;
      for (const std::int16_t n : key) {
        index.keys.push_back({.column = n, .type = r.find_column(n)->type});
      }
      Constraint pk;
      pk.oid = edit.allocate_oid();
      pk.name = index.name;
      pk.type = 'p';
      pk.columns = key;
      pk.index = index.oid;
      index.constraint = pk.oid;
      r.constraints.push_back(pk);
      edit.put(index);
    }
    made.push_back(r.oid);
    edit.put(std::move(r));
  };
  using namespace bop::types;
  const auto modifier = [](Oid type, std::vector<std::int64_t> args) { return *encode_typmod(type, args); };
  table("dept",
        {column(1, "id", kInt4, true), column(2, "name", kText, true),
         column(3, "budget", kNumeric, false, modifier(kNumeric, {12, 2}))},
        {1});
  table("emp",
        {column(1, "id", kInt4, true), column(2, "name", kText, true), column(3, "dept", kInt4),
         column(4, "salary", kInt4), column(5, "hired", kDate), column(6, "rate", kFloat8),
         column(7, "note", kVarchar, false, modifier(kVarchar, {10})), column(8, "active", kBool, true)},
        {1});
  table("pair", {column(1, "a", kInt4, true), column(2, "b", kInt4, true), column(3, "c", kText)}, {1, 2});
  table("num", {column(1, "k", kInt8), column(2, "v", kNumeric), column(3, "t", kText)}, {});
  Relation emp = *edit.now().relation(made[1]);
  emp.columns[7].default_text = "true";
  Constraint fk;
  fk.oid = edit.allocate_oid();
  fk.name = "emp_dept_fkey";
  fk.type = 'f';
  fk.columns = {3};
  fk.foreign_table = made[0];
  fk.foreign_columns = {1};
  emp.constraints.push_back(fk);
  Constraint check;
  check.oid = edit.allocate_oid();
  check.name = "emp_salary_check";
  check.columns = {4};
  check.check_text = "salary > 0";
  emp.constraints.push_back(check);
  edit.put(std::move(emp));
  BOP_ASSERT(edit.store(db_).has_value());
  catalog_ = edit.finish();
  // What was stored is what is loaded.
  catalog_ = Catalog::load(db_).value();
  for (const Oid oid : made) {
    execute(create_table_sql(*catalog_->relation(oid), *catalog_).value());
    for (const auto& index : catalog_->indexes_of(oid)) {
      if (catalog_->relation(oid)->rowid_column() == nullptr) {
        execute(create_index_sql(*index, *catalog_->relation(oid), context()).value());
      }
    }
  }
}

BindContext TestDatabase::context() const { return {.catalog = catalog_, .database = "g"}; }

Result<PlanPtr> TestDatabase::plan(std::string_view text, std::vector<Oid> types) {
  BOP_LET(statements, parse(text));
  if (statements.size() != 1) {
    return fail(ErrorCode::kInternal, "not one statement");
  }
  return sql::bind(statements[0], context(), types);
}

Result<Answer> TestDatabase::run(std::string_view text, const std::vector<OwnedValue>& parameters) {
  BOP_LET(bound, plan(text));
  execute("SAVEPOINT s");
  Result<Answer> answer = step(*bound, parameters);
  if (answer && bound->check_foreign_keys) {
    int pending = 0;
    int highest = 0;
    sqlite3_db_status(db_, SQLITE_DBSTATUS_DEFERRED_FKS, &pending, &highest, 0);
    if (pending > 0) {
      const std::vector<Oid> tables{bound->target};
      if (Status status =
              check_foreign_keys(*catalog_, db_, tables, [](const Constraint& key) { return key.deferred; });
          !status) {
        answer = std::unexpected(std::move(status).error());
      }
    }
  }
  execute(answer ? "RELEASE s" : "ROLLBACK TO s; RELEASE s");
  return answer;
}

Result<Answer> TestDatabase::step(const Plan& plan, const std::vector<OwnedValue>& parameters) {
  functions_.error.reset();
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v2(db_, plan.sql.c_str(), -1, &statement, nullptr) != SQLITE_OK) {
    return fail(ErrorCode::kInternal, "{}: {}", sqlite3_errmsg(db_), plan.sql);
  }
  const auto bind_one = [&](int at, const Value& v) {
    switch (v.kind) {
      case Value::Kind::kNull: sqlite3_bind_null(statement, at); break;
      case Value::Kind::kInt: sqlite3_bind_int64(statement, at, v.integer); break;
      case Value::Kind::kReal: sqlite3_bind_double(statement, at, v.real); break;
      case Value::Kind::kText:
        sqlite3_bind_text(statement, at, v.bytes.data(), static_cast<int>(v.bytes.size()), SQLITE_TRANSIENT);
        break;
      case Value::Kind::kBlob:
        sqlite3_bind_blob(statement, at, v.bytes.data(), static_cast<int>(v.bytes.size()), SQLITE_TRANSIENT);
        break;
    }
  };
  int at = 1;
  for (std::size_t i = 0; i < plan.parameters.size(); ++i, ++at) {
    bind_one(at, i < parameters.size() ? parameters[i].view() : Value::null());
  }
  for (const OwnedValue& c : plan.constants) {
    bind_one(at++, c.view());
  }
  Answer answer;
  int code = 0;
  const CodecContext codec;
  while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
    std::string row;
    for (std::size_t i = 0; i < plan.columns.size(); ++i) {
      const int c = static_cast<int>(i);
      row += i == 0 ? "" : "|";
      Value v;
      switch (sqlite3_column_type(statement, c)) {
        case SQLITE_INTEGER: v = Value::of_int(sqlite3_column_int64(statement, c)); break;
        case SQLITE_FLOAT: v = Value::of_real(sqlite3_column_double(statement, c)); break;
        case SQLITE_TEXT:
          v = Value::of_text(reinterpret_cast<const char*>(sqlite3_column_text(statement, c)));
          break;
        case SQLITE_BLOB:
          v = Value::of_blob({static_cast<const char*>(sqlite3_column_blob(statement, c)),
                              static_cast<std::size_t>(sqlite3_column_bytes(statement, c))});
          break;
        default: row += "NULL"; continue;
      }
      encode_text(plan.columns[i].type, plan.columns[i].typmod, v, codec, row);
    }
    answer.rows.push_back(std::move(row));
  }
  const std::string message = sqlite3_errmsg(db_);
  const int extended = sqlite3_extended_errcode(db_);
  sqlite3_finalize(statement);
  if (code != SQLITE_DONE) {
    return std::unexpected(translate_error(plan, db_, extended, message, &functions_, parameters));
  }
  answer.tag = plan.tag;
  return answer;
}

}  // namespace bop::sql::test
