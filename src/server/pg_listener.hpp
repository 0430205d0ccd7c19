// Accepts PostgreSQL clients and spreads them over the reactors; keeps the list of open connections.
//
// `open` binds before anything else of the node starts, so that a taken port is known at once; `start`
// accepts. Threads: accepting happens on the first reactor; `stop`, `abort` and `count` from any thread.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_set>
#include <vector>

#include "base/asio_executor.hpp"
#include "server/pg_connection.hpp"

namespace bop::server {

// Binds and listens. Errors, each one sentence: the port is taken, may not be used, the address is none of
// ours. `setting` is the setting that names the port.
[[nodiscard]] Result<boost::asio::ip::tcp::acceptor> listen_on(boost::asio::io_context& io,
                                                               const std::string& address, std::int64_t port,
                                                               std::string_view setting);

class PgListener {
 public:
  struct Capacity {
    std::size_t sockets = SIZE_MAX;      // open at once, those that have not logged in included
    std::size_t descriptors = SIZE_MAX;  // numbers above are for files
  };
  // Clients above the capacity are told so (53300). `certificate`: null when the services offer no TLS.
  PgListener(boost::asio::ip::tcp::acceptor acceptor, std::vector<AsioExecutor*> reactors,
             wire::pg::Services& services, TlsCertificate* certificate, PgLimits limits, Capacity capacity);

  void start();
  // No new clients; open statements end, idle clients go at once.
  void stop();
  // What is left ends now.
  void abort();
  // True when no connection is left before the time is over.
  [[nodiscard]] bool wait_until_empty(std::chrono::milliseconds most);
  [[nodiscard]] std::size_t count() const;
  [[nodiscard]] std::uint16_t port() const noexcept { return port_; }

 private:
  void accept();
  void turn_away(boost::asio::ip::tcp::socket socket) const;
  [[nodiscard]] std::vector<std::shared_ptr<PgConnection>> open_connections() const;

  std::vector<AsioExecutor*> reactors_;
  boost::asio::ip::tcp::acceptor acceptor_;
  boost::asio::steady_timer pause_;  // after accept() failed for want of descriptors
  wire::pg::Services& services_;
  TlsCertificate* certificate_;
  const PgLimits limits_;
  const Capacity capacity_;
  std::uint16_t port_ = 0;
  std::size_t next_reactor_ = 0;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  std::unordered_set<std::shared_ptr<PgConnection>> connections_;
};

}  // namespace bop::server
