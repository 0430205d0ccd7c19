#include "wire/pg/connection.hpp"

#include <algorithm>
#include <limits>

#include "base/assert.hpp"
#include "base/metrics.hpp"

namespace bop::wire::pg {

Connection::Connection(Services& services, Executor& executor, std::string client_address, bool is_loopback,
                       std::function<void()> wake)
    : services_(services),
      executor_(executor),
      wake_(std::move(wake)),
      login_(std::make_unique<Login>()),
      client_address_(std::move(client_address)),
      is_loopback_(is_loopback) {}

Connection::~Connection() { close(); }

// ---------------------------------------------------------------------------------------------------- input

void Connection::feed(std::string_view bytes) {
  BOP_ASSERT(!working_);
  if (phase_ == Phase::kClosing) return;
  if (input_.empty()) message_since_ns_ = system_clock().steady_ns();
  if (!input_.empty()) {
    input_.append(bytes);
    work();
    return;
  }
  // The usual case: whole messages, worked through where they lie; only a rest is copied.
  std::string_view rest = bytes;
  working_ = true;
  while (can_take_message() && take_message(rest)) settle();
  working_ = false;
  if (phase_ != Phase::kClosing) input_.assign(rest);
  if (stop_reason_) stop(*stop_reason_);
}

void Connection::advance() {
  if (working_) return;
  settle();
  work();
  deliver_notifications();
  std::optional<Error> end;
  {
    const std::lock_guard lock(end_mutex_);
    end = std::exchange(end_reason_, std::nullopt);
  }
  if (!end) return;
  // One that waits for its client would wait on.
  if (phase_ == Phase::kCopyIn || (operation_ != Operation::kNone && saw_full_)) return abort(*end);
  stop(std::move(*end));
}

void Connection::work() {
  working_ = true;
  std::string_view rest = input_;
  while (can_take_message() && take_message(rest)) settle();
  if (phase_ == Phase::kClosing || rest.empty()) {
    if (input_.capacity() > kKeptBufferBytes) {
      std::string().swap(input_);
    } else {
      input_.clear();
    }
  } else {
    input_.erase(0, input_.size() - rest.size());
  }
  working_ = false;
  // The last statement may have ended inside.
  if (stop_reason_) stop(*stop_reason_);
}

// Goes on with the operation in progress as far as it goes.
void Connection::settle() {
  while (operation_ != Operation::kNone && phase_ != Phase::kClosing) {
    if (progress_ == session::Progress::kWaiting) {
      const bool woken = woken_.exchange(false);
      const bool has_room = saw_full_ && output_.unsent() <= kOutputFullBytes / 2;
      if (!woken && !has_room) return;
      saw_full_ = false;
      progress_ = session_->resume();
      continue;
    }
    if (defect_) {
      fatal(*defect_);
      return;
    }
    const Operation ended = operation_;
    operation_ = Operation::kNone;
    woken_ = false;  // what comes next has not waited yet
    saw_full_ = false;
    after_operation(ended);
  }
}

bool Connection::can_take_message() const {
  return phase_ != Phase::kClosing && phase_ != Phase::kTls && operation_ == Operation::kNone &&
         output_.unsent() <= kOutputFullBytes;
}

bool Connection::wants_input() const { return can_take_message(); }

bool Connection::take_message(std::string_view& rest) {
  if (phase_ == Phase::kStartup) return take_startup(rest);
  constexpr std::size_t kHeader = 5;
  if (rest.size() < kHeader) return false;
  const char type = rest[0];
  const auto length = load_big_endian<std::uint32_t>(rest.data() + 1);
  if (phase_ != Phase::kReady && phase_ != Phase::kCopyIn && type != 'p' && type != 'X') {
    violation(fmt::format("expected SASL response, got message type {}", static_cast<unsigned char>(type)));
    return false;
  }
  const std::size_t most = session_ != nullptr ? services_.max_message_bytes : kMostAuthenticationBytes;
  if (length < 4) {
    violation("invalid message length");
    return false;
  }
  if (length > most) {
    fatal(bop::error(ErrorCode::kProgramLimitExceeded, "a message of {} bytes exceeds the limit of {} bytes",
                     length, most)
              .hint("The limit is the setting max_message_bytes."));
    return false;
  }
  if (rest.size() < length + 1) return false;
  const std::string_view body = rest.substr(kHeader, length - 4);
  rest.remove_prefix(length + 1);
  on_message(static_cast<Frontend>(type), body);
  return true;
}

bool Connection::take_startup(std::string_view& rest) {
  if (rest.size() < 4) return false;
  const auto length = load_big_endian<std::uint32_t>(rest.data());
  if (length < 8 || length > kMostStartupBytes) {
    violation("invalid length of startup packet");
    return false;
  }
  if (rest.size() < length) return false;
  const std::string_view body = rest.substr(4, length - 4);
  rest.remove_prefix(length);
  on_startup(body, !rest.empty());
  return true;
}

// --------------------------------------------------------------------------------------------------- output

std::string_view Connection::sendable() {
  const std::string_view bytes = output_.sendable(services_.factory.released());
  for (; answered_freed_ < answered_.size(); ++answered_freed_) {
    Trace& trace = answered_[answered_freed_];
    if (trace.end > sent_bytes_ + bytes.size()) break;
    trace.times.enter(Stage::kFlush);
  }
  return bytes;
}

void Connection::sent(std::size_t bytes) {
  output_.consume(bytes);
  sent_bytes_ += bytes;
  finish_traces(sent_bytes_);
}

void Connection::gate_failed(const Error& e) {
  if (!output_.held_by()) return;
  output_.drop_held();
  if (phase_ == Phase::kClosing) return;
  fatal(e);
}

// ------------------------------------------------------------------------------------------------------ end

void Connection::stop(Error reason) {
  if (phase_ == Phase::kClosing) return;
  const bool busy = working_ || operation_ != Operation::kNone || phase_ == Phase::kCopyIn;
  if (!busy) {
    stop_reason_.reset();
    fatal(reason);
  } else {
    stop_reason_ = std::move(reason);
  }
}

void Connection::abort(const Error& reason) {
  if (phase_ == Phase::kClosing) return;
  if (operation_ != Operation::kNone) session_->abandon();
  fatal(reason);
}

void Connection::fatal(const Error& e) {
  if (!is_authenticated()) metrics().connections_refused_total.add();
  write_error(out(), ErrorSeverity::kFatal, e);
  close();
}

void Connection::violation(std::string_view what) {
  fatal(Error(ErrorCode::kProtocolViolation, std::string(what)));
}

// The session goes at once: it rolls back and frees what it holds before the client has read the last byte.
void Connection::close() {
  phase_ = Phase::kClosing;
  if (key_.process_id != 0) services_.cancel_keys.release(key_.process_id);
  key_ = {};
  operation_ = Operation::kNone;
  end_trace();
  finish_traces(std::numeric_limits<std::uint64_t>::max());
  session_.reset();
  login_.reset();
}

}  // namespace bop::wire::pg
