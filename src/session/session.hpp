// A session: what every wire protocol speaks to. One connected user of one database.
//
// The wire decodes messages and calls `start_*`; the session answers into the wire's `ReplySink`. Work that
// has to wait (the writer lane, the output gate, a full output buffer) does not block the thread: the call
// returns Progress::kWaiting and the session calls `ReplySink::wake` on the session's executor when `resume`
// can go on. At most one operation is in progress; `cancel` and `terminate` alone may be called from any
// thread.
//
// Output gate (promise 2): the sink's `gate(csn)` says that nothing written after this call may leave the
// process before the log is committed up to `csn`. The wire keeps bytes back per gate; the session only says
// it. For a session that `answers_early` the wire keeps none back (durability.hpp).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/ids.hpp"
#include "base/time.hpp"
#include "base/trace.hpp"
#include "sql/plan.hpp"
#include "sql/types/codec.hpp"
#include "sql/types/value.hpp"

namespace bop::session {

using sql::OutputColumn;

enum class TransactionStatus : char { kIdle = 'I', kInBlock = 'T', kFailed = 'E' };
enum class Progress : std::uint8_t { kDone, kSuspended, kWaiting };
enum class Severity : std::uint8_t { kNotice, kWarning, kInfo, kLog, kDebug };
// The words of the error of a statement that was prepared before DDL and would answer other columns now.
inline constexpr std::string_view kResultTypeChanged = "cached plan must not change result type";
// A wire's result formats: PostgreSQL's text (0) and binary (1).
enum class Format : std::uint8_t { kText = 0, kBinary = 1 };

// A statement parameter as it came: nullopt is NULL.
struct Parameter {
  Format format = Format::kText;
  std::optional<std::string> bytes;
};

struct CopyFormat {
  bool binary = false;
  std::uint16_t columns = 0;
};

// Where answers go. All calls come on the session's executor, during start_*/resume.
class ReplySink {
 public:
  virtual ~ReplySink() = default;
  // Nothing after this call may leave before the log is committed up to `csn`.
  virtual void gate(Csn csn) = 0;
  virtual void row_description(std::span<const OutputColumn> columns) = 0;
  // Rows of the statement described last (by row_description, or by Describe for the extended protocol).
  virtual void rows(const ResultBatch& batch) = 0;
  virtual void command_complete(std::string_view tag) = 0;  // "INSERT 0 1"
  // From here on the statement spends its time in `stage`.
  virtual void stage(Stage stage) { (void)stage; }
  // The statement, or the transaction that it ended, has committed a change; `gate` follows.
  virtual void committed() {}
  virtual void empty_query() = 0;
  virtual void portal_suspended() = 0;
  virtual void error(const Error& e) = 0;
  virtual void notice(Severity severity, const Error& e) = 0;
  virtual void parameter_status(std::string_view name, std::string_view value) = 0;
  virtual void copy_in(const CopyFormat& format) = 0;
  virtual void copy_out(const CopyFormat& format) = 0;
  virtual void copy_data(std::string_view bytes) = 0;
  virtual void copy_done() = 0;
  virtual void notification(std::int32_t sender, std::string_view channel, std::string_view payload) = 0;
  // True while the peer reads slower than we write: the session then stops producing and answers kWaiting;
  // the wire calls `Session::resume` when there is room.
  [[nodiscard]] virtual bool full() const = 0;
  // The session can go on: the wire must call `Session::resume` soon, on the session's executor.
  virtual void wake() = 0;
};

struct PreparedDescription {
  std::vector<Oid> parameters;
  std::optional<std::vector<OutputColumn>> columns;  // nullopt: the statement answers no rows
};

class Session {
 public:
  virtual ~Session() = default;

  // ---- simple protocol: all statements of `text`, one implicit transaction. Errors go to the sink.
  [[nodiscard]] virtual Progress start_query(std::string text, ReplySink& sink) = 0;

