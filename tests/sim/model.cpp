#include "sim/model.hpp"

#include <fmt/format.h>
#include <sqlite3.h>

#include <algorithm>

namespace bop::sim {

namespace {

constexpr int kSides = 4;

// noise(tag, size): bytes that depend on nothing else.
void noise(sqlite3_context* context, int, sqlite3_value** arguments) {
  const auto tag = static_cast<std::uint64_t>(sqlite3_value_int64(arguments[0]));
  const auto size = static_cast<std::size_t>(std::max<sqlite3_int64>(0, sqlite3_value_int64(arguments[1])));
  std::vector<std::byte> bytes(size);
  SimRandom(tag).fill(bytes);
  sqlite3_result_blob64(context, bytes.data(), bytes.size(), SQLITE_TRANSIENT);
}

// The rows of `sql`, columns apart by ':', rows by ','.
Result<std::string> list(rowstore::Connection& connection, std::string_view sql) {
  BOP_LET(statement, connection.prepare(sql));
  std::string out;
  for (;;) {
    const int code = sqlite3_step(statement.get());
    if (code == SQLITE_DONE) return out;
    if (code != SQLITE_ROW) return std::unexpected(connection.sqlite_error(code));
    if (!out.empty()) out += ',';
    for (int i = 0; i < sqlite3_column_count(statement.get()); ++i) {
      const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement.get(), i));
      out += fmt::format("{}{}", i == 0 ? "" : ":", text == nullptr ? "null" : text);
    }
  }
}

// Rewrites the entries whose number has this remainder.
void rewrite(Change& change, std::uint64_t modulus, std::uint64_t remainder, std::string_view note) {
  const std::uint64_t entries = change.after.entries;
  for (std::uint64_t n = 1; n <= entries; ++n) change.after.tags += n % modulus == remainder ? 1 : 0;
  change.statements.push_back(
      fmt::format("UPDATE ledger SET tag = tag + 1, note = {} WHERE n % {} = {}", note, modulus, remainder));
}

void append_rows(Change& change, int side, std::uint64_t rows, std::uint64_t bytes) {
  Side& table = change.after.sides[side];
  change.statements.push_back(
      fmt::format("WITH RECURSIVE i(x) AS (SELECT {} UNION ALL SELECT x + 1 FROM i WHERE x < {}) "
                  "INSERT INTO side{}(c0, c1) SELECT x, noise(x, {}) FROM i",
                  table.rows + 1, table.rows + rows, side, bytes));
  table.rows += rows;
}

void change_side(SimRandom& random, Change& change) {
  const int side = static_cast<int>(random.below(kSides));
  const std::string name = fmt::format("side{}", side);
  const auto known = change.after.sides.find(side);
  if (known == change.after.sides.end()) {
    change.after.sides[side] = {};
    change.statements.push_back("CREATE TABLE " + name + "(c0 INTEGER PRIMARY KEY, c1)");
    return append_rows(change, side, 1 + random.below(30), random.below(400));
  }
  switch (random.below(4)) {
    case 0:
      change.after.sides.erase(known);
      change.statements.push_back("DROP TABLE " + name);
      return;
    case 1:
      change.statements.push_back(
          fmt::format("ALTER TABLE {} ADD COLUMN c{} DEFAULT 7", name, known->second.columns++));
      return;
    case 2:
      known->second.rows = 0;
      change.statements.push_back("DELETE FROM " + name);
      return;
    default: return append_rows(change, side, 1 + random.below(20), random.below(600));
  }
}

}  // namespace

Status register_functions(rowstore::Connection& connection) {
  const int code = sqlite3_create_function(
      connection.handle(), "noise", 2, SQLITE_UTF8 | SQLITE_DETERMINISTIC, nullptr, noise, nullptr, nullptr);
  if (code != SQLITE_OK) return std::unexpected(connection.sqlite_error(code));
  return {};
}

std::string State::text() const {
  std::string out;
  for (const auto balance : balances) out += (out.empty() ? "" : ",") + std::to_string(balance);
  out += fmt::format(" | {}:{}:{}:0 |", entries, entries, tags);
  for (const auto& [number, side] : sides)
    out += fmt::format(" side{}:{}:{}", number, side.columns, side.rows);
  return out;
}

State first_state() {
  State state;
  state.balances.fill(1000);
  return state;
}

