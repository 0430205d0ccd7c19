#include "rowstore/statement_cache.hpp"

#include <sqlite3.h>

#include <utility>

namespace bop::rowstore {

CachedStatement::CachedStatement(CachedStatement&& other) noexcept
    : cache_(std::exchange(other.cache_, nullptr)), statement_(std::exchange(other.statement_, nullptr)) {}

CachedStatement& CachedStatement::operator=(CachedStatement&& other) noexcept {
  if (this != &other) {
    release();
    cache_ = std::exchange(other.cache_, nullptr);
    statement_ = std::exchange(other.statement_, nullptr);
  }
  return *this;
}

CachedStatement::~CachedStatement() { release(); }

void CachedStatement::release() noexcept {
  if (statement_ != nullptr) cache_->give_back(std::exchange(statement_, nullptr));
}

CachedStatement StatementCache::take(std::string_view sql, int& code) {
  code = SQLITE_OK;
  if (const auto found = by_text_.find(sql); found != by_text_.end()) {
    const auto entry = found->second;
    sqlite3_stmt* statement = entry->statement;
    by_text_.erase(found);
    by_use_.erase(entry);
    return {this, statement};
  }
  sqlite3_stmt* statement = nullptr;
  code = sqlite3_prepare_v3(sqlite_, sql.data(), static_cast<int>(sql.size()), SQLITE_PREPARE_PERSISTENT,
                            &statement, nullptr);
  if (code != SQLITE_OK) return {};
  if (statement == nullptr) {
    code = SQLITE_MISUSE;  // nothing but comments
    return {};
  }
  return {this, statement};
}

void StatementCache::give_back(sqlite3_stmt* statement) noexcept {
  sqlite3_reset(statement);
  sqlite3_clear_bindings(statement);
  const std::string_view sql = sqlite3_sql(statement);
  if (limit_ == 0 || by_text_.contains(sql)) {
    sqlite3_finalize(statement);
    return;
  }
  by_use_.push_front({std::string(sql), statement});
  by_text_.emplace(by_use_.front().sql, by_use_.begin());
  if (by_use_.size() > limit_) {
    by_text_.erase(by_use_.back().sql);
    sqlite3_finalize(by_use_.back().statement);
    by_use_.pop_back();
  }
}

void StatementCache::clear() noexcept {
  for (const Entry& entry : by_use_) sqlite3_finalize(entry.statement);
  by_text_.clear();
  by_use_.clear();
}

}  // namespace bop::rowstore
