// \if, \elif, \else and \endif of one script: which of its lines count. What stands in a branch that does not
// count is taken out of the statement that was begun before it.
#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "cli/statement_splitter.hpp"

namespace bop::cli {

class Conditions {
 public:
  [[nodiscard]] static bool is_word(std::string_view name) {
    return name == "if" || name == "elif" || name == "else" || name == "endif";
  }
  // `holds` is asked for the value of \if and \elif where it matters.
  [[nodiscard]] Status take(std::string_view word, StatementSplitter& splitter,
                            const std::function<bool()>& holds);
  [[nodiscard]] bool is_active() const;
  [[nodiscard]] bool is_empty() const noexcept { return levels_.empty(); }
  // Leaves the innermost.
  void leave() { levels_.pop_back(); }
  // Where the branch that does not count began.
  [[nodiscard]] const StatementSplitter::Mark& mark() const { return levels_.back().mark; }
  // \elif asks for its value only in here.
  [[nodiscard]] bool may_hold() const { return !levels_.empty() && levels_.back().branch == Branch::kWaits; }

 private:
  // kWaits: no branch has counted yet. kOver: none of the others counts. The last two are behind \else.
  enum class Branch : std::uint8_t { kCounts, kWaits, kOver, kElseCounts, kElseOver };
  struct Level {
    Branch branch;
    StatementSplitter::Mark mark;
  };
  std::vector<Level> levels_;
};

}  // namespace bop::cli
