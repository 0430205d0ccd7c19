#include "wire/http/pages.hpp"

#include <gtest/gtest.h>

#include <array>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>

#include "base/asio_executor.hpp"
#include "wire/http/http_listener.hpp"

namespace bop::wire::http {
namespace {

Sources sources(std::optional<std::string> reason = std::nullopt) {
  return {[reason] { return reason; }, [] { return std::string("# TYPE bop_x counter\nbop_x 1\n"); },
          "0.1.0"};
}

TEST(Pages, HealthSaysWhetherTheNodeServes) {
  EXPECT_EQ(answer(sources(), "GET", "/health").status, 200u);
  const Page page = answer(sources("disk \"a\" failed\n"), "GET", "/health?verbose");
  EXPECT_EQ(page.status, 503u);
  EXPECT_EQ(page.body, "{\"status\":\"unavailable\",\"reason\":\"disk \\\"a\\\" failed\\u000a\"}\n");
}

TEST(Pages, OnlyWhatIsThereIsAnswered) {
  EXPECT_EQ(answer(sources(), "GET", "/").status, 200u);
  EXPECT_EQ(answer(sources(), "GET", "/metrics").body, "# TYPE bop_x counter\nbop_x 1\n");
  for (const std::string_view target : {"/x", "", "//", "/metrics/", "/health/..", "*", "http://other/"}) {
    EXPECT_EQ(answer(sources(), "GET", target).status, 404u) << target;
  }
  EXPECT_EQ(answer(sources(), "POST", "/health").status, 405u);
}

// One connection: sends `request`, answers everything until the server closes.
std::string exchange(std::uint16_t port, std::string_view request) {
  using boost::asio::ip::tcp;
  boost::asio::io_context io;
  tcp::socket socket(io);
  socket.connect({boost::asio::ip::address_v4::loopback(), port});
  boost::system::error_code end;
  boost::asio::write(socket, boost::asio::buffer(request.data(), request.size()), end);
  std::string out;
  std::array<char, 4096> buffer;
  while (true) {
    const std::size_t got = socket.read_some(boost::asio::buffer(buffer), end);
    if (end) return out;
    out.append(buffer.data(), got);
  }
}

class HttpListenerTest : public testing::Test {
 protected:
  void SetUp() override {
    using boost::asio::ip::tcp;
    tcp::acceptor acceptor(reactor_.io(), {boost::asio::ip::address_v4::loopback(), 0});
    listener_ = std::make_unique<HttpListener>(std::move(acceptor), reactor_, sources());
    reactor_.start();
    listener_->start();
  }
  void TearDown() override {
    listener_->stop();
    reactor_.stop();
  }
  AsioExecutor reactor_;
  std::unique_ptr<HttpListener> listener_;
};

TEST_F(HttpListenerTest, AnswersPipelinedRequestsAndHead) {
  const std::string text = exchange(listener_->port(),
                                    "HEAD /health HTTP/1.1\r\nHost: x\r\n\r\n"
                                    "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_TRUE(text.starts_with("HTTP/1.1 200 OK\r\n")) << text;
  EXPECT_EQ(text.find("status"), text.npos) << "HEAD has no body";
  EXPECT_TRUE(text.ends_with("\r\n\r\n# TYPE bop_x counter\nbop_x 1\n")) << text;
}

TEST_F(HttpListenerTest, BadRequestsEndTheConnection) {
  EXPECT_EQ(exchange(listener_->port(), "nonsense\r\n\r\n"), "");
  EXPECT_EQ(exchange(listener_->port(), "GET / HTTP/1.1\r\nX: " + std::string(10'000, 'y') + "\r\n\r\n"), "");
  EXPECT_EQ(exchange(listener_->port(), "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello"), "");
}

}  // namespace
}  // namespace bop::wire::http
