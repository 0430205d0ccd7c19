// Commands of the shell that set variables or are told by them: \set, \unset, \prompt, \getenv, \setenv,
// \gset,
// \gexec, \if and its kin, \echo and its kin.
#include <cstdlib>

#include "cli/console.hpp"
#include "cli/shell.hpp"

namespace bop::cli {

namespace {

// Keeps the rows of an answer; everything else is the console's.
class RowKeeper final : public Link::Sink {
 public:
  explicit RowKeeper(Console& console) : console_(console) {}
  void columns(const std::vector<wire::pg::ClientColumn>& columns) override {
    has_rows = true;
    names.clear();
    rows.clear();
    for (const auto& column : columns) names.push_back(column.name);
  }
  void row(const std::vector<std::optional<std::string_view>>& cells) override {
    auto& row = rows.emplace_back();
    for (const auto& cell : cells) row.push_back(cell ? std::optional(std::string(*cell)) : std::nullopt);
  }
  void complete(std::string_view tag) override {
    if (has_rows) {
      console_.tag = tag;
    } else {
      console_.complete(tag);
    }
  }
  void error(const wire::pg::ReportFields& fields) override { console_.error(fields); }
  void notice(const wire::pg::ReportFields& fields) override { console_.notice(fields); }
  void copy_out(std::string_view bytes) override { console_.copy_out(bytes); }
  Result<std::optional<std::string>> copy_in() override { return console_.copy_in(); }
  void waiting() override { console_.waiting(); }

  bool has_rows = false;
  std::vector<std::string> names;
  std::vector<std::vector<std::optional<std::string>>> rows;

