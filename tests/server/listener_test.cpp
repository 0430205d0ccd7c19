// Real sockets and real clients in front of a session without a database.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <thread>

#include "base/asio_executor.hpp"
#include "base/disk.hpp"
#include "server/pg_listener.hpp"
#include "wire/pg/conversation.hpp"

namespace bop::server {
namespace {

namespace pg = wire::pg;
using boost::asio::ip::tcp;
using std::chrono::milliseconds;

struct Node {
  explicit Node(PgLimits limits = {}, PgListener::Capacity capacity = {}, TlsCertificate* tls = nullptr) {
    services.trust_loopback = true;
    if (tls != nullptr) services.tls = pg::Services::Tls::kOn;
    auto socket = listen_on(reactor.io(), "127.0.0.1", 0, "pg-port");
    listener = std::make_unique<PgListener>(std::move(*socket), std::vector<AsioExecutor*>{&reactor},
                                            services, tls, limits, capacity);
    reactor.start();
    listener->start();
  }
  ~Node() {
    listener->stop();
    keys.cancel_all();
    if (!listener->wait_until_empty(milliseconds(5000))) {
      listener->abort();
      EXPECT_TRUE(listener->wait_until_empty(milliseconds(5000)));
    }
    reactor.stop();
  }

  session::FakeFactory factory;
  pg::CancelKeys keys{system_random()};
  pg::Services services{factory, keys, system_random(), "secret"};
  AsioExecutor reactor;
  std::unique_ptr<PgListener> listener;
};

// A blocking client that reads whole messages.
class Peer {
 public:
  explicit Peer(Node& node) : socket_(io_) {
    socket_.connect({boost::asio::ip::address_v4::loopback(), node.listener->port()});
  }
  void send(std::string_view bytes) {
    while (!bytes.empty()) {
      bytes.remove_prefix(socket_.write_some(boost::asio::buffer(bytes.data(), bytes.size())));
    }
  }
  // The types of the messages up to one of type `last`, or to the end of the connection ("." then).
  std::string until(char last) {
    std::string types;
    while (true) {
      while (rest_.size() >= 5 && rest_.size() > pg::load_big_endian<std::uint32_t>(rest_.data() + 1)) {
        const char type = rest_[0];
        rest_.erase(0, pg::load_big_endian<std::uint32_t>(rest_.data() + 1) + 1);
        types += type;
        if (type == last) return types;
      }
      std::array<char, 65536> buffer;
      boost::system::error_code end;
      const std::size_t got = socket_.read_some(boost::asio::buffer(buffer), end);
      if (end) return types + ".";
      rest_.append(buffer.data(), got);
    }
  }
  std::string log_in() {
    send(pg::startup({{"user", "bop"}}));
    return until('Z');
  }
  tcp::socket& socket() { return socket_; }

