#include "cli/sql_command.hpp"

#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>

#include "cli/link.hpp"
#include "cli/statement_splitter.hpp"
#include "server/data_directory.hpp"

namespace bop::cli {

namespace {

constexpr int kFailedStatement = 1;
constexpr int kNoConnection = 2;

// Where statements and COPY data come from: a file, the standard input, a prompt or one -c.
class Script {
 public:
  explicit Script(std::FILE* file, bool is_prompt) : file_(file), is_prompt_(is_prompt) {}
  // `data`: where the data of COPY FROM STDIN come from.
  Script(std::string_view text, Script& data) : data_(&data) { splitter_.feed(text); }

  [[nodiscard]] std::optional<std::string> next(const std::string& prompt) {
    while (true) {
      if (auto statement = splitter_.next()) return statement;
      if (is_prompt_ && splitter_.is_blank()) (void)splitter_.rest();
      if (!more(splitter_.is_blank() ? prompt : std::string(prompt.size() - 2, ' ') + "> ")) break;
    }
    std::string last = splitter_.rest();
    if (last.empty()) return std::nullopt;
    return last;
  }
  [[nodiscard]] std::optional<std::string> next_data_line() {
    if (data_ != nullptr) return data_->next_data_line();
    if (std::exchange(first_line_, false)) splitter_.skip_line_end();
    while (true) {
      if (auto line = splitter_.next_line()) {
        if (*line == "\\." || *line == "\\.\r") return std::nullopt;
        return *line + "\n";
      }
      if (!more("")) {
        std::string last = splitter_.rest();
        if (last.empty() || last == "\\.") return std::nullopt;
        return last + "\n";
      }
    }
  }
  void begin_data() { first_line_ = true; }

 private:
  bool more(const std::string& prompt) {
    if (file_ == nullptr) return false;
    if (is_prompt_) {
      std::fputs(prompt.c_str(), stdout);
      std::fflush(stdout);
    }
    std::array<char, 64 * 1024> buffer;
    std::size_t got = 0;
    if (is_prompt_) {
      if (std::fgets(buffer.data(), static_cast<int>(buffer.size()), file_) != nullptr) {
        got = std::char_traits<char>::length(buffer.data());
      }
    } else {
      got = std::fread(buffer.data(), 1, buffer.size(), file_);
    }
    splitter_.feed(std::string_view(buffer.data(), got));
    return got > 0;
  }
  StatementSplitter splitter_;
  std::FILE* file_ = nullptr;
  Script* data_ = nullptr;
  bool is_prompt_ = false;
  bool first_line_ = false;
};

class Console final : public Link::Sink {
 public:
  explicit Console(OutputFormat format) : printer_(format, stdout) {}

  void columns(const std::vector<wire::pg::ClientColumn>& columns) override { printer_.columns(columns); }
  void row(const std::vector<std::optional<std::string_view>>& cells) override { printer_.row(cells); }
  void complete(std::string_view tag) override { printer_.complete(tag); }
  void error(const wire::pg::ReportFields& fields) override {
    printer_.broken();
    std::fflush(stdout);
    report(fields);
    failed = true;
  }
  void notice(const wire::pg::ReportFields& fields) override { report(fields); }
  void copy_out(std::string_view bytes) override { std::fwrite(bytes.data(), 1, bytes.size(), stdout); }
  std::optional<std::string> copy_in() override {
    return script == nullptr ? std::nullopt : script->next_data_line();
  }

  bool failed = false;
  Script* script = nullptr;
  std::string statement;  // the one that runs, for the position of an error

 private:
  void report(const wire::pg::ReportFields& fields) const {
    const auto text = [&](char code) {
      const auto found = fields.find(code);
      return found == fields.end() ? std::string() : found->second;
    };
    fmt::print(stderr, "{}: {} ({})\n", text('S'), text('M'), text('C'));
    if (const std::string position = text('P'); !position.empty()) show_position(std::atoi(position.c_str()));
    if (const std::string detail = text('D'); !detail.empty()) fmt::print(stderr, "DETAIL: {}\n", detail);
    if (const std::string hint = text('H'); !hint.empty()) fmt::print(stderr, "HINT: {}\n", hint);
    if (const std::string context = text('W'); !context.empty()) fmt::print(stderr, "CONTEXT: {}\n", context);
  }
  // The line of the statement with a mark below the character at `position`, counted from 1.
  void show_position(int position) const {
    std::size_t at = 0;
    for (int characters = 1; at < statement.size() && characters < position; ++characters) {
      do {
        ++at;
      } while (at < statement.size() && (statement[at] & 0xC0) == 0x80);
    }
    const std::size_t before = at == 0 ? statement.npos : statement.rfind('\n', at - 1);
    const std::size_t begin = before == statement.npos ? 0 : before + 1;
    const std::string line = statement.substr(begin, statement.find('\n', at) - begin);
    fmt::print(stderr, "  {}\n  {}^\n", line,
               std::string(display_width(statement.substr(begin, at - begin)), ' '));
  }
  ResultPrinter printer_;
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

int run_script(Link& link, Console& console, Script& script, bool goes_on, const std::string& database) {
  console.script = &script;
  int code = 0;
  const auto prompt = [&] {
    const char state = link.transaction();
    return database + (state == 'T' ? "*> " : state == 'E' ? "!> " : "=> ");
  };
  while (auto statement = script.next(prompt())) {
    console.statement = *statement;
    console.failed = false;
    script.begin_data();
    if (const Status ran = link.run(*statement); !ran) {
      fmt::print(stderr, "bop: {}\n", ran.error().what());
      return kNoConnection;
    }
    if (console.failed && !goes_on) return kFailedStatement;
    if (console.failed) code = kFailedStatement;
  }
  return goes_on ? 0 : code;
}

}  // namespace

int run_sql(const SqlCommand& command) {
  const auto url = url_of(command);
  if (!url) {
    fmt::print(stderr, "bop: {}\n", url.error().what());
    return kNoConnection;
  }
  Console console(command.format);
  Link link(console);
  if (const Status opened = link.open(*url); !opened) {
    fmt::print(stderr, "bop: {}\n", opened.error().what());
    return kNoConnection;
  }
  const std::string database = url->database.empty() ? url->user : url->database;
  const bool is_prompt = ::isatty(STDIN_FILENO) == 1;
  Script input(stdin, is_prompt);
  for (const std::string& text : command.statements) {
    Script script(text, input);
    if (const int code = run_script(link, console, script, false, database); code != 0) return code;
  }
  for (const std::string& name : command.files) {
    std::FILE* file = name == "-" ? stdin : std::fopen(name.c_str(), "rb");
    if (file == nullptr) {
      fmt::print(stderr, "bop: cannot read {}\n", name);
      return kNoConnection;
    }
    Script script(file, false);
    const int code = run_script(link, console, script, false, database);
    if (file != stdin) std::fclose(file);
    if (code != 0) return code;
  }
  if (!command.statements.empty() || !command.files.empty()) return 0;
  if (is_prompt) fmt::print("Statements end with ';'. The end of input (Ctrl-D) leaves.\n");
  return run_script(link, console, input, is_prompt, database);
}

}  // namespace bop::cli
