#include "wire/http/http_listener.hpp"

#include <boost/asio/post.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <chrono>
#include <optional>

namespace bop::wire::http {

namespace asio = boost::asio;
namespace beast = boost::beast;
using asio::ip::tcp;

namespace {

constexpr std::size_t kMostHeaderBytes = 8 * 1024;
constexpr auto kTimeout = std::chrono::seconds(10);

}  // namespace

// Lives as long as one of its operations.
class HttpListener::Client : public std::enable_shared_from_this<Client> {
 public:
  Client(tcp::socket socket, std::shared_ptr<Shared> shared)
      : stream_(std::move(socket)), shared_(std::move(shared)) {
    ++shared_->connections;
  }
  ~Client() { --shared_->connections; }

  void read() {
    parser_.emplace();
    parser_->header_limit(kMostHeaderBytes);
    parser_->body_limit(0);
    stream_.expires_after(kTimeout);
    beast::http::async_read(stream_, buffer_, *parser_,
                            [self = shared_from_this()](beast::error_code failure, auto) {
                              if (!failure) self->write();
                            });
  }

 private:
  void write() {
    const auto& request = parser_->get();
    const Page page =
        answer(shared_->sources, std::string(request.method_string()), std::string(request.target()));
    response_ = {};
    response_.result(page.status);
    response_.version(request.version());
    response_.set(beast::http::field::content_type, {page.content_type.data(), page.content_type.size()});
    response_.set(beast::http::field::cache_control, "no-store");
    const bool keep = request.keep_alive() && !shared_->stopping;
    response_.keep_alive(keep);
    if (request.method() == beast::http::verb::head) {
      response_.content_length(page.body.size());
    } else {
      response_.body() = page.body;
      response_.prepare_payload();
    }
    stream_.expires_after(kTimeout);
    serializer_.emplace(response_);
    serializer_->split(request.method() == beast::http::verb::head);
    auto done = [self = shared_from_this(), keep](beast::error_code failure, auto) {
      if (failure) return;
      if (keep) return self->read();
      beast::error_code ignored;
      self->stream_.socket().shutdown(tcp::socket::shutdown_send, ignored);
    };
    if (request.method() == beast::http::verb::head) {
      beast::http::async_write_header(stream_, *serializer_, std::move(done));
    } else {
      beast::http::async_write(stream_, *serializer_, std::move(done));
    }
  }

  beast::tcp_stream stream_;
  std::shared_ptr<Shared> shared_;
  beast::flat_buffer buffer_{kMostHeaderBytes};
  std::optional<beast::http::request_parser<beast::http::empty_body>> parser_;
  beast::http::response<beast::http::string_body> response_;
  std::optional<beast::http::response_serializer<beast::http::string_body>> serializer_;
};

HttpListener::HttpListener(tcp::acceptor acceptor, AsioExecutor& executor, Sources sources)
    : executor_(executor),
      acceptor_(std::move(acceptor)),
      port_(acceptor_.local_endpoint().port()),
      shared_(std::make_shared<Shared>()) {
  shared_->sources = std::move(sources);
}

void HttpListener::start() {
  executor_.post([this] { accept(); });
}

void HttpListener::accept() {
  acceptor_.async_accept([this](const boost::system::error_code& failure, tcp::socket socket) {
    if (failure == asio::error::operation_aborted || !acceptor_.is_open() || shared_->stopping) return;
    if (!failure && shared_->connections < kMostConnections) {
      std::make_shared<Client>(std::move(socket), shared_)->read();
    }
    if (!failure) return accept();
    executor_.post_after(std::chrono::milliseconds(50), [this] { accept(); });
  });
}

void HttpListener::stop() {
  shared_->stopping = true;
  asio::post(acceptor_.get_executor(), [this] {
    boost::system::error_code ignored;
    acceptor_.close(ignored);
  });
}

}  // namespace bop::wire::http
