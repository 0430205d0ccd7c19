#include "cli/line_editor.hpp"

#include <fcntl.h>
#include <histedit.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include <fmt/format.h>

namespace bop::cli {

struct LineEditor::State {
  ::EditLine* line = nullptr;
  ::History* history = nullptr;
  ::HistEvent event{};
  std::string file;
  Complete complete;
  std::string prompt;
  bool given_up = false;
  std::string newest;  // of the history

  static State& of(::EditLine* line) {
    void* found = nullptr;
    el_get(line, EL_CLIENTDATA, &found);
    return *static_cast<State*>(found);
  }
};

namespace {

using OpenFile = std::unique_ptr<std::FILE, decltype([](std::FILE* file) { std::fclose(file); })>;

// Locked until it is closed.
OpenFile open_history(const std::string& name) {
  const int fd = ::open(name.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return nullptr;
  struct ::stat found{};
  if (::fstat(fd, &found) != 0 || !S_ISREG(found.st_mode) || ::flock(fd, LOCK_EX) != 0) {
    ::close(fd);
    return nullptr;
  }
  if ((found.st_mode & 077) != 0) ::fchmod(fd, 0600);
  return OpenFile(::fdopen(fd, "a+"));
}

int count_lines(std::FILE* file) {
  int lines = 0;
  std::rewind(file);
  for (int c = std::getc(file); c != EOF; c = std::getc(file)) lines += c == '\n' ? 1 : 0;
  return lines;
}

std::string common_beginning(const std::vector<std::string>& words) {
  std::string common = words.front();
  for (const std::string& word : words) {
    const auto [end, rest] = std::ranges::mismatch(common, word);
    common.resize(static_cast<std::size_t>(end - common.begin()));
  }
  return common;
}

void list(const std::vector<std::string>& words) {
  constexpr std::size_t kMostShown = 200;
  constexpr std::size_t kWidth = 80;
  std::size_t widest = 0;
  for (const std::string& word : words) widest = std::max(widest, word.size());
  const std::size_t columns = std::max<std::size_t>(1, kWidth / (widest + 2));
  std::string out = "\n";
  for (std::size_t i = 0; i < std::min(words.size(), kMostShown); ++i)
    out += fmt::format("{:<{}}{}", words[i], widest + 2, (i + 1) % columns == 0 ? "\n" : "");
  if (words.size() > kMostShown) out += fmt::format("... {} more", words.size() - kMostShown);
  if (!out.ends_with('\n')) out += '\n';
  std::fputs(out.c_str(), stdout);
  std::fflush(stdout);
}

}  // namespace

LineEditor::LineEditor(std::string history, Complete complete) : state_(std::make_unique<State>()) {
  State& s = *state_;
  s.file = std::move(history);
  s.complete = std::move(complete);
  s.history = history_init();
  ::history(s.history, &s.event, H_SETSIZE, kHistoryLines);
  ::history(s.history, &s.event, H_SETUNIQUE, 1);
  load();
  s.line = el_init("bop", stdin, stdout, stderr);
  el_set(s.line, EL_CLIENTDATA, &s);
  el_set(s.line, EL_EDITOR, "emacs");
  el_set(s.line, EL_HIST, ::history, s.history);
  el_set(s.line, EL_PROMPT, +[](::EditLine* line) { return State::of(line).prompt.data(); });
  // While a line is edited Ctrl-C is a key; while a statement runs it is a signal.
  el_set(s.line, EL_SETTY, "-d", "-isig", nullptr);
  el_set(
      s.line, EL_ADDFN, "bop-give-up", "Give the line up", +[](::EditLine* line, int) -> unsigned char {
        State::of(line).given_up = true;
        return CC_NEWLINE;
      });
  el_set(
      s.line, EL_ADDFN, "bop-complete", "Complete the word", +[](::EditLine* line, int) -> unsigned char {
        State& state = State::of(line);
        const LineInfo* info = el_line(line);
        const std::string_view before(info->buffer, static_cast<std::size_t>(info->cursor - info->buffer));
        const std::optional<Completion> found = state.complete(before);
        if (!found) return el_insertstr(line, "\t") == 0 ? CC_REFRESH : CC_REFRESH_BEEP;
        const std::vector<std::string>& words = found->words;
        if (words.empty()) return CC_REFRESH_BEEP;
        const bool one = words.size() == 1;
        const std::string text = one ? words.front() + " " : common_beginning(words);
        const std::size_t typed = before.size() - found->begin;
        if (!one && text.size() <= typed) {
          list(words);
          return CC_REDISPLAY;
        }
        el_deletestr(line, static_cast<int>(typed));
        return el_insertstr(line, text.c_str()) == 0 ? CC_REFRESH : CC_REFRESH_BEEP;
      });
  el_set(s.line, EL_BIND, "^I", "bop-complete", nullptr);
  el_set(s.line, EL_BIND, "^C", "bop-give-up", nullptr);
  el_set(s.line, EL_BIND, "^R", "em-inc-search-prev", nullptr);
  el_source(s.line, nullptr);
}

// `state.file` becomes empty where no history can be kept.
void LineEditor::load() {
  State& s = *state_;
  if (s.file.empty()) return;
  const OpenFile file = open_history(s.file);
  if (!file) {
    s.file.clear();
    return;
  }
  // libedit opens the file once more; the lock is on this one.
  const bool is_empty = std::fseek(file.get(), 0, SEEK_END) != 0 || std::ftell(file.get()) == 0;
  if (!is_empty && ::history(s.history, &s.event, H_LOAD, s.file.c_str()) < 0) s.file.clear();
  if (::history(s.history, &s.event, H_FIRST) >= 0) s.newest = s.event.str;
  if (is_empty || s.file.empty() || count_lines(file.get()) <= 2 * kHistoryLines) return;
  ::history(s.history, &s.event, H_SAVE, s.file.c_str());
}

LineEditor::~LineEditor() {
  State& s = *state_;
  el_end(s.line);
  history_end(s.history);
}

std::optional<LineEditor::Line> LineEditor::read(const std::string& prompt) {
  State& s = *state_;
  s.prompt = prompt;
  s.given_up = false;
  int count = 0;
  const char* text = el_gets(s.line, &count);
  if (s.given_up) {
    std::fputs("^C\n", stdout);
    el_reset(s.line);
    return Line{.text = {}, .given_up = true};
  }
  if (text == nullptr || count <= 0) return std::nullopt;
  std::string line(text, static_cast<std::size_t>(count));
  if (line.ends_with('\n')) line.pop_back();
  return Line{.text = std::move(line)};
}

void LineEditor::remember(std::string_view line) {
  if (line.find_first_not_of(" \t") == std::string_view::npos) return;
  State& s = *state_;
  if (line == s.newest) return;
  s.newest = line;
  ::history(s.history, &s.event, H_ENTER, s.newest.c_str());
  if (s.file.empty()) return;
  const OpenFile file = open_history(s.file);
  if (!file || std::fseek(file.get(), 0, SEEK_END) != 0) return;
  // Those behind the 0th: the newest.
  ::history(s.history, &s.event, H_NSAVE_FP, std::size_t{0}, file.get());
}

}  // namespace bop::cli
