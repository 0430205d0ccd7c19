// A session that answers without a database, so that the wires are tested alone. Its statements are words:
//
//   ROWS n           n rows (int4 n, text "row n"), stopping while the sink is full
//   PARAMETERS n     one row of the n parameters as text
//   FAIL             an error with every field
//   WAIT             waits until the test calls `let_go`
//   GATE n           tells the sink gate(n)
//   BEGIN, COMMIT    the transaction status; NOTICE; SET
//   COPY IN          counts the bytes it gets; a line "bad" fails
//   COPY OUT n       n lines
//   anything else    is completed with its own text as the tag
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/scram.hpp"
#include "session/session.hpp"
#include "sql/types/types.hpp"

namespace bop::session {

class FakeFactory;

class FakeSession final : public Session {
 public:
  FakeSession(FakeFactory& factory, std::int32_t pid) : factory_(factory), pid_(pid) {}
  ~FakeSession() override;

  Progress start_query(std::string text, ReplySink& sink) override {
    sink_ = &sink;
    statements_.clear();
    simple_ = true;
    std::string word;
    for (const char c : text + ";") {
      if (c != ';') {
        word += c;
        continue;
      }
      if (word.find_first_not_of(" \n") != word.npos)
        statements_.push_back(word.substr(word.find_first_not_of(" \n")));
      word.clear();
    }
    if (statements_.empty()) sink.empty_query();
    return go_on();
  }
  Status parse(std::string name, std::string text, std::span<const Oid> hints) override {
    if (text == "BAD") return fail(ErrorCode::kSyntaxError, "syntax error at or near \"BAD\"");
    prepared_[name] = {text, {hints.begin(), hints.end()}};
    return {};
  }
  Result<PreparedDescription> describe_statement(const std::string& name) override {
    if (!prepared_.contains(name))
      return fail(ErrorCode::kInvalidStatementName, "no prepared statement {}", name);
    return PreparedDescription{prepared_[name].types, columns_of(prepared_[name].text)};
  }
  Result<std::optional<std::vector<OutputColumn>>> describe_portal(const std::string& name) override {
    if (!portals_.contains(name))
      return fail(ErrorCode::kInvalidCursorName, "portal \"{}\" does not exist", name);
    return columns_of(portals_[name].text);
  }
  Status bind(std::string portal, const std::string& statement, std::vector<Parameter> parameters,
              std::vector<Format> formats) override {
    if (!prepared_.contains(statement)) {
      return fail(ErrorCode::kInvalidStatementName, "prepared statement \"{}\" does not exist", statement);
    }
    portals_[portal] = {prepared_[statement].text, std::move(parameters), std::move(formats)};
    return {};
  }
  Result<std::span<const Format>> portal_formats(const std::string& portal) override {
    return std::span<const Format>(portals_[portal].formats);
  }
  Progress start_execute(const std::string& portal, std::uint64_t max_rows, ReplySink& sink) override {
    sink_ = &sink;
    simple_ = false;
    portal_ = &portals_[portal];
    limit_ = max_rows == 0 ? UINT64_MAX : max_rows;
    statements_ = {portal_->text};
    if (portal_->started) {
      const std::uint64_t next = next_;
      const Progress progress = row_batch(next, true);
      if (progress == Progress::kDone) statements_.clear();
      return progress;
    }
    return go_on();
  }
  void close_statement(const std::string& name) override { prepared_.erase(name); }
  void close_portal(const std::string& name) override { portals_.erase(name); }
  // As many notifications wait for the session.
  void hear(int count) { heard_ += count; }
  void deliver_notifications(ReplySink& sink) override {
    if (status_ != TransactionStatus::kIdle) return;
    for (; heard_ > 0 && !sink.full(); --heard_) sink.notification(4711, "channel", "payload");
  }
  Progress start_sync(ReplySink&) override {
    if (failed_implicit_) ++rollbacks;
    failed_implicit_ = false;
    return Progress::kDone;
  }
  void fail_extended() override { failed_implicit_ = true; }

