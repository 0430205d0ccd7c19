#include "wire/http/http_listener.hpp"

#include <boost/asio/post.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <chrono>
#include <future>
#include <optional>

namespace bop::wire::http {

namespace asio = boost::asio;
namespace beast = boost::beast;
using asio::ip::tcp;

namespace {

constexpr std::size_t kMostHeaderBytes = 8 * 1024;
constexpr auto kTimeout = std::chrono::seconds(10);
constexpr auto kLinger = std::chrono::seconds(1);

constexpr std::string_view kContentSecurityPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

// What is told of a request that could not be read; nothing when the client is gone.
std::optional<Page> refusal(const beast::error_code& failure) {
  namespace http = beast::http;
  if (failure == http::error::end_of_stream || failure == http::error::partial_message) return std::nullopt;
  if (failure == http::error::header_limit || failure == http::error::buffer_overflow) {
    return Page{431, kPlain, "the header of a request may have 8 KiB\n"};
  }
  if (failure == http::error::body_limit) return Page{413, kPlain, "a request has no body here\n"};
  if (failure.category() == http::make_error_code(http::error::bad_method).category()) {
    return Page{400, kPlain, "this is no request of HTTP/1.1\n"};
  }
  return std::nullopt;
}

bool is_loopback(const tcp::socket& socket) {
  boost::system::error_code failure;
  const tcp::endpoint peer = socket.remote_endpoint(failure);
  if (failure) return false;
  const asio::ip::address address = peer.address();
  if (address.is_v6() && address.to_v6().is_v4_mapped()) {
    return asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6()).is_loopback();
  }
  return address.is_loopback();
}

std::string_view view_of(beast::string_view text) { return {text.data(), text.size()}; }
beast::string_view view_of(std::string_view text) { return {text.data(), text.size()}; }

}  // namespace

// Lives as long as one of its operations.
class HttpListener::Client : public std::enable_shared_from_this<Client> {
 public:
  Client(tcp::socket socket, std::shared_ptr<Shared> shared)
      : is_loopback_(is_loopback(socket)), stream_(std::move(socket)), shared_(std::move(shared)) {
    place_ = shared_->clients.insert(shared_->clients.end(), this);
  }
  ~Client() { shared_->clients.erase(place_); }

  void read() {
    reading_ = true;
    shared_->clients.splice(shared_->clients.end(), shared_->clients, place_);
    parser_.emplace();
    parser_->header_limit(kMostHeaderBytes);
    parser_->body_limit(0);
    stream_.expires_after(kTimeout);
    beast::http::async_read(stream_, buffer_, *parser_,
                            [self = shared_from_this()](const beast::error_code& failure, auto) {
                              self->reading_ = false;
                              if (self->shared_->stopping) return;
                              if (!failure) return self->answer_request();
                              if (const auto page = refusal(failure)) self->write(*page, 11, false, false);
                            });
  }

  void close() { stream_.close(); }
  // Without a request that would still be answered.
  [[nodiscard]] bool is_reading() const noexcept { return reading_; }

 private:
  void answer_request() {
    const auto& request = parser_->get();
    Request told;
    told.method = view_of(request.method_string());
    told.target = view_of(request.target());
    told.host = view_of(request[beast::http::field::host]);
    told.authorization = view_of(request[beast::http::field::authorization]);
    told.is_forwarded = request.count(beast::http::field::forwarded) + request.count("X-Forwarded-For") > 0;
    told.is_loopback = is_loopback_;
    write(answer(shared_->sources, told), request.version(), request.keep_alive() && !shared_->stopping,
          request.method() == beast::http::verb::head);
  }

  void write(const Page& page, unsigned version, bool keep, bool head) {
    using beast::http::field;
    response_ = {};
    response_.result(page.status);
    response_.version(version);
    response_.set(field::content_type, view_of(page.content_type));
    response_.set(field::cache_control, "no-store");
    response_.set("Content-Security-Policy", view_of(kContentSecurityPolicy));
    response_.set("X-Content-Type-Options", "nosniff");
    response_.set("Referrer-Policy", "no-referrer");
    response_.set("Cross-Origin-Resource-Policy", "same-origin");
    if (page.status == 401) response_.set(field::www_authenticate, "Bearer");
    if (page.status == 405) response_.set(field::allow, "GET, HEAD");
    response_.keep_alive(keep);
    if (head) {
      response_.content_length(page.body.size());
    } else {
      response_.body() = page.body;
      response_.prepare_payload();
    }
    stream_.expires_after(kTimeout);
    serializer_.emplace(response_);
    serializer_->split(head);
    auto done = [self = shared_from_this(), keep](const beast::error_code& failure, auto) {
      if (failure) return;
      if (keep) return self->read();
      beast::error_code ignored;
      self->stream_.socket().shutdown(tcp::socket::shutdown_send, ignored);
      self->stream_.expires_after(kLinger);
      self->linger();
    };
    if (head) {
      beast::http::async_write_header(stream_, *serializer_, std::move(done));
    } else {
      beast::http::async_write(stream_, *serializer_, std::move(done));
    }
  }

  // What the client still sends is read: closed before, the kernel would reset the connection, and the client
  // lose the answer.
  void linger() {
    buffer_.clear();
    stream_.async_read_some(buffer_.prepare(kMostHeaderBytes),
                            [self = shared_from_this()](const beast::error_code& failure, auto) {
                              if (!failure) self->linger();
                            });
  }

  const bool is_loopback_;
  bool reading_ = false;
  beast::tcp_stream stream_;
  std::shared_ptr<Shared> shared_;
  std::list<Client*>::iterator place_;
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
    if (!failure) {
      // Its end frees its place, at the latest with its pending operation.
      if (shared_->clients.size() >= kMostConnections) shared_->clients.front()->close();
      if (shared_->clients.size() < 2 * kMostConnections) {
        std::make_shared<Client>(std::move(socket), shared_)->read();
      }
      return accept();
    }
    executor_.post_after(std::chrono::milliseconds(50), [this] { accept(); });
  });
}

void HttpListener::stop() {
  std::promise<void> stopped;
  asio::post(acceptor_.get_executor(), [this, &stopped] {
    shared_->stopping = true;
    boost::system::error_code ignored;
    acceptor_.close(ignored);
    for (Client* client : shared_->clients) {
      if (client->is_reading()) client->close();
    }
    stopped.set_value();
  });
  stopped.get_future().wait();
}

}  // namespace bop::wire::http
