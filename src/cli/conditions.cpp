#include "cli/conditions.hpp"

namespace bop::cli {

bool Conditions::is_active() const {
  return levels_.empty() || levels_.back().branch == Branch::kCounts ||
         levels_.back().branch == Branch::kElseCounts;
}

Status Conditions::take(std::string_view word, StatementSplitter& splitter,
                        const std::function<bool()>& holds) {
  if (word == "if") {
    const Branch branch = !is_active() ? Branch::kOver : holds() ? Branch::kCounts : Branch::kWaits;
    levels_.push_back({.branch = branch, .mark = splitter.mark()});
    return {};
  }
  if (levels_.empty()) return fail(ErrorCode::kInvalidArgument, "\\{}: no matching \\if", word);
  Level& level = levels_.back();
  const bool is_behind_else = level.branch == Branch::kElseCounts || level.branch == Branch::kElseOver;
  if (word != "endif" && is_behind_else)
    return fail(ErrorCode::kInvalidArgument, "\\{}: cannot occur after \\else", word);
  if (is_active()) {
    level.mark = splitter.mark();
  } else {
    splitter.rewind(level.mark);
  }
  if (word == "endif") {
    levels_.pop_back();
  } else if (word == "else") {
    level.branch = level.branch == Branch::kWaits ? Branch::kElseCounts : Branch::kElseOver;
  } else if (level.branch != Branch::kWaits) {
    level.branch = Branch::kOver;
  } else if (holds()) {
    level.branch = Branch::kCounts;
  }
  return {};
}

}  // namespace bop::cli
