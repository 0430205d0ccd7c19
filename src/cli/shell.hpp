// The shell of `bop sql`: lines become statements and backslash commands, answers become text.
//
// A statement ends with ';' (or \g) and may go over many lines; a backslash outside of quotes begins a
// command. At a terminal lines are edited and remembered, and Ctrl-C cancels the statement that runs, not the
// shell. One Shell a process: it owns the signal.
#pragma once

#include <csignal>
#include <cstdio>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/command_words.hpp"
#include "cli/conditions.hpp"
#include "cli/database_url.hpp"
#include "cli/file_or_pipe.hpp"
#include "cli/line_editor.hpp"
#include "cli/link.hpp"
#include "cli/result_printer.hpp"
#include "cli/statement_splitter.hpp"
#include "cli/variables.hpp"

namespace bop::cli {

// Where lines come from; data of COPY FROM STDIN too.
class LineSource {
 public:
  virtual ~LineSource() = default;
  // Without its line end; nullopt: there are no more.
  [[nodiscard]] virtual Result<std::optional<LineEditor::Line>> next(const std::string& prompt) = 0;
  virtual void remember(std::string_view line) { (void)line; }
};

// Lines of a file, or of the standard input where that is no terminal.
class FileLines final : public LineSource {
 public:
  explicit FileLines(std::FILE* file) : file_(file) {}
  Result<std::optional<LineEditor::Line>> next(const std::string& prompt) override;

 private:
  std::FILE* file_;
};

// What the shell itself asks the server.
struct Answer {
  std::vector<std::string> names;
  std::vector<std::vector<std::optional<std::string>>> rows;
  std::optional<std::string> error;  // of the statement
};

class Console;

class Shell {
 public:
  static constexpr int kFailedStatement = 1;
  static constexpr int kNoConnection = 2;

  explicit Shell(OutputFormat format);
  ~Shell();
  [[nodiscard]] Status connect(const DatabaseUrl& url);

  // Both answer the exit code. A script stops at the first statement that fails.
  // `directory`: where the script lies, for \ir.
  [[nodiscard]] int run_script(LineSource& lines, LineSource& data, std::string directory = {});
  [[nodiscard]] int run_terminal();
  [[nodiscard]] Variables& variables() noexcept { return variables_; }
  [[nodiscard]] PrintSettings& print_settings() noexcept;

  // For the commands.
  [[nodiscard]] Answer ask(const std::string& sql);
  // Runs `sql` and prints its answer with a title above and, instead of the count, lines below.
  void show(const std::string& sql, std::string title = {}, std::vector<std::string> footers = {});
  void say(std::string_view line);
  void complain(std::string_view line);

 private:
  class TerminalLines;
  enum class Outcome : std::uint8_t { kDone, kFailed, kLost };

  [[nodiscard]] int run_lines(LineSource& lines, LineSource& data, bool is_person);
  [[nodiscard]] Outcome take_line(const std::string& line, LineSource& data);
  // `sink`: in place of the console.
  [[nodiscard]] Outcome run_statement(const std::string& sql, LineSource* data, Link::Sink* sink = nullptr);
  [[nodiscard]] Outcome run_command(LineSource& data);
  [[nodiscard]] Outcome run_command(const Command& command, LineSource& data);
  [[nodiscard]] Outcome report(const Status& done);
  [[nodiscard]] std::string prompt();
  [[nodiscard]] std::string buffer_or_last();
  [[nodiscard]] bool check_output();

  [[nodiscard]] static bool was_interrupted();  // since the newest statement or command began

  // shell_commands.cpp; false: the name is not known.
  [[nodiscard]] bool session_command(const Command& command, LineSource& data, Outcome& outcome);
  [[nodiscard]] bool print_command(const Command& command, Outcome& outcome);
  [[nodiscard]] Outcome watch(const Command& command);
  [[nodiscard]] Outcome watch(const std::string& sql, const Command& command);
  [[nodiscard]] Outcome go(const Command& command, LineSource& data);
  [[nodiscard]] Outcome reconnect(const Command& command);
  [[nodiscard]] Outcome include(const Command& command);
  [[nodiscard]] Outcome edit(LineSource& data);
  [[nodiscard]] Outcome write(const Command& command);
  [[nodiscard]] Outcome redirect(const Command& command);
  [[nodiscard]] Outcome set_print(const Command& command);
  [[nodiscard]] Outcome turn(bool& setting, std::string_view what, const std::string* value, bool tells);
  [[nodiscard]] Outcome expand(const std::string* value, bool tells);
  [[nodiscard]] bool close_output();
  // shell_variables.cpp
  [[nodiscard]] bool variable_command(const Command& command, LineSource& data, Outcome& outcome);
  [[nodiscard]] Outcome set_variable(const std::vector<std::string>& words);
  [[nodiscard]] Outcome ask_for(const std::vector<std::string>& words, LineSource& data);
  [[nodiscard]] Outcome gset(const std::string& prefix);
  [[nodiscard]] Outcome gexec(LineSource& data);
  [[nodiscard]] Outcome decide(const Command& command);
  [[nodiscard]] bool echoes(std::string_view what) const;
  [[nodiscard]] bool stops_at_errors() const;
  [[nodiscard]] StatementSplitter::Expand expander();
  void tell_statement();
  void tell_connection();
  // shell_transaction.cpp
  [[nodiscard]] Result<bool> enter_transaction(const std::string& sql);
  void leave_savepoint();
  // shell_copy.cpp: \copy
  [[nodiscard]] Outcome copy(const std::string& arguments, LineSource& data);
  // shell_completion.cpp
  [[nodiscard]] std::optional<Completion> complete(std::string_view before);

  DatabaseUrl url_;
  std::unique_ptr<Console> console_;
  std::unique_ptr<Link> link_;
  Variables variables_;
  Conditions conditions_;  // of the script that runs
  StatementSplitter splitter_{expander()};
  std::string last_query_;
  bool timing_ = false;
  bool quits_ = false;
  bool is_terminal_ = false;
  int depth_ = 0;                                          // of \i
  std::string directory_;                                  // of the script that \i runs
  std::unique_ptr<FileOrPipe> output_;                     // of \o and \g; none: the standard output
  std::map<std::string, std::vector<std::string>> names_;  // for completion, by what was asked
};

// \d and its family (shell_describe.cpp); false: the name is none of them.
[[nodiscard]] bool describe_command(Shell& shell, std::string_view name,
                                    const std::vector<std::string>& arguments);
// The backslash commands, for \? and completion.
struct CommandHelp {
  std::string_view name;
  std::string_view arguments;
  std::string_view help;
};
[[nodiscard]] const std::vector<CommandHelp>& command_help();

[[nodiscard]] std::string sql_literal(std::string_view text);

}  // namespace bop::cli
