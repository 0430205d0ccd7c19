// From the first byte to the first ReadyForQuery.
#include "wire/pg/connection.hpp"

namespace bop::wire::pg {

void Connection::on_startup(std::string_view body, bool bytes_follow) {
  Result<StartupMessage> message = parse_startup(body);
  if (!message) return fatal(message.error());
  switch (message->kind) {
    case StartupMessage::Kind::kSsl:
    case StartupMessage::Kind::kGss: {
      const bool ssl = message->kind == StartupMessage::Kind::kSsl;
      bool& requested = ssl ? login_->ssl_requested : login_->gss_requested;
      if (requested || login_->encryption) return violation("encryption was requested twice");
      requested = true;
      // Bytes behind the request came before an answer: sent by a careless client, or slipped in by somebody
      // between.
      if (bytes_follow) {
        return violation(
            fmt::format("received unencrypted data after {} request", ssl ? "SSL" : "GSSAPI encryption"));
      }
      const bool accepted = ssl && services_.tls != Services::Tls::kOff;
      out().push_back(accepted ? 'S' : 'N');
      if (accepted) phase_ = Phase::kTls;
      return;
    }
    case StartupMessage::Kind::kCancel:
      services_.cancel_keys.cancel(message->process_id, message->secret);
      return close();
    case StartupMessage::Kind::kStartup: break;
  }
  if (message->minor > 0 || !message->unknown_options.empty()) {
    write_negotiate_version(out(), message->unknown_options);
  }
  login_->request = std::move(message->request);
  login_->request.client_address = client_address_;
  login_->request.encryption = login_->encryption;
  if (services_.tls == Services::Tls::kRequired && !login_->encryption) {
    return fatal(bop::error(ErrorCode::kInvalidAuthorization,
                            "connections without TLS are refused for user \"{}\", database \"{}\"",
                            login_->request.user, login_->request.database)
                     .hint("Connect with sslmode=require; the setting tls of the node asks for it."));
  }
  if (services_.trust_loopback && is_loopback_) return open_session();

  const std::string& user = login_->request.user;
  std::optional<ScramVerifier> verifier;
  for (const session::Verifier& candidate : services_.factory.verifiers(user)) {
    if (auto parsed = ScramVerifier::parse(candidate.text)) verifier = std::move(*parsed);
  }
  const bool is_mock = !verifier;
  ScramVerifier mock = mock_scram_verifier(user, services_.node_secret);
  login_->scram.emplace(is_mock ? std::move(mock) : std::move(*verifier), is_mock,
                        scram_nonce(services_.random), login_->end_point);
  std::string mechanisms;
  if (login_->end_point) mechanisms.append(kScramPlusMechanism).push_back('\0');
  mechanisms.append(kScramMechanism).append(2, '\0');
  write_authentication(out(), Authentication::kSasl, mechanisms);
  phase_ = Phase::kSaslInitial;
}

void Connection::tls_started(session::Encryption encryption, std::optional<std::string> end_point) {
  if (phase_ != Phase::kTls) return;
  login_->encryption = std::move(encryption);
  login_->end_point = std::move(end_point);
  phase_ = Phase::kStartup;
}

void Connection::on_sasl_initial(MessageReader& reader) {
  const std::string_view mechanism = reader.string();
  const auto length = reader.integer<std::int32_t>();
  if (reader.failed()) return violation("invalid SASL response");
  if (mechanism != kScramMechanism && (mechanism != kScramPlusMechanism || !login_->end_point))
    return violation("client selected an invalid SASL authentication mechanism");
  // -1: no initial response; the server asks for it with an empty challenge.
  if (length == -1 && reader.rest().empty()) {
    write_authentication(out(), Authentication::kSaslContinue);
    return;
  }
  if (length < 0) return violation("invalid SASL response");
  const std::string_view data = reader.bytes(static_cast<std::size_t>(length));
  if (!reader.complete()) return violation("invalid SASL response");
  Result<std::string> answer = login_->scram->first(data, mechanism);
  if (!answer) return fatal(answer.error());
  write_authentication(out(), Authentication::kSaslContinue, *answer);
  phase_ = Phase::kSaslFinal;
}

void Connection::on_sasl_final(std::string_view data) {
  Result<std::string> answer = login_->scram->final(data);
  if (!answer) {
    if (answer.error().code() != ErrorCode::kInvalidPassword) return fatal(answer.error());
    return fatal(bop::error(ErrorCode::kInvalidPassword, "password authentication failed for user \"{}\"",
                            login_->request.user));
  }
  write_authentication(out(), Authentication::kSaslFinal, *answer);
  open_session();
}

void Connection::open_session() {
  write_authentication(out(), Authentication::kOk);
  key_ = services_.cancel_keys.reserve();
  auto session = services_.factory.connect(login_->request, executor_, key_.process_id);
  login_.reset();
  if (!session) return fatal(session.error());
  session_ = std::move(*session);
  session_->when_ended([this](Error why) {
    {
      const std::lock_guard lock(end_mutex_);
      end_reason_ = std::move(why);
    }
    wake_();
  });
  session_->when_notified([this] { wake_(); });
  services_.cancel_keys.attach(key_.process_id, *session_);
  for (const auto& [name, value] : session_->reported_parameters())
    write_parameter_status(out(), name, value);
  write_backend_key(out(), key_.process_id, key_.secret);
  phase_ = Phase::kReady;
  ready_for_query();
}

}  // namespace bop::wire::pg
