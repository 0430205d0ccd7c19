// Where answers go: results to a file, everything else to standard error, with the progress of long
// statements.
#pragma once

#include <chrono>
#include <cstdio>
#include <string>

#include "cli/link.hpp"
#include "cli/result_printer.hpp"

namespace bop::cli {

class LineSource;

class Console final : public Link::Sink {
 public:
  explicit Console(OutputFormat format) : printer(format, stdout) {}

  void columns(const std::vector<wire::pg::ClientColumn>& columns) override;
  void row(const std::vector<std::optional<std::string_view>>& cells) override { printer.row(cells); }
  void complete(std::string_view tag) override;
  void error(const wire::pg::ReportFields& fields) override;
  void notice(const wire::pg::ReportFields& fields) override;
  void copy_out(std::string_view bytes) override;
  Result<std::optional<std::string>> copy_in() override;
  // How long it takes and what has come, on the terminal only.
  void waiting() override;

  // Before each statement.
  void start(const std::string& sql);
  void clear_progress();
  void send_output(std::FILE* to);
  // A text of lines where answers go: through the pager if it is longer than the terminal.
  void show(std::string_view text);

  ResultPrinter printer;
  std::FILE* out = stdout;
  bool failed = false;
  bool copy_failed = false;
  bool shows_progress = false;
  bool pages = false;              // a person looks at the standard output
  LineSource* data = nullptr;      // of COPY FROM STDIN
  std::FILE* copy_from = nullptr;  // of \copy
  std::FILE* copy_to = nullptr;
  std::string tag;  // of the newest statement
  struct {
    std::string sqlstate;
    std::string message;
  } failure;              // the newest
  std::string statement;  // the one that runs, for the position of an error
  std::chrono::steady_clock::time_point begin;

 private:
  void report(const wire::pg::ReportFields& fields) const;
  void show_position(int position) const;
  bool progress_shown_ = false;
  bool copied_ = false;
};

}  // namespace bop::cli
