// `bop sql`: statements from -c, -f, the standard input or a prompt; results to the standard output.
//
// A script runs statement by statement and stops at the first error, a prompt goes on. Data of COPY FROM
// STDIN stands in a script behind its statement, up to a line "\.". Exit codes: 0; 1 a statement failed; 2 no
// connection or a wrong argument.
#pragma once

#include <string>
#include <vector>

#include "cli/result_printer.hpp"

namespace bop::cli {

struct SqlCommand {
  std::string url;       // empty: from data_dir
  std::string data_dir;  // of a node on this machine
  std::vector<std::string> statements;
  std::vector<std::string> files;  // "-" is the standard input
  OutputFormat format = OutputFormat::kAligned;
  std::vector<std::string> variables;  // NAME=VALUE
  bool unaligned = false;
  bool tuples_only = false;
  bool expanded = false;
  bool quiet = false;
};

[[nodiscard]] int run_sql(const SqlCommand& command);

}  // namespace bop::cli
