// The least server around the log that a network benchmark can load: RPUSH of Redis' protocol appends the
// value and answers with its id when it is durable. All requests that are there when the loop looks are one
// batch of the log.
//
// usage: log_server DIRECTORY PORT
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <bop/aof.hpp>

namespace {

[[noreturn]] void stop(const std::string& why) {
  std::fprintf(stderr, "log_server: %s\n", why.c_str());
  std::exit(1);
}

struct Connection {
  explicit Connection(int descriptor) : fd(descriptor) {}
  ~Connection() { ::close(fd); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  const int fd;
  std::string received;
};

// Takes a number and its line end behind `mark`.
bool take_number(std::string_view& from, char mark, std::size_t& number) {
  const std::size_t end = from.find("\r\n");
  if (end == std::string_view::npos) return false;
  if (from[0] != mark) stop("not the protocol of Redis");
  std::from_chars(from.data() + 1, from.data() + end, number);
  from.remove_prefix(end + 2);
  return true;
}

// Takes a request; its last word is the value. False when it is not whole.
bool take_request(std::string_view& from, std::string_view& value) {
  std::string_view rest = from;
  std::size_t words = 0;
  if (!take_number(rest, '*', words)) return false;
  for (std::size_t i = 0; i < words; ++i) {
    std::size_t size = 0;
    if (!take_number(rest, '$', size) || rest.size() < size + 2) return false;
    value = rest.substr(0, size);
    rest.remove_prefix(size + 2);
  }
  from = rest;
  return true;
}

struct Round {
  std::vector<std::span<const std::byte>> values;
  std::vector<std::shared_ptr<Connection>> from;
};

void append(bop::aof::Aof& log, Round& round) {
  if (round.values.empty()) return;
  const auto last = log.append_batch(round.values);
  if (!last.has_value()) stop(last.error().what());
  const bop::aof::RecordId first = *last - round.values.size() + 1;
  log.on_durable(*last, [first, from = std::move(round.from)](bop::Status status) {
    if (!status.has_value()) stop(status.error().what());
    for (std::size_t i = 0; i < from.size(); ++i) {
      std::array<char, 32> answer;
      const int size = std::snprintf(answer.data(), answer.size(), ":%lu\r\n", first + i);
      static_cast<void>(::send(from[i]->fd, answer.data(), static_cast<std::size_t>(size), MSG_NOSIGNAL));
    }
  });
  round = {};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) stop("usage: log_server DIRECTORY PORT");
  auto log = bop::aof::Aof::open({.directory = argv[1]});
  if (!log.has_value()) stop(log.error().what());

  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  ::setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(std::atoi(argv[2])));
  if (::bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(listener, 512) != 0) {
    stop("the port is in use");
  }
  const int poll = ::epoll_create1(EPOLL_CLOEXEC);
  const auto watch = [poll](int fd) {
    epoll_event event{.events = EPOLLIN, .data = {.fd = fd}};
    if (::epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event) != 0) stop("epoll");
  };
  watch(listener);
  std::printf("ready\n");
  std::fflush(stdout);

  std::unordered_map<int, std::shared_ptr<Connection>> connections;
  std::array<epoll_event, 256> events;
  std::array<char, 64U << 10U> buffer;
  Round round;
  for (;;) {
    const int ready = ::epoll_wait(poll, events.data(), events.size(), -1);
    std::vector<std::pair<Connection*, std::size_t>> taken;
    for (int i = 0; i < ready; ++i) {
      const int fd = events[static_cast<std::size_t>(i)].data.fd;
      if (fd == listener) {
        const int accepted = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
        if (accepted < 0) continue;
        ::setsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        connections.emplace(accepted, std::make_shared<Connection>(accepted));
        watch(accepted);
        continue;
      }
      const auto connection = connections.at(fd);
      const ssize_t got = ::read(fd, buffer.data(), buffer.size());
      if (got <= 0) {
        connections.erase(fd);
        continue;
      }
      connection->received.append(buffer.data(), static_cast<std::size_t>(got));
      std::string_view rest = connection->received;
      std::string_view value;
      while (take_request(rest, value)) {
        round.values.push_back(std::as_bytes(std::span(value)));
        round.from.push_back(connection);
      }
      taken.emplace_back(connection.get(), connection->received.size() - rest.size());
    }
    std::vector<std::shared_ptr<Connection>> held = round.from;  // their bytes are the values
    append(**log, round);
    for (auto& [connection, bytes] : taken) connection->received.erase(0, bytes);
  }
}
