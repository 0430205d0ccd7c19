#include "wire/pg/startup.hpp"

#include <algorithm>

#include "wire/pg/message.hpp"

namespace bop::wire::pg {

namespace {

std::unexpected<Error> invalid_layout() {
  return fail(ErrorCode::kProtocolViolation,
              "invalid startup packet layout: expected terminator as last byte");
}

// Words separated by white space; a backslash takes the next character as it is.
std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  bool in_word = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool space = text[i] == ' ' || (text[i] >= '\t' && text[i] <= '\r');
    if (space) {
      in_word = false;
      continue;
    }
    if (!in_word) words.emplace_back();
    in_word = true;
    if (text[i] == '\\' && i + 1 < text.size()) ++i;
    words.back() += text[i];
  }
  return words;
}

}  // namespace

Result<std::vector<std::pair<std::string, std::string>>> parse_options(std::string_view text) {
  std::vector<std::pair<std::string, std::string>> settings;
  const std::vector<std::string> words = words_of(text);
  for (std::size_t i = 0; i < words.size(); ++i) {
    std::string_view assignment = words[i];
    if (assignment == "-c" && i + 1 < words.size()) {
      assignment = words[++i];
    } else if (assignment.starts_with("-c") || assignment.starts_with("--")) {
      assignment.remove_prefix(2);
    } else {
      return fail(ErrorCode::kFeatureNotSupported, "invalid command-line argument for server process: {}",
                  words[i]);
    }
    const std::size_t equals = assignment.find('=');
    if (equals == 0 || equals == assignment.npos) {
      return fail(ErrorCode::kSyntaxError, "-c {} requires a value", assignment.substr(0, equals));
    }
    std::string name(assignment.substr(0, equals));
    std::ranges::replace(name, '-', '_');
    settings.emplace_back(std::move(name), assignment.substr(equals + 1));
  }
  return settings;
}

Result<StartupMessage> parse_startup(std::string_view body) {
  MessageReader reader(body);
  const auto version = reader.integer<std::uint32_t>();
  if (reader.failed()) return fail(ErrorCode::kProtocolViolation, "invalid length of startup packet");
  StartupMessage message;
  if (version == kSslCode || version == kGssCode) {
    if (!reader.rest().empty())
      return fail(ErrorCode::kProtocolViolation, "invalid length of startup packet");
    message.kind = version == kSslCode ? StartupMessage::Kind::kSsl : StartupMessage::Kind::kGss;
    return message;
  }
  if (version == kCancelCode) {
    message.kind = StartupMessage::Kind::kCancel;
    message.process_id = reader.integer<std::int32_t>();
    message.secret = reader.integer<std::int32_t>();
    if (!reader.complete())
      return fail(ErrorCode::kProtocolViolation, "invalid length of cancel request packet");
    return message;
  }
  if (version >> 16 != kProtocolMajor) {
    return fail(ErrorCode::kFeatureNotSupported,
                "unsupported frontend protocol {}.{}: server supports 3.0 to 3.0", version >> 16,
                version & 0xFFFF);
  }
  message.minor = version & 0xFFFF;
  session::ConnectRequest& request = message.request;
  while (true) {
    const std::string_view name = reader.string();
    if (reader.failed()) return invalid_layout();
    if (name.empty()) break;
    const std::string_view value = reader.string();
    if (reader.failed()) return invalid_layout();
    if (name == "user") {
      request.user = value;
    } else if (name == "database") {
      request.database = value;
    } else if (name == "application_name") {
      request.application_name = value;
    } else if (name == "options") {
      BOP_LET(settings, parse_options(value));
      std::ranges::move(settings, std::back_inserter(request.settings));
    } else if (name == "replication") {
      if (value != "false" && value != "off" && value != "no" && value != "0") {
        return fail(ErrorCode::kFeatureNotSupported, "replication connections are not implemented");
      }
    } else if (name.starts_with("_pq_.")) {
      message.unknown_options.emplace_back(name);
    } else {
      request.settings.emplace_back(name, value);
    }
  }
  if (!reader.complete()) return invalid_layout();
  if (request.user.empty()) {
    return fail(ErrorCode::kInvalidAuthorization, "no PostgreSQL user name specified in startup packet");
  }
  if (request.database.empty()) request.database = request.user;
  return message;
}

}  // namespace bop::wire::pg
