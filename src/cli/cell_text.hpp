// A value as a terminal shows it: its lines, and how many columns each takes.
//
// As psql does it: a tab goes to the next multiple of eight, other characters that control a terminal are
// written
// (\r, \x1B, \u0085) instead of sent, wide characters count two columns and combining ones none.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace bop::cli {

struct CellText {
  struct Line {
    std::string text;
    std::size_t width = 0;
  };
  std::vector<Line> lines;  // at least one
  std::size_t width = 0;    // of the widest

  explicit CellText(std::string_view value);
};

// Columns of a terminal that the text takes in one line.
[[nodiscard]] std::size_t display_width(std::string_view text);

}  // namespace bop::cli
