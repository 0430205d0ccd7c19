// One client connection as a state machine without a socket: bytes in, bytes out, a Session in between.
//
// Whoever owns the socket calls `feed` with what it read and, after every call, sends `sendable()` and tells
// `sent`. The machine works through complete messages until one has to wait: for the session (it calls the
// given wake function when it can go on; then call `advance`), for room in the output (`sent` makes it), or
// for more input. Nothing behind an unreleased output gate is ever sendable (output_queue.hpp); `held_by`
// names the commit to wait for. A batch of pipelined messages becomes one run of output.
//
// TLS is the socket's: after a request for it that is answered 'S', `wants_tls` is true, no byte is taken and
// none may be sent in the clear until the owner has shaken hands and says so with `tls_started`.
//
// Threads: one at a time. The wake function alone may be called at any moment, also inside a call of ours: it
// must only schedule `advance`. Memory: an idle connection holds no buffers above kKeptBufferBytes.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/scram.hpp"
#include "base/time.hpp"
#include "base/trace.hpp"
#include "session/session.hpp"
#include "wire/pg/cancel_keys.hpp"
#include "wire/pg/message.hpp"
#include "wire/pg/output_queue.hpp"
#include "wire/pg/replies.hpp"
#include "wire/pg/startup.hpp"

namespace bop::wire::pg {

// What the connections of a node share; outlives them.
struct Services {
  session::SessionFactory& factory;
  CancelKeys& cancel_keys;
  Random& random;
  std::string node_secret;  // makes the salts of unknown roles
  bool trust_loopback = false;
  enum class Tls : std::uint8_t { kOff, kOn, kRequired };
  Tls tls = Tls::kOff;
  std::size_t max_message_bytes = std::size_t{64} << 20;
};

class Connection final : private session::ReplySink {
 public:
  Connection(Services& services, Executor& executor, std::string client_address, bool is_loopback,
             std::function<void()> wake);
  ~Connection() override;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void feed(std::string_view bytes);
  // Goes on with what waited. Harmless at any time.
  void advance();

  [[nodiscard]] std::string_view sendable();
  void sent(std::size_t bytes);
  [[nodiscard]] std::optional<Csn> held_by() const { return output_.held_by(); }
  // The log will not commit what held bytes wait for: they are dropped and the client hears why.
  void gate_failed(const Error& e);

  // Once the output is empty, the next bytes of the socket belong to a handshake.
  [[nodiscard]] bool wants_tls() const noexcept { return phase_ == Phase::kTls; }
  // `end_point`: what SCRAM can bind to, the hash of our certificate (RFC 5929); none if it has no such hash.
  void tls_started(session::Encryption encryption, std::optional<std::string> end_point);

  // False while an operation waits or the client reads too slowly: then leave bytes in the socket.
  [[nodiscard]] bool wants_input() const;
  // An operation waits for something else than room in the output: the lane, a reader, the log.
  [[nodiscard]] bool is_waiting() const {
    return operation_ != Operation::kNone && progress_ == session::Progress::kWaiting && !saw_full_;
  }
  // Nothing more will be read or produced: close the socket once everything was sent.
  [[nodiscard]] bool is_closing() const noexcept { return phase_ == Phase::kClosing; }
  [[nodiscard]] bool is_authenticated() const noexcept { return session_ != nullptr; }
  // Others wait for what the statement in progress holds.
  [[nodiscard]] bool holds_up_others() const { return session_ != nullptr && session_->holds_up_others(); }
  [[nodiscard]] std::int32_t backend_pid() const { return key_.process_id; }
  [[nodiscard]] std::size_t unsent() const noexcept { return output_.unsent(); }
  [[nodiscard]] std::size_t memory_bytes() const noexcept { return input_.capacity() + output_.capacity(); }

  // Ends the connection with this FATAL error as soon as no statement runs; at once when none does.
  void stop(Error reason);
  // Ends it now. The socket's owner calls it with kConnectionFailure when the client is gone.
  void abort(const Error& reason);

 private:
  enum class Phase : std::uint8_t { kStartup, kTls, kSaslInitial, kSaslFinal, kReady, kCopyIn, kClosing };
  // What the session does for us; decides what follows its end.
  enum class Operation : std::uint8_t { kNone, kQuery, kExecute, kSync, kCopyData, kCopyEnd };