 private:
  boost::asio::io_context io_;
  tcp::socket socket_;
  std::string rest_;
};

std::string output_of(const std::string& command) {
  std::FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  std::string out;
  std::array<char, 4096> buffer;
  while (const std::size_t got = std::fread(buffer.data(), 1, buffer.size(), pipe))
    out.append(buffer.data(), got);
  ::pclose(pipe);
  return out;
}

TEST(PgListener, ServesPsql) {
  if (output_of("psql --version").find("PostgreSQL") == std::string::npos)
    GTEST_SKIP() << "psql is not installed";
  Node node;
  node.services.trust_loopback = false;
  const std::string psql = fmt::format(
      "PGPASSWORD=secret PSQLRC=/dev/null psql -X -At -h 127.0.0.1 -p {} -U bop bop ", node.listener->port());
  EXPECT_EQ(output_of(psql + "-c 'ROWS 3'"), "0|row 0\n1|row 1\n2|row 2\n");
  EXPECT_EQ(output_of("printf 'a\\tb\\n' | " + psql + "-c 'COPY IN'"), "COPY 4\n");
  EXPECT_EQ(output_of(psql + "-c 'COPY OUT 2'"), "line\nline\n");
  EXPECT_EQ(output_of(psql + "-c FAIL"),
            "ERROR:  duplicate key\nDETAIL:  Key (id)=(1) already exists.\nHINT:  a hint\n"
            "CONTEXT:  a context\n");
  const std::string wrong = output_of("PGPASSWORD=wrong psql -X -h 127.0.0.1 -p " +
                                      std::to_string(node.listener->port()) + " -U bop -c 'ROWS 1' bop");
  EXPECT_NE(wrong.find("password authentication failed for user \"bop\""), std::string::npos) << wrong;
}

TEST(PgListener, ManyClientsAtOnce) {
  Node node;
  std::vector<std::unique_ptr<Peer>> peers;
  for (int i = 0; i < 200; ++i) peers.push_back(std::make_unique<Peer>(node));
  for (auto& peer : peers) EXPECT_EQ(peer->log_in().back(), 'Z');
  EXPECT_EQ(node.listener->count(), 200u);
  for (auto& peer : peers) peer->send(pg::query("ROWS 100") + pg::query("ROWS 1"));
  for (auto& peer : peers) {
    EXPECT_EQ(peer->until('Z').size(), 103u);
    EXPECT_EQ(peer->until('Z'), "TDCZ");
  }
}

TEST(PgListener, BigResultWaitsForASlowReader) {
  Node node;
  Peer peer(node);
  peer.log_in();
  // The session stops when the buffers are full and goes on as they empty; the second query waits in the
  // socket.
  peer.send(pg::query("ROWS 200000") + pg::query("ROWS 1"));
  EXPECT_EQ(peer.until('Z').size(), 200'003u);
  EXPECT_EQ(peer.until('Z'), "TDCZ");
}

// A certificate of its own in a folder of its own.
struct Certificate {
  Certificate() {
    std::filesystem::remove_all(folder);
    disk = std::move(*open_system_disk("pwritev"));
    DataDirectory directory = std::move(*DataDirectory::open(*disk, folder));
    EXPECT_TRUE(make_tls_files(directory, system_clock(), system_random()));
    certificate = std::move(*TlsCertificate::open(
        {.certificate_file = folder + "/tls.crt", .key_file = folder + "/tls.key"}, system_clock()));
  }
  ~Certificate() { std::filesystem::remove_all(folder); }
  std::string folder =
      fmt::format("{}/bop-listener-{}", std::filesystem::temp_directory_path().string(), ::getpid());
  std::unique_ptr<Disk> disk;
  std::unique_ptr<TlsCertificate> certificate;
};

TEST(PgListener, HandshakeThatStopsEndsWithTheTimeOfTheLogin) {
  Certificate own;
  Node node(PgLimits{.authentication_timeout = milliseconds(50)}, {}, own.certificate.get());
  for (const std::string_view begun : {std::string_view(), std::string_view("\x16\x03\x01\x00\xf8\x01", 6)}) {
    Peer peer(node);
    peer.send(pg::request_code(pg::kSslCode));
    char answer = 0;
    boost::asio::read(peer.socket(), boost::asio::buffer(&answer, 1));
    EXPECT_EQ(answer, 'S');
    peer.send(begun);
    EXPECT_EQ(peer.until('Z'), ".");  // not a word in the clear
  }
  EXPECT_TRUE(node.listener->wait_until_empty(milliseconds(5000)));
}

TEST(PgListener, ClientThatDoesNotReadIsCutOff) {
  Node node(PgLimits{.write_timeout = milliseconds(50)});
  node.factory.others_wait = true;
  Peer peer(node);
  peer.log_in();
  std::string flood;
  for (int i = 0; i < 100; ++i) flood += pg::query("ROWS 200000");
  peer.send(flood);
  EXPECT_TRUE(node.listener->wait_until_empty(milliseconds(20'000)));
  EXPECT_EQ(node.factory.alive, 0);
}

TEST(PgListener, ClientThatDoesNotReadIsLeftAloneWhileNobodyWaits) {
  for (const bool others_wait : {false, true}) {
    Node node(PgLimits{.write_timeout = milliseconds(others_wait ? 0 : 50)});
    node.factory.others_wait = others_wait;
    Peer peer(node);
    peer.log_in();
    std::string flood;
    for (int i = 0; i < 100; ++i) flood += pg::query("ROWS 20000");
    peer.send(flood);
    EXPECT_FALSE(node.listener->wait_until_empty(milliseconds(1500)));
    std::size_t answers = 0;
    while (answers < 100) answers += std::ranges::count(peer.until('Z'), 'Z');
    EXPECT_EQ(answers, 100u);
  }
}

TEST(PgListener, SocketsAboveTheCapacityAreToldSo) {
  Node node({}, {.sockets = 2});
  Peer silent(node);
  Peer known(node);
  known.log_in();
  Peer refused(node);
  EXPECT_EQ(refused.until('E'), "E");
  EXPECT_EQ(refused.until('Z'), ".");
  EXPECT_EQ(node.listener->count(), 2u);
}

TEST(PgListener, DescriptorsOfTheReserveAreNotForClients) {
  Node node({}, {.descriptors = 3});
  Peer refused(node);
  EXPECT_EQ(refused.until('E'), "E");
  EXPECT_EQ(node.listener->count(), 0u);
}

TEST(PgListener, SilentClientIsCutOffBeforeItIsKnown) {
  Node node(PgLimits{.authentication_timeout = milliseconds(50)});
  Peer silent(node);
  EXPECT_EQ(silent.until('Z'), "E.");
  Peer known(node);
  known.log_in();
  EXPECT_TRUE(node.listener->count() == 1);
}

TEST(PgListener, HeldAnswersLeaveWhenTheLogCommits) {
  Node node;
  Peer peer(node);
  peer.log_in();
  peer.send(pg::query("ROWS 1; GATE 5"));  // what stands before the gate is little and leaves with the rest
  // On the reactor: what the log does when it has committed.
  while (true) {
    std::atomic<int> state = 0;
    node.reactor.post([&] {
      if (node.factory.waiters.empty()) {
        state = 1;
        return;
      }
      node.factory.released_csn = 5;
      auto waiters = std::move(node.factory.waiters);
      node.factory.waiters.clear();
      for (auto& [csn, run] : waiters) run({});
      state = 2;
    });
    while (state == 0) std::this_thread::yield();
    if (state == 2) break;
  }
  EXPECT_EQ(peer.until('Z'), "TDCCZ");
}

TEST(PgListener, FailedLogEndsTheConnectionThatWaitsForIt) {
  Node node;
  Peer peer(node);
  peer.log_in();
  peer.send(pg::query("GATE 5"));
  while (true) {
    std::atomic<int> state = 0;
    node.reactor.post([&] {
      auto waiters = std::move(node.factory.waiters);
      node.factory.waiters.clear();
      for (auto& [csn, run] : waiters) run(fail(ErrorCode::kPoisoned, "the log failed"));
      state = waiters.empty() ? 1 : 2;
    });
    while (state == 0) std::this_thread::yield();
    if (state == 2) break;
  }
  EXPECT_EQ(peer.until('Z'), "E.");
}

TEST(PgListener, StopEndsIdleClientsAndWaitsForStatements) {
  Node node;
  Peer idle(node), busy(node);
  idle.log_in();
  busy.log_in();
  busy.send(pg::query("WAIT"));
  // The answer to a later client shows that the reactor has seen the statement.
  Peer later(node);
  later.log_in();
  node.listener->stop();
  EXPECT_EQ(idle.until('Z'), "E.");
  EXPECT_EQ(later.until('Z'), "E.");
  EXPECT_FALSE(node.listener->wait_until_empty(milliseconds(20)));
  node.keys.cancel_all();
  EXPECT_EQ(busy.until('Z'), "EZ");
  EXPECT_EQ(busy.until('Z'), "E.");
  EXPECT_TRUE(node.listener->wait_until_empty(milliseconds(5000)));
}

TEST(PgListener, TakenPortIsOneSentence) {
  boost::asio::io_context io;
  auto first = listen_on(io, "127.0.0.1", 0, "pg-port");
  ASSERT_TRUE(first);
  const auto second = listen_on(io, "127.0.0.1", first->local_endpoint().port(), "pg-port");
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().what().find("in use"), std::string::npos);
  EXPECT_NE(second.error().what().find("--pg-port"), std::string::npos);
  EXPECT_FALSE(listen_on(io, "nowhere", 0, "pg-port"));
  EXPECT_FALSE(listen_on(io, "192.0.2.1", 0, "pg-port"));
}

}  // namespace
}  // namespace bop::server
