// HTTP/1.1 on one port: accepts, reads requests without a body, answers pages (pages.hpp).
//
// Limits: 8 KiB of header (431), no body (413), kMostConnections at once, ten seconds for a request to
// arrive, for an answer to be taken and for an idle connection. What is no HTTP is answered 400. Who comes
// above the limit takes the place of the connection that has waited longest without a request; so clients
// that are slow or silent do not keep others out. Everything runs on the given executor.
//
// Every answer carries headers by which a browser loads nothing from elsewhere, runs no script but ours,
// shows the page in no frame and gives its text to no other site.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <cstdint>
#include <list>
#include <memory>

#include "base/asio_executor.hpp"
#include "wire/http/pages.hpp"

namespace bop::wire::http {

inline constexpr std::size_t kMostConnections = 64;

class HttpListener {
 public:
  // `acceptor` listens already and belongs to `executor`'s context.
  HttpListener(boost::asio::ip::tcp::acceptor acceptor, AsioExecutor& executor, Sources sources);

  void start();
  // While the executor runs, from another thread: afterwards no source is asked any more. Answers that are on
  // their way are sent.
  void stop();
  [[nodiscard]] std::uint16_t port() const noexcept { return port_; }

 private:
  class Client;
  struct Shared {
    Sources sources;
    std::list<Client*> clients;  // in the order in which they began to wait for a request
    bool stopping = false;
  };
  void accept();

  AsioExecutor& executor_;
  boost::asio::ip::tcp::acceptor acceptor_;
  std::uint16_t port_;
  std::shared_ptr<Shared> shared_;
};

}  // namespace bop::wire::http
