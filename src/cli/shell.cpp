#include "cli/shell.hpp"

#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>

#include "cli/console.hpp"

namespace bop::cli {

namespace {

volatile std::sig_atomic_t interrupted = 0;

void on_interrupt(int) {
  constexpr int kMostUnheard = 3;
  if (interrupted == kMostUnheard) ::_exit(130);
  interrupted = interrupted + 1;
}

std::string history_file() {
  if (const char* file = std::getenv("BOP_HISTORY"); file != nullptr) return file;
  if (const char* home = std::getenv("HOME"); home != nullptr && *home != '\0')
    return std::string(home) + "/.bop_history";
  return {};
}

class Capture final : public Link::Sink {
 public:
  void columns(const std::vector<wire::pg::ClientColumn>& columns) override {
    answer.names.clear();
    for (const auto& column : columns) answer.names.push_back(column.name);
  }
  void row(const std::vector<std::optional<std::string_view>>& cells) override {
    auto& row = answer.rows.emplace_back();
    for (const auto& cell : cells) row.push_back(cell ? std::optional(std::string(*cell)) : std::nullopt);
  }
  void complete(std::string_view) override {}
  void error(const wire::pg::ReportFields& fields) override { answer.error = fields.at('M'); }
  void notice(const wire::pg::ReportFields&) override {}
  void copy_out(std::string_view) override {}
  Result<std::optional<std::string>> copy_in() override { return std::nullopt; }
  Answer answer;
};

}  // namespace

Result<std::optional<LineEditor::Line>> FileLines::next(const std::string&) {
  std::size_t size = 0;
  char* text = nullptr;
  const ssize_t length = ::getline(&text, &size, file_);
  const std::unique_ptr<char, decltype(&std::free)> owned(text, &std::free);
  if (std::ferror(file_) != 0) {
    const int why = errno;
    std::clearerr(file_);
    return fail(ErrorCode::kIo, "the input could not be read: {}", std::strerror(why));
  }
  if (length <= 0) return std::nullopt;
  std::string line(text, static_cast<std::size_t>(length));
  if (line.ends_with('\n')) line.pop_back();
  return LineEditor::Line{.text = std::move(line)};
}

class Shell::TerminalLines final : public LineSource {
 public:
  explicit TerminalLines(Shell& shell)
      : editor_(history_file(), [&shell](std::string_view before) { return shell.complete(before); }) {}
  Result<std::optional<LineEditor::Line>> next(const std::string& prompt) override {
    interrupted = 0;
    return editor_.read(prompt);
  }
  void remember(std::string_view line) override { editor_.remember(line); }

