#include "cli/console.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "cli/shell.hpp"

namespace bop::cli {

namespace {

std::string field(const wire::pg::ReportFields& fields, char code) {
  const auto found = fields.find(code);
  return found == fields.end() ? std::string() : found->second;
}

// Zeros: not known.
::winsize terminal_size() {
  ::winsize window{};
  return ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 ? window : ::winsize{};
}

// Longer than the terminal's window, counting what goes on in the next line.
bool is_long(std::string_view text, Paging paging) {
  if (paging != Paging::kOn) return paging == Paging::kAlways;
  const ::winsize window = terminal_size();
  if (window.ws_row == 0) return false;
  const std::size_t columns = window.ws_col == 0 ? 80 : window.ws_col;
  std::size_t lines = 0;
  while (!text.empty() && lines < window.ws_row) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    lines += std::max<std::size_t>(1, (display_width(text.substr(0, end)) + columns - 1) / columns);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines >= window.ws_row;
}

}  // namespace

void Console::columns(const std::vector<wire::pg::ClientColumn>& columns) {
  clear_progress();
  printer.columns(columns);
}

void Console::complete(std::string_view told) {
  clear_progress();
  tag = told;
  // Rows of COPY on the standard output are all that is said.
  const std::string_view said = std::exchange(copied_, false) ? std::string_view() : told;
  const bool is_terminal = out == stdout && ::isatty(STDOUT_FILENO) == 1;
  printer.settings().terminal_columns = is_terminal ? terminal_size().ws_col : 0;
  if (!pages || out != stdout || printer.settings().pager == Paging::kOff) return printer.complete(said);
  char* text = nullptr;
  std::size_t size = 0;
  std::FILE* const memory = ::open_memstream(&text, &size);
  if (memory == nullptr) return printer.complete(said);
  printer.print_to(memory);
  printer.complete(said);
  printer.print_to(out);
  std::fclose(memory);
  const std::unique_ptr<char, decltype(&std::free)> owned(text, &std::free);
  show({text, size});
}

void Console::show(std::string_view text) {
  const char* pager = std::getenv("PSQL_PAGER");
  if (pager == nullptr) pager = std::getenv("PAGER");
  const std::string command = pager == nullptr ? "more" : pager;
  const bool has_pager = command.find_first_not_of(" \t") != std::string::npos;
  if (!pages || out != stdout || !has_pager || !is_long(text, printer.settings().pager)) {
    std::fwrite(text.data(), 1, text.size(), out);
    return;
  }
  auto pipe = FileOrPipe::command(command, FileOrPipe::Way::kWrite);
  if (!pipe) {
    std::fwrite(text.data(), 1, text.size(), out);
    return;
  }
  // Ctrl-C is the pager's. It may end before it has read all.
  struct sigaction ignored{};
  struct sigaction before{};
  ignored.sa_handler = SIG_IGN;
  ::sigaction(SIGINT, &ignored, &before);
  std::fwrite(text.data(), 1, text.size(), pipe->stream());
  (void)pipe->close();
  ::sigaction(SIGINT, &before, nullptr);
}

void Console::error(const wire::pg::ReportFields& fields) {
  clear_progress();
  printer.broken();
  std::fflush(out);
  report(fields);
  failed = true;
  failure = {.sqlstate = field(fields, 'C'), .message = field(fields, 'M')};
}

void Console::notice(const wire::pg::ReportFields& fields) {
  clear_progress();
  report(fields);
}

void Console::copy_out(std::string_view bytes) {
  clear_progress();
  std::FILE* to = copy_to != nullptr ? copy_to : out;
  copied_ = to == out;
  if (std::fwrite(bytes.data(), 1, bytes.size(), to) != bytes.size()) copy_failed = true;
}

Result<std::optional<std::string>> Console::copy_in() {
  if (copy_from != nullptr) {
    std::string piece(64 * 1024, '\0');
    piece.resize(std::fread(piece.data(), 1, piece.size(), copy_from));
    if (std::ferror(copy_from) != 0)
      return fail(ErrorCode::kIo, "the file could not be read: {}", std::strerror(errno));
    if (piece.empty()) return std::nullopt;
    return piece;
  }
  if (data == nullptr) return std::nullopt;
  BOP_LET(line, data->next(shows_progress ? ">> " : ""));
  if (!line) return std::nullopt;
  if (line->given_up) return fail(ErrorCode::kCancelled, "canceled by user");
  if (line->text == "\\." || line->text == "\\.\r") return std::nullopt;
  return line->text + "\n";
}

void Console::waiting() {
  constexpr std::chrono::milliseconds kQuiet{1000};
  const auto elapsed = std::chrono::steady_clock::now() - begin;
  if (!shows_progress || elapsed < kQuiet) return;
  const double seconds = std::chrono::duration<double>(elapsed).count();
  put(stderr, "\r\033[K{:.1f} s, {} rows (Ctrl-C cancels)", seconds, printer.rows());
  std::fflush(stderr);
  progress_shown_ = true;
}

void Console::start(const std::string& sql) {
  statement = sql;
  tag.clear();
  failed = copy_failed = false;
  begin = std::chrono::steady_clock::now();
}

void Console::clear_progress() {
  if (std::exchange(progress_shown_, false)) put(stderr, "\r\033[K");
}

void Console::send_output(std::FILE* to) {
  out = to;
  printer.print_to(to);
}

void Console::report(const wire::pg::ReportFields& fields) const {
  const auto text = [&](char code) { return field(fields, code); };
  put(stderr, "{}: {} ({})\n", text('S'), text('M'), text('C'));
  if (const std::string position = text('P'); !position.empty()) show_position(std::atoi(position.c_str()));
  if (const std::string detail = text('D'); !detail.empty()) put(stderr, "DETAIL: {}\n", detail);
  if (const std::string hint = text('H'); !hint.empty()) put(stderr, "HINT: {}\n", hint);
  if (const std::string context = text('W'); !context.empty()) put(stderr, "CONTEXT: {}\n", context);
}

void Console::show_position(int position) const {
  std::size_t at = 0;
  for (int characters = 1; at < statement.size() && characters < position; ++characters) {
    do {
      ++at;
    } while (at < statement.size() && (statement[at] & 0xC0) == 0x80);
  }
  const std::size_t before = at == 0 ? statement.npos : statement.rfind('\n', at - 1);
  const std::size_t begin_of_line = before == statement.npos ? 0 : before + 1;
  std::string line = statement.substr(begin_of_line, statement.find('\n', at) - begin_of_line);
  std::ranges::replace(line, '\t', ' ');
  put(stderr, "  {}\n  {}^\n", line, std::string(display_width(line.substr(0, at - begin_of_line)), ' '));
}

}  // namespace bop::cli
