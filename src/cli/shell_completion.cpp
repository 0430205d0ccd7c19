// Completion of words: keywords, names of the catalog, backslash commands.
#include <algorithm>
#include <array>
#include <cctype>

#include "cli/shell.hpp"

namespace bop::cli {

namespace {

constexpr std::array<std::string_view, 108> kKeywords{
    "ALL",       "ALTER",   "ANALYZE",   "AND",        "AS",        "ASC",        "BEGIN",  "BETWEEN",
    "BY",        "CASCADE", "CASE",      "CAST",       "CHECK",     "CHECKPOINT", "CLOSE",  "COLUMN",
    "COMMENT",   "COMMIT",  "CONFLICT",  "CONSTRAINT", "COPY",      "CREATE",     "CROSS",  "CURSOR",
    "DATABASE",  "DECLARE", "DEFAULT",   "DELETE",     "DESC",      "DISTINCT",   "DO",     "DOMAIN",
    "DROP",      "ELSE",    "END",       "ENUM",       "EXCEPT",    "EXECUTE",    "EXISTS", "EXPLAIN",
    "FETCH",     "FOREIGN", "FROM",      "FULL",       "GRANT",     "GROUP",      "HAVING", "IDENTITY",
    "ILIKE",     "IN",      "INDEX",     "INNER",      "INSERT",    "INTERSECT",  "INTO",   "IS",
    "JOIN",      "KEY",     "LEFT",      "LIKE",       "LIMIT",     "LISTEN",     "LOCK",   "MERGE",
    "NOT",       "NOTHING", "NOTIFY",    "NULL",       "OFFSET",    "ON",         "OR",     "ORDER",
    "OUTER",     "OVER",    "PARTITION", "PREPARE",    "PRIMARY",   "REFERENCES", "RENAME", "RESET",
    "RETURNING", "REVOKE",  "RIGHT",     "ROLE",       "ROLLBACK",  "SAVEPOINT",  "SCHEMA", "SELECT",
    "SEQUENCE",  "SET",     "SHOW",      "TABLE",      "TEMPORARY", "THEN",       "TO",     "TRANSACTION",
    "TRUNCATE",  "TYPE",    "UNION",     "UNIQUE",     "UPDATE",    "USING",      "VACUUM", "VALUES",
    "VIEW",      "WHEN",    "WHERE",     "WITH",
};

// What may follow is a relation.
constexpr std::array<std::string_view, 9> kBeforeRelation{"FROM",     "JOIN", "INTO", "UPDATE", "TABLE",
                                                          "TRUNCATE", "COPY", "VIEW", "ANALYZE"};

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '.' || c == '"' ||
         (c & 0x80) != 0;
}

std::string upper(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](unsigned char c) { return std::toupper(c); });
  return out;
}
std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](unsigned char c) { return std::tolower(c); });
  return out;
}

constexpr std::string_view kRelationNames =
    "SELECT DISTINCT pg_catalog.quote_ident(c.relname) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON "
    "n.oid = c.relnamespace WHERE c.relkind IN ('r', 'v', 'S', 'i') AND n.nspname <> 'information_schema' AND "
    "pg_catalog.pg_table_is_visible(c.oid) UNION SELECT pg_catalog.quote_ident(nspname) || '.' FROM "
    "pg_catalog.pg_namespace ORDER BY 1";

constexpr std::string_view kColumnNames =
    "SELECT DISTINCT pg_catalog.quote_ident(a.attname) FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON "
    "c.oid = a.attrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE a.attnum > 0 AND NOT "
    "a.attisdropped AND c.relkind IN ('r', 'v') AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND "
    "pg_catalog.pg_table_is_visible(c.oid) ORDER BY 1";

}  // namespace

std::optional<Completion> Shell::complete(std::string_view before) {
  if (link_->is_busy()) return std::nullopt;  // data of COPY are typed, in which tabs separate
  Completion out;
  std::size_t begin = before.size();
  while (begin > 0 && is_word(before[begin - 1])) --begin;
  const std::string_view word = before.substr(begin);
  out.begin = begin;
  if (const std::size_t slash = before.rfind('\\');
      slash != std::string_view::npos && before.find(' ', slash) == std::string_view::npos) {
    out.begin = slash;
    for (const CommandHelp& help : command_help()) {
      std::string name = fmt::format("\\{}", help.name);
      if (name.starts_with(before.substr(slash))) out.words.push_back(std::move(name));
    }
    return out;
  }
  // Asked once between two statements. A failed transaction answers nothing.
  const auto names = [&](std::string_view sql) -> const std::vector<std::string>& {
    auto [found, is_new] = names_.try_emplace(std::string(sql));
    if (is_new && link_->transaction() != 'E') {
      for (const auto& row : ask(std::string(sql)).rows) found->second.push_back(row[0].value_or(""));
    }
    return found->second;
  };
  const auto add = [&](const std::vector<std::string>& from) {
    for (const std::string& name : from) {
      if (name.starts_with(lower(word)) || name.starts_with(word)) out.words.push_back(name);
    }
  };
  std::size_t end = begin;
  while (end > 0 && !is_word(before[end - 1])) --end;
  std::size_t previous = end;
  while (previous > 0 && is_word(before[previous - 1])) --previous;
  const std::string last = upper(before.substr(previous, end - previous));
  const bool describes = before.starts_with('\\');
  if (const std::size_t dot = word.rfind('.'); dot != std::string_view::npos) {
    // A relation of a schema, or a column of a relation.
    const std::string owner = lower(word.substr(0, dot));
    for (const std::string& name : names(fmt::format(
             "SELECT pg_catalog.quote_ident(c.relname) FROM pg_catalog.pg_class c JOIN "
             "pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'v', 'S') AND "
             "n.nspname = {0} UNION SELECT pg_catalog.quote_ident(a.attname) FROM pg_catalog.pg_attribute "
             "a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid WHERE a.attnum > 0 AND NOT "
             "a.attisdropped AND c.relname = {0} ORDER BY 1",
             sql_literal(owner)))) {
      if (name.starts_with(lower(word.substr(dot + 1)))) out.words.push_back(owner + "." + name);
    }
    return out;
  }
  if (describes || std::ranges::find(kBeforeRelation, last) != kBeforeRelation.end()) {
    add(names(kRelationNames));
    return out;
  }
  if (word.empty()) return out;
  const bool is_upper = std::isupper(static_cast<unsigned char>(word.front())) != 0;
  for (const std::string_view keyword : kKeywords) {
    if (keyword.starts_with(upper(word)))
      out.words.push_back(is_upper ? std::string(keyword) : lower(keyword));
  }
  add(names(kColumnNames));
  add(names(kRelationNames));
  std::ranges::sort(out.words);
  const auto doubled = std::ranges::unique(out.words);
  out.words.erase(doubled.begin(), doubled.end());
  return out;
}

}  // namespace bop::cli