 private:
  LineEditor editor_;
};

Shell::Shell(OutputFormat format) : console_(std::make_unique<Console>(format)) {
  console_->pages = ::isatty(STDIN_FILENO) == 1 && ::isatty(STDOUT_FILENO) == 1;
  struct sigaction action{};
  action.sa_handler = on_interrupt;
  ::sigaction(SIGINT, &action, nullptr);  // without SA_RESTART: what waits is to look
}

bool Shell::was_interrupted() { return interrupted != 0; }

Shell::~Shell() { (void)close_output(); }

Status Shell::connect(const DatabaseUrl& url) {
  auto link = std::make_unique<Link>(*console_, &interrupted);
  BOP_TRY(link->open(url));
  link_ = std::move(link);
  url_ = url;
  if (url_.database.empty()) url_.database = url_.user;
  names_.clear();
  tell_connection();
  return {};
}

std::string Shell::prompt() {
  const char state = link_->transaction();
  if (!conditions_.is_active()) return url_.database + "@> ";
  if (splitter_.is_blank()) return url_.database + (state == 'T' ? "*=> " : state == 'E' ? "!=> " : "=> ");
  return url_.database + splitter_.open_construct() + "> ";
}

PrintSettings& Shell::print_settings() noexcept { return console_->printer.settings(); }

int Shell::run_script(LineSource& lines, LineSource& data, std::string directory) {
  directory_ = std::move(directory);
  quits_ = false;
  conditions_ = {};
  splitter_.clear();
  return run_lines(lines, data, false);
}

int Shell::run_terminal() {
  is_terminal_ = true;
  console_->shows_progress = ::isatty(STDOUT_FILENO) == 1 && ::isatty(STDERR_FILENO) == 1;
  say("Statements end with ';'. \\? tells of commands, \\q or Ctrl-D leaves.");
  TerminalLines lines(*this);
  return run_lines(lines, lines, true);
}

int Shell::run_lines(LineSource& lines, LineSource& data, bool is_person) {
  int code = 0;
  const auto ends = [&](Outcome outcome) {
    if (outcome == Outcome::kLost) code = kNoConnection;
    if (outcome == Outcome::kFailed && !is_person && stops_at_errors()) code = kFailedStatement;
    if (!is_person && code == 0 && was_interrupted()) code = kFailedStatement;
    return code != 0 || quits_;
  };
  std::string remembered;
  while (!quits_) {
    const auto read = lines.next(prompt());
    if (!read) {
      complain(read.error().what());
      return kFailedStatement;
    }
    const auto& line = *read;
    if (!line) break;
    if (line->given_up) {
      splitter_.clear();
      remembered.clear();
      if (!conditions_.is_empty()) {
        conditions_.leave();
        complain("\\if: escaped");
      }
      continue;
    }
    if (!is_person && echoes("all")) put(stdout, "{}\n", line->text);
    // A statement of several lines is one entry of the history.
    remembered += (remembered.empty() ? "" : "\n") + line->text;
    const Outcome outcome = take_line(line->text, data);
    if (splitter_.is_blank()) lines.remember(std::exchange(remembered, {}));
    if (ends(outcome)) return code;
  }
  const bool is_active = conditions_.is_active();
  if (const std::string last = splitter_.rest(); !last.empty() && !is_person && is_active && !quits_)
    (void)ends(run_statement(last, &data));
  if (!conditions_.is_empty() && !is_person && !quits_) {
    complain("reached EOF without finding closing \\endif(s)");
    (void)ends(Outcome::kFailed);
  }
  conditions_ = {};
  if (is_person && !quits_) say("");
  return code;
}

Shell::Outcome Shell::take_line(const std::string& line, LineSource& data) {
  splitter_.feed(line + "\n");
  Outcome worst = Outcome::kDone;
  while (true) {
    interrupted = 0;
    Outcome outcome = Outcome::kDone;
    if (const auto statement = splitter_.next(); !statement) {
      if (!splitter_.has_command()) return worst;
      outcome = run_command(data);
      if (outcome == Outcome::kFailed) splitter_.drop_line();
    } else if (conditions_.is_active()) {
      if (echoes("queries")) put(stdout, "{};\n", *statement);
      outcome = run_statement(*statement, &data);
    } else {
      splitter_.put_back(*statement, conditions_.mark());
      if (is_terminal_) complain("query ignored; use \\endif or Ctrl-C to exit current \\if block");
    }
    if (outcome != Outcome::kDone) worst = outcome;
    if (was_interrupted()) splitter_.clear();
    if (quits_ || was_interrupted() || outcome == Outcome::kLost) return worst;
    if (outcome == Outcome::kFailed && stops_at_errors()) return worst;
  }
}

Shell::Outcome Shell::run_command(LineSource& data) {
  const std::string line(splitter_.command_line());
  const bool is_active = conditions_.is_active();
  // The words of a command that does not count are not looked at, but for \elif in search of a branch.
  const bool counts = is_active || (line.starts_with("elif") && conditions_.may_hold());
  StatementSplitter::Expand expand;
  if (counts) {
    expand = [this](std::string_view name, char form) { return variables_.expand(name, form); };
  }
  std::size_t taken = 0;
  const auto command = read_command(line, expand, taken);
  splitter_.drop_command(taken);
  if (!command) return counts ? report(std::unexpected(command.error())) : Outcome::kDone;
  if (Conditions::is_word(command->name)) return decide(*command);
  if (is_active) return run_command(*command, data);
  if (is_terminal_) {
    complain(
        fmt::format("\\{} command ignored; use \\endif or Ctrl-C to exit current \\if block", command->name));
  }
  return Outcome::kDone;
}

Shell::Outcome Shell::run_statement(const std::string& sql, LineSource* data, Link::Sink* sink) {
  last_query_ = sql;
  console_->data = data;
  console_->start(sql);
  const auto has_savepoint = enter_transaction(sql);
  if (!has_savepoint) return report(std::unexpected(has_savepoint.error()));
  const Status ran = sink == nullptr ? link_->run(sql) : link_->run(sql, *sink);
  console_->clear_progress();
  const auto elapsed = std::chrono::steady_clock::now() - console_->begin;
  names_.clear();
  if (!ran) {
    complain(ran.error().what());
    if (!is_terminal_) return Outcome::kLost;
    if (const Status again = connect(url_); !again) {
      complain(again.error().what());
      return Outcome::kLost;
    }
    complain("connected again; what was not committed is gone");
    return Outcome::kFailed;
  }
  if (console_->failed && echoes("errors")) put(stderr, "STATEMENT: {}\n", sql);
  tell_statement();
  if (*has_savepoint) leave_savepoint();
  if (timing_)
    say(fmt::format("Time: {:.3f} ms", std::chrono::duration<double, std::milli>(elapsed).count()));
  const bool written = check_output();
  return console_->failed || !written ? Outcome::kFailed : Outcome::kDone;
}

// What has been written so far has arrived. A command at the other end of a pipe may end early, as `head`
// does.
bool Shell::check_output() {
  const bool flushed = std::fflush(console_->out) == 0;
  const int why = errno;
  const bool written = flushed && std::ferror(console_->out) == 0 && !console_->copy_failed;
  if (written) return true;
  std::clearerr(console_->out);
  complain(fmt::format("not everything could be written{}",
                       flushed ? "" : fmt::format(": {}", std::strerror(why))));
  return !console_->copy_failed && output_ != nullptr && output_->is_pipe();
}

Answer Shell::ask(const std::string& sql) {
  Capture capture;
  if (const Status ran = link_->run(sql, capture); !ran) capture.answer.error = ran.error().what();
  return std::move(capture.answer);
}

void Shell::show(const std::string& sql, std::string title, std::vector<std::string> footers) {
  console_->start(sql);
  console_->printer.decorate(std::move(title), std::move(footers));
  if (const Status ran = link_->run(sql); !ran) complain(ran.error().what());
  console_->clear_progress();
  std::fflush(console_->out);
}

void Shell::say(std::string_view line) {
  put(console_->out, "{}\n", line);
  std::fflush(console_->out);
}

void Shell::complain(std::string_view line) {
  std::fflush(console_->out);
  put(stderr, "bop: {}\n", line);
}

std::string Shell::buffer_or_last() {
  std::string buffer = splitter_.take();
  return buffer.empty() ? last_query_ : buffer;
}

std::string sql_literal(std::string_view text) {
  std::string out = text.find('\\') == std::string_view::npos ? "'" : " E'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') out += c;
    out += c;
  }
  return out += '\'';
}

}  // namespace bop::cli