  Progress copy_input(std::string_view bytes) override {
    if (bytes == "bad\n") {
      in_copy_ = false;
      statements_.clear();
      sink_->error(error(ErrorCode::kBadCopyFormat, "extra data after last expected column"));
      return Progress::kDone;
    }
    copied_ += bytes.size();
    return Progress::kDone;
  }
  Progress copy_input_done() override {
    in_copy_ = false;
    sink_->command_complete(fmt::format("COPY {}", copied_));
    return go_on();
  }
  Progress copy_input_fail(std::string_view reason) override {
    in_copy_ = false;
    statements_.clear();
    sink_->error(error(ErrorCode::kCancelled, "COPY from stdin failed: {}", reason));
    return Progress::kDone;
  }
  bool in_copy() const override { return in_copy_; }

  Progress resume() override {
    ++resumes;
    if (waiting_) {
      if (!let_go_) return Progress::kWaiting;
      waiting_ = let_go_ = false;
      if (cancelled_.exchange(false)) {
        statements_.clear();
        sink_->error(error(ErrorCode::kCancelled, "canceling statement due to user request"));
        return Progress::kDone;
      }
      sink_->command_complete("WAIT");
      return go_on();
    }
    return row_batch(next_, false);
  }
  TransactionStatus transaction_status() const override { return status_; }
  const sql::CodecContext& codec_context() const override { return context_; }
  std::vector<std::pair<std::string, std::string>> reported_parameters() const override {
    return {{"server_version", "15.8 (BOP 0.1.0)"},
            {"client_encoding", "UTF8"},
            {"server_encoding", "UTF8"},
            {"integer_datetimes", "on"},
            {"standard_conforming_strings", "on"}};
  }
  bool holds_up_others() const override;
  void cancel() override {
    cancelled_ = true;
    let_go();
  }
  std::int32_t backend_pid() const override { return pid_; }

  void let_go() {
    let_go_ = true;
    if (waiting_) sink_->wake();
  }
  int rollbacks = 0;
  int resumes = 0;

 private:
  struct Prepared {
    std::string text;
    std::vector<Oid> types;
  };
  struct Portal {
    std::string text;
    std::vector<Parameter> parameters;
    std::vector<Format> formats;
    bool started = false;
  };

