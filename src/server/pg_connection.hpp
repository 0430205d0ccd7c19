// A PostgreSQL client's socket around the state machine of wire/pg.
//
// Everything happens in `drive`: read what the machine wants, let it go on, write what it may send, arm the
// waits. It is called on the executor for each event (readable, writable, woken, gate released, timer) and
// does whatever is possible, so that events carry no state. A statement that hands its reactor off stays
// inside `drive` in its own thread; a call that comes meanwhile only leaves a mark, and the one inside goes
// round again.
//
// A client that asks for TLS has its handshake here, in the steps that the socket allows, within the time for
// the login; from then on its bytes go through the channel (tls_channel.hpp).
//
// Reads go through a buffer of the thread, not of the connection: an idle one holds none. Owned by
// shared_ptr: by the listener's list while the socket is open, and by the waits that are armed.
#pragma once

#include <atomic>
#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>

#include "base/asio_executor.hpp"
#include "base/time.hpp"
#include "server/tls_channel.hpp"
#include "wire/pg/connection.hpp"

namespace bop::server {

struct PgLimits {
  std::chrono::milliseconds authentication_timeout{60'000};  // from accept to the open session
  // Without a byte taken by a client that others wait for; 0: they wait on.
  std::chrono::milliseconds write_timeout{60'000};
  // The same for the last words of a connection that ends.
  std::chrono::milliseconds farewell_timeout{60'000};
};

class PgConnection final : public std::enable_shared_from_this<PgConnection> {
 public:
  using Socket = boost::asio::ip::tcp::socket;
  using Closed = std::function<void(const std::shared_ptr<PgConnection>&)>;

  // `certificate` is null when the services offer no TLS. `closed` is called once, on the executor, when the
  // socket is closed and the session is gone.
  PgConnection(Socket socket, AsioExecutor& executor, wire::pg::Services& services,
               TlsCertificate* certificate, PgLimits limits, Closed closed);

  void start();
  // From any thread: the statement in progress ends, then the client hears that the node stops.
  void stop();
  // From any thread: the same without waiting for the statement.
  void abort();

 private:
  void drive();
  void step();
  bool read();
  bool write();
  [[nodiscard]] TlsChannel::Transfer receive(std::span<char> bytes);
  [[nodiscard]] TlsChannel::Transfer transmit(std::string_view bytes);
  bool shake_hands();
  void gone(std::string_view why);
  [[nodiscard]] bool shakes_hands() const { return connection_->wants_tls() && connection_->unsent() == 0; }
  void wait_for_events();
  void wait_for_gate();
  void watch_blocked_write();
  void watch_for_hang_up();
  void arm_timer(std::chrono::milliseconds delay);
  void on_timer();
  void close();

  Socket socket_;
  AsioExecutor& executor_;
  wire::pg::Services& services_;
  TlsCertificate* certificate_;
  const PgLimits limits_;
  Closed closed_;
  std::string address_;  // of the client
  std::optional<wire::pg::Connection> connection_;
  std::optional<TlsChannel> tls_;
  bool read_needs_write_ = false;  // TLS has something to say before it reads on

  std::atomic<unsigned> marks_ = 0;  // calls of drive() that are not worked off
  std::atomic<bool> stop_asked_ = false;
  std::atomic<bool> abort_asked_ = false;
  std::atomic<bool> readable_ = false;
  std::atomic<bool> writable_ = true;
  std::atomic<bool> read_armed_ = false;
  std::atomic<bool> write_armed_ = false;
  std::atomic<bool> timer_due_ = false;
  std::atomic<bool> watch_due_ = false;
  bool watching_ = false;  // a look at the socket is due
  std::atomic<bool> gate_armed_ = false;
  std::mutex gate_mutex_;
  std::optional<Error> gate_error_;
  std::optional<Executor::TimerId> timer_;
  bool authenticated_ = false;
  bool write_blocked_ = false;
  std::chrono::steady_clock::time_point blocked_since_;
  bool is_closed_ = false;
};

}  // namespace bop::server
