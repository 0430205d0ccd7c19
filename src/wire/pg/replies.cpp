#include "wire/pg/replies.hpp"

#include <charconv>

#include "base/assert.hpp"
#include "sql/types/types.hpp"
#include "wire/pg/message.hpp"

namespace bop::wire::pg {

namespace {

constexpr std::int32_t kNewestProtocol = 3 << 16;  // 3.0, as PostgreSQL 15 says it: with its major number
constexpr std::size_t kMostRowBytes = std::size_t{1} << 30;

void write_field(MessageWriter& message, char code, std::string_view text) {
  if (!text.empty()) message.byte(code).string(text);
}

void write_report(std::string& out, Backend type, std::string_view severity, const Error& e,
                  std::string_view sqlstate) {
  const ErrorFields& f = e.fields();
  MessageWriter message(out, type);
  message.byte('S').string(severity).byte('V').string(severity).byte('C').string(sqlstate);
  message.byte('M').string(e.what());
  write_field(message, 'D', f.detail);
  write_field(message, 'H', f.hint);
  if (f.position > 0) message.byte('P').string(fmt::format_int(f.position).c_str());
  write_field(message, 'W', f.context);
  write_field(message, 's', f.schema);
  write_field(message, 't', f.table);
  write_field(message, 'c', f.column);
  write_field(message, 'd', f.data_type);
  write_field(message, 'n', f.constraint);
  // By the routine of PostgreSQL's source drivers know that they may prepare anew.
  if (e.what() == session::kResultTypeChanged) message.byte('R').string("RevalidateCachedQuery");
  message.byte('\0');
}

// What is absent or goes along with something else is told with 00000: as a notice it is no failure.
std::string_view notice_state(session::Severity severity, const Error& e) {
  if (severity == session::Severity::kWarning || !e.fields().sqlstate.empty()) return e.sqlstate();
  switch (e.code()) {
    case ErrorCode::kUndefinedFunction:
    case ErrorCode::kUndefinedTable:
    case ErrorCode::kUndefinedColumn:
    case ErrorCode::kUndefinedObject:
    case ErrorCode::kUndefinedSchema:
    case ErrorCode::kUndefinedDatabase:
    case ErrorCode::kDependentObjectsStillExist: return "00000";
    default: return e.sqlstate();
  }
}

std::string_view severity_name(session::Severity severity) {
  switch (severity) {
    case session::Severity::kNotice: return "NOTICE";
    case session::Severity::kWarning: return "WARNING";
    case session::Severity::kInfo: return "INFO";
    case session::Severity::kLog: return "LOG";
    case session::Severity::kDebug: return "DEBUG";
  }
  return "NOTICE";
}

// The value with its length before it. The commonest types are written here, the rest by their codec.
void write_cell(std::string& out, const Value& value, const ResultColumn& column,
                const CodecContext& context) {
  if (value.is_null()) {
    append_big_endian<std::int32_t>(out, -1);
    return;
  }
  if (!column.binary) {
    switch (column.type) {
      case types::kInt2:
      case types::kInt4:
      case types::kInt8: {
        char digits[24];
        const auto end = std::to_chars(digits, digits + sizeof digits, value.integer).ptr;
        append_big_endian(out, static_cast<std::int32_t>(end - digits));
        out.append(digits, static_cast<std::size_t>(end - digits));
        return;
      }
      case types::kText:
      case types::kVarchar:
        append_big_endian(out, static_cast<std::int32_t>(value.bytes.size()));
        out.append(value.bytes);
        return;
      default: break;
    }
  }
  const std::size_t at = out.size();
  out.append(4, '\0');
  if (column.binary) {
    encode_binary(column.type, column.typmod, value, context, out);
  } else {
    encode_text(column.type, column.typmod, value, context, out);
  }
  store_length(out, at, std::min(out.size() - at - 4, kMostRowBytes));
}

}  // namespace

void set_result_columns(std::vector<ResultColumn>& out, std::span<const session::OutputColumn> columns,
                        std::span<const session::Format> formats) {
  out.clear();
  for (std::size_t i = 0; i < columns.size(); ++i) {
    BOP_ASSERT(formats.size() <= 1 || formats.size() == columns.size());
    const auto format = formats.empty() ? session::Format::kText : formats[formats.size() == 1 ? 0 : i];
    out.push_back({columns[i].type, columns[i].encoding_typmod(), format == session::Format::kBinary});
  }
}

void write_error(std::string& out, ErrorSeverity severity, const Error& e) {
  write_report(out, Backend::kErrorResponse, severity == ErrorSeverity::kFatal ? "FATAL" : "ERROR", e,
               e.sqlstate());
}

void write_notice(std::string& out, session::Severity severity, const Error& e) {
  write_report(out, Backend::kNoticeResponse, severity_name(severity), e, notice_state(severity, e));
}

void write_row_description(std::string& out, std::span<const session::OutputColumn> columns,
                           std::span<const ResultColumn> formats) {
  MessageWriter message(out, Backend::kRowDescription);
  message.integer(static_cast<std::int16_t>(columns.size()));
  for (std::size_t i = 0; i < columns.size(); ++i) {
    const session::OutputColumn& column = columns[i];
    const TypeInfo* type = column.type_length == 0 ? find_type(column.shown_type()) : nullptr;
    const std::int16_t length = type == nullptr ? column.type_length : type->typlen;
    message.string(column.name).integer(column.table).integer(column.attribute).integer(column.shown_type());
    message.integer(length).integer(column.shown_typmod());
    message.integer(static_cast<std::int16_t>(formats[i].binary ? 1 : 0));
  }
}

Status write_rows(std::string& out, const ResultBatch& batch, std::span<const ResultColumn> columns,
                  const CodecContext& context) {
  for (std::size_t row = 0; row < batch.rows(); ++row) {
    const std::size_t at = out.size();
    {
      out.push_back(static_cast<char>(Backend::kDataRow));
      out.append(4, '\0');
      append_big_endian(out, static_cast<std::int16_t>(columns.size()));
      for (std::size_t i = 0; i < columns.size(); ++i)
        write_cell(out, batch.cell(row, i), columns[i], context);
    }
    const std::size_t length = out.size() - at - 1;
    if (length > kMostRowBytes) {
      out.resize(at);
      return fail(ErrorCode::kProgramLimitExceeded, "a row of {} bytes exceeds the limit of {} bytes", length,
                  kMostRowBytes);
    }
    store_length(out, at + 1, length);
  }
  return {};
}

void write_parameter_description(std::string& out, std::span<const Oid> parameters) {
  MessageWriter message(out, Backend::kParameterDescription);
  message.integer(static_cast<std::uint16_t>(parameters.size()));
  for (const Oid type : parameters) message.integer(type);
}

void write_parameter_status(std::string& out, std::string_view name, std::string_view value) {
  MessageWriter(out, Backend::kParameterStatus).string(name).string(value);
}

void write_notification(std::string& out, std::int32_t sender, std::string_view channel,
                        std::string_view payload) {
  MessageWriter(out, Backend::kNotificationResponse).integer(sender).string(channel).string(payload);
}

void write_command_complete(std::string& out, std::string_view tag) {
  MessageWriter(out, Backend::kCommandComplete).string(tag);
}

void write_copy_response(std::string& out, Backend type, const session::CopyFormat& format) {
  MessageWriter message(out, type);
  message.byte(format.binary ? 1 : 0).integer(static_cast<std::int16_t>(format.columns));
  for (int i = 0; i < format.columns; ++i) message.integer(static_cast<std::int16_t>(format.binary ? 1 : 0));
}

void write_ready_for_query(std::string& out, session::TransactionStatus status) {
  MessageWriter(out, Backend::kReadyForQuery).byte(static_cast<char>(status));
}

void write_authentication(std::string& out, Authentication request, std::string_view data) {
  MessageWriter(out, Backend::kAuthentication).integer(static_cast<std::int32_t>(request)).bytes(data);
}

void write_backend_key(std::string& out, std::int32_t process_id, std::int32_t secret) {
  MessageWriter(out, Backend::kBackendKeyData).integer(process_id).integer(secret);
}

void write_negotiate_version(std::string& out, std::span<const std::string> unknown_options) {
  MessageWriter message(out, Backend::kNegotiateProtocolVersion);
  message.integer(kNewestProtocol).integer(static_cast<std::int32_t>(unknown_options.size()));
  for (const std::string& option : unknown_options) message.string(option);
}

void write_empty(std::string& out, Backend type) { MessageWriter(out, type); }

}  // namespace bop::wire::pg