 private:
  Console& console_;
};

}  // namespace

StatementSplitter::Expand Shell::expander() {
  return [this](std::string_view name, char form) -> std::optional<std::string> {
    return conditions_.is_active() ? variables_.expand(name, form) : std::nullopt;
  };
}

Shell::Outcome Shell::report(const Status& done) {
  if (done) return Outcome::kDone;
  complain(done.error().what());
  return Outcome::kFailed;
}

bool Shell::variable_command(const Command& command, LineSource& data, Outcome& outcome) {
  const std::string& name = command.name;
  const auto& words = command.arguments;
  const auto missing = [&](std::size_t count) {
    if (words.size() >= count) return false;
    complain(fmt::format("\\{}: missing required argument", name));
    outcome = Outcome::kFailed;
    return true;
  };
  if (name == "set") {
    outcome = set_variable(words);
  } else if (name == "unset") {
    if (!missing(1)) outcome = report(variables_.unset(words[0]));
  } else if (name == "getenv") {
    if (missing(2)) return true;
    if (const char* value = std::getenv(words[1].c_str()); value != nullptr)
      outcome = report(variables_.set(words[0], value));
  } else if (name == "setenv") {
    if (missing(1)) return true;
    if (words[0].empty() || words[0].find('=') != std::string::npos) {
      outcome = report(fail(ErrorCode::kInvalidArgument, "\\setenv: a name of the environment has no \"=\""));
    } else if (words.size() == 1) {
      ::unsetenv(words[0].c_str());
    } else {
      ::setenv(words[0].c_str(), words[1].c_str(), 1);
    }
  } else if (name == "prompt") {
    if (!missing(1)) outcome = ask_for(words, data);
  } else if (name == "gset") {
    outcome = gset(words.empty() ? "" : words[0]);
  } else if (name == "gexec") {
    outcome = gexec(data);
  } else if (name == "echo" || name == "qecho" || name == "warn") {
    const bool ends_line = words.empty() || words[0] != "-n" || command.is_first_quoted;
    std::string line;
    for (std::size_t i = ends_line ? 0 : 1; i < words.size(); ++i)
      line += (i > (ends_line ? 0U : 1U) ? " " : "") + words[i];
    std::FILE* out = name == "warn" ? stderr : name == "echo" ? stdout : console_->out;
    put(out, "{}{}", line, ends_line ? "\n" : "");
    std::fflush(out);
  } else {
    return false;
  }
  return true;
}

Shell::Outcome Shell::set_variable(const std::vector<std::string>& words) {
  if (words.empty()) {
    std::string all;
    for (const auto& [name, value] : variables_.all()) all += fmt::format("{} = '{}'\n", name, value);
    console_->show(all);
    return Outcome::kDone;
  }
  std::string value;
  for (std::size_t i = 1; i < words.size(); ++i) value += words[i];
  const Outcome outcome = report(variables_.set(words[0], std::move(value)));
  console_->printer.settings().quiet = variables_.is_on("QUIET");
  return outcome;
}

Shell::Outcome Shell::ask_for(const std::vector<std::string>& words, LineSource& data) {
  const std::string& name = words.back();
  const std::string prompt = words.size() > 1 ? words[0] : "";
  FileLines input(stdin);
  if (!is_terminal_) {
    put(stdout, "{}", prompt);
    std::fflush(stdout);
  }
  const auto line = is_terminal_ ? data.next(prompt) : input.next(prompt);
  if (!line) return report(std::unexpected(line.error()));
  if (!*line || (*line)->given_up) return Outcome::kFailed;
  return report(variables_.set(name, (*line)->text));
}

Shell::Outcome Shell::gset(const std::string& prefix) {
  const std::string sql = buffer_or_last();
  if (sql.empty()) return report(fail(ErrorCode::kInvalidArgument, "there is no statement to run"));
  RowKeeper kept(*console_);
  const Outcome outcome = run_statement(sql, nullptr, &kept);
  if (outcome != Outcome::kDone || !kept.has_rows) return outcome;
  if (kept.rows.size() != 1) {
    return report(fail(ErrorCode::kInvalidArgument, "{} returned for \\gset",
                       kept.rows.empty() ? "no rows" : "more than one row"));
  }
  for (std::size_t i = 0; i < kept.names.size(); ++i) {
    const std::string name = prefix + kept.names[i];
    if (Variables::is_special(name)) {
      complain(fmt::format("attempt to \\gset into specially treated variable \"{}\" ignored", name));
      continue;
    }
    const auto& value = kept.rows[0][i];
    const Status set = value ? variables_.set(name, *value) : variables_.unset(name);
    if (!set) return report(set);
  }
  return Outcome::kDone;
}

Shell::Outcome Shell::gexec(LineSource& data) {
  const std::string sql = buffer_or_last();
  if (sql.empty()) return report(fail(ErrorCode::kInvalidArgument, "there is no statement to run"));
  RowKeeper kept(*console_);
  Outcome outcome = run_statement(sql, nullptr, &kept);
  if (outcome != Outcome::kDone) return outcome;
  for (const auto& row : kept.rows) {
    for (const auto& cell : row) {
      if (!cell || cell->empty()) continue;
      if (echoes("all")) put(stdout, "{}\n", *cell);
      const Outcome ran = run_statement(*cell, &data);
      if (ran == Outcome::kFailed && !stops_at_errors() && !was_interrupted()) continue;
      outcome = ran;
      if (ran != Outcome::kDone) break;
    }
    if (outcome != Outcome::kDone) break;
  }
  last_query_ = sql;
  return outcome;
}

bool Shell::echoes(std::string_view what) const { return *variables_.find("ECHO") == what; }

bool Shell::stops_at_errors() const { return variables_.is_on("ON_ERROR_STOP"); }

Shell::Outcome Shell::decide(const Command& command) {
  return report(conditions_.take(command.name, splitter_, [&] {
    std::string words;
    for (const std::string& word : command.arguments) words += (words.empty() ? "" : " ") + word;
    const auto holds = parse_bool(words);
    if (!holds) {
      complain(fmt::format("unrecognized value \"{}\" for \"\\{} expression\": Boolean expected", words,
                           command.name));
    }
    return holds.value_or(false);
  }));
}

// What the newest statement has told.
void Shell::tell_statement() {
  const std::size_t space = console_->tag.rfind(' ');
  const std::string count = space == std::string::npos ? "" : console_->tag.substr(space + 1);
  const bool counts = !count.empty() && count.find_first_not_of("0123456789") == std::string::npos;
  variables_.tell("ROW_COUNT", counts && !console_->failed ? count : "0");
  variables_.tell("ERROR", console_->failed ? "true" : "false");
  variables_.tell("SQLSTATE", console_->failed ? console_->failure.sqlstate : "00000");
  if (!console_->failed) return;
  variables_.tell("LAST_ERROR_SQLSTATE", console_->failure.sqlstate);
  variables_.tell("LAST_ERROR_MESSAGE", console_->failure.message);
}

void Shell::tell_connection() {
  variables_.tell("DBNAME", url_.database);
  variables_.tell("USER", url_.user);
  variables_.tell("HOST", url_.host);
  variables_.tell("PORT", std::to_string(url_.port));
  const auto server = [&](const std::string& parameter) {
    const auto& all = link_->parameters();
    const auto found = all.find(parameter);
    return found == all.end() ? std::string() : found->second;
  };
  variables_.tell("ENCODING", server("client_encoding"));
  const std::string version = server("server_version");
  variables_.tell("SERVER_VERSION_NAME", version);
  const int major = std::atoi(version.c_str());
  const std::size_t dot = version.find('.');
  const int minor = dot == std::string::npos ? 0 : std::atoi(version.c_str() + dot + 1);
  variables_.tell("SERVER_VERSION_NUM", std::to_string(major * 10000 + minor));
}

}  // namespace bop::cli
