// A line of a person at a terminal: editing, history, completion (libedit).
//
// Ctrl-C gives the line up, Ctrl-D on an empty one ends the input. One LineEditor a process: libedit owns the
// terminal.
//
// The history is kept in a file of libedit's that only its owner may read (mode 0600). Each line is appended
// when it is remembered, under flock, so that those of several shells are all there and none is lost with a
// shell. A shell that finds more than twice kHistoryLines in it cuts it to the newest. A file that is no
// history is left alone.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bop::cli {

struct Completion {
  std::size_t begin = 0;           // of the word that is completed, in the line before the cursor
  std::vector<std::string> words;  // that it may become
};

class LineEditor {
 public:
  static constexpr int kHistoryLines = 2000;
  // nullopt: nothing is to be completed, the key stands for itself.
  using Complete = std::function<std::optional<Completion>(std::string_view before_cursor)>;

  // `history`: the file; empty: none is kept.
  LineEditor(std::string history, Complete complete);
  ~LineEditor();
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;

  struct Line {
    std::string text;  // without its line end
    bool given_up = false;
  };
  // nullopt: the input has ended.
  [[nodiscard]] std::optional<Line> read(const std::string& prompt);
  void remember(std::string_view line);

 private:
  void load();
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace bop::cli