  // ---- extended protocol. An error leaves the session as if the call had not been (apart from a failed
  // transaction block); the wire then skips to Sync. An empty name is the unnamed statement or portal.
  [[nodiscard]] virtual Status parse(std::string name, std::string text, std::span<const Oid> type_hints) = 0;
  [[nodiscard]] virtual Result<PreparedDescription> describe_statement(const std::string& name) = 0;
  [[nodiscard]] virtual Result<std::optional<std::vector<OutputColumn>>> describe_portal(
      const std::string& name) = 0;
  // `formats` of results: none (all text), one (for all) or one a column.
  [[nodiscard]] virtual Status bind(std::string portal, const std::string& statement,
                                    std::vector<Parameter> parameters, std::vector<Format> formats) = 0;
  [[nodiscard]] virtual Result<std::span<const Format>> portal_formats(const std::string& portal) = 0;
  // The statement's text, for logs; empty when there is no such portal.
  [[nodiscard]] virtual std::string_view portal_text(const std::string& portal) const {
    (void)portal;
    return {};
  }
  // `max_rows` 0 is no limit. kSuspended: portal_suspended() was called, execute again for more.
  [[nodiscard]] virtual Progress start_execute(const std::string& portal, std::uint64_t max_rows,
                                               ReplySink& sink) = 0;
  virtual void close_statement(const std::string& name) = 0;
  virtual void close_portal(const std::string& name) = 0;
  // Ends the implicit transaction (commits, or rolls back after an error).
  [[nodiscard]] virtual Progress start_sync(ReplySink& sink) = 0;
  // After an error in extended mode: marks the implicit transaction as failed.
  virtual void fail_extended() = 0;

  // ---- COPY FROM STDIN: between copy_in() and the end; `copy_input` may answer kWaiting.
  [[nodiscard]] virtual Progress copy_input(std::string_view bytes) = 0;
  [[nodiscard]] virtual Progress copy_input_done() = 0;
  [[nodiscard]] virtual Progress copy_input_fail(std::string_view reason) = 0;
  [[nodiscard]] virtual bool in_copy() const = 0;

  [[nodiscard]] virtual Progress resume() = 0;  // goes on with what answered kWaiting
  [[nodiscard]] virtual TransactionStatus transaction_status() const = 0;

  // Codec context (time zone, float digits...) for the wire's conversion of rows.
  [[nodiscard]] virtual const CodecContext& codec_context() const = 0;
  // name and value of every parameter that the protocol reports at start-up.
  [[nodiscard]] virtual std::vector<std::pair<std::string, std::string>> reported_parameters() const = 0;
  // Others wait for what the operation in progress holds: a connection for reading or the writer lane. On the
  // session's executor.
  [[nodiscard]] virtual bool holds_up_others() const = 0;
  // From any thread: the running statement ends with kCancelled, or nothing happens.
  virtual void cancel() = 0;
  // The client is gone: what runs ends, and so does whatever it would run instead.
  virtual void abandon() { cancel(); }
  [[nodiscard]] virtual std::int32_t backend_pid() const = 0;
  // `end` is called on the session's executor when the connection is to end with this FATAL error: at once
  // when it is idle, else with the statement in progress.
  virtual void when_ended(std::function<void(Error)> end) { (void)end; }
  // NOTIFY: `wake` is called on any thread when there may be something to deliver.
  virtual void when_notified(std::function<void()> wake) { (void)wake; }
  // Tells the sink what was heard, as far as it has room; nothing during a transaction. While no operation is
  // in progress.
  virtual void deliver_notifications(ReplySink& sink) { (void)sink; }
  // What the answer of parse, bind or a describe_* was computed from, its error included.
  [[nodiscard]] virtual Csn gate() const { return Csn(); }
  // The session has chosen to hear answers before the log is committed up to their gates.
  [[nodiscard]] virtual bool answers_early() const { return false; }
};

// How a connection is encrypted, as pg_stat_ssl shows it.
struct Encryption {
  std::string version, cipher;  // "TLSv1.3", "TLS_AES_256_GCM_SHA384"
  std::int32_t bits = 0;
};

// Start-up parameters of a connection, after the wire has authenticated nothing yet.
struct ConnectRequest {
  std::string user;
  std::string database;  // empty: same as user
  std::string application_name;
  std::vector<std::pair<std::string, std::string>>
      settings;  // further start-up settings ("options" expanded)
  std::string client_address;
  std::optional<Encryption> encryption;  // nullopt: none
};

// What a wire needs to authenticate a role. Verifier text: "SCRAM-SHA-256$4096:salt$StoredKey:ServerKey".
struct Verifier {
  std::string method;
  std::string text;
};

// The node's door: thread-safe.
class SessionFactory {
 public:
  virtual ~SessionFactory() = default;
  // Verifiers of a role that may log in; empty when there is no such role (the wire then acts a mock
  // exchange).
  [[nodiscard]] virtual std::vector<Verifier> verifiers(std::string_view user) const = 0;
  // After authentication. Errors: no such role, database, too many connections, stopping.
  [[nodiscard]] virtual Result<std::unique_ptr<Session>> connect(const ConnectRequest& request,
                                                                 Executor& executor,
                                                                 std::int32_t backend_pid) = 0;
  // Commit watermark of the log, for the wire's output gate. `when` as database::OutputGate::when.
  [[nodiscard]] virtual Csn released() const = 0;
  virtual bool when_released(Csn csn, Executor& executor, std::move_only_function<void(Status)> run) = 0;
};

}  // namespace bop::session
