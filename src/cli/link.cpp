#include "cli/link.hpp"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "base/assert.hpp"
#include "base/time.hpp"

namespace bop::cli {

namespace {

constexpr std::size_t kCopyBufferBytes = 64 * 1024;

std::string field_of(const wire::pg::ReportFields& fields, char code) {
  const auto found = fields.find(code);
  return found == fields.end() ? "" : found->second;
}

}  // namespace

Result<int> connect_socket(const std::string& host, std::uint16_t port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int failed = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (failed != 0) {
    return fail(ErrorCode::kConnectionFailure, "cannot find the host {}: {}", host, ::gai_strerror(failed));
  }
  int failure = 0;
  for (const addrinfo* address = found; address != nullptr; address = address->ai_next) {
    const int fd = ::socket(address->ai_family, address->ai_socktype | SOCK_CLOEXEC, address->ai_protocol);
    if (fd >= 0 && ::connect(fd, address->ai_addr, address->ai_addrlen) == 0) {
      ::freeaddrinfo(found);
      const int on = 1;
      ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      return fd;
    }
    failure = errno;
    if (fd >= 0) ::close(fd);
  }
  ::freeaddrinfo(found);
  return fail(ErrorCode::kConnectionFailure,
              "cannot connect to {} port {}: {}; is the node running (bop serve)?", host, port,
              std::strerror(failure));
}

Link::Link(Sink& sink, volatile std::sig_atomic_t* interrupted)
    : sink_(&sink), interrupted_(interrupted), client_(*this, system_random()) {}

Link::~Link() {
  if (socket_ < 0) return;
  client_.terminate();
  (void)send();
  ::close(socket_);
}

Status Link::open(const DatabaseUrl& url) {
  BOP_LET(fd, connect_socket(url.host, url.port));
  socket_ = fd;
  url_ = url;
  opening_ = true;
  BOP_TRY(ask_for_tls(url));
  client_.start(url.user, url.password, url.database.empty() ? url.user : url.database, "bop sql",
                tls_ ? tls_->end_point() : std::nullopt);
  const Status opened = exchange();
  opening_ = false;
  return opened;
}

Status Link::run(std::string_view text) {
  BOP_ASSERT(!busy_);
  cancelled_ = false;
  client_.query(text);
  busy_ = true;
  Status done = exchange();
  busy_ = false;
  return done;
}

Status Link::run(std::string_view text, Sink& sink) {
  Sink* const before = std::exchange(sink_, &sink);
  const Status done = run(text);
  sink_ = before;
  return done;
}

// On a connection of its own, which the server closes without an answer.
void Link::cancel() const {
  const auto socket = connect_socket(url_.host, url_.port);
  if (!socket) return;
  const std::string request = wire::pg::cancel_request(client_.process_id(), client_.secret());
  (void)::send(*socket, request.data(), request.size(), MSG_NOSIGNAL);
  char answer = 0;
  (void)::recv(*socket, &answer, 1, 0);
  ::close(*socket);
}

Status Link::wait() {
  constexpr int kPollMs = 200;
  if (tls_ && tls_->has_pending()) return {};
  while (true) {
    if (is_interrupted() && !opening_ && !std::exchange(cancelled_, true)) cancel();
    pollfd waits{.fd = socket_, .events = POLLIN, .revents = 0};
    const int ready = ::poll(&waits, 1, kPollMs);
    if (ready > 0) return {};
    if (ready < 0 && errno != EINTR)
      return fail(ErrorCode::kConnectionFailure, "the connection broke: {}", std::strerror(errno));
    if (ready == 0) sink_->waiting();
  }
}

Status Link::ask_for_tls(const DatabaseUrl& url) {
  if (url.tls == DatabaseUrl::Tls::kDisable) return {};
  client_.request_tls();
  BOP_TRY(send());
  std::array<char, 1> answer{};
  BOP_LET(got, receive(answer));
  if (got == 1 && answer[0] == 'S') {
    BOP_LET(tls, TlsClient::connect(socket_, url.host));
    tls_.emplace(std::move(tls));
    return {};
  }
  if (got == 1 && answer[0] == 'N') {
    if (url.tls == DatabaseUrl::Tls::kPrefer) return {};
    return fail(ErrorCode::kConnectionFailure, "the server offers no TLS, but sslmode=require asks for it");
  }
  if (got == 0) return fail(ErrorCode::kConnectionFailure, "the server closed the connection");
  // Refused before the request was read; the answer says why.
  Status refused = client_.feed(std::string_view(answer.data(), got));
  return refused ? exchange() : refused;
}

Result<std::size_t> Link::receive(std::span<char> bytes) {
  if (tls_) return tls_->read(bytes);
  while (true) {
    const ssize_t got = ::recv(socket_, bytes.data(), bytes.size(), 0);
    if (got >= 0) return static_cast<std::size_t>(got);
    if (errno != EINTR)
      return fail(ErrorCode::kConnectionFailure, "the connection broke: {}", std::strerror(errno));
  }
}

Status Link::send() {
  std::string& out = client_.output();
  if (tls_ && !out.empty()) {
    const Status written = tls_->write(out);
    out.clear();
    return written;
  }
  std::size_t sent = 0;
  while (sent < out.size()) {
    const ssize_t count = ::send(socket_, out.data() + sent, out.size() - sent, MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0)
      return fail(ErrorCode::kConnectionFailure, "the connection broke: {}", std::strerror(errno));
    sent += static_cast<std::size_t>(count);
  }
  out.clear();
  return {};
}

Status Link::send_copy_data() {
  while (true) {
    const auto piece = sink_->copy_in();
    // Before all else: the signal may be what has ended the data.
    if (is_interrupted()) {
      cancelled_ = true;
      client_.copy_fail("canceled by user");
      return {};
    }
    if (!piece) {
      client_.copy_fail(piece.error().what());
      return {};
    }
    if (!*piece) {
      client_.copy_done();
      return {};
    }
    client_.copy_data(**piece);
    if (client_.output().size() > kCopyBufferBytes) BOP_TRY(send());
  }
}

Status Link::exchange() {
  ready_ = false;
  std::array<char, 32 * 1024> buffer;
  while (!ready_) {
    if (std::exchange(copy_in_, false)) BOP_TRY(send_copy_data());
    BOP_TRY(send());
    BOP_TRY(wait());
    const auto got = receive(buffer);
    if (!got || *got == 0) {
      if (refusal_) return std::unexpected(*refusal_);
      if (!got) return std::unexpected(got.error());
      return fail(ErrorCode::kConnectionFailure, "the server closed the connection");
    }
    BOP_TRY(client_.feed(std::string_view(buffer.data(), *got)));
  }
  return {};
}

void Link::error(const wire::pg::ReportFields& fields) {
  const std::string severity = field_of(fields, 'V');
  if (opening_ || severity == "FATAL") {
    refusal_ = Error(code_of_sqlstate(field_of(fields, 'C')), field_of(fields, 'M'));
  } else {
    sink_->error(fields);
  }
}

void Link::ready(char transaction) {
  ready_ = true;
  transaction_ = transaction;
}

}  // namespace bop::cli
