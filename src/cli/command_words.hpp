// A backslash command, read from behind its backslash by psql's rules: words are separated by white space;
// '...' holds one together and has C's escapes, "..." is kept as it stands, `...` is the output of a command
// of the system, :name, :'name', :"name" and :{?name} are variables. The next backslash begins another
// command, or is a separator if it is two; but a few commands, and whatever goes to a pipe, take the whole
// line.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "cli/statement_splitter.hpp"

namespace bop::cli {

struct Command {
  std::string name;                    // without the backslash
  std::vector<std::string> arguments;  // without their single quotes
  std::string rest;                    // all behind the name, as it was written
  bool is_first_quoted = false;        // the first argument began with a quote
};

// `taken`: how much of the line it was, also where it is wrong. `expand` is nothing where the command is only
// to be passed over: then no command of the system runs, either.
[[nodiscard]] Result<Command> read_command(std::string_view line, const StatementSplitter::Expand& expand,
                                           std::size_t& taken);

}  // namespace bop::cli
