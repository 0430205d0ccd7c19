// Parsed messages by their text, shared by all sessions of a node: applications send the same few texts over
// and over, and the grammar costs more than running a small statement.
//
// Two generations: a hit in the old one moves it to the young one; when the young one is full it becomes the
// old one and what was old is forgotten. So at most twice kEntries messages are kept, none longer than
// kLongestText. Thread-safe: one short mutex; parsing happens outside of it.
#pragma once

#include <atomic>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/error.hpp"
#include "sql/parse.hpp"

namespace bop::session {

class ParseCache {
 public:
  static constexpr std::size_t kEntries = 1024;
  static constexpr std::size_t kLongestText = 4096;

  using Statements = std::vector<sql::ParsedStatementPtr>;
  // As sql::parse. Errors are not kept.
  [[nodiscard]] Result<Statements> parse(std::string_view text);
  [[nodiscard]] std::uint64_t hits() const noexcept { return hits_.load(std::memory_order_relaxed); }

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept {
      return std::hash<std::string_view>{}(text);
    }
  };
  using Generation = std::unordered_map<std::string, Statements, Hash, std::equal_to<>>;
  void keep(std::string text, const Statements& statements);

  std::mutex mutex_;
  Generation young_, old_;
  std::atomic<std::uint64_t> hits_{0};
};

}  // namespace bop::session
