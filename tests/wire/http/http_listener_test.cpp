#include "wire/http/http_listener.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <chrono>
#include <memory>
#include <span>
#include <vector>

#include "base/asio_executor.hpp"
#include "base/sim.hpp"

namespace bop::wire::http {
namespace {

using boost::asio::ip::tcp;

class Peer {
 public:
  explicit Peer(std::uint16_t port) : socket_(io_) {
    socket_.connect({boost::asio::ip::address_v4::loopback(), port});
    const timeval most{.tv_sec = 20, .tv_usec = 0};
    ::setsockopt(socket_.native_handle(), SOL_SOCKET, SO_RCVTIMEO, &most, sizeof most);
  }
  void send(std::string_view text) {
    boost::system::error_code end;
    boost::asio::write(socket_, boost::asio::buffer(text.data(), text.size()), end);
  }
  void finish() {
    boost::system::error_code ignored;
    socket_.shutdown(tcp::socket::shutdown_send, ignored);
  }
  // Everything until the server closes.
  std::string rest() {
    std::string out;
    std::array<char, 4096> buffer;
    boost::system::error_code end;
    while (true) {
      const std::size_t got = socket_.read_some(boost::asio::buffer(buffer), end);
      if (end) return out;
      out.append(buffer.data(), got);
    }
  }
  // The first answer's bytes as they come; empty when the server has closed.
  std::string some() {
    std::array<char, 4096> buffer;
    boost::system::error_code end;
    const std::size_t got = socket_.read_some(boost::asio::buffer(buffer), end);
    return {buffer.data(), end ? 0 : got};
  }

 private:
  boost::asio::io_context io_;
  tcp::socket socket_;
};

class HttpListenerTest : public testing::Test {
 protected:
  void SetUp() override {
    tcp::acceptor acceptor(reactor_.io(), {boost::asio::ip::address_v4::loopback(), 0});
    Sources sources{[] { return std::nullopt; }, [] { return std::string("bop_x 1\n"); },
                    [this](const Request& request) {
                      asked_ = std::string(request.host) + "|" + std::string(request.authorization) + "|" +
                               (request.is_forwarded ? "forwarded" : "direct") + "|" +
                               (request.is_loopback ? "loopback" : "remote");
                      return Page{request.authorization.empty() ? 200u : 401u, kJson, "{}"};
                    }};
    listener_ = std::make_unique<HttpListener>(std::move(acceptor), reactor_, std::move(sources));
    reactor_.start();
    listener_->start();
  }
  void TearDown() override {
    listener_->stop();
    reactor_.stop();
  }
  // One connection that sends `request` and reads until it is closed.
  std::string exchange(std::string_view request) {
    Peer peer(listener_->port());
    peer.send(request);
    return peer.rest();
  }
  std::string get(std::string_view target, std::string_view headers = "") {
    return exchange("GET " + std::string(target) + " HTTP/1.1\r\nHost: x\r\n" + std::string(headers) +
                    "Connection: close\r\n\r\n");
  }

