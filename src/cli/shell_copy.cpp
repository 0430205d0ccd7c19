// \copy: COPY whose file, or command of the system, is on this side.
//
//   \copy TABLE [(COLUMNS)] | (QUERY)  FROM | TO  'FILE' | PROGRAM 'COMMAND' | [P]STDIN | [P]STDOUT  OPTIONS
//
// STDIN is where the command itself came from, up to a line "\.", and STDOUT where answers go; PSTDIN and
// PSTDOUT are those of the process.
#include <algorithm>
#include <cctype>
#include <optional>
#include <string_view>

#include "cli/console.hpp"
#include "cli/shell.hpp"

namespace bop::cli {

namespace {

struct CopyRequest {
  std::string what;  // before FROM or TO
  bool from = false;
  std::string target;  // as it was given, without quotes
  bool is_quoted = false;
  bool is_program = false;
  std::string options;
};

bool is_space(char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; }

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](unsigned char c) { return std::tolower(c); });
  return out;
}

// Takes a word from the front of `text`: up to a blank, or all in '...', where '' is a quote.
std::string take_word(std::string_view& text, bool& is_quoted) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  std::string word;
  is_quoted = text.starts_with('\'');
  std::size_t at = 0;
  if (is_quoted) {
    for (at = 1; at < text.size(); ++at) {
      if (text[at] == '\'' && !text.substr(at + 1).starts_with('\'')) break;
      if (text[at] == '\'') ++at;
      word += text[at];
    }
    at = std::min(at + 1, text.size());
  } else {
    while (at < text.size() && !is_space(text[at])) word += text[at++];
  }
  text.remove_prefix(at);
  return word;
}

// Where FROM or TO stands, outside of quotes and parentheses.
std::size_t find_direction(std::string_view text) {
  int depth = 0;
  char quote = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (quote != 0) {
      if (c == quote) quote = 0;
      continue;
    }
    if (c == '\'' || c == '"') quote = c;
    if (c == '(') ++depth;
    if (c == ')') --depth;
    if (depth != 0 || at == 0 || (!is_space(text[at - 1]) && text[at - 1] != ')')) continue;
    const std::string word = lower(text.substr(at, 5));
    for (const std::string_view direction : {"from", "to"}) {
      if (word.starts_with(direction) && at + direction.size() < text.size() &&
          (is_space(text[at + direction.size()]) || text[at + direction.size()] == '\''))
        return at;
    }
  }
  return text.npos;
}

Result<CopyRequest> parse_request(std::string_view text) {
  const std::size_t direction = find_direction(text);
  if (direction == text.npos)
    return fail(ErrorCode::kInvalidArgument, "\\copy wants TABLE or (QUERY), FROM or TO, and a file");
  CopyRequest request;
  request.what = text.substr(0, direction);
  request.from = lower(text.substr(direction, 4)) == "from";
  std::string_view rest = text.substr(direction + (request.from ? 4 : 2));
  if (rest.ends_with(';')) rest.remove_suffix(1);
  request.target = take_word(rest, request.is_quoted);
  if (!request.is_quoted && lower(request.target) == "program") {
    request.is_program = true;
    request.target = take_word(rest, request.is_quoted);
    if (!request.is_quoted)
      return fail(ErrorCode::kInvalidArgument, "\\copy wants the command of PROGRAM in single quotes");
  }
  if (request.target.empty()) return fail(ErrorCode::kInvalidArgument, "\\copy wants a file");
  request.options = rest;
  return request;
}

}  // namespace

Shell::Outcome Shell::copy(const std::string& arguments, LineSource& data) {
  const auto refuse = [&](const Error& error) {
    complain(error.what());
    return Outcome::kFailed;
  };
  const auto request = parse_request(arguments);
  if (!request) return refuse(request.error());
  const std::string standard = request->is_quoted ? "" : lower(request->target);
  const bool of_script = standard == "stdin" || standard == "stdout";
  const bool of_process = standard == "pstdin" || standard == "pstdout";
  FileLines process_input(stdin);
  std::optional<FileOrPipe> file;
  if (!of_script && !of_process) {
    const auto way = request->from ? FileOrPipe::Way::kRead : FileOrPipe::Way::kWrite;
    auto opened = request->is_program ? FileOrPipe::command(request->target, way)
                                      : FileOrPipe::file(request->target, way);
    if (!opened) return refuse(opened.error());
    file.emplace(std::move(*opened));
    (request->from ? console_->copy_from : console_->copy_to) = file->stream();
  } else if (of_process && !request->from) {
    console_->copy_to = stdout;
  }
  Outcome outcome = run_statement(fmt::format("COPY {} {}{}", request->what,
                                              request->from ? "FROM STDIN" : "TO STDOUT", request->options),
                                  of_process ? static_cast<LineSource*>(&process_input) : &data);
  console_->copy_from = console_->copy_to = nullptr;
  if (!file) return outcome;
  if (const Status closed = file->close(); !closed) {
    complain(closed.error().what());
    if (outcome == Outcome::kDone) outcome = Outcome::kFailed;
  }
  return outcome;
}

}  // namespace bop::cli
