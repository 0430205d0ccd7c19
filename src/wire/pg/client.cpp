#include "wire/pg/client.hpp"

#include "wire/pg/message.hpp"

namespace bop::wire::pg {

namespace {

constexpr std::uint32_t kMostMessageBytes = std::uint32_t{1} << 30;

std::unexpected<Error> violation(std::string_view what) {
  return fail(ErrorCode::kProtocolViolation, "the server broke the protocol: {}", what);
}

ReportFields read_report(std::string_view body) {
  MessageReader reader(body);
  ReportFields fields;
  while (!reader.failed()) {
    const char code = reader.byte();
    if (code == '\0') break;
    fields[code] = reader.string();
  }
  return fields;
}

}  // namespace

void Client::request_tls() {
  append_big_endian<std::uint32_t>(output_, 8);
  append_big_endian(output_, kSslCode);
}

void Client::start(std::string_view user, std::string password, std::string_view database,
                   std::string_view application_name, std::optional<std::string> end_point) {
  password_ = std::move(password);
  end_point_ = std::move(end_point);
  const std::size_t at = output_.size();
  output_.append(4, '\0');
  append_big_endian<std::uint32_t>(output_, kProtocolMajor << 16);
  const auto pair = [&](std::string_view name, std::string_view value) {
    output_.append(name).push_back('\0');
    output_.append(value).push_back('\0');
  };
  pair("user", user);
  pair("database", database);
  pair("client_encoding", "UTF8");
  pair("application_name", application_name);
  output_.push_back('\0');
  store_length(output_, at, output_.size() - at);
}

void Client::query(std::string_view text) { MessageWriter(output_, Frontend::kQuery).string(text); }
void Client::copy_data(std::string_view bytes) { MessageWriter(output_, Frontend::kCopyData).bytes(bytes); }
void Client::copy_done() { MessageWriter(output_, Frontend::kCopyDone); }
void Client::copy_fail(std::string_view reason) {
  MessageWriter(output_, Frontend::kCopyFail).string(reason);
}
void Client::terminate() { MessageWriter(output_, Frontend::kTerminate); }

Status Client::feed(std::string_view bytes) {
  input_.append(bytes);
  std::string_view rest = input_;
  while (rest.size() >= 5) {
    const auto length = load_big_endian<std::uint32_t>(rest.data() + 1);
    if (length < 4 || length > kMostMessageBytes) return violation("the length of a message is out of range");
    if (rest.size() < length + 1) break;
    BOP_TRY(on_message(static_cast<Backend>(rest[0]), rest.substr(5, length - 4)));
    rest.remove_prefix(length + 1);
  }
  input_.erase(0, input_.size() - rest.size());
  return {};
}

Status Client::on_message(Backend type, std::string_view body) {
  MessageReader reader(body);
  switch (type) {
    case Backend::kAuthentication: return on_authentication(body);
    case Backend::kParameterStatus: {
      const std::string name(reader.string());
      parameters_[name] = reader.string();
      return {};
    }
    case Backend::kBackendKeyData:
      process_id_ = reader.integer<std::int32_t>();
      secret_ = reader.integer<std::int32_t>();
      return {};
    case Backend::kReadyForQuery: events_.ready(reader.byte()); return {};
    case Backend::kRowDescription: return on_columns(body);
    case Backend::kDataRow: return on_row(body);
    case Backend::kCommandComplete: events_.complete(reader.string()); return {};
    case Backend::kEmptyQueryResponse: events_.complete(""); return {};
    case Backend::kErrorResponse: events_.error(read_report(body)); return {};
    case Backend::kNoticeResponse: events_.notice(read_report(body)); return {};
    case Backend::kCopyInResponse: events_.copy_in_ready(); return {};
    case Backend::kCopyData: events_.copy_out(body); return {};
    case Backend::kCopyOutResponse:
    case Backend::kCopyDone:
    case Backend::kNegotiateProtocolVersion: return {};
    default: return violation(fmt::format("unexpected message type {}", static_cast<int>(type)));
  }
}

Status Client::on_authentication(std::string_view body) {
  MessageReader reader(body);
  const auto request = reader.integer<std::int32_t>();
  if (reader.failed()) return violation("an authentication request is too short");
  switch (static_cast<Authentication>(request)) {
    case Authentication::kOk:
      if (scram_ && !server_proved_) return violation("it skipped the end of the SCRAM exchange");
      return {};
    case Authentication::kSasl: {
      bool offered = false;
      bool offered_binding = false;
      for (std::string_view name = reader.string(); !name.empty(); name = reader.string()) {
        offered = offered || name == kScramMechanism;
        offered_binding = offered_binding || name == kScramPlusMechanism;
      }
      if (!offered) return fail(ErrorCode::kFeatureNotSupported, "the server does not offer SCRAM-SHA-256");
      // Whoever is between could cut the offer out.
      if (end_point_ && !offered_binding) {
        return fail(ErrorCode::kProtocolViolation,
                    "the server does not bind SCRAM-SHA-256 to the TLS connection: somebody may be between");
      }
      scram_.emplace(std::move(password_), scram_nonce(random_), end_point_);
      const std::string first = scram_->first();
      MessageWriter(output_, Frontend::kPassword)
          .string(scram_->mechanism())
          .integer(static_cast<std::int32_t>(first.size()))
          .bytes(first);
      return {};
    }
    case Authentication::kSaslContinue: {
      if (!scram_) return violation("a SASL answer without a question");
      BOP_LET(answer, scram_->final(reader.rest()));
      MessageWriter(output_, Frontend::kPassword).bytes(answer);
      return {};
    }
    case Authentication::kSaslFinal:
      if (!scram_) return violation("a SASL answer without a question");
      BOP_TRY(scram_->verify(reader.rest()));
      server_proved_ = true;
      return {};
  }
  return fail(ErrorCode::kFeatureNotSupported,
              "the server asks for authentication method {}, which is not implemented", request);
}

Status Client::on_columns(std::string_view body) {
  MessageReader reader(body);
  const auto count = reader.integer<std::uint16_t>();
  std::vector<ClientColumn> columns;
  for (std::size_t i = 0; i < count && !reader.failed(); ++i) {
    ClientColumn& column = columns.emplace_back();
    column.name = reader.string();
    (void)reader.bytes(6);  // table and attribute
    column.type = reader.integer<Oid>();
    (void)reader.bytes(8);  // length, modifier and format
  }
  if (!reader.complete()) return violation("a malformed RowDescription");
  events_.columns(columns);
  return {};
}

Status Client::on_row(std::string_view body) {
  MessageReader reader(body);
  const auto count = reader.integer<std::uint16_t>();
  cells_.clear();
  for (std::size_t i = 0; i < count && !reader.failed(); ++i) {
    const auto length = reader.integer<std::int32_t>();
    if (length < 0) {
      cells_.emplace_back();
    } else {
      cells_.emplace_back(reader.bytes(static_cast<std::size_t>(length)));
    }
  }
  if (!reader.complete()) return violation("a malformed DataRow");
  events_.row(cells_);
  return {};
}

std::string cancel_request(std::int32_t process_id, std::int32_t secret) {
  std::string out;
  append_big_endian<std::uint32_t>(out, 16);
  append_big_endian(out, kCancelCode);
  append_big_endian(out, process_id);
  append_big_endian(out, secret);
  return out;
}

}  // namespace bop::wire::pg
