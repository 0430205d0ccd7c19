#include "cli/sql_command.hpp"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "cli/shell.hpp"
#include "server/data_directory.hpp"

namespace bop::cli {

namespace {

// Those of one -c.
class TextLines final : public LineSource {
 public:
  explicit TextLines(std::string_view text) : rest_(text) {}
  Result<std::optional<LineEditor::Line>> next(const std::string&) override {
    if (ended_) return std::nullopt;
    const std::size_t end = rest_.find('\n');
    ended_ = end == std::string_view::npos;
    LineEditor::Line line{.text = std::string(rest_.substr(0, end))};
    rest_.remove_prefix(ended_ ? rest_.size() : end + 1);
    return line;
  }

 private:
  std::string_view rest_;
  bool ended_ = false;
};

Result<DatabaseUrl> url_of(const SqlCommand& command) {
  if (!command.url.empty()) {
    BOP_LET(url, parse_url(command.url));
    if (const char* password = std::getenv("PGPASSWORD"); url.password.empty() && password != nullptr) {
      url.password = password;
    }
    return url;
  }
  const auto address = server::read_address(command.data_dir);
  if (!address) {
    return fail(ErrorCode::kConfigInvalid,
                "no node serves {}: start one with bop serve --data-dir {}, or name a database URL",
                command.data_dir, command.data_dir);
  }
  BOP_LET(password, server::read_admin_password(command.data_dir));
  DatabaseUrl url;
  url.host = address->host == "0.0.0.0" ? "127.0.0.1" : address->host == "::" ? "::1" : address->host;
  url.port = address->pg_port;
  url.user = url.database = "bop";
  url.password = std::move(password);
  return url;
}

// A script stops at the first error unless it says otherwise, a prompt goes on.
Status prepare(Shell& shell, const SqlCommand& command, bool is_prompt) {
  Variables& variables = shell.variables();
  if (!is_prompt) BOP_TRY(variables.set("ON_ERROR_STOP", "on"));
  if (command.quiet) BOP_TRY(variables.set("QUIET", "on"));
  for (const std::string& pair : command.variables) {
    const std::size_t sign = pair.find('=');
    const std::string name = pair.substr(0, sign);
    BOP_TRY(sign == std::string::npos ? variables.unset(name) : variables.set(name, pair.substr(sign + 1)));
  }
  PrintSettings& settings = shell.print_settings();
  settings.tuples_only = command.tuples_only;
  settings.expanded = command.expanded ? Expanded::kOn : Expanded::kOff;
  settings.quiet = variables.is_on("QUIET");
  return {};
}

}  // namespace

int run_sql(const SqlCommand& command) {
  const auto url = url_of(command);
  if (!url) {
    fmt::print(stderr, "bop: {}\n", url.error().what());
    return Shell::kNoConnection;
  }
  Shell shell(command.unaligned ? OutputFormat::kUnaligned : command.format);
  const bool is_prompt = command.statements.empty() && command.files.empty() && ::isatty(STDIN_FILENO) == 1;
  if (const Status set = prepare(shell, command, is_prompt); !set) {
    fmt::print(stderr, "bop: {}\n", set.error().what());
    return Shell::kNoConnection;
  }
  if (const Status opened = shell.connect(*url); !opened) {
    fmt::print(stderr, "bop: {}\n", opened.error().what());
    return Shell::kNoConnection;
  }
  FileLines input(stdin);
  for (const std::string& text : command.statements) {
    TextLines lines(text);
    if (const int code = shell.run_script(lines, input); code != 0) return code;
  }
  for (const std::string& name : command.files) {
    std::optional<FileOrPipe> file;
    if (name != "-") {
      auto opened = FileOrPipe::file(name, FileOrPipe::Way::kRead);
      if (!opened) {
        fmt::print(stderr, "bop: {}\n", opened.error().what());
        return Shell::kNoConnection;
      }
      file.emplace(std::move(*opened));
    }
    const std::string directory = std::filesystem::path(name).parent_path();
    FileLines lines(file ? file->stream() : stdin);
    if (const int code = shell.run_script(lines, lines, directory); code != 0) return code;
  }
  if (!command.statements.empty() || !command.files.empty()) return 0;
  if (is_prompt) return shell.run_terminal();
  return shell.run_script(input, input);
}

}  // namespace bop::cli
