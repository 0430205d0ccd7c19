#include "session/parse_cache.hpp"

namespace bop::session {

Result<ParseCache::Statements> ParseCache::parse(std::string_view text) {
  if (text.size() > kLongestText) return sql::parse(text);
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = young_.find(text); found != young_.end()) {
      hits_.fetch_add(1, std::memory_order_relaxed);
      return found->second;
    }
    if (const auto found = old_.find(text); found != old_.end()) {
      hits_.fetch_add(1, std::memory_order_relaxed);
      Statements statements = std::move(found->second);
      old_.erase(found);
      keep(std::string(text), statements);
      return statements;
    }
  }
  BOP_LET(statements, sql::parse(text));
  const std::lock_guard lock(mutex_);
  keep(std::string(text), statements);
  return statements;
}

void ParseCache::keep(std::string text, const Statements& statements) {
  if (young_.size() >= kEntries) {
    old_ = std::move(young_);
    young_.clear();
  }
  young_.insert_or_assign(std::move(text), statements);
}

}  // namespace bop::session
