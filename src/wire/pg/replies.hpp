// The server's messages, appended to an output buffer. Formats: protocol.hpp and PostgreSQL's "Message
// Formats".
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "session/session.hpp"
#include "sql/types/codec.hpp"
#include "sql/types/value.hpp"
#include "wire/pg/protocol.hpp"

namespace bop::wire::pg {

// How a column of a result goes out.
struct ResultColumn {
  Oid type = 0;
  std::int32_t typmod = -1;
  bool binary = false;
};

// What `formats` of Bind says for each of `columns`: none is text, one is for all.
void set_result_columns(std::vector<ResultColumn>& out, std::span<const session::OutputColumn> columns,
                        std::span<const session::Format> formats);

enum class ErrorSeverity : std::uint8_t { kError, kFatal };

void write_error(std::string& out, ErrorSeverity severity, const Error& e);
void write_notice(std::string& out, session::Severity severity, const Error& e);
void write_row_description(std::string& out, std::span<const session::OutputColumn> columns,
                           std::span<const ResultColumn> formats);
// One DataRow a row. A row above 1 GiB cannot be encoded: its bytes are taken back and the answer is an
// error.
[[nodiscard]] Status write_rows(std::string& out, const ResultBatch& batch,
                                std::span<const ResultColumn> columns, const CodecContext& context);
void write_parameter_description(std::string& out, std::span<const Oid> parameters);
void write_parameter_status(std::string& out, std::string_view name, std::string_view value);
void write_notification(std::string& out, std::int32_t sender, std::string_view channel,
                        std::string_view payload);
void write_command_complete(std::string& out, std::string_view tag);
void write_copy_response(std::string& out, Backend type, const session::CopyFormat& format);
void write_ready_for_query(std::string& out, session::TransactionStatus status);
void write_authentication(std::string& out, Authentication request, std::string_view data = {});
void write_backend_key(std::string& out, std::int32_t process_id, std::int32_t secret);
void write_negotiate_version(std::string& out, std::span<const std::string> unknown_options);
// A message without body.
void write_empty(std::string& out, Backend type);

}  // namespace bop::wire::pg
