// A file, or a command of the system at the other end of a pipe, that the shell reads from or writes to.
//
// While a pipe is written SIGPIPE is ignored: a command may end before it has read everything, as `head`
// does. What the program starts meanwhile does not inherit that. Used by one thread.
#pragma once

#include <cstdio>
#include <string>
#include <utility>

#include "base/error.hpp"

namespace bop::cli {

class FileOrPipe {
 public:
  enum class Way : std::uint8_t { kRead, kWrite };

  // A leading "~/" is the home directory; a directory is refused.
  [[nodiscard]] static Result<FileOrPipe> file(const std::string& name, Way way);
  [[nodiscard]] static Result<FileOrPipe> command(const std::string& command, Way way);

  ~FileOrPipe() { (void)close(); }
  FileOrPipe(FileOrPipe&& other) noexcept
      : stream_(std::exchange(other.stream_, nullptr)),
        name_(std::move(other.name_)),
        is_pipe_(other.is_pipe_),
        is_written_(other.is_written_) {}
  FileOrPipe& operator=(FileOrPipe&&) = delete;

  [[nodiscard]] std::FILE* stream() const noexcept { return stream_; }
  [[nodiscard]] bool is_pipe() const noexcept { return is_pipe_; }
  // Waits for the command. An error: not everything could be written to the file, or the command failed.
  [[nodiscard]] Status close();

 private:
  FileOrPipe(std::FILE* stream, std::string name, bool is_pipe, bool is_written)
      : stream_(stream), name_(std::move(name)), is_pipe_(is_pipe), is_written_(is_written) {}

  std::FILE* stream_;
  std::string name_;
  bool is_pipe_;
  bool is_written_;
};

[[nodiscard]] std::string with_home(const std::string& name);

}  // namespace bop::cli
