// Prepared statements of one connection by their text, least recently used out first. A statement that is
// lent is not in the cache; the same text may be lent twice. Used by the connection's thread.
#pragma once

#include <cstddef>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>

#include "rowstore/connection.hpp"

namespace bop::rowstore {

class StatementCache {
 public:
  StatementCache(sqlite3* sqlite, std::size_t limit) : sqlite_(sqlite), limit_(limit) {}
  ~StatementCache() { clear(); }
  StatementCache(const StatementCache&) = delete;
  StatementCache& operator=(const StatementCache&) = delete;

  // Empty when SQLite cannot prepare it; `code` is SQLite's.
  [[nodiscard]] CachedStatement take(std::string_view sql, int& code);
  void give_back(sqlite3_stmt* statement) noexcept;
  void clear() noexcept;

 private:
  struct Entry {
    std::string sql;
    sqlite3_stmt* statement;
  };
  sqlite3* sqlite_;
  const std::size_t limit_;
  std::list<Entry> by_use_;  // newest first
  std::unordered_map<std::string_view, std::list<Entry>::iterator> by_text_;
};

}  // namespace bop::rowstore