std::vector<std::string> first_statements() {
  std::string rows;
  for (std::uint64_t i = 0; i < kAccounts; ++i) rows += fmt::format("{}({},1000)", i == 0 ? "" : ",", i);
  return {"CREATE TABLE account(id INTEGER PRIMARY KEY, b)",
          "CREATE TABLE ledger(n INTEGER PRIMARY KEY, tag, note)", "CREATE INDEX notes ON ledger(note)",
          "INSERT INTO account VALUES" + rows};
}

Change draw_change(SimRandom& random, const State& before, bool large) {
  Change change{.statements = {}, .after = before};
  const std::uint64_t from = random.below(kAccounts);
  const std::uint64_t to = random.below(kAccounts);
  const auto amount = static_cast<std::int64_t>(random.below(50));
  change.after.balances[from] -= amount;
  change.after.balances[to] += amount;
  const std::uint64_t n = ++change.after.entries;
  const std::uint64_t tag = random.below(1U << 30U);
  change.after.tags += tag;
  const std::uint64_t size = random.chance(1, 6) ? random.below(50'000) : random.below(400);
  change.statements = {
      fmt::format("UPDATE account SET b = b - {} WHERE id = {}", amount, from),
      fmt::format("INSERT INTO ledger VALUES({}, {}, noise({}, {}))", n, tag, tag, size),
      fmt::format("UPDATE account SET b = b + {} WHERE id = {}", amount, to),
  };
  if (random.chance(1, 6)) {
    change.statements.insert(
        change.statements.begin() + 1,
        {"SAVEPOINT s", "UPDATE ledger SET tag = 0, note = noise(n, 900)", "ROLLBACK TO s", "RELEASE s"});
  }
  if (random.chance(1, 10)) rewrite(change, 2, 0, "NULL");
  if (random.chance(1, 10)) rewrite(change, 5, random.below(5), "noise(tag + 1, 700)");
  if (random.chance(1, 10)) change.statements.push_back("DROP INDEX IF EXISTS notes");
  if (random.chance(1, 10)) change.statements.push_back("CREATE INDEX IF NOT EXISTS notes ON ledger(note)");
  if (random.chance(1, 4)) change_side(random, change);
  if (large || random.chance(1, 25)) {  // in parts; what it leaves behind a vacuum can free
    if (change.after.sides.erase(0) != 0) change.statements.emplace_back("DROP TABLE side0");
    if (large || random.chance(1, 2)) {
      change.after.sides[0] = {};
      change.statements.emplace_back("CREATE TABLE side0(c0 INTEGER PRIMARY KEY, c1)");
      append_rows(change, 0, 20 + random.below(60), 3900);
    }
  }
  if (random.chance(1, 8)) change.vacuum_pages = static_cast<std::uint32_t>(1 + random.below(60));
  return change;
}

std::vector<std::string> draw_noise(SimRandom& random) {
  std::vector<std::string> statements{"UPDATE account SET b = -1",
                                      "UPDATE ledger SET tag = -1, note = noise(n, 1500)"};
  if (random.chance(1, 2)) statements.emplace_back("DROP TABLE ledger");
  return statements;
}

Result<std::string> look(rowstore::Connection& connection) {
  BOP_LET(out,
          list(connection,
               "SELECT (SELECT group_concat(b) FROM (SELECT b FROM account ORDER BY id)) || ' | ' || "
               "(SELECT count(*) || ':' || coalesce(max(n), 0) || ':' || coalesce(sum(tag), 0) || ':' || "
               "coalesce(sum(note IS NOT NULL AND note IS NOT noise(tag, length(note))), 0) FROM ledger) "
               "|| ' |'"));
  BOP_LET(sides, list(connection,
                      "SELECT name, (SELECT count(*) FROM pragma_table_info(s.name)) FROM sqlite_schema s "
                      "WHERE type = 'table' AND name LIKE 'side%' ORDER BY name"));
  while (!sides.empty()) {
    const std::string side = sides.substr(0, sides.find(','));
    sides.erase(0, side.size() + 1);
    BOP_LET(rows, list(connection, "SELECT count(*) FROM " + side.substr(0, side.find(':'))));
    out += fmt::format(" {}:{}", side, rows);
  }
  return out;
}

}  // namespace bop::sim
