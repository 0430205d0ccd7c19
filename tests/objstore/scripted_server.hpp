// An HTTP server that answers each request with the next of a list of answers, as they are, and then closes
// the connection; for tests. An answer may be cut off, be no HTTP at all, or be silence until the server
// ends.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace bop::objstore {

inline constexpr const char* kSilence = "(silence)";

inline std::string http(int status, const std::string& headers, const std::string& body,
                        std::size_t promised) {
  return "HTTP/1.1 " + std::to_string(status) +
         " Text\r\nConnection: close\r\nContent-Length: " + std::to_string(promised) +
         "\r\nLast-Modified: Sun, 22 Nov 2026 09:00:00 GMT\r\nETag: \"e1\"\r\n" + headers + "\r\n" + body;
}
inline std::string http(int status, const std::string& headers = "", const std::string& body = "") {
  return http(status, headers, body, body.size());
}

class ScriptedServer {
 public:
  ScriptedServer() {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    ::bind(listener_, reinterpret_cast<sockaddr*>(&address), size);
    ::listen(listener_, 64);
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    ::pipe(end_);
    thread_ = std::thread([this] { serve(); });
  }
  ~ScriptedServer() {
    ::close(end_[1]);
    thread_.join();
    for (const int fd : silent_) ::close(fd);
    ::close(listener_);
    ::close(end_[0]);
  }

  void then(std::string answer, int times = 1) {
    const std::lock_guard guard(mutex_);
    for (; times > 0; --times) answers_.push_back(answer);
  }
  // Heads of the requests so far, the newest last.
  std::vector<std::string> requests() {
    const std::lock_guard guard(mutex_);
    return requests_;
  }
  [[nodiscard]] std::string endpoint() const { return "http://127.0.0.1:" + std::to_string(port_); }

 private:
  bool wait_for(int fd) {
    pollfd polled[2] = {{fd, POLLIN, 0}, {end_[0], POLLIN, 0}};
    while (::poll(polled, 2, -1) < 0) {
    }
    return polled[1].revents == 0;
  }
  void serve() {
    while (wait_for(listener_)) {
      const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) continue;
      if (!answer(fd)) ::close(fd);
    }
  }
  // True when the connection stays open in silence.
  bool answer(int fd) {
    std::string request;
    std::size_t head = std::string::npos, length = 0;
    while (head == std::string::npos || request.size() < head + 4 + length) {
      char buffer[65536];
      if (!wait_for(fd)) return false;
      const ssize_t got = ::read(fd, buffer, sizeof(buffer));
      if (got <= 0) return false;
      request.append(buffer, static_cast<std::size_t>(got));
      if (head != std::string::npos) continue;
      head = request.find("\r\n\r\n");
      if (head == std::string::npos) continue;
      const std::size_t field = request.find("content-length: ");
      if (field < head) length = std::stoul(request.substr(field + 16));
    }
    // {stamp} in an answer stands for that of the newest put.
    const std::size_t stamp = request.find("x-amz-meta-bop-stamp: ");
    if (stamp < head) stamp_ = request.substr(stamp + 22, 32);
    std::optional<std::string> text;
    {
      const std::lock_guard guard(mutex_);
      requests_.push_back(request.substr(0, head));
      if (!answers_.empty()) {
        text = answers_.front();
        answers_.pop_front();
      }
    }
    if (text == kSilence) {
      silent_.push_back(fd);
      return true;
    }
    std::string bytes = text.value_or(http(500));
    if (const std::size_t at = bytes.find("{stamp}"); at != std::string::npos) bytes.replace(at, 7, stamp_);
    for (std::size_t at = 0; at < bytes.size();) {
      const ssize_t sent = ::send(fd, bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
      if (sent <= 0) break;
      at += static_cast<std::size_t>(sent);
    }
    return false;
  }

  int listener_ = -1, end_[2] = {-1, -1};
  int port_ = 0;
  std::mutex mutex_;
  std::deque<std::string> answers_;
  std::vector<std::string> requests_;
  std::vector<int> silent_;
  std::string stamp_;  // of the server's thread
  std::thread thread_;
};

}  // namespace bop::objstore
