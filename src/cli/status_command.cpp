#include "cli/status_command.hpp"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <cstdio>

#include "cli/link.hpp"
#include "server/data_directory.hpp"

namespace bop::cli {

namespace {

constexpr std::size_t kMostAnswerBytes = 64 * 1024;
constexpr int kNoAnswer = 2;

int no_answer(const std::string& why) {
  fmt::print(stderr, "bop: {}\n", why);
  return kNoAnswer;
}

int print_link(const std::string& data_dir) {
  const auto address = server::read_address(data_dir);
  if (!address) {
    return no_answer(fmt::format("no node serves {}; name its folder with --data-dir", data_dir));
  }
  const auto key = server::read_http_key(data_dir);
  if (!key) return no_answer(key.error().what());
  fmt::print("{}\n", server::page_link(*address, *key));
  return 0;
}

}  // namespace

int run_status(const StatusCommand& command) {
  if (command.link) return print_link(command.data_dir);
  std::string host = command.host;
  std::uint16_t port = command.port;
  if (port == 0) {
    const auto address = server::read_address(command.data_dir);
    if (!address) {
      return no_answer(
          fmt::format("no node serves {}; name its folder with --data-dir or its HTTP port with --http-port",
                      command.data_dir));
    }
    if (host.empty()) host = address->host;
    port = address->http_port;
  }
  if (host.empty() || host == "0.0.0.0") host = "127.0.0.1";
  const auto fd = connect_socket(host, port);
  if (!fd) return no_answer(fd.error().what());
  const timeval limit{.tv_sec = 10, .tv_usec = 0};
  ::setsockopt(*fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  const std::string request =
      fmt::format("GET /health HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", host);
  std::string answer;
  if (::send(*fd, request.data(), request.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(request.size())) {
    std::array<char, 4096> buffer;
    ssize_t got = 0;
    while (answer.size() < kMostAnswerBytes && (got = ::recv(*fd, buffer.data(), buffer.size(), 0)) > 0) {
      answer.append(buffer.data(), static_cast<std::size_t>(got));
    }
  }
  ::close(*fd);
  const std::size_t body = answer.find("\r\n\r\n");
  if (!answer.starts_with("HTTP/1.1 ") || body == answer.npos) {
    return no_answer(fmt::format("{} port {} does not answer as a node", host, port));
  }
  fmt::print("{}", answer.substr(body + 4));
  return answer.substr(9, 3) == "200" ? 0 : 1;
}

}  // namespace bop::cli
