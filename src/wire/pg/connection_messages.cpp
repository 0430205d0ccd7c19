// Messages of an open session, and the session's answers.
#include <limits>

#include "base/assert.hpp"
#include "wire/pg/connection.hpp"

namespace bop::wire::pg {

namespace {

Error malformed(std::string_view what) {
  return bop::error(ErrorCode::kProtocolViolation, "invalid message format: {}", what);
}

Result<std::vector<session::Format>> read_formats(MessageReader& reader, std::size_t count) {
  std::vector<session::Format> formats;
  for (std::size_t i = 0; i < count && !reader.failed(); ++i) {
    const auto code = reader.integer<std::int16_t>();
    if (code != 0 && code != 1) return fail(ErrorCode::kInvalidArgument, "unsupported format code: {}", code);
    formats.push_back(static_cast<session::Format>(code));
  }
  return formats;
}

}  // namespace

void Connection::on_message(Frontend type, std::string_view body) {
  if (phase_ == Phase::kCopyIn) return on_copy_message(type, body);
  if (type == Frontend::kTerminate) return close();
  if (phase_ == Phase::kSaslInitial) {
    MessageReader reader(body);
    return on_sasl_initial(reader);
  }
  if (phase_ == Phase::kSaslFinal) return on_sasl_final(body);

  if (skip_to_sync_ && type != Frontend::kSync) {
    switch (type) {
      case Frontend::kBind:
      case Frontend::kClose:
      case Frontend::kCopyData:
      case Frontend::kCopyDone:
      case Frontend::kCopyFail:
      case Frontend::kDescribe:
      case Frontend::kExecute:
      case Frontend::kFlush:
      case Frontend::kFunctionCall:
      case Frontend::kParse:
      case Frontend::kQuery: return;
      default: break;
    }
  }
  switch (type) {
    case Frontend::kQuery: return on_query(body);
    case Frontend::kParse: return on_parse(body);
    case Frontend::kBind: return on_bind(body);
    case Frontend::kDescribe: return on_describe(body);
    case Frontend::kExecute: return on_execute(body);
    case Frontend::kClose: return on_close(body);
    case Frontend::kFlush: return output_.flush();  // output leaves after every batch of input anyway
    case Frontend::kSync: skip_to_sync_ = false; return begin(Operation::kSync, session_->start_sync(*this));
    case Frontend::kFunctionCall:
      write_error(out(), ErrorSeverity::kError,
                  Error(ErrorCode::kFeatureNotSupported, "function call messages are not implemented")
                      .hint("Call the function with SELECT."));
      return ready_for_query();
    case Frontend::kCopyData:
    case Frontend::kCopyDone:
    case Frontend::kCopyFail: return;  // a client that has not yet seen its COPY fail
    default:
      return violation(fmt::format("invalid frontend message type {}", static_cast<unsigned char>(type)));
  }
}

// ------------------------------------------------------------------------------------------------ operations

void Connection::begin(Operation operation, session::Progress progress) {
  operation_ = operation;
  progress_ = progress;
}

void Connection::after_operation(Operation ended) {
  if (ended != Operation::kCopyData && session_->in_copy()) {
    if (ended != Operation::kCopyEnd) copy_is_extended_ = ended == Operation::kExecute;
    phase_ = Phase::kCopyIn;
    return;
  }
  const bool failed = std::exchange(operation_failed_, false);
  Operation answered = ended;
  if (ended == Operation::kCopyData) {
    if (session_->in_copy()) return;
    answered = Operation::kCopyEnd;  // it failed in the middle
  }
  if (answered == Operation::kCopyEnd) {
    phase_ = Phase::kReady;
    answered = copy_is_extended_ ? Operation::kExecute : Operation::kQuery;
  }
  if (answered == Operation::kExecute) {
    if (trace_) trace_->times.enter(Stage::kWire);
    trace_executed_ = true;  // its commit comes with Sync
    if (failed) {
      session_->fail_extended();
      skip_to_sync_ = true;
    }
  } else {
    ready_for_query();
    end_trace();
  }
  message_since_ns_ = system_clock().steady_ns();
}

void Connection::ready_for_query() {
  session_->deliver_notifications(*this);  // the own ones belong to this answer
  write_ready_for_query(out(), session_->transaction_status());
  output_.end_answer();
}

// Between two answers.
void Connection::deliver_notifications() {
  if (phase_ != Phase::kReady || operation_ != Operation::kNone) return;
  session_->deliver_notifications(*this);
  saw_full_ = false;
}

void Connection::extended_error(const Error& e) {
  gate(session_->gate());
  write_error(out(), ErrorSeverity::kError, e);
  if (trace_ && !trace_executed_) trace_->error = e.code();
  session_->fail_extended();
  skip_to_sync_ = true;
}

void Connection::trace_stage(Stage stage) {
  if (trace_executed_) end_trace();
  if (!trace_) {
    trace_.emplace(StatementTrace(system_clock(), Stage::kWire, message_since_ns_), std::string(),
                   std::nullopt, 0);
  }
  trace_->times.enter(stage);
}

// Short enough to be kept while the statement runs.
void Connection::trace_text(std::string_view text) {
  constexpr std::size_t kMostTextBytes = 200;
  trace_->text.assign(shown_text(text, kMostTextBytes));
}

// A statement that was only parsed or bound counts when that failed.
void Connection::end_trace() {
  const bool counts = trace_ && (trace_executed_ || trace_->error);
  trace_executed_ = false;
  if (counts) {
    trace_->times.enter(output_.held_by() ? Stage::kDurable : Stage::kFlush);
    trace_->end = sent_bytes_ + output_.unsent();
    answered_.push_back(std::move(*trace_));
  }
  trace_.reset();
}

void Connection::finish_traces(std::uint64_t sent_bytes) {
  while (!answered_.empty() && answered_.front().end <= sent_bytes) {
    Trace& trace = answered_.front();
    trace.times.finish(trace.text, trace.error ? &*trace.error : nullptr);
    answered_.pop_front();
    if (answered_freed_ > 0) --answered_freed_;
  }
}

// ------------------------------------------------------------------------------------------- simple protocol

void Connection::on_query(std::string_view body) {
  MessageReader reader(body);
  const std::string_view text = reader.string();
  if (!reader.complete()) {
    write_error(out(), ErrorSeverity::kError, malformed("Query"));
    return ready_for_query();
  }
  trace_stage(Stage::kParse);
  trace_text(text);
  trace_executed_ = true;
  begin(Operation::kQuery, session_->start_query(std::string(text), *this));
}

// ----------------------------------------------------------------------------------------- extended protocol

void Connection::on_parse(std::string_view body) {
  MessageReader reader(body);
  const std::string_view name = reader.string();
  const std::string_view text = reader.string();
  const auto count = reader.integer<std::uint16_t>();
  std::vector<Oid> types;
  for (std::size_t i = 0; i < count && !reader.failed(); ++i) types.push_back(reader.integer<Oid>());
  if (!reader.complete()) return extended_error(malformed("Parse"));
  trace_stage(Stage::kParse);
  trace_text(text);
  if (Status parsed = session_->parse(std::string(name), std::string(text), types); !parsed) {
    return extended_error(parsed.error());
  }
  trace_->times.enter(Stage::kWire);
  gate(session_->gate());
  write_empty(out(), Backend::kParseComplete);
}

void Connection::on_bind(std::string_view body) {
  MessageReader reader(body);
  const std::string_view portal = reader.string();
  const std::string_view statement = reader.string();
  const auto format_count = reader.integer<std::uint16_t>();
  const auto parameter_formats = read_formats(reader, format_count);
  if (!parameter_formats) return extended_error(parameter_formats.error());
  const auto count = reader.integer<std::uint16_t>();
  if (!reader.failed() && format_count > 1 && format_count != count) {
    return extended_error(bop::error(ErrorCode::kProtocolViolation,
                                     "bind message has {} parameter formats but {} parameters", format_count,
                                     count));
  }
  std::vector<session::Parameter> parameters;
  for (std::size_t i = 0; i < count && !reader.failed(); ++i) {
    session::Parameter& parameter = parameters.emplace_back();
    if (format_count > 0) parameter.format = (*parameter_formats)[format_count == 1 ? 0 : i];
    const auto length = reader.integer<std::int32_t>();
    if (length == -1 || reader.failed()) continue;
    if (length < 0) return extended_error(malformed("Bind, length of a parameter"));
    parameter.bytes.emplace(reader.bytes(static_cast<std::size_t>(length)));
  }
  auto result_formats = read_formats(reader, reader.integer<std::uint16_t>());
  if (!result_formats) return extended_error(result_formats.error());
  if (!reader.complete()) return extended_error(malformed("Bind"));
  trace_stage(Stage::kBind);
  const Status bound = session_->bind(std::string(portal), std::string(statement), std::move(parameters),
                                      std::move(*result_formats));
  if (!bound) return extended_error(bound.error());
  trace_->times.enter(Stage::kWire);
  gate(session_->gate());
  write_empty(out(), Backend::kBindComplete);
}

void Connection::on_describe(std::string_view body) {
  MessageReader reader(body);
  const char kind = reader.byte();
  const std::string name(reader.string());
  if (!reader.complete()) return extended_error(malformed("Describe"));
  if (kind != 'S' && kind != 'P') {
    return extended_error(bop::error(ErrorCode::kProtocolViolation, "invalid DESCRIBE message subtype {}",
                                     static_cast<unsigned char>(kind)));
  }
  std::optional<std::vector<session::OutputColumn>> columns;
  if (kind == 'S') {
    auto description = session_->describe_statement(name);
    if (!description) return extended_error(description.error());
    gate(session_->gate());
    write_parameter_description(out(), description->parameters);
    columns = std::move(description->columns);
    if (columns) set_result_columns(columns_, *columns, {});
  } else {
    auto description = session_->describe_portal(name);
    if (!description) return extended_error(description.error());
    columns = std::move(*description);
    if (columns) {
      const auto formats = session_->portal_formats(name);
      if (!formats) return extended_error(formats.error());
      set_result_columns(columns_, *columns, *formats);
    }
  }
  if (columns) {
    write_row_description(out(), *columns, columns_);
  } else {
    write_empty(out(), Backend::kNoData);
  }
}

void Connection::on_execute(std::string_view body) {
  MessageReader reader(body);
  const std::string portal(reader.string());
  const auto limit = reader.integer<std::int32_t>();
  if (!reader.complete()) return extended_error(malformed("Execute"));
  auto columns = session_->describe_portal(portal);
  if (!columns) return extended_error(columns.error());
  if (*columns) {
    const auto formats = session_->portal_formats(portal);
    if (!formats) return extended_error(formats.error());
    set_result_columns(columns_, **columns, *formats);
  } else {
    columns_.clear();
  }
  trace_stage(Stage::kExecute);
  trace_text(session_->portal_text(portal));
  const auto most = limit > 0 ? static_cast<std::uint64_t>(limit) : 0;
  begin(Operation::kExecute, session_->start_execute(portal, most, *this));
}

void Connection::on_close(std::string_view body) {
  MessageReader reader(body);
  const char kind = reader.byte();
  const std::string name(reader.string());
  if (!reader.complete()) return extended_error(malformed("Close"));
  if (kind == 'S') {
    session_->close_statement(name);
  } else if (kind == 'P') {
    session_->close_portal(name);
  } else {
    return extended_error(bop::error(ErrorCode::kProtocolViolation, "invalid CLOSE message subtype {}",
                                     static_cast<unsigned char>(kind)));
  }
  write_empty(out(), Backend::kCloseComplete);
}

// ----------------------------------------------------------------------------------------------------- COPY

void Connection::on_copy_message(Frontend type, std::string_view body) {
  switch (type) {
    case Frontend::kCopyData: return begin(Operation::kCopyData, session_->copy_input(body));
    case Frontend::kCopyDone: return begin(Operation::kCopyEnd, session_->copy_input_done());
    case Frontend::kCopyFail: {
      MessageReader reader(body);
      return begin(Operation::kCopyEnd, session_->copy_input_fail(reader.string()));
    }
    case Frontend::kFlush:
    case Frontend::kSync:
      return;  // sent by clients that use the extended protocol without knowing of the COPY
    default:
      // PostgreSQL has read the message's type only when it tells this, so the connection ends there, too.
      error(bop::error(ErrorCode::kProtocolViolation,
                       "unexpected message type 0x{:02X} during COPY from stdin",
                       static_cast<unsigned char>(type)));
      return violation("terminating connection because protocol synchronization was lost");
  }
}

// ------------------------------------------------------------------------------------------
// session::ReplySink

void Connection::gate(Csn csn) {
  if (session_ && session_->answers_early()) return;
  output_.gate(csn, services_.factory.released());
}

void Connection::row_description(std::span<const session::OutputColumn> columns) {
  set_result_columns(columns_, columns, {});
  write_row_description(out(), columns, columns_);
}

void Connection::rows(const sql::ResultBatch& batch) {
  BOP_ASSERT(batch.columns() == columns_.size());
  if (defect_) return;
  const Status written = write_rows(out(), batch, columns_, session_->codec_context());
  if (!written) defect_ = written.error();
}

void Connection::command_complete(std::string_view tag) { write_command_complete(out(), tag); }
void Connection::empty_query() { write_empty(out(), Backend::kEmptyQueryResponse); }
void Connection::portal_suspended() { write_empty(out(), Backend::kPortalSuspended); }

void Connection::error(const Error& e) {
  operation_failed_ = true;
  if (trace_) trace_->error = e.code();
  write_error(out(), ErrorSeverity::kError, e);
}

void Connection::notice(session::Severity severity, const Error& e) { write_notice(out(), severity, e); }

void Connection::parameter_status(std::string_view name, std::string_view value) {
  write_parameter_status(out(), name, value);
}

void Connection::stage(Stage stage) {
  if (trace_) trace_->times.enter(stage);
}

void Connection::committed() {
  if (trace_) trace_->times.note_commit();
}

void Connection::copy_in(const session::CopyFormat& format) {
  write_copy_response(out(), Backend::kCopyInResponse, format);
}

void Connection::copy_out(const session::CopyFormat& format) {
  write_copy_response(out(), Backend::kCopyOutResponse, format);
}

void Connection::copy_data(std::string_view bytes) { MessageWriter(out(), Backend::kCopyData).bytes(bytes); }
void Connection::copy_done() { write_empty(out(), Backend::kCopyDone); }

void Connection::notification(std::int32_t sender, std::string_view channel, std::string_view payload) {
  write_notification(out(), sender, channel, payload);
}

bool Connection::full() const {
  if (output_.unsent() <= kOutputFullBytes) return false;
  saw_full_ = true;
  return true;
}

void Connection::wake() {
  woken_ = true;
  wake_();
}

}  // namespace bop::wire::pg
