// A server that has everything of `bop serve` between the socket and the session, and no database: whatever
// is asked, the answer is one row with one number. What it does a second is the most that the wire lets
// through, so what `bop serve` does less is the price of the session and what lies below (run.py,
// null_select_8).
//
//   null_server [REACTORS]     prints "port N" and serves on 127.0.0.1 without passwords until it is killed
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/asio_executor.hpp"
#include "base/time.hpp"
#include "server/pg_listener.hpp"
#include "session/session.hpp"
#include "sql/types/types.hpp"
#include "wire/pg/connection.hpp"

namespace bop {
namespace {

using session::Format;
using session::Progress;
using session::ReplySink;

class NullSession final : public session::Session {
 public:
  explicit NullSession(std::int32_t pid) : pid_(pid) {
    row_.reset(1);
    row_.append(Value::of_int(1));
  }

  Progress start_query(std::string, ReplySink& sink) override {
    sink.row_description(columns_);
    return answer(sink);
  }
  // Every parameter is an int4, as that of pgbench's SELECT.
  Status parse(std::string name, std::string text, std::span<const Oid>) override {
    prepared_[std::move(name)] = text.find("$1") == text.npos ? 0U : 1U;
    return {};
  }
  Result<session::PreparedDescription> describe_statement(const std::string& name) override {
    return session::PreparedDescription{std::vector<Oid>(prepared_[name], types::kInt4), columns_};
  }
  Result<std::optional<std::vector<sql::OutputColumn>>> describe_portal(const std::string&) override {
    return columns_;
  }
  Status bind(std::string, const std::string&, std::vector<session::Parameter>,
              std::vector<Format> formats) override {
    formats_ = std::move(formats);
    return {};
  }
  Result<std::span<const Format>> portal_formats(const std::string&) override {
    return std::span<const Format>(formats_);
  }
  Progress start_execute(const std::string&, std::uint64_t, ReplySink& sink) override { return answer(sink); }
  void close_statement(const std::string& name) override { prepared_.erase(name); }
  void close_portal(const std::string&) override {}
  Progress start_sync(ReplySink&) override { return Progress::kDone; }
  void fail_extended() override {}
  Progress copy_input(std::string_view) override { return Progress::kDone; }
  Progress copy_input_done() override { return Progress::kDone; }
  Progress copy_input_fail(std::string_view) override { return Progress::kDone; }
  bool in_copy() const override { return false; }
  Progress resume() override { return Progress::kDone; }
  session::TransactionStatus transaction_status() const override { return session::TransactionStatus::kIdle; }
  const sql::CodecContext& codec_context() const override { return context_; }
  std::vector<std::pair<std::string, std::string>> reported_parameters() const override {
    return {{"server_version", "15.8"}, {"client_encoding", "UTF8"}, {"integer_datetimes", "on"}};
  }
  bool holds_up_others() const override { return false; }
  void cancel() override {}
  std::int32_t backend_pid() const override { return pid_; }

 private:
  Progress answer(ReplySink& sink) {
    sink.rows(row_);
    sink.command_complete("SELECT 1");
    return Progress::kDone;
  }

  const std::int32_t pid_;
  std::map<std::string, std::size_t> prepared_;  // and the number of parameters
  std::vector<Format> formats_;
  std::vector<sql::OutputColumn> columns_{{"abalance", types::kInt4, -1, 0, 0}};
  ResultBatch row_;
  sql::CodecContext context_;
};

class NullFactory final : public session::SessionFactory {
 public:
  std::vector<session::Verifier> verifiers(std::string_view) const override { return {}; }
  Result<std::unique_ptr<session::Session>> connect(const session::ConnectRequest&, Executor&,
                                                    std::int32_t backend_pid) override {
    return std::make_unique<NullSession>(backend_pid);
  }
  Csn released() const override { return Csn(); }
  bool when_released(Csn, Executor&, std::move_only_function<void(Status)>) override { return true; }
};

Status serve(std::size_t reactors) {
  std::vector<std::unique_ptr<AsioExecutor>> loops;
  std::vector<AsioExecutor*> executors;
  for (std::size_t i = 0; i < reactors; ++i) {
    loops.push_back(std::make_unique<AsioExecutor>());
    executors.push_back(loops.back().get());
  }
  NullFactory factory;
  wire::pg::CancelKeys keys(system_random());
  wire::pg::Services services{.factory = factory,
                              .cancel_keys = keys,
                              .random = system_random(),
                              .node_secret = {},
                              .trust_loopback = true};
  BOP_LET(socket, server::listen_on(executors[0]->io(), "127.0.0.1", 0, "port"));
  server::PgListener listener(std::move(socket), executors, services, nullptr, {}, {});
  for (const auto& loop : loops) loop->start();
  listener.start();
  std::printf("port %u\n", listener.port());
  std::fflush(stdout);
  for (;;) ::pause();
}

}  // namespace
}  // namespace bop

int main(int count, char** words) {
  std::size_t reactors = 1;
  if (count > 1) {
    const std::string_view text = words[1];
    std::from_chars(text.data(), text.data() + text.size(), reactors);
  }
  const bop::Status served = bop::serve(std::max<std::size_t>(reactors, 1));
  std::fprintf(stderr, "null_server: %s\n", std::string(served.error().what()).c_str());
  return 1;
}