  AsioExecutor reactor_;
  std::unique_ptr<HttpListener> listener_;
  std::string asked_;
};

TEST_F(HttpListenerTest, AnswersPipelinedRequestsAndHead) {
  const std::string text = exchange(
      "HEAD /health HTTP/1.1\r\nHost: x\r\n\r\n"
      "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_TRUE(text.starts_with("HTTP/1.1 200 OK\r\n")) << text;
  EXPECT_NE(text.find("Content-Length: 16\r\n"), std::string::npos) << "HEAD tells what GET would";
  EXPECT_EQ(text.find("status"), std::string::npos) << "HEAD has no body";
  EXPECT_TRUE(text.ends_with("\r\n\r\nbop_x 1\n")) << text;
}

TEST_F(HttpListenerTest, EveryAnswerForbidsTheBrowserWhatThePageDoesNotNeed) {
  for (const std::string_view target :
       {"/", "/status.js", "/status.json", "/metrics", "/health", "/nothing"}) {
    const std::string text = get(target);
    for (const std::string_view header :
         {"Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
          "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; ",
          "X-Content-Type-Options: nosniff\r\n", "Referrer-Policy: no-referrer\r\n",
          "Cross-Origin-Resource-Policy: same-origin\r\n", "Cache-Control: no-store\r\n"}) {
      EXPECT_NE(text.find(header), std::string::npos) << target << " without " << header;
    }
    EXPECT_EQ(text.find("Access-Control"), std::string::npos);
  }
}

TEST_F(HttpListenerTest, StatusLearnsWhoAsks) {
  (void)get("/status.json");
  EXPECT_EQ(asked_, "x||direct|loopback");
  const std::string refused =
      get("/status.json", "Authorization: Bearer abc\r\nX-Forwarded-For: 1.2.3.4\r\n");
  EXPECT_EQ(asked_, "x|Bearer abc|forwarded|loopback");
  EXPECT_TRUE(refused.starts_with("HTTP/1.1 401 ")) << refused;
  EXPECT_NE(refused.find("WWW-Authenticate: Bearer\r\n"), std::string::npos);
  (void)get("/status.json", "Forwarded: for=1.2.3.4\r\n");
  EXPECT_EQ(asked_, "x||forwarded|loopback");
}

TEST_F(HttpListenerTest, WhatIsNoRequestIsToldSoAndEndsTheConnection) {
  const std::string body(100'000, 'y');
  EXPECT_TRUE(exchange("nonsense\r\n\r\n").starts_with("HTTP/1.1 400 "));
  EXPECT_TRUE(exchange("GET / HTTP/9.9\r\n\r\n").starts_with("HTTP/1.1 400 "));
  EXPECT_TRUE(
      exchange("GET / HTTP/1.1\r\nX: " + std::string(10'000, 'y') + "\r\n\r\n").starts_with("HTTP/1.1 431 "));
  EXPECT_TRUE(
      exchange("POST / HTTP/1.1\r\nContent-Length: 100000\r\n\r\n" + body).starts_with("HTTP/1.1 413 "));
  const std::string refused = exchange("DELETE / HTTP/1.1\r\nConnection: close\r\n\r\n");
  EXPECT_TRUE(refused.starts_with("HTTP/1.1 405 ")) << refused;
  EXPECT_NE(refused.find("Allow: GET, HEAD\r\n"), std::string::npos);
}

// A health check gets through, whoever sits on the port's connections.
TEST_F(HttpListenerTest, SilentClientsGiveWayToNewOnes) {
  std::vector<std::unique_ptr<Peer>> silent;
  for (std::size_t i = 0; i < 2 * kMostConnections; ++i) {
    silent.push_back(std::make_unique<Peer>(listener_->port()));
    if (i % 2 == 0) silent.back()->send("GET /health HTTP/1.1\r\nX-Slow: ");
    EXPECT_TRUE(get("/health").starts_with("HTTP/1.1 200 ")) << i;
  }
  EXPECT_EQ(silent.front()->some(), "") << "the one that has waited longest was closed";
  silent.back()->send(silent.size() % 2 == 0 ? "GET /health HTTP/1.1\r\n\r\n" : "y\r\n\r\n");
  EXPECT_TRUE(silent.back()->some().starts_with("HTTP/1.1 200 ")) << "the newest one was not";
}

TEST_F(HttpListenerTest, AfterStopNoSourceIsAsked) {
  Peer peer(listener_->port());
  const std::string_view request = "GET /status.json HTTP/1.1\r\nHost: x\r\n\r\n";
  peer.send(request);
  EXPECT_TRUE(peer.some().starts_with("HTTP/1.1 200 "));
  asked_.clear();
  listener_->stop();
  peer.send(request);
  EXPECT_EQ(peer.rest(), "");
  EXPECT_EQ(asked_, "");
}

// Whatever comes, the port answers the next one.
TEST_F(HttpListenerTest, MutatedRequestsDoNoHarm) {
  const std::vector<std::string> corpus = {
      "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n",
      "HEAD /status.json?after=17 HTTP/1.1\r\nHost: [::1]:8080\r\nAuthorization: Bearer x\r\n\r\n",
      "POST /health HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
      "GET /metrics HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc",
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
  };
  SimRandom random(5);
  for (int round = 0; round < 500; ++round) {
    std::string text;
    for (std::uint64_t parts = 1 + random.below(3); parts > 0; --parts)
      text += corpus[random.below(corpus.size())];
    for (std::uint64_t changes = random.below(6); changes > 0; --changes) {
      const std::size_t at = random.below(text.size());
      switch (random.below(3)) {
        case 0: text[at] = static_cast<char>(random.below(256)); break;
        case 1: text.erase(at, 1 + random.below(4)); break;
        default: text.insert(at, std::string(1 + random.below(20), static_cast<char>(random.below(256))));
      }
      if (text.empty()) text = "x";
    }
    Peer peer(listener_->port());
    peer.send(text);
    peer.finish();
    (void)peer.rest();
  }
  EXPECT_TRUE(get("/health").starts_with("HTTP/1.1 200 "));
}

}  // namespace
}  // namespace bop::wire::http
