// Backslash commands of the shell, but for \d and its family.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "cli/console.hpp"
#include "cli/shell.hpp"

namespace bop::cli {

namespace {

constexpr int kMostIncludes = 32;

std::optional<OutputFormat> format_named(std::string_view name) {
  if (name == "aligned") return OutputFormat::kAligned;
  if (name == "unaligned") return OutputFormat::kUnaligned;
  if (name == "table") return OutputFormat::kTable;
  if (name == "csv") return OutputFormat::kCsv;
  if (name == "json") return OutputFormat::kJson;
  return std::nullopt;
}

std::string_view name_of(OutputFormat format) {
  switch (format) {
    case OutputFormat::kAligned: return "aligned";
    case OutputFormat::kUnaligned: return "unaligned";
    case OutputFormat::kTable: return "table";
    case OutputFormat::kCsv: return "csv";
    case OutputFormat::kJson: return "json";
  }
  return "";
}

std::string_view name_of(Expanded expanded) {
  return expanded == Expanded::kOff ? "off" : expanded == Expanded::kOn ? "on" : "auto";
}

std::string_view name_of(Paging paging) {
  return paging == Paging::kOff ? "off" : paging == Paging::kOn ? "on" : "always";
}

}  // namespace

const std::vector<CommandHelp>& command_help() {
  static const std::vector<CommandHelp> kCommands{
      {"?", "", "this list"},
      {"q", "", "leave"},
      {"c", "[DATABASE [USER] | URL]", "connect to another database, or again"},
      {"conninfo", "", "where the shell is connected to"},
      {"d", "[NAME]", "relations, or one of them with columns, indexes and constraints"},
      {"dt", "[PATTERN]", "tables"},
      {"di", "[PATTERN]", "indexes"},
      {"dv", "[PATTERN]", "views"},
      {"ds", "[PATTERN]", "sequences"},
      {"dn", "[PATTERN]", "schemas"},
      {"du", "[PATTERN]", "roles"},
      {"dg", "[PATTERN]", "roles"},
      {"dp", "[PATTERN]", "privileges of relations"},
      {"df", "[PATTERN]", "functions"},
      {"dT", "[PATTERN]", "types"},
      {"dD", "[PATTERN]", "domains"},
      {"l", "[PATTERN]", "databases"},
      {"sv", "VIEW", "the definition of a view"},
      {"sf", "FUNCTION", "the definition of a function"},
      {"g", "[FILE | '|'COMMAND]", "run the statement"},
      {"gx", "", "run the statement, the answer expanded"},
      {"watch", "[SECONDS [TIMES]]", "run the statement again and again, until Ctrl-C"},
      {"e", "", "edit the statement with $EDITOR"},
      {"p", "", "print the statement as far as it goes"},
      {"r", "", "forget it"},
      {"i", "FILE", "run the statements of a file"},
      {"o", "[FILE | '|'COMMAND]", "send answers there, or back to the terminal"},
      {"copy", "TABLE|(QUERY) FROM|TO FILE|PROGRAM ...", "COPY with a file on this side"},
      {"ir", "FILE", "the same, beside the file that says so"},
      {"w", "FILE | '|'COMMAND", "write the statement there"},
      {"echo", "[-n] TEXT", "print a text"},
      {"qecho", "[-n] TEXT", "print a text where answers go"},
      {"warn", "[-n] TEXT", "print a text to the standard error"},
      {"set", "[NAME [VALUE]]", "set a variable, or list them; statements say :NAME, :'NAME' or :\"NAME\""},
      {"unset", "NAME", "forget it"},
      {"prompt", "[TEXT] NAME", "ask for its value"},
      {"gset", "[PREFIX]", "run the statement, its row becomes variables"},
      {"gexec", "", "run the statement, then each cell of its answer"},
      {"if", "EXPRESSION", "what follows counts if it is true, up to \\elif, \\else or \\endif"},
      {"elif", "EXPRESSION", "another branch"},
      {"else", "", "the last branch"},
      {"endif", "", "the end of \\if"},
      {"getenv", "NAME VARIABLE", "a variable from the environment"},
      {"setenv", "VARIABLE [VALUE]", "set or remove one of the environment"},
      {"cd", "[DIRECTORY]", "change the directory"},
      {"x", "[on|off|auto]", "expanded answers; auto: those that are wider than the terminal"},
      {"a", "", "aligned or unaligned answers"},
      {"t", "[on|off]", "rows only"},
      {"timing", "[on|off]", "tell how long each statement takes"},
      {"pset", "[NAME [VALUE]]", "format, expanded, null, tuples_only, fieldsep, footer, pager"},
      {"!", "[COMMAND]", "run a command of the system"},
  };
  return kCommands;
}

Shell::Outcome Shell::run_command(const Command& command, LineSource& data) {
  Outcome outcome = Outcome::kDone;
  if (session_command(command, data, outcome) || print_command(command, outcome) ||
      variable_command(command, data, outcome))
    return outcome;
  console_->failed = false;
  if (describe_command(*this, command.name, command.arguments))
    return console_->failed ? Outcome::kFailed : Outcome::kDone;
  complain(fmt::format("there is no command \\{}; \\? lists them", command.name));
  return Outcome::kFailed;
}

bool Shell::session_command(const Command& command, LineSource& data, Outcome& outcome) {
  const std::string& name = command.name;
  if (name == "q" || name == "quit") {
    quits_ = true;
  } else if (name == "c" || name == "connect") {
    outcome = reconnect(command);
  } else if (name == "conninfo") {
    say(fmt::format("Connected to database \"{}\" as user \"{}\" on host \"{}\" at port {}.", url_.database,
                    url_.user, url_.host, url_.port));
  } else if (name == "g" || name == "gx") {
    outcome = go(command, data);
  } else if (name == "watch") {
    outcome = watch(command);
  } else if (name == "e" || name == "edit") {
    outcome = edit(data);
  } else if (name == "p" || name == "print") {
    std::string shown(splitter_.pending());
    if (shown.empty()) shown = last_query_;
    while (shown.ends_with('\n')) shown.pop_back();
    say(shown);
  } else if (name == "r" || name == "reset") {
    splitter_.clear();
  } else if (name == "i" || name == "include" || name == "ir" || name == "include_relative") {
    outcome = include(command);
  } else if (name == "w" || name == "write") {
    outcome = write(command);
  } else if (name == "cd") {
    const std::string to = with_home(command.arguments.empty() ? "~/" : command.arguments[0]);
    if (::chdir(to.c_str()) != 0) {
      complain(fmt::format("cannot change the directory to {}: {}", to, std::strerror(errno)));
      outcome = Outcome::kFailed;
    }
  } else if (name == "copy") {
    outcome = copy(command.rest, data);
  } else if (name == "!") {
    const char* shell = std::getenv("SHELL");
    const std::string system = command.rest.empty() ? (shell != nullptr ? shell : "/bin/sh") : command.rest;
    if (std::system(system.c_str()) != 0) outcome = Outcome::kFailed;
  } else {
    return false;
  }
  return true;
}

bool Shell::print_command(const Command& command, Outcome& outcome) {
  const std::string& name = command.name;
  PrintSettings& settings = console_->printer.settings();
  const std::string* value = command.arguments.empty() ? nullptr : &command.arguments[0];
  if (name == "?") {
    std::string all;
    for (const CommandHelp& help : command_help())
      all += fmt::format("  {:<44} {}\n", fmt::format("\\{} {}", help.name, help.arguments), help.help);
    console_->show(all);
  } else if (name == "x") {
    outcome = expand(value, true);
  } else if (name == "t") {
    outcome = turn(settings.tuples_only, "Tuples only", value, true);
  } else if (name == "timing") {
    outcome = turn(timing_, "Timing", value, true);
  } else if (name == "a") {
    settings.format =
        settings.format == OutputFormat::kAligned ? OutputFormat::kUnaligned : OutputFormat::kAligned;
    if (!settings.quiet) say(fmt::format("Output format is {}.", name_of(settings.format)));
  } else if (name == "o" || name == "out") {
    outcome = redirect(command);
  } else if (name == "pset") {
    outcome = set_print(command);
  } else {
    return false;
  }
  return true;
}

// What `value` says, or the other way round without one.
Shell::Outcome Shell::turn(bool& setting, std::string_view what, const std::string* value, bool tells) {
  const auto on = value == nullptr ? !setting : parse_bool(*value);
  if (!on) {
    complain(fmt::format("unrecognized value \"{}\": {} may be on or off", *value, what));
    return Outcome::kFailed;
  }
  setting = *on;
  if (tells && !console_->printer.settings().quiet)
    say(fmt::format("{} is {}.", what, setting ? "on" : "off"));
  return Outcome::kDone;
}

Shell::Outcome Shell::expand(const std::string* value, bool tells) {
  Expanded& setting = console_->printer.settings().expanded;
  if (value != nullptr && *value == "auto") {
    setting = Expanded::kAuto;
    if (tells && !console_->printer.settings().quiet) say("Expanded display is used automatically.");
    return Outcome::kDone;
  }
  bool on = setting == Expanded::kOn;
  const Outcome outcome = turn(on, "Expanded display", value, tells);
  if (outcome == Outcome::kDone) setting = on ? Expanded::kOn : Expanded::kOff;
  return outcome;
}

Shell::Outcome Shell::set_print(const Command& command) {
  PrintSettings& settings = console_->printer.settings();
  if (command.arguments.empty()) {
    say(fmt::format("expanded     {}", name_of(settings.expanded)));
    say(fmt::format("fieldsep     '{}'", settings.separator));
    say(fmt::format("footer       {}", settings.footer ? "on" : "off"));
    say(fmt::format("format       {}", name_of(settings.format)));
    say(fmt::format("null         '{}'", settings.null_text));
    say(fmt::format("pager        {}", name_of(settings.pager)));
    say(fmt::format("tuples_only  {}", settings.tuples_only ? "on" : "off"));
    return Outcome::kDone;
  }
  const std::string& what = command.arguments[0];
  const bool given = command.arguments.size() > 1;
  const std::string value = given ? command.arguments[1] : "";
  if (what == "format") {
    const auto format = format_named(value);
    if (!format) {
      complain("formats are aligned, unaligned, table, csv and json");
      return Outcome::kFailed;
    }
    settings.format = *format;
  } else if (what == "expanded" || what == "x") {
    return expand(given ? &value : nullptr, false);
  } else if (what == "null") {
    settings.null_text = value;
  } else if (what == "tuples_only" || what == "t") {
    return turn(settings.tuples_only, "Tuples only", given ? &value : nullptr, false);
  } else if (what == "fieldsep") {
    settings.separator = value;
  } else if (what == "footer") {
    return turn(settings.footer, "Default footer", given ? &value : nullptr, false);
  } else if (what == "pager") {
    const auto on = parse_bool(value);
    if (given && value != "always" && !on) {
      complain("the pager is on, off or always");
      return Outcome::kFailed;
    }
    settings.pager = value == "always"                                ? Paging::kAlways
                     : (given ? *on : settings.pager == Paging::kOff) ? Paging::kOn
                                                                      : Paging::kOff;
  } else {
    complain(fmt::format("there is no setting \"{}\"; \\pset lists them", what));
    return Outcome::kFailed;
  }
  return Outcome::kDone;
}

Shell::Outcome Shell::reconnect(const Command& command) {
  DatabaseUrl url = url_;
  if (!command.arguments.empty() && command.arguments[0].find("://") != std::string::npos) {
    auto parsed = parse_url(command.arguments[0]);
    if (!parsed) {
      complain(parsed.error().what());
      return Outcome::kFailed;
    }
    url = std::move(*parsed);
  } else {
    if (!command.arguments.empty() && command.arguments[0] != "-") url.database = command.arguments[0];
    if (command.arguments.size() > 1 && command.arguments[1] != "-") {
      url.user = command.arguments[1];
      const char* password = std::getenv("PGPASSWORD");
      if (url.user != url_.user) url.password = password != nullptr ? password : "";
    }
  }
  if (const Status opened = connect(url); !opened) {
    complain(opened.error().what());
    complain("the connection before is kept");
    return Outcome::kFailed;
  }
  say(fmt::format("You are now connected to database \"{}\" as user \"{}\".", url_.database, url_.user));
  return Outcome::kDone;
}

Shell::Outcome Shell::go(const Command& command, LineSource& data) {
  const std::string sql = buffer_or_last();
  if (sql.empty()) {
    complain("there is no statement to run");
    return Outcome::kFailed;
  }
  const Expanded expanded = console_->printer.settings().expanded;
  if (command.name == "gx") console_->printer.settings().expanded = Expanded::kOn;
  Outcome outcome = Outcome::kDone;
  if (command.rest.empty()) {
    outcome = run_statement(sql, &data);
  } else {
    std::unique_ptr<FileOrPipe> before = std::move(output_);
    outcome = redirect(command);
    if (outcome == Outcome::kDone) outcome = run_statement(sql, &data);
    if (!close_output()) outcome = Outcome::kFailed;
    output_ = std::move(before);
    console_->send_output(output_ ? output_->stream() : stdout);
  }
  console_->printer.settings().expanded = expanded;
  return outcome;
}

Shell::Outcome Shell::watch(const Command& command) {
  const std::string sql = buffer_or_last();
  if (sql.empty()) {
    complain("there is no statement to watch");
    return Outcome::kFailed;
  }
  // Nobody wants to leave a pager each time.
  const Paging pager = std::exchange(console_->printer.settings().pager, Paging::kOff);
  const Outcome outcome = watch(sql, command);
  console_->printer.settings().pager = pager;
  return outcome;
}

Shell::Outcome Shell::watch(const std::string& sql, const Command& command) {
  const double seconds = command.arguments.empty() ? 2 : std::atof(command.arguments[0].c_str());
  long left = command.arguments.size() > 1 ? std::atol(command.arguments[1].c_str()) : -1;
  if (seconds <= 0) {
    complain("\\watch wants seconds greater than 0");
    return Outcome::kFailed;
  }
  while (left != 0) {
    const std::time_t now = std::time(nullptr);
    std::tm local{};
    ::localtime_r(&now, &local);
    char text[64];
    std::strftime(text, sizeof text, "%F %T", &local);
    if (console_->printer.settings().for_people()) say(fmt::format("{} (every {}s)\n", text, seconds));
    const Outcome outcome = run_statement(sql, nullptr);
    if (outcome != Outcome::kDone || was_interrupted()) return outcome;
    if (left > 0 && --left == 0) break;
    // A signal ends the sleep.
    const auto whole = static_cast<time_t>(seconds);
    timespec sleep{.tv_sec = whole,
                   .tv_nsec = static_cast<long>((seconds - static_cast<double>(whole)) * 1e9)};
    if (::nanosleep(&sleep, nullptr) != 0 || was_interrupted()) break;
  }
  return Outcome::kDone;
}

Shell::Outcome Shell::edit(LineSource& data) {
  std::string name = (std::filesystem::temp_directory_path() / "bop-edit-XXXXXX.sql").string();
  const int fd = ::mkstemps(name.data(), 4);
  if (fd < 0) {
    complain("no file can be made for the editor");
    return Outcome::kFailed;
  }
  std::string text(splitter_.pending());
  if (text.empty()) text = last_query_ + "\n";
  bool done = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  ::close(fd);
  const char* editor = std::getenv("EDITOR");
  if (editor == nullptr) editor = std::getenv("VISUAL");
  done = done && std::system(fmt::format("{} '{}'", editor != nullptr ? editor : "vi", name).c_str()) == 0;
  std::stringstream edited;
  if (done) edited << std::ifstream(name).rdbuf();
  ::unlink(name.c_str());
  if (!done) {
    complain("the editor failed");
    return Outcome::kFailed;
  }
  splitter_.clear();
  std::string line;
  Outcome outcome = Outcome::kDone;
  while (std::getline(edited, line)) {
    if (is_terminal_) say(line);
    outcome = take_line(line, data);
    if (outcome == Outcome::kLost) return outcome;
  }
  return outcome;
}

Shell::Outcome Shell::include(const Command& command) {
  if (command.arguments.empty()) {
    complain(fmt::format("\\{} wants the name of a file", command.name));
    return Outcome::kFailed;
  }
  if (depth_ == kMostIncludes) {
    complain("files include each other without end");
    return Outcome::kFailed;
  }
  std::filesystem::path path = command.arguments[0];
  if (command.name.starts_with("ir") || command.name == "include_relative") path = directory_ / path;
  const auto file = FileOrPipe::file(path.string(), FileOrPipe::Way::kRead);
  if (!file) {
    complain(file.error().what());
    return Outcome::kFailed;
  }
  ++depth_;
  StatementSplitter pending = std::exchange(splitter_, StatementSplitter(expander()));
  Conditions conditions = std::exchange(conditions_, Conditions());
  std::string directory = std::exchange(directory_, path.parent_path());
  FileLines lines(file->stream());
  const int code = run_lines(lines, lines, false);
  splitter_ = std::move(pending);
  conditions_ = std::move(conditions);
  directory_ = std::move(directory);
  quits_ = false;  // \q ends the file
  --depth_;
  return code == 0 ? Outcome::kDone : code == kNoConnection ? Outcome::kLost : Outcome::kFailed;
}

Shell::Outcome Shell::write(const Command& command) {
  if (command.arguments.empty())
    return report(fail(ErrorCode::kInvalidArgument, "\\w wants the name of a file"));
  std::string text(splitter_.pending());
  if (text.empty()) text = last_query_;
  while (text.ends_with('\n')) text.pop_back();
  constexpr auto kWrite = FileOrPipe::Way::kWrite;
  auto file = command.rest.front() == '|' ? FileOrPipe::command(command.rest.substr(1), kWrite)
                                          : FileOrPipe::file(command.arguments[0], kWrite);
  if (!file) return report(std::unexpected(file.error()));
  put(file->stream(), "{}\n", text);
  return report(file->close());
}

Shell::Outcome Shell::redirect(const Command& command) {
  if (!close_output()) return Outcome::kFailed;
  if (command.rest.empty()) return Outcome::kDone;
  constexpr auto kWrite = FileOrPipe::Way::kWrite;
  auto opened =
      command.rest.front() == '|'
          ? FileOrPipe::command(command.rest.substr(1), kWrite)
          : FileOrPipe::file(command.arguments.empty() ? command.rest : command.arguments[0], kWrite);
  if (!opened) {
    complain(opened.error().what());
    return Outcome::kFailed;
  }
  output_ = std::make_unique<FileOrPipe>(std::move(*opened));
  console_->send_output(output_->stream());
  return Outcome::kDone;
}

// False: not everything could be written. How a command has ended is its own affair.
bool Shell::close_output() {
  if (output_ == nullptr) return true;
  const std::unique_ptr<FileOrPipe> closed = std::move(output_);
  console_->send_output(stdout);
  const Status done = closed->close();
  if (done || closed->is_pipe()) return true;
  complain(done.error().what());
  return false;
}

}  // namespace bop::cli
