#include "server/pg_connection.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <boost/asio/ip/address.hpp>
#include <cerrno>
#include <span>

#include "base/log.hpp"
#include "base/metrics.hpp"

namespace bop::server {

namespace {

constexpr std::size_t kReadBytes = 64 * 1024;
// Reads before other connections have their turn.
constexpr int kReadsPerTurn = 8;
// Between looks at the socket of a client whose statement waits.
constexpr auto kHangUpPeriod = std::chrono::seconds(1);

std::string address_of(const PgConnection::Socket& socket, bool& is_loopback) {
  boost::system::error_code failure;
  const auto peer = socket.remote_endpoint(failure);
  is_loopback = !failure && peer.address().is_loopback();
  return failure ? "" : peer.address().to_string();
}

Error stopping() {
  return Error(ErrorCode::kAdminShutdown, "terminating connection due to administrator command");
}

}  // namespace

PgConnection::PgConnection(Socket socket, AsioExecutor& executor, wire::pg::Services& services,
                           TlsCertificate* certificate, PgLimits limits, Closed closed)
    : socket_(std::move(socket)),
      executor_(executor),
      services_(services),
      certificate_(certificate),
      limits_(limits),
      closed_(std::move(closed)) {}

void PgConnection::start() {
  boost::system::error_code failure;
  socket_.non_blocking(true, failure);
  socket_.set_option(boost::asio::ip::tcp::no_delay(true), failure);
  socket_.set_option(boost::asio::socket_base::keep_alive(true), failure);
  bool is_loopback = false;
  address_ = address_of(socket_, is_loopback);
  connection_.emplace(services_, executor_, address_, is_loopback, [weak = weak_from_this()] {
    if (auto self = weak.lock()) {
      AsioExecutor& executor = self->executor_;
      executor.post([self = std::move(self)] { self->drive(); });
    }
  });
  arm_timer(limits_.authentication_timeout);
  drive();
}

void PgConnection::stop() {
  stop_asked_ = true;
  executor_.post([self = shared_from_this()] { self->drive(); });
}

void PgConnection::abort() {
  abort_asked_ = true;
  executor_.post([self = shared_from_this()] { self->drive(); });
}

void PgConnection::drive() {
  if (marks_.fetch_add(1) != 0) return;
  unsigned seen = 0;
  do {
    seen = marks_.load();
    step();
  } while (marks_.fetch_sub(seen) != seen);
}

void PgConnection::step() {
  if (is_closed_ || !connection_) return;  // start() goes round again
  {
    std::optional<Error> failure;
    const std::lock_guard lock(gate_mutex_);
    failure = std::exchange(gate_error_, std::nullopt);
    if (failure) connection_->gate_failed(*failure);
  }
  if (timer_due_.exchange(false)) on_timer();
  if (is_closed_) return;
  if (watch_due_.exchange(false)) watch_for_hang_up();
  if (is_closed_) return;
  connection_->advance();
  for (int turn = 0;; ++turn) {
    const bool got = turn < kReadsPerTurn && read();
    const bool gave = !is_closed_ && write();
    const bool shook = !is_closed_ && shake_hands();
    if (is_closed_) return;
    if (gave) connection_->advance();
    if (!got && !gave && !shook) break;
  }
  if (!authenticated_ && connection_->is_authenticated()) {
    authenticated_ = true;
    if (timer_) executor_.cancel(*timer_);
    timer_.reset();
  }
  if (abort_asked_) {
    connection_->abort(stopping());
    write();
    if (!is_closed_) close();
    return;
  }
  if (stop_asked_ && !connection_->is_closing()) {
    connection_->stop(stopping());
    write();
    if (is_closed_) return;
  }
  // In the midst of a handshake nothing can be said.
  const bool is_mute = tls_ && !tls_->is_established();
  if (connection_->is_closing() && (connection_->unsent() == 0 || is_mute)) return close();
  wait_for_gate();
  wait_for_events();
  if (connection_->is_waiting() && !watching_) {
    watching_ = true;
    executor_.post_after(kHangUpPeriod, [weak = weak_from_this()] {
      if (const auto self = weak.lock()) {
        self->watch_due_ = true;
        self->drive();
      }
    });
  }
}

// Nothing is read while a statement waits, perhaps in a long queue: a client that is gone leaves it.
void PgConnection::watch_for_hang_up() {
  watching_ = false;
  if (!connection_->is_waiting()) return;
  pollfd socket{.fd = socket_.native_handle(), .events = POLLRDHUP, .revents = 0};
  if (::poll(&socket, 1, 0) <= 0 || (socket.revents & (POLLRDHUP | POLLHUP | POLLERR)) == 0) return;
  gone("the client closed the connection");
}

TlsChannel::Transfer PgConnection::receive(std::span<char> bytes) {
  using Outcome = TlsChannel::Outcome;
  if (tls_) return tls_->read(bytes);
  while (true) {
    const ssize_t got = ::recv(socket_.native_handle(), bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (got > 0) return {.bytes = static_cast<std::size_t>(got)};
    if (got < 0 && errno == EINTR) continue;
    const bool empty = got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
    return {.outcome = empty ? Outcome::kWantRead : Outcome::kEnded};
  }
}

TlsChannel::Transfer PgConnection::transmit(std::string_view bytes) {
  using Outcome = TlsChannel::Outcome;
  if (tls_) return tls_->write(bytes);
  while (true) {
    const ssize_t sent =
        ::send(socket_.native_handle(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent > 0) return {.bytes = static_cast<std::size_t>(sent)};
    if (errno == EINTR) continue;
    return {.outcome = errno == EAGAIN || errno == EWOULDBLOCK ? Outcome::kWantWrite : Outcome::kEnded};
  }
}

void PgConnection::gone(std::string_view why) {
  connection_->abort(Error(ErrorCode::kConnectionFailure, std::string(why)));
  close();
}

// True when the client may speak under TLS now.
bool PgConnection::shake_hands() {
  if (!shakes_hands()) return false;
  if (!tls_) {
    Result<TlsChannel> channel = TlsChannel::accept(certificate_->current(), socket_.native_handle());
    if (!channel) {
      gone(channel.error().what());
      return false;
    }
    tls_.emplace(std::move(*channel));
  }
  switch (tls_->shake_hands()) {
    case TlsChannel::Outcome::kDone:
      metrics().tls_connections_total.add();
      readable_ = true;  // the first message may lie behind the handshake
      connection_->tls_started(tls_->encryption(), tls_->end_point());
      return true;
    case TlsChannel::Outcome::kWantRead: readable_ = false; break;
    case TlsChannel::Outcome::kWantWrite: writable_ = false; break;
    case TlsChannel::Outcome::kEnded:
      metrics().tls_failures_total.add();
      log_info("a TLS handshake failed", {{"client", address_}, {"reason", tls_->failure()}});
      gone("the TLS handshake failed");
      break;
  }
  return false;
}

// True when the machine got bytes.
bool PgConnection::read() {
  if (!readable_ || !connection_->wants_input()) return false;
  if (read_needs_write_ && !writable_) return false;
  thread_local std::array<char, kReadBytes> buffer;
  const TlsChannel::Transfer got = receive(buffer);
  read_needs_write_ = got.outcome == TlsChannel::Outcome::kWantWrite;
  switch (got.outcome) {
    case TlsChannel::Outcome::kDone:
      // A short read emptied the socket, but for records of TLS; the wait that follows tells when there is
      // more.
      if (!tls_ && got.bytes < buffer.size()) readable_ = false;
      metrics().received_bytes_total.add(got.bytes);
      connection_->feed(std::string_view(buffer.data(), got.bytes));
      return true;
    case TlsChannel::Outcome::kWantRead: readable_ = false; break;
    case TlsChannel::Outcome::kWantWrite: writable_ = false; break;
    case TlsChannel::Outcome::kEnded: gone("the client closed the connection"); break;
  }
  return false;
}

// True when the client took bytes.
bool PgConnection::write() {
  bool gave = false;
  if (tls_ && !tls_->is_established()) return gave;
  while (!is_closed_ && writable_) {
    const std::string_view bytes = connection_->sendable();
    if (bytes.empty()) break;
    const TlsChannel::Transfer sent = transmit(bytes);
    if (sent.outcome == TlsChannel::Outcome::kDone) {
      connection_->sent(sent.bytes);
      metrics().sent_bytes_total.add(sent.bytes);
      gave = true;
      if (write_blocked_) {
        write_blocked_ = false;
        if (timer_) executor_.cancel(*timer_);
        timer_.reset();
      }
    } else if (sent.outcome == TlsChannel::Outcome::kEnded) {
      gone("the connection broke");
    } else {
      writable_ = false;
      if (!write_blocked_) {
        write_blocked_ = true;
        blocked_since_ = std::chrono::steady_clock::now();
        watch_blocked_write();
      }
    }
  }
  return gave;
}

void PgConnection::wait_for_events() {
  const bool wants_bytes = connection_->wants_input() || shakes_hands();
  const bool waits_for_room = !writable_ && (read_needs_write_ || shakes_hands());
  if (wants_bytes && readable_ && !waits_for_room) {  // its turn ended before its input
    executor_.post([self = shared_from_this()] { self->drive(); });
  } else if (wants_bytes && !readable_ && !read_armed_.exchange(true)) {
    socket_.async_wait(Socket::wait_read,
                       [self = shared_from_this()](const boost::system::error_code& failure) {
                         self->read_armed_ = false;
                         if (failure) return;
                         self->readable_ = true;
                         self->drive();
                       });
  }
  if (!writable_ && !write_armed_.exchange(true)) {
    socket_.async_wait(Socket::wait_write,
                       [self = shared_from_this()](const boost::system::error_code& failure) {
                         self->write_armed_ = false;
                         if (failure) return;
                         self->writable_ = true;
                         self->drive();
                       });
  }
}

void PgConnection::wait_for_gate() {
  // Released in the meantime: the loop sends it.
  const std::optional<Csn> csn = connection_->held_by();
  if (!csn || gate_armed_.exchange(true)) return;
  const bool released =
      services_.factory.when_released(*csn, executor_, [self = shared_from_this()](Status committed) {
        self->gate_armed_ = false;
        if (!committed) {
          const std::lock_guard lock(self->gate_mutex_);
          self->gate_error_ = std::move(committed).error();
        }
        self->drive();
      });
  if (!released) return;
  gate_armed_ = false;
  executor_.post([self = shared_from_this()] { self->drive(); });
}

void PgConnection::arm_timer(std::chrono::milliseconds delay) {
  if (timer_) executor_.cancel(*timer_);
  timer_ = executor_.post_after(delay, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) {
      self->timer_due_ = true;
      self->drive();
    }
  });
}

void PgConnection::on_timer() {
  timer_.reset();
  if (!authenticated_ && !connection_->is_authenticated()) {
    if (tls_ && !tls_->is_established()) metrics().tls_failures_total.add();
    connection_->abort(Error(ErrorCode::kCannotConnectNow, "canceling authentication due to timeout"));
    write();
    if (!is_closed_) close();
  } else if (write_blocked_) {
    watch_blocked_write();
  }
}

// A client may read as slowly as it likes while nobody waits for it: a pager, a debugger, a stream of
// results.
void PgConnection::watch_blocked_write() {
  using std::chrono::milliseconds;
  constexpr milliseconds kLook{1000};
  const auto blocked =
      std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - blocked_since_);
  const bool ending = connection_->is_closing();
  const bool endless = limits_.write_timeout == milliseconds(0);
  const milliseconds most = ending || endless ? limits_.farewell_timeout : limits_.write_timeout;
  if (blocked < most) return arm_timer(most - blocked);
  if (!ending && (endless || !connection_->holds_up_others())) return arm_timer(kLook);
  log_warning("a client that does not read its answers was cut off",
              {{"pid", connection_->backend_pid()},
               {"client", address_},
               {"blocked_ms", static_cast<std::int64_t>(blocked.count())}});
  gone("the client does not read");
}

void PgConnection::close() {
  if (is_closed_) return;
  is_closed_ = true;
  if (timer_) executor_.cancel(*timer_);
  timer_.reset();
  if (tls_) tls_->close();
  boost::system::error_code failure;
  // The peer reads what was sent before it sees the end; bytes of its own that were not read would turn the
  // end into a reset and could cost it our last words.
  socket_.shutdown(Socket::shutdown_send, failure);
  thread_local std::array<char, kReadBytes> rest;
  for (int i = 0; i < kReadsPerTurn; ++i) {
    if (::recv(socket_.native_handle(), rest.data(), rest.size(), MSG_DONTWAIT) <= 0) break;
  }
  socket_.close(failure);
  closed_(shared_from_this());
}

}  // namespace bop::server
