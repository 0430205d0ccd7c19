#include "server/pg_listener.hpp"

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>

#include "base/metrics.hpp"
#include "wire/pg/replies.hpp"

namespace bop::server {

namespace asio = boost::asio;
using asio::ip::tcp;

Result<tcp::acceptor> listen_on(asio::io_context& io, const std::string& address, std::int64_t port,
                                std::string_view setting) {
  boost::system::error_code failure;
  const auto ip = asio::ip::make_address(address, failure);
  if (failure) {
    return fail(ErrorCode::kConfigInvalid,
                "listen_address \"{}\" is not an IP address; use 127.0.0.1, or 0.0.0.0 for "
                "all interfaces",
                address);
  }
  tcp::acceptor acceptor(io);
  const tcp::endpoint endpoint(ip, static_cast<std::uint16_t>(port));
  acceptor.open(endpoint.protocol(), failure);
  if (!failure) acceptor.set_option(tcp::acceptor::reuse_address(true), failure);
  if (!failure) acceptor.bind(endpoint, failure);
  if (!failure) acceptor.listen(asio::socket_base::max_listen_connections, failure);
  if (!failure) acceptor.non_blocking(true, failure);
  if (!failure) return acceptor;
  const std::string flag = "--" + std::string(setting);
  if (failure == asio::error::address_in_use) {
    return fail(ErrorCode::kConfigInvalid,
                "port {} on {} is in use by another process; stop it or choose another port with {} "
                "(0 takes a free one)",
                port, address, flag);
  }
  if (failure == asio::error::access_denied) {
    return fail(ErrorCode::kConfigInvalid,
                "port {} on {} may not be used by this user; choose one above 1023 with {}", port, address,
                flag);
  }
  return fail(ErrorCode::kConfigInvalid, "cannot listen on {} port {}: {}; check listen_address and {}",
              address, port, failure.message(), flag);
}

PgListener::PgListener(tcp::acceptor acceptor, std::vector<AsioExecutor*> reactors,
                       wire::pg::Services& services, TlsCertificate* certificate, PgLimits limits,
                       Capacity capacity)
    : reactors_(std::move(reactors)),
      acceptor_(std::move(acceptor)),
      pause_(acceptor_.get_executor()),
      services_(services),
      certificate_(certificate),
      limits_(limits),
      capacity_(capacity),
      port_(acceptor_.local_endpoint().port()) {}

void PgListener::start() {
  reactors_[0]->post([this] { accept(); });
}

void PgListener::accept() {
  AsioExecutor& reactor = *reactors_[next_reactor_++ % reactors_.size()];
  acceptor_.async_accept(
      reactor.io(), [this, &reactor](const boost::system::error_code& failure, tcp::socket socket) {
        if (failure == asio::error::operation_aborted || !acceptor_.is_open()) return;
        if (failure) {
          // Most likely out of descriptors: closing connections will free some.
          pause_.expires_after(std::chrono::milliseconds(50));
          pause_.async_wait([this](const boost::system::error_code& cancelled) {
            if (!cancelled) accept();
          });
          return;
        }
        // The system gives the lowest free number: a high one says that as many are open.
        if (count() >= capacity_.sockets ||
            static_cast<std::size_t>(socket.native_handle()) >= capacity_.descriptors) {
          turn_away(std::move(socket));
          return accept();
        }
        auto connection =
            std::make_shared<PgConnection>(std::move(socket), reactor, services_, certificate_, limits_,
                                           [this](const std::shared_ptr<PgConnection>& closed) {
                                             const std::lock_guard lock(mutex_);
                                             connections_.erase(closed);
                                             if (connections_.empty()) changed_.notify_all();
                                           });
        {
          const std::lock_guard lock(mutex_);
          if (stopping_) return;
          connections_.insert(connection);
          metrics().connections_total.add();
        }
        reactor.post([connection] { connection->start(); });
        accept();
      });
}

void PgListener::turn_away(tcp::socket socket) const {
  boost::system::error_code failure;
  std::string words;
  wire::pg::write_error(words, wire::pg::ErrorSeverity::kFatal,
                        Error(ErrorCode::kTooManyConnections, "sorry, too many clients already"));
  socket.non_blocking(true, failure);
  (void)socket.write_some(boost::asio::buffer(words), failure);
  socket.shutdown(tcp::socket::shutdown_send, failure);
  // Unread bytes would turn the end into a reset, which may overtake our words.
  std::array<char, 1024> rest;
  while (socket.read_some(boost::asio::buffer(rest), failure) == rest.size()) {
  }
}

std::vector<std::shared_ptr<PgConnection>> PgListener::open_connections() const {
  const std::lock_guard lock(mutex_);
  return {connections_.begin(), connections_.end()};
}

void PgListener::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  asio::post(acceptor_.get_executor(), [this] {
    boost::system::error_code ignored;
    acceptor_.close(ignored);
    pause_.cancel();
  });
  for (const auto& connection : open_connections()) connection->stop();
}

void PgListener::abort() {
  for (const auto& connection : open_connections()) connection->abort();
}

bool PgListener::wait_until_empty(std::chrono::milliseconds most) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, most, [this] { return connections_.empty(); });
}

std::size_t PgListener::count() const {
  const std::lock_guard lock(mutex_);
  return connections_.size();
}

}  // namespace bop::server
