// HTTP/1.1 on one port: accepts, reads requests without a body, answers pages (pages.hpp).
//
// Limits: 8 KiB of header, no body, kMostConnections at once (more are closed), ten seconds for a request to
// arrive and for an idle connection. Everything runs on the given executor; `stop` from any thread.
#pragma once

#include <atomic>
#include <boost/asio/ip/tcp.hpp>
#include <cstdint>
#include <memory>

#include "base/asio_executor.hpp"
#include "wire/http/pages.hpp"

namespace bop::wire::http {

inline constexpr int kMostConnections = 64;

class HttpListener {
 public:
  // `acceptor` listens already and belongs to `executor`'s context.
  HttpListener(boost::asio::ip::tcp::acceptor acceptor, AsioExecutor& executor, Sources sources);

  void start();
  void stop();
  [[nodiscard]] std::uint16_t port() const noexcept { return port_; }

 private:
  struct Shared {
    Sources sources;
    std::atomic<int> connections = 0;
    std::atomic<bool> stopping = false;
  };
  class Client;
  void accept();

  AsioExecutor& executor_;
  boost::asio::ip::tcp::acceptor acceptor_;
  std::uint16_t port_;
  std::shared_ptr<Shared> shared_;
};

}  // namespace bop::wire::http
