#include "cli/file_or_pipe.hpp"

#include <sys/stat.h>
#include <sys/wait.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

namespace bop::cli {

namespace {

int written_pipes = 0;

}  // namespace

std::string with_home(const std::string& name) {
  const char* home = std::getenv("HOME");
  return name.starts_with("~/") && home != nullptr ? home + name.substr(1) : name;
}

Result<FileOrPipe> FileOrPipe::file(const std::string& name, Way way) {
  const bool writes = way == Way::kWrite;
  const std::string path = with_home(name);
  struct ::stat found{};
  const bool is_directory = ::stat(path.c_str(), &found) == 0 && S_ISDIR(found.st_mode);
  std::FILE* stream = is_directory ? nullptr : std::fopen(path.c_str(), writes ? "wbe" : "rbe");
  if (stream == nullptr) {
    return fail(ErrorCode::kIo, "cannot {} {}: {}", writes ? "write" : "read", name,
                std::strerror(is_directory ? EISDIR : errno));
  }
  return FileOrPipe(stream, name, false, writes);
}

Result<FileOrPipe> FileOrPipe::command(const std::string& command, Way way) {
  const bool writes = way == Way::kWrite;
  std::fflush(nullptr);
  std::FILE* stream = ::popen(command.c_str(), writes ? "we" : "re");
  if (stream == nullptr) return fail(ErrorCode::kIo, "cannot start {}: {}", command, std::strerror(errno));
  // Programs do not inherit a handler, as they would inherit that a signal is ignored.
  if (writes && ++written_pipes == 1) std::signal(SIGPIPE, +[](int) {});
  return FileOrPipe(stream, command, true, writes);
}

Status FileOrPipe::close() {
  if (stream_ == nullptr) return {};
  std::FILE* const stream = std::exchange(stream_, nullptr);
  if (!is_pipe_) {
    const bool lost = std::ferror(stream) != 0;
    if ((std::fclose(stream) != 0 || lost) && is_written_)
      return fail(ErrorCode::kIo, "not everything could be written to {}", name_);
    return {};
  }
  const int ended = ::pclose(stream);
  if (is_written_ && --written_pipes == 0) std::signal(SIGPIPE, SIG_DFL);
  if (ended == 0) return {};
  if (ended > 0 && WIFSIGNALED(ended))
    return fail(ErrorCode::kIo, "{}: the command was ended by signal {}", name_, WTERMSIG(ended));
  return fail(ErrorCode::kIo, "{}: the command ended with code {}", name_,
              ended > 0 ? WEXITSTATUS(ended) : ended);
}

}  // namespace bop::cli
