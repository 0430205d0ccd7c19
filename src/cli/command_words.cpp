#include "cli/command_words.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>

#include "cli/file_or_pipe.hpp"

namespace bop::cli {

namespace {

constexpr std::array<std::string_view, 2> kTakeTheLine{"!", "copy"};
// A word of theirs that begins with '|' is the rest of the line.
constexpr std::array<std::string_view, 6> kTakePipes{"g", "gx", "o", "out", "w", "write"};
// A semicolon at the end of a word is a part of it.
constexpr std::array<std::string_view, 10> kKeepSemicolons{"echo", "qecho", "warn", "set",    "unset",
                                                           "gset", "pset",  "if",   "prompt", "setenv"};

template <std::size_t count>
bool is_one_of(const std::array<std::string_view, count>& names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

bool is_space(char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; }
bool is_variable(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || (c & 0x80) != 0;
}

class Reader {
 public:
  Reader(std::string_view line, const StatementSplitter::Expand& expand) : line_(line), expand_(expand) {}

  Result<Command> read() {
    Command command;
    if (line_.starts_with('!')) {
      at_ = 1;
    } else {
      while (!is_end() && !is_space(line_[at_]) && line_[at_] != '\\') ++at_;
    }
    command.name = line_.substr(0, at_);
    const std::size_t begin = at_;
    if (is_one_of(kTakeTheLine, command.name)) {
      at_ = line_.size();
    } else {
      BOP_TRY(read_arguments(command));
    }
    command.rest = trimmed(line_.substr(begin, at_ - begin));
    if (line_.substr(at_).starts_with("\\\\")) at_ += 2;
    return command;
  }
  [[nodiscard]] std::size_t taken() const noexcept { return at_; }

 private:
  [[nodiscard]] bool is_end() const { return at_ >= line_.size(); }

  static std::string trimmed(std::string_view text) {
    while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
    while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
    return std::string(text);
  }

  Status read_arguments(Command& command) {
    const bool drops_semicolons = !is_one_of(kKeepSemicolons, command.name);
    while (true) {
      while (!is_end() && is_space(line_[at_])) ++at_;
      if (is_end() || line_[at_] == '\\') return {};
      if (line_[at_] == '|' && is_one_of(kTakePipes, command.name)) {
        command.arguments.push_back(trimmed(line_.substr(at_)));
        at_ = line_.size();
        return {};
      }
      if (command.arguments.empty()) command.is_first_quoted = line_[at_] == '\'' || line_[at_] == '"';
      BOP_LET(word, read_word());
      if (drops_semicolons && line_[at_ - 1] == ';' && word.ends_with(';')) {
        while (word.ends_with(';')) word.pop_back();
        if (word.empty()) continue;
      }
      command.arguments.push_back(std::move(word));
    }
  }

  Result<std::string> read_word() {
    std::string word;
    while (!is_end() && !is_space(line_[at_]) && line_[at_] != '\\') {
      const char c = line_[at_];
      if (c == '\'') {
        BOP_TRY(read_quoted(word));
      } else if (c == '"') {
        const std::size_t close = line_.find('"', at_ + 1);
        if (close == line_.npos) return unterminated();
        word += line_.substr(at_, close + 1 - at_);
        at_ = close + 1;
      } else if (c == '`') {
        BOP_TRY(read_output(word));
      } else if (c == ':') {
        read_variable(word, false);
      } else {
        word += c;
        ++at_;
      }
    }
    return word;
  }

  std::unexpected<Error> unterminated() {
    at_ = line_.size();
    return fail(ErrorCode::kInvalidArgument, "unterminated quoted string");
  }

  Status read_quoted(std::string& word) {
    for (++at_; !is_end(); ++at_) {
      const char c = line_[at_];
      if (c == '\'') {
        if (!line_.substr(at_ + 1).starts_with('\'')) {
          ++at_;
          return {};
        }
        ++at_;
        word += c;
      } else if (c == '\\' && at_ + 1 < line_.size()) {
        ++at_;
        read_escape(word);
      } else {
        word += c;
      }
    }
    return unterminated();
  }

  // `at_` is behind the backslash, and then at the last byte of the escape.
  void read_escape(std::string& word) {
    constexpr std::string_view kNames = "ntbrf";
    constexpr std::string_view kMeant = "\n\t\b\r\f";
    const char c = line_[at_];
    const auto number = [&](int base, std::size_t most) {
      int value = 0;
      std::size_t digits = 0;
      for (; digits < most && at_ + digits < line_.size(); ++digits) {
        const auto digit = static_cast<unsigned char>(line_[at_ + digits]);
        const bool fits = base == 16 ? std::isxdigit(digit) != 0 : digit >= '0' && digit <= '7';
        if (!fits) break;
        value = value * base + (std::isdigit(digit) != 0 ? digit - '0' : std::tolower(digit) - 'a' + 10);
      }
      if (digits > 0) word += static_cast<char>(value);
      return digits;
    };
    if (const std::size_t place = kNames.find(c); place != kNames.npos) {
      word += kMeant[place];
    } else if (c == 'x') {
      ++at_;
      const std::size_t digits = number(16, 2);
      if (digits == 0) word += c;
      at_ += digits - 1;  // modulo 2^64
    } else if (c >= '0' && c <= '7') {
      at_ += number(8, 3) - 1;
    } else {
      word += c;
    }
  }

  Status read_output(std::string& word) {
    std::string command;
    for (++at_; !is_end() && line_[at_] != '`';) {
      if (line_[at_] == ':') {
        read_variable(command, true);
      } else {
        command += line_[at_++];
      }
    }
    if (is_end()) return unterminated();
    ++at_;
    if (!expand_) return {};
    BOP_LET(pipe, FileOrPipe::command(command, FileOrPipe::Way::kRead));
    std::array<char, 4096> piece;
    std::string output;
    while (const std::size_t got = std::fread(piece.data(), 1, piece.size(), pipe.stream()))
      output.append(piece.data(), got);
    BOP_TRY(pipe.close());
    if (output.ends_with('\n')) output.pop_back();
    word += output;
    return {};
  }

  static std::string shell_quoted(std::string_view text) {
    std::string out = "'";
    for (const char c : text) {
      if (c == '\'') {
        out += "'\"'\"'";
      } else {
        out += c;
      }
    }
    return out += '\'';
  }

  // :name, :'name', :"name" or :{?name}; else just the colon.
  void read_variable(std::string& word, bool of_system) {
    std::size_t begin = at_ + 1;
    char form = begin < line_.size() ? line_[begin] : '\0';
    char close = form;
    if (line_.substr(begin).starts_with("{?")) {
      form = '?';
      close = '}';
      begin += 2;
    } else if (form == '\'' || (form == '"' && !of_system)) {
      ++begin;
    } else {
      form = close = 0;
    }
    std::size_t end = begin;
    while (end < line_.size() && is_variable(line_[end])) ++end;
    const bool is_closed = close == 0 || (end < line_.size() && line_[end] == close);
    std::optional<std::string> value;
    if (end > begin && is_closed && expand_) {
      value = expand_(line_.substr(begin, end - begin), of_system && form == '\'' ? '\0' : form);
      if (value && of_system && form == '\'') value = shell_quoted(*value);
    }
    if (!value) {
      const bool is_variable_name = end > begin && is_closed && form != '?';
      const std::size_t behind = is_variable_name ? end + (close == 0 ? 0 : 1) : at_ + 1;
      word += line_.substr(at_, behind - at_);
      at_ = behind;
      return;
    }
    word += *value;
    at_ = end + (close == 0 ? 0 : 1);
  }

  std::string_view line_;
  const StatementSplitter::Expand& expand_;
  std::size_t at_ = 0;
};

}  // namespace

Result<Command> read_command(std::string_view line, const StatementSplitter::Expand& expand,
                             std::size_t& taken) {
  Reader reader(line, expand);
  auto command = reader.read();
  taken = command ? reader.taken() : line.size();
  return command;
}

}  // namespace bop::cli
