// EXPLAIN: SQLite's query plan in the layout of PostgreSQL.
#include <map>

#include <fmt/format.h>
#include <sqlite3.h>

#include "sql/plan.hpp"

namespace bop::sql {

namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Replaces t<oid>, i<oid> and r<n> of SQLite's words by the catalog's names.
std::string readable(std::string_view text, const Catalog& catalog) {
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    const bool starts_word =
        i == 0 || !(std::isalnum(static_cast<unsigned char>(text[i - 1])) != 0 || text[i - 1] == '_');
    if (starts_word && (text[i] == 't' || text[i] == 'i') && i + 1 < text.size() && is_digit(text[i + 1])) {
      std::size_t end = i + 1;
      Oid oid = 0;
      while (end < text.size() && is_digit(text[end])) {
        oid = oid * 10 + static_cast<Oid>(text[end++] - '0');
      }
      const auto table = text[i] == 't' ? catalog.relation(oid) : nullptr;
      const auto index = text[i] == 'i' ? catalog.index(oid) : nullptr;
      out += table != nullptr   ? table->name
             : index != nullptr ? index->name
                                : std::string(text.substr(i, end - i));
      i = end;
    } else {
      out += text[i++];
    }
  }
  return out;
}

// The table behind an alias r<n> of the plan's SQL: "t16384 AS r3".
std::string table_of_alias(const std::string& sql, std::string_view alias, const Catalog& catalog) {
  const std::string pattern = fmt::format(" AS {}", alias);
  for (std::size_t at = sql.find(pattern); at != std::string::npos; at = sql.find(pattern, at + 1)) {
    const std::size_t end = at + pattern.size();
    if (end < sql.size() && is_digit(sql[end])) {
      continue;
    }
    std::size_t begin = at;
    while (begin > 0 &&
           (std::isalnum(static_cast<unsigned char>(sql[begin - 1])) != 0 || sql[begin - 1] == '_')) {
      --begin;
    }
    return readable(std::string_view(sql).substr(begin, at - begin), catalog);
  }
  return std::string(alias);
}

std::string node_text(std::string_view detail, const Plan& plan) {
  const auto starts = [&](std::string_view word) { return detail.starts_with(word); };
  const auto second_word = [&](std::size_t skip) {
    const std::size_t end = detail.find(' ', skip);
    return detail.substr(skip, end == std::string_view::npos ? detail.size() - skip : end - skip);
  };
  const auto table = [&](std::string_view alias) {
    const bool is_alias = alias.size() > 1 && alias[0] == 'r' && is_digit(alias[1]);
    return is_alias ? table_of_alias(plan.sql, alias, *plan.catalog) : readable(alias, *plan.catalog);
  };
  if (starts("SCAN ")) {
    const std::string_view alias = second_word(5);
    if (alias == "CONSTANT") {
      return "Result";
    }
    const std::size_t index = detail.find("USING ");
    const std::string name = table(alias);
    if (index != std::string_view::npos) {
      return fmt::format("Index Scan on {} ({})", name, readable(detail.substr(index + 6), *plan.catalog));
    }
    return "Seq Scan on " + name;
  }
  if (starts("SEARCH ")) {
    const std::string name = table(second_word(7));
    const std::size_t index = detail.find("USING ");
    const std::string how =
        index == std::string_view::npos ? "" : readable(detail.substr(index + 6), *plan.catalog);
    return fmt::format("Index Scan on {} ({})", name, how);
  }
  if (starts("USE TEMP B-TREE FOR ")) {
    const std::string_view what = detail.substr(20);
    return what.find("ORDER BY") != std::string_view::npos   ? "Sort"
           : what.find("GROUP BY") != std::string_view::npos ? "Sort for GroupAggregate"
                                                             : fmt::format("Unique ({})", what);
  }
  return readable(detail, *plan.catalog);
}

}  // namespace

Result<std::vector<std::string>> explain(const Plan& plan, sqlite3* connection) {
  std::vector<std::string> lines;
  int depth = 0;
  const auto add = [&](std::string text, int level) {
    lines.push_back(
        level == 0
            ? std::move(text)
            : fmt::format("{}->  {}", std::string(static_cast<std::size_t>(level) * 6 - 4, ' '), text));
  };
  if (plan.kind != PlanKind::kSelect) {
    const auto target = plan.catalog->relation(plan.target);
    const std::string_view verb = plan.kind == PlanKind::kInsert   ? "Insert"
                                  : plan.kind == PlanKind::kUpdate ? "Update"
                                                                   : "Delete";
    add(fmt::format("{} on {}", verb, target == nullptr ? "?" : target->name), depth++);
  }
  const std::string sql = "EXPLAIN QUERY PLAN " + plan.sql;
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v2(connection, sql.c_str(), -1, &statement, nullptr) != SQLITE_OK) {
    Error e = error(ErrorCode::kInternal, "the storage engine refused the statement: {}",
                    sqlite3_errmsg(connection));
    sqlite3_finalize(statement);
    return std::unexpected(std::move(e));
  }
  std::map<int, int> levels{{0, depth - 1}};
  while (sqlite3_step(statement) == SQLITE_ROW) {
    const int id = sqlite3_column_int(statement, 0);
    const int parent = sqlite3_column_int(statement, 1);
    const auto* detail = reinterpret_cast<const char*>(sqlite3_column_text(statement, 3));
    const int level = levels[parent] + 1;
    levels[id] = level;
    add(node_text(detail == nullptr ? "" : detail, plan), level);
  }
  sqlite3_finalize(statement);
  if (lines.size() == static_cast<std::size_t>(depth)) {
    add("Result", depth);
  }
  return lines;
}

}  // namespace bop::sql