  static std::uint64_t number_of(const std::string& text) {
    const std::size_t space = text.rfind(' ');
    return space == text.npos ? 0 : std::min(std::strtoull(text.c_str() + space, nullptr, 10), 200'000ULL);
  }
  std::optional<std::vector<OutputColumn>> columns_of(const std::string& text) const {
    if (text.starts_with("ROWS")) {
      return std::vector<OutputColumn>{{"n", types::kInt4, -1, 4711, 1}, {"name", types::kText, -1, 0, 0}};
    }
    if (text.starts_with("PARAMETERS")) {
      return std::vector<OutputColumn>(number_of(text), OutputColumn{"p", types::kText, -1, 0, 0});
    }
    return std::nullopt;
  }

  Progress go_on() {
    while (!statements_.empty()) {
      const std::string text = statements_.front();
      if (text.starts_with("ROWS")) {
        if (simple_) sink_->row_description(*columns_of(text));
        return row_batch(0, false);
      }
      statements_.erase(statements_.begin());
      if (text.starts_with("PARAMETERS") && !simple_) {
        const std::vector<Parameter>& given = portal_->parameters;
        batch_.reset(number_of(text));
        for (std::size_t i = 0; i < batch_.columns(); ++i) {
          batch_.append(i < given.size() && given[i].bytes ? Value::of_text(*given[i].bytes) : Value::null());
        }
        sink_->rows(batch_);
        sink_->command_complete("SELECT 1");
      } else if (text == "FAIL") {
        statements_.clear();
        if (status_ == TransactionStatus::kInBlock) status_ = TransactionStatus::kFailed;
        sink_->error(error(ErrorCode::kUniqueViolation, "duplicate key")
                         .detail("Key (id)=(1) already exists.")
                         .hint("a hint")
                         .context("a context")
                         .schema("public")
                         .table("t")
                         .column("id")
                         .data_type("int4")
                         .constraint("t_pkey")
                         .at(7));
      } else if (text == "WAIT") {
        waiting_ = true;
        return Progress::kWaiting;
      } else if (text.starts_with("GATE")) {
        sink_->gate(Csn(number_of(text)));
        sink_->command_complete(text);
      } else if (text == "COPY IN") {
        in_copy_ = true;
        copied_ = 0;
        sink_->copy_in({false, 2});
        return Progress::kSuspended;
      } else if (text.starts_with("COPY OUT")) {
        sink_->copy_out({false, 1});
        for (std::uint64_t i = 0; i < number_of(text); ++i) sink_->copy_data("line\n");
        sink_->copy_done();
        sink_->command_complete(fmt::format("COPY {}", number_of(text)));
      } else if (text == "NOTICE") {
        sink_->notice(Severity::kWarning, error(ErrorCode::kNoActiveTransaction, "there is no transaction"));
        sink_->command_complete(text);
      } else if (text == "SET") {
        sink_->parameter_status("TimeZone", "Europe/Berlin");
        sink_->command_complete(text);
      } else {
        if (text == "BEGIN") status_ = TransactionStatus::kInBlock;
        if (text == "COMMIT") status_ = TransactionStatus::kIdle;
        sink_->command_complete(text);
      }
    }
    return Progress::kDone;
  }
  Progress row_batch(std::uint64_t from, bool again) {
    const std::uint64_t end = number_of(statements_.front());
    if (!again && from == 0) sent_in_call_ = 0;
    if (again) sent_in_call_ = 0;
    for (next_ = from; next_ < end; ++next_) {
      if (sent_in_call_ == limit_ && !simple_) {
        portal_->started = true;
        sink_->portal_suspended();
        return Progress::kSuspended;
      }
      if (sink_->full()) return Progress::kWaiting;
      batch_.reset(2);
      batch_.append(Value::of_int(static_cast<std::int64_t>(next_)));
      batch_.append(Value::of_text(fmt::format("row {}", next_)));
      sink_->rows(batch_);
      ++sent_in_call_;
    }
    sink_->command_complete(fmt::format("SELECT {}", end));
    statements_.erase(statements_.begin());
    return go_on();
  }

  FakeFactory& factory_;
  std::int32_t pid_;
  ReplySink* sink_ = nullptr;
  std::vector<std::string> statements_;
  std::map<std::string, Prepared> prepared_;
  std::map<std::string, Portal> portals_;
  Portal* portal_ = nullptr;
  ResultBatch batch_;
  std::uint64_t next_ = 0, limit_ = UINT64_MAX, sent_in_call_ = 0;
  std::size_t copied_ = 0;
  TransactionStatus status_ = TransactionStatus::kIdle;
  sql::CodecContext context_;
  int heard_ = 0;
  bool simple_ = true, waiting_ = false, in_copy_ = false, failed_implicit_ = false;
  std::atomic<bool> let_go_ = false, cancelled_ = false;
};

// Knows the role "bop" with the password "secret"; connects anybody who got past authentication but "nobody".
class FakeFactory final : public SessionFactory {
 public:
  std::vector<Verifier> verifiers(std::string_view user) const override {
    if (user != "bop") return {};
    return {{"SCRAM-SHA-256", make_scram_verifier("secret", "0123456789abcdef", 4096).text()}};
  }
  Result<std::unique_ptr<Session>> connect(const ConnectRequest& request, Executor&,
                                           std::int32_t pid) override {
    last_request = request;
    if (request.database == "nowhere") {
      return fail(ErrorCode::kUndefinedDatabase, "database \"{}\" does not exist", request.database);
    }
    auto session = std::make_unique<FakeSession>(*this, pid);
    last = session.get();
    ++alive;
    return session;
  }
  Csn released() const override { return Csn(released_csn); }
  bool when_released(Csn csn, Executor&, std::move_only_function<void(Status)> run) override {
    if (csn <= released()) return true;
    waiters.emplace_back(csn, std::move(run));
    return false;
  }

  ConnectRequest last_request;
  FakeSession* last = nullptr;
  int alive = 0;
  bool others_wait = false;  // what sessions say of holds_up_others
  std::uint64_t released_csn = 0;
  std::vector<std::pair<Csn, std::move_only_function<void(Status)>>> waiters;
};

inline bool FakeSession::holds_up_others() const { return factory_.others_wait; }

inline FakeSession::~FakeSession() {
  --factory_.alive;
  if (factory_.last == this) factory_.last = nullptr;
}

}  // namespace bop::session