  // ---- input
  [[nodiscard]] bool can_take_message() const;
  // Takes one message from the front of `rest`; false when it is not complete.
  bool take_message(std::string_view& rest);
  bool take_startup(std::string_view& rest);
  void work();
  void settle();

  // ---- start-up (connection_startup.cpp)
  void on_startup(std::string_view body, bool bytes_follow);
  void on_sasl_initial(MessageReader& reader);
  void on_sasl_final(std::string_view data);
  void open_session();

  // ---- messages (connection_messages.cpp)
  void on_message(Frontend type, std::string_view body);
  void on_copy_message(Frontend type, std::string_view body);
  void on_query(std::string_view body);
  void on_parse(std::string_view body);
  void on_bind(std::string_view body);
  void on_describe(std::string_view body);
  void on_execute(std::string_view body);
  void on_close(std::string_view body);
  void begin(Operation operation, session::Progress progress);
  void after_operation(Operation operation);
  void ready_for_query();
  void deliver_notifications();

  // ---- times of statements
  // Enters `stage` of the statement that is being told, or begins one; the one that was executed before is
  // told to its end.
  void trace_stage(Stage stage);
  void trace_text(std::string_view text);  // what the slow-statement log shows
  // The statement is answered: what is left of it is the way of its answer.
  void end_trace();
  void finish_traces(std::uint64_t sent_bytes);

  // An error of the extended protocol: everything up to Sync is skipped.
  void extended_error(const Error& e);
  void fatal(const Error& e);
  void violation(std::string_view what);
  void close();
  [[nodiscard]] std::string& out() { return output_.buffer(); }

  // ---- session::ReplySink
  void gate(Csn csn) override;
  void row_description(std::span<const session::OutputColumn> columns) override;
  void rows(const sql::ResultBatch& batch) override;
  void command_complete(std::string_view tag) override;
  void empty_query() override;
  void portal_suspended() override;
  void stage(Stage stage) override;
  void committed() override;
  void error(const Error& e) override;
  void notice(session::Severity severity, const Error& e) override;
  void parameter_status(std::string_view name, std::string_view value) override;
  void copy_in(const session::CopyFormat& format) override;
  void copy_out(const session::CopyFormat& format) override;
  void copy_data(std::string_view bytes) override;
  void copy_done() override;
  void notification(std::int32_t sender, std::string_view channel, std::string_view payload) override;
  [[nodiscard]] bool full() const override;
  void wake() override;

  Services& services_;
  Executor& executor_;
  std::function<void()> wake_;
  std::mutex end_mutex_;
  std::optional<Error> end_reason_;  // given by the session on any thread, with the mutex held
  std::unique_ptr<session::Session> session_;
  std::string input_;  // an incomplete message, or what waits behind an operation
  OutputQueue output_;
  std::vector<ResultColumn> columns_;  // of the rows that come next
  struct Trace {
    StatementTrace times;
    std::string text;
    std::optional<ErrorCode> error;
    std::uint64_t end = 0;  // of its answer, in bytes of the connection
  };
  std::optional<Trace> trace_;  // of the statement that is being told or executed
  bool trace_executed_ = false;
  std::deque<Trace> answered_;      // their answers are not all sent
  std::size_t answered_freed_ = 0;  // of them: the gate is behind them
  std::uint64_t sent_bytes_ = 0;
  std::int64_t message_since_ns_ = 0;  // when the message that comes next began to arrive or to wait
  std::optional<Error> stop_reason_;
  std::optional<Error> defect_;  // found where the sink has no way to answer; fatal at the operation's end

  // Only during start-up.
  struct Login {
    session::ConnectRequest request;
    std::optional<ScramServer> scram;
    std::optional<session::Encryption> encryption;
    std::optional<std::string> end_point;
    bool ssl_requested = false;
    bool gss_requested = false;
  };
  std::unique_ptr<Login> login_;
  std::string client_address_;
  CancelKeys::Key key_;

  Phase phase_ = Phase::kStartup;
  Operation operation_ = Operation::kNone;
  session::Progress progress_ = session::Progress::kDone;
  bool is_loopback_;
  bool working_ = false;
  bool skip_to_sync_ = false;
  bool copy_is_extended_ = false;
  bool operation_failed_ = false;  // error() was called by it
  mutable bool saw_full_ = false;  // full() answered true to it
  std::atomic<bool> woken_ = false;
};

}  // namespace bop::wire::pg
